#!/usr/bin/env bats
# The lines of a day: lists by template, commands that are elsewhere, completions.
# shellcheck disable=SC2016,SC2086,SC2154 # $how is words; dollars and braces are for husk; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    husk create --name box --network none --label app=web --label 'of=a b' busybox sh -c 'exit 3' aa
    husk volume create --label tier=data --label x=y vol
    husk network create --label net=yes lan
}

teardown() { [[ $BATS_TEST_NUMBER -lt 6 ]] || remove_all_containers; }

@test "lists answer docker's and podman's placeholders, under docker's headers" {
    check_table <<'TABLE'
ps -a --format 'table {{.Names}}\t{{.CreatedAt}}\t{{.LocalVolumes}}' | 0 | NAMES   CREATED AT                      LOCAL VOLUMES
ps -a --format '{{.Command}}'                                 | 0 | ="sh -c 'exit 3' aa"
ps -a --format '{{.Label "app"}} {{.Label "nobody"}}|'        | 0 | =web |
ps -a --format ''                                             | 0 | CONTAINER ID   IMAGE
images --format ''                                            | 0 | REPOSITORY   TAG
images --format 'table {{.Tag}}\t{{.CreatedAt}}'              | 0 | 2023-11-14 22:13:20 +0000 UTC
volume ls --format '{{.Name}} {{.Labels}} {{.Label "tier"}}'  | 0 | =vol tier=data,x=y data
network ls --filter name=lan --format '{{.Name}} {{.Label "net"}}' | 0 | =lan yes
info --format '{{.OSType}} {{.Host.OS}} {{.LoggingDriver}}'   | 0 | =linux linux json-file
info --format '{{if eq .Driver .Store.GraphDriverName}}same{{end}}' | 0 | =same
version --format '{{.Client.Os}} {{if eq .Server.Version .Version}}same{{end}}' | 0 | =linux same
TABLE
    # Podman's words, and docker's that husk does not print of itself.
    check_table <<'TABLE'
ps -a --format '{{.Names}}|{{.Pod}}{{.PodName}}|{{.Pid}} {{.ExitCode}} {{.Exited}} {{.Restarts}} {{.AutoRemove}} {{.IsInfra}}|{{.ExposedPorts}}' | 0 | =box||0 0 false 0 false false|
ps -a --format '{{if eq .Created .RunningFor}}{{.StartedAt}}{{end}} {{len .ImageID}}' | 0 | =0 64
images --format '{{.Names}} {{.RepoTags}} {{.Labels}} {{.IsManifestList}}' | 0 | =[docker.io/library/busybox:latest] [docker.io/library/busybox:latest] map[] false
images --format '{{len .RepoDigests}} {{index .Digests 0 | printf "%.7s"}} {{.ReadOnly}}{{.ParentId}}' | 0 | =1 sha256: false
volume ls --format '{{.Links}} {{.Size}} {{.Status}}'         | 0 | =N/A N/A map[]
network ls --filter name=lan --format '{{.IPv4}} {{.DNSEnabled}} {{.IPv6Enabled}} {{.NetworkInterface | printf "%.5s"}} {{len .Subnets}} {{eq .Created .CreatedAt}}' | 0 | =true true false husk- 1 true
info --format '{{.Swarm.LocalNodeState}} {{json .Labels}} {{index .SecurityOptions 0}}' | 0 | profile=builtin
info --format '{{.IndexServerAddress}} {{range $k, $v := .Runtimes}}{{$k}}{{end}} {{index .Plugins.Volume 0}}' | 0 | =https://index.docker.io/v1/ husk local
info --format '{{if eq .Host.CgroupsVersion .Host.CgroupVersion}}{{.Host.RemoteSocket.Exists}} {{.Host.Security.SECCOMPEnabled}} {{.Host.LogDriver}}{{end}}' | 0 | =false true json-file
info --format '{{.Nonesuch}}'                                 | 1 | there is no field 'Nonesuch'
TABLE
    husk run -d --name plain --network none busybox sleep 1000 # one without labels beside one with some
    [[ $(husk ps -a --format '{{.Names}}{{.Label "app"}}') == $'plain\nboxweb' ]]
    [[ $(husk ps --format '{{.Pid}}') == "$(husk inspect -f '{{.State.Pid}}' plain)" ]]
    [[ $(husk ps -a --format '{{json .}}') != *StartedAt* ]] # the whole row is docker's
    [[ $(husk stats --no-stream --format '{{.UpTime}}|{{.NetInput}}|{{.BlockOutput}}|{{.AvgCPU}}') =~ ^.*second.*\|0\|[0-9]+\|[0-9.]+%$ ]]
    [[ $(husk stats --no-stream --format json | jq -r 'keys[]') != *UpTime* ]]
    husk rm -f -t 0 plain
    echo word | husk secret create --label a=b sesame - >/dev/null
    [[ $(husk secret ls --format '{{.Labels}} {{.Label "a"}}{{.Label "c"}}') == 'a=b b' ]]
    husk secret rm sesame
    . /etc/os-release
    [[ $(husk info -f '{{.Host.Distribution.Distribution}} {{.Host.Distribution.Version}}') == "$ID $VERSION_ID" ]]
    [[ $(TZ=UTC husk ps -a --format '{{.CreatedAt}}') =~ ^20[0-9-]{8}\ [0-9:]{8}\ \+0000\ UTC$ ]]
    [[ $(TZ=UTC-2 husk ps -a --format '{{.CreatedAt}}') == *' +0200 UTC' ]]
}

