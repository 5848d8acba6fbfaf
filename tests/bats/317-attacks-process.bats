#!/usr/bin/env bats
# What a container, its image or its configuration does to get at the runtime's processes, ids and filters. Each check
# is also shown to catch the naive way of doing it: those parts are marked "naive".
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup() {
    VICTIM=$(mktemp -d "$T/tmp/victim.XXXXXX")
    echo host >"$VICTIM/file"
}
teardown() {
    remove_oci
}

# A bundle on the host's own root, for its perl: nothing of it is written.
host_bundle() { # JQ
    bundle '.root.path = "/" | .mounts = [{destination: "/dev", type: "tmpfs", source: "x"}] | del(.linux.maskedPaths, .linux.readonlyPaths)'
    change "$1"
}

@test "CVE-2016-9962: what enters by exec is not to be looked into from inside" {
    bundle "$(sh_c 'while [ ! -e /tmp/stop ]; do for p in /proc/[0-9]*; do ls -l $p/fd $p/exe 2>/dev/null; done; done | grep -E "victim|memfd|/tasks|cgroup.procs|husk-order" >/tmp/seen; true')"
    change '.root.readonly = false | .process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE"])'
    local i pid seen=$B/rootfs/tmp/seen
    exec 9<"$VICTIM"
    oci run -d -b "$B" c1 >/dev/null
    for i in {1..25}; do oci exec c1 true; done
    touch "$B/rootfs/tmp/stop"
    wait_until 30 is_stopped c1
    [[ ! -s $seen ]] || { cat "$seen"; return 1; }
    oci delete c1
    # who may trace sees the stub, and what of ours it still needs; what our caller had open is closed by then
    change '.process.capabilities |= map_values(. + ["CAP_SYS_PTRACE"])'
    rm -f "$B/rootfs/tmp/stop"
    oci run -d -b "$B" c1 >/dev/null
    for i in {1..25}; do oci exec c1 true; done
    touch "$B/rootfs/tmp/stop"
    wait_until 30 is_stopped c1
    ! grep victim "$seen"
    oci delete c1
    # in a user namespace it may trace all that is its own: what enters is not, until it is the program
    rm -f "$B/rootfs/tmp/stop" "$seen"
    change '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 200000, size: 1000}] | .linux.gidMappings = .linux.uidMappings'
    chown -R 200000:200000 "$B/rootfs"
    oci run -d -b "$B" c1 >/dev/null
    for i in {1..25}; do oci exec c1 true; done
    touch "$B/rootfs/tmp/stop"
    wait_until 30 is_stopped c1
    [[ -e $seen && ! -s $seen ]] || { cat "$seen"; return 1; }
    oci delete c1
    chown -R 0:0 "$B/rootfs"
    change 'del(.linux.namespaces[] | select(.type == "user")) | del(.linux.uidMappings, .linux.gidMappings)'
    # one that waits for its start has laid its rights down: equal to it is who enters by exec, but for this
    change '.process.capabilities |= map_values(. - ["CAP_SYS_PTRACE"])'
    oci create -b "$B" c1 >/dev/null
    run oci exec c1 sh -c 'for l in /proc/1/exe /proc/1/fd/*; do readlink $l && echo is seen; done; readlink /proc/self/exe'
    expect 0 =/bin/busybox
    oci delete --force c1
    change '.process.capabilities |= map_values(. + ["CAP_SYS_PTRACE"])'
    # naive: a process that enters with what it had open
    rm -f "$B/rootfs/tmp/stop"
    oci run -d -b "$B" c1 >/dev/null
    pid=$(oci state c1 | jq .pid)
    nsenter --target "$pid" --mount --pid --root sh -c 'i=0; while [ $i -lt 40 ]; do sleep 0.05; i=$((i + 1)); done'
    touch "$B/rootfs/tmp/stop"
    wait_until 30 is_stopped c1
    grep -q victim "$seen"
    exec 9<&-
}
is_stopped() { [[ $(oci state "$1" | jq -r .status) == stopped ]]; }

