#!/usr/bin/env bats
# husk-oci update, events, kill and delete by regular expression, exec's control groups, what is handed on: descriptors,
# pidfds, readiness, keyrings; as root and, where it can, as an ordinary user.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup_file() {
    husk_setup_file
    has_v1() { [[ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; }
    export V1=
    ! has_v1 || V1=1
}
teardown() {
    remove_oci
    [[ ! ${LISTENER-} ]] || kill "$LISTENER" 2>/dev/null || true
}

started() { # ID [JQ]: a container that sleeps
    bundle "$(sh_c 'trap "exit 0" TERM; sleep 1000 & wait')"
    change "${2:-.}"
    oci run -d -b "$B" "$1" >/dev/null 2>&1 </dev/null
}
# limit v1-file v2-file: what the container's group has.
limit() {
    if [[ $V1 ]]; then
        cat /sys/fs/cgroup/"${1%%.*}/husk/$GROUP/$1"
    else
        cat "/sys/fs/cgroup/husk/$GROUP/$2"
    fi
}
needs_controllers() {
    skip_unless_kernel "no memory and pids controllers for control groups here" sh -c \
        'grep -qw memory /sys/fs/cgroup/cgroup.controllers || test -e /sys/fs/cgroup/memory/memory.limit_in_bytes'
}

@test "update: options and their values" {
    needs_controllers
    started c1
    oci update --memory 50m --memory-reservation 10m --pids-limit 30 --cpu-quota 20000 --cpu-period 100000 --cpu-share 512 c1
    [[ $(limit memory.limit_in_bytes memory.max) == 52428800 ]]
    [[ $(limit memory.soft_limit_in_bytes memory.low) == 10485760 ]]
    [[ $(limit pids.max pids.max) == 30 ]]
    [[ $(limit cpu.cfs_quota_us cpu.max) == 20000* ]]
    [[ $(limit cpu.shares cpu.weight) == @(512|59) ]]
    # what is not named stays as it is; -1 lifts a limit
    oci update --pids-limit -1 c1
    [[ $(limit pids.max pids.max) == max && $(limit memory.limit_in_bytes memory.max) == 52428800 ]]
    oci update --memory -1 c1
    [[ $(limit memory.limit_in_bytes memory.max) == @(max|9223372036854771712) ]]
}

@test "update -r: a file, and standard input" {
    needs_controllers
    started c1
    echo '{"memory": {"limit": 31457280}, "pids": {"limit": 12}}' >"$T/tmp/r.json"
    oci update -r "$T/tmp/r.json" --pids-limit 99 c1 # runc: no other option counts beside a file
    [[ $(limit memory.limit_in_bytes memory.max) == 31457280 && $(limit pids.max pids.max) == 12 ]]
    oci update --resources - c1 <<<'{"pids": {"limit": 13}}'
    [[ $(limit pids.max pids.max) == 13 ]]
    # checkBeforeUpdate; engines take "container not running" at its word
    run oci update -r - c1 <<<'{"memory": {"limit": 1024, "checkBeforeUpdate": true}}'
    expect 1 "bytes are in use, more than the new limit of 1024"
    [[ $output != *"not running"* && $(limit memory.limit_in_bytes memory.max) == 31457280 ]]
    echo '{"memory": {"limit": "x"}}' >"$T/tmp/bad.json"
    check_table oci <<END
update -r "$T/tmp/bad.json" c1 | 1 | memory: limit: expected an integer, got string
update -r /no/such c1          | 1 | --resources: open '/no/such': No such file or directory
update --memory 12q c1         | 1 | --memory: '12q'
update --cpu-period -5 c1      | 1 | --cpu-period: -5 is negative
update --l3-cache-schema L3:0=f c1 | 1 | --l3-cache-schema, --mem-bw-schema: no resctrl file system is mounted: 'mount -t resctrl
update --memory 20m nope       | 1 | container 'nope' does not exist
update                         | 1 | ID
END
    [[ $(limit pids.max pids.max) == 13 ]]
    oci kill c1 KILL
    wait_until 30 stopped c1
    run oci update --pids-limit 5 c1
    expect 1 "cannot update container 'c1': it is stopped: container not running"
}
stopped() { [[ $(oci state "$1" | jq -r .status) == stopped ]]; }

@test "events --stats: runc's document" {
    needs_controllers
    started c1
    oci update --pids-limit 30 c1
    run oci events --stats c1
    [[ $status == 0 ]]
    jq -e '.type == "stats" and .id == "c1" and .data.pids.limit == 30 and .data.pids.current >= 1
        and (.data | has("cpu") and has("memory") and has("blkio") and has("hugetlb") and has("intel_rdt") and has("network_interfaces"))
        and .data.cpu.usage.total > 0 and .data.memory.usage.usage > 0 and (.data.memory.raw | length) > 10' <<<"$output"
    skip_unless_kernel "no pressure is kept" grep -q some /proc/pressure/cpu
    if [[ $V1 ]]; then
        skip_unless_kernel "no pressure of control groups" test -e /sys/fs/cgroup/unified/cgroup.controllers -a -e "/sys/fs/cgroup/unified/husk/$GROUP/cpu.pressure"
    fi
    jq -e '.data.cpu.psi.some.total >= 0 and .data.memory.psi.full.avg10 >= 0 and (.data.blkio.psi.some | has("avg300"))' <<<"$output"
    run oci events --interval 0s c1
    expect 1 "--interval"
}

@test "events: at intervals, shortage of memory, and the container's end" {
    needs_controllers
    bundle "$(sh_c 'trap "exit 0" TERM; while ! test -e /tmp/go; do sleep 0.1; done; head -c 200m /dev/zero | tail >/dev/null; while :; do sleep 1; done')"
    change '.root.readonly = false'
    oci run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
    oci update --memory 20m --memory-swap 20m c1
    oci events --interval 100ms c1 >"$T/tmp/events" 3>&- &
    LISTENER=$!
    wait_until 30 grep -q '"stats"' "$T/tmp/events"
    touch "$B/rootfs/tmp/go"
    wait_until 30 grep -q '"oom"' "$T/tmp/events"
    [[ $(grep '"oom"' "$T/tmp/events" | head -n 1 | jq -c .) == '{"type":"oom","id":"c1"}' ]]
    oci kill c1 KILL || stopped c1 # when the shortage was its shell's
    wait "$LISTENER" # the end of the container is the end of its events
    LISTENER=
    (($(jq -s '[.[] | select(.type == "stats")] | length' "$T/tmp/events") >= 1))
}

@test "kill --regex, delete --regex: all that match, and no other" {
    local id
    for id in web-1 web-2 db-1; do started $id; done
    oci kill --regex '^web-' KILL
    wait_until 30 stopped web-1
    wait_until 30 stopped web-2
    run stopped db-1
    ((status != 0))
    oci delete -r '^web-[12]$'
    [[ $(oci list -q) == db-1 ]]
    run oci delete --regex '['
    expect 1 "--regex: '['"
    oci delete --force --regex .
    [[ ! $(oci list -q) ]]
}

@test "exec --cgroup: below the container's own group" {
    bundle "$(sh_c 'trap "exit 0" TERM; sleep 1000 & wait')"
    change 'del(.linux.namespaces[] | select(.type == "cgroup"))'
    oci run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
    local dir made=()
    for dir in /sys/fs/cgroup/*/husk/"$GROUP" /sys/fs/cgroup/husk/"$GROUP"; do
        [[ ! -d $dir ]] || { mkdir "$dir/jobs" && made+=("$dir/jobs"); }
    done
    ((${#made[@]}))
    run oci exec --cgroup jobs c1 cat /proc/self/cgroup
    expect 0 "/husk/$GROUP/jobs"
    [[ $output != *"/husk/$GROUP"$'\n'* && $output != *"/husk/$GROUP" ]]
    run oci exec --cgroup / c1 cat /proc/self/cgroup
    expect 0 "/husk/$GROUP"
    [[ $output != *"$GROUP/jobs"* ]]
    if [[ $V1 ]]; then
        run oci exec --cgroup memory:jobs c1 cat /proc/self/cgroup
        grep -q "memory:/husk/$GROUP/jobs\$" <<<"$output"
        grep -q "devices:/husk/$GROUP\$" <<<"$output"
    fi
    check_table oci <<'END'
exec --cgroup nope c1 true     | 255 | no control group 'nope' below its own
exec --cgroup ../.. c1 true    | 255 | '..'
exec --cgroup nope:jobs c1 true | 255 | nope controller
exec --cgroup :jobs c1 true    | 255 | names no controller
END
    rmdir "${made[@]}"
}

@test "exec --ignore-paused: starts when the container is resumed" {
    started c1
    wait_until 30 it_sleeps c1
    oci pause c1
    run oci exec c1 true
    expect 255 "cannot exec in container 'c1': it is paused"
    oci exec --ignore-paused c1 sh -c 'echo ran' >"$T/tmp/paused" 2>&1 3>&- &
    LISTENER=$!
    wait_until 30 two_processes c1
    [[ ! -s $T/tmp/paused ]]
    oci resume c1
    wait "$LISTENER"
    LISTENER=
    [[ $(<"$T/tmp/paused") == ran ]]
}
it_sleeps() { (($(oci ps -f json "$1" | jq length) >= 2)); }
two_processes() { (($(oci ps -f json "$1" | jq length) >= 3)); } # the shell, its sleep, and ours

@test "exec --process, --pid-file, --cap, --user, --additional-gids, --cwd, --env" {
    started c1
    echo '{"args": ["sh", "-c", "pwd; id; echo $X"], "cwd": "/tmp", "env": ["PATH=/bin:/usr/bin", "X=y"], "user": {"uid": 5, "gid": 6}}' >"$T/tmp/p.json"
    run oci exec --process "$T/tmp/p.json" --pid-file "$T/tmp/pid" c1
    expect 0 "=/tmp
uid=5 gid=6
y"
    [[ $(<"$T/tmp/pid") =~ ^[0-9]+$ ]]
    run oci exec -u 7:8 -g 9 --cwd /tmp -e X=z -c CAP_CHOWN c1 sh -c 'id; pwd; echo $X; grep CapBnd /proc/self/status'
    expect 0 "=uid=7 gid=8 groups=9
/tmp
z
CapBnd:	0000000020000421"
}

# receive SOCKET FILE: accepts once, and writes the pid behind the pidfd that arrives.
receive() {
    python3 - "$1" "$2" 3>&- <<'PY' &
import array, os, re, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
c, _ = s.accept()
fds = array.array("i")
data, anc, _, _ = c.recvmsg(16, socket.CMSG_SPACE(4))
fds.frombytes(anc[0][2][:4])
pid = re.search(r"^Pid:\s*(-?\d+)", open("/proc/self/fdinfo/%d" % fds[0]).read(), re.M).group(1)
open(sys.argv[2] + ".new", "w").write(pid)
os.rename(sys.argv[2] + ".new", sys.argv[2])
PY
    LISTENER=$!
    wait_until 30 test -S "$1"
}

@test "create and exec --pidfd-socket: the pidfd of the process" {
    bundle "$(sh_c 'sleep 1000')"
    receive "$TRUN/p1" "$T/tmp/pid1"
    oci create -b "$B" --pidfd-socket "$TRUN/p1" c1 >/dev/null 2>&1 </dev/null
    wait "$LISTENER"
    [[ $(<"$T/tmp/pid1") == $(oci state c1 | jq -r .pid) ]]
    oci start c1
    receive "$TRUN/p2" "$T/tmp/pid2"
    oci exec -d --pidfd-socket "$TRUN/p2" --pid-file "$T/tmp/pid3" c1 sleep 100 >/dev/null 2>&1 </dev/null
    wait "$LISTENER"
    LISTENER=
    [[ $(<"$T/tmp/pid2") == $(<"$T/tmp/pid3") ]]
    run oci exec --pidfd-socket /no/such c1 true
    expect 255 "--pidfd-socket '/no/such'"
}

@test "--preserve-fds and LISTEN_FDS: the program has them, and no others" {
    bundle "$(sh_c 'cat <&3; cat <&4; echo $LISTEN_FDS; echo x 2>/dev/null >&5 || echo closed')"
    echo three >"$T/tmp/3"
    echo four >"$T/tmp/4"
    change '.process.env += ["LISTEN_FDS=1"]'
    LISTEN_FDS=1 run oci run --preserve-fds 1 -b "$B" c1 3<"$T/tmp/3" 4<"$T/tmp/4" 5>"$T/tmp/5"
    expect 0 "=three
four
1
closed"
    run oci run --preserve-fds 5 -b "$B" c1 3<"$T/tmp/3" 4>&- 5>&-
    expect 1 "--preserve-fds: descriptor 4 is not open"
    LISTEN_FDS=x run oci run -b "$B" c1
    expect 1 "LISTEN_FDS: 'x'"
}

# host_notify SOCKET FILE: systemd's end.
host_notify() {
    python3 - "$1" "$2" 3>&- <<'PY' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
open(sys.argv[2] + ".new", "wb").write(s.recv(4096))
os.rename(sys.argv[2] + ".new", sys.argv[2])
PY
    LISTENER=$!
    wait_until 30 test -S "$1"
}

@test "NOTIFY_SOCKET: READY=1 goes on, with MAINPID when we do not stay" {
    command -v python3 >/dev/null
    bundle '.process.args = ["/say", "/run/notify/notify.sock"]'
    mkdir -p "$B/rootfs/run"
    cat >"$T/tmp/say.c" <<'C'
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <stdlib.h>
int main(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);
    strcpy(a.sun_path, getenv("NOTIFY_SOCKET"));
    sendto(s, "STATUS=not yet", 14, 0, (void *)&a, sizeof a);
    if (sendto(s, "STATUS=up\nREADY=1\n", 18, 0, (void *)&a, sizeof a) != 18)
        return 3;
    sleep(1000);
    return 0;
}
C
    gcc -static -o "$B/rootfs/say" "$T/tmp/say.c"
    host_notify "$TRUN/n1" "$T/tmp/n1"
    NOTIFY_SOCKET=$TRUN/n1 oci create -b "$B" c1 >/dev/null 2>&1 </dev/null
    NOTIFY_SOCKET=$TRUN/n1 oci start c1
    wait "$LISTENER"
    [[ $(<"$T/tmp/n1") == "MAINPID=$(oci state c1 | jq -r .pid)"$'\n'READY=1 ]]
    oci delete --force c1
    host_notify "$TRUN/n2" "$T/tmp/n2"
    NOTIFY_SOCKET=$TRUN/n2 oci run -b "$B" c2 </dev/null >/dev/null 2>&1 3>&- &
    local runner=$!
    wait "$LISTENER"
    LISTENER=
    [[ $(<"$T/tmp/n2") == READY=1 ]]
    oci kill c2 KILL
    wait "$runner" || true
    [[ $(oci list -q) == '' ]]
}

@test "keyrings: one of the container's own, or the caller's with --no-new-keyring" {
    skip_unless_kernel "no keys" grep -q . /proc/keys
    bundle '.process.args = ["/ring"]'
    # runs a program in a session keyring named husk-caller, or prints the name of the one that it is in
    cat >"$T/tmp/ring.c" <<'C'
#include <linux/keyctl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    char text[256] = "";
    if (argc > 1)
        return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "husk-caller") < 0 || execvp(argv[1], argv + 1);
    syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof text - 1);
    return puts(text) < 0;
}
C
    gcc -static -o "$B/rootfs/ring" "$T/tmp/ring.c"
    ringed() { "$B/rootfs/ring" "$HUSK_OCI" --root "$TRUN/oci" "$@"; }
    run ringed run --no-new-keyring -b "$B" c1
    expect 0 ";husk-caller"
    run ringed run -b "$B" c1
    expect 0 ";_ses"
    change '.process.args = ["sleep", "1000"]'
    ringed run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
    run ringed exec c1 /ring
    expect 0 ";_ses"
    oci delete -f c1
    ringed run -d --no-new-keyring -b "$B" c1 >/dev/null 2>&1 </dev/null
    run ringed exec c1 /ring
    expect 0 ";husk-caller"
}

@test "--config: another file than config.json, for exec as well" {
    bundle "$(sh_c 'sleep 1000')"
    jq '.process.env += ["OTHER=yes"] | .process.cwd = "/tmp"' "$B/config.json" >"$B/other.json"
    oci run -d -b "$B" -f other.json c1 >/dev/null 2>&1 </dev/null
    rm "$B/other.json" # as podman does not, but others may
    run oci exec c1 sh -c 'pwd; echo $OTHER'
    expect 0 "=/tmp
yes"
    run oci run -b "$B" --config nope.json c2
    expect 1 "nope.json"
}

@test "an ordinary user: exec, kill and delete by regular expression, events says why not" {
    ((EUID == 0)) || return 0
    user_bundle "$(sh_c 'sleep 1000')"
    user_oci run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
    run user_oci exec -e X=1 c1 sh -c 'echo $X'
    expect 0 "=1"
    if ! user_oci ps -f json c1 >/dev/null || [[ ! $(jq -r '.cgroup // empty' "$USER_RUN/oci/c1/state.json") ]]; then
        run user_oci update --pids-limit 5 c1
        expect 1 "it has no control group"
        run user_oci events --stats c1
        expect 1 "it has no control group that would count"
    fi
    user_oci kill -r '^c' KILL
    wait_until 30 user_stopped c1
    user_oci delete -r '^c'
    [[ ! $(user_oci list -q) ]]
}
user_stopped() { [[ $(user_oci state "$1" | jq -r .status) == stopped ]]; }