@test "ps --sort created begins with the oldest, also of one second" {
    husk create --name second --network none busybox true
    husk create --name third --network none busybox true
    [[ $(husk ps -a --sort created --format '{{.Names}}') == $'box\nsecond\nthird' ]]
    husk rm second third
}

@test "a command that husk does not have says what to use instead, and a near word is the nearest" {
    check_table <<'TABLE'
kube play x.yaml       | 125 | husk: there is no command 'kube': pods are made by 'husk pod create'
compose up             | 125 | husk: there is no command 'compose': each service is one 'husk run
swarm init             | 125 | husk: there is no command 'swarm': husk runs containers on one host
buildx ls              | 125 | 'husk build' builds for several platforms
buildx imagetools create x | 125 | 'husk build' builds for several platforms
buildx du              | 0   |
buildx prune --dry-run | 0   |
buildx build --nope    | 125 | husk build: unknown option '--nope'
buildx b --help        | 0   | Usage: husk build
buildx version         | 0   | Version
buildx imagetools inspect busybox | 0 | "schemaVersion": 2
-H tcp://there:2375 ps | 125 | husk: --host: there is no daemon to point at
--context there ps     | 125 | husk: --context: there is no daemon to point at
--remote ps            | 125 | husk: --remote: there is no daemon to point at
--storage-driver vfs ps | 125 | husk: --storage-driver: a store has one driver
--cgroup-manager systemd ps | 125 | 'husk run --cgroup-manager systemd'
start --checkpoint-dir /x box    | 1 | --checkpoint-dir: which checkpoint of it? Say --checkpoint
system service         | 125 | husk system: there is no command 'service': there is no daemon
stat                   | 125 | husk: 'stat' is not a command: did you mean 'stats'?
sotp                   | 125 | husk: 'sotp' is not a command: did you mean 'stop'?
network create --scope swarm x   | 1 | --scope: networks are of one host
network create --ingress x       | 1 | --ingress: networks are of one host
network create --ipam-opt a=b x  | 1 | --ipam-opt: addresses are given by
volume create --sharing all x    | 1 | 'all': the options of cluster volumes
volume ls --cluster              | 1 | there are no cluster volumes
rm --link x                      | 1 | husk network disconnect
container exists --external x    | 125 | --external: no other program
system prune --external          | 1 | --external: no other program
image prune --build-cache        | 1 | --build-cache: husk builder prune
secret create --template-driver golang x | 1 | --template-driver: a secret is the bytes
container list -a --format '{{.Names}}' | 0 | box
container ps -a --format '{{.Names}}'   | 0 | box
volume list --format {{.Name}}    | 0 | vol
network remove nobody            | 1 | no such network: 'nobody'
inspect -f '{{range .NetworkSettings.Networks}}[{{.IPAddress}}{{.MacAddress}}{{.Gateway}}]{{end}}' box | 0 | =[]
container nope         | 125 | husk container: 'nope' is not a command: see 'husk container --help'
TABLE
    [[ $(husk --help; husk container --help) != *kube*checkpoint* ]]
    mkdir -p "$T/tmp/libexec"
    cp -a "$HUSK_BUILD/libexec/husk/." "$T/tmp/libexec"
    printf '#!/bin/sh\necho "mine: $*"\n' >"$T/tmp/libexec/husk-kube"
    chmod +x "$T/tmp/libexec/husk-kube"
    [[ $(HUSK_LIBEXEC=$T/tmp/libexec husk kube play) == 'mine: play' ]] # others' programs go first
}

