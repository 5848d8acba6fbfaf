#!/usr/bin/env bats
# build: what a killed build leaves of the files that --output asks for.
# shellcheck disable=SC2154 # bats sets them

load helpers

setup_file() {
    husk_setup_file
    load_busybox
    mkdir -m 755 "$T/c"
    printf 'FROM busybox AS b\nFROM scratch\nCOPY --from=b /etc /etc\nCOPY --from=b /bin/busybox /a\n' >"$T/c/Dockerfile"
}

@test "build --output: killed while files are delivered, no directory and no archive that is not whole has the name" {
    local kind n killed=0 whole=0 parts=0 want
    husk build -q -o "$T/tmp/want" "$T/c" >/dev/null
    husk build -q -o "type=tar,dest=$T/tmp/want.tar" "$T/c" >/dev/null
    want=$(cd "$T/tmp/want" && find . | sort)
    for kind in local tar; do
        for n in 1 6 12 16 18 20 22 24 26 28 30 34 64; do
            # all is cached: most of what is changed now is for the delivery
            if strace -qq -o /dev/null -e trace=fchownat,fchown,write,rename,utimensat,mkdirat,mkdir \
                -e "inject=fchownat,fchown,write,rename,utimensat,mkdirat,mkdir:signal=KILL:when=$n" \
                "$HUSK" build -q -o "type=$kind,dest=$T/tmp/out" "$T/c" </dev/null >/dev/null 2>&1 3>&-; then
                whole=$((whole + 1))
            else
                killed=$((killed + 1))
            fi
            if [[ $kind == local && -e $T/tmp/out ]]; then
                [[ $(cd "$T/tmp/out" && find . | sort) == "$want" ]]
            elif [[ -e $T/tmp/out ]]; then
                cmp "$T/tmp/want.tar" "$T/tmp/out"
            fi
            [[ ! $(compgen -G "$T/tmp/out.part-*") ]] || parts=$((parts + 1))
            rm -rf "$T/tmp/out" "$T"/tmp/out.part-*
            husk build -q -o "type=$kind,dest=$T/tmp/out" "$T/c" >/dev/null
            rm -rf "$T/tmp/out"
        done
    done
    ((killed > 4 && whole > 1 && parts > 0)) || { echo "killed $killed, whole $whole, parts $parts"; return 1; }
    run husk system check
    expect 0 'no problems'
}

@test "build --output: into a directory that is there and empty, and into one with a slash behind its name" {
    mkdir -m 700 "$T/tmp/mine"
    husk build -q -o "$T/tmp/mine" "$T/c" >/dev/null
    [[ -x $T/tmp/mine/a ]]
    husk build -q -o "type=local,dest=$T/tmp/slash/" "$T/c" >/dev/null
    [[ $(stat -c %a "$T/tmp/slash") == 755 && -x $T/tmp/slash/a ]]
    run husk build -q -o "$T/tmp/no/such" "$T/c"
    expect 1 "No such file"
}
