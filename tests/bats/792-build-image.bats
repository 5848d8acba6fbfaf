#!/usr/bin/env bats
# build: what the command line says of the image beside its Dockerfile, as root and as an ordinary user, beside buildah.
# shellcheck disable=SC2016,SC2154 # dollars for others; bats sets the variables

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
    echo content >"$T/c/f"
    touch -d @1700000000 "$T/c/f"
    cat >"$T/c/Dockerfile" <<'D'
FROM busybox AS one
ENV KEEP=1 GONE=2
LABEL l.keep=1 l.gone=2
RUN mkdir /d; echo "$GIVEN $OURS" >/d/x; rm /bin/vi
FROM one
LABEL m=3
COPY f /f
D
    printf '[storage]\ndriver = "vfs"\n' >"$T/storage.conf"
}

buildah() { CONTAINERS_STORAGE_CONF=$T/storage.conf command buildah --root "$TRUN/peer" --runroot "$TRUN/peer-run" --storage-driver vfs "$@"; }
WHO="husk user_husk"

# root_of WHO: the store.
root_of() { [[ $1 == husk ]] && echo "$HUSK_ROOT" || echo "$USER_HOME/root"; }
# document WHO IMAGE [manifest]: the document that a name of the store leads to, an index or a manifest.
document() {
    local digest
    digest=$(jq -r --arg n "docker.io/library/$2" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $n).digest' "$(root_of "$1")/index.json")
    cat "$(root_of "$1")/blobs/sha256/${digest#sha256:}"
}
config() { "$1" image inspect "$2" | jq '.[0]'; }

@test "build: variables, labels and annotations are added, and taken away from who set them" {
    local h
    for h in $WHO; do
        "$h" build -q --network none -t say:1 --env GIVEN=yes --env NOTHERE --unsetenv GONE --unsetlabel l.gone --label n=4 \
            --annotation x=y --annotation z=1 --unsetannotation z "$T/c"
        [[ $(config "$h" say:1 | jq -c '.Config.Labels, (.Config.Env - [.Config.Env[] | select(startswith("PATH"))])') == \
            '{"l.keep":"1","m":"3","n":"4"}'$'\n''["GIVEN=yes","KEEP=1"]' ]]
        [[ $(document "$h" say:1 | jq -c .annotations) == '{"x":"y"}' ]]
        [[ $("$h" run --rm --network none say:1 cat /d/x) == "yes " ]]
        # and what stands on it
        "$h" build -q -t say:2 -f - "$T/c" <<<'FROM say:1'
        [[ $(document "$h" say:2 | jq -c .annotations) == '{"x":"y"}' && $(config "$h" say:2 | jq -c .Config.Labels.n) == '"4"' ]]
        "$h" build -q -t say:2 --inherit-labels=false --inherit-annotations=false -f - "$T/c" <<<$'FROM say:1\nLABEL own=1'
        [[ $(document "$h" say:2 | jq -c .annotations) == null && $(config "$h" say:2 | jq -c .Config.Labels) == '{"own":"1"}' ]]
    done
    OURS=taken husk build -q --network none -t say:3 --env OURS "$T/c"
    [[ $(husk run --rm --network none say:3 sh -c 'cat /d/x; echo $OURS') == $' taken\ntaken' ]]
}

@test "build: --annotation names the documents that it is for, as buildx has it" {
    local h=husk doc
    husk build -q --network none -t said:1 --build-arg BUILDKIT_MULTI_PLATFORM=1 --annotation plain=1 --annotation index:top=2 \
        --annotation manifest,manifest-descriptor:both=3 --annotation "manifest[linux/none]:other=4" --annotation odd:key=5 "$T/c"
    doc=$(husk manifest inspect said:1)
    [[ $(jq -c '.annotations, .manifests[0].annotations' <<<"$doc") == $'{"top":"2"}\n{"both":"3"}' ]]
    husk save --format oci-dir -o "$T/tmp/said" said:1
    [[ $(jq -cS .annotations "$T/tmp/said/blobs/sha256/$(jq -r '.manifests[0].digest' <<<"$doc" | cut -d: -f2)") == '{"both":"3","odd:key":"5","plain":"1"}' ]]
    run husk build -q --annotation index:a=b "$T/c"
    expect 1 "--annotation 'index:a=b': there is no index: one comes with several --platform"
    run husk build -q --annotation index-descriptor:a=b "$T/c"
    expect 1 'say index:'
    run husk build -q --annotation index: "$T/c"
    expect 1 'expected KEY=VALUE, or PLACE:KEY=VALUE'
}

