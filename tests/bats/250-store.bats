#!/usr/bin/env bats
# The image store: what it says it takes, what it gives back, damage found and repaired, the budget. As root and as a user.
# shellcheck disable=SC2030,SC2031,SC2086,SC2154 # HUSK_ROOT is set per test, on purpose; $h is words; bats sets the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" one=gzip:base,gzip:one two=gzip:base,zstd:two
    local name
    for name in one two; do
        skopeo copy --quiet --preserve-digests --dest-tls-verify=false "oci:$T/oci:$name" "docker://$REGISTRY/store:$name"
    done
}

teardown() { remove_all_containers; }

# shellcheck disable=SC2046 # IDs are words
clean() { $h rmi --no-trash -f $($h images -q --no-trunc | sort -u) >/dev/null 2>&1 || true; }

df_of() { $h system df --format '{{.Type}} {{.RawSize}}' | awk -v type="$1 " 'index($0, type) == 1 { print $NF }'; }

df_and_du() {
    $h load --quiet --input "$IMAGES/busybox.tar"
    $h pull --quiet "$REGISTRY/store:one"
    $h pull --quiet "$REGISTRY/store:two"
    $h run --name links -v "dfvol:/v" busybox sh -c 'echo hello >/a; ln /a /b; ln /a /c; mkdir -m 700 /v/private; echo x >/v/private/x'
    # of what is built, what an image has is its own; the rest is the build cache's
    printf 'FROM busybox\nRUN head -c 200000 /dev/urandom >/x\n' | $h build --quiet --network none --tag built - >/dev/null
    (($(df_of 'Build Cache') < 150000)) || { $h system df; return 1; }
    $h rmi --no-trash built >/dev/null
    (($(df_of 'Build Cache') > 200000)) || { $h system df; return 1; }
    local said is
    said=$($h system df --format '{{.RawSize}}' | awk '{ s += $1 } END { print s }')
    is=$(du -s -B1 "$root" | cut -f1)
    [[ $said == "$is" ]] || { echo "df says $said, du $is"; $h system df; return 1; }
    # The two share one layer; what is unique of one is what goes with it.
    local unique before after
    unique=$($h system df -v --format json | jq '.Images[] | select(.Tag == "one") | .RawUniqueSize')
    [[ $($h system df -v --format json | jq '.Images[] | select(.Tag == "one") | .RawSharedSize') -gt 0 ]]
    before=$($h system df --format '{{.Type}} {{.RawSize}}' | awk '/^Images/ { print $2 }')
    $h rmi --no-trash "$REGISTRY/store:one"
    after=$($h system df --format '{{.Type}} {{.RawSize}}' | awk '/^Images/ { print $2 }')
    ((before - after == unique)) || { echo "unique $unique, freed $((before - after))"; return 1; }
    run $h system df
    expect 0 RECLAIMABLE
    $h rm links >/dev/null
    $h volume rm dfvol >/dev/null
    $h builder prune --all --force >/dev/null
    [[ $(df_of 'Build Cache') -lt 100000 ]]
    clean
}
@test "system df adds up to what du says" { each_user df_and_du; }

prune_some() {
    $h pull --quiet "$REGISTRY/store:one"
    $h pull --quiet "$REGISTRY/store:two"
    $h load --quiet --input "$IMAGES/busybox.tar"
    $h run --name keeper busybox true
    local count
    count=$($h images -q | wc -l)
    run $h image prune -a --dry-run
    expect 0 "Untagged: $REGISTRY/store:one"
    [[ $output != *busybox* && $($h images -q | wc -l) == "$count" ]]
    run $h image prune -a --filter until=1h --filter 'label!=nothing'
    expect 0
    run $h image prune --filter nonsense=1 -a
    expect 1 "it is one of until, label, label!, dangling"
    run $h image prune -a --filter label=no.such.label
    expect 0 "Total reclaimed space: 0B"
    run $h system prune -a --dry-run
    expect 0 "Deleted Containers:"
    [[ $($h ps -aq | wc -l) == 1 ]]
    run $h system prune -a -f --no-trash
    expect 0 "Total reclaimed space:"
    [[ $($h ps -aq | wc -l) == 0 && $($h images -q | wc -l) == 0 ]]
    [[ ! $(ls -A "$root/layers") && ! $(ls -A "$root/blobs/sha256") ]]
}
@test "prune: filters, dry run, and the whole system" { each_user prune_some; }

