#!/usr/bin/env bats
# Who spoke to whom: husk network flows.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load outside

setup_file() {
    husk_setup_file
    load_busybox >/dev/null
    local -a inside=()
    ((EUID == 0)) || inside=(--internal) # beyond it pasta needs /dev/net/tun, which may be root's alone
    husk network create --flows --ipv6 "${inside[@]}" seen >/dev/null 2>"$T/none" || return 0
    serve web --network seen
    husk run -d --name asker --network seen busybox sleep 1000 >/dev/null
}
setup() { [[ ! -s $T/none ]] || skip "environment: no networks: $(<"$T/none")"; }

flows() { husk network flows --format '{{.From}} {{.To}} {{.Protocol}} {{.Port}} {{.PacketsSent}} {{.BytesSent}} {{.PacketsBack}} {{.BytesBack}} {{.Refused}}' "$@"; }
# The numbers of a flow: from, to, protocol, port.
counted() { flows | awk -v f="$1" -v t="$2" -v p="$3" -v n="$4" '$1 == f && $2 == t && $3 == p && $4 == n { print $5, $6, $7, $8, $9 }'; }
fetch() { timeout 5 "$HUSK" exec "$1" wget -q -O - "http://$2/"; }

@test "flows: who spoke to whom, by names, packets and bytes of both directions; many connections are one flow" {
    [[ $(fetch asker "$(ip_of web seen)") == web ]]
    read -r sent bytes back back_bytes refused <<<"$(counted asker web tcp 80)"
    ((sent >= 5 && bytes > 200 && back >= 4 && back_bytes > 200 && refused == 0))
    fetch asker "$(ip_of web seen)" >/dev/null
    fetch asker "[$(ip6_of web seen)]" >/dev/null
    read -r again _ <<<"$(flows | awk '$1 == "asker" && $2 == "web" && $3 == "tcp" { n[NR] = $5 } END { for (i in n) print n[i] }' | sort -n | tail -n 1)"
    ((again > sent))
    [[ $(flows | grep -c "^asker web tcp 80 ") == 2 ]] # of each family
    [[ $(fetch asker web) == web ]]
    husk exec asker ping -c 2 -w 5 web >/dev/null
    read -r sent _ back _ <<<"$(counted asker web icmp 0)"
    ((sent == 2 && back == 2))
    read -r sent _ back _ <<<"$(counted asker host udp 53)" # it asked for the name
    ((sent > 0 && back == sent))
    [[ ! $(flows | awk '$4 > 1024') ]] # no port of a client's
    run husk network flows seen
    expect 0 "NETWORK"
    [[ $output == *"asker"*"web"*"80/tcp"* ]]
    run husk network flows --no-trunc
    expect 0 "web ($(ip_of web seen))"
    husk network flows --format json | jq -se 'any(.[]; .From == "asker" and .BytesSent > 0)' >/dev/null
    run timeout 3 "$HUSK" network flows --watch --format '{{.From}}'
    [[ $status == 124 && $(grep -c asker <<<"$output") -gt 3 ]]
}

@test "flows: one that is gone keeps its name, and whoever gets its address begins at nothing" {
    local address
    husk run --rm --name first --network seen --ip "$(husk network inspect seen | jq -r '.[0].IPAM.Config[0].Subnet' | sed 's/0\/.*/77/')" \
        busybox wget -q -O /dev/null "http://$(ip_of web seen)/"
    read -r sent _ <<<"$(counted first web tcp 80)"
    ((sent >= 5))
    address=$(husk network flows --format '{{.From}} {{.FromIP}}' | awk '$1 == "first" && $2 ~ /[.]/ { print $2; exit }')
    husk run -d --name second --network seen --ip "$address" busybox sleep 1000 >/dev/null
    [[ ! $(counted second web tcp 80) ]]
    [[ $(counted first web tcp 80) == "$sent "* ]]
    fetch second "$(ip_of web seen)" >/dev/null
    read -r other _ <<<"$(counted second web tcp 80)"
    ((other >= 5))
    husk rename second renamed
    [[ $(counted renamed web tcp 80) == "$other "* ]]
    husk restart -t 0 renamed >/dev/null
    [[ $(counted renamed web tcp 80) == "$other "* ]]
    husk rm -f renamed >/dev/null
    husk network flows --reset seen >/dev/null
    [[ ! $(flows) ]]
}

