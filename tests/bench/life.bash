# life.bash: what a container's life costs: many of them, and their output. Read by run.
# shellcheck shell=bash disable=SC2154 # run sets the others

# 50 containers that sleep: started 8 at a time (wall), then shown (CPU of ps, 20 times; docker's without its daemon).
case_fifty() {
    local peer begin wall cpu
    printf 'name\tstart_wall_s\tps_cpu_ms\tstop_wall_s\n' >"$out/fifty.tsv"
    for peer in husk podman docker; do
        [[ $peer == husk ]] || has $peer || continue
        local -a peer_cmd=("$husk")
        [[ $peer != podman ]] || peer_cmd=(nsenter "--mount=$peer_ns" "${podman[@]}")
        [[ $peer != docker ]] || peer_cmd=("${life_docker[@]}")
        begin=$(date +%s.%N)
        seq 50 | xargs -P 8 -I% "${peer_cmd[@]}" run -d --network none busybox sleep 100000 >/dev/null
        wall=$(awk -v b="$begin" -v e="$(date +%s.%N)" 'BEGIN { printf "%.2f", e - b }')
        cpu=$({ TIMEFORMAT='%U %S'; time for _ in {1..20}; do "${peer_cmd[@]}" ps >/dev/null; done; } 2>&1 |
            awk '{ printf "%.1f", ($1 + $2) * 1000 / 20 }')
        local -a all=(-a)
        [[ $peer != docker ]] || mapfile -t all < <("${peer_cmd[@]}" ps -q)
        begin=$(date +%s.%N)
        "${peer_cmd[@]}" stop -t 0 "${all[@]}" >/dev/null
        printf '%s\t%s\t%s\t%s\n' "$peer" "$wall" "$cpu" \
            "$(awk -v b="$begin" -v e="$(date +%s.%N)" 'BEGIN { printf "%.2f", e - b }')" >>"$out/fifty.tsv"
        "${peer_cmd[@]}" rm -f "${all[@]}" >/dev/null
    done
    column -t -s $'\t' "$out/fifty.tsv"
}

# All of the machine's memory that a container costs, kernel memory too: what MemAvailable loses, by 1,000 of them.
case_thousand() {
    local n=${HUSK_BENCH_THOUSAND:-1000} before after begin
    available() { sync; echo 3 >/proc/sys/vm/drop_caches; awk '/^MemAvailable:/ { print $2 }' /proc/meminfo; }
    timed() { local b; b=$(date +%s.%N); "$@" >/dev/null; awk -v b="$b" -v e="$(date +%s.%N)" 'BEGIN { printf "%.2f", e - b }'; }
    printf 'containers\tstart_s\tKiB_each\tps_s\tstats_s\tstop_s\trm_s\n' >"$out/thousand.tsv"
    before=$(available)
    begin=$(date +%s.%N)
    seq "$n" | xargs -P 4 -I% "$husk" run -d --network none busybox sleep 100000 >/dev/null
    begin=$(awk -v b="$begin" -v e="$(date +%s.%N)" 'BEGIN { printf "%.1f", e - b }')
    after=$(available)
    printf '%d\t%s\t%d\t%s\t%s\t%s\t%s\n' "$n" "$begin" $(((before - after) / n)) "$(timed "$husk" ps)" \
        "$(timed "$husk" stats --no-stream)" "$(timed "$husk" stop -a -t 0)" "$(timed "$husk" rm -fa)" >>"$out/thousand.tsv"
    column -t -s $'\t' "$out/thousand.tsv"
}

# What one health check costs: the command `true` in a container that runs. Neither asks by its own clock meanwhile.
case_health() {
    "$husk" run -d --name b-health --network none --health-cmd true --health-interval 1h busybox sleep 100000 >/dev/null
    local -a commands=("husk healthcheck run" "$husk healthcheck run b-health")
    if has podman; then
        in_peer_ns "${podman[@]}" run -d --name b-health --network none --health-cmd true --health-interval disable busybox \
            sleep 100000 >/dev/null
        commands+=("podman healthcheck run@$peer_ns" "${podman[*]} healthcheck run b-health")
    fi
    compare health "one health check: true" "${commands[@]}"
    "$husk" rm -f b-health >/dev/null
    ! has podman || in_peer_ns "${podman[@]}" rm --force --time 0 b-health >/dev/null
}

# A program that writes 1 GB to its standard output: how long it takes, and whether all of it is there.
case_logs() {
    local mb=${HUSK_BENCH_LOG_MB:-1000} line write
    line=$(printf 'x%.0s' {1..79})
    write="yes $line | head -c ${mb}000000"
    printf 'name\twall_s\tlines_kept\n' >"$out/logs.tsv"
    local -a husk_cmd=("$husk") podman_cmd=(nsenter "--mount=$peer_ns" "${podman[@]}")
    logged husk json-file "${husk_cmd[@]}"
    ! has podman || logged podman k8s-file "${podman_cmd[@]}"
    column -t -s $'\t' "$out/logs.tsv"
}
logged() { # PEER DRIVER COMMAND...
    local peer=$1 driver=$2 begin wall
    local -a limit=()
    shift 2
    [[ $peer != husk ]] || limit=(--log-opt max-size=-1)
    begin=$(date +%s.%N)
    "$@" run -d --name b-log --network none --log-driver "$driver" "${limit[@]}" busybox sh -c "$write" >/dev/null
    "$@" wait b-log >/dev/null
    wall=$(awk -v b="$begin" -v e="$(date +%s.%N)" 'BEGIN { printf "%.2f", e - b }')
    printf '%s (%s)\t%s\t%s of %s\n' "$peer" "$driver" "$wall" "$("$@" logs b-log | grep -c "^$line\$")" \
        $((mb * 1000000 / 80)) >>"$out/logs.tsv"
    "$@" rm -f b-log >/dev/null
}
