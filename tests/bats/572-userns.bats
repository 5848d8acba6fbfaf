#!/usr/bin/env bats
# User namespaces: maps of root's that layers are mounted through, an ordinary user's own id kept, ranges that nobody
# else has.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; bats sets the others

load helpers

setup_file() { setup_both_stores; }

teardown() {
    remove_all_containers
}

# In a mount namespace of its own: the machine's /etc/subuid stays as it is.
with_subids() { # LINES COMMAND...
    printf '%s\n' "$1" >"$T/tmp/subids"
    shift
    unshare --mount --propagation private bash -c '
        mount --bind "$1/subids" /etc/subuid && mount --bind "$1/subids" /etc/subgid || exit 99
        shift; "$@"' bash "$T/tmp" "$@"
}

@test "root: uidmap and gidmap; the image's files keep their owners, and so do the container's" {
    ((EUID == 0)) || return 0
    run husk run --rm --uidmap 0:200000:1000 busybox sh -c 'cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g / /bin/busybox; touch /f; stat -c %u /f'
    expect 0 "~0 +200000 +1000.*0 +200000 +1000.*0:0.0:0.0"
    run husk run --rm --uidmap 0:200000:10 --uidmap 10:300000:5 --gidmap 0:400000:20 busybox \
        sh -c 'cat /proc/self/uid_map; chown 12:15 /root; stat -c %u:%g /root; stat -c %g /'
    expect 0 "~10 +300000 +5.*12:15.0"
    husk create --name box --uidmap 0:200000:10 --uidmap 10:300000:5 --gidmap 0:400000:20 busybox sh -c 'echo x >/f; chown 12:15 /f'
    husk start -a box
    [[ $(stat -c %u:%g "$HUSK_ROOT/containers/$(husk inspect -f '{{.Id}}' box)/upper/f") == 300002:400015 ]]
    [[ $(husk export box | tar --numeric-owner -tv --wildcards '*f' 2>/dev/null | grep -E ' f$| \./f$' | awk '{print $2}') == 12/15 ]]
    run husk commit box mapped
    expect 1 "a map of several ranges"
    # one range can be told back
    husk run --name one --uidmap 0:200000:1000 busybox sh -c 'echo x >/f; chown 7 /f'
    husk commit one mapped
    [[ $(husk run --rm mapped stat -c %u /f) == 7 ]]
    check_table husk <<'TABLE'
run --rm --uidmap 0:0:10 busybox true                          | 125 | would be the host's root
run --rm --uidmap 1:1000:10 busybox true                       | 125 | the container's 0 is not mapped
run --rm --uidmap 0:1000:10 --uidmap 5:9000:10 busybox true    | 125 | overlap
run --rm --uidmap 0:1000 --uidmap 1:1000 busybox true          | 125 | overlap
run --rm --uidmap 0 busybox true                               | 125 | it is [+][u][g]INSIDE:FROM
run --rm --uidmap 0:1000:0 busybox true                        | 125 | a range of no ids
run --rm --userns keep-id busybox true                         | 125 | it is for ordinary users
run --rm --userns nomap busybox true                           | 125 | it is for ordinary users
run --rm --userns ns:/proc/self/ns/user busybox true           | 125 | it is the one that husk runs in
run --rm --userns ns:/etc/passwd busybox true                  | 125 | it is no user namespace
run --rm --userns ns:/nowhere busybox true                     | 125 | --userns ns:/nowhere: open it
run --rm --userns auto:size busybox true                       | 125 | is not one of size=, uidmapping=, gidmapping=
run --rm --userns auto:uidmapping=1:2 busybox true             | 125 | it is INSIDE:OUTSIDE:COUNT
run --rm --userns auto:uidmapping=1:2:0 busybox true           | 125 | a range of no ids
run --rm --userns auto --uidmap 0:1000:9 busybox true          | 125 | exclude each other
run --rm --userns odd busybox true                             | 125 | is not one of host, auto, keep-id, nomap
run --rm --subuidname nosuchname busybox true                  | 125 | has no line in /etc/subuid
TABLE
}

