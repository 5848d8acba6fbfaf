#!/usr/bin/env bats
# Kubernetes' way to husk-oci: containerd's CRI plugin with husk-oci as its runtime handler, called as a kubelet calls it
# (cri.py): pods of several containers, their limits, users and probes.
# shellcheck disable=SC2016,SC2154

load helpers
load peers

setup_file() {
    husk_setup_file || return 1
    world_begin
    mkdir "$T/cni" "$T/logs"
    echo "{\"cniVersion\": \"0.4.0\", \"name\": \"pods\", \"plugins\": [{\"type\": \"ptp\", \"ipam\": {\"type\": \"host-local\",
        \"dataDir\": \"$T/cni-data\", \"ranges\": [[{\"subnet\": \"10.98.7.0/24\"}]]}}]}" >"$T/cni/10-pods.conflist"
    cat >"$T/containerd.toml" <<END
version = 2
root = "$T/containerd"
state = "/run/containerd-state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  stream_server_port = "0"
  restrict_oom_score_adj = true # root of some machines may lower it no further than it is
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$T/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "husk"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.husk]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.husk.options]
      BinaryName = "$HUSK_OCI"
END
    peer_spawn containerd containerd --config "$T/containerd.toml"
    # what a pod's first process runs: nothing
    load_busybox
    husk create --name pause --network none busybox >/dev/null
    husk commit --quiet --change 'CMD ["sleep", "100000"]' pause localhost/pause:1 >/dev/null
    husk rm pause >/dev/null
    husk save --quiet --output "$T/pause.tar" localhost/pause:1
    wait_until 60 ctr version || { cat "$T/containerd.log"; return 1; }
    ctr images import "$IMAGES/busybox.tar" >/dev/null
    ctr images import "$T/pause.tar" >/dev/null
    wait_until 10 has_image localhost/pause:1 || { grep 'load plugin' "$T/containerd.log"; return 1; }
    wait_until 30 has_image "$IMAGE"
}
teardown_file() {
    local failed=0
    world_end || failed=1
    husk_teardown_file || failed=1
    return $failed
}

IMAGE=docker.io/library/busybox:latest
ctr() { in_world ctr --address /run/containerd.sock --namespace k8s.io "$@"; }
cri() { in_world python3 "$BATS_TEST_DIRNAME/cri.py" /run/containerd.sock "$@"; }
has_image() { [[ $(cri ImageStatus "{\"image\": {\"image\": \"$1\"}}" | jq -r .image.id) == sha256:* ]]; }

# begin_pod NAME [JQ]: a pod; its id in $pod
begin_pod() {
    sandbox=$(jq -nc --arg name "$1" --arg group "/$PEER_GROUP/$1" --arg logs "$T/logs" '{metadata: {name: $name, uid: "u-\($name)", namespace: "default"},
        hostname: $name, log_directory: $logs, dns_config: {servers: ["10.98.7.1"], searches: ["cluster.local"], options: ["ndots:5"]},
        linux: {cgroup_parent: $group, security_context: {namespace_options: {pid: 1}}}} | '"${2:-.}")
    pod=$(cri RunPodSandbox "{\"config\": $sandbox, \"runtime_handler\": \"husk\"}" | jq -r .pod_sandbox_id)
    [[ $pod =~ ^[0-9a-f]{64}$ ]]
}
# make NAME TEXT [JQ]: a container of it that runs TEXT by a shell; its id in $id
make() {
    local config
    config=$(jq -nc --arg name "$1" --arg text "$2" --arg image "$IMAGE" '{metadata: {name: $name}, image: {image: $image},
        command: ["sh", "-c", $text], log_path: "\($name).log", linux: {security_context: {namespace_options: {pid: 1}}}} | '"${3:-.}")
    id=$(cri CreateContainer "{\"pod_sandbox_id\": \"$pod\", \"config\": $config, \"sandbox_config\": $sandbox}" | jq -r .container_id)
}
begin() { make "$@" && cri StartContainer "{\"container_id\": \"$id\"}" >/dev/null; }
status_of() { cri ContainerStatus "{\"container_id\": \"$1\"}" | jq -r '.status | "\(.state) \(.exit_code) \(.reason)"'; }
has_status() { [[ $(status_of "$1") == "$2" ]]; }
# inside ID TEXT: what a probe of exec sees
inside() {
    cri ExecSync "$(jq -nc --arg id "$1" --arg text "$2" '{container_id: $id, cmd: ["sh", "-c", $text]}')" |
        jq -r '"\(.exit_code) \(.stdout)\(.stderr)"'
}
pid_of() { ctr task ls | awk -v id="$1" '$1 == id { print $2 }'; }
end_pod() {
    cri StopPodSandbox "{\"pod_sandbox_id\": \"$pod\"}" >/dev/null
    cri RemovePodSandbox "{\"pod_sandbox_id\": \"$pod\"}" >/dev/null
    pod=''
    # the pod's own group is the kubelet's, here the file's
    ! peer_groups | grep -E '/[0-9a-f]{64}' || return 1
}

