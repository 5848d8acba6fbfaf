#!/usr/bin/env bats
# husk manifest create, add, annotate, remove, push and rm: lists of several platforms made by hand.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    python3 "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" here=gzip:a other=gzip:other@linux/sparc64 \
        third=gzip:third@linux/arm multi=+here,other
    chmod -R a+rX "$T/oci"
    local name
    for name in here other third; do
        "$HUSK" copy "oci:$T/oci:$name" "docker://$REGISTRY/src-$name:1"
    done
    "$HUSK" copy --all "oci:$T/oci:multi" "docker://$REGISTRY/multi:1"
}
setup() {
    husk_setup
    cd "$T/tmp" || return
}
teardown() { find "$T/tmp" -mindepth 1 -delete; }

digest_in() {
    jq -r --arg name "$1" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $name) | .digest' \
        "$T/oci/index.json"
}
inspect() { "$HUSK" manifest inspect "$@"; }
remote() { skopeo inspect --raw --tls-verify=false "docker://$1"; }

@test "docker's way: a list of images of a registry, annotated, pushed without a layer travelling, purged" {
    export HUSK_ROOT=$T/tmp/store
    local here other digest
    here=$(digest_in here) other=$(digest_in other)
    run "$HUSK" manifest create --insecure "$REGISTRY/app:1" "$REGISTRY/src-here:1" "$REGISTRY/src-other:1"
    expect 0 "~^sha256:[0-9a-f]{64}$"
    digest=$output
    # only documents are here
    [[ $(du -sb store/blobs | cut -f1) -lt 20000 ]]
    inspect "$REGISTRY/app:1" >i
    [[ $(sha256sum <"store/blobs/sha256/${digest#*:}") == "${digest#*:}  -" ]]
    jq -e --arg a "$here" --arg b "$other" '.mediaType == "application/vnd.oci.image.index.v1+json" and
        [.manifests[].digest] == [$a, $b] and
        [.manifests[].platform | .os + "/" + .architecture] == ["linux/amd64", "linux/sparc64"]' i
    "$HUSK" manifest annotate --os freebsd --arch vax --variant v9 --os-version 10.0.1 --os-features a --os-features b,c \
        --annotation k=v "$REGISTRY/app:1" "$REGISTRY/src-other:1"
    inspect "$REGISTRY/app:1" | jq -e '.manifests[1] | .platform == {os: "freebsd", architecture: "vax", variant: "v9",
        "os.version": "10.0.1", "os.features": ["a", "b", "c"]} and .annotations == {k: "v"}'
    run "$HUSK" manifest exists "$REGISTRY/app:1"
    expect 0
    run "$HUSK" images # without a warning
    expect 0 "!passed over"
    strace -f -e trace=sendto,write,writev -o trace "$HUSK" manifest push --digestfile d "$REGISTRY/app:1"
    [[ $(awk '{ s += $NF ~ /^[0-9]+$/ ? $NF : 0 } END { print (s < 100000) }' trace) == 1 ]] # mounted
    remote "$REGISTRY/app:1" >r
    [[ $(<d) == "sha256:$(sha256sum <r | cut -d' ' -f1)" ]]
    diff <(jq -S . r) <(inspect "$REGISTRY/app:1" | jq -S .)
    skopeo copy --quiet --src-tls-verify=false "docker://$REGISTRY/app:1" dir:checked
    "$HUSK" manifest push --purge "$REGISTRY/app:1" "$REGISTRY/app:2" # podman's destination
    run "$HUSK" manifest exists "$REGISTRY/app:1"
    expect 1
    diff r <(remote "$REGISTRY/app:2")
}

