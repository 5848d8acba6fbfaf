#!/usr/bin/env bats
# registries.conf: aliases, the search list, mirrors, other locations, blocked and insecure registries.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" x=gzip:a,gzip:b
    local name
    for name in team/x:1 solo:latest hub/library/tool:latest; do
        skopeo copy --quiet --preserve-digests --dest-tls-verify=false "oci:$T/oci:x" "docker://$REGISTRY/$name"
    done
    start_liar "$T/oci"
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER HOME=$T/home-$BATS_TEST_NUMBER
    unset XDG_CONFIG_HOME
    mkdir -p "$HOME/.config/containers/registries.conf.d"
    CONF=$HOME/.config/containers/registries.conf
}
teardown() { rm -rf "$HUSK_ROOT" "$HOME"; }

@test "an alias: pulled under its full name, and found by the short one" {
    printf '[aliases]\nx = "%s/team/x"\n' "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q x:1
    expect 0 "=$REGISTRY/team/x:1"
    run "$HUSK" image inspect x:1
    expect 0 "$REGISTRY/team/x:1"
    run "$HUSK" image inspect x:2
    expect 1 "no such image"
    rm "$CONF"
    run "$HUSK" image inspect x:1
    expect 1 "no such image"
}

@test "an alias that podman noted when it asked somebody goes before the others" {
    as_user mkdir -p "$USER_HOME/.cache/containers" "$USER_HOME/.config/containers"
    printf '[aliases]\n"noted" = "%s/team/x"\n' "$REGISTRY" | as_user tee "$USER_HOME/.cache/containers/short-name-aliases.conf" >/dev/null
    printf '[aliases]\n"noted" = "127.0.0.1:1/team/x"\n' | as_user tee "$USER_HOME/.config/containers/registries.conf" >/dev/null
    run as_user husk pull -q noted:1
    expect 0 "=$REGISTRY/team/x:1"
    run as_user husk image inspect noted:1
    expect 0
    as_user rm "$USER_HOME/.cache/containers/short-name-aliases.conf" "$USER_HOME/.config/containers/registries.conf"
    as_user husk rmi "$REGISTRY/team/x:1"
}

@test "a name without a registry is searched for in order" {
    printf 'unqualified-search-registries = ["127.0.0.1:1", "%s", "never.invalid"]\n' "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q solo
    expect 0 "$REGISTRY/solo:latest"
    [[ $output == *"connect to 127.0.0.1:1: Connection refused"* ]]
    run "$HUSK" pull --retry 0 nowhere
    expect 1 "$(no_host never.invalid)"
    printf 'short-name-mode = "enforcing"\n' >>"$CONF"
    run "$HUSK" pull solo
    expect 1 "short name 'solo' is ambiguous (short-name-mode is \"enforcing\"): say which of 127.0.0.1:1/solo:latest, $REGISTRY/solo:latest"
    printf 'unqualified-search-registries = ["%s"]\nshort-name-mode = "enforcing"\n' "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q solo
    expect 0 "=$REGISTRY/solo:latest"
}

@test "a mirror is asked first, and the image keeps its own name" {
    printf '[[registry]]\nlocation = "registry.test"\n[[registry.mirror]]\nlocation = "%s"\n' "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q registry.test/team/x:1
    expect 0 "=registry.test/team/x:1"
    [[ $(names) == registry.test/team/x:1 ]]
    printf '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "%s/hub"\n' "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q tool
    expect 0 "=docker.io/library/tool:latest"
    store_is_sound "$HUSK_ROOT"
}

@test "mirrors that are down, or do not have it: the registry itself is asked, and that is said" {
    printf '[[registry]]\nprefix = "registry.test"\nlocation = "%s/team"\n[[registry.mirror]]\nlocation = "127.0.0.1:1"\n[[registry.mirror]]\nlocation = "%s"\n' \
        "$REGISTRY" "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q registry.test/x:1
    expect 0 "registry.test/x:1"
    [[ $output == *"mirror '127.0.0.1:1': connect to 127.0.0.1:1: Connection refused"* ]]
    [[ $output == *"mirror '$REGISTRY': registry '$REGISTRY' has no such image"* ]]
}

@test "a mirror for digests is not asked for tags" {
    local digest
    digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/team/x:1")
    printf '[[registry]]\nlocation = "127.0.0.1:1"\n[[registry.mirror]]\nlocation = "%s"\npull-from-mirror = "digest-only"\n' \
        "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q 127.0.0.1:1/team/x:1
    expect 1 "connect to 127.0.0.1:1: Connection refused"
    run "$HUSK" pull -q "127.0.0.1:1/team/x@$digest"
    expect 0 "=127.0.0.1:1/team/x@$digest"
}

@test "a mirror that lacks a layer, or lies about it: the next one is asked for that layer" {
    local lie
    for lie in blob-missing digest short; do
        printf '[[registry]]\nprefix = "registry.test/x"\nlocation = "%s/honest"\n[[registry.mirror]]\nlocation = "%s/%s"\n' \
            "$LIAR" "$LIAR" "$lie" >"$CONF"
        rm -rf "$HUSK_ROOT"
        run "$HUSK" pull -q registry.test/x
        expect 0 "registry.test/x:latest"
        store_is_sound "$HUSK_ROOT"
    done
}

