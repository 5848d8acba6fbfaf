#!/usr/bin/env bats
# build: base images that are not here are fetched side by side, as root and as an ordinary user.
# shellcheck disable=SC2154 # bats sets them

load helpers

setup_file() {
    husk_setup_file
    start_registry
    push_busybox one:1 >/dev/null
    push_busybox two:1 >/dev/null
    mkdir -m 755 "$T/c"
}
teardown_file() {
    husk_teardown_file
}

begin_proxy() {
    rm -f "$T/tmp/port" "$T/tmp/paths"
    "$HUSK_TOP/tests/bats/both-at-once.py" "$REGISTRY" "$T/tmp" >"$T/tmp/proxy.log" 2>&1 3>&- &
    PROXY=$!
    wait_until 20 test -s "$T/tmp/port"
    AT=127.0.0.1:$(<"$T/tmp/port")
}
teardown() {
    [[ ! ${PROXY-} ]] || kill "$PROXY"
}
fetches_nothing() { ! pgrep -f "pull.*$AT/one" >/dev/null; }

@test "build: the base images of two stages are fetched side by side, each once, whatever --pull says" {
    local h
    for h in husk user_husk; do
        begin_proxy
        printf 'FROM %s/one:1 AS a\nFROM %s/two:1 AS b\nFROM %s/one:1 AS c\nFROM scratch\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\nCOPY --from=c /etc/passwd /c\n' \
            "$AT" "$AT" "$AT" >"$T/c/Dockerfile"
        "$h" build -q --tls-verify=false --pull -o "$T/tmp/out-$h" "$T/c" >/dev/null
        [[ -s $T/tmp/out-$h/a && -s $T/tmp/out-$h/b && -s $T/tmp/out-$h/c ]]
        [[ $(grep -c '/one/manifests/1$' "$T/tmp/paths") == $(grep -c '/two/manifests/1$' "$T/tmp/paths") ]]
        kill "$PROXY"
        PROXY=''
        # now they are here
        "$h" build -q -o "$T/tmp/again-$h" "$T/c" >/dev/null
        run "$h" system check
        expect 0 'no problems'
    done
}

@test "build: an image that cannot be fetched fails the build at its line, and ends who fetches the other" {
    begin_proxy
    printf 'FROM %s/one:2 AS a\nFROM %s/no:1 AS b\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n' "$AT" "$AT" >"$T/c/Dockerfile"
    run husk build -q --tls-verify=false "$T/c"
    [[ $status != 0 && $output == *"no:1"* && $output != *"one:2"* ]]
    # "one" would hang for 20 seconds more
    wait_until 10 fetches_nothing
    printf 'FROM scratch\nCOPY Dockerfile /\n' >"$T/c/Dockerfile"
    husk build -q "$T/c" >/dev/null
    run husk system check
    expect 0 'no problems'
}
