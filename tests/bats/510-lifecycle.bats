#!/usr/bin/env bats
# create, start, stop, kill, wait, rm, rename, ps, inspect, exec: a container's life, as root and as an ordinary user.
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

@test "lifecycle: created, running, exited, started again, removed" {
    local h id
    for h in $WHO; do
        id=$($h create --name life busybox sh -c 'echo run; cat /count 2>/dev/null; echo x >>/count; exit 3')
        [[ $id =~ ^[0-9a-f]{64}$ ]]
        [[ $(status_of $h life) == "created 0" ]]
        [[ $($h ps -q) == '' && $($h ps -aq --no-trunc) == "$id" ]]
        run $h wait life
        expect 0 0 # as docker: it does not run
        [[ $($h start life) == life ]]
        [[ $($h wait life) == 3 ]]
        [[ $(status_of $h life) == "exited 3" ]]
        [[ $($h logs life) == run ]]
        run $h start -a life
        expect 3 $'run\nx'
        [[ $($h wait life) == 3 ]]
        [[ $($h system check) == "no problems" ]]
        [[ $($h rm life) == life ]]
        run $h inspect life
        expect 1 "no container, image, volume, network, pod or secret is called 'life'"
    done
}

@test "lifecycle: a name, an ID or the beginning of one" {
    local h id
    for h in $WHO; do
        id=$($h create --name byname busybox true)
        for ref in byname /byname "$id" "${id:0:12}" "${id:0:5}"; do
            [[ $($h inspect --format '{{.Id}}' "$ref") == "$id" ]]
        done
        $h rename byname othername
        run $h inspect byname
        expect 1
        run $h rename othername a/b
        expect 1 "'a/b' is no container name"
        $h rm "${id:0:6}"
    done
}

@test "lifecycle: stop asks, then kills" {
    local h
    for h in $WHO; do
        $h run -d --name polite --stop-timeout 30 busybox sh -c 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done'
        $h run -d --name deaf busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done'
        $h run -d --name usr1 --stop-signal USR1 busybox sh -c 'trap "exit 8" USR1; echo ready; while :; do sleep 0.05; done'
        local name
        for name in polite deaf usr1; do
            wait_until 10 eval "$h logs $name | grep -q ready"
        done
        [[ $($h stop polite usr1) == $'polite\nusr1' ]]
        [[ $(status_of $h polite) == "exited 7" && $(status_of $h usr1) == "exited 8" ]]
        [[ $($h stop -t 1 deaf) == deaf ]]
        [[ $(status_of $h deaf) == "exited 137" ]]
        [[ $($h stop deaf) == deaf ]]
        run $h kill deaf
        expect 1 "container 'deaf' is not running"
        $h rm polite deaf usr1
    done
}

@test "lifecycle: several that are stopped hear it at the same time, and their patience runs at the same time" {
    local h name
    for h in $WHO; do
        # the first goes only when the second has heard it too; one after the other it would be killed
        mkdir -p "$T/heard"
        chmod 777 "$T/heard"
        $h run -d --name first -v "$T/heard:/heard" busybox sh -c 'trap "until [ -e /heard/second ]; do sleep 0.05; done; exit 7" TERM; echo ready; while :; do sleep 0.05; done'
        $h run -d --name second -v "$T/heard:/heard" busybox sh -c 'trap "touch /heard/second; exit 8" TERM; echo ready; while :; do sleep 0.05; done'
        for name in first second; do
            wait_until 10 eval "$h logs $name | grep -q ready"
        done
        run $h stop -t 30 first nobody second nobody2
        expect 1
        [[ $output == *first*second* && $output == *"husk stop: no such container: 'nobody'"* && $output == *"husk stop: no such container: 'nobody2'"* ]] || { echo "$output"; return 1; }
        [[ $(status_of $h first) == "exited 7" && $(status_of $h second) == "exited 8" ]]
        rm "$T/heard/second"
        $h start first second
        for name in first second; do
            wait_until 10 eval "[[ \$($h logs $name | grep -c ready) == 2 ]]"
        done
        $h restart -t 30 first second
        run $h events --since 1h --until 0s --filter container=first --filter event=die --format '{{.Actor.Attributes.exitCode}}'
        expect 0 $'=7\n7'
        rm "$T/heard/second"
        for name in first second; do
            wait_until 10 eval "[[ \$($h logs $name | grep -c ready) == 3 ]]"
        done
        $h stop -a -t 30
        [[ $(status_of $h first) == "exited 7" && $(status_of $h second) == "exited 8" ]]
        # what is in another's namespaces comes after it, in whatever order they were named
        $h start first
        $h run -d --name third --network container:first busybox sleep 1000
        $h restart -t 0 third first
        [[ $($h ps -q | wc -l) == 2 ]]
        [[ $($h exec third readlink /proc/self/ns/net) == "$($h exec first readlink /proc/self/ns/net)" ]]
        $h rm -f first second third
        rm -r "$T/heard"
    done
}

