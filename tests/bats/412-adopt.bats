#!/usr/bin/env bats
# A monitor is killed at any instruction: the next command that touches the container takes it over, records its end or
# makes up for its restart. And the power goes at any barrier: the containers that the disk knows are whole.
# shellcheck disable=SC2016,SC2154,SC2086 # the dollars are the containers'; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() {
    remove_all_containers
    if mountpoint -q "$T/cut"; then umount "$T/cut"; fi
    if mountpoint -q "$T/disk"; then umount "$T/disk"; fi
}

monitors_of() { grep -lzx "id[=]$1" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3; }
one_monitor() { [[ $(monitors_of "$1" | wc -l) -eq 1 ]] || { echo "monitors: $(monitors_of "$1")"; return 1; }; }
kill_monitor() { # ID; it holds its lock until it is dead
    local pid
    wait_until 5 one_monitor "$1"
    pid=$(monitors_of "$1")
    kill -KILL "$pid"
    wait_until 5 gone "$pid"
}
no_monitor() { [[ ! $(monitors_of "$1") ]]; }
status_of() { $h inspect --format '{{.State.Status}}' "$1"; }
status_is() { [[ $(status_of "$1") == "$2" ]]; }
CHANGING=mkdir,mkdirat,openat,openat2,write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,rmdir,clone,clone3,fork,vfork,flock,sendmsg,sendto,execve,execveat,ftruncate,fallocate,epoll_ctl,waitid,kill,pidfd_send_signal

@test "adopted: state, exec, stop, pause, logs, the end and the restart policy go on" {
    local h id monitor code
    for h in husk 'as_user husk'; do
        id=$($h run -d --name ad --restart on-failure:5 busybox sh -c 'trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done')
        monitor=$(monitors_of "$id")
        kill -KILL "$monitor"
        wait_until 5 gone "$monitor"
        # Whatever comes first; here an exec.
        [[ $($h exec ad echo inside) == inside ]]
        wait_until 5 one_monitor "$id"
        [[ $(status_of ad) == running ]]
        run $h logs --tail 1 ad
        expect 0 tick
        # Again, and the program fails: the new monitor sees it, and restarts it.
        kill_monitor "$id"
        $h ps >/dev/null
        wait_until 5 one_monitor "$id"
        kill -KILL "$($h inspect --format '{{.State.Pid}}' ad)"
        wait_until 10 eval '[[ $($h inspect --format "{{.RestartCount}} {{.State.Status}}" ad) == "1 running" ]]'
        # Killed, and stopped by the next command.
        kill_monitor "$id"
        $h stop ad
        status_is ad exited
        wait_until 5 no_monitor "$id"
        run $h inspect --format '{{.State.ExitCode}}' ad
        # The kernel tells the code of a process that is not one's child since 6.15.
        [[ $output == 0 || $output == 255 ]]
        $h rm ad
        # With a terminal: it died with the monitor, and the end is seen.
        id=$($h run -dt --name tt busybox sh -c 'trap "" HUP; sleep 1000')
        sleep 0.2
        kill_monitor "$id"
        $h ps >/dev/null
        $h rm -f tt
    done
}

@test "the monitor and the program are killed together: the end is recorded, and the policy asked" {
    local h id
    for h in husk 'as_user husk'; do
        id=$($h run -d --name both busybox sleep 1000)
        kill -KILL "$(monitors_of "$id")" "$($h inspect --format '{{.State.Pid}}' both)"
        wait_until 10 status_is both exited
        $h start both
        status_is both running
        $h rm -f both
        id=$($h run -d --name back --restart always busybox sleep 1000)
        pid=$($h inspect --format '{{.State.Pid}}' back)
        kill -KILL "$(monitors_of "$id")" "$pid"
        wait_until 10 eval '$h ps -q; [[ $($h inspect --format "{{.State.Status}} {{.RestartCount}}" back) == "running 1" ]]'
        wait_until 5 one_monitor "$id"
        $h stop -t 0 back
        $h rm back
        # Killed while it waits to start it again
        id=$($h run -d --name wait --restart always busybox false)
        wait_until 20 eval '[[ $($h inspect --format "{{.RestartCount}}" wait) -ge 3 ]]'
        wait_until 10 status_is wait restarting
        kill -KILL $(monitors_of "$id") 2>/dev/null || true
        wait_until 10 eval '$h ps -q >/dev/null; one_monitor '"$id"
        $h rm -f wait
        wait_until 10 no_monitor "$id"
    done
}

