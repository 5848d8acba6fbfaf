#!/usr/bin/env bats
# Bundles go both ways: what husk writes runs under runc and crun, and what they write runs under husk-oci, with the same
# output and exit status.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup_file() {
    husk_setup_file || return 1
    load_busybox
    mkdir "$T/tmp/volume"
}

# crun knows no hybrid hosts: it gets a mount namespace without the v2 part. cgroupsPath is out of husk's own folder.
crun_without_v2() {
    unshare --mount --propagation private sh -c '
        [ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified
        exec crun --root "$0" "$@"' "$TRUN/crun" "$@"
}
run_with() { # RUNTIME BUNDLE ID
    case $1 in
    husk-oci) oci run --bundle "$2" "$3" ;;
    runc) runc --root "$TRUN/runc" run --bundle "$2" "$3" ;;
    crun) crun_without_v2 run --bundle "$2" "$3" ;;
    esac
}
no_groups_are_left() { ! find /sys/fs/cgroup -maxdepth 4 -type d -path "*/${T##*/}-$1" | grep .; }

# of_husk OPTION... IMAGE COMMAND...: what `husk run` writes for them, as a bundle in $B. Only what husk holds open for
# its own containers is replaced: the overlay, which each start mounts anew, by a copy of the image.
of_husk() {
    local id
    id=$("$HUSK" run --detach --network none "$@")
    "$HUSK" wait "$id" >/dev/null
    B=$T/tmp/of-husk
    rm -rf "$B"
    mkdir "$B"
    cp -a "$IMAGES/rootfs" "$B/rootfs"
    jq --arg root "$B/rootfs" --arg group "/husk/${T##*/}-of-husk" '.root.path = $root | .linux.cgroupsPath = $group
        | .mounts |= map(select(.destination | test("^/etc/(hosts|hostname|resolv.conf)$") | not))' \
        "$HUSK_ROOT/containers/$id/config.json" >"$B/config.json"
    "$HUSK" rm "$id" >/dev/null
}

@test "bundles of husk run run under runc and crun as under husk" {
    local row want_status want_output runtime wrong=0
    local -a options rows
    mapfile -t rows <<'END'
busybox sh -c 'echo hello; echo err; exit 7'
busybox sh -c 'id -u; cat /proc/self/uid_map; grep -E "Cap|NoNew|Seccomp:" /proc/self/status'
--user 1000:50 --workdir /tmp --env A=b --read-only --tmpfs /var/tmp busybox sh -c 'id; pwd; echo $A; touch /var/tmp/a 2>&1; touch /no 2>&1'
--memory 64m --pids-limit 50 --cpus 0.5 busybox sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max'
--volume "$T/tmp/volume:/v:ro" busybox touch /v/x
--ulimit nofile=100:200 --cap-drop all --hostname elsewhere busybox sh -c 'ulimit -n; ulimit -Hn; hostname; grep CapBnd /proc/self/status'
--security-opt no-new-privileges --sysctl kernel.shmmax=4096 busybox sh -c 'cat /proc/sys/kernel/shmmax; mount -t tmpfs x /tmp 2>&1'
busybox sh -c 'ls /dev | grep -v core; ls -l /dev/null /dev/tty | cut -c1-10; awk "{print \$5}" /proc/self/mountinfo | sort | uniq | grep -v -e cgroup -e /proc/ -e /sys/ -e /etc/'
END
    for row in "${rows[@]}"; do
        eval "options=($row)"
        run "$HUSK" run --rm --network none "${options[@]}"
        want_status=$status want_output=$output
        of_husk "${options[@]}"
        for runtime in husk-oci runc crun; do
            # Debian 12's crun refuses versions that it does not know
            [[ $runtime != crun ]] || change '.ociVersion = "1.0.2"'
            run run_with $runtime "$B" "of-husk-$runtime"
            [[ $status == "$want_status" && $output == "$want_output" ]] || {
                printf '%s: %s\n  status %s and "%s" instead of %s and "%s"\n' "$runtime" "$row" "$status" "$output" \
                    "$want_status" "$want_output"
                wrong=1
            }
            no_groups_are_left of-husk || wrong=1
        done
    done
    ((!wrong))
}

@test "bundles of runc spec and crun spec run under husk-oci as under their own" {
    local runtime wrong=0 text
    text='echo hello; hostname; id; pwd; cat /proc/self/uid_map; grep -E "Cap|NoNew|Seccomp:" /proc/self/status; ulimit -n
        ls /dev | grep -v core; awk "{print \$5}" /proc/self/mountinfo | grep -v cgroup | sort; touch /x 2>&1; exit 9'
    for runtime in runc crun; do
        B=$T/tmp/of-$runtime
        mkdir "$B"
        cp -a "$IMAGES/rootfs" "$B/rootfs"
        (cd "$B" && $runtime spec)
        change '.process.terminal = false' ".linux.cgroupsPath = \"/husk/${T##*/}-of-$runtime\"" "$(sh_c "$text")" \
            '.linux.namespaces |= map(select(.type != "cgroup"))'
        run run_with $runtime "$B" "of-$runtime"
        [[ $status == 9 ]] || { echo "$runtime itself: $status: $output" && wrong=1; }
        local theirs=$output
        run run_with husk-oci "$B" "of-$runtime"
        if [[ $status != 9 || $output != "$theirs" ]]; then
            echo "$runtime: status $status"
            diff <(echo "$theirs") <(echo "$output") || true
            wrong=1
        fi
        no_groups_are_left "of-$runtime" || wrong=1
    done
    ((!wrong))
}

@test "bundles of runc spec --rootless run under husk-oci as an ordinary user" {
    B=$T/tmp/rootless
    mkdir "$B"
    cp -a "$IMAGES/rootfs" "$B/rootfs"
    chown -R "$HUSK_USER:" "$B"
    (cd "$B" && setpriv --reuid "$HUSK_USER" --regid "$HUSK_USER" --init-groups runc spec --rootless)
    change '.process.terminal = false' "$(sh_c 'id -u; echo hello; exit 5')"
    run user_oci run --bundle "$B" rootless
    expect 5 $'=0\nhello'
}
