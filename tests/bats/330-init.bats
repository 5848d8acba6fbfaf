#!/usr/bin/env bats
# husk-init: as PID 1 (and as an ordinary parent) for any program, and as the stub that makes a process a container's.
# shellcheck disable=SC2016 # the dollars are the programs'
load helpers

setup_file() {
    husk_setup_file
    export INIT=$HUSK_BUILD/libexec/husk/husk-init
    # Prints each signal that it gets, until SIGTERM.
    cat >"$T/signals.py" <<'PY'
import os, signal, sys
every = set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}
signal.pthread_sigmask(signal.SIG_BLOCK, every)
print("ready", flush=True)
while True:
    n = signal.sigwait(every)
    print(int(n), flush=True)
    if n == signal.SIGTERM:
        sys.exit(0)
PY
}

# ---- PID 1 -----------------------------------------------------------------------------------------------------------

@test "init: the program's exit status is init's, 128+N for a signal" {
    check_table "$INIT" <<'TABLE'
-- true                         | 0   |
true                            | 0   |
-s -- sh -c 'exit 7'            | 7   |
sh -c 'exit 255'                | 255 |
sh -c 'kill -KILL $$'           | 137 |
sh -c 'kill -SEGV $$'           | 139 |
sh -c 'kill -TERM $$'           | 143 |
nope                            | 127 | exec 'nope': not in $PATH: No such file or directory
/no/such                        | 127 | exec '/no/such': No such file or directory
/etc/passwd                     | 126 | exec '/etc/passwd': Permission denied
/etc                            | 126 | exec '/etc': Permission denied
-x true                         | 125 | unknown option -x
-e 256 true                     | 125 | -e: not an exit status from 0 to 255: 256
-e                              | 125 | -e: not an exit status from 0 to 255: (missing)
-p SIGNONE true                 | 125 | -p: not a signal: SIGNONE
-p 65 true                      | 125 | -p: not a signal: 65
-gx true                        | 125 | unknown option -gx
-gwe7 -e 9 -s -- sh -c 'exit 7' | 0   |
-gwe7 -e 9 -s -- sh -c 'exit 9' | 0   |
-gwe7 -e 9 -s -- sh -c 'exit 8' | 8   |
--                              | 125 | no command
--version                       | 0   | tini version
--help                          | 0   | usage: husk-init
-h                              | 0   | usage: husk-init
-l                              | 0   | GNU General Public License
TABLE
    # An option after the command is the command's.
    run "$INIT" echo -v --version -h
    expect 0 "=-v --version -h"
}

@test "init: -e makes any exit status 0, and only that one" {
    local n
    for n in 1 63 64 100 127 128 143 191 192 255; do
        run "$INIT" -e "$n" -- sh -c "exit $n"
        expect 0
        run "$INIT" -e $(((n + 1) % 256)) -- sh -c "exit $n"
        expect "$n"
    done
    run "$INIT" -e 143 -e 3 sh -c 'kill -TERM $$'
    expect 0
}

@test "init: a script without an interpreter to run it is told apart from a missing one" {
    printf '#!/no/interpreter\n' >"$T/tmp/script"
    chmod +x "$T/tmp/script"
    run "$INIT" "$T/tmp/script"
    expect 127 "its interpreter: No such file or directory"
    printf 'just text\n' >"$T/tmp/text"
    chmod +x "$T/tmp/text"
    run "$INIT" "$T/tmp/text"
    expect 126 "Exec format error"
}

# Without an init a program that is PID 1 gets no signal that it has no handler for: sleep would ignore all of these.
@test "init: as PID 1 it passes on what would else be ignored" {
    local row pid
    for row in TERM:143 INT:130 HUP:129 USR1:138 USR2:140 QUIT:131 ALRM:142; do
        # bash starts what is in the background with INT and QUIT ignored, and that would be handed on.
        env --default-signal unshare --pid --fork --kill-child "$INIT" sleep 60 3>&- &
        wait_until 5 pgrep -P $!
        pid=$(pgrep -P $!)
        wait_until 5 pgrep -P "$pid" -x sleep
        kill "-${row%:*}" "$pid"
        wait $! && status=0 || status=$?
        expect "${row#*:}"
    done
}

