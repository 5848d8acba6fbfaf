# shellcheck shell=bash disable=SC2317,SC2015,SC2031,SC2016  # functions are called through ok()
# Runs inside tests/vm/run --systemd: the systemd cgroup driver as root and as an ordinary user, AppArmor, CRIU.
#
# Arguments: the build folder, the tar of a busybox root file system, a program that takes a terminal's master over a
# socket and prints what comes (console.c), held.c and proc-links.c as programs, all as the host has them.
build=/host$1 tar=/host$2 receiver=/host$3 held=/host$4 links=/host$5

property() { systemctl show -P "$2" "$1"; } # UNIT NAME
gone() { [[ $(systemctl show -P LoadState "$1") == not-found || $(systemctl show -P ActiveState "$1") == inactive ]]; }

# ---- the driver, as root ----
oci() { "$build/bin/husk-oci" --root /run/husk-oci --systemd-cgroup "$@"; }
bundle=/tmp/bundle
mkdir -p $bundle/rootfs && tar xf "$tar" -C $bundle/rootfs
oci spec --bundle $bundle
edit() { jq "$@" $bundle/config.json >$bundle/new && mv $bundle/new $bundle/config.json; }
edit '.process.terminal = false | .process.args = ["sleep", "1000"] | .linux.cgroupsPath = "husk-test.slice:vm:one"
    | .linux.resources.memory = {"limit": 52428800, "reservation": 1048576, "swap": 52428800} | .linux.resources.pids.limit = 20
    | .linux.resources.cpu = {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-1"}
    | .annotations = {"org.systemd.property.TimeoutStopSec": "uint64 7", "org.systemd.property.CPUSchedulingPolicy": "1"}'
start_one() { oci run -d -b $bundle one >/dev/null 2>&1 </dev/null; }
ok "a property that no scope has is refused" fails "CPUSchedulingPolicy" oci run -b $bundle one
ok "and nothing is left of it" gone vm-one.scope
edit 'del(.annotations["org.systemd.property.CPUSchedulingPolicy"])'
ok "husk-oci run -d" start_one
group=/sys/fs/cgroup/husk.slice/husk-test.slice/vm-one.scope
ok "the scope is in its slice" test -d $group
ok "with the container's process alone" says "$(oci state one | jq -r .pid)" cat $group/cgroup.procs
ok "Delegate" says yes property vm-one.scope Delegate
ok "MemoryMax" says 52428800 property vm-one.scope MemoryMax
ok "MemorySwapMax" says 0 property vm-one.scope MemorySwapMax
ok "TasksMax" says 20 property vm-one.scope TasksMax
ok "CPUWeight" says 59 property vm-one.scope CPUWeight
ok "CPUQuotaPerSecUSec" says 500ms property vm-one.scope CPUQuotaPerSecUSec
ok "AllowedCPUs" says 0-1 property vm-one.scope AllowedCPUs
ok "the annotation's property" says 7s property vm-one.scope TimeoutStopUSec
ok "the files say the same" says 52428800 cat $group/memory.max
ok "exec is in the scope" says "0::/" oci exec one cat /proc/self/cgroup
ok "update" oci update --memory 30m --pids-limit 9 one
ok "reaches the unit" says 31457280 property vm-one.scope MemoryMax
ok "and the files, after a reload too" sh -c "systemctl daemon-reload && test \$(cat $group/memory.max) = 31457280 && test \$(cat $group/pids.max) = 9"
ok "a second of the name is refused" fails "a unit of this name is there" oci --root /run/other run -b $bundle two
ok "pause and resume" sh -c '"$0" --root /run/husk-oci pause one && "$0" --root /run/husk-oci resume one' "$build/bin/husk-oci"
ok "events: pressure of a v2 group" says '"psi"' oci events --stats one
ok "delete --force" oci delete --force one
ok "the unit is gone" gone vm-one.scope
ok "and its name is free at once" start_one
ok "delete again" oci delete --force one
edit '.linux.cgroupsPath = "/husk/path"'
ok "a path is refused" fails "slice:prefix:name" oci run -b $bundle one
edit 'del(.linux.cgroupsPath) | .process.args = ["sh", "-c", "exit 3"]'
run_status() { oci run -b $bundle short; [[ $? == "$1" ]]; }
ok "run in the foreground, in system.slice" run_status 3
ok "leaves no unit" gone husk-short.scope

# ---- the driver, as an ordinary user with a systemd of his own, from a session ----
useradd -m -u 1000 joe 2>/dev/null
printf 'joe:100000:65536\n' | tee /etc/subuid >/etc/subgid
systemctl start user@1000.service
as_joe() {
    setpriv --reuid 1000 --regid 1000 --init-groups env -i PATH="$PATH" HOME=/home/joe USER=joe XDG_RUNTIME_DIR=/run/user/1000 \
        HUSK_ROOT=/tmp/joe/root HUSK_RUN=/run/user/1000/husk "$@"
}
install -d -o joe -g joe /tmp/joe /tmp/joe/b && cp -a $bundle/rootfs /tmp/joe/b/ && chown -R joe: /tmp/joe/b
joe_oci() { as_joe "$build/bin/husk-oci" --systemd-cgroup "$@"; }
joe_oci spec --rootless -b /tmp/joe/b
jq '.process.terminal = false | .process.args = ["sleep", "1000"] | .linux.resources.memory.limit = 52428800 | .linux.resources.pids.limit = 11' \
    /tmp/joe/b/config.json >/tmp/joe/new && cat /tmp/joe/new >/tmp/joe/b/config.json
ok "a user's husk-oci run -d" sh -c 'exec "$@" >/dev/null 2>/tmp/joe/err </dev/null' - setpriv --reuid 1000 --regid 1000 --init-groups env -i PATH="$PATH" XDG_RUNTIME_DIR=/run/user/1000 "$build/bin/husk-oci" --systemd-cgroup run -d -b /tmp/joe/b uc
cat /tmp/joe/err 2>/dev/null
ugroup=/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/husk-uc.scope
ok "the scope is below the user's systemd" says 52428800 cat $ugroup/memory.max
ok "and has the process" says "$(joe_oci state uc | jq -r .pid)" cat $ugroup/cgroup.procs
ok "exec goes there as well" says uid=0 joe_oci exec uc id
ok "its limits are the user's to change" joe_oci update --pids-limit 8 uc
ok "and are" says 8 cat $ugroup/pids.max
ok "delete" joe_oci delete --force uc
ok "nothing is left of the user's scope" sh -c "! test -e $ugroup"

# Every verb under either driver: that of systemd above, and cgroupfs in a group of his own.
create_v() { "$@" create -b /tmp/joe/b v </dev/null >/dev/null 2>/tmp/joe/err || { cat /tmp/joe/err; return 1; }; }
is() { local i; for ((i = 0; i < 100; i++)); do says "\"$1\"" "${@:2}" && return 0; sleep 0.1; done; return 1; } # STATUS COMMAND...
verbs() { # NAME COMMAND...
    local name=$1
    shift
    ok "$name: create" create_v "$@"
    ok "$name: it waits" says '"created"' "$@" state v
    ok "$name: start" "$@" start v
    ok "$name: exec" says uid=0 "$@" exec v id
    ok "$name: list" says running "$@" list
    ok "$name: ps" says 'sleep 1000' "$@" ps v
    ok "$name: pause" "$@" pause v
    ok "$name: it is paused" says '"paused"' "$@" state v
    ok "$name: exec is refused then" fails "it is paused" "$@" exec v true
    ok "$name: resume" "$@" resume v
    ok "$name: update" "$@" update --pids-limit 8 --memory 40m --cpu-share 512 v
    ok "$name: is written" says $'8\n41943040\n59' "$@" exec v sh -c 'cd /sys/fs/cgroup && cat pids.max memory.max cpu.weight'
    ok "$name: events" says '"limit":41943040' "$@" events --stats v
    ok "$name: checkpoint is refused" fails "CRIU needs root" "$@" checkpoint --image-path /tmp/joe/images v
    ok "$name: delete of one that runs is refused" fails "it is running" "$@" delete v
    ok "$name: kill --all" "$@" kill --all v KILL
    ok "$name: it ends" is stopped "$@" state v
    ok "$name: delete" "$@" delete v
}
verbs "a user, systemd" joe_oci
ok "a user, systemd: no scope is left" sh -c '! ls -d /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/husk-v.scope'
ujob=/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice
mkdir -p $ujob/shell.scope && chown -R joe: $ujob/shell.scope
joe_plain() { (echo $BASHPID >$ujob/shell.scope/cgroup.procs && as_joe "$build/bin/husk-oci" "$@"); }
verbs "a user, cgroupfs" joe_plain
ok "a user, cgroupfs: no group is left" sh -c '! find /sys/fs/cgroup/user.slice -name v -type d | grep .'
rmdir $ujob/shell.scope

# ---- husk itself ----
export HUSK_ROOT=/tmp/root HUSK_RUN=/run/husk-vm
husk=$build/bin/husk
# husk-image's libraries are the host's
ok "import" env LD_LIBRARY_PATH="/host/usr/lib/$(uname -m)-linux-gnu" "$husk" import "$tar" busybox
ok "husk run --cgroup-manager systemd" says 20971520 "$husk" run --rm --network none --cgroup-manager systemd --memory 20m busybox cat /sys/fs/cgroup/memory.max
ok "husk run -d" "$husk" run -d --network none --name scoped --cgroup-manager systemd busybox sleep 1000
ok "is a scope" says husk- sh -c 'systemctl list-units --no-legend "husk-*.scope"'
ok "husk exec" says "0::/" "$husk" exec scoped cat /proc/self/cgroup
ok "husk rm -f" says scoped "$husk" rm -f scoped
# ---- AppArmor ----
profile='profile husk-test flags=(attach_disconnected) { file, capability, signal, ptrace, network, unix, deny /etc/secret rw, deny mount, }'
ok "a profile is loaded" sh -c 'echo "$0" >/tmp/profile && apparmor_parser -K -r /tmp/profile' "$profile"
echo secret >$bundle/rootfs/etc/secret
edit '.process.apparmorProfile = "husk-test" | .process.args = ["sh", "-c", "cat /proc/self/attr/current /etc/secret"]'
confined() { oci run -b $bundle confined 2>&1 || true; }
ok "the program runs under it" says "husk-test (enforce)" confined
ok "and it is enforced" says "Permission denied" confined
edit '.process.args = ["sleep", "1000"]'
ok "husk-oci run -d, confined" start_one
ok "exec is confined as well" says "husk-test (enforce)" oci exec one cat /proc/self/attr/current
ok "delete it" oci delete -f one
# Who is root in there has put another in the place of /proc: the label is the kernel's to give all the same.
edit 'del(.process.apparmorProfile) | .root.readonly = false | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])
    | .process.args = ["sh", "-c", "mount -t tmpfs x /proc && mkdir -p /proc/thread-self/attr/apparmor && touch /proc/thread-self/attr/exec /proc/thread-self/attr/apparmor/exec && touch /tmp/laid; sleep 1000"]'
rm -f $bundle/rootfs/tmp/laid
ok "a container with a /proc of its own making" start_one
laid() { local i; for ((i = 0; i < 100; i++)); do [[ -e $bundle/rootfs/tmp/laid ]] && return 0; sleep 0.1; done; return 1; }
ok "has laid it" laid
exec_confined() { oci exec -d --pid-file /tmp/pid --apparmor husk-test one sleep 500 </dev/null >/dev/null 2>&1; }
ok "exec --apparmor into it" exec_confined
ok "is confined, not told so" says "husk-test (enforce)" sh -c 'cat /proc/$(cat /tmp/pid)/attr/current'
ok "delete it too" oci delete -f one
# Or has put links of his own on the links of a true one.
cp "$links" $bundle/rootfs/bin/proc-links && rm -f $bundle/rootfs/tmp/laid
edit '.process.args = ["sh", "-c", "mount -t tmpfs x /proc/fs && proc-links && touch /tmp/laid; sleep 1000"]'
ok "a container with links of its own in a true /proc" start_one
ok "has laid them" laid
ok "exec --apparmor into it is refused" fails "set AppArmor profile 'husk-test': Invalid cross-device link" oci exec --apparmor husk-test one true
ok "and nothing was written there" says "=enemy=" sh -c 'echo "=$("$0" --root /run/husk-oci exec one cat /proc/fs/attr/apparmor/exec)="' "$build/bin/husk-oci"
ok "delete it as well" oci delete -f one
edit '.process.args = ["sleep", "1000"] | .process.capabilities |= map_values(. - ["CAP_SYS_ADMIN"])'
edit '.process.apparmorProfile = "no-such-profile"'
ok "a profile that is not loaded is refused" fails "no-such-profile" oci run -b $bundle confined
ok "and nothing is left" gone husk-confined.scope

ok "no scope is left" says "=" sh -c 'echo "=$(systemctl list-units --no-legend "husk-*.scope")" | grep "^=$"'
# ---- CRIU ----
plain() { "$build/bin/husk-oci" --root /run/husk-oci "$@"; }
# Without a network namespace, which costs a second more each time.
edit 'del(.linux.namespaces[] | select(.type == "network")) | del(.process.apparmorProfile) | del(.linux.cgroupsPath) | .root.readonly = false | .linux.resources = {"pids": {"limit": 30}, "devices": .linux.resources.devices}
    | .process.args = ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.2; done"]'
start_counter() { plain run -d -b $bundle counter >/dev/null 2>&1 </dev/null; }
count() { cat $bundle/rootfs/tmp/count; }
counts_on() { # from a number on, within 30 s
    local from=$1 i
    for ((i = 0; i < 150; i++)); do
        (($(count 2>/dev/null || echo 0) > from)) && return 0
        sleep 0.2
    done
    echo "still $(count)"
    return 1
}
ok "criu finds its kernel" criu check
ok "a counter starts" start_counter
ok "and counts" counts_on 2
checkpoint() { plain checkpoint --image-path /tmp/images "$@" counter || { grep -B3 -m3 Error /tmp/images/dump.log; return 1; }; }
ok "checkpoint --leave-running" checkpoint --leave-running
ok "it goes on" counts_on "$(count)"
ok "checkpoint" checkpoint
ok "the container is gone" fails "does not exist" plain state counter
before=$(count)
restore() { plain restore -d --image-path /tmp/images -b $bundle --pid-file /tmp/pid counter </dev/null >/dev/null 2>/tmp/restore.err || { cat /tmp/restore.err; grep -B3 -m3 Error /tmp/images/restore.log; return 1; }; }
ok "restore" restore
ok "it counts on from where it was" counts_on "$before"
ok "and not from the start" test "$(count)" -gt "$before"
ok "state says running" says running plain state counter
ok "with the pid of its file" says "$(cat /tmp/pid)" plain state counter
ok "its group has the limit" says 30 plain exec counter cat /sys/fs/cgroup/pids.max
ok "exec into what was restored" says ok plain exec counter echo ok
ok "delete the restored" plain delete --force counter
ok "nothing of it is left" sh -c '! test -e /sys/fs/cgroup/husk/counter && ! grep -q criu-root /proc/mounts'

# What is written down first, while the program goes on, and the rest on top of it.
ok "a counter to be dumped twice" start_counter
ok "counts" counts_on 2
silent() { local out; out=$("$@" 2>&1) && [[ ! $out ]] || { echo "$out"; return 1; }; }
ok "pre-dump, without a word" silent plain checkpoint --pre-dump --image-path /tmp/first counter
ok "it goes on after it" counts_on "$(count)"
ok "what is written is memory alone" sh -c 'ls /tmp/first/pages-*.img && ! ls /tmp/first/core-*.img'
mv /tmp/first /tmp/second-parent && mkdir -p /tmp/second && mv /tmp/second-parent /tmp/second/first
second() { plain checkpoint --image-path /tmp/second --parent-path first "$@" counter || { grep -B3 -m3 Error /tmp/second/dump.log; return 1; }; }
ok "checkpoint on top of it" second
# of the shell: its sleep of the moment, which may be in either or in both, is another process each time
ok "is smaller than the first" sh -c 'test $(wc -c </tmp/second/pages-1.img) -lt $(wc -c </tmp/second/first/pages-1.img)'
before=$(count)
restore_from() { plain restore -d --image-path "$1" -b $bundle counter </dev/null >/dev/null 2>/tmp/restore.err || { cat /tmp/restore.err; grep -B3 -m3 Error "$1/restore.log"; return 1; }; }
ok "restore from both" restore_from /tmp/second
ok "counts on" counts_on "$before"
# Memory goes to a page server, as to another host, and the rest stays here.
mkdir -p /tmp/served
criu page-server --images-dir /tmp/served --port 2727 -o /tmp/served.log & server=$!
served() { for _ in 1 2 3 4 5 6 7 8 9 10; do grep -q "" /proc/net/tcp && grep -q :0AA7 /proc/net/tcp /proc/net/tcp6 && break; sleep 0.3; done
    plain checkpoint --image-path /tmp/rest --page-server 127.0.0.1:2727 counter || { grep -B3 -m3 Error /tmp/rest/dump.log; return 1; }; }
ok "checkpoint to a page server" served
wait $server
ok "the pages are there and not here" sh -c 'ls /tmp/served/pages-*.img && ! ls /tmp/rest/pages-*.img'
cp /tmp/served/page* /tmp/rest/
before=$(count)
ok "restore from what both have" restore_from /tmp/rest
ok "it counts on again" counts_on "$before"
# Lazy: the program goes on before its memory is here. The dump serves its pages until all are fetched.
mkfifo /tmp/status && exec 7<>/tmp/status
plain checkpoint --image-path /tmp/lazy --lazy-pages --page-server 127.0.0.1:2728 --status-fd 7 counter >/tmp/lazy.out 2>&1 & dump=$!
ok "checkpoint --lazy-pages says on --status-fd when it serves" sh -c 'test "$(timeout 20 head -c 1 /tmp/status | wc -c)" = 1'
before=$(count)
mkdir -p /tmp/lazy-work
criu lazy-pages --images-dir /tmp/lazy --work-dir /tmp/lazy-work --page-server --address 127.0.0.1 --port 2728 -o /tmp/lazy-work/lazy.log >/dev/null 2>&1 & pager=$!
lazy_restore() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do [[ -S /tmp/lazy-work/lazy-pages.socket ]] && break; sleep 0.3; done
    "$build/bin/husk-oci" --root /run/husk-lazy restore -d --image-path /tmp/lazy --work-path /tmp/lazy-work --lazy-pages -b $bundle lazy </dev/null >/dev/null 2>/tmp/restore.err ||
        { cat /tmp/restore.err /tmp/lazy.out; grep -B3 -m3 Error /tmp/lazy-work/*.log; return 1; }
}
ok "restore --lazy-pages" lazy_restore
ok "its counter goes on" counts_on "$before"
wait $pager $dump
ok "delete the lazy one" "$build/bin/husk-oci" --root /run/husk-lazy delete --force lazy
# A network of its own; then one of others, and paused, as containerd has it at a checkpoint.
edit '.linux.namespaces += [{"type": "network"}] | .hostname = "counting"'
ok "a counter with a network namespace of its own" start_counter
ok "it counts there" counts_on "$before"
ok "checkpoint with the network" checkpoint
before=$(count)
ok "restore with the network" restore
ok "its counter goes on there" counts_on "$before"
ok "lo is up again" says UP plain exec counter ip link show lo
ok "delete it and its network" plain delete --force counter
ip netns add others && ip -n others link set lo up && ip -n others link add mark type dummy
edit '(.linux.namespaces[] | select(.type == "network")).path = "/run/netns/others"'
ok "a counter in the network of others" start_counter
ok "it counts among them" counts_on "$before"
ok "pause" plain pause counter
ok "checkpoint --leave-running of a paused one" checkpoint --leave-running
ok "it is paused as before" says paused plain state counter
ok "checkpoint of a paused one" checkpoint
before=$(count)
ok "the network is not among the images" sh -c '! ls /tmp/images/netdev-*.img'
ok "restore into the network of others" restore
ok "it runs and counts" counts_on "$before"
ok "it is in that network" says mark plain exec counter ls /sys/class/net
ok "delete it, and the network stays" sh -c '"$0" --root /run/husk-oci delete --force counter && ip -n others link show mark' "$build/bin/husk-oci"
# The processes of others: the first of a pod's containers has the pid namespace.
edit 'del(.linux.namespaces[] | select(.type == "network"))'
ok "a pod's first" sh -c '"$0" --root /run/husk-oci run -d -b "$1" first >/dev/null 2>&1 </dev/null' "$build/bin/husk-oci" $bundle
edit "(.linux.namespaces[] | select(.type == \"pid\")).path = \"/proc/$(plain state first | jq .pid)/ns/pid\""
ok "another in its pid namespace" sh -c '"$0" --root /run/husk-oci run -d -b "$1" second >/dev/null 2>&1 </dev/null' "$build/bin/husk-oci" $bundle
ok "checkpoint of the second" plain checkpoint --image-path /tmp/second-images second
restore_second() { plain restore -d --image-path /tmp/second-images -b $bundle second </dev/null >/dev/null 2>/tmp/restore.err || { cat /tmp/restore.err; grep -B3 -m3 Error /tmp/second-images/restore.log; return 1; }; }
ok "restore of the second" restore_second
same_pids() { [[ $(readlink "/proc/$(plain state second | jq .pid)/ns/pid") == "$(readlink "/proc/$(plain state first | jq .pid)/ns/pid")" ]]; }
ok "is in the first's pid namespace" same_pids
ok "delete both" sh -c '"$0" --root /run/husk-oci delete --force second && "$0" --root /run/husk-oci delete --force first' "$build/bin/husk-oci"
edit '(.linux.namespaces[] | select(.type == "pid")) |= del(.path)'
# A terminal: its master is made anew, and goes to who asks for it.
edit '.process.terminal = true | .process.args = ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; echo tick $i; sleep 0.2; done"]'
rm -f $bundle/rootfs/tmp/count
console() { rm -f /tmp/console.sock; "$2" /tmp/console.sock >"$1" 2>&1 & for _ in 1 2 3 4 5 6 7 8 9; do [[ -S /tmp/console.sock ]] && break; sleep 0.2; done; }
ticks() { local i; for ((i = 0; i < 100; i++)); do grep -q "tick" "$1" && return 0; sleep 0.2; done; cat "$1"; return 1; }
console /tmp/screen1 "$receiver"
start_terminal() { plain run -d -b $bundle --console-socket /tmp/console.sock tty </dev/null; }
ok "a container with a terminal" start_terminal
ok "prints on it" ticks /tmp/screen1
dump_terminal() { plain checkpoint --image-path "$1" tty || { grep -B3 -m3 Error "$1/dump.log"; return 1; }; }
ok "checkpoint with a terminal" dump_terminal /tmp/tty1
before=$(count)
ok "restore -d wants to know who gets it" fails "--detach with a terminal needs --console-socket" plain restore -d --image-path /tmp/tty1 -b $bundle tty
console /tmp/screen2 "$receiver"
restore_terminal() { plain restore -d --image-path /tmp/tty1 -b $bundle --console-socket /tmp/console.sock tty </dev/null || { grep -B3 -m3 Error /tmp/tty1/restore.log; return 1; }; }
ok "restore --console-socket" restore_terminal
ok "it prints on the new one" ticks /tmp/screen2
ok "and counts on" counts_on "$before"
ok "checkpoint it again" dump_terminal /tmp/tty2
script -qfc "$build/bin/husk-oci --root /run/husk-oci restore --image-path /tmp/tty2 -b $bundle tty" /tmp/screen3 </dev/null >/dev/null 2>&1 &
ok "restore in the foreground, on our own terminal" ticks /tmp/screen3
ok "delete what is in the foreground" plain delete --force tty
# ---- what CRIU takes along when it is told to ----
cp "$held" $bundle/rootfs/bin/held
edit '.process.terminal = false'
carry() { plain "$@" </dev/null >/dev/null 2>/tmp/carry.err || { cat /tmp/carry.err; grep -B3 -m3 Error /tmp/c/*.log; return 1; }; }
start_held() { rm -f $bundle/rootfs/tmp/count; plain run -d -b $bundle held </dev/null >/dev/null 2>&1; }
edit '.process.args = ["held", "all", "/tmp/outside.sock"]'
chroot $bundle/rootfs /bin/held take /tmp/outside.sock & taker=$!
for _ in 1 2 3 4 5 6 7 8 9; do [[ -S $bundle/rootfs/tmp/outside.sock ]] && break; sleep 0.2; done
ok "a lock, a file without a name, a connection and a socket to outside" start_held
ok "are used" counts_on 2
options=(--file-locks --link-remap --tcp-established --ext-unix-sk)
for option in "${options[@]}"; do
    rm -rf /tmp/c
    # shellcheck disable=SC2046  # the other three
    ok "checkpoint is refused without $option" fails "checkpoint: criu:" plain checkpoint --image-path /tmp/c $(printf '%s\n' "${options[@]}" | grep -vx -e "$option") held
done
rm -rf /tmp/c
ok "checkpoint with all four" carry checkpoint --image-path /tmp/c "${options[@]}" held
before=$(count) taken=$(cat $bundle/rootfs/tmp/taken)
ok "restore with three" carry restore -d --image-path /tmp/c -b $bundle --file-locks --tcp-established --ext-unix-sk held
ok "the connection counts on" counts_on "$before"
ok "the file is the one that has another name" sh -c "test \$(cat $bundle/rootfs/tmp/b) -gt $before && ! test -e $bundle/rootfs/tmp/a"
ok "the lock is held" fails "" flock -n $bundle/rootfs/tmp/locked true
ok "the other end of the socket hears it" test "$(cat $bundle/rootfs/tmp/taken)" -gt "$taken"
ok "delete it all" plain delete --force held
kill $taker
# Pages of the first dump that the second has again are punched out of its file.
edit '.process.args = ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.2; done"]'
rm -f $bundle/rootfs/tmp/count
ok "deduplication: a counter" start_counter
ok "deduplication: counts" counts_on 2
mkdir -p /tmp/d
ok "deduplication: pre-dump" plain checkpoint --pre-dump --image-path /tmp/d/first counter
blocks() { stat -c %b /tmp/d/first/pages-*.img | awk '{ n += $1 } END { print n }'; }
blocks_before=$(blocks)
ok "deduplication: it goes on" counts_on "$(count)"
ok "checkpoint --auto-dedup" plain checkpoint --image-path /tmp/d --parent-path first --auto-dedup counter
ok "has less in the first" test "$(blocks)" -lt "$blocks_before"
before=$(count)
ok "and is whole" restore_from /tmp/d
ok "its counter goes on" counts_on "$before"
ok "delete what was deduplicated" plain delete --force counter
# Another profile of AppArmor than before.
ok "another profile is loaded" sh -c 'echo "$0" >/tmp/profile && apparmor_parser -K -r /tmp/profile' "${profile/husk-test/husk-other}"
edit '.process.apparmorProfile = "husk-test" | .process.args = ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.2; done"]'
rm -f $bundle/rootfs/tmp/count
ok "a confined counter" start_counter
ok "a confined one counts" counts_on 2
rm -rf /tmp/c
ok "checkpoint of a confined one" carry checkpoint --image-path /tmp/c counter
ok "restore --lsm-profile" carry restore -d --image-path /tmp/c -b $bundle --lsm-profile apparmor:husk-other counter
ok "is confined by that one" says "husk-other (enforce)" cat "/proc/$(plain state counter | jq -r .pid)/attr/current"
ok "delete the confined one" plain delete --force counter
# Into a scope of systemd's.
edit 'del(.process.apparmorProfile) | .linux.cgroupsPath = "husk-test.slice:vm:one" | .linux.resources.pids.limit = 17'
rm -f $bundle/rootfs/tmp/count
ok "a counter in a scope" start_one
ok "a counter in a scope counts" counts_on 2
rm -rf /tmp/c
ok "checkpoint from a scope" oci checkpoint --image-path /tmp/c one
ok "its unit is gone" gone vm-one.scope
before=$(count)
to_scope() { oci restore -d --image-path /tmp/c -b $bundle "$@" one </dev/null >/dev/null 2>/tmp/carry.err || { cat /tmp/carry.err; grep -B3 -m3 Error /tmp/c/restore.log; return 1; }; }
ok "restore into a scope" to_scope
ok "counts on there" counts_on "$before"
ok "the scope has the process and no other" says "$(oci state one | jq -r .pid)" cat $group/cgroup.procs
ok "no helper of ours is left in it" sh -c "! grep -l husk-systemd /proc/\$(head -n 1 $group/cgroup.procs)/comm"
ok "its limit is the unit's" says 17 property vm-one.scope TasksMax
ok "exec into it" says ok oci exec one echo ok
ok "delete it from its scope" oci delete --force one
ok "and the scope is gone" gone vm-one.scope
rm -f $bundle/rootfs/tmp/count
ok "restore --no-pivot" to_scope --no-pivot
ok "counts on with the same" counts_on "$before"
ok "delete it, restored without a pivot of ours" oci delete --force one
mv /tmp/c/pstree.img /tmp/pstree.img
ok "a restore that fails" fails "restore: criu:" oci restore -d --image-path /tmp/c -b $bundle one
ok "leaves no scope" gone vm-one.scope
finish
