#!/usr/bin/env bats
# What is wrong is said in one clear sentence, with the right exit status, and nothing half-made is left.
# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154 # HUSK_ROOT is set per test, on purpose; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"

teardown() {
    [[ ! $(husk ps -aq) && ! $(user_husk ps -aq) ]] || { husk ps -a; user_husk ps -a; remove_all_containers; return 1; }
}

# One line, and it begins with the command's name.
one_sentence() {
    [[ $(wc -l <<<"$output") == 1 && $output == husk\ * && $output != *. ]] || { echo "no sentence: $output"; return 1; }
}

@test "bad input: every wrong option is one sentence" {
    local h row args
    for h in $WHO; do
        while read -r args; do
            eval "run $h run --rm $args" </dev/null
            expect 125
            one_sentence
        done <<'ROWS'
--nope busybox true
--pull sometimes busybox true
-p 80:80:80 busybox true
--memory lots busybox true
--memory -5 busybox true
--cpus none busybox true
--cpu-shares 1 busybox true
--pids-limit x busybox true
--ulimit nofile busybox true
--ulimit nofile=x busybox true
--user 'a b' busybox true
--user a:b:c busybox true
--user -1 busybox true
--workdir x busybox true
--env =x busybox true
--env-file /no/such busybox true
--env-file /dev busybox true
--label =x busybox true
--label-file /no/such busybox true
--device null busybox true
--device /dev/null:x busybox true
--device-cgroup-rule x busybox true
--mount type=x,target=/y busybox true
--volume :/x busybox true
--volume /tmp:/x:rw,ro busybox true
--tmpfs / busybox true
--hostname 'a b' busybox true
--hostname -x busybox true
--add-host x busybox true
--dns x busybox true
--network x busybox true
--pid container: busybox true
--userns x busybox true
--ipc x busybox true
--uts x busybox true
--sysctl x busybox true
--sysctl a.b=c busybox true
--cap-add x busybox true
--cap-drop x busybox true
--security-opt x busybox true
--security-opt seccomp=/etc/passwd busybox true
--stop-signal x busybox true
--stop-timeout x busybox true
--log-driver x busybox true
--log-opt x=1 busybox true
--log-opt max-size=1 busybox true
--log-opt max-file=0 busybox true
--shm-size 0 busybox true
--oom-score-adj x busybox true
--platform linux/ busybox true
--cidfile /no/such/dir/file busybox true
--detach-keys ctrl-nothing busybox true
--sig-proxy=perhaps busybox true
--attach x busybox true
-d -a stdout busybox true
--rootfs /no/such true
--rootfs /etc/passwd true
--pull never no-such-image true
--pull never 'UPPER case' true
--pull never busybox:no:tag true
--pull never busybox@sha256:123 true
--name x/y busybox true
ROWS
    done
}

@test "bad input: a command that is not there leaves no container with --rm, and says why without" {
    local h
    for h in $WHO; do
        run $h run --name gone busybox /no/such
        expect 127
        one_sentence
        [[ $($h inspect -f '{{.State.Status}} {{.State.ExitCode}}' gone) == "created 127" ]]
        [[ $($h inspect -f '{{.State.Error}}' gone) == *"exec '/no/such': No such file or directory" ]]
        run $h start gone
        expect 127 "exec '/no/such': No such file or directory"
        $h rm gone
    done
}

@test "bad input: a damaged store" {
    export HUSK_ROOT=$T/damaged
    load_busybox
    local id manifest blob
    manifest=$(husk images --format '{{.Digest}}')
    blob=$HUSK_ROOT/blobs/sha256/${manifest#sha256:}
    cp "$blob" "$T/tmp/blob"
    echo '{"half' >"$blob"
    run husk run --rm busybox true
    expect 125
    one_sentence
    : >"$blob"
    run husk run --rm busybox true
    expect 125
    one_sentence
    cp "$T/tmp/blob" "$blob"
    run husk run --rm busybox true
    expect 0
    mv "$HUSK_ROOT/layers" "$T/tmp/layers"
    mkdir "$HUSK_ROOT/layers"
    run husk run --rm busybox true
    expect 125 "is not in the store: pull the image again"
    rmdir "$HUSK_ROOT/layers"
    mv "$T/tmp/layers" "$HUSK_ROOT/layers"
    echo 'no database' >"$HUSK_ROOT/husk.db"
    rm -f "$HUSK_ROOT"/husk.db-*
    run husk ps
    expect 1 "the file is damaged"
    one_sentence
    rm -rf "$HUSK_ROOT"
    export HUSK_ROOT=$T/root
}

@test "bad input: a full disk" {
    ((EUID == 0)) || skip_unless_kernel "needs root to mount a small disk" false
    # In a mount namespace of its own: the host sees nothing of it.
    run unshare --mount --propagation private bash -c '
        set -e
        mkdir -p "$1/small" && mount -t tmpfs -o size=8m small "$1/small"
        export HUSK_ROOT=$1/small/root
        "$2" load --quiet --input "$3/busybox.tar"
        "$2" run --rm busybox true
        dd if=/dev/zero of="$1/small/fill" bs=64k 2>/dev/null || true
        "$2" run --rm busybox true && exit 1
        rm "$1/small/fill"
        left=$("$2" ps -aq)
        [[ ! $left ]] || "$2" rm -f $left
        "$2" run --rm busybox echo works again
    ' bash "$T/tmp" "$HUSK" "$IMAGES"
    expect 0
    [[ $output == *"husk run:"*"No space left on device"* ]]
    [[ $output == *"works again" ]]
}

@test "bad input: folders that are not ours" {
    ((EUID == 0)) || skip_unless_kernel "needs root for a folder of another user" false
    mkdir -m 777 "$T/tmp/theirs"
    HUSK_RUN=$T/tmp/theirs run husk run --rm busybox true
    expect 125 "belongs to another user or is writable by others"
    HUSK_ROOT=/proc/nothing run husk run --rm busybox true
    expect 125
    one_sentence
    HUSK_LIBEXEC=/nowhere run husk run --rm busybox true
    expect 125 "husk's program"
}

@test "a full disk: rm makes room, and then everything works again" {
    ((EUID == 0)) || skip "kernel: an ordinary user's namespaces end with the commands that made them"
    mkdir -p "$T/tmp/small"
    run unshare -m bash -ec '
        mount -t tmpfs -o size=12m small "$1" && export HUSK_ROOT=$1/root
        "$2" import "$3" busybox >/dev/null
        "$2" run -d --name filler busybox sh -c "dd if=/dev/zero of=/x bs=64k 2>/dev/null; sleep 100" >/dev/null
        while [[ $(stat -fc %a "$1") -gt 16 ]]; do sleep 0.1; done
        dd if=/dev/zero of="$1/rest" bs=4k 2>/dev/null || true
        ! "$2" run --rm busybox true
        "$2" rm -f filler
        "$2" run --rm busybox true
        "$2" system check
    ' - "$T/tmp/small" "$HUSK" "$IMAGES/rootfs.tar"
    echo "$output"
    ((status == 0))
    [[ $output == *"No space left on device"* && $output == *"no problems"* ]]
}
