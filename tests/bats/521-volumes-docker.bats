#!/usr/bin/env bats
# The whole grammar of -v, --mount, --tmpfs and --volumes-from, and the local driver's options; as root and as an
# ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"
as() { # HUSK CMD...: as the one who owns the store of HUSK
    local h=$1
    shift
    if [[ $h == husk ]]; then "$@"; else as_user "$@"; fi
}

teardown() {
    remove_all_containers
    local h
    for h in $WHO; do $h volume rm --all; done
}

@test "O: changes to a bind or a volume go to a layer, which the next start begins anew" {
    local h dir
    for h in $WHO; do
        dir=$T/tmp/o.$h
        as $h mkdir -m 751 "$dir"
        as $h sh -c "echo below >'$dir/file'"
        $h volume create vol
        $h run --rm -v vol:/v busybox sh -c 'echo kept >/v/kept; chown 7:8 /v; chmod 701 /v'
        $h create --name box -v "$dir:/o:O" -v vol:/v:O busybox sh -c \
            'stat -c %a.%u /o; stat -c %a.%u:%g /v; cat /o/file /v/kept; echo x >/o/new; echo y >/o/file; rm /v/kept'
        [[ $($h start -a box) == $'751.0\n701.7:8\nbelow\nkept' ]]
        [[ $($h start -a box) == $'751.0\n701.7:8\nbelow\nkept' ]]
        [[ $(<"$dir/file") == below && ! -e $dir/new ]]
        [[ $($h run --rm -v vol:/v busybox cat /v/kept) == kept ]]
        [[ $($h run --rm -v "$dir:/o:O,ro" busybox sh -c 'cat /o/file; touch /o/x || echo no' 2>/dev/null) == $'below\nno' ]]
        as $h mkdir "$dir.u" "$dir.w"
        $h run --rm -v "$dir:/o:O,upperdir=$dir.u,workdir=$dir.w" busybox sh -c 'echo changed >/o/file'
        [[ $(<"$dir.u/file") == changed && $(<"$dir/file") == below ]]
        $h rm box
    done
}

@test "O with a user namespace of the container's own, as root" {
    ((EUID == 0)) || return 0
    printf 'root:1000000000:131072\n' >"$T/tmp/subids"
    husk volume create vol
    husk run --rm -v vol:/v busybox sh -c 'echo kept >/v/kept; chown 3 /v/kept'
    run unshare --mount --propagation private bash -c '
        mount --bind "$1/subids" /etc/subuid && mount --bind "$1/subids" /etc/subgid || exit 1
        "$2" run --rm --userns auto -v vol:/v:O busybox sh -c "stat -c %u /v/kept; echo x >/v/kept; cat /v/kept"
        ' bash "$T/tmp" "$HUSK"
    expect 0 $'=3\nx'
    [[ $(husk run --rm -v vol:/v busybox cat /v/kept) == kept ]]
}

@test "U: a bind and a volume are given to the container's user, links not followed, the system's directories never" {
    local h dir
    for h in $WHO; do
        dir=$T/tmp/u.$h
        as $h mkdir -p "$dir/sub"
        as $h touch "$dir/sub/file" "$dir.outside"
        as $h ln -s "$dir.outside" "$dir/link"
        [[ $($h run --rm -u 5:6 -v "$dir:/u:U" -v vol:/v:U busybox stat -c %u:%g /u /u/sub/file /u/link /v | paste -sd' ') == \
            "5:6 5:6 5:6 5:6" ]]
        [[ $(stat -c %u "$dir.outside") == "$(as $h id -u)" ]]
        [[ $($h run --rm --mount type=tmpfs,target=/t,U -u 9:4 busybox stat -c %u:%g /t) == 9:4 ]]
        run $h run --rm -v /etc:/e:U busybox true
        expect 125 "U: '/etc' is the system's"
        $h run --rm -v "$dir:/u:U" busybox true
    done
}

@test "subpath: a directory inside a volume, and no link leads out of it" {
    local h
    for h in $WHO; do
        $h run --rm -v vol:/v busybox sh -c 'mkdir -p /v/a/b; echo in >/v/a/b/f; ln -s /etc /v/evil; ln -s a/b /v/good'
        [[ $($h run --rm --mount type=volume,src=vol,dst=/m,volume-subpath=a/b busybox cat /m/f) == in ]]
        [[ $($h run --rm --mount type=volume,src=vol,dst=/m,subpath=good busybox cat /m/f) == in ]]
        [[ $($h run --rm -v vol:/m:subpath=a,ro busybox cat /m/b/f) == in ]]
        $h create --name box -v vol:/m:subpath=a busybox true
        $h start -a box
        [[ $($h cp box:/m/b/f - | tar -xO) == in ]]
        check_table $h <<'TABLE'
run --rm --mount type=volume,src=vol,dst=/m,subpath=evil busybox cat /m/passwd | 125 | vol/_data/evil'
run --rm --mount type=volume,src=vol,dst=/m,subpath=none busybox true          | 125 | vol/_data/none'
run --rm --mount type=volume,src=vol,dst=/m,subpath=../x busybox true          | 125 | must be relative, without '..'
run --rm --mount type=bind,src=/tmp,dst=/m,subpath=x busybox true              | 125 | 'subpath' is for type=volume
TABLE
        $h rm box
    done
}