# Whatever happened: what is said is so, and rm -f works the first time.
truth() { # ID
    local status pid
    read -r status pid < <($h inspect --format '{{.State.Status}} {{.State.Pid}}' "$1") || return 1
    case $status in
    running) [[ -d /proc/$pid ]] || ! status_is "$1" running || { echo "it is said to run as $pid"; return 1; } ;;
    exited | created | restarting) ;;
    *) echo "it is $status"; return 1 ;;
    esac
    $h rm -f "$1" >/dev/null || return 1
    ! $h inspect "$1" >/dev/null 2>&1 || { echo "it is still there"; return 1; }
}

@test "a monitor is killed at each of its steps to the end of a container, and the truth stays" {
    local h=husk n id monitor tracer ended=0
    for ((n = 1; n < 80; n++)); do
        id=$(husk run -d busybox sh -c 'while [ ! -e /go ]; do sleep 0.02; done; echo last; exit 7')
        monitor=$(monitors_of "$id")
        strace -q -o "$T/tmp/trace" -p "$monitor" -e trace=$CHANGING -e "inject=$CHANGING:signal=KILL:when=$n" 2>/dev/null 3>&- &
        tracer=$!
        wait_until 5 grep -q "^TracerPid:[[:space:]]*$tracer" "/proc/$monitor/status"
        husk exec "$id" touch /go || true
        wait_until 10 gone "$monitor"
        wait $tracer || true
        if grep -q "killed by SIGKILL" "$T/tmp/trace"; then ended=$n; fi
        wait_until 10 eval '[[ $(status_of '"$id"') == exited ]]'
        run husk inspect --format '{{.State.ExitCode}}' "$id"
        [[ $output == 7 || $output == 255 ]] || { echo "killed at step $n: exit code $output"; return 1; }
        truth "$id" || { echo "killed at step $n"; return 1; }
        ((ended == n)) || break # it got through
    done
    ((n > 8 && n < 80)) || { echo "$n steps"; return 1; }
}

@test "a restarting container is killed at each step of all that is its, and comes back or is stopped" {
    local h=husk n id monitor status_ late=0
    for ((n = 1; n < 300 && late < 3; n += 7)); do # there are so many steps in a second, and no more
        id=$(husk run -d --restart always busybox sh -c 'sleep 0.02; exit 1')
        monitor=$(monitors_of "$id" | head -n 1)
        status_=0
        [[ ! $monitor ]] || timeout 1 strace -f -qq -o /dev/null -p "$monitor" -e trace=$CHANGING \
            -e "inject=$CHANGING:signal=KILL:when=$n" 2>/dev/null 3>&- || status_=$?
        late=$((late + (status_ == 124)))
        wait_until 10 eval 'husk ps -q >/dev/null; [[ $(status_of '"$id"') =~ ^(running|restarting)$ || $(husk inspect --format "{{.State.Error}}" '"$id"') ]]' ||
            { echo "killed at step $n: $(status_of "$id")"; return 1; }
        husk stop -t 0 "$id" >/dev/null
        [[ $(status_of "$id") =~ ^(exited|created)$ ]] || { echo "killed at step $n: stopped, and is $(status_of "$id")"; return 1; }
        wait_until 5 no_monitor "$id"
        husk rm "$id" >/dev/null || { echo "killed at step $n"; return 1; }
    done
    ((n > 22)) || { echo "only $n steps"; return 1; }
}

is_stopped() { grep -q "^State:[[:space:]]*[Tt]" "/proc/$1/status"; }

# What starts the container $id again stands still when it has removed the record of the last run: sets monitor and tracer.
# One that has started it before strace is there is another process's forerunner, and strace ends.
stands_still() {
    monitor=$(monitors_of "$id")
    timeout 60 strace -qq -o "$T/tmp/trace" -p "$monitor" -P exit.json -e trace=unlinkat -e inject=unlinkat:signal=STOP:when=1 2>/dev/null 3>&- &
    tracer=$!
    until is_stopped "$monitor" && [[ -s $T/tmp/trace ]]; do
        kill -0 "$tracer" 2>/dev/null || return 1
        sleep 0.05
    done
}

