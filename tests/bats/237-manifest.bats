#!/usr/bin/env bats
# husk manifest inspect and exists, of the store and of a registry; as root and as a user.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    python3 "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" here=gzip:a other=gzip:other@linux/sparc64 multi=+here,other
    chmod -R a+rX "$T/oci"
    local name
    for name in here multi; do
        skopeo copy --quiet --all --preserve-digests --dest-tls-verify=false "oci:$T/oci:$name" \
            "docker://$REGISTRY/m:$name"
    done
}
setup() { husk_setup; }

same() { diff <(jq -S . <<<"$1") <(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/m:$2" | jq -S .); }

@test "manifest inspect: a registry's index and manifest, by tag and by digest, and nothing is fetched" {
    local name digest
    export HUSK_ROOT=$T/none
    for name in here multi; do
        run "$HUSK" manifest inspect "$REGISTRY/m:$name"
        expect 0
        same "$output" "$name"
        digest=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/m:$name" | sha256sum | cut -d' ' -f1)
        run "$HUSK" manifest inspect --insecure "$REGISTRY/m@sha256:$digest"
        expect 0
        same "$output" "$name"
        run as_user husk manifest inspect "$REGISTRY/m:$name"
        expect 0
        same "$output" "$name"
    done
    [[ ! -e $T/none ]]
    run "$HUSK" manifest inspect "$REGISTRY/m:absent"
    expect 1
    run "$HUSK" manifest inspect 'A B'
    expect 1
}

@test "manifest inspect and exists: the store comes first, for root and for a user" {
    local who index
    index=$(jq -r '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "multi") | .digest' \
        "$T/oci/index.json")
    for who in "$HUSK" "as_user husk"; do
        $who copy --all "oci:$T/oci:multi" store:127.0.0.1:1/gone:multi # where no registry is
        $who copy "oci:$T/oci:here" store:127.0.0.1:1/gone:here
        run $who manifest inspect 127.0.0.1:1/gone:multi
        expect 0
        same "$output" multi
        run $who manifest inspect "127.0.0.1:1/gone@$index"
        expect 0
        same "$output" multi
        run $who manifest exists 127.0.0.1:1/gone:multi
        expect 0
        run $who manifest exists 127.0.0.1:1/gone:here # an image, no index
        expect 1
        run $who manifest exists 127.0.0.1:1/gone:absent
        expect 1
    done
}

one_platform_goes() {
    local id
    $h pull -q "$REGISTRY/m:multi" >/dev/null
    $h pull -q --platform linux/sparc64 "$REGISTRY/m:multi" >/dev/null
    id=$($h image inspect --platform linux/sparc64 -f '{{.Id}}' "$REGISTRY/m:multi")
    $h create --name keeper --network none --platform linux/sparc64 "$REGISTRY/m:multi" /x >/dev/null
    check_table "$h" <<ROWS
rmi --platform linux/arm64 $REGISTRY/m:multi           | 1 | no image for platform linux/arm64
rmi --platform sparc64 --dry-run $REGISTRY/m:multi     | 1 | in use by container 'keeper'
rmi --platform sparc64 --all                           | 1 | exclude each other
rmi --platform / $REGISTRY/m:multi                     | 1 | --platform
rmi --force --platform sparc64 $REGISTRY/m:multi       | 1 | in use by container 'keeper'
rm --no-trash keeper                                   | 0 | keeper
rmi --platform sparc64 --dry-run $REGISTRY/m:multi     | 0 | ~^Deleted: $id.Would be reclaimed: [1-9]
image inspect --platform linux/sparc64 $REGISTRY/m:multi | 0 | $id
rmi --platform sparc64 $REGISTRY/m:multi               | 0 | =Deleted: $id
image inspect --platform linux/sparc64 $REGISTRY/m:multi | 1 | not pulled for platform linux/sparc64
system check                                           | 0 | no problems
verify $REGISTRY/m:multi                               | 0 | all good
ROWS
    [[ -e $root/blobs/sha256/${id#*:} ]] # it is in the trash
    $h trash empty >/dev/null
    [[ ! -e $root/blobs/sha256/${id#*:} ]]
    run $h rmi --dry-run --platform "linux/$(uname -m)" "$REGISTRY/m:multi"
    expect 0 "Untagged: $REGISTRY/m:multi"
    # what is left of it is the last one; with it the name goes, and comes back
    run $h rmi --platform "linux/$(uname -m)" "$REGISTRY/m:multi"
    expect 0 "Untagged: $REGISTRY/m:multi"
    $h undo >/dev/null
    $h pull -q --platform linux/sparc64 "$REGISTRY/m:multi" >/dev/null
    # nor one that has another name, or is needed by one
    $h pull -q --platform linux/sparc64 "$REGISTRY/m@$(skopeo inspect --raw "oci:$T/oci:other" | sha256sum | sed 's/^/sha256:/; s/ .*//')" >/dev/null
    run $h rmi --platform sparc64 "$REGISTRY/m:multi"
    expect 1 "as well: remove that first"
}
@test "rmi --platform takes one platform's image out of the store, and the name stays" { each_user one_platform_goes; }