@test "CVE-2016-3697, 2024-40635: a number is an id, whatever the image calls by it, and one beyond the last is nobody" {
    cp -a "$IMAGES/rootfs" "$T/tmp/named"
    printf 'root:x:0:0:root:/root:/bin/sh\n10:x:0:0:evil:/:/bin/sh\n4294967296:x:0:0:evil:/:/bin/sh\n' >"$T/tmp/named/etc/passwd"
    printf 'root:x:0:\n10:x:0:\n' >"$T/tmp/named/etc/group"
    check_table <<END
run --rm -u 10 --rootfs $T/tmp/named id -u            | 0   | =10
run --rm -u 10:10 --rootfs $T/tmp/named id -g         | 0   | =10
run --rm -u 4294967296 --rootfs $T/tmp/named id -u    | 125 | 4294967296
run --rm -u 4294967295 --rootfs $T/tmp/named id -u    | 125 | 4294967295
run --rm -u -1 --rootfs $T/tmp/named id -u            | 125 | -1
run --rm -u 0:4294967296 --rootfs $T/tmp/named id -u  | 125 | 4294967296
run --rm -u 18446744073709551626 --rootfs $T/tmp/named id -u | 125 | 18446744073709551626
END
    # naive: names first, and 32 bits of whatever is left
    local naive
    naive=$(awk -F: '$1 == "10" { print $3 }' "$T/tmp/named/etc/passwd")
    [[ $naive == 0 && $((4294967296 & 0xffffffff)) == 0 ]]
}

@test "CVE-2021-43784: lengths that do not fit 16 bits" {
    local long maps
    long=$(head -c 70000 /dev/zero | tr '\0' x)
    bundle "$(sh_c 'printf %s "$LONG" | wc -c; wc -l </proc/self/uid_map')"
    printf '%s' "$long" >"$T/tmp/long"
    jq --rawfile long "$T/tmp/long" '.process.env += ["LONG=" + $long]' "$B/config.json" >"$B/new" && mv "$B/new" "$B/config.json"
    chown -R 200000:200000 "$B/rootfs"
    # of two hundred and more lines the kernel takes what fits a page
    maps='[range(250) | {containerID: ., hostID: (200000 + . * 3), size: 1}]'
    change ".linux.namespaces += [{type: \"user\"}] | .linux.uidMappings = $maps | .linux.gidMappings = $maps"
    run oci run -b "$B" c1
    expect 0 $'=70000\n250'
    change ".linux.uidMappings = ${maps/250/400}"
    run oci run -b "$B" c1
    expect 1 "400 ranges: the kernel takes 340"
    jq --rawfile long "$T/tmp/long" '.process.cwd = "/" + $long | del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user"))' \
        "$B/config.json" >"$B/new" && mv "$B/new" "$B/config.json"
    run oci run -b "$B" c1
    expect 1 "enter work directory"
    assert_gone c1
    # naive: a 16-bit length, as netlink has it: what follows is read out of the enemy's bytes
    run python3 -c 'import struct
message = lambda kind, data: struct.pack("=HH", len(data) & 0xffff, kind) + data
data = message(1, b"x" * 8 + message(3, b"evil") + b"x" * 65528)
while len(data) >= 4:
    size, kind = struct.unpack("=HH", data[:4])
    print(kind, data[4:4 + size].decode())
    data = data[4 + size:] if kind == 1 else b""'
    expect 0 $'=1 xxxxxxxx\n3 evil'
}