@test "completion prints scripts that their shells take, and bash completes commands and names" {
    husk completion bash >"$T/tmp/c.bash"
    bash -n "$T/tmp/c.bash"
    [[ $(husk completion zsh) == '#compdef husk'* && $(husk completion fish) == *'complete -c husk'* ]]
    husk completion fish -f "$T/tmp/c.fish"
    cmp <(husk completion fish) "$T/tmp/c.fish"
    cat >"$T/tmp/ask" <<'ASK'
source "$1"
shift
PATH=$(dirname "$HUSK"):$PATH
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
_husk
printf '%s\n' "${COMPREPLY[@]}"
ASK
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk unpa) == unpause ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk rm bo) == box ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk completion --no-d) == --no-desc ]]
    # what there is of the kind that an argument or a value is called by
    husk pod create --name peapod
    echo word | husk secret create sesame - >/dev/null
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk network rm la) == lan ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run --network la) == lan ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run --pod=pea) == peapod ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk pod rm pea) == peapod ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk secret rm ses) == sesame ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run --volumes-from bo) == box ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run --secret ses) == sesame ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk network connect lan bo) == box ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk inspect box vo) == vol ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run -v vo) == vol ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run -v /etc/hostn) == /etc/hostname ]]
    # of the state that the command is for, and of a row that another program has a hidden one beside
    husk run -d --name boxer --network none busybox sleep 1000
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk exec bo) == boxer ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk start bo) == box ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk commit boxe) == boxer ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk cp boxe) == boxer: ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run --network container:b) == boxer ]] # bash cuts words at ":"
    husk pause boxer
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" "husk unpause ") == boxer ]]
    husk rm -f boxer
    # words
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk completion z) == zsh ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk run --restart al) == always ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk kill -s HU) == HUP ]]
    [[ $(bash "$T/tmp/ask" "$T/tmp/c.bash" husk inspect ''; bash "$T/tmp/ask" "$T/tmp/c.bash" "husk inspect ") != *infra* ]]
    husk pod rm peapod
    husk secret rm sesame
    run husk completion powershell
    expect 125 "'powershell' is not one of bash, zsh, fish"
    run husk completion bash --file "$T/tmp/nowhere/x"
    expect 125 "--file: write '$T/tmp/nowhere/x': No such file or directory"
}

@test "pod ps and pod stats answer podman's placeholders, and pod start waits for --init-chain" {
    husk pod create --name pea --label a=b
    husk create --pod pea --name peas --init-chain /bin/false busybox true
    [[ $(husk pod ps --format '{{.InfraID}}|{{.Label "a"}}|{{.Restarts}}|{{.Networks}}') =~ ^[0-9a-f]{12}\|b\|0\|husk$ ]]
    run husk pod start pea
    expect 1 "container 'peas': "
    [[ $output == *'/bin/false'* ]]
    husk run -d --pod pea --name more busybox sleep 4321
    [[ $(husk pod stats --no-stream --format '{{.Pod}} {{.Name}} {{.PIDS}}') == "$(husk pod ps -q) more 1" ]]
    husk pod rm -f pea
}

# ---- init ----

without_box() { husk rm -f box >/dev/null 2>&1 || :; }

initialized() {
    local pid
    $h create -i --name one --network none busybox sh -c 'cat; echo over; exit 5'
    [[ $($h init one) == one ]]
    [[ $($h ps -q) == '' && $($h ps -aq --filter status=initialized) && $($h ps -q --filter status=running) == '' ]]
    [[ $($h ps -a --format '{{.State}} {{.Status}}') == 'initialized Initialized' ]]
    pid=$($h inspect -f '{{.State.Pid}}' one)
    [[ $(readlink "/proc/$pid/ns/uts") != "$(readlink /proc/self/ns/uts)" ]]
    $h init one # it is as it was asked to be
    [[ $($h inspect -f '{{.State.Status}} {{.State.Running}} {{.State.Pid}}' one) == "initialized false $pid" ]]
    [[ $($h cp one:/etc/hostname - | tar xO) == "$($h inspect -f '{{slice .Id 0 12}}' one)" ]]
    run $h exec one true
    expect 1 "container 'one' is only initialized: husk start one starts it"
    run $h pause one
    expect 1 "container 'one' is not running"
    [[ $($h logs one) == '' && $($h why one) == *'waits for husk start one'* ]]
    run $h start -ai one <<<typed
    expect 5 =typed$'\n'over
    run $h init nobody
    expect 125 "no such container: 'nobody'"
    $h rm one
}
@test "init makes all of a container but its program, which start lets go" { without_box; each_user initialized; }