teardown() {
    peer_logs
    [[ ! ${pod-} ]] || end_pod
}

@test "a pod: its network, name and resolver; a container with limits, a user and rights; probes, update, statistics, stop" {
    local pid
    begin_pod web '.linux.sysctls = {"net.ipv4.ip_unprivileged_port_start": "1"}'
    [[ $(cri PodSandboxStatus "{\"pod_sandbox_id\": \"$pod\"}" | jq -r '.status | "\(.state) \(.network.ip)"') == "0 10.98.7."* ]]
    mkdir -p "$T/tmp/volume"
    echo data >"$T/tmp/volume/file"
    begin app 'echo begun; trap "echo over; exit 9" TERM; while :; do sleep 0.1; done' '.envs = [{key: "A", value: "b"}] | .working_dir = "/tmp" |
        .mounts = [{container_path: "/v", host_path: "'"$T/tmp/volume"'", readonly: 1}] |
        .linux.resources = {cpu_period: 100000, cpu_quota: 50000, cpu_shares: 512, memory_limit_in_bytes: 67108864, oom_score_adj: 500, cpuset_cpus: "0"} |
        .linux.security_context += {run_as_user: {value: 1000}, run_as_group: {value: 50}, supplemental_groups: [7], readonly_rootfs: 1,
            no_new_privs: 1, capabilities: {drop_capabilities: ["ALL"], add_capabilities: ["NET_BIND_SERVICE"]}, seccomp: {profile_type: 0},
            masked_paths: ["/proc/keys"], readonly_paths: ["/proc/sys"]}'
    has_status "$id" "1 0 "
    pid=$(pid_of "$id")
    [[ $(limit_of "$pid" memory memory.limit_in_bytes) == 67108864 ]]
    [[ $(limit_of "$pid" cpu cpu.cfs_quota_us) == 50000 ]]
    [[ $(limit_of "$pid" cpu cpu.shares) == 512 ]]
    [[ $(limit_of "$pid" cpuset cpuset.cpus) == 0 ]]
    run inside "$id" 'echo $(id -u; id -g; id -G; pwd; hostname; echo $A; cat /v/file /proc/self/oom_score_adj)'
    expect 0 "=0 1000 50 50 7 /tmp web b data 500"
    run inside "$id" 'touch /no /v/no; wc -c </proc/keys; echo x >/proc/sys/kernel/domainname; grep -E "NoNew|Seccomp:|CapBnd" /proc/self/status; exit 4'
    expect 0 "~^4 .*0.*CapBnd:.0000000000000400.*NoNewPrivs:.1.*Seccomp:.2.*/no:.Read-only.*/v/no:.Read-only.*domainname:.Read-only"
    run inside "$id" 'cat /etc/resolv.conf /proc/sys/net/ipv4/ip_unprivileged_port_start; ip -o -4 addr show eth0'
    expect 0 "~nameserver.10.98.7.1.*ndots:5.*1.*inet.10.98.7."

    # another of the pod: the network, the name and the queues are the pod's, the processes its own; one for debugging is among the first's
    local app=$id
    begin side 'sleep 1000'
    [[ $(in_world readlink "/proc/$(pid_of "$id")/ns/"{net,ipc,uts}) == "$(in_world readlink "/proc/$pid/ns/"{net,ipc,uts})" ]]
    [[ $(in_world readlink "/proc/$(pid_of "$id")/ns/pid") != "$(in_world readlink "/proc/$pid/ns/pid")" ]]
    begin debugger 'sleep 1000' ".linux.security_context.namespace_options = {pid: 3, target_id: \"$app\"}"
    run inside "$id" ps
    expect 0 "echo begun"

    cri UpdateContainerResources "{\"container_id\": \"$app\", \"linux\": {\"memory_limit_in_bytes\": 33554432, \"cpu_quota\": 20000, \"cpu_period\": 100000, \"cpu_shares\": 256}}" >/dev/null
    [[ $(limit_of "$pid" memory memory.limit_in_bytes) == 33554432 ]]
    [[ $(limit_of "$pid" cpu cpu.cfs_quota_us) == 20000 ]]
    [[ $(limit_of "$pid" cpu cpu.shares) == 256 ]]
    run cri ContainerStats "{\"container_id\": \"$app\"}"
    expect 0
    jq -e '.stats | .cpu.usage_core_nano_seconds.value > 0 and .cpu.usage_core_nano_seconds.value < 60000000000 and
        .memory.usage_bytes.value > 0 and .memory.usage_bytes.value < 33554432' <<<"$output"

    # a probe that is too slow: it is ended, and the container is not
    run cri ExecSync "{\"container_id\": \"$app\", \"cmd\": [\"sleep\", \"1001\"], \"timeout\": 1}"
    expect 1 "timeout 1s exceeded"
    run inside "$app" 'ps | grep -c "[s]leep 1001"'
    expect 0 "=1 0"

    cri StopContainer "{\"container_id\": \"$app\", \"timeout\": 20}" >/dev/null
    [[ $(status_of "$app") == "2 9 Error" ]]
    grep -q ' stdout F begun$' "$T/logs/app.log"
    grep -q ' stdout F over$' "$T/logs/app.log"
    cri RemoveContainer "{\"container_id\": \"$app\"}" >/dev/null
    end_pod
}

