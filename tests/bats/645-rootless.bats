#!/usr/bin/env bats
# An ordinary user's containers on networks: the same as root's. Real clients from the outside, the host and neighbours.
# shellcheck disable=SC2016,SC2154

load helpers
load outside

u() { USER_TUN=1 as_user husk "$@"; }

setup_file() {
    husk_setup_file
    as_user load_busybox >/dev/null
    outside_up
    outside python3 -m http.server --bind 203.0.113.7 8000 --directory "$IMAGES" </dev/null >/dev/null 2>&1 3>&- &
    echo $! >"$T/server"
    wait_until 10 outside curl -sfo /dev/null http://203.0.113.7:8000/
    u network create --ipv6 back >/dev/null
}
teardown_file() {
    kill "$(<"$T/server")" || true
    outside_down
    husk_teardown_file
}
teardown() {
    local ids
    ids=$(as_user husk ps -aq)
    # shellcheck disable=SC2086
    [[ ! $ids ]] || as_user husk rm -f $ids >/dev/null
    wait_until 10 no_helpers
}
helpers() { pgrep -u "$HUSK_USER" -f "husk-(usernet|dns) .*$USER_RUN/husk|--pid $USER_RUN/husk/"; }
no_helpers() { ! helpers; }
address() { u inspect "$1" | jq -r '.[0].NetworkSettings.Networks.back.IPAddress'; }
listens() { [[ $(outside ss -Hltn 'sport = 8001') ]]; }
# A container whose httpd writes its clients' addresses to its log.
web() { # NAME OPTION...
    local name=$1
    shift
    u run -d --name "$name" --network back "$@" busybox sh -c \
        'mkdir /w && echo "$0" >/w/index.html && exec httpd -f -v -p 80 -h /w' "$name" >/dev/null
    wait_until 10 answers "$name"
}
answers() { u exec "$1" wget -qO /dev/null http://127.0.0.1/; }
seen() { u logs "$1" 2>&1 | grep -qF "$2"; }

@test "containers reach each other by name and address, and the outside" {
    web one
    run u run --rm --network back busybox sh -c 'wget -qO- http://one/ && ping -c 1 -w 3 one >/dev/null && wget -qO- http://203.0.113.7:8000/'
    expect 0 "one"
    [[ $output == *"Directory listing"* ]]
    run u run --rm --network back busybox ping -6 -c 1 -w 3 one
    expect 0 "1 packets received"
}

@test "packets are as large as pasta takes them, unless the network says otherwise" {
    run u run --rm --network back busybox sh -c 'cat /sys/class/net/eth0/mtu && wget -qO /dev/null http://203.0.113.7:8000/busybox.tar && echo whole'
    expect 0 $'=65520\nwhole'
    # pasta knows of no fragments: of a datagram in two it sent the first
    outside timeout 20 python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("203.0.113.7", 8003))
data, peer = s.recvfrom(65535)
s.sendto(data, peer)' </dev/null >/dev/null 2>&1 3>&- 4>&- &
    hears() { [[ $(outside ss -Hlun 'sport = 8003') ]]; }
    wait_until 10 hears
    u run -d --name asker --network back busybox sleep 1000 >/dev/null
    run nsenter --target "$(u inspect --format '{{.State.Pid}}' asker)" --net python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(bytes(20000), ("203.0.113.7", 8003))
print(len(s.recv(65535)))'
    expect 0 =20000
    # neighbours send each other larger ones still, where the kernel can: 646-big-packets.bats
    if printf '6.3\n%s\n' "$(uname -r)" | sort -CV; then
        web one
        nsenter --target "$(u inspect --format '{{.State.Pid}}' one)" --net ip -d link show eth0 | grep -q 'gso_max_size 196608'
    fi
    u network create --opt mtu=1400 small >/dev/null
    run u run --rm --network small busybox sh -c 'cat /sys/class/net/eth0/mtu && wget -qO /dev/null http://203.0.113.7:8000/busybox.tar && echo whole'
    expect 0 $'=1400\nwhole'
    u network rm small >/dev/null
}

