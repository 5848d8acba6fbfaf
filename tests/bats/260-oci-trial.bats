#!/usr/bin/env bats
# config.json, property by property, with values that are odd or wrong: what is asked for happens, or a sentence says why
# not. Found by running the same bundles under husk-oci, crun and runc.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

teardown() {
    remove_oci
}

# try JQ [SH]: the plain bundle, changed, run once; SH is what its shell does.
try() {
    cp "$B/plain" "$B/config.json"
    change "$(sh_c "${2:-true}")" "$1"
    oci run -b "$B" c1
}
plain() { bundle; cp "$B/config.json" "$B/plain"; }
userns='.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1000}] | .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 1000}]'

@test "process: what is wrong is refused before anything starts, and says what is right" {
    plain
    check_table try <<'END'
'.ociVersion = "1.x"'                                                    | 1 | '1.x' is not a version
'.annotations = {"": "x"}'                                               | 1 | annotations: a key is empty
'.annotations = {"run.oci.handler": "krun"}'                             | 1 | run.oci.handler: 'krun'
'.process.scheduler = {policy: "SCHED_OTHER", nice: 20}'                 | 1 | nice: 20 is not between -20 and 19
'.process.scheduler = {policy: "SCHED_IDLE", nice: 3}'                   | 1 | nice: is for SCHED_OTHER and SCHED_BATCH
'.process.scheduler = {policy: "SCHED_FIFO"}'                            | 1 | SCHED_FIFO needs one between 1 and 99
'.process.scheduler = {policy: "SCHED_OTHER", priority: 3}'              | 1 | priority: is for SCHED_FIFO and SCHED_RR
'.process.scheduler = {policy: "SCHED_BATCH", runtime: 5}'               | 1 | are for SCHED_DEADLINE, not for SCHED_BATCH
'.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 5, deadline: 3}' | 1 | runtime <= deadline <= period
'.process.execCPUAffinity = {final: "x"}'                                | 1 | execCPUAffinity 'x'
'.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 4096}]}' | 1 | the largest is 4095
END
    [[ -e /sys/module/apparmor/parameters/enabled ]] || { run try '.process.apparmorProfile = "unconfined"'; expect 0; }
    assert_gone c1
}

@test "mounts, paths and propagation: each that is accepted can be seen inside" {
    plain
    check_table try <<'END'
'.linux.rootfsPropagation = "unbindable"' 'cut -d" " -f5,7 /proc/self/mountinfo'  | 0 | / unbindable
'.linux.rootfsPropagation = "runbindable"' 'cut -d" " -f5,7 /proc/self/mountinfo' | 0 | /dev unbindable
'.mounts += [{destination: "/etc", options: ["remount", "ro"]}]'                  | 1 | remount: is something mounted there?
'.mounts += [{destination: "/dev/shm", options: ["remount", "ro"]}]' 'touch /dev/shm/x' | 1 | Read-only file system
'.mounts += [{destination: "/etc", type: "bind", source: "/etc/passwd", options: ["bind"]}]' | 1 | a file on a directory, or a directory on a file: Not a directory
'.linux.readonlyPaths = ["/"] | .root.readonly = false' 'touch /dev/shm/x && touch /x' | 1 | Read-only file system
'.linux.maskedPaths = ["/"]'                                                      | 1 | the root itself cannot be hidden
'.linux.maskedPaths = ["etc"]'                                                    | 1 | linux: maskedPaths[0]: 'etc' is not an absolute path
'.linux.devices = [{type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 384, uid: 3, gid: 4}]' 'stat -c %a:%u:%g /dev/null' | 0 | 600:3:4
'.linux.devices = [{type: "c", path: "/dev/null", major: 1, minor: 5}]'           | 1 | something else than device 1:5 is there
END
    assert_gone c1
}

