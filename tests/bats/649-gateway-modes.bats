#!/usr/bin/env bats
# docker's gateway modes of a bridge: routed, isolated. (nat and nat-unprotected: 648.)
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

mode() { echo "com.docker.network.bridge.gateway_mode_ipv$1=$2"; }

@test "routed: what is published is open at the container's own address, untranslated, and no port of the host's is held" {
    husk network create --subnet 10.66.0.0/24 -o "$(mode 4 routed)" plain >/dev/null
    husk network create --subnet 10.67.0.0/24 other >/dev/null
    outside ip route replace 10.64.0.0/12 via 192.0.2.1
    serve web --network plain -p 8080:80 -p 8081:80 -p 81
    [[ $(ask 10.66.0.2 80 outside) == web ]]
    nobody 192.0.2.1 8080 outside
    nobody 127.0.0.1 8080
    [[ $(husk port web) == *"80/tcp -> 10.66.0.2:80"* ]]
    [[ $(husk ps --format '{{.Ports}}') == *80/tcp* && $(husk ps --format '{{.Ports}}') != *8080* ]]
    ! ss -Hltn | grep -q ':8080 '
    run ask 10.66.0.2 82 outside # not published: dropped, not refused by the container
    [[ $output != *refused* ]]
    outside busybox ping -c 1 -w 3 10.66.0.2 # errors of ICMP find the way, and who asks whether it is there
    # other networks reach what is published, and no more
    husk run -d --name near --network other busybox sleep 1000 >/dev/null
    [[ $(ask 10.66.0.2 80 husk exec -i near) == web ]]
    run ask 10.66.0.2 82 husk exec -i near
    [[ $output != *refused* ]]
    # who it is, is seen beyond the host
    outside sh -c 'sleep 10 | busybox nc -l -p 9000' >/dev/null 2>&1 3>&- &
    wait_until 5 outside sh -c 'ss -Hltn | grep -q :9000'
    husk exec -d web sh -c 'sleep 10 | nc 192.0.2.2 9000'
    wait_until 5 outside sh -c 'ss -Htn | grep -q 10.66.0.2'
    # live
    husk exec -d web busybox httpd -p 83 -h /srv
    husk port add web 83 >/dev/null
    wait_until 5 is_open 83
    husk network reload
    [[ $(ask 10.66.0.2 83 outside) == web ]]
    husk port rm web 83 >/dev/null
    nobody 10.66.0.2 83 outside
    husk port rm web 8081:80 >/dev/null # 8080:80 opens the same port of the container
    husk network reload
    [[ $(ask 10.66.0.2 80 outside) == web ]]
    husk port rm web 8080:80 >/dev/null
    nobody 10.66.0.2 80 outside
    husk rm -ft 0 web near >/dev/null
    [[ $(nft list set inet husk open4) != *10.66.0.2* ]]
    check_table <<'END'
run --rm --network plain -p 127.0.0.1:8080:80 busybox true | 125 | port 80/tcp on '127.0.0.1': the network's IPv4 is routed, so the port is open at the container's own address
network create --ipam-driver none -o com.docker.network.bridge.gateway_mode_ipv4=maybe xx | 1 | 'maybe' is none of nat, nat-unprotected, routed, isolated
END
}
is_open() { [[ $(ask 10.66.0.2 "$1" outside) == web ]]; }

@test "routed in one family: the other has the host's port" {
    husk network create --ipv6 --subnet 10.66.0.0/24 --subnet fd66::/64 -o "$(mode 6 routed)" six >/dev/null
    husk network create --ipv6 --subnet 10.68.0.0/24 --subnet fd68::/64 -o "$(mode 4 routed)" four >/dev/null
    outside ip route replace 10.64.0.0/12 via 192.0.2.1
    outside ip route replace fd66::/64 via 2001:db8::1
    serve web --network six -p 8080:80
    serve bew --network four -p 8081:80
    [[ $(ask fd66::2 80 outside) == web && $(ask 192.0.2.1 8080 outside) == web ]]
    nobody 2001:db8::1 8080 outside
    nobody 10.66.0.2 80 outside
    [[ $(ask 10.68.0.2 80 outside) == bew && $(ask 2001:db8::1 8081 outside) == bew ]]
    nobody 192.0.2.1 8081 outside
    [[ $(husk port web) == "80/tcp -> 0.0.0.0:8080" ]]
    run husk run --rm -p 8080:80 busybox true
    expect 125 "port 8080/tcp of the host is taken by container 'web'"
}

@test "isolated: the bridge has no address, its containers have each other" {
    husk network create --internal --ipv6 --subnet 10.66.0.0/24 --subnet fd66::/64 -o "$(mode 4 isolated)" -o "$(mode 6 isolated)" alone >/dev/null
    serve web --network alone
    run husk run --rm --network alone busybox sh -c 'ip route; ip -6 route; wget -qO- http://10.66.0.1/ && wget -qO- "http://[fd66::1]/"'
    expect 0 web
    [[ $output != *default* ]]
    local bridge
    bridge=$(husk network inspect alone | jq -r '.[0].Options["com.docker.network.bridge.name"] // empty')
    [[ ! $(ip -o address show dev "${bridge:-$(bridge_of alone)}") ]]
    [[ $(husk network inspect alone | jq -c '[.[0].IPAM.Config[].Gateway // ""] | unique') == '[""]' ]]
    husk network create --internal --ipv6 --subnet 10.67.0.0/24 --subnet fd67::/64 -o "$(mode 6 isolated)" half >/dev/null
    husk run --rm --network half busybox ping -c 1 -w 3 10.67.0.1
    check_table <<'END'
network create -o com.docker.network.bridge.gateway_mode_ipv4=isolated xx | 1 | 'isolated' is a mode of an --internal network
network create --internal --subnet 10.68.0.0/24 --gateway 10.68.0.1 -o com.docker.network.bridge.gateway_mode_ipv4=isolated xx | 1 | an isolated network's bridge has no address
END
}
bridge_of() { echo "husk-$(husk network inspect "$1" | jq -r '.[0].Id[:8]')"; }

@test "an ordinary user's: isolated as root's, routed is refused with the kernel's reason" {
    as_user load_busybox >/dev/null
    run as_user husk network create -o "$(mode 4 routed)" xx
    expect 1 "an ordinary user's networks are behind pasta, where no route from beyond leads"
    as_user husk network create --internal --subnet 10.66.0.0/24 -o "$(mode 4 isolated)" alone >/dev/null
    run as_user husk run --rm --network alone busybox sh -c 'ip route; ip -o -4 address show eth0'
    expect 0 10.66.0
    as_user husk network rm alone >/dev/null
}
