#!/usr/bin/env bats
# The three ways to make a container's root of layers: the kernel's overlay, fuse-overlayfs, vfs.
# shellcheck disable=SC2016,SC2154

load helpers

setup_file() {
    setup_both_stores
    # what most machines have, and some only for root: a /dev/fuse for everybody
    mknod -m 666 "$T/fuse" c 10 229
    for driver in overlay fuse-overlayfs vfs; do
        printf '[storage]\ndriver = %s\n' $driver >"$T/$driver.conf"
    done
}
teardown() {
    wait_until 10 no_program # whatever a test did: the program goes with the mount
}
no_program() { ! programs | grep -q .; }
# fuse-overlayfs of this file's stores that still has something to do
programs() { pgrep -af "^fuse-overlayfs .*${T##*/}/" || true; }

stops() {
    husk kill "$1" || true
    [[ $(husk inspect --format '{{.State.Running}}' "$1") == false ]]
}

# with_subids CMD...: in a mount namespace in which root has ids for --userns auto
with_subids() {
    printf 'root:1000000000:131072\n' >"$T/tmp/subids"
    # shellcheck disable=SC2016
    unshare --mount --propagation private bash -c 'mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && "$@"' "$T/tmp/subids" "$@"
}

# with DRIVER ARGUMENT...: husk as root, with that driver in husk.conf
with() { HUSK_CONF=$T/$1.conf "$HUSK" "${@:2}"; }
# user_with DRIVER ARGUMENT...: husk as the ordinary user, in a mount namespace where he may open /dev/fuse
user_with() {
    export -f as_user
    unshare --mount --propagation slave bash -c 'mount --bind "$T/fuse" /dev/fuse && as_user env "HUSK_CONF=$T/$1.conf" "$HUSK" "${@:2}"' - "$@"
}
export HUSK_USER

# A build without the kernel's overlay makes what it makes with it, to the byte.
builds() { # FUNCTION DRIVER
    local as=$1 driver id
    cat >"$T/tmp/Dockerfile" <<'END'
FROM busybox
RUN echo made in $(id -u) >/made && rm /bin/awk && mkdir -p /etc/x && echo hi >/etc/x/y && chmod 700 /etc/x && ln -s /made /l && rm -rf /home
RUN mkdir /home && echo a >/home/a && test ! -e /bin/awk && test -f /etc/x/y && ln /made /again && chown 7:8 /home/a
RUN true
END
    for driver in overlay "$2"; do
        "$as" "$driver" build -q --network none --no-cache --timestamp 1700000000 -t "by-$driver" - <"$T/tmp/Dockerfile" >/dev/null
    done
    run "$as" overlay run --rm --network none "by-$2" sh -c \
        'cat /made; stat -c "%u %g" /home/a; find /home; find / -xdev -name ".wh*"; test ! -e /bin/awk && stat -c "%a %h" /etc/x /made /again'
    expect 0 $'=made in 0\n7 8\n/home\n/home/a\n700 2\n644 2\n644 2'
    [[ $("$as" "$2" image inspect --format '{{.Id}}' "by-$2") == "$("$as" overlay image inspect --format '{{.Id}}' by-overlay)" ]]
}

