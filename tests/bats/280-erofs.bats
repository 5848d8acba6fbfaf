#!/usr/bin/env bats
# Layers in EROFS's form: the tar stays as it came and an index over it is mounted. What a container sees, what is
# refused and what commands say is what unpacked layers would have given.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # HUSK_ROOT is set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    mkdir -m 755 "$T/hostile" "$T/outside"
    VICTIM=$T/outside/victim python3 "$HUSK_TOP/tests/bats/hostile-tars.py" "$T/hostile"
    "$HUSK_TOP/tests/bats/make-look.py" "$T/look"
    chmod -R a+rX "$T/look"
    export HUSK_LAYERS=erofs HUSK_MAX_LAYER_BYTES=64m HUSK_MAX_LAYER_ENTRIES=2500
}
setup() {
    husk_setup
    skip_unless_kernel "EROFS mounted from files (6.12)" erofs_from_files
}
# Mounts go with their images, and the run-time folder can be removed.
teardown_file() {
    remove_all_containers
    [[ ! -d $HUSK_ROOT ]] || "$HUSK" images -q | xargs -r "$HUSK" rmi --force >/dev/null
    husk_teardown_file
}

erofs_from_files() {
    local major minor
    IFS=.- read -r major minor _ < <(uname -r)
    grep -qw erofs /proc/filesystems && ((major > 6 || (major == 6 && minor >= 12)))
}
mounts() { grep -c " $HUSK_RUN/erofs/" /proc/self/mounts; }
# What an image holds: all but directories' own sizes and times, which file systems choose.
listing() { # IMAGE
    "$HUSK" image files -R --format json "$1" | jq -S -c 'if .Type == "directory" then del(.Size, .ModTime) else . end'
    "$HUSK" image files -R --format json "$1" | jq -r 'select(.Type == "file" and (.Path | test("\n") | not)) | .Path' |
        xargs -r -d '\n' "$HUSK" image cat "$1" | sha256sum
}

# The tar in a layer's file: its length is in bytes 8 to 15, its place 4,096
tar_of() { # HEX
    head -c $((4096 + $(od -An -tu8 -j8 -N8 "$HUSK_ROOT/layers/$1/erofs"))) "$HUSK_ROOT/layers/$1/erofs" | tail -c +4097
}

@test "the store holds one file for each layer, and the tar in it is the layer byte for byte" {
    "$HUSK" load --quiet --input "$T/look"
    local id
    for id in $("$HUSK" image inspect app --format '{{range .RootFS.Layers}}{{println .}}{{end}}'); do
        [[ $(ls -A "$HUSK_ROOT/layers/${id#*:}") == erofs ]]
        [[ sha256:$(tar_of "${id#*:}" | sha256sum | cut -d' ' -f1) == "$id" ]]
    done
    # one index for each image of several layers
    [[ $(find "$HUSK_ROOT/merged" -type f | wc -l) == 2 ]]
    run "$HUSK" verify --all
    expect 0 "all good"
    run "$HUSK" system check
    expect 0 "no problems"
}

@test "what is in an image is the same in both forms, and so is what is refused" {
    local image tar name files=$T/files erofs=$T/erofs n=0 both=0 a b
    for image in base app other; do
        HUSK_ROOT=$files HUSK_LAYERS=files "$HUSK" load --quiet --input "$T/look"
        diff <(HUSK_ROOT=$files listing "$image") <(listing "$image")
    done
    for tar in "$T"/hostile/*.tar; do
        name=x${tar##*/} name=${name%.tar} a=0 b=0
        HUSK_ROOT=$files HUSK_LAYERS=files "$HUSK" import "$tar" "${name,,}" >"$T/tmp/out-files" 2>&1 || a=$?
        HUSK_ROOT=$erofs "$HUSK" import "$tar" "${name,,}" >"$T/tmp/out-erofs" 2>&1 || b=$?
        [[ $a == "$b" ]] || { echo "$name: files $a $(<"$T/tmp/out-files"); erofs $b $(<"$T/tmp/out-erofs")"; return 1; }
        n=$((n + 1))
        ((a == 0)) || continue
        both=$((both + 1))
        [[ $name != *ok-times ]] || continue # the host's file system cuts times off where EROFS keeps them
        diff <(HUSK_ROOT=$files listing "${name,,}") <(HUSK_ROOT=$erofs listing "${name,,}") || { echo "$name"; return 1; }
    done
    ((n > 20 && both > 3)) || { echo "only $both of $n"; return 1; }
    rm -rf "$files" "$erofs"
}

