#!/usr/bin/env bats
# Health checks: a command in the container tells whether it is well; its monitor has the clock.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

load helpers

setup_file() {
    husk_setup_file
    load_busybox
    as_user load_busybox
}
teardown() { remove_all_containers; }

health_is() { [[ $($h inspect --format '{{.State.Health.Status}}' "$1") == "$2" ]]; }
# A program that is well once /well is there, until /ill is.
CHECK='test -e /well -a ! -e /ill && echo fine || { echo "not yet"; exit 1; }'

@test "what may be said about a health check" {
    check_table <<'EOT'
run --no-healthcheck --health-cmd true busybox true        | 125 | exclude each other
run --health-interval 1s busybox true                      | 125 | there is no health check: the image has none, so give --health-cmd
run --health-cmd true --health-retries -1 busybox true     | 125 | --health-retries
run --health-cmd true --health-interval x busybox true     | 125 | --health-interval
run --health-cmd true --on-unhealthy explode busybox true  | 125 | --on-unhealthy
run --health-cmd '[]' busybox true                         | 125 | --health-cmd
run --health-cmd '["CMD"]' busybox true                    | 125 | no command follows
run --health-cmd none busybox true                         | 0   |
run --no-healthcheck busybox true                          | 0   |
healthcheck run nobody                                     | 125 | no such container
EOT
}

@test "from starting to healthy to unhealthy, with the last five answers, for root and for a user" {
    local h
    for h in husk 'as_user husk'; do
        $h run -d --name hc --health-cmd "$CHECK" --health-interval 100ms --health-retries 2 --health-start-period 1h \
            --health-start-interval 50ms busybox sleep 1000
        health_is hc starting
        run $h ps --format '{{.Status}}'
        expect 0 '(health: starting)'
        # Failures in the start period do not count.
        wait_until 10 eval '[[ $($h inspect --format "{{len .State.Health.Log}}" hc) -ge 3 ]]'
        health_is hc starting
        run $h inspect --format '{{.State.Health.FailingStreak}} {{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' hc
        expect 0 '~^0 1 not yet'
        $h exec hc touch /well
        wait_until 10 health_is hc healthy
        run $h ps --format '{{.Status}}' --filter health=healthy
        expect 0 '(healthy)'
        run $h ps -q --filter health=starting --filter health=unhealthy
        expect 0 =
        $h exec hc touch /ill
        wait_until 10 health_is hc unhealthy
        run $h ps --format '{{.Status}}' --filter health=unhealthy
        expect 0 '(unhealthy)'
        wait_until 10 eval '[[ $($h inspect --format "{{len .State.Health.Log}}" hc) -eq 5 ]]'
        run $h events --since 1h --until 0s --filter container=hc --format '{{.Action}}'
        [[ $output == *'health_status: healthy'*'health_status: unhealthy'* ]]
        [[ $(grep -c health_status <<<"$output") -eq 2 ]]
        run $h inspect --format '{{json .Config.Healthcheck.Test}} {{.Config.Healthcheck.Retries}}' hc
        expect 0 'CMD-SHELL'
    done
}

@test "the check is a program without a shell, ends in time with all it started, and its output is bounded" {
    local h=husk
    husk run -d --name list --health-cmd '["echo", "$HOME is no variable here"]' --health-interval disable busybox sleep 1000
    run husk healthcheck run list
    expect 0 =
    run husk inspect --format '{{(index .State.Health.Log 0).Output}}' list
    expect 0 '$HOME is no variable here'

    husk run -d --name slow --health-cmd 'sleep 999 & sleep 998' --health-timeout 300ms --health-retries 1 --health-interval 1h \
        busybox sleep 1000
    run husk healthcheck run slow
    expect 1 =unhealthy
    run husk inspect --format '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' slow
    expect 0 '=-1 no answer within 0.3 seconds (--health-timeout)'
    run husk top slow -o args
    [[ $output != *'sleep 99'* ]]

    husk run -d --name loud --health-cmd 'yes | head -c 1000000; printf "\377"' --health-interval 1h busybox sleep 1000
    run husk healthcheck run loud
    expect 0 =
    [[ $(husk inspect --format '{{(index .State.Health.Log 0).Output}}' loud | wc -c) -eq 4097 ]]

    husk run -d --name missing --health-cmd '["/no/such"]' --health-interval 1h busybox sleep 1000
    run husk healthcheck run missing
    expect 1 =starting
    run husk inspect --format '{{(index .State.Health.Log 0).Output}}' missing
    expect 0 '/no/such'

    husk run -d --name none busybox sleep 1000
    run husk healthcheck run none
    expect 125 'has no health check'
    husk pause list
    run husk healthcheck run list
    expect 125 'is paused'
    husk unpause list
    husk stop -t 0 list
    run husk healthcheck run list
    expect 125 'is exited'
}

@test "an image's HEALTHCHECK is used, changed, and switched off" {
    local h=husk
    husk create --name base busybox true
    husk commit --change 'HEALTHCHECK --interval=100ms --retries=1 CMD test -e /well' base checked
    husk commit --change 'HEALTHCHECK NONE' base unchecked
    husk run -d --name ill checked sleep 1000
    wait_until 10 health_is ill unhealthy
    husk run -d --name well --health-cmd 'true' checked sleep 1000
    wait_until 10 health_is well healthy
    run husk inspect --format '{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck.Retries}}' well
    expect 0 '=100000000 1'
    husk run -d --name off --no-healthcheck checked sleep 1000
    husk run -d --name off2 unchecked sleep 1000
    run husk ps --filter health=none --format '{{.Names}}'
    [[ $output == off2$'\n'off ]]
}

@test "what becomes unhealthy is restarted, stopped or killed when that was asked for" {
    local h=husk
    husk run -d --name re --health-cmd 'test ! -e /tmp/ill' --health-interval 100ms --health-retries 2 --on-unhealthy restart \
        --tmpfs /tmp busybox sh -c 'trap "exit 3" TERM; while :; do sleep 0.1; done'
    wait_until 10 health_is re healthy
    local pid
    pid=$(husk inspect --format '{{.State.Pid}}' re)
    husk exec re touch /tmp/ill
    wait_until 10 eval '[[ $(husk inspect --format "{{.State.Pid}}" re) != '"$pid"' ]]'
    wait_until 10 health_is re healthy

    husk run -d --name st --health-cmd false --health-interval 100ms --health-retries 2 --on-unhealthy stop --restart always \
        --stop-timeout 0 busybox sleep 1000
    wait_until 10 eval '[[ $(husk inspect --format "{{.State.Status}}" st) == exited ]]'

    husk run -d --name ki --health-cmd false --health-interval 100ms --health-retries 2 --health-on-failure kill \
        --restart on-failure:1 busybox sleep 1000
    wait_until 10 eval '[[ $(husk inspect --format "{{.RestartCount}} {{.State.Status}}" ki) == "1 exited" ]]'
}
