#!/usr/bin/env bats
# Files of layers that share extents, on file systems that can: xfs and btrfs on loop devices; root's store and a user's.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # HUSK_ROOT is set per file system, on purpose

load helpers

setup_file() {
    husk_setup_file || return 1
    mkdir "$T/one" "$T/two" "$T/disk"
    head -c 6000001 /dev/urandom >"$T/one/big" # no whole number of blocks
    head -c 20000 /dev/urandom >"$T/one/middle"
    head -c 9000 /dev/urandom >"$T/one/small"
    head -c 100000 /dev/urandom >"$T/one/other"
    mkdir -p "$T/two/usr/lib"
    cp "$T/one/big" "$T/two/usr/lib/big.1"
    cp "$T/one/middle" "$T/one/small" "$T/two"
    head -c 100000 /dev/urandom >"$T/two/other"
    mkdir -m 700 "$T/one/private" # which only root of the user's namespace can look into
    head -c 30000 /dev/urandom >"$T/one/private/key"
    chown -R 1000:1000 "$T/one/private"
    for i in one two; do
        tar -C "$T/$i" -cf "$T/$i.tar" .
    done
    printf '[storage]\nshare_extents = no\n' >"$T/no.conf"
    printf '[storage]\nshare_extents = yes\n' >"$T/yes.conf"
    printf '[storage]\nshare_extents = yes\ndriver = vfs\n' >"$T/vfs.conf"
}
teardown() {
    remove_all_containers
    umount "$T/disk" 2>/dev/null || true
    rm -f "$T/disk.img"
}

# disk MKFS...: a new file system, and the store on it
disk() {
    truncate -s 512M "$T/disk.img"
    "$@" "$T/disk.img" >/dev/null
    mount -o loop "$T/disk.img" "$T/disk"
    export HUSK_ROOT=$T/disk/root
    OWNER=root
}
# owner CMD...: husk as whoever owns the store; of_user: from here on that is the ordinary user
owner() {
    if [[ $OWNER == root ]]; then
        husk "$@"
    else
        as_user env "HUSK_ROOT=$HUSK_ROOT" "HUSK_CONF=$HUSK_CONF" "$HUSK" "$@"
    fi
}
of_user() {
    OWNER=user
    export HUSK_ROOT=$T/disk/user
    install -d -o "$HUSK_USER" "$HUSK_ROOT"
}
in_layer() { find "$HUSK_ROOT/layers" -path "*/fs/$1"; }
# The first physical block of a file
block() { sync "$1"; filefrag -b4096 -v "$1" | awk '$1 == "0:" { print $4 }'; }
used() { sync -f "$T/disk"; df --output=used -B1 "$T/disk" | tail -n 1; }

equal_files_share() {
    local before alone both
    export HUSK_CONF=$T/yes.conf
    owner import "$T/one.tar" one >/dev/null
    before=$(used)
    owner import "$T/two.tar" two >/dev/null
    alone=$(used)
    [[ $(block "$(in_layer big)") == "$(block "$(in_layer usr/lib/big.1)")" ]]
    [[ $(in_layer middle | while read -r f; do block "$f"; done | sort -u | wc -l) == 1 ]]
    [[ $(in_layer small | while read -r f; do block "$f"; done | sort -u | wc -l) == 2 ]]
    [[ $(in_layer other | while read -r f; do block "$f"; done | sort -u | wc -l) == 2 ]]
    cmp "$(in_layer usr/lib/big.1)" "$T/two/usr/lib/big.1"
    # the packed layer stays as a blob; of the unpacked 6 MB nothing is new
    both=$(stat -c %s "$T/two.tar")
    ((alone - before < both + 2000000)) || { echo "$before $alone $both"; return 1; }
    # each is its own file: what is written to one is not in the other
    echo changed | dd of="$(in_layer usr/lib/big.1)" conv=notrunc status=none
    cmp "$(in_layer big)" "$T/one/big"
    run cmp -s "$(in_layer usr/lib/big.1)" "$T/two/usr/lib/big.1"
    expect 1
}

# An entry is only where to look. Contents come from the archive, whatever it leads to.
index_is_not_believed() {
    local link other
    owner rmi --no-trash one two >/dev/null
    owner image prune -a --no-trash >/dev/null
    [[ ! $(ls -A "$HUSK_ROOT/extents") ]]
    owner import "$T/one.tar" one >/dev/null
    other=$(in_layer other)
    link=$(find "$HUSK_ROOT/extents" -lname '*/big')
    # a file of the same size and name there, with one other byte at its end
    printf x | dd of="$(in_layer big)" bs=1 seek=6000000 conv=notrunc status=none
    owner import "$T/two.tar" two >/dev/null
    cmp "$(in_layer usr/lib/big.1)" "$T/two/usr/lib/big.1"
    owner rmi two >/dev/null
    for to in "${other#"$HUSK_ROOT"/layers/}" ../../../../etc/passwd /etc/passwd nothing "$(printf '0%.0s' {1..64})/x"; do
        ln -sfn "$to" "$link"
        owner import "$T/two.tar" two >/dev/null
        cmp "$(in_layer usr/lib/big.1)" "$T/two/usr/lib/big.1"
        owner rmi two >/dev/null
    done
    # none at all
    rm -rf "$HUSK_ROOT/extents"
    owner import "$T/two.tar" two >/dev/null
    cmp "$(in_layer usr/lib/big.1)" "$T/two/usr/lib/big.1"
    run owner system check # other tests' control groups may be of nobody for a moment
    output=${output/image store: the index of shared extents is not there/}
    [[ $output != *image* && $output != *layer* ]] || { echo "$output"; return 1; }
}

