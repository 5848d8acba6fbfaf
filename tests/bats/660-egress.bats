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
    [[ ! -e $T/server ]] || kill "$(<"$T/server")" || true
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
