#!/usr/bin/env bats
# podman with husk-oci as its runtime (`--runtime`), as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154

load helpers
load peers

setup_file() {
    husk_setup_file || return 1
    world_begin
    mkdir "$T/tmp/volume"
    chmod 777 "$T/tmp/volume"
    echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$T/policy.json"
    # Debian's podman asks for more open files and processes than some machines' root may have, and without systemd it
    # can neither make groups through it nor log to the journal.
    export CONTAINERS_CONF=$T/containers.conf
    cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
    chmod 644 "$T/policy.json" "$CONTAINERS_CONF"
    podman load --quiet --signature-policy "$T/policy.json" --input "$IMAGES/busybox.tar" >/dev/null
    user_podman load --quiet --signature-policy "$T/policy.json" --input "$IMAGES/busybox.tar" >/dev/null
}
teardown_file() {
    local failed=0
    world_end || failed=1
    husk_teardown_file || failed=1
    return $failed
}
setup() {
    PEER=podman
    PEER_RM=(podman rm -f -t 0)
    PEER_COMMAND=(nsenter --target "$WORLD" --mount --net --pid -- podman --root "$T/podman"
        --runroot /run/podman --tmpdir /run/podman-tmp --storage-driver overlay --runtime "$HUSK_OCI")
}
teardown() {
    peer_logs
    peer_remove_all
    [[ ! $(peer_groups) ]] || { echo "groups are left: $(peer_groups)"; return 1; }
}
podman() {
    in_world podman --root "$T/podman" --runroot /run/podman --tmpdir /run/podman-tmp --storage-driver overlay \
        --runtime "$HUSK_OCI" "$@"
}
user_podman() {
    user_in_world podman --root "$USER_HOME/podman" --runroot /run/user/podman --tmpdir /run/user/podman-tmp \
        --storage-driver overlay --runtime "$HUSK_OCI" "$@"
}
# What makes containers is told the group that they belong to.
in_group() { # PODMAN COMMAND ARG...
    local podman=$1 command=$2
    shift 2
    case $command in
    run | create) "$podman" "$command" --cgroup-parent "/$PEER_GROUP" "$@" ;;
    *) "$podman" "$command" "$@" ;;
    esac
}
podman_in_group() { in_group podman "$@"; }

@test "podman: run, with most of its options" {
    PEER=podman_in_group
    peer_run_table
    check_table peer_run <<'END'
-v /etc/passwd:/etc busybox true                    | 126 | Not a directory
--init busybox cat /proc/1/comm                     | 0   | =podman-init
END
}

@test "podman: a container's life: exec, pause, kill, logs, restart, stop, limits" {
    PEER=podman_in_group
    peer_lifecycle
}

@test "podman: a pod: containers that share namespaces and a group" {
    podman pod create --name pod --share ipc,net,uts,pid --cgroup-parent "/$PEER_GROUP" >/dev/null
    podman run -d --pod pod --name one busybox sleep 1000 >/dev/null
    run podman run --rm --pod pod busybox ps
    expect 0 "sleep 1000"
    [[ $(podman exec one readlink /proc/self/ns/net) == "$(podman run --rm --pod pod busybox readlink /proc/self/ns/net)" ]]
    podman pod pause pod
    has_state paused one
    podman pod unpause pod
    has_state running one
    podman rm -f -t 0 one
    podman pod rm -f pod
    # of the pod's own group podman removes the v1 part, which it made
    rmdir /sys/fs/cgroup/unified/"$PEER_GROUP"/* 2>/dev/null || true
}

@test "podman as an ordinary user: run" {
    PEER=user_podman PEER_RM=(user_podman rm -f -t 0)
    check_table peer_run <<'END'
busybox sh -c 'echo out; echo err >&2; exit 32'     | 32  | out
busybox /nope                                       | 127 | exec '/nope'
busybox /etc                                        | 126 | exec '/etc'
--user 1000:50 -e A=b --hostname elsewhere --read-only busybox sh -c 'echo $A $(id -u) $(id -g) $(hostname); touch /no' | 1 | ~^b.1000.50.elsewhere.touch:./no:.Read-only
-v "$T/tmp/volume:/v" busybox sh -c 'echo user >/v/user && cat /v/user' | 0 | =user
--cap-drop ALL busybox sh -c 'echo $(grep -hE "CapBnd|Seccomp:" /proc/self/status)' | 0 | CapBnd: 0000000000000000 Seccomp: 2
--privileged busybox sh -c 'ls /dev | wc -l; mount -t tmpfs x /mnt 2>&1 || mkdir /mnt && mount -t tmpfs x /mnt && echo mounted' | 0 | mounted
--userns keep-id busybox sh -c 'id -u'              | 0   | ~^[1-9]
--device /dev/null:/dev/other busybox sh -c 'echo x >/dev/other; cat /dev/other | wc -c' | 0 | =0
--uts host busybox readlink /proc/self/ns/uts | 0 | uts:
-t busybox tty                                      | 0   | /dev/pts/0
END
}

@test "podman as an ordinary user: a container's life" {
    PEER=user_podman PEER_RM=(user_podman rm -f -t 0)
    user_podman run -d --name life --network none busybox sh -c \
        'echo started; trap "echo term; exit 3" TERM; trap "echo usr1" USR1; while :; do sleep 0.1; done' >/dev/null
    wait_until 30 logs_have started
    run user_podman exec life sh -c 'echo in; exit 4'
    expect 4 =in
    peer_resize nsenter --target "$WORLD" --mount --net --pid -- setpriv --reuid "$HUSK_USER" --regid "$HUSK_USER" --init-groups env -i \
        "PATH=$PATH" "HOME=$USER_HOME" XDG_RUNTIME_DIR=/run/user "CONTAINERS_CONF=$CONTAINERS_CONF" podman --root "$USER_HOME/podman" \
        --runroot /run/user/podman --tmpdir /run/user/podman-tmp --storage-driver overlay --runtime "$HUSK_OCI" exec -it life
    output_has /dev/pts/0
    user_podman kill --signal USR1 life
    wait_until 30 logs_have usr1
    run user_podman top life
    expect 0 "sleep 0.1"
    user_podman restart --time 20 life
    has_state running
    wait_until 30 logs_have term
    user_podman stop --time 20 life
    [[ $(user_podman inspect -f '{{.State.Status}} {{.State.ExitCode}}' life) == 'exited 3' ]]
    user_podman start life
    user_podman kill life
    wait_until 30 has_state exited
    user_podman rm life
    # a pause needs a control group, which a host with v1 gives no ordinary user: the message says so
    user_podman run -d --name life --network none busybox sleep 1000 >/dev/null
    run user_podman pause life
    ((status != 0))
}