@test "init: every signal is passed on but CHLD and init's own faults" {
    local n pid want=''
    "$INIT" python3 "$T/signals.py" >"$T/tmp/got" 3>&- &
    pid=$!
    wait_until 10 grep -q ready "$T/tmp/got"
    for ((n = 1; n <= 64; n++)); do
        case $n in
        # CHLD; KILL STOP; the faults ILL TRAP ABRT BUS FPE SEGV SYS; TTIN TTOU; libc's own 32 33; TERM ends it
        17 | 9 | 19 | 4 | 5 | 6 | 7 | 8 | 11 | 31 | 21 | 22 | 32 | 33 | 15) continue ;;
        esac
        kill -s "$n" "$pid"
        wait_until 5 grep -qx "$n" "$T/tmp/got" || { echo "signal $n was not passed on"; return 1; }
        want+="$n"$'\n'
    done
    kill -CHLD "$pid"
    kill -TTIN "$pid"
    kill -TTOU "$pid"
    kill -TERM "$pid"
    wait "$pid"
    [[ $(<"$T/tmp/got") == "ready"$'\n'"${want}15" ]]
}

@test "init: its own faults kill it" {
    local pid
    "$INIT" sleep 60 3>&- &
    pid=$!
    wait_until 5 pgrep -P "$pid"
    local child
    child=$(pgrep -P "$pid")
    kill -SEGV "$pid"
    wait "$pid" && status=0 || status=$?
    kill "$child"
    expect 139
}

