#!/usr/bin/env bats
# Names of containers on networks: who sees which, when they come and go, and what is asked of others.
# shellcheck disable=SC2016,SC2154

load helpers
load outside

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    outside_up
    local a
    for a in 203.0.113.7 2001:db8:2::7; do
        outside python3 "$HUSK_TOP/tests/bats/name-server.py" "$a" 1 </dev/null >/dev/null 2>&1 3>&- &
        echo $! >>"$T/servers"
    done
    outside ip address add 203.0.113.8/32 dev lo
    outside python3 "$HUSK_TOP/tests/bats/name-server.py" 203.0.113.8 8 </dev/null >/dev/null 2>&1 3>&- &
    echo $! >>"$T/servers"
    echo "nameserver 203.0.113.7" >"$T/resolv"
    wait_until 10 outside dig +time=1 +tries=1 @203.0.113.8 up.example
    husk network create back >/dev/null
    husk network create front >/dev/null
}
teardown_file() {
    # shellcheck disable=SC2046
    [[ ! -e $T/servers ]] || kill $(<"$T/servers") || true
    outside_down
    husk_teardown_file
}
setup() { ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"; }
teardown() { remove_all_containers; }

# husk with $T/resolv as the host's resolv.conf, and so a resolver that reads it.
h() { unshare --mount --propagation slave sh -c 'mount --bind "$T/resolv" /etc/resolv.conf && exec "$HUSK" "$@"' h "$@"; }
# dig in container $1's network.
ask() {
    local pid
    pid=$(husk inspect --format '{{.State.Pid}}' "$1")
    shift
    nsenter --target "$pid" --net dig +time=3 +tries=1 "$@"
}
gateway() { husk network inspect "$1" | jq -r '.[0].IPAM.Config[0].Gateway'; }
address() { husk inspect "$1" | jq -r ".[0].NetworkSettings.Networks[\"$2\"].IPAddress"; }
resolver() { pgrep -f "husk-dns $HUSK_ROOT $HUSK_RUN"; }
no_resolver() { ! resolver; }

@test "neighbours are known by name, alias and ID, on shared networks only, and the name is there when the start returns" {
    h run -d --name web --network back --network-alias w busybox sleep 1000 >"$T/tmp/id"
    run h run --rm --network back busybox nslookup web
    expect 0 "$(address web back)"
    h run -d --name cl --network back --network front busybox sleep 1000 >/dev/null
    h run -d --name far --network front busybox sleep 1000 >/dev/null
    local at id
    at=$(gateway back) id=$(<"$T/tmp/id")
    [[ $(ask cl @"$at" +short WEB) == "$(address web back)" ]]
    [[ $(ask cl @"$at" +short w.back) == "$(address web back)" ]]
    [[ $(ask cl @"$at" +short "${id:0:12}") == "$(address web back)" ]]
    [[ $(ask cl @"$at" +short +tcp far) == "$(address far front)" ]]
    [[ $(ask cl @"$at" +short -x "$(address web back)") == web.back. ]]
    run ask web @"$at" far
    expect 0 "status: NXDOMAIN"
    run ask web @"$at" AAAA web
    expect 0 "status: NOERROR"
    [[ $output == *"ANSWER: 0"* ]]
    husk rm -f web >/dev/null
    run ask cl @"$at" web
    expect 0 "status: NXDOMAIN"
}

@test "an alias of several is all of their addresses, and names go with live connections" {
    local i
    for i in 1 2 3; do h run -d --name "n$i" --network back --network-alias all busybox sleep 1000 >/dev/null; done
    [[ $(ask n1 @"$(gateway back)" +short all | sort -u | wc -l) == 3 ]]
    husk network disconnect back n3
    [[ $(ask n1 @"$(gateway back)" +short all | sort -u | wc -l) == 2 ]]
    husk network connect --alias all back n3
    [[ $(ask n1 @"$(gateway back)" +short all | sort -u | wc -l) == 3 ]]
    husk kill n2 >/dev/null
    husk wait n2 >/dev/null
    [[ $(ask n1 @"$(gateway back)" +short all | sort -u | wc -l) == 2 ]]
}

@test "the rest is asked of the host's servers, whose changes are followed, by UDP and TCP" {
    h run -d --name cl --network back busybox sleep 1000 >/dev/null
    local at
    at=$(gateway back)
    [[ $(ask cl @"$at" +short www.example) == 192.0.2.1 ]]
    [[ $(ask cl @"$at" +short +tcp www.example) == 192.0.2.1 ]]
    run ask cl @"$at" missing.example
    expect 0 "status: NXDOMAIN"
    [[ $(ask cl @"$at" +short TXT long.example | wc -l) == 15 ]]
    run ask cl @"$at" +ignore TXT long.example
    expect 0 " tc"
    echo "nameserver 2001:db8:2::7" >"$T/resolv"
    sleep 1.1
    [[ $(ask cl @"$at" +short six.example) == 192.0.2.1 ]]
    echo "nameserver 203.0.113.8" >"$T/resolv"
    moved() { [[ $(ask cl @"$at" +short www.example) == 192.0.2.8 ]]; }
    wait_until 10 moved
    : >"$T/resolv"
    none() { ask cl @"$at" www.example | grep -q "status: SERVFAIL"; }
    wait_until 10 none
    [[ $(ask cl @"$at" +short cl) == "$(address cl back)" ]]
    echo "nameserver 203.0.113.7" >"$T/resolv"
}

@test "--dns is asked instead, the next server where one is silent or fails, and an internal network asks nobody" {
    h run -d --name own --network back --dns 203.0.113.99 --dns 203.0.113.8 busybox sleep 1000 >/dev/null
    [[ $(ask own @"$(gateway back)" +short +time=6 www.example) == 192.0.2.8 ]]
    run ask own @"$(gateway back)" +time=6 failing.example
    expect 0 "status: SERVFAIL"
    h network create --internal inner >/dev/null
    h run -d --name inn --network inner busybox sleep 1000 >/dev/null
    run ask inn @"$(gateway inner)" www.example
    expect 0 "status: NXDOMAIN"
    [[ $(ask inn @"$(gateway inner)" +short inn) == "$(address inn inner)" ]]
    husk rm -f inn >/dev/null
    husk network rm inner >/dev/null
}

@test "whoever is not on the network is refused" {
    h run -d --name cl --network back busybox sleep 1000 >/dev/null
    local at
    at=$(gateway back)
    outside ip route add "$at" via 198.51.100.1
    run outside dig +time=2 +tries=1 @"$at" cl
    outside ip route del "$at"
    [[ $output != *"ANSWER: 1"* ]]
    run outside dig +time=2 +tries=1 @198.51.100.1 www.example
    [[ $output != *NOERROR* ]]
}

@test "the resolver ends with the last container, and comes back when it was killed" {
    h run -d --name cl --network back busybox sleep 1000 >/dev/null
    h run -d --name other --network front busybox sleep 1000 >/dev/null
    local pid
    pid=$(resolver)
    kill -KILL "$pid"
    wait_until 10 gone "$pid"
    h run -d --name third --network back busybox sleep 1000 >/dev/null
    [[ $(resolver) != "$pid" ]]
    [[ $(ask cl @"$(gateway back)" +short third) == "$(address third back)" ]]
    [[ $(ask other @"$(gateway front)" +short other) == "$(address other front)" ]]
    husk rm -f cl other third >/dev/null
    wait_until 10 no_resolver
}

@test "the resolver is killed while containers run: it is back without any command" {
    h run -d --name cl --network back busybox sleep 1000 >/dev/null
    h run -d --name other --network front -h second busybox sleep 1000 >/dev/null
    local pid
    for _ in 1 2; do
        pid=$(resolver)
        kill -KILL "$pid"
        wait_until 10 another_than "$pid"
        wait_until 10 knows cl back cl
        wait_until 10 knows other front other
    done
    husk rm -f cl other >/dev/null
    wait_until 10 no_resolver
}
another_than() { [[ $(resolver) && $(resolver) != "$1" ]]; }
knows() { [[ $(ask "$1" @"$(gateway "$2")" +short "$3") == "$(address "$1" "$2")" ]]; }

@test "a host name is a name, of each that has it" {
    h run -d --name one --network back -h db busybox sleep 1000 >/dev/null
    h run -d --name two --network back -h db busybox sleep 1000 >/dev/null
    [[ $(ask one @"$(gateway back)" +short db | sort) == $(printf '%s\n' "$(address one back)" "$(address two back)" | sort) ]]
}

@test "a container has port 53 of the host while the resolver has that of the gateway" {
    h run -d --name server --network back -p 53:53/udp -p 53:53 busybox nc -l -p 53 -e echo mine >/dev/null
    h run -d --name cl --network front busybox sleep 1000 >/dev/null
    [[ $(ask cl @"$(gateway front)" +short cl) == "$(address cl front)" ]]
    [[ $(ask server @"$(gateway back)" +short server) == "$(address server back)" ]]
    run husk run --rm -p 53:53 busybox true
    expect 125 "port 53/tcp of the host is taken by container 'server'"
    [[ $(outside busybox nc -w 3 198.51.100.1 53 </dev/null) == mine ]]
    husk rm -f cl server >/dev/null
    wait_until 10 no_resolver
    python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 53))
time.sleep(1000)' 3>&- &
    local foreign=$!
    wait_until 10 sh -c 'ss -lnu | grep -q 0.0.0.0:53'
    run h run --rm --network back busybox true
    kill "$foreign"
    expect 125 "where containers ask for names, is taken by process 'python3' ($foreign): free it, or make a network with --disable-dns"
}

@test "20,000 questions and more are answered, and a flood of unanswerable ones does not stop it" {
    h run -d --name cl --network back busybox sleep 1000 >/dev/null
    local pid at
    pid=$(husk inspect --format '{{.State.Pid}}' cl) at=$(gateway back)
    printf 'cl A\nCL.back A\ncl AAAA\nnobody A\n' >"$T/tmp/questions"
    run nsenter --target "$pid" --net dnsperf -s "$at" -d "$T/tmp/questions" -n 6000 -q 100 -c 4
    expect 0 "Queries completed:    24000 (100.00%)"
    seq -f 'silent.%g.example A' 3000 >"$T/tmp/silent"
    timeout 3 nsenter --target "$pid" --net dnsperf -s "$at" -d "$T/tmp/silent" -q 1000 -l 2 >/dev/null 2>&1 || true
    [[ $(ask cl @"$at" +short cl) == "$(address cl back)" ]]
}
