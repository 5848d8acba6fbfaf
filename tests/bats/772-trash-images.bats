#!/usr/bin/env bats
# The trash of images and pods: what rmi, pod rm and their prunes remove, and what brings it back; as root and as a user.
# shellcheck disable=SC2030,SC2031,SC2154 # HUSK_CONF is set per test, on purpose; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() {
    local h
    for h in root_husk user_husk; do
        $h pod rm -fa --no-trash >/dev/null || true
        $h rm -fa --no-trash >/dev/null || true
        $h trash empty >/dev/null
    done
    load_busybox >/dev/null
    as_user load_busybox >/dev/null
}

# The rows of df add up to what du says.
df_is_du() {
    local du sum
    du=$(du -s -B512 "$root" | cut -f 1)
    sum=$($h system df --format '{{.RawSize}}' | paste -sd+ | bc)
    ((sum == du * 512)) || { echo "df $sum du $((du * 512))"; return 1; }
}

images_there_and_back() {
    local id layers
    id=$($h images -q --no-trunc busybox)
    layers=$(ls "$root/layers")
    $h tag busybox also
    $h create --name cc --network none busybox true
    run $h rmi -f also busybox
    expect 0 "Untagged: also"
    [[ $output == *"Deleted: $id"* && ! $($h images -q) ]]
    [[ $($h trash ls --format '{{.Command}} {{.Images}}') == "rmi 2" ]]
    $h rm --no-trash cc
    $h image prune -af >/dev/null # it keeps what the trash has
    [[ $(ls "$root/layers") == "$layers" ]]
    (($($h system df --format '{{if eq .Type "Trash"}}{{.RawSize}}{{end}}') > 100000))
    df_is_du
    run $h run --rm --pull never --network none busybox true
    expect 125 "busybox"
    $h undo "$($h trash ls -q)"
    [[ $($h images -q --no-trunc busybox) == "$id" && $($h images -q --no-trunc also) == "$id" && ! $($h trash ls -q) ]]
    $h run --rm --pull never --network none also true
    df_is_du
    # one of two names: nothing else goes
    $h rmi also
    $h tag busybox:latest other
    run $h undo --name other
    expect 0 "image other" # it is this image again
    $h rmi other
    $h rmi busybox # both have the layers, and the later entry says so
    [[ $($h trash ls --format '{{.Size}}' | paste -sd,) == [1-9]*MB,0B ]]
    $h trash empty
    [[ ! $(ls "$root/layers") && ! $($h images -q) ]]
}
@test "undo brings back images with all their names, and until then nobody sweeps their layers; df adds up" { each_user images_there_and_back; }

