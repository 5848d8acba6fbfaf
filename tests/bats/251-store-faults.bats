#!/usr/bin/env bats
# The image store when husk is killed, when the power goes, and when two hundred commands want it at once.
# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154 # HUSK_ROOT is set per test, on purpose; $h is words; bats sets the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" a=gzip:base,gzip:mid b=gzip:base,zstd:b c=plain:c,gzip:base
    local name
    for name in a b c; do
        skopeo copy --quiet --preserve-digests --dest-tls-verify=false "oci:$T/oci:$name" "docker://$REGISTRY/store:$name"
    done
}

teardown() {
    remove_all_containers
    umount "$T/cut" 2>/dev/null || true
    umount "$T/disk" 2>/dev/null || true
}

# Where what was written becomes true, is moved, or goes.
STEPS=rename,renameat,renameat2,fsync,fdatasync,syncfs,unlink,unlinkat,mkdirat
BARRIERS=rename,renameat,renameat2,fsync,fdatasync,syncfs

# killed_at CALLS N CMD...: every process and thread that comes of it, each killed at its Nth such call.
killed_at() {
    local calls=$1 n=$2
    shift 2
    strace -f -qq -o /dev/null -e trace="$calls" -e "inject=$calls:signal=KILL:when=$n" "$@" </dev/null >"$T/tmp/out" 2>&1 3>&-
}

# What has a name is whole, whatever happened.
names_are_whole() {
    run $h verify --all
    expect 0 "all good" || return 1
    run $h system check
    [[ $status -eq 0 ]] || ! grep -vE '^image store: .* in staging$|^container [0-9a-f]+: a folder without a row' <<<"$output"
}

nothing_left() {
    $h image prune -a >/dev/null
    $h trash empty >/dev/null
    [[ ! $($h images -q) && ! $(ls -A "$root/layers") && ! $(ls -A "$root/blobs/sha256") ]] ||
        { find "$root/layers" "$root/blobs" -maxdepth 2; return 1; }
}

kill_everywhere() { # what it does; how to undo it
    local n through=0
    for ((n = 1; n < 300 && through < 2; n++)); do
        through=$((through + 1))
        killed_at $STEPS $n "${act[@]}" || through=0
        names_are_whole || { echo "after call $n: $(<"$T/tmp/out")"; return 1; }
        "${undo[@]}" >/dev/null 2>&1 || true
    done
    echo "${act[*]}: through after $n calls"
    ((n > 4 && n < 300)) || { cat "$T/tmp/out"; return 1; }
}

@test "killed at every step of pull, load, rmi and prune, the store is whole" {
    local h=root_husk root=$HUSK_ROOT
    local -a act undo
    local how
    act=("$HUSK" pull --quiet "$REGISTRY/store:a") undo=("$HUSK" rmi --no-trash "$REGISTRY/store:a")
    kill_everywhere
    nothing_left
    act=("$HUSK" load --quiet --input "$IMAGES/busybox.tar") undo=("$HUSK" rmi --no-trash busybox)
    kill_everywhere
    nothing_left
    "$HUSK" pull --quiet "$REGISTRY/store:b"
    for how in --no-trash --force; do
        act=("$HUSK" rmi $how "$REGISTRY/store:b") undo=("$HUSK" pull --quiet "$REGISTRY/store:b")
        kill_everywhere
    done
    act=("$HUSK" image prune -a)
    kill_everywhere
    nothing_left
    as_if_older
    "$HUSK" pull --quiet "$REGISTRY/store:c"
    run "$HUSK" system check --repair
    expect 0
    run "$HUSK" system check
    expect 0 "no problems"
    store_is_sound "$HUSK_ROOT" 'blob-*'
}

@test "killed at every step of a pull as an ordinary user, the store is whole" {
    local h=user_husk root=$USER_HOME/root n through=0
    export -f as_user
    export HUSK_USER
    for ((n = 1; n < 300 && through < 2; n++)); do
        through=$((through + 1))
        # root traces: to an ordinary user's tracer newuidmap would have no rights
        killed_at $BARRIERS $n bash -c 'as_user husk pull --quiet "$1"' _ "$REGISTRY/store:a" || through=0
        names_are_whole
        $h rmi --no-trash "$REGISTRY/store:a" >/dev/null 2>&1 || true
    done
    ((n > 4 && n < 300)) || { cat "$T/tmp/out"; return 1; }
    nothing_left
}

