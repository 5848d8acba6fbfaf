# net.bash: what networks cost: a start, what is sent, published ports, names. Read by run.
# shellcheck shell=bash disable=SC2154 # run sets the others
#
# All of it is in a network namespace of its own, which is the host here: 198.51.100.1, a default route, and beside it a
# bare pair of interfaces to a second namespace, which is what the others are compared with.

net_begin() {
    local pid
    unshare --net sleep infinity </dev/null &
    net_host=$!
    unshare --net sleep infinity </dev/null &
    net_bare=$!
    pids+=("$net_host" "$net_bare")
    for pid in "$net_host" "$net_bare"; do
        until [[ $(readlink "/proc/$pid/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.02; done
    done
    net_in ip link set lo up
    net_in ip link add bare0 type veth peer name bare1 netns "$net_bare"
    net_in ip address add 198.51.100.1/24 dev bare0
    net_in ip link set bare0 up
    nsenter --target "$net_bare" --net sh -c 'ip address add 198.51.100.2/24 dev bare1; ip link set bare1 up'
    net_in ip route add default via 198.51.100.2
}
net_in() { nsenter --target "$net_host" --net "$@"; }
net_husk() { net_in "$husk" "$@"; }
net_podman() { net_in nsenter "--mount=$peer_ns" "${podman[@]}" "$@"; }

# The start: how much more than without a network. A container that stays keeps the resolver, as on a host with others.
net_start() {
    net_husk run -d --name b-keep busybox sleep 100000 >/dev/null
    local -a commands=("husk, none" "$husk run --rm --network none busybox true" "husk, bridge" "$husk run --rm busybox true"
        "husk, bridge, -p" "$husk run --rm -p 18080:80 busybox true")
    ! has podman || commands+=("podman, bridge, -p@$peer_ns" "${podman[*]} run --rm -p 18081:80 busybox true")
    # shellcheck disable=SC2086 # words
    net_in ${HUSK_BENCH_THROUGH-} "$out/pair" -n "$rounds" "${commands[@]}" >"$out/netstart.tsv"
    tests/bench/chart "run --rm busybox true, on networks" "$out/netstart.tsv" "$out/netstart.svg"
    goal "a bridge adds, ms of CPU" netstart "husk, bridge" "husk, none" 8 7 3 difference
    net_husk rm -f b-keep >/dev/null
}

# net_rate PID-OF-SERVER'S-NETWORK PID-OF-CLIENT'S ADDRESS PORT: Gbit/s
net_rate() {
    local server pid=$1
    nsenter --target "$pid" --net iperf3 -s -1 -p 5201 >/dev/null 2>&1 &
    server=$!
    until nsenter --target "$pid" --net ss -Hltn 'sport = 5201' | grep -q .; do sleep 0.02; done
    nsenter --target "$2" --net iperf3 -c "$3" -p "$4" -t "${HUSK_BENCH_NET_SECONDS:-2}" --json |
        jq -r '.end.sum_received.bits_per_second / 1e9'
    wait "$server" || true
}
# net_one NAME PID PID ADDRESS PORT: the best of all rounds is what counts: others only take away from it
net_one() { printf '%s\t%s\n' "$1" "$(net_rate "${@:2}")" >>"$out/netrate.all"; }
net_address() { nsenter --target "$1" --net ip -4 -j address show dev eth0 | jq -r '.[0].addr_info[0].local'; }
net_throughput() {
    local round a b pa pb ports
    net_husk run -d --name b-a -p 5301:5201 busybox sleep 100000 >/dev/null
    net_husk run -d --name b-b busybox sleep 100000 >/dev/null
    a=$("$husk" inspect --format '{{.State.Pid}}' b-a) b=$("$husk" inspect --format '{{.State.Pid}}' b-b)
    ports=$(net_processes)
    net_husk port add b-a 5303:80
    printf 'a published port adds %d processes\n' $(($(net_processes) - ports))
    pa='' pb=''
    if has podman; then
        net_podman run -d --name b-a -p 5302:5201 busybox sleep 100000 >/dev/null
        net_podman run -d --name b-b --network podman busybox sleep 100000 >/dev/null
        pa=$(net_podman inspect --format '{{.State.Pid}}' b-a) pb=$(net_podman inspect --format '{{.State.Pid}}' b-b)
    fi
    : >"$out/netrate.all"
    for ((round = 0; round < 4; round++)); do
        net_one "a bare pair" "$net_bare" "$net_host" 198.51.100.2 5201
        net_one "husk: container to container" "$a" "$b" "$(net_address "$a")" 5201
        net_one "husk: 127.0.0.1 to a published port" "$a" "$net_host" 127.0.0.1 5301
        net_one "husk: outside to a published port" "$a" "$net_bare" 198.51.100.1 5301
        [[ $pa ]] || continue
        net_one "podman: container to container" "$pa" "$pb" "$(net_address "$pa")" 5201
        net_one "podman: 127.0.0.1 to a published port" "$pa" "$net_host" 127.0.0.1 5302
        net_one "podman: outside to a published port" "$pa" "$net_bare" 198.51.100.1 5302
    done
    awk -F'\t' '$2 > most[$1] { most[$1] = $2 } !seen[$1]++ { order[++n] = $1 }
        END { for (i = 1; i <= n; i++) printf "%-40s %6.2f Gbit/s  %.2f of a bare pair\n", order[i], most[order[i]],
            most[order[i]] / most["a bare pair"] }' "$out/netrate.all"
    net_husk rm -f b-a b-b >/dev/null
    ! has podman || net_podman rm -f --time 0 b-a b-b >/dev/null
}
net_processes() { pgrep -cf "husk-(monitor|dns|usernet)( |$)"; }

# Names: questions a second, by as many as are under way at once, and what the resolver itself takes.
net_names() {
    command -v dnsperf >/dev/null || return 0
    local a gateway before after resolver rate
    net_husk run -d --name b-a busybox sleep 100000 >/dev/null
    a=$("$husk" inspect --format '{{.State.Pid}}' b-a)
    gateway=$("$husk" network inspect husk | jq -r '.[0].IPAM.Config[0].Gateway')
    printf 'b-a A\nB-A.husk A\nb-a AAAA\nnobody A\n' >"$tmp/questions"
    resolver=$(pgrep -f "husk-dns $HUSK_ROOT")
    before=$(awk '{ print $14 + $15 }' "/proc/$resolver/stat")
    rate=$(nsenter --target "$a" --net dnsperf -s "$gateway" -d "$tmp/questions" -l 5 -q 200 -c 4 |
        sed -nE 's/.*Queries (per second|completed): +([0-9.]+).*/\2/p' | tr '\n' ' ')
    after=$(awk '{ print $14 + $15 }' "/proc/$resolver/stat")
    awk -v r="$rate" -v cpu=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN { split(r, v, " ")
        printf "names: %.0f questions a second (at least 20000), %.1f us of the resolver'"'"'s CPU each\n", v[2], cpu / hz / v[1] * 1e6 }'
    net_husk rm -f b-a >/dev/null
}

# 500 on one bridge: ms of CPU and the least wall of the first ten and the last ten.
net_many() {
    local n=${HUSK_BENCH_NET_MANY:-500} i begin
    for ((i = 1; i <= n; i++)); do
        begin=$(date +%s%N)
        net_husk run -d -p $((20000 + i)):80 busybox sleep 100000 >/dev/null
        echo $((($(date +%s%N) - begin) / 1000))
    done >"$out/netmany"
    printf '%d containers with a port on one bridge: the least and the median of the first ten %s ms, of the last ten %s ms\n' "$n" \
        "$(head -n 10 "$out/netmany" | sort -n | awk 'NR == 1 || NR == 5 { printf "%.1f ", $1 / 1000 }')" \
        "$(tail -n 10 "$out/netmany" | sort -n | awk 'NR == 1 || NR == 5 { printf "%.1f ", $1 / 1000 }')"
    "$husk" ps -aq | net_in xargs "$husk" rm -f >/dev/null
}

case_net() {
    net_begin
    local part
    for part in ${HUSK_BENCH_NET:-start throughput names many}; do "net_$part"; done
    ! has podman || net_podman network prune -f >/dev/null
}
