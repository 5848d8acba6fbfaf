#!/usr/bin/env bats
# What a user meets first on networks: names after a live change, addresses that are another's, words of other engines.
# shellcheck disable=SC2016,SC2154

load helpers
load net

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    as_user load_busybox >/dev/null
    u network create one >/dev/null
    u network create two >/dev/null
    husk network create one >/dev/null
    husk network create two >/dev/null
}
teardown_file() { husk_teardown_file; }
setup() { ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"; }
teardown() {
    remove_all_containers
    as_user husk ps -aq | USER_TUN=1 as_user xargs -r "$HUSK" rm -f >/dev/null
}
u() { USER_TUN=1 as_user husk "$@"; }
servers() { "$1" exec mover sed -n 's/^nameserver //p' /etc/resolv.conf; }
own_lines() { "$1" exec mover sh -c 'grep "	$(hostname)\$" /etc/hosts | cut -f 1'; }
gateway() { "$1" network inspect "$2" | jq -r '.[0].IPAM.Config[0].Gateway'; }
at() { "$1" inspect mover | jq -r ".[0].NetworkSettings.Networks.$2.IPAddress"; }

@test "connect and disconnect, live: the container asks the network that it is on, and knows its own addresses" {
    local who
    for who in husk u; do
        $who run -d --name mover --network one busybox sleep 1000 >/dev/null
        $who run -d --name other --network two busybox sleep 1000 >/dev/null
        $who exec mover sh -c 'echo "192.0.2.9 mine" >>/etc/hosts; echo "# a word" >>/etc/resolv.conf'
        $who network connect two mover
        [[ $(own_lines $who) == "$(at $who one)"$'\n'"$(at $who two)" ]] || { own_lines $who; return 1; }
        $who network disconnect one mover
        [[ $(servers $who) == "$(gateway $who two)" ]] || { $who exec mover cat /etc/resolv.conf; return 1; }
        [[ $(own_lines $who) == "$(at $who two)" ]]
        run $who exec mover nslookup other
        expect 0 "Address: "
        run $who exec mover ping -c 1 -w 5 other
        expect 0 "1 packets received"
        $who exec mover grep -q "192.0.2.9 mine" /etc/hosts # what is not husk's stays
        $who exec mover grep -q "^# a word" /etc/resolv.conf
        $who network disconnect two mover
        [[ $(own_lines $who) == 127.0.1.1 ]]
        $who network connect one mover
        [[ $(servers $who) == "$(gateway $who one)" && $(own_lines $who) == "$(at $who one)" ]]
        $who rm -f mover other >/dev/null
    done
}

@test "a hardware address that a running container has on the network is refused with its name" {
    local base
    base=$(gateway husk one)
    base=${base%.*}
    husk run -d --name first --network one:mac=02:00:00:00:00:01 busybox sleep 1000 >/dev/null
    husk run -d --name second --network two busybox sleep 1000 >/dev/null
    check_table <<END
run --rm --network one:mac=02:00:00:00:00:01 busybox true           | 125 | hardware address 02:00:00:00:00:01 on network 'one' is taken by container 'first'
network connect --mac-address 02:00:00:00:00:01 one second          | 1   | hardware address 02:00:00:00:00:01 on network 'one' is taken by container 'first'
run --rm --network two:mac=02:00:00:00:00:01 busybox true           | 0   |
END
    run husk exec second ip -o link
    [[ $output != *eth1* ]]
    # One made of an IP address comes with that: else it would be the next one's who gets the address.
    run husk run --rm --network "one:mac=$(printf '02:42:%02x:%02x:%02x:4d' ${base//./ })" busybox ip -o -4 address show eth0
    expect 0 "inet $base.77/"
    run husk run --rm --network "one:ip=$base.78,mac=$(printf '02:42:%02x:%02x:%02x:4d' ${base//./ })" busybox true
    expect 125 "is that of address $base.77 on network 'one': ask for both, or for another"
    husk rm -f first >/dev/null
    husk run --rm --network one:mac=02:00:00:00:00:01 busybox true
}

@test "words of docker and podman: -p 0:PORT and /TCP, --dns-opt; what could not be is said" {
    husk run -d --name ports -p 0:80/TCP -p 127.0.0.1:18099:81/udp --expose 90 busybox sleep 1000 >/dev/null
    run husk port ports 80
    expect 0 "0.0.0.0:"
    [[ $(husk inspect ports | jq -c '.[0].HostConfig.PortBindings') == '{"80/tcp":[{"HostIp":"","HostPort":""}],"81/udp":[{"HostIp":"127.0.0.1","HostPort":"18099"}]}' ]]
    [[ $(husk inspect ports | jq -c '.[0].Config.ExposedPorts | keys') == '["80/tcp","81/udp","90/tcp"]' ]]
    check_table <<'END'
run --rm --network none --dns-opt timeout:7 busybox grep timeout /etc/resolv.conf | 0 | options timeout:7
run --rm --network none:ip=192.0.2.1 busybox true        | 125 | --network: 'none' takes no options
run --rm --network host:alias=me busybox true            | 125 | --network: 'host' takes no options
run --rm --network slirp4netns busybox true              | 125 | there is no slirp4netns: its work is done by 'bridge'
run --rm --network host -p 80 busybox true               | 0   | with --network host nothing is published
run --rm -p [::1]:18100:80 busybox true                  | 125 | the container has no IPv6 address that it could lead to
run --rm -p [fe80::1]:18100:80 busybox true              | 125 | 'fe80::1' is an address of one interface alone
port add ports [::1]:18100:80                            | 1   | the container has no IPv6 address that it could lead to
run --rm -p 18100:80/icmp busybox true                   | 125 | 'icmp' is not one of tcp, udp, sctp
END
}

@test "published ports are there again after restart, stop and start, kill and start; an added one too" {
    local who way
    for who in husk u; do
        $who run -d --name web --network one -p 18200:80 busybox sh -c 'echo here >/tmp/index.html; exec httpd -f -p 80 -h /tmp' >/dev/null
        $who port add web 18201:80
        wait_until 10 answers 18200
        for way in "restart -t 0 web" "stop -t 0 web" "kill web"; do
            # shellcheck disable=SC2086
            $who $way >/dev/null
            [[ $way == restart* ]] || { $who wait web && $who start web; } >/dev/null
            wait_until 10 answers 18200
            wait_until 10 answers 18201
        done
        $who rm -f web >/dev/null
    done
}
answers() { [[ $(ask 127.0.0.1 "$1") == here ]]; }

@test "port add: what another has, or the container itself, is named, also where no socket holds it" {
    local who
    for who in husk u; do
        $who run -d --name first --network one busybox sleep 1000 >/dev/null
        $who run -d --name second --network one busybox sleep 1000 >/dev/null
        $who port add first 18300:80
        run $who port add first 127.0.0.1:18300:81
        expect 1 "port 18300/tcp of the host is taken by container 'first' itself, for its port 80"
        run $who port add second 18300:80
        expect 1 "port 18300/tcp of the host is taken by container 'first'"
        run $who run --rm -p 18300:80 busybox true
        expect 125 "port 18300/tcp of the host is taken by container 'first'"
        $who port rm first 18300:80
        $who port add second 18300:80
        $who rm -f first second >/dev/null
    done
    run u run --rm --network pasta:-x busybox true
    expect 125 "pasta: invalid option -- 'x'"
}

# A frame of nothing, from container $1, as from $2.
claim() {
    nsenter -t "$(husk inspect "$1" | jq '.[0].State.Pid')" -n python3 - "$2" <<'END'
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
s.send(b"\xff" * 6 + bytes.fromhex(sys.argv[1].replace(":", "")) + b"\x88\xb5" + bytes(46))
END
}
ports_of() { bridge fdb show | awk -v mac="$1" '$1 == mac && !/permanent/ { print $3 }'; }

@test "a neighbour that sends from a container's hardware address draws nothing of what is meant for that" {
    local mac loose
    husk run -d --name victim --network one busybox sleep 1000 >/dev/null
    husk run -d --name thief --network one busybox sleep 1000 >/dev/null
    mac=$(husk inspect victim | jq -r '.[0].NetworkSettings.Networks.one.MacAddress')
    loose=02:00:00:00:00:99 # to see that what is done is what an attacker would do: a free address is drawn so
    claim thief $loose
    wait_until 5 eval '[[ $(ports_of 02:00:00:00:00:99) == hk* ]]'
    [[ $(ports_of "$mac") == "hk$(husk inspect victim | jq -r '.[0].Id[:9]')".* ]]
    claim thief "$mac"
    claim thief "$mac"
    [[ $(ports_of "$mac") == "hk$(husk inspect victim | jq -r '.[0].Id[:9]')".* ]] || { bridge fdb show; return 1; }
    run husk exec thief ping -c 1 -w 3 victim
    expect 0 "1 packets received"
    husk restart -t 0 victim >/dev/null # and its next run's port has it
    run husk exec thief ping -c 1 -w 5 victim
    expect 0 "1 packets received"
}

@test "IPv6 alone: a published port is reached by the host's address from the first moment on" {
    local bridge
    ip address add 2001:db8:5::1/128 dev lo nodad
    husk network create --ipv6 --ipv4=false six >/dev/null
    husk run -d --name web --network six -p 18400:80 busybox sh -c 'echo here >/tmp/index.html; exec httpd -f -p 80 -h /tmp' >/dev/null
    bridge=$(husk network inspect six | jq -r '.[0].NetworkInterface')
    [[ $(ip -6 -o address show dev "$bridge" scope link) == *"inet6 fe80::"* ]]
    [[ ! $(ip -6 -o address show dev "$bridge" tentative) ]] || { ip address show dev "$bridge"; return 1; }
    there() { [[ $(ask 2001:db8:5::1 18400) == here ]]; }
    wait_until 10 there
    husk rm -f web >/dev/null
    husk network rm six >/dev/null
    ip address del 2001:db8:5::1/128 dev lo
}

@test "network create refuses subnets of no hosts; policy ls numbers the rules" {
    check_table <<'END'
network create --subnet 224.0.0.0/24 odd  | 1 | '224.0.0.0/24' is not for single hosts
network create --subnet ff05::/64 odd     | 1 | 'ff05::/64' is not for single hosts
network policy add one from=* to=web      | 0 |
network policy ls one                     | 0 | 1        from=* to=web
network policy rm one 1                   | 0 |
END
}

@test "the end of a container with a published port is recorded before the kernel is waited for, that frees what was taken out" {
    strace -f -e trace=socket,close,/rename,unlinkat -o "$T/trace" "$HUSK" run --rm --network one -p 8097:80 busybox true
    # of who takes the elements out: the socket that did, the note of them, the record; then the socket may go
    awk '/NETLINK_NETFILTER\) = [0-9]+$/ { sock[$1] = $NF }
        /unlinkat\([0-9]+, "network", 0\) += 0/ && $1 in sock { monitor = $1 }
        $1 == monitor && index($2, "close(" sock[$1] ")") { early = 1 }
        $1 == monitor && /rename.*"exit.json"/ { recorded = 1; exit }
        END { exit !recorded || early }' "$T/trace" || { cat "$T/trace"; return 1; }
}