@test "idmaps of several lines map each range" {
    local uid
    mkdir "$T/tmp/ids"
    for uid in 0 5 100; do touch "$T/tmp/ids/$uid"; chown "$uid:$uid" "$T/tmp/ids/$uid"; done
    bundle "$(sh_c 'stat -c %n:%u:%g /ids/0 /ids/5 /ids/100')"
    change ".mounts += [{destination: \"/ids\", source: \"$T/tmp/ids\", options: [\"bind\", \"idmap\"],
        uidMappings: [{containerID: 0, hostID: 1000, size: 1}, {containerID: 5, hostID: 2000, size: 10}, {containerID: 100, hostID: 30000, size: 1}],
        gidMappings: [{containerID: 0, hostID: 1000, size: 1}, {containerID: 5, hostID: 2000, size: 10}, {containerID: 100, hostID: 40000, size: 1}]}]"
    run oci run -b "$B" c1
    expect 0 $'=/ids/0:1000:1000\n/ids/5:2000:2000\n/ids/100:30000:40000'
    # naive: the first line alone
    change '.mounts[-1] |= (.uidMappings |= .[:1] | .gidMappings |= .[:1])'
    run oci run -b "$B" c1
    expect 0 $'=/ids/0:1000:1000\n/ids/5:65534:65534\n/ids/100:65534:65534'
}

# perl: a naive filter that looks at the number alone and refuses getpid, or none; then calls from the arguments.
filter_probe='use strict; my $naive = shift @ARGV;
if ($naive) { my $f = pack("SCCL" x 4, 0x20,0,0,0, 0x15,0,1,39, 0x06,0,0,0x00050001, 0x06,0,0,0x7fff0000);
    my $p = pack("SxxxxxxP", 4, $f); syscall(157, 38, 1, 0, 0, 0); syscall(157, 22, 2, $p) == 0 or die "filter: $!"; }
$| = 1; for (@ARGV) { my ($nr, @a) = map { 0 + hex } split /,/; my $r = syscall($nr, @a); print $r < 0 ? "errno " . ($! + 0) : "ok", "\n"; }'

@test "seccomp: the other tables of the machine are closed, new calls look missing, upper bits of an argument count for nothing" {
    [[ $(uname -m) == x86_64 ]] || skip_unless_kernel "x86_64 only" false
    host_bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1, architectures: ["SCMP_ARCH_X86_64"], syscalls: [
        {names: [], action: "SCMP_ACT_ALLOW"},
        {names: ["ioctl"], action: "SCMP_ACT_ERRNO", errnoRet: 76, args: [{index: 1, value: 4294967295, valueTwo: 21522, op: "SCMP_CMP_MASKED_EQ"}]}]}'
    # everything that perl needs, and not getpid: by the names of the default profile
    local names
    names=$(jq -c '[.syscalls[] | select(.action == "SCMP_ACT_ALLOW" and (.includes // {}) == {}) | .names[]] - ["getpid", "ioctl"] + ["arch_prctl"] | unique' "$HUSK_TOP/src/process/seccomp-default.json")
    change ".linux.seccomp.syscalls[0].names = $names"
    probe() {
        change ".process.args = $(jq -nc --arg p "$filter_probe" '["perl", "-e", $p, "0"] + $ARGS.positional' --args -- "$@")"
        oci run -b "$B" c1
    }
    run probe 27                 # getpid is refused
    expect 0 "=errno 1"
    run probe 270f               # a number above all that the profile names
    expect 0 "=errno 38"
    run probe 10,0,5412          # TIOCSTI
    expect 0 "=errno 76"
    run probe 10,0,100005412     # and with bits that the kernel does not look at
    expect 0 "=errno 76"
    run probe 40000027           # getpid of x32
    [[ $status -eq 159 && ! $output ]] || { echo "$status: $output"; return 1; }
    # getpid of i386, by the gate of its own
    echo 'int main(void) { long r = 20; __asm__ volatile("int $0x80" : "+a"(r)); return r < 0 ? (int)-r : 0; }' | gcc -x c -static -o "$T/tmp/i386" -
    if "$T/tmp/i386"; then # naive: without a filter it is answered
        change ".process.args = [\"$T/tmp/i386\"]"
        run oci run -b "$B" c1
        expect 159 =
        change '.linux.seccomp.architectures += ["SCMP_ARCH_X86"]' # its own table, without getpid
        run oci run -b "$B" c1
        expect 1 =
        change '.linux.seccomp.architectures = ["SCMP_ARCH_X86_64"]'
    fi
    # naive: the filter in the probe refuses getpid, and lets its x32 twin through to the kernel
    run perl -e "$filter_probe" 1 27 40000027
    [[ $status -eq 0 && ${lines[0]} == "errno 1" && ${lines[1]} != "errno 1" ]] || { echo "$status: $output"; return 1; }
}

