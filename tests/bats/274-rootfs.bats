#!/usr/bin/env bats
# husk rootfs from-host: programs of this machine with all they need, found by reading; husk bootstrap's options.
# shellcheck disable=SC2030,SC2031,SC2154 # helpers and bats set the variables

load helpers

@test "a program comes with its loader and libraries, and runs from a directory and from an image" {
    "$HUSK" rootfs from-host -o "$T/tmp/r" /bin/bash /usr/bin/id
    [[ -x $T/tmp/r/bin/bash && -e $T/tmp/r/etc/nsswitch.conf ]]
    ((EUID != 0)) || [[ $(chroot "$T/tmp/r" /bin/bash -c 'id -un; exit 0') == root ]]
    run "$HUSK" rootfs from-host --tag mine /bin/bash /usr/bin/id
    expect 0 "=mine:latest"
    run "$HUSK" run --rm mine bash -c 'id -u; id -un; type -p id'
    expect 0 "=0
root
/usr/bin/id"
    [[ $("$HUSK" image inspect mine --format '{{json .Config.Cmd}}') == '["/bin/bash"]' ]]
    rm -rf "$T/tmp/r"
}

@test "an ordinary user makes a directory of his own files, and is root in what he runs from it" {
    as_user mkdir "$T/tmp/own"
    as_user husk rootfs from-host -o "$T/tmp/own/r" /bin/bash /usr/bin/id
    [[ $(stat -c %U "$T/tmp/own/r/bin/bash" "$T/tmp/own/r/etc" | sort -u) == "${HUSK_USER:-$(id -un)}" ]]
    run as_user husk run --rm --network none --read-only --rootfs "$T/tmp/own/r" /bin/bash -c 'id -u'
    expect 0 "=0"
    as_user rm -rf "$T/tmp/own"
}

@test "libraries are those that the loader itself lists" {
    local program
    for program in /bin/bash /usr/bin/curl /usr/bin/python3; do
        [[ -x $program ]] || continue
        "$HUSK" rootfs from-host --list "$program" | xargs -n 1 basename | sort -u >"$T/tmp/got"
        /lib64/ld-linux-x86-64.so.2 --list "$program" | sed -nE 's/.*=> ([^ ]+) .*/\1/p' | xargs -n 1 basename | sort -u >"$T/tmp/want"
        [[ -s $T/tmp/want ]]
        [[ ! $(comm -13 "$T/tmp/got" "$T/tmp/want") ]] || { echo "$program:"; comm -13 "$T/tmp/got" "$T/tmp/want"; return 1; }
    done
}

@test "what programs look for when they run comes too: terminfo, certificates, interpreters" {
    run "$HUSK" rootfs from-host --list /bin/bash
    expect 0 "terminfo"
    run "$HUSK" rootfs from-host --list /usr/bin/id
    [[ $output != *terminfo* && $output != *certs* ]]
    output_has /etc/nsswitch.conf
    printf '#!/usr/bin/env bash\necho from a script\n' >"$T/tmp/script"
    chmod 755 "$T/tmp/script"
    run "$HUSK" rootfs from-host --list "$T/tmp/script"
    expect 0 /bin/bash
    output_has /usr/bin/env
    output_has "$T/tmp/script"
}

@test "an ordinary user makes one too; errors say what is missing" {
    run as_user husk rootfs from-host --tag mine /bin/bash
    expect 0 "=mine:latest"
    run as_user husk run --rm mine bash -c 'echo it runs'
    expect 0 "=it runs"
    mkdir -p "$T/tmp/full/x"
    printf 'int main(void){return 0;}' >"$T/tmp/p.c"
    printf 'int f(void){return 0;}' >"$T/tmp/f.c"
    cc -shared -o "$T/tmp/libf-of-test.so" "$T/tmp/f.c"
    cc -o "$T/tmp/p" "$T/tmp/p.c" -Wl,--no-as-needed -L"$T/tmp" -lf-of-test -Wl,-rpath,'$ORIGIN/lib'
    T=$T check_table <<'ROWS'
rootfs from-host /bin/bash                    | 1 | say where to
rootfs from-host --list bash                  | 1 | give an absolute path
rootfs from-host --list /nope                 | 1 | '/nope': No such file
rootfs from-host -o "$T/tmp/full" /bin/bash   | 1 | is not empty
rootfs from-host -o a --tag b /bin/bash       | 125 | --tag
rootfs from-host --tag UPPER /bin/bash        | 1 | UPPER
rootfs from-host --list "$T/tmp/p"            | 1 | needs the library 'libf-of-test.so', which is in none
ROWS
    mkdir "$T/tmp/lib"
    mv "$T/tmp/libf-of-test.so" "$T/tmp/lib/"
    run "$HUSK" rootfs from-host --list "$T/tmp/p"
    expect 0 "$T/tmp/lib/libf-of-test.so"
}

@test "bootstrap: bad words are refused before anything is fetched" {
    check_table <<'ROWS'
bootstrap --arch pdp11 debian:bookworm        | 1 | 'pdp11' is not one of Debian's architectures
bootstrap --cache relative debian:bookworm    | 1 | give an absolute path
bootstrap --cache "/a b" debian:bookworm      | 1 | give an absolute path
bootstrap --variant huge debian:bookworm      | 125 | is not one of
ROWS
}
