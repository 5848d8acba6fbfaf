#!/usr/bin/env bats
# Layers that try to reach outside of their directory or to be too much: refused with one sentence, and whether refused
# or taken, nothing outside changes and nothing half-made stays. As root and as a user; from import and from load.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # HUSK_ROOT is set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    mkdir -m 755 "$T/hostile" "$T/outside"
    VICTIM=$T/outside/victim python3 "$HUSK_TOP/tests/bats/hostile-tars.py" "$T/hostile"
    chmod a+r "$T/hostile"/*
    echo precious >"$T/outside/victim"
    chmod 666 "$T/outside/victim" # the user could write it, too
    chmod 777 "$T/outside"
    export HUSK_MAX_LAYER_BYTES=64m HUSK_MAX_LAYER_ENTRIES=2500
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER
    state_of_outside >"$T/before"
}
teardown() { rm -rf "$HUSK_ROOT"; }

# What a layer could change: the victim and its directory, and the modes of those that ".." and links lead to.
state_of_outside() {
    stat -c '%n %f %u %g %s %h %i %y %z' "$T/outside" "$T/outside/victim" "$T/hostile"
    stat -c '%n %f %u %g' "$T" / /etc /tmp /var/tmp
    ls -A / /etc
    sha256sum "$T/outside/victim"
    ls -A "$T/outside"
    getfattr -dm- --absolute-names "$T/outside"
} 2>&1

unchanged() {
    state_of_outside | diff "$T/before" - || { echo "something outside has changed: $1"; return 1; }
}
# Nothing in staging, every layer whole, and nothing but what a store has.
store_is_clean() { # STORE
    store_is_sound "$1"
    local odd
    odd=$(find "$1" -mindepth 1 -maxdepth 1 ! -name blobs ! -name layers ! -name tmp ! -name lock ! -name index.json \
        ! -name index.lock ! -name oci-layout ! -name room)
    [[ ! $odd ]] || { echo "in the store: $odd"; return 1; }
}

# try_all COMMAND...: COMMAND FILE for each; ok-* succeed, all others fail with one sentence and status 1.
try_all() {
    local tar name wrong=0 n=0
    for tar in "$T"/hostile/*.tar; do
        name=${tar##*/}
        run "$@" "$tar"
        if [[ $name == ok-* && $status -ne 0 ]] || [[ $name != ok-* && ($status -ne 1 || ${#lines[@]} -ne 1) ]] ||
            [[ $output == *$'\e'* || $output == *"/store-"*"/tmp/"* ]]; then
            printf '%s: status %s: %s\n' "$name" "$status" "${output:0:500}"
            wrong=$((wrong + 1))
        fi
        unchanged "$name" || wrong=$((wrong + 1))
        n=$((n + 1))
    done
    ((n > 40 && wrong == 0)) || { echo "$wrong of $n are wrong"; return 1; }
}

@test "import as root: refused or harmless" {
    try_all timeout 60 "$HUSK_IMAGE" import
    store_is_clean "$HUSK_ROOT"
}

@test "import as a user: refused or harmless" {
    [[ ! -e $USER_HOME/root ]]
    cp "$HUSK_IMAGE" "$T/husk-image" # he reads it wherever the build lies
    as_limited() { as_user env HUSK_MAX_LAYER_BYTES=64m HUSK_MAX_LAYER_ENTRIES=2500 "$T/husk-image" "$@"; }
    try_all as_limited import
    store_is_clean "$USER_HOME/root"
}

@test "what they say" {
    local h=$T/hostile
    export HUSK_MAX_LAYER_ENTRIES=80000
    check_table "$HUSK_IMAGE" import <<ROWS
$h/dotdot.tar             | 1 | : the name leads out of the layer
$h/dotdot-absolute.tar    | 1 | : the name leads out of the layer
$h/whiteout-of-dotdot.tar | 1 | '.wh...': a whiteout of no name
$h/name-too-long.tar      | 1 | a name longer than 4095 bytes
$h/component-too-long.tar | 1 | File name too long
$h/hard-link-out.tar      | 1 | hard link to '$T/outside/victim', which is no file of this layer
$h/hard-link-dotdot.tar   | 1 | the name leads out of the layer
$h/hard-link-through-link.tar | 1 | hard link to 'up/victim', which is no file of this layer
$h/link-loop.tar          | 1 | Too many levels of symbolic links
$h/root-is-a-link.tar     | 1 | the layer's root would be no directory
$h/owner-minus-one.tar    | 1 | the uid 4294967295 is out of range
$h/owner-too-big.tar      | 1 | the gid 99999999999 is out of range
$h/size-negative.tar      | 1 | size: '-5' is no number
$h/size-huge.tar          | 1 | the archive ends in the middle of this entry
$h/sparse-outside.tar     | 1 | a sparse map that does not fit its file
$h/pax-too-big.tar        | 1 | an extended header of 3145745 bytes; at most 1048576 are read
$h/unknown-kind.tar       | 1 | 'f' is of the unknown kind 0x5a
$h/checksum.tar           | 1 | tar: byte 0: no tar header (its checksum is wrong)
$h/garbage-behind.tar     | 1 | tar: byte 5632: no tar header (its checksum is wrong)
$h/cut-in-contents.tar    | 1 | the archive ends in the middle of this entry
$h/gzip-cut.tar           | 1 | gzip: it ends in the middle
$h/gzip-crc.tar           | 1 | gzip: the checksum is wrong
$h/gzip-garbage.tar       | 1 | gzip: bytes that are no gzip follow
$h/gzip-bomb.tar          | 1 | more than 67108864 bytes come out of it
$h/xz-bomb.tar            | 1 | more than 67108864 bytes come out of it
$h/bzip2-bomb.tar         | 1 | more than 67108864 bytes come out of it
$h/zstd-bomb.tar          | 1 | more than 67108864 bytes come out of it
$h/xz-cut.tar             | 1 | xz: 
$h/zstd-cut.tar           | 1 | zstd: it ends in the middle
$h/zstd-sum.tar           | 1 | zstd: 
$h/zstd-garbage.tar       | 1 | zstd: 
$h/devices.tar            | 1 | the layer has more than 65536 device files
ROWS
    run env HUSK_MAX_LAYER_ENTRIES=2000 "$HUSK_IMAGE" import "$h/entries.tar"
    expect 1 "the layer has more than 2000 entries"
    run env HUSK_MAX_LAYER_ENTRIES=lots "$HUSK_IMAGE" import "$h/entries.tar"
    expect 1 "HUSK_MAX_LAYER_ENTRIES: "
    store_is_clean "$HUSK_ROOT"
}

@test "what odd but lawful layers become" {
    local h=$T/hostile fs
    layer() {
        rm -rf "$HUSK_ROOT"
        "$HUSK_IMAGE" import "$h/$1.tar" >/dev/null
        fs=$(echo "$HUSK_ROOT"/layers/*/fs)
    }
    layer ok-absolute
    [[ $(cat "$fs$T/outside/victim") == evil ]]
    layer ok-dots-inside
    [[ $(cat "$fs/b/c") == evil && ! -e $fs/a ]]
    layer ok-link-written-over
    [[ -f $fs/l && ! -L $fs/l && $(cat "$fs/l") == evil ]]
    layer ok-link-up-is-inside
    [[ $(cat "$fs$T/outside/victim") == evil ]]
    layer ok-link-dangling
    [[ $(cat "$fs$T/outside/victim") == evil ]]
    layer ok-link-proc-cwd
    [[ $(cat "$fs/proc/self/cwd/victim") == evil ]]
    layer ok-dir-over-link
    [[ $(cat "$fs/d/victim") == evil && ! -L $fs/d ]]
    layer ok-link-over-dir
    [[ -L $fs/d ]]
    layer ok-fifo-over-link
    [[ -p $fs/l ]]
    layer ok-hard-link-to-link
    [[ -L $fs/l && -f $fs/h && ! -L $fs/h ]]
    layer ok-duplicates
    [[ $(cat "$fs/f") == evil && $(stat -c %a "$fs/d") == 700 ]]
    layer ok-capability
    [[ $(getfattr -n security.capability --absolute-names "$fs/f") == *security.capability* ]]
    layer ok-times
    [[ $(stat -c %Y "$fs/old") -lt 0 && $(stat -c %Y "$fs/new") == 8589934591 ]]
    layer ok-wide
    [[ $(find "$fs/wide" -type f | wc -l) == 2400 ]]
    layer ok-overlay-xattrs
    [[ ! $(getfattr -dm- --absolute-names "$fs/d") ]]
}

@test "a directory of 100,000 entries is a directory like any other" {
    python3 - "$T/tmp/wide.tar" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[1], "w") as t:
    for i in range(100000):
        t.addfile(tarfile.TarInfo("d/%d" % i))
PY
    HUSK_MAX_LAYER_BYTES=1g HUSK_MAX_LAYER_ENTRIES=200000 run "$HUSK_IMAGE" import "$T/tmp/wide.tar"
    expect 0
    [[ $(find "$HUSK_ROOT"/layers/*/fs/d -type f | wc -l) == 100000 ]]
    rm "$T/tmp/wide.tar"
}

@test "the same layers inside an image archive" {
    local d=$T/tmp/archive
    mkdir -p "$d"
    run_load() { # TAR: as a layer with the diffID that it has
        local diff_id
        diff_id=$({ gzip -dcq <"$1" 2>/dev/null || cat "$1"; } | sha256sum)
        cp "$1" "$d/layer.tar"
        printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
            "$(dpkg --print-architecture)" "${diff_id%% *}" >"$d/config.json"
        echo '[{"Config":"config.json","RepoTags":["hostile:1"],"Layers":["layer.tar"]}]' >"$d/manifest.json"
        tar -C "$d" -c manifest.json config.json layer.tar | "$HUSK_IMAGE" load -q
    }
    try_all run_load
    [[ $(jq -r '.manifests | length' "$HUSK_ROOT/index.json") == 1 ]] # of an ok-* one
    store_is_clean "$HUSK_ROOT"
}

@test "hostile image archives" {
    local d=$T/tmp/archive
    mkdir -p "$d"
    hostile_archive() { # MANIFEST TAR-OPTIONS...
        echo "$1" >"$d/manifest.json"
        shift
        tar -C "$d" -P "$@" -cf "$T/tmp/a.tar" manifest.json
        "$HUSK_IMAGE" load -q -i "$T/tmp/a.tar"
    }
    ln -sf "$T/outside/victim" "$d/config.json"
    ln -sf /etc "$d/blobs"
    check_table hostile_archive <<'ROWS'
'[{"Config":"config.json","Layers":[]}]' config.json               | 1 | it has no file 'config.json'
'[{"Config":"blobs/passwd","Layers":[]}]' blobs                    | 1 | it has no file 'blobs/passwd'
'[{"Config":"../../../etc/passwd","Layers":[]}]'                   | 1 | it has no file '../../../etc/passwd'
'[{"Config":"/etc/passwd","Layers":["/etc/passwd"]}]'              | 1 | it has no file '/etc/passwd'
'[{"Config":"a.json","Layers":[]}]' --transform 's,^config.json,../../x.json,S' config.json | 1 | '../../x.json': the name leads out of the archive
'[[[[' | 1 | manifest.json: not JSON
'[{}]' | 1 | Config: missing
ROWS
    unchanged archives
    store_is_clean "$HUSK_ROOT"
}

# A packer may make its reader look back over 128 MiB, and an image have many such layers.
@test "a layer that is packed with a window of 128 MiB takes no more memory than others" {
    head -c 4194304 /dev/urandom >"$T/tmp/some"
    mkdir "$T/tmp/long"
    for _ in {1..20}; do cat "$T/tmp/some"; done >"$T/tmp/long/file"
    tar -C "$T/tmp/long" -c file | zstd -q -1 --long=27 >"$T/long.tar.zst" # from a pipe: nothing is known of its length
    (($(stat -c %s "$T/long.tar.zst") < 5000000))
    HUSK_MAX_LAYER_BYTES=1g run python3 -c 'import resource, subprocess, sys
print(subprocess.run(sys.argv[1:]).returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' \
        "$HUSK" import --quiet "$T/long.tar.zst" long
    [[ $status -eq 0 && ${lines[-1]} =~ ^0\ ([0-9]+)$ ]] || { echo "$output"; return 1; }
    ((BASH_REMATCH[1] < 48 << 10)) || { echo "${BASH_REMATCH[1]} KiB"; return 1; }
    cmp "$("$HUSK" image mount long)/file" "$T/tmp/long/file"
    "$HUSK" image unmount long
    "$HUSK" rmi --no-trash long
    rm -r "$T/long.tar.zst" "$T/tmp/long" "$T/tmp/some"
}
