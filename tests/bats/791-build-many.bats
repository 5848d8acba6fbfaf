#!/usr/bin/env bats
# build: contexts of many files: they are hashed and copied side by side, and nothing of that shows.
# shellcheck disable=SC2154 # bats sets them

load helpers

setup_file() {
    local i j
    husk_setup_file
    mkdir -m 755 "$T/c"
    # more directories than one batch holds, and one that has more files than one
    for ((i = 0; i < 150; i++)); do
        mkdir -p "$T/c/t/d$i/sub"
        for ((j = 0; j < 8; j++)); do echo "$i $j" >"$T/c/t/d$i/$j"; done
        echo "$i" >"$T/c/t/d$i/sub/f"
        ln -s ../d0 "$T/c/t/d$i/link"
    done
    mkdir "$T/c/t/flat" "$T/c/over"
    (cd "$T/c/t/flat" && seq -f 'f%05.0f' 2900 | xargs touch)
    ln "$T/c/t/d7/0" "$T/c/t/d9/hard"
    ln "$T/c/t/d7/0" "$T/c/t/flat/hard"
    head -c 3000000 /dev/urandom >"$T/c/t/d3/big"
    echo other >"$T/c/over/0"
    # one time per file, none of them now: later ones than the newest second would be cut to it
    find "$T/c" -exec touch -h -d @1600000000 {} +
    touch -d @1500000000 "$T/c/t/d3/big" "$T/c/t/d3/1"
    touch -d @1400000000 "$T/c/t/d5" "$T/c/t/d149/sub" "$T/c/t"
    printf 'FROM scratch\nCOPY t /t\n' >"$T/c/Dockerfile"
}

list() { (cd "$1" && find . -printf '%P %y %m %l %T@\n' | sort && find . -type f -links +1 -printf '%P %n %s\n' | sort); }

@test "build: a COPY of many files is what is in the context: contents, links, names and times" {
    husk build -q -o "$T/tmp/out" "$T/c" >/dev/null
    diff -r --no-dereference "$T/c/t" "$T/tmp/out/t"
    list "$T/c/t" >"$T/tmp/want"
    list "$T/tmp/out/t" | cmp - "$T/tmp/want"
}

@test "build: on one core and on all of them the same layer comes out" {
    local all one
    all=$(husk build -q --no-cache "$T/c")
    one=$(HUSK_ROOT=$T/tmp/one taskset -c "$(taskset -cp $$ | sed 's/.*[: ,-]//')" "$HUSK" build -q "$T/c")
    [[ $all == "$one" ]]
    rm -rf "$T/tmp/one"
}

# Where the build has a secret the layer is looked through before it is packed, so its tar is made of the finished tree.
same_as_with_secret() { # DOCKERFILE
    local one two
    echo 0123456789 >"$T/tmp/secret"
    one=$(husk build -q --no-cache -f - "$T/c" <<<"$1")
    two=$(husk build -q --no-cache --secret "id=s,src=$T/tmp/secret" -f - "$T/c" <<<"$1")
    [[ $one == "$two" ]]
}

@test "build: a tar that is made while files are copied is that of the finished tree" {
    mkdir -p "$T/c/odd/a/b" "$T/c/odd/empty" "$T/c/wh" "$T/c/base/etc"
    echo x | tee "$T/c/odd/a/.hidden" >"$T/c/odd/a/set"
    chmod 4751 "$T/c/odd/a/set"
    chmod 2775 "$T/c/odd/a/b"
    ln "$T/c/odd/a/set" "$T/c/odd/a/b/again"
    ln -s nowhere "$T/c/odd/a/link"
    : >"$T/c/odd/a/b/nothing"
    truncate -s 300000 "$T/c/odd/hole"
    setfattr -n user.colour -v red "$T/c/odd/a/.hidden"
    head -c 70000 /dev/urandom >"$T/c/odd/large"
    mkdir -p "$T/c/odd/$(printf 'l%.0s' {1..120})"
    echo deep >"$T/c/odd/$(printf 'l%.0s' {1..120})/f"
    touch -d '2020-01-01 10:00:00.123456789' "$T/c/odd/a/.hidden" "$T/c/odd/a"
    mkfifo "$T/c/wh/pipe"
    echo x | tee "$T/c/wh/.wh.gone" >"$T/c/wh/z"
    ln -s /etc "$T/c/base/conf"
    same_as_with_secret $'FROM scratch\nCOPY t /t'
    same_as_with_secret $'FROM scratch\nCOPY odd /'
    same_as_with_secret $'FROM scratch\nCOPY --chown=7:8 --chmod=u=rwX,go=rX odd /x/y/z'
    same_as_with_secret $'FROM scratch\nCOPY odd /a\nCOPY odd/a /a/a'
    same_as_with_secret $'FROM scratch\nCOPY base /\nCOPY odd /conf/odd/'
    same_as_with_secret $'FROM scratch\nCOPY --exclude=a/b odd /.wh.x/'
    same_as_with_secret $'FROM scratch\nCOPY wh /w/'
}

