#!/usr/bin/env bats
# Registries and files whose names cannot be looked up: for now, or at all; as root and as an ordinary user.
# shellcheck disable=SC2154 # bats sets the variables

load helpers

WHO="root_husk user_husk"

setup_file() {
    husk_setup_file
    python3 "$HUSK_TOP/tests/bats/name-server.py" 127.0.0.1 >"$T/names" 2>&1 3>&- &
    echo $! >"$T/names.pid"
    printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$T/resolv.conf"
    printf '127.0.0.1 localhost\n' >"$T/hosts"
    wait_until 30 grep -q ':0035 ' /proc/net/udp
    start_registry
    push_busybox x >/dev/null
}
teardown_file() {
    kill "$(<"$T/names.pid")"
    [[ ! -e $T/served.pid ]] || kill "$(<"$T/served.pid")"
    husk_teardown_file
}

# named HUSK ARGUMENT...: asking the name server of this file; says what is tried again.
named() {
    export -f root_husk user_husk as_user
    HUSK_LOG=debug unshare --mount --propagation private bash -c '
        mount --bind "$T/resolv.conf" /etc/resolv.conf && mount --bind "$T/hosts" /etc/hosts && "$@"' - "$@"
}
user_husk() { as_user env HUSK_LOG=debug "$HUSK" "$@"; }
export HUSK_USER

@test "a name that the name servers cannot look up for the moment is asked for again, as a server is that says 'not now'" {
    local h
    for h in $WHO; do
        run named $h pull --tls-verify=false --retry-delay 10ms "later-${h%_*}.test:${REGISTRY#*:}/x"
        expect 0 "registry: attempt 1: connect to later-${h%_*}.test:${REGISTRY#*:}: Temporary failure in name resolution"
        run named $h image tags --tls-verify=false "later-tags-${h%_*}.test:${REGISTRY#*:}/x"
        expect 0 "registry: attempt 1:"
    done
    # so often, and no oftener
    run named root_husk pull --retry-delay 1ms failing.test/x
    expect 1 "registry: attempt 4: connect to failing.test:443: Temporary failure in name resolution: the name servers in /etc/resolv.conf do not say where it is"
    [[ $output != *"attempt 5"* ]]
    run named root_husk pull --retry 0 failing.test/x
    expect 1 "!attempt 1"
}

@test "a name that does not exist is asked for once" {
    local h
    for h in $WHO; do
        run named $h pull missing.test/x
        expect 1 "connect to missing.test:443: no such host"
        [[ $output != *"attempt 1"* ]]
    done
}

@test "a name server that does not answer at all" {
    printf 'nameserver 127.0.0.1\noptions timeout:3 attempts:1\n' >"$T/resolv.conf"
    run named root_husk pull silent.test/x
    expect 1 "connect to silent.test:443: no such host, or no name server answers"
    [[ $output != *"attempt 1"* ]]
    run named root_husk pull --timeout 1s silent.test/x
    expect 1 "connect to silent.test:443: Resolving timed out after 1"
    printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$T/resolv.conf"
}

@test "the name of a proxy, and of a file that a build adds" {
    local h port
    mkdir "$T/served" && echo hello >"$T/served/file"
    (cd "$T/served" && exec python3 -u -m http.server --bind 127.0.0.1 0) >"$T/served.log" 2>&1 3>&- &
    echo $! >"$T/served.pid"
    wait_until 30 grep -q 'port [0-9]' "$T/served.log"
    port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$T/served.log")
    mkdir -m 755 "$T/c"
    for h in $WHO; do
        printf 'FROM scratch\nADD http://later-file-%s.test:%s/file /file\n' "${h%_*}" "$port" >"$T/c/Dockerfile"
        run named $h build -q -t "file-$h" "$T/c"
        expect 0
        [[ $("$h" image cat "file-$h" /file 2>/dev/null) == hello ]]
    done
    run named root_husk import --quiet "http://failing.test:$port/file"
    [[ $status -ne 0 && $output == *"connect to failing.test:$port: Temporary failure in name resolution"* ]]
    run named env HTTPS_PROXY=http://missing.test:3128 "$HUSK" pull registry.test/x
    expect 1 "connect to registry.test:443: the proxy missing.test:3128: no such host"
    run named env HTTPS_PROXY=http://failing.test:3128 "$HUSK" pull --retry-delay 1ms registry.test/x
    expect 1 "connect to registry.test:443: the proxy failing.test:3128: Temporary failure in name resolution"
    [[ $output == *"attempt 4"* ]]
}
