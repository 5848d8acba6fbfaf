#!/usr/bin/env bats
# cp: between host and containers that run or not, as docker names what is made, and never out of the root: as root and
# as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"

setup() {
    D=$T/tmp/cp
    rm -rf "$D"
    mkdir -p "$D/tree/sub"
    echo one >"$D/one"
    echo two >"$D/tree/two"
    echo three >"$D/tree/sub/three"
    ln -s two "$D/tree/link"
    ln "$D/tree/two" "$D/tree/hard"
    chmod 640 "$D/one"
    chmod 750 "$D/tree/sub"
    touch -d 2001-02-03T04:05:06Z "$D/one" "$D/tree/sub" "$D/tree"
    chmod 777 "$D"
    [[ $EUID -ne 0 ]] || chown -R "$HUSK_USER:" "$D"
}

teardown() {
    remove_all_containers
    rm -rf "$T/tmp/cp" "$T/tmp/out".* "$T/tmp/secret"
}

fresh() { # HUSK
    out=$T/tmp/out.$1
    rm -rf "$out"
    mkdir -m 777 "$out"
}

@test "cp: docker's rules for names, into and out of containers that run and that do not" {
    local h out
    for h in $WHO; do
        fresh $h
        $h run -d --name box busybox sleep 1000
        $h create --name still busybox ls -lR /etc/tree
        for c in box still; do
            check_table $h <<TABLE
cp $D/one $c:/                   | 0 | =
cp $D/one $c:/etc/renamed        | 0 | =
cp $D/one $c:/nodir/x            | 1 | directory '/nodir/' does not exist
cp $D/one $c:/newdir/            | 1 | directory '/newdir/' does not exist
cp $D/tree $c:/etc               | 0 | =
cp $D/tree $c:/made              | 0 | =
cp $D/tree/. $c:/made            | 0 | =
cp $D/tree $c:/one               | 1 | a directory cannot be copied onto it
cp $D/one $c:/one/               | 1 | '/one/' is no directory
cp $D/nope $c:/                  | 1 | No such file or directory
cp $c:/nope $out                 | 1 | No such file or directory
cp $c:/etc/renamed $out          | 0 | =
cp $c:/etc/renamed $out/again    | 0 | =
cp $c:/etc/tree $out             | 0 | =
cp $c:/etc/tree/. $out/contents  | 0 | =
cp -L $c:/etc/tree/link $out/target | 0 | =
cp $c:/etc/tree/link $out/link   | 0 | =
cp $D/one $D/two                 | 1 | one side has to be a container's
cp $c: $out                      | 1 | the path in the container is missing
cp nothere:/x $out               | 1 | no such container: 'nothere'
TABLE
            [[ $(<"$out/renamed") == one && $(<"$out/again") == one && $(stat -c %a "$out/again") == 640 ]]
            [[ $(stat -c %Y "$out/renamed") == $(stat -c %Y "$D/one") && $(stat -c %Y "$out/tree") == $(stat -c %Y "$D/tree") ]]
            [[ $(<"$out/tree/sub/three") == three && $(stat -c %a "$out/tree/sub") == 750 ]]
            [[ $(readlink "$out/tree/link") == two && $(readlink "$out/link") == two && ! -L $out/target ]]
            [[ $(stat -c %i "$out/tree/hard") == $(stat -c %i "$out/tree/two") ]]
            [[ $(<"$out/contents/two") == two && ! -e $out/contents/tree ]]
            rm -rf "$out"
            mkdir -m 777 "$out"
        done
        [[ $($h exec box stat -c '%u:%g %a' /one /made/two) == $'0:0 640\n0:0 644' ]]
        $h exec box test ! -e /made/tree
        [[ $($h start -a still) == *three* ]]
    done
}

