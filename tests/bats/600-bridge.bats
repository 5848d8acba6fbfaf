#!/usr/bin/env bats
# Bridge networks of root: addresses, names of interfaces, ports, isolation, and what is left when they are gone.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

@test "a container is on the bridge without a word, and beyond it" {
    run husk run --rm busybox sh -c 'ip -o -4 address show eth0; ip route; grep "$(hostname)" /etc/hosts'
    expect 0 "10.208.0.2/20"
    [[ $output == *"default via 10.208.0.1 dev eth0"* ]]
    run husk run --rm busybox ping -c 1 -w 3 192.0.2.2
    expect 0 "1 packets received"
    run husk run --rm --network none busybox ip link
    [[ $output != *eth0* ]]
}

@test "containers of a network reach each other, of two networks do not, unless they are not isolated" {
    husk network create one >/dev/null
    husk network create two >/dev/null
    husk network create --opt isolate=false open1 >/dev/null
    husk network create --opt isolate=false open2 >/dev/null
    serve aa --network one
    serve bb --network open1
    run ask "$(ip_of aa one)" 80 husk run --rm -i --network one busybox
    expect 0 "=aa"
    nobody "$(ip_of aa one)" 80 husk run --rm -i --network two busybox
    run ask "$(ip_of bb open1)" 80 husk run --rm -i --network open2 busybox
    expect 0 "=bb"
    nobody "$(ip_of bb open1)" 80 husk run --rm -i --network one busybox
}

@test "a published port: from outside, from the host by any address, from itself and its neighbours, both families" {
    husk network create --ipv6 six >/dev/null
    serve web --network six -p 8080:80
    husk run -d --name peer --network six busybox sleep 1000 >/dev/null
    husk run -d --name other busybox sleep 1000 >/dev/null
    local to
    for to in 192.0.2.1 2001:db8::1; do
        run ask "$to" 8080 outside
        expect 0 "=web"
        run ask "$to" 8080
        expect 0 "=web"
        run ask "$to" 8080 husk exec -i web
        expect 0 "=web"
        run ask "$to" 8080 husk exec -i peer
        expect 0 "=web"
    done
    run ask 192.0.2.1 8080 husk exec -i other
    expect 0 "=web"
    run ask 127.0.0.1 8080
    expect 0 "=web"
    # ::1 is nobody's: refused at once, so that clients of localhost go on to 127.0.0.1
    run ask ::1 8080
    expect 0 "Connection refused"
    run curl --silent --max-time 5 http://localhost:8080/
    expect 0 "=web"
}

@test "the client's address is seen by the container, and the host's loopback is not let in" {
    husk run -d --name web -p 8080:80 -p 5353:53/udp busybox sh -c 'mkdir -p /srv/cgi-bin
        printf "#!/bin/sh\\necho; echo \$REMOTE_ADDR\\n" >/srv/cgi-bin/who && chmod +x /srv/cgi-bin/who && exec httpd -f -p 80 -h /srv' >/dev/null
    wait_until 10 listens web 80
    run outside curl --silent --max-time 5 http://192.0.2.1:8080/cgi-bin/who
    expect 0 "192.0.2.2"
    nsenter --target "$(husk inspect web | jq .[0].State.Pid)" --net -- python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
print(s.recvfrom(9)[1][0], flush=True)' >"$T/tmp/datagram" 3>&- &
    wait_until 10 husk exec web grep -q ':0035 ' /proc/net/udp
    outside bash -c 'echo hello >/dev/udp/192.0.2.1/5353'
    wait_until 10 grep -x 192.0.2.2 "$T/tmp/datagram"
    # CVE-2020-8558: what listens on 127.0.0.1 of the host is for the host alone
    python3 -m http.server --bind 127.0.0.1 7000 >/dev/null 2>&1 3>&- &
    local server=$!
    wait_until 10 curl --silent --output /dev/null http://127.0.0.1:7000/
    husk run -d --name evil --cap-add NET_ADMIN busybox sleep 1000 >/dev/null
    husk exec evil sh -c 'ip address del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via 10.208.0.1'
    nobody 127.0.0.1 7000 husk exec -i evil
    kill "$server"
    [[ $(cat /proc/sys/net/ipv4/conf/out0/route_localnet) == 0 ]]
    [[ $(cat /proc/sys/net/ipv4/conf/husk0/route_localnet) == 1 ]]
}

