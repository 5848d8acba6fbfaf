"""spec-effects.py HUSK_OCI STATE BUNDLE GROUP TABLE [each]: each property of the table does what it says: bundles with good
values of many are run, and what the container or the host sees of each is compared. Prints what is not so.

With "each" it is asked what the comparison is worth: every property in turn is left out, or has another value where it
must be there, as if the runtime did not know it; the case must then be seen to fail.

A property that is shown elsewhere has the file's number behind it in the table ("@313"); the file must name it."""
import concurrent.futures
import copy
import ctypes
import fcntl
import glob
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios

oci, state, bundle, group, table = sys.argv[1:6]
here = os.path.dirname(os.path.abspath(__file__))
base = json.load(open(bundle + "/config.json"))
base["root"]["readonly"] = False
base["linux"].pop("cgroupsPath", None)
out = tempfile.mkdtemp(dir=os.path.dirname(bundle))
os.chmod(out, 0o777)
libc = ctypes.CDLL(None, use_errno=True)
STAR = {"annotations": "my.key", "linux.sysctl": "net.ipv4.ip_default_ttl", "linux.resources.unified": "cgroup.max.depth"}
GONE = object()  # instead of a value: the property is not there
PATH = "PATH=/bin:/sbin:/usr/bin:/usr/sbin"


def walk(doc, path):
    """The object or list that holds the last part of the path, and that part."""
    parts, at, name = re.findall(r"\[\d\]|[^.\[\]]+", path), doc, ""
    for i, part in enumerate(parts):
        key = int(part[1]) if part[0] == "[" else STAR[name] if part == "*" else part
        name += part if part[0] == "[" or not name else "." + part
        if i == len(parts) - 1:
            return at, key
        if isinstance(at, dict):
            at = at.setdefault(key, [] if parts[i + 1][0] == "[" else {})
        else:
            at = at[key]
    return None


def put(doc, path, value):
    at, key = walk(doc, path)
    if value is GONE:
        del at[key]
    elif isinstance(at, list) and not at:
        at.append(value)
    else:
        at[key] = value


def call(*args, prefix=(), **more):
    return subprocess.run([*prefix, oci, "--root", state, *args], stdin=subprocess.DEVNULL, timeout=60, **more)


class Case:
    """A bundle: properties and their values, and what is seen of it.

    look: a shell's text that prints "key value" lines inside, or a function of (pid) for a container that sleeps
    want: key -> regular expression of its value
    shows: property -> key, or (key, another value) where a property must be there or has such a default"""

    def __init__(self, name, put, look, want, shows, flags=(), status=0, args=()):
        self.name, self.put, self.look, self.want, self.shows = name, put, look, want, shows
        self.flags, self.status, self.args, self.prefix = flags, status, args, ()

    def document(self, naive=None):
        doc = copy.deepcopy(base)
        for path, value in self.put.items():
            put(doc, path, copy.deepcopy(value))
        if "process.args" not in self.put:
            doc["process"]["args"] = ["sleep", "1000"] if callable(self.look) else ["sh", "-c", self.look]
        if naive:
            key = self.shows[naive]
            put(doc, naive, GONE if isinstance(key, str) else key[1])
        return doc

    def run(self, number, naive=None):
        """What is seen: {key: value}, and what was said."""
        name, config = f"e{number}", f"{bundle}/config-{number}.json"
        doc = self.document(naive)
        doc["linux"].setdefault("cgroupsPath", f"/{group}/{name}")
        json.dump(doc, open(config, "w"))
        args = [*self.flags, "run", *self.args, "--bundle", bundle, "--config", config]
        try:
            if not callable(self.look):
                r = call(*args, name, prefix=self.prefix, capture_output=True, text=True)
                said = r.stdout + r.stderr
                seen = dict((line.split(" ", 1) + [""])[:2] for line in said.splitlines())
                return {**seen, "status": str(r.returncode), "said": said}
            with tempfile.TemporaryFile("w+") as err:
                if call(*args, "--detach", name, stdout=subprocess.DEVNULL, stderr=err).returncode:
                    err.seek(0)
                    return {"status": "1", "said": err.read()}
            pid = json.loads(call("state", name, capture_output=True).stdout)["pid"]
            return {"status": "0", "said": "", **self.look(pid)}
        finally:
            if callable(self.look):
                call("delete", "--force", name, stderr=subprocess.DEVNULL)
            os.unlink(config)

    def wrong(self, seen):
        want = {"status": str(self.status), **self.want}
        return [f"{k}: {seen.get(k)!r} is not {v!r}" for k, v in want.items() if not re.search(v, seen.get(k) or "")]


