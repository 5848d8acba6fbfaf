#!/usr/bin/env bats
# husk load, import and bootstrap: what docker, skopeo and umoci write is read, what husk keeps they read; every kind of
# file as GNU tar extracts it; layers seen through overlayfs; two at once and killed ones; as root and as a user.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # HUSK_ROOT is set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    mkdir -m 755 "$T/in"
    skopeo copy --quiet "oci:$IMAGES/oci:latest" "docker-archive:$T/in/docker.tar:busybox:docker"
    skopeo copy --quiet "oci:$IMAGES/oci:latest" "oci-archive:$T/in/oci.tar:busybox:oci"
    skopeo copy --quiet "oci:$IMAGES/oci:latest" "oci:$T/in/layout:busybox:layout"
    chmod -R a+rX "$T/in"
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER
}
teardown() {
    rm -rf "$HUSK_ROOT" "$T/tmp"
    mkdir -m 1777 "$T/tmp"
}

tree() { "$HUSK_TOP/tests/bats/list-tree" "$1"; }
# The image's layer directories, lowest first.
layers_of() { # NAME
    local config diff_id
    config=$(skopeo inspect --raw "oci:$HUSK_ROOT:$1" | jq -r .config.digest)
    for diff_id in $(jq -r '.rootfs.diff_ids[]' "$HUSK_ROOT/blobs/sha256/${config#*:}"); do
        echo "$HUSK_ROOT/layers/${diff_id#*:}/fs"
    done
}
id_of() { skopeo inspect --raw "oci:$HUSK_ROOT:$1" | jq -r .config.digest; }
full() { echo "docker.io/library/$1"; }

# ---- formats -------------------------------------------------------------------------------------------------------

