#!/usr/bin/env bats
# husk debug: tools beside a container that has none, running, paused, stopped or crashed; and no trace of it after.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    # A container without a shell: one static program.
    mkdir -p "$T/bare/etc"
    printf '#include <unistd.h>\nint main(int c, char **v) { if (c > 1) return 5; for (;;) pause(); }\n' >"$T/bare.c"
    gcc -static -o "$T/bare/program" "$T/bare.c"
    echo evidence >"$T/bare/etc/file"
    tar -C "$T/bare" --owner=0 --group=0 -cf "$T/bare.tar" .
    chmod 644 "$T/bare.tar"
    husk import "$T/bare.tar" bare
    as_user husk import "$T/bare.tar" bare
}

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

@test "debug: of a running container its processes, network, name and files, with tools it has not" {
    local h
    for h in $WHO; do
        $h run -d --name box --hostname boxname bare /program
        run $h exec box sh
        expect 127
        run $h debug box sh -c 'hostname; cat /container/etc/file; cat /proc/1/comm; ls /container; { readlink /proc/1/ns/net; readlink /proc/self/ns/net; } | sort -u | wc -l'
        expect 0 $'boxname\nevidence\nprogram\n'
        expect 0 $'etc\n'
        [[ ${lines[-1]} == 1 ]]
        # it may signal them, and its status is ours
        run $h debug box sh -c 'kill -0 1 && exit 9'
        expect 9
        $h debug -e A=b box sh -c 'echo $A' | grep -qx b
        # no trace: files, processes, containers
        run $h diff box
        expect 0 "!C"
        [[ $($h ps -aq | wc -l) == 1 ]]
        [[ $($h inspect -f '{{.State.Status}}' box) == running ]]
        $h rm -f box
    done
}

@test "debug: of one that crashed or never ran the files, which stay as they are" {
    local h
    for h in $WHO; do
        run $h run --name crashed bare /program crash
        expect 5
        $h create --name new bare /program
        run $h debug crashed sh -c 'cat /container/etc/file; echo more >/container/etc/file; rm /container/program; ls /container'
        expect 0 $'evidence'
        [[ $($h debug crashed cat /container/etc/file) == evidence ]]
        [[ $($h debug new ls /container/program) == /container/program ]]
        [[ ! $($h diff crashed) ]]
        # what it had written itself is seen
        $h run --name wrote busybox sh -c 'echo left >/left; rm /etc/group'
        [[ $($h debug wrote sh -c 'cat /container/left; ls /container/etc/group || echo gone' 2>/dev/null) == $'left\ngone' ]]
        check_table $h <<'TABLE'
debug nobody true                       | 125 | no such container: 'nobody'
debug --pull never --image none crashed | 125 | none
debug crashed nosuchtool                | 127 | nosuchtool
TABLE
        [[ $($h ps -aq | wc -l) == 3 ]]
        $h rm crashed new wrote
    done
}

@test "debug: of a container of root's with a user namespace" {
    ((EUID == 0)) || return 0
    husk run -d --name box --uidmap 0:200000:1000 bare /program
    run husk debug box sh -c 'cat /container/etc/file; stat -c %u /container/etc/file; cat /proc/self/uid_map'
    expect 0 "~evidence.0. +0 +200000 +1000"
}

@test "uts container:NAME shares a name" {
    local h
    for h in $WHO; do
        $h run -d --name box --hostname shared busybox sleep 1000
        [[ $($h run --rm --uts container:box busybox hostname) == shared ]]
        $h rm -f box
    done
}
