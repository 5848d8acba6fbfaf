#!/usr/bin/env bats
# The monitor: a container outlives whoever started it, and how it ended is known.
# shellcheck disable=SC2016 # the dollars are the containers'
load helpers

# Detached, without a network, on the test root; answers the ID.
start() { # [OPTIONS...] -- CMD...
    local -a options=()
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    husk run --detach --network none "${options[@]}" --rootfs "$IMAGES/rootfs" "$@"
}
inspect() { husk inspect --format "$1" "$2"; }
log_of() { cat "$HUSK_ROOT/containers/$1/log.json"; }
monitor_of() { # ID
    local proc
    for proc in /proc/[0-9]*; do
        if [[ $(readlink "$proc/exe" 2>/dev/null) == */husk-monitor && $(tr '\0' ' ' <"$proc/cmdline") == *" id=$1 "* ]]; then
            echo "${proc#/proc/}"
            return 0
        fi
    done
    return 1
}
has_log() { log_of "$1" | grep -qF -- "$2"; }

@test "the exit code is the program's, whoever waits" {
    local row id code
    for row in 'exit 0|0' 'exit 32|32' 'kill -TERM $$; exit 7|7' 'kill -9 $$; exit 8|8' 'sh -c "kill -9 \$\$"; exit $?|137'; do
        id=$(start -- sh -c "${row%|*}")
        run husk wait "$id"
        expect 0 "=${row#*|}"
        code=$(husk inspect "$id" | grep -o '"ExitCode": *[0-9]*')
        [[ ${code##*[ :]} == "${row#*|}" ]]
    done
}

@test "the command that started it is killed and the container runs on to its own end" {
    local id
    "$HUSK" run --name orphan --network none --rootfs "$IMAGES/rootfs" \
        sh -c 'echo begun; sleep 1; echo went on; exit 23' >"$T/tmp/out" 2>&1 3>&- &
    wait_until 10 grep -q begun "$T/tmp/out"
    kill -KILL $!
    wait $! || true
    run husk ps --quiet --no-trunc --filter name=orphan
    expect 0
    id=$output
    [[ $id ]]
    run husk wait orphan
    expect 0 =23
    has_log "$id" 'went on'
}

@test "no signal but KILL ends the monitor, and after that the container still runs and is taken over" {
    local id monitor
    id=$(start -- sh -c 'i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo tick $i; sleep 0.02; done; exit 9')
    monitor=$(monitor_of "$id")
    kill -TERM "$monitor"
    kill -INT "$monitor"
    kill -HUP "$monitor"
    wait_until 5 has_log "$id" 'tick 3\n'
    kill -KILL "$monitor"
    wait_until 5 gone "$monitor"
    run husk system check # it only looks
    [[ $output == *"it runs without a monitor"* ]]
    run husk ps --filter "id=${id:0:12}" --format '{{.Status}}' # and this mends it
    expect 0 Up
    run husk system check
    [[ $output != *"it runs without a monitor"* ]]
    monitor_of "$id"
    run husk wait "$id"
    expect 0
    # The kernel tells the code of a process that is not one's child since 6.15.
    [[ $output == 9 || $output == 255 ]]
    has_log "$id" 'tick 400\n'
    # Not a line is lost, since the program's writes waited.
    [[ $(log_of "$id" | grep -c '"tick ') -eq 400 ]]
}

@test "what a container of the host's pid namespace leaves behind ends with it" {
    local id
    id=$(start --pid host -- sh -c 'setsid sleep 3133 & sleep 0.2; exit 3')
    run husk wait "$id"
    expect 0 =3
    run pgrep -f '^sleep 3133'
    expect 1
    [[ -z $(find /sys/fs/cgroup -mindepth 2 -type d -path "*$id*" 2>/dev/null) ]]
}

@test "a program killed for its memory is said to be" {
    local id
    id=$(start --memory 24m -- sh -c 'tail /dev/zero')
    run husk wait "$id"
    expect 0 =137
    run husk inspect "$id"
    expect 0 '~"OOMKilled": *true'
}

@test "a full disk costs log lines, not the container nor its exit code" {
    local root=$T/tmp/small
    mkdir "$root"
    # shellcheck disable=SC2031
    run unshare --mount --propagation private bash -c '
        set -e
        mount -t tmpfs -o size=2m small "$1"
        export HUSK_ROOT=$1
        id=$("$HUSK" run --detach --network none --log-opt max-size=100m --rootfs "$IMAGES/rootfs" \
            sh -c "i=0; while [ \$i -lt 60000 ]; do i=\$((i+1)); echo line number \$i; done; exit 14")
        echo "code $("$HUSK" wait "$id")"
        file=$1/containers/$id/log.json
        [[ $(tail -c 1 "$file") == "" ]] && echo "whole lines"
        kept=$(grep -c "line number" "$file")
        dropped=$(grep -o "\"logDropped\":[0-9]*" "$1/containers/$id/exit.json")
        echo "sum $((kept + ${dropped#*:}))"
        : >"$file"
        "$HUSK" rm "$id" >/dev/null
    ' bash "$root"
    expect 0 'code 14'
    expect 0 'whole lines'
    expect 0 'sum 60000'
}

@test "logs are rotated within their limits and read as one" {
    local id dir
    id=$(start --log-opt max-size=20k --log-opt max-file=3 -- \
        sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line number $i; done')
    husk wait "$id"
    dir=$HUSK_ROOT/containers/$id
    [[ $(find "$dir" -name 'log.json*' | wc -l) -eq 3 ]]
    [[ -z $(find "$dir" -name 'log.json*' -size +20k) ]]
    run husk logs --tail 300 "$id"
    expect 0
    [[ ${#lines[@]} -eq 300 && ${lines[0]} == 'line number 1701' && ${lines[299]} == 'line number 2000' ]]
}

@test "log driver none keeps no log" {
    local id
    id=$(start --log-driver none -- echo unseen)
    husk wait "$id"
    [[ ! -e $HUSK_ROOT/containers/$id/log.json ]]
    run husk logs "$id"
    expect 1 '--log-driver none'
}

# Private to each; what the fifty of the goal share is measured by the bench.
costs_little() {
    [[ $(awk '/^Private_Dirty/ { print $2 }' "/proc/$1/smaps_rollup") -le 80 && $(find "/proc/$1/fd" -mindepth 1 | wc -l) -le 20 ]]
}
@test "an idle monitor costs little memory" {
    local id monitor i
    local -a ids=()
    for ((i = 0; i < 4; i++)); do
        ids+=("$(start -- sleep 1000)")
    done
    for id in "${ids[@]}"; do
        monitor=$(monitor_of "$id")
        wait_until 10 costs_little "$monitor"
    done
    husk rm --force "${ids[@]}"
    run pgrep -f "husk-monitor.*$HUSK_ROOT/"
    expect 1
}

@test "--rm removes the container whether or not its command still lives" {
    husk run --rm --network none --rootfs "$IMAGES/rootfs" true
    start --rm -- true
    "$HUSK" run --rm --name cut --network none --rootfs "$IMAGES/rootfs" sh -c 'echo begun; sleep 0.5' >"$T/tmp/cut" 3>&- &
    wait_until 10 grep -q begun "$T/tmp/cut"
    kill -KILL $!
    nothing_left() { [[ -z $(husk ps --all --quiet --filter status=running) && -z $(husk ps --all --quiet --filter name=cut) ]]; }
    wait_until 10 nothing_left
}