@test "forms of --publish" {
    check_table <<'END'
run -d --name aa -p 8080:80 -p 127.0.0.1:8081:80 -p 9000-9002:90-92 -p 5354:53/udp -p 132:132/sctp busybox sleep 1000 | 0 |
port aa                                        | 0 | 80/tcp -> 0.0.0.0:8080
port aa 80                                     | 0 | 127.0.0.1:8081
port aa 92/tcp                                 | 0 | =0.0.0.0:9002
port aa 53/udp                                 | 0 | =0.0.0.0:5354
port aa 81                                     | 1 | no public port '81' of container 'aa'
ps --format '{{.Ports}}'                      | 0 | =0.0.0.0:5354->53/udp, 0.0.0.0:8080->80/tcp, 127.0.0.1:8081->80/tcp, 0.0.0.0:9000-9002->90-92/tcp, 0.0.0.0:132->132/sctp
ps -q --filter publish=8080                   | 0 | ~^[0-9a-f]{12}$
run --rm -p 8080:80 busybox true              | 125 | start container: port 8080/tcp of the host is taken by container 'aa'
run --rm -p 127.0.0.1:8080:80 busybox true    | 125 | taken by container 'aa'
run --rm -p 5354:53/tcp busybox true            | 0 |
run --rm -p x:80 busybox true                 | 125 | --publish: 'x:80' is not [IP:][HOST:]CONTAINER
run --rm -p 80:0 busybox true                 | 125 | ports from 1 to 65535
run --rm -p 1-2:80-85 busybox true            | 125 | 2 ports of the host for 6 of the container's
run --rm -p 80/icmp busybox true              | 125 | 'icmp' is not one of tcp, udp, sctp
run --rm -p 80:80 -p 80:81 busybox true       | 125 | --publish: port 80/tcp of the host twice
run --rm -p 203.0.113.1:80:80 busybox true    | 125 | the host has no address 203.0.113.1
run --rm --network none -p 80:80 busybox true | 125 | --publish: with --network none there is nothing
run --rm --network host -p 80:80 busybox true | 0 |
rm -f aa                                       | 0 |
END
    husk run -d --name rr -p 80 --expose 81/udp --expose 90-91 -P busybox sleep 1000 >/dev/null
    [[ $(husk port rr | wc -l) == 4 ]]
    husk port rr 80 | grep -E '^0\.0\.0\.0:[0-9]+$'
    husk inspect rr | jq -e '.[0].NetworkSettings.Ports["81/udp"][0].HostPort | tonumber > 1024'
}

@test "a port that a process has, and one that an ordinary program may not take from a container" {
    python3 -m http.server 7777 >/dev/null 2>&1 3>&- &
    local server=$!
    wait_until 10 curl --silent --output /dev/null http://127.0.0.1:7777/
    run husk run --rm -p 7777:80 busybox true
    kill "$server"
    expect 125 "start container: port 7777/tcp of the host is taken by process 'python3' ($server)"
    husk run -d --name aa -p 7778:80 busybox sleep 1000 >/dev/null
    run timeout 30 python3 -m http.server 7778
    [[ $output == *"Address already in use"* ]]
    husk stop -t 0 aa >/dev/null
    husk run --rm -p 7778:80 busybox true
}

@test "ports of a running container come and go" {
    serve web
    husk port add web 8080:80 127.0.0.1:8081:80
    run ask 127.0.0.1 8081
    expect 0 "=web"
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
    husk port rm web 8080:80
    nobody 192.0.2.1 8080 outside
    run ask 127.0.0.1 8081
    expect 0 "=web"
    check_table <<'END'
port rm web 8080:80    | 1 | container 'web' has not published 80/tcp so
port add web 8081:81   | 1 | port 8081/tcp of the host is taken by container 'web' itself, for its port 80
port add web 8082:81   | 0 |
END
}