# What a container does to its root, what husk says of it, and what an image made of it has: the same with each.
everything() { # FUNCTION DRIVER
    local as=$1 driver=$2 name=all-$2
    "$as" "$driver" run --name "$name" --network none busybox sh -c '
        echo one >/new; mkdir -p /dir/sub; ln -s x /dir/link; rm -rf /home; mkdir /home; echo a >/home/a
        chmod 600 /etc/passwd; rm /bin/ls; mv /etc/group /etc/moved; ln /new /hard; mkfifo /pipe'
    run "$as" "$driver" diff "$name"
    expect 0 '=C /bin
D /bin/ls
A /dir
A /dir/link
A /dir/sub
C /etc
D /etc/group
A /etc/moved
C /etc/passwd
A /hard
C /home
A /home/a
A /new
A /pipe'
    [[ $("$as" "$driver" cp "$name:/home/a" - | tar -xO) == a ]]
    echo put | "$as" "$driver" cp - "$name:/" <"$T/tmp/in.tar"
    [[ $("$as" "$driver" export "$name" | tar -t | grep -cE '^(new|hard|put|dir/link)$') == 4 ]]
    "$as" "$driver" commit "$name" "$name" >/dev/null
    # an image of it under the kernel's overlay
    run "$as" overlay run --rm --network none "$name" sh -c \
        'cat /new /home/a /put; stat -c "%a %h" /etc/passwd /new; readlink /dir/link; find /home; find / -xdev -name ".wh*"; test ! -e /bin/ls && test ! -e /etc/group && test -p /pipe && cat /etc/moved | head -n 1'
    expect 0 '~^one
a
put
600.1
644.2
x
/home
/home/a
root:x:0:'
    # a new name for a file of the image, told and committed as overlayfs has it, by two at a time
    "$as" "$driver" run --name "$name-link" --network none "$name" ln /home/a /linked
    "$as" "$driver" diff "$name-link" >"$T/tmp/other" &
    run "$as" "$driver" diff "$name-link"
    wait $!
    expect 0 '=C /home
C /home/a
A /linked'
    [[ $(<"$T/tmp/other") == "$output" ]]
    "$as" "$driver" commit "$name-link" "$name-link" >/dev/null
    run "$as" overlay run --rm --network none "$name-link" sh -c 'stat -c %i /home/a /linked | uniq | wc -l'
    expect 0 '=1'
    "$as" "$driver" rm "$name-link" >/dev/null
    # again, and in the background
    "$as" "$driver" start "$name"
    "$as" "$driver" wait "$name" >/dev/null
    "$as" "$driver" rm "$name" >/dev/null
    "$as" "$driver" run -d --name "$name" --network none "$name" sleep 1000 >/dev/null
    [[ $("$as" "$driver" exec "$name" cat /home/a) == a ]]
    "$as" "$driver" exec "$name" touch /while
    [[ $("$as" "$driver" diff "$name") == *'A /while'* ]]
    "$as" "$driver" rm -f "$name" >/dev/null
    run "$as" "$driver" run --rm --network none --read-only busybox touch /x
    expect 1 'Read-only file system'
    run "$as" "$driver" run --rm --network none -v vol:/etc busybox sh -c 'test -e /etc/passwd && exit 7'
    expect 7
    "$as" "$driver" volume rm vol
    builds "$as" "$driver"
    "$as" "$driver" rmi "$name" >/dev/null
    run "$as" "$driver" system check
    expect 0
}

@test "storage: everything works with the kernel's overlay, fuse-overlayfs and vfs, as root" {
    echo put >"$T/tmp/put" && tar -C "$T/tmp" --owner 0 --group 0 -cf "$T/tmp/in.tar" put
    local driver
    for driver in overlay fuse-overlayfs vfs; do
        run with $driver info --format '{{.Storage}}'
        expect 0 "=$driver"
        everything with $driver
    done
}

@test "storage: everything works with fuse-overlayfs and vfs, as an ordinary user" {
    echo put >"$T/tmp/put" && tar -C "$T/tmp" --owner 0 --group 0 -cf "$T/tmp/in.tar" put
    local driver
    for driver in fuse-overlayfs vfs; do
        everything user_with $driver
    done
}

@test "storage: a container keeps the driver that it was made with" {
    with vfs create --name kept --network none busybox sh -c 'grep " / " /proc/mounts; echo x >>/x; cat /x' >/dev/null
    with overlay start kept
    with overlay wait kept >/dev/null
    run with overlay logs kept
    expect 0 '!overlay'
    [[ $(with overlay diff kept) == 'A /x' ]]
    with overlay rm kept
}