@test "flows: nothing is in a packet's way where nothing is counted; --off and --on, of names that are none, refused words" {
    ((EUID == 0)) || skip "environment: the firewall of an ordinary user is inside his namespace"
    husk network flows --off seen >/dev/null
    ! nft list table inet husk | grep -q 'chain count_forward'
    husk exec asker ping -c 1 -w 5 web >/dev/null
    [[ ! $(counted asker web icmp 0) ]]
    run husk network flows
    expect 0 "nothing is counted on 'seen'"
    husk network flows --on seen >/dev/null
    husk exec asker ping -c 1 -w 5 web >/dev/null
    read -r sent _ <<<"$(counted asker web icmp 0)"
    ((sent == 1))
    nft list ruleset | nft -c -f - # what is shown can be loaded
    check_table <<'END'
network flows --on                    | 1 | need the name of a network
network flows --on --off seen         | 1 | exclude each other
network flows nobody                  | 1 | nobody
network flows --interval 0            | 1 | from 1 to 86400
network create --flows -d macvlan xx  | 1 | passes no firewall
END
}

@test "flows: what a policy refused is counted, and neighbours still obey it" {
    husk network policy default seen deny
    ! fetch asker "$(ip_of web seen)" 2>/dev/null
    read -r _ _ _ _ refused <<<"$(counted asker web tcp 80)"
    ((refused >= 1))
    husk network policy default seen allow
    [[ $(fetch asker web) == web ]]
    husk network flows --reset seen >/dev/null
}

@test "flows: beyond the networks: names that were asked for, published ports, what --egress refused" {
    ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"
    outside_up
    outside ip address add 192.0.2.1/32 dev lo # www.example
    outside python3 "$HUSK_TOP/tests/bats/name-server.py" 203.0.113.7 1 </dev/null >/dev/null 2>&1 3>&- &
    wait_until 10 outside dig +time=1 +tries=1 @203.0.113.7 up.example
    husk run -d --name far --network seen --dns 203.0.113.7 -p 8088:80 busybox httpd -f -p 80 >/dev/null
    wait_until 10 listens far 80
    husk exec far ping -c 1 -w 3 www.example >/dev/null || true
    [[ $(flows | grep "^far www.example icmp 0 ") ]] || { flows; return 1; }
    outside busybox wget -q -O /dev/null http://198.51.100.1:8088/nothing || true
    [[ $(husk network flows --format '{{.FromIP}} {{.To}} {{.Port}} {{.BytesBack}}' | grep "^198.51.100.2 far 80 [1-9]") ]] || { flows; return 1; }
    husk run --rm --name shut --network seen --egress deny busybox wget -q -O /dev/null http://203.0.113.7:8000/ || true
    [[ $(husk network flows --format '{{.From}} {{.ToIP}} {{.Port}} {{.Refused}}' | grep "^shut 203.0.113.7 8000 [1-9]") ]] || { flows; return 1; }
    outside_down
}

@test "flows: killed at its points, the next command sets it right; nothing stays of a network that is removed" {
    ((EUID == 0)) || skip "environment: the firewall of an ordinary user is inside his namespace"
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    local fault=$HUSK_FAULT_BUILD/bin/husk
    HUSK_FAULT=kill@flows-switched run "$fault" network flows --off seen
    [[ $status == 137 ]]
    husk network reload
    ! nft list table inet husk | grep -q 'chain count_forward'
    HUSK_FAULT=kill@flows-switched run "$fault" network flows --on seen
    [[ $status == 137 ]]
    run husk system check
    [[ $output == *"firewall lacks"* ]]
    husk system check --repair >/dev/null || true
    nft list table inet husk | grep -q 'chain count_forward'
    fetch asker web >/dev/null
    local address
    address=$(ip_of asker seen)
    husk rm -f asker >/dev/null
    HUSK_FAULT=kill@flows-forgotten run "$fault" run --rm --name heir --network seen --ip "$address" busybox true
    [[ $status == 137 ]]
    husk run --rm --name heir2 --network seen --ip "$address" busybox true
    [[ ! $(flows | grep '^heir') ]]
    remove_all_containers
    husk network rm seen >/dev/null
    [[ ! $(nft list table inet husk | grep -A 3 -E 'set (flows|answers|called)[46]|set counted' | grep elements) ]]
    ! nft list table inet husk | grep -q 'chain count_forward'
    [[ ! $(flows) ]]
}