@test "CVE-2023-25809: without a cgroup namespace nothing of the host's control groups can be written" {
    bundle "$(sh_c 'cat /proc/self/mountinfo; for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/x; done 2>/dev/null; ls -d /sys/fs/cgroup/x /sys/fs/cgroup/*/x 2>/dev/null; true')"
    change '.linux.namespaces |= map(select(.type != "cgroup"))'
    writable() { awk -f "$BATS_TEST_DIRNAME/cgroup-writable.awk"; }
    run oci run -b "$B" c1
    [[ $status -eq 0 && $output == *" /sys/fs/cgroup "* && $(writable <<<"$output") == 0 && $output != */x ]] || { echo "$output"; return 1; }
    if [[ -d /sys/fs/cgroup/memory ]]; then # v1: where it is asked for, its own group, and nothing above that is in sight
        change '(.mounts[] | select(.type == "cgroup")).options -= ["ro"]'
        run oci run -b "$B" c1
        [[ $status -eq 0 && $output == */sys/fs/cgroup/memory/x* ]] || { echo "$output"; return 1; }
        ! awk -v own="/husk/$GROUP" '/ - cgroup2? / && substr($4, length($4) - length(own) + 1) != own' <<<"$output" | grep .
        assert_gone c1
    fi
    user_bundle '.process.args = ["cat", "/proc/self/mountinfo"]'
    change '.linux.namespaces |= map(select(.type != "cgroup"))'
    run user_oci run -b "$B" c1
    [[ $status -eq 0 && $output == *" /sys/fs/cgroup "* && $(writable <<<"$output") == 0 ]] || { echo "$output"; return 1; }
    # naive: the host's tree, bound, and its top alone made read-only
    mkdir -p "$T/tmp/sys/fs/cgroup"
    run unshare --mount --propagation private sh -c 'mount --rbind /sys/fs/cgroup "$1/fs/cgroup" && mount -o remount,bind,ro "$1/fs/cgroup" && grep "$1/fs/cgroup" /proc/self/mountinfo | sed "s|$1|/sys|"' x "$T/tmp/sys"
    [[ $status -eq 0 && $(writable <<<"$output") -gt 0 ]] || { echo "$output"; return 1; }
}

@test "the terminal of the caller is out of reach: no session is shared" {
    bundle "$(sh_c '(: </dev/tty) 2>&1; cut -d" " -f6,7 /proc/self/stat')"
    cat >"$T/tmp/script" <<'END'
see end
end
END
    # run and exec without a terminal, from a shell that has one
    cat >"$T/tmp/in-terminal" <<'END'
"$1" --root "$2" run -b "$3" c1 </dev/null; echo end
END
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" bash "$T/tmp/in-terminal" "$HUSK_OCI" "$TRUN/oci" "$B"
    output_has "can't open /dev/tty: No such device or address"
    change '.process.args = ["sleep", "1000"]'
    oci run -d -b "$B" c1 >/dev/null
    echo '"$1" --root "$2" exec c1 sh -c ": </dev/tty" </dev/null; echo end' >"$T/tmp/in-terminal"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" bash "$T/tmp/in-terminal" "$HUSK_OCI" "$TRUN/oci"
    output_has "can't open /dev/tty: No such device or address"
    # naive: the same session
    echo 'sh -c ": </dev/tty && echo reached" </dev/null; echo end' >"$T/tmp/in-terminal"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" bash "$T/tmp/in-terminal"
    output_has "reached"
}