@test "lifecycle: kill, restart, and several at once" {
    local h
    for h in $WHO; do
        $h run -d --name k1 busybox sleep 100
        $h run -d --name k2 busybox sleep 100
        run $h kill --signal NONSENSE k1
        expect 1 "--signal: 'NONSENSE'"
        run $h kill k1 nobody k2
        expect 1 "no such container: 'nobody'"
        wait_until 5 eval "[[ \$(status_of $h k1) == 'exited 137' && \$(status_of $h k2) == 'exited 137' ]]"
        $h restart k1
        [[ $(status_of $h k1) == "running 0" ]]
        run $h rm k1
        expect 1 "container 'k1' is running: stop it first, or force with -f"
        $h rm -f k1 k2
        run $h rm k1
        expect 1 "no such container: 'k1'"
        run $h rm -f k1
        expect 0
    done
}

monitor_of() { # HUSK NAME
    local ppid
    ppid=$(ps -o ppid= -p "$($1 inspect --format '{{.State.Pid}}' "$2")")
    echo "${ppid// /}"
}
# Its monitor gets no processor for a second: as on a machine that has much else to do.
starve() {
    kill -STOP "$1"
    (sleep 1; kill -CONT "$1") 3>&- &
}

@test "lifecycle: what was killed does not run any more, however late its monitor is, and can be started at once" {
    local h monitor pid
    for h in $WHO; do
        $h run -d --name k1 --network none busybox sleep 1000
        monitor=$(monitor_of $h k1)
        starve "$monitor"
        $h kill k1
        [[ $(status_of $h k1) == "exited 137" ]]
        wait
        # nor does one that died by itself "run already"
        $h start k1
        monitor=$(monitor_of $h k1)
        pid=$($h inspect --format '{{.State.Pid}}' k1)
        starve "$monitor"
        kill -KILL "$pid"
        wait_until 5 grep -q '^State:.*Z' "/proc/$pid/status" # the kernel ends its pid namespace first
        $h start k1
        wait
        [[ $(status_of $h k1) == "running 0" && $($h inspect --format '{{.State.Pid}}' k1) != "$pid" ]]
        $h rm -f k1
    done
}

@test "lifecycle: a stop that looks late at what became of a --rm container finds that it is gone, which is no failure" {
    local h
    for h in $WHO; do
        $h run -d --rm --name late --network none busybox sh -c 'trap "exit 0" TERM; echo ready; while :; do sleep 0.05; done'
        wait_until 10 eval "$h logs late | grep -q ready"
        if [[ $h == husk ]]; then
            run strace -qq -o /dev/null -e trace=poll -e inject=poll:delay_exit=1000000 "$HUSK" stop late
        else
            run as_user strace -qq -o /dev/null -e trace=poll -e inject=poll:delay_exit=1000000 "$HUSK" stop late
        fi
        expect 0 =late
        [[ ! $($h ps -aq) ]]
    done
}