@test "a server that takes its time is reached as well as one that answers at once" {
    # pasta of Debian 12 then sends a segment without any flag, which no connection is known for: nobody may answer it
    outside timeout 20 python3 -c '
import socket, time
s = socket.create_server(("203.0.113.7", 8001))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
while True:
    c = s.accept()[0]
    time.sleep(0.3)
    c.sendall(b"heard " + c.recv(100))
    c.close()' </dev/null >/dev/null 2>&1 3>&- 4>&- &
    wait_until 10 listens
    # (of a connection that the client half closes before the server does, pasta never tells the end)
    run u run --rm --network back busybox sh -c '(echo you; sleep 1) | timeout 5 nc 203.0.113.7 8001; true'
    expect 0 'heard you'
}

@test "a connection that the outside refuses is heard to be refused at once" {
    # pasta of Debian 12 says so by a reset without the flag that a connecting program looks for
    local host
    for host in 203.0.113.7 2001:db8:2::7; do
        run u run --rm --network back busybox sh -c "timeout 20 nc $host 8099 </dev/null"
        [[ $status -ne 0 && $status -ne 143 && $output == *refused* ]] || { echo "$host: $status: $output"; return 1; }
    done
}

@test "a container alone with its pasta hears it at once, too" {
    run u run --rm --network pasta busybox sh -c "timeout 20 nc 203.0.113.7 8099 </dev/null"
    [[ $status -ne 0 && $status -ne 143 && $output == *refused* ]] || { echo "$status: $output"; return 1; }
}

@test "network flows: an ordinary user's network counts who spoke to whom, too" {
    u network create --flows counted >/dev/null
    u run -d --name shop --network counted busybox sh -c 'mkdir /w && echo shop >/w/index.html && exec httpd -f -p 80 -h /w' >/dev/null
    wait_until 10 answers shop
    u run --rm --name asker --network counted busybox sh -c 'wget -q -O /dev/null http://shop/; ping -c 1 -w 3 203.0.113.7' || true
    run u network flows --format '{{.From}} {{.To}} {{.ToIP}} {{.Port}} {{.PacketsSent}} {{.PacketsBack}}'
    grep -q '^asker shop [0-9.]* 80 [1-9][0-9]* [1-9]' <<<"$output" || { echo "$output"; return 1; }
    grep -q '^asker  203.0.113.7 0 1 ' <<<"$output" || { echo "$output"; return 1; }
    u rm -f shop >/dev/null
    u network rm counted >/dev/null
}

@test "the default network is the bridge where pasta can be used; else none, and a person is told why, once" {
    run u run --rm busybox sh -c 'ls /sys/class/net && wget -q -O /dev/null http://203.0.113.7:8000/'
    expect 0 "eth0"
    run u run --rm --userns keep-id busybox ls /sys/class/net
    expect 0 "eth0"
    run as_user husk run --rm busybox ls /sys/class/net
    expect 0 "=lo"
    run as_user script -qec "'$HUSK' run --rm busybox ls /sys/class/net" /dev/null
    expect 0 "the container has no network: ordinary users may not open /dev/net/tun, which pasta needs: let root run"
    run as_user script -qec "'$HUSK' run --rm busybox ls /sys/class/net" /dev/null
    expect 0 "!the container has no network"
}

