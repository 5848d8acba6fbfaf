#!/usr/bin/env bats
# pause, update, top, restart, wait --condition, rm and prune with filters, ps with every filter: as root and as an
# ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

status_of() { # HUSK NAME
    $1 inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$2"
}

# An ordinary user has a control group only where the host delegates one.
has_cgroup() { # HUSK CONTAINER
    [[ $($1 inspect -f '{{.State.Pid}}' "$2") -gt 0 ]] && $1 pause "$2" >/dev/null 2>&1 && $1 unpause "$2" >/dev/null
}

@test "pause: frozen, seen, thawed; stopped while frozen" {
    local h
    for h in $WHO; do
        $h run -d --name frozen busybox sh -c 'while :; do sleep 0.1; done'
        run $h pause frozen
        if ((status != 0)); then
            [[ $h == user_husk ]]
            expect 1 "run it as root, or where systemd delegates some to users"
            [[ $(status_of $h frozen) == "running 0" ]]
            continue
        fi
        [[ $(status_of $h frozen) == "paused 0" ]]
        [[ $($h ps --filter status=paused --format '{{.Names}} {{.Status}}') =~ ^frozen\ Up\ .*\(Paused\)$ ]]
        run $h pause frozen
        expect 1 "container 'frozen' is paused already"
        run $h exec frozen true
        expect 1 "container 'frozen' is paused"
        [[ $($h wait --condition paused frozen) == -1 ]]
        [[ $($h unpause -a) =~ ^[0-9a-f]{64}$ ]]
        run $h unpause frozen
        expect 1 "container 'frozen' is not paused"
        $h exec frozen true
        $h pause frozen
        $h stop -t 1 frozen
        [[ $(status_of $h frozen) == exited* ]]
        run $h pause frozen
        expect 1 "container 'frozen' is not running"
    done
}

# memory, processes, CPU time of 'tight'
kernels_limits() {
    $h exec tight sh -c 'cd /sys/fs/cgroup
        for f in memory/memory.limit_in_bytes memory.max pids/pids.max pids.max cpu/cpu.cfs_quota_us cpu.max; do
            if [ -e $f ]; then cat $f; fi
        done' | sed -E '1s/^(9223372036854771712|max)$/none/; 3s/^(-1|max .*)$/none/' | xargs
}

