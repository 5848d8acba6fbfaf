#!/usr/bin/env bats
# Who reaches whom within a network: husk network policy.
# shellcheck disable=SC2016,SC2154

load helpers
load net

setup_file() {
    husk_setup_file
    load_busybox >/dev/null
    local -a inside=()
    ((EUID == 0)) || inside=(--internal) # beyond it pasta needs /dev/net/tun, which may be root's alone
    husk network create --policy deny --ipv6 "${inside[@]}" shut >/dev/null 2>"$T/none" || return 0
    for name in web db other; do
        husk run -d --name "$name" --network shut --network-alias "$name.alias" --label "tier=$name" busybox \
            sh -c 'mkdir /srv && echo "$0" >/srv/index.html && httpd -p 81 -h /srv && exec httpd -f -p 80 -h /srv' "$name" >/dev/null
    done
    for name in web db other; do wait_until 10 listens "$name" 80; done
}
teardown_file() {
    remove_all_containers
    if ((EUID == 0)); then [[ ! $(nft list map inet husk who4 | grep elements) && ! $(nft list table bridge husk | grep elements) ]]; fi
    husk_teardown_file
}
setup() { [[ ! -s $T/none ]] || skip "environment: no networks: $(<"$T/none")"; }
teardown() {
    for rule in 1 2 3 4; do husk network policy rm shut 1 2>/dev/null || break; done
    husk network policy default shut deny
}

goes() { [[ $(timeout 5 "$HUSK" exec "$1" wget -q -O - "http://$2/") ]]; }
refused() { ! goes "$@" 2>/dev/null || { echo "$2 is reached by $1"; return 1; }; }
bracketed() { echo "[$(husk inspect "$1" | jq -r '.[0].NetworkSettings.Networks.shut.GlobalIPv6Address')]"; }
rule() { husk network policy add shut "$@" >/dev/null; }

@test "policy deny: neighbours know each other's names and do not reach each other; a refusal is heard" {
    refused web db
    refused web "$(bracketed db)"
    ! husk exec web ping -c 1 -w 2 db
    husk exec web nslookup db >/dev/null
    run husk exec web wget -q -O - http://db/
    [[ $output == *refused* ]] || { echo "$output"; return 1; }
}

