#!/usr/bin/env bats
# Volumes, binds, tmpfs: what is shared, what is copied, what stays; as root and as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    # An image with content where volumes go, and volumes of its own.
    mkdir -p "$T/img"/{data/sub,bin,own,etc}
    cp -a "$IMAGES/rootfs/bin/." "$T/img/bin/"
    cp "$IMAGES/rootfs/etc/passwd" "$IMAGES/rootfs/etc/group" "$T/img/etc/"
    echo content >"$T/img/data/sub/file"
    ln -s sub/file "$T/img/data/link"
    echo own >"$T/img/own/file"
    chmod 4711 "$T/img/data/sub/file"
    chmod 1770 "$T/img/data"
    tar -C "$T/img" --owner=1000 --group=50 -cf "$T/img.tar" .
    chmod 644 "$T/img.tar"
    husk import --change 'VOLUME /own' "$T/img.tar" withdata
    as_user husk import --change 'VOLUME /own' "$T/img.tar" withdata
}

WHO="husk user_husk"
as() { # HUSK CMD...: as the one who owns the store of HUSK
    local h=$1
    shift
    if [[ $h == husk ]]; then "$@"; else as_user "$@"; fi
}

@test "volumes: a named one is made, kept and shared" {
    local h
    for h in $WHO; do
        $h run --rm -v vol:/v busybox sh -c 'echo kept >/v/file'
        [[ $($h run --rm -v vol:/elsewhere busybox cat /elsewhere/file) == kept ]]
        [[ $($h run --rm --mount type=volume,source=vol,target=/v busybox cat /v/file) == kept ]]
        run $h run --rm -v vol:/v:ro busybox touch /v/x
        expect 1 "Read-only file system"
        [[ $($h volume ls -q) == vol ]]
        run $h volume inspect -f '{{.Mountpoint}}' vol
        expect 0 "/volumes/vol/_data"
        $h create --name user -v vol:/v busybox true
        run $h volume rm vol
        expect 1 "volume 'vol' is in use by container"
        [[ $($h volume ls -q --filter dangling=true) == '' ]]
        $h rm user
        $h volume rm vol
        run $h volume inspect vol
        expect 1 "no such volume: 'vol'"
    done
}

@test "volumes: an empty one takes the image's content, owners and modes" {
    local h
    for h in $WHO; do
        [[ $($h run --rm -v copy:/data withdata cat /data/link) == content ]]
        [[ $($h run --rm -v copy:/data withdata stat -c '%u %g %a' /data) == "1000 50 1770" ]]
        [[ $($h run --rm -v copy:/data withdata stat -c '%u %a' /data/sub/file) == "1000 4711" ]]
        $h run --rm -v copy:/data withdata sh -c 'echo changed >/data/sub/file'
        # once it has content it is not filled again
        [[ $($h run --rm -v copy:/data withdata cat /data/link) == changed ]]
        [[ $($h run --rm -v empty:/data:nocopy withdata ls /data) == '' ]]
        [[ $($h run --rm --mount type=volume,source=empty2,target=/data,volume-nocopy withdata ls /data) == '' ]]
        [[ $($h run --rm -v fresh:/nothing/there withdata ls /nothing/there) == '' ]]
        $h volume rm copy empty empty2 fresh
    done
}

@test "volumes: the image's own and unnamed ones live as long as they should" {
    local h
    for h in $WHO; do
        [[ $($h run --rm withdata cat /own/file) == own ]]
        [[ $($h run --rm -v /anon busybox sh -c 'touch /anon/x; ls /anon') == x ]]
        [[ ! $($h volume ls -q) ]]
        $h run --name keeps withdata sh -c 'echo more >>/own/file'
        [[ $($h volume ls -q) =~ ^[0-9a-f]{64}$ ]]
        run $h start -a keeps
        [[ $($h inspect -f '{{(index .Mounts 0).Name}}' keeps) =~ ^[0-9a-f]{64}$ ]]
        $h rm keeps
        [[ $($h volume ls -q) ]]
        $h volume prune >/dev/null
        [[ ! $($h volume ls -q) ]]
        $h run --name keeps withdata true
        $h rm -v keeps
        [[ ! $($h volume ls -q) ]]
        # a mount of the user's stands in for the image's
        [[ $($h run --rm -v mine:/own withdata cat /own/file) == own ]]
        [[ $($h volume ls -q) == mine ]]
        $h volume rm mine
    done
}