initialized_ends() {
    local how id monitor
    for how in 'stop -t 100' 'kill' 'rm' 'rm -f'; do
        id=$($h create --name one --network none --health-cmd true --health-interval 1s busybox sleep 1234)
        $h init one
        $h $how one
        [[ $how == rm* ]] || { wait_until 5 gone_by_kill; $h rm one; }
    done
    id=$($h create --name one --network none busybox sleep 1234) # whose monitor is killed: the next command gives another
    $h init one
    monitor=$(pgrep -f "^husk-monitor id=$id")
    kill -9 "$monitor"
    wait_until 5 no_process "$monitor"
    [[ $($h ps -a --format '{{.State}}') == initialized ]]
    $h start one
    run $h init one
    expect 125 "container 'one' is running: only one that does not run can be initialized"
    $h stop -t 0 one
    $h init --all
    [[ $($h ps -a --format '{{.State}}') == initialized ]] # and once more after its end
    $h start --all
    [[ $($h ps --format '{{.State}}') == running ]]
    $h rm -f one
    [[ $($h system check) == 'no problems' ]]
}
gone_by_kill() { [[ $($h inspect -f '{{.State.Status}} {{.State.ExitCode}}' one) == 'exited 137' ]]; }
no_process() { [[ ! -e /proc/$1/ns/pid || $(</proc/"$1"/stat) == *') Z '* ]]; }
@test "what waits for its start can be stopped, killed and removed, and outlives its monitor" { without_box; each_user initialized_ends; }

# ---- clone ----

cloned() {
    local id
    $h volume create named >/dev/null
    $h create --name one --network none --env A=b --label x=y -v named:/data -v /anon --init busybox sh -c 'echo "$A"; sleep 1235'
    $h start one
    id=$($h container clone one)
    [[ $($h ps -aq --no-trunc --filter name=one-clone) == "$id" ]]
    [[ $($h inspect -f '{{.State.Status}} {{.Config.Env}} {{.Config.Labels}} {{.Config.Cmd}} {{.HostConfig.Init}} {{(index .Mounts 0).Name}}' "$id") == \
        "created $($h inspect -f '{{.Config.Env}} {{.Config.Labels}} {{.Config.Cmd}} {{.HostConfig.Init}} {{(index .Mounts 0).Name}}' one)" ]]
    [[ $($h inspect -f '{{(index .Mounts 1).Name}}' one) != "$($h inspect -f '{{(index .Mounts 1).Name}}' "$id")" ]]
    $h exec one touch /written
    $h start "$id"
    run $h exec "$id" ls /written
    expect 1 'No such file'
    [[ $($h logs "$id") == b ]]
    [[ $($h ps -aq --no-trunc --filter name=one-clone1) == "" ]]
    $h container clone --run one >/dev/null
    [[ $($h ps --filter name=one-clone1 --format '{{.State}}') == running ]]
    run $h container clone --destroy one two
    expect 125 "--destroy: container 'one' is running: stop it first, or force with -f"
    run $h container exists two
    expect 1 =
    $h container clone --destroy --force one two >/dev/null
    run $h container exists one
    expect 1 =
    run $h container clone two one-clone
    expect 125 "the name 'one-clone' is taken"
    run $h container clone --pod x two
    expect 125 '--pod: a clone of a pod'
    [[ $($h system check) == 'no problems' ]]
}
@test "container clone makes another of the same configuration, with files and anonymous volumes of its own" { without_box; each_user cloned; }

@test "container clone takes other limits, another image, published ports but no fixed address, and stays in a pod" {
    without_box
    husk network create --subnet 10.77.0.0/24 fixed
    husk create --name one -m 64m --network fixed --ip 10.77.0.9 -p 18080:80 busybox sleep 1235
    husk container clone --memory 32m one two
    [[ $(husk inspect -f '{{.HostConfig.Memory}} {{(index (index .HostConfig.PortBindings "80/tcp") 0).HostPort}}' two) == '33554432 18080' ]]
    run husk container clone --memory 1m one
    expect 125 '--memory: less than 6m'
    husk start one
    run husk start two
    expect 1 '18080'
    husk stop -t 0 one
    husk start two
    [[ $(husk inspect -f '{{.NetworkSettings.Networks.fixed.IPAddress}}' two) != 10.77.0.9 ]]
    husk tag busybox other
    husk container clone two three other
    [[ $(husk inspect -f '{{.Config.Image}}' three) == other ]]
    husk pod create --name pea
    husk create --pod pea --name in busybox sleep 1235
    husk container clone in
    [[ $(husk pod ps --ctr-names --format '{{.ContainerNames}}') == *,in,in-clone ]]
    run husk container clone "$(husk pod inspect -f '{{.InfraContainerID}}' pea)"
    expect 125 'holds the namespaces of its pod'
    husk pod rm -f pea
}
