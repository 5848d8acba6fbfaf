# save: images out of the store, as archives, folders and streams that docker, podman and skopeo read; and load takes
# back what it wrote.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031,SC2164

load helpers

setup_file() {
    husk_setup_file
    "$HUSK" load --quiet --input "$IMAGES/busybox.tar"
    as_user load_busybox
    # A second image of two layers, one of them packed with zstd, the other shared with busybox.
    mkdir "$T/two"
    echo two >"$T/two/two"
    tar -C "$T/two" --sort=name --mtime=@1 --owner=0 --group=0 -cf "$T/two.tar" two
    "$HUSK" import "$T/two.tar" example.org/two:1 >/dev/null
    "$HUSK" tag busybox busybox:again
}
setup() {
    husk_setup
    cd "$T/tmp"
}
teardown() { find "$T/tmp" -mindepth 1 -delete; }

manifest_digest() { # NAME
    jq -r --arg name "$1" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $name) | .digest' \
        "$HUSK_ROOT/index.json"
}
id_of() { jq -r .config.digest "$HUSK_ROOT/blobs/sha256/${1#sha256:}"; }

@test "each format is read by skopeo, with the image's own digests" {
    local digest id
    digest=$(manifest_digest docker.io/library/busybox:latest)
    id=$(id_of "$digest")
    "$HUSK" save -o d.tar busybox
    "$HUSK" save --format oci-archive -o o.tar busybox
    "$HUSK" save --format oci-dir -o o busybox
    "$HUSK" save --format docker-dir -o d busybox
    [[ $(skopeo inspect --raw oci-archive:o.tar | sha256sum) == "${digest#*:}  -" ]]
    [[ $(skopeo inspect --raw oci:o:docker.io/library/busybox:latest | sha256sum) == "${digest#*:}  -" ]]
    [[ $(skopeo inspect --raw docker-archive:d.tar:busybox:latest | jq -r .config.digest) == "$id" ]]
    [[ $(skopeo inspect --raw dir:d | jq -r .config.digest) == "$id" ]]
    [[ $(skopeo inspect --raw dir:d | jq -r .mediaType) == application/vnd.docker.distribution.manifest.v2+json ]]
    local from
    for from in docker-archive:d.tar oci-archive:o.tar oci:o dir:d; do
        skopeo copy --quiet "$from" "oci:copied:${from%%:*}"
    done
    [[ $(jq -r '.manifests | length' copied/index.json) == 4 ]]
    umoci unpack --rootless --image o:docker.io/library/busybox:latest bundle
    [[ -x bundle/rootfs/bin/sh || -L bundle/rootfs/bin/sh ]]
    # and by an ordinary user's, who can give nothing to root
    ((EUID != 0)) || { chmod a+rx "$T" "$T/tmp" && chmod a+r o.tar d.tar; }
    [[ $(as_user skopeo inspect --raw "oci-archive:$PWD/o.tar" | sha256sum) == "${digest#*:}  -" ]]
    [[ $(as_user skopeo inspect --raw "docker-archive:$PWD/d.tar:busybox:latest" | jq -r .config.digest) == "$id" ]]
}

@test "--compression-format packs the layers of any format otherwise, and the image stays" {
    local form id
    id=$(id_of "$(manifest_digest docker.io/library/busybox:latest)")
    for form in docker-archive oci-archive; do
        "$HUSK" save --format "$form" --compression-format zstd --compression-level 5 -o "$form.tar" busybox
        HUSK_ROOT=$T/tmp/z "$HUSK" load -q -i "$form.tar"
        [[ $(HUSK_ROOT=$T/tmp/z "$HUSK" inspect --type image --format '{{.Id}}' busybox) == "$id" ]]
        jq -e '.layers | all(.mediaType | endswith("zstd"))' <(tar -xOf "$form.tar" "blobs/sha256/$(tar -xOf "$form.tar" index.json | jq -r '.manifests[0].digest' | cut -d: -f2)")
        rm -rf "$T/tmp/z"
    done
    "$HUSK" save --format docker-dir --compression-format gzip -o g busybox
    [[ $(skopeo inspect --raw dir:g | jq -r '.layers[0].mediaType') == *gzip ]]
    check_table <<ROWS
save -o x.tar --compression-level 3 busybox                                   | 1 | say with --compression-format
save -o x.tar --compression-format gzip --uncompressed busybox                | 125 | uncompressed
save -o x --format docker-dir --compression-format zstd busybox               | 1 | knows no zstd
save -o x.tar --compression-format zstd:chunked busybox                       | 1 | say zstd
ROWS
    [[ ! -e x && ! -e x.tar ]]
}