# A whiteout has no time of its own: unpacked again, it has another.
whiteouts() {
    mkdir -p "$T/tmp/second/etc" && touch "$T/tmp/second/etc/.wh.passwd" && echo new >"$T/tmp/second/etc/new"
    tar -C "$T/tmp/second" -cf "$T/tmp/second.tar" etc/.wh.passwd etc/new
    $h import "$T/tmp/second.tar" whiteouts >/dev/null
    run $h verify --all
    expect 0 "all good"
    run $h verify --all # by what was remembered
    expect 0 "all good"
    find "$root/layers" -name passwd -type c | grep -q .
    clean
    rm -rf "$T"/tmp/*
}
@test "verify finds a layer with whiteouts good" { each_user whiteouts; }

damage() {
    local ref=$REGISTRY/store:one blob layer
    $h pull --quiet "$ref"
    run $h verify --all
    expect 0 "all good"
    blob=$(skopeo inspect --raw --tls-verify=false "docker://$ref" | jq -r '.layers[-1].digest')
    blob=$root/blobs/sha256/${blob#sha256:}
    printf X | dd of="$blob" conv=notrunc bs=1 seek=20 status=none
    run $h system check
    expect 0 "no problems" # the size is right
    run $h verify "$ref"
    expect 1 "${blob##*/}: its digest is"
    expect 1 "1 damaged, 0 repaired"
    run $h verify --repair "$ref"
    expect 0 "${blob##*/}: its digest is"
    expect 0 "1 damaged, 1 repaired"
    run $h verify --all
    expect 0 "all good"
    # A file of a layer is changed, one is added, all are gone.
    layer=$(dirname "$(find "$root/layers" -name one -type f)")
    echo other >"$layer/one"
    run $h verify "$ref"
    expect 1 "its files are not those that were unpacked"
    run $h verify --repair --all
    expect 0 "1 damaged, 1 repaired"
    [[ $(<"$layer/one") == one ]]
    touch "$layer/extra"
    run $h verify --repair --all
    expect 0 "1 damaged, 1 repaired"
    [[ ! -e $layer/extra ]]
    rm -rf "$layer"
    run $h system check
    expect 1 "it lacks layer"
    run $h system check --repair
    expect 0 repaired
    [[ $(<"$layer/one") == one ]]
    # A blob that is gone comes back with the next pull.
    rm "$blob"
    $h pull --quiet "$ref"
    [[ -s $blob ]]
    run $h system check
    expect 0 "no problems"
    # Without a registry the bad one stays, and it is said why.
    $h tag "$ref" 127.0.0.1:1/nowhere:1
    $h rmi "$ref"
    printf X | dd of="$blob" conv=notrunc bs=1 seek=20 status=none
    run $h verify --repair --all
    expect 1 "not repaired:"
    [[ -s $blob ]]
    run $h verify
    expect 1 "name images, or say --all"
    clean
    rm -f "$root"/tmp/blob-* # kept for a while, so that the next try goes on from there
}
@test "verify finds damage and repairs it" { each_user damage; }

