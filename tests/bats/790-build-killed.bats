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
            [[ ! $(compgen -G "$T/tmp/out.husk-part-*") ]] || parts=$((parts + 1))
            rm -rf "$T/tmp/out"
            husk build -q -o "type=$kind,dest=$T/tmp/out" "$T/c" >/dev/null
            [[ ! $(compgen -G "$T/tmp/out.husk-part-*") ]] # the next one to the same name removes it
            rm -rf "$T/tmp/out"
        done
    done
    ((killed > 4 && whole > 1 && parts > 0)) || { echo "killed $killed, whole $whole, parts $parts"; return 1; }
    run husk system check
    expect 0 'no problems'
}

@test "build --output: a part that is held, whose process lives, or that has another name is left alone" {
    local other=$T/tmp/keep gone held
    gone=$(sh -c 'echo $$') held=$(sh -c 'echo $$')
    mkdir "$other.husk-part-$gone" "$other.husk-part-$held" "$other.husk-part-$$" "$other.husk-part-1x" "$other.part-$gone" \
        "${other}2.husk-part-$gone"
    exec 8<"$other.husk-part-$held"
    flock 8
    husk build -q -o "$other" "$T/c" 8<&- >/dev/null
    exec 8<&-
    [[ ! -e $other.husk-part-$gone && -x $other/a ]]
    [[ -e $other.husk-part-$held && -e $other.husk-part-$$ && -e $other.husk-part-1x && -e $other.part-$gone ]]
    [[ -e ${other}2.husk-part-$gone ]]
}

@test "build --output: killed while an empty directory is filled, the next build fills it" {
    local n killed=0 parts=0 half=0 inode want
    husk build -q -o "$T/tmp/all" "$T/c" >/dev/null
    want=$(cd "$T/tmp/all" && find . | sort)
    mkdir -m 700 "$T/tmp/there"
    inode=$(stat -c '%i %a %u' "$T/tmp/there")
    for n in 1 4 8 16 24 32 48; do
        strace -qq -o /dev/null -e trace=fchownat,fchown,write,utimensat,mkdirat -e "inject=fchownat,fchown,write,utimensat,mkdirat:signal=KILL:when=$n" \
            "$HUSK" build -q -o "$T/tmp/there" "$T/c" </dev/null >/dev/null 2>&1 3>&- || killed=$((killed + 1))
        [[ ! $(compgen -G "$T/tmp/there/.husk-part-*") ]] || parts=$((parts + 1))
        [[ $(cd "$T/tmp/there" && find . -mindepth 1 -maxdepth 1 ! -name '.husk-part-*' | wc -l) =~ ^(0|2)$ ]]
        [[ $(cd "$T/tmp/there" && find . | sort) == "$want" ]] || husk build -q -o "$T/tmp/there" "$T/c" >/dev/null
        [[ $(cd "$T/tmp/there" && find . | sort) == "$want" ]]
        find "$T/tmp/there" -mindepth 1 -delete
    done
    ((killed > 3 && parts > 0)) || { echo "killed $killed, parts $parts"; return 1; }
    # between two of the renames
    ! strace -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=KILL:when=2 -P "$T/tmp/there" \
        "$HUSK" build -q -o "$T/tmp/there" "$T/c" </dev/null >/dev/null 2>&1 3>&-
    husk build -q -o "$T/tmp/there" "$T/c" >/dev/null
    [[ $(cd "$T/tmp/there" && find . | sort) == "$want" ]]
    [[ $(stat -c '%i %a %u' "$T/tmp/there") == "$inode" ]]
}

@test "system check --repair: names that a killed build gave for a copy are found and removed, those of a build at work and a user's are not" {
    local held
    husk build -q -t mine:1 "$T/c" >/dev/null
    husk tag mine:1 localhost/husk-build-cache:mine
    # the program that copies is the one that ends it, so the name stays
    mkdir "$T/tmp/libexec"
    ln -s "$HUSK_BUILD"/libexec/husk/* "$T/tmp/libexec"
    rm "$T/tmp/libexec/husk-image"
    printf '#!/bin/sh\ncase $* in *husk-build-*) touch %s; kill -KILL $PPID; esac\nexec %s "$@"\n' \
        "$T/tmp/went" "$HUSK_BUILD/libexec/husk/husk-image" >"$T/tmp/libexec/husk-image"
    chmod 755 "$T/tmp/libexec/husk-image"
    HUSK_LIBEXEC=$T/tmp/libexec run husk build -q --cache-to "type=local,dest=$T/tmp/cache,mode=max" "$T/c"
    [[ $status != 0 && -e $T/tmp/went ]]
    [[ $(husk images --format '{{.Repository}}:{{.Tag}}') =~ husk-build-cache:[0-9a-f]{12} ]]
    # a build at work has a directory in staging, and holds it
    mkdir -p "$HUSK_ROOT/tmp/build-held"
    exec 8<"$HUSK_ROOT/tmp/build-held"
    flock 8
    run husk system check 8<&-
    [[ $output != *"husk-build-cache"* ]]
    exec 8<&-
    rmdir "$HUSK_ROOT/tmp/build-held"
    run husk system check
    expect 1 "husk-build-cache:" "a name of a build that was killed"
    run husk system check --repair
    [[ $output == *"a name of a build that was killed"* ]]
    husk system check
    held=$(husk images --format '{{.Repository}}:{{.Tag}}')
    [[ ! $held =~ husk-build-cache:[0-9a-f]{12} && $held == *husk-build-cache:mine* ]]
    husk rmi localhost/husk-build-cache:mine
}

@test "build --output: into a directory that is there and empty, and into one with a slash behind its name" {
    mkdir -m 700 "$T/tmp/mine"
    husk build -q -o "$T/tmp/mine" "$T/c" >/dev/null
    [[ -x $T/tmp/mine/a && $(stat -c %a "$T/tmp/mine") == 700 && $(find "$T/tmp/mine" -maxdepth 1 | wc -l) == 3 ]]
    husk build -q -o "$T/tmp/mine" "$T/c" >/dev/null
    [[ $(stat -c %a "$T/tmp/mine") == 700 && $(find "$T/tmp/mine" -maxdepth 1 | wc -l) == 3 ]]
    husk build -q -o "type=local,dest=$T/tmp/slash/" "$T/c" >/dev/null
    [[ $(stat -c %a "$T/tmp/slash") == 755 && -x $T/tmp/slash/a ]]
    run husk build -q -o "$T/tmp/no/such" "$T/c"
    expect 1 "No such file"
}
