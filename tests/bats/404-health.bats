#!/usr/bin/env bats
# Health checks: a command in the container tells whether it is well; its monitor has the clock.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

load helpers

setup_file() { setup_both_stores; }
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
run --health-cmd true --health-startup-retries 1 busybox true | 125 | give --health-startup-cmd
run --health-startup-cmd true busybox true                 | 125 | there is no health check: the image has none, so give --health-cmd
run --health-cmd true --health-startup-cmd '[""' --health-startup-success -1 busybox true | 125 | --health-startup-success: it is from 0
run --health-cmd true --health-startup-cmd '["CMD"]' busybox true | 125 | --health-startup-cmd: no command follows
run --health-cmd true --health-max-log-count 1001 busybox true | 125 | --health-max-log-count: it is from 0 to 1000
run --health-cmd true --health-max-log-size x busybox true | 125 | --health-max-log-size
run --health-cmd true --health-log-destination here busybox true | 125 | is neither local, events_logger nor
run --health-cmd true --health-log-destination /no/such busybox true | 125 | open '/no/such'
run --health-cmd none busybox true                         | 0   |
run --no-healthcheck busybox true                          | 0   |
healthcheck run nobody                                     | 125 | no such container
EOT
}

@test "from starting to healthy to unhealthy, with the last five answers, for root and for a user" {
    local h
    for h in husk 'as_user husk'; do
        $h create --name hc --health-cmd "$CHECK" --health-interval 100ms --health-retries 2 --health-start-period 1h \
            --health-start-interval 50ms busybox sleep 1000
        health_is hc starting # what was never started has not been asked
        run $h why hc
        expect 0
        $h start hc
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

@test "a startup check is asked until it has succeeded often enough, then the other; and too many failures restart it" {
    local h dir
    for h in husk 'as_user husk'; do
        $h run -d --name slow --health-cmd 'echo regular; test ! -e /ill' --health-interval 50ms --health-retries 1 \
            --health-startup-cmd 'echo startup; test -e /up' --health-startup-interval 50ms --health-startup-success 2 \
            busybox sleep 1000
        $h exec slow touch /ill
        wait_until 10 eval '[[ $($h inspect --format "{{len .State.Health.Log}}" slow) -ge 3 ]]'
        run $h inspect --format '{{.State.Health.Status}} {{.State.Health.FailingStreak}} {{(index .State.Health.Log 2).Output}}' slow
        expect 0 '~^starting 0 startup'
        $h exec slow touch /up
        wait_until 10 health_is slow unhealthy # the regular one's word
        $h exec slow rm /ill /up               # the startup check is over: nobody asks for /up again
        wait_until 10 health_is slow healthy
        run $h inspect --format '{{(index .State.Health.Log 4).Output}} {{.Config.StartupHealthCheck.Successes}}' slow
        expect 0 '~^regular'

        $h run -d --name never --health-cmd true --health-interval 1h --health-startup-cmd 'false' --health-startup-retries 2 \
            --health-startup-interval disable busybox sleep 1000
        first=$($h inspect --format '{{.State.StartedAt}}' never)
        run $h healthcheck run never
        expect 1 =starting
        [[ $($h inspect --format '{{.State.StartedAt}}' never) == "$first" ]]
        run $h healthcheck run never
        expect 1
        [[ $($h inspect --format '{{.State.StartedAt}}' never) != "$first" ]]
        $h update --health-startup-cmd true never
        run $h healthcheck run never
        expect 0 =
        run $h healthcheck run never
        expect 0 =
        health_is never healthy
    done
}

@test "answers are kept as many and as long as was said, and go to a directory and to the events" {
    local h dir
    for h in husk 'as_user husk'; do
        dir=$(as_user mktemp -d)
        $h run -d --name few --health-cmd 'echo 123456789' --health-interval disable --health-max-log-count 2 --health-max-log-size 4 \
            --health-log-destination "$dir" busybox sleep 1000
        for i in 1 2 3; do $h healthcheck run few; done
        run $h inspect --format '{{len .State.Health.Log}} {{(index .State.Health.Log 0).Output}} {{.Config.HealthLogDestination}}' few
        expect 0 "=2 1234 $dir"
        id=$($h inspect --format '{{.Id}}' few)
        run jq -r '.Status, (.Log | length), .Log[1].Output' "$dir/$id-healthcheck.log"
        expect 0 $'=healthy\n2\n1234'
        rm -r "$dir"
        run $h healthcheck run few # the check itself is not about that
        expect 0 'health-log-destination: open'
        $h update --health-log-destination events_logger --health-max-log-count 0 few
        for i in 1 2 3 4 5; do $h healthcheck run few; done
        run $h inspect --format '{{len .State.Health.Log}}' few
        expect 0 =7
        run $h events --since 1h --until 0s --filter container=few --filter event=health_check --format '{{.Actor.Attributes.output}} {{.Actor.Attributes.exitCode}}'
        expect 0
        [[ $(grep -c '^1234 0$' <<<"$output") -eq 5 ]]
    done
}

@test "wait for health: healthy, unhealthy, and no waiting on what has ended or has no check" {
    local h
    for h in husk 'as_user husk'; do
        $h create --name hc --network none --health-cmd "$CHECK" --health-interval 50ms --health-retries 2 busybox sleep 1000
        $h start hc
        [[ $($h wait --condition unhealthy --interval 20ms hc) == -1 ]]
        $h exec hc touch /well
        [[ $($h wait --condition healthy --interval 20ms hc) == -1 ]]
        health_is hc healthy
        [[ $($h wait --condition unhealthy --condition running hc) == -1 ]]
        $h run -d --name unasked --network none busybox sleep 1000
        run $h wait --condition healthy unasked
        expect 1 "container 'unasked' has no health check: --health-cmd gives one"
        $h stop -t 0 hc unasked
        run $h wait --condition healthy hc
        expect 1 "container 'hc' does not run, so it is not going to be healthy: exit code 137"
        [[ $($h wait --condition healthy --condition exited hc) == 137 ]]
        $h rm hc unasked
    done
}