@test "cp: owners with --archive, directories and files that are in each other's way" {
    local h out
    for h in $WHO; do
        fresh $h
        $h run -d --name box busybox sh -c 'mkdir /d /x; echo f >/d/f; chown 7:8 /d/f; echo x >/f; sleep 1000'
        wait_until 30 $h exec box test -e /f
        $h cp box:/d/f "$out/plain"
        [[ $(stat -c %u "$out/plain") == "$([[ $h == husk ]] && echo "$EUID" || id -u "$HUSK_USER")" ]]
        $h cp -a box:/d box:/x
        [[ $($h exec box stat -c %u:%g /x/d/f) == 7:8 ]]
        if [[ $h == user_husk ]]; then
            run $h cp -a box:/d/f "$out/kept"
            expect 1 "only root can; leave out --archive"
            [[ ! -e $out/kept ]]
        else
            $h cp -a box:/d/f "$out/kept"
            [[ $(stat -c %u:%g "$out/kept") == 7:8 ]]
        fi
        mkdir -m 777 "$out/d" "$out/d/f"
        run $h cp box:/d "$out"
        expect 1 "a directory is there already"
        $h cp --overwrite box:/d "$out"
        [[ $(<"$out/d/f") == f ]]
    done
}

@test "cp: a link at the target's end stands for what it leads to, in the container and outside" {
    local h out
    for h in $WHO; do
        fresh $h
        $h run -d --name box busybox sh -c 'mkdir /l; cd /l; echo old >file; ln -s file near; ln -s /l/../l/near far; ln -s ../../../new up; ln -s no/where lost; ln -s loop loop; sleep 1000'
        wait_until 30 $h exec box test -L /l/loop
        $h cp "$D/one" box:/l/far
        [[ $($h exec box sh -c 'cat /l/file; readlink /l/near; readlink /l/far') == $'one\nfile\n/l/../l/near' ]]
        $h cp "$D/one" box:/l/up
        [[ $($h exec box sh -c 'cat /new; readlink /l/up') == $'one\n../../../new' && ! -e /new ]]
        run $h cp "$D/one" box:/l/lost
        expect 1 "directory '/l/no/' does not exist"
        run $h cp "$D/one" box:/l/loop
        expect 1 "loop"
        echo old >"$out/file"
        ln -s file "$out/link"
        [[ $h == husk ]] || chown -h "$HUSK_USER:" "$out/file" "$out/link"
        $h cp box:/l/file "$out/link"
        [[ -L $out/link && $(<"$out/file") == one ]]
    done
}

@test "cp: files of /proc and /sys have the content that reading them gives" {
    local h out
    for h in $WHO; do
        fresh $h
        $h run -d --name box --network none busybox sleep 1000
        $h cp box:/proc/version "$out/version"
        cmp "$out/version" /proc/version
        $h cp box:/sys/kernel/mm/transparent_hugepage/enabled "$out/enabled"
        cmp "$out/enabled" /sys/kernel/mm/transparent_hugepage/enabled
        $h exec box touch /empty
        $h cp box:/empty "$out/empty"
        [[ -f $out/empty && ! -s $out/empty ]]
    done
}

@test "cp: archives on standard input and output" {
    local h out
    for h in $WHO; do
        fresh $h
        $h run -d --name box busybox sleep 1000
        tar -C "$D" -cf - tree one | $h cp - box:/etc
        [[ $($h exec box cat /etc/tree/sub/three /etc/one) == $'three\none' ]]
        $h cp box:/etc/tree - | tar -C "$out" -xf -
        diff -r "$D/tree" "$out/tree"
        [[ $($h cp box:/etc/one - | tar -tf -) == one ]]
        run bash -c "echo rubbish | tr -d '\n' >'$out/bad'"
        run bash -c "'$HUSK' cp - nothere:/ <'$out/bad'"
        [[ $status == 1 ]]
        run $h cp - box:/nodir <"$out/bad"
        expect 1 "tar: byte"
        head -c 700 <(tar -C "$D" -cf - tree) >"$out/cut"
        run $h cp - box:/etc <"$out/cut"
        expect 1 "tar: byte"
        run $h cp - box:/etc/one <"$D/one"
        expect 1
        $h exec box true
    done
}

