# shellcheck shell=bash disable=SC2317,SC2015,SC2031  # functions are called through ok()
# Runs inside tests/vm: husk on Linux 6.1 (an overlay without "lowerdir+") and on cgroup v2 with all controllers, as root
# and as an ordinary user with a delegated group.
#
# Arguments: the build folder, the tar of a busybox root file system, the ordinary user, huge.c as a program,
# the folder of the images, the top of the source.
build=$1 tar=$2 user=$3 huge=$4 images=$5 top=$6
husk=$build/bin/husk

run() { "$husk" run --rm "$@"; }

export HUSK_ROOT=/tmp/root HUSK_RUN=/run/husk-vm
ok "import" "$husk" import "$tar" busybox
ok "the embedded image runs" says "Hello from a container" run localhost/hello
ok "the host is seen as v2" says "v2" "$husk" info
ok "a file system change stays in the container" run busybox sh -c 'echo x >/x && rm /bin/cat && ! test -e /bin/cat'
ok "--memory" says 20971520 run --memory 20m busybox cat /sys/fs/cgroup/memory.max
ok "--memory is enforced: 137" status 137 run --memory 20m busybox sh -c 'head -c 80m /dev/zero | tail'
ok "--pids-limit" says 7 run --pids-limit 7 busybox cat /sys/fs/cgroup/pids.max
ok "--cpus" says "50000 100000" run --cpus 0.5 busybox cat /sys/fs/cgroup/cpu.max
ok "--cpu-shares become a weight" says 59 run --cpu-shares 512 busybox cat /sys/fs/cgroup/cpu.weight
ok "--cpuset-cpus" says 1 run --cpuset-cpus 1 busybox cat /sys/fs/cgroup/cpuset.cpus
ok "a device that is not allowed is refused" status 1 run busybox sh -c 'mknod /kmsg c 1 11 && head -c 1 /kmsg'
ok "a device that is allowed is not" run busybox sh -c 'mknod /zero c 1 5 && head -c 1 /zero >/dev/null'
ok "-d" "$husk" run -d --name sleeper busybox sleep 1000
ok "exec is in the container's group" says "0::/" "$husk" exec sleeper cat /proc/self/cgroup
ok "stop" says sleeper "$husk" stop -t 0 sleeper
ok "start again in a fresh group" says sleeper "$husk" start sleeper
ok "rm -f" says sleeper "$husk" rm -f sleeper
ok "nothing is left in the hierarchy" status 1 sh -c 'find /sys/fs/cgroup/husk -mindepth 1 -type d | grep .'

# The OCI runtime by itself.
oci() { "$build/bin/husk-oci" --root /run/husk-oci "$@"; }
bundle=/tmp/bundle
mkdir -p $bundle/rootfs && tar xf "$tar" -C $bundle/rootfs
oci spec --bundle $bundle
jq '.process.terminal = false | .linux.resources.pids.limit = 20 | .process.args = ["sleep", "1000"]' $bundle/config.json >$bundle/new && mv $bundle/new $bundle/config.json
ok "husk-oci run -d" sh -c '"$0" --root /run/husk-oci run -d -b "$1" c1 >/dev/null 2>&1 </dev/null' "$build/bin/husk-oci" $bundle
ok "husk-oci: the group's own view" says 20 oci exec c1 cat /sys/fs/cgroup/pids.max
ok "husk-oci: exec joins by clone3" says "0::/" oci exec c1 cat /proc/self/cgroup
ok "husk-oci pause" oci pause c1
ok "husk-oci state" says paused oci state c1
ok "husk-oci delete --force, paused" oci delete --force c1
ok "husk-oci leaves nothing" status 1 sh -c 'find /sys/fs/cgroup/husk -mindepth 1 -type d | grep .'
# Device rules begin at "deny all", with a list or without: 99:7 is no device, which is said where it may be opened.
jq '.process.args = ["sh", "-c", "mknod /dev/n c 99 7 && ! cat /dev/n"] | .process.capabilities |= map_values(. + ["CAP_MKNOD"]) | del(.linux.resources)' $bundle/config.json >/tmp/odd.json
odd() { # JQ
    mkdir -p /tmp/odd && ln -sfn $bundle/rootfs /tmp/odd/rootfs && jq "$1" /tmp/odd.json >/tmp/odd/config.json && oci run -b /tmp/odd c1
}
ok "devices: no list denies" says "Operation not permitted" odd .
ok "devices: one rule that allows another denies" says "Operation not permitted" odd '.linux.resources = {devices: [{allow: true, type: "c", major: 10, minor: 200}]}'
ok "devices: what a rule allows is not denied" says "No such device" odd '.linux.resources = {devices: [{allow: true, type: "c", major: 99, minor: 7, access: "rwm"}]}'

