#!/usr/bin/env bats
# Landlock: rules by the annotation husk.landlock and by --security-opt landlock=.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup() {
    skip_unless_kernel "no Landlock with scopes (Linux 6.12)" python3 -c \
        'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, 0, 0, 1) < 6)'
}
teardown() {
    remove_oci
}

rules() { change ".annotations[\"husk.landlock\"] = \"$1\""; }

@test "paths: read, write and execute are what the words say, for root too" {
    bundle "$(sh_c 'echo x >/tmp/w && echo wrote; echo x >/etc/w; cat /etc/passwd >/dev/null && echo read; ls /root; cp /bin/busybox /tmp/b && /tmp/b true; mount -t tmpfs x /tmp; echo end')"
    change '.root.readonly = false | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"])'
    run oci run -b "$B" c1
    [[ $output == *wrote*read* && $output != *denied* ]] || { echo "without rules: $output"; return 1; }
    rules "exec:/bin,exec:/lib,ro:/etc,rw:/tmp,rw:/dev"
    run oci run -b "$B" c1
    expect 0 "=wrote
sh: can't create /etc/w: Permission denied
read
ls: can't open '/root': Permission denied
sh: /tmp/b: Permission denied
mount: permission denied (are you root?)
end"
}

@test "paths: a file alone; a link leads where it leads; one that is not there is an error" {
    bundle "$(sh_c 'cat /etc/passwd >/dev/null && echo passwd; cat /etc/group')"
    rules "exec:/bin,exec:/lib,ro:/etc/passwd,rw:/dev"
    run oci run -b "$B" c1
    expect 1 $'=passwd\ncat: can\'t open \'/etc/group\': Permission denied'
    rules "ro:/no/such"
    run oci run -b "$B" c1
    expect 1 "landlock: allow '/no/such': No such file or directory"
    # the program itself may not be run
    rules "ro:/"
    run oci run -b "$B" c1
    expect 1 "exec 'sh': Permission denied"
    assert_gone c1
}

@test "ports and scopes: what no word allows is denied, and the rest is as ever" {
    cat >"$T/tmp/try.py" <<'END'
import os, socket
def say(what, f):
    try: f(); print(what, "ok")
    except OSError as e: print(what, os.strerror(e.errno))
def bind(port):
    socket.socket().bind(("127.0.0.1", port))
def abstract():
    s = socket.socket(socket.AF_UNIX); s.connect("\0" + os.environ["ABSTRACT"])
say("bind 8080", lambda: bind(8080))
say("bind 8081", lambda: bind(8081))
say("connect 9", lambda: socket.socket().connect(("127.0.0.1", 9)))
say("kill", lambda: os.kill(int(os.environ["VICTIM"]), 0))
say("abstract", abstract)
END
    python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind("\0" + sys.argv[1]); s.listen(1); open(sys.argv[2], "w"); time.sleep(1000)' \
        "$T" "$T/tmp/abstract.ready" 3>&- &
    local victim=$!
    wait_until 30 test -e "$T/tmp/abstract.ready"
    # the host's root, read-only, for its python: no network namespace but a fresh one, no pid namespace
    bundle ".root.path = \"/\" | .process.args = [\"python3\", \"$T/tmp/try.py\"] | .mounts = [] | .process.env += [\"VICTIM=$victim\", \"ABSTRACT=$T\"]"
    change '.linux.namespaces |= map(select(.type == "mount")) | del(.hostname, .linux.maskedPaths, .linux.readonlyPaths)'
    change '.mounts = [{destination: "/dev", type: "tmpfs", source: "x"}] | .process.capabilities |= map_values(["CAP_KILL"])'
    run unshare --net sh -c 'ip link set lo up && exec "$@"' x "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    local free=$output
    rules "bind:8080,connect:none,scope:signal,scope:abstract"
    run unshare --net sh -c 'ip link set lo up && exec "$@"' x "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    kill "$victim"
    [[ $free == $'bind 8080 ok\nbind 8081 ok\nconnect 9 Connection refused\nkill ok\nabstract '* ]] || { echo "free: $free"; return 1; }
    expect 0 '=bind 8080 ok
bind 8081 Permission denied
connect 9 Permission denied
kill Operation not permitted
abstract '"$(if [[ $free == *"abstract ok" ]]; then echo "Operation not permitted"; else echo "Connection refused"; fi)"
}

@test "exec enters the same rules; without no_new_privs and as an ordinary user too" {
    bundle '.process.args = ["sleep", "1000"] | .process.noNewPrivileges = false'
    change '.root.readonly = false'
    rules "exec:/,rw:/tmp"
    oci run -d -b "$B" c1 >/dev/null
    run oci exec c1 sh -c 'echo x >/tmp/x && echo wrote; echo x >/x'
    expect 1 $'=wrote\nsh: can\'t create /x: Permission denied'
    grep -q "NoNewPrivs:	0" "/proc/$(oci state c1 | jq .pid)/status"
    user_bundle "$(sh_c 'echo x >/tmp/x; cat /etc/passwd >/dev/null && echo read')"
    change '.root.readonly = false'
    rules "exec:/,rw:/dev"
    run user_oci run -b "$B" c2
    expect 0 $'=sh: can\'t create /tmp/x: Permission denied\nread'
}

@test "what is no rule is refused before anything is made" {
    bundle '.process.args = ["true"]'
    try() { rules "$1"; oci run -b "$B" c1; }
    check_table try <<'END'
'ro:usr'        | 1 | annotation husk.landlock: landlock: ro: 'usr' is not an absolute path
'rx:/'          | 1 | 'rx:/' is none of ro:PATH
'bind:70000'    | 1 | landlock: bind: '70000' is out of range
'scope:all'     | 1 | scope: 'all' is none of signal and abstract
''              | 1 | no rules
'unconfined'    | 0 | =
END
    assert_gone c1
}

@test "husk run --security-opt landlock=" {
    load_busybox
    check_table <<'END'
run --rm --security-opt landlock=exec:/,rw:/dev busybox sh -c 'echo x >/x'           | 1 | can't create /x: Permission denied
run --rm --security-opt landlock=exec:/,rw:/tmp busybox sh -c 'echo x >/tmp/x; cat /tmp/x' | 0 | =x
run --rm --security-opt landlock=nope busybox true                                   | 125 | --security-opt: landlock: 'nope' is none of
END
    husk run -d --name l1 --security-opt landlock=exec:/ busybox sleep 1000 >/dev/null
    run husk exec l1 sh -c 'echo x >/x'
    expect 1 "Permission denied"
    husk rm -f l1 >/dev/null
}
