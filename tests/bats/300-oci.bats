#!/usr/bin/env bats
# husk-oci: the OCI runtime's verbs on plain bundles, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

teardown() {
    remove_oci
}

@test "run: the default bundle is what its config.json says" {
    bundle "$(sh_c 'hostname; echo pid $$; id -u; grep -E "Cap(Eff|Bnd|Amb)|NoNewPrivs" /proc/self/status; ulimit -n
                    touch /x 2>&1; ls -l /dev/null | cut -c1; readlink /dev/ptmx; readlink /dev/fd; cat /proc/keys | wc -c
                    echo 1 2>&1 >/proc/sys/kernel/shmmax; ls /proc/acpi | wc -l')"
    run oci run -b "$B" c1
    expect 0 "=husk
pid 1
0
CapEff:	0000000020000420
CapBnd:	0000000020000420
CapAmb:	0000000000000000
NoNewPrivs:	1
1024
touch: /x: Read-only file system
c
pts/ptmx
/proc/self/fd
0
sh: can't create /proc/sys/kernel/shmmax: Read-only file system
0"
    assert_gone c1
}

@test "run: exit statuses and messages" {
    bundle
    local row
    try() { change "$1"; oci run -b "$B" c1; }
    check_table try <<'END'
'.process.args = ["true"]'                          | 0   |
'.process.args = ["sh", "-c", "exit 32"]'           | 32  |
'.process.args = ["sh", "-c", "kill -9 $$; sleep 1"]' | 0 |
'.process.args = ["/no/such"]'                      | 1   | exec '/no/such': No such file or directory
'.process.args = ["/etc"]'                          | 1   | exec '/etc': Permission denied
'.process.args = []'                                | 1   | process: args: missing: there is no program to run
'.process.args = ["true"] | .process.cwd = "/etc/passwd"' | 1 | '/etc/passwd'
'.process.cwd = "x"'                                | 1   | process: cwd: 'x' is not an absolute path
'.process.cwd = "/" | .hostname = 5'               | 1   | config.json: hostname: expected a string, got int
'.hostname = "h" | .root.path = "/no/such"'        | 1   | /no/such
'.root.path = "config.json"'                        | 1   | is not a directory
'.root.path = ""'                                   | 1   | root: path: empty
'.root.path = "rootfs" | .process.consoleSize = {height: 70000, width: 1}' | 1 | 70000 x 1: a terminal has at most 65535 rows
'del(.process.consoleSize) | .linux.resources.memory = {limit: 8192}' | 1 | the memory limit is too small to start a program in
'del(.linux.resources.memory) | .linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO"}' | 1 | linux.seccomp: the filter refuses execve
'.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["execve"], action: "SCMP_ACT_KILL"}]}' | 1 | the filter refuses execve
'.linux.seccomp = {defaultAction: "SCMP_ACT_TRACE"}' | 1 | exec 'true': Function not implemented
'.linux.namespaces |= map(select(.type != "uts"))' | 1 | hostname needs a uts namespace that is not the host
'.hostname = "" | .domainname = "x"'                | 1   | domainname needs a uts namespace that is not the host
'.linux.namespaces += [{type: "uts", path: "/proc/self/ns/uts"}]' | 1 | domainname needs a uts namespace that is not the host
END
    assert_gone c1
    run oci run -b "$T/tmp" c1
    expect 1 "bundle '$T/tmp': open 'config.json': No such file or directory"
}

# A filter that allows next to nothing holds husk-init too, from when it is loaded to the exec.
@test "seccomp: no filter keeps a start waiting, whatever it refuses; what goes wrong under it is told" {
    bundle '.process.args = ["true"]'
    cp "$(command -v busybox)" "$B/rootfs/bin/nothing"
    printf '#!/no/such\n' >"$B/rootfs/bin/script"
    printf 'x' >"$B/rootfs/bin/text"
    chmod 755 "$B/rootfs/bin/script" "$B/rootfs/bin/text"
    filter() { # DEFAULT NAMES PROGRAM
        change ".process.args = [\"$3\"] | .linux.seccomp = {defaultAction: \"SCMP_ACT_$1\", syscalls: [{names: $2, action: \"SCMP_ACT_ALLOW\"}]}"
    }
    try() { filter "$@"; timeout 20 "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1; }
    check_table try <<'END'
KILL_PROCESS '["execve"]' script             | 1   | exec 'script': its interpreter: No such file or directory
KILL_PROCESS '["execve"]' text               | 1   | exec 'text': Exec format error
KILL_PROCESS '["execve"]' true               | 159 | =
KILL_THREAD '["execve"]' script              | 1   | exec 'script': its interpreter
TRAP '["execve"]' script                     | 1   | exec 'script': its interpreter
TRAP '["execve"]' true                       | 159 | =
ERRNO '["execve"]' script                    | 1   | exec 'script': its interpreter
ERRNO '["execve"]' text                      | 1   | exec 'text': Exec format error
ERRNO '["execve", "exit_group"]' script      | 1   | exec 'script': its interpreter
ERRNO '["execve", "sendto"]' script          | 1   | exec 'script': its interpreter
KILL_PROCESS '["execve", "sendto", "exit_group", "statx"]' script | 1 | exec 'script': its interpreter
KILL_PROCESS '["exit_group"]' true           | 1   | the filter refuses execve
ALLOW '["execve"]' script                            | 1   | exec 'script': its interpreter
END
    # start and exec say it as well
    filter KILL_PROCESS '["execve"]' script
    oci create -b "$B" c1 >/dev/null 2>&1 </dev/null
    run timeout 20 "$HUSK_OCI" --root "$TRUN/oci" start c1
    expect 1 "exec 'script': its interpreter"
    oci delete --force c1
    filter ALLOW '["execve"]' sleep
    change '.process.args = ["sleep", "1000"]'
    oci run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
    filter ERRNO '["execve"]' script
    run timeout 20 "$HUSK_OCI" --root "$TRUN/oci" exec c1 script
    expect 255 "exec 'script': its interpreter"
    run timeout 20 "$HUSK_OCI" --root "$TRUN/oci" exec c1 nothing
    [[ $status -gt 128 && ! $output ]] || { echo "$status: $output"; return 1; }
    # an init is held by the filter for as long as the program runs
    load_busybox
    local names='["execve", "clone", "wait4", "kill", "rt_sigtimedwait", "rt_sigprocmask", "rt_sigaction", "sendto", "close", "getpid", "capset"'
    echo "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": $names], \"action\": \"SCMP_ACT_ALLOW\"}]}" >"$T/tmp/most.json"
    run timeout 20 "$HUSK" run --rm --network none --init --security-opt "seccomp=$T/tmp/most.json" busybox true
    expect 125 "the filter refuses exit_group, which husk-init needs as process 1"
    sed -i 's/SCMP_ACT_ERRNO/SCMP_ACT_KILL_PROCESS/; s/"close",/"close", "exit_group",/' "$T/tmp/most.json"
    run timeout 20 "$HUSK" run --rm --network none --init --security-opt "seccomp=$T/tmp/most.json" busybox true
    expect 125 "the filter refuses prctl, which husk-init needs as process 1"
    sed -i 's/SCMP_ACT_KILL_PROCESS/SCMP_ACT_ERRNO/' "$T/tmp/most.json"
    run timeout 20 "$HUSK" run --rm --network none --init --security-opt "seccomp=$T/tmp/most.json" busybox nope
    expect 127 "nope"
}

