#!/usr/bin/env bats
# husk in a container of husk's, three deep, with no right outside of the first one's user namespace.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the others

load helpers

setup_file() {
    husk_setup_file
    load_busybox
    as_user load_busybox
    mkdir -m 755 "$T/in"
    cp -a "$HUSK_BUILD/bin" "$HUSK_BUILD/libexec" "$T/in/"
    chmod -R a+rX "$T/in"
    cat >"$T/in/level" <<'END'
n=$1
export HUSK_ROOT=/l/r HUSK_RUN=/run/h
mkdir -p /run/h /l/root
cp -a /bin /l/root/
echo "level $n: $(id -u), $(wc -l </proc/self/status | grep -c .)"
[ "$n" != 4 ] || exit 0
/in/bin/husk run --rm --nested --network none -v /in:/in:ro -v /l --rootfs /l/root sh /in/level $((n + 1)) || exit
[ -z "$(/in/bin/husk ps -aq)" ] && echo "nothing left in $n"
END
}

teardown() {
    remove_all_containers
}

want=$'level 1: 0, 1\nlevel 2: 0, 1\nlevel 3: 0, 1\nlevel 4: 0, 1\nnothing left in 3\nnothing left in 2\nnothing left in 1'

@test "an ordinary user's husk runs husk runs husk runs husk" {
    run as_user husk run --rm --nested --network none -v "$T/in:/in:ro" -v /l busybox sh /in/level 1
    expect 0 "=$want"
}

@test "root's does with a map, and is refused without" {
    ((EUID == 0)) || return 0
    run husk run --rm --nested --network none --uidmap 0:200000:65536 -v "$T/in:/in:ro" -v /l busybox sh /in/level 1
    expect 0 "=$want"
    run husk run --rm --nested busybox true
    expect 125 "give --userns auto or --uidmap"
}

@test "a container inside without --nested says which rule forbids it, and nothing stays" {
    run as_user husk run --rm -v "$T/in:/in:ro" -v /l busybox sh -c '
        export HUSK_ROOT=/l/r HUSK_RUN=/run/h; mkdir -p /run/h /l/root; cp -a /bin /l/root/
        /in/bin/husk run --rm --network none --rootfs /l/root true; echo "status $?"; /in/bin/husk ps -aq'
    expect 0 "status 125"
}
