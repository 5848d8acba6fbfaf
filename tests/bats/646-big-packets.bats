#!/usr/bin/env bats
# Packets of more than 64 KiB among neighbours, and none to the outside.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

# Linux 6.3 knows them for both families. The file that is sent: every path of a packet must bring it whole.
setup() {
    ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"
    skip_unless_kernel "no BIG TCP for IPv4" sh -c 'printf "6.3\n%s\n" "$(uname -r)" | sort -CV'
}
setup_file() {
    husk_setup_file || return 1
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    outside_begin
    ip route add default via 192.0.2.2
    ip route add default via 2001:db8::2
    head -c 16777216 /dev/urandom >"$T/file"
    sha256sum <"$T/file" >"$T/sum"
}
in_() { local name=$1; shift; nsenter --target "$(husk inspect --format '{{.State.Pid}}' "$name")" --net -- "$@"; }
member() { # NAME OPTION...: a container that serves the file at port 80
    husk run -d --name "$1" -v "$T/file:/srv/file:ro" "${@:2}" busybox httpd -f -p 80 -h /srv >/dev/null
    wait_until 10 listens "$1" 80
}
limits() { in_ "$1" ip -d link show eth0 | grep -o 'gso_max_size [0-9]* gso_max_segs [0-9]*'; }
# whole ADDRESS[:PORT] CMD...: the file comes from there to CMD's network as it is.
whole() {
    [[ $("${@:2}" curl -sf --noproxy '*' --max-time 20 "http://$1/file" | sha256sum) == "$(<"$T/sum")" ]] || { echo "$*: not whole"; return 1; }
}
packets() { nft -j list table "$1" look | jq '[.nftables[] | .rule.expr[]?.counter.packets? // empty] | add'; }

@test "the host's loopback sends larger packets to published ports, unless they lead where those are not taken, or somebody has set it" {
    # first of all in this file, since only here the loopback is as the kernel made it
    lo() { ip -d link show lo | grep -o 'gso_max_segs [0-9]*'; }
    [[ $(lo) == *" 65535" ]]
    husk network create -o mtu=1500 small >/dev/null
    husk network create --internal inside >/dev/null
    member aa --network small -p 8083:80
    husk run --rm --network inside busybox true
    [[ $(lo) == *" 65535" ]] # these want none
    husk network create big >/dev/null
    member bb --network big -p 8084:80
    [[ $(lo) == *" 44" ]]
    nft -f - <<'END'
table inet look {
    chain postrouting {
        type filter hook postrouting priority 300
        oifname != "lo" meta length > 65536 counter
    }
}
END
    sent() { # NAME PORT: the host sends the file there by 127.0.0.1
        husk exec -d "$1" sh -c 'nc -l -p 81 | sha256sum >/tmp/sum'
        wait_until 10 listens "$1" 81
        husk port add "$1" "$2:81" >/dev/null
        timeout 20 python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(open(sys.argv[2], "rb").read())
s.shutdown(socket.SHUT_WR)
while s.recv(1): pass' "$2" "$T/file"
        has_sum() { [[ $(husk exec "$1" cat /tmp/sum) == "$(<"$T/sum")" ]]; }
        wait_until 10 has_sum "$1"
    }
    sent aa 8085
    [[ $(packets inet) == 0 ]]
    sent bb 8086
    (($(packets inet) > 0))
    nft delete table inet look
    # what the administrator says of it stays
    husk rm -f bb >/dev/null
    husk network rm big >/dev/null
    ip link set lo gso_max_segs 1000
    husk network create big >/dev/null
    husk run --rm --network big busybox true
    [[ $(lo) == *" 1000" ]]
    ip link set lo gso_max_segs 44
}

@test "neighbours send packets of more than 64 KiB, to the outside none is larger than a network card cuts up itself" {
    husk network create --ipv6 nn >/dev/null
    member aa --network nn -p 8080:80
    member bb --network nn
    run limits aa
    expect 0 "gso_max_size 196608 gso_max_segs 44"
    [[ $(in_ aa ip link show eth0) == *"mtu 9000"* ]]
    [[ $(in_ aa ip route show default) == *"mtu 1500"* && $(in_ aa ip -6 route show default) == *"mtu 1500"* ]]
    nft -f - <<'END'
table bridge look {
    chain forward {
        type filter hook forward priority 0
        meta length > 65536 counter
    }
}
table inet look {
    chain forward {
        type filter hook forward priority 0
        oifname "out0" meta length > 65536 counter
    }
}
END
    whole "$(ip_of aa nn)" in_ bb
    local of4 of6
    of4=$(packets bridge)
    whole "[$(ip6_of aa nn)]" in_ bb
    of6=$(packets bridge)
    ((of4 > 0 && of6 > of4))
    whole 192.0.2.1:8080 outside
    whole "[2001:db8::1]:8080" outside
    [[ $(packets inet) == 0 ]]
    nft 'delete table bridge look; delete table inet look'
    # and the bridge itself, which had no port when it was made
    run ip -d link show "$(husk network inspect nn | jq -r '.[0].NetworkInterface')"
    [[ $output == *"mtu 9000"*"gso_max_size 196608"* ]]
}

