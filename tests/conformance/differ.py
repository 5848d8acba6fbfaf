#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""differ.py [OPTION...] [WORD...]: husk-oci beside runc and crun, by differences. As root.

Each case of cases.py is a config.json (or a row of commands) that all three get, with the same static program in the same
small root; what that sees, what the host sees and how it ends is compared. A difference is one that husk has from both
where they agree, or from each of them where they do not; differences.txt lists those that stand, each with its reason.

  --husk FILE          the husk-oci to try (default: build/bin/husk-oci of this tree)
  --random N [--seed S] N random combinations of the cases' values instead of the cases (the seed is printed)
  --part               each 23rd of the cases, and all that have found something: what bats 342 runs
  --kinds A,B          only these kinds of cases: run, exec, verbs
  --jobs N             cases at a time (default: 3)
  --all                also what only one of runc and crun does otherwise
  --show               what each of the three saw
  WORD...              only cases whose names contain one of the words

It makes namespaces of its own (mounts, network, hostname, IPC, processes) and one control group, which go with it. The
status is 1 when there is a difference that is not listed, or a listed one that is none any more."""
import argparse
import concurrent.futures
import copy
import fnmatch
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cases as table  # noqa: E402

RUNTIMES = ("husk", "runc", "crun")
KINDS = ("pid", "net", "ipc", "uts", "mnt", "user", "cgroup", "time")


def own_world():
    """Begins again in namespaces of its own, where no v2 hierarchy is seen beside v1's (crun 1.8 refuses that)."""
    if os.environ.get("DIFFER_WORLD") == "inside":
        return
    os.environ["DIFFER_WORLD"] = "inside"
    program = ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
               "--propagation", "private", sys.executable, *sys.argv]
    os.execvp(program[0], program)