@test "a mount on /etc has the container's own hosts, hostname and resolv.conf in it, where they find room" {
    local h d
    for h in husk 'as_user husk'; do
        d=$(mktemp -d "$T/tmp/etc.XXXXXX")
        chmod 777 "$d"
        check_table $h <<END
run --rm -h me --tmpfs /etc busybox cat /etc/hostname                       | 0 | =me
run --rm -h me -v onetc:/etc busybox cat /etc/hostname                      | 0 | =me
run --rm -h me -v onetc:/etc:ro busybox sh -c 'cat /etc/hostname; grep -c root /etc/passwd' | 0 | ~^me.1
run --rm -h me -v $d:/etc:ro busybox ls -A /etc                             | 0 | =
run --rm -h me -v $d:/etc busybox cat /etc/hostname                         | 0 | =me
run --rm -h me -v $d:/etc:ro busybox cat /etc/hostname                      | 0 | =me
run --rm -h me -v $d:/etc -v $IMAGES/rootfs/etc/passwd:/etc/hostname:ro busybox grep -c root /etc/hostname | 0 | 1
run --rm -v $d:/etc:ro -v $d:/etc:ro busybox true                           | 0 |
run --rm -v $d:/etc:ro -v $d:/etc:rw busybox true                           | 125 | two mounts on '/etc'
volume rm onetc                                                             | 0 |
END
        rm -rf "$d"
        mkdir "$d"
        ln -s nowhere "$d/hosts"
        chmod 777 "$d"
        run $h run --rm -h me -v "$d:/etc" busybox ls /etc
        expect 0 "=hosts"
    done
}

@test "volumes-from: another container's volumes and binds, read-only if asked, the user's own first" {
    local h dir
    for h in $WHO; do
        dir=$T/tmp/from.$h
        as $h mkdir "$dir"
        $h run --name one -v vol:/v -v "$dir:/b" -v /anon busybox sh -c 'echo v >/v/f; echo b >/b/f; echo a >/anon/f'
        [[ $($h run --rm --volumes-from one busybox cat /v/f /b/f /anon/f | paste -sd' ') == "v b a" ]]
        run $h run --rm --volumes-from one:ro busybox touch /v/x
        expect 1 "Read-only file system"
        [[ $($h run --rm --volumes-from one --tmpfs /v busybox sh -c 'ls /v; cat /b/f') == b ]]
        check_table $h <<'TABLE'
run --rm --volumes-from nobody busybox true   | 125 | --volumes-from: no such container: 'nobody'
run --rm --volumes-from one:rx busybox true   | 125 | 'rx' is not one of ro, rw
TABLE
        # an anonymous volume that two containers have goes with the last
        $h create --name two --volumes-from one busybox true
        $h rm -v one
        [[ $($h volume ls -q | wc -l) == 2 ]]
        $h rm -v two
        [[ $($h volume ls -q) == vol ]]
    done
}