@test "ids: what is no name is refused" {
    bundle '.process.args = ["true"]'
    local long
    long=$(printf 'x%.0s' {1..300})
    try() { oci run -b "$B" -- "$1"; }
    check_table try <<END
'../x'   | 1 | container id '../x': letters, digits
'a/b'    | 1 | container id 'a/b'
'.'      | 1 | container id '.'
'..'     | 1 | container id '..'
''       | 1 | container id is empty
'-x'     | 1 | container id '-x'
'a b'    | 1 | container id 'a b'
$long    | 1 | container id has 300 characters: at most 255
'a.b-c_d+e' | 0 |
END
    # naive: a folder by that name
    mkdir -p "$T/tmp/naive/state"
    NAIVE_STATE=$T/tmp/naive/state naive run -b "$B" ../x
    [[ -d $T/tmp/naive/x ]]
    run oci state ../oci
    expect 1 "container id '../oci'"
    run oci delete --force ../../x
    expect 1 "container id"
}

lifecycle() { # OCI
    "$1" create --bundle "$B" --pid-file "$T/tmp/pid" c1 >/dev/null # not by run: the container has its output
    run "$1" create --bundle "$B" c1
    expect 1 "container 'c1' exists"
    local pid
    pid=$(<"$T/tmp/pid")
    rm -f "$T/tmp/pid"
    [[ $("$1" state c1 | jq -r '.id, .status, .pid, .bundle, .ociVersion' | tr '\n' ' ') == "c1 created $pid $B 1.3.0 " ]]
    [[ ! -e $B/rootfs/tmp/ran ]]
    run "$1" start c1
    expect 0 "="
    run "$1" start c1
    expect 1 "cannot start container 'c1': it is running"
    wait_until 5 test -e "$B/rootfs/tmp/ran"
    [[ $("$1" state c1 | jq -r .status) == running ]]
    [[ $("$1" list -q) == c1 ]]
    [[ $("$1" list -f json | jq -r '.[0].id, .[0].pid' | tr '\n' ' ') == "c1 $pid " ]]
    [[ $("$1" list | wc -l) == 2 ]]
    [[ $("$1" ps -f json c1) == *"$pid"* ]]
    "$1" ps c1 | grep -q "sleep 1000"
    run "$1" exec c1 sh -c 'echo $$ >/tmp/exec; hostname; exit 7'
    expect 7 "=husk"
    run "$1" delete c1
    expect 1 "cannot delete container 'c1': it is running"
    "$1" kill c1 KILL
    wait_until 5 is_stopped "$1" c1
    run "$1" kill c1
    expect 1 "cannot signal container 'c1': it is stopped"
    run "$1" exec c1 true
    expect 255 "cannot exec in container 'c1': it is stopped"
    [[ $("$1" state c1 | jq -r .pid) == 0 ]]
    "$1" delete c1
    run "$1" state c1
    expect 1 "container 'c1' does not exist"
    run "$1" delete c1
    expect 1 "container 'c1' does not exist"
    "$1" delete --force c1
    assert_gone c1
}
is_stopped() { [[ $("$1" state "$2" | jq -r .status) == stopped ]]; }

@test "create, start, state, exec, kill, delete: as root" {
    bundle "$(sh_c 'echo >/tmp/ran; exec sleep 1000') | .root.readonly = false"
    lifecycle oci
}

@test "create, start, state, exec, kill, delete: as an ordinary user" {
    user_bundle "$(sh_c 'echo >/tmp/ran; exec sleep 1000') | .root.readonly = false"
    lifecycle user_oci
}