@test "user namespaces: maps that cannot be say what is wrong with them" {
    plain
    check_table try <<END
'$userns | .linux.uidMappings[0].containerID = 1'                                 | 1 | must have the container's 0
'$userns | .linux.uidMappings += [{containerID: 5, hostID: 300000, size: 9}]'     | 1 | uidMappings[1]: the range overlaps that of [0]
'$userns | .linux.gidMappings += [{containerID: 5000, hostID: 200999, size: 9}]'  | 1 | gidMappings[1]: the range overlaps that of [0]
'$userns | .linux.uidMappings = [range(341) | {containerID: ., hostID: (100000 + 2 * .), size: 1}]' | 1 | 341 ranges: the kernel takes 340
'$userns | .linux.uidMappings = [range(340) | {containerID: ., hostID: (100000 + 2 * .), size: 1}]' | 1 | longer than a page
'$userns | .process.user.additionalGids = [5000]'                                 | 1 | (are they mapped in the container's user namespace?)
END
    assert_gone c1
}

@test "control groups: a value that the kernel refuses says what is right" {
    plain
    skip_unless_kernel "no v1 memory and cpu groups" test -e /sys/fs/cgroup/memory/memory.limit_in_bytes -a -e /sys/fs/cgroup/cpu/cpu.cfs_burst_us
    check_table try <<'END'
'.linux.resources.memory = {limit: 50000000, swap: 40000000}'  | 1 | not less than the memory limit
'.linux.resources.memory = {limit: -5}'                        | 1 | -1 is no limit
'.linux.resources.cpu = {quota: 10}'                           | 1 | 1000 microseconds or more
'.linux.resources.cpu = {period: 10000000}'                    | 1 | 1000 to 1000000 microseconds
'.linux.resources.cpu = {quota: 50000, burst: 60000}'          | 1 | a burst is not above the quota
'.linux.resources.cpu = {cpus: "0-9999"}'                      | 1 | /sys/devices/system/cpu/online
'.linux.resources.cpu = {mems: "77"}'                          | 1 | /sys/devices/system/node/online
'.linux.resources.blockIO = {throttleReadBpsDevice: [{major: 77, minor: 0, rate: 1}]}' | 1 | 'lsblk' lists them
END
    assert_gone c1
}

@test "idmap=: crun's words, with ids of the host or of the container" {
    plain
    mkdir "$B/files"
    touch "$B/files/0" "$B/files/5"
    chown 5:5 "$B/files/5"
    mapped() { try "${2:-.} | .mounts += [{destination: \"/mnt\", type: \"bind\", source: \"$B/files\", options: [\"rbind\", \"$1\"]}]" 'stat -c %u:%g /mnt/0 /mnt/5 | tr "\n" " "'; }
    check_table mapped <<END
'idmap=uids=0-7-10;gids=0-8-10'                                | 0 | 7:8 12:13
'idmap=uids=0-7-1#5-1000-1;gids=0-8-10'                        | 0 | 7:8 1000:13
'ridmap=uids=0-7-10;gids=0-8-10'                               | 0 | 7:8 12:13
'idmap=uids=@0-3-10;gids=@0-4-10' '$userns'                    | 0 | 3:4 8:9
'idmap=uids=0-100000-10;gids=0-200000-10' '$userns'            | 0 | 0:0 5:5
'idmap=' '$userns'                                             | 0 | 0:0 5:5
'idmap=uids=@0-5000-1;gids=@0-0-1' '$userns'                   | 1 | @: 5000 is not mapped in the container
'idmap=uids=0-1;gids=0-1-1'                                    | 1 | '0-1' is not FILE-HOST-COUNT
'idmap=uids=0-1-1'                                             | 1 | it needs uids= and gids=
'idmap=x=0-1-1'                                                | 1 | neither uids= nor gids=
'idmap=uids=0-1-0;gids=0-1-1'                                  | 1 | the range is empty
END
    assert_gone c1
}

@test "run.oci.keep_original_groups: the caller's groups stay, for exec too; as an ordinary user as well" {
    bundle "$(sh_c 'id -G; sleep 1000')"
    change '.annotations["run.oci.keep_original_groups"] = "1" | .process.user.additionalGids = [77]'
    setpriv --groups 4,27 "$HUSK_OCI" --root "$TRUN/oci" run -d -b "$B" c1 >"$T/tmp/out" </dev/null
    wait_until 5 grep -q . "$T/tmp/out"
    [[ $(<"$T/tmp/out") == "0 4 27" ]]
    run setpriv --groups 4 "$HUSK_OCI" --root "$TRUN/oci" exec c1 id -G
    expect 0 "=0 4"
    change 'del(.annotations)'
    oci delete --force c1
    change "$(sh_c 'id -G')"
    run setpriv --groups 4,27 "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    expect 0 "=0 77"
    user_bundle "$(sh_c 'id -G')"
    change '.annotations["run.oci.keep_original_groups"] = "1"'
    run setpriv --reuid "$HUSK_USER" --regid "$HUSK_USER" --groups 4 env HOME=/tmp "$HUSK_OCI" --root "$USER_RUN/oci" run -b "$B" c1
    expect 0 "=0 65534"
}

@test "run.oci.hooks.stdout and stderr: files for what hooks say" {
    bundle '.process.args = ["true"]'
    change ".hooks = {prestart: [{path: \"/bin/sh\", args: [\"sh\", \"-c\", \"echo one; echo two >&2\"]}], poststop: [{path: \"/bin/echo\", args: [\"echo\", \"three\"]}]}"
    change ".annotations = {\"run.oci.hooks.stdout\": \"$T/tmp/out\", \"run.oci.hooks.stderr\": \"$T/tmp/err\"}"
    echo before >"$T/tmp/out"
    oci run -b "$B" c1
    [[ $(<"$T/tmp/out") == $'before\none\nthree' ]]
    [[ $(<"$T/tmp/err") == two ]]
    change '.annotations["run.oci.hooks.stdout"] = "/no/such/file"'
    run oci run -b "$B" c1
    expect 1 "annotation run.oci.hooks.stdout: open '/no/such/file': No such file or directory"
    assert_gone c1
}

@test "crun's other annotations: what the specification has by now is done, what husk does not do is refused" {
    bundle "$(sh_c 'cat /proc/self/timens_offsets')"
    change '.linux.namespaces += [{type: "time"}]'
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change ".annotations[\"run.oci.$1\"] = \"$2\" | ${3:-.}"; oci run -b "$B" c1; }
    check_table try <<'END'
timens_offset "monotonic 3600 0\\nboottime 86400 5"   | 0 | ~monotonic.*3600.*0.*boottime.*86400.*5
timens_offset "monotonic 1 0" '.linux.timeOffsets = {boottime: {secs: 7}}' | 0 | ~monotonic.*0.*0.*boottime.*7.*0
timens_offset "monotonic x 0"                         | 1 | run.oci.timens_offset: 'x'
timens_offset "monotonic 1"                           | 1 | 'monotonic 1' is not CLOCK SECONDS NANOSECONDS
timens_offset "moon 1 0"                              | 1 | 'moon' is none of monotonic and boottime
handler krun                                          | 1 | run.oci.handler: 'krun': crun loads a library
handler ""                                            | 0 |
seccomp.plugins /lib/x.so                             | 1 | husk loads none
seccomp_bpf_data AAAA                                 | 1 | write its rules in linux.seccomp
systemd.force_cgroup_v1 /sys/fs/cgroup                | 1 | bind it in mounts
delegate-cgroup sub                                   | 1 | the program makes groups below it
systemd.subgroup ""                                   | 0 |
systemd.subgroup inner                                | 0 |
pidfd_receiver x/y                                    | 1 | 'x/y' is not an absolute path
pidfd_receiver /no/such                               | 1 | /no/such
seccomp.receiver x '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"}' | 1 | run.oci.seccomp.receiver: 'x' is not an absolute path
seccomp.receiver /no/such '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_NOTIFY"}]}' | 1 | linux.seccomp.listenerPath: open directory '/no'
END
    # a name that nobody has: passed over, as profiles are for many kernels, unless it is to fail; also when the filter is known
    change 'del(.annotations) | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "no_such_call"], action: "SCMP_ACT_ERRNO"}]} | .process.args = ["true"]'
    cp "$B/config.json" "$B/plain"
    oci run -b "$B" c1
    oci run -b "$B" c1
    run try seccomp_fail_unknown_syscall 1
    expect 1 "linux.seccomp: syscalls[0]: 'no_such_call' is not the name of a system call"
    run try seccomp_fail_unknown_syscall 1 '.linux.seccomp.syscalls[0].names = ["mkdir", "setxattrat", "rt_sigreturn", "socketcall"]'
    expect 0
    assert_gone c1
    # the pidfd goes where the annotation says
    python3 -c 'import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1); open(sys.argv[1] + ".ready", "w"); c, _ = s.accept()
fd = socket.recv_fds(c, 10, 1)[1][0]; print(os.readlink(f"/proc/self/fd/{fd}"))' "$T/tmp/pidfd" >"$T/tmp/got" 3>&- &
    wait_until 10 test -e "$T/tmp/pidfd.ready"
    run try pidfd_receiver "$T/tmp/pidfd"
    expect 0
    wait $!
    grep -q pidfd "$T/tmp/got"
}