# A node of the image's, or of a volume that another container made it in, with the host's numbers on it.
@test "root: a device node that the image brings opens nothing, with a map as without" {
    ((EUID == 0)) || return 0
    local map
    mkdir "$T/tmp/nodes"
    cp -a "$IMAGES/rootfs" "$T/tmp/with-node"
    for map in nodes with-node; do mknod -m 666 "$T/tmp/$map/disk" c 99 7; done
    tar -C "$T/tmp/with-node" -cf - . | husk import - nodes >/dev/null
    for map in "" "--uidmap 0:200000:1000"; do
        run husk run --rm --network none $map nodes cat /disk
        expect 1 "can't open '/disk': Operation not permitted"
        run husk run --rm --network none $map -v "$T/tmp/nodes:/v" busybox cat /v/disk
        expect 1 "can't open '/v/disk': Operation not permitted"
        # one that was asked for is there, and no other
        run husk run --rm --network none $map --device /dev/zero:/dev/mine -v "$T/tmp/nodes:/v" busybox sh -c 'head -c 1 /dev/mine | wc -c; cat /v/disk'
        expect 1 $'=1\ncat: can\'t open \'/v/disk\': Operation not permitted'
    done
    # naive: the file's own mode alone
    run cat "$T/tmp/nodes/disk"
    expect 1 "No such device"
}

@test "root: auto of any size, subuidname, and another container's ids; ranges never overlap and come back" {
    ((EUID == 0)) || return 0
    run with_subids $'root:1000000:3000\nnobody:2000000:500' bash -c '
        "$HUSK" create --name ca --userns auto:size=1000 busybox cat /proc/self/uid_map
        "$HUSK" create --name cb --userns auto:size=500 busybox cat /proc/self/uid_map
        "$HUSK" create --name cc --userns auto:size=1500 busybox cat /proc/self/uid_map
        "$HUSK" create --name cd --userns auto:size=1 busybox true
        "$HUSK" create --name ce --userns container:ca busybox cat /proc/self/uid_map
        for c in ca cb cc ce; do "$HUSK" start -a $c; done
        "$HUSK" rm cb
        "$HUSK" create --name cf --userns auto:size=500 busybox cat /proc/self/uid_map
        "$HUSK" start -a cf
        "$HUSK" undo
        "$HUSK" run --rm --subuidname nobody busybox cat /proc/self/uid_map'
    echo "$output"
    [[ $(grep -cE '^ +0 +1000000 +1000$' <<<"$output") == 2 ]]
    [[ $(grep -cE '^ +0 +1001000 +500$' <<<"$output") == 2 ]]
    [[ $(grep -cE '^ +0 +1001500 +1500$' <<<"$output") == 1 ]]
    [[ $(grep -cE '^ +0 +2000000 +500$' <<<"$output") == 1 ]]
    [[ $output == *"1 in a row of root's ranges in /etc/subuid are not free"* ]]
    [[ $output == *"container 'cb': the ids of its user namespace are another container's meanwhile"* ]]
}

@test "root: twenty at once get twenty ranges" {
    ((EUID == 0)) || return 0
    run with_subids root:1000000:20000 bash -c '
        for i in $(seq 20); do "$HUSK" create --userns auto:size=1000 busybox true >/dev/null & done; wait
        "$HUSK" inspect -f "{{.HostConfig.UsernsMode}}" $("$HUSK" ps -aq) | sort | uniq -c
        sqlite3 "$HUSK_ROOT/husk.db" "SELECT json_extract(config, \"\$.usernsFirst\") FROM container" 2>/dev/null | sort -u | wc -l'
    expect 0 "20 auto"
    [[ ! $(command -v sqlite3) || $output == *$'\n20' ]]
}

