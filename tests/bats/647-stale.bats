#!/usr/bin/env bats
# Connections that the kernel remembers: none leads to a container that was replaced, nor past the rules of the next one
# that has an address.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

# Answers each datagram with a word; with a container, in there: it keeps its namespace, so bye ends both.
answers() { # WORD ADDRESS PORT CMD...: on the host, or by a program: a function would be between us and it
    local word=$1 at=$2 port=$3
    shift 3
    "$@" python3 -c 'import ctypes, socket, sys
ctypes.CDLL(None).prctl(1, 15) # PR_SET_PDEATHSIG: it does not outlive the test
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[2], int(sys.argv[3])))
while True:
    s.sendto(sys.argv[1].encode(), s.recvfrom(100)[1])' "$word" "$at" "$port" >/dev/null 2>&1 3>&- &
    echo $! >"$T/tmp/$word.pid"
}
echoes() { # NAME [HUSK OPTION...]: a container that does so on port 53
    local name=$1
    shift
    husk run -d --name "$name" "$@" busybox sleep 1000 >/dev/null
    answers "$name" :: 53 "${inside[@]}" "$(pid_of "$name")"
    wait_until 10 hears "$name"
}
bye() {
    kill "$(<"$T/tmp/$1.pid")"
    husk rm -f "$1" >/dev/null
}
inside=(nsenter --net --target)
pid_of() { husk inspect -f '{{.State.Pid}}' "$1"; }
hears() { husk exec "$1" grep -q ':0035 ' /proc/net/udp6; }
# One datagram from the port 40053 to a port, as often as it takes, from the outside: the answer.
says() { # ADDRESS PORT [CMD...]
    local address=$1 port=$2
    shift 2
    "${@:-outside}" python3 -c 'import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind(("", 40053))
s.settimeout(0.3)
for i in range(int(sys.argv[3])):
    try:
        s.sendto(b"hello\n", (sys.argv[1], int(sys.argv[2])))
        print(s.recv(100).decode().strip())
        break
    except OSError:
        pass' "$address" "$port" "${TRIES-10}"
}

@test "a client of UDP that keeps its port reaches the container that replaced another, and not who has its address" {
    husk network create --ipv6 six >/dev/null
    echoes first --network six --ip6 "$(six 77)" -p 5300:53/udp
    husk run -d --name between --network six busybox sleep 1000 >/dev/null
    [[ $(says 192.0.2.1 5300) == first && $(says 2001:db8::1 5300) == first ]]
    local address
    address=$(ip_of first six)
    bye first
    echoes second --network six -p 5300:53/udp
    [[ $(ip_of second six) != "$address" ]]
    [[ $(says 192.0.2.1 5300) == second && $(says 2001:db8::1 5300) == second ]]
    bye second
    echoes third --network six --ip "$address"
    [[ ! $(TRIES=2 says 192.0.2.1 5300) ]]
    bye third
}
six() { # N: an address of the network's
    husk network inspect six | jq -r '.[0].IPAM.Config[].Subnet | select(contains(":"))' | sed "s,::/64,::$1,"
}

@test "who spoke before the port was there is heard once it is; live, and with the host's own listener behind it" {
    [[ ! $(TRIES=1 says 192.0.2.1 5300) ]]
    echoes web -p 5300:53/udp
    [[ $(says 192.0.2.1 5300) == web ]]
    [[ ! $(TRIES=1 says 192.0.2.1 5301) ]]
    husk port add web 5301:53/udp >/dev/null
    [[ $(says 192.0.2.1 5301) == web ]]
    husk port rm web 5301:53/udp
    [[ ! $(TRIES=1 says 192.0.2.1 5301) ]]
    [[ $(says 192.0.2.1 5300) == web ]]
    answers host 192.0.2.1 5301
    [[ $(says 192.0.2.1 5301) == host ]]
    kill "$(<"$T/tmp/host.pid")"
    bye web
}

@test "rules among neighbours, and --egress, hold for what an earlier owner of the address had begun" {
    husk network create --policy deny shut >/dev/null
    husk network policy add shut from=asks to=told port=53/udp >/dev/null
    echoes told --network shut
    husk run -d --name asks --network shut busybox sleep 1000 >/dev/null
    local pid address
    pid=$(pid_of asks) address=$(ip_of told shut)
    [[ $(says "$address" 53 "${inside[@]}" "$pid") == told ]]
    bye told
    echoes untold --network shut --ip "$address"
    [[ ! $(TRIES=2 says "$address" 53 "${inside[@]}" "$pid") ]]

    bye untold
    answers beyond 192.0.2.2 5300 "${inside[@]}" "$OUTSIDE"
    husk run -d --name open busybox sleep 1000 >/dev/null
    address=$(ip_of open)
    [[ $(says 192.0.2.2 5300 "${inside[@]}" "$(pid_of open)") == beyond ]]
    husk rm -f open >/dev/null
    husk run -d --name limited --network "bridge:ip=$address" --egress deny busybox sleep 1000 >/dev/null
    [[ ! $(TRIES=2 says 192.0.2.2 5300 "${inside[@]}" "$(pid_of limited)") ]]
    kill "$(<"$T/tmp/beyond.pid")"
}

@test "a change of a running container leaves its connections, and a start leaves those of the others" {
    husk run -d --name limited --egress allow=192.0.2.2 -p 8080:80 busybox sh -c 'nc -lp 80 -e cat' >/dev/null
    wait_until 10 listens limited 80
    coproc CLIENT { outside busybox nc 192.0.2.1 8080; }
    local line in=${CLIENT[1]} out=${CLIENT[0]}
    echo one >&"$in"
    read -r -t 5 line <&"$out"
    [[ $line == one ]]
    husk port add limited 8081:81 8082:82/udp >/dev/null
    husk run -d --name other --egress deny -p 8083:83/udp busybox sleep 1000 >/dev/null
    echo two >&"$in"
    read -r -t 5 line <&"$out"
    [[ $line == two ]]
    exec {in}>&-
    kill "$CLIENT_PID" 2>/dev/null || true
}

@test "a start leaves what others say to that port elsewhere, and by other ports" {
    answers beyond 192.0.2.2 5300 "${inside[@]}" "$OUTSIDE"
    husk run -d --name asks busybox sleep 1000 >/dev/null
    echoes web -p 5302:53/udp
    [[ $(says 192.0.2.2 5300 "${inside[@]}" "$(pid_of asks)") == beyond ]]
    [[ $(says 192.0.2.1 5302) == web ]]
    [[ ! $(TRIES=1 says 192.0.2.1 5300) ]]
    local before
    before=$(tracked 192.0.2.2 5300)$(tracked 192.0.2.1 5302)
    [[ $before == *id=*id=* && $(tracked 192.0.2.1 5300) ]]
    husk run -d --name dns -p 5300:53/udp -p 192.0.2.1:5303:53/udp busybox sleep 1000 >/dev/null
    [[ $(tracked 192.0.2.2 5300)$(tracked 192.0.2.1 5302) == "$before" && ! $(tracked 192.0.2.1 5300) ]]
    kill "$(<"$T/tmp/beyond.pid")"
    bye web
}
tracked() { conntrack -L -p udp --orig-dst "$1" --dport "$2" -o id 2>/dev/null | grep -o 'id=[0-9]*'; }