def read(path):
    try:
        return open(path).read().strip()
    except OSError as e:
        return str(e)


def limits(pid):
    """Files of its groups on v1, and of the v2 part."""
    seen = {}
    for line in open(f"/proc/{pid}/cgroup"):
        _, names, path = line.strip().split(":", 2)
        for where in glob.glob(f"/sys/fs/cgroup/{names or 'unified'}{path}"):
            for f in os.listdir(where):
                if os.path.isfile(f"{where}/{f}"):
                    seen[f] = read(f"{where}/{f}") if f not in ("memory.force_empty",) else ""
        seen["path " + names] = path
    return seen


def scheduling(pid):
    kind = os.sched_getscheduler(pid)
    said = subprocess.run(["chrt", "--pid", str(pid)], capture_output=True, text=True).stdout
    return {"policy": str(kind & 0xFFFF), "reset": str(bool(kind & 0x40000000)), "priority": str(os.sched_getparam(pid).sched_priority),
            "nice": str(os.getpriority(os.PRIO_PROCESS, pid)), "deadline": said.replace("\n", " "),
            "io": "%d:%d" % divmod(libc.syscall(252, 1, pid), 1 << 13)}


def of_exec(value):
    """execCPUAffinity: what exec's process has."""
    def run(number, naive=None):
        name, config = f"e{number}", f"{bundle}/config-{number}.json"
        doc = copy.deepcopy(base)
        doc["process"].update(args=["sleep", "1000"], execCPUAffinity=GONE if naive else value)
        if naive:
            del doc["process"]["execCPUAffinity"]
        doc["linux"]["cgroupsPath"] = f"/{group}/{name}"
        json.dump(doc, open(config, "w"))
        call("run", "--detach", "--bundle", bundle, "--config", config, name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        r = call("exec", name, "grep", "Cpus_allowed_list", "/proc/self/status", capture_output=True, text=True)
        call("delete", "--force", name)
        os.unlink(config)
        return {"status": str(r.returncode), "said": r.stdout + r.stderr, "cpus": r.stdout.split(":")[-1].strip()}
    return run


def terminal_size(number, naive=None):
    """The size of a terminal whose master went over a socket, as nobody has set it since."""
    name, config, path = f"e{number}", f"{bundle}/config-{number}.json", f"/tmp/husk-effects-{os.getpid()}-{number}"
    doc = copy.deepcopy(base)
    doc["process"].update(args=["true"], terminal=True, consoleSize={"height": 33, "width": 99})
    if naive:
        put(doc, naive, 7)
    doc["linux"]["cgroupsPath"] = f"/{group}/{name}"
    json.dump(doc, open(config, "w"))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(1)
        r = call("create", "--bundle", bundle, "--config", config, "--console-socket", path, name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        c, _ = s.accept()
        fd = socket.recv_fds(c, 4096, 1)[1][0]
        size = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))[:2]
        os.close(fd)
    call("delete", "--force", name)
    os.unlink(path)
    os.unlink(config)
    return {"status": str(r.returncode), "said": "", "size": "%dx%d" % size}


def filter_flags(case):
    """As the kernel is told them."""
    run = case.run

    def traced(number, naive=None):
        log = f"{out}/strace-{number}"
        case.prefix = ["strace", "-f", "-qq", "-e", "trace=seccomp", "-o", log]
        seen = run(number, naive)
        return {**seen, "flags": read(log)}

    case.run = traced
    return case


