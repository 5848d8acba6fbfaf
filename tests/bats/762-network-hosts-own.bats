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

@test "what the host's firewall drops of names is said with its cure, which cures it" {
    local form='{{.Obstacles}}'
    nft -f - <<'N'
table inet theirs {
    chain input { type filter hook input priority 0; policy drop; iif lo accept; ct state established,related accept; }
}
N
    husk network create --subnet 10.66.0.0/24 --interface-name own0 own
    run husk run -d --name one --network own busybox sleep 100
    [[ $output == *"the chain 'input' of the firewall's table 'inet theirs' drops what it does not know, so it must accept what containers ask of names: nft insert rule inet theirs input iifname BRIDGE meta l4proto { tcp, udp } th dport 53 accept"* ]]
    run husk network inspect own --format "$form"
    [[ $output == *"th dport 53 accept"* ]]
    run ! nsenter --target "$(husk inspect --format '{{.State.Pid}}' one)" --net dig +tries=1 +time=1 @10.66.0.1 one
    nft insert rule inet theirs input iifname own0 meta l4proto '{' tcp, udp '}' th dport 53 accept
    run -0 nsenter --target "$(husk inspect --format '{{.State.Pid}}' one)" --net dig +tries=2 +time=3 +short @10.66.0.1 one
    [[ $output == "$(ip_of one own)" ]]
    nft delete table inet theirs
}

@test "--config-only: no network, but what others are made of, and it stays as long as there is one" {
    check_table <<'E'
    network create --config-only --subnet 10.5.0.0/24 --gateway 10.5.0.9 --label a=b -o mtu=1400 conf | 0 |
    network create --config-only --subnet 10.5.0.0/2x bad | 1 | --subnet
    network create --config-only --subnet 10.5.0.0/24 --gateway 10.6.0.1 bad | 1 | is in no subnet of the network
    network create --config-only -o bogus=1 bad | 1 | 'bogus' is not one of
    network create --config-only -o mode=vepa macs | 0 |
    network create --config-from macs bad | 1 | 'vepa' is no mode of the driver 'bridge'
    network create --config-only --config-from conf bad | 1 | exclude each other
    network create --config-from bridge bad | 1 | is a network itself
    network create --config-from nope bad | 1 | no such network: 'nope'
    network create --config-from conf --subnet 10.6.0.0/24 bad | 1 | leave out --subnet
    network ls --filter driver=null --format {{.Name}} | 0 | ~^conf[[:space:]]macs$
    run --rm --network conf busybox true | 125 | network 'conf' is only a configuration: make a network of it first
    network create --config-from conf --label c=d made | 0 |
    network create --config-from conf twice | 1 | clashes with network 'made'
    network inspect conf --format '{{.ConfigOnly}} {{.Driver}} {{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}} {{.Options.mtu}} {{.Labels.a}}' | 0 | =true null 10.5.0.0/24 10.5.0.9 1400 b
    network inspect made --format '{{.ConfigOnly}} {{.ConfigFrom.Network}} {{.Driver}} {{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}} {{.Labels.a}}{{.Labels.c}}' | 0 | =false conf bridge 10.5.0.0/24 10.5.0.9 bd
    run --rm --network made busybox ip link show eth0 | 0 | mtu 1400
    network connect conf nope | 1 | no such container
    network rm conf | 1 | network 'made' was made of the configuration 'conf': remove that first
    network rm -f conf | 1 | network 'made' was made of the configuration 'conf'
    network rm made conf | 0 |
    network prune | 0 | !macs
    network rm macs | 0 |
E
}

@test "an ordinary user's macvlan, which would lead nowhere, is refused" {
    as_user load_busybox >/dev/null
    run as_user husk network create -d macvlan -o parent=out0 --subnet 192.0.2.0/24 mac
    [[ $status -eq 1 && $output == *"--driver macvlan: the host's devices are root's"*"make a bridge"* ]]
}

@test "of two that want one port at once, the second hears which container has it" {
    local i named=0
    for i in 1 2 3 4 5 6; do
        husk run -d --name "at$i" -p 7777:80 busybox sleep 100 >"$T/tmp/at$i" 2>&1 3>&- &
    done
    wait
    [[ $(grep -lE '^[0-9a-f]{64}$' "$T"/tmp/at? | wc -l) -eq 1 ]]
    [[ $(grep -l 'port 7777/tcp of the host is taken' "$T"/tmp/at? | wc -l) -eq 5 ]] || { cat "$T"/tmp/at?; return 1; }
    ! grep -h "taken by" "$T"/tmp/at? | grep -v "by container 'at[1-6]'"
}
