#!/usr/bin/env bats
# Networks where something is missing or full: said in a sentence, and nothing stays.
# shellcheck disable=SC2016,SC2154

load helpers
load net

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
}
teardown_file() { husk_teardown_file; }
setup() { ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"; }
teardown() { remove_all_containers; }

bare() { "$HUSK_TOP/tests/bats/without-nftables" "$HUSK" "$@"; }
leases() { husk network inspect "$1" | jq '.[0].Containers | length'; }

@test "a kernel without nf_tables: bridges say so and leave nothing; none, host and another's network work" {
    local how
    for how in "--network bridge" "--network bridge -p 8080:80"; do
        # shellcheck disable=SC2086 # words
        run bare run --rm --name cut $how busybox true
        expect 125 "this kernel has no nf_tables (CONFIG_NF_TABLES): published ports and bridges need it"
        no_veths
        run husk inspect cut
        [[ $status -ne 0 ]]
    done
    run bare run --rm --network none busybox echo alone
    expect 0 "=alone"
    run bare run --rm --network host busybox echo host
    expect 0 "=host"
    husk run -d --name there --network none busybox sleep 1000 >/dev/null
    run bare run --rm --network container:there busybox echo beside
    expect 0 "=beside"
    run husk run --rm -p 8080:80 busybox echo again # the port, the address and the name are free
    expect 0 "=again"
}

@test "a full pool: the one too many is refused with the network's name, and has room when another goes" {
    husk network create --subnet 10.77.0.0/30 tiny >/dev/null
    husk run -d --name first --network tiny busybox sleep 1000 >/dev/null
    run husk run --rm --name second --network tiny busybox true
    expect 125 "tiny"
    [[ $(leases tiny) == 1 ]]
    husk rm -f first >/dev/null
    run husk run --rm --network tiny busybox echo room
    expect 0 "=room"
    husk network rm tiny >/dev/null
}

@test "two at once that ask for one address and one port: one starts, the other is told, and nothing of it stays" {
    husk network create --subnet 10.78.0.0/24 pair >/dev/null
    local round name pids statuses
    for round in 1 2 3; do
        pids=() statuses=''
        for name in a b; do
            husk run -d --name "$name$round" --network pair --ip 10.78.0.9 -p 8080:80 busybox sleep 1000 >/dev/null 2>"$T/tmp/$name" &
            pids+=($!)
        done
        for name in "${pids[@]}"; do
            wait "$name" && statuses+=0 || statuses+="[$?]"
        done
        [[ $statuses == "0[125]" || $statuses == "[125]0" ]] || { echo "$statuses: $(cat "$T/tmp/a" "$T/tmp/b")"; return 1; }
        cat "$T/tmp/a" "$T/tmp/b" | grep -E "10\.78\.0\.9|8080"
        [[ $(leases pair) == 1 && $(published | wc -l) == 1 ]]
        husk ps -aq | xargs "$HUSK" rm -f >/dev/null
    done
    wait_until 10 no_veths
    husk network rm pair >/dev/null
}

@test "a network that is in use is not removed, by rm or prune, and works on" {
    husk network create used >/dev/null
    serve web --network used -p 8080:80
    run husk network rm used
    [[ $status -ne 0 && $output == *web* ]]
    husk network prune -f >/dev/null
    run ask 127.0.0.1 8080
    expect 0 "=web"
}