@test "addresses that are asked for" {
    husk network create --subnet 10.77.0.0/24 --subnet fd77::/64 --ip-range 10.77.0.128/30 --gateway 10.77.0.254 --aux-address nas=10.77.0.129 nn >/dev/null
    check_table <<'END'
run --rm --network nn busybox ip address show eth0                                   | 0 | 10.77.0.128/24
run --rm --network nn --ip 10.77.0.9 --mac-address 02:00:00:00:00:09 busybox ip address show eth0 | 0 | ~02:00:00:00:00:09.*10.77.0.9/24
run --rm --network nn:ip=10.77.0.9,ip6=fd77::9,interface=lan,alias=x busybox ip address show lan  | 0 | ~10.77.0.9/24.*fd77::9/64
run --rm --network name=nn,ip=10.77.0.9 busybox ip route                            | 0 | default via 10.77.0.254
run --rm --network nn --ip 10.78.0.1 busybox true                                   | 125 | address 10.78.0.1 is not in network 'nn' (10.77.0.0/24)
run --rm --network nn --ip 10.77.0.254 busybox true                                 | 125 | is the network's own
run --rm --network nn --ip nope busybox true                                        | 125 | --ip: 'nope' is no IP address
run --rm --network nn --ip fd77::1 busybox true                                     | 125 | --ip: 'fd77::1' is no IPv4 address
run --rm --network nn --mac-address 01:00:00:00:00:00 busybox true                  | 125 | --mac-address: '01:00:00:00:00:00'
run --rm --network none --ip 10.77.0.1 busybox true                                | 125 | --ip: with --network none
run --rm --network nn:foo=bar busybox true                                          | 125 | --network: 'foo' is not one of ip, ip6, mac, alias, interface
run --rm --network nn --network nn busybox true                                      | 125 | 'nn' twice
run --rm --network host --network nn busybox true                                   | 125 | exclude each other
run --rm --network nope busybox true                                               | 125 | --network: no such network: 'nope'
run -d --name aa --network nn --ip 10.77.0.9 busybox sleep 1000                      | 0 |
run --name bb --network nn --ip 10.77.0.9 busybox true                               | 125 | start container: address 10.77.0.9 of network 'nn' is taken by container 'aa'
stop -t 0 aa                                                                        | 0 |
start bb                                                                            | 0 |
END
    # 10.77.0.128, .130 and .131: the aux address is nobody's
    husk run -d --network nn busybox sleep 1000 >/dev/null
    husk run -d --network nn busybox sleep 1000 >/dev/null
    husk run -d --name last --network nn busybox sleep 1000 >/dev/null
    run husk run --rm --network nn busybox true
    expect 125 "network 'nn' has no free address from 10.77.0.128 to 10.77.0.131: remove containers, or make a network with a larger subnet"
    husk stop -t 0 last >/dev/null
    husk run --rm --network nn busybox true
}

@test "several networks at once, joined and left while it runs" {
    husk network create one >/dev/null
    husk network create two >/dev/null
    serve web --network one --network two:interface=back
    [[ $(husk inspect web | jq -r '.[0].NetworkSettings.Networks | keys | join(" ")') == "one two" ]]
    run ask "$(ip_of web two)" 80 husk run --rm -i --network two busybox
    expect 0 "=web"
    husk network create three >/dev/null
    husk network connect --alias w --ip "$(husk network inspect three | jq -r '.[0].IPAM.Config[0].Gateway' | sed 's/1$/77/')" three web
    run ask "$(ip_of web three)" 80 husk run --rm -i --network three busybox
    expect 0 "=web"
    husk exec web ip -o link show eth1
    check_table <<'END'
network connect three web        | 1 | container 'web' is on network 'three' already
network rm three                 | 1 | network 'three' is in use by container 'web': disconnect or remove that first, or force with -f
network disconnect three web     | 0 |
network disconnect three web     | 1 | container 'web' is not on network 'three'
network rm three                 | 0 | =three
network rm -f two                | 0 | =two
network connect nope web         | 1 | no such network: 'nope'
END
    run husk exec web ip -o link show back
    [[ $status -ne 0 ]]
    husk network disconnect one web
    husk network create four >/dev/null
    husk network connect four web
    run husk exec web ping -c 1 -w 3 192.0.2.2
    expect 0 "1 packets received"
    husk run -d --name alone --network none busybox sleep 1000 >/dev/null
    run husk network connect four alone
    expect 1 "container 'alone' has --network none, to which no other can be added"
}