@test "cp: volumes, binds and tmpfs of running and stopped ones; between containers" {
    local h out
    for h in $WHO; do
        fresh $h
        mkdir -m 777 "$out/bound" "$out/ro"
        $h run -d --name box -v data:/data -v "$out/bound:/bound" -v "$out/ro:/ro:ro" --tmpfs /mem busybox sleep 1000
        $h create --name still -v data:/data -v "$out/bound:/bound" -v "$out/ro:/ro:ro" busybox true
        $h cp "$D/one" box:/data/one
        $h cp "$D/one" box:/bound
        $h cp "$D/one" box:/mem/
        [[ $($h exec box cat /data/one /bound/one /mem/one) == $'one\none\none' ]]
        [[ $(<"$out/bound/one") == one ]]
        run $h cp "$D/one" box:/ro
        expect 1 "Read-only file system"
        $h start -a still >/dev/null
        run $h cp "$D/one" still:/ro
        expect 1 "Read-only file system"
        $h cp "$D/tree" still:/data
        $h cp "$D/tree" still:/bound
        [[ $($h exec box cat /data/tree/two /bound/tree/two) == $'two\ntwo' ]]
        $h cp still:/data/tree box:/mem
        $h cp box:/mem/tree/. still:/copy
        [[ $($h cp still:/copy/two - | tar -xOf -) == two ]]
        $h run --name ro --read-only busybox true
        run $h cp "$D/one" ro:/
        expect 1 "Read-only file system"
        $h rm -f box still ro
        $h volume rm data
    done
}

# Links that lead out, of the container's making, in the source and in the target, before and while it is copied.
@test "cp: no link leads out of the container" {
    local h out i
    for h in $WHO; do
        fresh $h
        echo secret >"$T/tmp/secret"
        chmod 644 "$T/tmp/secret"
        mkdir -m 777 "$out/host"
        $h run -d --name evil busybox sh -c "mkdir -p /src /dst; ln -s $T/tmp/secret /src/file; ln -s $out/host /src/dir
            ln -s ../../../../../../../../../$out/host /dst/up; ln -s $out/host /dst/abs; ln -s /proc/1/root$out/host /dst/magic
            touch /ready; while :; do ln -sfn $out/host /dst/flip; rm -f /dst/flip; mkdir /dst/flip; rmdir /dst/flip
            ln -sfn $T/tmp /src/flip; rm -f /src/flip; mkdir /src/flip; rmdir /src/flip; done"
        wait_until 30 $h exec evil test -e /ready
        run $h cp -L evil:/src/file "$out/got"
        expect 1 "No such file or directory"
        run $h cp evil:/src/dir/. "$out/got"
        expect 1 "No such file or directory"
        $h cp evil:/src "$out/src"
        [[ -L $out/src/file && -L $out/src/dir ]]
        run $h cp "$D/one" evil:/dst/up/
        run $h cp "$D/one" evil:/dst/abs/x
        run $h cp "$D/one" evil:/dst/magic/x
        for i in 1 2 3 4 5 6 7 8; do
            run $h cp "$D/tree" evil:/dst/flip
            run $h cp evil:/src/flip/secret "$out/got"
            [[ $status -ne 0 && ! -e $out/got ]]
            run $h cp evil:/src "$out/src$i"
            [[ -L $out/src$i/flip || ! -e $out/src$i/flip/secret ]]
        done
        # an archive that makes a link and then writes through it
        (cd "$out" && mkdir a b && ln -s "$out/host" a/l && mkdir b/l && echo x >b/l/x &&
            tar -C a -cf t.tar l && tar -C b -rf t.tar l/x)
        run $h cp - evil:/src <"$out/t.tar"
        [[ ! $(ls -A "$out/host") ]]
        run $h cp evil:/../../../../etc/hostname "$out/hostname"
        [[ ! -e $out/hostname || $(<"$out/hostname") == "$($h exec evil cat /etc/hostname)" ]]
    done
}