# The disk as it would be had the power gone now: what the file system has written so far, and no more.
cut_power() {
    cp --sparse=always "$T/disk.img" "$T/cut.img"
    mount_copy "$T/cut.img" "$T/cut"
    local status_=0 HUSK_ROOT=$T/cut/root h=root_husk
    export HUSK_ROOT
    if [[ -d $T/cut/root ]]; then
        names_are_whole || status_=1
        if ((!status_)) && [[ $1 == named ]] && ! husk_has "$2"; then echo "'$2' was acknowledged and is lost"; status_=1; fi
        if ((!status_)) && [[ $1 == gone ]] && husk_has "$2"; then echo "'$2' was removed and is back"; status_=1; fi
        if ((!status_)) && [[ $1 == policy ]] && ! policy_has_found "$2"; then echo "what the policy found of '$2' is lost"; status_=1; fi
        if ((!status_)) && [[ $1 == copied ]] && ! copy_is_whole "$2"; then echo "'$2' was made and its files are lost"; status_=1; fi
    elif [[ $1 == named ]]; then
        echo "the whole store is lost"
        status_=1
    fi
    unmount_copy "$T/cut.img" "$T/cut"
    return $status_
}
# The vfs container has the files of its image's layers: those of the one that still runs are the truth.
copy_is_whole() {
    local id
    id=$("$HUSK" inspect --format '{{.Id}}' "$1") || return 1
    diff <(cd "$T/disk/root/containers/$id/fs" && find . -type f -exec sha256sum {} + | sort) \
        <(cd "$T/cut/root/containers/$id/fs" && find . -type f -exec sha256sum {} + | sort)
}
# What has the name is what the policy let in: it is let run without a registry, and not by a policy with another key.
policy_has_found() {
    husk_has "$1" || return 0
    local id
    id=$("$HUSK" create --network none --pull never --signature-policy "$T/policy.json" "$1" /nothing) || return 1
    "$HUSK" rm --no-trash "$id" >/dev/null
    ! "$HUSK" create --network none --pull never --signature-policy "$T/policy-bad.json" "$1" /nothing 2>/dev/null
}
husk_has() { [[ $("$HUSK" images --format '{{.Repository}}:{{.Tag}}') == *"$1"* ]]; }

@test "a power cut at any barrier loses nothing that was acknowledged and shows nothing half-made" {
    local n ref=$REGISTRY/store:a
    truncate -s 48M "$T/disk.img"
    mkfs.ext4 -q "$T/disk.img"
    mkdir "$T/disk" "$T/cut"
    mount -o loop,noatime "$T/disk.img" "$T/disk"
    export HUSK_ROOT=$T/disk/root
    for ((n = 1; n < 200; n++)); do
        if killed_at $BARRIERS $n "$HUSK" pull --quiet "$ref"; then
            cut_power named "$ref" || { echo "after the pull"; return 1; }
            break
        fi
        cut_power any || { echo "at barrier $n of the pull"; return 1; }
        "$HUSK" rmi "$ref" >/dev/null 2>&1 || true
        "$HUSK" image prune >/dev/null
    done
    ((n > 3 && n < 200))
    for ((n = 1; n < 200; n++)); do
        if killed_at $BARRIERS $n "$HUSK" rmi "$ref"; then
            cut_power gone "$ref" || { echo "after the rmi"; return 1; }
            break
        fi
        cut_power any || { echo "at barrier $n of the rmi"; return 1; }
        "$HUSK" pull --quiet "$ref" >/dev/null
    done
    ((n > 1 && n < 200))
    # a container's own copy of its image (vfs): what was acknowledged is whole, what was not is swept
    printf '[storage]\ndriver = vfs\n' >"$T/vfs.conf"
    export HUSK_CONF=$T/vfs.conf
    "$HUSK" pull --quiet "$ref" >/dev/null
    for ((n = 1; n < 200; n++)); do
        if killed_at $BARRIERS $n "$HUSK" create --network none --name "copy$n" "$ref" /nothing; then
            sync "$HUSK_ROOT"/husk.db* # a row that is on disk is of whole files
            cut_power copied "copy$n" || { echo "after the create"; return 1; }
            break
        fi
        cut_power any || { echo "at barrier $n of the create"; return 1; }
    done
    ((n > 1 && n < 200))
    run "$HUSK" system check --repair
    expect 0
    remove_all_containers
    umount "$T/disk"
}

