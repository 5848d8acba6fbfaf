# shellcheck shell=bash disable=SC2317,SC2015,SC2016  # functions are called through ok()
# Runs inside tests/vm: containerd and podman checkpoint and restore with husk-oci as their runtime.
#
# Arguments: the build folder, the folder of the images.
oci=$1/bin/husk-oci images=$2
work=/tmp/peers
mkdir -p $work
counter='i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.1; done'
counts_on() { # FROM COMMAND...: what the command prints is a number beyond it, soon
    local from=$1 now=0
    for _ in $(seq 60); do
        now=$("${@:2}" 2>/dev/null) || now=0
        ((${now:-0} > from)) && return 0
        sleep 0.2
    done
    echo "still $now, wanted more than $from"
    return 1
}

# ---- containerd ----
cat >$work/containerd.toml <<END
version = 2
root = "$work/containerd"
state = "/run/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd.sock"
END
containerd --config $work/containerd.toml >$work/containerd.log 2>&1 &
daemon=$!
ctr() { command ctr --address /run/containerd.sock "$@"; }
image=docker.io/library/busybox:latest
ok "containerd answers" comes 60 ctr version
ok "ctr images import" ctr images import "$images/busybox.tar"
ok "ctr run" ctr run --runc-binary "$oci" --runc-root /run/husk-ctr --detach $image c sh -c "$counter"
ctr_count() { cat "/proc/$(ctr task ls | awk '$1 == "c" { print $2 }')/root/count"; }
ctr_remove() { ctr task kill -s KILL c && comes 20 ctr task rm c && ctr containers rm c; }
ok "it counts" counts_on 2 ctr_count
ok "ctr containers checkpoint --task --rw" ctr containers checkpoint --image --task --rw c docker.io/test/c:1
before=$(ctr_count)
ok "it goes on" counts_on "$before" ctr_count
ok "it is removed" ctr_remove
ok "ctr containers restore --live" sh -c 'ctr --address /run/containerd.sock containers restore --live --rw c docker.io/test/c:1 >/tmp/peers/restore 2>&1 & for i in $(seq 100); do ctr --address /run/containerd.sock task ls | grep -q "^c .*RUNNING" && exit 0; sleep 0.2; done; cat /tmp/peers/restore; exit 1'
ok "it counts on from where it was" counts_on "$before" ctr_count
ok "by husk-oci" says '"running"' "$oci" --root /run/husk-ctr/default state c
ok "ctr task checkpoint --exit" ctr task checkpoint --exit --image-path $work/images c
ok "ends it" comes 20 sh -c 'ctr --address /run/containerd.sock task ls | grep "^c .*STOPPED"'
ok "and has written it" sh -c 'ls /tmp/peers/images/core-*.img'
ok "ctr task rm, ctr containers rm" sh -c 'ctr --address /run/containerd.sock task rm c; ctr --address /run/containerd.sock containers rm c'
ok "nothing of it is left" sh -c '! find /sys/fs/cgroup -type d -name c | grep . && ! ls /run/husk-ctr/default/c'
kill $daemon
none_failed || tail -n 30 $work/containerd.log

# ---- podman ----
cat >$work/containers.conf <<END
[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "husk-oci"
[engine.runtimes]
husk-oci = ["$oci"]
END
export CONTAINERS_CONF=$work/containers.conf
podman() { command podman --root $work/podman --runroot /run/podman-root --storage-driver overlay "$@"; }
podman_count() { cat "/proc/$(podman inspect -f '{{.State.Pid}}' p)/root/count"; }
ok "podman load" podman load -q -i "$images/busybox.tar"
ok "podman run" podman run -d --network none --name p busybox sh -c "$counter"
ok "it counts as well" counts_on 2 podman_count
# The archive has what the container wrote, and no mount points: those are the runtime's to make.
before=$(podman_count)
ok "podman container checkpoint --export" says p podman container checkpoint --export $work/p.tar.gz p
ok "ends it, too" says exited podman inspect -f '{{.State.Status}}' p
ok "podman rm" podman rm p
ok "podman container restore --import" podman container restore --import $work/p.tar.gz
ok "an import counts on" counts_on "$before" podman_count
ok "podman rm --force" podman rm --force --time 0 p
finish