@test "storage: fuse-overlayfs ends with its container, whoever is killed" {
    local id monitor
    with fuse-overlayfs run -d --name f1 --network none busybox sleep 1000 >/dev/null
    [[ $(programs | wc -l) == 1 ]]
    with fuse-overlayfs kill f1 >/dev/null
    wait_until 10 no_program
    with fuse-overlayfs start f1 >/dev/null
    # the monitor is killed: the container lives on, and so does the program; then the container is killed
    id=$(husk inspect --format '{{.Id}}' f1)
    monitor=$(pgrep -f "husk-monitor.*${id:0:12}" | head -n 1)
    [[ $monitor ]] || monitor=$(ps -o ppid= -p "$(husk inspect --format '{{.State.Pid}}' f1)")
    kill -9 $monitor
    [[ $(programs | wc -l) == 1 ]]
    [[ $(husk exec f1 echo alive) == alive ]]
    husk rm -f f1 >/dev/null
    wait_until 10 no_program
    # the program is killed: the container's files are gone for it, and it can be removed
    with fuse-overlayfs run -d --name f2 --network none busybox sleep 1000 >/dev/null
    pkill -9 -f "^fuse-overlayfs .*${T##*/}/"
    wait_until 10 no_program
    run husk exec f2 ls /
    [[ $status != 0 ]]
    husk rm -f f2 >/dev/null
}

@test "storage: a start that is killed at any row leaves no fuse-overlayfs" {
    local i pid
    with fuse-overlayfs create --name killed --network none busybox sleep 1000 >/dev/null
    for ((i = 0; i < 12; i++)); do
        HUSK_CONF=$T/fuse-overlayfs.conf setsid "$HUSK" start killed >/dev/null 2>&1 &
        pid=$!
        sleep "0.0$((i * 7 % 10))"
        kill -9 -- -$pid 2>/dev/null || true # the whole session: command, starter, monitor
        wait $pid 2>/dev/null || true
        wait_until 10 stops killed # what got so far that it runs is a container as any other
        wait_until 10 no_program || { programs; return 1; }
    done
    husk rm -f killed
}

@test "storage: a store where the kernel's overlay has no place is found out by trying" {
    # a store on an overlay: the kernel takes no upper directory there
    run unshare --mount --propagation private bash -ec '
        mkdir -p "$T/o/l" "$T/o/u" "$T/o/w" "$T/o/m"
        mount -t overlay -o "lowerdir=$T/o/l,upperdir=$T/o/u,workdir=$T/o/w" o "$T/o/m"
        mkdir "$T/o/m/r"
        export HUSK_ROOT=$T/o/m/root HUSK_RUN=$TRUN/o-run
        "$HUSK" load --quiet --input "$IMAGES/busybox.tar"
        "$HUSK" info --format "{{.Storage}}: {{.StorageWhy}}"
        "$HUSK" run --rm --network none busybox sh -c "rm /bin/ls; mkdir /a; grep \" / \" /proc/mounts"
        echo "[storage]
driver = overlay" >"$T/o/conf"
        HUSK_CONF=$T/o/conf "$HUSK" run --rm --network none busybox true || echo "status $?"
        # and without the program
        rm "$HUSK_RUN/storage"
        PATH=/nowhere:$(dirname "$(command -v newuidmap)") ; mkdir "$T/o/bin"
        PATH=$T/o/bin "$HUSK" info --format "{{.Storage}}: {{.StorageWhy}}"
        PATH=$T/o/bin "$HUSK" run --rm --network none busybox sh -c "rm /bin/ls; mkdir /a; echo works"
        "$HUSK" system check
        rm -rf "$HUSK_RUN"
    '
    expect 0 'fuse-overlayfs: overlay:'
    expect 0 'fuse-overlayfs / fuse'
    expect 0 'status 125'
    expect 0 'vfs: overlay:'
    expect 0 'fuse-overlayfs: it ended at once: fuse-overlayfs: No such file or directory'
    expect 0 'works'
}

