#!/usr/bin/env bats
# The programs themselves: how they are linked, what they say about themselves, and that they work where they are
# installed as they do where they are built.

bats_require_minimum_version 1.5.0
load helpers

@test "programs of the hot path are static, husk-image is not" {
    local program
    for program in "$HUSK" "$HUSK_OCI" "$HUSK_BUILD"/libexec/husk/husk-{init,monitor}; do
        run readelf --dynamic --program-headers "$program"
        expect 0 '!NEEDED'
        expect 0 '!Requesting program interpreter'
    done
    run readelf --dynamic "$HUSK_IMAGE"
    expect 0 libcurl
}

@test "husk-init is small and cannot be written over a running container" {
    [ "$(stat -c %s "$HUSK_BUILD/libexec/husk/husk-init")" -lt 262144 ]
}

@test "every command has help, on standard output, without failing" {
    local name rows=0
    while read -r name; do
        run --separate-stderr "$HUSK" "$name" --help
        expect 0 "Usage: husk $name"
        [ -z "$stderr" ]
        rows=$((rows + 1))
    done < <("$HUSK" --introspect | jq -r '.[].name')
    [ "$rows" -gt 20 ]
}

@test "wrong words are answered with the nearest right one" {
    check_table <<'EOT'
                  | 125 | Usage: husk COMMAND
--help            | 0   | Usage: husk COMMAND
-h                | 0   | Usage: husk COMMAND
""                | 125 | '' is not a command
--version         | 0   | husk version
rn                | 125 | 'rn' is not a command: did you mean 'run'?
xyzzy             | 125 | 'xyzzy' is not a command
../x              | 125 | '../x' is not a command
run --nmae x y    | 125 | unknown option '--nmae': did you mean '--name'?
run               | 125 | needs
image lss         | 125 | 'lss' is not a command: did you mean 'ls'?
ps --format       | 125 | --format needs a value
EOT
}

@test "the list of commands has sections; each command is in one of them, once" {
    local listed
    run "$HUSK" --help
    expect 0 "Containers:"
    [[ $output == *$'\n\nImages:\n  images '* && $output != *Commands:* ]]
    listed=$(sed -n '/^Containers:$/,/^.husk COMMAND/s/^  \([a-z-]*\) .*/\1/p' <<<"$output" | sort)
    [ "$listed" = "$("$HUSK" --introspect | jq -r '.[] | select(.hidden | not).name' | sort)" ]
}

@test "a full standard output is an error, not silence" {
    run bash -c '"$HUSK" images >/dev/full'
    expect 1 "standard output"
}

@test "an unknown word runs husk-WORD from libexec" {
    cp -a "$HUSK_BUILD/bin" "$HUSK_BUILD/libexec" "$T/tmp/"
    printf '#!/bin/sh\necho "other: $*"; exit 7\n' >"$T/tmp/libexec/husk/husk-other"
    chmod +x "$T/tmp/libexec/husk/husk-other"
    run "$T/tmp/bin/husk" other --flag x
    expect 7 "other: --flag x"
}

@test "husk works where it is installed" {
    DESTDIR=$T/tmp/dest meson install -C "$HUSK_MESON" --no-rebuild --quiet
    local top=$T/tmp/dest/usr
    run "$top/bin/husk" load --quiet --input "$IMAGES/busybox.tar"
    expect 0
    run "$top/bin/husk" run --rm --network none busybox echo installed
    expect 0 =installed
    [ -s "$top/share/man/man1/husk-run.1" ]
    [ -s "$top/share/bash-completion/completions/husk" ]
    run bash -c "source '$top/share/bash-completion/completions/husk'; COMP_LINE='husk run --net' COMP_POINT=14; _husk; echo \"\${COMPREPLY[*]}\""
    expect 0 --network
}