@test "load takes back every format, alone and from a pipe: same names, same digests" {
    local digest form
    digest=$(manifest_digest docker.io/library/busybox:latest)
    for form in docker-archive oci-archive; do
        "$HUSK" save --format "$form" -o a.tar busybox
        HUSK_ROOT=$T/tmp/there run "$HUSK" load -q -i a.tar
        expect 0 "=Loaded image: busybox:latest"
        HUSK_ROOT=$T/tmp/there
        [[ $(manifest_digest docker.io/library/busybox:latest) == "$digest" ]]
        store_is_sound "$T/tmp/there"
        rm -rf "$T/tmp/there" a.tar
        HUSK_ROOT=$T/root
    done
    "$HUSK" save --format oci-dir -o o busybox
    HUSK_ROOT=$T/tmp/there run "$HUSK" load -q o
    expect 0 "=Loaded image: busybox:latest"
    "$HUSK" save busybox | HUSK_ROOT=$T/tmp/piped "$HUSK" load -q
    HUSK_ROOT=$T/tmp/piped
    [[ $(manifest_digest docker.io/library/busybox:latest) == "$digest" ]]
    HUSK_ROOT=$T/root
}

@test "several images, several names, an ID: one archive, every blob in it once" {
    local id
    id=$(id_of "$(manifest_digest example.org/two:1)")
    "$HUSK" save -o all.tar busybox busybox:again example.org/two:1 "${id#sha256:}"
    [[ -z $(tar tf all.tar | sort | uniq -d) ]]
    [[ $(tar xOf all.tar manifest.json | jq -c '[.[].RepoTags]') == '[["busybox:latest","busybox:again"],["example.org/two:1"]]' ]]
    HUSK_ROOT=$T/tmp/there run "$HUSK" load -q -i all.tar
    expect 0
    [[ $output == "Loaded image: busybox:latest"$'\n'"Loaded image: busybox:again"$'\n'"Loaded image: example.org/two:1"* ]]
    names "$T/tmp/there" | sort >have
    printf '%s\n' docker.io/library/busybox:again docker.io/library/busybox:latest example.org/two:1 | diff - have
    # as an archive of docker 24 has it, without an index
    mkdir x
    tar -C x -xf all.tar
    tar -C x -cf old.tar manifest.json blobs
    HUSK_ROOT=$T/tmp/old run "$HUSK" load -q -i old.tar
    expect 0 "Loaded image: busybox:again"
    names "$T/tmp/old" | sort | diff - have
}

@test "a layer that cannot be packed anew, since its files are damaged or gone, is a sentence" {
    local HUSK_ROOT=$T/damaged
    export HUSK_ROOT
    "$HUSK" load --quiet -i "$IMAGES/busybox.tar"
    find "$HUSK_ROOT/blobs" -size +300k -delete
    printf x | dd "of=$(find "$HUSK_ROOT/layers" -name busybox -type f | head -n 1)" bs=1 seek=1000 conv=notrunc status=none
    for how in --compress "--compression-format zstd" --uncompressed; do
        # shellcheck disable=SC2086 # words
        run "$HUSK" save -q $how -o "$T/damaged.tar" busybox
        expect 1 "image 'busybox'"
        [[ ! -e $T/damaged.tar ]]
    done
    rm -rf "$HUSK_ROOT"
}

@test "--compress and --uncompressed change the packing, and not the image's ID" {
    local id form
    id=$(id_of "$(manifest_digest docker.io/library/busybox:latest)")
    "$HUSK" save --compress -o c.tar busybox
    "$HUSK" save --uncompressed -o u.tar example.org/two:1
    (($(stat -c %s c.tar) < $(stat -c %s "$IMAGES/busybox.tar")))
    [[ $(skopeo inspect --raw oci-archive:c.tar | jq -r '.layers[0].mediaType') == *.tar+gzip ]]
    [[ $(skopeo inspect --raw oci-archive:u.tar | jq -r '.layers[0].mediaType') == *.layer.v1.tar ]]
    cmp <(tar xOf u.tar "blobs/sha256/$(sha256sum <"$T/two.tar" | cut -d' ' -f1)") "$T/two.tar"
    HUSK_ROOT=$T/tmp/there run "$HUSK" load -q c.tar
    expect 0 "=Loaded image: busybox:latest"
    HUSK_ROOT=$T/tmp/there
    [[ $(id_of "$(manifest_digest docker.io/library/busybox:latest)") == "$id" ]]
    HUSK_ROOT=$T/root
    # docker's own form knows no zstd
    "$HUSK" save --format docker-dir -o d example.org/two:1
    [[ $(skopeo inspect --raw dir:d | jq -r '.layers[0].mediaType') == *.tar.gzip ]]
    skopeo copy --quiet dir:d oci:checked
}