@test "lifecycle: wait hears the code of a --rm container" {
    local h
    for h in $WHO; do
        $h run -d --rm --name short busybox sh -c 'sleep 0.5; exit 6'
        [[ $($h wait short) == 6 ]]
        wait_until 5 eval "[[ ! \$($h ps -aq) ]]"
    done
}

@test "lifecycle: ps filters and formats" {
    local h
    for h in $WHO; do
        $h run -d --name on --label a=1 --label b busybox sleep 100
        $h create --name off --label a=2 busybox true
        $h run --name out busybox sh -c 'exit 4' || true
        check_table $h <<'TABLE'
ps --format '{{.Names}}'                                   | 0 | =on
ps -a --format '{{.Names}} {{.State}}'                     | 0 | ~^out.exited.off.created.on.running$
ps -a --filter label=a --format '{{.Names}}'               | 0 | ~^off.on$
ps -a --filter label=a=1 --format '{{.Names}}'             | 0 | =on
ps -a --filter label=a --filter label=b --format '{{.Names}}' | 0 | =on
ps -a --filter status=created --format '{{.Names}}'        | 0 | =off
ps --filter status=exited --format '{{.Names}}'            | 0 | =out
ps -a --filter exited=4 --format '{{.Names}}'              | 0 | =out
ps -a --filter name=o --filter name=u --format '{{.Names}}' | 0 | ~^out.off.on$
ps -a --filter ancestor=busybox --format '{{.Names}}'      | 0 | ~^out.off.on$
ps -a --filter ancestor=other --format '{{.Names}}'        | 0 | =
ps -a --filter before=off --format '{{.Names}}'            | 0 | =on
ps -a --filter since=off --format '{{.Names}}'             | 0 | =out
ps -l --format '{{.Names}}'                                | 0 | =out
ps -n 2 --format '{{.Names}}'                              | 0 | ~^out.off$
ps -a --filter nmae=x                                      | 1 | unknown key 'nmae': did you mean 'name'?
ps -a --filter name                                        | 1 | --filter: 'name': it is KEY=VALUE
ps --format '{{.Nonsense}}'                                | 1 | there is no field 'Nonsense'
ps --format '{{range .x}}'                                 | 1 | a block is not closed with {{end}}
ps --format json                                           | 0 | "Names":"on"
ps --format 'table {{.Names}}\t{{.Image}}'                 | 0 | ~^NAMES[[:space:]]+IMAGE.on[[:space:]]+busybox$
ps                                                         | 0 | ~^CONTAINER.ID.*NAMES.*busybox.*Up.*on$
TABLE
        $h rm -f on off out
    done
}

@test "lifecycle: exec" {
    local h
    for h in $WHO; do
        $h run -d --name box -e A=1 -w /tmp busybox sleep 100
        check_table $h <<'TABLE'
exec box true                                   | 0   | =
exec box sh -c 'exit 9'                         | 9   | =
exec box sh -c 'kill -9 $$'                     | 137 | =
exec box pwd                                    | 0   | =/tmp
exec -w /etc box pwd                            | 0   | =/etc
exec -e B=2 box sh -c 'echo $A $B $HOME'        | 0   | =1 2 /root
exec -u alice box sh -c 'id -un; echo $HOME'    | 0   | ~^alice./home$
exec -u nobodys box id                          | 126 | user 'nobodys' is not in the container's /etc/passwd
exec -u 1:nobodys box id                        | 126 | group 'nobodys' is not in the container's /etc/group
exec -w /no/such box pwd                        | 126 | enter work directory '/no/such': No such file or directory
exec -w /etc/passwd box pwd                     | 126 | enter work directory '/etc/passwd': Not a directory
exec -w relative box pwd                        | 126 | 'relative' must be an absolute path
exec nobodys pwd                                | 1   | nobodys
exec box ps                                     | 0   | sleep 100
exec box readlink /proc/1/ns/pid                | 0   | pid:
exec box /no/such                               | 127 | exec '/no/such': No such file or directory
exec box /etc                                   | 126 | Permission denied
exec box grep CapEff /proc/self/status          | 0   | 00000000a80425fb
exec --privileged box grep Seccomp: /proc/self/status | 0 | 0
exec box grep Seccomp: /proc/self/status        | 0   | 2
exec nobody true                                | 1   | no such container: 'nobody'
exec -t -d box true                             | 0   |
exec -t box tty                                 | 0   | /dev/pts/
exec box                                        | 1   | which command is to run in it?
TABLE
        [[ $(printf 'in\n' | $h exec -i box cat) == in ]]
        [[ $(printf 'in\n' | $h exec box cat) == '' ]]
        $h exec -d box sh -c 'echo done >/tmp/mark'
        wait_until 5 $h exec box test -s /tmp/mark
        $h stop -t 0 box
        run $h exec box true
        expect 1 "container 'box' is not running"
        $h rm box
    done
}