@test "podman's way: create, add, annotate by digest, remove, push to places, rm; as root and as a user" {
    local who third here
    third=$(digest_in third) here=$(digest_in here)
    for who in "$HUSK" "as_user husk"; do
        $who manifest create my/list
        inspect_of() { $who manifest inspect my/list; }
        inspect_of | jq -e '.manifests == []'
        $who copy "oci:$T/oci:here" store:localhost/here:1
        $who manifest add my/list localhost/here:1
        $who manifest add --variant v6 --annotation a=b=c my/list "docker://$REGISTRY/src-third:1"
        $who manifest add --all my/list "docker://$REGISTRY/multi:1"
        inspect_of | jq -e --arg here "$here" --arg third "$third" '[.manifests[].digest] | length == 3 and
            .[0] == $here and .[1] == $third'
        inspect_of | jq -e '.manifests[1] | .platform.variant == "v6" and .annotations.a == "b=c"'
        $who manifest annotate --index --annotation of=list my/list
        $who manifest annotate --arch arm64 --variant v8 my/list "$third"
        inspect_of | jq -e '.annotations.of == "list" and .manifests[1].platform.architecture == "arm64"'
        # this machine's platform runs under the list's name
        [[ $($who run --rm my/list /nothere 2>&1) == *nothere* ]]
        run $who manifest push my/list "docker://$REGISTRY/pushed:${#who}"
        expect 0
        diff <(inspect_of | jq -S .) <(remote "$REGISTRY/pushed:${#who}" | jq -S .)
        skopeo copy --quiet --all --src-tls-verify=false "docker://$REGISTRY/pushed:${#who}" "dir:c${#who}"
        $who manifest remove my/list "$third"
        inspect_of | jq -e '.manifests | length == 2'
        run $who manifest remove my/list "$third"
        expect 1 "is not in the list"
        $who manifest rm my/list
        run $who manifest rm my/list
        expect 1 "no such list"
        run $who manifest rm --ignore my/list
        expect 0
    done
}

@test "a list goes into layouts and archives with all images, or alone, and skopeo reads the store's own" {
    "$HUSK" manifest create example.org/l:1 "$REGISTRY/src-here:1"
    "$HUSK" manifest add example.org/l:1 "$REGISTRY/src-third:1"
    "$HUSK" manifest push example.org/l:1 oci:o:x
    "$HUSK" manifest push example.org/l:1 oci-archive:o.tar:x
    "$HUSK" manifest push example.org/l:1 dir:d
    for form in oci:o:x oci-archive:o.tar dir:d; do
        skopeo copy --quiet --all "$form" "dir:to-${form%%:*}"
    done
    skopeo inspect --raw "oci:$HUSK_ROOT:example.org/l:1" | jq -e '.manifests | length == 2'
    "$HUSK" manifest push --all=false example.org/l:1 oci:alone:x
    [[ $(find alone/blobs -type f | wc -l) == 1 ]]
    run "$HUSK" manifest push --format v2s2 example.org/l:1 "docker://$REGISTRY/l:docker"
    expect 0
    remote "$REGISTRY/l:docker" | jq -e '.mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"'
    "$HUSK" manifest annotate --index --annotation a=b example.org/l:1
    run "$HUSK" manifest push --format v2s2 example.org/l:1 "docker://$REGISTRY/l:docker"
    expect 1 "Docker's format has no annotations"
    # a sweep takes neither the list nor what it needs
    "$HUSK" image prune >/dev/null
    "$HUSK" manifest inspect example.org/l:1 >/dev/null
    store_is_sound "$HUSK_ROOT"
}

