#!/usr/bin/env bats
# Any process of husk is killed at any moment: what was acknowledged is there, what was not is swept, ps tells the truth.
#
# strace(1) kills husk at its Nth call that changes something, for every N until husk gets through: no step is left out.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

teardown() {
    remove_all_containers
}

# What changes the world: files, locks, processes, mounts, messages.
CHANGING=mkdir,mkdirat,openat,openat2,write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,rmdir,clone,clone3,flock,sendmsg,sendto,execve,execveat,ftruncate

# killed_at N CMD...: husk alone, or with -f before N every process that comes of it, killed at its Nth such call.
killed_at() {
    local follow=
    [[ $1 != -f ]] || { follow=-f; shift; }
    local n=$1
    shift
    strace $follow -qq -o /dev/null -e trace=$CHANGING -e "inject=$CHANGING:signal=KILL:when=$n" "$@" </dev/null >"$T/tmp/out" 2>&1 3>&-
}

# Every container that ps names can be inspected, and what ps says of it is so.
ps_is_true() {
    local h=$1 id status pid
    while read -r id; do
        read -r status pid < <($h inspect --format '{{.State.Status}} {{.State.Pid}}' "$id") || return 1
        case $status in
        running) [[ -d /proc/$pid ]] || { echo "$id runs as $pid, which is not there"; return 1; } ;;
        created | exited) [[ $pid == 0 ]] || { echo "$id is $status and has pid $pid"; return 1; } ;;
        *) echo "$id is $status"; return 1 ;;
        esac
    done < <($h ps -aq --no-trunc)
}

@test "faults: create is killed at every step" {
    local n made=0
    for ((n = 1; n < 400; n++)); do
        killed_at $n "$HUSK" create --network none --name "c$n" -v "vol$n:/v" busybox true && break
        ps_is_true husk
        # The name is free, or the container is whole.
        if husk inspect "c$n" >/dev/null 2>&1; then
            made=$((made + 1))
            [[ $(husk run --network none --rm -v "vol$n:/v" busybox echo usable) == usable ]]
            [[ $(husk start -a "c$n"; echo $?) == 0 ]]
            husk rm "c$n"
        else
            husk create --network none --name "c$n" busybox true >/dev/null
            husk rm "c$n"
        fi
    done
    echo "got through after $n calls, $made times whole"
    ((n > 10 && n < 400))
    remove_all_containers
    as_if_older
    husk system check --repair
    [[ $(husk system check) == "no problems" ]]
    husk volume prune --all >/dev/null
    [[ ! $(ls -A "$HUSK_ROOT/containers") && ! $(ls -A "$HUSK_ROOT/volumes") ]]
}

@test "faults: rm is killed at every step" {
    local n
    for ((n = 1; n < 400; n++)); do
        husk run --network none --name gone -v /anon busybox sh -c 'mkdir -p /a/b; touch /a/b/c'
        if killed_at $n "$HUSK" rm -v gone; then
            husk inspect gone >/dev/null 2>&1 && { echo "rm said yes and it is still there"; return 1; }
            break
        fi
        ps_is_true husk
        husk rm -f -v gone
    done
    echo "got through after $n calls"
    ((n > 5 && n < 400))
    as_if_older
    husk system check --repair
    [[ $(husk system check) == "no problems" && ! $(ls -A "$HUSK_ROOT/containers") ]]
    husk volume prune >/dev/null # of those whose container was removed and husk killed before it came to them
}

@test "faults: start is killed at every step" {
    local n
    for ((n = 1; n < 400; n++)); do
        husk create --network none --name st busybox sleep 100 >/dev/null
        killed_at $n "$HUSK" start st && break
        # husk is dead; the child that it may have left gets through or gives up
        wait_until 10 ps_is_true husk
        husk rm -f st
    done
    echo "got through after $n calls"
    ((n > 5 && n < 400))
    husk rm -f st
    as_if_older
    husk system check --repair
    [[ $(husk system check) == "no problems" ]]
}

# Every process that comes of the command counts for itself; ten times through in a row, and no one has so many calls.
@test "faults: a whole run, with every process of it, is killed at every step" {
    local n through=0
    for ((n = 1; n < 400 && through < 10; n++)); do
        status=0
        killed_at -f $n "$HUSK" run --network none --name whole busybox sh -c 'exit 7' || status=$?
        if [[ $status == 7 && $(husk wait whole) == 7 ]]; then
            through=$((through + 1))
        else
            through=0
        fi
        wait_until 10 ps_is_true husk
        husk rm -f whole
        [[ ! $(pgrep -f "husk-monitor id=.*dir=$HUSK_ROOT") ]]
    done
    echo "got through after $n calls"
    ((n > 30 && through == 10))
    as_if_older
    husk system check --repair
    [[ $(husk system check) == "no problems" ]]
}

