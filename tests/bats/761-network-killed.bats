#!/usr/bin/env bats
# Commands that change what a running container has are killed at every point: the next one finishes what they began.
# shellcheck disable=SC2016,SC2154

load helpers
load net

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
}
teardown_file() { husk_teardown_file; }
setup() {
    ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    husk network create side >/dev/null
    serve web
    husk run -d --name near --network side busybox sleep 1000 >/dev/null
}
teardown() {
    remove_all_containers
    husk network rm side >/dev/null
}

points() { sed -n 's/.*X(FAULT_[A-Z_]*, "\(.*\)").*/\1/p' "$HUSK_TOP/src/os/fault.h" | grep -E "^($1)-"; }
# killed POINT ARG...: husk is killed there; false where it does not come by.
killed() {
    HUSK_FAULT=kill@$1 run "$HUSK_FAULT_BUILD/bin/husk" "${@:2}"
    [[ $status == 137 ]] && return 0
    expect 0
    return 1
}
devices() { husk exec web ls /sys/class/net | xargs; }
pending() { [[ -e $HUSK_RUN/$(husk inspect --format '{{.Id}}' web)/network.change ]]; }
is_whole() { ! pending || { echo "$1: a change is pending"; return 1; }; }
reaches() { husk exec near ping -c 1 -w 3 "$(ip_of web side)" >/dev/null; }

@test "port add and port rm are killed at every point: the same again, or a reload, finishes it" {
    local point n=0
    for point in $(points change); do
        if killed "$point" port add web 8080:80; then
            n=$((n + 1))
            husk port add web 8080:80 # whatever came of the first
        fi
        [[ $(published | wc -l) == 1 ]] || { echo "$point: $(published)"; return 1; }
        run ask 127.0.0.1 8080
        expect 0 "=web"
        is_whole "$point"
        if killed "$point" port rm web 8080:80; then
            n=$((n + 1))
            ((n % 2)) && husk port rm web 8080:80 || husk network reload
            ! husk port web | grep -q . || husk port rm web 8080:80
        fi
        [[ ! $(published) ]] || { echo "$point: $(published)"; return 1; }
        is_whole "$point"
    done
    [[ $n -ge 10 ]] || { echo "only $n are killed"; return 1; }
    run husk system check
    expect 0
    husk rm -f web >/dev/null
    husk run --rm -p 8080:80 busybox true
}

@test "network connect and disconnect are killed at every point: the same again, or system check, finishes it" {
    local point n=0
    for point in $(points "change|endpoint"); do
        if killed "$point" network connect side web; then
            n=$((n + 1))
            husk network connect side web
        fi
        [[ $(devices) == "eth0 eth1 lo" ]] || { echo "$point: $(devices)"; return 1; }
        reaches
        is_whole "$point"
        if killed "$point" network disconnect side web; then
            n=$((n + 1))
            if pending && ((n % 2)); then
                run husk system check
                [[ $output == *"commands were killed while they changed the networks or ports of 1 running containers"* ]]
                husk system check --repair || true
            fi
            if husk inspect web | jq -e '.[0].NetworkSettings.Networks.side' >/dev/null; then
                husk network disconnect side web
            fi
            ! pending || husk network reload
        fi
        [[ $(devices) == "eth0 lo" && $(veths | wc -l) == 2 ]] || { echo "$point: $(devices), $(veths)"; return 1; }
        is_whole "$point"
    done
    [[ $n -ge 10 ]] || { echo "only $n are killed"; return 1; }
    run husk system check
    expect 0
}

@test "a connect that fails leaves everything as it was" {
    husk port add web 8080:80
    husk exec web ip link show eth0 >/dev/null
    nsenter --target "$(husk inspect --format '{{.State.Pid}}' web)" --net ip link add eth1 type bridge
    run husk network connect side web
    [[ $status -ne 0 && $output == *"eth1"* ]]
    ! pending
    run husk inspect --format '{{len .NetworkSettings.Networks}}' web
    expect 0 "=1"
    run ask 127.0.0.1 8080
    expect 0 "=web"
}

@test "reload and policy changes are killed at every point: the next reload makes it whole" {
    local point
    husk port add web 8080:80
    for point in policy-changed network-in-firewall change-done; do
        killed "$point" network policy default side deny || true
        killed "$point" network reload || true
        husk network reload
        run husk system check
        expect 0
        husk network policy default side allow
    done
    nft flush ruleset
    killed change-begun network reload || true
    run ask 127.0.0.1 8080
    expect 0 "=web"
}
