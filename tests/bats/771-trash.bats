#!/usr/bin/env bats
# The trash: what rm, volume rm and the prunes remove, and what brings it back; as root and as a user.
# shellcheck disable=SC2030,SC2031,SC2154 # HUSK_CONF is set per test, on purpose; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() {
    remove_all_containers
    husk trash empty >/dev/null
    as_user husk trash empty >/dev/null
}

there_and_back() {
    local id
    $h volume create data
    $h run --name work --network none -v data:/data -v /anon busybox sh -c 'echo upper >/f; echo volume >/data/f; echo anon >/anon/f; exit 3' || [[ $? == 3 ]]
    id=$($h ps -aq --no-trunc)
    $h rm -v work
    [[ ! $($h ps -aq) && ! -e $root/containers/$id && $($h volume ls -q) == data ]]
    $h volume rm data
    [[ ! $(ls -A "$root/volumes") && $($h trash ls -q | wc -l) == 2 ]]
    # the container needs the volume, which is in the later entry
    run $h undo "$($h trash ls -q | tail -n 1)"
    expect 1 "container 'work' needs volume 'data', which is gone"
    run $h undo
    expect 0 "volume data"
    $h undo
    [[ $($h inspect -f '{{.State.ExitCode}} {{.Id}}' work) == "3 $id" ]]
    [[ $($h cp work:/f - | tar -xO) == upper && $(cat "$root/volumes/data/_data/f") == volume ]]
    [[ $($h volume ls -q | wc -l) == 2 && ! $($h trash ls -q) ]]
    run $h start -a work
    expect 3
    run $h undo
    expect 1 "the trash is empty"
    $h system check
    $h rm -v --no-trash work
    $h volume rm --no-trash data
    [[ ! $($h trash ls -q) && ! $(ls -A "$root/trash") ]]
}
@test "undo brings back a container with its files, exit code and volumes, each as it was; --no-trash keeps nothing" { each_user there_and_back; }

taken_names() {
    $h create --name cc --network none busybox true
    $h rm cc
    $h create --name cc --network none busybox true
    run $h undo
    expect 1 "the name 'cc' is taken by another container meanwhile"
    $h undo --name dd
    [[ $($h ps -a --format '{{.Names}}' | sort | paste -sd,) == cc,dd ]]
    $h volume create vv
    $h volume rm vv
    $h volume create vv
    run $h undo
    expect 1 "the name 'vv' is taken by another volume meanwhile"
    $h undo --name ww
    $h container prune -f
    run $h undo --name one
    expect 1 "--name is for one object: entry"
    $h undo
    [[ $($h ps -aq | wc -l) == 2 ]]
    $h rm --no-trash cc dd
    $h volume rm --no-trash vv ww
    $h run --rm --network none busybox true
    [[ ! $($h trash ls -q) ]]
    run $h trash empty 77
    expect 1 "the trash has no entry '77'"
}
@test "undo refuses a name that is taken, and takes another; a command is one entry; --rm leaves none" { each_user taken_names; }

@test "the trash keeps its bounds: time, size, off; system prune empties it" {
    export HUSK_CONF=$T/husk.conf
    printf '[trash]\nkeep = 0\n' >"$HUSK_CONF"
    husk create --name cc --network none busybox true
    husk rm cc
    [[ ! $(husk trash ls -q) ]]
    printf '[trash]\nkeep = 7d\nsize = 1m\n' >"$HUSK_CONF"
    husk volume create small
    husk volume create big
    head -c 2000000 /dev/urandom >"$HUSK_ROOT/volumes/big/_data/f"
    husk volume rm small
    [[ $(husk trash ls --format '{{.Command}} {{.Names}}') == "volume rm small" ]]
    husk volume rm big # more than may be there: the older goes, and itself
    [[ ! $(husk trash ls -q) && ! $(ls -A "$HUSK_ROOT/trash") ]]
    husk create --name cc --network none busybox true
    husk rm cc
    husk create --name dd --network none busybox true
    run husk system prune --dry-run
    [[ $(husk trash ls --format '{{.Names}}') == cc ]]
    husk system prune -f
    [[ $(husk trash ls --format '{{.Command}} {{.Names}}') == "system prune dd" ]]
    printf '[trash]\nkeep = forever\n' >"$HUSK_CONF"
    run husk create --name ee --network none busybox true
    run husk rm ee
    expect 1 "keep: 'forever' is not a duration"
}

# Each step of a removal, of a purge and of an undo; then everything is either there or to be had back, once.
@test "faults: rm, volume rm, undo and trash empty are killed at each step and lose nothing" {
    [[ $HUSK_FAULT_BUILD ]] || fail "a build with -Dfault_injection is needed: HUSK_FAULT_BUILD"
    local f=$HUSK_FAULT_BUILD/bin/husk point
    husk create --name cc --network none busybox true
    run env HUSK_FAULT=kill@trash-row "$f" rm cc
    ((status == 137))
    [[ ! $(husk ps -aq) ]]
    husk undo
    [[ $(husk ps -a --format '{{.Names}}') == cc ]]
    run env HUSK_FAULT=kill@trash-row "$f" rm cc
    sleep 5.2 # what is younger may be being made
    run husk system check
    expect 1 "a folder without a row"
    husk system check --repair
    [[ $(husk system check) == "no problems" && ! $(ls -A "$HUSK_ROOT/containers") ]]
    run env HUSK_FAULT=kill@undo-folder "$f" undo
    ((status == 137))
    [[ ! $(husk ps -aq) && $(husk trash ls -q) ]]
    husk undo
    husk start -a cc
    husk volume create vv
    echo old >"$HUSK_ROOT/volumes/vv/_data/f"
    run env HUSK_FAULT=kill@trash-volume-row "$f" volume rm vv
    ((status == 137))
    husk volume create vv
    [[ ! $(ls -A "$HUSK_ROOT/volumes/vv/_data") ]] # not the old one's
    husk volume rm --no-trash vv
    run env HUSK_FAULT=kill@undo-volume "$f" undo
    ((status == 137))
    husk undo
    [[ $(cat "$HUSK_ROOT/volumes/vv/_data/f") == old ]]
    husk volume rm vv
    run env HUSK_FAULT=kill@trash-forgotten "$f" trash empty
    ((status == 137))
    sleep 5.2
    husk system check --repair
    [[ $(husk system check) == "no problems" && ! $(ls -A "$HUSK_ROOT/trash") ]]
    husk rm --no-trash cc
}