@test "what stays on a bridge passes no firewall, unless its neighbours have rules" {
    [[ -e /proc/sys/net/bridge ]] || skip "this kernel has no br_netfilter"
    listens() { u exec "$1" cat /proc/net/tcp /proc/net/tcp6 | grep -qi ":0050 0*:0000 0A"; }
    spoken() { [[ $(u exec "near$1" cat "/got$1") == hello ]]; }
    u network create --policy deny ruled >/dev/null
    u network policy add ruled 'from=*' 'to=*' >/dev/null
    local net
    for net in back ruled; do # a connection that stays, on either
        u run -d --name "near$net" --network $net busybox nc -l -p 80 -e sh -c "read x; echo \$x >/got$net; sleep 1000" >/dev/null
        wait_until 10 listens "near$net"
        u run -d --name "far$net" --network $net busybox sh -c "(echo hello; sleep 1000) | nc near$net 80" >/dev/null
        wait_until 10 spoken $net
    done
    u unshare --rootless-netns cat /proc/net/nf_conntrack >"$T/tmp/tracked"
    [[ $(grep -c 'ESTABLISHED.* dport=80 ' "$T/tmp/tracked") == 1 ]] || { cat "$T/tmp/tracked"; return 1; }
    u rm -f nearruled farruled >/dev/null
    u network rm ruled >/dev/null
}

@test "--egress keeps an ordinary user's container in, too" {
    u run -d --name shut --network back --egress deny busybox sleep 1000 >/dev/null
    run u exec shut wget -q -O /dev/null http://203.0.113.7:8000/
    [[ $status -ne 0 ]]
    u run -d --name some --network back --egress allow=203.0.113.7:8000 busybox sleep 1000 >/dev/null
    u exec some wget -q -O /dev/null http://203.0.113.7:8000/
    u exec some ping -c 1 -w 5 shut >/dev/null
    run u exec some nslookup www.example
    [[ $output == *REFUSED* ]]
}

@test "a published port keeps the client's address, TCP and UDP, both families" {
    web pub -p 8080:80
    run outside curl -sm 5 http://198.51.100.1:8080/
    expect 0 =pub
    wait_until 10 seen pub 198.51.100.2
    run outside curl -sm 5 "http://[2001:db8:1::1]:8080/"
    expect 0 =pub
    wait_until 10 seen pub 2001:db8:1::2
    run curl -sm 5 http://127.0.0.1:8080/
    expect 0 =pub
    run curl -sm 5 "http://[::1]:8080/"
    expect 0 =pub
    u run -d --name udp --network back -p 8081:81/udp busybox sleep 1000 >/dev/null
    nsenter --target "$(u inspect --format '{{.State.Pid}}' udp)" --net python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 81))
data, peer = s.recvfrom(100)
s.sendto(data + b" from %s:%d" % (peer[0].encode(), peer[1]), peer)' 3>&- &
    bound() { u exec udp cat /proc/net/udp | grep -qi ":0051 "; }
    wait_until 10 bound
    run outside python3 - <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("203.0.113.7", 4444))
s.settimeout(5)
s.sendto(b"word", ("198.51.100.1", 8081))
print(s.recvfrom(100))
END
    expect 0 "(b'word from 203.0.113.7:4444', ('198.51.100.1', 8081))"
}

@test "what is sent through a published port arrives whole, either way" {
    head -c 30000000 /dev/urandom >"$T/tmp/data"
    u run -d --name big --network back -p 8082:80 busybox nc -l -p 80 -e cat >/dev/null
    listens() { u exec big cat /proc/net/tcp /proc/net/tcp6 | grep -qi ":0050 0*:0000 0A"; }
    wait_until 10 listens
    # who sends and does not yet read: what is under way fills every buffer there is, and goes on then
    run outside python3 - "$T/tmp/data" <<'END'
import hashlib, socket, sys, threading, time
data = open(sys.argv[1], "rb").read()
s = socket.create_connection(("198.51.100.1", 8082), 10)
def send():
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
time.sleep(0.5)
print(hashlib.md5(s.makefile("rb").read()).hexdigest())
END
    expect 0 "=$(md5sum <"$T/tmp/data" | cut -d' ' -f1)"
}

