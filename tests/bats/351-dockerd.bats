#!/usr/bin/env bats
# dockerd with husk-oci as a runtime (`--add-runtime`), driven by Debian's docker.
# shellcheck disable=SC2016,SC2154

load helpers
load peers

setup_file() {
    husk_setup_file || return 1
    world_begin
    echo '{}' >"$T/daemon.json"
    mkdir "$T/tmp/volume" "$T/docker-config"
    # Its network is the world's, where nothing but the loopback is.
    peer_spawn dockerd dockerd --config-file "$T/daemon.json" --data-root "$T/docker" --exec-root /run/docker \
        --pidfile /run/docker.pid --host unix:///run/docker.sock --bridge none --iptables=false --ip6tables=false \
        --ip-forward=false --ip-masq=false --userland-proxy=false --storage-driver overlay2 \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$PEER_GROUP" \
        --add-runtime "husk=$HUSK_OCI" --default-runtime husk
    wait_until 90 docker version || { cat "$T/dockerd.log"; return 1; }
    docker load --quiet --input "$IMAGES/busybox.tar" >/dev/null
}
teardown_file() {
    local failed=0
    world_end || failed=1
    husk_teardown_file || failed=1
    return $failed
}
setup() {
    PEER=docker
    PEER_RM=(docker rm -f)
    PEER_COMMAND=(nsenter --target "$WORLD" --mount --net --pid -- /usr/bin/docker --config "$T/docker-config"
        --host unix:///run/docker.sock)
}
teardown() {
    peer_logs
    peer_remove_all
    [[ ! $(peer_groups) ]] || { echo "groups are left: $(peer_groups)"; return 1; }
}
docker() { in_world /usr/bin/docker --config "$T/docker-config" --host unix:///run/docker.sock "$@"; }

@test "dockerd: run, with most of its options" {
    peer_run_table
}

@test "dockerd: options that only it has" {
    check_table peer_run <<'END'
-w /new/dir --domainname there --init --cgroupns host busybox sh -c 'pwd; cat /proc/sys/kernel/domainname /proc/1/comm /proc/self/cgroup' | 0 | ~^/new/dir.there.docker-init.*memory:/husk-t
--memory-reservation 10m --memory-swappiness 10 --device-read-bps /dev/vda:1mb --userns host --ipc shareable --stop-signal USR1 busybox cat /sys/fs/cgroup/memory/memory.swappiness | 0 | 10
-v /etc/passwd:/etc busybox true                   | 125 | not a directory: unknown: Are you trying to mount a directory onto a file
busybox unshare --user true                        | 1   | Operation not permitted
--runtime runc busybox true                        | 0   |
END
}

@test "dockerd: images that husk packed with zstd are loaded from what husk save writes" {
    "$HUSK" import "$IMAGES/rootfs.tar" packed:1 >/dev/null
    [[ $("$HUSK" image inspect packed:1 | grep -c sha256) -gt 0 ]]
    jq -e '.layers[0].mediaType | endswith("zstd")' \
        "$HUSK_ROOT/blobs/sha256/$(jq -r '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "docker.io/library/packed:1").digest' "$HUSK_ROOT/index.json" | cut -d: -f2)"
    "$HUSK" save -o "$T/tmp/packed.tar" packed:1
    run docker load --input "$T/tmp/packed.tar"
    expect 0 "Loaded image: packed:1"
    [[ $(docker image inspect -f '{{.Id}}' packed:1) == $("$HUSK" image inspect -f '{{.Id}}' packed:1) ]]
    run docker run --rm --network none packed:1 /bin/busybox echo hello
    expect 0 "=hello"
    docker rmi packed:1 >/dev/null
    "$HUSK" copy --quiet store:packed:1 "docker-archive:$T/tmp/copied.tar:copied:1"
    run docker load --input "$T/tmp/copied.tar"
    expect 0 "Loaded image: copied:1"
    docker rmi copied:1 >/dev/null
}

@test "dockerd: a container's life: exec, pause, kill, logs, restart, stop, limits" {
    peer_lifecycle
}

@test "dockerd: the limits of a running container change" {
    docker run -d --name up --network none --memory 64m --memory-swap 64m busybox sleep 1000 >/dev/null
    docker update --memory 100m --memory-swap 100m --cpu-shares 333 --cpu-quota 20000 --cpu-period 50000 --pids-limit 33 up
    local pid
    pid=$(docker inspect -f '{{.State.Pid}}' up)
    [[ $(limit_of "$pid" memory memory.limit_in_bytes) == 104857600 ]]
    [[ $(limit_of "$pid" cpu cpu.shares) == 333 ]]
    [[ $(limit_of "$pid" cpu cpu.cfs_quota_us) == 20000 ]]
    [[ $(limit_of "$pid" cpu cpu.cfs_period_us) == 50000 ]]
    [[ $(limit_of "$pid" pids pids.max) == 33 ]]
    docker update --memory 50m up # less than before
    [[ $(limit_of "$pid" memory memory.limit_in_bytes) == 52428800 ]]
}

@test "dockerd: health, events and statistics" {
    local begin
    begin=$(date +%s)
    docker run -d --name health --network none --health-cmd 'test -e /tmp/ok' --health-interval 1s --health-retries 60 \
        busybox sh -c 'sleep 1; touch /tmp/ok; while :; do sleep 0.01; done' >/dev/null
    wait_until 60 is_healthy
    local usage
    usage=$(docker stats --no-stream --format '{{.CPUPerc}} {{.BlockIO}}' health)
    [[ $usage != '0.00%'* ]]
    # what the kernel counted for it, not for the machine: less than half a minute
    local pid
    pid=$(docker inspect -f '{{.State.Pid}}' health)
    (($(limit_of "$pid" cpuacct cpuacct.usage) < 30000000000))
    docker rm -f health
    run docker events --since "$begin" --until "$(($(date +%s) + 1))" --format '{{.Action}}'
    expect 0
    local action
    for action in create start 'exec_start: /bin/sh -c test -e /tmp/ok' 'health_status: healthy' kill die destroy; do
        grep -qx "$action" <<<"$output" || { echo "no event '$action': $output"; return 1; }
    done
}
is_healthy() { [[ $(docker inspect -f '{{.State.Health.Status}}' health) == healthy ]]; }

# Its directory is a shared mount, and the root that it gives is mounted there: a start with a user namespace parts from it.
@test "dockerd: --userns-remap gives every container a user namespace" {
    peer_spawn dockerd-remap dockerd --config-file "$T/daemon.json" --data-root "$T/docker-remap" --exec-root /run/remap \
        --pidfile /run/remap.pid --host unix:///run/remap.sock --bridge none --iptables=false --ip6tables=false \
        --ip-forward=false --ip-masq=false --userland-proxy=false --storage-driver overlay2 \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$PEER_GROUP" \
        --add-runtime "husk=$HUSK_OCI" --default-runtime husk --userns-remap "$HUSK_USER"
    wait_until 90 remapped version || { cat "$T/dockerd-remap.log"; return 1; }
    remapped load --quiet --input "$IMAGES/busybox.tar" >/dev/null
    local first
    first=$(awk -F: -v user="$HUSK_USER" '$1 == user { print $2; exit }' /etc/subuid)
    try() { remapped run --rm --network none "$@"; }
    check_table try <<END
-v volume:/v busybox sh -c 'touch /v/a /b && echo \$(stat -c %u /v/a /b) \$(cat /proc/self/uid_map)' | 0 | =0 0 0 $first 65536
--memory 30m --pids-limit 20 --sysctl kernel.shmmax=1111111 --read-only --tmpfs /t busybox sh -c 'touch /t/a && cat /proc/sys/kernel/shmmax' | 0 | =1111111
-t busybox sh -c 'tty; echo x >/dev/console'        | 0   | /dev/pts/0
--userns host busybox grep -c 4294967295 /proc/self/uid_map | 0 | =1
END
    remapped run -d --name up --network none busybox sleep 1000 >/dev/null
    run remapped exec -u nobody up id -u
    expect 0 =65534
    remapped pause up
    remapped unpause up
    remapped restart --time 0 up
    remapped rm -f up
    in_world bash -c 'kill $(</run/remap.pid)'
    wait_until 60 test ! -e "/proc/$WORLD/root/run/remap.pid"
}
remapped() { in_world /usr/bin/docker --config "$T/docker-config" --host unix:///run/remap.sock "$@"; }

@test "dockerd: a container that it finds again after its own restart" {
    docker run -d --name kept --network none --restart always busybox sleep 1000 >/dev/null
    in_world bash -c 'kill $(</run/docker.pid)'
    wait_until 60 test ! -e "/proc/$WORLD/root/run/docker.pid"
    peer_spawn dockerd-2 dockerd --config-file "$T/daemon.json" --data-root "$T/docker" --exec-root /run/docker \
        --pidfile /run/docker.pid --host unix:///run/docker.sock --bridge none --iptables=false --ip6tables=false \
        --ip-forward=false --ip-masq=false --userland-proxy=false --storage-driver overlay2 \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$PEER_GROUP" \
        --add-runtime "husk=$HUSK_OCI" --default-runtime husk
    wait_until 90 docker version
    wait_until 30 has_state running kept
    run docker exec kept echo here
    expect 0 =here
}
