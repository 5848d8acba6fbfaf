#!/usr/bin/env bats
# husk-oci is killed as it makes any of its system calls, whatever the verb: `delete --force` leaves nothing of the
# container, and what else one would do next works. (305-oci-faults kills either side of a start between its rows.)
# shellcheck disable=SC2153,SC2154
#
# $HUSK_KILL_STRIDE: every so many calls one is tried; 1 tries all (three minutes).

# serial: husk-oci names its control groups by the container, as 300-oci does
load helpers
load oci

setup() {
    AS=
    cp "$BATS_TEST_DIRNAME/kill-at.py" "$T/tmp/"
}
teardown() {
    remove_oci
}

# The user runs a copy: the checkout may be somebody's own.
killed_at() { $AS python3 -IS "$T/tmp/kill-at.py" "$@"; }
# What `delete --force` may leave in the state directory: nothing.
nothing_is_left() {
    assert_gone c1 || return 1
    local found
    found=$(find "$TRUN/oci" "$USER_RUN/oci" -mindepth 1 -not -path '*/.*' 2>/dev/null) || true
    [[ ! $found ]] || { echo "left: $found"; return 1; }
}

# kill_everywhere FIRST BEFORE AFTER VERB...: from call FIRST on; BEFORE makes the state that the verb begins with, AFTER
# is what somebody would do next.
kill_everywhere() {
    local first=$1 before=$2 after=$3 n code fired=0
    shift 3
    for ((n = first; ; n += ${HUSK_KILL_STRIDE:-29})); do
        $before </dev/null >/dev/null 2>&1 || { echo "$before failed"; return 1; }
        code=0
        # shellcheck disable=SC2086 # it is several words
        killed_at "$n" $OCI_PROGRAM "$@" </dev/null >"$T/tmp/out" 2>&1 3>&- || code=$?
        [[ $code == 137 || $code == 0 ]] || { echo "$* at call $n: status $code: $(<"$T/tmp/out")"; return 1; }
        [[ $code == 0 ]] || $after || { echo "after $* at call $n: $after"; return 1; }
        $OCI delete --force c1 || { echo "after $* at call $n"; return 1; }
        nothing_is_left || wait_until 10 nothing_is_left || { nothing_is_left; echo "after $* at call $n"; return 1; }
        [[ $code == 137 ]] || break
        fired=$((fired + 1))
    done
    ((fired)) || { echo "$*: it ended before call $first"; return 1; }
}

# With all that leaves traces: groups with limits, hooks, a filter, sysctls, mounts.
as_root() {
    OCI=oci OCI_PROGRAM="$HUSK_OCI --root $TRUN/oci"
    bundle '.process.args = ["sleep", "1000"] | .linux.resources = {memory: {limit: 50000000}, pids: {limit: 50}, cpu: {shares: 100}}'
    change '.hooks = {createRuntime: [{path: "/bin/true"}], poststart: [{path: "/bin/true"}], poststop: [{path: "/bin/true"}]}' \
        '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["swapon"], action: "SCMP_ACT_ERRNO"}]}' \
        '.linux.sysctl = {"net.ipv4.ip_forward": "1"}'
}
nothing() { :; }
created() { $OCI create -b "$B" c1; }
running() { $OCI run -d -b "$B" c1; }
paused() { running && $OCI pause c1; }
ended() { running && $OCI kill c1 KILL && wait_until 10 is_stopped; }
is_stopped() { [[ $($OCI state c1 | jq -r .status) == stopped ]]; }
enters() { $OCI exec c1 true; }
wakes() {
    run $OCI resume c1
    [[ $status -eq 0 || $output == *"it is running"* ]] && enters
}
updates() { $OCI update --memory 60000000 --pids-limit 60 c1; }

@test "killed at any call: create, start and run" {
    as_root
    kill_everywhere 3 nothing nothing create -b "$B" c1
    kill_everywhere 2 created nothing start c1
    kill_everywhere 6 nothing nothing run -d -b "$B" c1
    change '.process.args = ["true"]'
    kill_everywhere 9 nothing nothing run -b "$B" c1
}

@test "killed at any call: exec, update, pause, resume, kill and delete" {
    as_root
    kill_everywhere 5 running enters exec c1 true
    kill_everywhere 7 running enters exec -d c1 sleep 1000
    kill_everywhere 4 running updates update --memory 60000000 --pids-limit 60 c1
    kill_everywhere 8 running wakes pause c1
    kill_everywhere 6 paused wakes resume c1
    kill_everywhere 3 running nothing kill c1 KILL
    kill_everywhere 5 running nothing delete --force c1
    kill_everywhere 2 ended nothing delete c1
}

@test "killed at any call: as an ordinary user" {
    AS=as_user OCI=user_oci OCI_PROGRAM="$HUSK_OCI --root $USER_RUN/oci"
    user_bundle '.process.args = ["sleep", "1000"]'
    HUSK_KILL_STRIDE=${HUSK_KILL_STRIDE:-43}
    kill_everywhere 9 nothing nothing create -b "$B" c1
    kill_everywhere 5 running enters exec c1 true
    kill_everywhere 4 running nothing delete --force c1
}

mkdir_has_ended() { ! pgrep -fx "mkdir $group" >/dev/null; }

@test "a runtime that makes before it writes down is caught by killing it at its calls" {
    # naive: its group is there, and nobody knows of it
    bundle '.process.args = ["true"]'
    local group=/sys/fs/cgroup/husk/$GROUP n caught=
    [[ ! -d /sys/fs/cgroup/pids ]] || group=/sys/fs/cgroup/pids/husk/$GROUP
    mkdir -p "${group%/*}"
    for ((n = 40; n < 120 && !${#caught}; n++)); do
        # shellcheck disable=SC2016
        killed_at "$n" sh -c 'mkdir "$1" && : >"$2"' x "$group" "$T/tmp/state" || true
        wait_until 10 mkdir_has_ended
        [[ -e $T/tmp/state ]] || assert_gone c1 >"$T/tmp/out" || caught=$(<"$T/tmp/out")
        rmdir "$group" 2>/dev/null || true
        [[ ! -e $T/tmp/state ]] || break
    done
    [[ $caught == "left: $group" ]]
}
