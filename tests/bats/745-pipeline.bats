#!/usr/bin/env bats
# A layer is unpacked while it arrives: the registry sends half of it and waits for the test. Nothing of it may be seen
# before all of it is there and right, whatever happens to the transfer.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # HUSK_ROOT is set per test, on purpose; helpers and bats set the others

load helpers

FORMS="gzip zstd plain"

setup_file() {
    husk_setup_file
    local form
    for form in $FORMS; do
        mkdir "$T/$form"
        "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci-$form" "big=$form:big"
        python3 "$HUSK_TOP/tests/bats/lying-registry.py" "$T/oci-$form" "$T/$form" >"$T/$form/out" 2>&1 3>&- &
        echo $! >"$T/$form/pid"
    done
    for form in $FORMS; do wait_until 30 test -e "$T/$form/port"; done
}
teardown_file() {
    local form
    for form in $FORMS; do [[ ! -e $T/$form/pid ]] || kill "$(<"$T/$form/pid")"; done
    husk_teardown_file
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER
}
teardown() {
    touch "$T/gzip/go" "$T/zstd/go" "$T/plain/go"
    rm -rf "$HUSK_ROOT"
}

registry() { echo "127.0.0.1:$(<"$T/$1/port")"; }
some_is_unpacked() { find "$HUSK_ROOT/tmp" -path '*/layer-*' -type f -size +3000k | grep -q .; }
some_has_come() { find "$HUSK_ROOT/tmp" -name 'blob-*' -size +3000k | grep -q .; }
nothing_shows() { [[ ! $(names) && ! $(ls -A "$HUSK_ROOT/layers") ]]; }

# begin FORM LIE: a pull of which half has come.
begin() {
    rm -f "$T/$1/go"
    : >"$T/$1/log"
    "$HUSK" pull -q "$(registry "$1")/$2" >"$T/tmp/out" 2>&1 3>&- &
    pull=$!
    wait_until 30 some_has_come
    nothing_shows
}
# go_on FORM: and the other half. Its status and words as of run.
go_on() {
    touch "$T/$1/go"
    status=0
    wait "$pull" || status=$?
    output=$(<"$T/tmp/out")
}

@test "what has come is unpacked while the rest is awaited, and shows when all is there: gzip, zstd, plain" {
    local form
    for form in $FORMS; do
        begin $form held
        wait_until 30 some_is_unpacked
        nothing_shows
        go_on $form
        expect 0 "=$(registry $form)/held:latest"
        store_is_sound "$HUSK_ROOT"
        names_are_whole "$HUSK_ROOT"
        rm -rf "$HUSK_ROOT"
    done
}