@test "update: limits of a running container, kept for its next start" {
    local h
    for h in $WHO; do
        $h run -d --name tight busybox sleep 1000
        run $h update tight
        expect 1 "nothing to change was named"
        run $h update --memory 1k tight
        expect 1 "less than 6m"
        if has_cgroup $h tight; then
            [[ $($h update --memory 64m --memory-swap 64m --pids-limit 55 --cpus 0.5 tight) == tight ]]
            [[ $($h inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}' tight) == "67108864 55 500000000" ]]
            [[ $($h exec tight sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null') == 67108864 ]]
            [[ $($h exec tight sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null') == 55 ]]
            run $h update --memory 128m tight
            expect 1 "more than memory and swap together"
            [[ $($h inspect -f '{{.HostConfig.Memory}}' tight) == 67108864 ]]
            $h update --memory 128m --memory-swap 256m tight
            [[ $($h exec tight sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null') == 134217728 ]]
            $h stop -t 0 tight
            $h start tight
            [[ $($h exec tight sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null') == 55 ]]
            run $h update --cpuset-cpus 4095 tight
            [[ $status -eq 1 ]]
            [[ $($h inspect -f '{{.HostConfig.CpusetCpus}}' tight) == '' ]]
            # limits go again, in the kernel too
            $h update --pids-limit -1 --memory 0 --memory-swap -1 --cpus 0 tight
            [[ $(kernels_limits) == "none max none" && $($h inspect -f '{{.HostConfig.NanoCpus}}' tight) == 0 ]]
            # a limit that the kernel refuses takes those before it along
            $h rm -f tight
            $h run -d --name tight busybox sleep 1000
            before=$(kernels_limits)
            run $h update --memory 64m --cpus 0.5 --pids-limit 55 --device-read-bps /dev/null:1mb tight
            [[ $status -eq 1 && $(kernels_limits) == "$before" ]] || { echo "$output; $before; $(kernels_limits)"; return 1; }
        else
            [[ $h == user_husk ]]
            run $h update --memory 64m tight
            expect 1 "started without a control group, so it cannot be limited while it runs"
            [[ $($h inspect -f '{{.HostConfig.Memory}}' tight) == 0 ]]
            $h stop -t 0 tight
            $h update --pids-limit 55 tight
            [[ $($h inspect -f '{{.HostConfig.PidsLimit}}' tight) == 55 ]]
        fi
    done
}

@test "update: health check, variables and ulimits" {
    local h
    for h in $WHO; do
        $h run -d --name well --network none --health-cmd true --health-interval disable --on-unhealthy stop -e A=1 -e B=2 \
            --ulimit nofile=100:200 --ulimit core=0 busybox sleep 1000
        $h healthcheck run well
        $h update --on-unhealthy none --health-cmd false --health-retries 1 -e A=3 -e C=4 --unsetenv B --ulimit nofile=50:60 well
        run $h healthcheck run well
        expect 1
        [[ $($h inspect -f '{{.State.Health.Status}}' well) == unhealthy ]]
        [[ $($h inspect -f '{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck.Test}}' well) == "0 [CMD-SHELL false]" ]]
        [[ $($h exec well sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c') == $'50\n60\n0' ]]
        $h restart -t 0 well
        [[ $($h exec well sh -c 'echo $A-$B-$C') == 3--4 ]]
        $h update --no-healthcheck well
        run $h healthcheck run well
        expect 125 "has no health check"
        run $h update --health-retries 2 well
        expect 1 "there is no health check"
        run $h update --ulimit nonsense=1 well
        expect 1 "--ulimit"
        run $h update --device-read-bps sda:1 well
        expect 1 "it is /dev/NAME:RATE"
    done
    # a device that is named again gets the new rate
    husk create --name disk --network none --device-read-bps /dev/null:1mb --device-read-bps /dev/zero:1mb busybox true
    husk update --device-read-bps /dev/null:2mb --blkio-weight 100 disk
    [[ $(husk inspect -f '{{json .HostConfig.BlkioDeviceReadBps}} {{.HostConfig.BlkioWeight}}' disk) == \
        *zero*1048576*null*2097152*100 ]]
}

@test "top: processes as the host sees them, with ps's and podman's words" {
    local h pid
    for h in $WHO; do
        $h run -d --name procs busybox sh -c 'sleep 1000 & wait'
        wait_until 30 eval "$h top procs | grep -q 'sleep 1000'"
        pid=$($h inspect -f '{{.State.Pid}}' procs)
        [[ $($h top procs) =~ ^UID\ +PID\ +PPID\ +C\ +STIME\ +TTY\ +TIME\ +CMD ]]
        [[ $($h top procs -o pid,comm) =~ ^PID\ +COMMAND.*$pid\ +sh ]]
        [[ $($h top procs -eo pid=NUMBER) == "NUMBER"*"$pid"* ]]
        [[ $($h top procs aux) =~ ^USER\ +PID\ +%CPU.*COMMAND ]]
        [[ $($h top procs pid comm) =~ ^PID\ +COMMAND.*1\ +sh ]]
        [[ $($h top procs hpid args) =~ $pid\ +sh\ -c\ sleep ]]
        [[ $($h top -l pid) =~ 1 ]]
        check_table $h <<'TABLE'
top procs -o nope      | 1 | 'nope' is no column
top procs --forest     | 1 | '--forest' is no option that husk knows
top procs -o           | 1 | '-o' needs a list of columns
top nothere            | 1 | no such container: 'nothere'
TABLE
        $h stop -t 0 procs
        run $h top procs
        expect 1 "container 'procs' is not running"
    done
}

@test "restart: with a signal, of --rm containers too, all that run" {
    local h before after
    for h in $WHO; do
        $h run -d --rm --name again busybox sh -c 'trap "exit 3" USR1; echo up; while :; do sleep 0.05; done'
        wait_until 30 eval "$h logs again | grep -q up"
        before=$($h inspect -f '{{.State.StartedAt}}' again)
        [[ $($h restart -s USR1 -t 30 again) == again ]]
        after=$($h inspect -f '{{.State.StartedAt}} {{.State.Status}}' again)
        [[ $after == *running && $after != "$before"* ]]
        [[ $($h restart --running -s USR1 -t 30) == $($h inspect -f '{{.Id}}' again) ]]
        [[ $($h inspect -f '{{.State.Status}}' again) == running ]]
        $h stop -t 0 again
        wait_until 30 eval "! $h inspect again"
    done
}

sleeps() { grep -q nanosleep "/proc/$1/wchan"; }

@test "wait: for other things than an end" {
    local h
    for h in $WHO; do
        $h create --name later busybox sh -c 'exit 4'
        [[ $($h wait --condition created later) == -1 ]]
        if [[ $h == husk ]]; then # whose waiting can be seen
            "$HUSK" wait --condition next-exit --interval 20ms later >"$T/tmp/wait" &
            wait_until 30 sleeps $!
            $h start later
            wait $!
            [[ $(<"$T/tmp/wait") == 4 ]]
            "$HUSK" wait --condition removed -i 20 later >"$T/tmp/wait" &
            wait_until 30 sleeps $!
            $h rm later
            wait $!
            $h create --name later busybox sh -c 'exit 4'
        fi
        $h start -a later || [[ $? == 4 ]]
        [[ $($h wait --condition exited later) == 4 ]]
        [[ $($h wait --condition stopped --latest) == 4 ]]
        [[ $($h wait --ignore nothere) == '' ]]
        run $h wait --condition happy later
        expect 1 "'happy' is not one of"
    done
}

@test "rm --depend: those that depend on it go before it, all or none" {
    local h one two three
    for h in $WHO; do
        one=$($h run -d --name one --network none busybox sleep 1000)
        two=$($h create --name two --network container:one busybox true)
        three=$($h create --name three --network none --requires two busybox true)
        $h create --name four --network none --volumes-from one busybox true
        run $h rm --depend one
        expect 1 "container 'one' is running"
        [[ $($h ps -aq | wc -l) == 4 ]]
        [[ $($h rm --depend --dry-run -f one | cut -f 2 | paste -sd,) == three,two,one ]]
        [[ $($h rm --depend -f one two | paste -sd,) == "$three,$two,$one" ]]
        [[ $($h ps -a --format '{{.Names}}') == four ]]
        [[ $($h rm --depend four) =~ ^[0-9a-f]{64}$ ]]
    done
}

@test "ps: namespaces, and again and again" {
    local h pid
    for h in $WHO; do
        $h run -d --name one --network none busybox sleep 1000
        $h create --name two --network none busybox true
        pid=$($h inspect --format '{{.State.Pid}}' one)
        [[ $($h ps --namespace --format '{{.PID}} net:[{{.NET}}] pid:[{{.PIDNS}}] mnt:[{{.MNT}}]') == \
            "$pid $(readlink "/proc/$pid/ns/net") $(readlink "/proc/$pid/ns/pid") $(readlink "/proc/$pid/ns/mnt")" ]]
        [[ $($h ps --ns | head -n 1 | tr -s ' ') == 'CONTAINER ID NAMES PID CGROUPNS IPC MNT NET PIDNS USERNS UTS'* ]]
        [[ $($h ps -a --ns --format '[{{.UTS}}{{.PID}}]' --filter name=two) == '[]' ]]
        [[ $($h ps --watch 1 --format '{{.Names}}' | head -n 2 | paste -sd,) == one,one ]]
        check_table $h <<'TABLE'
ps --ns --size      | 1 | --namespace and --size exclude each other
ps --ns --pod       | 1 | --pod and --namespace exclude each other
ps --watch 0        | 1 | --watch: it is from 1 to 86400
ps --external       | 1 | no other program keeps containers
ps --sync           | 1 | each look asks the kernel
TABLE
        $h rm -f one two
    done
}

@test "rm and prune: say what they would do, choose by filter, and leave the rest" {
    local h id
    for h in $WHO; do
        $h create --name one --label keep=no -v /anonymous busybox true
        $h create --name two --label keep=yes busybox true
        $h run -d --name three busybox sleep 1000
        $h run --name four busybox false || true
        run $h rm --dry-run -v one
        expect 0 "one"
        [[ ${lines[1]} == "volume "* ]]
        run $h rm --dry-run three
        expect 1 "container 'three' is running"
        [[ $($h ps -aq | wc -l) == 4 ]]
        run $h rm
        expect 1 "which container? Name one, or say --all or --latest"
        run $h rm -a one
        expect 1 "--all and names exclude each other"
        [[ $($h rm -v --filter label=keep=no) == $($h ps -a --no-trunc -q --filter name=one)* ]]
        [[ ! $($h volume ls -q) ]]
        run $h container prune --dry-run --filter 'label!=keep'
        expect 0 "four"
        [[ $output != *two* && $output == *"Total reclaimed space: 0B" ]]
        run $h container prune --force --filter 'label!=keep'
        expect 0 "~^[0-9a-f]{64}.Total reclaimed space: "
        [[ $($h ps -a --format '{{.Names}}' --sort names) == $'three\ntwo' ]]
        [[ $($h container prune --filter until=1h | head -n 1) == "Total"* ]]
        $h create --name five --cidfile "$T/tmp/cid.$h" busybox true
        [[ $($h rm --cidfile "$T/tmp/cid.$h") =~ ^[0-9a-f]{64}$ ]]
        [[ $($h rm -i nothere) == '' ]]
        [[ $($h rm -f nothere) == '' ]]
        [[ $($h kill -a) =~ ^[0-9a-f]{64}$ ]]
        [[ $($h rm -fa | wc -l) == 2 ]]
        [[ ! $($h ps -aq) ]]
    done
}

@test "ps: every filter, sizes, orders, templates" {
    local h
    for h in $WHO; do
        $h run --name alpha --label tier=front --label owner=me -v vol1:/data busybox sh -c 'echo 12345 >/f; exit 3' || true
        $h run -d --name beta --network host busybox sleep 1000
        $h create --name gamma-1 busybox true
        check_table $h <<'TABLE'
ps -a --format '{{.Names}}' --filter name=a --sort names  | 0 | ~^alpha.beta.gamma-1$
ps -a --format '{{.Names}}' --filter name=^a              | 0 | =alpha
ps -a --format '{{.Names}}' --filter name='^/gamma-[0-9]$' | 0 | =gamma-1
ps -a --format '{{.Names}}' --filter name='('             | 1 | is no regular expression
ps -a --format '{{.Names}}' --filter status=exited        | 0 | =alpha
ps -a --format '{{.Names}}' --filter status=created --filter status=exited --sort names | 0 | ~^alpha.gamma-1$
ps -a --format '{{.Names}}' --filter status=asleep        | 1 | 'asleep' is not one of created, running
ps -a --format '{{.Names}}' --filter exited=3             | 0 | =alpha
ps -a --format '{{.Names}}' --filter label=tier           | 0 | =alpha
ps -a --format '{{.Names}}' --filter label=tier=front --filter label=owner=you | 0 | =
ps -a --format '{{.Names}}' --filter 'label!=tier' --sort names | 0 | ~^beta.gamma-1$
ps -a --format '{{.Names}}' --filter volume=vol1          | 0 | =alpha
ps -a --format '{{.Names}}' --filter volume=/data         | 0 | =alpha
ps -a --format '{{.Names}}' --filter network=host         | 0 | =beta
ps -a --format '{{.Names}}' --filter since=beta           | 0 | =gamma-1
ps -a --format '{{.Names}}' --filter before=beta          | 0 | =alpha
ps -a --format '{{.Names}}' --filter until=2000-01-01     | 0 | =
ps -a --format '{{.Names}}' --filter until=soon           | 1 | neither a time
ps -a --format '{{.Names}}' --filter health=none --last 1 | 0 | =gamma-1
ps -a --format '{{.Names}}' --filter health=good          | 1 | 'good' is not one of none, starting
ps -a --format '{{.Names}}' --filter publish=80/tcp       | 0 | =
ps -a --format '{{.Names}}' --filter expose=x             | 1 | 'x' is no port
ps -a --format '{{.Names}}' --filter is-task=true         | 0 | =
ps -a --format '{{.Names}}' --filter ancestor=busybox --sort names | 0 | ~^alpha.beta.gamma-1$
ps -a --format '{{.Names}}' --filter colour=red           | 1 | unknown key 'colour'
ps -a --filter name=alpha --format '{{.Label "tier"}} {{.Label "none"}}|{{.LocalVolumes}} {{upper .State}}' | 0 | =front |1 EXITED
ps -a --filter name=alpha --format '{{if eq .State "exited"}}{{.Names}} {{.ID | printf "%.4s" | len}}{{end}}' | 0 | =alpha 4
ps -a --filter name=alpha --format 'table {{.Names}}\t{{.Label "tier"}}' | 0 | ~^NAMES +tier.alpha +front$
ps -a --filter name=alpha --format json                   | 0 | !"":
ps -a --filter name=alpha --size                          | 0 | ~SIZE.*alpha.*B \(virtual
ps -a --filter name=alpha --noheading                     | 0 | !IMAGE
ps -a -q --sort names                                     | 0 | ~^[0-9a-f]{12}.[0-9a-f]{12}.[0-9a-f]{12}$
container ls -a -l --format '{{.Names}}'                  | 0 | =gamma-1
port beta                                                 | 0 | =
port beta 80                                              | 1 | no public port '80' of container 'beta'
TABLE
        $h rm -f alpha beta gamma-1
        $h volume rm vol1
    done
}