@test "manifest push packs images otherwise, and once more: from the store and from a registry" {
    local how
    types() { remote "$REGISTRY/$1@$2" | jq -r '[.layers[].mediaType | sub(".*[+]"; "")] | unique | join(" ")'; }
    "$HUSK" copy "oci:$T/oci:here" store:localhost/here:1
    "$HUSK" manifest create example.org/p:1 localhost/here:1
    "$HUSK" manifest add example.org/p:1 "$REGISTRY/src-third:1" # it stays there
    "$HUSK" manifest push --compression-format zstd example.org/p:1 "docker://$REGISTRY/p:zstd"
    remote "$REGISTRY/p:zstd" | jq -e '.manifests | length == 2 and
        all(.annotations["io.github.containers.compression.zstd"] == "true")'
    for how in $(remote "$REGISTRY/p:zstd" | jq -r '.manifests[].digest'); do [[ $(types p "$how") == zstd ]]; done
    skopeo copy --quiet --all --src-tls-verify=false "docker://$REGISTRY/p:zstd" dir:zstd # checks every digest
    # those that are there stay as they are, and each platform gets another
    "$HUSK" manifest push --add-compression zstd --add-compression gzip example.org/p:1 "docker://$REGISTRY/p:both"
    diff <("$HUSK" manifest inspect example.org/p:1 | jq -S '.manifests') <(remote "$REGISTRY/p:both" | jq -S '.manifests[:2]')
    remote "$REGISTRY/p:both" | jq -e '.manifests | length == 4 and .[2].platform == .[0].platform and
        .[3].platform == .[1].platform and .[3].annotations["io.github.containers.compression.zstd"] == "true"'
    [[ $(types p "$(remote "$REGISTRY/p:both" | jq -r '.manifests[3].digest')") == zstd ]]
    skopeo copy --quiet --all --src-tls-verify=false "docker://$REGISTRY/p:both" dir:both
    # one that has both gets no third
    "$HUSK" manifest create example.org/q:1
    "$HUSK" manifest add --all example.org/q:1 "docker://$REGISTRY/p:both"
    "$HUSK" manifest push --add-compression zstd example.org/q:1 "docker://$REGISTRY/q:1"
    remote "$REGISTRY/q:1" | jq -e '.manifests | length == 4'
    check_table <<ROWS
manifest push --add-compression lz4 example.org/p:1 oci:x:x                            | 1 | gzip or zstd
manifest push --add-compression zstd:chunked example.org/p:1 oci:x:x                   | 1 | say zstd
manifest push --add-compression zstd --all=false example.org/p:1 oci:x:x               | 1 | pushes no image
manifest push --format v2s2 --add-compression zstd example.org/p:1 oci:x:x             | 1 | knows no zstd
manifest push --compression-level 3 example.org/p:1 oci:x:x                            | 1 | say with --compression-format
ROWS
    [[ ! -e x ]]
}

@test "two hands at one list at once: no entry is lost" {
    "$HUSK" manifest create example.org/race:1
    local name pids=()
    for name in here other third; do
        "$HUSK" manifest add example.org/race:1 "$REGISTRY/src-$name:1" >/dev/null 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    inspect example.org/race:1 | jq -e '.manifests | length == 3'
}

@test "what makes no list is refused in a sentence, and nothing is changed" {
    "$HUSK" manifest create example.org/bad:1 "$REGISTRY/src-here:1"
    "$HUSK" copy "oci:$T/oci:here" store:example.org/image:1
    local before
    before=$(inspect example.org/bad:1)
    check_table <<ROWS
manifest create example.org/bad:1                                  | 1 | --amend adds to it
manifest create 'A B'                                              | 1 | 'A B'
manifest create x@sha256:$(printf '%064d' 0)                       | 1 | a list's name has no digest
manifest create example.org/new:1 $REGISTRY/nosuch:1               | 1 | nosuch
manifest add example.org/nolist:1 $REGISTRY/src-here:1             | 1 | no such list
manifest add example.org/image:1 $REGISTRY/src-here:1              | 1 | it is an image
manifest add example.org/bad:1 store:example.org/nosuch:1          | 1 | no such image
manifest add --annotation x example.org/bad:1 $REGISTRY/src-here:1 | 1 | is not of the form KEY=VALUE
manifest annotate example.org/bad:1                                | 1 | needs LIST IMAGE
manifest annotate --index --os x example.org/bad:1                 | 1 | a list is for no platform
manifest annotate example.org/bad:1 sha256:$(printf '%064d' 0)     | 1 | is not in the list
manifest annotate example.org/bad:1 $REGISTRY/src-other:1          | 1 | is not in the list
manifest rm example.org/image:1                                    | 1 | it is an image
manifest push example.org/nolist:1                                 | 1 | no such list
ROWS
    [[ $(inspect example.org/bad:1) == "$before" ]]
    run "$HUSK" manifest exists example.org/new:1
    expect 1
    "$HUSK" manifest create --amend example.org/bad:1 "$REGISTRY/src-other:1"
    inspect example.org/bad:1 | jq -e '.manifests | length == 2'
    # the registry that an image is in does not answer any more, and it is not here
    "$HUSK" manifest create example.org/lost:1 "$REGISTRY/src-third:1"
    sed -i "s,$REGISTRY/src-third,127.0.0.1:1/gone,g" "$HUSK_ROOT/index.json"
    run "$HUSK" manifest push example.org/lost:1 "docker://$REGISTRY/lost:1"
    expect 1 "127.0.0.1:1"
    run remote "$REGISTRY/lost:1"
    [[ $status -ne 0 ]]
}

