#!/usr/bin/env bats
# husk pull: from a real registry, from one that lies, killed, in parallel, on a full disk; as root and as a user.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # HUSK_ROOT is set per test, on purpose; helpers and bats set the others

load helpers
bats_require_minimum_version 1.5.0

setup_file() {
    husk_setup_file
    start_registry
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" gzip=gzip:a,gzip:b gzip2=gzip:a,gzip:z zstd=zstd:a,zstd:c plain=plain:d here=gzip:here \
        other=gzip:other@linux/sparc64 multi=+here,other empty=gzip:e,gzip:e,gzip:e many=gzip:1,gzip:2,gzip:3,gzip:4 \
        big=gzip:big1,gzip:big2,gzip:big3,gzip:big4
    local name
    for name in gzip gzip2 zstd plain here empty many big; do
        skopeo copy --quiet --preserve-digests --dest-tls-verify=false "oci:$T/oci:$name" "docker://$REGISTRY/forms:$name"
    done
    skopeo copy --quiet --all --preserve-digests --dest-tls-verify=false "oci:$T/oci:multi" "docker://$REGISTRY/forms:multi"
    push_busybox library/busybox:1
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/liar-oci" big=gzip:big
    start_liar "$T/liar-oci"
}

# Each test has a store of its own, so that what one pulled does not help the next.
setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER
}
teardown() { rm -rf "$HUSK_ROOT"; }

@test "pull prints what docker prints" {
    run "$HUSK" pull "$REGISTRY/library/busybox:1"
    expect 0
    [[ $output == *"1: Pulling from library/busybox"* ]]
    [[ $output =~ [0-9a-f]{12}:\ Pull\ complete ]]
    [[ $output =~ Digest:\ sha256:[0-9a-f]{64} ]]
    [[ $output == *"Status: Downloaded newer image for $REGISTRY/library/busybox:1"* ]]
    [[ ${lines[-1]} == "$REGISTRY/library/busybox:1" ]]

    run "$HUSK" pull "$REGISTRY/library/busybox:1"
    expect 0 "Status: Image is up to date for $REGISTRY/library/busybox:1"
    run "$HUSK" pull --quiet "$REGISTRY/library/busybox:1"
    expect 0 "=$REGISTRY/library/busybox:1"
    store_is_sound "$HUSK_ROOT"
}

@test "on a terminal there is one line per layer, redrawn" {
    run script -qec "env TERM=xterm '$HUSK' pull '$REGISTRY/forms:gzip'" /dev/null
    expect 0
    [[ $output == *$'\e[2A'* ]]
    [[ $output == *"Pull complete"* ]]
}