@test "what a program sent before it broke a connection off arrives, and then that it was broken off" {
    # it ends with something unread, which resets the connection (RFC 2525, 2.17)
    u run -d --name rude --network back -p 8082:80 busybox sh -c \
        'nc -l -p 80 -e sh -c "read x; touch /got; until [ -e /go ]; do sleep 0.02; done; head -c 100000 /dev/zero; sleep 0.2"; touch /gone; sleep 1000' >/dev/null
    listens() { u exec rude cat /proc/net/tcp /proc/net/tcp6 | grep -qi ":0050 0*:0000 0A"; }
    wait_until 10 listens
    outside python3 - >"$T/tmp/came" <<'END' &
import socket
s = socket.create_connection(("198.51.100.1", 8082), 10)
s.sendall(b"read\nunread\n")
n = 0
try:
    while part := s.recv(65536):
        n += len(part)
    print(n, "and the end")
except ConnectionResetError:
    print(n, "and a reset")
END
    wait_until 10 u exec rude test -e /got
    local holder
    holder=$(pgrep -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk")
    kill -STOP "$holder" # it hears of the bytes and of the reset at the same time
    u exec rude touch /go
    wait_until 10 u exec rude test -e /gone || { kill -CONT "$holder"; return 1; }
    kill -CONT "$holder"
    wait $!
    [[ $(<"$T/tmp/came") == "100000 and "* ]] || { cat "$T/tmp/came"; return 1; }
    u rm -f rude >/dev/null
}

@test "who sends on to a program that has closed its end breaks off that connection, not all of them" {
    # the container answers with a reset; the next that is written there would be a SIGPIPE for who holds the networks
    u run -d --name deaf --network back -p 8082:80 busybox sh -c 'while :; do nc -l -p 80 -e true; done' >/dev/null
    local holder
    holder=$(pgrep -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk")
    run timeout 20 python3 - <<'END'
import socket, time
heard = 0
for i in range(200):
    try:
        s = socket.create_connection(("127.0.0.1", 8082), 5)
        if s.recv(1) == b"":
            heard += 1
            s.sendall(bytes(4000000))
    except (ConnectionResetError, BrokenPipeError):
        pass
    if heard == 20:
        break
    time.sleep(0.02)
print(heard)
END
    expect 0 =20
    [[ $(pgrep -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk") == "$holder" ]]
}

@test "a port that is taken or not an ordinary user's is named before anything starts" {
    web pub -p 8080:80
    run u run -d --network back -p 8080:80 busybox true
    expect 125 "'pub'"
    run u run -d --network back -p 80:80 busybox true
    expect 125 "port 80/tcp: an ordinary user's begin at 1024: publish another, or let root say: sysctl net.ipv4.ip_unprivileged_port_start=80"
    run u run -d --network back -p 9000:80/sctp busybox true
    expect 125 "port 80/sctp: an ordinary user's are TCP or UDP"
    run u port add pub 9000:80/sctp
    expect 1 "port 80/sctp: an ordinary user's are TCP or UDP"
    run u ps -q
    [[ ${#lines[@]} == 1 ]]
}

@test "a port that another user's process has is said to be his" {
    ((EUID == 0)) || skip "kernel: an ordinary user is nobody else"
    python3 -m http.server --bind 0.0.0.0 8094 --directory "$T/tmp" >/dev/null 2>&1 3>&- &
    local server=$!
    wait_until 10 curl -sfo /dev/null http://127.0.0.1:8094/
    run u run --rm --network back -p 8094:80 busybox true
    kill "$server"
    expect 125 "port 8094/tcp of the host is taken by a process of root's"
}

@test "ports of a running container come and go, and a connection outlives that" {
    web pub
    u port add pub 8083:80
    run outside curl -sm 5 http://198.51.100.1:8083/
    expect 0 =pub
    u port rm pub 8083:80
    run outside curl -sm 2 http://198.51.100.1:8083/
    [[ $status -ne 0 ]]
}

@test "networks are connected and left while a container runs" {
    u network create side >/dev/null
    web pub
    u network connect side pub
    run u run --rm --network side busybox wget -qO- http://pub/
    expect 0 =pub
    u network disconnect side pub
    run u exec pub ip link show eth1
    [[ $status -ne 0 ]]
    u network rm side >/dev/null
}

@test "all of it is one holder, one pasta and one resolver, and the end of the last container is theirs" {
    web one
    web two -p 8084:80
    run helpers
    [[ ${#lines[@]} == 3 ]] || { ps -u "$HUSK_USER" -o pid,args; return 1; }
    [[ ! -e /sys/class/net/husk1 && ! $(nft list tables) ]]
}

@test "when holder, pasta and resolver are killed, the next start connects everybody again" {
    web one -p 8085:80
    web two
    local pids
    pids=$(helpers)
    # shellcheck disable=SC2086
    kill -KILL $pids
    web three
    run u exec three wget -qO- http://one/
    expect 0 =one
    run u exec one wget -qO- http://two/
    expect 0 =two
    run outside curl -sm 5 http://198.51.100.1:8085/
    expect 0 =one
}

@test "the firewall in there is flushed: published ports and the way back of their answers are there again by themselves" {
    web one -p 8085:80
    published_is() { [[ $(outside curl -sm 2 http://198.51.100.1:8085/) == one ]]; }
    published_is
    u unshare --rootless-netns nft flush ruleset
    tables() { u unshare --rootless-netns nft list tables; }
    both() { [[ $(tables) == *"inet husk-usernet"* && $(tables) == *"inet husk"$'\n'* || $(tables) == *"inet husk" ]]; }
    wait_until 20 both
    wait_until 10 published_is
    [[ $(outside curl -sm 5 "http://[2001:db8:1::1]:8085/") == one ]]
}

@test "pasta is killed, and then the holder: all are connected again without any command" {
    u network create --disable-dns mute >/dev/null
    web one -p 8087:80
    u run -d --name two --network mute busybox sleep 1000 >/dev/null
    local pasta holder
    pasta=$(<"$USER_RUN/husk/usernet.pasta") holder=$(pgrep -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk")
    kill -KILL "$pasta"
    wait_until 10 u exec two wget -qO /dev/null http://203.0.113.7:8000/
    [[ $(pgrep -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk") == "$holder" ]]
    kill -KILL "$holder"
    wait_until 10 u exec two wget -qO /dev/null http://203.0.113.7:8000/
    published_is() { [[ $(outside curl -sm 2 http://198.51.100.1:8087/) == one ]]; }
    wait_until 10 published_is
    wait_until 10 u exec one wget -qO /dev/null http://one/
    u rm -f two >/dev/null
    u network rm mute >/dev/null
}

@test "the last container's monitor was killed and another has it: its names stay when all others have gone" {
    local monitor
    web one
    web two
    monitor=$(ps -o ppid= -p "$(u inspect --format '{{.State.Pid}}' one)")
    kill -KILL "${monitor// /}"
    wait_until 5 gone "${monitor// /}"
    u ps -q >/dev/null # takes it over
    u rm -f two >/dev/null
    sleep 0.3 # the resolver ends a tenth of a second after the last that holds it
    run u exec one wget -qO- http://one/
    expect 0 =one
    pkill -KILL -u "$HUSK_USER" -f "husk-dns .*$USER_RUN/husk"
    wait_until 10 u exec one wget -qO /dev/null http://one/
}

@test "who connects all to a new holder is killed before the end: the next command does it" {
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    local monitor
    web one -p 8088:80
    monitor=$(ps -o ppid= -p "$(u inspect --format '{{.State.Pid}}' one)")
    kill -STOP "$monitor" # it would do it itself
    pkill -KILL -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk"
    HUSK_FAULT=kill@user-connected USER_TUN=1 run as_user "$HUSK_FAULT_BUILD/bin/husk" run --rm --network back busybox true
    [[ $status == 137 ]] || { echo "it was not killed"; kill -CONT "$monitor"; return 1; }
    run u run --rm --network back busybox timeout 5 wget -qO- http://one/
    kill -CONT "$monitor"
    expect 0 =one
    run outside curl -sm 5 http://198.51.100.1:8088/
    expect 0 =one
}

@test "ping to the outside: what the kernel forbids is said with its cure, and works with it" {
    local range
    range=$(</proc/sys/net/ipv4/ping_group_range)
    echo "1 0" >/proc/sys/net/ipv4/ping_group_range
    run u network inspect back --format '{{.Obstacles}}'
    expect 0 'sysctl net.ipv4.ping_group_range="0 2147483647"'
    run u network reload
    expect 0 'ping_group_range'
    run u run --rm --network back busybox ping -c 1 -W 1 198.51.100.2
    [[ $status -ne 0 ]]
    echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range
    run u network inspect back
    [[ $output != *ping_group_range* ]]
    run u run --rm --network back busybox ping -c 1 -W 3 198.51.100.2
    echo "$range" >/proc/sys/net/ipv4/ping_group_range
    expect 0 "1 packets received"
}

@test "--network pasta: a container alone, with its own way out, and ports that pasta is told of" {
    run u run --rm --network pasta busybox wget -qO- http://203.0.113.7:8000/
    expect 0 "Directory listing"
    u run -d --name alone --network pasta:-t,8086:80 busybox sh -c 'mkdir /w && echo alone >/w/index.html && exec httpd -f -p 80 -h /w' >/dev/null
    served() { outside curl -sfm 2 http://198.51.100.1:8086/; }
    wait_until 10 served
    u run -d --name led --network pasta -p 8087:80 -p 127.0.0.1:8088:80 -p 8089:89/udp -p 81 busybox \
        sh -c 'mkdir /w && echo led >/w/index.html && httpd -p 81 -h /w && exec httpd -f -p 80 -h /w' >/dev/null
    led() { outside curl -sfm 2 http://198.51.100.1:8087/; }
    wait_until 10 led
    [[ $(curl -sfm 2 http://127.0.0.1:8088/) == led ]]
    ! outside curl -sfm 2 http://198.51.100.1:8088/
    ss -lun | grep -q ':8089 '
    local free
    free=$(u port led 81)
    [[ $(outside curl -sfm 2 "http://198.51.100.1:${free##*:}/") == led ]]
    [[ $(u ps --format '{{.Ports}}') == *"8087->80/tcp"* ]]
    [[ $(u inspect led | jq -r '.[0].NetworkSettings.Ports["80/tcp"][0].HostPort') == 8087 ]]
    run u run --rm --network pasta -p 8087:80 busybox true
    expect 125 "port 8087/tcp of the host is taken by container 'led'"
    run u run --rm --network pasta -p 8090:80/sctp busybox true
    expect 125 "SCTP needs root's"
    u kill alone led >/dev/null
    no_pasta() { ! pgrep -u "$HUSK_USER" -f "pasta .*$USER_RUN"; }
    wait_until 10 no_pasta
    run husk run --rm --network pasta busybox true
    [[ $status -ne 0 ]]
}

# 500 clients that ask for a gigabyte and do not read it.
slow_readers() {
    python3 -c 'import socket, sys
readers = [socket.create_connection(("127.0.0.1", 8092)) for i in range(500)]
for r in readers:
    r.sendall(b"GET /zeros HTTP/1.0\r\n\r\n")
print("asked", flush=True)
sys.stdin.readline()'
}
held() { awk '/^RssAnon/ { print $2 }' "/proc/$(pgrep -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk")/status"; } # KiB
holds_over() { (($(held) > $1)); }
holds_under() { (($(held) < $1)); }

@test "clients that do not read make husk-usernet hold 64 MiB and a little, which it gives back when they go" {
    web zeros -p 8092:80
    u exec zeros truncate -s 1G /w/zeros
    local line most
    coproc READERS { slow_readers; }
    local in=${READERS[1]} pid=$READERS_PID
    read -r -t 20 line <&"${READERS[0]}"
    [[ $line == asked ]]
    wait_until 20 holds_over 30000
    sleep 1
    most=$(held)
    echo >&"$in"
    wait "$pid"
    echo "held $most KiB"
    ((most < 71000)) # 256 pieces of 256 KiB, 244 of 16, and what 500 connections are
    wait_until 10 holds_under 3000
}
