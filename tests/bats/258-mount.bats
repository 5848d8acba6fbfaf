#!/usr/bin/env bats
# husk mount: a container's root in the caller's own tree.
# shellcheck disable=SC2016,SC2154

load helpers

setup_file() { setup_both_stores; }
teardown() {
    "$HUSK" unmount --all >/dev/null
    remove_all_containers
}

twice() { [[ $(grep -c in "$1") == 2 ]]; }

@test "mount: a stopped container's root is read and written, and a start sees it" {
    local path
    husk create --name one --network none busybox sh -c 'cat /put; echo told >/said' >/dev/null
    path=$(husk mount one)
    [[ -x $path/bin/busybox ]]
    echo from outside >"$path/put"
    [[ $(husk mount one) == "$path" ]]
    [[ $(husk mount --format '{{.Path}}') == "$path" ]]
    [[ $(husk mount --format json | jq -r .Container) == "$(husk inspect --format '{{.Id}}' one)" ]]
    run husk image mount
    expect 0 =
    # one overlay, mounted: both sides see what the other writes
    run husk start -a one
    expect 0 '=from outside'
    [[ $(<"$path/said") == told ]]
    run husk diff one
    expect 0 '=A /put
A /said'
    [[ $(husk cp one:/said - | tar -xO) == told ]]
    [[ $(husk unmount one) == one && ! -e $path ]]
    run husk start -a one
    expect 0 '=from outside'
    check_table <<'END'
unmount one         | 125 | container 'one' is not mounted here
unmount --force one | 0   | =
unmount             | 125 | needs one of CONTAINER..., --latest and --all
unmount nope        | 125 | nope
mount nope          | 125 | nope
mount --all one     | 125 | --all takes no container's name
END
}

@test "mount: of a running container it is what its programs see, and stays through a restart" {
    local path
    husk run -d --name runs --network none busybox sh -c 'echo in >>/said; exec sleep 1000' >/dev/null
    wait_until 10 husk exec runs test -e /said
    path=$(husk mount runs)
    [[ $(<"$path/said") == in ]]
    echo x >"$path/put"
    [[ $(husk exec runs cat /put) == x ]]
    husk restart -t 0 runs >/dev/null
    wait_until 10 twice "$path/said"
    echo y >"$path/put"
    [[ $(husk exec runs cat /put) == y ]]
    husk create --name other busybox true >/dev/null
    [[ $(husk mount --all | wc -l) == 2 && $(husk mount | wc -l) -ge 2 ]]
    # it goes with its container
    husk rm -f runs >/dev/null
    [[ ! -e $path ]]
    husk umount --all >/dev/null
    run husk mount
    expect 0 =
    run husk system check
    expect 0
}

@test "mount: an ordinary user mounts inside husk unshare, and no start comes between" {
    as_user husk create --name mine --network none busybox cat /put >/dev/null
    run as_user husk mount mine
    expect 125 'husk unshare'
    run as_user husk unshare sh -c 'p=$("$HUSK" mount mine) && echo put >$p/put && "$HUSK" mount && "$HUSK" unmount mine && "$HUSK" mount mine >/dev/null'
    expect 0 mine
    # the namespace has ended: its place is nobody's
    run as_user husk start -a mine
    expect 0 =put
    swept() { [[ ! $(as_user husk mount) && ! -e $USER_RUN/husk/mounts ]]; }
    wait_until 10 swept # a namespace ends a little after its last process
    # one that lives
    mkfifo "$T/tmp/go"
    chmod 666 "$T/tmp/go"
    as_user husk unshare sh -c '"$HUSK" mount mine && read -r x <"$0"' "$T/tmp/go" >"$T/tmp/path" 3>&- &
    wait_until 10 grep -q mounts "$T/tmp/path"
    run as_user husk start -a mine
    expect 1 'mounted in another mount namespace'
    as_user husk mount >/dev/null # nor does a sweep take it away
    run as_user husk start -a mine
    expect 1 'mounted in another mount namespace'
    echo >"$T/tmp/go"
    wait $!
    started() { run as_user husk start -a mine && [[ $status == 0 ]]; }
    wait_until 20 started # that namespace, too; and who may not be looked at, as pasta, may be in it
    expect 0 =put
    wait_until 10 swept
    as_user husk run -d --name live --network none busybox sleep 1000 >/dev/null
    run as_user husk unshare "$HUSK" mount live
    expect 125 'user namespace'
}
