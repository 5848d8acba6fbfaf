#!/usr/bin/env bats
# Control groups, from outside: limits that hold, on v1, v2 and hybrid hosts; what is left behind: nothing.
# shellcheck disable=SC2016 # the dollars are the containers'
load helpers

setup() {
    husk_setup
    ((EUID == 0)) || skip "needs root"
}
teardown() {
    oci delete --force "cg-$BATS_TEST_NUMBER" 2>/dev/null || true
    find /sys/fs/cgroup -depth -type d -path '*/husk-test-cg*' -exec rmdir {} + 2>/dev/null || true
    [[ ! ${on_tmpfs-} ]] || rm -rf --one-file-system "$on_tmpfs"
}

contained() { husk run --rm --network none --rootfs "$IMAGES/rootfs" "$@"; }
has_controller() { # NAME, in v1 or v2
    grep -qE "^$1[[:space:]].*1$" /proc/cgroups && { [[ -d /sys/fs/cgroup/$1 ]] || grep -qw "$1" /sys/fs/cgroup/cgroup.controllers; }
}
oci() { "$HUSK_OCI" --root "$T/tmp/oci" "$@"; }
# bundle PYTHON: a bundle in $T/tmp/b whose config c the statements change; sh(script) sets the program.
bundle() {
    mkdir -p "$T/tmp/b"
    python3 - "$T/tmp/b/config.json" "$IMAGES/rootfs" "husk-test-cg-${T##*.}/$BATS_TEST_NUMBER" "${1-}" <<'PY'
import json, sys
caps = ["CAP_KILL", "CAP_MKNOD", "CAP_SYS_ADMIN"]
c = {"ociVersion": "1.2.0", "root": {"path": sys.argv[2], "readonly": True},
     "process": {"args": ["sh"], "cwd": "/", "env": ["PATH=/bin:/usr/bin"], "user": {"uid": 0, "gid": 0},
                 "capabilities": {k: caps for k in ("bounding", "effective", "permitted")}},
     "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],
     "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
               "cgroupsPath": "/" + sys.argv[3], "resources": {}}}
r = c["linux"]["resources"]
def sh(script):
    c["process"]["args"] = ["sh", "-c", script]
exec(sys.argv[4])
json.dump(c, open(sys.argv[1], "w"))
PY
}
grouped() { # PYTHON
    bundle "$1"
    run oci run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
}

@test "memory: more than the limit is killed, 137, and it is known why" {
    skip_unless_kernel "memory controller" has_controller memory
    run contained --memory 20m sh -c 'dd if=/dev/zero of=/dev/null bs=60M count=1'
    expect 137
    run contained --memory 100m sh -c 'dd if=/dev/zero of=/dev/null bs=20M count=1; echo fits'
    expect 0 fits
    husk run --name oom-killed --network none --memory 16m --rootfs "$IMAGES/rootfs" \
        dd if=/dev/zero of=/dev/null bs=60M count=1 || true
    run husk inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' oom-killed
    expect 0 "=true 137"
}

@test "pids: a fork bomb meets its limit and the host does not notice" {
    skip_unless_kernel "pids controller" has_controller pids
    run contained --pids-limit 8 sh -c 'i=0; while [ $i -lt 20 ]; do sleep 1 & i=$((i+1)); done; wait'
    expect 2 "can't fork"
    run contained --pids-limit 50 sh -c 'i=0; while [ $i -lt 20 ]; do sleep 0.1 & i=$((i+1)); done; wait; echo all'
    expect 0 all
}