@test "an ordinary user: what only root can do is refused, with what it would need" {
    user_bundle
    mkdir -m 777 "$T/tmp/owned"
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change '.process.args = ["true"]' "$1"; user_oci run -b "$B" c1; }
    check_table try <<END
'.process.oomScoreAdj = -500'                                              | 1 | set the OOM score (one below husk's own needs CAP_SYS_RESOURCE on the host): Permission denied
'.process.scheduler = {policy: "SCHED_OTHER", nice: -5}'                   | 1 | need CAP_SYS_NICE on the host
'.process.scheduler = {policy: "SCHED_FIFO", priority: 5}'                 | 1 | need CAP_SYS_NICE on the host
'.process.ioPriority = {class: "IOPRIO_CLASS_RT", priority: 0}'            | 1 | the real-time class needs CAP_SYS_NICE on the host
'.process.rlimits = [{type: "RLIMIT_NOFILE", hard: 99999999, soft: 4}]'    | 1 | raising it needs CAP_SYS_RESOURCE
'.linux.namespaces += [{type: "network"}] | .linux.netDevices = {lo: {}}'  | 1 | only root can take a device out of the host's network
'.mounts += [{destination: "/v", type: "bind", source: "$T/tmp/owned", options: ["bind"], uidMappings: [{containerID: 0, hostID: 0, size: 1}], gidMappings: [{containerID: 0, hostID: 0, size: 1}]}]' | 1 | mount '/v': only root can map a mount's ids
'.linux.uidMappings = [{containerID: 0, hostID: 0, size: 1}]'              | 1 | not allowed
'.linux.devices = [{type: "c", path: "/dev/nope", major: 1, minor: 5}]'    | 1 | because a user namespace can make no devices
'.linux.resources = {memory: {limit: 100000000}}'                          | 1 | may not make control groups: have a group delegated
'.linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings, .linux.gidMappings)' | 1 | an ordinary user's container needs a user namespace
'.linux.namespaces += [{type: "network", path: "/proc/1/ns/net"}]'         | 1 | namespace network: open namespace '/proc/1/ns/net': Permission denied
END
    assert_gone c1
}

@test "kill 0 asks whether it is there; state and list name the root" {
    bundle '.process.args = ["sleep", "1000"]'
    oci run -d -b "$B" c1 >/dev/null
    oci kill c1 0
    [[ $(oci state c1 | jq -r .rootfs) == "$B/rootfs" ]]
    [[ $(oci list --format json | jq -r '.[].rootfs') == "$B/rootfs" ]]
    oci kill c1 KILL
    wait_until 5 eval '[[ $(oci state c1 | jq -r .status) == stopped ]]'
    run oci kill c1 0
    expect 1 "container not running"
    oci delete c1
    assert_gone c1
}