@test "root: auto with ranges of one's own choice among the leased ones, and a namespace that somebody made" {
    ((EUID == 0)) || return 0
    run with_subids root:1000000:3000 bash -c '
        "$HUSK" run --rm --network none --userns auto:size=100,uidmapping=5:777:1,gidmapping=7:888:2 busybox \
            sh -c "cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g / /bin/busybox; touch /f; chown 5:8 /f; stat -c %u:%g /f"
        "$HUSK" run --rm --network none --userns auto:size=10,uidmapping=0:0:1 busybox true'
    expect 125 "would be the host's root"
    [[ $(tr -s ' ' <<<"$output") == *" 0 1000000 5
 6 1000006 94
 5 777 1
 0 1000000 7
 9 1000009 91
 7 888 2
0:0
0:0
5:8"* ]]
    unshare --user sleep 100 3>&- &
    local pid=$!
    wait_until 5 bash -c '[[ $(readlink /proc/'$pid'/ns/user) != $(readlink /proc/self/ns/user) ]]'
    echo '0 300000 1000' >/proc/$pid/uid_map
    echo '0 400000 1000' >/proc/$pid/gid_map
    run husk run --rm --network none --userns "ns:/proc/$pid/ns/user" -v nsvol:/v busybox sh -c \
        'readlink /proc/self/ns/user; stat -c %u:%g / /bin/busybox /v; touch /etc/hosts /f && echo mine'
    expect 0 "=$(readlink /proc/$pid/ns/user)"$'\n0:0\n0:0\n0:0\nmine'
    kill "$pid"
    husk volume rm nsvol
}

@test "root: a bind with idmap shows the container's ids, without it the host's" {
    ((EUID == 0)) || return 0
    mkdir "$T/tmp/bind"
    touch "$T/tmp/bind/f"
    chown 3:4 "$T/tmp/bind/f"
    [[ $(husk run --rm --uidmap 0:200000:1000 -v "$T/tmp/bind:/b:idmap" busybox stat -c %u:%g /b/f) == 3:4 ]]
    [[ $(husk run --rm --uidmap 0:200000:1000 -v "$T/tmp/bind:/b" busybox stat -c %u:%g /b/f) == 65534:65534 ]]
    husk run --rm --uidmap 0:200000:1000 -v "$T/tmp/bind:/b:idmap" busybox touch /b/new
    [[ $(stat -c %u "$T/tmp/bind/new") == 0 ]]
}

@test "a user: what the container's root writes to a bind is his; with keep-id what his own id writes" {
    local me dir
    me=$(as_user id -u)
    dir=$T/tmp/mine
    as_user mkdir "$dir"
    as_user husk run --rm -v "$dir:/b" busybox touch /b/as-root
    [[ $(stat -c %u "$dir/as-root") == "$me" ]]
    [[ $(as_user husk run --rm --userns keep-id -v "$dir:/b" busybox sh -c 'id -u; touch /b/kept; stat -c %u /b/kept') == "$me"$'\n'"$me" ]]
    [[ $(stat -c %u "$dir/kept") == "$me" ]]
    [[ $(as_user husk run --rm --userns keep-id:uid=33,gid=34 -v "$dir:/b" busybox sh -c 'id -u; id -g; touch /b/kept33') == $'33\n34' ]]
    [[ $(stat -c %u "$dir/kept33") == "$me" ]]
    [[ $(as_user husk run --rm --userns keep-id busybox id -un) == "$HUSK_USER" ]]
    # the map has all ids, his in the middle
    [[ $(as_user husk run --rm --userns keep-id:uid=33,gid=34 busybox sh -c 'cat /proc/self/uid_map | wc -l') == 3 ]]
}

@test "a user: uidmap counts what he has, @ the host's ids, and nobody else's" {
    local me
    me=$(as_user id -u)
    [[ $(as_user husk run --rm --uidmap 0:0:1 --uidmap 1:1:10 busybox awk '{print $1, $3}' /proc/self/uid_map | paste -sd,) == "0 1,1 10" ]]
    [[ $(as_user husk run --rm --uidmap "0:@$me:1" busybox awk '{print $1, $2}' /proc/self/uid_map) == "0 $me" ]]
    [[ $(as_user husk run --rm --uidmap +u100:5:1 busybox awk '$1 == 100 {print $3} {s+=$3} END {print s}' /proc/self/uid_map | paste -sd,) == 1,65536 ]]
    # of one side alone: the other is the default; and what is put in comes out of where it was, inside and outside
    run as_user husk run --rm --uidmap +g5:9:1 busybox sh -c 'awk "{s += \$3} END {print s}" /proc/self/uid_map; awk "\$1 == 5 {print \$3} {s += \$3} END {print s}" /proc/self/gid_map'
    expect 0 $'=65537\n1\n65536'
    run as_user husk run --rm --uidmap "+5:@$me:1" busybox true
    expect 125 "user 0:0 is not mapped"
    run as_user husk run --rm --uidmap 0:99999999:1 busybox true
    expect 125 "none of those that /etc/subuid"
    run as_user husk run --rm --uidmap 0:@0:1 busybox true
    ((status == 125))
    if ((EUID == 0)); then
        run husk run --rm --uidmap 0:4294967290:10 busybox true
        expect 125 "the last id of the host is 4294967294"
    fi
    run as_user husk run --rm --userns ns:/proc/self/ns/user busybox true
    expect 125 "it is the one that husk runs in"
    run as_user husk run --rm --subuidname root busybox true
    expect 125 "his own subordinate ids alone"
}

@test "a setuid program in a layer becomes the container's root, as sudo must; not with no-new-privileges" {
    local h
    cp -a "$IMAGES/rootfs" "$T/sudo"
    printf '#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%%d %%d\\n", getuid(), geteuid()); return setuid(0) != 0; }\n' >"$T/suid.c"
    gcc -static -o "$T/sudo/bin/suid" "$T/suid.c"
    chmod 4755 "$T/sudo/bin/suid"
    tar -C "$T/sudo" --owner=0 --group=0 -cf "$T/sudo.tar" .
    chmod 644 "$T/sudo.tar"
    for h in husk "as_user husk"; do
        $h import "$T/sudo.tar" withsuid
        [[ $($h run --rm -u 1000 withsuid suid) == "1000 0" ]]
        run $h run --rm -u 1000 --security-opt no-new-privileges withsuid suid
        expect 1 "=1000 1000"
        # in the writable layer as well, and in a volume never nosuid unless asked
        [[ $($h run --rm -u 1000 -v suidvol:/v withsuid sh -c 'true' && $h run --rm -v suidvol:/v withsuid cp -p /bin/suid /v/suid && $h run --rm -u 1000 -v suidvol:/v withsuid /v/suid) == "1000 0" ]]
        run $h run --rm -u 1000 -v suidvol:/v:nosuid withsuid /v/suid
        expect 1 "=1000 1000"
        $h volume rm suidvol
    done
    [[ $(husk run --rm --uidmap 0:200000:2000 -u 1000 withsuid suid) == "1000 0" ]]
}

@test "root: an image's size costs a new map nothing: no file is copied or given away" {
    ((EUID == 0)) || return 0
    local layer before
    mkdir -p "$T/big/bin" && cp -a "$IMAGES/rootfs/." "$T/big/"
    for i in $(seq 2000); do echo "$i" >"$T/big/f$i"; done
    head -c 64M /dev/zero >"$T/big/large"
    tar -C "$T/big" -cf "$T/big.tar" . && husk import "$T/big.tar" big
    before=$(find "$HUSK_ROOT/layers" -printf '%i %u %C@\n' | sort | sha256sum)
    [[ $(husk run --rm --uidmap 0:200000:1000 big stat -c %u /f7) == 0 ]]
    [[ $(husk run --rm --uidmap 0:300000:1000 big stat -c %u /f7) == 0 ]]
    [[ $(find "$HUSK_ROOT/layers" -printf '%i %u %C@\n' | sort | sha256sum) == "$before" ]]
}

# husk as the ordinary user, who may open /dev/fuse
user() { USER_FUSE=1 as_user husk "$@"; }
no_fuse_left() { ! pgrep -f "^fuse-overlayfs .*${T##*/}/"; }

@test "a user: with every map the image's files have the owners that the image says, and what is written too" {
    local how seen
    for how in keep-id auto nomap auto:size=70 auto:size=2000,uidmapping=5:0:1 keep-id:uid=33,gid=34; do
        seen=$(user run --rm --network none --userns "$how" -u 0 busybox sh -c '
            stat -c %u:%g / /bin/busybox /etc/passwd /etc/hosts; chown 7:9 /etc/group; mkdir /d; echo >>/etc/hosts; stat -c %u:%g /etc/group /d')
        [[ $seen == $'0:0\n0:0\n0:0\n0:0\n7:9\n0:0' ]] || { echo "$how: $seen"; return 1; }
    done
    # his own id is in none of these
    for how in auto nomap; do
        [[ $(user run --rm --network none --userns $how -v "$USER_HOME:/h" busybox stat -c %u /h) == 65534 ]]
    done
    wait_until 10 no_fuse_left
    # where fuse-overlayfs cannot be had, it is said
    run as_user env PATH=/bin "$HUSK" run --rm --network none --userns nomap busybox true
    [[ -w /dev/fuse ]] || expect 125 "only fuse-overlayfs could show the image's files in it: open '/dev/fuse'"
}

@test "a user: auto leases part of his ids to each container, and they come back" {
    local first
    first=$(awk -F: -v me="$HUSK_USER" '$1 == me {print $2; exit}' /etc/subuid)
    user create --name ua --userns auto busybox true
    user create --name ub --userns auto:size=3000 busybox true
    user create --name uc --userns auto busybox true
    user create --name ud --userns container:ub busybox cat /proc/self/uid_map
    maps() { user inspect -f '{{range .HostConfig.IDMappings.UidMap}}{{.}} {{end}}' "$@"; }
    [[ $(maps ua ub uc ud | tr -d ' ' | paste -sd' ') == "0:$first:1024 0:$((first + 1024)):3000 0:$((first + 4024)):1024 0:$((first + 1024)):3000" ]]
    user rm ua
    user create --name ue --userns auto:size=1000 busybox true
    [[ $(maps ue) == "0:$first:1000 " ]]
    # as many as the program and the image need
    user create --name uf --userns auto -u 5000 busybox true
    [[ $(maps uf) == *:5001\  ]]
    run user run --rm --userns auto:size=65536 busybox true
    expect 125 "65536 in a row of your ranges in /etc/subuid are not free"
    run user run --rm --userns auto:size=6553600 busybox true
    expect 125 "you have no 6553600 ids in a row in /etc/subuid"
}

@test "a user: a container with a map can be looked into, changed and committed when it does not run" {
    local how
    for how in keep-id auto nomap; do
        user run --name looked --network none --userns $how -u 0 busybox sh -c 'echo hi >/etc/mine; chown 7:8 /etc/mine; rm /bin/ls'
        [[ $(user diff looked) == $'C /bin\nD /bin/ls\nC /etc\nA /etc/mine' ]]
        [[ $(user cp looked:/etc/mine - | tar --numeric-owner -tv | awk '{print $2}') == 7/8 ]]
        [[ $(user export looked | tar --numeric-owner -tv | awk '$6 ~ "etc/mine$" {print $2}') == 7/8 ]]
        echo put >"$T/tmp/put"
        user cp "$T/tmp/put" looked:/put
        user commit looked ofmap
        [[ $(as_user husk run --rm --network none ofmap stat -c '%u:%g %n' /etc/mine /bin/busybox) == $'7:8 /etc/mine\n0:0 /bin/busybox' ]]
        user run -d --name other --network none --userns $how ofmap sleep 1000
        [[ $(user exec -u 0 other stat -c %u:%g /etc/mine /put) == $'7:8\n0:0' ]]
        [[ $(user run --rm --network container:other --pid container:other -u 0 busybox stat -c %u /etc/passwd) == 0 ]]
        user rm -f -t 0 looked other
        user rmi ofmap
    done
    run user system check
    expect 0
}

@test "a user: what the image's user writes to a bind is his, without being asked; --userns private is the plain map" {
    local me dir
    me=$(as_user id -u)
    dir=$T/tmp/binds
    as_user mkdir -m 700 "$dir"
    # a name of the image's, whose files stay the image's
    [[ $(user run --rm --network none -u alice -v "$dir:/b" busybox sh -c 'id -u; touch /b/alice; stat -c %u /b /bin/busybox') == $'1000\n1000\n0' ]]
    [[ $(stat -c %u:%g "$dir/alice") == "$me:$(as_user id -g)" ]]
    [[ $(user run --rm --network none -u 1234:7 -v "$dir:/b" busybox sh -c 'touch /b/number; id -g') == 7 ]]
    [[ $(stat -c %u:%g "$dir/number") == "$me:$(as_user id -g)" ]]
    run user run --rm --network none --userns private -u alice -v "$dir:/b" busybox touch /b/not
    expect 1 "Permission denied"
    # nothing of it where nothing could be written to his files, or the program is root
    [[ $(user run --rm --network none -u alice -v "$dir:/b:ro" busybox awk 'END {print NR}' /proc/self/uid_map) == 2 ]]
    [[ $(user run --rm --network none -v "$dir:/b" busybox awk 'END {print NR}' /proc/self/uid_map) == 2 ]]
}

@test "a user: volumes belong to the container's root, filled or not, and to its user with U" {
    local how
    for how in keep-id auto nomap; do
        [[ $(user run --rm --network none --userns $how -u 0 -v uv1:/etc -v uv2:/data busybox sh -c 'stat -c %u /etc /etc/passwd /data; touch /etc/x /data/x') == $'0\n0\n0' ]]
        [[ $(user run --rm --network none --userns $how -u 1000 -v uv3:/data:U busybox sh -c 'stat -c %u /data; touch /data/x') == 1000 ]]
        user volume rm uv1 uv2 uv3
    done
    [[ $(user run --rm --network none --userns nomap -v /etc:/e:O busybox sh -c 'stat -c %u /e/passwd; touch /e/x && echo own') == $'65534\nown' ]]
    [[ $(user run --rm --network none --userns nomap --read-only busybox sh -c 'touch /x 2>/dev/null || echo no') == no ]]
}

@test "a user: Debian's sudo makes its caller root, with the default map and with others" {
    local how
    "$HUSK_TOP/tests/bats/make-inits" "$T/tmp/inits"
    as_user husk import "$T/tmp/inits/sudo.tar" sudo
    [[ $(as_user husk run --rm --network none -u alice sudo sh -c 'id -u; sudo id -u; sudo -u mail id -u') == $'1000\n0\n8' ]]
    for how in keep-id:uid=1000,gid=1000 auto nomap; do
        [[ $(user run --rm --network none --userns $how -u alice sudo sh -c 'id -u; sudo id -u; sudo -u mail id -u') == $'1000\n0\n8' ]] || return 1
    done
    run as_user husk run --rm --network none -u alice --security-opt no-new-privileges sudo sudo id
    expect 1 "no new privileges"
}