@test "what goes wrong in a pod is told as a kubelet tells it; a privileged pod on the node's namespaces; one pid namespace for all" {
    begin_pod wrong 'del(.hostname) | .linux.security_context = {privileged: 1, namespace_options: {network: 2, ipc: 2}}'
    make missing true '.command = ["/nope"]'
    run cri StartContainer "{\"container_id\": \"$id\"}"
    expect 1 "exec '/nope': no such file or directory: executable file not found in \$PATH"
    [[ $(status_of "$id") == "2 128 StartError" ]]
    run make nouser true '.linux.security_context.run_as_username = "nobody-here"'
    output_has "no users found"
    begin ends 'exit 3'
    wait_until 30 has_status "$id" "2 3 Error"
    begin eats 'dd if=/dev/zero of=/dev/null bs=100M count=1' '.linux.resources.memory_limit_in_bytes = 20971520'
    wait_until 30 has_status "$id" "2 137 OOMKilled"
    begin all 'sleep 1000' '.linux.security_context = {privileged: 1, namespace_options: {network: 2, pid: 0, ipc: 2}} | .devices = [{container_path: "/dev/fuse2", host_path: "/dev/null", permissions: "rwm"}]'
    [[ $(in_world readlink "/proc/$(pid_of "$id")/ns/"{net,ipc}) == "$(in_world readlink /proc/self/ns/{net,ipc})" ]]
    run inside "$id" 'ps | grep -c "[s]leep 100000"; grep CapEff /proc/self/status; mkdir /mnt && mount -t tmpfs x /mnt && echo mounted; exit 0'
    expect 0 "~^0 1.*CapEff:.*ffffff.*mounted"
    end_pod
}