# Controllers that a test host may not have: huge pages, RDMA, misc.
edit() { jq "$@" $bundle/config.json >$bundle/new && mv $bundle/new $bundle/config.json; }
echo 4 >/proc/sys/vm/nr_hugepages
cp "$huge" $bundle/rootfs/bin/huge
edit '.linux.resources = {hugepageLimits: [{pageSize: "2MB", limit: 4194304}]} | .process.args = ["cat", "/sys/fs/cgroup/hugetlb.2MB.max", "/sys/fs/cgroup/hugetlb.2MB.rsvd.max"]'
ok "hugepageLimits: of use and of reservations" says $'4194304\n4194304' oci run -b $bundle c1
edit '.process.args = ["huge", "2"]'
ok "hugepageLimits: two pages are within the limit" says "2 pages" oci run -b $bundle c1
edit '.process.args = ["huge", "3"]'
ok "hugepageLimits: a third is refused when it is asked for" fails "mmap: Cannot allocate memory" oci run -b $bundle c1
edit '.linux.resources.hugepageLimits[0].limit = 0 | .process.args = ["huge", "1"]'
ok "hugepageLimits: 0 is none" fails "mmap: Cannot allocate memory" oci run -b $bundle c1
edit '.linux.resources.hugepageLimits[0].pageSize = "3MB"'
ok "hugepageLimits: a size that the machine has not" fails "hugetlb.3MB.max (sizes: ls /sys/kernel/mm/hugepages)" oci run -b $bundle c1
edit '.linux.resources = {rdma: {mlx5_1: {hcaHandles: 3, hcaObjects: 10000}}} | .process.args = ["true"]'
ok "rdma: no such device" fails "does not take 'mlx5_1 hca_handle=3 hca_object=10000' for rdma.max (no RDMA device of that name" oci run -b $bundle c1
edit '.linux.resources = {unified: {"misc.max": "sev 1"}}'
ok "misc: no such resource" fails "'sev 1' for misc.max (what this machine has is in misc.capacity" oci run -b $bundle c1
ok "nothing of what was refused is left" status 1 sh -c 'find /sys/fs/cgroup/husk -mindepth 1 -type d | grep .'
# Classes and priorities of packets are v1's alone: beside v2, as on a hybrid host.
mkdir /run/net && mount -t cgroup -o net_cls,net_prio net /run/net
edit '.linux.resources = {network: {classID: 1048577, priorities: [{name: "lo", priority: 5}]}} | .process.args = ["sleep", "1000"] | .linux.cgroupsPath = "/husk/net"'
ok "network: a v1 hierarchy beside v2" sh -c '"$0" --root /run/husk-oci run -d -b "$1" c1 >/tmp/net.err 2>&1 </dev/null || { cat /tmp/net.err; false; }' "$build/bin/husk-oci" $bundle
ok "network.classID" says 1048577 cat /run/net/husk/net/net_cls.classid
ok "network.priorities" says "lo 5" cat /run/net/husk/net/net_prio.ifpriomap
ok "network: the process is in it" says "$(oci state c1 | jq -r .pid)" cat /run/net/husk/net/cgroup.procs
ok "network: and exec's" says net_cls,net_prio:/ oci exec c1 cat /proc/self/cgroup
ok "network: delete" oci delete --force c1
ok "network: the group is gone" status 1 test -e /run/net/husk/net
edit '.linux.resources.network.priorities[0].name = "no-such"'
ok "network.priorities: no such interface" fails "'no-such 5' for net_prio.ifpriomap (no network interface of that name" oci run -b $bundle c1
[[ ! -d /run/net/husk ]] || rmdir /run/net/husk
umount /run/net

