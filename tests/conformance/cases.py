# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of differ.py: values of config.json's properties, and rows of commands. No case is named here that a runtime
may not answer in an instant: what needs hardware or a newer runtime to compare with is in bats 316."""
import collections
import copy
import itertools


class ABSENT_TYPE:
    def __repr__(self):
        return "ABSENT"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


ABSENT = ABSENT_TYPE()
# kind: run, exec, verbs; values: [(path, value)]; look: words for the probe; args: of the verb
Case = collections.namedtuple("Case", "name kind base values look args", defaults=("run", "root", (), (), ()))

CAPS = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"]
ROOT = {
    "ociVersion": "1.0.2",
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["/probe"], "env": ["PATH=/bin:/dir", "HOME=/"], "cwd": "/",
                "capabilities": {k: list(CAPS) for k in ("bounding", "effective", "permitted")}, "noNewPrivileges": True},
    "root": {"path": "rootfs", "readonly": False},
    "hostname": "differ",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    ],
    "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")], "cgroupsPath": "@GROUP@",
              "resources": {"devices": [{"allow": False, "access": "rwm"}]}},
}


def changed(base, *values):
    doc = copy.deepcopy(base)
    for path, value in values:
        at = doc
        *parts, last = path.split(".")
        for part in parts:
            at = at.setdefault(part, {})
        at[last] = value
    return doc


MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
BASES = {
    "root": ROOT,
    "userns": changed(ROOT, ("linux.namespaces", ROOT["linux"]["namespaces"] + [{"type": "user"}]), ("linux.uidMappings", MAPS), ("linux.gidMappings", MAPS)),
}
CG = ("mounts.+", {"destination": "/cg", "type": "bind", "source": "/sys/fs/cgroup", "options": ["rbind", "ro"]})
BIG = 1 << 40
MAX = (1 << 64) - 1


def hook(*args, **more):
    return dict({"path": "@PROBE@", "args": ["probe", "hook:@BUNDLE@/hooks.log", *args]}, **more)


# ---- properties: path -> values -------------------------------------------------------------------------------------
# What stands in the base already is not repeated. Absent and null come by themselves.

PROPERTIES = {
    "ociVersion": ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0", "1.0.0-rc1", "2.0.0", "0.6.0", "", "1", "v1.0.2", "1.0.2+x", "one"],
    "root": [{}, {"path": "rootfs", "readonly": True}],
    "root.path": ["@BUNDLE@/rootfs", "./rootfs", "rootfs/", "rootfs/../rootfs", "nope", "config.json", "link", "/", ".", ""],
    "root.readonly": [True],
    "hostname": ["h", "", "a.b.c", "h" * 64, "h" * 65, "two words", "line\nline", "-dash", "UPPER"],
    "domainname": ["d", "", "a.b", "d" * 64, "d" * 65],
    "process": [{}],
    "process.args": [["probe"], ["inpath"], ["nope"], ["/nope"], ["/etc"], ["/file"], ["./probe"], ["bin/inpath"], ["../probe"], ["/script"], ["/badscript"],
                     ["/empty"], [""], [], ["/probe", ""], ["/probe", "two words", "\n"], ["/link-nope"], ["/link-loop"], ["/probe", "exit:7"],
                     ["/probe", "exit:255"], ["/file/x"], ["/dir/"], ["/private/x"]],
    "process.cwd": ["/tmp", "/new/dir", "/file", "", "relative", ".", "/dir/../tmp", "/link-dir", "/link-nope", "/link-out", "/link-loop", "/proc/self/fd/3",
                    "/proc/1/cwd", "/tmp/", "//tmp", "/private", "/etc/passwd", "/proc", "/dev"],
    "process.env": [[], ["A=1", "A=2", "PATH=/bin"], ["A"], ["=x"], ["PATH=/nope"], ["PATH="], ["HOME="], ["PATH=/bin", "A=two\nlines"], ["B=2", "A=1"],
                    ["PATH=:/bin"], ["A=" + "x" * 5000], ["HOME=/x", "HOME=/y"], [""]],
    "process.user": [{}, {"uid": 1000, "gid": 1000}, {"uid": 1234, "gid": 0}, {"uid": 1, "gid": 1, "additionalGids": [5, 10]},
                     {"uid": 0, "gid": 0, "additionalGids": [0]}, {"uid": 0, "gid": 0, "additionalGids": [5, 5, 4]}, {"uid": 0, "gid": 0, "additionalGids": []},
                     {"uid": 0, "gid": 0, "umask": 0}, {"uid": 0, "gid": 0, "umask": 63}, {"uid": 0, "gid": 0, "umask": 511}, {"uid": 0, "gid": 0, "umask": 512},
                     {"uid": 0, "gid": 0, "username": "user"}, {"uid": 1000}, {"gid": 7}, {"uid": 4294967294, "gid": 4294967294}, {"uid": 0, "gid": 4294967295},
                     {"uid": 0, "gid": 0, "additionalGids": [4294967295]}],
    "process.capabilities": [
        {}, {"bounding": CAPS}, {"permitted": CAPS}, {"effective": CAPS}, {"inheritable": CAPS}, {"ambient": CAPS},
        {k: CAPS for k in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        {k: ["CAP_KILL"] for k in ("bounding", "effective", "inheritable", "permitted")},
        {"bounding": [], "effective": [], "permitted": []}, {"bounding": CAPS, "permitted": ["CAP_KILL"], "effective": CAPS},
        {"bounding": ["CAP_KILL"], "permitted": CAPS, "effective": CAPS}, {"bounding": CAPS, "permitted": CAPS, "effective": CAPS, "ambient": ["CAP_KILL"]},
        {"bounding": CAPS, "permitted": CAPS, "effective": CAPS, "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
        {k: ["cap_kill"] for k in ("bounding", "effective", "permitted")}, {k: ["KILL"] for k in ("bounding", "effective", "permitted")},
        {k: ["CAP_KILL", "CAP_KILL"] for k in ("bounding", "effective", "permitted")}, {k: ["CAP_KILL", "CAP_NOPE"] for k in ("bounding", "effective", "permitted")},
        {k: ["CAP_CHECKPOINT_RESTORE", "CAP_BPF", "CAP_PERFMON"] for k in ("bounding", "effective", "permitted")}, {k: [""] for k in ("bounding",)},
        {"bounding": None, "effective": None}],
    "process.rlimits": [[{"type": "RLIMIT_" + t, "soft": s, "hard": h}] for t, s, h in (
        ("NOFILE", 100, 200), ("NOFILE", 200, 100), ("NOFILE", 0, 0), ("CORE", 0, MAX), ("CORE", MAX, MAX), ("CPU", 10, 20), ("DATA", BIG, BIG), ("FSIZE", 1 << 30, MAX),
        ("LOCKS", 5, 6), ("MEMLOCK", 4096, 8192), ("MSGQUEUE", 1000, 2000), ("NICE", 1, 2), ("NPROC", 50, 60), ("RSS", 1 << 30, BIG), ("RTPRIO", 1, 2),
        ("RTTIME", 1000, 2000), ("SIGPENDING", 10, 20), ("STACK", 1 << 20, 1 << 23), ("AS", BIG, BIG), ("NOPE", 1, 1), ("nofile", 1, 1), ("NOFILE", 1 << 40, 1 << 40))] +
    [[], [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}, {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}], [{"type": "RLIMIT_NOFILE", "soft": 10}],
     [{"type": "RLIMIT_NOFILE", "hard": 10}], [{"type": "RLIMIT_NOFILE", "soft": -1, "hard": -1}], [{"type": "nofile", "soft": 10, "hard": 20}]],
    "process.noNewPrivileges": [False],
    "process.apparmorProfile": ["", "unconfined", "nope"],
    "process.selinuxLabel": ["", "a:b:c:d"],
    "process.oomScoreAdj": [0, 5, 1000, -1000, 1001, -1001, -5],
    "process.terminal": [True],
    "process.consoleSize": [{"height": 10, "width": 20}, {"height": 0, "width": 0}],
    "hooks": [{}, {"prestart": []}] + [{k: [hook("first"), hook("second", env=["A=b"])]} for k in
                                         ("prestart", "createRuntime", "createContainer", "poststart", "poststop")] +
    [{"startContainer": [{"path": "/probe", "args": ["probe", "hook:/tmp/hooks.log", "x"]}]}] +
    [{k: [hook("exit:3"), hook("never")]} for k in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")] +
    [{"startContainer": [{"path": "/probe", "args": ["probe", "hook:/tmp/hooks.log", "exit:3"]}]}, {"prestart": [{"path": "@PROBE@"}]}, {"prestart": [{"path": "/nope"}]},
     {"poststart": [{"path": "/nope"}]}, {"poststop": [{"path": "/nope"}]}, {"createContainer": [{"path": "/nope"}]}, {"startContainer": [{"path": "/nope"}]},
     {"prestart": [{"path": "relative"}]}, {"prestart": [{"path": ""}]},  {"prestart": [hook(timeout=20)]}, {"prestart": [hook("sleep", timeout=1)]}, {"poststop": [hook("sleep", timeout=1)]}, {"prestart": [hook(env=[])]},
     {"prestart": [hook(env=["PATH=/x", "B"])]}, {"prestart": [hook(env=None, args=None)]}, {"prestart": [{"path": "@PROBE@", "args": ["", "hook:@BUNDLE@/hooks.log"]}]},
     {"nope": []}, {"createRuntime": None, "poststop": None}],
    "annotations": [{}, {"a": "b"}, {"a": ""}, {"": "b"}, {"a": None}, {"two words": "b\nc"}],
    "linux": [{}],
    "linux.namespaces": [[]],
    "linux.devices": [[{"path": p, "type": t, "major": a, "minor": b}] for p, t, a, b in (
        ("/dev/x", "c", 1, 3), ("/dev/x", "b", 7, 0), ("/dev/x", "u", 1, 3), ("/dev/x", "p", 0, 0), ("/dev/x", "z", 1, 3), ("/dev/x", "", 1, 3), ("/dev/a/b", "c", 1, 3),
        ("/x", "c", 1, 3), ("/new/x", "c", 1, 3), ("dev/x", "c", 1, 3), ("x", "c", 1, 3), ("/dev/null", "c", 1, 3), ("/dev/null", "c", 1, 5), ("/dev/tty", "c", 5, 0),
        ("/dev/../y", "c", 1, 3), ("/dev/x/", "c", 1, 3), ("/file", "c", 1, 3), ("/link-file", "c", 1, 3), ("/link-nope", "c", 1, 3), ("/dev", "c", 1, 3),
        ("/dev/fuse", "c", 10, 229), ("/dev/ptmx", "c", 5, 2), ("/dev/console", "c", 5, 1), ("/dev/x", "c", -1, -1), ("/dev/x", "c", 4096, 1), ("/proc/x", "c", 1, 3))] +
    [[{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, **m}] for m in (
        {"fileMode": 0o600}, {"fileMode": 0o4777}, {"fileMode": 0o20666}, {"fileMode": 0}, {"fileMode": None}, {"uid": 5, "gid": 6}, {"uid": 5}, {"fileMode": 0o10000})] +
    [[], [{"path": "/dev/x", "type": "p"}], [{"path": "/dev/x", "type": "c"}], [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}] * 2,
     [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}, {"path": "/dev/y", "type": "c", "major": 1, "minor": 3}]],
    "linux.cgroupsPath": ["@GROUP@/below", "@GROUP@/", "/@GROUP@", "@GROUP@/../@ID@", "@GROUP@ with words", "@GROUP@:a:b"],
    "linux.sysctl": [{}] + [{k: v} for k, v in (
        ("kernel.shmmax", "4096"), ("kernel.shmmni", "7"), ("kernel.msgmax", "100"), ("kernel.sem", "32000 1024000000 500 32000"), ("fs.mqueue.msg_max", "20"),
        ("net.ipv4.ip_forward", "1"), ("net/ipv4/ip_forward", "1"), ("net.ipv4.conf.lo.forwarding", "1"), ("net.ipv4.conf.lo/x.forwarding", "1"), ("kernel/shmmax", "4096"),
        ("kernel.hostname", "x"), ("kernel.domainname", "x"), ("kernel.nope", "1"), ("vm.swappiness", "10"), ("kernel.core_pattern", "x"), ("net.nope", "1"), ("", "1"),
        ("kernel.shmmax", ""), ("kernel.shmmax", "x"), ("kernel.shmmax", "4096\n"), ("kernel.shmmax ", "1"), ("net.ipv4/../../kernel/panic", "0"), ("net..ipv4", "1"),
        ("user.max_user_namespaces", "1"), ("net", "1"), ("kernel", "1"), ("fs.file-max", "1"))],
    "linux.rootfsPropagation": ["shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable", "nope", ""],
    "linux.maskedPaths": [[]] + [[p] for p in ("/file", "/dir", "/proc/kcore", "/proc/acpi", "/nope", "/nope/nope", "/link-file", "/link-dir", "/link-nope", "/link-out", "/link-loop",
                                               "/dir/", "/proc", "/", "", "relative", "/file/x", "/dir/../file", "/dev/null", "/probe", "/proc/self/fd", "/proc/sys")] +
    [["/dir", "/dir"], ["/full", "/full/file"], ["/full/file", "/full"]],
    "linux.readonlyPaths": [[]] + [[p] for p in ("/file", "/dir", "/proc/sys", "/proc/sysrq-trigger", "/nope", "/nope/nope", "/link-file", "/link-dir", "/link-nope", "/link-out",
                                                 "/link-loop", "/dir/", "/proc", "/", "", "relative", "/file/x", "/dev", "/dev/null", "/dev/pts")] +
    [["/dir", "/dir"], ["/full", "/full/file"]],
    "linux.mountLabel": ["", "a:b:c:d"],
    "linux.personality": [{"domain": "LINUX"}, {"domain": "LINUX32"}, {"domain": "NOPE"}, {"domain": ""}, {}, {"domain": "LINUX32", "flags": []},
                          {"domain": "LINUX", "flags": ["NOPE"]}],
    "linux.intelRdt": [{}],
    "linux.uidMappings": [[], MAPS],
}
# ---- resources: seen in the groups' own files -----------------------------------------------------------------------
RESOURCES = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness", "memory.oom_control", "memory.use_hierarchy",
               "memory.kmem.tcp.limit_in_bytes"),
    "cpu": ("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.idle", "cpu.cfs_burst_us", "cpu.rt_runtime_us", "cpu.rt_period_us", "cpuset.cpus", "cpuset.mems"),
    "pids": ("pids.max",), "blockIO": ("blkio.bfq.weight", "blkio.weight", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
                                       "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"),
    "devices": ("devices.list",), "hugepageLimits": (), "network": (), "unified": (), "rdma": (),
}
M = 1 << 20
RESOURCE_VALUES = {
    "memory": [{}] + [{k: v} for k, v in (
        ("limit", 64 * M), ("limit", -1), ("limit", 0), ("limit", 1), ("limit", -2), ("limit", 1 << 62), ("limit", 64 * M + 1), ("reservation", 32 * M), ("reservation", -1), ("reservation", 0),
        ("swap", 128 * M), ("swap", -1), ("swap", 0), ("swappiness", 0), ("swappiness", 60), ("swappiness", 100), ("swappiness", 101), ("swappiness", -1),
        ("disableOOMKiller", True), ("disableOOMKiller", False), ("useHierarchy", True), ("useHierarchy", False), ("checkBeforeUpdate", True), ("kernel", -1), ("kernel", 0),
        ("kernel", 64 * M), ("kernelTCP", 16 * M), ("kernelTCP", -1), ("kernelTCP", 0))] +
    [{"limit": a, "swap": b} for a, b in ((64 * M, 128 * M), (64 * M, 64 * M), (128 * M, 64 * M), (64 * M, -1), (64 * M, 0), (-1, -1), (-1, 64 * M), (0, 0))] +
    [{"limit": 64 * M, "reservation": 128 * M}, {"limit": 64 * M, "disableOOMKiller": True}, {"limit": None, "swap": None}],
    "cpu": [{}] + [{k: v} for k, v in (
        ("shares", 512), ("shares", 0), ("shares", 1), ("shares", 2), ("shares", 262144), ("shares", 262145), ("quota", 20000), ("quota", -1), ("quota", 0), ("quota", 999), ("quota", 1000),
        ("quota", -5), ("period", 50000), ("period", 0), ("period", 999), ("period", 1000001), ("cpus", "0"), ("cpus", "0-1"), ("cpus", ""), ("cpus", "99"), ("cpus", "x"),
        ("mems", "0"), ("mems", ""), ("mems", "9"), ("realtimeRuntime", 0), ("realtimeRuntime", 1000), ("realtimePeriod", 1000000), ("realtimePeriod", 0), ("idle", 0), ("idle", 1), ("burst", 0))] +
    [{"quota": 20000, "period": 50000}, {"quota": 5000, "period": 10000}, {"quota": -1, "period": 50000}, {"quota": 0, "period": 50000}, {"quota": 500000, "period": 1000}, {"shares": 100, "cpus": "1", "mems": "0"},
     {"quota": 200000, "period": 200000}],
    "pids": [{}] + [{"limit": v} for v in (100, 0, -1, -2, 1, 2, 1 << 22, 1 << 40, None)],
    "blockIO": [{}] + [{"weight": v} for v in (0, 1, 10, 500, 1000, 1001)] + [{"leafWeight": 100}, {"weightDevice": []}, {"weightDevice": [{"major": 254, "minor": 0, "weight": 100}]}] +
    [{k: [{"major": 254, "minor": 0, "rate": r}]} for k, r in (("throttleReadBpsDevice", 1000000), ("throttleWriteBpsDevice", 5), ("throttleReadIOPSDevice", 100),
                                                               ("throttleWriteIOPSDevice", 100), ("throttleReadBpsDevice", 0))] +
    [{"throttleReadBpsDevice": [{"major": 99, "minor": 99, "rate": 1000}]}, {"throttleReadBpsDevice": []}],
    "devices": [[], [{"allow": True, "access": "rwm"}], [{"allow": False}], [{"allow": True}]] +
    [[{"allow": False, "access": "rwm"}, {"allow": True, **rule}] for rule in (
        {"type": "c", "major": 10, "minor": 229, "access": "rwm"}, {"type": "c", "major": 10, "minor": 229, "access": "r"}, {"type": "c", "major": 10, "access": "rw"},
        {"type": "c", "minor": 5, "access": "rw"}, {"type": "c", "access": "r"}, {"type": "b", "major": 7, "minor": 0, "access": "m"}, {"type": "a", "access": "rwm"},
        {"type": "c", "major": -1, "minor": -1, "access": "m"}, {"type": "c", "major": 10, "minor": 229, "access": ""}, {"type": "c", "major": 10, "minor": 229},
        {"type": "c", "major": 10, "minor": 229, "access": "x"}, {"type": "x", "major": 10, "minor": 229, "access": "r"}, {"major": 10, "minor": 229, "access": "rwm"},
        {"type": "", "access": "rwm"}, {"type": "c", "major": 10, "minor": 229, "access": "mwr"}, {"type": "a", "major": 10, "minor": 229, "access": "r"},
        {"type": "p", "access": "rwm"}, {"type": "u", "major": 10, "minor": 229, "access": "rw"})] +
    [[{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rwm"}],
     [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
      {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"}],
     [{"allow": False, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]],
    "hugepageLimits": [[], [{"pageSize": "2MB", "limit": 2 * M}], [{"pageSize": "3MB", "limit": 1}], [{"pageSize": "", "limit": 1}]],
    "network": [{}, {"classID": 0}, {"classID": 5}, {"priorities": []}, {"priorities": [{"name": "lo", "priority": 3}]}],
    "unified": [{}, {"memory.max": "1000"}, {"nope": "1"}],
    "rdma": [{}, {"mlx5_1": {"hcaHandles": 3}}],
}
# ---- mounts -----------------------------------------------------------------------------------------------------------
OPTIONS = """async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime
nostrictatime nosuid nosymfollow private rbind relatime ro rprivate rshared rslave runbindable rw shared silent slave strictatime suid symfollow sync unbindable
tmpcopyup rro rnosuid rnoexec rnodev rnoatime rrelatime rstrictatime rnodiratime rnosymfollow rrw nope nope=1 remount""".split()
TMPFS = {"destination": "/m", "type": "tmpfs", "source": "tmpfs"}
BIND = {"destination": "/m", "type": "bind", "source": "@BUNDLE@/source"}
MOUNTS = [
    *({**TMPFS, "destination": d} for d in ("relative", "/a/b/c", "/link-dir", "/link-abs", "/link-nope", "/link-out", "/link-loop", "/link-out/x", "/dir/../m", "/m/", "//m", "/file",
                                            "/file/x", "", "/", ".", "/proc/self", "/proc/sys", "/proc/nope", "/dev/shm", "/dev/x/y", "/tmp", "/dir/sub", "/dev", "/proc", "/sys")),
    *({**TMPFS, "options": o} for o in ([], None, ["size=1m"], ["size=x"], ["mode=700"], ["mode=1777", "uid=5", "gid=6"], ["nr_inodes=5"], ["size=1m", "size=2m"],
                                        ["ro", "rw"], ["rw", "ro"], ["nosuid", "suid"], ["noexec", "exec", "noexec"], ["noatime", "strictatime"], ["relatime", "noatime"],
                                        ["tmpcopyup", "ro"], [""], ["ro,noexec"], ["size=50%"], ["huge=never"])),
    {**TMPFS, "destination": "/full", "options": ["tmpcopyup"]}, {**TMPFS, "destination": "/etc", "options": ["tmpcopyup", "mode=700"]},
    *({**TMPFS, "options": [o]} for o in OPTIONS),
    *({**BIND, "options": ["rbind", o]} for o in OPTIONS),
    *({**BIND, "options": o} for o in ([], None, ["bind"], ["rbind"], ["bind", "ro"], ["bind", "rw"], ["bind", "nosuid", "nodev", "noexec", "ro"], ["bind", "rbind"], ["bind", "mode=700"],
                                       ["bind", "size=1m"], ["bind", "ro", "rw"], ["bind", "shared", "private"], ["rbind", "rro", "rw"], ["bind", "noatime", "nodiratime"])),
    *({**BIND, "type": t, "options": ["bind"]} for t in ("none", "", "tmpfs", "nope", None)),
    *({**BIND, "source": s, "options": ["bind"]} for s in ("source", "./source", "../@ID@/source", "/nope", "nope", "", "@BUNDLE@/source/file", "@BUNDLE@/link-source", "/dev/null",
                                                           "/dev", "@BUNDLE@/source/", None, "@BUNDLE@/source/sub/../file")),
    *({**BIND, "source": "@BUNDLE@/source/file", "destination": d, "options": ["bind"]} for d in ("/file", "/new-file", "/new/dir/file", "/dir", "/link-file", "/link-dir", "/link-nope",
                                                                                                  "/dev/file", "/proc/cpuinfo", "/proc/stat", "/proc/nope", "/etc/passwd", "/file/x", "/tmp/f")),
    *({**BIND, "destination": d, "options": ["bind"]} for d in ("/file", "/dir", "/proc", "/sys", "/dev/shm", "/dev", "/", "/proc/sys", "/proc/scsi", "/proc/self/attr")),
    {"destination": "/m", "source": "@BUNDLE@/source", "options": ["bind"]}, {"destination": "/m"}, {"destination": "/m", "type": "tmpfs"}, {"type": "tmpfs", "source": "tmpfs"},
    {"destination": "/m", "type": "nope", "source": "x"}, {"destination": "/m", "type": "ext4", "source": "/nope"}, {"destination": "/m", "type": "", "source": ""},
    {"destination": "/m", "type": "none", "source": "none"},
    *({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": o} for o in ([], ["ro"], ["nosuid", "noexec", "nodev", "ro"])),
    *({"destination": "/m", "type": "proc", "source": "proc", "options": o} for o in ([], ["ro"], ["hidepid=2"], ["nope"], ["nosuid", "noexec", "nodev"])),
    *({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": o} for o in ([], ["nosuid", "noexec", "nodev"], ["mode=755"])),
    *({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": o} for o in (["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"], [])),
    *({"destination": d, "type": "devpts", "source": "devpts", "options": o} for d, o in (("/m", []), ("/m", ["newinstance", "ptmxmode=0666"]), ("/dev/pts", ["mode=600"]))),
    *({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": o} for o in ([], ["ro"], ["ro", "nosuid", "noexec", "nodev", "relatime"])),
    {"destination": "/m", "type": "overlay", "source": "overlay", "options": ["lowerdir=@BUNDLE@/source:@BUNDLE@/empty"]},
    {"destination": "/m", "type": "overlay", "source": "overlay", "options": ["lowerdir=/nope"]},
    {"destination": "/m", "type": "ramfs", "source": "ramfs"}, {"destination": "/m", "type": "cgroup2", "source": "cgroup2"}, {"destination": "/m", "type": "TMPFS", "source": "tmpfs"},
]
MOUNT_LOOK = ("path:/m", "path:/m/file", "path:/dir", "path:/etc", "path:/full", "path:/dir/sub", "path:/tmp", "path:/a/b/c", "path:/new-file", "path:/file", "ls:/full", "path:/etc/passwd", "path:/dev/shm")

# ---- seccomp ------------------------------------------------------------------------------------------------------------
# 39 getpid, 83 mkdir, 79 getcwd, 62 kill (signal 0 to itself), 110 getppid, 135 personality, 56 clone, 500 nobody's
SYSCALLS = ("sys:110", "sys:83:0,0", "sys:62:0,0", "sys:39", "sys:500", "sys:135:0xffffffff", "sys:135:8", "sys:102")


def rule(names, action, **more):
    return dict({"names": names, "action": action}, **more)


ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
SECCOMP = [
    {}, {"defaultAction": ALLOW}, {"defaultAction": ""}, {"defaultAction": "NOPE"}, {"defaultAction": ALLOW, "syscalls": []}, {"defaultAction": ALLOW, "syscalls": None},
    *({"defaultAction": ALLOW, "syscalls": [rule(["getppid"], a)]} for a in (
        ERRNO, "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_TRACE", "SCMP_ACT_LOG", ALLOW, "NOPE", "", "scmp_act_errno")),
    *({"defaultAction": ALLOW, "syscalls": [rule(["getppid", "mkdir"], ERRNO, errnoRet=e)]} for e in (0, 1, 38, 4095, 4096, -1, None)),
    {"defaultAction": ALLOW, "syscalls": [rule(["getppid"], "SCMP_ACT_TRACE", errnoRet=5)]}, {"defaultAction": ALLOW, "syscalls": [rule(["getppid"], ALLOW, errnoRet=5)]},
    {"defaultAction": ALLOW, "syscalls": [rule(["no_such_call", "mkdir"], ERRNO)]}, {"defaultAction": ALLOW, "syscalls": [rule([], ERRNO)]},
    {"defaultAction": ALLOW, "syscalls": [rule([""], ERRNO)]}, {"defaultAction": ALLOW, "syscalls": [rule(["mkdir", "mkdir"], ERRNO)]},
    {"defaultAction": ALLOW, "syscalls": [rule(["mkdir"], ERRNO, errnoRet=5), rule(["mkdir"], ERRNO, errnoRet=6)]},
    {"defaultAction": ALLOW, "syscalls": [rule(["mkdir"], ERRNO), rule(["mkdir"], ALLOW)]}, {"defaultAction": ALLOW, "syscalls": [rule(["mkdir"], ALLOW), rule(["mkdir"], ERRNO)]},
    *({"defaultAction": ALLOW, "syscalls": [rule(["personality"], ERRNO, args=[{"index": 0, "value": v, "op": "SCMP_CMP_" + op, **m}])]} for op, v, m in (
        ("EQ", 8, {}), ("NE", 8, {}), ("LT", 9, {}), ("LE", 8, {}), ("GT", 8, {}), ("GE", 8, {}), ("MASKED_EQ", 8, {"valueTwo": 8}), ("MASKED_EQ", 8, {}), ("NOPE", 8, {}), ("EQ", 1 << 63, {}))),
    *({"defaultAction": ALLOW, "syscalls": [rule(["personality"], ERRNO, args=a)]} for a in (
        [], [{"index": 6, "value": 8, "op": "SCMP_CMP_EQ"}], [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}],
        [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 9, "op": "SCMP_CMP_EQ"}],
        [{"index": 0, "value": 8, "op": "SCMP_CMP_GE"}, {"index": 0, "value": 9, "op": "SCMP_CMP_LE"}])),
    *({"defaultAction": ALLOW, "architectures": a, "syscalls": [rule(["mkdir"], ERRNO)]} for a in (
        [], ["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], ["SCMP_ARCH_X86"], ["SCMP_ARCH_AARCH64"], ["NOPE"], ["SCMP_ARCH_NATIVE"])),
    *({"defaultAction": ALLOW, "flags": f, "syscalls": [rule(["mkdir"], ERRNO)]} for f in (
        [], ["SECCOMP_FILTER_FLAG_TSYNC"], ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], ["NOPE"], ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"])),
    {"defaultAction": ERRNO, "syscalls": [rule("""read write open openat close fstat newfstatat fcntl getuid geteuid getgid getegid getgroups umask getcwd getpid getsid getpgrp getpriority
        sched_getparam sched_getscheduler ioprio_get personality prctl getrlimit prlimit64 keyctl get_mempolicy uname readlink lstat access faccessat getdents64 brk mmap munmap mprotect execve execveat arch_prctl exit exit_group
        set_tid_address set_robust_list rseq getrandom rt_sigaction rt_sigprocmask futex ioctl lseek close_range setuid setgid setgroups capset capget chdir fchdir stat fstatfs statfs setresuid setresgid
        getdents sched_yield nanosleep madvise dup dup2 dup3 pread64 epoll_ctl epoll_pwait epoll_create1 sigaltstack gettid tgkill clone rt_sigreturn pipe2 fchmod fchown sendto recvfrom sendmsg recvmsg readlinkat poll ppoll""".split(), ALLOW)]},
    {"defaultAction": ERRNO, "defaultErrnoRet": 38, "syscalls": [rule(["execve"], ALLOW)]},
    {"defaultAction": ALLOW, "defaultErrnoRet": 38}, {"defaultAction": ERRNO},
]

# ---- exec ---------------------------------------------------------------------------------------------------------------
EXEC_PROPERTIES = ("process.args", "process.cwd", "process.env", "process.user", "process.capabilities", "process.rlimits", "process.noNewPrivileges", "process.oomScoreAdj",
                   "process.apparmorProfile", "process.selinuxLabel")
EXEC_FLAGS = [
    ["@ID@", "/probe"], ["@ID@", "probe"], ["@ID@", "nope"], ["@ID@", "/nope"], ["@ID@", "/etc"], ["@ID@", "/file"], ["@ID@", "/probe", "exit:9"], ["@ID@"], ["nope", "/probe"],
    ["--cwd", "/tmp", "@ID@", "/probe"], ["--cwd", "/nope", "@ID@", "/probe"], ["--cwd", "relative", "@ID@", "/probe"], ["--cwd", "", "@ID@", "/probe"], ["--cwd", "/file", "@ID@", "/probe"],
    ["--env", "A=1", "--env", "B=2", "@ID@", "/probe"], ["--env", "A", "@ID@", "/probe"], ["--env", "PATH=/nope", "@ID@", "probe"], ["--env", "=x", "@ID@", "/probe"],
    ["--user", "1000", "@ID@", "/probe"], ["--user", "1000:10", "@ID@", "/probe"], ["--user", "user", "@ID@", "/probe"], ["--user", "nobody-such", "@ID@", "/probe"],
    ["--user", "-1", "@ID@", "/probe"], ["--user", "4294967295", "@ID@", "/probe"], ["--user", "4294967296", "@ID@", "/probe"], ["--user", "", "@ID@", "/probe"],
    ["--cap", "CAP_NET_ADMIN", "@ID@", "/probe"], ["--cap", "CAP_NOPE", "@ID@", "/probe"], ["--cap", "net_admin", "@ID@", "/probe"], ["--no-new-privs", "@ID@", "/probe"],
    ["--detach", "@ID@", "/probe"], ["--process", "/nope", "@ID@"], ["--process", "@BUNDLE@/rootfs/file", "@ID@"], ["--apparmor", "nope", "@ID@", "/probe"],
    ["--process-label", "a:b:c:d", "@ID@", "/probe"], ["--preserve-fds", "0", "@ID@", "/probe"], ["--preserve-fds", "5", "@ID@", "/probe"],
    ["--cap", "CAP_NET_ADMIN", "--user", "1000", "@ID@", "/probe"],
]

# ---- commands in odd orders -----------------------------------------------------------------------------------------------
CREATE, START, STATE, KILL, DELETE = ["create", "--bundle", "@BUNDLE@", "@ID@"], ["start", "@ID@"], ["state", "@ID@"], ["kill", "@ID@", "KILL"], ["delete", "@ID@"]
STOPPED, FORCE, PAUSE, RESUME = ["wait", "stopped"], ["delete", "--force", "@ID@"], ["pause", "@ID@"], ["resume", "@ID@"]
EXEC, PS = ["exec", "@ID@", "/probe"], ["ps", "--format", "json", "@ID@"]
UPDATE = ["update", "--memory", "67108864", "@ID@"]
ORDERS = [
    *([v] for v in (START, STATE, KILL, DELETE, FORCE, PAUSE, RESUME, EXEC, PS, UPDATE)),
    [CREATE, STATE, START, STATE, KILL, STOPPED, STATE, DELETE, STATE], [CREATE, CREATE, DELETE], [CREATE, DELETE], [CREATE, FORCE], [CREATE, KILL, STOPPED, START, DELETE],
    [CREATE, KILL, STOPPED, KILL, DELETE], [CREATE, START, START, FORCE], [CREATE, START, CREATE, FORCE], [CREATE, START, DELETE, FORCE], [CREATE, START, KILL, STOPPED, START, DELETE],
    [CREATE, START, KILL, STOPPED, KILL, KILL, DELETE], [CREATE, START, KILL, STOPPED, EXEC, DELETE], [CREATE, EXEC, FORCE], [CREATE, PAUSE, STATE, RESUME, START, FORCE],
    [CREATE, START, PAUSE, STATE, PAUSE, FORCE], [CREATE, START, RESUME, FORCE], [CREATE, START, PAUSE, EXEC, FORCE], [CREATE, START, PAUSE, START, FORCE], [CREATE, START, PAUSE, DELETE, FORCE],
    [CREATE, START, PAUSE, KILL, ["wait", "nope"], RESUME, STOPPED, DELETE], [CREATE, START, PAUSE, FORCE], [CREATE, START, KILL, STOPPED, PAUSE, DELETE], [CREATE, START, KILL, STOPPED, RESUME, DELETE],
    [CREATE, START, KILL, STOPPED, PS, DELETE], [CREATE, START, KILL, STOPPED, UPDATE, DELETE], [CREATE, UPDATE, START, UPDATE, FORCE], [CREATE, START, KILL, STOPPED, FORCE, FORCE],
    [CREATE, START, KILL, STOPPED, DELETE, DELETE], [CREATE, START, FORCE, CREATE, STATE, FORCE], [["run", "--detach", "--bundle", "@BUNDLE@", "@ID@"], STATE, DELETE, FORCE],
    [["run", "--detach", "--bundle", "@BUNDLE@", "@ID@"], ["run", "--detach", "--bundle", "@BUNDLE@", "@ID@"], FORCE],
    *([CREATE, START, ["kill", "@ID@", s], ["wait", "stopped" if s.strip("SIGTERM") not in ("0",) else "nope"], FORCE] for s in ("TERM", "SIGKILL", "9", "kill", "sigkill", "RTMIN+1", "SIGRTMAX", "64")),
    *([CREATE, START, ["kill", "@ID@", s], FORCE] for s in ("0", "65", "-1", "NOPE", "", "CONT", "SIGSIGKILL", "RTMIN+99", "9x", "CHLD", "WINCH")),
    [CREATE, START, ["kill", "@ID@"], ["wait", "stopped"], FORCE], [CREATE, START, ["kill", "--all", "@ID@", "KILL"], STOPPED, ["kill", "--all", "@ID@", "KILL"], DELETE],
    [["create", "--bundle", "/nope", "@ID@"], FORCE], [["create", "--bundle", "@BUNDLE@/rootfs", "@ID@"], FORCE], [["create", "--bundle", "@BUNDLE@", ""]], [["create", "--bundle", "@BUNDLE@"]],
    # not "..": crun 1.8.1 would remove what is there
    *([["create", "--bundle", "@BUNDLE@", i], ["delete", "--force", i]] for i in ("two words", "@ID@.x", "@ID@_x", "@ID@+x", "@ID@:x", "@ID@@x", "-x", "é")),
    [["create", "--bundle", "@BUNDLE@", "--pid-file", "@BUNDLE@/pid", "@ID@"], FORCE], [["create", "--bundle", "@BUNDLE@", "--pid-file", "/nope/pid", "@ID@"], STATE, FORCE],
    [["create", "--bundle", "@BUNDLE@", "--console-socket", "@BUNDLE@/nope", "@ID@"], STATE, FORCE], [["create", "--bundle", "@BUNDLE@", "--preserve-fds", "3", "@ID@"], STATE, FORCE],
    [["create", "--no-pivot", "--bundle", "@BUNDLE@", "@ID@"], FORCE], [["create", "--no-new-keyring", "--bundle", "@BUNDLE@", "@ID@"], FORCE],
    *([CREATE, START, ["update", *o, "@ID@"], FORCE] for o in (
        ["--memory", "1"], ["--memory", "-1"], ["--memory", "x"], ["--pids-limit", "10"], ["--pids-limit", "-1"], ["--cpu-share", "512"], ["--cpu-quota", "5"], ["--cpuset-cpus", "99"],
        ["--resources", "/nope"], ["--blkio-weight", "5000"], [])),
    [["delete"]], [["start"]], [["state"]], [["kill"]], [["list"]], [["nope"]], [["delete", "@ID@", "more"]], [["spec", "--bundle", "/nope"]], [["list", "--format", "nope"]],
]


def property_values(path):
    base = ROOT
    there = True
    for part in path.split("."):
        if not isinstance(base, dict) or part not in base:
            there = False
            break
        base = base[part]
    return list(PROPERTIES[path]) + ([ABSENT] if there else []) + [None]


LOOKS = {
    "linux.sysctl": ("read:/proc/sys/kernel/shmmax", "read:/proc/sys/kernel/shmmni", "read:/proc/sys/kernel/msgmax", "read:/proc/sys/kernel/sem", "read:/proc/sys/net/ipv4/ip_forward",
                     "read:/proc/sys/net/ipv4/conf/lo/forwarding", "read:/proc/sys/fs/mqueue/msg_max"),
    "linux.maskedPaths": ("path:/file", "path:/dir", "path:/full/file", "path:/probe", "ls:/dir"),
    "linux.readonlyPaths": ("path:/file", "path:/dir", "path:/full/file", "path:/tmp"),
    "linux.devices": ("path:/x", "path:/y", "path:/file", "path:/new", "path:/dev/a", "path:/dev/a/b"),
    "hooks": ("read:/tmp/hooks.log",),
    "root.readonly": ("path:/tmp", "path:/"), "root": ("path:/tmp",),
}
NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup", "user", "time")
FILES = {"network": "net", "mount": "mnt"}


def namespace_values():
    """Lists of namespaces: one more, one less, one by path."""
    base = ROOT["linux"]["namespaces"]
    for t in NAMESPACES:
        yield f"without-{t}", [n for n in base if n["type"] != t]
        yield f"twice-{t}", base + [{"type": t}] + ([{"type": t}] if {"type": t} not in base else [])
        more = [n for n in base if n["type"] != t]
        if t in ("cgroup",):
            yield f"with-{t}", more + [{"type": t}]
        if t in ("mount", "time"):
            continue
        name = FILES.get(t, t)
        for what, path in (("other", f"@OTHER@/ns/{name}"), ("own", f"/proc/self/ns/{name}"), ("missing", "/nope"), ("relative", "nope"), ("empty", ""), ("file", "/etc/passwd"),
                           ("wrong-type", "@OTHER@/ns/mnt" if t != "uts" else "@OTHER@/ns/ipc")):
            yield f"{t}-path-{what}", more + [{"type": t, "path": path}]
    yield "unknown", base + [{"type": "nope"}]
    yield "no-type", base + [{}]
    yield "upper", base[1:] + [{"type": "PID"}]


def single(path, number, value, **more):
    return Case(f"{path}={number}", values=((path, value),), look=LOOKS.get(path, ()), **more)


def run_cases():
    for path in PROPERTIES:
        for i, value in enumerate(property_values(path)):
            label = "absent" if value is ABSENT else "null" if value is None else str(i + 1)
            yield single(path, label, value)
    for name, value in namespace_values():
        more = (("hostname", ABSENT),) if "uts" in name else ()
        yield Case(f"linux.namespaces={name}", values=(("linux.namespaces", value), *more))
    for part, values in RESOURCE_VALUES.items():
        for i, value in enumerate([*values, None]):
            look = tuple("group:" + f for f in RESOURCES[part])
            yield Case(f"linux.resources.{part}={i + 1}", values=(CG, (f"linux.resources.{part}", value)), look=look)
    for i, value in enumerate(MOUNTS):
        yield Case(f"mounts={i + 1}", values=(("mounts.+", value),), look=MOUNT_LOOK)
    for i, value in enumerate(SECCOMP):
        yield Case(f"linux.seccomp={i + 1}", values=(("linux.seccomp", value),), look=SYSCALLS)
    yield Case("mounts=none", values=(("mounts", []),))
    yield Case("mounts=no-dev", values=(("mounts", ROOT["mounts"][:1]),))
    yield Case("mounts=no-proc", values=(("mounts", ROOT["mounts"][1:]),))
    yield Case("mounts=bind-dev", values=(("mounts", ROOT["mounts"][:1] + [{"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}]),))


def userns_cases():
    """The same below a user namespace, for what is decided otherwise there."""
    maps = [[], MAPS, [{"containerID": 0, "hostID": 0, "size": 1}], [{"containerID": 0, "hostID": 100000, "size": 0}], [{"containerID": 5, "hostID": 100000, "size": 10}],
            [{"containerID": 0, "hostID": 100000, "size": 10}, {"containerID": 10, "hostID": 200000, "size": 10}],
            [{"containerID": 0, "hostID": 100000, "size": 10}, {"containerID": 5, "hostID": 200000, "size": 10}], [{"containerID": 0, "hostID": 4294967295, "size": 2}],
            [{"containerID": 0, "hostID": 100000}], [{"hostID": 100000, "size": 1}], None, ABSENT, MAPS * 2]
    for kind in ("uidMappings", "gidMappings"):
        for i, value in enumerate(maps):
            yield Case(f"userns.{kind}={i + 1}", base="userns", values=((f"linux.{kind}", value),))
    for i, value in enumerate(PROPERTIES["process.user"]):
        yield Case(f"userns.process.user={i + 1}", base="userns", values=(("process.user", value),))
    for path in ("linux.sysctl", "linux.devices", "process.capabilities", "linux.rootfsPropagation"):
        for i, value in enumerate(PROPERTIES[path]):
            yield Case(f"userns.{path}={i + 1}", base="userns", values=((path, value),), look=LOOKS.get(path, ()))
    for i, value in enumerate(MOUNTS):
        if value.get("options") and not set(value["options"]) & {"nope", "remount"} and i % 3 == 0 or value.get("type") in ("sysfs", "proc", "mqueue", "devpts", "cgroup"):
            yield Case(f"userns.mounts={i + 1}", base="userns", values=(("mounts.+", value),), look=MOUNT_LOOK)
    yield Case("userns.base", base="userns", look=MOUNT_LOOK)


def exec_cases():
    for path in EXEC_PROPERTIES:
        for i, value in enumerate(property_values(path)):
            yield Case(f"exec.{path}={i + 1}", kind="exec", values=((path, value),))
    for i, flags in enumerate(EXEC_FLAGS):
        yield Case(f"exec.flags={i + 1}", kind="exec", args=flags)


def verb_cases():
    for i, order in enumerate(ORDERS):
        yield Case(f"verbs={i + 1}", kind="verbs", args=order, look=("sleep",))


# What the first runs found: HOME and variables that are there twice, names of limits and capabilities, a device without a
# number, the mode of a tmpfs, a read-only copy, a file behind a link to nowhere, hooks' environments and states, a group's
# path, capabilities of exec, a container that was paused before its start.
FOUND = {"process.env=1", "process.env=2", "process.rlimits=21", "process.rlimits=28", "process.capabilities=15", "linux.devices=24", "mounts=23", "mounts=46", "mounts=41",
         "mounts=88", "mounts=194", "hooks=3", "hooks=7", "hooks=8", "linux.cgroupsPath=2", "linux.cgroupsPath=3", "exec.process.capabilities=21", "exec.process.env=1", "verbs=24"}


def cases():
    return list(itertools.chain(run_cases(), userns_cases(), exec_cases(), verb_cases()))


def combinations(rng, n):
    """Random combinations: 2 to 5 values of different properties that husk and its peers each take or refuse alone."""
    paths = [p for p in PROPERTIES if p.count(".") or p in ("hooks", "hostname", "annotations")]
    for i in range(n):
        values, look = [], []
        if rng.random() < 0.5:
            values += [("mounts.+", m) for m in rng.sample(MOUNTS, rng.randint(1, 3))]
            look += MOUNT_LOOK
        for path in rng.sample(paths, rng.randint(1, 4)):
            if any(path.startswith(p) or p.startswith(path) for p, _ in values):
                continue
            values.append((path, rng.choice(property_values(path))))
            look += LOOKS.get(path, ())
        if rng.random() < 0.3:
            values.append(("linux.seccomp", rng.choice(SECCOMP)))
            look += SYSCALLS
        if rng.random() < 0.2:
            values.append(("linux.namespaces", rng.choice(list(namespace_values()))[1]))
        yield Case(f"random={i + 1}", base=rng.choice(["root", "root", "userns"]), values=tuple(values), look=tuple(dict.fromkeys(look)))
