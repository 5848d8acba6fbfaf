#!/usr/bin/env bats
# The calls that containerd's shim and podman's conmon make, as they were seen with a wrapper that logs its arguments,
# without either of them: argument for argument, with what both expect back.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup() {
    bundle "$(sh_c 'trap "exit 3" TERM; echo started; while :; do sleep 0.1; done')"
    S=$T/tmp/shim-$BATS_TEST_NUMBER
    mkdir "$S"
    LOG=$S/log.json
}
teardown() {
    local id
    for id in c1 c2; do "$HUSK_OCI" --root "$TRUN/shim" delete --force $id; done
}
# Every call of the shim begins so.
shim() { "$HUSK_OCI" --root "$TRUN/shim" --log "$LOG" --log-format json "$@"; }
# What the shim reports of a failure: the last line with level error.
last_error() { jq -rs 'map(select(.level == "error")) | last | .msg' "$LOG"; }
status_is() { [[ $(shim state c1 | jq -r .status) == "$1" ]]; }

@test "shim: create, start, exec, ps, pause, update, kill, delete, and delete --force once more" {
    shim create --bundle "$B" --pid-file "$S/init.pid" c1 >"$S/out" 2>&1 </dev/null
    local pid
    pid=$(<"$S/init.pid")
    [[ $pid =~ ^[0-9]+$ && -d /proc/$pid ]]
    shim start c1
    wait_until 30 grep -q started "$S/out"

    # --process is a file that the shim removes when the call ends
    jq '.process | .args = ["sh", "-c", "echo from exec; exit 4"] | .terminal = false' "$B/config.json" >"$S/process"
    shim exec --process "$S/process" --detach --pid-file "$S/exec.pid" c1 >"$S/exec.out" 2>&1 </dev/null
    rm "$S/process"
    [[ $(<"$S/exec.pid") =~ ^[0-9]+$ ]]
    wait_until 30 grep -q 'from exec' "$S/exec.out"
    jq '.process | .args = ["/nope"]' "$B/config.json" >"$S/process"
    run shim exec --process "$S/process" --detach --pid-file "$S/none.pid" c1
    ((status != 0))
    [[ $(last_error) == *"exec '/nope': no such file or directory"* && ! -e $S/none.pid ]]

    shim ps --format json c1 | jq -e --argjson pid "$pid" 'type == "array" and index($pid) != null'
    shim pause c1
    status_is paused
    shim resume c1
    status_is running
    echo '{"memory":{"limit":104857600},"cpu":{"shares":333},"pids":{"limit":40}}' | shim update --resources=- c1
    [[ $(<"/sys/fs/cgroup/memory/husk/$GROUP/memory.limit_in_bytes") == 104857600 ]]
    [[ $(<"/sys/fs/cgroup/cpu/husk/$GROUP/cpu.shares") == 333 ]]
    [[ $(<"/sys/fs/cgroup/pids/husk/$GROUP/pids.max") == 40 ]]
    shim events --stats c1 | jq -e '.type == "stats" and .id == "c1" and .data.memory.usage.limit == 104857600 and .data.pids.current >= 1'

    shim kill c1 15
    wait_until 30 status_is stopped
    run shim kill c1 9
    ((status != 0))
    output_has "container not running" # containerd takes this for done
    shim kill --all c1 9 2>/dev/null || [[ $(last_error) == *"not running"* ]]
    shim delete c1
    shim delete --force c1
    assert_gone c1
    run shim kill c1 9
    ((status != 0))
    output_has "does not exist" # and this
    run shim state c1
    ((status != 0))
    output_has "does not exist" # podman takes this for exited
}

@test "shim: a create that fails leaves a reason in the log, nothing else, and can be tried again" {
    local old
    old=$(<"$B/config.json")
    try() {
        echo "$old" >"$B/config.json"
        rm -f "$LOG"
        change "$1"
        run shim create --bundle "$B" --pid-file "$S/init.pid" c1
        local was=$status
        [[ ! -e $S/init.pid && ! -e $TRUN/shim/c1 ]] || echo "something is left"
        [[ $(jq -s length "$LOG") == 1 ]] || echo "not one line"
        last_error
        return "$was"
    }
    check_table try <<'END'
'.process.args = ["/nope"]'                     | 1 | exec '/nope': no such file or directory
'.process.args = ["/etc"]'                      | 1 | exec '/etc': permission denied
'.process.args = ["nope"]'                      | 1 | executable file not found in $PATH
'.process.cwd = "/etc/passwd"'                  | 1 | not a directory
'.mounts += [{destination: "/x", type: "bind", source: "/no/such", options: ["rbind"]}]' | 1 | no such file or directory
'.mounts += [{destination: "/etc", type: "bind", source: "/etc/passwd", options: ["bind"]}]' | 1 | not a directory
'.linux.resources.cpu.cpus = "777"'             | 1 | cpu
'.process.rlimits = [{type: "RLIMIT_MOON", soft: 1, hard: 1}]' | 1 | RLIMIT_MOON
END
    echo "$old" >"$B/config.json"
    shim create --bundle "$B" --pid-file "$S/init.pid" c1 >/dev/null 2>&1 </dev/null
    shim delete c1
    assert_gone c1
}

@test "shim: two at once for one container: one wins, and the other says so" {
    local n=0 pid
    local -a pids=()
    for _ in 1 2 3 4; do
        shim create --bundle "$B" c1 >/dev/null 2>&1 </dev/null 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        if wait "$pid"; then n=$((n + 1)); fi
    done
    ((n == 1))
    status_is created
    for _ in 1 2 3 4; do
        shim delete --force c1 3>&- &
    done
    wait
    assert_gone c1
}

@test "conmon: create, start and exec without --root, log or format" {
    local -a conmon=(env "XDG_RUNTIME_DIR=$TRUN" "$HUSK_OCI" --root "$TRUN/shim")
    "${conmon[@]}" create --bundle "$B" --pid-file "$S/pidfile" c2 >"$S/out" 2>&1 </dev/null
    "${conmon[@]}" start c2
    wait_until 30 grep -q started "$S/out"
    "${conmon[@]}" kill c2 15
    wait_until 30 conmon_sees_the_end
    "${conmon[@]}" delete --force c2
}
conmon_sees_the_end() { [[ $("$HUSK_OCI" --root "$TRUN/shim" state c2 | jq -r .status) == stopped ]]; }