@test "a stop that comes in the middle of a restart, when nothing of the last run is left, holds" {
    local h id monitor tracer stop
    for h in husk 'as_user husk'; do
        id=$($h run -d --name middle --network none --restart always busybox sh -c 'sleep 0.02; exit 1')
        wait_until 60 stands_still
        [[ $($h ps -a --format '{{.State}}') == restarting ]]
        $h stop -t 0 middle 3>&- &
        stop=$!
        sleep 0.2
        kill -CONT "$monitor"
        wait "$stop"
        wait "$tracer" || true
        status_is middle exited
        wait_until 5 no_monitor "$id"
        status_is middle exited
        $h rm middle
    done
}

@test "monitors are killed at two hundred moments of their lives, and the truth stays" {
    local h i id
    for h in husk 'as_user husk'; do
        for ((i = 0; i < 100; i++)); do
            id=$($h run -d busybox sh -c 'echo a; sleep 0.03; echo b; exit 7')
            sleep "0.0$((RANDOM % 8))"
            kill -KILL $(monitors_of "$id") 2>/dev/null || true
            truth "$id" || { echo "round $i"; return 1; }
        done
    done
}

BARRIERS=fsync,fdatasync,syncfs,sync
# cut_power NAME...: these were acknowledged before something was written to the disk; KIND/NAME: not a container
cut_power() {
    # A copy that is equal to the next one is of one moment: nothing was written while it was made.
    until cp --sparse=always "$T/disk.img" "$T/cut.img" && cmp -s "$T/disk.img" "$T/cut.img"; do :; done
    mount_copy "$T/cut.img" "$T/cut"
    local status_=0 id name run_=$TRUN/cut
    mkdir -m 700 "$run_"
    (
        export HUSK_ROOT=$T/cut/root HUSK_RUN=$run_
        husk ps -aq --no-trunc >"$T/tmp/ids" || exit 1
        for name; do
            [[ $name == */* ]] && set -- "${name%%/*}" inspect "${name#*/}" || set -- inspect "$name"
            husk "$@" >/dev/null || { echo "'$name' was there and is lost"; husk ps -a; ls -l "$HUSK_ROOT" "$HUSK_ROOT/containers"; losetup -a; od -A d -t x1 -N 32 "$HUSK_ROOT/husk.db-wal"; exit 1; }
        done
        while read -r id; do
            husk inspect "$id" >/dev/null || { echo "'$id' cannot be inspected"; exit 1; }
            [[ $(husk inspect --format '{{.State.Status}}' "$id") =~ ^(created|exited)$ ]] || { echo "'$id' runs"; exit 1; }
        done <"$T/tmp/ids"
        touch -c -d "1 minute ago" "$T/cut/root/containers"/* # what has no row and is new may be about to get one
        husk system check --repair >/dev/null || exit 1
        husk system check >/dev/null || exit 1
        husk pod rm -fa >/dev/null || exit 1
        while read -r id; do husk rm -f "$id" >/dev/null || { echo "'$id' cannot be removed"; exit 1; }; done <"$T/tmp/ids"
        [[ ! $(husk ps -aq) && ! $(ls -A "$T/cut/root/containers") ]] || { husk ps -a; ls -lA "$T/cut/root/containers"; exit 1; }
    ) || status_=1
    unmount_copy "$T/cut.img" "$T/cut"
    rm -rf "$run_"
    return $status_
}

@test "a power cut while containers are made, run, renamed, stopped and removed leaves whole ones, and nothing that was acknowledged is lost" {
    local i n=0 monitor
    ((EUID == 0)) || skip "mounts need root"
    truncate -s 64M "$T/disk.img"
    mkfs.ext4 -q "$T/disk.img"
    mkdir "$T/disk" "$T/cut"
    mount -o loop,noatime,commit=300 "$T/disk.img" "$T/disk"
    local HUSK_ROOT=$T/disk/root
    export HUSK_ROOT
    load_busybox
    husk create --network none --name first busybox true >/dev/null # which is a promise: nothing else is synced
    cut_power first
    husk volume create promised >/dev/null
    cut_power first promised
    # each after the one before: what is written to the disk for one takes along what was made before it
    husk network create net >/dev/null
    cut_power network/net
    husk pod create --network none pod >/dev/null
    cut_power network/net pod/pod
    husk pod create --infra=false bare >/dev/null
    cut_power pod/bare
    husk rename first renamed
    cut_power renamed
    husk rename renamed first
    printf secret | husk secret create word - >/dev/null
    cut_power first secret/word
    husk tag busybox tagged:1
    cut_power image/tagged:1
    husk import "$IMAGES/rootfs.tar" whole:1 >/dev/null
    cut_power image/whole:1
    husk pod rm -fa >/dev/null
    for i in 1 2 3 4 5 6; do
        husk create --network none --name "c$i" -v "vol$i:/v" busybox true >/dev/null
        cut_power first "c$i" || { echo "after create $i"; return 1; }
        husk run --network none --name "r$i" busybox sh -c 'echo said >/file; echo said; exit 3' >/dev/null || true
        cut_power first || { echo "after run $i"; return 1; }
        husk run --network none -d --name "d$i" --restart always busybox sleep 1000 >/dev/null
        # What the copy's rm -f kills, by its control group, is this one: its monitor does not start it again meanwhile.
        monitor=$(monitors_of "$(husk inspect --format '{{.Id}}' "d$i")")
        kill -STOP "$monitor"
        ((i > 1)) || cut_power first "d$i" || { kill -CONT "$monitor"; echo "after run -d --restart"; return 1; }
        husk rename "d$i" "e$i"
        sync -f "$T/disk"
        cut_power first "c$i" "r$i" "e$i" || { kill -CONT "$monitor"; echo "while running $i"; return 1; }
        kill -CONT "$monitor"
        husk stop -t 0 "e$i" >/dev/null
        cut_power first "c$i" "r$i" || { echo "after stop $i"; return 1; }
        husk rm -f "c$i" "e$i" "r$i" >/dev/null
        cut_power first || { echo "after rm $i"; return 1; }
    done
    # And at each barrier of one that is made and run.
    for ((n = 1; n < 40; n++)); do
        strace -f -qq -o /dev/null -e trace=$BARRIERS -e "inject=$BARRIERS:signal=KILL:when=$n" \
            "$HUSK" run --network none --name "b$n" busybox true >/dev/null 2>&1 3>&- && break
        cut_power first || { echo "at barrier $n"; return 1; }
        husk rm -f "b$n" >/dev/null
    done
    ((n < 40))
    husk rm -fa >/dev/null
    husk volume prune -af >/dev/null 2>&1 || husk volume prune -f >/dev/null
    umount "$T/disk"
}

can_bind() { python3 -c 'import socket, sys; socket.socket().bind(("0.0.0.0", int(sys.argv[1])))' "$1" 2>/dev/null; }
cannot_bind() { ! can_bind "$1"; }

@test "adopted: the new monitor keeps the container's published ports from other programs, and lets go of them at its end" {
    ((EUID == 0)) || skip "kernel: an ordinary user's ports are kept by the process that carries them"
    local h=husk id port
    id=$(husk run -d --name ports --network bridge -p 80 busybox sleep 1000)
    port=$(husk port ports 80 | head -n 1 | sed 's/.*://')
    cannot_bind "$port"
    kill_monitor "$id"
    can_bind "$port"
    husk exec ports true
    wait_until 5 one_monitor "$id"
    cannot_bind "$port"
    husk stop -t 0 ports
    wait_until 5 can_bind "$port"
    # one that somebody took meanwhile is no reason to leave the container without a monitor
    husk start ports
    port=$(husk port ports 80 | head -n 1 | sed 's/.*://')
    kill_monitor "$id"
    python3 -c 'import socket, sys, time; s = socket.socket(); s.bind(("0.0.0.0", int(sys.argv[1]))); print("bound", flush=True); time.sleep(60)' "$port" >"$T/tmp/bound" 3>&- &
    local taker=$!
    wait_until 5 grep -q bound "$T/tmp/bound"
    run husk exec ports true
    expect 0 "port $port/tcp of the host is not kept for the container any more: port $port/tcp of the host is taken"
    wait_until 5 one_monitor "$id"
    kill "$taker"
    husk rm -f ports
}
