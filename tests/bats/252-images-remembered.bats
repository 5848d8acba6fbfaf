#!/usr/bin/env bats
# What `husk images` remembers between two calls, and that it never shows what is no longer so.
# shellcheck disable=SC2154

load helpers

setup_file() { setup_both_stores; }
setup() { settle; }

# The file is written only when nothing in the store is so new that a change might not show in its times.
settle() { sleep 0.15; }
# What is listed without anything remembered: the truth.
fresh() { rm -f "$HUSK_RUN/images" && husk images --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.Digest}} {{.Size}} {{.CreatedAt}}'; }
listed() { husk images --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.Digest}} {{.Size}} {{.CreatedAt}}'; }
same_as_fresh() {
    local now truth
    now=$(listed)
    truth=$(fresh)
    [[ $now == "$truth" ]] || { printf 'listed:\n%s\nis:\n%s\n' "$now" "$truth"; return 1; }
}

@test "images: the list is remembered, and read from there" {
    husk images >/dev/null
    [[ -s $HUSK_RUN/images ]]
    local before
    before=$(stat -c %i "$HUSK_RUN/images")
    run husk images --format '{{.Repository}}:{{.Tag}}'
    expect 0 =busybox:latest
    [[ $(stat -c %i "$HUSK_RUN/images") == "$before" ]]
    # no image's document is opened for it
    run strace -f -e trace=openat "$HUSK" images
    expect 0 '!blobs/sha256/'
    as_user husk images >/dev/null
    as_user husk images | grep -q busybox
    [[ -s $USER_RUN/husk/images ]]
}

@test "images: names that come and go show at once" {
    husk images >/dev/null
    husk tag busybox other:1
    run listed
    expect 0 other:1
    same_as_fresh
    husk rmi other:1
    run listed
    expect 0 '!other:1'
    same_as_fresh
    husk import "$IMAGES/rootfs.tar" second:1 >/dev/null
    same_as_fresh
    husk rmi second:1
    same_as_fresh
}

@test "images: after a change only what is new is read" {
    husk import "$IMAGES/rootfs.tar" second:1 >/dev/null
    husk images >/dev/null
    settle
    husk images >/dev/null
    husk tag busybox again:1
    husk import --change 'LABEL x=y' "$IMAGES/rootfs.tar" third:1 >/dev/null
    run strace -f -e trace=openat "$HUSK" images --format '{{.Repository}} {{.Size}}'
    expect 0 "again" && expect 0 "third"
    # the third one's manifest and config, and no other document
    [[ $(grep -c 'blobs/sha256/[0-9a-f]' <<<"$output") == 2 ]] || { echo "$output"; return 1; }
    same_as_fresh
    # one that is remembered and whose config is gone is passed over all the same
    local id
    id=$(husk images -q --no-trunc second)
    mv "$HUSK_ROOT/blobs/sha256/${id#sha256:}" "$T/tmp/kept"
    husk tag busybox again:2
    run husk images --format '{{.Repository}}:{{.Tag}}'
    expect 0 "image 'docker.io/library/second:1' is passed over" && expect 0 '!
second:1'
    mv "$T/tmp/kept" "$HUSK_ROOT/blobs/sha256/${id#sha256:}"
    same_as_fresh
    husk rmi again:1 again:2 second:1 third:1 >/dev/null
    same_as_fresh
}

@test "images: quick changes of names, each followed by a look, never show an old list" {
    local i
    for ((i = 0; i < 30; i++)); do
        husk tag busybox "quick:$i"
        [[ $(husk images -q --filter "reference=quick:$i" | wc -l) == 1 ]]
        husk rmi "quick:$i" >/dev/null
        [[ ! $(husk images -q --filter "reference=quick:$i") ]]
    done
}

@test "images: while others tag and untag, a look shows what is there when it is over" {
    local i j
    for i in 1 2 3 4; do
        { for ((j = 0; j < 10; j++)); do husk tag busybox "many$i:$j" && husk images >/dev/null && { ((j % 2)) || husk rmi "many$i:$j" >/dev/null; }; done; } &
    done
    wait
    [[ $(husk images --format '{{.Repository}}' | grep -c '^many') == 20 ]]
    same_as_fresh
    husk images --format '{{.Repository}}:{{.Tag}}' | grep '^many' | xargs -n1 "$HUSK" rmi >/dev/null
}

@test "images: an image whose documents are gone is not shown from memory" {
    husk tag busybox broken:1
    settle
    husk images >/dev/null
    local manifest
    manifest=$(husk images --digests --format '{{.Digest}}' | head -n 1)
    mv "$HUSK_ROOT/blobs/sha256/${manifest#sha256:}" "$T/tmp/kept"
    run husk images
    expect 0 'is passed over'
    run husk images # and is not forgotten to be said again
    expect 0 'is passed over'
    mv "$T/tmp/kept" "$HUSK_ROOT/blobs/sha256/${manifest#sha256:}"
    run listed
    expect 0 broken:1
    husk rmi broken:1 >/dev/null
}