def other_net():
    """A network namespace that is not ours; it goes with us."""
    p = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    p.stdout.readline()
    return p


def hook_case():
    kinds = "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"
    puts = {"mounts": [{"destination": out, "source": out, "type": "bind", "options": ["bind"]}] + base["mounts"]}
    want, shows = {}, {}
    for k in kinds:
        puts[f"hooks.{k}"] = [{"path": "/bin/sh", "args": ["sh", "-c", f"echo $0-$X >>{out}/{k}; cat >{out}/{k}.state", f"zero-{k}"], "env": [f"X={k}", PATH]}]
        want[k] = f"^zero-{k}-{k}$"
        shows[f"hooks.{k}[0].path"] = (k, "/bin/nope")
        shows[f"hooks.{k}[0].args[3]"] = (k, "other")
        shows[f"hooks.{k}[0].args"] = k
        shows[f"hooks.{k}[0].env[0]"] = (k, "X=other")
    case = Case("hooks", puts, "echo", want, shows)
    run = case.run

    def with_files(number, naive=None):
        for f in glob.glob(out + "/*"):
            os.unlink(f)
        seen = run(number, naive)
        return {**seen, **{k: read(f"{out}/{k}") for k in kinds}, "annotation": read(f"{out}/createRuntime.state")}

    case.run = with_files
    puts["annotations"] = {STAR["annotations"]: "value"}
    want["annotation"] = '"my.key": ?"value"'
    shows["annotations.*"] = "annotation"
    return case


def hook_times():
    """A hook that is still there after its second; five seconds in all, if nobody looked at the second."""
    cases = []
    for k in "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop":
        cases.append(Case(f"timeout of {k}", {f"hooks.{k}": [{"path": "/bin/sleep", "args": ["sleep", "3"], "env": [PATH], "timeout": 1}]},
                          "echo", {"said": f"{k}.*(still running after 1 second|longer than its timeout)"}, {f"hooks.{k}[0].timeout": "said"},
                          status=r"\d"))
    return cases


