#!/usr/bin/env bats
# A container whose mount namespace is another's: joined by path, or the caller's own. It has a root that is mounted
# nowhere: the others see nothing of it, nothing can be left, and there is no way up out of it. What the usual way would
# have done (mount there, then chroot) is shown too: those parts are marked "naive".
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup() {
    [[ -x $T/inside ]] || gcc -O1 -static -o "$T/inside" -x c - <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "escape")) { /* the old way out of a chroot */
        int here = open("/", O_RDONLY | O_DIRECTORY);
        mkdir("/cell", 0700);
        if (chroot("/cell") < 0 || fchdir(here) < 0)
            return perror("chroot"), 2;
        for (int i = 0; i < 100; i++)
            if (chdir("..") < 0)
                return perror("chdir"), 2;
        if (chroot(".") < 0)
            return perror("chroot"), 2;
        puts(access(argv[2], F_OK) == 0 ? "escaped" : "caught");
        return 0;
    }
    printf("%d\n", (int)geteuid());
    return 0;
}
END
    pids=()
}
teardown() {
    remove_oci
    ((${#pids[@]} == 0)) || kill "${pids[@]}"
}

# A mount namespace of somebody's, $somebody its process.
others() {
    unshare --mount --propagation private sleep 1000 &
    somebody=$!
    pids+=("$somebody")
    wait_until 5 other_mounts
}
# What was there may go (a directory that another test removes takes its mounts along everywhere); nothing may come.
nothing_new() {
    ! grep -vxFf "$T/tmp/before" "/proc/$somebody/mountinfo"
}
other_mounts() { [[ $(readlink "/proc/$somebody/ns/mnt") != "$(readlink /proc/self/ns/mnt)" ]]; }

join='.linux.namespaces |= map(if .type == "mount" then .path = $path else . end)'
joined_bundle() { # JQ
    bundle "$1"
    jq --arg path "/proc/$somebody/ns/mnt" "$join" "$B/config.json" >"$B/new"
    mv "$B/new" "$B/config.json"
}
none='.linux.namespaces |= map(select(.type != "mount"))'

@test "the process is in the namespace of the path, and sees its own root, mounts and masks alone" {
    others
    cat "/proc/$somebody/mountinfo" >"$T/tmp/before"
    joined_bundle '.process.args = ["sleep", "1000"] | .mounts += [{destination: "/data", type: "tmpfs", source: "x", options: ["ro"]}]'
    oci run -d -b "$B" c1 >/dev/null
    pid=$(oci state c1 | jq .pid)
    [[ $(readlink "/proc/$pid/ns/mnt") == "$(readlink "/proc/$somebody/ns/mnt")" ]]
    nothing_new
    # a root of its own, /proc of its own pid namespace, masked and read-only paths
    run oci exec c1 sh -c 'readlink /proc/self >/dev/null && cat /proc/1/comm; ls /bin/busybox; cat /proc/timer_list; echo x >/proc/sys/kernel/shmmax; echo x >/data/x; ls -d '"$T"
    echo "$output"
    [[ $output == *"sleep"* && $output == */bin/busybox* && $output == *"/proc/sys/kernel/shmmax: Read-only"* ]]
    [[ $output == *"/data/x: Read-only"* && $output == *"ls: $T: No such file"* ]]
    # the somebody's /proc is masked nowhere
    [[ $(nsenter --mount="/proc/$somebody/ns/mnt" wc -l </proc/timer_list) -gt 0 || ! -s /proc/timer_list ]]
    nothing_new
    oci delete --force c1
    nothing_new
    assert_gone c1
}

@test "without a mount namespace in the list it is the caller's: run, create and start, terminal, hooks, exec, delete" {
    bundle "$none"' | .process.args = ["sh", "-c", "readlink /proc/self/ns/mnt; ls /; exit 7"]'
    run oci run -b "$B" c1
    expect 7 "$(readlink /proc/self/ns/mnt)"
    [[ $output == *busybox* || $output == *bin* ]]
    printf '#!/bin/sh\nreadlink /proc/self/ns/mnt >%s\n' "$T/tmp/hook" >"$T/tmp/hook.sh"
    chmod 755 "$T/tmp/hook.sh"
    change ".hooks.createContainer = [{path: \"$T/tmp/hook.sh\"}] | .process.args = [\"sleep\", \"1000\"]"
    oci create -b "$B" c1 </dev/null >/dev/null 2>&1
    [[ -s $T/tmp/hook ]]
    oci start c1
    run oci exec c1 cat /proc/1/comm
    expect 0 sleep
    run oci exec -t c1 tty
    expect 0 /dev/pts
    run oci mounts add c1 "$B/config.json"
    expect 1 "cannot mount into container 'c1': its mount namespace is another's"
    run oci checkpoint c1
    expect 1 "cannot checkpoint container 'c1': its mount namespace is another's"
    oci kill c1 KILL
    wait_until 5 is_stopped c1
    oci delete c1
    assert_gone c1
}
is_stopped() { [[ $(oci state "$1" | jq -r .status) == stopped ]]; }

@test "attack: no way up out of the root, by chroot, by exec, by a new user namespace" {
    cp "$T/inside" "$T/tmp/inside"
    bundle "$none"' | .root.readonly = false | .process.capabilities |= map_values(. + ["CAP_SYS_CHROOT"])'
    cp "$T/inside" "$B/rootfs/inside"
    change ".process.args = [\"/inside\", \"escape\", \"$T/inside\"]"
    run oci run -b "$B" c1
    expect 0 caught
    # naive: the same program after a chroot into a mounted directory
    mkdir "$T/tmp/root"
    run unshare --mount --propagation private sh -c "mount --bind '$B/rootfs' '$T/tmp/root' && exec chroot '$T/tmp/root' /inside escape '$T/inside'"
    expect 0 escaped
    change '.process.args = ["sleep", "1000"]'
    oci run -d -b "$B" c1 >/dev/null
    run oci exec c1 ls "$T/inside"
    expect 1 "No such file"
    run oci exec c1 /inside escape "$T/inside"
    expect 0 caught
    run oci exec c1 unshare -U true
    ((status != 0))
    # naive: what enters the namespace has that namespace's root
    nsenter --target "$(oci state c1 | jq .pid)" --mount ls "$T/inside"
    # set-user-ID has no effect in a tree that is mounted nowhere
    chmod 4755 "$B/rootfs/inside"
    run oci exec -u 1000:1000 c1 /inside
    expect 0 1000
}

@test "attack: what is no mount namespace, a type named twice, a user namespace beside it" {
    bundle '.process.args = ["true"]'
    cp "$B/config.json" "$B/plain"
    echo x >"$T/tmp/file"
    mkfifo "$T/tmp/fifo"
    try() {
        local filter
        case $1 in
        join) filter=$join ;;
        twice) filter='.linux.namespaces += [{type: "mount"}]' ;;
        both) filter='.linux.namespaces += [{type: "pid", path: "/proc/self/ns/pid"}]' ;;
        user) filter="$none"' | .linux.namespaces += [{type: "user"}] | .linux.gidMappings = .linux.uidMappings
            | .linux.uidMappings = [{containerID: 0, hostID: 1000, size: 10}]' ;;
        esac
        jq --arg path "${2-}" "$filter" "$B/plain" >"$B/config.json"
        oci run -b "$B" c1
    }
    check_table try <<END