@test "networks: made, listed, shown, removed" {
    check_table <<'END'
network create --label a=b --opt mtu=1400 --opt com.docker.network.bridge.name=mybr front | 0 | ~^[0-9a-f]{64}$
network create front                                       | 1 | there already is a network 'front'
network create --ignore front                              | 0 | ~^[0-9a-f]{64}$
network create bridge                                      | 1 | 'bridge' means something else
network create --driver weave xx                            | 1 | --driver: 'weave' is not one of bridge, macvlan, ipvlan
network create --opt foo=bar xx                             | 1 | --opt: 'foo' is not one of mtu, vlan
network create --subnet 10.9.0.0/31 xx                      | 1 | with room for a gateway and a container
network create --subnet 192.0.2.0/25 xx                     | 1 | clashes with the host's route to 192.0.2.0/24 dev out0: choose another
network create --subnet 10.9.0.0/24 --gateway 10.8.0.1 xx   | 1 | --gateway: '10.8.0.1' is in no subnet
network create --opt com.docker.network.bridge.name=mybr xx | 1 | the bridge 'mybr' is that of network 'front'
network ls --filter label=a=b --format '{{.Name}}'         | 0 | =front
network ls --filter driver=macvlan -q                      | 0 | =
network ls --filter nope=1                                 | 1 | --filter: unknown key 'nope': 
network inspect --format '{{.MTU}} {{.NetworkInterface}}' front | 0 | =1400 mybr
inspect --format {{.Driver}} front                              | 0 | =bridge
network inspect nope                                       | 1 | no such network: 'nope'
network exists front                                       | 0 | =
network exists nope                                        | 1 | =
network update --dns-add 192.0.2.53 front                  | 0 | =front
network inspect --format '{{json .DNSServers}}' front      | 0 | ["192.0.2.53"]
run --rm --network front busybox cat /sys/class/net/eth0/mtu | 0 | =1400
network prune -f                                           | 0 | front
network rm front                                           | 1 | no such network: 'front'
END
    [[ ! -e /sys/class/net/mybr ]]
}

@test "a subnet that a route of the host's leads to is not chosen" {
    ip route add 10.208.0.0/16 via 192.0.2.2
    husk network create nn >/dev/null
    local subnet
    subnet=$(husk network inspect nn | jq -r '.[0].IPAM.Config[0].Subnet')
    ip route del 10.208.0.0/16
    [[ $subnet == 10.209.0.0/20 ]]
}

@test "an internal network has the host and its members, and nothing beyond" {
    husk network create --internal in >/dev/null
    serve web --network in
    run ask "$(ip_of web in)" 80 husk run --rm -i --network in busybox
    expect 0 "=web"
    run ask "$(ip_of web in)" 80
    expect 0 "=web"
    run husk run --rm --network in busybox ping -c 1 -w 2 192.0.2.2
    [[ $status -ne 0 ]]
    run husk run --rm --network in -p 8080:80 busybox true
    expect 125 "a published port needs a network of the driver bridge that is not internal"
}

@test "options of the bridge: no neighbours, no masquerading, a VLAN" {
    husk network create --opt com.docker.network.bridge.enable_icc=false lonely >/dev/null
    serve aa --network lonely
    nobody "$(ip_of aa lonely)" 80 husk run --rm -i --network lonely busybox
    husk network create --subnet 10.66.0.0/24 --opt com.docker.network.bridge.enable_ip_masquerade=false plain >/dev/null
    outside ip route add 10.66.0.0/24 via 192.0.2.1
    husk run -d --name pp --network plain busybox sleep 1000 >/dev/null
    outside busybox ping -c 1 -w 3 "$(ip_of pp plain)" >/dev/null
}

