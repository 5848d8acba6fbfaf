#!/usr/bin/env bats
# A root file system, a volume or a configuration made by an enemy: nothing outside of the container changes, and
# nothing of the host is seen inside. One test per kind of attack that runtimes have fallen to; each is then played on
# naive.py, a runtime that checks nothing, and must be seen to succeed there: those parts are marked "naive".
# shellcheck disable=SC2016,SC2154

# serial: husk-oci names its control groups by the container, as 300-oci does
load helpers
load oci

setup() {
    VICTIM=$(mktemp -d "$T/tmp/victim.XXXXXX")
    echo host >"$VICTIM/file"
    chmod 644 "$VICTIM/file"
}

teardown() {
    remove_oci
}

victim_is_whole() {
    [[ $(ls "$VICTIM") == file && $(<"$VICTIM/file") == host && $(stat -c %a:%u "$VICTIM/file") == 644:0 ]] ||
        { ls -la "$VICTIM"; return 1; }
}

# Naive: the attack works, and the test sees it.
victim_is_hit() {
    ! victim_is_whole >/dev/null || { echo "the naive runtime withstood this: $output"; return 1; }
    rm -rf "$VICTIM"
    mkdir "$VICTIM"
    echo host >"$VICTIM/file"
}

no_dev='del(.mounts[] | select(.destination | startswith("/dev")))'

@test "CVE-2026-41579: /dev of the image is a link to a directory of the host" {
    bundle '.process.args = ["true"]'
    rm -r "$B/rootfs/dev"
    ln -s "$VICTIM" "$B/rootfs/dev"
    run oci run -b "$B" c1
    expect 1 "'/dev' in the root file system is not a directory"
    change "$no_dev"
    run oci run -b "$B" c1
    expect 1 "'/dev' in the root file system is not a directory"
    victim_is_whole
    assert_gone c1
    # naive: devices are made by name
    run naive run -b "$B" c1
    victim_is_hit
}