@test "inspect --verbose: every manifest with its descriptor and its very bytes, from the registry and from the store" {
    export HUSK_ROOT=$T/tmp/store
    local v digest
    v=$(inspect -v "$REGISTRY/multi:1")
    [[ $(jq -r 'map(.Descriptor.platform.architecture) | join(" ")' <<<"$v") == *sparc64* && $(jq length <<<"$v") == 2 ]]
    for digest in $(inspect "$REGISTRY/multi:1" | jq -r '.manifests[].digest'); do
        [[ $(jq -r --arg d "$digest" '.[] | select(.Descriptor.digest == $d) | .Raw' <<<"$v" | base64 -d | sha256sum) == "${digest#*:}  -" ]]
        jq -e --arg d "$digest" '.[] | select(.Descriptor.digest == $d) | .Ref == "'"$REGISTRY/multi:1"'@" + $d and
            (.Raw | @base64d | fromjson) == .OCIManifest and (.Raw | @base64d | length) == .Descriptor.size' <<<"$v"
    done
    # one image: its platform is its config's
    v=$(inspect --verbose "$REGISTRY/src-other:1")
    jq -e '.Descriptor.platform == {architecture: "sparc64", os: "linux"} and .Ref == "'"$REGISTRY/src-other:1"'"' <<<"$v"
    [[ ! -e $HUSK_ROOT/blobs ]] || [[ ! $(ls "$HUSK_ROOT/blobs/sha256") ]]
    # here, in Docker's form
    "$HUSK" pull -q "$REGISTRY/src-here:1"
    "$HUSK" push -q --format v2s2 "$REGISTRY/src-here:1" "$REGISTRY/docker:1"
    "$HUSK" pull -q "$REGISTRY/docker:1"
    inspect -v "$REGISTRY/docker:1" | jq -e '.SchemaV2Manifest.layers and (.OCIManifest | not)'
    # an index of which the store has one platform alone: the registry says the rest
    "$HUSK" pull -q "$REGISTRY/multi:1"
    [[ $(inspect -v "$REGISTRY/multi:1" | jq length) == 2 ]]
}

add_artifacts() { # HUSK...
    local digest
    "$@" manifest create arts:1 "$REGISTRY/src-here:1" >/dev/null
    echo one >one.txt
    echo '{"a":1}' >config.json
    "$@" manifest add --artifact --artifact-type application/vnd.test.sbom --artifact-layer-type text/plain --annotation k=v \
        --artifact-config "$PWD/config.json" --artifact-config-type application/vnd.test.config --artifact-subject "$REGISTRY/src-here:1" \
        --os linux --arch sparc64 arts:1 "$PWD/one.txt" "$T/oci/oci-layout"
    "$@" manifest add --artifact --artifact-exclude-titles arts:1 "$PWD/one.txt"
    "$@" manifest inspect arts:1 >index.json
    jq -e '.manifests[1] | .artifactType == "application/vnd.test.sbom" and .annotations == {k: "v"} and .platform.architecture == "sparc64"' index.json
    "$@" manifest inspect -v arts:1 >all.json || { cat all.json; return 1; }
    jq -e '.[1].OCIManifest | .artifactType == "application/vnd.test.sbom" and .config.mediaType == "application/vnd.test.config" and
        [.layers[].annotations["org.opencontainers.image.title"]] == ["one.txt", "oci-layout"] and .layers[0].mediaType == "text/plain"' all.json
    [[ $(jq -r '.[1].OCIManifest.subject.digest' all.json) == "$(jq -r '.manifests[0].digest' index.json)" ]]
    jq -e '.[2].OCIManifest | .artifactType == "application/vnd.unknown.artifact.v1" and (.layers[0].annotations | not)' all.json
    "$@" manifest push --all arts:1 "$REGISTRY/arts:1" >/dev/null
    digest=$(jq -r '.[1].OCIManifest.layers[0].digest' all.json)
    [[ $(curl -sf "http://$REGISTRY/v2/arts/blobs/$digest") == one ]]
    digest=$(jq -r '.[1].OCIManifest.config.digest' all.json)
    [[ $(curl -sf "http://$REGISTRY/v2/arts/blobs/$digest") == '{"a":1}' ]]
    "$@" manifest rm arts:1 >/dev/null
}

