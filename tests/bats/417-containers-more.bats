#!/usr/bin/env bats
# Networks in the trash, as root and as an ordinary user.
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