# files: all that the store has of images
files() { (cd "$root" && find blobs layers -mindepth 1 -maxdepth 2 | LC_ALL=C sort); }
platform_there_and_back() {
    local before without part
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/tmp/oci.$h" here=gzip:here "other=gzip:other@linux/sparc64" multi=+here,other
    chmod -R a+rX "$T/tmp/oci.$h"
    $h copy -q --all "oci:$T/tmp/oci.$h:multi" store:multi
    $h image prune -f >/dev/null # what was packed goes when it is unpacked
    before=$(files)
    part=$(jq -r '.manifests[] | select(.platform.architecture == "sparc64") | .digest' \
        "$root/blobs/sha256/$($h images --format '{{(index .Digests 0)}}' multi | head -n 1 | cut -d : -f 2)")
    run $h rmi --platform sparc64 multi
    expect 0 "Deleted: sha256:"
    [[ ! -e $root/blobs/sha256/${part#sha256:} ]]
    [[ $($h trash ls --format '{{.Command}} {{.Images}}') == "rmi 1" ]]
    $h image prune -f >/dev/null # it keeps what the trash has
    [[ $(comm -3 <(echo "$before") <(files)) == "blobs/sha256/${part#sha256:}" ]]
    df_is_du
    run $h rmi --platform sparc64 multi
    expect 1 "not pulled for platform linux/sparc64"
    run $h undo --name other
    expect 1 "one platform of an image"
    $h undo
    [[ $(files) == "$before" && ! $($h trash ls -q) ]]
    # its image goes meanwhile: then it comes back without a name
    $h rmi --platform sparc64 multi
    $h rmi --no-trash multi
    $h undo
    [[ -e $root/blobs/sha256/${part#sha256:} && $($h images -q --filter dangling=true | wc -l) == 1 ]]
    $h system check
    $h image prune -f --no-trash >/dev/null
    [[ ! -e $root/blobs/sha256/${part#sha256:} ]]
    # at once, and out of the trash
    without=$(files)
    $h copy -q --all "oci:$T/tmp/oci.$h:multi" store:multi
    $h rmi --no-trash --platform sparc64 multi
    [[ ! $($h trash ls -q) ]]
    $h copy -q --all "oci:$T/tmp/oci.$h:multi" store:multi
    $h rmi --platform sparc64 multi
    $h trash empty
    $h rmi --no-trash multi
    [[ $(files) == "$without" ]]
}
@test "one platform of an image goes to the trash and comes back to its place" { each_user platform_there_and_back; }

@test "faults: rmi --platform is killed behind its row, and both the image and the row are good for something" {
    [[ $HUSK_FAULT_BUILD ]] || fail "a build with -Dfault_injection is needed: HUSK_FAULT_BUILD"
    local f=$HUSK_FAULT_BUILD/bin/husk root=$HUSK_ROOT before
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/tmp/oci.fault" here=gzip:here "other=gzip:other@linux/sparc64" multi=+here,other
    husk copy -q --all "oci:$T/tmp/oci.fault:multi" store:multi
    husk image prune -f >/dev/null
    before=$(files)
    run env HUSK_FAULT=kill@trash-image-row "$f" rmi --platform sparc64 multi
    ((status == 137))
    [[ $(files) == "$before" && $(husk trash ls -q) ]]
    husk rmi --platform sparc64 multi
    run env HUSK_FAULT=kill@undo-image "$f" undo
    ((status == 137))
    while [[ $(husk trash ls -q) ]]; do husk undo; done
    [[ $(files) == "$before" ]]
    husk system check
    husk rmi --no-trash multi
}

images_at_once() {
    local bytes
    bytes=$($h rmi --dry-run busybox | sed -n 's/^Would be reclaimed: //p')
    [[ $($h image prune -a --dry-run | sed -n 's/^Would be reclaimed: //p') == "$bytes" ]]
    [[ $($h image prune -af | sed -n 's/^Total reclaimed space: //p') == "$bytes" ]]
    [[ $($h trash ls --format '{{.Command}}') == "image prune" ]]
    [[ $($h trash empty) == "Total reclaimed space: $bytes" && ! $(ls "$root/layers") ]]
    as_it load_busybox
    $h rmi --no-trash busybox
    [[ ! $($h trash ls -q) && ! $(ls "$root/layers") ]]
}
as_it() { if [[ $h == user_husk ]]; then as_user "$@"; else "$@"; fi; }
@test "what a prune of images tells is what the trash has of it; --no-trash keeps nothing" { each_user images_at_once; }

@test "an image of another's name is not taken back over it; a damaged one is not brought back" {
    local blob
    husk tag busybox one
    husk rmi one
    husk import --message other "$IMAGES/rootfs.tar" one >/dev/null
    run husk undo
    expect 1 "the name 'docker.io/library/one:latest' is taken by another image meanwhile"
    run husk undo --name 'two@sha256:0'
    expect 1
    husk undo --name two
    [[ $(husk images -q two) == "$(husk images -q busybox)" && $(husk images -q one) != "$(husk images -q two)" ]]
    husk rmi one
    blob=$(sqlite3 "$HUSK_ROOT/husk.db" 'SELECT target FROM trash_image' | jq -r .digest)
    rm "$HUSK_ROOT/blobs/sha256/${blob#sha256:}"
    run husk undo
    expect 1 "image 'docker.io/library/one:latest': its documents are gone: pull it again"
    husk trash empty
    husk rmi --no-trash two
}

@test "a budget of images takes what is in the trash before what is not; system prune is exact" {
    export HUSK_CONF=$T/husk.conf
    local said
    husk import "$IMAGES/rootfs.tar" old >/dev/null
    husk rmi old
    husk import --message x "$IMAGES/rootfs.tar" new >/dev/null
    husk create --name cc --network none busybox true
    said=$(husk system prune -a --dry-run)
    [[ $(husk system prune -af | sed '$d') == "$(sed '$d' <<<"$said")" ]]
    husk undo
    [[ $(husk images -q new) && $(husk ps -aq) ]]
    husk rmi busybox -f
    printf '[storage]\nbudget = 1k\n' >"$HUSK_CONF"
    run husk load -i "$IMAGES/busybox.tar"
    [[ ! $(husk trash ls -q) ]]
}

pods_there_and_back() {
    local infra port=()
    [[ $h == user_husk ]] || port=(-p 127.0.0.1::80)
    $h pod create --name pp "${port[@]}" --hostname hh >/dev/null
    $h create --pod pp --name mm -v /anon busybox sh -c 'hostname; sleep 1000' >/dev/null
    $h pod create --name bare --infra=false >/dev/null
    $h pod start pp >/dev/null
    infra=$($h pod inspect -f '{{.InfraContainerID}}' pp)
    $h pod rm -f pp bare >/dev/null
    [[ ! $($h ps -aq) && ! $($h pod ps -q) && ! $($h volume ls -q) ]]
    [[ $($h trash ls --format '{{.Command}} {{.Pods}} {{.Containers}} {{.Volumes}}') == "pod rm 2 2 1" ]]
    $h pod create --name pp >/dev/null
    run $h undo
    expect 1 "the name 'pp' is taken by another pod meanwhile"
    $h pod rm --no-trash pp >/dev/null
    run $h undo
    expect 0 "pod pp"
    [[ $output == *"pod bare"*"container mm"* && $($h pod inspect -f '{{.InfraContainerID}}' pp) == "$infra" ]]
    $h pod start pp >/dev/null
    wait_until 10 logs_hh
    [[ $($h pod ps --format '{{.Name}} {{.NumberOfContainers}}' --filter name=pp) == "pp 2" && $($h volume ls -q | wc -l) == 1 ]]
    $h pod stop -t 0 pp >/dev/null
    $h pod prune -f >/dev/null
    run $h undo --name qq
    expect 1 "--name is for one object"
    $h undo >/dev/null
    [[ $($h pod ps -q | wc -l) == 2 ]]
    $h pod rm bare >/dev/null
    $h undo --name qq
    $h pod rm --no-trash pp qq >/dev/null
    [[ ! $($h trash ls -q) && ! $(ls -A "$root/containers") ]]
    $h system check
}
logs_hh() { [[ $($h logs mm) == *hh ]]; }
@test "undo brings back a pod with its containers, its ports and their volumes" { each_user pods_there_and_back; }

ports_and_ids() {
    local port=$((20000 + RANDOM % 20000))
    printf 'root:1000000:3000\n' >"$T/tmp/subids"
    run unshare --mount --propagation private bash -c 'mount --bind "$1/subids" /etc/subuid && mount --bind "$1/subids" /etc/subgid || exit 9
        "$HUSK" create --name one --network none --userns auto:size=2000 busybox true && "$HUSK" rm one
        "$HUSK" create --name two --network none --userns auto:size=1000 busybox true && "$HUSK" undo' bash "$T/tmp"
    expect 1 "container 'one': the ids of its user namespace are another container's meanwhile"
    husk rm --no-trash two
    husk trash empty
    husk create --name one --network bridge -p "$port:80" busybox true
    husk rm one
    husk create --name two --network bridge -p "127.0.0.1:$port:80" busybox true
    run husk undo
    expect 0 "container 'one': port $port/tcp of the host is published by container 'two' too: only one of them can run"
    husk rm --no-trash one two
}
@test "undo says which port is published by another container too, and refuses ids that another one has" {
    ((EUID == 0)) || skip "kernel: a bridge is root's"
    ports_and_ids
}

@test "faults: rmi, pod rm and their undo are killed at each step and lose nothing" {
    [[ $HUSK_FAULT_BUILD ]] || fail "a build with -Dfault_injection is needed: HUSK_FAULT_BUILD"
    local f=$HUSK_FAULT_BUILD/bin/husk id point
    id=$(husk images -q busybox)
    run env HUSK_FAULT=kill@trash-image-row "$f" rmi busybox
    ((status == 137))
    [[ $(husk images -q busybox) == "$id" && $(husk trash ls -q) ]] # it is still there, and undo changes nothing
    husk undo
    [[ $(husk images -q busybox) == "$id" && ! $(husk trash ls -q) ]]
    husk rmi busybox
    run env HUSK_FAULT=kill@undo-image "$f" undo
    ((status == 137))
    husk undo
    [[ $(husk images -q busybox) == "$id" && ! $(husk trash ls -q) ]]
    husk pod create --name pp --network none >/dev/null
    husk create --pod pp --name mm busybox true >/dev/null
    for point in pod-empty trash-row; do
        run env HUSK_FAULT=kill@$point "$f" pod rm pp
        ((status == 137))
        husk pod rm -f pp
        while [[ $(husk trash ls -q) ]]; do husk undo; done
        [[ $(husk pod ps --format '{{.Name}} {{.NumberOfContainers}}') == "pp 2" ]]
    done
    husk pod rm pp
    run env HUSK_FAULT=kill@undo-folder "$f" undo
    ((status == 137))
    husk undo
    [[ $(husk pod ps --format '{{.Name}} {{.NumberOfContainers}}') == "pp 2" ]]
    husk pod start pp
    husk pod rm -f --no-trash pp
    [[ $(husk system check) == "no problems" && ! $(ls -A "$HUSK_ROOT/containers") ]]
}