@test "delete --force ends a container in any state" {
    bundle '.process.args = ["sleep", "1000"]'
    oci create -b "$B" c1 >/dev/null
    oci delete --force c1
    assert_gone c1
    oci run -d -b "$B" c1 >/dev/null
    oci pause c1
    oci delete --force c1
    assert_gone c1
    oci create -b "$B" c1 >/dev/null
    oci delete c1 # as runc: what was never started needs no force
    assert_gone c1
}

@test "pause and resume" {
    bundle "$(sh_c 'while :; do echo >>/tmp/n; sleep 0.05; done') | .root.readonly = false"
    oci run -d -b "$B" c1 >/dev/null
    wait_until 5 test -s "$B/rootfs/tmp/n"
    oci pause c1
    [[ $(oci state c1 | jq -r .status) == paused ]]
    local before
    before=$(wc -c <"$B/rootfs/tmp/n")
    sleep 0.3
    [[ $(wc -c <"$B/rootfs/tmp/n") == "$before" ]]
    run oci pause c1
    expect 1 "cannot pause container 'c1': it is paused"
    run oci exec c1 true
    expect 255 "it is paused"
    oci resume c1
    [[ $(oci state c1 | jq -r .status) == running ]]
    run oci resume c1
    expect 1 "cannot resume container 'c1': it is running"
}

@test "kill: signals by name and number, to one or all" {
    bundle "$(sh_c 'trap "echo got >/tmp/got" USR1; sleep 1000 & while :; do wait; done') | .root.readonly = false"
    oci run -d -b "$B" c1 >/dev/null
    wait_until 5 oci_ps_has c1 sleep
    oci kill c1 SIGUSR1
    wait_until 5 test -s "$B/rootfs/tmp/got"
    rm "$B/rootfs/tmp/got"
    oci kill c1 10
    wait_until 5 test -s "$B/rootfs/tmp/got"
    run oci kill c1 NOPE
    expect 1 "'NOPE' is not a signal"
    oci kill --all c1 KILL
    wait_until 5 is_stopped oci c1
}
oci_ps_has() { oci ps "$1" | grep -q "$2"; }

@test "exec: options" {
    bundle '.process.args = ["sleep", "1000"] | .process.env += ["A=1"]'
    oci run -d -b "$B" c1 >/dev/null
    try() { oci exec "$@"; }
    check_table try <<'END'
c1 sh -c 'echo $A $B'                           | 0   | =1
-e B=2 -e A=3 c1 sh -c 'echo $A $B'             | 0   | =3 2
--cwd /tmp c1 pwd                               | 0   | =/tmp
--cwd /no c1 pwd                                | 255 | /no
-u 5 c1 id                                      | 0   | uid=5 gid=0
-u 5:6 c1 id                                    | 0   | =uid=5 gid=6
-u 5:6 -g 7 -g 8 c1 id                          | 0   | =uid=5 gid=6 groups=7,8
-u 1: c1 id                                     | 255 | --user: '' is not a number
-u :1 c1 id                                     | 255 | --user: '' is not a number
-u alice c1 id                                  | 255 | --user: 'alice' is not a number
-u 0x1 c1 id                                    | 255 | --user: '0x1' is not a number
-u ' 1' c1 id                                   | 255 | --user: ' 1' is not a number
-u 4294967295 c1 id                             | 255 | --user
-u 4294967296 c1 id                             | 255 | --user
-c CAP_SYS_TIME c1 grep CapEff /proc/self/status | 0  | 0000000022000420
-c CAP_MOON c1 true                             | 255 | --cap
--no-new-privs c1 grep NoNew /proc/self/status  | 0   | 1
c1 sh -c 'exit 9'                               | 9   | =
c1 /nope                                        | 255 | exec '/nope': No such file or directory
c1                                              | 255 | which program?
nope true                                       | 255 | container 'nope' does not exist
END
    jq '.process | .args = ["sh", "-c", "echo $PWD"] | .cwd = "/etc"' "$B/config.json" >"$T/tmp/process.json"
    run oci exec --process "$T/tmp/process.json" c1
    expect 0 "=/etc"
    oci exec -d --pid-file "$T/tmp/pid" c1 sleep 500
    [[ $(tr '\0' ' ' <"/proc/$(<"$T/tmp/pid")/cmdline") == "sleep 500 " ]]
    # the same namespaces, group and root as the container's first process
    local ns
    for ns in pid net ipc uts mnt cgroup; do
        [[ $(oci exec c1 readlink "/proc/self/ns/$ns") == "$(oci exec c1 readlink "/proc/1/ns/$ns")" ]]
    done
    [[ $(oci exec c1 cat /proc/self/cgroup) == "$(oci exec c1 cat /proc/1/cgroup)" ]]
    # naive: whatever a library takes for a number
    run python3 -c 'print(int(" 1"), int("0x1", 0), 4294967296 & 0xffffffff)'
    expect 0 "=1 1 0"
}

@test "exec: inheritable and ambient capabilities are empty unless asked for" {
    bundle '.process.args = ["sleep", "1000"] | .process.capabilities.inheritable = ["CAP_KILL"] | .process.capabilities.ambient = ["CAP_KILL"]'
    oci run -d -b "$B" c1 >/dev/null
    run oci exec c1 grep -E 'Cap(Inh|Amb)' /proc/self/status
    expect 0 $'=CapInh:\t0000000000000000\nCapAmb:\t0000000000000000'
    # naive: what the caller has is handed on
    run setpriv --inh-caps +kill nsenter --target "$(oci state c1 | jq .pid)" --mount --pid --root grep CapInh /proc/self/status
    expect 0 $'=CapInh:\t0000000000000020'
}