@test "build: --timestamp is the time of all that is new, --source-date-epoch the newest of it" {
    local h
    for h in $WHO; do
        "$h" build -q --network none -t time:1 --timestamp 0 --created-annotation --omit-history "$T/c"
        [[ $("$h" run --rm --network none time:1 stat -c %Y /d /d/x /f | sort -u) == 0 ]]
        [[ $(config "$h" time:1 | jq -r .Created) == 1970-01-01T00:00:00* ]]
        [[ $(document "$h" time:1 | jq -r '.annotations["org.opencontainers.image.created"]') == 1970-01-01T00:00:00* ]]
        [[ $("$h" history -q time:1 | wc -l) == 0 ]]
        "$h" build -q --network none -t time:2 --source-date-epoch 1700000100 --rewrite-timestamp "$T/c"
        [[ $("$h" run --rm --network none time:2 stat -c %Y /d/x /f | xargs) == "1700000100 1700000000" ]]
        [[ $(config "$h" time:2 | jq -r .Created) == 2023-11-14T22:15:00* && $("$h" history -q time:2 | wc -l) -gt 4 ]]
    done
    check_table husk build <<'EOF'
--timestamp 1 --source-date-epoch 2 . | 1 | --timestamp and --source-date-epoch exclude each other
--timestamp -1 . | 1 | --timestamp: expected seconds since 1970
--source-date-epoch x . | 125 | --source-date-epoch
--rewrite-timestamp=false . | 1 | no file of a layer is ever younger than its input
--identity-label . | 1 | give one with --label
EOF
}

@test "build: --format docker has docker's documents and layers of gzip, and -D layers that are not packed" {
    local h form
    for h in $WHO; do
        "$h" build -q --network none -t form:1 --format docker "$T/c"
        [[ $(document "$h" form:1 | jq -c '[.mediaType, .config.mediaType, (.layers[].mediaType)] | unique') == \
            '["application/vnd.docker.container.image.v1+json","application/vnd.docker.distribution.manifest.v2+json","application/vnd.docker.image.rootfs.diff.tar.gzip"]' ]]
        form=$(document "$h" form:1)
        # all cached, and nothing is packed again: the same bytes
        "$h" build -q --network none -t form:1 --format docker "$T/c"
        [[ $(document "$h" form:1) == "$form" ]]
        "$h" rmi form:1 >/dev/null
        "$h" system check
        "$h" build -q --network none -t form:1 --format docker "$T/c"
        [[ $(document "$h" form:1) == "$form" ]]
        "$h" save -q -o "$T/tmp/$h.tar" form:1 && "$h" rmi form:1 >/dev/null && "$h" load -q -i "$T/tmp/$h.tar"
        [[ $("$h" run --rm --network none form:1 cat /f) == content ]]
        "$h" build -q --network none -t form:2 -D "$T/c"
        [[ $(document "$h" form:2 | jq -c '[.layers[] | .mediaType] | unique') == '["application/vnd.oci.image.layer.v1.tar"]' ]]
        [[ $(document "$h" form:2 | jq -c '[.layers[].digest]') == "$(config "$h" form:2 | jq -c .RootFS.Layers)" ]]
        "$h" build -q --network none -t form:3 --format docker --platform linux/amd64,linux/arm64 -f - "$T/c" <<<$'FROM scratch\nCOPY f /'
        [[ $(document "$h" form:3 | jq -c '[.mediaType, .manifests[].mediaType] | unique') == \
            '["application/vnd.docker.distribution.manifest.list.v2+json","application/vnd.docker.distribution.manifest.v2+json"]' ]]
    done
    check_table husk build <<'EOF'
--format docker --annotation a=b . | 1 | its manifest has no annotations: leave --annotation out
--format docker --created-annotation . | 1 | leave --created-annotation out
--format docker --sbom=spdx . | 1 | lie in an OCI index
--format tar . | 125 | oci, docker
EOF
}

