#!/usr/bin/env bats
# An image's files elsewhere than in a container's root: --mount type=image, husk image mount.
# shellcheck disable=SC2016,SC2154

load helpers

setup_file() {
    husk_setup_file || return 1
    two_layers husk
    two_layers as_user husk
}
# busybox, and two:1 with a second layer that adds, removes and makes anew
two_layers() {
    "$@" load --quiet --input "$IMAGES/busybox.tar"
    "$@" run --name made --network none busybox sh -c 'mkdir -p /data/sub; echo 1 >/data/sub/f; rm /bin/ls; rm -rf /home; mkdir /home; echo h >/home/h; ln -s data /link'
    "$@" commit made two:1
    "$@" rm made
} >/dev/null

rows() {
    check_table "$@" run --rm --network none <<'END'
--mount type=image,source=two:1,target=/img busybox sh -c 'cat /img/data/sub/f /img/home/h; test ! -e /img/bin/ls && touch /img/x'  | 1 | ~1.h.touch:./img/x:.Read-only.file.system
--mount type=image,source=busybox,target=/img busybox sh -c 'ls /img/bin/ls; touch /img/x'                   | 1 | ~/img/bin/ls.touch:./img/x:.Read-only.file.system
--mount type=image,src=two:1,dst=/img,rw=true busybox sh -c 'echo w >>/img/x; rm /img/home/h; cat /img/x; test ! -e /img/home/h' | 0 | =w
--mount type=image,source=two:1,target=/img,subpath=data/sub busybox ls /img                                 | 0 | =f
--mount type=image,source=two:1,target=/img,subpath=data/./sub/ busybox ls /img                              | 0 | =f
--mount type=image,source=two:1,target=/img,subpath=home busybox ls /img                                     | 0 | =h
--mount type=image,source=two:1,target=/img,subpath=etc busybox cat /img/hostname                            | 1 | No such file
--mount type=image,source=two:1,target=/img,subpath=bin/busybox busybox cmp /img /bin/busybox                | 0 |
--mount type=image,source=two:1,target=/img,subpath=bin/ls busybox true                                      | 125 | mount '/img': the image has no 'bin/ls'
--mount type=image,source=two:1,target=/img,subpath=nothing busybox true                                     | 125 | the image has no 'nothing'
--mount type=image,source=two:1,target=/img,subpath=link/sub busybox true                                    | 125 | subpath: 'link' is a link
--mount type=image,source=nope:1,target=/img busybox true                                                    | 125 | image 'nope:1': no such image
--mount type=image,target=/img busybox true                                                                  | 125 | source=IMAGE is missing
--mount type=image,source=two:1,target=/img,volume-nocopy busybox true                                       | 125 | 'volume-nocopy' is for type=volume only
END
}

@test "image mount: a container sees an image at a path, read-only or with a layer of its own, as root" {
    rows "$HUSK"
}
@test "image mount: a container sees an image at a path, read-only or with a layer of its own, as an ordinary user" {
    rows as_user husk
}

@test "image mount: the container keeps the image's layers, and inspect, cp and restart know the mount" {
    husk tag two:1 kept:1
    husk create --name keeps --network none --mount type=image,source=kept:1,target=/img busybox cat /img/data/sub/f >/dev/null
    husk rmi kept:1 two:1 >/dev/null
    for i in 1 2; do
        run husk start -a keeps
        expect 0 =1
        [[ $(husk cp keeps:/img/data/sub/f - | tar -xO) == 1 ]]
    done
    run husk inspect --format '{{json .Mounts}}' keeps
    expect 0 '"Type":"image"'
    husk system check
    husk rm keeps
    two_layers husk
}

@test "image mount: with --userns auto the files are the container's root's" {
    printf 'root:1000000000:131072\n' >"$T/tmp/subids"
    for mount in type=image,source=busybox,target=/img type=image,source=two:1,target=/img type=image,source=two:1,target=/img,rw=true; do
        run unshare --mount --propagation private bash -c 'mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && "$@"' \
            "$T/tmp/subids" "$HUSK" run --rm --network none --userns auto --mount $mount busybox stat -c '%u %g' /img/bin/busybox
        expect 0 '=0 0'
    done
}

@test "image mount: husk image mount shows an image to the host, and unmount takes it away" {
    local path
    path=$(husk image mount two:1)
    [[ $(<"$path/data/sub/f") == 1 && ! -e $path/bin/ls && -x $path/bin/busybox ]]
    run touch "$path/x"
    expect 1 'Read-only file system'
    [[ $(husk image mount two:1) == "$path" ]]
    run husk image mount
    expect 0 "$path"
    [[ $(husk image mount --format '{{.Path}}') == "$path" ]]
    husk image mount busybox two:1 | grep -q "^busybox /"
    # what is looked at stays when the image goes
    husk rmi two:1 >/dev/null
    [[ $(<"$path/data/sub/f") == 1 ]] || [[ $(ls "$path") ]]
    husk image unmount --all
    run husk image mount
    expect 0 =
    [[ ! -e $path ]]
    two_layers husk
    check_table <<'END'
image unmount busybox         | 125 | image 'busybox' is not mounted here
image unmount --force busybox | 0   |
image unmount                 | 125 | needs IMAGE..., or --all
image mount nope:1            | 125 | no such image
END
}

swept() { as_user husk image mount && [[ ! -e $USER_RUN/husk/mounts ]]; }
repaired() { as_user husk system check --repair >/dev/null && [[ ! -e $USER_RUN/husk/mounts ]]; }
says_so() { "$@" | grep -q 'mount namespaces have ended'; }

@test "image mount: an ordinary user mounts inside husk unshare, and it ends with it" {
    run as_user husk image mount two:1
    expect 125 'husk unshare'
    run as_user husk unshare sh -c 'p=$("$HUSK" image mount two:1) && cat $p/data/sub/f && "$HUSK" image mount && "$HUSK" image unmount two:1 && "$HUSK" image mount two:1 >/dev/null'
    expect 0 '~^1
sha256:'
    # the namespace is gone and left the folder: found, and removed
    wait_until 10 says_so as_user husk system check
    # (while any process of the user's may not be looked at, nothing is: another file may have one for a moment)
    wait_until 10 repaired
    # or by the next command
    as_user husk unshare "$HUSK" image mount two:1 >/dev/null
    wait_until 10 says_so as_user husk system check
    run as_user husk image mount
    expect 0 =
    wait_until 10 swept
}
