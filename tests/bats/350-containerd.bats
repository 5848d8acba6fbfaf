#!/usr/bin/env bats
# containerd and ctr with husk-oci as the runtime of their shim.
# shellcheck disable=SC2016,SC2154

load helpers
load peers

IMAGE=docker.io/library/busybox:latest

setup_file() {
    husk_setup_file || return 1
    world_begin
    cat >"$T/containerd.toml" <<END
version = 2
root = "$T/containerd"
state = "/run/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd.sock"
END
    peer_spawn containerd containerd --config "$T/containerd.toml"
    wait_until 60 ctr version || { cat "$T/containerd.log"; return 1; }
    ctr images import "$IMAGES/busybox.tar" >/dev/null
}
teardown_file() {
    local failed=0
    world_end || failed=1
    husk_teardown_file || failed=1
    return $failed
}

teardown() {
    peer_logs
    local id
    for id in $(ctr containers ls -q); do
        ctr task kill -s KILL "$id" 2>/dev/null || true
        wait_until 30 is_over "$id"
        ctr task rm "$id" >/dev/null 2>&1 || true
        ctr containers rm "$id"
    done
    [[ ! $(peer_groups) ]] || { echo "groups are left: $(peer_groups)"; return 1; }
}
is_over() { ! ctr task ls | grep -E "^$1 .*(RUNNING|PAUSED|CREATED)"; }

ctr() { in_world ctr --address /run/containerd.sock "$@"; }
# ctr_run ID [OPTION...] -- COMMAND...
ctr_run() {
    local id=$1
    shift
    local -a options=()
    while [[ $1 != -- ]]; do options+=("$1") && shift; done
    shift
    ctr run --runc-binary "$HUSK_OCI" --runc-root /run/husk-ctr --fifo-dir "$T/tmp/fifo" --cgroup "/$PEER_GROUP/$id" \
        "${options[@]}" "$IMAGE" "$id" "$@"
}
status_of() { ctr task ls | awk -v id="$1" '$1 == id { print $3 }'; }
has_status() { [[ $(status_of "$1") == "$2" ]]; }
pid_of() { ctr task ls | awk -v id="$1" '$1 == id { print $2 }'; }

@test "containerd: run ends with the program's status, or says why not" {
    try() { ctr_run "$@"; }
    check_table try <<'END'
a --rm -- true                                     | 0   | =
a --rm -- sh -c 'echo out; echo err >&2; exit 32'  | 32  | out
a --rm -- sh -c 'sleep 100 & kill -9 $!; wait $!'   | 137 |
a --rm -- hostname                                 | 0   |
a --rm --cwd /new/dir -- pwd                       | 0   | =/new/dir
a --rm --env A=b -- sh -c 'echo $A'                | 0   | =b
a --rm --read-only -- touch /x                     | 1   | Read-only file system
a --rm --cap-add CAP_SYS_TIME -- grep CapEff /proc/self/status | 0 | 00000000aa0425fb
a --rm --seccomp -- grep Seccomp: /proc/self/status | 0  | 2
a --rm --privileged -- ls -l /dev/ptmx             | 0   | pts/ptmx
a --rm --device /dev/fuse -- ls /dev/fuse          | 0   | /dev/fuse
a --rm -- grep NoNew /proc/self/status             | 0   | 1
a --rm --allow-new-privs -- grep NoNew /proc/self/status | 0 | 0
a -- /nope                                         | 1   | exec '/nope': no such file or directory
END
    ctr containers rm a
    try() { ctr_run "$@"; }
    check_table try <<'END'
b -- /etc                                          | 1   | exec '/etc': permission denied
END
}

@test "containerd: a task's life: exec, pause, resume, kill, metrics" {
    ctr_run c --detach --memory-limit 67108864 --cpu-quota 30000 --cpu-period 100000 -- \
        sh -c 'trap "exit 9" USR1; while :; do sleep 0.1; done'
    has_status c RUNNING
    local pid
    pid=$(pid_of c)
    [[ $(limit_of "$pid" memory memory.limit_in_bytes) == 67108864 ]]
    [[ $(limit_of "$pid" cpu cpu.cfs_quota_us) == 30000 ]]

    run ctr task exec --exec-id e1 --user 5 --cwd /tmp c sh -c 'id -u; pwd; exit 7'
    expect 7 $'5\n/tmp'
    run ctr task exec --exec-id e2 c /nope
    expect 1 "exec '/nope': no such file or directory"
    run in_terminal nsenter --target "$WORLD" --mount --net --pid -- ctr --address /run/containerd.sock \
        task exec --tty --exec-id e3 c tty
    expect 0 /dev/pts/0

    ctr task pause c
    has_status c PAUSED
    [[ $(in_world "$HUSK_OCI" --root /run/husk-ctr/default state c | jq -r .status) == paused ]]
    ctr task resume c
    has_status c RUNNING
    ctr task ps c | grep -q "^$pid "

    # of this container: not of the machine, which has used more than a minute since it booted
    local nanoseconds
    nanoseconds=$(ctr task metrics --format json c | jq '[.. | objects | .usage? | objects | .total? // empty | tonumber] | first')
    ((nanoseconds > 0 && nanoseconds < 60000000000)) || { ctr task metrics c; return 1; }

    ctr task kill -s USR1 c
    wait_until 30 has_status c STOPPED
    run ctr task delete c
    expect 0 "exit code 9"
}

@test "containerd: a terminal, its size and a new one, and what is typed" {
    local -a ctr=(nsenter --target "$WORLD" --mount --net --pid -- ctr --address /run/containerd.sock)
    peer_resize "${ctr[@]}" run --rm --tty --runc-binary "$HUSK_OCI" --runc-root /run/husk-ctr --fifo-dir "$T/tmp/fifo" \
        --cgroup "/$PEER_GROUP/t" "$IMAGE" t
    output_has /dev/pts/0
    ctr_run e --detach -- sleep 1000
    peer_resize "${ctr[@]}" task exec --tty --exec-id e1 e
}

@test "containerd: what is killed for its memory is reported as such" {
    ctr events >"$T/tmp/events" 3>&- &
    local events=$!
    wait_until 30 is_listening
    # The shim looks at the group only once the container has started, whatever the runtime: so it is to have started.
    ctr_run o --detach --memory-limit 20971520 -- sleep 1000
    wait_until 30 grep -q '/tasks/start .*"o"' "$T/tmp/events"
    run ctr task exec --exec-id greedy --fifo-dir "$T/tmp/fifo" o dd if=/dev/zero of=/dev/null bs=100M count=1
    [[ $status -eq 137 ]]
    wait_until 30 grep -q '/tasks/oom .*"o"' "$T/tmp/events"
    kill "$events"
}
# events come only from when the client is known: a namespace's label is an event of its own
is_listening() { ctr namespaces label default at=$RANDOM && [[ -s $T/tmp/events ]]; }

@test "containerd: a container with a namespace of another" {
    ctr_run one --detach -- sleep 1000
    local pid
    pid=$(pid_of one)
    run ctr_run two --rm --with-ns "network:/proc/$pid/ns/net" --with-ns "ipc:/proc/$pid/ns/ipc" -- readlink /proc/self/ns/net
    expect 0 "=$(in_world readlink "/proc/$pid/ns/net")"
}