@test "what is sent arrives whole: neighbours, the host, published ports, the outside, with and without br_netfilter and counting" {
    husk network create --ipv6 plain >/dev/null
    husk network create --ipv6 --flows --policy deny strict >/dev/null
    husk network policy add strict 'from=*' 'to=*' >/dev/null
    member aa --network plain -p 8081:80
    member bb --network plain
    member cc --network strict -p 8082:80
    member dd --network strict --egress allow=192.0.2.2
    local round to port net
    for round in "aa bb 8081 plain" "cc dd 8082 strict"; do
        read -r to from port net <<<"$round"
        whole "$(ip_of "$to" "$net")" in_ "$from"
        whole "[$(ip6_of "$to" "$net")]" in_ "$from"
        whole "$(ip_of "$to" "$net")" env
        whole "[$(ip6_of "$to" "$net")]" env
        whole "127.0.0.1:$port" env
        whole "192.0.2.1:$port" env
        whole "192.0.2.1:$port" outside
        whole "[2001:db8::1]:$port" outside
        [[ $from == dd ]] || whole "192.0.2.1:$port" in_ "$from" # a neighbour's port by the host's address
        whole "192.0.2.1:$port" in_ "$to"                        # and its own
    done
    husk network flows strict --format '{{.From}} {{.To}} {{.BytesBack}}' | awk '$1 == "dd" && $2 == "cc" { n += $3 } END { exit n < 33554432 }'
    # what is small enough for the outside leaves whole: a datagram, a ping
    in_ bb ping -q -c 1 -w 5 -s 8000 "$(ip_of aa plain)" >/dev/null
    in_ bb ping -q -c 1 -w 5 -s 8000 192.0.2.2 >/dev/null
    run in_ bb ping -c 1 -w 5 -M "do" -s 1473 192.0.2.2
    [[ $status -ne 0 && $output == *"mtu=1500"* ]]
}

@test "an MTU that is said, and a bridge of the host's own, are as they were; another's port in the bridge is no obstacle" {
    ip link add own0 type bridge
    ip address add 10.66.0.1/24 dev own0
    ip link set own0 up
    husk network create -o mtu=1500 said >/dev/null
    husk network create --interface-name own0 theirs >/dev/null
    husk network create mixed >/dev/null
    member aa --network said
    member bb --network theirs
    run limits aa
    expect 0 "gso_max_size 65536 gso_max_segs 65535"
    run limits bb
    expect 0 "gso_max_size 65536 gso_max_segs 65535"
    [[ $(in_ aa ip link show eth0) == *"mtu 1500"* && $(in_ bb ip link show eth0) == *"mtu 1500"* ]]
    [[ $(in_ aa ip route; in_ bb ip route) != *mtu* ]]
    member cc --network mixed
    # tun takes 64 KiB, so the bridge does; so is the sum of segments to whoever is behind it
    ip tuntap add tap0 mode tap
    ip link set tap0 up master "$(husk network inspect mixed | jq -r '.[0].NetworkInterface')"
    member dd --network mixed
    run limits dd
    expect 0 "gso_max_size 196608 gso_max_segs 44"
    whole "$(ip_of cc mixed)" in_ dd
    whole "$(ip_of dd mixed)" env
    ip link del tap0
    husk rm -f bb >/dev/null
    husk network rm theirs >/dev/null
    ip link del own0
}

@test "a network that is joined live, a rate, and one whose last container has gone: the sizes are the same" {
    husk network create --subnet 10.66.0.0/24 one >/dev/null
    husk network create --subnet 10.67.0.0/24 --internal two >/dev/null
    husk run --rm --network one busybox true
    husk run -d --name aa --network two busybox sleep 1000 >/dev/null
    husk network connect one aa
    [[ $(in_ aa ip route show default) == *"via 10.66.0.1"*"mtu 1500"* ]]
    [[ $(in_ aa ip -d link | grep -c 'gso_max_size 196608 gso_max_segs 44') == 2 ]]
    member bb --network one --net-rate 400mbit
    run limits bb
    expect 0 "gso_max_size 196608 gso_max_segs 44"
    whole "$(ip_of bb one)" in_ aa
    husk network disconnect one aa
    [[ ! $(in_ aa ip route show default) ]]
    # "husk explain" says the same
    run husk explain bb
    expect 0 "gso_max_segs 44"
    [[ $output == *"route add default via 10.66.0.1 dev eth0 onlink mtu 1500"* ]]
}
