#!/usr/bin/env bats
# Pods, and what they are made of: containers that join others' namespaces; as root and as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

pod_state() { $1 pod inspect --format '{{.State}}' "$2"; }
pod_is() { [[ $(pod_state "$1" "$2") == "$3" ]]; }

@test "--ipc container: shares queues and /dev/shm, with its size, and --uts and --network their files" {
    local h
    for h in $WHO; do
        $h run -d --name first --network none --shm-size 5m --hostname one busybox sleep 1000
        [[ $($h run --rm --network none --ipc container:first busybox sh -c \
            'echo hi >/dev/shm/x; df -m /dev/shm | tail -1 | tr -s " " | cut -d " " -f 2; readlink /proc/self/ns/ipc') == \
            "5"$'\n'"$($h exec first readlink /proc/self/ns/ipc)" ]]
        [[ $($h exec first cat /dev/shm/x) == hi ]]
        [[ $($h run --rm --network container:first --uts container:first busybox cat /etc/hostname) == one ]]
        $h run --rm --network container:first busybox grep -w one /etc/hosts
        run $h run --rm --network none --ipc container:nobody busybox true
        expect 125 "--ipc: no such container: 'nobody'"
        $h stop -t 0 first
        run $h run --rm --network none --ipc container:first busybox true
        expect 125 "--ipc: container 'first' is not running"
        $h rm first
    done
}

