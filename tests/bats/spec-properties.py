# spec-properties.py HUSK_OCI STATE BUNDLE TABLE: each property of the table gets a value of a wrong type; a runtime that
# reads the property refuses it, by name, and one that ignores it runs the container. Prints what was not refused.
import json, re, subprocess, sys

oci, state, bundle, table = sys.argv[1:5]
naive = sys.argv[5] if len(sys.argv) > 5 else None  # as if a runtime did not know this property: the test must see it
base = json.load(open(bundle + "/config.json"))
good = {"string": "x", "integer": 1, "boolean": True, "array": [], "object": {}}
wrong = {"string": 5, "integer": "x", "boolean": "x", "array": 5, "object": 5}
# siblings that must be there, or the whole is refused for their absence
need = {
    "hooks.*[0]": {"path": "/bin/true"}, "mounts[0]": {"destination": "/tmp", "type": "tmpfs", "source": "x"},
    "mounts[0].*Mappings[0]": {"containerID": 0, "hostID": 0, "size": 1}, "process.rlimits[0]": {"type": "RLIMIT_CORE", "hard": 1, "soft": 1},
    "process.scheduler": {"policy": "SCHED_OTHER"}, "process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1},
    "process.consoleSize": {"height": 1, "width": 1}, "linux.devices[0]": {"type": "c", "path": "/dev/x", "major": 1, "minor": 3},
    "linux.*Mappings[0]": {"containerID": 0, "hostID": 0, "size": 1}, "linux.namespaces[0]": {"type": "mount"},
    "linux.resources.devices[0]": {"allow": True}, "linux.resources.blockIO.*[0]": {"major": 1, "minor": 1, "rate": 1},
    "linux.resources.blockIO.weightDevice[0]": {"major": 1, "minor": 1}, "linux.resources.hugepageLimits[0]": {"pageSize": "2MB", "limit": 1},
    "linux.resources.network.priorities[0]": {"name": "x", "priority": 1}, "linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
    "linux.seccomp.syscalls[0]": {"names": ["mkdir"], "action": "SCMP_ACT_ALLOW"},
    "linux.seccomp.syscalls[0].args[0]": {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, "linux.memoryPolicy": {"mode": "MPOL_DEFAULT"},
    "linux.personality": {"domain": "LINUX"}, "linux.timeOffsets": {}, "linux.resources.unified": {}, "annotations": {},
}

def siblings(path):
    for pattern, value in need.items():
        if re.fullmatch("[A-Za-z]*".join(map(re.escape, pattern.split("*"))), path):
            return json.loads(json.dumps(value))
    return {}

def put(doc, path, value):
    parts = re.findall(r"\[0\]|[^.\[\]]+", path)
    at, name = doc, ""
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        name += part if part == "[0]" or not name else "." + part
        key = 0 if part == "[0]" else "wild" if part == "*" else part
        if last:
            if isinstance(at, list):
                at[:] = [value]
            else:
                at[key] = value
            return
        fresh = [] if parts[i + 1] == "[0]" else siblings(name)
        if isinstance(at, list):
            if not at or not isinstance(at[0], type(fresh)):
                at[:] = [fresh]
            elif isinstance(fresh, dict):
                at[0] = {**fresh, **at[0]}
        elif key not in at or not isinstance(at[key], type(fresh)):
            at[key] = fresh
        at = at[0] if isinstance(at, list) else at[key]

tried = bad = 0
for line in open(table):
    if line.startswith("#"):
        continue
    path, kind = line.split()[:2]
    doc = json.loads(json.dumps(base))
    if path.startswith("linux.timeOffsets"):
        doc["linux"]["namespaces"].append({"type": "time"})
    if path != naive:
        put(doc, path, wrong[kind])
    json.dump(doc, open(bundle + "/config.json", "w"))
    r = subprocess.run([oci, "--root", state, "run", "--bundle", bundle, "p1"], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=60)
    tried += 1
    names = [n for n in re.findall(r"[A-Za-z]+", path)][-2:]
    if r.returncode != 1 or not any(n in r.stderr for n in names):
        bad += 1
        print(path, "=", json.dumps(wrong[kind]), "-> status", r.returncode, r.stderr.strip()[:160])
json.dump(base, open(bundle + "/config.json", "w"))
print(f"{tried} properties, {bad} not refused")
