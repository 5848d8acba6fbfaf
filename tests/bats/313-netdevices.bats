#!/usr/bin/env bats
# linux.netDevices: the host's devices in the container, with their addresses. All of it in a network namespace of the
# test's own, which is "the host" here.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup() {
    # unshare ends with its first program, and with it the namespace
    unshare --net sh -c 'ip link set lo up && echo >"$1" && exec sleep 1000' x "$T/tmp/host.ready" 3>&- &
    HOST=$!
    wait_until 30 test -e "$T/tmp/host.ready"
    rm "$T/tmp/host.ready"
    host ip link add v0 type veth peer name v1
    host ip link set v0 mtu 1400 up
    host ip link set v1 up
    host ip address add 10.9.8.7/24 brd 10.9.8.255 dev v0
    host ip address add 10.9.8.6/32 dev v0
    host ip -6 address add fd00:9::7/64 dev v0 nodad
    host ip address add 169.254.1.1/16 scope link dev v0
    bundle
}
teardown() {
    remove_oci
    kill "$HOST" || true
    wait "$HOST" 2>/dev/null || true
}
host() { nsenter --net="/proc/$HOST/ns/net" "$@"; }
host_oci() { host "$HUSK_OCI" --root "$TRUN/oci" "$@"; }
addresses() { # as CMD, device
    "${@:2}" ip -o address show dev "$1" | awk '{ for (i = 1; i < NF; i++) if ($i ~ /^inet6?$/) print $(i + 1), $(i + 2) }' | sort
}

@test "a device moves with its addresses, its MTU and its MAC, under a new name, and is up" {
    local mac
    mac=$(host ip -o link show v0 | grep -o 'ether [^ ]*')
    change "$(sh_c 'ip -o link show; ip -o address show dev eth7')" '.linux.netDevices = {v0: {name: "eth7"}}'
    run host_oci run -b "$B" c1
    expect 0 "eth7"
    output_has "10.9.8.7/24 brd 10.9.8.255 scope global"
    output_has "10.9.8.6/32"
    output_has "fd00:9::7/64"
    output_has "mtu 1400"
    output_has "$mac"
    output_has '~eth7@[^<]*<[^>]*UP'
    output_has "!169.254.1.1"
    run host ip link show v0
    [[ $status -ne 0 ]] # with the container's namespace a virtual device is gone
    assert_gone c1
}

@test "without a name it keeps its own; a template lets the kernel choose; several go" {
    host ip link add w0 type veth peer name w1
    change "$(sh_c 'ls /sys/class/net | tr "\n" " "')" '.linux.netDevices = {v0: {}, w0: {name: "net%d"}, w1: {name: "net%d"}}'
    run host_oci run -b "$B" c1
    expect 0 "=lo net0 net1 v0 "
}

@test "a name that is taken inside is an error, and the device is as it was" {
    change '.process.args = ["true"] | .linux.netDevices = {v0: {name: "lo"}}'
    local before
    before=$(addresses v0 host)
    [[ $before == *10.9.8.7* ]]
    run host_oci run -b "$B" c1
    expect 1 "move network devices: network device 'v0': the container has a device 'lo' already"
    [[ $(addresses v0 host) == "$before" ]]
}

@test "a start that fails after the move gives the devices back, as they were" {
    local before
    host ip address delete 169.254.1.1/16 dev v0 # not of those that the specification keeps
    before=$(addresses v0 host)
    change '.process.args = ["/no/such/program"] | .linux.netDevices = {v0: {name: "eth0"}, v1: {name: "eth0"}}'
    run host_oci run -b "$B" c1
    expect 1 "two devices with the name 'eth0'"
    change '.linux.netDevices = {v0: {name: "eth0"}, v1: {name: "eth1"}}'
    run host_oci run -b "$B" c1
    expect 1 "/no/such/program"
    wait_until 30 host ip link show v0
    wait_until 30 test "$(addresses v0 host)" = "$before" || { addresses v0 host; false; }
    host ip -o link show v0 | grep -q 'v0@v1: <[^>]*UP.* mtu 1400'
    assert_gone c1
}

@test "what cannot be" {
    change '.process.args = ["true"]'
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change ".linux.netDevices = $1" "${2:-.}"; host_oci run -b "$B" c1; }
    check_table try <<'END'
'{nope: {}}'                        | 1 | network device 'nope': there is no such device
'{"a/b": {}}'                       | 1 | 'a/b' is not the name of a network device
'{v0: {name: "0123456789abcdef"}}'  | 1 | name: '0123456789abcdef' is not the name
'{v0: {name: "a b"}}'               | 1 | name: 'a b' is not the name
'{v0: {name: "x%s"}}'               | 1 | name: 'x%s' is not the name
'{v0: {name: 5}}'                   | 1 | netDevices: v0: name: expected a string
'{lo: {name: "lo1"}}'               | 1 | network device 'lo'
'{v0: {}}' '.linux.namespaces |= map(select(.type != "network"))' | 1 | they need a network namespace
'{}'                                | 0 |
END
    [[ $(addresses v0 host) == *10.9.8.7* ]]
    # an ordinary user has no rights over the host's devices
    user_bundle '.process.args = ["true"] | .linux.namespaces += [{type: "network"}] | .linux.netDevices = {lo: {name: "x"}}'
    run user_oci run -b "$B" c1
    [[ $status -eq 1 ]]
    output_has "only root can take a device out of the host's network"
}

@test "a joined namespace gets them too" {
    change '.process.args = ["sleep", "1000"]'
    host_oci run -d -b "$B" c1 >/dev/null
    local pid
    pid=$(oci state c1 | jq .pid)
    bundle "$(sh_c 'ls /sys/class/net | tr "\n" " "')"
    change "(.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$pid/ns/net\" | .linux.netDevices = {v0: {name: \"eth0\"}} | del(.hostname)"
    run host_oci run -b "$B" c2
    expect 0 "eth0"
    nsenter --net="/proc/$pid/ns/net" ip address show dev eth0 | grep -q 10.9.8.7
}

@test "intelRdt: refused in a sentence where no resctrl is mounted, and what is wrong before that" {
    skip_unless_kernel "resctrl is mounted here" test ! -e /sys/fs/resctrl/schemata
    change '.process.args = ["true"]'
    try() { change ".linux.intelRdt = $1"; oci run -b "$B" c1; }
    check_table try <<'END'
'{closID: "x"}'                | 1 | linux.intelRdt: no resctrl file system is mounted: 'mount -t resctrl
'{memBwSchema: "L3:0=1"}'      | 1 | memBwSchema: 'L3:0=1' does not begin with MB:
'{closID: "../.."}'            | 1 | closID: '../..' is not the name of a group
END
}
