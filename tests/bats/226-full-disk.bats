#!/usr/bin/env bats
# A disk that is full, a quota that is used up, a store that cannot be written: one sentence that names the place, the
# store as it was before, and the same command works when there is room. As root and as the ordinary user.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # HUSK_ROOT is set per disk, on purpose

load helpers

setup_file() {
    husk_setup_file || return 1
    mkdir "$T/disk" "$T/image" "$T/context"
    start_registry
    # Three layers that do not pack; and a tar, and a build, of about as much.
    "$HUSK_TOP/tests/bats/make-noise.py" "$T/noise.tar" noise:1 3 400000
    skopeo copy --quiet --dest-tls-verify=false "docker-archive:$T/noise.tar" "docker://$REGISTRY/noise:1"
    head -c 900000 /dev/urandom >"$T/image/file"
    tar -C "$T/image" -cf "$T/flat.tar" .
    cp "$T/image/file" "$T/context/file"
    printf 'FROM busybox\nRUN true >/first\nCOPY file /one\nRUN cp /one /two\n' >"$T/context/Dockerfile"
    chmod -R a+rX "$T/context"
}
teardown() {
    remove_all_containers
    [[ ! ${OWNER-} || ! -e $T/disk/root/husk.db ]] || { room all && owner rm --force --no-trash --all >/dev/null; }
    wait_until 10 no_disk # what has just ended may still have a file of it open
    rm -f "$T/disk.img"
}
no_disk() { ! mountpoint -q "$T/disk" || umount "$T/disk"; }

# A new file system of 48 MB with busybox in the store on it, root's or ($OWNER) the user's.
disk() { # [BLOCKSIZE]
    rm -f "$T/disk.img" # the loop device of the last one may be in use for a moment more
    truncate -s 48M "$T/disk.img"
    mkfs.ext4 -q -m 0 -b "${1-4096}" -O ^has_journal "$T/disk.img"
    mount -o loop "$T/disk.img" "$T/disk"
    chmod 1777 "$T/disk"
    export HUSK_ROOT=$T/disk/root
    [[ $OWNER == root ]] || install -d -m 700 -o "$HUSK_USER" "$HUSK_ROOT"
    owner load -q -i "$IMAGES/busybox.tar" >/dev/null
    owner create --name box --network none busybox true >/dev/null
}
owner() {
    if [[ $OWNER == root ]]; then
        husk "$@"
    else
        as_user env "HUSK_ROOT=$HUSK_ROOT" "$HUSK" "$@"
    fi
}
# room KILOBYTES: so much is free; room all: as before
room() {
    rm -f "$T/disk/filler"
    [[ $1 != all ]] || return 0
    local free
    sync -f "$T/disk"
    free=$(df --output=avail -k "$T/disk" | tail -n 1)
    if (($1)); then
        ((free <= $1)) || fallocate -l $(((free - $1) * 1024)) "$T/disk/filler"
    else # to the last block
        dd if=/dev/zero of="$T/disk/filler" bs=1K status=none 2>/dev/null || true
        sync -f "$T/disk"
    fi
}
# What a failed command could have left.
content() {
    (cd "$HUSK_ROOT" && find blobs layers tmp \( -name fs -o -name usage \) -prune -o -print | LC_ALL=C sort && cat index.json)
}

# as_room_grows NAME COMMAND...: with ever more room COMMAND fails and leaves nothing, until there is enough and it works.
as_room_grows() {
    local name=$1 before kilobytes failed=0
    shift
    before=$(content)
    for kilobytes in 0 40 600 1300 2000 6000 16000; do
        room $kilobytes
        run owner "$@"
        ((status)) || break
        failed=$((failed + 1))
        [[ $output == *"$T/disk"*"No space left on device"* && $(wc -l <<<"$output") == 1 ]] || wrong "$kilobytes: it says"
        [[ $status == 1 || $status == 125 ]] || wrong "$kilobytes: status $status"
        [[ $(content) == "$before" ]] || wrong "$kilobytes: it left: $(diff <(echo "$before") <(content))"
    done
    echo "$name: $failed times without room, then with $kilobytes"
    ((status == 0 && failed > 2)) || wrong "$kilobytes"
    run owner system check
    expect 0 "no problems"
    room all
}
wrong() { printf '%s\n%s\n%s\n' "$name" "$1" "$output"; return 1; }

fills_up() {
    disk
    owner run --rm --network none busybox true
    as_room_grows pull pull -q "$REGISTRY/noise:1"
    owner rmi --no-trash "$REGISTRY/noise:1" >/dev/null
    as_room_grows load load -q -i "$T/noise.tar"
    owner rmi --no-trash noise:1 >/dev/null
    as_room_grows copy copy -q "docker-archive:$T/noise.tar" store:other:1
    owner rmi --no-trash other:1 >/dev/null
    as_room_grows import import "$T/flat.tar" flat
    owner rmi --no-trash flat >/dev/null
    owner run --name changed --network none busybox cp -r /bin/busybox /one >/dev/null
    as_room_grows commit commit -q changed made:1
    owner rmi --no-trash made:1 >/dev/null
    as_room_grows save save -o "$T/disk/saved.tar" busybox
    rm -f "$T/disk/saved.tar"
}

