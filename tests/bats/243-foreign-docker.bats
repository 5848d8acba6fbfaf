#!/usr/bin/env bats
# husk import --from docker: the store of Debian's dockerd (overlay2), while dockerd runs.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers
load peers

setup_file() {
    husk_setup_file || return 1
    world_begin
    echo '{}' >"$T/daemon.json"
    mkdir "$T/docker-config"
    peer_spawn dockerd dockerd --config-file "$T/daemon.json" --data-root "$T/docker" --exec-root /run/docker \
        --pidfile /run/docker.pid --host unix:///run/docker.sock --bridge none --iptables=false --ip6tables=false \
        --ip-forward=false --ip-masq=false --userland-proxy=false --storage-driver overlay2 \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$PEER_GROUP"
    wait_until 90 docker version || { cat "$T/dockerd.log"; return 1; }
    docker load --quiet --input "$IMAGES/busybox.tar" >/dev/null
    docker tag busybox example.org/other:2
}
teardown_file() {
    local failed=0
    world_end || failed=1
    husk_teardown_file || failed=1
    return $failed
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/tmp/store
}
teardown() {
    peer_logs
    find "$T/tmp" -mindepth 1 -delete
}
docker() { in_world /usr/bin/docker --config "$T/docker-config" --host unix:///run/docker.sock "$@"; }

@test "docker: its images are listed, and taken over by hard links with all names and the same ID" {
    local id
    run "$HUSK" import --from docker --root "$T/docker"
    expect 0 "example.org/other:2"
    output_has "busybox:latest"
    run "$HUSK" import --from docker --root "$T/docker" busybox
    expect 0 "~[1-9][0-9]* hard links, 0 clones .reflink., 0 copies"
    id=$(docker images -q --no-trunc busybox)
    [[ $("$HUSK" images -q --no-trunc busybox) == "$id" && $("$HUSK" images -q --no-trunc example.org/other:2) == "$id" ]]
    run "$HUSK" run --rm busybox echo it runs
    expect 0 "it runs"
    run "$HUSK" system check
    expect 0
}

@test "docker: with --packed the layers are what docker save gives, to the byte" {
    local layer
    "$HUSK" import --from docker --root "$T/docker" --packed "$(docker images -q busybox)"
    docker save busybox >"$T/tmp/saved.tar"
    mkdir "$T/tmp/saved"
    tar -C "$T/tmp/saved" -xf "$T/tmp/saved.tar"
    for layer in "$HUSK_ROOT"/layers/*; do
        sha256sum <"$HUSK_ROOT/blobs/sha256/${layer##*/}" | grep -q "${layer##*/}"
        find "$T/tmp/saved" -name '*.tar' -type f -exec sha256sum {} + | grep -q "${layer##*/}" ||
            [[ -e $T/tmp/saved/blobs/sha256/${layer##*/} ]]
    done
    store_is_sound "$HUSK_ROOT"
}