@test "storage: where /dev/fuse has no driver, or seccomp denies the mounts, vfs is used, and info says why" {
    mknod "$T/nodriver" c 10 254
    export -f as_user
    # overlay has no place here, as above; then fuse has none
    run unshare --mount --propagation private bash -ec '
        mkdir -p "$T/f/l" "$T/f/u" "$T/f/w" "$T/f/m"
        mount -t overlay -o "lowerdir=$T/f/l,upperdir=$T/f/u,workdir=$T/f/w" o "$T/f/m"
        mount --bind "$T/nodriver" /dev/fuse
        export HUSK_ROOT=$T/f/m/root HUSK_RUN=$TRUN/f-run
        "$HUSK" load --quiet --input "$IMAGES/busybox.tar"
        "$HUSK" run --rm --network none busybox sh -c "rm /bin/ls; mkdir /a; grep -c \" / overlay\" /proc/mounts; echo works"
        "$HUSK" info --format "{{.Storage}}: {{.StorageWhy}}"
        "$HUSK" system check
        rm -rf "$HUSK_RUN"
    '
    expect 0 'storage: vfs is used, each container gets a copy of its image: overlay:'
    expect 0 'works'
    expect 0 '~vfs: overlay: .*; .*/dev/fuse'
    # a filter such as those of containers: nothing can be mounted, and that is what is said
    rm -f "$HUSK_RUN/storage"
    run "$HUSK_TOP/tests/bats/deny-calls" fsopen,mount "$HUSK" info --format '{{.Storage}}: {{.StorageWhy}}'
    expect 0 "~vfs: open file system 'overlay': Operation not permitted; open file system 'fuse': Operation not permitted"
    rm "$HUSK_RUN/storage"
    run husk info --format '{{.Storage}}'
    expect 0 =overlay
}

@test "storage: husk.conf is checked, and what vfs and fuse-overlayfs cannot do is said" {
    printf '[storage]\ndriver = btrfs\n' >"$T/wrong.conf"
    run with wrong info
    expect 1 "driver: 'btrfs' is none of auto, overlay, fuse-overlayfs, vfs"
    run with vfs run --rm --rootfs "$IMAGES/rootfs:O" true
    expect 125 "leave out ':O'"
    run with_subids env "HUSK_CONF=$T/fuse-overlayfs.conf" "$HUSK" run --rm --network none --userns auto busybox true
    expect 125 'cannot be id-mapped'
    run with_subids env "HUSK_CONF=$T/vfs.conf" "$HUSK" run --rm --network none --userns auto busybox sh -c 'stat -c %u /bin; touch /x && stat -c %u /x'
    expect 0 '=0
0'
}

@test "storage: --rootfs DIR, DIR:O, --read-only, DIR:idmap" {
    cp -a "$IMAGES/rootfs" "$T/tree"
    run husk run --rm --network none --rootfs "$T/tree" sh -c 'echo in place >/written'
    expect 0
    [[ $(<"$T/tree/written") == 'in place' ]]
    for driver in overlay fuse-overlayfs; do
        with $driver run --name over --network none --rootfs "$T/tree:O" sh -c 'echo above >/written; rm /etc/passwd; cat /written'
        [[ $(<"$T/tree/written") == 'in place' && -e $T/tree/etc/passwd ]]
        run with $driver diff over
        expect 0 '=C /etc
D /etc/passwd
C /written'
        with $driver start -a over | grep -q above
        run with $driver commit over over:1
        expect 1 'husk export'
        [[ $(with $driver export over | tar -xO written) == above ]]
        husk rm over
    done
    run husk run --rm --network none --read-only --rootfs "$T/tree" touch /x
    expect 1 'Read-only file system'
    run with_subids "$HUSK" run --rm --network none --userns auto --rootfs "$T/tree:idmap" sh -c 'stat -c %u /bin/busybox; id -u'
    expect 0 '=0
0'
    run husk run --rm --network none --rootfs "$T/tree:idmap" true
    expect 125 'add --userns auto'
    chown -R "$HUSK_USER:" "$T/tree" # an ordinary user's own tree: others' files cannot be copied up
    run as_user husk run --rm --network none --rootfs "$T/tree:O" sh -c 'echo mine >/tmp/mine && cat /written /tmp/mine'
    expect 0 '=in place
mine'
}

@test "storage: what an --rm container writes needs no sync, and it starts again after a look at its files" {
    skip_unless_kernel 'no volatile overlays' grep -q overlay /proc/filesystems
    run husk run --rm --network none busybox grep ' / ' /proc/mounts
    expect 0 volatile
    run husk run --network none --name stays busybox grep ' / ' /proc/mounts
    expect 0 '!volatile'
    husk rm stays
    husk create --rm --name twice --network none busybox sh -c 'cat /f' >/dev/null
    echo text >"$T/tmp/f"
    husk cp "$T/tmp/f" twice:/f
    husk cp twice:/f - >/dev/null
    run husk start -a twice
    expect 0 text
}