join $T/tmp/file       | 1 | is not a namespace
join $T/tmp/fifo       | 1 | is not a namespace
join /proc/self/ns/net | 1 | is a namespace of type network, not mount
join /no/such          | 1 | open namespace '/no/such'
twice                  | 1 | 'mount' is there twice
both                   | 1 | 'pid' is there twice
user                   | 1 | a new user namespace needs a new mount namespace
END
    assert_gone c1
}

@test "a start that fails at a mount, at a hook or at the program leaves the others' namespace as it was" {
    others
    cat "/proc/$somebody/mountinfo" >"$T/tmp/before"
    joined_bundle '.process.args = ["true"]'
    cp "$B/config.json" "$B/plain"
    try() { jq "$1" "$B/plain" >"$B/config.json"; oci run -b "$B" c1; }
    check_table try <<'END'
'.mounts += [{destination: "/x", type: "nosuchfs", source: "x"}]'     | 1 | mount '/x'
'.mounts += [{destination: "/x", type: "bind", source: "/no/such", options: ["bind"]}]' | 1 | /no/such
'.hooks.createContainer = [{path: "/bin/false"}]'                     | 1 | /bin/false
'.process.args = ["/no/such"]'                                        | 1 | /no/such
'.root.readonly = true'                                               | 0 |
END
    nothing_new
    assert_gone c1
}

