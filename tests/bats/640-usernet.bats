#!/usr/bin/env bats
# The namespace of an ordinary user's networks: who holds it, how it is joined to the outside, and what happens when
# somebody is killed.

load helpers
load outside

setup_file() {
    husk_setup_file
    outside_up
    outside python3 -m http.server --bind 203.0.113.7 8000 --directory "$IMAGES" >/dev/null 2>&1 3>&- &
    echo $! >"$T/server"
    wait_until 10 outside curl -sfo /dev/null http://203.0.113.7:8000/
}
teardown_file() {
    kill "$(<"$T/server")" || true
    outside_down
    husk_teardown_file
}

user_husk() { USER_TUN=1 as_user husk "$@"; }
in_networks() { user_husk unshare --rootless-netns "$@"; }
holders() { pgrep -u "$HUSK_USER" -f "husk-usernet $USER_RUN/husk"; }
pasta_pid() { cat "$USER_RUN/husk/usernet.pasta"; }
# Somebody who needs the namespace until `let_go`.
hold() {
    rm -f "$T/tmp/go"
    in_networks sh -c 'until [ -e "$0" ]; do sleep 0.1; done' "$T/tmp/go"
}
let_go() { : >"$T/tmp/go"; }
no_holder() { ! holders; }

@test "an ordinary user's networks are in a namespace of his own, as whose root he may do what root does" {
    run in_networks sh -c 'ip link add br7 type bridge && ip -br link show br7; id -u; cat /proc/self/gid_map | wc -l'
    expect 0 br7
    [[ $(in_networks echo a b) == "a b" ]]
    [[ ${lines[1]} == 0 && ${lines[2]} == 2 ]]
    [[ ! -e /sys/class/net/br7 ]]
}

@test "the outside is reached from it, and the host's loopback is not" {
    run in_networks curl -sfm 5 http://203.0.113.7:8000/
    expect 0 "Directory listing"
    python3 -m http.server --bind 127.0.0.1 8001 --directory "$T/tmp" >/dev/null 2>&1 3>&- &
    local server=$!
    wait_until 10 curl -sfo /dev/null http://127.0.0.1:8001/
    run in_networks sh -c 'curl -sfm 2 http://127.0.0.1:8001/ || curl -sfm 2 http://198.51.100.2:8001/'
    kill "$server"
    [[ $status -ne 0 ]]
}

@test "there is one holder and one pasta for all, and both go when nobody needs them" {
    hold 3>&- &
    local first=$!
    wait_until 10 holders
    wait_until 10 test -s "$USER_RUN/husk/usernet.pasta"
    local holder pasta
    holder=$(holders) pasta=$(pasta_pid)
    run in_networks true
    expect 0
    [[ $(holders) == "$holder" && $(pasta_pid) == "$pasta" ]]
    let_go
    wait "$first"
    wait_until 30 no_holder
    wait_until 10 gone "$pasta"
    [[ ! -e $USER_RUN/husk/usernet && ! -e $USER_RUN/husk/usernet.pasta ]]
}

@test "a killed pasta comes back with the next command, in the same namespace" {
    hold 3>&- &
    wait_until 10 test -s "$USER_RUN/husk/usernet.pasta"
    local holder pasta
    holder=$(holders) pasta=$(pasta_pid)
    kill -KILL "$pasta"
    wait_until 10 gone "$pasta"
    run in_networks curl -sfm 5 -o /dev/null http://203.0.113.7:8000/
    expect 0
    [[ $(holders) == "$holder" && $(pasta_pid) != "$pasta" ]]
    let_go
    wait_until 30 no_holder
}

@test "a killed holder comes back with the next command, and its pasta does not stay" {
    hold 3>&- &
    wait_until 10 test -s "$USER_RUN/husk/usernet.pasta"
    local holder pasta
    holder=$(holders) pasta=$(pasta_pid)
    kill -KILL "$holder"
    wait_until 10 gone "$holder"
    run in_networks curl -sfm 5 -o /dev/null http://203.0.113.7:8000/
    expect 0
    wait_until 10 gone "$pasta"
    let_go
    wait_until 30 no_holder
}

@test "many that start at once share one" {
    local i pids=()
    for i in 1 2 3 4 5 6; do
        in_networks readlink /proc/self/ns/net >"$T/tmp/ns.$i" &
        pids+=($!)
    done
    wait "${pids[@]}"
    run sort -u "$T"/tmp/ns.1 "$T"/tmp/ns.2 "$T"/tmp/ns.3 "$T"/tmp/ns.4 "$T"/tmp/ns.5 "$T"/tmp/ns.6
    expect 0 net:
    [[ ${#lines[@]} == 1 ]]
    wait_until 30 no_holder
}

@test "without a device that he may open, a user is told what cures it" {
    wait_until 30 no_holder
    if as_user test -w /dev/net/tun; then
        run USER_TUN='' as_user husk unshare --rootless-netns true
        expect 0
    else
        run as_user husk unshare --rootless-netns true
        expect 125 "chmod 666 /dev/net/tun"
    fi
    wait_until 30 no_holder
}