@test "lifecycle: inspect has docker's shape" {
    local h
    for h in $WHO; do
        $h run -d --name shape --hostname here -e A=b -u alice -w /tmp --label k=v busybox sleep 100
        check_table $h <<'TABLE'
inspect -f '{{.Name}}' shape                    | 0 | =/shape
inspect -f '{{.State.Running}}' shape           | 0 | =true
inspect -f '{{.Config.Hostname}}' shape         | 0 | =here
inspect -f '{{json .Config.Cmd}}' shape         | 0 | =["sleep","100"]
inspect -f '{{.Config.User}} {{.Config.WorkingDir}}' shape | 0 | =alice /tmp
inspect -f '{{index .Config.Labels "k"}}' shape | 0 | =v
inspect -f '{{.HostConfig.NetworkMode}}' shape  | 0 | ~^(none|bridge)$
inspect -f '{{len .Mounts}}' shape              | 0 | =0
inspect -f '{{.Path}} {{.Args}}' shape          | 0 | =sleep [100]
inspect --type image shape                      | 1 | shape
inspect -f '{{.No.Such}}' shape                 | 1 | there is no field 'No'
TABLE
        $h inspect shape | python3 -c '
import json, sys
(c,) = json.load(sys.stdin)
for key in "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name Driver HostConfig Mounts Config NetworkSettings".split():
    assert key in c, key
assert c["State"]["Pid"] > 1'
        $h rm -f shape
    done
}

@test "lifecycle: logs" {
    local h
    for h in $WHO; do
        $h run --name talk busybox sh -c 'echo one; echo two >&2; echo three'
        [[ $($h logs talk 2>/dev/null) == $'one\nthree' && $($h logs talk 2>&1 >/dev/null) == two ]]
        [[ $($h logs --tail 1 talk 2>/dev/null) =~ ^(three|)$ ]]
        [[ $($h logs -t talk 2>&1 >/dev/null) =~ ^20[0-9-]+T[0-9:.]+Z\ two$ ]]
        [[ $($h logs -f talk 2>&1 | wc -l) == 3 ]]
        run $h logs --tail x talk
        expect 1 "--tail: 'x'"
        run $h logs --since yesterday talk
        expect 1 "'yesterday' is neither a time"
        $h run --name quiet --log-driver none busybox echo unheard
        run $h logs quiet
        expect 1 "keeps no log"
        $h rm talk quiet
    done
}

@test "lifecycle: the log is bounded" {
    run husk run --name much --log-opt max-size=64k --log-opt max-file=2 busybox sh -c 'i=0; while [ $i -lt 3000 ]; do echo "line $i of a long story about nothing"; i=$((i+1)); done'
    expect 0 "line 2999"
    local dir
    dir=$HUSK_ROOT/containers/$(husk inspect -f '{{.Id}}' much)
    (($(cat "$dir"/log.json* | wc -c) <= 140000))
    [[ $(husk logs --tail 1 much) == "line 2999 of a long story about nothing" ]]
}

@test "lifecycle: attach and detach" {
    husk run -d -i --name att busybox sh -c 'echo first; read x; echo got $x; exit 5'
    run bash -c "sleep 0.3; echo hello | '$HUSK' attach att"
    expect 5 "got hello"
    husk rm att
}