@test "build: what the store lies in, parts of seconds and days to come are not in a layer" {
    local id file=$'FROM scratch\nWORKDIR /w\nCOPY odd /x/odd/\nCOPY --chown=7 odd/a/set /y/\nADD odd/a /z/'
    id=$(husk build -q --no-cache -f - "$T/c" <<<"$file")
    mkdir -m 2775 "$T/tmp/group"
    chgrp 50 "$T/tmp/group"
    setfacl -d -m u:7:rwx "$T/tmp/group" || setfattr -n system.posix_acl_default \
        -v 0x0200000001000700ffffffff020007000700000004000500ffffffff10000700ffffffff20000500ffffffff "$T/tmp/group"
    [[ $(umask 077 && HUSK_ROOT=$T/tmp/group/root husk build -q -f - "$T/c" <<<"$file") == "$id" ]]
    touch -d '2020-01-01 10:00:00' "$T/c/odd/a/.hidden" "$T/c/odd/a"
    [[ $(husk build -q --no-cache -f - "$T/c" <<<"$file") == "$id" ]]
    # all that a build makes is from then
    id=$(SOURCE_DATE_EPOCH=4000000000 husk build -q --no-cache -f - "$T/c" <<<"$file"$'\nCOPY <<E /e\nx\nE')
    sleep 1.1
    [[ $(SOURCE_DATE_EPOCH=4000000000 husk build -q --no-cache -f - "$T/c" <<<"$file"$'\nCOPY <<E /e\nx\nE') == "$id" ]]
    rm -rf "$T/tmp/group"
}

@test "build: a directory that gives its group away does not give it to what is copied into it" {
    mkdir -p "$T/c/staff/in"
    echo x | tee "$T/c/staff/f" >"$T/c/staff/in/g"
    chgrp 50 "$T/c/staff"
    chmod 2775 "$T/c/staff"
    printf 'FROM scratch AS a\nCOPY --chown=0:50 staff /staff\nFROM scratch AS b\nCOPY staff/f /f\nFROM scratch\nCOPY --from=a /staff /s\nCOPY --from=b /f /s/f\nCOPY staff/in /s/in\n' >"$T/c/inherit"
    husk build -q -f "$T/c/inherit" -o "$T/tmp/staff" "$T/c" >/dev/null
    [[ $(stat -c '%g %a' "$T/tmp/staff/s" "$T/tmp/staff/s/f" "$T/tmp/staff/s/in/g" "$T/tmp/staff/s/in" | xargs) == "50 2775 0 644 0 644 50 755" ]]
}

@test "build: of two sources with the same names the later one is there" {
    printf 'FROM scratch\nCOPY t/d1 t/d2 over /x/\n' >"$T/c/two"
    husk build -q -f "$T/c/two" -o "$T/tmp/two" "$T/c" >/dev/null
    [[ $(<"$T/tmp/two/x/0") == other && $(<"$T/tmp/two/x/1") == "2 1" && $(<"$T/tmp/two/x/sub/f") == 2 ]]
}

@test "build: a file among many that cannot be read is named, and what changed is seen" {
    local first
    chmod 755 "$T/c/t/d77"
    first=$(husk build -q "$T/c")
    echo changed >"$T/c/t/d77/5"
    run husk build --progress plain --explain-cache "$T/c"
    expect 0 "t/d77/5"
    [[ $(husk build -q "$T/c") != "$first" ]]
    chown -R "$HUSK_USER" "$T/c"
    chown 0 "$T/c/t/d77/5"
    chmod 600 "$T/c/t/d77/5"
    run as_user husk build -q "$T/c"
    expect 1 "Dockerfile:2" "t/d77/5" "Permission denied"
    run husk system check
    expect 0 'no problems'
}

@test "build: a context that has the store in it is copied without the store, and cached" {
    mkdir "$T/c/around"
    echo here >"$T/c/around/f"
    printf 'FROM scratch\nCOPY . /all/\n' >"$T/c/around/Dockerfile"
    HUSK_ROOT=$T/c/around/below/store husk build -q -o "$T/tmp/around" "$T/c/around" >/dev/null
    [[ $(cd "$T/tmp/around" && find . | sort | xargs) == ". ./all ./all/Dockerfile ./all/below ./all/f" ]]
    HUSK_ROOT=$T/c/around/below/store run husk build --progress plain "$T/c/around"
    expect 0 CACHED
    rm -rf "$T/c/around" "$T/tmp/around"
}
