# shellcheck shell=bash disable=SC2317,SC2015  # functions are called through ok()
# Runs inside tests/vm with --selinux: labels of processes and mounts under an SELinux that enforces selinux.cil.
#
# Arguments: the build folder, the tar of a busybox root file system, the compiled policy.
build=$1 tar=$2 policy=$3

says() { # WORDS COMMAND...: its output has the words
    local words=$1 out
    shift
    out=$("$@" 2>&1 | tr -d '\0')
    [[ $out == *"$words"* ]] || { printf 'wanted: %s\ngot: %s\n' "$words" "$out"; return 1; }
}
oci() { "$build/bin/husk-oci" --root /run/husk-oci "$@"; }
bundle() { # JQ: config.json anew, changed
    rm -f /tmp/bundle/config.json
    oci spec --bundle /tmp/bundle
    jq ".process.terminal = false | $1" /tmp/bundle/config.json >/tmp/bundle/new && mv /tmp/bundle/new /tmp/bundle/config.json
}
label_of() { python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "security.selinux", follow_symlinks=False).decode())' "$1"; }
pid_of() { oci state "$1" | jq .pid; }

mount -t selinuxfs none /sys/fs/selinux
ok "the policy is loaded" dd if="$policy" of=/sys/fs/selinux/load bs=1M status=none
ok "and enforced" sh -c 'echo 1 >/sys/fs/selinux/enforce && grep -q 1 /sys/fs/selinux/enforce'
mkdir -p /tmp/bundle/rootfs && tar xf "$tar" -C /tmp/bundle/rootfs

process=system_u:system_r:container_t:s0:c1,c2 file=system_u:object_r:container_file_t:s0:c1,c2
bundle ".process.selinuxLabel = \"$process\" | .process.args = [\"cat\", \"/proc/self/attr/current\"]"
ok "process.selinuxLabel" says "$process" oci run -b /tmp/bundle c1
bundle '.process.args = ["cat", "/proc/self/attr/current"]'
ok "without one it is the caller's" says "system_u:system_r:kernel_t:s0" oci run -b /tmp/bundle c1
bundle '.process.selinuxLabel = "system_u:system_r:other_t:s0"'
ok "a label that the policy refuses starts nothing" says "Permission denied" oci run -b /tmp/bundle c1
bundle '.process.selinuxLabel = "nobody:knows:this_t:s0"'
ok "a label that the policy does not know is told" says "nobody:knows:this_t:s0" oci run -b /tmp/bundle c1

mkdir -p /tmp/lower /tmp/upper /tmp/work
bundle ".process.selinuxLabel = \"$process\" | .linux.mountLabel = \"$file\" | .process.args = [\"sleep\", \"1000\"]
    | .mounts += [{destination: \"/over\", type: \"overlay\", source: \"overlay\", options: [\"lowerdir=/tmp/lower\", \"upperdir=/tmp/upper\", \"workdir=/tmp/work\"]}]"
ok "a container with both labels" sh -c '"$0" --root /run/husk-oci run -d -b /tmp/bundle c2 >/dev/null 2>/tmp/error </dev/null || { cat /tmp/error; exit 1; }' "$build/bin/husk-oci"
pid=$(pid_of c2)
for place in dev dev/shm dev/null dev/pts dev/mqueue over; do
    ok "linux.mountLabel on /$place" says "$file" label_of "/proc/$pid/root/$place"
done
ok "its process" says "$process" cat "/proc/$pid/attr/current"
ok "exec has the container's label" says "$process" oci exec c2 cat /proc/self/attr/current
ok "exec --process-label" says "container_t:s0:c3" oci exec --process-label system_u:system_r:container_t:s0:c3 c2 cat /proc/self/attr/current
ok "delete" oci delete --force c2
bundle ".linux.mountLabel = \"$file\" | .annotations[\"run.oci.mount_context_type\"] = \"rootcontext\" | .process.args = [\"cat\", \"/proc/mounts\"]"
ok "run.oci.mount_context_type: rootcontext" says "rootcontext=\"$file\"" oci run -b /tmp/bundle c3
# Debian's CRIU is built without libselinux: what it restores would run without the label, so nothing does.
bundle ".process.selinuxLabel = \"$process\" | .process.args = [\"sleep\", \"1000\"]"
ok "a container to write down" sh -c '"$0" --root /run/husk-oci run -d -b /tmp/bundle c4 >/dev/null 2>&1 </dev/null' "$build/bin/husk-oci"
ok "checkpoint" oci checkpoint --image-path /tmp/images c4
ok "a restore that would lose the label is refused" says "built with libselinux" oci restore -d --image-path /tmp/images -b /tmp/bundle c4
# CRIU makes mounts with another label than they had when it is told one. It cuts labels at commas: these have none.
file=${file%,c2} other=system_u:object_r:container_file_t:s0:c3
bundle ".linux.mountLabel = \"$file\" | .process.args = [\"sleep\", \"1000\"]"
ok "a container with labelled mounts to write down" sh -c '"$0" --root /run/husk-oci run -d -b /tmp/bundle c5 >/dev/null 2>&1 </dev/null' "$build/bin/husk-oci"
ok "its /dev/shm has its label" says "$file" label_of "/proc/$(pid_of c5)/root/dev/shm"
ok "checkpoint it" oci checkpoint --image-path /tmp/labelled c5
restore_labelled() { oci restore -d --image-path /tmp/labelled -b /tmp/bundle "$@" c5 </dev/null >/dev/null 2>/tmp/error || { cat /tmp/error; return 1; }; }
ok "restore --lsm-mount-context" restore_labelled --lsm-mount-context "$other"
for place in dev dev/shm dev/pts; do
    ok "its label is on /$place" says "$other" label_of "/proc/$(pid_of c5)/root/$place"
done
ok "delete the one with other labels" oci delete --force c5
gone() { ! oci state c4; }
ok "and leaves nothing" gone
finish