@test "gzip, zstd and plain layers arrive, and skopeo reads the store" {
    local form
    for form in gzip zstd plain; do
        run "$HUSK" pull -q "$REGISTRY/forms:$form"
        expect 0 "=$REGISTRY/forms:$form"
        [[ $(skopeo inspect --format '{{.Digest}}' "oci:$HUSK_ROOT:$REGISTRY/forms:$form") == \
            $(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/forms:$form") ]]
    done
    [[ $(names) == "$REGISTRY/forms:gzip"$'\n'"$REGISTRY/forms:zstd"$'\n'"$REGISTRY/forms:plain" ]]
    [[ $(cat "$HUSK_ROOT"/layers/*/fs/d) == d ]]
    [[ $(cat "$HUSK_ROOT"/layers/*/fs/c) == c ]]
    store_is_sound "$HUSK_ROOT"
}

@test "layers that are there are not fetched again" {
    "$HUSK" pull -q "$REGISTRY/forms:gzip"
    run "$HUSK" pull "$REGISTRY/forms:gzip2" # has the first layer too
    expect 0 ": Already exists"
    [[ $(grep -c 'Pull complete' <<<"$output") == 1 ]]
    run "$HUSK" pull "$REGISTRY/forms:zstd" # the same files in another packing: kept as they come, not unpacked again
    expect 0
    [[ $(grep -c 'Extracting' <<<"$output") == 1 && $(grep -c 'Pull complete' <<<"$output") == 2 ]]
    run "$HUSK" pull "$REGISTRY/forms:empty" # three times the same layer
    expect 0
    [[ $(grep -c 'Pull complete' <<<"$output") == 1 && $(grep -c 'Already exists' <<<"$output") == 2 ]]
}

@test "an index gives this machine's image or the one that is asked for" {
    run "$HUSK" pull -q "$REGISTRY/forms:multi"
    expect 0
    [[ -e $(echo "$HUSK_ROOT"/layers/*/fs/here) && ! -e $(echo "$HUSK_ROOT"/layers/*/fs/other) ]]
    run "$HUSK" pull -q --platform linux/sparc64 "$REGISTRY/forms:multi"
    expect 0
    [[ -e $(echo "$HUSK_ROOT"/layers/*/fs/other) ]]
    [[ $(names) == "$REGISTRY/forms:multi" ]]
    run "$HUSK" pull --platform linux/vax "$REGISTRY/forms:multi"
    expect 1 "no image for platform linux/vax: there are linux/"
    [[ $output == *"linux/sparc64" ]]
    run "$HUSK" pull --platform linux/sparc64 "$REGISTRY/forms:here"
    expect 1 "no image for platform linux/sparc64: there is linux/"
    names_are_whole "$HUSK_ROOT"
}

@test "a digest names exactly one image" {
    local digest
    digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/forms:gzip")
    run "$HUSK" pull -q "$REGISTRY/forms:ignored@$digest"
    expect 0 "=$REGISTRY/forms@$digest"
    run "$HUSK" pull -q "$REGISTRY/forms@sha256:$(printf '0%.0s' {1..64})"
    expect 1 "has no such image"
    [[ $(names) == "$REGISTRY/forms@$digest" ]]
}

@test "all tags of a repository" {
    run "$HUSK" pull -q --all-tags "$REGISTRY/forms"
    expect 0
    [[ ${#lines[@]} == 9 ]]
    run "$HUSK" pull -a "$REGISTRY/forms:gzip"
    expect 1 "--all-tags takes a name without a tag"
    names_are_whole "$HUSK_ROOT"
}

@test "several names: each is pulled, and what fails does not keep the others from it" {
    run --separate-stderr "$HUSK" pull -q "$REGISTRY/forms:gzip" "$REGISTRY/nope" "$REGISTRY/forms:zstd"
    [[ $status == 1 && $output == "$(printf '%s\n' "$REGISTRY/forms:gzip" "$REGISTRY/forms:zstd")" ]]
    [[ $stderr == *"husk pull: image '$REGISTRY/nope:latest': "* ]]
    run "$HUSK" pull -q --policy missing "$REGISTRY/forms:gzip" "$REGISTRY/forms:plain"
    expect 0 "=$(printf '%s\n' "$REGISTRY/forms:gzip" "$REGISTRY/forms:plain")"
}

@test "wrong names and registries: one sentence each" {
    check_table "$HUSK" pull <<EOF2
Busybox                         | 1 | husk pull: image name 'Busybox': repository 'Busybox' must be lower case
x:-y                            | 1 | tag '-y' begins with '-'
https://x.io/y                  | 1 | leave out 'https://'
$REGISTRY/nope                  | 1 | has no such image
$REGISTRY/forms:nope            | 1 | has no such image
127.0.0.1:1/x                   | 1 | connect to 127.0.0.1:1: Connection refused
--retry 0 no-such-host.invalid/x | 1 | $(no_host no-such-host.invalid)
$OTHER/x                        | 1 | '$OTHER' answers, but is not an image registry
--platform a/b/c/d $REGISTRY/x  | 1 | platform 'a/b/c/d' is not of the form
--creds nobody $REGISTRY/x      | 1 | --creds: credentials are not of the form USER:PASSWORD
--tls-verify=maybe $REGISTRY/x  | 125 | 'maybe' is not one of true, false
--nope x                        | 125 | unknown option '--nope'
--decryption-key k $REGISTRY/x  | 1 | --decryption-key: husk decrypts no layers: 'skopeo copy --decryption-key KEY
                                | 1 | needs IMAGE
b A                             | 1 | husk pull: image name 'A': repository 'A' must be lower case
EOF2
    [[ ! -e $HUSK_ROOT/index.json || ! $(names) ]]
}

@test "a user name and a password: given, from docker's file, from podman's, or none" {
    local config=$T/docker-config
    mkdir -p "$config"
    (
        T=$T/auth # a second registry beside the first
        mkdir -p "$T"
        start_registry --auth u:p
        echo "$REGISTRY" >"$T/where"
    )
    local registry
    registry=$(<"$T/auth/where")
    skopeo copy --quiet --preserve-digests --dest-tls-verify=false --dest-creds u:p "oci:$T/oci:gzip" "docker://$registry/x"
    run "$HUSK" pull "$registry/x"
    expect 1 "needs a user name and a password"
    run "$HUSK" pull --creds u:wrong "$registry/x"
    expect 1 "refuses the credentials"
    run "$HUSK" pull -q --creds u:p "$registry/x"
    expect 0 "=$registry/x:latest"
    printf '{"auths":{"%s":{"auth":"dTpw"}}}' "$registry" >"$config/config.json"
    run env DOCKER_CONFIG="$config" "$HUSK" pull -q "$registry/x"
    expect 0
    run env REGISTRY_AUTH_FILE="$config/config.json" "$HUSK" pull -q "$registry/x"
    expect 0
    printf '{"auths":' >"$config/config.json"
    run env DOCKER_CONFIG="$config" "$HUSK" pull -q "$registry/x"
    expect 1 "$config/config.json"
    kill "$(<"$T/auth/registry/pid")"
}

# A name that is not this machine's leads here, so that the rules for strangers' registries hold.
with_hosts() { # CMD...
    printf '127.0.0.1 localhost registry.test\n' >"$T/hosts"
    # shellcheck disable=SC2016 # expands inside
    unshare --mount --propagation private bash -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' - "$T/hosts" "$@"
}

@test "only this machine's registries may speak http, others when they are named insecure" {
    ((EUID == 0)) || skip "a mount needs root"
    local port=${REGISTRY#*:}
    run with_hosts "$HUSK" pull "registry.test:$port/forms:gzip"
    expect 1 "registry.test:$port does not speak TLS"
    run with_hosts "$HUSK" pull -q --tls-verify=false "registry.test:$port/forms:gzip"
    expect 0
    run with_hosts env HUSK_INSECURE_REGISTRIES="other.test,registry.test:$port" "$HUSK" pull -q "registry.test:$port/forms:gzip"
    expect 0
    run "$HUSK" pull -q "localhost:$port/forms:gzip"
    expect 0
}

@test "nobody's certificate is read to speak with a registry that has none" {
    mkdir "$T/tmp/authorities"
    cp /etc/ssl/certs/ca-certificates.crt "$T/tmp/authorities/own.crt"
    SSL_CERT_DIR=$T/tmp/authorities strace -f -qq -o "$T/tmp/calls" -e trace=openat "$HUSK" pull --quiet "$REGISTRY/library/busybox:1"
    grep -q index.json "$T/tmp/calls"
    run ! grep 'own.crt' "$T/tmp/calls"
    rm -r "$T/tmp/authorities"
}

@test "a certificate is checked" {
    ((EUID == 0)) || skip "a mount needs root"
    (
        T=$T/tls
        mkdir -p "$T"
        start_registry
        stop_registry
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=registry.test \
            -addext subjectAltName=DNS:registry.test -keyout "$T/key" -out "$T/cert" 2>/dev/null
        sed -i "s|^http: {|http: {tls: {certificate: \"$T/cert\", key: \"$T/key\"}, |" "$T/registry/config.yml"
        docker-registry serve "$T/registry/config.yml" >"$T/log" 2>&1 3>&- &
        echo $! >"$T/pid"
        echo "${REGISTRY#*:}" >"$T/port"
    )
    local port cert=$T/tls/cert
    port=$(<"$T/tls/port")
    wait_until 10 skopeo copy --quiet --preserve-digests --dest-tls-verify=false "oci:$T/oci:gzip" "docker://127.0.0.1:$port/x"
    run with_hosts "$HUSK" pull "registry.test:$port/x"
    expect 1 "registry.test:$port cannot prove who it is"
    run with_hosts env SSL_CERT_FILE="$cert" "$HUSK" pull -q "registry.test:$port/x"
    expect 0
    run with_hosts "$HUSK" pull -q --tls-verify=false "registry.test:$port/x"
    expect 0
    run "$HUSK" pull -q "127.0.0.1:$port/x" # http is answered 400: https then
    expect 0
    kill "$(<"$T/tls/pid")"
}

# What a liar sends leads to one clear sentence and to nothing that could be taken for an image.
@test "a registry that lies" {
    local lie words wrong=0 rows=0
    while IFS='|' read -r lie words; do
        lie=${lie// /} words=${words# }
        [[ $lie ]] || continue
        rows=$((rows + 1))
        rm -rf "$HUSK_ROOT"
        run "$HUSK" pull --timeout 1s --retry-delay 20ms "$LIAR/$lie"
        if [[ $status != 1 || $(grep -c '^husk pull: ' <<<"$output") != 1 || $output != *"$words"* ]] ||
            [[ $(names) ]] || [[ $(ls "$HUSK_ROOT/layers") ]] || ! store_is_sound "$HUSK_ROOT" 'blob-*'; then
            wrong=$((wrong + 1))
            echo "$lie: status $status, expected '$words': $output"
        fi
    done <<'EOF'
size-more         | of the 8391407 bytes that were promised
size-less         | is longer than the 8391405 bytes that were promised
size-huge         | of the 1152921504606846976 bytes that were promised
digest            | has other content: its digest is sha256:
diff-id           | its contents have the digest sha256:
more-layers       | its config names 2 layers, its manifest 1
config            | has other content
blob-missing      | does not have what its own manifest names
both              | a document is an index or a manifest
artifact          | it is no container image but an artifact of type 'application/vnd.cncf.helm.config.v1+json'
encrypted         | its layers are encrypted: decrypt them with
traversal         | is not 'sha256:' and 64 hex digits
schema1           | old schema 1
cut-always        | connection lost
short             | of the 8391406 bytes that were promised
stall             | nothing arrived for 1 seconds
wrong-range       | goes on at another place than it was asked to
busy-always       | there were too many requests: slow down
broken            | answers 503
html              | what it sends as 'text/html' is no image manifest
garbage           | is no image manifest: it is not JSON
huge              | the answer is longer than 4194304 bytes
headers           | a header of more than 16384 bytes
content-digest    | the manifest sent as sha256:1111111111111111111111111111111111111111111111111111111111111111 has digest
token-user        | it needs credentials
token-user-always | it needs credentials
token-realm       | wants a token from 'file:///etc/passwd', which is no URL
token-empty       | there is no token in the answer
token-newline     | the token has a character that no token has
basic             | needs a user name and a password
redirect-loop     | more than 8 redirects
redirect-file     | it redirects to 'file:///etc/passwd'
no-rootfs         | rootfs: missing
no-diff-ids       | diff_ids: missing
bad-diff-id       | is not 'sha256:' and 64 hex digits
config-is-layer   | its config has more than
layer-is-config   | tar
nested            | where an image manifest should be
nested-hidden     | is itself an index
itself            | has digest
endless-manifest  | the answer is longer than 4194304 bytes
endless-error     | the answer is longer than 4194304 bytes
endless-config    | bytes that were promised
endless-layer     | is longer than the 8391406 bytes that were promised
endless-range     | is longer than the 8391406 bytes that were promised
token-endless     | get a token: the answer is longer than 1048576 bytes
EOF
    [[ $rows == 46 && $wrong == 0 ]]
    [[ ! -s $T/liar/out ]]
    run grep X-Evil "$T/liar/log"
    expect 1
}

@test "a pull that was cut off goes on in the next run, by a range, from where it was" {
    run "$HUSK" pull --timeout 1s "$LIAR/stall"
    expect 1 "nothing arrived"
    : >"$T/liar/log"
    run "$HUSK" pull -q "$LIAR/honest"
    expect 0 "=$LIAR/honest:latest"
    grep -q '/honest/blobs/.*range=bytes=[1-9]' "$T/liar/log"
    store_is_sound "$HUSK_ROOT"
}

@test "a registry's rate limit is shown before it is reached" {
    run "$HUSK" pull "$LIAR/few-left"
    expect 0 "3 of 100 requests in 6 h are left"
    run "$HUSK" pull "$LIAR/honest"
    expect 0 "!requests"
}

@test "a manifest that is not the one asked for by digest" {
    run "$HUSK" pull "$LIAR/other-manifest@sha256:$(printf '1%.0s' {1..64})"
    expect 1 "the manifest sent for digest sha256:1111"
}

@test "a registry that is only unwell: cut, busy, without ranges" {
    local lie
    for lie in honest cut no-range busy token redirect-manifest; do
        run "$HUSK" pull -q "$LIAR/$lie"
        expect 0 "=$LIAR/$lie:latest"
        rm -rf "$HUSK_ROOT"
    done
    grep -q '/cut/blobs/.*range=bytes=[1-9]' "$T/liar/log" # it went on where it was
}

@test "the token does not follow a redirect to another host, nor do credentials" {
    : >"$T/liar/log"
    run "$HUSK" pull -q --creds u:p "$LIAR/redirect"
    expect 0
    grep -q '^main GET /token/.*authorization=Basic dTpw' "$T/liar/log"
    grep -q '^main GET /v2/redirect/blobs/.*authorization=Bearer the-token' "$T/liar/log"
    grep -q '^other GET /blobs/' "$T/liar/log"
    run grep '^other .*authorization=[^-]' "$T/liar/log"
    expect 1
    # and the registry does not get to choose what the token is good for
    grep -q 'GET /token/redirect?scope=repository%3Aredirect%3Apull&service=liar ' "$T/liar/log"
}

@test "a token for a user, by either name that it has" {
    run "$HUSK" pull -q --creds u:p "$LIAR/token-user"
    expect 0
    run "$HUSK" pull -q --creds u:wrong "$LIAR/token-user"
    expect 1 "the credentials are refused"
    run "$HUSK" pull -q --creds u:p "$LIAR/token-user-always"
    expect 1 "refuses the credentials"
}

staged_some() { find "$HUSK_ROOT/tmp" -name 'blob-*' -size +16k | grep -q .; }

@test "killed at any moment, the next pull succeeds and nothing half-made is visible" {
    local i
    for i in 1 3 5 8 12 20 30 45 60 80; do
        "$HUSK" pull -q "$LIAR/late" >/dev/null 2>&1 &
        sleep "0.$(printf %03d $((i * 10)))"
        kill -KILL $! 2>/dev/null || true
        wait $! || true
        [[ ! -e $HUSK_ROOT/index.json || ! $(names) ]]
        [[ ! -d $HUSK_ROOT/layers || ! $(ls "$HUSK_ROOT/layers") ]]
    done
    "$HUSK" pull -q "$LIAR/late" >/dev/null 2>&1 & # and once surely in the middle, however slow this machine is
    wait_until 30 staged_some
    kill -KILL $!
    wait $! || true
    staged_some
    run "$HUSK" pull -q "$LIAR/late"
    expect 0 "=$LIAR/late:latest"
    grep -q '/late/blobs/.*range=bytes=[1-9]' "$T/liar/log"
    store_is_sound "$HUSK_ROOT"
    names_are_whole "$HUSK_ROOT"
}

@test "killed while it unpacks, the next pull sweeps and succeeds" {
    local i pid killed=0
    for i in 0 2 4 6 8 10 12 15 20 25; do
        rm -rf "$HUSK_ROOT"
        : >"$T/tmp/progress"
        "$HUSK" pull "$REGISTRY/forms:big" >/dev/null 2>"$T/tmp/progress" &
        pid=$!
        until [[ $(<"$T/tmp/progress") == *Extracting* ]]; do :; done
        sleep "0.$(printf %03d "$i")"
        kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1))
        wait "$pid" || true
        names_are_whole "$HUSK_ROOT"
        run "$HUSK" pull -q "$REGISTRY/forms:big"
        expect 0
        store_is_sound "$HUSK_ROOT"
    done
    ((killed > 3)) || { echo "only $killed were killed in time"; return 1; }
}

@test "two pulls of one image at once fetch it once and both succeed" {
    local first second
    : >"$T/liar/log"
    "$HUSK" pull -q "$LIAR/late" >"$T/tmp/first" 2>&1 &
    first=$!
    "$HUSK" pull -q "$LIAR/late" >"$T/tmp/second" 2>&1 &
    second=$!
    wait $first
    wait $second
    [[ $(<"$T/tmp/first") == "$LIAR/late:latest" && $(<"$T/tmp/second") == "$LIAR/late:latest" ]]
    [[ $(grep -c '/late/blobs/' "$T/liar/log") == 2 ]] # the config and the layer, once each
    store_is_sound "$HUSK_ROOT"
    names_are_whole "$HUSK_ROOT"
}

@test "a full disk: one sentence, nothing half-made, and the store works on" {
    ((EUID == 0)) || skip "a mount needs root"
    mkdir -p "$T/small"
    # shellcheck disable=SC2016 # expands inside
    run unshare --mount --propagation private bash -c '
        mount -t tmpfs -o size=6m tmpfs "$1" || exit 99
        export HUSK_ROOT=$1/store
        "$2" pull "$3/forms:big" && exit 98
        echo "status $?"
        echo "names: $(grep -c ref.name "$HUSK_ROOT/index.json")"
        echo "staged: $(ls "$HUSK_ROOT/tmp" | wc -l) layers: $(ls "$HUSK_ROOT/layers" | wc -l)"
        "$2" pull -q "$3/forms:gzip" || exit 97
        echo "names: $(grep -c ref.name "$HUSK_ROOT/index.json")"
        mount -o remount,size=100m "$1" && "$2" pull -q "$3/forms:big"
    ' - "$T/small" "$HUSK" "$REGISTRY"
    expect 0
    [[ $(grep -c '^husk pull: .*: No space left on device$' <<<"$output") == 1 ]]
    [[ $(grep -c '^husk' <<<"$output") == 1 ]]
    [[ $output == *"status 1"*"names: 0"*"staged: 0 layers: 0"*"$REGISTRY/forms:gzip"*"names: 1"*"$REGISTRY/forms:big" ]]
}

@test "a full disk while it unpacks" {
    ((EUID == 0)) || skip "a mount needs root"
    mkdir -p "$T/small"
    # shellcheck disable=SC2016 # expands inside
    run unshare --mount --propagation private bash -c '
        mount -t tmpfs -o size=40m tmpfs "$1" || exit 99
        export HUSK_ROOT=$1/store
        "$2" pull "$3/forms:big" && exit 98
        echo "names: $(grep -c ref.name "$HUSK_ROOT/index.json") staged: $(ls "$HUSK_ROOT/tmp" | wc -l)"
        for l in "$HUSK_ROOT"/layers/*; do [ ! -e "$l" ] || [ -e "$l/size" ] || echo "half a layer"; done
    ' - "$T/small" "$HUSK" "$REGISTRY"
    expect 0 "No space left on device"
    [[ $output == *"names: 0 staged: 0" ]]
}

@test "an ordinary user pulls into a store of their own" {
    run as_user husk pull -q "$REGISTRY/forms:gzip"
    expect 0 "=$REGISTRY/forms:gzip"
    run as_user husk pull "$REGISTRY/forms:gzip"
    expect 0 "Image is up to date"
    store_is_sound "$USER_HOME/root"
    run as_user skopeo inspect --format '{{.Os}}' "oci:$USER_HOME/root:$REGISTRY/forms:gzip"
    expect 0 linux
    [[ $(stat -c '%a %U' "$USER_HOME/root") == "700 $HUSK_USER" ]]
    run as_user husk pull "$LIAR/digest"
    expect 1 "has other content"
    run as_user husk pull "$REGISTRY/nope"
    expect 1 "has no such image"
}

@test "the program that reads strangers' bytes has given up new privileges" {
    "$HUSK" pull -q "$LIAR/late" >/dev/null 2>&1 &
    local pid=$!
    wait_until 10 compgen -G "$HUSK_ROOT/tmp/blob-*"
    [[ $(awk '/^NoNewPrivs:/ { print $2 }' "/proc/$pid/status") == 1 ]]
    wait $pid
}