@test "what cannot be saved is refused in a sentence, and leaves nothing and breaks nothing" {
    mkdir full
    echo mine >full/mine
    echo before >there.tar
    check_table <<'ROWS'
save -o x.tar nosuch                          | 1   | image 'nosuch': no such image
save -o x.tar busybox nosuch                  | 1   | image 'nosuch': no such image
save --format docker-dir -o x busybox busybox | 1   | has room for one image
save --format oci-dir busybox                 | 1   | needs a directory: name it with --output
save --format oci-dir -o full busybox         | 1   | has other things in it
save --format tar busybox                     | 125 | --format: 
save -o full busybox                          | 1   | 'full' is a directory
save -o no/such/x.tar busybox                 | 1   | open 'no/such': No such file or directory
save --compress --uncompressed -o x busybox   | 125 | exclude each other
save --platform linux/s390x -o x busybox      | 1   | not for platform linux/s390x
save -o there.tar nosuch                      | 1   | no such image
save                                          | 1   | needs IMAGE
ROWS
    [[ $(<there.tar) == before && $(<full/mine) == mine ]]
    [[ $(find . -mindepth 1 | sort | tr '\n' ' ') == "./full ./full/mine ./there.tar " ]]
    echo end >script
    run python3 "$BATS_TEST_DIRNAME/terminal.py" script "$HUSK" save busybox
    [[ $output == *"standard output is a terminal"* ]]
}

@test "a writer that is killed leaves no file; a full disk and a closed pipe are errors" {
    run bash -c "'$HUSK' save busybox | head -c 10 >/dev/null; exit \${PIPESTATUS[0]}"
    expect 1 "Broken pipe"
    run "$HUSK" save -o /dev/full busybox
    expect 1 "No space left on device"
    echo before >kept.tar
    # Killed at any moment, the old file is there or the new one, and nothing besides.
    local i pid
    for i in 1 2 3 4 5 6 7 8; do
        "$HUSK" save --compress -o kept.tar busybox 2>/dev/null &
        pid=$!
        sleep "0.0$i"
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    only_the_file() { [[ $(find . -name '.husk-*') == '' ]]; }
    wait_until 30 only_the_file
    [[ $(<kept.tar) == before ]] 2>/dev/null || tar tf kept.tar >/dev/null
}

@test "blobs of the store go by the kernel's own copying, and are not read" {
    skip_unless_kernel "strace cannot trace here" strace -o /dev/null true
    strace -f -e trace=copy_file_range,sendfile,read,pread64 -o trace "$HUSK" save -o a.tar busybox
    local size
    size=$(jq -r '.layers[0].size' "$HUSK_ROOT/blobs/sha256/$(manifest_digest docker.io/library/busybox:latest | cut -d: -f2)")
    grep -qE "(copy_file_range|sendfile)\(.*= $size\$" trace
    ! grep -qE "(read|pread64)\(.*= (26214[4]|$size)\$" trace
    "$HUSK" save busybox | cmp - a.tar
}

@test "an ordinary user saves and loads" {
    local form
    mkdir -m 777 out
    for form in docker-archive oci-archive oci-dir docker-dir; do
        as_user husk save --format "$form" -o "$T/tmp/out/$form" busybox
        [[ $(stat -c %U "$T/tmp/out/$form") == "$HUSK_USER" ]]
    done
    run as_user husk load -q -i "$T/tmp/out/docker-archive"
    expect 0 "=Loaded image: busybox:latest"
    skopeo copy --quiet "oci-archive:$T/tmp/out/oci-archive" "dir:$T/tmp/copy"
    as_user husk save busybox | cmp - out/docker-archive
}