@test "a network in a VLAN" {
    husk network create --opt vlan=7 tagged >/dev/null
    run husk run --rm --network tagged busybox true
    [[ $status -eq 0 || $output == *"this kernel's bridges know no VLANs (CONFIG_BRIDGE_VLAN_FILTERING)"* ]]
    skip_unless_kernel "bridges without VLANs" sh -c 'ip link add vlans type bridge vlan_filtering 1 && ip link del vlans'
    serve vv --network tagged
    run ask "$(ip_of vv tagged)" 80 husk run --rm -i --network tagged busybox
    expect 0 "=vv"
    bridge vlan show | grep -E '^hk.* 7 PVID'
}

@test "the host's firewall is loaded anew: the next start, or network reload, makes it whole" {
    husk network create --disable-dns mute >/dev/null # where no resolver notices: 755-firewall-lost.bats
    serve web --network mute -p 8080:80
    nft flush ruleset
    nobody 192.0.2.1 8080 outside
    husk run --rm --network mute busybox true
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
    nft flush ruleset
    husk network reload
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
    nft flush ruleset
    husk rm -f web >/dev/null
    husk network rm mute >/dev/null
}

@test "the host's own forward policy holds, is noticed, and is not touched" {
    nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
    local before
    before=$(nft list table ip filter)
    run husk network create nn
    run husk run --name web -d --network nn -p 8080:80 busybox sh -c 'echo web >/index.html && exec httpd -f -p 80 -h /'
    expect 0 "the chain 'FORWARD' of the firewall's table 'ip filter' drops what it does not know"
    wait_until 10 listens web 80
    nobody 192.0.2.1 8080 outside
    husk network inspect nn | jq -e '.[0].Obstacles | contains("nft insert rule ip filter FORWARD iifname BRIDGE accept")'
    [[ $(nft list table ip filter) == "$before" ]]
    nft delete table ip filter
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
}

@test "restart, stop, a killed program and a killed monitor leave nothing in the firewall" {
    serve web -p 8080:80
    husk restart -t 0 web
    wait_until 10 listens web 80
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
    kill -9 "$(husk inspect web | jq .[0].State.Pid)"
    husk wait web >/dev/null
    [[ ! $(published) ]]
    husk start web >/dev/null
    pkill -KILL -f "husk-monitor.*$(husk inspect web | jq -r .[0].Id)"
    kill -9 "$(husk inspect web | jq .[0].State.Pid)"
    wait_until 10 has_ended web
    husk rm web >/dev/null
    [[ ! $(published) ]]
    wait_until 10 no_veths
}
has_ended() { [[ $(husk inspect "$1" | jq -r .[0].State.Status) == exited ]]; }

@test "explain shows how it was connected" {
    husk run -d --name web -p 8080:80 busybox sleep 1000 >/dev/null
    run husk explain web
    expect 0 "connect to the network"
    [[ $output == *"type veth peer name eth0 address 02:42:0a:d0:00:02 netns \$pid"* ]]
    [[ $output == *"nft add element inet husk ports4 '{ tcp . 8080 : 10.208.0.2 . 80 }'"* ]]
}

@test "restart says who is still in the network that was there before" {
    husk run -d --name web busybox sleep 1000 >/dev/null
    husk run -d --name side --network container:web busybox sleep 1000 >/dev/null
    husk create --name later --network container:web busybox true >/dev/null
    run husk restart -t 0 web
    expect 0 "husk restart: 'side' is still in the network that 'web' had before: restart it, too"
    [[ $output != *later* ]]
    run husk restart -t 0 web side
    expect 0
    [[ $output != *before* ]]
}

@test "--add-host host-gateway is the bridge" {
    run husk run --rm --add-host up:host-gateway busybox cat /etc/hosts
    expect 0 "10.208.0.1	up"
}

@test "an ordinary user's container has its loopback where pasta cannot be used, and a bridge where it asks for one" {
    as_user load_busybox >/dev/null
    run as_user husk run --rm busybox ls /sys/class/net
    expect 0 "=lo"
    run as_user husk run --rm --network bridge busybox ls /sys/class/net
    expect 0 eth0
}