small_store() {
    local conf=$T/tmp/$h.conf
    printf '[storage]\nkeep_blobs = no\n' >"$conf"
    with_conf() { if [[ $h == root_husk ]]; then HUSK_CONF=$conf "$HUSK" "$@"; else as_user env "HUSK_CONF=$conf" "$HUSK" "$@"; fi; }
    with_conf pull --quiet "$REGISTRY/store:one"
    [[ $(find "$root/blobs/sha256" -type f | wc -l) == 2 ]] || { ls -l "$root/blobs/sha256"; return 1; } # manifest and config
    [[ $(find "$root/layers" -name one -type f -exec cat {} +) == one ]]
    run with_conf pull "$REGISTRY/store:one"
    expect 0 "Image is up to date"
    [[ $(find "$root/blobs/sha256" -type f | wc -l) == 2 ]]
    run $h system check
    expect 0 "no problems"
    run $h verify --all
    expect 0 "could not be compared"
    # The default keeps them: the next pull fetches what is missing.
    $h pull --quiet "$REGISTRY/store:one"
    [[ $(find "$root/blobs/sha256" -type f | wc -l) == 4 ]]

    # A budget too small for both: the one that was used last stays; one that a container uses, too.
    printf '[storage]\nbudget = 5k\n' >"$conf"
    run with_conf pull --quiet "$REGISTRY/store:two"
    expect 0 "over their budget: image $REGISTRY/store:one"
    [[ $($h images --format '{{.Tag}}') == two ]]
    run $h system check
    expect 0 "no problems"
    $h load --quiet --input "$IMAGES/busybox.tar"
    $h create --name user busybox true >/dev/null
    run with_conf pull --quiet "$REGISTRY/store:one"
    expect 0 "all that is left is in use"
    [[ $($h images --format '{{.Tag}}' | sort | xargs) == "latest one" ]]
    printf '[storage]\nbugdet = 5k\n' >"$conf"
    run with_conf pull --quiet "$REGISTRY/store:one"
    [[ $status -ne 0 ]]
    expect "$status" "$conf:2: unknown key 'bugdet' in [storage]: did you mean 'budget'?"
    $h rm user >/dev/null
    clean
}
# An archive's layer came as a plain tar, whose digest is the diffID of another image's packed one.
same_layer_in_two_forms() {
    local id
    $h load --quiet --input "$IMAGES/busybox.tar" >/dev/null
    $h import "$IMAGES/rootfs.tar" packed >/dev/null
    id=$($h create --network none packed /bin/sh)
    run $h rmi --no-trash busybox
    expect 0 Deleted
    run $h rmi --no-trash -f packed
    expect 0
    run $h system check
    expect 0 "no problems"
    run $h start "$id" # what it needs is there
    expect 0
    $h rm -f "$id" >/dev/null
    $h image prune -a >/dev/null
}
@test "a sweep tells a container's layer from another image's blob of the same digest" { each_user same_layer_in_two_forms; }

@test "settings: packed layers go, and what is over the budget" { each_user small_store; }

not_waiting() {
    local fifo=$T/tmp/$h.fifo pid
    mkfifo "$fifo"
    chmod 666 "$fifo"
    $h pull --quiet "$REGISTRY/store:one"
    $h load --quiet <"$fifo" >"$T/tmp/loaded" 2>&1 3>&- &
    pid=$!
    exec 7>"$fifo"
    head -c 100000 "$IMAGES/busybox.tar" >&7
    wait_until 30 compgen -G "$root/tmp/adding-*"
    # The load is in the middle, and neither a removal nor a pull waits for it.
    if [[ $h == root_husk ]]; then timeout 60 "$HUSK" rmi --no-trash "$REGISTRY/store:one"; else as_user timeout 60 "$HUSK" rmi --no-trash "$REGISTRY/store:one"; fi
    $h pull --quiet "$REGISTRY/store:two"
    $h image prune >/dev/null
    tail -c +100001 "$IMAGES/busybox.tar" >&7
    exec 7>&-
    wait $pid
    run $h run --rm busybox echo whole
    expect 0 "=whole"
    run $h verify --all
    expect 0 "all good"
    clean
    [[ ! $(ls -A "$root/layers") ]] || { ls "$root/layers"; return 1; }
}
@test "a removal waits for no load, and takes nothing that it needs" { each_user not_waiting; }

many_layers() {
    local layers
    layers=$(printf ',gzip:l%d' {1..300})
    [[ -d $T/oci300 ]] || "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci300" "many=gzip:base$layers"
    $h load --quiet --input "$T/oci300" >/dev/null
    $h load --quiet --input "$IMAGES/busybox.tar" >/dev/null
    # No program is in it: one comes along by a volume.
    mkdir -p "$T/tmp/bin"
    cp "$IMAGES/rootfs/bin/busybox" "$T/tmp/bin/"
    run $h run --rm -v "$T/tmp/bin:/bin" "$($h images -q --no-trunc --filter 'reference=many*')" /bin/busybox sh -c \
        '/bin/busybox cat /base /l1 /l150 /l300; echo new >/l7; /bin/busybox cat /l7'
    expect 0 "basel1l150l300new"
    run $h system check
    expect 0 "no problems"
    clean
}
@test "an image of 301 layers runs" { each_user many_layers; }

@test "system check --repair: what a killed pull, load or commit held by goes, though nothing else is in staging" {
    load_busybox
    : >"$HUSK_ROOT/tmp/adding-0123456789abcdef"
    as_if_older
    run husk system check
    expect 1 "1 pieces of work that was cut short in staging"
    husk system check --repair
    [[ ! -e $HUSK_ROOT/tmp/adding-0123456789abcdef ]]
    run husk system check
    expect 0 "=no problems"
}