@test "with ever more room pull, load, copy and import fail, leave nothing, and then work" {
    OWNER=root
    fills_up
}

@test "the ordinary user's store likewise" {
    OWNER=user
    disk
    as_room_grows pull pull -q "$REGISTRY/noise:1"
    owner rmi --no-trash "$REGISTRY/noise:1" >/dev/null
    as_room_grows load load -q -i "$T/noise.tar"
}

@test "a build on a full disk keeps the steps that are done, and goes on with them when there is room" {
    OWNER=root
    disk
    room 1500
    run owner build -q -t built "$T/context"
    expect 1 "no room in the image store '$HUSK_ROOT'"
    [[ $(wc -l <<<"$output") == 1 && ! $(ls -A "$HUSK_ROOT/tmp") ]]
    run owner system check
    expect 0 "no problems"
    room all
    run owner build -t built "$T/context"
    expect 0 "CACHED"
    run owner run --rm --network none built cmp /one /two
    expect 0 "="
}

@test "on a disk without a block left rm, rmi and prune work, and make room" {
    OWNER=root
    disk
    owner tag busybox other
    owner run -d --name up --network none busybox sleep 1000 >/dev/null
    for i in 1 2 3; do
        owner create --name "c$i" --network none busybox true >/dev/null
    done
    room 0
    [[ $(df --output=avail -k "$T/disk" | tail -n 1) -lt 8 ]]
    # (to look, husk.db needs 32 KiB for its locks unless somebody has it open: a sentence, or an answer)
    run owner system df
    ((status == 0)) || expect 1 "husk.db': No space left on device"
    run owner run --rm --network none busybox true
    expect 125 "No space left on device"
    run owner rm c1
    expect 0 "=c1"
    run owner system df
    expect 0 "Images"
    [[ $output =~ Images\ +[12]\ +1\ +[1-9] ]]
    check_table owner <<'ROWS'
rm c2                         | 0 | c2
ps --all --quiet              | 0 |
rm --force up                 | 0 | up
rmi other                     | 0 | Untagged
container prune --force       | 0 | Total
rmi --force --no-trash busybox | 0 | Deleted
system check                  | 0 | no problems
ROWS
    [[ ! $(owner ps --all --quiet) && ! $(owner images --quiet) ]]
    room all
    owner load -q -i "$IMAGES/busybox.tar" >/dev/null
    run owner run --rm --network none busybox echo again
    expect 0 "=again"
}

@test "a full disk says nothing about storage drivers, and info says what is wrong" {
    OWNER=root
    disk
    rm -f "$HUSK_RUN/storage"
    room 0
    run owner info --format '{{.Storage}}|{{.StorageWhy}}'
    expect 0 "|"
    [[ $output == "|"*"No space left on device" ]]
    room all
    run owner info --format '{{.Storage}} {{.Layers}}'
    expect 0 "=overlay files"
}

@test "a quota that is used up: it is said, nothing is left, and with more of it the same command works" {
    local before
    OWNER=root
    truncate -s 256M "$T/disk.img"
    mkfs.btrfs -q "$T/disk.img" >/dev/null 2>&1
    mount -o loop "$T/disk.img" "$T/disk"
    export HUSK_ROOT=$T/disk/root
    btrfs subvolume create "$HUSK_ROOT" >/dev/null
    btrfs quota enable "$T/disk"
    owner load -q -i "$IMAGES/busybox.tar" >/dev/null
    btrfs qgroup limit 8M "$HUSK_ROOT"
    before=$(content)
    run owner load -q -i "$T/noise.tar"
    ((status)) || run owner import "$T/flat.tar" flat
    ((status)) || run owner pull -q "$REGISTRY/noise:1"
    expect 1 "the quota of the image store '$HUSK_ROOT' is used up"
    [[ $output == *"Disk quota exceeded" ]]
    owner rmi --no-trash noise:1 flat >/dev/null 2>&1 || true
    [[ $(content) == "$before" ]]
    btrfs qgroup limit none "$HUSK_ROOT"
    owner load -q -i "$T/noise.tar" >/dev/null
    run owner system check
    expect 0 "no problems"
}

@test "a store that cannot be written is read all the same; what would write says where" {
    OWNER=root
    disk
    owner rm box >/dev/null
    mount -o remount,ro "$T/disk"
    rm -f "$HUSK_RUN/storage"
    check_table owner <<ROWS
images                                    | 0   | busybox
image inspect busybox                     | 0   | sha256
history busybox                           | 0   | make-images
image tree busybox                        | 0   | 1 layer
image cat busybox /etc/passwd             | 0   | root
image files busybox /bin                  | 0   | sh
system df                                 | 0   | Images
system check                              | 0   | no problems
save -o $T/tmp/saved.tar busybox          | 0   |
copy store:busybox oci:$T/tmp/copied      | 0   |
info --format {{.Storage}}{{.StorageWhy}} | 0   | Read-only file system
pull $REGISTRY/noise:1                    | 1   | image store '$HUSK_ROOT'
load -i $T/noise.tar                      | 1   | image store '$HUSK_ROOT'
import $T/flat.tar flat                   | 1   | image store '$HUSK_ROOT'
run --rm --network none busybox true      | 125 | Read-only file system
ROWS
    mount -o remount,rw "$T/disk"
    run owner run --rm --network none busybox echo again
    expect 0 "=again"
}