# An init that divides the container's group, as systemd does: the group itself then takes no process.
divide='g=/sys/fs/cgroup && mkdir $g/init.scope && echo 1 >$g/init.scope/cgroup.procs && echo +pids >$g/cgroup.subtree_control && exec sleep 1000'
ok "an init divides its group" "$husk" run -d --name divided --network none --systemd=always busybox sh -c "$divide"
in_scope() { for _ in $(seq 100); do says "0::/init.scope" "$husk" exec divided cat /proc/1/cgroup >/dev/null && break; sleep 0.1; done; says "0::/init.scope" "$husk" exec divided cat /proc/self/cgroup; }
ok "exec is where the init is" in_scope
ok "rm -f takes all of it" says divided "$husk" rm -f divided

# Quotas, which the file system keeps: ext4's projects.
truncate -s 64M /tmp/disk && mkfs.ext4 -q -O quota,project -E quotatype=prjquota /tmp/disk && mkdir /tmp/fs
ok "a file system with project quotas" mount -o loop,prjquota /tmp/disk /tmp/fs
on_fs() { HUSK_ROOT=/tmp/fs/root "$husk" "$@"; }
ok "quota: import" on_fs import "$tar" busybox
ok "quota: a volume of 2 MiB" says small on_fs volume create -o size=2m small
ok "quota: is kept" says "Disk quota exceeded" sh -c '! HUSK_ROOT=/tmp/fs/root "$0" run --rm -v small:/v busybox dd if=/dev/zero of=/v/f bs=1M count=8 2>&1' "$husk"
ok "quota: nearly all of it is the file's" sh -c 'n=$(stat -c %s /tmp/fs/root/volumes/small/_data/f) && [ $n -gt 2000000 ] && [ $n -le 2097152 ]'
ok "quota: inodes, and an owner" says few on_fs volume create -o o=size=3m,inodes=20,uid=5 few
ok "quota: of inodes is kept" status 3 on_fs run --rm -v few:/v busybox sh -c '[ $(stat -c %u /v) = 5 ] && for i in $(seq 30); do touch /v/$i || exit 3; done'
ok "quota: another volume has none" on_fs run --rm -v free:/v busybox dd if=/dev/zero of=/v/f bs=1M count=8
ok "quota: goes with the volume" sh -c 'HUSK_ROOT=/tmp/fs/root "$0" volume rm small few free && ! repquota -P -O csv /tmp/fs 2>/dev/null | grep -q ,2048,' "$husk"
umount /tmp/fs