class World:
    def __init__(self, options):
        self.options, self.lock, self.number = options, threading.Lock(), 0
        self.dir = tempfile.mkdtemp(prefix="differ.", dir="/dev/shm")
        os.chmod(self.dir, 0o755)
        self.group = "differ-" + self.dir.rpartition(".")[2]
        self.probe = f"{self.dir}/probe"
        subprocess.run(["cc", "-std=gnu17", "-static", "-Os", "-w", "-o", self.probe, f"{HERE}/probe.c"], check=True)
        if os.path.isdir("/sys/fs/cgroup/unified"):
            subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/fs/cgroup/unified"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.own_dev()
        self.other = subprocess.Popen(["unshare", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--mount", "--user", "--map-root-user", "--fork",
                                       "--kill-child", "sleep", "100000"])
        self.host_ns = {k: os.readlink(f"/proc/self/ns/{k}") for k in KINDS}

    def own_dev(self):
        """Runtimes give /dev/null to the container's user: not the machine's."""
        dev = f"{self.dir}/dev"
        os.mkdir(dev)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "dev", dev], check=True)
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            os.mknod(f"{dev}/{name}", 0o20666, os.stat(f"/dev/{name}").st_rdev)
            os.chmod(f"{dev}/{name}", 0o666)
        for name in ("pts", "shm"):
            os.mkdir(f"{dev}/{name}")
            subprocess.run(["mount", "--rbind", f"/dev/{name}", f"{dev}/{name}"], check=True)
        os.symlink("pts/ptmx", f"{dev}/ptmx")
        subprocess.run(["mount", "--rbind", dev, "/dev"], check=True)

    def id(self):
        with self.lock:
            self.number += 1
            return f"d{self.number}"

    def end(self):
        self.other.kill()
        subprocess.run(["umount", "-q", "/sys/fs/cgroup/unified"], check=False)
        for top, dirs, _ in os.walk("/sys/fs/cgroup"):
            for d in dirs:
                if d == self.group:
                    for sub, _, _ in os.walk(f"{top}/{d}", topdown=False):
                        try:
                            os.rmdir(sub)
                        except OSError as e:
                            print(f"left: {sub}: {e}")
            if top.count("/") > 4:
                dirs[:] = []
        subprocess.run(["umount", "-R", "-q", self.dir], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def make_root(world, root):
    """The root of a container: the program, and things that paths can lead to."""
    for d in ("dev", "proc", "sys", "tmp", "etc", "private", "dir/sub", "full", "cg", "bin"):
        os.makedirs(f"{root}/{d}")
    os.chmod(f"{root}/tmp", 0o1777)
    os.chmod(f"{root}/private", 0o700)
    os.chown(f"{root}/private", 1000, 1000)
    for name, text, mode in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n", 0o644),
                             ("etc/group", "root:x:0:\nuser:x:1000:\nwheel:x:10:user\n", 0o644), ("script", "#!/probe\n", 0o755),
                             ("badscript", "#!/nope\n", 0o755), ("empty", "", 0o755), ("file", "text\n", 0o644),
                             ("full/file", "text\n", 0o640), ("secret", "x\n", 0o600), ("rootonly", "#!/probe\n", 0o700)):
        with open(f"{root}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(f"{root}/{name}", mode)
    for name, target in (("link-dir", "dir"), ("link-file", "file"), ("link-abs", "/dir"), ("link-out", "../../../dir"), ("link-nope", "nope"),
                         ("link-loop", "link-loop"), ("dir/link-file", "../file")):
        os.symlink(target, f"{root}/{name}")
    os.link(world.probe, f"{root}/probe")
    os.link(world.probe, f"{root}/bin/inpath")


def substitute(value, names):
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(name, text)
        return value
    if isinstance(value, list):
        return [substitute(v, names) for v in value]
    if isinstance(value, dict):
        return {substitute(k, names): substitute(v, names) for k, v in value.items()}
    return value


def put(doc, path, value):
    """Sets the property at a dotted path; "+" as its last part adds to a list, "-" takes the last one away; table.ABSENT removes."""
    *parts, last = path.split(".")
    for part in parts:
        if isinstance(doc, dict):
            if doc.get(part) is None:
                doc[part] = {}
            doc = doc[part]
        else:
            doc = doc[int(part)]
    if last == "+":
        doc.append(value)
    elif isinstance(value, type(table.ABSENT)):
        doc.pop(last, None)
    else:
        doc[int(last) if isinstance(doc, list) else last] = value


class Run:
    """One case under one runtime: a bundle of its own."""

    def __init__(self, world, runtime, case):
        self.world, self.runtime, self.case, self.id, self.calls = world, runtime, case, world.id(), 0
        self.bundle = f"{world.dir}/{self.id}"
        self.state = f"{world.dir}/state-{runtime}"
        self.names = {"@BUNDLE@": self.bundle, "@OTHER@": f"/proc/{world.other.pid}", "@GROUP@": f"/{world.group}/{self.id}", "@ID@": self.id,
                      "@PROBE@": world.probe, "@STATE@": self.state}

    def command(self, *args):
        if self.runtime == "husk":
            return [self.world.options.husk, "--root", self.state, *args]
        return [self.runtime, "--root", self.state, *args]

    def call(self, *args, timeout=30):
        try:
            self.calls += 1  # a file for each: what one command has left running may still write
            with open(f"{self.bundle}/out{self.calls}", "w+b") as out, open(f"{self.bundle}/err{self.calls}", "w+b") as err:
                p = subprocess.Popen(self.command(*args), stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.bundle, start_new_session=True,
                                     env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OF_THE_RUNTIME": "yes"})
                try:
                    status = p.wait(timeout)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)
                    p.wait()
                    status = "timeout"
                out.seek(0)
                err.seek(0)
                return status, out.read().decode(errors="replace"), err.read().decode(errors="replace")
        except OSError as e:
            return "error", "", str(e)

    def make(self):
        os.makedirs(self.bundle)
        make_root(self.world, f"{self.bundle}/rootfs")
        for d in ("source/sub", "empty"):
            os.makedirs(f"{self.bundle}/{d}")
        with open(f"{self.bundle}/source/file", "w", encoding="utf-8") as f:
            f.write("of the host\n")
        os.symlink("rootfs", f"{self.bundle}/link")
        os.symlink("source", f"{self.bundle}/link-source")
        doc = copy.deepcopy(table.BASES[self.case.base])
        for path, value in self.case.values:
            put(doc, path, copy.deepcopy(value))
        if self.case.look and (doc.get("process") or {}).get("args"):
            doc["process"]["args"] += self.case.look
        with open(f"{self.bundle}/config.json", "w", encoding="utf-8") as f:
            json.dump(substitute(doc, self.names), f)

    def remove(self):
        self.call("delete", "--force", self.id)
        shutil.rmtree(self.bundle, ignore_errors=True)

    def seen(self):
        self.make()
        try:
            return getattr(self, self.case.kind)()
        finally:
            if not self.world.options.keep:
                self.remove()

    def run(self):
        status, out, err = self.call("run", "--bundle", self.bundle, self.id)
        seen = self.told(status, out, err)
        seen.update(self.logs())
        if "outcome" in seen and seen["outcome"] == "ran":
            seen.update(self.made())
        seen["left"] = self.left()
        return seen

    def exec(self):
        """The same values, but of a process that enters a container."""
        with open(f"{self.bundle}/config.json", encoding="utf-8") as f:
            doc = json.load(f)
        process = doc["process"]
        doc["process"] = copy.deepcopy(table.BASES[self.case.base]["process"])
        doc["process"]["args"] = ["/probe", "sleep"]
        with open(f"{self.bundle}/config.json", "w", encoding="utf-8") as f:
            json.dump(doc, f)
        with open(f"{self.bundle}/process.json", "w", encoding="utf-8") as f:
            json.dump(process, f)
        status, _, err = self.call("run", "--detach", "--bundle", self.bundle, self.id)
        if status != 0:
            return {"outcome": "no container to enter", "said": err}
        args = substitute(self.case.args, self.names) if self.case.args else ["--process", f"{self.bundle}/process.json", self.id]
        status, out, err = self.call("exec", *args)
        return self.told(status, self.rest_of(out) if "--detach" in args and status == 0 else out, err)

    def rest_of(self, out):
        """What a detached probe says when the command has ended already."""
        for _ in range(200):
            if "\nend\t" in out:
                break
            threading.Event().wait(0.05)
            with open(f"{self.bundle}/out{self.calls}", encoding="utf-8", errors="replace") as f:
                out = f.read()
        return out

    def verbs(self):
        """A row of commands: how each ends, and the state after it."""
        seen, text = {}, []
        for i, row in enumerate(self.case.args):
            args = substitute(row, self.names)
            if args[0] == "wait":
                self.wait(args[1])
                continue
            status, out, err = self.call(*args)
            key = f"{i + 1}-{' '.join(row).replace('@ID@', 'ID').replace('@BUNDLE@', 'BUNDLE')}"
            seen[key] = "ok" if status == 0 else f"refused: {kind_of(err)}" if status in (1, 255) else f"status {status}"
            if row[0] in ("run", "exec"):
                seen[key] = str(status)
            text.append(f"{' '.join(row)}: {status} {err.strip()[-300:]}")
            if row[0] != "kill":  # it may take a moment
                seen[key] += ", " + self.status()
            if row[0] == "state" and status == 0:
                doc = json.JSONDecoder().raw_decode(out)[0]
                seen[f"{i + 1}-document"] = json.dumps({k: self.normal(str(doc[k])) if k not in ("pid", "created", "ociVersion") else bool(doc[k])
                                                       for k in ("id", "status", "pid", "bundle", "annotations") if k in doc}, sort_keys=True)
        seen.update(self.logs())
        seen["left"] = self.left() if self.case.args[-1][0] == "delete" else ""
        seen["said"] = "\n".join(text)
        return seen

    def status(self):
        status, out, _ = self.call("state", self.id)
        return json.JSONDecoder().raw_decode(out)[0]["status"] if status == 0 and out.startswith("{") else "none"

    def wait(self, want):
        for _ in range(200):
            if self.status() == want:
                return
            threading.Event().wait(0.02)

    def told(self, status, out, err):
        lines = [line.split("\t", 1) for line in out.splitlines() if "\t" in line]
        if not lines:
            kind = kind_of(err) if "args" in self.case.name or "flags" in self.case.name else ""
            return {"outcome": f"status {'refused' if status in (1, 255) else status} {kind}".strip(), "said": err.strip()[-500:] + out[-200:]}
        seen = {"outcome": "ran", "status": str(status), "said": err.strip()[-500:]}
        for key, value in lines:
            if key == "mountinfo":
                seen.update(self.mounts(value))
            elif key.startswith("ns-"):
                kind = key[3:]
                seen[key] = "host" if value == self.world.host_ns[kind] else "own"
                try:
                    if value == os.readlink(f"/proc/{self.world.other.pid}/ns/{kind}") and value != self.world.host_ns[kind]:
                        seen[key] = "other"
                except OSError:
                    pass
            elif key == "path-/dev/core":
                continue  # crun's alone
            elif key == "path-/dev/null":  # runc and crun give it to the container's user, and it may be the host's
                seen[key] = re.sub(r" \S+:\S+ 1:3", " 1:3", value)
            elif key == "process":
                seen[key] = re.sub(r"pid (\d+)", lambda m: "pid " + (m[1] if m[1] in "01" else "N"), value)
            elif key == "keyring":
                seen[key] = "own" if "_ses" in value and "_uid_ses" not in value or self.id in value else value
            elif key == "group-devices.list":  # runc adds the tunnel's device, crun the console
                seen[key] = "; ".join(sorted(set(value.split("\\x0a")) - {"", "c 10:200 rwm", "c 5:1 rwm"}))
            elif key == "cgroup":
                for line in value.split("\\x0a"):
                    if line.count(":") >= 2:
                        _, name, path = line.split(":", 2)
                        seen[f"cgroup-{name}"] = self.normal(path)
            elif key == "read-/tmp/hooks.log":
                seen[key] = value if value.startswith("(") else self.hook_log(value)
            else:
                seen[key] = self.normal(value)
        return seen

    def normal(self, text):
        return text.replace(f"{self.state}/{self.id}", "@STATE@").replace(self.bundle, "@BUNDLE@").replace(self.world.dir, "@DIR@").replace(f"{self.world.group}/{self.id}", "@GROUP@").replace(self.id, "@ID@")

    def mounts(self, text):
        seen, count, places = {}, {}, {}
        for line in text.split("\\x0a"):
            f = line.replace("\\x5c", "\\").split(" ")
            if len(f) < 10 or "-" not in f:
                continue
            dash = f.index("-")
            place, root, options = self.normal(f[4]), self.normal(f[3]), f[5]
            if place == "/cg" or place.startswith("/cg/"):
                continue
            shared = " ".join(sorted(re.sub(r":\d+", "", o) for o in f[6:dash]))
            fstype, source, more = f[dash + 1], self.normal(f[dash + 2]), f[dash + 3] if len(f) > dash + 3 else ""
            masked = self.case_list("linux.maskedPaths")
            if masked and options.startswith("ro,") and (fstype == "tmpfs" or root == "/tty/ldisc"):
                root, options, fstype, source, more = "nothing", "", "", "", ""
            if root == "/null" and masked:
                options = ""
            if root == "/null":
                root, fstype, source, more = "null", "", "", ""
            places.setdefault(place, 0)
            count[place] = count.get(place, 0) + 1
            seen[f"mount-{place}" + (f"#{count[place]}" if count[place] > 1 else "")] = \
                f"{root} {options} [{shared}] {fstype} {source} {','.join(sorted(more.split(',')))}"
        return seen

    def logs(self):
        """What hooks wrote."""
        try:
            with open(f"{self.bundle}/hooks.log", encoding="utf-8") as f:
                return {"hooks": self.hook_log(f.read())}
        except OSError:
            return {}

    def hook_log(self, text):
        """A line per hook: how it was called, and of the state what the specification names; pid: 1, another, or none."""
        told = []
        for line in text.replace("\\x0a", "\n").splitlines():
            how, _, state = line.partition(" in ")
            doc = json.loads(state) if state.startswith("{") else {}
            pid = doc.get("pid", 0)
            how = how.replace(" env _LIBCONTAINER_CLONED_BINARY=1", "")  # crun's
            told.append(f"{how} {doc.get('status')} pid {pid if pid in (0, 1) else 'N'} {doc.get('bundle')} {doc.get('annotations')}")
        return self.normal("; ".join(told))

    def made(self):
        """What the runtime made in the root: places to mount on."""
        root, new = f"{self.bundle}/rootfs", []
        known = set(self.world.known)
        for top, dirs, files in os.walk(root):
            for name in dirs + files:
                path = os.path.join(top, name)
                if path[len(root):] not in known:
                    st = os.lstat(path)
                    # each has its own idea of the mode of a place to mount on
                    mode = "file" if stat.S_ISREG(st.st_mode) else "directory" if stat.S_ISDIR(st.st_mode) else f"{st.st_mode:o}"
                    new.append(f"{path[len(root):]} {mode} {st.st_uid}:{st.st_gid}")
        return {"made": "; ".join(sorted(new))}

    def case_list(self, path):
        return [p.rstrip("/") for key, value in self.case.values if key == path and isinstance(value, list) for p in value]

    def left(self):
        found = []
        if os.path.isdir(f"{self.state}/{self.id}"):
            found.append("state")
        for name in os.listdir("/sys/fs/cgroup"):
            if name != "unified" and os.path.isdir(f"/sys/fs/cgroup/{name}/{self.world.group}/{self.id}"):
                found.append(f"group {name}")
        return ", ".join(found)


def kind_of(err):
    """What sort of error it is: the words that engines match."""
    text = err.lower()
    for kind, words in (("missing", "executable file not found|exec.*no such file|command not found"),
                        ("no container", "does not exist|no such container"), ("exists", "exists"),
                        ("not running", "container not running|process already finished|no such process")):
        if re.search(words, text):
            return kind
    return ""


def compare(seen, everything):
    """{key: (husk, runc, crun)} where husk is alone."""
    found = {}
    outcomes = {r: seen[r].get("outcome", "") for r in RUNTIMES}
    if len(set(outcomes.values())) > 1:
        alone = {r: v for r, v in seen.items() if outcomes[r] == outcomes["husk"]}
        values = tuple(outcomes[r] for r in RUNTIMES)
        if everything or len(alone) == 1:
            found["outcome"] = values
        keys_of = list(alone)
    else:
        keys_of = list(RUNTIMES)
    keys = sorted(set().union(*(seen[r] for r in keys_of)) - {"said", "outcome"})
    for key in keys:
        values = tuple(seen[r].get(key, "-") if r in keys_of else "(other outcome)" for r in RUNTIMES)
        rest = [v for r, v in zip(RUNTIMES, values) if r != "husk" and r in keys_of]
        if not rest:
            continue
        if values[0] not in rest or (everything and set(rest) != {values[0]}):
            found[key] = values
    return found


class Allowed:
    """differences.txt: "CASE KEY  reason", patterns as the shell's; a line that begins with blanks goes on with the reason."""

    def __init__(self, path):
        self.rows, self.used = [], set()
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.strip() and not line.startswith(("#", " ")):
                    case, key, *_ = line.split(None, 2)
                    self.rows.append((case, key))

    def covers(self, case, key):
        found = False
        for i, (c, k) in enumerate(self.rows):
            if fnmatch.fnmatchcase(case, c) and fnmatch.fnmatchcase(key.replace(" ", "_"), k):
                self.used.add(i)
                found = True
        return found

    def unused(self):
        return [" ".join(row) for i, row in enumerate(self.rows) if i not in self.used]


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], add_help=True)
    p.add_argument("--husk", default=os.path.join(HERE, "../../build/bin/husk-oci"))
    p.add_argument("--random", type=int, default=0)
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--part", action="store_true")
    p.add_argument("--kinds", default="run,exec,verbs")
    p.add_argument("--jobs", type=int, default=3)
    p.add_argument("--all", action="store_true")
    p.add_argument("--show", action="store_true")
    p.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("words", nargs="*")
    options = p.parse_args()
    options.husk = os.path.abspath(options.husk)
    return options


