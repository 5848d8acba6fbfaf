#!/usr/bin/env bats
# What an interface passes at most, and the picture of what is connected to what.
# shellcheck disable=SC2016,SC2154

load helpers

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    husk network create --subnet 10.77.0.0/24 back >/dev/null
    husk network create --internal inner >/dev/null
}
setup() { ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"; }
teardown() { remove_all_containers; }

@test "--net-rate limits what comes in and what goes out" {
    husk run -d --name slow --network back --net-rate in=8mbit,out=16mbit busybox sleep 1000 >/dev/null
    local pid
    pid=$(husk inspect --format '{{.State.Pid}}' slow)
    run tc qdisc show
    expect 0 "rate 8Mbit"
    run nsenter --target "$pid" --net tc qdisc show dev eth0
    expect 0 "rate 16Mbit"
    nsenter --target "$pid" --net iperf3 -s -1 -D --pidfile "$T/tmp/iperf" 3>&-
    served() { nsenter --target "$pid" --net ss -ltn | grep -q :5201; }
    wait_until 10 served
    # 2 s of traffic: the bucket's burst is a few percent of it
    run iperf3 -c 10.77.0.2 -t 2 --json
    expect 0
    local bits
    bits=$(jq '.end.sum_received.bits_per_second | floor' <<<"$output")
    ((bits > 1000000 && bits < 12000000)) || { echo "in: $bits"; return 1; }
}

@test "a rate that is none, or that nothing could keep, is refused" {
    check_table <<'END'
run --rm --network back --net-rate fast busybox true     | 125 | 'fast' is no rate
run --rm --network back --net-rate 1bit busybox true     | 125 | less than 8kbit
run --rm --network back --net-rate in=1mbit,up=2mbit busybox true | 125 | 'up=2mbit' is not one of
run --rm --network none --net-rate 1mbit busybox true    | 125 | no interface of husk's to limit
END
}

@test "the graph has networks, who is on them, and ports, as text and as SVG" {
    husk run -d --name web --network back --ip 10.77.0.9 -p 8090:80 busybox sleep 1000 >/dev/null
    husk run -d --name job --network inner --network back busybox sleep 1000 >/dev/null
    run husk network graph
    expect 0 "back (bridge, 10.77.0.0/24)"
    [[ $output == *"web  10.77.0.9  <- 8090->80/tcp"* && $output == *"inner (bridge, "*", internal)"* && $output == *"─ job  "* ]]
    husk network create second >/dev/null
    husk network connect second web
    run husk network graph
    expect 0 "web  10.77.0.9  <- 8090->80/tcp"
    [[ $(grep -c 8090 <<<"$output") == 1 ]] # it leads in by the network that has the default route
    husk network disconnect second web
    husk network rm second >/dev/null
    husk network graph --format svg >"$T/tmp/graph.svg"
    python3 - "$T/tmp/graph.svg" <<'END'
import sys
import xml.etree.ElementTree as tree
names = [t.text for t in tree.parse(sys.argv[1]).getroot().iter("{http://www.w3.org/2000/svg}text")]
assert names.count("web") == 1 and names.count("job") == 1 and "10.77.0.9" in names and "8090->80/tcp" in names, names
END
    husk kill web >/dev/null
    husk wait web >/dev/null
    run husk network graph
    expect 0 "!web"
    run husk network graph --format png
    expect 125 "not one of text, svg"
}