@test "build: --arch, --os and --variant are a platform, --os-version and --os-feature in config and index" {
    local h
    for h in $WHO; do
        "$h" build -q -t arch:1 --arch arm --variant v7 --os-version 1.2 --os-feature one --os-feature two -f - "$T/c" <<<$'FROM scratch\nARG TARGETPLATFORM\nLABEL p=$TARGETPLATFORM'
        [[ $(config "$h" arch:1 | jq -r '"\(.Os) \(.Architecture) \(.Variant) \(.OsVersion) \(.Config.Labels.p)"') == "linux arm v7 1.2 linux/arm/v7" ]]
        "$h" build -q -t arch:2 --platform linux/arm/v7,linux/arm64 --os-version 1.2 --os-feature one --os-feature two --os-feature one- -f - "$T/c" <<<'FROM scratch'
        [[ $(document "$h" arch:2 | jq -c '[.manifests[].platform | ."os.version", ."os.features"]') == '["1.2",["two"],"1.2",["two"]]' ]]
    done
    check_table husk build <<'EOF'
--arch arm64 --platform linux/arm64 . | 1 | --platform and --arch exclude each other
EOF
}

@test "build: --from is the image of the first FROM" {
    local h
    for h in $WHO; do
        "$h" build -q -t from:1 --from scratch --target one -f - "$T/c" <<<$'FROM nosuch:1 AS one\nCOPY f /f\nFROM busybox'
        [[ $(config "$h" from:1 | jq '.RootFS.Layers | length') == 1 ]]
        "$h" build -q --network none -t from:2 --from from:1 -f - "$T/c" <<<$'ARG none\nFROM $none\nCOPY f /g'
        [[ $(config "$h" from:2 | jq '.RootFS.Layers | length') == 2 ]]
    done
}

@test "build: an image with such options is buildah's, entry by entry" {
    local options=(--timestamp 86400 --unsetenv GONE --os-version 1.2 --os-feature win32k --annotation x=y)
    buildah pull -q "docker-archive:$IMAGES/busybox.tar"
    buildah bud -q --isolation chroot --pull-never --layers=false "${options[@]}" --identity-label=false -t peer:1 "$T/c"
    husk build -q --network none "${options[@]}" --identity-label=false -t peer:1 "$T/c"
    about='{created, os, architecture, v: ."os.version", f: ."os.features", config, layers: (.rootfs.diff_ids | length)}'
    buildah inspect -t image peer:1 | jq -S ".OCIv1 | $about" >"$T/tmp/theirs"
    digest=$(document husk peer:1 | jq -r .config.digest)
    jq -S "$about | .created |= sub(\"[.]0+Z\"; \"Z\")" "$HUSK_ROOT/blobs/sha256/${digest#sha256:}" >"$T/tmp/ours"
    diff -u "$T/tmp/theirs" "$T/tmp/ours"
    [[ $(buildah inspect -t image peer:1 | jq -c '.ImageAnnotations.x') == "$(document husk peer:1 | jq -c .annotations.x)" ]]
    # the times of what a layer has
    container=$(buildah from --pull-never peer:1)
    mounted=$(buildah mount "$container")
    [[ $(cd "$mounted" && stat -c '%Y %n' d d/x f) == "$(husk run --rm --network none peer:1 stat -c '%Y %n' d d/x f)" ]]
    # the form of the documents
    buildah bud -q --isolation chroot --pull-never --layers=false --format docker -t peer:2 "$T/c"
    buildah push -q peer:2 "dir:$T/tmp/dir"
    husk build -q --network none --format docker -t peer:2 "$T/c"
    kinds='[.mediaType, .config.mediaType, (.layers[].mediaType)] | unique'
    [[ $(jq -c "$kinds" "$T/tmp/dir/manifest.json") == "$(document husk peer:2 | jq -c "$kinds")" ]]
    # without a history
    buildah bud -q --isolation chroot --pull-never --layers=false --omit-history -t peer:3 "$T/c"
    husk build -q --network none --omit-history -t peer:3 "$T/c"
    [[ $(buildah inspect -t image peer:3 | jq -c '.OCIv1.history') == null && $(husk history -q peer:3) == "" ]]
    rm -r "$TRUN/peer" "$TRUN/peer-run"
}