@test "volumes: binds" {
    local h dir
    for h in $WHO; do
        dir=$T/tmp/bind-$h
        as $h mkdir "$dir"
        as $h sh -c "echo here >'$dir/file'"
        [[ $($h run --rm -v "$dir:/b" busybox cat /b/file) == here ]]
        $h run --rm -v "$dir:/b" busybox sh -c 'echo back >/b/new'
        [[ $(<"$dir/new") == back ]]
        run $h run --rm -v "$dir:/b:ro" busybox touch /b/x
        expect 1 "Read-only file system"
        run $h run --rm --mount "type=bind,src=$dir,dst=/b,readonly" busybox touch /b/x
        expect 1 "Read-only file system"
        [[ $($h run --rm -v "$dir/file:/etc/passwd" busybox cat /etc/passwd) == here ]]
        # -v makes a missing directory, --mount does not
        $h run --rm -v "$dir/made/for/it:/b" busybox touch /b/x
        [[ -e $dir/made/for/it/x ]]
        run $h run --rm --mount "type=bind,src=$dir/missing,dst=/b" busybox true
        expect 125 "bind source '$dir/missing' does not exist: make it, or use --volume, which does"
        [[ ! -e $dir/missing && ! $($h ps -aq) ]]
        # but no directory where a socket was meant
        run $h run --rm -v "$dir/agent.sock:/agent.sock" busybox true
        expect 125 "bind source '$dir/agent.sock' does not exist: start what listens there first"
        run $h run --rm -v "$dir/docker.sock:/var/run/docker.sock" busybox true
        expect 125 "husk has no daemon and no such socket"
        [[ ! -e $dir/agent.sock && ! -e $dir/docker.sock ]]
        # a link in the image never leads out of it
        $h run --name link busybox sh -c 'ln -s /tmp/../../../../etc /out' || true
        rm -rf "$dir"
        $h rm link
    done
}

@test "volumes: a source that cannot be made is said to be missing" {
    run as_user husk run --rm -v /no/such/place:/b busybox true
    expect 125 "bind source '/no/such/place' does not exist: make directory '/no"
}

@test "volumes: a source that cannot be read is one clear sentence" {
    ((EUID == 0)) || skip_unless_kernel "needs root to lock the user out" false
    mkdir -m 700 "$T/tmp/secret"
    mkdir "$T/tmp/secret/in"
    run user_husk run --rm -v "$T/tmp/secret/in:/b" busybox true
    expect 125 "bind source '$T/tmp/secret/in': Permission denied"
    [[ ! $(user_husk ps -aq) ]]
}

@test "volumes: hostile targets stay inside" {
    local h
    for h in $WHO; do
        run $h run --rm -v vv:/a/../../../../x busybox ls -d /x
        expect 0 "=/x"
        $h volume rm vv
        [[ ! -e /x ]]
        check_table $h <<'TABLE'
run --rm -v vv:/ busybox true                     | 125 | --volume: 'vv:/': the container's root cannot be mounted over
run --rm -v vv:/../ busybox true                  | 125 | the container's root cannot be mounted over
run --rm -v ../vv:x busybox true                  | 125 | the path in the container, 'x', must be absolute
run --rm -v a/b:/x busybox true                   | 125 | 'a/b' is no volume name
run --rm -v vv:/x -v ww:/x busybox true           | 125 | two mounts on '/x'
run --rm -v vv:/x:rw,what busybox true            | 125 | 'what' is not one of ro, rw
run --rm --mount type=bind,target=/x busybox true | 125 | source=PATH is missing
run --rm --mount typ=bind busybox true            | 125 | unknown key 'typ': did you mean 'type'?
run --rm --tmpfs x busybox true                   | 125 | --tmpfs: 'x': the path in the container, 'x', must be absolute
TABLE
        [[ ! $($h volume ls -q) ]]
    done
}

@test "volumes: tmpfs" {
    local h
    for h in $WHO; do
        check_table $h <<'TABLE'
run --rm --tmpfs /t busybox grep ' /t ' /proc/mounts                   | 0 | ~tmpfs /t tmpfs rw,nosuid,nodev,noexec
run --rm --tmpfs /t:size=1m,exec busybox grep ' /t ' /proc/mounts      | 0 | size=1024k
run --rm --tmpfs /t:size=1m,exec busybox grep ' /t ' /proc/mounts      | 0 | !noexec
run --rm --tmpfs /t:mode=700 busybox stat -c %a /t                     | 0 | =700
run --rm --tmpfs /t:ro busybox touch /t/x                              | 1 | Read-only
run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777 busybox stat -c %a /t | 0 | =1777
run --rm --mount type=tmpfs,dst=/t busybox sh -c 'echo x >/t/y; cat /t/y' | 0 | =x
TABLE
    done
}

@test "volumes: commands" {
    local h
    for h in $WHO; do
        [[ $($h volume create --label a=b one) == one && $($h volume create one) == one ]]
        [[ $($h volume create) =~ ^[0-9a-f]{64}$ ]]
        [[ $($h volume ls -q --filter label=a) == one ]]
        [[ $($h volume inspect -f '{{.Labels.a}}' one) == b ]]
        run $h volume create a/b
        expect 1 "'a/b' is no volume name"
        run $h volume rm nothing
        expect 1 "no such volume: 'nothing'"
        run $h volume prune
        expect 0 "Total reclaimed space"
        [[ $($h volume ls -q) == one ]]
        $h volume prune --all >/dev/null
        [[ ! $($h volume ls -q) ]]
    done
}
