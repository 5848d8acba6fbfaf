#!/usr/bin/env bats
# husk push: to Debian's docker-registry, with and without a password, read back by skopeo; as root and as a user.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # HUSK_ROOT is set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" gzip=gzip:a,gzip:b zstd=zstd:a,zstd:c plain=plain:d here=gzip:here \
        other=gzip:other@linux/sparc64 multi=+here,other big=gzip:big1,gzip:big2 empty=gzip:e,gzip:e
    local name
    for name in gzip zstd plain empty big; do
        skopeo copy --quiet --preserve-digests --dest-tls-verify=false "oci:$T/oci:$name" "docker://$REGISTRY/from:$name"
    done
    skopeo copy --quiet --all --preserve-digests --dest-tls-verify=false "oci:$T/oci:multi" "docker://$REGISTRY/from:multi"
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER
}
teardown() { rm -rf "$HUSK_ROOT"; }

raw() { skopeo inspect --raw --tls-verify=false "docker://$1"; }

# types NAME: the layers' media types, without what all have
types() { raw "$1" | jq -r '.layers[].mediaType' | sed 's/.*[.]//' | paste -sd' '; }
id_in_registry() { raw "$1" | jq -r .config.digest; }

@test "--compression-format, --compression-level, --force-compression and --format pack layers anew, and the image stays" {
    local name id
    for name in gzip zstd plain; do
        "$HUSK" pull -q "$REGISTRY/from:$name"
    done
    # arguments | image | what the layers become
    while IFS='|' read -r args name want; do
        args=${args%% } name=${name// /} want=${want## }
        # shellcheck disable=SC2086 # words
        run "$HUSK" push -q $args "$REGISTRY/from:$name" "$REGISTRY/packed:1"
        expect 0 "=$REGISTRY/packed:1" || { echo "$args $name"; return 1; }
        [[ $(types "$REGISTRY/packed:1") == "$want" ]] || { echo "$args $name: $(types "$REGISTRY/packed:1")"; return 1; }
        [[ $(id_in_registry "$REGISTRY/packed:1") == "$(id_in_registry "$REGISTRY/from:$name")" ]]
        skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/packed:1" "dir:$T/tmp/packed" # checks every digest
        rm -rf "$T/tmp/packed"
    done <<'ROWS'
--compression-format zstd                        | gzip  | tar+zstd tar+zstd
--compression-format gzip                        | zstd  | tar+gzip tar+gzip
--compression-format gzip --compression-level 9  | plain | tar+gzip
--compression-format zstd --compression-level 19 | zstd  | tar+zstd tar+zstd
--format v2s2                                    | zstd  | gzip gzip
--format v2s2 --compression-format gzip          | plain | gzip
--format oci                                     | gzip  | tar+gzip tar+gzip
ROWS
    # what is packed so already stays, byte for byte, until that is not wished
    run "$HUSK" push --compression-format gzip "$REGISTRY/from:gzip" "$REGISTRY/same:1"
    expect 0 "~Pushed"
    expect 0 "~1: digest: sha256:[0-9a-f]* size: [0-9]"
    [[ $(raw "$REGISTRY/same:1" | jq -c .layers) == "$(raw "$REGISTRY/from:gzip" | jq -c .layers)" ]]
    "$HUSK" push -q --compression-format gzip --force-compression "$REGISTRY/from:gzip" "$REGISTRY/same:2"
    [[ $(raw "$REGISTRY/same:2" | jq -c .layers) != "$(raw "$REGISTRY/from:gzip" | jq -c .layers)" ]]
    # it comes back as the image that it is, from Docker's form to OCI's as well
    "$HUSK" push -q --format v2s2 "$REGISTRY/from:zstd" "$REGISTRY/docker:1"
    [[ $(raw "$REGISTRY/docker:1" | jq -r .mediaType) == application/vnd.docker.distribution.manifest.v2+json ]]
    id=$("$HUSK" images -q "$REGISTRY/from:zstd")
    rm -rf "$HUSK_ROOT"
    "$HUSK" pull -q "$REGISTRY/docker:1"
    [[ $("$HUSK" images -q) == "$id" ]]
    "$HUSK" push -q --compression-format zstd "$REGISTRY/docker:1" "$REGISTRY/docker:2"
    [[ $(types "$REGISTRY/docker:2") == 'tar+zstd tar+zstd' ]]
    [[ $(raw "$REGISTRY/docker:2" | jq -r '.mediaType + " " + .config.mediaType') == "application/vnd.oci.image.manifest.v1+json application/vnd.oci.image.config.v1+json" ]]
    check_table <<ROWS
push --compression-format lz4 $REGISTRY/docker:1                                | 125 | gzip
push --compression-format zstd:chunked $REGISTRY/docker:1                       | 1 | without a table of chunks: say zstd
push --compression-level 3 $REGISTRY/docker:1                                   | 1 | say with --compression-format
push --compression-format gzip --compression-level 10 $REGISTRY/docker:1        | 1 | levels from 1 to 9
push --compression-format zstd --format v2s2 $REGISTRY/docker:1                 | 1 | knows no zstd
push --force-compression $REGISTRY/docker:1                                     | 1 | say with --compression-format
ROWS
}

@test "what was pulled goes back byte for byte, and skopeo reads it" {
    local form
    for form in gzip zstd plain big empty; do
        "$HUSK" pull -q "$REGISTRY/from:$form"
        run "$HUSK" push -q "$REGISTRY/from:$form" "$REGISTRY/back-$form:1"
        expect 0 "=$REGISTRY/back-$form:1"
        cmp <(raw "$REGISTRY/from:$form") <(raw "$REGISTRY/back-$form:1")
        skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/back-$form:1" "dir:$T/tmp/back" # checks every digest
        rm -rf "$T/tmp/back"
    done
    rm -rf "$HUSK_ROOT"
    run "$HUSK" pull -q "$REGISTRY/back-big:1"
    expect 0
    store_is_sound "$HUSK_ROOT"
}

@test "push prints what docker prints, and sends nothing twice" {
    "$HUSK" pull -q "$REGISTRY/from:gzip"
    "$HUSK" tag "$REGISTRY/from:gzip" "$REGISTRY/print:1"
    run "$HUSK" push --digestfile "$T/tmp/digest" "$REGISTRY/print:1"
    expect 0 "The push refers to repository [$REGISTRY/print]"
    [[ $output =~ [0-9a-f]{12}:\ (Pushed|Mounted) ]]
    [[ ${lines[-1]} =~ ^1:\ digest:\ sha256:[0-9a-f]{64}\ size:\ [0-9]+$ ]]
    [[ $(<"$T/tmp/digest") == "$(raw "$REGISTRY/print:1" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/')" ]]
    [[ ${lines[-1]} == *"$(<"$T/tmp/digest")"* ]]
    run "$HUSK" push "$REGISTRY/print:1"
    expect 0 ": Layer already exists"
    [[ $output != *Pushed* && $output != *Mounted* ]]
}

@test "layers that another repository of the registry has are mounted from there" {
    "$HUSK" pull -q "$REGISTRY/from:big"
    run "$HUSK" push "$REGISTRY/from:big" "$REGISTRY/mounted"
    expect 0 ": Mounted from another repository"
    [[ $(grep -c ': Mounted' <<<"$output") == 2 ]]
    skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/mounted" "dir:$T/tmp/back"
}

@test "an index goes whole when it is here whole, else one platform goes alone and that is said" {
    "$HUSK" pull -q "$REGISTRY/from:multi"
    run "$HUSK" push "$REGISTRY/from:multi" "$REGISTRY/one"
    expect 0 "Only 1 of the 2 platforms are here: pushing linux/"
    [[ $(raw "$REGISTRY/one" | jq -r .mediaType) == application/vnd.oci.image.manifest.v1+json ]]
    "$HUSK" pull -q --platform linux/sparc64 "$REGISTRY/from:multi"
    run "$HUSK" push "$REGISTRY/from:multi" "$REGISTRY/all"
    expect 0
    cmp <(raw "$REGISTRY/from:multi") <(raw "$REGISTRY/all")
    skopeo copy --quiet --all --src-tls-verify=false "docker://$REGISTRY/all" "dir:$T/tmp/all"
    run "$HUSK" push --platform linux/sparc64 "$REGISTRY/from:multi" "$REGISTRY/sparc"
    expect 0
    [[ $(skopeo inspect --config --tls-verify=false "docker://$REGISTRY/sparc" | jq -r .architecture) == sparc64 ]]
}

@test "all tags, an ID, a digest, and docker://" {
    "$HUSK" pull -q "$REGISTRY/from:gzip"
    "$HUSK" tag "$REGISTRY/from:gzip" "$REGISTRY/tags:a"
    "$HUSK" tag "$REGISTRY/from:gzip" "$REGISTRY/tags:b"
    run "$HUSK" push -q -a "$REGISTRY/tags"
    expect 0
    [[ ${#lines[@]} == 2 ]]
    [[ $(skopeo list-tags --tls-verify=false "docker://$REGISTRY/tags" | jq -c '.Tags | sort') == '["a","b"]' ]]
    local id
    id=$("$HUSK" images -q --no-trunc "$REGISTRY/tags:a" | head -n 1)
    run "$HUSK" push -q "${id#sha256:}" "docker://$REGISTRY/by-id:x"
    expect 0 "=$REGISTRY/by-id:x"
    cmp <(raw "$REGISTRY/from:gzip") <(raw "$REGISTRY/by-id:x")
    run "$HUSK" push -q "$REGISTRY/tags:a" "$REGISTRY/by-digest@$(raw "$REGISTRY/from:gzip" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/')"
    expect 0
    run "$HUSK" push "$REGISTRY/tags:a" "$REGISTRY/by-digest@sha256:$(printf '1%.0s' {1..64})"
    expect 1 "its digest is sha256:"
}

@test "wrong names, and a registry that is not there: one sentence each" {
    "$HUSK" pull -q "$REGISTRY/from:gzip"
    check_table "$HUSK" push <<EOF2
nope                                    | 1 | husk push: image 'nope': 
$REGISTRY/from:nope                     | 1 | image '$REGISTRY/from:nope': 
$REGISTRY/from:gzip Upper               | 1 | repository 'Upper' must be lower case
$REGISTRY/from:gzip 127.0.0.1:1/x       | 1 | connect to 127.0.0.1:1: Connection refused
-a $REGISTRY/from:gzip                  | 1 | --all-tags takes a name without a tag
-a $REGISTRY/nothing                    | 1 | no image of repository '$REGISTRY/nothing' is here
--platform linux/vax $REGISTRY/from     | 1 | image '$REGISTRY/from'
--digestfile /no/such/x $REGISTRY/from:gzip | 1 | --digestfile '/no/such/x': No such file or directory
                                        | 1 | needs IMAGE
EOF2
}

@test "a blob that is not kept any more: said, and nothing is named" {
    "$HUSK" pull -q "$REGISTRY/from:big"
    local blob
    blob=$(raw "$REGISTRY/from:big" | jq -r '.layers[0].digest')
    rm "$HUSK_ROOT/blobs/sha256/${blob#sha256:}"
    "$HUSK" tag "$REGISTRY/from:big" "$REGISTRY/lost" 2>/dev/null || true
    run "$HUSK" push "$REGISTRY/from:big" "localhost:${REGISTRY#*:}/lost"
    expect 1 "its packed bytes are not kept here: pull, load or import the image again"
    run raw "$REGISTRY/lost"
    [[ $status != 0 ]]
}

@test "a registry with a password" {
    "$HUSK" pull -q "$REGISTRY/from:gzip"
    (
        T=$T/auth
        mkdir -p "$T"
        start_registry --auth u:p
        echo "$REGISTRY" >"$T/where"
    )
    local registry
    registry=$(<"$T/auth/where")
    run "$HUSK" push "$REGISTRY/from:gzip" "$registry/x"
    expect 1 "needs a user name and a password"
    run "$HUSK" push --creds u:wrong "$REGISTRY/from:gzip" "$registry/x"
    expect 1 "refuses the credentials"
    run "$HUSK" push -q --creds u:p "$REGISTRY/from:gzip" "$registry/x"
    expect 0 "=$registry/x:latest"
    printf '{"auths":{"%s":{"auth":"dTpw"}}}' "$registry" >"$T/tmp/authfile"
    run "$HUSK" push -q --authfile "$T/tmp/authfile" "$REGISTRY/from:gzip" "$registry/y"
    expect 0
    skopeo copy --quiet --src-tls-verify=false --src-creds u:p "docker://$registry/x" "dir:$T/tmp/authed"
    kill "$(<"$T/auth/registry/pid")"
}

@test "an ordinary user pushes what they have" {
    as_user husk pull -q "$REGISTRY/from:big"
    run as_user husk push -q "$REGISTRY/from:big" "$REGISTRY/users/big"
    expect 0 "=$REGISTRY/users/big:latest"
    cmp <(raw "$REGISTRY/from:big") <(raw "$REGISTRY/users/big")
}
