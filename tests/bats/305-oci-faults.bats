#!/usr/bin/env bats
# Either side of a start is killed after each row of its table: `delete --force` leaves nothing of it.
# shellcheck disable=SC2154
#
# Needs a build with fault points (-Dfault_injection=true): $HUSK_FAULT_BUILD.

# serial: husk-oci names its control groups by the container, as 300-oci does
load helpers
load oci

setup() {
    FAULT=${HUSK_FAULT_BUILD:-$HUSK_TOP/build-clang}
    [[ -x $FAULT/bin/husk-oci ]] || skip "no build with fault points in HUSK_FAULT_BUILD"
    if ! as_user test -x "$FAULT/bin/husk-oci"; then
        [[ -e $T/fault ]] || { mkdir "$T/fault" && cp -a "$FAULT/bin" "$FAULT/libexec" "$T/fault/"; }
        FAULT=$T/fault
    fi
}

teardown() {
    remove_oci
}

faulty() { "$FAULT/bin/husk-oci" --root "$TRUN/oci" "$@"; }
user_faulty() { as_user env HUSK_FAULT="$HUSK_FAULT" "$FAULT/bin/husk-oci" --root "$USER_RUN/oci" "$@"; }

# walk OCI DELETE VERB...: every row, both sides. Answers how often the fault fired, in $fired_parent and $fired_child.
walk() {
    local oci=$1 delete=$2 row side status out
    shift 2
    fired_parent=0 fired_child=0
    for side in parent child; do
        for ((row = 0; row < 40; row++)); do
            status=0
            out=$T/tmp/out
            export HUSK_FAULT=kill-$side@$row
            "$oci" "$@" >"$out" 2>&1 </dev/null || status=$?
            unset HUSK_FAULT
            if [[ $side == parent && $status == 137 ]]; then
                fired_parent=$((fired_parent + 1))
            elif [[ $side == child && $status != 0 ]]; then
                fired_child=$((fired_child + 1))
                grep -q "the other side is gone" "$out" || { echo "row $row: $(<"$out")"; return 1; }
                # the parent lived, so it has undone all by itself
                assert_gone c1 || { echo "after $side at row $row"; return 1; }
            elif [[ $status != 0 ]]; then
                echo "$side at row $row: status $status: $(<"$out")"
                return 1
            fi
            "$delete" delete --force c1 || { echo "after $side at row $row"; return 1; }
            wait_until 5 assert_gone c1 || { assert_gone c1; echo "after $side at row $row"; return 1; }
        done
    done
}

full_bundle() {
    bundle '.process.args = ["sleep", "1000"]'
    chown -R 200000:200000 "$B/rootfs"
    change '.linux.namespaces += [{type: "user"}, {type: "time"}] | .linux.sysctl = {"net.ipv4.ip_forward": "1"} |
        .linux.uidMappings = [{containerID: 0, hostID: 200000, size: 5000}] |
        .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 5000}] |
        .hooks = {createRuntime: [{path: "/bin/true"}], createContainer: [{path: "/bin/true"}], poststop: [{path: "/bin/true"}]}'
}

@test "faults: create is killed on either side after every row" {
    bundle '.process.args = ["sleep", "1000"]'
    walk faulty oci create -b "$B" c1
    echo "parent $fired_parent, child $fired_child"
    ((fired_parent >= 8 && fired_child >= 10))
}

@test "faults: with a user namespace, a time namespace, hooks and sysctls" {
    full_bundle
    walk faulty oci create -b "$B" c1
    echo "parent $fired_parent, child $fired_child"
    ((fired_parent >= 11 && fired_child >= 14))
}

@test "faults: as an ordinary user" {
    user_bundle '.process.args = ["sleep", "1000"]'
    walk user_faulty user_oci create -b "$B" c1
    echo "parent $fired_parent, child $fired_child"
    ((fired_parent >= 8 && fired_child >= 9))
}

@test "faults: run in the foreground" {
    bundle '.process.args = ["true"]'
    walk faulty oci run -b "$B" c1
    ((fired_parent >= 7 && fired_child >= 10))
}

@test "what is looked for after each kill is found when it is left" {
    # naive: a runtime that is killed before it has written down what it made
    bundle '.process.args = ["true"]'
    local group=/sys/fs/cgroup/husk/$GROUP
    [[ ! -d /sys/fs/cgroup/pids ]] || group=/sys/fs/cgroup/pids/husk/$GROUP
    mkdir -p "$group"
    run assert_gone c1
    rmdir "$group"
    expect 1 "left: $group"
    unshare --mount --propagation private sh -c 'mount --bind "$1" "$1" && exec sleep 1000' x "$B" 3>&- &
    local pid=$!
    mounted() { run assert_gone c1 && [[ $output == "mounted: "* ]]; }
    wait_until 10 mounted || { kill "$pid"; return 1; }
    kill "$pid"
    wait "$pid" || true
    assert_gone c1
}