@test "EROFS layers where they cannot be mounted, in a store on an overlay, are refused, and info says why" {
    mkdir "$T/tmp/lower" "$T/tmp/upper" "$T/tmp/work"
    mount -t overlay -o "lowerdir=$T/tmp/lower,upperdir=$T/tmp/upper,workdir=$T/tmp/work" overlay "$T/disk"
    export HUSK_ROOT=$T/disk/root HUSK_LAYERS=erofs
    run husk load -q -i "$IMAGES/busybox.tar"
    expect 1 "not from a tmpfs or an overlay"
    run husk info --format '{{.Layers}}|{{.LayersWhy}}'
    expect 0 "|layers = erofs"
    HUSK_LAYERS=files husk load -q -i "$IMAGES/busybox.tar" >/dev/null
    rm -f "$HUSK_RUN/storage"
}

# What SQLite maps to share its locks is a file with a byte in every page: with blocks smaller than that the rest is holes,
# and touching one for which there is no block is a SIGBUS.
small_blocks() {
    local kilobytes what
    disk 1024
    owner volume create vol >/dev/null
    for kilobytes in 0 5 9 13 24 31; do
        room all
        rm -f "$HUSK_ROOT/husk.db-shm"
        room $kilobytes
        run owner rename box other # what writes says why not, and what looks is told
        expect 1 "'$HUSK_ROOT/husk.db': No space left on device"
        looks
    done
    for what in "volume rm vol" "rm box" "rmi busybox" "trash empty"; do
        room all
        rm -f "$HUSK_ROOT/husk.db-shm"
        [[ -e $HUSK_ROOT/room ]] || owner load -q -i "$IMAGES/busybox.tar" >/dev/null
        room 9
        # shellcheck disable=SC2086 # words
        run owner $what
        expect 0
    done
    room all
    run owner system check
    expect 0 "no problems"
}
looks() {
    run owner ps -a --format '{{.Names}} {{.State}} {{.Image}}'
    expect 0 "=box created busybox"
    run owner images --format '{{.Repository}}'
    expect 0 "=busybox"
    run owner volume ls -q
    expect 0 "=vol"
    run owner volume inspect --format '{{.Name}}' vol
    expect 0 "=vol"
    run owner inspect --format '{{.Name}} {{.State.Status}}' box
    expect 0 "box created"
    run owner network ls -q
    expect 0
    run owner system df
    expect 0 "Containers"
    run owner info
    expect 0
}
looks_everywhere() {
    local size
    for size in 1024 4096; do
        disk $size
        owner volume create vol >/dev/null
        rm -f "$HUSK_ROOT/husk.db-shm"
        room 0
        looks
        room all
        # what is in the log alone, and where it is no longer; and a log that was torn
        for log in kept none torn; do
            owner volume create second >/dev/null
            owner volume rm --no-trash second >/dev/null
            case $log in
            none) rm -f "$HUSK_ROOT/husk.db-shm" && sqlite3_checkpoint "$HUSK_ROOT/husk.db" ;;
            torn) head -c 3000 /dev/urandom >>"$HUSK_ROOT/husk.db-wal" ;;
            esac
            rm -f "$HUSK_ROOT/husk.db-shm"
            mount -o remount,ro "$T/disk"
            looks
            run owner rename box other
            expect 1 "Read-only file system"
            run owner rm box
            [[ $status != 0 && $output == *"Read-only file system"* ]]
            mount -o remount,rw "$T/disk"
        done
        run owner ps -a --format '{{.Names}}'
        expect 0 "=box"
        run owner system check
        expect 0 "no problems"
        owner rm box >/dev/null
        owner volume rm vol >/dev/null
        wait_until 10 no_disk
    done
}
sqlite3_checkpoint() {
    python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute("PRAGMA wal_checkpoint(TRUNCATE)"); c.close()' "$1"
    chown --reference "$HUSK_ROOT" "$1"*
}
@test "ps, images, inspect, df and their like look at a disk that is full or read-only, whatever is in the log" {
    ((EUID == 0)) || skip "kernel: only root can mount a disk"
    OWNER=root
    looks_everywhere
    OWNER=$HUSK_USER
    looks_everywhere
}
@test "where a block is less than a page a full disk is a sentence, too, and can be emptied" {
    ((EUID == 0)) || skip "kernel: only root can mount a disk"
    OWNER=root
    small_blocks
    no_disk
    OWNER=$HUSK_USER
    small_blocks
}
