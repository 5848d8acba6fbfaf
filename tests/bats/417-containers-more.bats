#!/usr/bin/env bats
# Networks in the trash, checkpoints where CRIU cannot make one, and commands that labels say; as root and as an ordinary user.
# shellcheck disable=SC2030,SC2031,SC2154 # bats sets them

load helpers

setup_file() { setup_both_stores; }
teardown() {
    remove_all_containers
    "$HUSK" network prune -f --no-trash >/dev/null
    as_user husk network prune -f --no-trash >/dev/null
    "$HUSK" trash empty >/dev/null
    as_user husk trash empty >/dev/null
}

networks() {
    local was
    $h network create --subnet 10.77.0.0/24 --ip-range 10.77.0.64/26 --label tier=web --opt mtu=1400 --internal net
    $h network create spare
    was=$($h network inspect net)
    [[ $($h network rm --dry-run net) == net ]]
    $h network rm net spare
    [[ ! $($h network ls --format '{{.Name}}' | grep -E 'net|spare') ]]
    [[ $($h trash ls --format '{{.Command}}: {{.Names}} {{.Networks}} {{.Size}}') == "network rm: net spare 2 0B" ]]
    run $h undo --name other
    expect 1 "--name is for one object: entry"
    run $h undo
    expect 0 $'network net\nnetwork spare'
    [[ $($h network inspect net) == "$was" && ! $($h trash ls -q) ]]
    # by another name; a taken one; taken addresses; a word that means something else
    $h network rm net
    $h network create --subnet 10.78.0.0/24 net
    run $h undo
    expect 1 "the name 'net' is taken by another network meanwhile: remove that, or say --name"
    run $h undo --name host
    expect 1 "'host' means something else to --network"
    $h undo --name second
    [[ $($h network inspect -f '{{.Name}} {{(index .IPAM.Config 0).Subnet}}' second) == "second 10.77.0.0/24" ]]
    $h network rm second
    $h network create --subnet 10.77.0.0/16 wide
    run $h undo
    expect 1 "network 'second' had the addresses 10.77.0.0/24, which clash with network 'wide' (10.77.0.0/16) now: remove that"
    [[ $($h trash ls --format '{{.Names}}') == second ]]
    $h network rm --no-trash wide net
    $h undo
    # a container that is on it needs it, in whichever order they went
    $h create --name cc --network second:ip=10.77.0.70,alias=web busybox true
    run $h network rm second
    expect 1 "network 'second' is in use by container 'cc'"
    $h rm cc
    $h network prune -f
    [[ $($h trash ls --format '{{.Command}} {{.Names}}') == *"network prune second spare"* ]]
    run $h undo "$($h trash ls -q | tail -n 1)"
    expect 1 "container 'cc' needs network 'second', which is gone: bring that back or make it first"
    $h undo
    $h undo
    [[ $($h inspect -f '{{(index .NetworkSettings.Networks "second").IPAMConfig.IPv4Address}}' cc) == 10.77.0.70 ]]
    $h system prune -f
    [[ $($h trash ls --format '{{.Command}} {{.Names}}') == "system prune cc "* && ! $($h network ls -q) ]]
    $h undo
    [[ $($h ps -a --format '{{.Names}} {{.Networks}}') == "cc second" ]]
    $h rm cc
    $h network rm --no-trash second spare
    $h system check
}
@test "networks that were removed come back with ID, addresses, options and labels, unless those are taken by then" { each_user networks; }

@test "a network that came back connects as before, with its rules; what the host's routes took meanwhile is said" {
    ((EUID == 0)) || skip "kernel: a bridge is root's"
    husk network create --subnet 10.77.0.0/24 --policy deny net
    husk network policy add net from=aa to=bb port=icmp
    husk network rm net
    ip link add taken0 type veth peer name taken1
    ip link set taken1 up
    ip address add 10.77.0.1/25 dev taken0
    ip link set taken0 up
    run husk undo
    expect 1 "network 'net' had the addresses 10.77.0.0/24, which clash with the host's route to 10.77.0.0/25 dev taken0 now: remove that"
    ip link del taken0
    husk undo
    [[ $(husk network policy ls --format '{{.Rule}}' net) == *"from=aa to=bb"* ]]
    husk run -d --name bb --network net busybox sleep 1000
    run husk run --rm --name cc --network net busybox ping -c 1 -w 1 bb
    expect 1
    husk run --rm --name aa --network net busybox ping -c 1 -w 5 bb
    husk network rm -f net
    husk undo
    [[ $(husk network inspect -f '{{len .Containers}}' net) == 0 ]]
    husk rm -f bb
}

