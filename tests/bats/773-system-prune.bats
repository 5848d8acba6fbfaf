#!/usr/bin/env bats
# husk system prune: networks that none is on, and what builds remember of no image; as root and as a user.
# shellcheck disable=SC2030,SC2031,SC2154 # bats sets them

load helpers

setup_file() { setup_both_stores; }
teardown() {
    remove_all_containers
    "$HUSK" network prune -f >/dev/null
}
# same_as_said ARGS...: the real one says what --dry-run said; $said has it.
same_as_said() {
    local real
    said=$($h system prune --dry-run "$@") && real=$($h system prune -f "$@")
    [[ ${real/Total reclaimed space/} == "${said/Would be reclaimed/}" ]] || { diff <(echo "$said") <(echo "$real"); false; }
}

@test "networks that no container is on go, and with their containers others; undo brings all of it back" {
    local h=root_husk said
    ((EUID == 0)) || skip "kernel: a bridge is root's"
    husk network create idle
    husk network create busy
    husk network create kept
    husk create --name b1 --network busy busybox true
    husk run -d --name k1 --network kept busybox sleep 1000
    same_as_said
    [[ $said == *$'Deleted Networks:\nbusy\nidle\n'* && $(husk network ls --format '{{.Name}}' | sort | xargs) == kept ]]
    husk undo
    [[ $(husk network ls --format '{{.Name}}' | sort | xargs) == "busy idle kept" && $(husk ps -a --filter network=busy --format '{{.Names}}') == b1 ]]
    same_as_said --no-trash
    [[ $said == *$'Deleted Networks:\nbusy\nidle\n'* && $(husk network ls --format '{{.Name}}' | sort | xargs) == kept ]]
    husk network create --label keep=1 labelled
    same_as_said --filter 'label!=keep'
    [[ $(husk network ls --format '{{.Name}}' | sort | xargs) == "kept labelled" ]]
    husk rm -f k1
}

builds() {
    local said before
    printf 'FROM busybox\nRUN head -c 2000000 /dev/zero >/big; echo %s >/f\n' "$h" >"$T/tmp/$h.file"
    chmod 644 "$T/tmp/$h.file"
    $h build -q -t built -f "$T/tmp/$h.file" "$IMAGES/oci" >/dev/null
    same_as_said
    [[ $said != *"build cache"* && $($h builder du) == *"steps"*" 1 "* ]] # the image has the layer
    $h rmi --no-trash built >/dev/null
    before=$($h system df --format '{{.RawSize}}' | paste -sd+ | bc)
    same_as_said
    [[ $said =~ $'Deleted build cache objects:\n'[0-9a-f]{64}$'\n' && $said == *": 2."*MB* ]]
    ((before - $($h system df --format '{{.RawSize}}' | paste -sd+ | bc) > 1900000))
    [[ $($h builder du) == *"steps"*" 0 "* ]]
    $h build -q -t built -f "$T/tmp/$h.file" "$IMAGES/oci" >/dev/null
    $h create --name cc --network none built true
    same_as_said -a --no-trash
    [[ $said == *"Deleted build cache objects:"* && $said == *"Untagged: built"* && ! $($h images -q) ]]
    [[ ! $(ls "$root/layers") ]]
}
@test "what builds remember goes when no image has it, and all of it with --all; the room is what was told" {
    local h root
    h=root_husk root=$HUSK_ROOT
    builds
    h=user_husk root=$USER_HOME/root
    builds
    load_busybox
    as_user load_busybox
}

@test "a prune says that what it counted is not free while the trash keeps it" {
    local h kind
    for h in husk user_husk; do
        for kind in container volume system; do
            $h volume create loose >/dev/null
            $h create --name going --network none busybox true >/dev/null
            $h $kind prune -f $([[ $kind != volume ]] || echo -a) >"$T/tmp/out" 2>"$T/tmp/err"
            [[ $(tail -n 1 "$T/tmp/out") == "Total reclaimed space: "* ]] # as docker's, for whoever reads the last line
            grep -q 'kept for 24 hours, and not free until then: .*`husk trash empty`' "$T/tmp/err"
            $h undo
            $h $kind prune -f --no-trash $([[ $kind != volume ]] || echo -a) 2>"$T/tmp/err"
            [[ ! -s $T/tmp/err ]]
            $h rm -f going 2>/dev/null || true
            $h volume rm loose 2>/dev/null || true
        done
    done
}
