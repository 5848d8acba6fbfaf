#!/usr/bin/env bats
# What is the host's own beside husk's networks: its bridges and devices are used as they are, and never removed.

bats_require_minimum_version 1.5.0
load helpers
load net
load bridges

@test "a bridge of the host's own is used with its subnet and address, and is there after the network" {
    ip link add br7 type bridge
    ip address add 10.66.0.9/24 dev br7
    ip address add fd00:66::9/64 dev br7 nodad
    ip link set br7 up
    husk network create --ipv6 -o com.docker.network.bridge.name=br7 theirs
    run -0 husk network inspect theirs --format '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}},{{end}} {{.NetworkInterface}}'
    [[ $output == '10.66.0.0/24 10.66.0.9,fd00:66::/64 fd00:66::9, br7' ]]
    serve one --network theirs -p 8080:80
    [[ $(ask 127.0.0.1 8080) == one ]]
    [[ $(ask 192.0.2.1 8080 outside) == one ]]
    [[ $(ask 2001:db8::1 8080 outside) == one ]]
    run -0 husk run --rm --network theirs busybox nslookup one
    [[ $output == *"$(ip_of one theirs)"* ]]
    husk rm -f -t 0 one
    husk network rm theirs
    ip -br address show br7 | grep -q '10.66.0.9/24'
    ip link del br7
}

@test "a bridge of the host's own without the address that names are asked at is refused, at first and later, and others start" {
    ip link add br7 type bridge
    ip address add 10.66.0.9/24 dev br7
    ip link set br7 up
    check_table <<'E'
    network create --interface-name br7 --subnet 10.67.0.0/24 xx | 1 | the bridge 'br7' is the host's own and has not an address in 10.67.0.0/24
    network create --interface-name br7 --subnet 10.66.0.0/24 --gateway 10.66.0.1 xx | 1 | has not the address 10.66.0.1
    network create --interface-name br7 --subnet 10.66.0.0/24 --gateway 10.66.0.1 --disable-dns lan | 0 |
    run --rm --network lan busybox ip route | 0 | default via 10.66.0.1
    network rm lan | 0 |
    network create --interface-name br7 theirs | 0 |
E
    ip address del 10.66.0.9/24 dev br7
    run -125 husk run --rm --network theirs busybox true
    [[ $output == *"the bridge 'br7' is the host's own and has not the address 10.66.0.9/24: give it that (ip address add 10.66.0.9/24 dev br7)"* ]]
    run -0 husk run --rm busybox echo others
    [[ $output == *others ]]
    ip link del br7
    run -125 husk run --rm --network theirs busybox true
    [[ $output == *"the bridge 'br7' is the host's own and is not there any more"* ]]
}

@test "an interface that is no bridge is not taken for one, nor removed with the network of its name" {
    check_table <<'E'
    network create --interface-name out0 xx | 1 | 'out0' is an interface of the host's and no bridge
    network create --interface-name later xx | 0 |
E
    ip link add later type veth peer name later2
    run -125 husk run --rm --network xx busybox true
    [[ $output == *"network 'xx': 'later' is an interface that is there already and no bridge"* ]]
    husk network rm xx
    ip link del later
}

@test "gateways that could be none, and a network of no addresses by accident, are refused" {
    check_table <<'E'
    network create --subnet 10.5.0.0/24 --gateway 10.5.0.255 xx | 1 | '10.5.0.255' is the last address of 10.5.0.0/24
    network create --subnet 10.5.0.0/24 --gateway 10.5.0.0 xx | 1 | '10.5.0.0' is the first address of 10.5.0.0/24
    network create --subnet fd00:5::/64 --gateway fd00:5:: xx | 1 | 'fd00:5::' is the first address of fd00:5::/64
    network create --subnet fd00:5::/64 --gateway fd00:5::ffff:ffff:ffff:ffff xx | 0 |
    network create --ipv4=false yy | 1 | say --ipam-driver none
E
}