@test "faults: network rm and undo are killed at each step, and nothing is lost" {
    [[ $HUSK_FAULT_BUILD ]] || fail "a build with -Dfault_injection is needed: HUSK_FAULT_BUILD"
    ((EUID == 0)) || skip "kernel: a bridge is root's"
    local f=$HUSK_FAULT_BUILD/bin/husk point
    husk network create --subnet 10.77.0.0/24 net
    for point in network-names-gone bridge-removed network-out-of-firewall trash-row; do
        husk run --rm --network net busybox true
        run env HUSK_FAULT="kill@$point" "$f" network rm net
        ((status == 137))
        [[ $point == trash-row ]] || husk network rm net
        husk undo
        husk run --rm --network net busybox true
    done
    husk network rm net
    run env HUSK_FAULT=kill@undo-network "$f" undo
    ((status == 137))
    [[ $(husk network ls --format '{{.Name}}') == *net* ]]
    run husk undo
    expect 1 "the trash is empty"
    husk network rm net
    run env HUSK_FAULT=kill@trash-forgotten "$f" trash empty
    ((status == 137))
    [[ ! $(husk trash ls -q) ]]
    husk system check
}

@test "a checkpoint that cannot be says why, with status 125, and the container runs on" {
    local pid
    ((EUID == 0)) || skip "CRIU is root's"
    husk run -d --name runs --network none busybox sleep 1000
    husk run -d --init --name init --network none busybox sleep 1000
    husk run -d --rm --name goes --network none busybox sleep 1000
    husk create --name never --network none busybox true
    husk run -d --security-opt no-new-privileges --name nonew --network none busybox sleep 1000
    husk run -d -v over:/x:O --name over --network none busybox sleep 1000
    husk run -d -v /x --name anon --network none busybox sleep 1000
    mkdir "$T/tmp/bad"
    echo '{"version": 1, "id": "x", "name": "x", "config": "{}"}' >"$T/tmp/bad/container.json"
    tar -C "$T/tmp/bad" -cf "$T/tmp/bad.tar" container.json
    pid=$(husk inspect -f '{{.State.Pid}}' runs)
    check_table <<'TABLE'
container checkpoint nothere         | 125 | no such container: 'nothere'
container checkpoint never           | 125 | cannot checkpoint container 'never': it is not running
container checkpoint init            | 125 | its first process is husk-init, whose program is in memory alone: make it without --init
container checkpoint nonew           | 125 | CRIU would restore it without its no-new-privileges: make it without that
container checkpoint over            | 125 | what it has with O, or of an image, is an overlay, which CRIU does not mount again
container checkpoint --export /x --compress lz4 runs | 125 | --compress: 'lz4' is not one of zstd, gzip, none
container checkpoint --export /x over | 125 | --export: container 'over' has the volume 'over', which is not put into the archive: carry it by `husk volume export`
container checkpoint --export /x anon | 125 | has a volume without a name on '/x', which nobody can carry along: give it one
container checkpoint --export /x -P runs | 125 | --export: an archive is whole: leave out --pre-checkpoint
container checkpoint --export /x -a  | 125 | --export: one container at a time goes into an archive
container checkpoint --ignore-rootfs runs | 125 | --compress, --ignore-rootfs and --ignore-volumes are for --export
container checkpoint --create-image x runs | 125 | --create-image: an archive is made by --export
container restore --import /nothere  | 125 | --import: open '/nothere': No such file or directory
container restore --import "$IMAGES/rootfs.tar" | 125 | is no archive of `husk container checkpoint --export`: it has no container.json
container restore --import "$T/tmp/bad.tar" | 125 | id: 'x' is no ID
container restore --import "$T/tmp/bad.tar" never | 125 | --import: the archive says which container: name none
container restore --name x never     | 125 | --name, --publish and the --ignore- options are for --import
container restore -p 80:80 never     | 125 | --name, --publish and the --ignore- options are for --import
container restore --ignore-static-ip never | 125 | the --ignore- options are for --import: what is here goes on as it is
container checkpoint goes            | 125 | it goes when it ends (--rm), and the checkpoint with it: say --leave-running
container checkpoint --with-previous runs | 125 | has no earlier checkpoint: make it with --pre-checkpoint
container checkpoint -P --with-previous runs | 125 | --pre-checkpoint and --with-previous exclude each other
container restore never              | 125 | container 'never' has no checkpoint 'latest': see `husk checkpoint ls`
container restore                    | 125 |
checkpoint create runs ../../x       | 125 | checkpoint name
checkpoint create runs               | 125 |
checkpoint rm runs none              | 125 | container 'runs' has no checkpoint 'none'
checkpoint rm runs ../..             | 125 | checkpoint name
checkpoint ls runs                   | 0   | CHECKPOINT NAME
start --checkpoint none never        | 1   | container 'never' has no checkpoint 'none'
TABLE
    run env PATH=/nowhere "$HUSK" checkpoint create runs one
    expect 125 "'criu' is not installed: apt install criu"
    if ! criu check >/dev/null 2>&1; then # where it can: 900-vm.bats
        run husk container checkpoint runs
        expect 125 "criu"
        run husk checkpoint create --checkpoint-dir "$T/tmp/there" runs one
        expect 125 "criu"
    fi
    [[ $(husk inspect -f '{{.State.Pid}} {{.State.Status}}' runs) == "$pid running" && ! $(husk checkpoint ls -q runs) ]]
    husk exec runs true
    [[ ! $(ls -A "$HUSK_ROOT"/containers/*/checkpoints 2>/dev/null) ]]
    [[ ! $(ls -A "$HUSK_ROOT/tmp") ]] # nothing of an archive either
    as_user husk run -d --name theirs --network none busybox sleep 1000
    run as_user husk container checkpoint theirs
    expect 125 "CRIU needs root: run husk as root, outside of containers"
    husk rm -f goes
}

labelled() {
    local words
    # shellcheck disable=SC2016 # for runlabel
    printf '%s\n' 'FROM busybox' 'LABEL run="docker run -d --name NAME --network none -e IMAGE=IMAGE -v \"\$PWD\":/here IMAGE sleep 1000"' \
        'LABEL once="/usr/bin/podman run --rm --network none \${IMAGE}" evil="touch /tmp/evil" open="docker run \"x" blank=" "' >"$T/tmp/labels"
    chmod 644 "$T/tmp/labels"
    $h build -q -t labelled -f "$T/tmp/labels" "$IMAGES/oci"
    words=$(cd / && $h container runlabel --display run labelled)
    [[ $words == "command: husk run -d --name labelled --network none -e IMAGE="*"labelled:latest -v /:/here "*"labelled:latest sleep 1000" ]]
    $h container runlabel run labelled
    [[ $($h ps --format '{{.Names}}') == labelled && $($h exec labelled sh -c 'echo $IMAGE') == *labelled:latest ]]
    run $h container runlabel run labelled
    expect 125 "labelled"
    $h container runlabel --replace run labelled
    $h container runlabel --name other run labelled
    [[ $($h ps --format '{{.Names}}' | sort | xargs) == "labelled other" ]]
    [[ $($h container runlabel once labelled echo "two  blanks") == "two  blanks" ]]
    run $h container runlabel once labelled sh -c 'exit 7'
    expect 7
    check_table "$h" <<'TABLE'
container runlabel evil labelled    | 125 | label 'evil': 'touch' is not docker, podman or husk: husk starts no other program
container runlabel open labelled    | 125 | label 'open': a quote " is not closed
container runlabel blank labelled   | 125 | label 'blank' says no command
container runlabel none labelled    | 125 | image 'labelled' has no label 'none'
container runlabel run              | 125 |
TABLE
    $h rm -f labelled other
    $h rmi --no-trash labelled
}
@test "container runlabel runs the engine's command that a label says, with its words, and nothing else" { each_user labelled; }