@test "a container has the image's layers as one directory, writes above them and shares their mount" {
    load_busybox
    run "$HUSK" run --rm busybox sh -c 'cat /etc/passwd | head -n 1; echo x >/etc/passwd; rm /bin/ls; mkdir /bin/d; cat /etc/passwd'
    expect 0 "x"
    output_has "root:x:0:0"
    run "$HUSK" run --rm busybox sh -c 'test -x /bin/ls && head -n 1 /etc/passwd'
    expect 0 "=root:x:0:0:root:/root:/bin/sh"
    "$HUSK" run -d --name one busybox sleep 1000 >/dev/null
    "$HUSK" run -d --name two busybox sleep 1000 >/dev/null
    [[ $(mounts) == 1 ]]
    # the same files for both, so the same memory
    [[ $("$HUSK" exec one stat -c %d:%i /bin/busybox | cut -d: -f2) == "$("$HUSK" exec two stat -c %d:%i /bin/busybox | cut -d: -f2)" ]]
    "$HUSK" rm -f one two >/dev/null
}

@test "an image of several layers: one lower directory, files as overlayfs shows them" {
    "$HUSK" load --quiet --input "$T/look"
    cp "$IMAGES/rootfs/bin/busybox" "$T/tmp/bb"
    "$HUSK" create --name several -v "$T/tmp/bb:/busybox:ro" --entrypoint /busybox app sh -c \
        'ls /dir /etc/conf; test ! -e /tree && test ! -e /usr/bin/big && grep -c alice /etc/passwd' >/dev/null
    run "$HUSK" start -a several
    expect 0 "=/dir:
three

/etc/conf:
d
1" || { echo "$output"; return 1; }
    "$HUSK" rm several >/dev/null
    # without the merged index each layer is mounted by itself, and the index is made anew when it can be
    rm -f "$HUSK_ROOT"/merged/*
    run "$HUSK" run --rm -v "$T/tmp/bb:/busybox:ro" --entrypoint /busybox app cat /dir/three
    expect 0 "=3"
    [[ $(find "$HUSK_ROOT/merged" -type f | wc -l) == 1 ]]
}

@test "the index of several layers is made of theirs, and of their tars where one is damaged; both are the same" {
    local id first index
    "$HUSK" load --quiet --input "$T/look"
    index=$(find "$HUSK_ROOT/merged" -type f | head -n 1)
    cp "$index" "$T/tmp/before"
    remake() { "$HUSK" create --name again --entrypoint /x "$1" >/dev/null && "$HUSK" start again 2>/dev/null || true; "$HUSK" rm -f again >/dev/null; }
    for id in app base; do # whichever the index is of
        rm -f "$HUSK_ROOT"/merged/*
        remake app && remake other && remake base
        cmp "$index" "$T/tmp/before"
        first=$("$HUSK" image inspect $id --format '{{index .RootFS.Layers 0}}')
        printf '\xfe' | dd of="$HUSK_ROOT/layers/${first#*:}/erofs" bs=1 seek=1064 conv=notrunc status=none # where it begins
    done
    "$HUSK" rmi --no-trash --force app base other >/dev/null
}

@test "what a layer's tar has beyond 16 MiB goes past the page cache where the disk lets it" {
    yes 'a line, and the next one' | head -c 30000000 >"$T/tmp/noise"
    tar -C "$T/tmp" -cf "$T/tmp/noise.tar" noise
    "$HUSK" import "$T/tmp/noise.tar" noise >/dev/null
    local file resident
    file=$(find "$HUSK_ROOT/layers" -name erofs -size +28M)
    cmp <("$HUSK" image cat noise noise) "$T/tmp/noise"
    "$HUSK" rmi --no-trash noise >/dev/null
    "$HUSK" import "$T/tmp/noise.tar" noise >/dev/null
    resident=$(fincore --bytes --noheadings --output RES "$file")
    if dd if=/dev/zero of="$HUSK_ROOT/tmp/.direct" bs=4096 count=1 oflag=direct status=none; then
        ((resident < 20000000)) || { echo "$resident bytes are in memory"; return 1; }
    fi
    rm -f "$HUSK_ROOT/tmp/.direct"
    "$HUSK" rmi --no-trash noise >/dev/null
}

@test "a disk that is too small for a layer is one error, and nothing is left of it" {
    truncate -s 16M "$T/tmp/small"
    mkfs.ext4 -q -F "$T/tmp/small"
    head -c 20000000 /dev/zero | tr '\0' x >"$T/tmp/large"
    tar -C "$T/tmp" -czf "$T/tmp/large.tar.gz" large
    # shellcheck disable=SC2016
    run unshare -m --propagation private bash -c 'mkdir "$1/on" && mount -o loop "$1/small" "$1/on" || exit 9
        HUSK_ROOT=$1/on/store "$2" import "$1/large.tar.gz" large; echo "status $?"; find "$1/on/store/tmp" "$1/on/store/layers" -mindepth 1
        umount "$1/on"' bash "$T/tmp" "$HUSK"
    expect 0 "No space left on device"
    output_has "status 1"
    [[ $(wc -l <<<"$output") == 2 ]] || { echo "$output"; return 1; }
}

@test "a user namespace of its own: files belong to the container's root" {
    load_busybox
    echo "root:1000000000:6553600" >"$T/tmp/subids"
    run unshare -m bash -c 'mount --bind "$1/subids" /etc/subuid && mount --bind "$1/subids" /etc/subgid || exit 9
        "$2" run --rm --userns auto busybox sh -c "stat -c \"%u %g\" /bin/busybox /etc; touch /x && stat -c %u /x"' \
        bash "$T/tmp" "$HUSK"
    expect 0 "=0 0
0 0
0"
}

@test "rmi unmounts; a container that runs is not disturbed by others' removal" {
    load_busybox
    "$HUSK" load --quiet --input "$T/look"
    "$HUSK" run -d --name keep busybox sleep 1000 >/dev/null
    [[ $(mounts) -ge 1 ]]
    "$HUSK" rmi --no-trash --force base app other >/dev/null
    run "$HUSK" exec keep cat /etc/passwd
    expect 0 "root:x:0:0"
    "$HUSK" rm -f keep >/dev/null
    "$HUSK" rmi --no-trash busybox >/dev/null
    [[ $(mounts) == 0 ]]
    [[ ! $(ls "$HUSK_ROOT/layers" "$HUSK_ROOT/merged" | grep -v :) ]]
    run "$HUSK" system check
    expect 0 "no problems"
}

@test "verify finds a byte of the tar and of the index that is another, and repairs them" {
    local id at file
    load_busybox
    id=$("$HUSK" image inspect busybox --format '{{index .RootFS.Layers 0}}')
    file=$HUSK_ROOT/layers/${id#*:}/erofs
    # what says that it is a layer's and how long its tar is, the super block, the tar, its last byte, the first inode, the end
    for at in 3 8 15 1036 6000 $((4095 + $(tar_of "${id#*:}" | wc -c))) $((4096 + 64 + $(tar_of "${id#*:}" | wc -c))) $(($(stat -c %s "$file") - 1)); do
        printf '\xfe' | dd of="$file" bs=1 seek="$at" conv=notrunc status=none
        run "$HUSK" verify busybox
        [[ $status -ne 0 ]]
        output_has "its files are not those that were unpacked"
        run "$HUSK" verify --repair busybox
        run "$HUSK" verify busybox
        expect 0 "all good"
    done
}

@test "who may: an ordinary user is told what to do, and the settings say which form" {
    run as_user env HUSK_LAYERS=erofs "$HUSK" load --quiet --input "$IMAGES/busybox.tar"
    expect 1 "only root can mount EROFS from files"
    HUSK_LAYERS=zip run "$HUSK" load --quiet --input "$IMAGES/busybox.tar"
    expect 1 "HUSK_LAYERS: 'zip' is not one of erofs, files, auto"
    printf '[storage]\nlayers = erofs\n' >"$T/tmp/husk.conf"
    HUSK_ROOT=$T/c HUSK_LAYERS='' HUSK_CONF=$T/tmp/husk.conf "$HUSK" load --quiet --input "$IMAGES/busybox.tar"
    [[ -e $(echo "$T"/c/layers/*/erofs) ]]
    printf '[storage]\nlayers = files\n' >"$T/tmp/husk.conf"
    HUSK_ROOT=$T/d HUSK_LAYERS='' HUSK_CONF=$T/tmp/husk.conf "$HUSK" load --quiet --input "$IMAGES/busybox.tar"
    [[ -d $(echo "$T"/d/layers/*/fs) ]]
    rm -rf "$T/c" "$T/d"
}

@test "killed at every step of a load, a layer is whole or not there" {
    local calls=renameat2,renameat,syncfs,fsync,fdatasync,mkdirat,lseek,pwritev n died=137
    for ((n = 1; died == 137; n++)); do
        "$HUSK" rmi --no-trash app base other >/dev/null 2>&1 || true
        died=0
        strace -f -qq -o /dev/null -e trace="$calls" -e "inject=$calls:signal=KILL:when=$n" \
            "$HUSK" load --quiet --input "$T/look" >/dev/null 2>&1 3>&- || died=$?
        run "$HUSK" verify --all
        expect 0 "all good" || { echo "after call $n: $output"; return 1; }
    done
    ((died == 0 && n > 10)) || { echo "$n: $died"; return 1; }
    run "$HUSK" image ls app /dir
    expect 0 "three"
}

@test "killed at every step of a removal, layers and their index are whole or gone, and mounts go with them" {
    local calls=renameat2,renameat,rename,rmdir,umount2 n died=137 image
    for ((n = 1; died == 137; n++)); do
        "$HUSK" image exists app || "$HUSK" load --quiet --input "$T/look" >/dev/null
        if ! "$HUSK" image exists busybox; then
            load_busybox
            "$HUSK" run --rm --network none busybox true
        fi
        died=0
        strace -f -qq -o /dev/null -e trace="$calls" -e "inject=$calls:signal=KILL:when=$n" \
            "$HUSK" rmi --no-trash busybox app base other >/dev/null 2>&1 3>&- || died=$?
        run "$HUSK" verify --all
        expect 0 "all good" || { echo "after call $n: $output"; return 1; }
        for image in busybox app; do # what has its name has its files
            ! "$HUSK" image exists $image || "$HUSK" image ls $image / >/dev/null || { echo "after call $n: $image"; return 1; }
        done
    done
    ((died == 0 && n > 6)) || { echo "$n: $died"; return 1; }
    "$HUSK" image prune -a >/dev/null
    [[ $(mounts) == 0 && ! $(ls "$HUSK_ROOT/layers" "$HUSK_ROOT/merged" "$HUSK_ROOT/tmp" | grep -v :) ]]
    run "$HUSK" system check
    expect 0 "no problems"
}