# What exec asks a container's files before anything is entered: a reader that waits, or believes, is the enemy's. The
# enemy does what is in /ctl/go, since exec itself may be what no longer works.
@test "exec: names out of a hostile /etc/passwd and /etc/group are read to an end, by their kind, size and numbers" {
    local h
    load_busybox
    as_user load_busybox
    limited() {
        [[ $h == root_husk ]] || { as_user timeout 20 "$HUSK" "$@"; return; }
        timeout 20 "$HUSK" "$@"
    }
    try() { # TEXT USER
        echo "rm -rf /etc/passwd /etc/group; cp /keep /etc/passwd; echo daemon:x:1: >/etc/group; $1; rm /ctl/go" >"$T/tmp/ctl/next"
        mv "$T/tmp/ctl/next" "$T/tmp/ctl/go"
        wait_until 20 test ! -e "$T/tmp/ctl/go"
        limited exec -u "$2" evil grep Uid: /proc/self/status
    }
    for h in root_husk user_husk; do
        mkdir -m 777 "$T/tmp/ctl"
        $h run -d --network none --name evil -v "$T/tmp/ctl:/ctl" busybox sh -c 'cp /etc/passwd /keep; while :; do [ ! -e /ctl/go ] || sh /ctl/go; usleep 10000; done' >/dev/null
        check_table try <<'END'
"true" daemon                                                       | 0   | ~Uid:.1
"echo wrap:x:4294967296:0::/: >>/etc/passwd" wrap                   | 126 | wrap
"echo minus:x:-1:0::/: >>/etc/passwd" minus                         | 126 | minus
"echo all:x:4294967295:0::/: >>/etc/passwd" all                     | 126 | 4294967295 is not an id
"echo hex:x:0x10:0::/: >>/etc/passwd" hex                           | 126 | hex
"echo none:x::0::/: >>/etc/passwd" none                             | 126 | none
"echo daemon:x:4294967296: >/etc/group" daemon:daemon               | 126 | daemon
"rm /etc/passwd; mkfifo /etc/passwd" daemon                         | 126 | user 'daemon' is not in the container's /etc/passwd
"rm /etc/passwd; mkfifo /etc/passwd" 0                              | 0   | ~Uid:.0
"rm /etc/group; mkfifo /etc/group" 0                                | 0   | ~Uid:.0
"rm /etc/passwd; mkdir /etc/passwd" 0                               | 0   | ~Uid:.0
"rm /etc/passwd; ln -s /proc/self/environ /etc/passwd" 0            | 0   | ~Uid:.0
"rm /etc/passwd; ln -s passwd /etc/passwd" daemon                   | 126 | too many links
"rm /etc/passwd; ln -s passwd /etc/passwd" 0                        | 0   | ~Uid:.0
"rm /etc/passwd; ln -s ../../../../../../../../etc/hostname /etc/passwd" 0 | 0 | ~Uid:.0
"tr '\\\\0' a </dev/zero | head -c 5000000 >/etc/passwd" daemon     | 126 | larger than
"dd if=/dev/zero of=/etc/passwd bs=1 count=1 seek=100000000000" daemon | 126 | larger than
"dd if=/dev/zero of=/etc/passwd bs=1 count=1 seek=100000000000" 0   | 0   | ~Uid:.0
"chmod 000 /etc/passwd /etc/group" 0                                | 0   | ~Uid:.0
END
        $h rm -f evil >/dev/null
        rm -rf "$T/tmp/ctl"
    done
    # naive: by name, whatever it is; and a number that fits into 32 bits by half
    mkfifo "$T/tmp/fifo"
    run timeout 0.3 grep daemon "$T/tmp/fifo"
    ((status == 124 && (4294967296 & 0xffffffff) == 0))
    rm "$T/tmp/fifo"
}