@test "terminal: run and exec in the foreground, /dev/console, the size" {
    bundle "$(sh_c 'tty; stty size; ls -l /dev/console | cut -c1; echo done') | .process.terminal = true |
                    .process.consoleSize = {height: 33, width: 99}"
    printf 'see done\nend\n' >"$T/tmp/script"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    expect 0 "/dev/pts/0"
    output_has done
    # without one in the foreground somebody must take the master
    run oci create -b "$B" c1
    expect 1 "process.terminal needs --console-socket"
    run oci run -d -b "$B" c1
    expect 1 "process.terminal needs --console-socket"
    assert_gone c1
}

@test "terminal: the master goes over --console-socket, as runc sends it" {
    bundle "$(sh_c 'tty; echo ready; read -r x; echo "got $x"; exec sleep 1000') | .process.terminal = true"
    cat >"$T/tmp/console.py" <<'END'
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
open(sys.argv[1] + ".ready", "w").close()
c, _ = s.accept()
_, ancillary, _, _ = c.recvmsg(4096, socket.CMSG_SPACE(4))
fd = array.array("i", ancillary[0][2])[0]
os.write(fd, b"hello\n")
out = b""
while b"got hello" not in out:
    out += os.read(fd, 1000)
print(out.decode())
END
    python3 "$T/tmp/console.py" "$T/tmp/console.sock" >"$T/tmp/console.out" 3>&- &
    wait_until 5 test -e "$T/tmp/console.sock.ready"
    oci create -b "$B" --console-socket "$T/tmp/console.sock" c1
    oci start c1
    wait $!
    grep -q '/dev/pts/0' "$T/tmp/console.out"
    grep -q 'got hello' "$T/tmp/console.out"
}

@test "--log: one JSON line with level, msg and time" {
    bundle '.process.args = ["/nope"]'
    run oci --log "$T/tmp/log" --log-format json run -b "$B" c1
    expect 1 "exec '/nope'"
    [[ $(jq -r '.level + " " + .msg' "$T/tmp/log") == "error "*"exec '/nope': no such file or directory"* ]]
    jq -e '.time | fromdateiso8601? // (.[0:19] + "Z" | fromdateiso8601)' "$T/tmp/log" >/dev/null
}

@test "a reader of the log that leaves stops no start" {
    bundle "$(sh_c 'grep SigIgn /proc/self/status >&2; exec sleep 0.3')"
    bash -c '{ "$1" --root "$2" --debug run -b "$3" c1; echo $? >"$4"; } 2>&1 >/dev/null | head -c 1 >/dev/null' x \
        "$HUSK_OCI" "$TRUN/oci" "$B" "$T/tmp/status"
    [[ $(<"$T/tmp/status") == 0 ]]
    assert_gone c1
    run oci run -b "$B" c1 # and the program does not inherit that
    expect 0 $'=SigIgn:\t0000000000000000'
}

@test "--preserve-fds and LISTEN_FDS pass descriptors on, and nothing else" {
    bundle "$(sh_c 'ls /proc/self/fd | tr "\n" " "; cat <&3; cat <&4')"
    echo three >"$T/tmp/three"
    echo four >"$T/tmp/four"
    run bash -c 'exec 3<"$0/three" 4<"$0/four" 5<"$0/four"; "$1" --root "$2" run --preserve-fds 2 -b "$3" c1' \
        "$T/tmp" "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 0 $'=0 1 2 3 4 5 three\nfour' # the last is ls's own
    change "$(sh_c 'ls /proc/self/fd | tr "\n" " "; echo $LISTEN_FDS')"
    run bash -c 'exec 3<"$0/three" 7</ 8</etc/passwd; "$1" --root "$2" run -b "$3" c1' "$T/tmp" "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 0 "=0 1 2 3 "
    run bash -c 'exec 3>&- 4>&- 5>&-; "$1" --root "$2" run --preserve-fds 3 -b "$3" c1' "$T/tmp" "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 1 "--preserve-fds: descriptor"
}

hook() { # STAGE SCRIPT: adds a hook that logs its stage, the state's status and pid
    local path=$B/hook-$1-$((++HOOKS))
    printf '#!/bin/bash\ns=$(cat)\necho "%s $(jq -r "[.id, .status, (.pid > 0)] | map(tostring) | join(\\" \\")" <<<"$s")" >>%s/hooks\n%s\n' \
        "$1" "$B" "$2" >"$path"
    chmod 755 "$path"
    change ".hooks.$1 += [{path: \"$path\", args: [\"x\"], env: [\"PATH=/usr/bin:/bin\"]}]"
}

@test "hooks: all six kinds, in their order, with the state" {
    bundle "$(sh_c 'echo program >>/log/hooks') | .mounts += [{destination: \"/log\", type: \"bind\", source: \"$T/tmp\", options: [\"bind\"]}]"
    change ".mounts[-1].source = \"$B\""
    local stage
    for stage in prestart createRuntime createContainer poststart poststop; do hook $stage ''; done
    # this one runs in the container, with its programs
    printf '#!/bin/sh\necho "startContainer $(cat | grep -c creat)" >>/log/hooks\n' >"$B/rootfs/bin/hook"
    chmod 755 "$B/rootfs/bin/hook"
    change '.hooks.startContainer = [{path: "/bin/hook", args: ["hook"]}]'
    oci create -b "$B" c1 >/dev/null
    [[ $(<"$B/hooks") == $'prestart c1 creating true\ncreateRuntime c1 creating true\ncreateContainer c1 creating true' ]]
    oci start c1
    wait_until 5 is_stopped oci c1
    oci delete c1
    [[ $(sed -n 4,6p "$B/hooks" | sort) == $'poststart c1 running true\nprogram\nstartContainer 1' ]]
    [[ $(sed -n '7p' "$B/hooks") == 'poststop c1 stopped false' ]]
}