@test "what is mounted on a container that was never started is there: volumes, binds, one below another, a read-only root" {
    local h how
    for h in $WHO; do
        for how in '' --read-only; do
            fresh $h
            $h create --name new $how --network none -v cpv:/data -v cpro:/ro:ro -v "$D/tree:/not/there" -v "$D/one:/x/file:ro" \
                -v cpin:/data/in -v cpetc:/etc busybox cat /data/one /data/in/two /etc/two >/dev/null
            $h cp "$D/one" new:/data/
            $h cp "$D/tree/two" new:/data/in/
            $h cp "$D/tree/two" new:/etc/
            $h cp new:/data/one "$out/one"
            $h cp new:/not/there/sub "$out/"
            $h cp new:/x/file "$out/file"
            cmp "$D/one" "$out/one"
            cmp "$D/one" "$out/file"
            [[ $(<"$out/sub/three") == three ]]
            run $h cp "$D/one" new:/ro/
            expect 1 "Read-only file system"
            run $h start -a new
            expect 0 $'=one\ntwo\ntwo'
            run $h run --rm --network none -v cpetc:/e busybox ls /e
            expect 0 passwd # the image's came first
            $h rm new >/dev/null
            $h volume rm cpv cpro cpin cpetc >/dev/null
        done
    done
}

@test "a device that an output names stays one, whether it takes all or nothing" {
    ((EUID == 0)) || skip "kernel: only root makes devices"
    husk create --name out --network none -v outv:/v busybox true
    mknod "$T/tmp/full" c 1 7
    mknod "$T/tmp/null" c 1 3
    run husk export -o "$T/tmp/full" out
    expect 1 "No space left on device"
    run husk volume export -o "$T/tmp/full" outv
    expect 1 "No space left on device"
    husk save -o "$T/tmp/null" busybox
    husk commit -q --iidfile "$T/tmp/null" out given
    mkdir "$T/tmp/given"
    echo 'FROM given' >"$T/tmp/given/Dockerfile"
    husk build -q --iidfile "$T/tmp/null" --metadata-file "$T/tmp/null" "$T/tmp/given"
    husk run --rm --network none --pidfile "$T/tmp/null" busybox true
    run husk cp out:/bin/busybox "$T/tmp/null"
    expect 1 "a device is there"
    [[ -c $T/tmp/full && -c $T/tmp/null ]]
    rm -r "$T/tmp/full" "$T/tmp/null" "$T/tmp/given"
    husk rm out
    husk volume rm outv
    husk rmi given
}

packed_archives() {
    local form
    head -c 300000 /dev/urandom >"$D/tree/big"
    tar -C "$D" -cf "$D/t.plain" tree
    gzip <"$D/t.plain" >"$D/t.gzip"
    zstd -q <"$D/t.plain" >"$D/t.zstd"
    xz -0 <"$D/t.plain" >"$D/t.xz"
    bzip2 <"$D/t.plain" >"$D/t.bzip2"
    $h create --name box --network none busybox true
    $h volume create vol
    for form in plain gzip zstd xz bzip2; do
        run $h cp - box:/nodir <"$D/t.$form"
        expect 1 "'/nodir' does not exist"
        $h cp - box:/tmp <"$D/t.$form"
        cmp <($h cp box:/tmp/tree/big - | tar -xO) "$D/tree/big"
        $h volume import vol - <"$D/t.$form"
        cmp <($h volume export vol | tar -xO tree/big) "$D/tree/big"
        $h volume rm --no-trash vol
        $h volume create vol
        $h rm box
        $h create --name box --network none busybox true
    done
    for form in gzip zstd xz bzip2; do
        head -c 200000 "$D/t.$form" >"$D/cut"
        run $h cp - box:/tmp <"$D/cut"
        expect 1 "husk: the archive: $form: "
    done
    $h rm box
    $h volume rm --no-trash vol
}
@test "cp - and volume import take archives packed with gzip, zstd, xz and bzip2, and say what is wrong with one" {
    local h
    for h in $WHO; do
        packed_archives
    done
}
