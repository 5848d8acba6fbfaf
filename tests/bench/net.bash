# net.bash: what networks cost: a start, what is sent, published ports, names. Read by run.
# shellcheck shell=bash disable=SC2154 # run sets the others
#
# All of it is in a network namespace of its own, which is the host here: 198.51.100.1, a default route, and beside it a
# bare pair of interfaces to a second namespace, which is what the others are compared with. docker has two like these for
# itself, as the policy of its rules is to drop what others forward.

net_space() { # NAME: a network namespace; the variable of that name is a process in it
    unshare --net sleep infinity </dev/null &
    local pid=$!
    pids+=("$pid")
    until [[ $(readlink "/proc/$pid/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.02; done
    nsenter --target "$pid" --net ip link set lo up
    printf -v "$1" %s "$pid"
}
net_pair() { # HOST OUT: variables: two spaces, and the bare pair between them
    net_space "$1"
    net_space "$2"
    nsenter --target "${!1}" --net sh -c "ip link add bare0 type veth peer name bare1 netns ${!2}
        ip address add 198.51.100.1/24 dev bare0; ip link set bare0 up; ip route add default via 198.51.100.2"
    nsenter --target "${!2}" --net sh -c 'ip address add 198.51.100.2/24 dev bare1; ip link set bare1 up'
}
net_begin() {
    net_pair net_host net_bare
    net_docker_pid=''
    command -v dockerd >/dev/null || return 0
    net_pair net_docker net_docker_bare
    daemons_begin net "$tmp/net" "$net_docker"
    if [[ ! $dockerd_pid ]]; then
        printf 'docker does not start: %s\n' "$(tail -n 1 "$tmp/dockerd.log")" >&2
        return
    fi
    net_docker_pid=$dockerd_pid net_docker_cli=("${docker_cli[@]}")
    "${net_docker_cli[@]}" load --quiet --input "$tmp/images/busybox.tar" >/dev/null
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
    [[ ! $net_docker_pid ]] || commands+=("docker, bridge, -p+$net_docker_pid" "${net_docker_cli[*]} run --rm -p 18082:80 busybox true")
    # shellcheck disable=SC2086 # words
    net_in ${HUSK_BENCH_THROUGH-} "$out/pair" -n "$rounds" "${commands[@]}" >"$out/netstart.tsv"
    tests/bench/chart "run --rm busybox true, on networks" "$out/netstart.tsv" "$out/netstart.svg"
    goal "a bridge adds, ms of CPU" netstart "husk, bridge" "husk, none" 8 7 3 difference
    net_husk rm -f b-keep >/dev/null
}

# What there is without any engine: two spaces on a bridge, and one outside. floor: nothing else is in the way of a
# packet; ruled: the same with the fewest rules that a published port is possible with, which track connections.
net_floor() { # NAME: NAME_host, NAME_a, NAME_b, NAME_out
    local end host
    for end in host a b out; do net_space "$1_$end"; done
    host=$1_host
    at() { nsenter --target "${!host}" --net "$@"; }
    ! at test -e /proc/sys/net/bridge || at sysctl -qw net.bridge.bridge-nf-call-{ip,ip6,arp}tables=0
    at sysctl -qw net.ipv4.ip_forward=1
    at ip link add br0 type bridge
    at ip address add 10.9.0.1/24 dev br0
    at ip link set br0 up
    for end in a b out; do
        local space=$1_$end to=10.9.0.1 own=10.9.0.2/24
        [[ $end != b ]] || own=10.9.0.3/24
        [[ $end != out ]] || to=192.0.2.1 own=192.0.2.2/24
        at ip link add "v$end" type veth peer name eth0 netns "${!space}"
        if [[ $end == out ]]; then at ip address add 192.0.2.1/24 dev vout; else at ip link set "v$end" master br0; fi
        at ip link set "v$end" up
        nsenter --target "${!space}" --net sh -c "ip address add $own dev eth0; ip link set eth0 up; ip route add default via $to"
    done
    [[ $1 == ruled ]] || return 0
    at sysctl -qw net.ipv4.conf.br0.route_localnet=1
    at nft -f - <<'END'
table inet floor {
    chain forward {
        type filter hook forward priority 0
        ct state established accept
    }
    chain prerouting {
        type nat hook prerouting priority -100
        fib daddr type local tcp dport 5301 dnat ip to 10.9.0.2:5201
    }
    chain output {
        type nat hook output priority -100
        fib daddr type local tcp dport 5301 dnat ip to 10.9.0.2:5201
    }
    chain postrouting {
        type nat hook postrouting priority 100
        ip saddr 127.0.0.0/8 masquerade
    }
}
END
}

# net_rate PID-OF-SERVER'S-NETWORK PID-OF-CLIENT'S ADDRESS PORT: Gbit/s, and CPU for each GB in ms: of client and server,
# and of the machine's network (softirq), so that what else runs matters little.
net_rate() {
    local server pid=$1 before TIMEFORMAT='%U %S'
    { time nsenter --target "$pid" --net timeout 30 iperf3 -s -1 -p 5201 >/dev/null 2>&1; } 2>"$tmp/net.server" &
    server=$!
    until nsenter --target "$pid" --net ss -Hltn 'sport = 5201' | grep -q .; do sleep 0.02; done
    before=$(net_softirq)
    { time nsenter --target "$2" --net timeout 30 iperf3 -c "$3" -p "$4" -t "${HUSK_BENCH_NET_SECONDS:-1}" --json >"$tmp/net.json"; } 2>"$tmp/net.client" ||
        { echo "iperf3 to $3 port $4: $(jq -r .error "$tmp/net.json")" >&2; return 1; }
    wait "$server" || true
    jq -r '.end.sum_received | "\(.bits_per_second / 1e9) \(.bytes / 1e9)"' "$tmp/net.json" | cat - "$tmp/net.client" "$tmp/net.server" |
        tr '\n' ' ' | awk -v soft=$(($(net_softirq) - before)) -v hz="$(getconf CLK_TCK)" \
            '{ print $1 "\t" (soft / hz + $3 + $4 + $5 + $6) * 1000 / $2 }'
}
net_softirq() { awk '{ print $8; exit }' /proc/stat; }
# net_one NAME PID PID ADDRESS PORT: medians and the best of all rounds: others only take away from those
net_one() { printf '%s\t%s\n' "$1" "$(net_rate "${@:2}")" >>"$out/netrate.all"; }
net_address() { nsenter --target "$1" --net ip "${2:--4}" -j address show dev eth0 scope global | jq -r '.[0].addr_info[0].local'; }
net_throughput() {
    local round a b pa pb da db ports
    net_husk network create --ipv6 b-net >/dev/null
    net_husk run -d --name b-a --network b-net -p 5301:5201 busybox sleep 100000 >/dev/null
    net_husk run -d --name b-b --network b-net busybox sleep 100000 >/dev/null
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
    da='' db=''
    if [[ $net_docker_pid ]]; then
        "${net_docker_cli[@]}" run -d --name b-a -p 5305:5201 busybox sleep 100000 >/dev/null
        "${net_docker_cli[@]}" run -d --name b-b busybox sleep 100000 >/dev/null
        da=$("${net_docker_cli[@]}" inspect --format '{{.State.Pid}}' b-a) db=$("${net_docker_cli[@]}" inspect --format '{{.State.Pid}}' b-b)
    fi
    net_floor floor
    net_floor ruled
    : >"$out/netrate.all"
    for ((round = 0; round < rounds; round++)); do
        net_one "a bare pair" "$floor_out" "$floor_host" 192.0.2.2 5201
        net_one "a bare bridge: neighbours" "$floor_a" "$floor_b" 10.9.0.2 5201
        net_one "a bare bridge: outside, routed" "$floor_a" "$floor_out" 10.9.0.2 5201
        net_one "a bare bridge, DNAT: neighbours" "$ruled_a" "$ruled_b" 10.9.0.2 5201
        net_one "a bare bridge, DNAT: 127.0.0.1 to a port" "$ruled_a" "$ruled_host" 127.0.0.1 5301
        net_one "a bare bridge, DNAT: outside to a port" "$ruled_a" "$ruled_out" 192.0.2.1 5301
        net_one "husk: container to container" "$a" "$b" "$(net_address "$a")" 5201
        net_one "husk: container to container, IPv6" "$a" "$b" "$(net_address "$a" -6)" 5201
        net_one "husk: container to outside" "$net_bare" "$b" 198.51.100.2 5201
        net_one "husk: host to container" "$a" "$net_host" "$(net_address "$a")" 5201
        net_one "husk: 127.0.0.1 to a published port" "$a" "$net_host" 127.0.0.1 5301
        net_one "husk: outside to a published port" "$a" "$net_bare" 198.51.100.1 5301
        [[ ! $pa ]] || net_peer podman "$pa" "$pb" "$net_host" "$net_bare" 5302
        [[ ! $da ]] || net_peer docker "$da" "$db" "$net_docker" "$net_docker_bare" 5305
    done
    net_rates
    net_husk rm -f b-a b-b >/dev/null
    net_husk network rm b-net >/dev/null
    ! has podman || net_podman rm -f --time 0 b-a b-b >/dev/null
    [[ ! $da ]] || "${net_docker_cli[@]}" rm -f b-a b-b >/dev/null
}
net_peer() { # NAME A B HOST OUT PORT: the port is published by A
    net_one "$1: container to container" "$2" "$3" "$(net_address "$2")" 5201
    net_one "$1: container to outside" "$5" "$3" 198.51.100.2 5201
    net_one "$1: 127.0.0.1 to a published port" "$2" "$4" 127.0.0.1 "$6"
    net_one "$1: outside to a published port" "$2" "$5" 198.51.100.1 "$6"
}

# As the ordinary user of the tests, with a store of his own and a /dev/net/tun that he may open: net_user CMD...
net_user() {
    net_in unshare --mount --propagation slave tests/bats/with-tun setpriv --reuid "$net_who" --regid "$net_who" --init-groups \
        env -i "PATH=$PATH" "HOME=$tmp/user" "HUSK_ROOT=$tmp/user/root" "HUSK_RUN=$run/user" LC_ALL=C.UTF-8 "$@"
}
# His published port, and beside it pasta by itself, which is all that is in a packet's way with podman's --network pasta.
net_rootless() {
    local round a
    net_who=${HUSK_TEST_USER:-husktest}
    tools/test-user "$net_who"
    chmod a+x "$tmp" "$run"
    mkdir "$tmp/user" "$run/user"
    cp -a "$build/bin" "$build/libexec" "$tmp/user/" # the user may not be let into the tree
    chown -R "$net_who:" "$tmp/user" "$run/user"
    chmod a+r "$tmp/images/busybox.tar"
    net_user "$tmp/user/bin/husk" load --quiet <"$tmp/images/busybox.tar" >/dev/null
    net_user "$tmp/user/bin/husk" run -d --name b-a -p 5303:5201 busybox sleep 100000 >/dev/null
    a=$(net_user "$tmp/user/bin/husk" inspect --format '{{.State.Pid}}' b-a)
    net_user pasta --config-net --no-map-gw -t 5304:5201 -u none -T none -U none sleep 99999 </dev/null >/dev/null 2>&1 &
    until net_pasta=$(pgrep -u "$net_who" -fx 'sleep 99999'); do sleep 0.05; done
    : >"$out/netrate.all"
    for ((round = 0; round < rounds; round++)); do
        net_one "a bare pair" "$net_bare" "$net_host" 198.51.100.2 5201
        net_one "husk, rootless: 127.0.0.1 to a port" "$a" "$net_host" 127.0.0.1 5303
        net_one "husk, rootless: outside to a port" "$a" "$net_bare" 198.51.100.1 5303
        net_one "pasta alone: 127.0.0.1 to a port" "$net_pasta" "$net_host" 127.0.0.1 5304
        net_one "pasta alone: outside to a port" "$net_pasta" "$net_bare" 198.51.100.1 5304
    done
    net_rates
    net_end
}
net_end() { # also when it came to nothing
    [[ ! ${net_pasta-} ]] || kill -KILL "$net_pasta" # process 1 of a namespace
    net_pasta=''
    [[ ! -d $tmp/user/root ]] || net_user "$tmp/user/bin/husk" rm -f b-a >/dev/null 2>&1
}
net_rates() {
    sort -t "$(printf '\t')" -k 1,1 -k 2,2g "$out/netrate.all" | awk -F'\t' -v bare="a bare pair" '
        { n[$1]++; rate[$1, n[$1]] = $2; if (!($1 in cpu) || $3 < cpu[$1]) cpu[$1] = $3 }
        function middle(name) { return rate[name, int((n[name] + 1) / 2)] }
        function of(name) { return sprintf("%-42s median %6.2f Gbit/s %.2f, best %6.2f %.2f, CPU a GB, least %4.0f ms %.2f", name, middle(name),
            middle(name) / middle(bare), rate[name, n[name]], rate[name, n[name]] / rate[bare, n[bare]], cpu[name], cpu[name] / cpu[bare]) }
        END { print of(bare); fflush(); for (name in n) if (name != bare) print of(name) | "sort" }'
}
net_processes() { pgrep --ns "$net_host" --nslist net -cf "husk-(monitor|dns|usernet)( |$)"; }

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
    for part in ${HUSK_BENCH_NET:-start throughput rootless names many}; do "net_$part"; done
    ! has podman || net_podman network prune -f >/dev/null
}