@test "pod: its containers share network, ipc and name; what they share goes with it" {
    local h
    for h in $WHO; do
        [[ $($h pod create --name web --label a=b --network none) =~ ^[0-9a-f]{64}$ ]]
        pod_is $h web Created
        $h run -d --pod web --name one busybox sh -c 'echo from one >/dev/shm/x; exec nc -ll -p 80 -e echo hello'
        pod_is $h web Running
        [[ $($h run --rm --pod web busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 80 </dev/null && break; sleep 0.2; done 2>/dev/null; cat /dev/shm/x
            hostname') == $'hello\nfrom one\nweb' ]]
        [[ $($h pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}} {{.Labels}}') == "web Running 2 a=b" ]]
        [[ $($h ps --filter pod=web --format '{{.Names}} {{.PodName}}' | tail -1) == *-infra\ web ]]
        $h ps --pod | grep -w PODNAME
        [[ $($h inspect --format '{{.Pod}}' one) == "$($h pod inspect --format '{{.Id}}' web)" ]]
        [[ $($h inspect --format "{{.Name}} {{.NumContainers}}" web) == "$($h pod inspect --format "{{.Name}} {{.NumContainers}}" web)" ]]
        run $h inspect --type volume web
        expect 1 "no such volume"
        $h pod exists web
        run $h pod exists other
        expect 1
        $h pod top web | grep -w nc
        [[ $($h system check) == "no problems" ]]
        run $h pod rm web
        expect 1 "is running: stop the pod first"
        $h pod rm -f web
        [[ ! $($h ps -aq) && ! $($h pod ps -q) ]]
    done
}

@test "pod: rm --depend of the one that holds it removes it whole, or nothing of it" {
    local h
    for h in $WHO; do
        $h pod create --name whole --network none --infra-name holds
        $h run -d --pod whole --name in busybox sleep 1000
        run $h rm --depend holds
        expect 1 "container 'in' is running"
        $h stop -t 0 in
        run $h rm --depend holds
        expect 1 "container 'holds' is running: stop pod 'whole' first"
        [[ $($h ps -aq | wc -l) == 2 ]]
        [[ $($h rm --depend -f holds | wc -l) == 2 ]]
        run $h pod exists whole
        expect 1
        [[ ! $($h ps -aq) && $($h system check) == "no problems" ]]
    done
}

@test "pod: --hosts-file and --no-hosts are of all its containers" {
    local h net
    echo '10.9.9.9 base' >"$T/tmp/hosts"
    chmod 644 "$T/tmp/hosts"
    for h in $WHO; do
        for net in none host; do
            $h pod create --name filed --network $net --hosts-file "$T/tmp/hosts"
            $h run --rm --pod filed busybox grep -w base /etc/hosts
            run $h run --rm --pod filed --hosts-file none busybox grep -w base /etc/hosts
            expect 1
            $h pod rm -f filed
        done
        $h pod create --name named --network host --add-host db:10.1.2.3
        $h run --rm --pod named busybox grep -w 10.1.2.3.db /etc/hosts
        [[ $($h run --rm --pod named --add-host db:10.9.9.9 busybox grep -w db /etc/hosts | head -n 1) == 10.9.9.9* ]]
        $h pod rm -f --no-trash named
        $h pod create --name bare --network none --no-hosts --no-hostname
        run $h run --rm --pod bare busybox grep /etc/host /proc/mounts
        expect 1 "="
        $h run --rm --pod bare --add-host db:10.1.2.3 busybox grep -w db /etc/hosts
        $h pod rm -f bare
        check_table $h <<TABLE
pod create --hosts-file image                     | 125 | a pod has no image
pod create --share none --hosts-file none         | 125 | add it to --share
pod create --no-hosts --add-host db:10.1.2.3      | 125 | exclude each other
TABLE
    done
}

@test "pod: --share pid has one process tree, --share none and --infra=false share nothing" {
    local h
    for h in $WHO; do
        $h pod create --network none --share +pid tree
        $h run -d --pod tree --name one busybox sleep 1000
        [[ $($h run --rm --pod tree busybox ps) == *husk-pause*sleep\ 1000* ]]
        $h pod create --share none apart
        $h run -d --pod apart --network none --name two busybox sleep 1000
        [[ $($h exec two readlink /proc/self/ns/ipc) != "$($h exec one readlink /proc/self/ns/ipc)" ]]
        $h pod create --infra=false bare
        [[ $($h run --rm --pod bare --network none busybox hostname) != bare ]]
        [[ $($h pod inspect --format '{{.InfraContainerID}}' bare) == "" ]]
        $h pod rm -f -a
        [[ ! $($h ps -aq) ]]
    done
    check_table <<'TABLE'
pod create --infra=false --share net x1                   | 125 | without an infra there is nobody
pod create --share mnt x1                                 | 125 | --share: 'mnt' is not one of
pod create --share ipc -p 80:80 x1                        | 125 | for a pod that shares net
pod create --share net --hostname x x1                    | 125 | for a pod that shares uts
pod create --share-parent=false -m 20m x1                 | 125 | there is none to limit
pod create --replace                                      | 125 | give --name
pod create ./x                                            | 125 | is no pod name
run --pod nobody busybox true                             | 125 | --pod: no such pod: 'nobody'
run --init-ctr once busybox true                          | 125 | --init-ctr: it is for a container of a pod
pod start                                                 | 1   | which pod?
pod stop nobody                                           | 1   | no such pod: 'nobody'
pod stop --ignore nobody                                  | 0   |
pod ps --filter x=y                                       | 1   | --filter: unknown key 'x': it is one of id, name
pod ls                                                    | 0   | POD ID
TABLE
    [[ ! $(husk pod ps -q) ]]
}

@test "pod: start, stop, restart, kill, pause, logs; all its containers at the same time" {
    local h before
    for h in $WHO; do
        $h pod create --network none life
        for i in 1 2 3; do $h create --pod life --name "c$i" busybox sh -c 'echo line; exec sleep 1000'; done
        $h pod start life
        pod_is $h life Running
        [[ $($h pod logs -n life) == *c1\ line* && $($h pod logs -c c2 life) == line ]]
        before=$SECONDS
        $h pod stop -t 3 life # sleep is a PID 1 that hears no TERM: each takes its three seconds, all at once
        ((SECONDS - before < 9))
        pod_is $h life Exited
        $h pod restart -t 0 life
        pod_is $h life Running
        $h stop -t 0 c1
        pod_is $h life Degraded
        $h pod start life
        if [[ $h == husk ]]; then
            $h pod pause life
            pod_is $h life Paused
            $h pod unpause life
        fi
        $h pod kill life
        wait_until 10 pod_is $h life Exited
        [[ $($h pod prune --dry-run) == *life && $($h pod ps -q) ]]
        $h pod prune -f
        [[ ! $($h pod ps -q) && ! $($h ps -aq) ]]
        run $h events --since 1h --until 0s --filter pod=life --format '{{.Action}}'
        expect 0
        [[ $(paste -sd, <<<"${output//$'\n'pause$'\n'unpause}") == create,start,stop,stop,start,start,kill,remove ]]
    done
}

@test "pod: --init-ctr runs before the others, once or always; one that fails stops the start" {
    local h
    for h in $WHO; do
        $h volume create vv
        $h pod create --network none -v vv:/v order
        $h create --pod order --init-ctr once --name once busybox sh -c 'echo once >>/v/log'
        $h create --pod order --init-ctr always --name always busybox sh -c 'echo always >>/v/log'
        $h create --pod order --name main busybox sh -c 'echo main >>/v/log; exec sleep 1000'
        $h pod start order
        wait_until 10 eval "$h"' exec main grep main /v/log'
        [[ $($h exec main cat /v/log) == $'once\nalways\nmain' ]]
        $h pod restart -t 0 order
        wait_until 10 eval "[[ \$($h exec main cat /v/log) == \$'once\nalways\nmain\nalways\nmain' ]]"
        run $h inspect once
        expect 1
        $h pod stop -t 0 order
        $h create --pod order --init-ctr always --name bad busybox false
        run $h pod start order
        expect 1 "container 'bad', which is to run before the others, ended with 1"
        [[ $($h inspect --format '{{.State.Status}}' main) == exited ]]
        $h pod rm -f order
        $h volume rm vv
    done
}

@test "pod: --exit-policy stop ends with its last container; --pod new: and id files" {
    local h
    for h in $WHO; do
        rm -f "$T/tmp/pod.id"
        $h pod create --network none --exit-policy stop --pod-id-file "$T/tmp/pod.id" short
        $h run -d --pod-id-file "$T/tmp/pod.id" --name one busybox sleep 1000
        $h run --rm --pod short busybox true
        pod_is $h short Running
        $h stop -t 0 one
        wait_until 10 pod_is $h short Exited
        $h pod rm --pod-id-file "$T/tmp/pod.id"
        $h run -d --pod new:fresh --network none --name two busybox sleep 1000
        pod_is $h fresh Running
        run $h run --pod new:fresh busybox true
        expect 125 "there already is a pod 'fresh'"
        run $h run --pod fresh -p 80:80 busybox true
        expect 125 "share its network: say networks and ports when the pod is created"
        run $h run --pod new:gone --network none --cap-add nonsense busybox true
        expect 125 nonsense
        run $h pod exists gone
        expect 1
        $h pod rm -f -a
    done
}

@test "pod: create --replace takes the old one away when the new one can be, and not before" {
    local h old new
    for h in $WHO; do
        old=$($h pod create --network none web)
        $h run -d --pod web --name one busybox sleep 1000
        run $h pod create --replace --network nosuch web
        expect 125 nosuch
        run $h pod create --replace --network none --infra-name 'no/name' web
        expect 125 "is no container name"
        [[ $($h pod inspect --format '{{.Id}} {{.State}}' web) == "$old Running" ]]
        [[ $($h ps -q --filter name=one) ]]
        new=$($h pod create --replace --network none web)
        [[ $new != "$old" && $($h pod inspect --format '{{.Id}}' web) == "$new" && ! $($h ps -aqf name=one) ]]
        old=$($h pod create --replace --infra=false web)
        [[ $($h pod ls -q --no-trunc) == "$old" ]]
        $h pod rm web
        [[ ! $($h ps -aq) ]]
    done
}

@test "pod: ports and addresses are the pod's, limits hold for all together" {
    husk pod create --name web -p 127.0.0.1:18080:80 -m 64m
    husk run -d --pod web --name one busybox nc -ll -p 80 -e echo hello
    [[ $(husk run --rm --pod web busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 80 </dev/null && break; sleep 0.2; done 2>/dev/null') == hello ]]
    [[ $(busybox nc -w 2 127.0.0.1 18080 </dev/null) == hello ]]
    local id path
    id=$(husk pod inspect --format '{{.Id}}' web)
    path=$(find /sys/fs/cgroup -path "*husk/pod-$id/memory.*" -name 'memory.limit_in_bytes' -o -path "*husk/pod-$id/memory.max")
    [[ $(cat $path) == 67108864 ]]
    husk stop -t 0 one
    husk pod stop -t 0 web
    [[ ! $(find /sys/fs/cgroup -name "pod-$id") ]]
    husk pod start web
    [[ $(husk pod stats --no-stream --format '{{.Name}}|{{.MemLimit}}' web) == 'one|64MiB' ]] # the pod's bounds it
    husk run -d --pod web --name less --memory 32m busybox sleep 1000
    [[ $(husk stats --no-stream --format '{{.MemLimit}}' less) == 32MiB ]]
}

@test "pod: the one that holds its namespaces goes with it alone, and survives kills" {
    local h infra
    for h in $WHO; do
        $h pod create --network none web
        $h run -d --pod web --name one busybox sleep 1000
        infra=$($h pod inspect --format '{{.InfraContainerID}}' web)
        run $h rm -f "$infra"
        expect 1 "it goes with \`husk pod rm web\`"
        $h container prune -f
        $h inspect "$infra" >/dev/null
        kill -9 "$($h inspect --format '{{.State.Pid}}' "$infra")"
        wait_until 10 pod_is $h web Degraded
        $h pod restart -t 0 web
        pod_is $h web Running
        [[ $($h exec one hostname) == web && $($h system check) == "no problems" ]]
        $h pod rm -f web
    done
}

@test "pod: a command is killed at every point of its life: the same again does it, and nothing stays" {
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    local h fault=$HUSK_FAULT_BUILD/bin/husk f limit point steps killed=0
    for h in $WHO; do
        f=$fault limit='--memory 64m'
        [[ $h == husk ]] || f="as_user $fault" limit='' # this user has no control group
        for point in pod-made pod-held pod-stopped pod-empty pod-gone runtime-removed row-removed; do
            HUSK_FAULT="kill@$point" run $f pod create --name cut --network none $limit
            steps=$((status != 0))
            $h pod exists cut || $h pod create --name cut --network none $limit
            $h create --pod cut --name one busybox sleep 1000
            HUSK_FAULT="kill@$point" run $f pod start cut
            ((status == 0)) || { steps=1 && $h pod start cut; }
            pod_is $h cut Running
            HUSK_FAULT="kill@$point" run $f pod stop -t 0 cut
            ((status == 0)) || { steps=1 && $h pod stop -t 0 cut; }
            pod_is $h cut Exited
            HUSK_FAULT="kill@$point" run $f pod rm -f cut
            ((status == 0)) || { steps=1 && { $h pod rm -f cut || true; }; }
            run $h pod exists cut
            expect 1
            [[ ! $($h ps -aq) ]]
            ((steps)) || { echo "nothing is killed at $point"; return 1; }
            killed=$((killed + steps))
        done
        # A folder that lost its row is left alone while it might be somebody's who is just making it.
        find "$HUSK_ROOT/containers" "$USER_HOME/root/containers" -mindepth 1 -maxdepth 1 -exec touch -d '1 minute ago' {} +
        $h system check --repair || true
        [[ $($h system check) == "no problems" ]]
    done
    ((killed == 14))
}

@test "pod: one user namespace for all" {
    husk pod create --network none --uidmap 0:@200000:65536 --gidmap 0:@200000:65536 web
    husk run -d --pod web --name one busybox sleep 1000
    [[ $(husk exec one readlink /proc/self/ns/user) == "$(husk run --rm --pod web busybox readlink /proc/self/ns/user)" ]]
    [[ $(husk exec one readlink /proc/self/ns/user) != "$(readlink /proc/self/ns/user)" ]]
}
