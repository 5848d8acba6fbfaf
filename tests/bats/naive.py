"""naive.py: an OCI runtime as one writes it in an afternoon, for the files about attacks: it joins paths as text, trusts
what it finds under the root, and checks nothing. What an attack does to it shows that the attack is one.

  naive.py [-d] run -b BUNDLE ID   -d: the program's output goes to the container's own /dev/null

Its state is in $NAIVE_STATE/ID, its mounts are written to $NAIVE_MOUNTS when that is set. Everything happens in a mount
namespace of its own."""
import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
MS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "bind": 4096, "rbind": 4096 | 16384}
REMOUNT, BIND, REC, PRIVATE = 32, 4096, 16384, 1 << 18
NAMESPACES = {"mount": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "pid": 0x20000000, "network": 0x40000000}


def call(what, *args):
    if getattr(libc, what)(*args) < 0:
        sys.exit(f"naive: {what}{args}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0, data=None):
    call("mount", *(x and x.encode() for x in (source, target, kind)), flags, data and data.encode())


def place(root, m):
    """One mount of config.json."""
    options = m.get("options", [])
    flags = sum({MS[o] for o in options if o in MS}) | (BIND if "rro" in options and "bind" not in options else 0)
    target = root + m["destination"]
    if os.path.isfile(m.get("source", "")):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()
    else:
        os.makedirs(target, exist_ok=True)
    if flags & BIND:
        mount(m["source"], target, None, flags & (BIND | REC))
        if flags & MS["ro"] or "rro" in options:
            mount(None, target, None, REMOUNT | BIND | MS["ro"])
        return
    mount(m.get("source", "none"), target, m["type"], flags & ~MS["ro"],
          ",".join(o for o in options if "=" in o and not o.startswith("gid")))
    if "tmpcopyup" in options:
        with contextlib.suppress(shutil.Error):  # of FIFOs
            shutil.copytree(f"/proc/self/fd/{copies[m['destination']]}", target, dirs_exist_ok=True)


def make_devices(root):
    if not os.path.isdir(root + "/dev"):
        return
    for name, minor in ("null", 3), ("zero", 5), ("full", 7):
        if not os.path.exists(root + "/dev/" + name):
            os.mknod(root + "/dev/" + name, 0o20666, os.makedev(1, minor))


def open_terminal(root):
    """The slave by its name, on the container's console by its name."""
    master = os.open(root + "/dev/pts/ptmx" if os.path.exists(root + "/dev/pts/ptmx") else "/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(master, 0x40045431, struct.pack("i", 0))
    number = struct.unpack("i", fcntl.ioctl(master, 0x80045430, b"1234"))[0]
    name = f"/dev/pts/{number}"
    if os.path.lexists(root + name):
        name = root + name
    os.close(os.open(root + "/dev/console", os.O_CREAT | os.O_TRUNC | os.O_RDWR))
    mount(name, root + "/dev/console", None, BIND)


def inside(doc, root, detached):
    process, linux = doc["process"], doc["linux"]
    if detached:
        out = os.open(root + "/dev/null", os.O_RDWR)
        os.dup2(out, 1)
    os.chroot(root)
    os.chdir("/")
    for path in linux.get("maskedPaths", []):
        if os.path.isfile(path) and os.path.exists("/dev/null"):
            mount("/dev/null", path, None, BIND)
    for name, value in linux.get("sysctl", {}).items():
        with open("/proc/sys/" + name.replace(".", "/"), "w") as f:
            f.write(value)
    if "oomScoreAdj" in process:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write(str(process["oomScoreAdj"]))
    os.chdir(process["cwd"])
    call("setgid", ctypes.c_uint(process["user"]["gid"]))
    call("setresuid", *[ctypes.c_uint(process["user"]["uid"])] * 3)
    os.environb.clear()
    os.execvpe(process["args"][0], process["args"], dict(v.split("=", 1) for v in process["env"]))


def run(bundle, name, detached):
    doc = json.load(open(bundle + "/config.json"))
    root = os.path.normpath(os.path.join(bundle, doc["root"]["path"]))
    if "NAIVE_STATE" in os.environ:
        os.makedirs(os.environ["NAIVE_STATE"] + "/" + name, exist_ok=True)
    for n in doc["linux"]["namespaces"]:
        if n["type"] in NAMESPACES and not n.get("path"):
            call("unshare", NAMESPACES[n["type"]])
        elif n.get("path"):
            call("setns", os.open(n["path"], os.O_RDONLY), 0)
    pid = os.fork()
    if pid:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    mount(None, "/", None, REC | PRIVATE)
    for m in doc["mounts"]:
        if "tmpcopyup" in m.get("options", []):
            copies[m["destination"]] = os.open(root + m["destination"], os.O_RDONLY)
        if m["type"] != "cgroup" if "type" in m else True:
            place(root, m)
    make_devices(root)
    if doc["process"].get("terminal"):
        open_terminal(root)
    if "NAIVE_MOUNTS" in os.environ:
        shutil.copyfile("/proc/self/mountinfo", os.environ["NAIVE_MOUNTS"])
    inside(doc, root, detached)


copies = {}
run(sys.argv[-2], sys.argv[-1], "-d" in sys.argv)