# Checkpoints: what runs goes on, with its log, network, port, policy and terminal.
last() { "$husk" logs "$1" | tail -n 1 | tr -d '\r'; }
counts_on() { # NAME FROM
    local i
    for ((i = 0; i < 100; i++)); do
        (($(last "$1") > $2)) && return 0
        sleep 0.1
    done
    echo "still $(last "$1")"
    return 1
}
no_gaps() { [[ $("$husk" logs "$1" | tr -d '\r') == "$(seq "$(last "$1")")" ]] || "$husk" logs "$1"; }
counter='trap "exit 3" TERM; i=0; while :; do i=$((i + 1)); echo $i; sleep 0.1; done'
ok "a counter on a bridge" "$husk" run -d --name cc -p 8080:80 -v kept:/kept --sysctl net.ipv4.conf.all.log_martians=1 --restart always busybox sh -c "echo mine >/mine; rm /etc/group; httpd -p 80 -h /etc; $counter"
ok "counts" counts_on cc 2
id=$("$husk" inspect -f '{{.Id}}' cc)
rights() { "$husk" exec cc grep -E "^(Cap|NoNew|Seccomp|Uid|Groups)" /proc/1/status; }
had=$(rights)
ok "container checkpoint --print-stats" says '"pages_written"' "$husk" container checkpoint --print-stats cc
ok "its policy does not start it again" says "exited 137" "$husk" inspect -f '{{.State.Status}} {{.State.ExitCode}}' cc
ok "why says who ended it" says "husk checkpoint" "$husk" why cc
n=$(last cc)
ok "container restore" says cc "$husk" container restore cc
ok "counts on from where it was" counts_on cc "$n"
ok "its port answers" says 127.0.0.1 wget -q -O - http://127.0.0.1:8080/hosts
ok "with the rights that it had" sh -c '[ -n "$0" ] && [ "$0" = "$1" ]' "$had" "$(rights)"
ok "and the kernel parameter of its network" says 1 "$husk" exec cc cat /proc/sys/net/ipv4/conf/all/log_martians
ok "exec into it" says eth0 "$husk" exec cc ip address
ok "the checkpoint is gone" says "=" sh -c 'echo "=$("$0" checkpoint ls -q cc)" | grep "^=$"' "$husk"
ok "its policy holds again" sh -c 'pid=$("$0" inspect -f "{{.State.Pid}}" cc) && kill -KILL $pid && for i in $(seq 100); do now=$("$0" inspect -f "{{.State.Pid}}" cc); [ $now != 0 ] && [ $now != $pid ] && exit 0; sleep 0.1; done; exit 1' "$husk"
ok "checkpoint --export into no folder" fails "open '/nodir'" "$husk" container checkpoint --ignore-volumes --export /nodir/x cc
ok "and it runs on" says running "$husk" inspect -f '{{.State.Status}}' cc
ok "checkpoint --export to a full disk" fails "No space left" "$husk" container checkpoint --ignore-volumes --export /dev/full cc
ok "has the checkpoint" says cc "$husk" container restore cc
ok "checkpoint --export" says cc "$husk" container checkpoint --ignore-volumes --export /tmp/cc.tar.zst cc
n=$(last cc)
ok "its container is gone" "$husk" rm --no-trash cc
ok "restore --import, with another name" says "$id" "$husk" container restore --import /tmp/cc.tar.zst --name dd
ok "goes on from where it was" counts_on dd "$n"
ok "with what it wrote, and without what it removed" says mine "$husk" exec dd sh -c '! test -e /etc/group && cat /mine'
ok "its port answers again" says 127.0.0.1 wget -q -O - http://127.0.0.1:8080/hosts
ok "rm it for another" "$husk" rm -f --no-trash dd
ok "restore --import --ignore-rootfs" "$husk" container restore --import /tmp/cc.tar.zst --ignore-rootfs --name dd
ok "is without what it wrote" says gone "$husk" exec dd sh -c 'test -e /mine || echo gone'
ok "a second time it is here" says "container 'dd' of the archive is here" sh -c '! "$0" container restore --import /tmp/cc.tar.zst' "$husk"
ok "rm it, too" "$husk" rm -f --no-trash dd
ok "a network with room" "$husk" network create --subnet 10.79.0.0/24 roomy
ok "one with an address of its own" "$husk" run -d --name ee --network roomy --ip 10.79.0.77 --mac-address 02:00:00:00:79:77 busybox sh -c "httpd -p 80 -h /etc; $counter"
ok "is written down" says ee "$husk" container checkpoint --export /tmp/ee.tar --compress none ee
n=$(last ee)
ok "and gone" "$husk" rm --no-trash ee
ok "another has its address" "$husk" run -d --name squatter --network roomy --ip 10.79.0.77 busybox sleep 1000
ok "it cannot have that" fails "10.79.0.77" "$husk" container restore --import /tmp/ee.tar
ok "restore --import --ignore-static-ip --ignore-static-mac --publish" "$husk" container restore --import /tmp/ee.tar --ignore-static-ip --ignore-static-mac -p 127.0.0.1:8082:80
ok "goes on under another address" counts_on ee "$n"
ok "that is not the squatter's, nor its own MAC" sh -c 'a=$("$0" inspect -f "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}" ee) && case $a in *10.79.0.77*|*02:00:00:00:79:77*) echo "$a"; exit 1;; 10.79.0.*) ;; *) echo "$a"; exit 1;; esac' "$husk"
ok "its new port answers" says 127.0.0.1 wget -q -O - http://127.0.0.1:8082/hosts
ok "rm both" "$husk" rm -f --no-trash ee squatter
ok "a counter with a terminal" "$husk" run -d -t --name tt --network none busybox sh -c "$counter"
ok "the terminal's counts" counts_on tt 2
ok "checkpoint create" says one "$husk" checkpoint create tt one
n=$(last tt)
ok "checkpoint ls" says one "$husk" checkpoint ls tt
ok "start --checkpoint" says tt "$husk" start --checkpoint one tt
ok "the terminal's counts on" counts_on tt "$n"
ok "its log has no gap" no_gaps tt
ok "a name is taken once" says "has a checkpoint 'one' already" sh -c '! "$0" checkpoint create tt one' "$husk"
ok "a running one is not restored" says "it is running" sh -c '! "$0" start --checkpoint one tt' "$husk"
ok "stop it" "$husk" stop tt
ok "its exit code" says 3 "$husk" inspect -f '{{.State.ExitCode}}' tt
ok "rm with its checkpoints" "$husk" rm --no-trash tt

