#!/usr/bin/env bats
# husk import --from podman|docker: other engines' stores read in place.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    python3 "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" two=gzip:a,zstd:b
    chmod -R a+rX "$T/oci"
    tricky_image
    pod load -q -i "$IMAGES/busybox.tar"
    "$HUSK" copy "oci:$T/oci:two" "docker-archive:$T/two.tar:two:1"
    pod load -q -i "$T/two.tar"
    pod load -q -i "$T/tricky.tar"
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/tmp/store
    cd "$T/tmp" || return
}
teardown() { find "$T/tmp" -mindepth 1 -delete; }

# In a mount namespace of its own: podman makes a mount of its store's folder, and leaves it.
pod() { unshare --mount --propagation private podman --root "$T/p" --runroot "$T/pr" --storage-driver overlay "$@"; }

# Layers with what is hard to put together again: long names, PAX times, links, whiteouts, an empty layer, odd names.
tricky_image() {
    python3 - "$T/tricky.tar" <<'PY'
import hashlib, io, json, sys, tarfile
def layer(fill, **more):
    out = io.BytesIO()
    t = tarfile.open(fileobj=out, mode="w", **more)
    fill(t)
    t.close()
    return out.getvalue()
def add(t, name, data=b"", **attributes):
    i = tarfile.TarInfo(name)
    i.size = len(data)
    for k, v in attributes.items():
        setattr(i, k, v)
    t.addfile(i, io.BytesIO(data) if data else None)
def first(t):
    add(t, "dir", type=tarfile.DIRTYPE, mode=0o755)
    add(t, "dir/file", b"x" * 1000, mode=0o644, mtime=1234567890)
    add(t, "dir/" + "long" * 40, b"long", mode=0o600, mtime=1234567890.5, pax_headers={"mtime": "1234567890.5"})
    add(t, "dir/setuid", b"s" * 513, mode=0o4755, uid=7, gid=8)
    add(t, "dir/hard", type=tarfile.LNKTYPE, linkname="dir/file")
    add(t, "dir/soft", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    add(t, "gone", b"gone")
    add(t, "w\u00e4hrend", b"umlaut")
def second(t):
    add(t, ".wh.gone")
    add(t, "dir/.wh..wh..opq")
    add(t, "dir/new", b"new")
layers = [layer(first, format=tarfile.PAX_FORMAT), layer(second, format=tarfile.GNU_FORMAT), layer(lambda t: None)]
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers",
    "diff_ids": ["sha256:" + hashlib.sha256(l).hexdigest() for l in layers]}}).encode()
out = tarfile.open(sys.argv[1], "w")
add(out, "config.json", config)
for n, l in enumerate(layers):
    add(out, "%d.tar" % n, l)
add(out, "manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["tricky:1"],
    "Layers": ["%d.tar" % n for n in range(len(layers))]}]).encode())
out.close()
PY
}

# The same files with everything that belongs to them.
# Without the times of what the layer does not list: whiteouts, and folders that are made for them.
listing() { (cd "$1" && find . -mindepth 1 -printf '%P %y %m %U:%G %s %T@ %l\n' | sed -E 's/^(.* [cd] .*) [0-9.]+ $/\1/' | sort); }

@test "podman: images are listed with their names" {
    run "$HUSK" import --from podman --root "$T/p"
    expect 0 "busybox"
    output_has "tricky:1"
    [[ $(wc -l <<<"$output") == 4 ]]
    [[ ! $("$HUSK" images -q) ]]
}