@test "a rule by name, port and direction; answers pass; what has a rule no more is refused" {
    rule from=web to=db port=80
    goes web db
    goes web "$(bracketed db)"
    refused web db:81
    refused db web
    refused other db
    rule from=web to=db port=81-90,icmp
    goes web db:81
    husk exec web ping -c 1 -w 5 db >/dev/null
    [[ $(husk network policy ls --format '{{.Number}} {{.Rule}}' shut) == "1 from=web to=db port=80
2 from=web to=db port=81-90,icmp" ]]
    husk network policy rm shut from=web to=db port=80
    refused web db
    goes web db:81
}

@test "rules by label, alias and for anybody, for containers that come later and by a new name" {
    rule 'from=*' to=label=tier=db
    rule from=label=tier to=other.alias port=tcp
    goes other db
    goes web other
    refused db web
    husk run -d --name late --network shut busybox sleep 1000 >/dev/null
    goes late db
    refused late other
    rule from=renamed to=web
    refused late web
    husk rename late renamed
    goes renamed web
    husk rm -f renamed >/dev/null
    husk network connect shut "$(husk run -d --name joined --network none busybox sleep 1000)" 2>/dev/null && return 1
    husk rm -f joined >/dev/null
}

@test "allow lets everything pass, live, and inspect and graph say what holds" {
    rule from=web to=db port=80
    husk network policy default shut allow
    goes other db:81
    husk network policy default shut deny
    refused other db
    goes web db
    [[ $(husk network inspect shut | jq -c '.[0].Policy') == '{"Default":"deny","Rules":["from=web to=db port=80"]}' ]]
    husk network graph | grep -q 'policy deny'
    husk network graph | grep -q 'allow from=web to=db port=80'
    husk network graph --format svg | grep -q 'policy deny, rules: 1'
}

@test "a start, a reload and an address that another had before keep to the rules" {
    rule from=first to=db
    husk run -d --name first --network shut busybox sleep 1000 >/dev/null
    goes first db
    local ip
    ip=$(ip_of first shut)
    husk network reload
    goes first db
    refused other db
    husk rm -f first >/dev/null
    husk run -d --name heir --network shut --ip "$ip" busybox sleep 1000 >/dev/null
    refused heir db
    husk rm -f heir >/dev/null
}

@test "who makes packets himself (NET_RAW) is not taken for a neighbour, nor found at a neighbour's address" {
    local forge=$HUSK_TOP/tests/bats/forge.py name mac
    local -A ip ip6
    husk network policy default shut allow
    for name in ear liar; do
        husk run -d --name "$name" --network shut -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$forge:/forge.py:ro" busybox \
            sh -c "[ $name = liar ] && exec sleep 1000; exec /usr/bin/python3 /forge.py hear" >/dev/null
    done
    for name in ear liar web; do ip[$name]=$(ip_of "$name" shut) ip6[$name]=$(ip6_of "$name" shut); done
    mac=$(husk inspect ear | jq -r '.[0].NetworkSettings.Networks.shut.MacAddress')
    forge() { husk exec liar /usr/bin/python3 /forge.py "$@"; }
    heard() { husk logs ear | grep -qF "$1"; }
    lies() { # the last is true
        forge udp4 "${ip[web]}" "${ip[ear]}" "$mac" "$1"
        forge udp6 "${ip6[web]}" "${ip6[ear]}" "$mac" "$1"
        forge arp "${ip[web]}" "${ip[ear]}" "$mac"
        forge na "${ip6[web]}" "${ip6[ear]}" "$mac" "${ip6[liar]}"
        forge arp "${ip[liar]}" "${ip[ear]}" "$mac"
    }
    all_heard() { heard "udp4 ${ip[web]} allowed" && heard "udp6 ${ip6[web]} allowed" && heard "arp ${ip[web]}" && heard "na ${ip6[web]}"; }
    works() { lies allowed && all_heard; } # where neighbours are not asked who they are, each of these lies is believed
    wait_until 10 works
    rule from=web to=ear
    husk network policy default shut deny # of those that run already
    husk restart -t 0 ear >/dev/null      # and one that starts
    husk logs ear >"$T/before"
    said_truth() { lies denied && [[ $(husk logs ear | grep -cF "arp ${ip[liar]}") -gt $(grep -cF "arp ${ip[liar]}" "$T/before") ]]; }
    wait_until 10 said_truth
    heard denied && return 1
    [[ $(husk logs ear | grep -cE "^(na|arp) (${ip[web]}|${ip6[web]})$") == "$(grep -cE "^(na|arp) (${ip[web]}|${ip6[web]})$" "$T/before")" ]]
    forge na "${ip6[liar]}" "${ip6[ear]}" "$mac" "${ip6[liar]}" # its own address it may tell
    said_own() { heard "na ${ip6[liar]}"; }
    wait_until 10 said_own
    husk network policy default shut allow
    wait_until 10 works
    husk rm -f -t 0 ear liar >/dev/null
}

@test "nft(8) lists the rules, and reads back what it lists" {
    ((EUID == 0)) || skip "kernel: only root's networks are in this firewall"
    rule from=web to=db port=80,90-99/udp
    nft list table inet husk >"$T/table"
    grep -q '@allowed meta mark set 0x00000000 ct mark set 0x00000000 accept' "$T/table"
    grep -q 'tcp \. 80,' "$T/table"
    unshare --net nft -f "$T/table"
}

@test "allow leaves a bridge's own filter as the host had set it before deny" {
    ((EUID == 0)) || skip "kernel: only root has its bridges here"
    local bridge
    bridge=$(ip -j route get "$(ip_of db shut)" | jq -r '.[0].dev')
    switches() { ip -j -d link show dev "$bridge" | jq -c '.[0].linkinfo.info_data | [.nf_call_iptables, .nf_call_ip6tables]'; }
    [[ $(switches) == '[1,1]' ]]
    husk network policy default shut allow
    [[ $(switches) == '[0,0]' ]]
    ip link set dev "$bridge" type bridge nf_call_iptables 1
    husk network policy default shut deny
    [[ $(switches) == '[1,1]' ]]
    husk network policy default shut deny
    refused web db
    husk network policy default shut allow
    [[ $(switches) == '[1,0]' ]]
    goes web db
    ip link set dev "$bridge" type bridge nf_call_iptables 0
}

@test "a host without br_netfilter: said, with the cure, and nothing has changed" {
    ((EUID == 0)) || skip "kernel: only root hides what the kernel has"
    husk network policy default shut allow
    without() { run unshare --mount bash -c 'mount -t tmpfs none /proc/sys/net && exec "$@"' - "$@"; }
    without "$HUSK" network policy default shut deny
    ((status == 1))
    [[ $output == *"rules among neighbours need the kernel's module br_netfilter"*"modprobe br_netfilter'" ]] || { echo "$output"; return 1; }
    goes web db
    [[ $(husk network inspect shut | jq -r '.[0].Policy.Default') == allow ]]
    without "$HUSK" network create --policy deny odd
    ((status == 1))
    [[ $output == *br_netfilter* ]]
    ! husk network inspect odd 2>/dev/null
}

@test "what cannot be is said" {
    husk network policy add shut from=a to=b >/dev/null
    check_table <<'END'
network policy add shut from=a to=b             | 1 | there is such a rule already: from=a to=b
network policy add shut from=a port=80          | 1 | a rule needs both from= and to=: say from=* for anybody
network policy add shut from=a to=b port=0      | 1 | 'port=0' is not PORT[-LAST][/tcp|udp|sctp], tcp, udp, sctp or icmp
network policy add shut from=a to=b,c           | 1 | 'to=b,c' is none of *, a container's name or alias, label=KEY[=VALUE]
network policy add shut who=a to=b              | 1 | 'who=a' is not one of from=WHO, to=WHO, port=PORT,...
network policy rm shut 7                        | 1 | there is no rule 7
network policy rm shut from=x to=y              | 1 | there is no such rule: from=x to=y
network policy default shut maybe               | 1 | 'maybe' is neither allow nor deny
network create --policy maybe odd               | 125 | --policy: 'maybe' is not one of allow, deny
END
}

@test "killed between the row and the firewall: the next start carries it out" {
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    run env HUSK_FAULT=kill@policy-changed "$HUSK_FAULT_BUILD/bin/husk" network policy default shut allow
    ((status))
    refused other db
    husk run --rm --network shut busybox true
    goes other db
}

@test "a kernel without marks of connections keeps to rules all the same" {
    ((EUID == 0)) || skip "kernel: another user's firewall is made already"
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    rule from=web to=db port=80
    nft delete table inet husk
    HUSK_FAULT=lack@ct-mark "$HUSK_FAULT_BUILD/bin/husk" network reload
    goes web db
    goes web "$(bracketed db)"
    refused web db:81
    refused db web
    nft delete table inet husk
    husk network reload
    goes web db
}

@test "an ordinary user's networks keep to rules as root's do" {
    ((EUID == 0)) || skip "kernel: only root tests another user's networks"
    local u="as_user husk"
    as_user load_busybox >/dev/null
    $u network create --internal --policy deny mine >/dev/null
    $u run -d --name server --network mine busybox httpd -f -p 80 >/dev/null
    $u run -d --name client --network mine busybox sleep 1000 >/dev/null
    run $u exec client wget -O - http://server/
    [[ $output == *refused* ]] || { echo "$output"; return 1; }
    $u network policy add mine from=client to=server port=80 >/dev/null
    run $u exec client wget -O - http://server/
    [[ $output == *404* ]] || { echo "$output"; return 1; }
    $u rm -f server client >/dev/null
    $u network rm mine >/dev/null
}