@test "exec: in a container that has put others in the place of /proc, /dev, its terminal and its directories" {
    bundle "$(sh_c 'mount -t tmpfs x /proc && mkdir -p /proc/self/attr /proc/self/fd /proc/1 && for f in oom_score_adj attr/exec attr/current uid_map setgroups; do echo enemy >/proc/self/$f; done
        mount -t tmpfs x /dev && for f in console null tty ptmx pts; do ln -s /victim/file /dev/$f; done
        rm -rf /tmp && ln -s /victim /tmp; rm -rf /home && ln -s /proc/1/cwd /home; echo >/ready; exec sleep 1000')"
    change '.root.readonly = false | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])' \
        ".mounts += [{destination: \"/victim\", source: \"$VICTIM\", options: [\"bind\"]}]"
    oci run -d -b "$B" c1 >/dev/null
    wait_until 20 test -e "$B/rootfs/ready"
    jq '.process | .args = ["sh", "-c", "echo $$ in; cat /proc/self/oom_score_adj; stat -L -c %t /dev/console; exec sleep 1000"] | .oomScoreAdj = 500 | .terminal = false' "$B/config.json" >"$T/tmp/process"
    oci exec -d --pid-file "$T/tmp/pid" --process "$T/tmp/process" c1 >"$T/tmp/said" 2>&1
    [[ $(<"/proc/$(<"$T/tmp/pid")/oom_score_adj") == 500 ]]
    wait_until 10 grep -q enemy "$T/tmp/said" # the file is the enemy's, and nothing was written to it
    printf 'end\n' >"$T/tmp/script"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" "$HUSK_OCI" --root "$TRUN/oci" exec -t c1 sh -c 'echo out; echo err >&2'
    [[ $output != *"status 0"* || $output == *out*err* ]]
    run oci exec --cwd /tmp c1 pwd
    expect 0 =/victim # a directory of its own by another name
    [[ $(ls "$VICTIM") == file && $(<"$VICTIM/file") == host ]]
    # naive: by its name
    nsenter --target "$(oci state c1 | jq .pid)" --mount --root sh -c 'echo 500 >/proc/self/oom_score_adj; echo console >/dev/console'
    [[ $(<"$VICTIM/file") == console && $(oci exec c1 cat /proc/self/oom_score_adj) == 500 ]]
}

# What exec writes by /proc once it is inside are labels, which bats 329 asks of AppArmor; the OOM score is written before.
@test "exec: in a container whose /proc is true, and its links are not" {
    bundle "$(sh_c 'mount -t tmpfs x /proc/fs && proc-links && echo >/ready; exec sleep 1000')"
    change '.root.readonly = false | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])'
    gcc -O1 -static -o "$B/rootfs/bin/proc-links" "$HUSK_TOP/tests/vm/proc-links.c"
    oci run -d -b "$B" c1 >"$T/tmp/out" 2>&1
    wait_until 20 test -e "$B/rootfs/ready" || { cat "$T/tmp/out"; return 1; }
    jq '.process | .args = ["sleep", "1000"] | .oomScoreAdj = 500' "$B/config.json" >"$T/tmp/process"
    oci exec -d --pid-file "$T/tmp/pid" --process "$T/tmp/process" c1 >"$T/tmp/out" 2>&1 || { cat "$T/tmp/out"; return 1; }
    [[ $(<"/proc/$(<"$T/tmp/pid")/oom_score_adj") == 500 ]]
    run oci exec c1 cat /proc/fs/oom_score_adj
    expect 0 =enemy
    # naive: by the link
    nsenter --target "$(oci state c1 | jq .pid)" --mount --root sh -c 'echo 500 >/proc/self/oom_score_adj'
    run oci exec c1 cat /proc/fs/oom_score_adj
    expect 0 =500
}