@test "podman: taken over by hard links, with the same ID, and the other store is left as it was" {
    local before id
    before=$(cd "$T/p" && find . -type f -printf '%p %s %T@ %m %U\n' | grep -v lock | sort | sha256sum)
    run "$HUSK" import --from podman --root "$T/p" busybox
    expect 0 "~[1-9][0-9]* hard links, 0 clones .reflink., 0 copies"
    id=$(pod images -q --no-trunc busybox)
    [[ $("$HUSK" images -q --no-trunc | tail -1) == "$id" ]]
    run "$HUSK" run --rm localhost/busybox echo it runs
    [[ $output == *"it runs"* ]] || { run "$HUSK" run --rm busybox echo it runs; expect 0 "it runs"; }
    [[ $(cd "$T/p" && find . -type f -printf '%p %s %T@ %m %U\n' | grep -v lock | sort | sha256sum) == "$before" ]]
    run "$HUSK" system check
    expect 0
    # again: nothing to do
    run "$HUSK" import --from podman --root "$T/p" busybox
    expect 0 "~0 hard links, 0 clones .reflink., 0 copies; [1-9]"
    # podman removes its image: ours stays whole
    cp -a "$T/p" p2
    "$HUSK" import --from podman --root p2 two:1
    rm -rf p2
    "$HUSK" verify two:1 || "$HUSK" verify localhost/two:1
    [[ $(cat store/layers/*/fs/a) ]]
}

@test "a store of another driver, and what is none" {
    mkdir -p vfs/vfs-images none docker/image/vfs
    check_table <<'ROWS'
import --from podman --root vfs    | 1 | it is of the driver 'vfs', and husk reads overlay's: 'podman save IMAGE | husk load'
import --from podman --root none   | 1 | there is no store of podman's: it has no folder 'overlay-images'
import --from docker --root docker | 1 | not of the driver 'overlay2', the only one that husk reads: 'docker save IMAGE | husk load'
import --from docker --root none   | 1 | there is no store of docker's: it has no folder 'image'
ROWS
}

@test "podman: every kind of entry comes as a load of the same archive makes it" {
    local theirs=$HUSK_ROOT layer
    "$HUSK" import --from podman --root "$T/p" tricky:1
    HUSK_ROOT=$T/tmp/loaded
    "$HUSK" load -q -i "$T/tricky.tar"
    [[ $(ls "$theirs/layers") == "$(ls "$HUSK_ROOT/layers")" ]]
    for layer in "$HUSK_ROOT"/layers/*; do
        diff <(listing "$layer/fs") <(listing "$theirs/layers/${layer##*/}/fs")
        cmp "$layer/size" "$theirs/layers/${layer##*/}/size"
    done
    # its packed layers are not there, and are made when they are asked for, to the byte
    HUSK_ROOT=$theirs
    [[ ! -e $theirs/blobs/sha256/${layer##*/} && -s $theirs/layers/${layer##*/}/split ]]
    "$HUSK" save -o x.tar localhost/tricky:1
    for layer in $("$HUSK" image inspect --format '{{range .RootFS.Layers}}{{.}} {{end}}' localhost/tricky:1); do
        [[ $(sha256sum <"$theirs/blobs/sha256/${layer#*:}") == "${layer#*:}  -" ]]
    done
    HUSK_ROOT=$T/tmp/again "$HUSK" load -q -i x.tar
    [[ $(HUSK_ROOT=$T/tmp/again "$HUSK" images -q) == "$("$HUSK" images -q localhost/tricky)" ]]
    "$HUSK" import --from podman --root "$T/p" --packed --all
    for layer in "$theirs"/layers/*; do
        [[ $(sha256sum <"$theirs/blobs/sha256/${layer##*/}") == "${layer##*/}  -" ]]
    done
    run "$HUSK" verify --all
    expect 0 "all good"
    run "$HUSK" system check
    expect 0
    store_is_sound "$theirs"
}

@test "podman: an image without its packed layers is pushed and copied; files that were changed are not" {
    start_registry
    "$HUSK" import --from podman --root "$T/p" busybox
    local name layer file
    name=$("$HUSK" images --format '{{.Repository}}:{{.Tag}}' | head -n 1)
    "$HUSK" copy "store:$name" oci:copied:x
    layer=$("$HUSK" image inspect --format '{{index .RootFS.Layers 0}}' "$name")
    [[ -s copied/blobs/sha256/${layer#*:} ]]
    rm "$HUSK_ROOT/blobs/sha256/${layer#*:}"
    "$HUSK" push -q "$name" "$REGISTRY/theirs:1"
    [[ $(curl -sf "http://$REGISTRY/v2/theirs/blobs/$layer" | sha256sum) == "${layer#*:}  -" ]]
    # what the record does not fit to is no layer
    file=$(find "$HUSK_ROOT/layers/${layer#*:}/fs" -type f -size +10k | head -n 1)
    rm "$HUSK_ROOT/blobs/sha256/${layer#*:}"
    cp -p "$file" other # theirs is a link to it
    rm "$file"
    printf EVIL | dd of=other conv=notrunc bs=1 seek=99 status=none
    mv other "$file"
    run "$HUSK" save -o x.tar "$name"
    expect 1 "digest"
    [[ ! -e x.tar && ! -e $HUSK_ROOT/blobs/sha256/${layer#*:} ]]
    rm "$HUSK_ROOT/layers/${layer#*:}/split"
    run "$HUSK" save -o x.tar "$name"
    expect 1 "its packed bytes are not kept here: pull, load or import the image again"
    run "$HUSK" push "$name" "$REGISTRY/other:1"
    expect 1 "its packed bytes are not kept here"
}

@test "podman: where the file system can, what cannot be a link is a clone" {
    local fs
    mkdir "$T/disk"
    for fs in "mkfs.xfs -q -m reflink=1" "mkfs.btrfs -q"; do
        truncate -s 512M "$T/disk.img"
        # shellcheck disable=SC2086 # words
        $fs "$T/disk.img" >/dev/null
        mount -o loop "$T/disk.img" "$T/disk"
        cp -a "$T/p" "$T/disk/p"
        HUSK_ROOT=$T/disk/store run "$HUSK" import --from podman --root "$T/disk/p" tricky:1
        umount_after() { umount "$T/disk"; rm "$T/disk.img"; }
        [[ $status -eq 0 && $output == *"5 hard links, 1 clones (reflink), 0 copies"* ]] || { echo "$fs: $output"; umount_after; return 1; }
        # each layer's tar is made of them, and is what its digest says
        HUSK_ROOT=$T/disk/store run "$HUSK" save -o x.tar localhost/tricky:1
        [[ $status -eq 0 ]] || { echo "$fs: $output"; umount_after; return 1; }
        umount_after
    done
    rmdir "$T/disk"
}

@test "podman: what is not as it was is refused, and leaves nothing" {
    cp -a "$T/p" p
    local big
    big=$(find p/overlay/*/diff -name busybox -type f -o -path '*/dir/file' | head -1)
    printf 'EVIL' | dd of="$big" conv=notrunc bs=1 status=none
    run "$HUSK" import --from podman --root p --all
    expect 1 "its contents have the digest"
    echo more >>"$big"
    run "$HUSK" import --from podman --root p --all
    expect 1 "is not the file of"
    rm "$big"
    ln -s /etc/passwd "$big"
    run "$HUSK" import --from podman --root p --all
    expect 1
    rm "$big"
    mkfifo "$big"
    run timeout 20 "$HUSK" import --from podman --root p --all
    expect 1
    sed -i 's/"id":"[0-9a-f]*"/"id":"..\/..\/..\/etc"/g' p/overlay-images/images.json
    run "$HUSK" import --from podman --root p
    expect 0 "!etc"
    [[ ! $(ls store/layers/*/fs/etc/passwd 2>/dev/null) ]]
    store_is_sound store
    check_table <<ROWS
import --from podman --root /nosuch                  | 1 | open podman's store '/nosuch'
import --from podman --root $T/oci                   | 1 | it has no folder 'overlay-images'
import --from docker --root $T/p                     | 1 | it has no folder 'image'
import --from podman --root $T/p nosuch              | 1 | no image 'nosuch' there
import --from podman --root $T/p --all busybox       | 1 | exclude each other
import --from rkt                                    | 125 | rkt
import                                               | 1 | needs FILE
import --packed x.tar                                | 1 | are for --from
ROWS
}

@test "podman: an ordinary user takes over his own images" {
    cp "$IMAGES/busybox.tar" "$T/tmp/b.tar"
    chmod 644 "$T/tmp/b.tar"
    # in namespaces of its own, since podman leaves a process and mounts
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc setpriv --reuid "$HUSK_USER" \
        --regid "$HUSK_USER" --init-groups env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin "HOME=$USER_HOME" "USER=$HUSK_USER" \
        "XDG_RUNTIME_DIR=$USER_RUN" "XDG_DATA_HOME=$USER_HOME/pd" podman --storage-driver overlay \
        --cgroup-manager cgroupfs load -q -i "$T/tmp/b.tar"
    run as_user env "XDG_DATA_HOME=$USER_HOME/pd" "$HUSK" import --from podman
    expect 0 busybox
    run as_user env "XDG_DATA_HOME=$USER_HOME/pd" "$HUSK" import --from podman --all
    expect 0 "~[1-9][0-9]* hard links, 0 clones .reflink., 0 copies"
    local name
    name=$(as_user husk images --format '{{.Repository}}:{{.Tag}}' | grep busybox)
    run as_user husk run --rm "$name" echo it runs
    expect 0 "it runs"
}