@test "the same as a layer in EROFS's form" {
    local major minor
    IFS=.- read -r major minor _ < <(uname -r)
    # shellcheck disable=SC2016 # expands inside
    skip_unless_kernel "EROFS mounted from files (6.12)" bash -c 'grep -qw erofs /proc/filesystems && (($1 * 100 + $2 >= 612))' - "$major" "$minor"
    export HUSK_LAYERS=erofs
    begin gzip held
    wait_until 30 some_is_unpacked
    nothing_shows
    go_on gzip
    expect 0
    [[ -s $(echo "$HUSK_ROOT"/layers/*/erofs) && ! $(ls -A "$HUSK_ROOT/tmp") ]]
    run "$HUSK" verify --all
    expect 0 "all good"
}

@test "layers of files are verified as files where new ones are to be EROFS" {
    "$HUSK" pull -q "$(registry gzip)/honest"
    run env HUSK_LAYERS=erofs "$HUSK" verify --all
    expect 0 "all good"
}

@test "a connection that is lost: the transfer goes on by a range, and the unpacking where it was" {
    begin gzip held-cut
    wait_until 30 some_is_unpacked
    local before
    before=$(ls "$HUSK_ROOT/tmp")
    go_on gzip
    expect 0
    grep -q '/held-cut/blobs/.*range=bytes=[1-9]' "$T/gzip/log"
    [[ $before == *layer-*blob-* || $before == *blob-*layer-* ]]
    store_is_sound "$HUSK_ROOT"
}

@test "a transfer that begins again, with the same bytes or with others: the unpacking does too" {
    local form lie
    while read -r form lie; do
        begin "$form" "$lie"
        go_on "$form"
        expect 0 "=$(registry "$form")/$lie:latest"
        run "$HUSK" verify --all
        expect 0 "all good"
        store_is_sound "$HUSK_ROOT"
        rm -rf "$HUSK_ROOT"
    done <<<$'gzip held-again\nzstd held-other\nplain held-other'
}

@test "a blob or a diffID that turns out wrong at the end: its own sentence, and nothing is left of what was unpacked" {
    local form
    for form in gzip plain; do
        begin $form held-digest
        wait_until 30 some_is_unpacked
        go_on $form
        expect 1 "has other content: its digest is sha256:"
        nothing_shows
        store_is_sound "$HUSK_ROOT"
    done
    begin gzip held-diff-id
    wait_until 30 some_is_unpacked
    go_on gzip
    expect 1 "its contents have the digest sha256:"
    nothing_shows
    store_is_sound "$HUSK_ROOT"
}

@test "a mirror that lies in its second half: the registry itself is asked, and its bytes are what is unpacked" {
    export HOME=$T/home
    unset XDG_CONFIG_HOME
    mkdir -p "$HOME/.config/containers"
    printf '[[registry]]\nprefix = "registry.test/x"\nlocation = "%s/honest"\n[[registry.mirror]]\nlocation = "%s/held-digest"\n' \
        "$(registry gzip)" "$(registry gzip)" >"$HOME/.config/containers/registries.conf"
    rm -f "$T/gzip/go"
    "$HUSK" pull -q registry.test/x >"$T/tmp/out" 2>&1 3>&- &
    pull=$!
    wait_until 30 some_is_unpacked
    go_on gzip
    expect 0 "registry.test/x:latest"
    run "$HUSK" verify --all
    expect 0 "all good"
    store_is_sound "$HUSK_ROOT"
}

@test "killed in the middle: what has come serves the next pull, what was unpacked is swept" {
    begin gzip held
    wait_until 30 some_is_unpacked
    kill -KILL "$pull"
    go_on gzip
    [[ $status == 137 ]]
    some_has_come
    nothing_shows
    run "$HUSK" pull -q "$(registry gzip)/held"
    expect 0
    grep -q '/held/blobs/.*range=bytes=[1-9]' "$T/gzip/log"
    store_is_sound "$HUSK_ROOT"
    names_are_whole "$HUSK_ROOT"
}

@test "an image whose packed bytes are not kept, in EROFS's form: saved as it came it is refused, plain it is not" {
    local major minor id
    IFS=.- read -r major minor _ < <(uname -r)
    # shellcheck disable=SC2016 # expands inside
    skip_unless_kernel "EROFS mounted from files (6.12)" bash -c 'grep -qw erofs /proc/filesystems && (($1 * 100 + $2 >= 612))' - "$major" "$minor"
    printf '[storage]\nkeep_blobs = no\nlayers = erofs\n' >"$T/erofs.conf"
    export HUSK_CONF=$T/erofs.conf
    "$HUSK" pull -q "$(registry zstd)/honest"
    "$HUSK" image prune
    id=$("$HUSK" image inspect --format '{{.Id}}' "$(registry zstd)/honest")
    run "$HUSK" save --format oci-archive -o "$T/tmp/a.tar" "$(registry zstd)/honest"
    expect 1 "its packed bytes are not kept here: pull, load or import the image again; or save it with --uncompressed"
    [[ ! -e $T/tmp/a.tar ]]
    "$HUSK" save -o "$T/tmp/b.tar" "$(registry zstd)/honest" # what docker 20.10 can load is plain, where layers are zstd's
    "$HUSK" save --uncompressed -o "$T/tmp/a.tar" "$(registry zstd)/honest"
    cmp "$T/tmp/a.tar" "$T/tmp/b.tar"
    [[ $(du -sb "$HUSK_ROOT/blobs" | cut -f1) -lt 100000 ]] # no blob was made for it
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER/other
    "$HUSK" load -q -i "$T/tmp/a.tar"
    [[ $("$HUSK" images -q --no-trunc) == "$id" ]]
    run "$HUSK" verify --all
    expect 0 "all good"
}