@test "cpu: a quota holds" {
    skip_unless_kernel "cpu controller" has_controller cpu
    # 0.2 CPUs for 1.5 seconds of wall time: 0.3 of CPU, and far from 1.5.
    run contained --cpus 0.2 sh -c 'read up _ </proc/uptime; end=$(( ${up%.*}${up#*.} + 150 ))
        while read up _ </proc/uptime && [ ${up%.*}${up#*.} -lt $end ]; do :; done; times | tail -2 | head -1; cat /proc/self/stat >/dev/null'
    expect 0
    python3 - "${lines[0]}" <<'PY'
import re, sys
user, system = re.findall(r"(\d+)m([\d.]+)s", sys.argv[1])[:2]
used = sum(60 * float(m) + float(s) for m, s in (user, system))
sys.exit(0 if used < 0.9 else f"{used} s of CPU in 1.5 s at 0.2 CPUs")
PY
}

@test "cpuset: one CPU is one CPU" {
    skip_unless_kernel "cpuset controller" has_controller cpuset
    run contained --cpuset-cpus 0 grep Cpus_allowed_list /proc/self/status
    expect 0 "~Cpus_allowed_list:[[:space:]]*0$"
    run contained --cpuset-cpus 4000 true
    expect 125 "--cpuset-cpus"
}

@test "devices: what is not allowed cannot be opened, with whatever node" {
    skip_unless_kernel "devices controller" has_controller devices
    local rules='r["devices"] = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}]'
    grouped "$rules
c['mounts'][1]['options'].append('dev')
c['linux']['devices'] = [{'path': '/dev/mem0', 'type': 'c', 'major': 1, 'minor': 1}, {'path': '/dev/kmsg0', 'type': 'c', 'major': 1, 'minor': 11}]
sh('echo x >/dev/null && echo null ok; head -c 1 /dev/kmsg0; cat /dev/mem0; mknod /tmp/z c 1 11 && cat /tmp/z')"
    [[ $output == *"null ok"* ]]
    [[ $(grep -c 'Operation not permitted' <<<"$output") -ge 2 ]] || { echo "$output"; return 1; }
    # Docker's list through husk: random yes, the host's disks no.
    run contained --cap-add mknod sh -c 'head -c 1 /dev/urandom >/dev/null && echo random; mknod /tmp/d b 254 0 && head -c 1 /tmp/d; status=$?; rm /tmp/d; exit $status'
    expect 1 random
    [[ $output == *"Operation not permitted"* ]]
}

# "c 99:7" is no device: what may be opened says that it is none, what may not says so first.
@test "devices: a list that denies nothing, or none, denies all the same, on v1 and on v2 (ADR 0059)" {
    local where
    mkdir "$T/tmp/nodes"
    mknod -m 666 "$T/tmp/nodes/n" c 99 7
    for where in '' on_v2; do
        [[ $where ]] || has_controller devices || continue
        check_table under <<'END'
"{}"                                                                                      | 1 | Operation not permitted
"{'devices': []}"                                                                         | 1 | Operation not permitted
"{'devices': [{'allow': True, 'type': 'c', 'major': 10, 'minor': 200, 'access': 'rwm'}]}" | 1 | Operation not permitted
"{'devices': [{'allow': True, 'type': 'c', 'major': 99, 'minor': 7, 'access': 'rwm'}]}"   | 1 | No such device
"{'devices': [{'allow': True, 'access': 'rwm'}]}"                                         | 1 | No such device
"{}; c['linux']['devices'] = [{'path': '/dev/odd', 'type': 'c', 'major': 99, 'minor': 7}]" | 1 | No such device
"{}; sh('echo x >/dev/null && head -c1 /dev/zero | wc -c')"                               | 0 | =1
"{}; del c['linux']['resources']; user(); sh('cat /v/n')"                                 | 1 | Operation not permitted
END
    done
    # naive: whatever the group above allows
    run cat "$T/tmp/nodes/n"
    expect 1 "No such device"
}
# In a user namespace no node can be made, but a root or a volume can have one.
under() { # RESOURCES..., under $where
    bundle "def user():
    c['linux']['uidMappings'] = c['linux']['gidMappings'] = [{'containerID': 0, 'hostID': 0, 'size': 65536}]
    c['linux']['namespaces'].append({'type': 'user'})
    c['mounts'].append({'destination': '/tmp', 'source': '$T/tmp/nodes', 'options': ['bind']})
sh('mknod /tmp/n c 99 7 && cat /tmp/n')
c['linux']['resources'] = ${1//\/v\//\/tmp\/}"
    $where "$HUSK_OCI" --root "$T/tmp/oci" run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
}

@test "a run in the foreground: a cpu group only where a limit asks for one, even later" {
    skip_unless_kernel "hybrid host" test -d /sys/fs/cgroup/unified -a -d /sys/fs/cgroup/cpu
    local group id=cg-$BATS_TEST_NUMBER
    bundle 'c["process"]["args"] = ["sleep", "60"]'
    group=husk-test-cg-${T##*.}/$BATS_TEST_NUMBER
    oci run --bundle "$T/tmp/b" "$id" </dev/null 3>&- &
    wait_until 20 running
    [[ ! -e /sys/fs/cgroup/cpu/$group && -e /sys/fs/cgroup/memory/$group ]]
    oci update --cpu-quota 20000 --cpu-period 100000 "$id"
    [[ $(<"/sys/fs/cgroup/cpu/$group/cpu.cfs_quota_us") == 20000 ]]
    [[ $(<"/sys/fs/cgroup/cpu/$group/cgroup.procs") == $(<"/sys/fs/cgroup/unified/$group/cgroup.procs") ]]
    oci kill "$id" KILL
    wait $! || true
    [[ ! $(find /sys/fs/cgroup -type d -path "*/$group") ]]
    bundle 'r["cpu"] = {"shares": 333}; c["process"]["args"] = ["sleep", "60"]'
    oci run --bundle "$T/tmp/b" "$id" </dev/null 3>&- &
    wait_until 20 running
    [[ $(<"/sys/fs/cgroup/cpu/$group/cpu.shares") == 333 ]]
    oci delete --force "$id"
    wait $! || true
}
running() { [[ $(oci state "cg-$BATS_TEST_NUMBER" 2>/dev/null) == *'"running"'* ]]; }

@test "hierarchies are used where they are mounted now, whatever was kept of them" {
    skip_unless_kernel "hybrid host" test -d /sys/fs/cgroup/unified -a -d /sys/fs/cgroup/memory
    local id=cg-$BATS_TEST_NUMBER root before
    root=$(mktemp -d /dev/shm/husk-test-cg.XXXXXX) # kept on a tmpfs alone
    on_tmpfs=$root
    local kept=$root/.cgroups
    bundle 'r["memory"] = {"limit": 50000000}; c["process"]["args"] = ["sh", "-c", "cat /sys/fs/cgroup/*/memory.limit_in_bytes"]
c["mounts"] += [{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}]'
    local -a start=("$HUSK_OCI" --root "$root" run --bundle "$T/tmp/b" "$id")
    [[ $("${start[@]}") == 49999872 ]]
    # on Linux before 6.8 nothing is kept
    before=$(sha256sum "$kept" 2>/dev/null) || true
    [[ $("${start[@]}") == 49999872 && $(sha256sum "$kept" 2>/dev/null) == "$before" ]]
    # covered in a mount namespace, and uncovered; made read-only, which the list of mounts does not show
    run unshare --mount --propagation private sh -c 'mount -t tmpfs none /sys/fs/cgroup/memory; exec "$@"' sh "${start[@]}"
    [[ $status -eq 1 && $output == *"needs the memory controller, which this host does not have"* ]]
    [[ $("${start[@]}") == 49999872 ]]
    run unshare --mount --propagation private sh -c '"$@" && mount -o remount,bind,ro /sys/fs/cgroup/memory && exec "$@"' sh "${start[@]}"
    [[ $status -eq 1 && $output == 49999872*"needs the memory controller, which this host does not have"* ]]
    # moved to another name, which keeps its id
    run unshare --mount --propagation private sh -ec 'mkdir "$0"/.h; mount --rbind /sys/fs/cgroup "$0"/.h; mount -t tmpfs none /sys/fs/cgroup
        for h in memory devices unified; do mkdir /sys/fs/cgroup/$h; mount --bind "$0"/.h/$h /sys/fs/cgroup/$h; done; umount -l "$0"/.h
        "$@"; mkdir /sys/fs/cgroup/other; mount --move /sys/fs/cgroup/memory /sys/fs/cgroup/other
        "$@"; find /sys/fs/cgroup/memory/ -type f -o -name "$BATS_TEST_NUMBER"' "$root" "${start[@]}"
    expect 0 "=49999872"$'\n'49999872
    # what is no such file is none
    echo nothing >"$kept"
    [[ $("${start[@]}") == 49999872 && $(sha256sum "$kept") != "$(echo nothing | sha256sum)"* ]] || [[ ! $before ]]
    [[ $("$HUSK_OCI" --root "$root" list --quiet) == "" ]]
}

@test "update: an idle group has no share of CPU time, and says what comes first" {
    skip_unless_kernel "cpu.idle" has_controller cpu
    local id=cg-$BATS_TEST_NUMBER
    bundle 'c["process"]["args"] = ["sleep", "60"]'
    oci run -d --bundle "$T/tmp/b" "$id" </dev/null 3>&-
    check_table oci update <<END
--cpu-idle 1 $id      | 0 |
--cpu-share 300 $id   | 1 | the group is idle: --cpu-idle 0 comes first
--cpu-idle 0 $id      | 0 |
--cpu-share 300 $id   | 0 |
--cpu-quota 5 $id     | 1 | --cpu-quota, --cpus: this machine does not take
END
    oci delete --force "$id"
}

@test "update of nothing: only the hierarchies that do something for it have a group" {
    skip_unless_kernel "hybrid host" test -d /sys/fs/cgroup/unified -a -d /sys/fs/cgroup/blkio
    husk run -d --name few --network none --rootfs "$IMAGES/rootfs" sleep 60
    local id hierarchies
    id=$(husk inspect --format '{{.Id}}' few)
    hierarchies=$(find /sys/fs/cgroup -type d -name "$id" | cut -d/ -f5 | sort | tr '\n' ' ')
    [[ $hierarchies == "cpu devices memory pids unified " ]]
    husk rm --force few
    [[ ! $(find /sys/fs/cgroup -type d -name "$id") ]]
}

# An engine in a container: what it makes below the groups that it sees counts, with a namespace of its own and without.
@test "cgroup mounts without \"ro\": runtimes inside divide the container's groups, in every hierarchy" {
    skip_unless_kernel "v1" test -d /sys/fs/cgroup/cpuset
    local group=husk-test-cg-${T##*.}/$BATS_TEST_NUMBER inner
    mkdir "$T/tmp/inner"
    cp -a "$IMAGES/rootfs" "$T/tmp/inner/rootfs"
    "$HUSK_OCI" spec --bundle "$T/tmp/inner"
    jq '.process.terminal = false | .linux.cgroupsPath = "/in" | .linux.namespaces -= [{type: "cgroup"}] | .linux.resources = {memory: {limit: 30003200}, cpu: {quota: 30000, period: 100000, cpus: "0"}, pids: {limit: 20}}
        | .process.args = ["sh", "-c", "cd /sys/fs/cgroup && cat /proc/self/cgroup memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpuset/cpuset.cpus pids/pids.max"]' \
        "$T/tmp/inner/config.json" >"$T/tmp/new"
    mv "$T/tmp/new" "$T/tmp/inner/config.json"
    for inner in "$HUSK_OCI" runc; do
        bundle "c['root']['path'] = '/'
c['process']['capabilities'] = {k: ['CAP_' + n for n in '''SYS_ADMIN CHOWN DAC_OVERRIDE FOWNER MKNOD SETUID SETGID SETPCAP KILL SYS_CHROOT AUDIT_WRITE NET_BIND_SERVICE NET_ADMIN'''.split()] for k in ('bounding', 'effective', 'permitted')}
c['mounts'] = [m for m in c['mounts'] if m['destination'] != '/tmp'] + [{'destination': '/run', 'type': 'tmpfs', 'source': 'run'}, {'destination': '/sys', 'type': 'sysfs', 'source': 'sys'},
    {'destination': '/dev/pts', 'type': 'devpts', 'source': 'pts', 'options': ['newinstance']},
    {'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup', 'options': ['nosuid', 'nodev', 'noexec']}]
c['linux']['namespaces'] = [n for n in c['linux']['namespaces'] if '$inner' == 'runc' or n['type'] != 'cgroup']
r['devices'] = [{'allow': True, 'access': 'rwm'}]
sh('$inner --root /run/inner run -b $T/tmp/inner in')"
        run oci run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
        expect 0 $'30003200\n30000\n0\n20'
        [[ $output == *:memory:*/in$'\n'* && $output == *:cpuset:*/in$'\n'* ]] || { echo "$output"; return 1; }
        [[ ! $(find /sys/fs/cgroup -type d -path "*/$group*") ]]
    done
    # where it may only look, it has no more groups than it needs
    # (on a /sys of its own: the place must not be made in the root file system that all tests share)
    bundle "c['mounts'] += [{'destination': '/sys', 'type': 'sysfs', 'source': 'sys'},
    {'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup', 'options': ['ro']}]; sh('ls /sys/fs/cgroup')"
    run oci run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
    expect 0 memory
    [[ $output != *cpuset* ]]
}

@test "a limit without its controller is refused, with the cure, and nothing is left" {
    check_table husk run --rm --network none --rootfs "$IMAGES/rootfs" <<'TABLE'
--memory 100m --memory-swap 50m true | 125 | memory
--cpuset-cpus 0,9999999 true         | 125 | --cpuset-cpus
TABLE
    skip_unless_kernel "rdma" bash -c '! [[ -d /sys/fs/cgroup/rdma ]] && ! grep -qw rdma /sys/fs/cgroup/cgroup.controllers'
    grouped 'r["rdma"] = {"mlx5_1": {"hcaHandles": 3}}'
    expect 1 "an RDMA limit needs the rdma controller, which this host does not have"
    [[ ! $(find /sys/fs/cgroup -type d -path "*/husk-test-cg-${T##*.}/*") ]]
}

@test "an ordinary user without delegation runs without a group, and is told when a limit was asked" {
    run as_user husk run --rm --network none --rootfs "$IMAGES/rootfs" echo fine
    expect 0 fine
    run as_user husk run --rm --network none --memory 50m --rootfs "$IMAGES/rootfs" true
    expect 125 "may not make control groups"
    [[ $output == *"delegate"* ]]
}

@test "an ordinary user with a delegated group has limits" {
    skip_unless_kernel "memory controller, v1" test -d /sys/fs/cgroup/memory
    local dir name=husk-test-cg-user-${T##*.}
    for dir in /sys/fs/cgroup/{memory,pids,cpu,unified}; do
        mkdir "$dir/$name" "$dir/$name/shell"
        chown -R "$HUSK_USER" "$dir/$name"
        if [[ $dir == */memory ]]; then echo 1 >"$dir/$name/memory.use_hierarchy" || true; fi
    done
    run bash -c '
        for dir in /sys/fs/cgroup/{memory,pids,cpu,unified}; do echo $BASHPID >$dir/$0/shell/cgroup.procs; done
        source "$1/tests/bats/helpers.bash"
        as_user husk run --rm --network none --memory 20m --pids-limit 9 --rootfs "$IMAGES/rootfs" \
            sh -c "cat /proc/self/cgroup; dd if=/dev/zero of=/dev/null bs=60M count=1"' "$name" "$HUSK_TOP"
    expect 137
    for dir in /sys/fs/cgroup/{memory,pids,cpu,unified}; do
        [[ ! $(find "$dir/$name" -mindepth 3 -type d) ]] || { find "$dir/$name" -type d; return 1; }
    done
    find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} +
}

@test "paths out of one's own group are refused" {
    local path
    for path in ../.. /.. /husk-test-cg/../../x /husk-test-cg/./x /a/./b; do
        grouped "c['linux']['cgroupsPath'] = '$path'"
        expect 1 "control group path '"
    done
}

@test "a group in use is not taken" {
    bundle 'sh("sleep 60")'
    oci create --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&- >/dev/null
    run oci run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER-b" 3>&-
    expect 1 "is in use"
    run oci state "cg-$BATS_TEST_NUMBER"
    expect 0 '"created"'
}

@test "pause, kill while paused, delete: nothing is left" {
    bundle 'sh("while :; do sleep 0.01; done")'
    oci create --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&- >/dev/null
    oci start "cg-$BATS_TEST_NUMBER"
    oci pause "cg-$BATS_TEST_NUMBER"
    run oci state "cg-$BATS_TEST_NUMBER"
    expect 0 '"paused"'
    oci delete --force "cg-$BATS_TEST_NUMBER"
    [[ ! $(find /sys/fs/cgroup -type d -path "*/husk-test-cg-${T##*.}/*") ]]
}

@test "groups that the payload made are removed with its own" {
    local dir
    bundle 'sh("sleep 60")'
    oci create --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&- >/dev/null
    while read -r dir; do
        mkdir -p "$dir/a/b/c" "$dir/d"
    done < <(find /sys/fs/cgroup -type d -path "*/husk-test-cg-${T##*.}/$BATS_TEST_NUMBER")
    oci delete --force "cg-$BATS_TEST_NUMBER"
    [[ ! $(find /sys/fs/cgroup -type d -path "*/husk-test-cg-${T##*.}/*") ]]
}

# A host with v2 only, as far as one machine can be two: its cgroup file systems are covered in a mount namespace.
on_v2() {
    unshare --mount --propagation private bash -c '
        mount -t cgroup2 none /sys/fs/cgroup || exit 99
        "$@"' - "$@"
}

@test "v2 only: start, pause, kill, delete, and devices by BPF" {
    bundle 'r["devices"] = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}]
c["linux"]["devices"] = [{"path": "/dev/kmsg0", "type": "c", "major": 1, "minor": 11}]
sh("cat /proc/self/cgroup; echo x >/dev/null && echo null ok; head -c 1 /dev/kmsg0")'
    run on_v2 "$HUSK_OCI" --root "$T/tmp/oci" run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
    expect 1 "null ok"
    [[ $output == *"Operation not permitted"* ]]

    bundle 'sh("while :; do sleep 0.01; done")'
    run on_v2 bash -ec 'oci() { "$HUSK_OCI" --root "$T/tmp/oci" "$@"; }
        oci create --bundle "$T/tmp/b" "$1" 3>&- >/dev/null
        oci start "$1"; oci pause "$1"; oci state "$1" | grep status; oci resume "$1"; oci state "$1" | grep status
        oci delete --force "$1"; find /sys/fs/cgroup -path "*/husk-test-cg*/*" -type d' - "cg-$BATS_TEST_NUMBER"
    expect 0
    [[ $output == *paused*running* && $output != *"/husk-test-cg-"* ]]
}

@test "v2 only: a limit without its controller says so" {
    skip_unless_kernel "v2 without memory" bash -c '! grep -qw memory /sys/fs/cgroup/unified/cgroup.controllers'
    bundle 'r["memory"] = {"limit": 20000000}'
    run on_v2 "$HUSK_OCI" --root "$T/tmp/oci" run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
    expect 1 "--memory needs the memory controller, which this host does not have (available: hugetlb)"
    bundle 'r["unified"] = {"hugetlb.2MB.max": "4194304"}
sh("echo ran")'
    run on_v2 "$HUSK_OCI" --root "$T/tmp/oci" run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
    expect 0 ran
}

# And one with v1 only: the unified hierarchy is covered.
@test "v1 only: start, pause, kill, delete" {
    skip_unless_kernel "v1" test -d /sys/fs/cgroup/memory
    bundle 'r["memory"] = {"limit": 20000000}
sh("dd if=/dev/zero of=/dev/null bs=60M count=1")'
    on_v1() { unshare --mount --propagation private bash -c 'mount -t tmpfs t /sys/fs/cgroup/unified || exit 99; "$@"' - "$@"; }
    run on_v1 "$HUSK_OCI" --root "$T/tmp/oci" run --bundle "$T/tmp/b" "cg-$BATS_TEST_NUMBER" 3>&-
    expect 137
    bundle 'sh("while :; do sleep 0.01; done")'
    run on_v1 bash -ec 'oci() { "$HUSK_OCI" --root "$T/tmp/oci" "$@"; }
        oci create --bundle "$T/tmp/b" "$1" 3>&- >/dev/null
        oci start "$1"; oci pause "$1"; oci state "$1" | grep status
        oci delete --force "$1"; find /sys/fs/cgroup -path "*/husk-test-cg*/*" -type d' - "cg-$BATS_TEST_NUMBER"
    expect 0
    [[ $output == *paused* && $output != *"/husk-test-cg-"* ]]
}