@test "hooks: one that fails or hangs stops the start, and its words are in the message" {
    local stage
    for stage in prestart createRuntime createContainer; do
        bundle '.process.args = ["true"]'
        hook $stage 'echo "no way" >&2; exit 3'
        hook poststop ''
        run oci create -b "$B" c1
        expect 1 "$stage hook '$B/hook-$stage"
        output_has "exit status 3: no way"
        assert_gone c1
        grep -q poststop "$B/hooks"
    done
    bundle '.process.args = ["true"]'
    hook createRuntime 'sleep 100'
    change '.hooks.createRuntime[0].timeout = 1'
    run oci create -b "$B" c1
    expect 1 "still running after 1 seconds"
    assert_gone c1
    change '.hooks = {prestart: [{path: "relative"}]}'
    run oci create -b "$B" c1
    expect 1 "hooks: prestart[0]: path: 'relative' is not an absolute path"
}

@test "hooks: nothing of ours or of our caller is open in one" {
    bundle '.process.args = ["true"]'
    hook createRuntime "ls /proc/self/fd >$B/fds"
    hook createContainer "ls /proc/self/fd >$B/fds2"
    exec 7</ 8<"$T"
    oci run -b "$B" c1
    exec 7<&- 8<&-
    local bash_own=$'0\n1\n2\n3' # 3: ls reading the directory; bash itself holds 255 for its script
    [[ $(grep -v 255 "$B/fds") == "$bash_own" ]]
    [[ $(grep -v 255 "$B/fds2") == "$bash_own" ]]
}