@test "killed after any row of its start it leaves no mount anywhere" {
    FAULT=${HUSK_FAULT_BUILD:-$HUSK_TOP/build-clang}
    [[ -x $FAULT/bin/husk-oci ]] || skip "no build with fault points in HUSK_FAULT_BUILD"
    others
    cat "/proc/$somebody/mountinfo" >"$T/tmp/before"
    joined_bundle '.process.args = ["true"]'
    local side row fired=0 status
    for side in parent child; do
        for ((row = 0; row < 40; row++)); do
            status=0
            HUSK_FAULT=kill-$side@$row "$FAULT/bin/husk-oci" --root "$TRUN/oci" run -b "$B" c1 </dev/null >/dev/null 2>&1 || status=$?
            ((status == 0)) || fired=$((fired + 1))
            "$FAULT/bin/husk-oci" --root "$TRUN/oci" delete --force c1
            wait_until 5 assert_gone c1 || { assert_gone c1; echo "$side at row $row"; return 1; }
            nothing_new || { echo "$side at row $row"; return 1; }
        done
    done
    echo "fired: $fired"
    ((fired >= 15))
}

@test "an ordinary user joins the mount namespace of a user namespace that is his" {
    user_bundle '.process.args = ["sleep", "1000"]'
    user_oci run -d -b "$B" c1 >/dev/null
    pid=$(user_oci state c1 | jq .pid)
    local first=$B
    user_bundle '.process.args = ["readlink", "/proc/self/ns/mnt"]'
    jq --arg pid "$pid" '.linux.namespaces |= map(if .type == "mount" then .path = "/proc/\($pid)/ns/mnt" elif .type == "user" then .path = "/proc/\($pid)/ns/user" else . end) | del(.linux.uidMappings, .linux.gidMappings)' \
        "$B/config.json" >"$B/new"
    cat "$B/new" >"$B/config.json"
    cat "/proc/$pid/mountinfo" >"$T/tmp/before"
    run user_oci run -b "$B" c2
    expect 0 "$(readlink "/proc/$pid/ns/mnt")"
    diff "$T/tmp/before" "/proc/$pid/mountinfo"
    # and the host's is not his to share
    user_bundle "$none"
    run user_oci run -b "$B" c3
    expect 1 "a new user namespace needs a new mount namespace"
    B=$first
    user_oci delete --force c1
    assert_gone c1
}

@test "in a chroot whose root is no mount the start says so and what helps, and with that it works" {
    bundle '.process.args = ["echo", "inside"]'
    local other=$T/tmp/other
    mkdir "$other"
    in_chroot() { # BIND
        unshare -m --propagation private bash -c 'other=$1 bind=$2; shift 2
            [[ ! $bind ]] || mount --bind "$other" "$other"
            for d in /*; do
                if [[ -L $d ]]; then cp -d "$d" "$other/"
                elif [[ -d $d ]]; then mkdir -p "$other$d" && mount --rbind "$d" "$other$d"; fi
            done
            exec chroot "$other" "$@"' sh "$other" "$1" "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    }
    run in_chroot ""
    expect 1 "'/' is no mount here, as in a chroot: bind it to itself first"
    assert_gone c1
    run in_chroot bind
    expect 0 inside
    assert_gone c1
    rm -r --one-file-system "$other"
}