@test "manifest add --artifact: files become an artifact in the list, and go with it, for root and for a user" {
    export HUSK_ROOT=$T/tmp/store
    "$HUSK" pull -q "$REGISTRY/src-here:1"
    add_artifacts "$HUSK"
    as_user husk pull -q "$REGISTRY/src-here:1"
    add_artifacts as_user husk
    "$HUSK" manifest create l:1 >/dev/null
    check_table <<ROWS
manifest add --artifact l:1 /nosuch                         | 1 | open '/nosuch': No such file or directory
manifest add --artifact l:1 /                               | 1 | '/' is no regular file
manifest add --artifact --artifact-config /bin/true l:1 one.txt | 1 | it is no text
manifest add --artifact-type x/y l:1 one.txt                | 1 | are for --artifact
manifest add l:1 one.txt two.txt                            | 1 | one image at a time
manifest add --artifact --artifact-subject $REGISTRY/nosuch:1 l:1 one.txt | 1 | --artifact-subject
ROWS
    [[ $(inspect l:1 | jq '.manifests | length') == 0 ]]
}

@test "names of an index that has nothing for this machine: tagged, untagged, looked at, saved and removed like any other" {
    local list=$REGISTRY/app:1 other=$REGISTRY/multi:1 digest id
    export HUSK_ROOT=$T/tmp/store
    # pulled for another platform only: its image stands for the name
    "$HUSK" pull -q --platform linux/sparc64 "$other"
    run "$HUSK" image exists "$other"
    expect 0
    "$HUSK" tag "$other" sparc:2
    [[ $("$HUSK" image inspect "$other" | jq -c '.[0] | [.Architecture, (.RepoTags | sort)]') == \
        "[\"sparc64\",[\"$other\",\"sparc:2\"]]" ]]
    run "$HUSK" history sparc:2
    expect 0
    "$HUSK" save -o saved.tar sparc:2
    [[ $(tar -xOf saved.tar manifest.json | jq -c '.[0].RepoTags') == '["sparc:2"]' ]]
    run "$HUSK" rmi --no-trash "$other"
    expect 0 "=Untagged: $other"
    id=$("$HUSK" image inspect --format '{{.Id}}' sparc:2)
    run "$HUSK" untag sparc:2
    expect 0 "Untagged: sparc:2"
    [[ $("$HUSK" images -q --no-trunc) == "$id" ]]
    run "$HUSK" rmi --no-trash "$id"
    expect 0 "=Deleted: $id"
    # a list of a registry's images: of those only the documents are here
    "$HUSK" manifest create --insecure "$list" "$REGISTRY/src-other:1"
    "$HUSK" tag "$list" again:1
    run "$HUSK" rmi --no-trash "$list" again:1
    expect 0 "Untagged: again:1"
    # a list with nothing in it: there is a name and its document
    digest=$("$HUSK" manifest create "$list")
    run "$HUSK" image exists "$list"
    expect 0
    "$HUSK" tag "$list" again:1
    run "$HUSK" untag "$list" again:1
    expect 0 "=Untagged: again:1"
    run "$HUSK" untag "$list"
    expect 1 "remove it with 'husk rmi'"
    "$HUSK" tag "$list" again:1
    run "$HUSK" rmi --dry-run "$list"
    expect 0 "Untagged: $list"
    [[ $output != *Deleted* ]]
    run "$HUSK" rmi "$list"
    expect 0 "=Untagged: $list"
    run "$HUSK" rmi again:1
    expect 0 "=Untagged: again:1"$'\n'"Deleted: $digest"
    run "$HUSK" image exists "$list"
    expect 1
    "$HUSK" undo # the list is back, whole
    inspect again:1 | jq -e '.manifests == []'
    "$HUSK" manifest rm again:1
    "$HUSK" trash empty
    "$HUSK" image prune
    run "$HUSK" system check
    expect 0 "no problems"
    [[ ! $(names) && ! $(ls "$HUSK_ROOT/blobs/sha256" "$HUSK_ROOT/layers" | grep -E '^[0-9a-f]{64}$') ]]
    run "$HUSK" rmi nothing:1
    expect 1 "no such image"
}
