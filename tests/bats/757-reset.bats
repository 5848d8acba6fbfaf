#!/usr/bin/env bats
# system reset: a store with nothing in it, as root and as an ordinary user.
# shellcheck disable=SC2154 # bats sets these

load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

filled() {
    $h run -d --name runs --network none -v named:/data busybox sleep 1236
    $h create --name mounted --network none busybox true
    [[ $h != root_husk ]] || { $h mount mounted && $h image mount busybox; }
    $h pod create --name pea --share ipc,uts
    $h pod start pea
    $h network create lan
    echo secret | $h secret create word -
    $h create --name gone --network none busybox true
    $h rm gone
}
reset() {
    local root=$HUSK_ROOT
    [[ $h == root_husk ]] || root=$USER_HOME/root
    filled
    touch "$root/somebodys"
    run $h system reset </dev/null
    expect 125 'say --force'
    [[ $($h ps -q --filter name=runs) ]] # nothing has happened
    $h system reset --force
    [[ $(ls "$root") == somebodys ]]
    [[ ! $($h ps -aq)$($h pod ps -q)$($h volume ls -q)$($h network ls -q)$($h secret ls -q)$($h images -q)$($h trash ls -q) ]]
    $h system reset --force # of an empty one
    [[ $($h system check) == 'no problems' ]]
    if [[ $h == root_husk ]]; then load_busybox; else as_user load_busybox; fi
    [[ $($h run --rm --network none busybox echo back) == back ]]
}
@test "system reset removes all that husk keeps, and nothing else, and the store can be filled again" { each_user reset; }

@test "system reset asks on a terminal, and goes on at a word" {
    husk volume create kept
    printf 'see [y/N]\ntype n\\r\nend\n' >"$T/tmp/no"
    run "$HUSK_TOP/tests/bats/terminal.py" "$T/tmp/no" "$HUSK" system reset
    [[ $output == *'nothing was removed'* && $(husk volume ls -q) == kept ]]
    printf 'see [y/N]\ntype y\\r\nend\n' >"$T/tmp/yes"
    run "$HUSK_TOP/tests/bats/terminal.py" "$T/tmp/yes" "$HUSK" system reset
    [[ ! $(husk volume ls -q) ]]
}