@test "faults: the command dies, the container lives" {
    local h pid
    for h in husk user_husk; do
        $h run --network none --name lives busybox sh -c 'echo begun; sleep 1; echo ended; exit 6' >/dev/null 2>&1 3>&- &
        wait_until 10 eval "$h logs lives | grep -q begun"
        kill -KILL "$(pgrep -o -f "^$HUSK run .*--name lives")"
        wait || true
        [[ $($h inspect -f '{{.State.Status}}' lives) == running ]]
        [[ $($h wait lives) == 6 ]]
        [[ $($h logs lives) == $'begun\nended' ]]
        $h rm lives
        # and with --rm its monitor removes it
        $h run --network none --rm --name lives -v /anon busybox sh -c 'sleep 0.7' >/dev/null 2>&1 3>&- &
        wait_until 10 eval "[[ \$($h inspect -f '{{.State.Status}}' lives 2>/dev/null) == running ]]"
        kill -KILL "$(pgrep -o -f "^$HUSK run .*--name lives")"
        wait || true
        wait_until 10 eval "[[ ! \$($h ps -aq) && ! \$($h volume ls -q) ]]"
    done
}

monitor_of() { # HUSK NAME
    pgrep -f "husk-monitor id=$($1 inspect -f '{{.Id}}' "$2")"
}

@test "faults: the monitor dies, the container lives, and the next command gives it another" {
    local h old
    for h in husk user_husk; do
        $h run -d --network none --name orphan busybox sh -c 'while [ ! -e /end ]; do sleep 0.05; done; exit 9'
        old=$(monitor_of $h orphan)
        kill -KILL "$old"
        wait_until 5 eval "! kill -0 $old"
        [[ $($h inspect -f '{{.State.Status}}' orphan) == running ]]
        wait_until 5 monitor_of $h orphan
        [[ $(monitor_of $h orphan) != "$old" ]]
        [[ $($h exec orphan echo hi) == hi ]]
        [[ $($h system check) == "no problems" ]]
        $h exec orphan touch /end
        [[ $($h wait orphan) == 9 ]]
        [[ $($h inspect -f '{{.State.Status}}' orphan) == exited ]]
        $h rm orphan
    done
}

@test "faults: monitor and container die, ps says so" {
    local h pid
    for h in husk user_husk; do
        $h run -d --name dead busybox sleep 100
        pid=$($h inspect -f '{{.State.Pid}}' dead)
        kill -KILL "$(monitor_of $h dead)"
        kill -KILL "$pid"
        wait_until 5 eval "[[ \$($h inspect -f '{{.State.Status}}' dead) == exited ]]"
        run $h ps -a --format "{{.Status}}"
        expect 0 "~Exited \((137|255)\)" # 137 where the kernel still knows it
        run $h wait dead
        expect 0
        [[ $($h system check) == "no problems" ]]
        $h start dead
        [[ $($h inspect -f '{{.State.Status}}' dead) == running ]]
        $h rm -f dead
    done
}

@test "faults: after a reboot nothing runs and everything can be started" {
    local h pid dir
    for h in husk user_husk; do
        $h run -d --name booted busybox sh -c 'echo up; exec sleep 100'
        pid=$($h inspect -f '{{.State.Pid}}' booted)
        kill -KILL "$(monitor_of $h booted)" "$pid"
        wait_until 5 eval "! kill -0 $pid"
        dir=$HUSK_RUN
        [[ $h == husk ]] || dir=$USER_RUN/husk
        rm -rf "$dir"/*
        [[ $($h inspect -f '{{.State.Status}} {{.State.ExitCode}}' booted) == "exited 255" ]]
        $h start booted
        [[ $($h inspect -f '{{.State.Status}}' booted) == running ]]
        $h rm -f booted
    done
}

@test "faults: many at once keep their names apart" {
    local i
    for i in 1 2 3 4 5 6 7 8; do
        (husk run --network none --rm --name same busybox sleep 0.2 >/dev/null 2>>"$T/tmp/same" 3>&- && echo won >>"$T/tmp/won") &
        husk run --network none --rm busybox true >/dev/null 3>&- || echo lost >>"$T/tmp/lost" &
    done
    wait
    [[ -s $T/tmp/won && ! -e $T/tmp/lost ]]
    [[ ! -s $T/tmp/same ]] || ! grep -v "the name 'same' is taken by container" "$T/tmp/same"
    [[ ! $(husk ps -aq) ]]
}
