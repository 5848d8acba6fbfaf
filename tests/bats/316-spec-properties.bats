#!/usr/bin/env bats
# Every property of the runtime specification 1.3 is read: none is silently ignored. And what the less used ones do, as
# the host sees it.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

teardown() {
    remove_oci
}

@test "each property of config.json is looked at: a value of a wrong type is refused by name" {
    bundle '.process.args = ["true"]'
    run python3 "$BATS_TEST_DIRNAME/spec-properties.py" "$HUSK_OCI" "$TRUN/oci" "$B" "$BATS_TEST_DIRNAME/spec-properties.txt"
    [[ $output =~ ^[0-9]+\ properties,\ 0\ not\ refused$ ]] || { echo "$output"; return 1; }
    [[ ${output%% *} -gt 250 ]]
    # naive: a runtime that does not know one of them
    grep -E '^#|^linux.intelRdt.closID|^process.scheduler.policy' "$BATS_TEST_DIRNAME/spec-properties.txt" >"$T/tmp/two"
    run python3 "$BATS_TEST_DIRNAME/spec-properties.py" "$HUSK_OCI" "$TRUN/oci" "$B" "$T/tmp/two" process.scheduler.policy
    output_has "process.scheduler.policy"
    output_has "2 properties, 1 not refused"
    assert_gone c1
}

@test "each property of config.json does what it says, here or in the file that the table names" {
    bundle
    run python3 "$BATS_TEST_DIRNAME/spec-effects.py" "$HUSK_OCI" "$TRUN/oci" "$B" "husk-effects-${T##*.}" "$BATS_TEST_DIRNAME/spec-properties.txt"
    [[ $output =~ ^([0-9]+)\ properties\ in\ [0-9]+\ bundles,\ 0\ wrong$ && ${BASH_REMATCH[1]} -gt 150 ]] || { echo "$output"; return 1; }
    # naive: all of them one after the other are asked by "each" behind it, by hand (20 s)
}

# started JQ: a sleeping container; its pid in $pid
started() {
    bundle '.process.args = ["sleep", "1000"]'
    change "$1"
    oci run -d -b "$B" c1 >/dev/null
    pid=$(oci state c1 | jq .pid)
}

@test "scheduler, I/O priority, personality, OOM score, limits: as the host sees them" {
    started '.process.scheduler = {policy: "SCHED_BATCH", nice: 5} | .process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6} |
        .linux.personality = {domain: "LINUX32"} | .process.oomScoreAdj = 321 |
        .process.rlimits = [{type: "RLIMIT_NOFILE", hard: 77, soft: 66}] | .process.user.umask = 23'
    chrt -p "$pid" | grep -q SCHED_BATCH
    [[ $(cut -d' ' -f19 "/proc/$pid/stat") == 5 ]]
    [[ $(ionice -p "$pid") == "best-effort: prio 6" ]]
    [[ $(<"/proc/$pid/personality") == 00000008 ]]
    [[ $(<"/proc/$pid/oom_score_adj") == 321 ]]
    [[ $(prlimit --pid "$pid" --nofile --noheadings --output SOFT,HARD | tr -s ' ') == *66*77* ]]
    grep -q 'Umask:	0027' "/proc/$pid/status"
}

@test "SCHED_DEADLINE" {
    skip_unless_kernel "no deadline scheduling for this user" chrt --deadline --sched-runtime 1000000 --sched-deadline 10000000 --sched-period 10000000 0 true
    started '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 1000000, deadline: 20000000, period: 30000000, flags: ["SCHED_FLAG_RESET_ON_FORK"]}'
    run chrt -p "$pid"
    output_has SCHED_DEADLINE
    output_has "1000000/20000000/30000000"
}

@test "execCPUAffinity: of exec's process, at its end" {
    started '.process.execCPUAffinity = {initial: "0", final: "0"}'
    oci exec -d --pid-file "$T/tmp/pid" c1 sleep 1000
    [[ $(taskset -cp "$(<"$T/tmp/pid")") == *": 0" ]]
    oci delete --force c1
    change '.process.args = ["sleep", "1000"] | .process.execCPUAffinity = {initial: "3-1"}' # a start says so already
    run oci run -d -b "$B" c1
    expect 1 "execCPUAffinity '3-1': the range ends before it begins"
}

@test "memoryPolicy, resources and what is wrong with them" {
    skip_unless_kernel "no NUMA policies" test -e /proc/self/numa_maps
    started '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}'
    grep -q 'bind=static:0' "/proc/$pid/numa_maps"
    oci delete --force c1
    change '.process.args = ["true"] | del(.linux.memoryPolicy)'
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change "$1"; oci run -b "$B" c1; }
    check_table try <<'END'
'.linux.memoryPolicy = {mode: "MPOL_BINDD"}'                | 1 | 'MPOL_BINDD' is not known: is it MPOL_BIND?
'.linux.memoryPolicy = {mode: "MPOL_BIND"}'                 | 1 | set the memory policy
'.process.scheduler = {policy: "SCHED_FIFI"}'               | 1 | is it SCHED_FIFO?
'.process.scheduler = {policy: "SCHED_DEADLINE"}'           | 1 | runtime <= deadline
'.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 8}' | 1 | 8 is not between 0 and 7
'.linux.personality = {domain: "LINUX64"}'                  | 1 | 'LINUX64' is not known
'.linux.personality = {domain: "LINUX", flags: ["X"]}'      | 1 | the specification defines none
'.process.oomScoreAdj = 2000'                               | 1 | 2000 is not between
'.linux.timeOffsets = {monotonic: {nanosecs: 1000000000}}'  | 1 | nanosecs: out of range
'.linux.resources.hugepageLimits = [{pageSize: "2 MB", limit: 0}]' | 1 | is not of the form 2MB
'.linux.resources.rdma = {mlx: {hcaHandles: -1}}'           | 1 | rdma: mlx: hcaHandles: expected a number
'.linux.resources.rdma = {mlx: {hcaHandles: 2}}'            | 1 | rdma
'.linux.resources.cpu = {idle: 2}'                          | 1 | idle
'.linux.resources.unified = {"../x": "1"}'                  | 1 | ../x
'.hooks = {prestart: [{path: "/bin/true", timeout: 0}]}'    | 1 | timeout: must be above 0
END
    assert_gone c1
}
