#!/usr/bin/env bats
# One image in several forms: what save writes and load takes, and what a removal of the image then means.
# shellcheck disable=SC2030,SC2031,SC2154 # helpers and bats set the variables

load helpers
bats_require_minimum_version 1.5.0

setup_file() {
    husk_setup_file
    load_busybox
    "$HUSK" save --format docker-dir -o "$T/docker" busybox
    skopeo copy --quiet "oci:$IMAGES/oci:latest" "dir:$T/oci-dir"
    chmod -R a+rX "$T/docker" "$T/oci-dir"
    ID=$("$HUSK" image inspect --format '{{.Id}}' busybox)
    export ID
    "$HUSK" rmi --no-trash busybox >/dev/null
}
setup() {
    husk_setup
    cd "$T/tmp" || return
}

@test "skopeo's folder of one image is loaded, for root and for a user; with a lie in it nothing is" {
    local dir blob
    for dir in docker oci-dir; do
        run "$HUSK" load -q -i "$T/$dir"
        expect 0 "=Loaded image ID: $ID"
        run as_user husk load -q "$T/$dir"
        expect 0 "=Loaded image ID: $ID"
    done
    run "$HUSK" run --rm --network none "$ID" echo hi
    expect 0 =hi
    "$HUSK" rmi --no-trash "$ID"
    cp -r "$T/docker" lie
    blob=$(find lie -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
    printf x | dd of="$blob" bs=1 seek=100 conv=notrunc status=none
    run "$HUSK" load -q -i lie
    expect 1 "lie"
    output_has "digest"
    rm "$blob"
    run "$HUSK" load -q -i lie
    expect 1 "${blob##*/}"
    [[ -z $("$HUSK" images -q) ]]
    store_is_sound "$HUSK_ROOT"
}

@test "an image that is here in several forms is one image: rmi removes it whole, undo brings all of it back" {
    local how
    for how in "$ID" --all "--force ${ID:7:12}"; do
        "$HUSK" load -q -i "$T/docker"
        "$HUSK" load -q -i "$T/oci-dir"
        [[ $("$HUSK" images | grep -c '^<none>') == 2 ]]
        run "$HUSK" rmi --dry-run "$ID"
        expect 0 "Deleted: $ID"
        # shellcheck disable=SC2086 # words
        run "$HUSK" rmi $how
        expect 0 "=Deleted: $ID"
        [[ -z $("$HUSK" images -q) ]] || { "$HUSK" images; return 1; }
    done
    run "$HUSK" undo
    expect 0
    [[ $("$HUSK" images | grep -c '^<none>') == 2 ]]
    "$HUSK" tag "$ID" named:1
    run "$HUSK" rmi --no-trash named:1 # with its last name the image goes
    expect 0 "Deleted: $ID"
    [[ -z $("$HUSK" images -q) ]]
    [[ $("$HUSK" system check) == "no problems" ]]
}

@test "what is no archive is called that, and nothing is made" {
    : >empty
    printf 'hello\n' >words
    printf '<html>%2000s</html>\n' x >page
    check_table <<'ROWS'
load -i empty     | 1 | husk load: 'empty': it is empty
load              | 1 | 'standard input': it is empty
load -i words     | 1 | it is no tar, nor one that is packed
load -i page      | 1 | it is no tar, nor one that is packed
import words x    | 1 | it is no tar, nor one that is packed
import page x     | 1 | it is no tar, nor one that is packed
load -i /bin/true | 1 | it is no tar, nor one that is packed
ROWS
    [[ -z $("$HUSK" images -q) ]]
}

@test "save: layers that docker 20.10 cannot load are written plain, where it would be the one to load them; others stay as they are" {
    # forms_of TAR: how many of its files are packed with gzip, and with zstd
    forms_of() {
        rm -rf "$T/tmp/x" && mkdir "$T/tmp/x" && tar -C "$T/tmp/x" -xf "$1"
        find "$T/tmp/x" -type f -exec od -An -N4 -tx1 {} \; | sed -n 's/^ 1f 8b.*/gzip/p; s/^ 28 b5 2f fd/zstd/p' | sort | uniq -c | xargs
    }
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/forms" g=gzip:x z=gzip:x,zstd:y
    "$HUSK" load -q -i "$T/forms"
    run --separate-stderr "$HUSK" save -o z.tar g z
    [[ $status == 0 && ! $stderr && $(forms_of z.tar) == '1 gzip' ]]
    "$HUSK" save -q --format oci-archive -o z.tar z
    [[ $(forms_of z.tar) == '1 gzip 1 zstd' ]] || { forms_of z.tar; false; }
    local with
    for with in --uncompressed --compress '--compression-format gzip' '--format oci-archive'; do
        # shellcheck disable=SC2086 # words
        run "$HUSK" save -q $with -o z.tar z
        expect 0 =
    done
}