setting_says_no() {
    owner rmi --no-trash one two >/dev/null
    HUSK_CONF=$T/no.conf owner import "$T/one.tar" one >/dev/null
    HUSK_CONF=$T/no.conf owner import "$T/two.tar" two >/dev/null
    [[ $(in_layer middle | while read -r f; do block "$f"; done | sort -u | wc -l) == 2 ]]
}

entries() { find "$HUSK_ROOT/extents" -mindepth 1 -printf '%f %l\n' | sed 's|/\./|/|' | sort; } # names as in the tar

# Lost, led astray, full of rubbish, no folder: found, and made anew from the layers' files.
index_is_made_anew() {
    local good index=$HUSK_ROOT/extents how
    owner rmi --no-trash one two >/dev/null
    owner trash empty >/dev/null
    owner import "$T/one.tar" one >/dev/null
    good=$(entries)
    [[ $(wc -l <<<"$good") == 4 ]] || { echo "$good"; return 1; }
    run owner system check
    [[ $output != *extents* ]] || { echo "$output"; return 1; }
    for how in "rm -r $index" "ln -sfn nothing $index/${good%% *}" "touch $index/rubbish" "rm -r $index; touch $index"; do
        eval "$how"
        run owner system check
        output_has "the index of shared extents" || { echo "$how"; return 1; }
        HUSK_CONF=$T/no.conf run owner system check
        [[ $output != *extents* ]]
        run owner system check --repair
        [[ $output == *"of shared extents"*": repaired"* ]] || { echo "$how: $output"; return 1; }
        [[ $(entries) == "$good" ]] || { diff <(entries) - <<<"$good"; return 1; }
        run owner verify --extents
        expect 0 "=the index of shared extents is good"
        [[ ! $(find "$HUSK_ROOT/tmp" -name 'extents*') ]]
    done
    [[ $OWNER == user ]] || killed_while_it_is_made "$good"
    owner import "$T/two.tar" two >/dev/null
    [[ $(block "$(in_layer big)") == "$(block "$(in_layer usr/lib/big.1)")" ]]
}

# At each step: the index is the old one, which is found again, or the new one, whole.
killed_while_it_is_made() {
    local good=$1 calls=mkdirat,symlinkat,renameat2,unlinkat n=0 status=137 link
    link=$HUSK_ROOT/extents/${good%% *}
    while ((status == 137)); do
        n=$((n + 1)) status=0
        ln -sfn nothing "$link"
        strace -f -qq -o /dev/null -e trace="$calls" -e "inject=$calls:signal=KILL:when=$n" \
            "$HUSK" verify --extents --repair >/dev/null 2>&1 3>&- || status=$?
        [[ $(entries) == "$good" ]] || [[ $(readlink "$link") == nothing && $(entries | grep -vc ' nothing$') == 3 ]]
    done
    ((status == 0 && n > 6)) || { echo "$n: $status"; return 1; }
    [[ $(entries) == "$good" ]]
}

# A vfs container's files share the extents of the image's, and stay apart.
vfs_clones() {
    local id
    id=$(HUSK_CONF=$T/vfs.conf husk create --network none one /sh)
    [[ $(block "$HUSK_ROOT/containers/$id/fs/middle") == "$(block "$(in_layer middle | head -n 1)")" ||
        $(block "$HUSK_ROOT/containers/$id/fs/middle") == "$(block "$(in_layer middle | tail -n 1)")" ]]
    echo changed >>"$HUSK_ROOT/containers/$id/fs/middle"
    in_layer middle | while read -r f; do cmp "$f" "$T/one/middle"; done
    husk rm "$id" >/dev/null
}

@test "extents: on xfs equal files of layers share them, and stay apart after writes" {
    disk mkfs.xfs -q -m reflink=1
    equal_files_share
    index_is_not_believed
    setting_says_no
    vfs_clones
    index_is_made_anew
    of_user
    equal_files_share
    index_is_not_believed
    index_is_made_anew
}
@test "extents: on btrfs equal files of layers share them, and stay apart after writes" {
    disk mkfs.btrfs -q
    equal_files_share
    index_is_not_believed
    setting_says_no
    vfs_clones
    index_is_made_anew
    of_user
    equal_files_share
    index_is_not_believed
    index_is_made_anew
}
@test "extents: where the file system cannot, nothing is indexed" {
    export HUSK_CONF=$T/yes.conf
    for fs in "mkfs.ext4 -q" "mkfs.xfs -q -m reflink=0"; do
        # shellcheck disable=SC2086
        disk $fs
        husk import "$T/one.tar" one >/dev/null
        husk import "$T/two.tar" two >/dev/null
        [[ ! -e $HUSK_ROOT/extents && ! $(ls -A "$HUSK_ROOT/tmp") ]]
        cmp "$(in_layer usr/lib/big.1)" "$T/two/usr/lib/big.1"
        run husk system check
        [[ $output != *extents* ]] || { echo "$output"; return 1; }
        umount "$T/disk"
        rm "$T/disk.img"
    done
}