# ipvlan, macvlan and VLANs, which the kernel outside may lack.
ln -sfn /proc/self/fd /dev/fd # bats needs it
bats() { env -u HUSK_ROOT -u HUSK_RUN PATH="$PATH:/usr/sbin:/sbin" HOME=/root TMPDIR=/tmp "HUSK_BUILD=$build" "HUSK_TEST_IMAGES=$images" bats "$@"; }
ok "networks: macvlan, ipvlan, and VLANs of a parent" bats -f "macvlan|ipvlan and VLANs" "$top/tests/bats/602-network-more.bats"
ok "ipvlan is there" sh -c 'ip link add p type dummy && ip link add link p name i type ipvlan && ip link del p'
ok "networks: bridges with VLANs" sh -c 'case $0 in *skip*|*"not ok"*) echo "$0"; exit 1 ;; *"ok 1 "*) ;; *) echo "$0"; exit 1 ;; esac' "$(bats -f "in a VLAN" "$top/tests/bats/600-bridge.bats" 2>&1)"

# An ordinary user: once without a group that is the user's, once with one.
as_user() { setpriv --reuid "$user" --regid "$user" --init-groups env HUSK_ROOT=/tmp/user/root HUSK_RUN=/tmp/user/run HOME=/tmp/user "$@"; }
mkdir /tmp/user && chown "$user:$user" /tmp/user
ok "a user imports" as_user "$husk" import "$tar" busybox
ok "a user without delegation runs" says uid=0 as_user "$husk" run --rm busybox id
ok "and hears that a limit cannot be" status 125 as_user "$husk" run --rm --memory 20m busybox true
group=/sys/fs/cgroup/user
mkdir -p $group/shell
echo "+memory +pids +cpu" >/sys/fs/cgroup/cgroup.subtree_control
chown "$user" $group $group/cgroup.procs $group/cgroup.subtree_control $group/cgroup.threads $group/shell $group/shell/cgroup.procs
echo $$ >$group/shell/cgroup.procs
ok "a user with delegation has limits" says 20971520 as_user "$husk" run --rm --memory 20m busybox cat /sys/fs/cgroup/memory.max
ok "and they are enforced: 137" status 137 as_user "$husk" run --rm --memory 20m busybox sh -c 'head -c 80m /dev/zero | tail'
echo $$ >/sys/fs/cgroup/cgroup.procs
ok "nothing of the user's is left" status 1 sh -c "find $group -mindepth 1 -type d ! -name shell ! -name husk | grep ."
finish