def allowed_names():
    doc = json.load(open(f"{here}/../../src/process/seccomp-default.json"))
    names = {n for rule in doc["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for n in rule["names"]}
    return sorted(names - {"mkdir", "mkdirat"})


def all_cases(net):
    os.makedirs(bundle + "/rootfs/priv", exist_ok=True)  # its program is for who may search all directories
    shutil.copy(bundle + "/rootfs/bin/busybox", bundle + "/rootfs/priv/sh")
    os.chmod(bundle + "/rootfs/priv", 0o700)
    source = tempfile.mkdtemp(dir=os.path.dirname(bundle))
    open(source + "/data", "w").write("hello")
    os.chown(source + "/data", 1000, 2000)
    os.chmod(source, 0o755)
    gib = 1 << 30
    uts = re.escape(os.readlink("/proc/self/ns/uts"))
    disk = {"major": 254, "minor": 0}
    facts = ("echo ids $(id -u):$(id -g):$(id -G); echo umask $(umask); echo cwd $(pwd); echo env $A; echo files $(ulimit -n):$(ulimit -Hn);"
             "echo oom $(cat /proc/self/oom_score_adj); sed -n 's/^\\(Cap...\\|NoNewPrivs\\):/\\1/p' /proc/self/status | tr '\\t' ' '")
    yield Case("process", {
        "process.args": ["/priv/sh", "-c", facts],
        "process.user": {"uid": 5, "gid": 6, "umask": 0o27, "additionalGids": [7, 8]}, "process.cwd": "/tmp", "process.env": ["A=b", PATH],
        "process.capabilities": {"bounding": ["CAP_SETPCAP", "CAP_KILL", "CAP_CHOWN", "CAP_DAC_READ_SEARCH"], "permitted": ["CAP_KILL", "CAP_DAC_READ_SEARCH"],
                                 "effective": ["CAP_DAC_READ_SEARCH"], "inheritable": ["CAP_CHOWN", "CAP_KILL"], "ambient": ["CAP_KILL"]},
        "process.rlimits": [{"type": "RLIMIT_NOFILE", "hard": 77, "soft": 66}], "process.oomScoreAdj": 321, "process.noNewPrivileges": True},
        facts,
        {"ids": "^5:6:6 7 8$", "umask": "0027", "cwd": "^/tmp$", "env": "^b$", "files": "^66:77$", "oom": "^321$", "NoNewPrivs": "^1$",
         "CapBnd": "^0000000000000125$", "CapInh": "^0000000000000021$", "CapAmb": "^0000000000000020$"},
        {"process.args[0]": ("ids", "true"), "process.user.uid": ("ids", 4), "process.user.gid": ("ids", 4), "process.user.umask": "umask",
         "process.user.additionalGids[0]": ("ids", 9), "process.cwd": ("cwd", "/"), "process.env[0]": ("env", "A=c"),
         "process.capabilities.bounding[0]": ("CapBnd", "CAP_FOWNER"), "process.capabilities.inheritable[0]": ("CapInh", "CAP_DAC_READ_SEARCH"),
         "process.capabilities.ambient[0]": ("CapAmb", "CAP_CHOWN"), "process.capabilities.permitted[0]": ("CapAmb", "CAP_CHOWN"),
         "process.capabilities.effective[0]": ("cwd", "CAP_KILL"), "process.rlimits[0].hard": ("files", 78), "process.rlimits[0].soft": ("files", 65),
         "process.rlimits[0].type": ("files", "RLIMIT_CORE"), "process.oomScoreAdj": "oom", "process.noNewPrivileges": "NoNewPrivs"})
    yield Case("a terminal", {"process.terminal": True}, "echo x", {"said": "process.terminal needs --console-socket"},
               {"process.terminal": "said"}, status=1, args=["--detach"])
    size = Case("a terminal's size", {}, "", {"size": "^33x99$"}, {f"process.consoleSize.{k}": "size" for k in ("height", "width")})
    size.run = terminal_size
    yield size
    if os.cpu_count() > 1:
        for k, value in ("initial", {"initial": "1"}), ("final", {"initial": "0", "final": "1"}):
            case = Case(f"affinity of exec, {k}", {}, "", {"cpus": "^1$"}, {f"process.execCPUAffinity.{k}": "cpus"})
            case.run = of_exec(value)
            yield case
    yield Case("version", {"ociVersion": "9.0.0"}, "echo x", {"said": "ociVersion: '9.0.0' is not a version"}, {"ociVersion": "said"}, status=1)
    yield Case("personality's flags", {"linux.personality": {"domain": "LINUX", "flags": ["X"]}}, "echo x",
               {"said": "the specification defines none"}, {"linux.personality.flags[0]": "said"}, status=1)
    yield Case("personality", {"linux.personality": {"domain": "LINUX32"}}, "echo machine $(uname -m)", {"machine": "^i686$"},
               {"linux.personality.domain": ("machine", "LINUX")})
    batch = {"policy": "SCHED_BATCH", "nice": 5}
    yield Case("scheduler", {"process.scheduler": batch, "process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6}}, scheduling,
               {"policy": "^3$", "nice": "^5$", "io": "^2:6$"},
               {"process.scheduler.policy": ("policy", "SCHED_OTHER"), "process.scheduler.nice": "nice",
                "process.ioPriority.class": ("io", "IOPRIO_CLASS_RT"), "process.ioPriority.priority": ("io", 5)})
    yield Case("real time", {"process.scheduler": {"policy": "SCHED_FIFO", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}}, scheduling,
               {"policy": "^1$", "priority": "^7$", "reset": "True"},
               {"process.scheduler.priority": ("priority", 8), "process.scheduler.flags[0]": ("reset", "SCHED_FLAG_RECLAIM")},
               flags=["--cgroup-manager", "disabled"])
    deadline = {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 20000000, "period": 30000000}
    yield Case("deadline", {"process.scheduler": deadline}, scheduling, {"deadline": "1000000/20000000/30000000"},
               {"process.scheduler.runtime": ("deadline", 1000001), "process.scheduler.deadline": ("deadline", 20000001),
                "process.scheduler.period": ("deadline", 30000001)}, flags=["--cgroup-manager", "disabled"])
    yield Case("memory policy", {"linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}},
               "echo maps $(head -n 1 /proc/self/numa_maps)", {"maps": "bind=static:0"},
               {"linux.memoryPolicy.mode": ("maps", "MPOL_INTERLEAVE"), "linux.memoryPolicy.nodes": "maps",
                "linux.memoryPolicy.flags[0]": ("maps", "MPOL_F_RELATIVE_NODES")})
    yield hook_case()
    yield from hook_times()
    names = [{"type": "uts"}, {"type": "mount"}, {"type": "pid"}, {"type": "ipc"}, {"type": "network"}, {"type": "time"}]
    yield Case("a world", {
        "linux.namespaces": names, "hostname": "myhost", "domainname": "my.domain", "linux.rootfsPropagation": "shared",
        "linux.sysctl": {"net.ipv4.ip_default_ttl": "77"}, "linux.maskedPaths": ["/etc/passwd"], "linux.readonlyPaths": ["/tmp"],
        "linux.timeOffsets": {"boottime": {"secs": 86400, "nanosecs": 5}, "monotonic": {"secs": 3600, "nanosecs": 7}},
        "linux.cgroupsPath": f"/{group}/elsewhere"},
        "echo uts $(readlink /proc/self/ns/uts); echo name $(hostname); echo domain $(cat /proc/sys/kernel/domainname);"
        "echo root $(grep ' / / ' /proc/self/mountinfo || grep ' / rw' /proc/self/mountinfo); echo ttl $(cat /proc/sys/net/ipv4/ip_default_ttl);"
        "echo masked $(wc -c </etc/passwd); touch /tmp/x 2>&1 | sed 's/^/ro /'; echo offsets $(cat /proc/self/timens_offsets); echo groups $(cat /proc/self/cgroup)",
        {"uts": f"^(?!{uts}$)uts", "name": "^myhost$", "domain": "^my.domain$", "root": "shared:", "ttl": "^77$", "masked": "^0$",
         "ro": "Read-only", "offsets": "^monotonic 3600 7 boottime 86400 5$", "groups": f"/{group}/elsewhere"},
        {"linux.namespaces[0].type": ("uts", "user"), "hostname": "name", "domainname": "domain", "linux.rootfsPropagation": "root",
         "linux.sysctl.*": "ttl", "linux.maskedPaths[0]": "masked", "linux.readonlyPaths[0]": "ro",
         "linux.timeOffsets.boottime.secs": "offsets", "linux.timeOffsets.boottime.nanosecs": "offsets",
         "linux.timeOffsets.monotonic.secs": "offsets", "linux.timeOffsets.monotonic.nanosecs": "offsets", "linux.cgroupsPath": "groups"})
    yield Case("a namespace of others", {"hostname": "", "linux.namespaces": [{"type": "network", "path": f"/proc/{net.pid}/ns/net"}, {"type": "mount"}, {"type": "pid"}]},
               "echo net $(readlink /proc/self/ns/net)", {"net": "^" + re.escape(os.readlink(f"/proc/{net.pid}/ns/net")) + "$"},
               {"linux.namespaces[0].path": "net"})
    yield Case("ids", {"linux.namespaces": [{"type": t} for t in ("user", "uts", "mount", "pid", "ipc", "network")],
                       "linux.uidMappings": [{"containerID": 0, "hostID": 0, "size": 70}], "linux.gidMappings": [{"containerID": 0, "hostID": 0, "size": 80}]},
               "echo uids $(cat /proc/self/uid_map); echo gids $(cat /proc/self/gid_map)", {"uids": "^0 0 70$", "gids": "^0 0 80$"},
               {f"linux.{w}Mappings[0].{k}": (w + "s", v) for w in ("uid", "gid") for k, v in (("containerID", 1), ("hostID", 1), ("size", 71))})
    yield Case("a bind", {"mounts": [{"destination": "/v", "source": source, "type": "bind", "options": ["ro", "rbind"]}] + base["mounts"]},
               "echo data $(cat /v/data); touch /v/x 2>&1 | sed 's/^/ro /'", {"data": "hello", "ro": "Read-only"},
               {"mounts[0].source": ("data", "/etc"), "mounts[0].destination": ("data", "/w"), "mounts[0].options[0]": ("ro", "rw")})
    owners = [{"destination": "/v", "source": source, "type": "bind", "options": ["bind"], "uidMappings": [{"containerID": 1000, "hostID": 3000, "size": 5}],
               "gidMappings": [{"containerID": 2000, "hostID": 4000, "size": 5}]}]
    yield Case("a bind with ids of its own", {"mounts": owners + base["mounts"]},
               "echo owner $(stat -c %u:%g /v/data)", {"owner": "^3000:4000$"},
               {**{f"mounts[0].{w}Mappings[0].{k}": ("owner", v) for w, n in (("uid", 1000), ("gid", 2000))
                   for k, v in (("containerID", n + 1), ("hostID", n + 7))},
                **{f"mounts[0].{w}Mappings[0].size": ("owner", GONE) for w in ("uid", "gid")}})
    yield Case("a file system", {"mounts": [{"destination": "/t", "source": "x", "type": "tmpfs", "options": ["size=1m"]}] + base["mounts"]},
               "echo type $(stat -f -c %T /t)", {"type": "^tmpfs$"}, {"mounts[0].type": ("type", "ramfs")})
    yield Case("root", {"root": {"path": "rootfs", "readonly": True}}, "touch /x 2>&1 | sed 's/^/ro /'", {"ro": "Read-only"},
               {"root.path": ("ro", "nowhere"), "root.readonly": "ro"})
    yield Case("devices", {"linux.devices": [{"type": "c", "path": "/dev/mine", "major": 1, "minor": 5, "fileMode": 0o620, "uid": 5, "gid": 6}]},
               "echo node $(stat -c %A:%u:%g:%t:%T /dev/mine)", {"node": "^crw--w----:5:6:1:5$"},
               {"linux.devices[0].type": ("node", "b"), "linux.devices[0].path": ("node", "/dev/other"), "linux.devices[0].major": ("node", 2),
                "linux.devices[0].minor": ("node", 7), "linux.devices[0].fileMode": "node", "linux.devices[0].uid": "node", "linux.devices[0].gid": "node"})
    rule = {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95, "args": [{"index": 1, "value": 14, "valueTwo": 10, "op": "SCMP_CMP_MASKED_EQ"}]}
    yield Case("a filter's rule", {"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}},
               "for s in 8 10 11 12; do echo sig$s $(kill -$s $$ 2>&1 | sed 's/.*: //'); done; echo all $(for s in 8 10 11 12; do kill -$s $$ 2>&1 | sed 's/.*: //;s/$/./' || echo none; done)",
               {"sig8": "^$", "sig10": "not supported", "sig11": "not supported", "sig12": "^$"},
               {"linux.seccomp.syscalls[0].names[0]": ("sig10", "tgkill"), "linux.seccomp.syscalls[0].action": ("sig10", "SCMP_ACT_LOG"),
                "linux.seccomp.syscalls[0].errnoRet": "sig10", "linux.seccomp.syscalls[0].args[0].index": ("sig10", 0),
                "linux.seccomp.syscalls[0].args[0].value": ("sig11", 15), "linux.seccomp.syscalls[0].args[0].valueTwo": "sig10",
                "linux.seccomp.syscalls[0].args[0].op": ("sig10", "SCMP_CMP_EQ")})
    yield Case("a filter's default", {"linux.seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 95,
                                                        "syscalls": [{"names": allowed_names(), "action": "SCMP_ACT_ALLOW"}]}},
               "mkdir /tmp/made 2>&1 | sed 's/^/made /'", {"made": "not supported"},
               {"linux.seccomp.defaultAction": ("made", "SCMP_ACT_ALLOW"), "linux.seccomp.defaultErrnoRet": "made"})
    yield filter_flags(Case("a filter's flags", {"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                                                                  "syscalls": [rule]}}, "echo", {"flags": "SECCOMP_FILTER_FLAG_LOG"},
                            {"linux.seccomp.flags[0]": ("flags", "SECCOMP_FILTER_FLAG_SPEC_ALLOW")}))
    if os.path.isdir("/sys/fs/cgroup/memory") and os.path.isdir("/sys/fs/cgroup/unified"):
        yield from limit_cases(disk, gib)
        yield from refused_cases()


def limit_cases(disk, gib):
    throttle = {k: [{**disk, "rate": n}] for k, n in (("throttleReadBpsDevice", 1001), ("throttleWriteBpsDevice", 1002),
                                                      ("throttleReadIOPSDevice", 1003), ("throttleWriteIOPSDevice", 1004))}
    files = {"throttleReadBpsDevice": "blkio.throttle.read_bps_device", "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
             "throttleReadIOPSDevice": "blkio.throttle.read_iops_device", "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device"}
    os.makedirs(f"/sys/fs/cgroup/cpu/{group}", exist_ok=True)
    with open(f"/sys/fs/cgroup/cpu/{group}/cpu.rt_runtime_us", "w") as f:
        f.write("20000")
    r = "linux.resources."
    yield Case("limits", {
        r + "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "b", "major": 10, "minor": 229, "access": "rw"}],
        r + "pids": {"limit": 17}, r + "unified": {"cgroup.max.depth": "3"}, r + "blockIO": {**throttle, "weight": 123},
        r + "cpu": {"cpus": "0", "period": 50000, "quota": 20000, "burst": 3000, "shares": 512, "realtimeRuntime": 5000, "realtimePeriod": 900000},
        r + "memory": {"limit": 2 * gib, "reservation": gib, "swap": 3 * gib, "swappiness": 7, "disableOOMKiller": True, "kernelTCP": gib // 2}},
        limits,
        {"devices.list": "(?s)^(?!a).*b 10:229 rw($|\n)", "pids.max": "^17$", "cgroup.max.depth": "^3$", "cpuset.cpus": "^0$",
         "cpu.cfs_period_us": "^50000$", "cpu.cfs_quota_us": "^20000$", "cpu.cfs_burst_us": "^3000$", "cpu.shares": "^512$",
         "cpu.rt_runtime_us": "^5000$", "cpu.rt_period_us": "^900000$", "memory.limit_in_bytes": f"^{2 * gib}$",
         "memory.soft_limit_in_bytes": f"^{gib}$", "memory.memsw.limit_in_bytes": f"^{3 * gib}$", "memory.swappiness": "^7$",
         "memory.oom_control": "oom_kill_disable 1", "memory.kmem.tcp.limit_in_bytes": f"^{gib // 2}$",
         "blkio.bfq.weight": "^123$",
         **{f: f"^254:0 {1001 + i}$" for i, f in enumerate(files.values())}},
        {r + "devices[0].allow": ("devices.list", True), r + "devices[1].allow": ("devices.list", False), r + "devices[1].type": ("devices.list", "c"), r + "devices[1].major": ("devices.list", 11),
         r + "devices[1].minor": ("devices.list", 228), r + "devices[1].access": ("devices.list", "r"), r + "pids.limit": "pids.max", r + "unified.*": "cgroup.max.depth",
         r + "cpu.cpus": "cpuset.cpus", r + "cpu.period": "cpu.cfs_period_us", r + "cpu.quota": "cpu.cfs_quota_us", r + "cpu.burst": "cpu.cfs_burst_us",
         r + "cpu.shares": "cpu.shares", r + "cpu.realtimeRuntime": "cpu.rt_runtime_us", r + "cpu.realtimePeriod": "cpu.rt_period_us",
         r + "memory.limit": ("memory.limit_in_bytes", 2 * gib + 4096), r + "memory.reservation": "memory.soft_limit_in_bytes", r + "memory.swap": "memory.memsw.limit_in_bytes",
         r + "memory.swappiness": "memory.swappiness", r + "memory.disableOOMKiller": "memory.oom_control", r + "memory.kernelTCP": "memory.kmem.tcp.limit_in_bytes",
         r + "blockIO.weight": "blkio.bfq.weight",
         **{f"{r}blockIO.{k}[0].{m}": (f, v) for k, f in files.items() for m, v in (("rate", 7), ("major", 7), ("minor", 7))}})


def refused_cases():
    """What this kernel has not, or not so: the value is in the error, or the file that it would go to."""
    weights, r = {"major": 254, "minor": 0, "weight": 102}, "linux.resources."
    for name, value, words, properties in (
            ("blockIO", {"leafWeight": 101}, "blkio.leaf_weight", {"leafWeight": GONE}),
            ("blockIO", {"weightDevice": [weights]}, "'254:0 102' for blkio.bfq.weight_device",
             {"weightDevice[0].major": 253, "weightDevice[0].minor": 1, "weightDevice[0].weight": 103}),
            ("blockIO", {"weightDevice": [{"major": 254, "minor": 0, "leafWeight": 103}]}, "blkio.leaf_weight_device", {"weightDevice[0].leafWeight": GONE}),
            ("memory", {"useHierarchy": False}, "memory.use_hierarchy", {"useHierarchy": True}),
            ("memory", {"kernel": 1 << 28}, "Linux removed that limit in 5.16", {"kernel": GONE}),
            ("cpu", {"mems": "7"}, "'7' for cpuset.mems", {"mems": GONE})):
        yield Case(f"{name} {value}", {r + name: value}, "echo", {"said": words}, {f"{r}{name}.{p}": ("said", v) for p, v in properties.items()}, status=1)
    yield Case("an idle group", {r + "cpu": {"idle": 1}}, limits, {"cpu.idle": "^1$"}, {r + "cpu.idle": "cpu.idle"})


def at_all(case, number, naive=None):
    try:
        return case.run(number, naive)
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as e:
        return {"status": "exception", "said": repr(e)}


def check_table(shown):
    """Each leaf of the table is shown here or, as it says, elsewhere."""
    rows = [line.split() for line in open(table) if not line.startswith("#")]
    paths, bad = [row[0] for row in rows], 0
    for path, _, *where in rows:
        if any(p.startswith((path + ".", path + "[")) for p in paths) or path in shown:
            continue
        number = where[0][1:] if where else None
        files = glob.glob(f"{here}/{number}-*.bats") + glob.glob(f"{here}/../{number}") if number else []
        name = [n for n in re.findall(r"[A-Za-z0-9]+", path) if n != "0"][-1]
        if not any(name in open(f).read() for f in files):
            bad += 1
            print(f"{path}: shown nowhere", f"(not in {number})" if number else "")
    return bad


def main():
    each = sys.argv[6:] == ["each"]
    net = other_net()
    cases = list(all_cases(net))
    shown = {re.sub(r"\[\d\]", "[0]", p) for c in cases for p in c.shows}
    bad = check_table(shown)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [(c, None, pool.submit(at_all, c, i)) for i, c in enumerate(cases)]
        for case, _, job in jobs:
            for text in case.wrong(job.result()):
                bad += 1
                print(f"{case.name}: {text}\n  said: {job.result()['said'].strip()[:300]}")
    if each:
        number = 1000
        for case in cases:
            for naive in case.shows:
                number += 1
                if not case.wrong(at_all(case, number, naive)):
                    bad += 1
                    print(f"{case.name}: nobody sees it without {naive}")
    net.kill()
    net.wait()
    for d in glob.glob(f"/sys/fs/cgroup/{group}") + glob.glob(f"/sys/fs/cgroup/*/{group}"):
        os.rmdir(d)
    print(f"{len(shown)} properties in {len(cases)} bundles, {bad} wrong")


main()
