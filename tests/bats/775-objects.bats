#!/usr/bin/env bats
# The objects of a day: pods that are cloned, filters that are wrong, several looked at of which one is missing.
# shellcheck disable=SC2154 # bats sets them

load helpers

setup_file() { setup_both_stores; }

teardown() { remove_all_containers; }

a_clone() {
    local id one two limit=()
    [[ $h == user_husk ]] || limit=(--memory 64m) # a group is not his to make here
    $h pod create --name web --network none --label tier=front --share +pid
    $h create --pod web --name one -v /data busybox sleep 1000
    $h create --pod web --name two --requires one --volumes-from one -e COLOUR=red --restart on-failure:2 busybox sleep 1000
    [[ $($h pod clone web --label more=yes "${limit[@]}") =~ ^[0-9a-f]{64}$ ]]
    [[ $($h pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}} {{.Labels}}' | head -n 1) == "web-clone Created 3 tier=front,more=yes" ]]
    [[ $($h pod inspect --format '{{.memory_limit}} {{join .SharedNamespaces ","}}' web-clone) == "$((${#limit[@]} ? 67108864 : 0)) ipc,net,uts,pid" ]]
    id=$($h pod inspect --format '{{.InfraContainerID}}' web-clone)
    [[ $($h inspect --format '{{.HostConfig.NetworkMode}} {{.HostConfig.PidMode}} {{.HostConfig.RestartPolicy.Name}}' two-clone) == "container:$id container:$id on-failure" ]]
    [[ $($h inspect --format '{{json .Config.Env}}' two-clone) == *COLOUR=red* ]]
    # what two containers of a pod share its clone's share too, and nothing with the first's
    one=$($h inspect --format '{{(index .Mounts 0).Name}}' one) two=$($h inspect --format '{{(index .Mounts 0).Name}}' one-clone)
    [[ $one && $two && $one != "$two" && $($h inspect --format '{{(index .Mounts 0).Name}}' two-clone) == "$two" ]]
    $h start two-clone # and what it requires
    [[ $($h pod ps --filter name=clone --format '{{.Status}}') == Running && $($h pod ps --filter name='^web$' --format '{{.Status}}') == Created ]]
    [[ $($h exec two-clone hostname) == web-clone && $($h exec two-clone ls /proc/1/exe 2>&1) ]]
    $h pod rm web # nothing of the clone was its
    $h exec one-clone true
    run $h pod clone web-clone --destroy --name third
    expect 125 "--destroy: container '"
    $h pod stop -t 0 web-clone
    $h pod clone --destroy --start web-clone third --hostname here --infra-name holder
    [[ $($h pod ps --format '{{.Name}} {{.Status}}') == "third Running" && $($h exec one-clone-clone hostname) == here && $($h inspect --type container --format '{{.Name}}' holder) ]]
    check_table $h <<'TABLE'
pod clone nobody                       | 125 | no such pod: 'nobody'
pod clone third x --name y             | 125 | its name twice
pod clone third third                  | 125 | there already is a pod 'third'
pod clone --infra-name holder third    | 125 | 'holder'
pod clone --userns auto third          | 125 | make a pod with `husk pod create --userns`
container clone holder                 | 125 | clone that with `husk pod clone`
TABLE
    [[ $($h pod ps -q | wc -l) == 1 && $($h ps -aq | wc -l) == 3 ]] # of what failed nothing is left
    $h pod rm --dry-run -f third >"$T/tmp/would"
    [[ $(cut -f 1,2 "$T/tmp/would" | sed 's/[0-9a-f]\{64\}/ID/' | LC_ALL=C sort | paste -sd,) == $'ID\tthird,container ID\tone-clone-clone,container ID\ttwo-clone-clone,volume ID' ]]
    run $h pod rm --dry-run third
    expect 1 "is running: stop the pod first"
    [[ $($h pod ps -q | wc -l) == 1 ]]
    $h pod rm -f third
    $h pod create --name bare --infra=false
    $h create --pod bare --name alone busybox true
    $h pod clone bare
    [[ $($h pod ps --filter name=bare-clone --format '{{.NumberOfContainers}}') == 1 ]]
    $h pod rm -a
    [[ ! $($h volume ls -q) && $($h system check) == "no problems" ]]
}
@test "pod clone: containers like the other's, in namespaces and with volumes of their own" { each_user a_clone; }

wrong() {
    [[ ! $($h ps -aq) ]] # what is wrong is told though there is nothing that it could be about
    check_table $h <<'TABLE'
ps --filter status=asleep            | 1 | --filter status: 'asleep' is not one of created, running, paused, exited
ps --filter health=good              | 1 | --filter health: 'good' is not one of none, starting
ps --filter exited=x                 | 1 | --filter exited: 'x'
ps --filter name='('                 | 1 | --filter name: '(' is no regular expression
ps --filter until=soon               | 1 | --filter until: 'soon' is neither a time
ps --filter publish=http             | 1 | --filter publish: 'http' is no port
ps --filter is-task=perhaps          | 1 | --filter is-task
ps --filter restart-policy=sometimes | 1 | --filter restart-policy
ps --filter before=nobody            | 1 | --filter before: no such container: 'nobody'
ps --filter quantity=1               | 1 | --filter: unknown key 'quantity': it is one of id, name, label, label!, volume
container prune --filter colour=red  | 1 | unknown key 'colour'
pod ps --filter status=asleep        | 1 | --filter status: 'asleep' is not one of created, running, degraded, exited
pod ps --filter ctr-status=asleep    | 1 | --filter ctr-status: 'asleep' is not one of created, running
pod ps --filter ctr-number=few       | 1 | --filter ctr-number
pod ps --filter nmae=x               | 1 | --filter: unknown key 'nmae': did you mean 'name'?
volume ls --filter dangling=perhaps  | 1 | --filter dangling
volume ls --filter colour=red        | 1 | --filter: unknown key 'colour': it is one of name, label, label!, dangling
volume ls --filter name              | 1 | --filter: 'name': it is KEY=VALUE
volume prune --filter colour=red     | 1 | unknown key 'colour'
network ls --filter type=other       | 1 | --filter type: 'other' is not one of builtin, custom
network ls --filter scope=world      | 1 | --filter scope: 'world' is not one of local, global, swarm
network prune --filter colour=red    | 1 | unknown key 'colour'
image prune --filter colour=red      | 1 | unknown key 'colour': it is one of until, label, label!, dangling
image prune --filter dangling=x      | 1 | --filter dangling
system prune --filter status=exited  | 1 | unknown key 'status': it is one of until, label, label!
ps -n -1                             | 0 | CONTAINER ID
ps -n -2                             | 1 | --last: it must not be negative
secret ls --filter colour=red        | 1 | unknown key 'colour': it is one of name, id, label, driver
TABLE
    $h volume create va --label a=1
    $h volume create vb --label a=1 --label b=2
    $h volume create vc
    [[ $($h volume ls -q --filter name=va --filter name=vc | paste -sd,) == va,vc ]] # of one key any
    [[ $($h volume ls -q --filter label=a=1 --filter label=b=2) == vb ]]              # of labels all
    [[ $($h volume ls -q --filter label=a --filter name='^v[ac]$') == va ]]
    $h volume rm va vb vc
}
@test "a filter that is wrong says what is allowed, whatever there is to filter, and those of one key add up as docker's" { each_user wrong; }

one_is_missing() {
    $h volume create vv
    echo x | $h secret create ss -
    $h create --name cc --network none busybox true
    $h pod create --name pp --network none
    check_table $h <<'TABLE'
volume inspect -f '{{.Name}}' nope vv vv      | 1 | vv
secret inspect -f '{{.Spec.Name}}' ss nope    | 1 | ss
pod inspect -f '{{.Name}}' nope pp            | 1 | pp
inspect -f '{{.Name}}' cc nope                | 1 | /cc
inspect --type all -f '{{.Name}}' vv          | 0 | =vv
inspect --type secret -f '{{.Spec.Name}}' ss  | 0 | =ss
inspect --type secret vv                      | 1 | no such secret: 'vv'
inspect -f '{{.Spec.Name}}' ss                | 0 | =ss
volume inspect nope                           | 1 | []
TABLE
    [[ $($h volume inspect nope vv 2>/dev/null | jq -r '.[].Name') == vv ]]
    [[ $($h secret rm --dry-run ss) == ss && $($h secret ls -q) ]]
    run $h secret rm --dry-run nope
    expect 1 "no such secret: 'nope'"
    $h pod rm pp
    $h rm cc
    $h secret rm ss
    $h volume rm vv
}
@test "inspect of several shows those that are there, names the others and ends with 1" { each_user one_is_missing; }