@test "CVE-2026-88264, 88265: console and null of the image lead to files of the host" {
    bundle "$(sh_c 'ls -l /dev/null | cut -c1; echo overwritten >/dev/null; ls -l /dev/console | cut -c1; echo done')"
    change "$no_dev"
    local name
    for name in null zero console ptmx fd stdin tty; do ln -s "$VICTIM/file" "$B/rootfs/dev/$name"; done
    run oci run -b "$B" c1
    expect 0 done
    [[ ${lines[0]} == c ]]
    victim_is_whole
    # naive: what is there by that name is null
    run naive -d run -b "$B" c1
    victim_is_hit
    # with a terminal, and no devpts to take one from
    change '.process.terminal = true'
    printf 'end\n' >"$T/tmp/script"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    output_has "/dev/pts/ptmx"
    victim_is_whole
    # naive: the file on which the terminal is mounted is made by name
    run naive run -b "$B" c1
    victim_is_hit
    # a volume over /dev, where the enemy still has his hands: nothing is made in it
    mkdir "$T/tmp/dev.$$"
    ln -s "$VICTIM/file" "$T/tmp/dev.$$/console"
    ln -s "$VICTIM/file" "$T/tmp/dev.$$/null"
    mkdir "$T/tmp/dev.$$/pts"
    change ".mounts += [{destination: \"/dev\", source: \"$T/tmp/dev.$$\", options: [\"bind\"]},
        {destination: \"/dev/pts\", type: \"devpts\", source: \"devpts\", options: [\"newinstance\", \"ptmxmode=0666\"]}]"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    output_has "'/dev/console' is a link or a directory"
    victim_is_whole
    [[ $(ls "$T/tmp/dev.$$" | sort | tr '\n' ' ') == "console null pts " ]]
    # output that goes to the host's null does not go to what the container calls so
    rm "$T/tmp/dev.$$/null"
    install -m 666 /dev/null "$T/tmp/dev.$$/null"
    change '.process.terminal = false' "$(sh_c 'echo written; t=$(stat -L -c %t:%T /proc/1/fd/1); echo $t >&2')" '.mounts |= map(select(.destination != "/dev/pts"))'
    oci run -b "$B" c1 >/dev/null 2>"$T/tmp/said"
    [[ $(<"$T/tmp/said") == 1:3 && -f $T/tmp/dev.$$/null && ! -s $T/tmp/dev.$$/null ]]
    # naive: it does
    naive -d run -b "$B" c1 2>/dev/null
    [[ $(<"$T/tmp/dev.$$/null") == written ]]
}

@test "CVE-2025-31133: paths are hidden by the host's /dev/null, whatever the container's is" {
    mkdir "$T/tmp/devd"
    ln -s /proc/sys/kernel/core_pattern "$T/tmp/devd/null"
    bundle "$(sh_c 'cat /proc/keys | wc -c; echo x >/proc/keys; stat -c %t:%T /proc/keys; mount | grep -c "on /proc/sys/kernel"')"
    change "$no_dev" ".mounts += [{destination: \"/dev\", source: \"$T/tmp/devd\", options: [\"bind\"]}]"
    local before
    before=$(</proc/sys/kernel/core_pattern)
    run oci run -b "$B" c1
    [[ ${lines[0]} == 0 && ${lines[1]} == 1:3 && ${lines[2]} == 0 ]]
    [[ $(</proc/sys/kernel/core_pattern) == "$before" ]]
    # naive: by the container's; and core_pattern is the host's, so here it is the name of a domain of its own
    ln -sf /proc/sys/kernel/domainname "$T/tmp/devd/null"
    change "$(sh_c 'echo reached >/proc/keys; cat /proc/sys/kernel/domainname')" '.linux.readonlyPaths = []'
    run naive run -b "$B" c1
    expect 0 "=reached"
    run oci run -b "$B" c1
    [[ $status -eq 0 && $output != *reached* ]]
}

@test "hidden directories are empty and stay so, with a /proc of the container's and without, whatever the image has there" {
    local proc
    # what is taken for empty in /proc is looked at: a directory of the image's by that name is not it
    for proc in . 'del(.mounts[] | select(.destination == "/proc"))'; do
        bundle "$(sh_c 'cd /; ls -A hidden other proc/acpi 2>/dev/null | tr "\n" " "; for d in hidden other; do touch $d/x || echo refused; done; stat -f -c %T /hidden')"
        mkdir -p "$B"/rootfs/{hidden,other,proc/acpi,proc/tty/ldisc}
        touch "$B"/rootfs/{hidden,other,proc/acpi,proc/tty/ldisc}/secret
        change "$proc" '.linux.maskedPaths = ["/hidden", "/proc/acpi", "/other"] | .root.readonly = false | .linux.readonlyPaths = []'
        run oci run -b "$B" c1
        [[ $output != *secret* && $(grep -c '^refused$' <<<"$output") == 2 ]] || { echo "$output"; return 1; }
        [[ ${lines[-1]} == @(proc|tmpfs) ]]
        [[ $proc == . || ${lines[-1]} == tmpfs ]]
    done
}

# What the name of a terminal says is the enemy's to choose: here ptmx is a true one, and the number leads to the host.
@test "CVE-2025-52565: the terminal's name in /dev/pts is a link to a file of the host" {
    bundle "$(sh_c 'echo written >/dev/console; stat -c %t /dev/console; stat -L -c %t /proc/self/fd/0; echo done')"
    mkdir -p "$T/tmp/terms/pts"
    mknod -m 666 "$T/tmp/terms/ptmx" c 5 2
    local n
    for n in 0 1 2 3; do ln -s "$VICTIM/file" "$T/tmp/terms/$n"; done
    # the kernel takes the terminals of a ptmx from the "pts" beside it
    change 'del(.mounts[] | select(.destination == "/dev/pts"))' ".mounts += [
        {destination: \"/dev/pts\", source: \"$T/tmp/terms\", options: [\"bind\"]},
        {destination: \"/dev/pts/pts\", type: \"devpts\", source: \"devpts\", options: [\"newinstance\", \"ptmxmode=0666\"]}]"
    change '.process.terminal = true'
    printf 'see done\nend\n' >"$T/tmp/script"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    output_has written
    [[ $(grep -c '^88' <<<"$output") == 2 ]] # a slave of the kernel's, on both: what was written came out
    victim_is_whole
    # and the same by exec
    change "$(sh_c 'sleep 1000')" '.process.terminal = false'
    oci run -d -b "$B" c2 >/dev/null
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" "$HUSK_OCI" --root "$TRUN/oci" exec -t c2 sh -c 'echo written; stat -L -c %t /proc/self/fd/0; echo done'
    output_has written
    grep -q '^88' <<<"$output"
    victim_is_whole
    # naive: the number of the terminal is a name in the container's /dev/pts
    change "$(sh_c 'echo written >/dev/console')" '.process.terminal = true'
    run naive run -b "$B" c1
    victim_is_hit
}

@test "CVE-2025-52881, 2019-19921: /proc can only be a proc file system" {
    bundle '.process.args = ["true"] | .process.oomScoreAdj = 500'
    cp "$B/config.json" "$B/plain"
    mkdir "$T/tmp/fakeproc"
    try() { cp "$B/plain" "$B/config.json"; change "(.mounts[] | select(.destination == \"/proc\")) |= $1"; oci run -b "$B" c1; }
    check_table try <<END
'. + {type: "tmpfs", source: "tmpfs"}'                               | 1 | mount '/proc': only a proc file system may be mounted there
'{destination: "/proc", source: "$T/tmp/fakeproc", options: ["bind"]}' | 1 | only a proc file system may be mounted there
'{destination: "//proc/.", source: "$T/tmp/fakeproc", options: ["bind"]}' | 1 | only a proc file system may be mounted there
'{destination: "/x/../proc", type: "tmpfs", source: "x"}'            | 1 | only a proc file system may be mounted there
END
    # naive: what is to hold for the process goes into a file of the enemy's
    mkdir "$T/tmp/fakeproc/self"
    run try "{destination: \"/proc\", source: \"$T/tmp/fakeproc\", options: [\"bind\"]}"
    expect 1 "only a proc file system"
    run naive run -b "$B" c1
    [[ $(<"$T/tmp/fakeproc/self/oom_score_adj") == 500 ]]
    # the image has one of its own where nothing is mounted
    cp "$B/plain" "$B/config.json"
    change '.process.args = ["sleep", "1000"] | .mounts |= map(select(.destination != "/proc")) | del(.linux.maskedPaths, .linux.readonlyPaths)'
    mkdir "$B/rootfs/proc/self"
    echo enemy >"$B/rootfs/proc/self/oom_score_adj"
    oci run -d -b "$B" c1 >/dev/null
    [[ $(<"/proc/$(oci state c1 | jq .pid)/oom_score_adj") == 500 && $(<"$B/rootfs/proc/self/oom_score_adj") == enemy ]]
    oci delete --force c1
    # and the host's, which parameters are written through, has something on top of one
    echo enemy >"$T/tmp/fakeproc/name"
    bundle "$(sh_c 'cat /proc/sys/kernel/domainname')"
    change '.linux.sysctl = {"kernel.domainname": "mine"}'
    run unshare --mount --propagation private bash -c 'mount --bind "$1/name" /proc/sys/kernel/domainname && exec "$2" --root "$3" run -b "$4" c1' \
        x "$T/tmp/fakeproc" "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 0 "=mine"
    [[ $(<"$T/tmp/fakeproc/name") == enemy ]]
    # naive: by name
    unshare --mount --uts --propagation private bash -c 'mount --bind "$1/name" /proc/sys/kernel/domainname && echo mine >/proc/sys/kernel/domainname' x "$T/tmp/fakeproc"
    [[ $(<"$T/tmp/fakeproc/name") == mine ]]
}

@test "CVE-2019-16884: nothing is mounted over the inside of /proc, by name or by link, but what is harmless" {
    bundle '.process.args = ["true"] | .root.readonly = false'
    ln -s /proc/self "$B/rootfs/link"
    ln -s ../../../proc/sys "$B/rootfs/sys-link"
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change ".mounts += [{destination: \"$1\", source: \"$2\", options: [\"bind\"]}]"; oci run -b "$B" c1; }
    check_table try <<END
/proc/self/attr        $VICTIM      | 1 | inside /proc, where nothing may be mounted over
/proc/sys              $VICTIM      | 1 | inside /proc
/proc/1                $VICTIM      | 1 | inside /proc
/proc/version          $VICTIM/file | 1 | inside /proc
/proc/self/fd          $VICTIM      | 1 | mount '/proc/self/fd'
/link/attr             $VICTIM      | 1 | mount '/link/attr'
/sys-link              $VICTIM      | 1 | '/proc/sys' is inside /proc
/x/../proc/self/attr   $VICTIM      | 1 | inside /proc
/proc/nothing-there    $VICTIM      | 1 | /proc/nothing-there
/proc/uptime           $VICTIM/file | 0 |
/proc/sys/kernel/ns_last_pid $VICTIM/file | 0 |
END
    victim_is_whole
    # naive: /proc/self is the runtime at that time, so the enemy waits at the first process of the container
    cp "$B/plain" "$B/config.json"
    change ".mounts += [{destination: \"/proc/1/attr\", source: \"$VICTIM\", options: [\"bind\"]}] |
        .process.args = [\"cat\", \"/proc/self/attr/file\"]"
    run oci run -b "$B" c1
    expect 1 "inside /proc"
    run naive run -b "$B" c1
    expect 0 "=host"
}

@test "CVE-2023-27561: /proc and /sys of the image are links" {
    local name
    for name in proc sys; do
        bundle '.process.args = ["true"]'
        rmdir "$B/rootfs/$name"
        ln -s "$VICTIM" "$B/rootfs/$name"
        run oci run -b "$B" c1
        expect 1 "'/$name' in the root file system is not a directory"
        # naive: mounted where the link leads
        NAIVE_MOUNTS=$T/tmp/mounts run naive run -b "$B" c1
        grep -q " $VICTIM " "$T/tmp/mounts"
        rm "$B/rootfs/$name" "$T/tmp/mounts"
        ln -s /tmp "$B/rootfs/$name"
        run oci run -b "$B" c1
        expect 1 "'/$name' in the root file system is not a directory"
    done
    victim_is_whole
}

@test "CVE-2024-21626: the working directory is a descriptor of ours or of our caller" {
    bundle '.process.args = ["pwd"]'
    exec 9</
    local fd
    for fd in {3..16}; do
        change ".process.cwd = \"/proc/self/fd/$fd\""
        run oci run -b "$B" c1
        [[ $status -eq 1 ]] || { echo "fd $fd: $output"; return 1; }
        change ".process.cwd = \"/proc/self/fd/$fd/etc\""
        run oci run -b "$B" c1
        [[ $status -eq 1 ]] || { echo "fd $fd: $output"; return 1; }
    done
    change '.process.cwd = "/" | .process.args = ["sleep", "1000"]'
    oci run -d -b "$B" c1 >/dev/null
    for fd in {3..16}; do
        run oci exec --cwd "/proc/self/fd/$fd" c1 pwd
        [[ $status -eq 255 ]] || { echo "fd $fd: $output"; return 1; }
    done
    run oci exec c1 sh -c 'ls -l /proc/self/fd 2>/dev/null | grep -c -- "-> /$"'
    expect 1 "=0"
    # one that is handed on is the program's, but no way out
    run oci exec --preserve-fds 1 --cwd /proc/self/fd/3 c1 pwd 3</
    expect 255 "the work directory is not inside the container's root"
    oci delete --force c1
    change '.process.cwd = "/proc/self/fd/3"'
    run oci run --preserve-fds 1 -b "$B" c1 3</
    expect 1 "the work directory is not inside the container's root"
    change '.process.cwd = "/"'
    # naive: the directory is entered, and what is open is inherited
    change "$(sh_c "cat .$VICTIM/file; ls -l /proc/self/fd 2>/dev/null | grep -c -- '-> /\$'")" '.process.cwd = "/proc/self/fd/9"'
    run naive run -b "$B" c1
    expect 0 $'=host\n1'
    exec 9<&-
}

@test "CVE-2019-5736: the program of the host cannot be reached from inside" {
    bundle "$(sh_c 'echo x >/proc/self/exe; cat /proc/1/exe | wc -c')"
    printf '#!/proc/self/exe\nx\n' >"$B/rootfs/bin/evil"
    chmod 755 "$B/rootfs/bin/evil"
    change '.process.args = ["/bin/evil"]'
    local before
    before=$(sha256sum "$HUSK_OCI" "$HUSK_BUILD/libexec/husk/husk-init")
    run oci run -b "$B" c1
    [[ $status -ne 0 ]]
    # while exec's process is there, root of the container opens what it is, and writes when nobody runs it any more
    change "$(sh_c 'while :; do
            for p in /proc/[0-9]*; do
                [ $p = /proc/1 ] || { while [ -d $p ]; do :; done; i=0; until echo x >/proc/self/fd/3 || [ $i = 2000 ]; do i=$((i + 1)); done; } 3<$p/exe
            done
        done 2>/dev/null')" '.process.capabilities |= map_values(. + ["CAP_SYS_PTRACE"])'
    oci run -d -b "$B" c1 >/dev/null
    local i
    for i in {1..25}; do oci exec c1 true || true; done
    [[ $(sha256sum "$HUSK_OCI" "$HUSK_BUILD/libexec/husk/husk-init") == "$before" ]]
    # naive: programs of the host's come into the container's world. They are copies: one of them is lost.
    cp "$(command -v busybox)" "$(command -v nsenter)" "$T/tmp"
    before=$(cd "$T/tmp" && sha256sum busybox nsenter)
    "$T/tmp/nsenter" --target "$(oci state c1 | jq .pid)" --pid "$T/tmp/busybox" sleep 1
    hit() { [[ $(cd "$T/tmp" && sha256sum busybox nsenter) != "$before" ]]; }
    wait_until 10 hit
    oci delete --force c1
}

@test "CVE-2021-30465: a mount point is swapped for a link while containers start" {
    bundle '.process.args = ["true"] | .root.readonly = false'
    mkdir -p "$T/tmp/vol/sub" "$T/tmp/vol/other"
    change ".mounts += [{destination: \"/vol\", source: \"$T/tmp/vol\", options: [\"bind\"]},
        {destination: \"/vol/sub/deep/x\", type: \"tmpfs\", source: \"x\"},
        {destination: \"/vol/sub/file\", source: \"$VICTIM/file\", options: [\"bind\", \"ro\"]}]"
    cat >"$T/tmp/swap.py" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None)
vol, victim = sys.argv[1:]
os.chdir(vol)
os.symlink(victim, "link")
while not os.path.exists("stop"):
    libc.renameat2(-100, b"sub", -100, b"link", 2)  # exchange
END
    python3 "$T/tmp/swap.py" "$T/tmp/vol" "$VICTIM" 3>&- &
    local i mounts
    mounts=$(grep -F "$T" /proc/self/mountinfo || true)
    for i in {1..60}; do oci run -b "$B" c1 >/dev/null 2>&1 || true; done
    touch "$T/tmp/vol/stop"
    wait $!
    victim_is_whole
    [[ $(grep -F "$T" /proc/self/mountinfo || true) == "$mounts" ]]
    assert_gone c1
    # naive: mount points are made by name
    rm -r "$T/tmp/vol"
    mkdir -p "$T/tmp/vol/sub"
    python3 "$T/tmp/swap.py" "$T/tmp/vol" "$VICTIM" 3>&- &
    for i in {1..40}; do
        naive run -b "$B" c1 >/dev/null 2>&1 || true
        victim_is_whole >/dev/null || break
    done
    touch "$T/tmp/vol/stop"
    wait $!
    victim_is_hit
}

@test "CVE-2024-45310: mount points are only ever made inside" {
    bundle '.process.args = ["true"] | .root.readonly = false'
    ln -s "$VICTIM" "$B/rootfs/abs"
    ln -s "../../../../../../../../../..$VICTIM" "$B/rootfs/up"
    ln -s /proc/self/root "$B/rootfs/magic"
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change ".mounts += [$1]"; oci run -b "$B" c1; }
    check_table try <<END
'{destination: "/abs/new", type: "tmpfs", source: "x"}'                            | 0 |
'{destination: "/up/new2/deep", type: "tmpfs", source: "x"}'                       | 0 |
'{destination: "/../../../../../../../$VICTIM/new3", type: "tmpfs", source: "x"}'  | 0 |
'{destination: "/abs/f", source: "/etc/passwd", options: ["bind"]}'                | 0 |
'{destination: "/magic$VICTIM/new4", type: "tmpfs", source: "x"}'                  | 1 | mount '/magic
END
    victim_is_whole
    [[ -d $B/rootfs$VICTIM/new && -d $B/rootfs$VICTIM/new2/deep && -d $B/rootfs$VICTIM/new3 && -f $B/rootfs$VICTIM/f ]] # where the container would look for them
    # devices too
    cp "$B/plain" "$B/config.json"
    change '.linux.devices = [{path: "/abs/dev", type: "p"}]'
    run oci run -b "$B" c1
    expect 0
    victim_is_whole
    # naive: made where the host finds the name
    local where
    for where in /abs/new /up/new2/deep "/../../../../../../../..$VICTIM/new3"; do
        cp "$B/plain" "$B/config.json"
        change ".mounts += [{destination: \"$where\", type: \"tmpfs\", source: \"x\"}]"
        run naive run -b "$B" c1
        victim_is_hit
    done
}

@test "CVE-2024-40635: user ids that wrap or mean 'leave it'" {
    bundle '.process.args = ["id"]'
    try() { change ".process.user = {uid: $1, gid: $2}"; oci run -b "$B" c1; }
    check_table try <<'END'
4294967295 0          | 1 | 4294967295 is not a user or group id
0 4294967295          | 1 | 4294967295 is not a user or group id
4294967296 0          | 1 | 4294967296 is out of range
18446744073709551616 0 | 1 | config.json
-1 0                  | 1 | -1 is out of range
1.5 0                 | 1 | expected an integer, got real
'"0"' 0               | 1 | expected an integer, got string
4294967294 0          | 0 | uid=4294967294
END
    # naive: -1 means "leave it", and 32 bits of 2^32 are 0
    local id
    for id in 4294967295 4294967296; do
        change ".process.user = {uid: $id, gid: 0}"
        run naive run -b "$B" c1
        expect 0 "uid=0"
    done
}

@test "CVE-2019-18837: the root is a link, or changes while it is looked at" {
    bundle "$(sh_c 'cat /who /etc/who; [ -e /proc/self ] && echo mounted')"
    cp -a "$B/rootfs" "$B/a"
    mv "$B/rootfs" "$B/b"
    local which
    for which in a b; do echo $which | tee "$B/$which/who" >"$B/$which/etc/who"; done
    ln -s a "$B/rootfs"
    run oci run -b "$B" c1
    expect 0 $'=a\na\nmounted'
    cat >"$T/tmp/flip.py" <<'END'
import os, sys
os.chdir(sys.argv[1])
while not os.path.exists("stop"):
    for target in "ab":
        os.symlink(target, "new")
        os.rename("new", "rootfs")
END
    python3 "$T/tmp/flip.py" "$B" 3>&- &
    local i
    for i in {1..40}; do
        run oci run -b "$B" c1
        [[ $status -eq 0 && ( $output == $'a\na\nmounted' || $output == $'b\nb\nmounted' ) ]] || { touch "$B/stop"; echo "$output"; return 1; }
    done
    # naive: the name is looked up for every mount, and for the root once more
    for i in {1..40}; do
        run naive run -b "$B" c1
        [[ $output == *mounted ]] || break
    done
    touch "$B/stop"
    wait $!
    [[ $output != *mounted ]]
}

@test "rro holds for mounts below that nobody named; ro of a locked mount stays" {
    bundle "$(sh_c 'echo x >/rro/sub/f 2>&1; echo x >/rro/sub/deep/f 2>&1; echo end')"
    mkdir -p "$T/tmp/rro/sub"
    change ".mounts += [{destination: \"/rro\", source: \"$T/tmp/rro\", options: [\"rbind\", \"rro\"]}]"
    run unshare --mount --propagation private bash -c 'mount -t tmpfs t "$1/rro/sub" && mkdir "$1/rro/sub/deep" &&
        mount -t tmpfs t "$1/rro/sub/deep" && exec "$2" --root "$3" run -b "$4" c1' x "$T/tmp" "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 0 $'=sh: can\'t create /rro/sub/f: Read-only file system\nsh: can\'t create /rro/sub/deep/f: Read-only file system\nend'
    # naive: the mount that was named, and nothing below
    run unshare --mount --propagation private bash -c 'mount -t tmpfs -o nosuid,nodev t "$1/rro/sub" && mkdir "$1/rro/sub/deep" && exec python3 "$2" run -b "$3" c1' \
        x "$T/tmp" "$BATS_TEST_DIRNAME/naive.py" "$B"
    expect 0 "=end"
    # a mount that is made read-only stays nosuid; naive: it is mounted anew with the flags that were named
    mkdir "$T/tmp/flags"
    bundle "$(sh_c 'grep " /m " /proc/self/mountinfo | cut -d" " -f6')"
    change ".mounts += [{destination: \"/m\", source: \"$T/tmp/flags\", options: [\"bind\", \"ro\"]}]"
    nosuid='mount -t tmpfs -o nosuid,nodev t "$1/flags" && shift && exec "$@"'
    run unshare --mount --propagation private bash -c "$nosuid" x "$T/tmp" "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    expect 0 "ro,nosuid,nodev"
    run unshare --mount --propagation private bash -c "$nosuid" x "$T/tmp" python3 "$BATS_TEST_DIRNAME/naive.py" run -b "$B" c1
    [[ $status -eq 0 && $output == *ro,* && $output != *nosuid* ]] || { echo "$output"; return 1; }
    # as an ordinary user in a namespace whose mounts are locked: what is nosuid and read-only outside stays so inside
    user_bundle "$(sh_c 'grep " /m " /proc/self/mountinfo | grep -c "ro,nosuid"; echo x >/m/f 2>&1')"
    mkdir -p "$T/tmp/locked"
    change ".mounts += [{destination: \"/m\", source: \"$T/tmp/locked\", options: [\"rbind\"]}]"
    cat >"$T/tmp/locked.sh" <<'END'
mount -t tmpfs -o ro,nosuid t "$1/locked" || exit 9
shift
exec "$@"
END
    run unshare --mount --propagation private bash "$T/tmp/locked.sh" "$T/tmp" setpriv --reuid "$HUSK_USER" \
        --regid "$HUSK_USER" --init-groups env XDG_RUNTIME_DIR="$USER_RUN" "$HUSK_OCI" --root "$USER_RUN/oci" run -b "$B" c1
    expect 1 $'=1\nsh: can\'t create /m/f: Read-only file system'
    change '.mounts[-1].options = ["rbind", "rw"]'
    run unshare --mount --propagation private bash "$T/tmp/locked.sh" "$T/tmp" setpriv --reuid "$HUSK_USER" \
        --regid "$HUSK_USER" --init-groups env XDG_RUNTIME_DIR="$USER_RUN" "$HUSK_OCI" --root "$USER_RUN/oci" run -b "$B" c1
    expect 1 "mount '/m'"
}

@test "tmpcopyup follows no link and copies no device" {
    bundle "$(sh_c 'cd /up; ls | tr "\n" " "; readlink out; cat out 2>&1')"
    mkdir -p "$B/rootfs/up/d"
    ln -s "$VICTIM/file" "$B/rootfs/up/out"
    ln -s "$VICTIM" "$B/rootfs/up/d/dir"
    mknod "$B/rootfs/up/null" c 1 3
    mkfifo "$B/rootfs/up/fifo"
    change '.mounts += [{destination: "/up", type: "tmpfs", source: "x", options: ["tmpcopyup"]}]'
    run oci run -b "$B" c1
    expect 1 "=d out $VICTIM/file
cat: can't open 'out': No such file or directory"
    # the owner first: who sets the mode first loses setuid by it, or gives it to root for a moment
    rm "$B/rootfs/up/out"
    install -m 4755 -o 5 -g 6 /dev/null "$B/rootfs/up/s"
    change "$(sh_c 'stat -c %a:%u:%g /up/s')"
    run oci run -b "$B" c1
    expect 0 "=4755:5:6"
    rm "$B/rootfs/up/s"
    ln -s "$VICTIM/file" "$B/rootfs/up/out"
    change "$(sh_c 'cat /up/out')"
    victim_is_whole
    # naive: a copy of what the names lead to
    run naive run -b "$B" c1
    output_has "host"
}

# With systemd all of a host's mounts are shared: what is mounted on a copy of one is mounted on the host too.
@test "shared mounts of the host: nothing that a container mounts in one comes out, however it was handed in" {
    bundle "$(sh_c 'mount -t tmpfs evil /v/in && echo mounted')"
    mkdir -p "$T/tmp/peers/in" "$B/rootfs/v"
    change '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])' ".mounts += [{destination: \"/v\", source: \"$T/tmp/peers\", options: [\"rbind\"]}]"
    cp "$B/config.json" "$B/plain"
    cat >"$T/tmp/peers.sh" <<'SH'
for dir in "$1/peers" "$2"; do mount --bind "$dir" "$dir" && mount --make-shared "$dir" || exit 9; done
shift 2
"$@" || exit
! grep 'tmpfs evil' /proc/self/mountinfo || exit 99
SH
    try() { unshare --mount --propagation private bash "$T/tmp/peers.sh" "$T/tmp" "$B/rootfs" "$@"; }
    run_with() { cp "$B/plain" "$B/config.json" && change "$1" && try "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1; }
    userns='.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 0, size: 5000}] |
        .linux.gidMappings = .linux.uidMappings'
    check_table run_with <<'TABLE'
"$userns"                                                        | 0 | =mounted
"$userns | .mounts[-1].options += [\"rshared\"]"                 | 0 | =mounted
"$userns | .linux.rootfsPropagation = \"shared\""                | 0 | =mounted
"$userns | .linux.rootfsPropagation = \"private\""               | 0 | =mounted
".mounts[-1] |= (.uidMappings = [{containerID: 0, hostID: 0, size: 10}] | .gidMappings = .uidMappings)" | 0 | =mounted
TABLE
    # and into one that runs
    cp "$B/plain" "$B/config.json"
    change "$(sh_c 'sleep 1000')" '.mounts = .mounts[:-1]'
    jq -n --arg s "$T/tmp/peers" '[{destination: "/v", source: $s, options: ["bind"]}]' >"$B/m.json"
    run try bash -ec 'run="$1 --root $2"
        $run run -d -b "$3" c1 >/dev/null 2>&1
        $run mounts add c1 "$3/m.json"
        $run exec --cap CAP_SYS_ADMIN c1 mount -t tmpfs evil /v/in' x "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 0
    # naive: a copy as it comes
    run try bash -c 'cd / && mkdir "$1/naive" && mount --bind "$1/peers" "$1/naive" && mount -t tmpfs evil "$1/naive/in"' x "$T/tmp"
    expect 99
}
