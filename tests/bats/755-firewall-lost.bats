#!/usr/bin/env bats
# A host's firewall that is loaded anew takes husk's table with it: noticed, and repaired without a command.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

teardown() { remove_all_containers; }

has() { nft list set inet husk "$1" 2>/dev/null | grep -qF "$2"; }
published_again() { [[ $(ask 192.0.2.1 8095 outside) == web ]]; }

@test "nft flush ruleset: ports, limits, policies and names are there again in a moment, by themselves" {
    husk network create --policy deny shut >/dev/null
    serve web -p 8095:80
    husk run -d --name limited --egress deny busybox sleep 1000 >/dev/null
    husk run -d --name other --network shut busybox sleep 1000 >/dev/null
    local round address
    address=$(ip_of limited)
    for round in 1 2; do
        published_again
        has egress4 "$address"
        nft flush ruleset
        ! has egress4 "$address"
        wait_until 20 has egress4 "$address"
        wait_until 10 published_again
        has policed '"'
        husk exec limited nslookup web >/dev/null || wait_until 10 husk exec limited nslookup web
    done
}