@test "images: a memory that is rubbish, cut, or another store's is made anew" {
    husk images >/dev/null
    local truth size
    truth=$(fresh)
    size=$(stat -c %s "$HUSK_RUN/images")
    for cut in 0 1 13 14 40 $((size / 2)) $((size - 1)); do
        listed >/dev/null
        truncate -s "$cut" "$HUSK_RUN/images"
        [[ $(listed) == "$truth" ]] || { echo "cut at $cut"; return 1; }
    done
    head -c 5000 /dev/urandom >"$HUSK_RUN/images"
    [[ $(listed) == "$truth" ]]
    settle
    HUSK_ROOT=$T/another run husk images -q
    expect 0 =
    [[ $(listed) == "$truth" ]]
    HUSK_ROOT=$T/another run husk images -q
    expect 0 =
}

@test "images: filters and labels are answered from memory as from the documents" {
    husk run --name labelled busybox true
    husk commit --change 'LABEL a=b' --change 'LABEL c=' labelled labelled:1 >/dev/null
    husk rm labelled >/dev/null
    settle
    for round in 1 2; do
        check_table <<'END'
images --filter label=a --format '{{.Repository}}'          | 0 | =labelled
images --filter label=a=b --format '{{.Repository}}'        | 0 | =labelled
images --filter label=a=bc --format '{{.Repository}}'       | 0 | =
images --filter label=c= --format '{{.Repository}}'         | 0 | =labelled
images --filter label=x --format '{{.Repository}}'          | 0 | =
images --filter dangling=true -q                            | 0 | =
images --filter reference='lab*' --format '{{.Repository}}' | 0 | =labelled
END
    done
    husk rmi labelled:1 >/dev/null
}

# which_shown: the digest that is listed for the list of two platforms
which_shown() { husk images --no-trunc --format '{{.Digest}}' --filter reference=two:1; }

@test "images: of several platforms the right one is shown, whatever comes and goes beside it" {
    local layout=$T/tmp/two mine other
    python3 - "$IMAGES/oci" "$layout" <<'END'
import hashlib, json, os, shutil, sys
src, out = sys.argv[1:]
shutil.copytree(src, out)
blobs = out + "/blobs/sha256/"
def put(doc):
    data = json.dumps(doc).encode()
    name = hashlib.sha256(data).hexdigest()
    open(blobs + name, "wb").write(data)
    return {"digest": "sha256:" + name, "size": len(data)}
def get(d): return json.load(open(blobs + d["digest"][7:]))
top = json.load(open(out + "/index.json"))
manifest = get(top["manifests"][0])
list_ = []
for arch in "amd64", "s390x":
    config = get(manifest["config"])
    config["architecture"] = arch
    one = dict(manifest, config=dict(manifest["config"], **put(config)))
    list_.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", **put(one),
                  "platform": {"os": "linux", "architecture": arch}})
index = put({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list_})
print(list_[0]["digest"], list_[1]["digest"])
top["manifests"] = [{"mediaType": "application/vnd.oci.image.index.v1+json", **index,
                     "annotations": {"org.opencontainers.image.ref.name": "docker.io/library/two:1"}}]
json.dump(top, open(out + "/index.json", "w"))
END
    husk load -i "$layout" >/dev/null
    mine=$(jq -r '.manifests[] | select(.platform.architecture == "amd64").digest' "$layout/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$layout/index.json")")
    other=$(jq -r '.manifests[] | select(.platform.architecture == "s390x").digest' "$layout/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$layout/index.json")")
    [[ $(uname -m) == x86_64 ]] || { local swap=$mine && mine=$other other=$swap; }
    [[ $(which_shown) == "$mine" ]] && settle && [[ $(which_shown) == "$mine" ]]
    # with both documents here, a change reads neither again
    husk tag busybox beside:1
    run strace -f -e trace=openat "$HUSK" images -q
    expect 0 '!blobs/sha256/[0-9a-f]'
    # without this machine's the other one is shown; and this machine's again when it is back
    cp "$layout/blobs/sha256/${other#sha256:}" "$HUSK_ROOT/blobs/sha256/"
    cp "$layout/blobs/sha256/$(jq -r '.config.digest[7:]' "$layout/blobs/sha256/${other#sha256:}")" "$HUSK_ROOT/blobs/sha256/"
    mv "$HUSK_ROOT/blobs/sha256/${mine#sha256:}" "$T/tmp/kept"
    [[ $(which_shown) == "$other" ]] && settle && [[ $(which_shown) == "$other" ]]
    settle
    mv "$T/tmp/kept" "$HUSK_ROOT/blobs/sha256/${mine#sha256:}"
    [[ $(which_shown) == "$mine" ]]
    settle
    same_as_fresh
    husk rmi two:1 beside:1 >/dev/null
}

@test "images: a layer that goes shows in the size" {
    husk import "$IMAGES/rootfs.tar" sized:1 >/dev/null
    settle
    same_as_fresh
    local id
    id=$(husk image inspect --format '{{index .RootFS.Layers 0}}' sized:1)
    mv "$HUSK_ROOT/layers/${id#sha256:}" "$T/tmp/kept"
    run husk images --format '{{.Size}}' --filter reference=sized:1
    expect 0 =0B
    mv "$T/tmp/kept" "$HUSK_ROOT/layers/${id#sha256:}"
    same_as_fresh
    husk rmi sized:1 >/dev/null
}