def main():
    options = arguments()
    own_world()
    world = World(options)
    allowed = Allowed(os.path.join(HERE, "differences.txt"))
    try:
        pattern = f"{world.dir}/pattern"
        make_root(world, pattern)
        world.known = {os.path.join(top, n)[len(pattern):] for top, d, f in os.walk(pattern) for n in d + f}
        todo = [c for c in table.cases() if c.kind in options.kinds.split(",") and (not options.words or any(w in c.name for w in options.words))]
        if options.part:
            todo = [c for i, c in enumerate(todo) if i % 23 == 0 or c.name in table.FOUND]
        if options.random:
            seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
            print(f"seed {seed}")
            todo = table.combinations(random.Random(seed), options.random)

        def one(case):
            return case, {r: Run(world, r, case).seen() for r in RUNTIMES}

        wrong = listed = 0
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for case, seen in pool.map(one, todo):
                found = compare(seen, options.all)
                new = {k: v for k, v in found.items() if not allowed.covers(case.name, k)}
                listed += len(found) - len(new)
                wrong += len(new)
                if new or options.show:
                    print(f"{case.name}: {json.dumps([[p, 'ABSENT' if v is table.ABSENT else v] for p, v in case.values])[:300] if case.values else case.args}")
                    for key, values in new.items():
                        print(f"    {key}")
                        for r, v in zip(RUNTIMES, values):
                            print(f"        {r:5} {v}")
                    if "outcome" in new or case.kind == "verbs" or options.show:
                        for r in RUNTIMES:
                            print(f"        {r:5} said: {seen[r].get('said', '')[-700:]}")
                    if options.show:
                        for r in RUNTIMES:
                            for k, v in seen[r].items():
                                print(f"    {r} {k} = {v}")
                    sys.stdout.flush()
        stale = [] if options.words or options.random or options.part or options.kinds != "run,exec,verbs" else allowed.unused()
        for row in stale:
            print(f"listed, and no difference any more: {row}")
        print(f"{len(todo)} cases, {listed} differences that are listed, {wrong} that are not")
        return 1 if wrong or stale else 0
    finally:
        world.end()


if __name__ == "__main__":
    sys.exit(main())