@test "init: -g passes signals to the program's whole group" {
    local pid
    # The program ignores USR1; its child does not.
    "$INIT" -g sh -c "trap '' USR1; python3 -c 'import signal, time; signal.signal(signal.SIGUSR1, signal.SIG_DFL)
print(\"ready\", flush=True)
time.sleep(60)'; echo child: \$?" >"$T/tmp/group" 3>&- &
    pid=$!
    wait_until 10 grep -q ready "$T/tmp/group"
    kill -USR1 "$pid"
    wait "$pid"
    grep -qx 'child: 138' "$T/tmp/group"
}

@test "init: TINI_KILL_PROCESS_GROUP is -g" {
    local pid
    TINI_KILL_PROCESS_GROUP='' "$INIT" sh -c "trap '' USR1; python3 -c 'import signal, time; signal.signal(signal.SIGUSR1, signal.SIG_DFL)
print(\"ready\", flush=True)
time.sleep(60)'; echo child: \$?" >"$T/tmp/group-variable" 3>&- &
    pid=$!
    wait_until 10 grep -q ready "$T/tmp/group-variable"
    kill -USR1 "$pid"
    wait "$pid"
    grep -qx 'child: 138' "$T/tmp/group-variable"
}

@test "init: without -g a signal goes to the program and not to its children" {
    local pid
    "$INIT" sh -c "trap 'echo program' USR1; python3 -c 'import signal, time; signal.signal(signal.SIGUSR1, signal.SIG_DFL)
print(\"ready\", flush=True)
time.sleep(0.5)'; echo child: \$?" >"$T/tmp/group-not" 3>&- &
    pid=$!
    wait_until 10 grep -q ready "$T/tmp/group-not"
    kill -USR1 "$pid"
    wait "$pid"
    [[ $(<"$T/tmp/group-not") == $'ready\nprogram\nchild: 0' || $(<"$T/tmp/group-not") == $'ready\nchild: 0\nprogram' ]]
}

@test "init: -g reaches a program that has left its group" {
    local pid
    "$INIT" -g python3 -c 'import os, signal
os.setpgid(0, os.getpgid(os.getppid()))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
print(int(signal.sigwait({signal.SIGUSR1})), flush=True)' >"$T/tmp/left" 3>&- &
    pid=$!
    wait_until 10 grep -q ready "$T/tmp/left"
    kill -USR1 "$pid"
    wait_until 5 grep -qx 10 "$T/tmp/left"
    wait "$pid"
}

@test "init: a program of another user's is told apart from one that got its signal" {
    ((EUID == 0)) || return 0
    local pid child
    install -m 4755 "$(command -v setpriv)" "$T/tmp/setpriv"
    setpriv --reuid 65534 --clear-groups "$INIT" "$T/tmp/setpriv" --reuid 0 sleep 60 2>"$T/tmp/said" 3>&- &
    pid=$!
    wait_until 5 pgrep -P "$pid" -x sleep
    child=$(pgrep -P "$pid")
    kill -USR1 "$pid"
    wait_until 5 grep -q "the program is another user's: it did not get SIGUSR1" "$T/tmp/said"
    kill -TERM "$child"
    wait "$pid" && status=0 || status=$?
    expect 143
}

# said: what -v had it say, without its process and numbers: "LEVEL text", a line each.
said() { sed -nE 's/^\[(WARN|INFO|DEBUG|TRACE) *husk-init \([0-9]+\)\] (.*)/\1 \2/p' | sed -E 's/ [0-9]+$/ N/' | sort -u; }

@test "init: -v says more, up to three times, and TINI_VERBOSITY how much" {
    local n level
    [[ $("$INIT" -- true 2>&1) == '' ]]
    [[ $("$INIT" -v -- sh -c 'exit 3' | said) == $'INFO started sh\nINFO the program ended with status N\nINFO the program is process N' ]]
    [[ $("$INIT" -v -- sh -c 'kill -KILL $$' | said) == *'INFO the program was ended by SIGKILL'* ]]
    [[ $("$INIT" -vv -- true | said) == *$'DEBUG reaped process N\n'*INFO* ]]
    [[ $("$INIT" -vv -- true | said) != *TRACE* ]]
    [[ $("$INIT" -v -v -v -- true | said) == *'TRACE registered as a subreaper'* ]]
    for n in 0 1 2 3 4; do
        level=$(TINI_VERBOSITY=$n "$INIT" -- true | said | cut -d' ' -f1 | sort -u | tr '\n' ' ')
        case $n in
        0 | 1) [[ $level == '' ]] ;;
        2) [[ $level == 'INFO ' ]] ;;
        3) [[ $level == 'DEBUG INFO ' ]] ;;
        4) [[ $level == 'DEBUG INFO TRACE ' ]] ;;
        esac
    done
    # The variable counts before the option, as tini's does.
    [[ $(TINI_VERBOSITY=0 "$INIT" -vvv -- true 2>&1) == '' ]]
}

@test "init: what it passes on it names at -vv" {
    local pid
    "$INIT" -vv python3 "$T/signals.py" >"$T/tmp/named" 3>&- &
    pid=$!
    wait_until 10 grep -q ready "$T/tmp/named"
    kill -USR1 "$pid"
    wait_until 5 grep -qx 10 "$T/tmp/named"
    kill -s 40 "$pid"
    wait_until 5 grep -qx 40 "$T/tmp/named"
    kill -TERM "$pid"
    wait "$pid"
    [[ $(said <"$T/tmp/named" | grep passing) == $'DEBUG passing on N\nDEBUG passing on SIGTERM\nDEBUG passing on SIGUSR1' ]]
}

