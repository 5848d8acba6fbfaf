#!/usr/bin/env bats
# seccomp: SCMP_ACT_NOTIFY. The listener and the container process state go to the agent at listenerPath, at the moment
# when the filter is loaded: by run, by start of a created container, and by exec.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

teardown() {
    local pid
    for pid in $(cat "$T"/tmp/agent.*.pid 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
    rm -f "$T"/tmp/agent.*
    remove_oci
}

# agent NAME: one at $T/tmp/agent.NAME; what it was sent is in $T/tmp/agent.NAME.state
agent() {
    python3 "$BATS_TEST_DIRNAME/seccomp-agent.py" "$T/tmp/agent.$1" "$T/tmp/agent.$1.state" 3>&- >"$T/tmp/agent.$1.out" 2>&1 &
    echo $! >"$T/tmp/agent.$1.pid"
    wait_until 30 test -e "$T/tmp/agent.$1.ready"
}
sent() { # NAME JQ
    wait_until 30 test -e "$T/tmp/agent.$1.state"
    jq -r "$2" "$T/tmp/agent.$1.state"
}
notify() { # NAME: a filter that asks the agent about mkdir
    echo ".linux.seccomp = {defaultAction: \"SCMP_ACT_ALLOW\", listenerPath: \"$T/tmp/agent.$1\", listenerMetadata: \"a \\\"word\\\"\",
        syscalls: [{names: [\"mkdir\", \"mkdirat\"], action: \"SCMP_ACT_NOTIFY\"}]}"
}

@test "run: the agent answers the program's calls" {
    bundle "$(sh_c 'mkdir /tmp/x 2>&1; ls -l /proc/self/fd 2>/dev/null | grep -c "seccomp notify"')"
    change "$(notify a)" '.annotations = {"k": "v"}'
    agent a
    run oci run -b "$B" c1
    expect 1 "mkdir: can't create directory '/tmp/x': Name not unique on network"
    [[ ${lines[1]} == 0 ]] || { echo "$output"; return 1; }
    [[ $(sent a '.ociVersion, .fds[0], .metadata, .state.id, .state.status, .state.bundle, .state.annotations.k, (.pid == .state.pid)' | tr '\n' ' ') == \
        "1.3.0 seccompFd a \"word\" c1 creating $B v true " ]]
    assert_gone c1
}

@test "run: the exec itself may be a call that the agent is asked about" {
    bundle '.process.args = ["true"]'
    change "$(notify a)"
    change '.linux.seccomp.syscalls[0].names += ["execve"]'
    agent a
    run oci run -b "$B" c1
    expect 0 "="
}

@test "create and start: the starter passes it on, with the agent that is there then" {
    bundle "$(sh_c 'mkdir /tmp/x 2>/tmp/said; exec sleep 1000')"
    change "$(notify a)" '.root.readonly = false'
    oci create -b "$B" c1 >/dev/null
    run oci start c1
    expect 1 "linux.seccomp.listenerPath '$T/tmp/agent.a': connect to socket 'agent.a': No such file or directory"
    [[ $(oci state c1 | jq -r .status) == created ]]
    agent a
    oci start c1
    wait_until 30 grep -q "Name not unique" "$B/rootfs/tmp/said"
    [[ $(sent a '.state.status, .pid') == "created"$'\n'"$(oci state c1 | jq .pid)" ]]
}

@test "exec: its own listener, with the pid of its own process" {
    bundle '.process.args = ["sleep", "1000"]'
    change "$(notify a)"
    agent a
    oci run -d -b "$B" c1 >/dev/null
    sent a .pid >"$T/tmp/first"
    change ".linux.seccomp.listenerPath = \"$T/tmp/agent.b\"" # exec reads the bundle
    run oci exec c1 mkdir /tmp/y
    expect 255 "listenerPath"
    agent b
    run oci exec c1 mkdir /tmp/y
    expect 1 "Name not unique"
    [[ $(sent b .state.status) == running && $(sent b .state.pid) == "$(<"$T/tmp/first")" && $(sent b .pid) != "$(<"$T/tmp/first")" ]]
}

@test "an ordinary user has an agent too" {
    user_bundle '.process.args = ["mkdir", "/tmp/x"]'
    change "$(notify a)"
    agent a
    run user_oci run -b "$B" c1
    expect 1 "Name not unique"
}

@test "what cannot be: no agent, no path, metadata for nobody, a filter that keeps the listener in" {
    bundle '.process.args = ["true"]'
    change "$(notify none)"
    run oci run -b "$B" c1
    expect 1 "connect to the seccomp agent: linux.seccomp.listenerPath '$T/tmp/agent.none': connect"
    assert_gone c1
    try() { change "$(notify none)" "$1"; oci run -b "$B" c1; }
    check_table try <<'END'
'del(.linux.seccomp.listenerPath)' | 1 | listenerMetadata: there is no listenerPath
'del(.linux.seccomp.listenerPath, .linux.seccomp.listenerMetadata)' | 1 | SCMP_ACT_NOTIFY needs listenerPath
'.linux.seccomp.listenerPath = "agent"' | 1 | listenerPath: 'agent' is not an absolute path
'.linux.seccomp.syscalls[0].names = ["sendmsg"]' | 1 | sendmsg cannot have SCMP_ACT_NOTIFY
'.linux.seccomp.defaultAction = "SCMP_ACT_NOTIFY"' | 1 | defaultAction: SCMP_ACT_NOTIFY cannot be it
# without the action the path is ignored
'.linux.seccomp.syscalls[0].action = "SCMP_ACT_ERRNO"' | 0 |
END
    change "$(notify a)" '.linux.seccomp.syscalls += [{names: ["sendmsg"], action: "SCMP_ACT_ERRNO"}]'
    agent a
    run oci run -b "$B" c1
    expect 1 "hand on the seccomp listener (the filter must allow sendmsg)"
    assert_gone c1
}