@test "mount: docker's and podman's keys" {
    local h
    for h in $WHO; do
        as $h mkdir -p "$T/tmp/k.$h"
        D=$T/tmp/k.$h
        check_table $h <<TABLE
run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770,exec busybox sh -c 'stat -c %a /t; grep " /t " /proc/mounts' | 0 | ~^1770.*rw,nosuid,nodev,rel.*size=1024k
run --rm --mount type=tmpfs,dst=/etc,tmpcopyup busybox sh -c 'grep -c root /etc/passwd' | 0 | 1
run --rm --tmpfs /etc:tmpcopyup busybox sh -c 'grep -c root /etc/passwd'                | 0 | 1
run --rm --mount type=ramfs,dst=/t busybox grep -c '/t ramfs' /proc/mounts              | 0 | =1
run --rm --mount type=devpts,dst=/p,mode=600,max=4 busybox grep ' /p ' /proc/mounts     | 0 | devpts
run --rm --mount type=bind,src=$D,dst=/b,ro=true,noexec,relabel=shared busybox grep ' /b ' /proc/mounts | 0 | ~ro,.*noexec
run --rm --mount type=bind,src=$D,dst=/b,rw,consistency=cached busybox touch /b/x       | 0 |
run --rm --mount type=bind,src=$D,dst=/b,bind-recursive=writable,ro busybox touch /b/x  | 1 | Read-only
run --rm --mount type=bind,src=$D,dst=/b,bind-recursive=disabled busybox true           | 0 |
run --rm --mount type=bind,src=$D/new,dst=/b,bind-create-src busybox true               | 0 |
run --rm --mount type=volume,dst=/v,volume-label=a=b,volume-driver=local busybox true   | 0 |
run --rm -v $D:/b:z,nosuid,nodev busybox grep ' /b ' /proc/mounts                       | 0 | ~nosuid,nodev
run --rm --mount type=glob,src=/x*,dst=/b busybox true                                  | 125 | husk matches no patterns
run --rm --mount type=npipe,src=x,dst=/b busybox true                                   | 125 | docker's on Windows
run --rm --mount type=volume,dst=/v,volume-driver=nfs busybox true                      | 125 | husk has 'local' alone
run --rm --volume-driver foo busybox true                                               | 125 | husk has 'local' alone
run --rm --mount type=bind,src=$D,dst=/b,bind-recursive=x busybox true                  | 125 | is not one of enabled, disabled
run --rm --mount type=bind,src=$D,dst=/b,tmpfs-size=1 busybox true                      | 125 | 'tmpfs-size' is for type=tmpfs only
run --rm --mount type=bind,src=$D,dst=/b,relabl=shared busybox true                     | 125 | did you mean 'relabel'
run --rm -v $D:/b:upperdir=/x busybox true                                              | 125 | are for 'O' only
TABLE
        [[ -d $D/new ]]
    done
}

@test "volume create: labels, options, what inspect and filters say" {
    local h
    for h in $WHO; do
        as $h mkdir -p "$T/tmp/dev.$h"
        $h volume create --label a=b -d local -o type=none -o o=bind -o device="$T/tmp/dev.$h" bound
        $h run --rm -v bound:/v busybox sh -c 'echo here >/v/file'
        [[ $(<"$T/tmp/dev.$h/file") == here ]]
        [[ $($h volume inspect -f '{{.Options.device}} {{.Labels.a}}' bound) == "$T/tmp/dev.$h b" ]]
        [[ $($h volume mount bound) == "$T/tmp/dev.$h" ]]
        [[ $($h volume export bound | tar -xO --wildcards '*file') == here ]]
        $h volume create later
        $h volume exists later
        run $h volume exists never
        expect 1 "="
        [[ $($h volume ls -q --filter since=bound) == later ]]
        [[ $($h volume ls -q --filter opt=o=bind --filter driver=local) == bound ]]
        [[ $($h volume ls -n | wc -l) == 2 ]]
        check_table $h <<'TABLE'
volume create -o o=bind xx                         | 1 | device=PATH is missing
volume create -o type=nfs xx                       | 1 | device=, what to mount, is missing
volume create -o device=/dev/null xx               | 1 | type=, its file system, is missing
volume create -o o=bind -o device=/nodir xx        | 1 | --opt device='/nodir'
volume create -o colour=red xx                     | 1 | 'colour' is not one of type, device, o
volume create -d sshfs xx                          | 1 | husk has 'local' alone
volume rm                                          | 1 | Name some, or say --all
TABLE
        [[ $($h volume ls -q | wc -l) == 2 ]]
        $h volume rm bound
        [[ -e $T/tmp/dev.$h/file ]]
    done
}

@test "volume create type=tmpfs: one file system that all containers share, unmounted with the last" {
    ((EUID == 0)) || return 0
    husk volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,mode=1755,noexec ram
    husk create --name one -v ram:/v busybox sh -c 'echo shared >/v/file; grep " /v " /proc/mounts'
    run husk start -a one
    expect 0 "~noexec.*size=1024k"
    [[ $(husk run --rm -v ram:/v busybox cat /v/file) == shared ]]
    [[ $(husk volume export ram | tar -xO --wildcards '*file') == shared ]]
    husk rm one
    [[ ! $(grep -F "$T" /proc/self/mountinfo) ]]
    husk volume rm ram
    run as_user husk volume create -o type=tmpfs xx
    expect 1 "only root may mount it"
}

@test "volume create size=: where the file system keeps no quotas it is refused, and nothing stays" {
    ((EUID == 0)) || return 0
    # tests/vm/cgroup2.sh has a kernel that keeps them, and what happens there; no kernel keeps them on a tmpfs
    export HUSK_ROOT=$TRUN/quota
    run husk volume create -o size=2m small
    expect 1 "keeps no project quotas"
    [[ ! -e $HUSK_ROOT/volumes/small ]]
    rm -rf "$HUSK_ROOT"
    run as_user husk volume create -o size=2m small
    expect 1 "set a quota"
}
