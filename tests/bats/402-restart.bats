#!/usr/bin/env bats
# Restart policies: a container that ends is started again by its own monitor, and by nobody when somebody stopped it.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

status_is() { [[ $(husk inspect --format '{{.State.Status}}' "$1") == "$2" ]]; }
count_is() { [[ $(husk inspect --format '{{.RestartCount}}' "$1") == "$2" ]]; }
count_reaches() { (($(husk inspect --format '{{.RestartCount}}' "$1") >= $2)); }
monitors_of() { # ID: how many
    grep -lzx "id[=]$1" /proc/[0-9]*/cmdline 2>/dev/null | wc -l
}
no_monitor() { [[ $(monitors_of "$1") -eq 0 ]]; }

@test "what a policy may be, and with what" {
    check_table <<'EOT'
run --restart sometimes busybox true             | 125 | --restart: 'sometimes' is not one of no, on-failure[:N], always, unless-stopped
run --restart always:3 busybox true              | 125 | only on-failure takes a number
run --restart on-failure:x busybox true          | 125 | --restart
run --rm --restart always busybox true           | 125 | --restart and --rm exclude each other
run --rm --restart no busybox true               | 0   |
run --timeout -1 busybox true                    | 125 | --timeout
EOT
}

@test "on-failure:2 is restarted twice, and the count and the last code stay" {
    local h
    for h in husk 'as_user husk'; do
        $h run -d --name twice --restart on-failure:2 busybox sh -c 'echo ran; exit 3'
        wait_until 10 eval "[[ \$($h inspect --format '{{.State.Status}} {{.RestartCount}}' twice) == 'exited 2' ]]"
        run $h inspect --format '{{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' twice
        expect 0 '=3 on-failure 2'
        [[ $($h logs twice | grep -c '^ran$') -eq 3 ]]
    done
}

@test "a program that ends well is not restarted by on-failure, and is by always" {
    local id
    husk run -d --name well --restart on-failure busybox true
    wait_until 10 status_is well exited
    count_is well 0
    id=$(husk run -d --name ever --restart always busybox true)
    wait_until 10 count_reaches ever 2
    husk stop ever
    run husk ps -a --filter name=ever --format '{{.Status}}'
    expect 0 'Exited (0)'
    wait_until 10 no_monitor "$id"
}

@test "while it waits ps says restarting, and stop, kill, start, rm and exec know it" {
    local id
    id=$(husk run -d --name ww --restart always busybox sh -c '[ ! -e /quiet ] || exec sleep 1000; exit 7')
    # By the fifth restart it waits for more than a second.
    wait_until 20 count_reaches ww 4
    wait_until 5 status_is ww restarting
    run husk ps --format '{{.Status}}'
    expect 0 '~^Restarting \(7\) .* ago$'
    run husk ps -q --filter status=restarting
    expect 0 "=${id:0:12}"
    run husk ps -q --filter restart-policy=always
    expect 0 "=${id:0:12}"
    run husk exec ww true
    expect 1 'is restarting'
    run husk attach ww
    expect 1 'is not running'
    run husk rm ww
    expect 1 'is restarting: stop it first'
    run husk stop ww
    expect 0
    status_is ww exited
    wait_until 5 no_monitor "$id"
    run husk inspect --format '{{.State.Restarting}} {{.State.Running}} {{.State.ExitCode}}' ww
    expect 0 '=false false 7'

    # Killed while it waits
    husk start ww
    wait_until 20 count_reaches ww 4
    wait_until 5 status_is ww restarting
    run husk kill --signal USR1 ww
    expect 1 'is not running'
    run husk kill ww
    expect 0
    status_is ww exited
    wait_until 5 no_monitor "$id"

    # Started while it waits: at once, and the count begins anew
    husk start ww
    wait_until 20 count_reaches ww 4
    wait_until 5 status_is ww restarting
    husk cp - ww:/ < <(cd "$T/tmp" && touch quiet && tar c quiet)
    husk start ww
    status_is ww running
    count_is ww 0
    wait_until 5 eval "[[ $(printf '$(monitors_of %s)' "$id") -eq 1 ]]"
    # Stopped while it runs: not restarted
    husk stop -t 0 ww
    status_is ww exited
    wait_until 5 no_monitor "$id"

    # Removed while it waits
    husk rm ww
    id=$(husk run -d --name ww --restart always busybox false)
    wait_until 20 count_reaches ww 4
    wait_until 5 status_is ww restarting
    husk rm -f ww
    wait_until 5 no_monitor "$id"
    [[ ! -e $HUSK_ROOT/containers/$id && ! -e $HUSK_RUN/$id ]]
}

@test "update --restart is heard by a monitor that watches, and by one that waits" {
    local id
    id=$(husk run -d --name uu busybox sh -c 'sleep 0.3; exit 4')
    husk update --restart on-failure:1 uu
    wait_until 10 count_is uu 1
    wait_until 10 status_is uu exited
    husk update --restart always uu
    run husk inspect --format '{{.HostConfig.RestartPolicy.Name}}' uu
    expect 0 =always
    husk start uu
    wait_until 20 count_reaches uu 3
    wait_until 10 status_is uu restarting
    husk update --restart no uu
    status_is uu exited
    wait_until 5 no_monitor "$id"
    run husk update --restart sometimes uu
    expect 1 'is not one of'
    run husk update --restart always --memory 32m uu
    expect 0
    husk run -d --rm --name short busybox sleep 100
    run husk update --restart always short
    expect 1 'is removed when it ends'
}

@test "killed by a signal from outside it is restarted, and a restart by its user counts anew" {
    local pid
    husk run -d --name kk --restart unless-stopped busybox sleep 1000
    pid=$(husk inspect --format '{{.State.Pid}}' kk)
    kill -KILL "$pid"
    wait_until 10 count_is kk 1
    wait_until 10 status_is kk running
    husk restart -t 0 kk
    status_is kk running
    count_is kk 0
}

@test "a restart that cannot be done leaves the container with the reason" {
    husk run -d --name broken --restart always -v "$T/tmp/gone:/gone" busybox sh -c 'sleep 0.3; exit 1'
    rmdir "$T/tmp/gone" && touch "$T/tmp/gone"
    wait_until 10 eval '[[ $(husk inspect --format "{{.State.Error}}" broken) == *gone* ]]'
    status_is broken exited
    count_is broken 1
    rm "$T/tmp/gone"
}

@test "--timeout kills it when its time is over, and the record says so" {
    local h id
    for h in husk 'as_user husk'; do
        id=$($h run -d --name late --timeout 1 busybox sh -c 'trap "" TERM; sleep 1000 & wait; sleep 1000')
        run $h wait late
        expect 0 =137
        run $h inspect --format '{{.State.TimedOut}}' late
        expect 0 =true
    done
    run husk run --rm --timeout 100 busybox true
    expect 0
}