@test "killed or without power at any barrier of a pull, an image has its name together with what the policy found" {
    local n ref=$REGISTRY/signed:1 key
    for key in good bad; do
        COSIGN_PASSWORD='' "$HUSK" image key generate --output-key-prefix "$T/$key" >/dev/null
    done
    printf '{"default":[{"type":"reject"}],"transports":{"docker":{"%s":[{"type":"sigstoreSigned","keyPath":"%s"}]}}}' \
        "$REGISTRY" "$T/good.pub" >"$T/policy.json"
    sed 's/good.pub/bad.pub/' "$T/policy.json" >"$T/policy-bad.json"
    "$HUSK" copy -q "oci:$T/oci:a" "docker://$ref"
    COSIGN_PASSWORD='' "$HUSK" image sign --key "$T/good.key" "$ref" >/dev/null
    truncate -s 48M "$T/disk.img"
    mkfs.ext4 -q "$T/disk.img"
    mkdir -p "$T/disk" "$T/cut"
    mount -o loop,noatime "$T/disk.img" "$T/disk"
    export HUSK_ROOT=$T/disk/root
    for ((n = 1; n < 200; n++)); do
        if killed_at $BARRIERS $n "$HUSK" pull --quiet --signature-policy "$T/policy.json" "$ref"; then
            cut_power policy "$ref" || { echo "after the pull"; return 1; }
            policy_has_found "$ref"
            husk_has "$ref"
            break
        fi
        cut_power policy "$ref" || { echo "at barrier $n of the pull"; return 1; }
        policy_has_found "$ref" || { echo "killed at barrier $n of the pull"; return 1; }
        "$HUSK" rmi --no-trash "$ref" >/dev/null 2>&1 || true
        "$HUSK" image prune >/dev/null
    done
    ((n > 3 && n < 200))
    # and an image that was let in by no policy is not, whatever another one's record says
    "$HUSK" rmi --no-trash "$ref" >/dev/null
    "$HUSK" pull -q "$ref" >/dev/null
    run "$HUSK" create --network none --pull never --signature-policy "$T/policy-bad.json" "$ref" /nothing
    expect 1 "it is to be signed"
    umount "$T/disk"
}

worker() { # NUMBER
    local -a tags=(a b c)
    local name=$REGISTRY/store:${tags[$1 % 3]} out
    case $(($1 % 5)) in
    0 | 1) out=$($h pull --quiet "$name" 2>&1) ;;
    2) out=$($h run --rm busybox echo ran 2>&1) && [[ $out == ran ]] ;;
    3) out=$($h rmi -f "$name" 2>&1) ;;
    4) out=$($h image prune --filter label!=none 2>&1) ;;
    esac || echo "$1: $out"
}

two_hundred() {
    local i
    $h load --quiet --input "$IMAGES/busybox.tar"
    : >"$T/tmp/wrong"
    for ((i = 0; i < 200; i++)); do
        while (($(jobs -rp | wc -l) >= 12)); do wait -n 2>/dev/null || true; done
        worker $i >>"$T/tmp/wrong" 3>&- &
    done
    wait
    [[ ! -s $T/tmp/wrong ]] || { cat "$T/tmp/wrong"; return 1; }
    run $h system check
    expect 0 "no problems"
    run $h verify --all
    expect 0 "all good"
    [[ $($h run --rm busybox echo whole) == whole ]]
    $h image prune -a >/dev/null
    nothing_left
    [[ ! $(ls -A "$root/tmp") ]] || { ls -A "$root/tmp"; return 1; }
}
@test "two hundred commands at once leave a store that checks clean, as root" {
    local h=root_husk root=$HUSK_ROOT
    two_hundred
}
@test "two hundred commands at once leave a store that checks clean, as an ordinary user" {
    local h=user_husk root=$USER_HOME/root
    two_hundred
}