@test "init: -w warns of each orphan that it reaps, and of the program not" {
    run "$INIT" -w sh -c '(sleep 0.1 & echo $! >"$1"; exit 0); sleep 0.4; exit 6' sh "$T/tmp/orphan"
    expect 6 "reaped zombie process with pid=$(<"$T/tmp/orphan")"
    ((${#lines[@]} == 1))
    run "$INIT" sh -c '(sleep 0.1 & exit 0); sleep 0.3'
    expect 0 =
    TINI_VERBOSITY=0 run "$INIT" -w sh -c '(sleep 0.1 & exit 0); sleep 0.3'
    expect 0 =
}

@test "init: a reader of its words who goes away, and a terminal that stops who writes, change nothing" {
    run python3 -c 'import os, subprocess, sys
r, w = os.pipe()
os.close(r)
sys.exit(subprocess.call([sys.argv[1], "-vvv", "sh", "-c", "trap \"\" USR1; kill -USR1 $PPID; sleep 0.2; exit 5"], stdout=w))' "$INIT"
    expect 5
    # It is in the background of the terminal while it speaks: TTOU would stop it.
    run timeout 20 script -qec "stty tostop; $INIT -vvv sh -c 'exit 6'" /dev/null
    expect 6 "the program ended with status 6"
}

@test "init: orphans are reaped, however they came to be" {
    run unshare --pid --fork --kill-child --mount-proc "$INIT" sh -c '
        (sh -c "sleep 0.1 & exit 0")
        (setsid sh -c "sleep 0.1 & sleep 0.1 & exit 0")
        i=0; while [ $i -lt 50 ]; do (true & exit 0); i=$((i+1)); done
        i=0; while ps -eo stat=,comm= | grep -qE "^Z| sleep$" && [ $i -lt 300 ]; do sleep 0.1 & wait $!; i=$((i+1)); done
        ps -eo stat= | grep -c "^Z"'
    expect 1 =0 # grep finds none
    # Not as PID 1: a subreaper, asked for or not.
    run "$INIT" -s sh -c '(sleep 0.1 & exit 0); sleep 0.3; ps -o stat= --ppid $PPID | grep -c "^Z"'
    expect 1 =0
    TINI_SUBREAPER='' run "$INIT" sh -c '(sleep 0.2 & echo $! >"$1"; exit 0); ps -o ppid= -p "$(cat "$1")" | tr -d " "; echo $PPID' sh "$T/tmp/orphan"
    expect 0
    [[ ${lines[0]} == "${lines[1]}" ]]
    run "$INIT" sh -c '(sleep 0.1 & exit 0); sleep 0.3; ps -o stat= --ppid $PPID | grep -c "^Z"'
    expect 1 =0
}

@test "init: it ends when the program ends, and the kernel ends the rest" {
    local start=$SECONDS
    run unshare --pid --fork --kill-child "$INIT" sh -c 'sleep 60 & exit 4' 3>&-
    expect 4
    ((SECONDS - start < 50))
}

@test "init: the program gets signals, masks and ignored ones as the caller had them" {
    local without with
    without=$(env --ignore-signal=USR1,TTIN,CHLD --block-signal=USR2 grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status)
    with=$(env --ignore-signal=USR1,TTIN,CHLD --block-signal=USR2 "$INIT" grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status)
    [[ $without == "$with" ]]
}

@test "init: it keeps no descriptor and no directory" {
    mkdir "$T/tmp/there"
    cd "$T/tmp/there"
    run "$INIT" sh -c 'ls /proc/$PPID/fd | tr "\n" " "; readlink /proc/$PPID/cwd; pwd' 7</dev/null 3>&-
    expect 0
    [[ ${lines[0]} == "0 1 2 /" && ${lines[1]} == "$T/tmp/there" ]]
}

@test "init: the program leads its own group, in the foreground of a terminal" {
    run script -qec "$INIT sh -c 'read -r _ _ _ _ pgrp _ _ tpgid _ </proc/self/stat; echo \$((pgrp == tpgid)) \$((pgrp == \$\$))'" /dev/null
    expect 0 "1 1"
}

@test "init: -p sends a signal when the parent ends" {
    sh -c '"$0" -p 15 sh -c "trap \"echo got it >$1/tmp/pdeath; exit 0\" TERM; echo ready >$1/tmp/ready; while :; do sleep 0.05; done" & wait' "$INIT" "$T" 3>&- &
    wait_until 5 test -e "$T/tmp/ready"
    kill -KILL $!
    wait_until 5 grep -q 'got it' "$T/tmp/pdeath"
    local signal
    for signal in SIGUSR1 usr1 SigUSR1; do
        rm "$T/tmp/pdeath" "$T/tmp/ready"
        sh -c '"$0" -p "$2" sh -c "trap \"echo got it >$1/tmp/pdeath; exit 0\" USR1; echo ready >$1/tmp/ready; while :; do sleep 0.05; done" & wait' "$INIT" "$T" "$signal" 3>&- &
        wait_until 5 test -e "$T/tmp/ready"
        kill -KILL $!
        wait_until 5 grep -q 'got it' "$T/tmp/pdeath"
    done
}

@test "init: -P holds on without a program until TERM" {
    local pid
    "$INIT" -P 3>&- &
    pid=$!
    wait_until 5 sh -c "[ \"\$(readlink /proc/$pid/cwd)\" = / ]"
    kill -USR1 "$pid"
    sleep 0.1
    kill -0 "$pid"
    kill -TERM "$pid"
    wait "$pid"
}

@test "init: LISTEN_PID becomes the program's own" {
    run env LISTEN_PID=1 "$INIT" sh -c 'echo $(($LISTEN_PID == $$))'
    expect 0 =1
}

@test "init: it is small and needs nothing" {
    (($(stat -c %s "$INIT") < 50000))
    run readelf -lW "$INIT"
    expect 0 '!INTERP'
    run strings -n 3 "$INIT"
    expect 0 '!GLIBC'
}

# ---- husk run --init -------------------------------------------------------------------------------------------------

@test "run --init: husk-init is PID 1, reaps, and the program's status comes out" {
    check_table husk run --rm --network none --init --rootfs "$IMAGES/rootfs" <<'TABLE'
sh -c 'exit 33'                                        | 33  |
sh -c 'kill -KILL $$'                                  | 137 |
sh -c 'echo $$ $PPID; tr "\0" " " </proc/1/cmdline'    | 0   | 2 1
sh -c 'tr "\0" " " </proc/1/cmdline'                   | 0   | husk-init
nope                                                   | 127 | exec 'nope': not in $PATH: No such file or directory
sh -c '(sleep 0.05 & exit 0); sleep 0.2; grep -l "^State:.Z" /proc/[0-9]*/status' | 1 | =
TABLE
    # Init holds no more than the program, in capabilities and filters.
    run husk run --rm --network none --init --cap-drop all --cap-add kill --rootfs "$IMAGES/rootfs" \
        grep -hE '^(Cap|Seccomp|NoNew)' /proc/1/status /proc/self/status
    expect 0 'CapEff:'
    [[ $(sort <<<"$output" | uniq -c | awk '$1 != 2') == '' ]]
}

@test "run --init: tini's variables are the container's" {
    [[ $(husk run --rm --network none --init -e TINI_VERBOSITY=3 --rootfs "$IMAGES/rootfs" sh -c 'exit 0' | said) == *'DEBUG reaped process N'*'INFO started sh'* ]]
    [[ $(husk run --rm --network none -e TINI_VERBOSITY=3 --rootfs "$IMAGES/rootfs" sh -c 'exit 0') == '' ]]
    husk run -d --name group --network none --init -e TINI_KILL_PROCESS_GROUP=1 --rootfs "$IMAGES/rootfs" \
        sh -c 'trap : USR1; sh -c "trap \"exit 4\" USR1; echo ready; i=0; while [ \$i -lt 200 ]; do sleep 0.05; i=\$((i+1)); done"; exit $?'
    wait_until 10 sh -c '"$HUSK" logs group | grep -q ready'
    husk kill -s USR1 group
    [[ $(husk wait group) == 4 ]]
    husk rm group
}

@test "run --init: a container at its process limit keeps its init" {
    run husk run --rm --network none --init --pids-limit 12 --rootfs "$IMAGES/rootfs" sh -c '
        (i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done); echo alive; kill -TERM $$'
    expect 143 alive
    [[ $output == *"can't fork"* ]]
}

# ---- the stub --------------------------------------------------------------------------------------------------------

# bundle [PYTHON]: a bundle in $T/tmp/b, its config c changed by the statements.
bundle() {
    mkdir -p "$T/tmp/b"
    python3 - "$T/tmp/b/config.json" "$IMAGES/rootfs" "${1-}" <<'PY'
import json, sys
default = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]
ns = [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]
c = {"ociVersion": "1.2.0", "root": {"path": sys.argv[2], "readonly": True}, "hostname": "stub",
     "process": {"args": ["sh"], "cwd": "/", "env": ["PATH=/bin:/usr/bin"], "user": {"uid": 0, "gid": 0},
                 "capabilities": {k: default for k in ("bounding", "effective", "permitted")}},
     "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],
     "linux": {"namespaces": ns, "cgroupsPath": "/husk-test-stub/" + sys.argv[1].split("/")[-4][-6:]}}
p = c["process"]
def sh(script):
    p["args"] = ["sh", "-c", script]
exec(sys.argv[3])
json.dump(c, open(sys.argv[1], "w"))
PY
}
oci() { "$HUSK_OCI" --root "$T/tmp/oci" "$@"; }
# stub PYTHON: run the bundle so changed.
stub() {
    bundle "$1"
    run oci run --bundle "$T/tmp/b" "stub-$BATS_TEST_NUMBER" 3>&-
}
teardown() {
    oci delete --force "stub-$BATS_TEST_NUMBER" 2>/dev/null || true
    find /sys/fs/cgroup -depth -type d -path '*/husk-test-stub*' -exec rmdir {} + 2>/dev/null || true
}

@test "stub: who the program is" {
    stub 'p["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o27}
p["noNewPrivileges"] = True
sh("id -u; id -g; id -G; umask; grep -E \"^(Cap|NoNew)\" /proc/self/status | tr -d \"\\t\"")'
    expect 0
    [[ $output == "1000"$'\n'"1001"$'\n'"1001 5 6"$'\n'"0027"$'\n'* ]]
    [[ $output == *"CapInh:0000000000000000"*"CapPrm:0000000000000000"*"CapEff:0000000000000000"* ]]
    [[ $output == *"CapBnd:00000000200004e1"*"CapAmb:0000000000000000"*"NoNewPrivs:1"* ]]
}

@test "stub: what root in the container may do, and ambient capabilities for others" {
    stub 'sh("grep ^Cap /proc/self/status | tr -d \"\\t\"")'
    expect 0 "CapEff:00000000200004e1"
    stub 'p["user"]["uid"] = 1000
for k in ("inheritable", "ambient"): p["capabilities"][k] = ["CAP_NET_BIND_SERVICE"]
sh("grep ^Cap /proc/self/status | tr -d \"\\t\"")'
    expect 0
    [[ $output == *"CapInh:0000000000000400"*"CapPrm:0000000000000400"*"CapEff:0000000000000400"*"CapAmb:0000000000000400"* ]]
    stub 'del p["capabilities"]
sh("grep ^CapBnd /proc/self/status | tr -d \"\\t\"")'
    expect 0 "CapBnd:0000000000000000"
}

@test "stub: limits, scores, priorities" {
    stub 'p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
p["oomScoreAdj"] = 321
p["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
c["linux"]["personality"] = {"domain": "LINUX32"}
sh("ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj; set -- $(cat /proc/self/stat); echo ${19}; cat /proc/self/personality; uname -m")'
    expect 0
    echo "$output"
    [[ $output == 100$'\n'200$'\n'0$'\n'321$'\n'5$'\n'00000008$'\n'i686 ]]
    stub 'p["rlimits"] = [{"type": "RLIMIT_NOFILES", "soft": 1, "hard": 1}]'
    expect 1 "'RLIMIT_NOFILES' is no resource limit: is it RLIMIT_NOFILE?"
}

@test "stub: what cannot be run has its message, and at create already" {
    local row
    for row in 'nope|not in $PATH: No such file or directory' '/no/such|No such file or directory' '/etc|Permission denied'; do
        bundle "p['args'] = ['${row%|*}']"
        run oci create --bundle "$T/tmp/b" "stub-$BATS_TEST_NUMBER" 3>&-
        expect 1 "exec '${row%|*}': ${row#*|}"
        run oci state "stub-$BATS_TEST_NUMBER"
        expect 1
    done
}

@test "stub: create waits, start runs it, a starter that goes away changes nothing" {
    bundle 'sh("echo started >/tmp/x; exit 9")'
    oci create --bundle "$T/tmp/b" "stub-$BATS_TEST_NUMBER" >/dev/null 3>&-
    run oci state "stub-$BATS_TEST_NUMBER"
    expect 0 '"created"'
    python3 - "$T/tmp/oci/stub-$BATS_TEST_NUMBER" <<'PY'
import glob, os, socket, stat, sys
os.chdir(sys.argv[1])
for name in os.listdir("."):
    if stat.S_ISSOCK(os.stat(name).st_mode):
        for _ in range(3):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect(name)
            s.close()
PY
    run oci state "stub-$BATS_TEST_NUMBER"
    expect 0 '"created"'
    oci start "stub-$BATS_TEST_NUMBER"
    wait_until 5 sh -c "$HUSK_OCI --root $T/tmp/oci state stub-$BATS_TEST_NUMBER | grep -q stopped"
}

@test "stub: nobody else of its user looks into it before it is the program" { # CVE-2016-9962
    local pid
    bundle 'p["user"]["uid"] = 1000
p["args"] = ["sleep", "60"]'
    oci create --bundle "$T/tmp/b" "stub-$BATS_TEST_NUMBER" >/dev/null 3>&-
    pid=$(oci state "stub-$BATS_TEST_NUMBER" | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*')
    grep -q '^Uid:.1000' "/proc/$pid/status"
    [[ $(stat -c %u "/proc/$pid/fd") == 0 ]] # not dumpable: its files in /proc are root's
    oci start "stub-$BATS_TEST_NUMBER"
    wait_until 5 grep -q sleep "/proc/$pid/cmdline"
    [[ $(stat -c %u "/proc/$pid/fd") == 1000 ]]
    oci kill "stub-$BATS_TEST_NUMBER" KILL
}

@test "stub: startContainer hooks run in the container, before the program, with the state" {
    stub 'c["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/tmp/state; echo $X >>/tmp/state"], "env": ["X=hooked", "PATH=/bin"]}]}
sh("cat /tmp/state")'
    expect 0 '"status"'
    [[ $output == *hooked* ]]
    stub 'c["hooks"] = {"startContainer": [{"path": "/bin/false"}]}'
    expect 1 "it failed: hook '/bin/false'"
    stub 'c["hooks"] = {"startContainer": [{"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}]}'
    expect 1 "it took longer than its timeout: hook '/bin/sleep'"
}

@test "stub: ids that setuid(2) would take for 'leave it' are refused" { # CVE-2024-40635 and kin
    stub 'p["user"]["uid"] = 4294967295'
    expect 1 "4294967295 is not a user or group id"
    stub 'p["user"]["gid"] = 4294967295'
    expect 1 "4294967295 is not a user or group id"
    stub 'p["user"]["uid"] = 4294967296'
    expect 1 "uid"
    stub 'p["user"]["additionalGids"] = [4294967295]'
    expect 1 "additionalGids[0]: not a group id"
}

@test "stub: no work directory outside of the root, no descriptor of the host" { # CVE-2024-21626
    local fd
    exec 9</root
    for fd in 3 4 5 6 7 8 9 10; do
        stub "p['cwd'] = '/proc/self/fd/$fd'"
        expect 1 "work directory"
    done
    stub 'sh("echo $(ls /proc/self/fd); readlink /proc/self/cwd")'
    exec 9<&-
    expect 0
    echo "$output"
    [[ $output == $'0 1 2 3\n/' ]] # 3 is ls's own
}

@test "stub: descriptors that were asked for arrive, with LISTEN_PID" {
    bundle 'p["env"] += ["LISTEN_PID=99", "LISTEN_FDS=2"]
sh("cat <&3; cat <&4; [ -e /proc/self/fd/5 ] || echo no 5; echo $LISTEN_PID $$")'
    run oci run --preserve-fds 2 --bundle "$T/tmp/b" "stub-$BATS_TEST_NUMBER" 3< <(echo three) 4< <(echo four) 5</dev/null
    expect 0 $'=three\nfour\nno 5\n1 1'
}

@test "stub: the program cannot reach what started it" { # CVE-2019-5736
    local before
    before=$(sha256sum <"$HUSK_BUILD/libexec/husk/husk-init")
    stub 'sh("exec 3</proc/self/exe; readlink /proc/self/exe")'
    expect 0 '!husk'
    mkdir -p "$T/tmp/evil"
    # As PID 1 the init is there to be opened: read-only, by its mount.
    run husk run --rm --network none --init --rootfs "$IMAGES/rootfs" sh -c \
        'echo x >/proc/1/exe; echo x >>/proc/1/exe; chmod 777 /proc/1/exe; exit 0'
    [[ $(sha256sum <"$HUSK_BUILD/libexec/husk/husk-init") == "$before" ]]
}

@test "stub: a terminal is the program's own" {
    [[ -x $(command -v python3) ]]
    run python3 - "$HUSK" "$IMAGES/rootfs" <<'PY'
import os, pty, sys
out = b""
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "run", "--rm", "-t", "--network", "none", "--rootfs", sys.argv[2], "sh", "-c",
                           "tty; exec 3<>/dev/tty && echo has tty; readlink /proc/self/fd/0"])
while True:
    try:
        part = os.read(fd, 4096)
    except OSError:
        break
    if not part:
        break
    out += part
print(out.decode(), os.waitpid(pid, 0)[1])
PY
    expect 0 "has tty"
}

@test "stub: a filter needs to allow nothing of husk's own, with and without no_new_privs" {
    local nnp
    for nnp in True False; do
        # Everything that the stub could want is deadly; sh's true needs little.
        stub "p['noNewPrivileges'] = $nnp
p['args'] = ['true']
c['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [{'names': ['capset', 'capget', 'chdir', 'setresuid',
  'setresgid', 'setgroups', 'close_range', 'sendto', 'recvfrom', 'accept4', 'seccomp', 'umask', 'setsid', 'keyctl', 'getcwd',
  'lseek', 'clone3', 'faccessat2', 'statx', 'personality', 'dup3', 'fchown'],
  'action': 'SCMP_ACT_KILL_PROCESS'}]}"
        expect 0
    done
}

@test "stub: filters do what they say" {
    stub "c['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW', 'architectures': ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  'syscalls': [{'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 28}]}
sh('mkdir /tmp/x; grep ^Seccomp: /proc/self/status')"
    expect 0 "No space left on device"
    [[ $output == *"Seccomp:"*2* ]]
    stub "c['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [{'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_KILL_PROCESS'}]}
p['args'] = ['mkdir', '/tmp/x']"
    expect 159
    stub "c['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALOW'}"
    expect 1 "is it SCMP_ACT_ALLOW?"
}
