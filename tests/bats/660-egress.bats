#!/usr/bin/env bats
# Where a container may go: --egress, by address, network, port and name.
# shellcheck disable=SC2016,SC2154

load helpers
load outside

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    outside_up
    mkdir "$T/www"
    echo here >"$T/www/index.html"
    outside ip address add 192.0.2.1/32 dev lo # www.example
    outside python3 "$HUSK_TOP/tests/bats/name-server.py" 203.0.113.7 1 </dev/null >/dev/null 2>&1 3>&- &
    outside busybox httpd -f -p 8000 -h "$T/www" </dev/null >/dev/null 2>&1 3>&- &
    outside busybox httpd -f -p 8001 -h "$T/www" </dev/null >/dev/null 2>&1 3>&- &
    busybox httpd -f -p 8002 -h "$T/www" </dev/null >/dev/null 2>&1 3>&- &
    echo $! >"$T/server"
    echo "nameserver 203.0.113.7" >"$T/resolv"
    wait_until 10 outside dig +time=1 +tries=1 @203.0.113.7 up.example
    husk network create --ipv6 back >/dev/null
}
teardown_file() {
    [[ ! -e $T/server ]] || xargs kill <"$T/server" || true
    outside_down
    husk_teardown_file
}
setup() { ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"; }
teardown() {
    remove_all_containers
    [[ ! $(nft list set inet husk egress4 | grep elements) && ! $(nft list set inet husk egress6 | grep elements) ]]
}

h() { unshare --mount --propagation slave sh -c 'mount --bind "$T/resolv" /etc/resolv.conf && exec "$HUSK" "$@"' h "$@"; }
limited() { h run -d --name "$@" busybox sleep 1000 >/dev/null; }
# Whether container $1 gets an HTTP answer there.
goes() { timeout 5 "$HUSK" exec "$1" wget -q -O /dev/null "http://$2/"; }
refused() { ! goes "$@" || { echo "$2 is reached"; return 1; }; }
address() { husk inspect "$1" | jq -r ".[0].NetworkSettings.Networks.back.IPAddress"; }
gateway() { husk network inspect back | jq -r '.[0].IPAM.Config[0].Gateway'; }

@test "--egress deny: nothing beyond the bridge, not the host either, and no name; neighbours and who comes in are answered" {
    limited free --network back
    goes free 203.0.113.7:8000
    goes free 198.51.100.1:8002
    goes free "[2001:db8:2::7]:8000"
    h run -d --name shut --network back --egress deny -p 8080:80 busybox httpd -f -p 80 >/dev/null
    refused shut 203.0.113.7:8000
    refused shut 198.51.100.1:8002
    refused shut "$(gateway):8002"
    refused shut "[2001:db8:2::7]:8000"
    run husk exec shut wget -O /dev/null http://203.0.113.7:8000/ # TCP hears a reset, not an ICMP
    [[ $output == *"Connection refused"* ]] || { echo "$output"; return 1; }
    run husk exec shut nslookup www.example
    [[ $output == *REFUSED* ]]
    run husk exec shut nslookup free
    expect 0 "$(address free)"
    husk exec shut ping -c 1 -w 5 free >/dev/null
    husk exec free ping -c 1 -w 5 shut >/dev/null
    outside busybox wget -O /dev/null http://198.51.100.1:8080/nothing 2>&1 | grep -q 404
}

@test "--egress allow: an address with a port, a network, IPv6" {
    limited one --network back --egress allow=203.0.113.7:8000
    [[ $(husk inspect one | jq -c '.[0].HostConfig.Egress') == '["allow=203.0.113.7:8000"]' ]]
    goes one 203.0.113.7:8000
    refused one 203.0.113.7:8001
    limited net --network back --egress "allow=203.0.113.0/24,[2001:db8:2::7]:8001"
    goes net 203.0.113.7:8000
    goes net 203.0.113.7:8001
    goes net "[2001:db8:2::7]:8001"
    refused net "[2001:db8:2::7]:8000"
    refused net 198.51.100.2:8000
    husk network reload
    goes one 203.0.113.7:8000
    refused one 203.0.113.7:8001
}

@test "--egress allow: a name, once it is asked for, as long as the answer may be kept" {
    limited named --network back --egress allow=www.example:8000
    refused named 192.0.2.1:8000
    run husk exec named nslookup other.example
    [[ $output == *REFUSED* ]]
    goes named www.example:8000
    goes named 192.0.2.1:8000
    refused named 192.0.2.1:8001
    nft list set inet husk reach4 | grep -q "192.0.2.1 . 8000 timeout"
    goes named www.example:8000
    local ip
    ip=$(address named)
    husk rm -f named >/dev/null
    limited heir --network back --ip "$ip" --egress deny # what it led to is not the next one's
    refused heir 192.0.2.1:8000
    limited below --network back --egress 'allow=*.example'
    goes below www.example:8001
}

# A container with python, beside busybox: $1 its name.
with_python() { h run -d --name "$@" -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HUSK_TOP/tests/bats/forge.py:/forge.py:ro" busybox sleep 1000 >/dev/null; }
address6() { husk inspect "$1" | jq -r ".[0].NetworkSettings.Networks.back.GlobalIPv6Address"; }
forge() { husk exec "$1" /usr/bin/python3 /forge.py "${@:2}"; }

LISTEN='import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 9))
with open(sys.argv[1], "ab", 0) as out:
    while True:
        out.write(s.recv(100) + b"\n")'

@test "--egress: who makes packets himself (NET_RAW) does not get past it, with whatever address, MAC or tag" {
    local bridge mac link spare4 spare6
    with_python free --network back
    with_python shut --network back --egress deny
    husk exec shut grep CapEff /proc/self/status | grep -q a80425fb # docker's default set, NET_RAW in it
    bridge=$(ip -o route get "$(address free)" | grep -o 'dev [^ ]*' | cut -d ' ' -f 2)
    mac=$(ip -j link show dev "$bridge" | jq -r '.[0].address')
    spare4=$(address free | sed 's/[0-9]*$/200/') spare6=$(address6 free | sed 's/[^:]*$/200/')
    : >"$T/heard" && : >"$T/heard-here"
    outside python3 -c "$LISTEN" "$T/heard" </dev/null >/dev/null 2>&1 3>&- &
    python3 -c "$LISTEN" "$T/heard-here" </dev/null >/dev/null 2>&1 3>&- &
    echo $! >>"$T/server"
    wait_until 10 outside grep -q ":0009 " /proc/self/net/udp6
    wait_until 10 grep -q ":0009 " /proc/self/net/udp6
    local from to how source
    local -a sources
    for from in shut free; do
        for how in udp4 udp6; do
            to=203.0.113.7
            [[ $how == udp4 ]] || to=2001:db8:2::7
            sources=("$spare4" "$(address free)" 198.51.100.77)
            [[ $how == udp4 ]] || sources=("$spare6" "$(address6 free)" 2001:db8:1::77)
            for source in "${sources[@]}"; do
                forge "$from" "$how" "$source" "$to" "$mac" "$from $how"
            done
        done
    done
    all_heard() { grep -q "free udp4" "$T/heard" && grep -q "free udp6" "$T/heard"; }
    wait_until 10 all_heard
    # By a neighbour that forwards, as it does where the host does; and the host, by a MAC that no bridge forwards.
    forge shut udp4 "$spare4" 203.0.113.7 "$(husk inspect free | jq -r '.[0].NetworkSettings.Networks.back.MacAddress')" "shut by free"
    forge shut udp4 "$(address shut)" "$(gateway)" 01:80:c2:00:00:03 "shut by 802.1D"
    run forge shut tcp "${spare4%0}1" 203.0.113.7 "$mac"
    [[ $status == 0 && ! $output ]] || { echo "$output"; return 1; }
    run forge free tcp "$spare4" 203.0.113.7 "$mac"
    expect 0 "200 OK"
    ! grep shut "$T/heard" "$T/heard-here" || return 1
    # The host by its link-local address, which needs no NET_RAW.
    link=$(ip -6 -o address show dev "$bridge" scope link | grep -o 'fe80[^/]*')
    talks() { husk exec "$1" /usr/bin/python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], 8002), 2)' "$link%eth0"; }
    talks free
    run talks shut
    [[ $status != 0 ]]
    husk exec shut ping -c 1 -w 5 free >/dev/null
    goes free 203.0.113.7:8000
    nft list table bridge husk >/dev/null # it is as nft writes tables
    husk rm -f shut >/dev/null
    [[ ! $(nft list table bridge husk | grep elements) ]]
    nft flush ruleset
    with_python shut --network back --egress deny
    nft flush ruleset
    husk network reload
    forge shut udp4 "$spare4" 203.0.113.7 "$mac" "late shut"
    forge free udp4 "$spare4" 203.0.113.7 "$mac" "late free"
    late_heard() { grep -q "late free" "$T/heard"; }
    wait_until 10 late_heard
    ! grep "late shut" "$T/heard" || return 1
}

@test "--egress: what cannot be is said" {
    husk network create --disable-dns plain >/dev/null
    check_table <<'END'
run --rm --egress out busybox true                       | 125 | --egress: 'out' is neither deny nor allow=HOST[:PORT],...
run --rm --egress allow= busybox true                    | 125 | --egress: 'allow=' allows nothing: say deny
run --rm --egress allow=a_b:0 busybox true               | 125 | --egress: 'a_b:0': '0' is no port from 1 to 65535, or FIRST-LAST
run --rm --egress 'allow=a b' busybox true               | 125 | --egress: 'a b' is no address, network or name, with a port or without
run --rm --network host --egress deny busybox true       | 125 | --egress: with --network host there is no bridge of husk's that could keep it in
run --rm --network plain --egress allow=x.example busybox true | 125 | --egress: a name is allowed as the network's resolver answers it, and none of the
END
}