@test "what the command line gives goes to the registry alone, not to its mirrors" {
    : >"$T/liar/log"
    printf '[[registry]]\nprefix = "registry.test/x"\nlocation = "%s/token-user"\n[[registry.mirror]]\nlocation = "%s/basic"\n' \
        "$LIAR" "$LIAR" >"$CONF"
    run "$HUSK" pull -q --creds u:p registry.test/x
    expect 0 "mirror '$LIAR': registry '$LIAR' needs a user name and a password"
    grep -q '^main GET /v2/basic/manifests/latest authorization=- ' "$T/liar/log"
    run grep '^main GET /v2/basic/.*authorization=[^-]' "$T/liar/log"
    expect 1
    grep -q '^main GET /token/token-user.*authorization=Basic dTpw' "$T/liar/log"
}

@test "blocked: neither pull nor push" {
    "$HUSK" pull -q "$REGISTRY/team/x:1"
    printf '[[registry]]\nlocation = "%s/team"\nblocked = true\n' "$REGISTRY" >"$CONF"
    run "$HUSK" pull "$REGISTRY/team/x:1"
    expect 1 "'$REGISTRY/team' is blocked in $CONF"
    run "$HUSK" push "$REGISTRY/team/x:1"
    expect 1 "'$REGISTRY/team' is blocked in $CONF"
    run "$HUSK" pull -q "$REGISTRY/solo"
    expect 0
}

@test "insecure: http is allowed for a registry elsewhere" {
    local port=${REGISTRY#*:}
    with_proxy() { "$HUSK_TOP/tests/bats/proxy.py" --dir "$T/proxy" "$@"; }
    mkdir -p "$T/proxy"
    with_proxy "registry.test:$port=127.0.0.1:$port" >"$T/proxy/out" 2>&1 3>&- &
    local pid=$!
    wait_until 30 test -e "$T/proxy/port"
    export http_proxy=http://127.0.0.1:$(<"$T/proxy/port") https_proxy=http://127.0.0.1:$(<"$T/proxy/port")
    run "$HUSK" pull -q "registry.test:$port/solo"
    expect 1 "registry.test:$port"
    printf '[[registry]]\nlocation = "registry.test:%s"\ninsecure = true\n' "$port" >"$CONF"
    run "$HUSK" pull -q "registry.test:$port/solo"
    kill "$pid"
    expect 0 "=registry.test:$port/solo:latest"
}

@test "drop-ins override in the order of their names; an environment variable names another file" {
    printf '[aliases]\nx = "a.invalid/x"\n' >"$CONF"
    printf '[aliases]\nx = "b.invalid/x"\n' >"$HOME/.config/containers/registries.conf.d/20.conf"
    printf '[aliases]\nx = "%s/team/x"\n' "$REGISTRY" >"$HOME/.config/containers/registries.conf.d/30.conf"
    printf '[aliases]\nx = "c.invalid/x"\n' >"$HOME/.config/containers/registries.conf.d/40.bak"
    run "$HUSK" pull -q x:1
    expect 0 "=$REGISTRY/team/x:1"
    printf '[aliases]\ny = "%s/team/x"\n' "$REGISTRY" >"$HOME/other"
    run env CONTAINERS_REGISTRIES_CONF="$HOME/other" "$HUSK" pull -q y:1
    expect 0 "=$REGISTRY/team/x:1"
    run env CONTAINERS_REGISTRIES_CONF="$HOME/none" "$HUSK" pull -q y:1
    expect 1 "there is no file '$HOME/none'"
}

@test "a file that is wrong: one sentence, with its place" {
    local text words wrong=0 rows=0
    while IFS='|' read -r text words; do
        rows=$((rows + 1))
        # shellcheck disable=SC2059 # the text has \n on purpose
        printf "$text" >"$CONF"
        run "$HUSK" pull solo
        if [[ $status != 1 || $output != *"husk pull: $CONF: ${words# }"* || ${#lines[@]} != 1 ]]; then
            wrong=$((wrong + 1))
            echo "$text: status $status, expected '$words': $output"
        fi
    done <<'EOF2'
[registries.search]| it is of version 1
\n\nx = yes| line 3: 'yes' is no value: text stands in quotes
short-name-mode = "maybe"| short-name-mode: 'maybe' is not one of enforcing, permissive, disabled
[[registry]]\ninsecure = true| registry[0]: a registry needs a location or a prefix
[[registry]]\nlocation = "http://x.io"| registry[0]: prefix: 'http://x.io' is not of the form HOST[:PORT][/PATH]
[aliases]\nx = "y"| aliases: 'x' = 'y' is no HOST[:PORT]/NAME without a tag
EOF2
    [[ $rows == 6 && $wrong == 0 ]]
    printf 'new-fashion = 1\n[aliases]\nsolo = "%s/solo"\n' "$REGISTRY" >"$CONF"
    run "$HUSK" pull -q solo
    expect 0 "husk does not know 'new-fashion': it is ignored"
}

@test "an ordinary user has a file of their own" {
    as_user mkdir -p "$USER_HOME/.config/containers"
    printf '[aliases]\nx = "%s/team/x"\n' "$REGISTRY" | as_user tee "$USER_HOME/.config/containers/registries.conf" >/dev/null
    run as_user husk pull -q x:1
    expect 0 "=$REGISTRY/team/x:1"
    run as_user husk image inspect x:1
    expect 0
}