@test "mounts: bind, read-only, recursive, relative, tmpfs, propagation" {
    bundle "$(sh_c 'cat /ro/f; echo x >/ro/f2; echo x >/rro/sub/f; echo x >/rosub/sub/f && echo wrote
                    cat /rel; cat /file; stat -c %a /tm; cat /up/a/b; ls -l /up/link | sed "s/.*link/link/"; touch /up/new && echo up
                    stat -c %a /up/suid')"
    mkdir -p "$T/tmp/src/sub" "$B/rootfs/up/a"
    echo hello >"$T/tmp/src/f"
    echo deep >"$B/rootfs/up/a/b"
    echo s >"$B/rootfs/up/suid"
    chmod 4755 "$B/rootfs/up/suid"
    ln -s /etc/passwd "$B/rootfs/up/link"
    echo rel >"$B/relative"
    change ".mounts += [
      {destination: \"/ro\", source: \"$T/tmp/src\", options: [\"bind\", \"ro\"]},
      {destination: \"/rro\", source: \"$T/tmp/src\", options: [\"rbind\", \"rro\"]},
      {destination: \"/rosub\", source: \"$T/tmp/src\", options: [\"rbind\", \"ro\"]},
      {destination: \"rel\", source: \"relative\", options: [\"bind\"]},
      {destination: \"/file\", type: \"none\", source: \"$T/tmp/src/f\", options: [\"bind\"]},
      {destination: \"/tm\", type: \"tmpfs\", source: \"x\", options: [\"mode=1710\", \"size=1m\", \"nosuid\"]},
      {destination: \"/up\", type: \"tmpfs\", source: \"x\", options: [\"tmpcopyup\"]}] | .root.readonly = true"
    run unshare --mount --propagation private bash -c 'mount -t tmpfs t "$1/src/sub" && exec "$2" --root "$3" run -b "$4" c1' \
        x "$T/tmp" "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 0 "=hello
sh: can't create /ro/f2: Read-only file system
sh: can't create /rro/sub/f: Read-only file system
wrote
rel
hello
1710
deep
link -> /etc/passwd
up
4755"
    run cat "$B/rootfs/file"
    expect 0 "=" # the mount point was made
}

@test "mounts: what is wrong says what" {
    bundle '.process.args = ["true"]'
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change ".mounts += [$1]"; oci run -b "$B" c1; }
    check_table try <<'END'
'{destination: "/x", source: "/no/such", options: ["bind"]}'                   | 1 | mount '/x': copy the mount of '/no/such': No such file or directory
'{destination: "/x", source: "/etc", options: ["bind", "r0"]}'                 | 1 | mount '/x': a bind mount has no option 'r0'
'{destination: "/x", type: "nofs", source: "x"}'                               | 1 | mount '/x': open file system 'nofs'
'{destination: "/x", type: "tmpfs", source: "x", options: ["size=moon"]}'      | 1 | size
'{destination: "/x", type: "tmpfs", source: "x", options: ["nosuch=1"]}'       | 1 | nosuch
'{destination: "/", source: "/etc", options: ["bind"]}'                        | 1 | the root itself cannot be mounted over
'{destination: "/x", options: ["bind"]}'                                       | 1 | a bind mount without a source
'{destination: "/x", source: "/etc", options: ["bind", "idmap"]}'              | 1 | idmap: there are no uidMappings
'{destination: "/x", source: "/etc", options: ["bind"], uidMappings: [{containerID: 0, hostID: 1, size: 1}]}' | 1 | uidMappings and gidMappings belong together
'{destination: "/bin/busybox/x", source: "/etc", options: ["bind"]}'           | 1 | mount '/bin/busybox/x'
END
}

@test "mounts: an id-mapped bind mount" {
    bundle "$(sh_c 'stat -c %u:%g /m/f; echo x >/m/new')"
    mkdir -m 777 "$T/tmp/idm"
    echo >"$T/tmp/idm/f"
    chown 1234:1235 "$T/tmp/idm" "$T/tmp/idm/f"
    change ".mounts += [{destination: \"/m\", source: \"$T/tmp/idm\", options: [\"bind\", \"idmap\"],
        uidMappings: [{containerID: 1234, hostID: 5, size: 1}, {containerID: 77, hostID: 0, size: 1}],
        gidMappings: [{containerID: 1235, hostID: 6, size: 1}, {containerID: 78, hostID: 0, size: 1}]}]"
    run oci run -b "$B" c1
    expect 0 "=5:6"
    [[ $(stat -c %u:%g "$T/tmp/idm/new") == 77:78 ]]
}

@test "rootfsPropagation: a shared mount of the container reaches the host's peer, else nothing does" {
    bundle "$(sh_c 'mount -t tmpfs t /vol/in; ls /vol/in') | .process.capabilities.bounding += [\"CAP_SYS_ADMIN\"] |
        .process.capabilities.effective += [\"CAP_SYS_ADMIN\"] | .process.capabilities.permitted += [\"CAP_SYS_ADMIN\"]"
    mkdir -p "$T/tmp/vol/in"
    change ".mounts += [{destination: \"/vol\", source: \"$T/tmp/vol\", options: [\"rbind\", \"rshared\"]}]"
    cat >"$T/tmp/peer" <<'END'
mount --bind "$1/vol" "$1/vol" && mount --make-shared "$1/vol" || exit 9
before=$(wc -l </proc/self/mountinfo)
"$2" --root "$3" run -b "$4" c1 || exit 8
grep -c "$1/vol/in " /proc/self/mountinfo
grep -v "$1/vol/in " /proc/self/mountinfo | wc -l | grep -qx "$before" || echo "more mounts than before"
END
    change '.linux.rootfsPropagation = "shared"'
    run unshare --mount --propagation private bash "$T/tmp/peer" "$T/tmp" "$HUSK_OCI" "$TRUN/oci" "$B"
    expect 0 "=1"
    change '.linux.rootfsPropagation = "slave" | .mounts[-1].options = ["rbind", "rslave"]'
    run unshare --mount --propagation private bash "$T/tmp/peer" "$T/tmp" "$HUSK_OCI" "$TRUN/oci" "$B"
    [[ $output == 0 ]]
    change '.linux.rootfsPropagation = "moon"'
    run oci run -b "$B" c1
    expect 1 "rootfsPropagation: 'moon' is none of shared, slave"
}

@test "devices: more of them, anywhere; a FIFO; a node that is already something else" {
    bundle "$(sh_c 'ls -ln /dev/mine /etc/z | awk "{print \$1,\$3,\$4,\$5,\$6}"; ls -l /dev/pipe | cut -c1; head -c1 /etc/z | wc -c') | .root.readonly = false"
    change '.linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 5, access: "rwm"}] | .linux.devices = [
        {path: "/dev/mine", type: "c", major: 1, minor: 5, fileMode: 432, uid: 5, gid: 6},
        {path: "/etc/z", type: "c", major: 1, minor: 5, fileMode: 438},
        {path: "/dev/pipe", type: "p"}]'
    run oci run -b "$B" c1
    expect 0 $'=crw-rw---- 5 6 1, 5\ncrw-rw-rw- 0 0 1, 5\np\n1'
    run oci run -b "$B" c1 # /etc/z is there now, as it should be
    expect 0
    rm "$B/rootfs/etc/z"
    echo >"$B/rootfs/etc/z"
    run oci run -b "$B" c1
    expect 1 "device '/etc/z': something else than device 1:5 is there"
}

@test "namespaces: joining by path, and what is no namespace" {
    bundle '.process.args = ["sleep", "1000"]'
    oci run -d -b "$B" c1 >/dev/null
    local pid first=$B
    pid=$(oci state c1 | jq .pid)
    bundle "$(sh_c 'for n in net ipc uts; do readlink /proc/self/ns/$n; done; ps | grep -c "sleep 1000"')"
    change "(.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$pid/ns/net\" |
            (.linux.namespaces[] | select(.type == \"ipc\")).path = \"/proc/$pid/ns/ipc\" |
            (.linux.namespaces[] | select(.type == \"uts\")).path = \"/proc/$pid/ns/uts\" |
            (.linux.namespaces[] | select(.type == \"pid\")).path = \"/proc/$pid/ns/pid\" | del(.hostname)"
    run oci run -b "$B" c2
    expect 0 "$(readlink "/proc/$pid/ns/net")"
    output_has "$(readlink "/proc/$pid/ns/ipc")"
    output_has "$(readlink "/proc/$pid/ns/uts")"
    [[ ${lines[3]} -ge 1 ]] # it sees the other's first process
    assert_gone c2
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change "(.linux.namespaces[] | select(.type == \"network\")).path = \"$1\""; oci run -b "$B" c2; }
    check_table try <<END
/etc/passwd         | 1 | namespace network: '/etc/passwd' is not a namespace
/proc/$pid/ns/uts   | 1 | namespace network: '/proc/$pid/ns/uts' is a namespace of type uts, not network
/no/such            | 1 | namespace network: open namespace '/no/such'
relative            | 1 | path: 'relative' is not an absolute path
END
    # naive: whatever it is, it is joined, and the network stays the host's
    change "(.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$pid/ns/uts\" |
        .mounts |= map(select(.destination != \"/sys\")) | .process.args = [\"readlink\", \"/proc/self/ns/net\"]" \
        '.linux.namespaces |= map(if .type == "ipc" or .type == "uts" or .type == "pid" then del(.path) else . end)'
    run naive run -b "$B" c2
    expect 0 "=$(readlink /proc/self/ns/net)"
    cp "$B/plain" "$B/config.json"
    change '.linux.namespaces += [{type: "pid"}]'
    run oci run -b "$B" c2
    expect 1 "namespaces: 'pid' is there twice"
}

@test "namespaces: time offsets, host name, domain name, the loopback" {
    bundle "$(sh_c 'cut -d. -f1 /proc/uptime; hostname; cat /proc/sys/kernel/domainname; ip -o link show lo | grep -c "LOOPBACK,UP"')"
    change '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 86400000, nanosecs: 5}, monotonic: {secs: 10}} |
            .hostname = "myhost" | .domainname = "my.domain"'
    run oci run -b "$B" c1
    expect 0
    ((lines[0] > 86400000))
    [[ ${lines[1]} == myhost && ${lines[2]} == my.domain && ${lines[3]} == 1 ]]
    change '.linux.timeOffsets = {moon: {secs: 1}}'
    run oci run -b "$B" c1
    expect 1 "timeOffsets: 'moon' is none of monotonic and boottime"
    change 'del(.linux.namespaces[-1])'
    run oci run -b "$B" c1
    expect 1 "timeOffsets need a time namespace"
}

@test "sysctl: those of the container's namespaces are set, others are refused" {
    bundle "$(sh_c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced')"
    change '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}'
    run oci run -b "$B" c1
    expect 0 $'=1\n1'
    try() { change ".linux.sysctl = {\"$1\": \"1\"}"; oci run -b "$B" c1; }
    check_table try <<'END'
kernel.core_pattern          | 1 | sysctl 'kernel.core_pattern': belongs to no namespace
vm.overcommit_memory         | 1 | belongs to no namespace
net/../kernel/core_pattern   | 1 | not the name of a kernel parameter
user.max_user_namespaces     | 1 | needs a user namespace
net.no_such                  | 1 | sysctl 'net.no_such'
END
    # naive: the host's is written (with what it is)
    change ".linux.sysctl = {\"vm.overcommit_memory\": \"$(</proc/sys/vm/overcommit_memory)\"}"
    run oci run -b "$B" c1
    expect 1 "belongs to no namespace"
    run naive run -b "$B" c1
    expect 0
    change '.linux.sysctl = {"net.core.somaxconn": "1"} | .linux.namespaces |= map(select(.type != "network"))'
    run oci run -b "$B" c1
    expect 1 "sysctl 'net.core.somaxconn': needs a network namespace of the container's own, or it would change the host"
}

@test "user namespace: made by root, with ids mapped" {
    bundle "$(sh_c 'cat /proc/self/uid_map | tr -s " "; id -u; echo >/dev/null && echo null; touch /tmp/mine; stat -c %u /tmp/mine; mount | grep -c sysfs')"
    chown -R 200000:200000 "$B/rootfs"
    change '.linux.namespaces += [{type: "user"}] | .root.readonly = false |
        .linux.uidMappings = [{containerID: 0, hostID: 200000, size: 5000}, {containerID: 5000, hostID: 300000, size: 10}] |
        .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 5000}]'
    run oci run -b "$B" c1
    expect 0 $'= 0 200000 5000\n 5000 300000 10\n0\nnull\n0\n1'
    [[ $(stat -c %u:%g "$B/rootfs/tmp/mine") == 200000:200000 ]]
    # a bundle that the mapped root could not reach by itself
    chmod 700 "$B"
    run oci run -b "$B" c1
    expect 0
    change 'del(.linux.uidMappings)'
    run oci run -b "$B" c1
    expect 1 "a user namespace needs uidMappings and gidMappings"
    assert_gone c1
}

@test "user namespace: a second container joins the first one's" {
    bundle '.process.args = ["sleep", "1000"]'
    chown -R 200000:200000 "$B/rootfs"
    change '.linux.namespaces += [{type: "user"}] |
        .linux.uidMappings = [{containerID: 0, hostID: 200000, size: 5000}] | .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 5000}]'
    oci run -d -b "$B" c1 >/dev/null
    local pid
    pid=$(oci state c1 | jq .pid)
    run oci exec c1 sh -c 'id -u; readlink /proc/self/ns/user'
    expect 0 "=0
$(readlink "/proc/$pid/ns/user")"
    bundle "$(sh_c 'id -u; readlink /proc/self/ns/user; readlink /proc/self/ns/net; hostname')"
    chown -R 200000:200000 "$B/rootfs"
    change ".linux.namespaces += [{type: \"user\", path: \"/proc/$pid/ns/user\"}] |
            (.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$pid/ns/net\""
    run oci run -b "$B" c2
    expect 0 "=0
$(readlink "/proc/$pid/ns/user")
$(readlink "/proc/$pid/ns/net")
husk"
}

@test "an ordinary user: ranges of ids, sysfs without a network namespace, no control group" {
    user_bundle "$(sh_c 'cat /proc/self/uid_map | tr -s " "; id -u; ls /sys/kernel | wc -l; touch /sys/x 2>&1; cat /proc/self/cgroup | wc -l')"
    local uid start
    uid=$(id -u "$HUSK_USER")
    start=$(awk -F: -v u="$HUSK_USER" '$1 == u {print $2; exit}' /etc/subuid)
    change ".linux.uidMappings = [{containerID: 0, hostID: $uid, size: 1}, {containerID: 1, hostID: $start, size: 1000}] |
            .linux.gidMappings = [{containerID: 0, hostID: $(id -g "$HUSK_USER"), size: 1}, {containerID: 1, hostID: $start, size: 1000}]"
    run user_oci run -b "$B" c1
    expect 0
    [[ ${lines[0]} == " 0 $uid 1" && ${lines[1]} == " 1 $start 1000" && ${lines[2]} == 0 ]]
    ((lines[3] > 5))
    [[ ${lines[4]} == *"Read-only file system"* ]]
    change '.linux.resources = {pids: {limit: 5}}'
    run user_oci run -b "$B" c1
    expect 1 "control group:"
    change 'del(.linux.resources) | .linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings, .linux.gidMappings)'
    run user_oci run -b "$B" c1
    expect 1 "an ordinary user's container needs a user namespace"
}

@test "control group: limits hold, and the container sees its own" {
    bundle "$(sh_c 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max; for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait')"
    change '.linux.resources.pids = {limit: 5} | .linux.cgroupsPath = "husk/'"$GROUP"'-own"'
    run oci run -b "$B" c1
    output_has 5
    output_has "Resource temporarily unavailable"
    change '.linux.cgroupsPath = "/husk/../x"'
    run oci run -b "$B" c1
    expect 1 ".."
}

@test "--no-pivot" {
    bundle "$(sh_c 'ls / | tr "\n" " "')"
    run oci run --no-pivot -b "$B" c1
    expect 0 "=bin dev etc home lib proc root run sbin sys tmp usr var "
}

@test "spec: runc runs ours, we run runc's; a second one is refused" {
    bundle "$(sh_c 'echo hello; id -u')"
    skip_unless_runc
    change 'del(.linux.namespaces[] | select(.type == "cgroup"))' # Debian 12's runc on a v1 host knows it, the machine may not
    run runc --root "$TRUN/runc" run -b "$B" husk-test-runc
    expect 0 $'=hello\n0'
    rm "$B/config.json"
    (cd "$B" && runc spec)
    change "$(sh_c 'echo hello; id -u')" '.process.terminal = false'
    run oci run -b "$B" c1
    expect 0 $'=hello\n0'
    run "$HUSK_OCI" spec --bundle "$B"
    expect 1 "config.json': File exists"
}
skip_unless_runc() { command -v runc >/dev/null || skip "runc is not installed"; }

@test "features: what config.json may ask for" {
    run "$HUSK_OCI" features
    expect 0
    jq -e '.ociVersionMax == "1.3.0" and (.hooks | length) == 6 and (.mountOptions | index("rro")) and
           (.linux.namespaces | index("time")) and (.linux.capabilities | index("CAP_CHECKPOINT_RESTORE")) and
           .linux.cgroup.v1 and .linux.cgroup.v2 and .linux.seccomp.enabled and .linux.intelRdt.schemata and
           .linux.intelRdt.monitoring and (.linux.seccomp.archs | index("SCMP_ARCH_X86_64")) and
           (.linux.seccomp.knownFlags | length) == 4 and (.linux.seccomp.actions | length) == 9 and
           .potentiallyUnsafeConfigAnnotations == ["org.systemd.property.", "run.oci."]' <<<"$output" >/dev/null
    # what it names is known, and what it says the kernel takes is taken
    bundle '.process.args = ["true"]'
    cp "$B/config.json" "$B/plain"
    features=$output
    for word in $(jq -r '.linux.seccomp.supportedFlags[]' <<<"$features"); do
        jq --arg word "$word" '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", flags: [$word]}' "$B/plain" >"$B/config.json"
        oci run -b "$B" c1
    done
    for word in $(jq -r '.linux.memoryPolicy | .modes[], .flags[]' <<<"$features"); do
        jq --arg word "$word" '.linux.memoryPolicy = {mode: (if $word | startswith("MPOL_F_") then "MPOL_BIND" else $word end), nodes: "0",
            flags: (if $word | startswith("MPOL_F_") then [$word] else [] end)}' "$B/plain" >"$B/config.json"
        run oci run -b "$B" c1
        [[ $output != *"is not known"* ]] || { echo "$word: $output"; return 1; }
    done
    [[ $(jq '.linux.memoryPolicy.modes | length' <<<"$features") == 7 ]]
    # a mount with each option, but for those of binds and of other file systems
    jq --argjson words "$(jq '.mountOptions - ["bind", "rbind", "idmap", "ridmap", "iversion", "remount"]' <<<"$features")" \
        '.root.readonly = false | .mounts += [$words[] | {destination: "/t/\(.)", type: "tmpfs", source: "x", options: [.]}]' "$B/plain" >"$B/config.json"
    run oci run -b "$B" c1
    expect 0
    change '.mounts[-1].options = ["nosuch"]' # naive: a word that only features knows
    run oci run -b "$B" c1
    expect 1 nosuch
}

@test "the command line: what is wrong" {
    check_table "$HUSK_OCI" <<'END'
frobnicate           | 1 | 'frobnicate' is not a command
strat x              | 1 | did you mean 'start'?
run                  | 1 | ID
run --nope x         | 1 | unknown option '--nope'
--log-format xml list | 1 | xml
--log /no/dir/x state x | 1 | --log '/no/dir/x'
--version            | 0 | spec: 1.3.0
run --help           | 0 | --console-socket
--help               | 0 | create
--help               | 0 | --log-format FORMAT
--introspect         | 0 | "name":"create"
END
}
