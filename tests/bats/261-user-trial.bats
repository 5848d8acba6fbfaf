#!/usr/bin/env bats
# What an ordinary user meets who has nothing set in his environment, and no control groups: mount inside unshare, a
# shell left on its terminal, his own groups, his time zone.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

on_terminal() { # SCRIPT CMD...
    printf '%s\n' "$1" >"$T/tmp/script"
    python3 "$HUSK_TOP/tests/bats/terminal.py" "$T/tmp/script" "${@:2}"
}

@test "inside unshare husk finds the caller's store, though no HUSK_ROOT names it" {
    local script='m=$(husk mount one) && cat "$m/put" && husk unmount one && husk ps -a --format "{{.Names}}"'
    run as_user env -u HUSK_ROOT -u HUSK_RUN PATH="${HUSK%/*}:$PATH" sh -ec "
        husk load --quiet --input '$IMAGES/busybox.tar' >/dev/null
        husk create --name one --network none busybox true >/dev/null
        echo put >'$T/tmp/put'
        husk cp '$T/tmp/put' one:/put
        husk unshare sh -ec '$script'
        husk rm one >/dev/null"
    expect 0 $'=put\none\none'
}

log_lines() { "$@" exec left wc -l /log | cut -d' ' -f1; }
log_grows_from() { [[ $(log_lines "${@:2}") -gt $1 ]]; }
stays_on_its_terminal() { # HUSK...
    "$@" run -d --name left --network none busybox sleep 1000
    run on_terminal $'see #\ntype (while :; do date; sleep 0.05; done) >>/log & echo be""gun\\r\nsee begun\ntype \\x10\\x11\nend' \
        "$@" exec -it left sh
    expect 0 'status 0'
    expect 0 'terminal as before'
    wait_until 10 log_grows_from $(($(log_lines "$@") + 3)) "$@"
    "$@" exec left ps | grep -q ' root .* sh$'
    run "$@" events --since 0 --until 0s --filter container=left --format '{{.Action}}'
    expect 0 'exec_detach'
    "$@" rm -f left
    wait_until 10 nobody_holds
}
nobody_holds() { ! pgrep -f 'exec -it left sh'; }

@test "a shell of exec -it that is left by the detach keys runs on, with what it started" {
    stays_on_its_terminal "$HUSK"
    stays_on_its_terminal setpriv --reuid "$HUSK_USER" --regid "$HUSK_USER" --init-groups env HOME="$USER_HOME" \
        HUSK_ROOT="$USER_HOME/root" HUSK_RUN="$USER_RUN/husk" "$HUSK"
}

@test "exec -d -t runs on a terminal that nobody sees" {
    husk run -d --name tty --network none busybox sleep 1000
    husk exec -d -t tty sh -c 'tty >/tty; head -c 300000 /dev/zero | tr "\0" x; echo done >/done'
    wait_until 10 husk exec tty test -s /done
    [[ $(husk exec tty cat /tty) == /dev/pts/* ]]
}

@test "--since 0 is the beginning of all time, as docker's and podman's" {
    husk run --name old --network none busybox echo hello
    run husk logs --since 0 old
    expect 0 =hello
    run husk logs --since 0s old
    expect 0 =
    run husk events --since 0 --until 0s --filter container=old --format '{{.Action}}'
    expect 0 '~^create'
}

@test "pause without control groups says one sentence" {
    as_user husk run -d --name p1 --network none --cgroups disabled busybox sleep 1000
    run as_user husk pause p1
    expect 1 "=husk pause: container 'p1' was started without control groups to freeze it by: run it as root, or where systemd delegates some to users"
}

@test "--group-add keep-groups: the caller's own groups stay" {
    local gid=70123
    as_in_group() {
        setpriv --reuid "$HUSK_USER" --regid "$HUSK_USER" --groups "$gid" env -i PATH="$PATH" HOME="$USER_HOME" \
            HUSK_ROOT="$USER_HOME/root" HUSK_RUN="$USER_RUN/husk" "$HUSK" "$@"
    }
    mkdir "$T/shared"
    chgrp "$gid" "$T/shared"
    chmod 2770 "$T/shared"
    cd /
    run as_in_group run --rm --network none -v "$T/shared:/s" busybox touch /s/without
    expect 1 'Permission denied'
    as_in_group run --rm --network none --group-add keep-groups -v "$T/shared:/s" busybox touch /s/with
    [[ $(stat -c '%g' "$T/shared/with") == "$gid" ]]
    as_in_group run -d --name kept --network none --group-add keep-groups -v "$T/shared:/s" busybox sleep 1000
    as_in_group exec kept touch /s/exec
    run as_in_group run --rm --network none --group-add keep-groups --group-add 5 busybox true
    expect 125 'keep-groups and other groups exclude each other'
}

@test "--tz holds in an image that knows no time zones, whatever its TZ says" {
    husk run --rm --network none --tz America/New_York busybox date -d '2026-01-15 12:00' +%Z >"$T/tmp/zone"
    [[ $(<"$T/tmp/zone") == EST ]]
    husk run --rm --network none -e TZ=Nowhere --tz America/New_York busybox date -d '2026-01-15 12:00' +%Z >"$T/tmp/zone"
    [[ $(<"$T/tmp/zone") == EST ]]
}
