#!/usr/bin/env bats
# volume export, import and prune with filters; inspect with sizes; unshare: as root and as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

@test "volume export and import: owners, links and all, and nothing outside" {
    local h
    for h in $WHO; do
        $h run --rm -v from:/v busybox sh -c 'mkdir /v/d; echo x >/v/d/f; chown 5:6 /v/d/f; chmod 600 /v/d/f; ln -s d/f /v/l'
        $h volume export from >"$T/tmp/vol.$h"
        tar -tf "$T/tmp/vol.$h" | grep -qE '^(\./)?d/f$'
        $h volume create to
        $h volume import to "$T/tmp/vol.$h"
        [[ $($h run --rm -v to:/v busybox sh -c 'stat -c "%u:%g %a" /v/d/f; readlink /v/l') == $'5:6 600\nd/f' ]]
        $h volume import to - <"$T/tmp/vol.$h"
        (cd "$T/tmp" && rm -rf x y && mkdir x y y/l && ln -s "$T/tmp" x/l && echo bad >y/l/escaped &&
            tar -C x -cf evil.tar l && tar -C y -rf evil.tar l/escaped)
        run $h volume import to "$T/tmp/evil.tar"
        [[ ! -e $T/tmp/escaped ]]
        check_table $h <<'TABLE'
volume export nothere          | 1 | no such volume: 'nothere'
volume import nothere /dev/null | 1 | no such volume: 'nothere'
volume import to /nodir/x      | 1 | open '/nodir/x'
volume export -o /nodir/x to   | 1 | --output: open '/nodir'
TABLE
        $h volume export from >"$T/tmp/kept.$h"
        run $h volume export -o "$T/tmp/kept.$h" nothere
        expect 1 "no such volume"
        cmp "$T/tmp/kept.$h" "$T/tmp/vol.$h" # what was there is not half an archive now
        run $h volume import to - <<<"rubbish that is no archive at all"
        expect 1 "tar:"
        $h volume rm from to
    done
}

@test "volume prune: only what it was told to, and says it first" {
    local h
    for h in $WHO; do
        $h volume create --label keep=yes kept
        $h volume create --label keep=no gone
        $h volume create used
        $h create --name box -v used:/u -v /anonymous busybox true
        run $h volume prune --dry-run --all --filter 'label!=keep=yes'
        expect 0 "gone"
        [[ $output != *kept* && $output != *used* ]]
        [[ $($h volume ls -q | wc -l) == 4 ]]
        [[ $($h volume prune | head -n 1) == "Total reclaimed space: 0B" ]]
        [[ $($h volume ls -q --filter anonymous=true | wc -l) == 1 ]]
        [[ $($h volume ls -q --filter dangling=true | sort | paste -sd,) == gone,kept ]]
        [[ $($h volume prune -a --filter label=keep=no | head -n 1) == gone ]]
        [[ $($h volume ls -q --filter until=2000-01-01) == '' ]]
        run $h volume prune --filter colour=red -a
        expect 1 "unknown key 'colour': it is one of name"
        $h rm -v box
        $h volume rm used kept
        [[ ! $($h volume ls -q) ]]
    done
}

@test "inspect: sizes, the latest, several objects" {
    local h
    for h in $WHO; do
        $h run --name big busybox sh -c 'head -c 300000 /dev/urandom >/file'
        $h create --name small busybox true
        [[ $($h inspect -s -f '{{if gt .SizeRw 299999}}{{if gt .SizeRootFs .SizeRw}}yes{{end}}{{end}}' big) == yes ]]
        [[ $($h inspect -l -f '{{.Name}}') == /small ]]
        [[ $($h inspect -f '{{.Name}}' -t container big small | paste -sd,) == /big,/small ]]
        [[ $($h inspect big busybox | jq length) == 2 ]]
        run $h inspect
        expect 1 "which container? Name one, or say --latest"
        $h rm big small
    done
}

@test "unshare: an ordinary user's own files of other ids" {
    run as_user husk unshare sh -c 'id -u; touch "$HOME/mine"; chown 5:5 "$HOME/mine" && stat -c %u "$HOME/mine"'
    expect 0 $'=0\n5'
    [[ $(stat -c %u "$USER_HOME/mine") -gt 60000 ]]
    as_user husk unshare rm "$USER_HOME/mine"
    run as_user husk unshare sh -c 'exit 7'
    expect 7
    run as_user husk unshare /no/such
    expect 127 "run '/no/such'"
    if ((EUID == 0)); then
        run husk unshare true
        expect 125 "you are root already"
    fi
}

@test "exec, logs, attach: the latest container, and the one whose ID is in a file" {
    local h
    for h in $WHO; do
        $h create --name older busybox true
        rm -f "$T/tmp/cid.$h"
        $h run -d --name newer --cidfile "$T/tmp/cid.$h" busybox sh -c 'echo said; sleep 1000'
        [[ $($h exec -l echo hi) == hi ]]
        [[ $($h exec --cidfile "$T/tmp/cid.$h" sh -c 'echo hi; exit 0') == hi ]]
        wait_until 30 eval "$h logs --latest | grep -q said"
        run $h exec newer
        expect 1 "which command is to run in it?"
        run $h exec -l sh -c 'exit 9'
        expect 9
        $h stop -t 0 newer
        run $h attach -l
        expect 1 "container 'newer' is not running"
        run $h logs
        expect 1 "which container? Name one, or say --latest"
        $h rm older newer
    done
}