@test "lifecycle: limits of the control group" {
    ((EUID == 0)) || skip_unless_kernel "control groups are root's" false
    check_table <<'TABLE'
run --rm -m 64m busybox sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max' | 0 | =67108864
run --rm --pids-limit 7 busybox sh -c 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max' | 0 | =7
run --rm busybox sh -c 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max' | 0 | =2048
run --rm --pids-limit -1 busybox sh -c 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max' | 0 | =max
run --rm --memory 12q busybox true             | 125 | --memory: '12q' has an unknown unit 'q'
run --rm --memory 1m busybox true              | 125 | --memory: less than 6m
run --rm --memory-swap 1g busybox true         | 125 | --memory-swap: it counts memory and swap together
run --rm --memory 64m --memory-swap 32m busybox true | 125 | --memory-swap
run --rm --cpus 0.5 --cpu-quota 5 busybox true | 125 | --cpus and --cpu-period or --cpu-quota exclude each other
run --rm --cpus x busybox true                 | 125 | --cpus
run --rm --cpuset-cpus 0-x busybox true        | 125 | --cpuset-cpus: '0-x' is no list such as 0-3,7
run --rm --cpuset-cpus 4000 busybox true       | 125 | cpuset
run --rm --cgroup-parent ../x busybox true     | 125 | --cgroup-parent: '../x' has '..' in it
run --rm --pids-limit -5 busybox true          | 125 | --pids-limit
TABLE
    run husk run --rm -m 16m busybox sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x); echo survived'
    [[ $status -eq 137 && $output != *survived* ]]
    run husk run --rm --pids-limit 5 busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait'
    [[ $output == *"fork"* ]]
}

@test "lifecycle: a limit that cannot be kept is refused with the cure" {
    ((EUID == 0)) || skip_unless_kernel "needs root for the user's account" false
    # The user has no delegated control group here.
    as_user test ! -w /sys/fs/cgroup/memory
    run user_husk run --rm -m 64m busybox true
    expect 125 "control group"
    [[ ! $(user_husk ps -aq) ]]
}

@test "lifecycle: other commands say what they see" {
    local h
    for h in $WHO; do
        check_table $h <<'TABLE'
version --format '{{.Version}}'   | 0   | ~^[0-9]+\.
--version                         | 0   | husk version
info --format '{{.Storage}}'      | 0   | =overlay
images --format '{{.Repository}}:{{.Tag}}' | 0 | =busybox:latest
image inspect -f '{{.Os}}' busybox | 0  | =linux
history -Z busybox                | 125 | unknown option '-Z'
history busybox                   | 0   | make-images
tag busybox other:1               | 0   | =
images -q other                   | 0   | ~^[0-9a-f]{12}$
rmi other:1                       | 0   | Untagged: other:1
system df                         | 0   | Containers
system check                      | 0   | =no problems
nonsense                          | 125 | 'nonsense' is not a command
rnu                               | 125 | did you mean 'run'?
container ls                      | 0   | CONTAINER ID
container ls --nope               | 125 | unknown option '--nope'
TABLE
        $h create --name uses busybox true
        run $h rmi busybox
        expect 1 "image 'busybox' is in use by container 'uses'"
        $h rm uses
    done
}

@test "exec without -t: a program never gets a descriptor of our terminal" {
    "$HUSK" run -d --name piped busybox sleep 1000
    run script -qec "'$HUSK' exec piped sh -c 'test -t 1 || test -t 2 || echo only pipes; exit 3'" /dev/null
    [[ $status == 3 && $output == *"only pipes"* ]]
    run script -qec "printf 'typed\n\004' | '$HUSK' exec -i piped cat" /dev/null
    [[ $status == 0 && $output == *typed* ]]
    run script -qec "'$HUSK' exec -t piped sh -c 'test -t 1 && echo a terminal'" /dev/null
    [[ $output == *"a terminal"* ]]
    "$HUSK" rm -f piped
}