@test "what skopeo writes is loaded, and skopeo reads it back with the same digests" {
    local form id
    id=$(skopeo inspect --raw "oci:$IMAGES/oci:latest" | jq -r .config.digest)
    for form in docker.tar:docker oci.tar:oci layout:layout; do
        run "$HUSK" load --quiet --input "$T/in/${form%:*}"
        expect 0 "=Loaded image: busybox:${form#*:}"
        [[ $(id_of "$(full "busybox:${form#*:}")") == "$id" ]]
    done
    for form in oci layout; do
        skopeo copy --quiet "oci:$HUSK_ROOT:$(full "busybox:$form")" "dir:$T/tmp/$form"
        [[ $(sha256sum <"$T/tmp/$form/manifest.json") == "$(skopeo inspect --raw "oci:$IMAGES/oci:latest" | sha256sum)" ]]
    done
    skopeo copy --quiet "oci:$HUSK_ROOT:$(full busybox:docker)" "dir:$T/tmp/docker"
    # once unpacked, whatever it came as
    [[ $(layers_of "$(full busybox:docker)") == "$(layers_of "$(full busybox:oci)")" ]]
    [[ $(find "$HUSK_ROOT/layers" -mindepth 1 -maxdepth 1 | wc -l) == 1 ]]
    diff <(tree "$(layers_of "$(full busybox:oci)")") <(tree "$IMAGES/rootfs") >"$T/tmp/diff" || {
        # only the times and owners that make-images' tar sets differ
        ! grep -vE '^(---|[0-9,]+[acd][0-9,]+$|[<>] )' "$T/tmp/diff"
    }
    store_is_sound "$HUSK_ROOT"
    names_are_whole "$HUSK_ROOT"
}

@test "packed archives and pipes are loaded, and nothing else" {
    gzip -c "$T/in/docker.tar" >"$T/tmp/d.tgz"
    zstd -q -f "$T/in/docker.tar" -o "$T/tmp/d.zst"
    xz -c0 "$T/in/oci.tar" >"$T/tmp/o.xz"
    bzip2 -c "$T/in/oci.tar" >"$T/tmp/o.bz2"
    head -c 100000 "$T/in/docker.tar" >"$T/tmp/cut"
    head -c 100000 "$T/tmp/d.tgz" >"$T/tmp/cut.gz"
    load_stdin() { "$HUSK" load -q <"$1"; }
    # shellcheck disable=SC2002 # a pipe, not a file
    load_pipe() { cat "$1" | "$HUSK" load -q; }
    check_table <<ROWS
load -q -i $T/tmp/d.tgz        | 0 | =Loaded image: busybox:docker
load -q -i $T/tmp/d.zst        | 0 | =Loaded image: busybox:docker
load -q $T/tmp/o.xz            | 0 | =Loaded image: busybox:oci
load -q $T/tmp/o.bz2           | 0 | =Loaded image: busybox:oci
load -q $T/tmp/cut             | 1 | the archive ends in the middle of this entry
load -q $T/tmp/cut.gz          | 1 | gzip: it ends in the middle
load -q $IMAGES/rootfs.tar     | 1 | it is neither a docker-archive (no manifest.json) nor an OCI layout (no index.json): a root file system is read by 'husk import'
load -q $IMAGES/rootfs         | 1 | it is neither
load -q /dev/null              | 1 | it is empty
load -q /no/such               | 1 | open '/no/such': No such file or directory
load -i a b                    | 1 | --input says already
load --platform linux/vax $T/in/oci.tar | 1 | no image for platform linux/vax: it is for linux/
load --platform 1/2/3/4 x      | 1 | --platform: platform '1/2/3/4' is not of the form
ROWS
    run load_stdin "$T/in/oci.tar"
    expect 0 "=Loaded image: busybox:oci"
    run load_pipe "$T/tmp/d.tgz"
    expect 0 "=Loaded image: busybox:docker"
    store_is_sound "$HUSK_ROOT"
}

# make_docker_archive FILE: two images of three layers (one of them linked, as docker before 25 did it, one packed);
# one has two names, one none.
make_docker_archive() {
    local d=$T/tmp/da a b c
    rm -rf "$d"
    mkdir -p "$d/a" "$d/b" "$d/c" "$d/files"
    for name in a b c; do
        echo "$name" >"$d/files/$name"
        tar -C "$d/files" -cf "$d/$name/layer.tar" "$name"
    done
    a=$(sha256sum <"$d/a/layer.tar") b=$(sha256sum <"$d/b/layer.tar") c=$(sha256sum <"$d/c/layer.tar")
    mkdir "$d/link"
    ln -s ../b/layer.tar "$d/link/layer.tar"
    gzip "$d/c/layer.tar"
    local head
    head='{"architecture":"'$(dpkg --print-architecture)'","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":'
    echo "${head}[\"sha256:${a%% *}\",\"sha256:${b%% *}\"]}}" >"$d/one.json"
    echo "${head}[\"sha256:${b%% *}\",\"sha256:${c%% *}\"]}}" >"$d/two.json"
    cat >"$d/manifest.json" <<JSON
[{"Config":"one.json","RepoTags":["first:1","localhost:5000/first:1"],"Layers":["a/layer.tar","b/layer.tar"]},
 {"Config":"two.json","RepoTags":null,"Layers":["link/layer.tar","c/layer.tar.gz"]}]
JSON
    tar -C "$d" -cf "$1" manifest.json one.json two.json a b c link
    ID_TWO=sha256:$(sha256sum <"$d/two.json")
    ID_TWO=${ID_TWO%% *}
}

@test "an archive of several images: each name, an ID for those without, links between layers" {
    make_docker_archive "$T/tmp/two.tar"
    run "$HUSK" load -q -i "$T/tmp/two.tar"
    expect 0
    [[ $output == "Loaded image: first:1"$'\n'"Loaded image: localhost:5000/first:1"$'\n'"Loaded image ID: $ID_TWO" ]]
    [[ $(cat "$HUSK_ROOT"/layers/*/fs/? | sort | tr -d '\n') == abc ]]
    [[ $(jq '.manifests | length' "$HUSK_ROOT/index.json") == 3 ]]
    store_is_sound "$HUSK_ROOT"
    # again: nothing is added
    find "$HUSK_ROOT" | sort >"$T/tmp/before"
    "$HUSK" load -q -i "$T/tmp/two.tar"
    [[ $(jq '.manifests | length' "$HUSK_ROOT/index.json") == 3 ]]
    find "$HUSK_ROOT" | sort | diff "$T/tmp/before" -
}

@test "an archive that lies is refused, and nothing of it gets a name" {
    make_docker_archive "$T/tmp/two.tar"
    local d=$T/tmp/da
    cp "$d/one.json" "$T/tmp/one.json"
    cp "$d/manifest.json" "$T/tmp/manifest.json"
    # shellcheck disable=SC2317 # called in the table
    lie() {
        cp "$T/tmp/one.json" "$d/one.json"
        cp "$T/tmp/manifest.json" "$d/manifest.json"
        sed -i "$2" "$d/$1"
        tar -C "$d" -cf "$T/tmp/bad.tar" manifest.json one.json two.json a b c link
        rm -rf "$HUSK_ROOT"
        "$HUSK" load -q -i "$T/tmp/bad.tar"
    }
    check_table lie <<'ROWS'
one.json 's/sha256:..../sha256:0000/'                | 1 | its contents have the digest sha256:
one.json 's/,"sha256:[^"]*"//'                       | 1 | the config names 1 layers, the manifest 2
one.json 's/{/[/'                                    | 1 | config sha256:
manifest.json 's,a/layer.tar,../../../etc/passwd,'   | 1 | it has no file '../../../etc/passwd'
manifest.json 's,a/layer.tar,/etc/passwd,'           | 1 | it has no file '/etc/passwd'
manifest.json 's,one.json,none.json,'                | 1 | it has no file 'none.json'
manifest.json '2,$d;s,.*,[],'                        | 1 | manifest.json lists no images
manifest.json 's,"Config","Kofnig",'                 | 1 | Config: missing
manifest.json 's,first:1,UPPER:1,'                   | 0 | Loaded image ID: sha256:
ROWS
    run lie one.json 's/sha256:..../sha256:0000/'
    expect 1
    [[ $(jq '.manifests | length' "$HUSK_ROOT/index.json") == 0 ]]
    store_is_sound "$HUSK_ROOT"
}

@test "a blob of an OCI layout that is not what its name says is refused" {
    local blob
    cp -r "$T/in/layout" "$T/tmp/layout"
    for blob in "$T/tmp/layout/blobs/sha256"/*; do
        cp "$blob" "$T/tmp/saved"
        printf x | dd of="$blob" bs=1 seek=100 conv=notrunc status=none
        run "$HUSK" load -q "$T/tmp/layout"
        expect 1 "has the digest sha256:"
        rm "$blob"
        run "$HUSK" load -q "$T/tmp/layout"
        expect 1 "it has no file 'blobs/sha256/${blob##*/}'"
        ln -s "$T/tmp/saved" "$blob" # a link out of the layout leads nowhere
        run "$HUSK" load -q "$T/tmp/layout"
        expect 1 "it has no file"
        rm "$blob"
        mkfifo "$blob"
        run timeout 20 "$HUSK" load -q "$T/tmp/layout"
        expect 1 "is no file"
        rm "$blob"
        cp "$T/tmp/saved" "$blob"
        rm -rf "$HUSK_ROOT"
    done
    run "$HUSK" load -q "$T/tmp/layout"
    expect 0 "=Loaded image: busybox:layout"
}

# ---- files ---------------------------------------------------------------------------------------------------------

# make_kinds DIR: a directory with a file of every kind that this user may make.
make_kinds() {
    local d=$1 long
    mkdir -p "$d/dir/sub" "$d/sticky" "$d/setgid" "$d/closed/in"
    echo text >"$d/dir/file"
    echo exe >"$d/dir/suid"
    ln "$d/dir/file" "$d/dir/hard"
    ln "$d/dir/file" "$d/hard-above"
    ln -s file "$d/dir/link"
    ln -s /absolute/../target "$d/link-absolute"
    ln -s "$(printf 't%.0s' {1..200})" "$d/link-long"
    : >"$d/empty"
    head -c 300000 /dev/urandom >"$d/random"
    long=$(printf 'n%.0s' {1..120})
    mkdir -p "$d/$long/$long"
    echo long >"$d/$long/$long/$long"
    echo utf >"$d/ümläut "$'\x01\xff'
    truncate -s 3M "$d/sparse"
    printf middle | dd of="$d/sparse" bs=1 seek=1500000 conv=notrunc status=none
    truncate -s 2M "$d/holes-only"
    mkfifo "$d/fifo"
    if ((EUID == 0)) && mknod "$d/null" c 1 3; then
        mknod "$d/loop" b 7 200
        chown 12:34 "$d/null" "$d/empty" "$d/dir/sub" "$d/fifo"
        chown 65534:65534 "$d/sticky" "$d/dir/suid"
        chown -h 5:6 "$d/link-absolute"
    fi
    chmod 6755 "$d/dir/suid"
    chmod 1777 "$d/sticky"
    chmod 2750 "$d/setgid"
    echo inherits >"$d/setgid/file"
    chmod 400 "$d/random"
    chmod 555 "$d/closed"
    touch -d '2001-02-03 04:05:06.123456789' "$d/dir/file" "$d/dir"
    touch -h -d '1999-12-31 23:59:59.5' "$d/dir/link"
    touch -d '1950-01-01 00:00:00.25' "$d/empty"
    touch -d '2300-01-01' "$d/fifo"
}

# same_as_tar ARCHIVE [tar options]: husk's layer of it is what GNU tar extracts.
same_as_tar() {
    local archive=$1 name
    shift
    rm -rf "$T/tmp/tarred" && mkdir "$T/tmp/tarred"
    tar -xpf "$archive" -C "$T/tmp/tarred" --numeric-owner "$@"
    name=kinds:$RANDOM
    "$HUSK" import "$archive" "$name" >/dev/null
    tree "$T/tmp/tarred" >"$T/tmp/tree-tar"
    tree "$(layers_of "$(full "$name")")" >"$T/tmp/tree-husk"
    if ! diff "$T/tmp/tree-tar" "$T/tmp/tree-husk" >"$T/tmp/diff"; then
        echo "$archive: GNU tar (<) and husk (>) differ:"
        cat "$T/tmp/diff"
        return 1
    fi
    [[ $(wc -l <"$T/tmp/tree-husk") -gt 3 ]]
    chmod -R u+rwX "$T/tmp/tarred"
}

@test "every kind of file is as GNU tar extracts it, from each of tar's formats" {
    local k=$T/tmp/kinds v
    make_kinds "$k"
    setfattr -n user.comment -v "$(printf 'v%.0s' {1..500})" "$k/dir/file"
    setfattr -n user.dir -v 1 "$k/dir"
    setcap cap_net_raw+ep "$k/dir/suid"
    setfattr -n trusted.mine -v 2 "$k/dir/hard"
    for v in 0.0 0.1 1.0; do
        tar -C "$k" --format=posix --sparse --sparse-version=$v --xattrs --xattrs-include='*' -cf "$T/tmp/pax-$v.tar" .
        same_as_tar "$T/tmp/pax-$v.tar" --xattrs --xattrs-include='*'
    done
    grep -qa ' holes ' "$T/tmp/tree-husk"
    grep -qa 'security.capability=' "$T/tmp/tree-husk"
    rm "$k/empty" "$k/fifo" # times that older formats have no room for
    chmod -R u+w "$k/closed"
    tar -C "$k" --format=gnu --sparse -cf "$T/tmp/gnu.tar" .
    same_as_tar "$T/tmp/gnu.tar"
    tar -C "$k" --format=oldgnu --sparse -cf "$T/tmp/oldgnu.tar" .
    same_as_tar "$T/tmp/oldgnu.tar"
    rm -r "$k"/nnn* "$k/link-long"
    tar -C "$k" --format=ustar -cf "$T/tmp/ustar.tar" .
    same_as_tar "$T/tmp/ustar.tar"
    rm -rf "$k/null" "$k/loop"
    tar -C "$k" --format=v7 -cf "$T/tmp/v7.tar" .
    same_as_tar "$T/tmp/v7.tar"
    bsdtar_or_python "$k" "$T/tmp/other.tar"
    same_as_tar "$T/tmp/other.tar"
}
# Another implementation's PAX archive.
bsdtar_or_python() {
    python3 - "$1" "$2" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[2], "w", format=tarfile.PAX_FORMAT) as tar:
    tar.add(sys.argv[1], ".")
PY
}

@test "an ordinary user's layer is the same, owners by his own map" {
    local k=$T/tmp/kinds
    make_kinds "$k"
    chown 12:34 "$k/dir/sub"
    setfattr -n user.comment -v note "$k/dir/file"
    setcap cap_net_raw+ep "$k/dir/suid"
    tar -C "$k" --format=posix --sparse --xattrs --xattrs-include='*' -cf "$T/tmp/user.tar" .
    chmod 644 "$T/tmp/user.tar"
    as_user husk import "$T/tmp/user.tar" kinds:user >/dev/null
    in_user_tree >"$T/tmp/tree-user"
    HUSK_ROOT=$T/store-root "$HUSK" import "$T/tmp/user.tar" kinds:user >/dev/null
    tree "$T"/store-root/layers/*/fs | grep -av '^[cb] ' >"$T/tmp/tree-root" # devices are left out, as podman does
    rm -rf "$T/store-root"
    sed -i -E 's/security.capability=[0-9a-f]*/security.capability/' "$T/tmp/tree-user" "$T/tmp/tree-root"
    diff "$T/tmp/tree-root" "$T/tmp/tree-user"
    grep -qa 'security.capability' "$T/tmp/tree-user"
    grep -qa '^d .* 12:34 .* dir/sub$' "$T/tmp/tree-user"
    # and it goes away again, whoever owns it
    as_user husk rmi --no-trash kinds:user
    [[ ! $(as_user ls "$USER_HOME/root/layers") ]]
}
# The listing as root of the user's namespace sees it.
in_user_tree() {
    cp "$HUSK_TOP/tests/bats/list-tree" "$T/tmp/list-tree"
    # shellcheck disable=SC2016
    as_user unshare --user --map-root-user --map-auto sh -c '/usr/bin/python3 "$0" "$1"/root/layers/*/fs' "$T/tmp/list-tree" "$USER_HOME"
}

@test "an owner beyond the user's ids is one clear sentence with its cure" {
    mkdir "$T/tmp/own"
    touch "$T/tmp/own/f"
    tar -C "$T/tmp/own" --owner=:3000000000 --group=:7 -cf "$T/tmp/own.tar" f
    chmod 644 "$T/tmp/own.tar"
    run as_user husk import "$T/tmp/own.tar" own
    expect 1 "'f': its owner 3000000000:7 is not among the ids of this user namespace: give the user more of them in /etc/subuid and /etc/subgid"
    [[ ! $(as_user ls "$USER_HOME/root/tmp") ]]
    run "$HUSK" import "$T/tmp/own.tar" own
    expect 0
}

# make_layers DIR: an OCI layout made by umoci with files, a whiteout, a replaced directory and an opaque one.
make_layers() {
    local d=$1 f=$T/tmp/insert
    umoci init --layout "$d"
    umoci new --image "$d:new"
    mkdir -p "$f/one/gone" "$f/one/stays" "$f/one/hidden" "$f/two/hidden" "$f/two/gone"
    echo 1 >"$f/one/gone/old"
    echo 1 >"$f/one/stays/file"
    echo 1 >"$f/one/stays/gone-file"
    echo 1 >"$f/one/hidden/old"
    echo 2 >"$f/two/hidden/new"
    umoci insert --image "$d:new" --tag layers "$f/one" /
    umoci insert --image "$d:layers" --whiteout /stays/gone-file
    umoci insert --image "$d:layers" --opaque "$f/two/hidden" /hidden
    umoci insert --image "$d:layers" --whiteout /gone
    chmod -R a+rX "$d"
}

# As overlayfs shows the layers (arguments: the program's options for mount, then the directories, lowest first).
# shellcheck disable=SC2016
merged='
options=$1; shift
lower=
for dir; do lower=$dir${lower:+:$lower}; done
mkdir -p "$MERGED"
mount -t overlay overlay -o "ro,lowerdir=$lower$options" "$MERGED" || exit 1
cd "$MERGED" && find . -mindepth 1 | LC_ALL=C sort && cat hidden/* stays/*
'

@test "whiteouts and opaque directories hide what is below, seen through overlayfs" {
    local want dirs
    make_layers "$T/tmp/layout"
    want=$(printf '%s\n' ./hidden ./hidden/new ./stays ./stays/file 2 1)
    run "$HUSK" load -q "$T/tmp/layout"
    expect 0 "Loaded image: layers:latest"
    mapfile -t dirs < <(layers_of "$(full layers:latest)")
    [[ ${#dirs[@]} == 4 ]]
    run env MERGED="$T/tmp/merged" unshare -m sh -c "$merged" sh "" "${dirs[@]}"
    expect 0 "=$want"

    run as_user husk load -q "$T/tmp/layout"
    expect 0 "Loaded image: layers:latest"
    dirs=("${dirs[@]/#$HUSK_ROOT/$USER_HOME/root}")
    run as_user env MERGED="$USER_HOME/merged" unshare --user --map-root-user --map-auto -m sh -c "$merged" sh ",userxattr" "${dirs[@]}"
    expect 0 "=$want"
}

# ---- import --------------------------------------------------------------------------------------------------------

@test "import: changes, names and messages" {
    local tar=$IMAGES/rootfs.tar config
    run "$HUSK" import -m "from a test" -c 'CMD ["sh", "-l"]' -c 'ENTRYPOINT exec /init "$@"' -c 'ENV A=1 B="2 3"' \
        -c 'env A=4' -c "LABEL x=y 'z z'=w" -c 'EXPOSE 80 53/udp 8000-8001' -c 'VOLUME /data "/my dir"' -c 'USER 5:6' \
        -c 'WORKDIR /a' -c 'WORKDIR b' -c 'STOPSIGNAL SIGINT' -c 'ONBUILD RUN x' "$tar" made:1
    expect 0 "~^sha256:[0-9a-f]{64}$"
    config=$HUSK_ROOT/blobs/sha256/${output#*:}
    [[ $output == "$(id_of "$(full made:1)")" ]]
    [[ $(jq -cS .config "$config") == "$(jq -cS . <<'JSON'
{"Cmd":["sh","-l"],"Entrypoint":["/bin/sh","-c","exec /init \"$@\""],"Env":["A=4","B=2 3"],"Labels":{"x":"y","z z":"w"},
 "ExposedPorts":{"80/tcp":{},"53/udp":{},"8000/tcp":{},"8001/tcp":{}},"Volumes":{"/data":{},"/my dir":{}},"User":"5:6",
 "WorkingDir":"/a/b","StopSignal":"SIGINT","OnBuild":["RUN x"]}
JSON
    )" ]]
    [[ $(jq -r '.history[0].comment' "$config") == "from a test" ]]
    [[ $(jq -r '.architecture' "$config") == "$(dpkg --print-architecture)" && $(jq -r .os "$config") == linux ]]
    [[ $(jq -r '.rootfs.diff_ids[0]' "$config") == "sha256:$(sha256sum <"$tar" | cut -d' ' -f1)" ]]
    check_table <<ROWS
import $tar                                | 0 | ~^sha256:[0-9a-f]{64}$
import --platform linux/arm64 $tar arm:1   | 0 | sha256:
import -c 'RUN x' $tar                     | 1 | --change: 'RUN' is no change that can be made
import -c 'CMD' $tar                       | 1 | --change: CMD: what follows is missing
import -c 'CMD [1]' $tar                   | 1 | --change: CMD: the array holds something that is no string
import -c 'ENV A' $tar                     | 1 | --change: ENV: 'A' is not of the form NAME=VALUE
import -c 'ENV "A=1' $tar                  | 1 | --change: ENV: a quote that is not closed
import -c 'EXPOSE 80/icmp' $tar            | 1 | --change: EXPOSE: '80/icmp' is not of the form
import -c 'EXPOSE 70000' $tar              | 1 | --change: EXPOSE: port
import $tar UPPER                          | 1 | UPPER
import $tar a@sha256:$(printf '0%.0s' {1..64}) | 1 | a new image's digest cannot be chosen
import /no/such                            | 1 | open '/no/such': No such file or directory
import /dev/null                           | 1 | the tar is empty
import $HUSK_TOP/LICENSE                   | 1 | no tar header
import http://127.0.0.1:1/x.tar            | 1 | connect to 127.0.0.1:1: Connection refused
import                                     | 1 | FILE
ROWS
    store_is_sound "$HUSK_ROOT"
    names_are_whole "$HUSK_ROOT"
}

@test "import: a packed tar is kept as it came, a plain one is packed, one layer for all" {
    local tar=$T/tmp/r form blob
    cp "$IMAGES/rootfs.tar" "$tar.plain"
    gzip -nc "$tar.plain" >"$tar.gz"
    zstd -q -f "$tar.plain" -o "$tar.zst"
    xz -0c "$tar.plain" >"$tar.xz"
    bzip2 -c "$tar.plain" >"$tar.bz2"
    for form in plain gz zst xz bz2; do
        run "$HUSK" import - "packed:$form" <"$tar.$form"
        expect 0 sha256:
        blob=$(skopeo inspect --raw "oci:$HUSK_ROOT:$(full "packed:$form")" | jq -r '.layers[0].digest')
        blob=$HUSK_ROOT/blobs/sha256/${blob#*:}
        case $form in
        gz | zst) cmp "$tar.$form" "$blob" ;;
        *) zstd -dcq "$blob" | cmp "$tar.plain" - ;;
        esac
    done
    [[ $(find "$HUSK_ROOT/layers" -mindepth 1 -maxdepth 1 | wc -l) == 1 ]]
    store_is_sound "$HUSK_ROOT"
    names_are_whole "$HUSK_ROOT"
}

@test "the embedded image is there without network or archive" {
    run "$HUSK" load --embedded
    expect 0 "=Loaded image: localhost/hello:latest"
    run "$HUSK" load --embedded
    expect 0 "=Loaded image: localhost/hello:latest"
    [[ $("$(layers_of localhost/hello:latest)/hello") == "Hello from a container made by husk."* ]]
    [[ $(find "$HUSK_ROOT/blobs/sha256" -type f | wc -l) == 3 ]]
    run "$HUSK" load --embedded x
    expect 1 "--embedded and 'x' exclude each other"
    names_are_whole "$HUSK_ROOT"
}

# ---- trouble -------------------------------------------------------------------------------------------------------

make_big() {
    [[ -e $T/big.tar ]] && return
    mkdir "$T/tmp/big"
    local i
    for ((i = 0; i < 1500; i++)); do
        head -c 20000 /dev/urandom >"$T/tmp/big/$i"
    done
    tar -C "$T/tmp" -cf "$T/big.tar" big
    rm -rf "$T/tmp/big"
}

@test "killed at any moment it leaves no half layer, and the next command clears up" {
    make_big
    local i pid
    for i in 0.00 0.01 0.02 0.04 0.06 0.08 0.1 0.12 0.15 0.2 0.25 0.3 0.4; do
        "$HUSK_IMAGE" import "$T/big.tar" "big:$i" >/dev/null 2>&1 &
        pid=$!
        sleep "$i"
        kill -KILL $pid 2>/dev/null || true
        wait $pid || true
        # what is there is whole; staging may hold something until the next command
        [[ -e $HUSK_ROOT/index.json ]] || continue
        store_is_sound "$HUSK_ROOT" "*"
        names_are_whole "$HUSK_ROOT"
        rm -rf "$HUSK_ROOT"/layers/*
    done
    run "$HUSK" import "$T/big.tar" big:last
    expect 0 sha256:
    store_is_sound "$HUSK_ROOT"
}

@test "two at once make one layer" {
    make_big
    local i pids=()
    for i in 1 2 3 4; do
        "$HUSK" import "$T/big.tar" "big:$i" >"$T/tmp/out-$i" 2>&1 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i"
    done
    [[ $(find "$HUSK_ROOT/layers" -mindepth 1 -maxdepth 1 | wc -l) == 1 ]]
    [[ $(jq '.manifests | length' "$HUSK_ROOT/index.json") == 4 ]]
    store_is_sound "$HUSK_ROOT"
    names_are_whole "$HUSK_ROOT"
}

@test "a full disk is one sentence, and leaves nothing" {
    make_big
    # shellcheck disable=SC2016
    run unshare -m sh -c 'mkdir -p "$1" && mount -t tmpfs -o size=20m tmpfs "$1" &&
        { HUSK_ROOT=$1/store "$2" import "$3" big; echo "status $?"; find "$1/store/tmp" "$1/store/layers" -mindepth 1; }' \
        sh "$T/tmp/full" "$HUSK" "$T/big.tar"
    expect 0 "No space left on device"
    [[ ${lines[-1]} == "status 1" ]]
}

# ---- bootstrap -----------------------------------------------------------------------------------------------------

@test "bootstrap: wrong words" {
    mkdir "$T/tmp/bin"
    check_table <<'ROWS'
bootstrap                                 | 1 | debian:SUITE
bootstrap alpine:3                        | 1 | 'alpine:3': mmdebstrap makes debian:SUITE and ubuntu:SUITE, such as debian:bookworm
bootstrap debian:--x                      | 1 | debian:--x
bootstrap --variant huge debian:bookworm  | 125 | --variant
ROWS
    run env PATH="$T/tmp/bin" "$HUSK_IMAGE" bootstrap debian:bookworm
    expect 1 "=husk bootstrap: 'debian:bookworm': mmdebstrap is not installed: apt-get install mmdebstrap"
    store_is_sound "$HUSK_ROOT"
}

@test "bootstrap: a Debian image from the system's own mirror, made by an ordinary user" {
    export -f as_user # which dash would not pass on
    export HUSK_USER
    MACHINE_NETWORK=1 run bash "$HUSK_TOP/tools/patiently" bash -c 'as_user husk bootstrap --quiet --variant essential --tag tiny:1 debian:bookworm'
    [[ $output != *"patiently: the network"* ]] || echo "the mirror could not be reached, which says nothing about husk"
    expect 0 "tiny:1"
    [[ ${lines[-1]} == tiny:1 ]]
    # shellcheck disable=SC2016
    as_user sh -c 'cat "$HUSK_ROOT"/layers/*/fs/etc/debian_version' | grep -E '^12\.'
    [[ $(as_user skopeo inspect --config "oci:$USER_HOME/root:docker.io/library/tiny:1" | jq -c .config.Cmd) == '["bash"]' ]]
    as_user husk rmi tiny:1
}
