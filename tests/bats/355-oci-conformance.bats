#!/usr/bin/env bats
# husk-oci against the runtime specification: each test names the document and the section whose MUSTs it goes through.
# What the other files about husk-oci test at length (hooks, mount options, limits, seccomp, resctrl, network devices) is
# here only as far as the section says something of its own.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

teardown() {
    remove_oci
}

SLEEP='.process.args = ["sleep", "1000"]'
status_of() { oci state "$1" | jq -r .status; }
has_status() { [[ $(status_of "$1") == "$2" ]]; }
# Everything that an operation could have changed: containers, their states, groups, processes of the bundle.
picture() {
    oci list -f json | jq -S 'if . == null then [] else map({id, status, pid}) end'
    find /sys/fs/cgroup -maxdepth 4 -type d -path "*/husk/$GROUP*" | sort
    [[ ! -d $TRUN/oci ]] || find "$TRUN/oci" -mindepth 1 -maxdepth 1 -not -name '.*' | sort
    ! grep -lq "$B" /proc/[0-9]*/mountinfo 2>/dev/null || echo "processes of it"
}
# unchanged COMMAND...: it fails, and all is as before.
unchanged() {
    local before after
    before=$(picture)
    rm -f "$T/tmp/output"
    if "$@" >"$T/tmp/said" 2>&1 </dev/null; then
        echo "this is no error: $*"
        return 1
    fi
    [[ -s $T/tmp/said || -s $T/tmp/output ]] || { echo "no error text: $*"; return 1; }
    after=$(picture)
    [[ $before == "$after" ]] || { echo "$*:"; diff <(echo "$before") <(echo "$after"); }
}
create() { oci create --bundle "$B" "$@" >"$T/tmp/output" 2>&1 </dev/null; }

# ---- bundle.md, runtime.md -------------------------------------------------------------------------------------------

@test "bundle.md: config.json is in the root of the bundle directory" {
    bundle
    mkdir "$B/sub"
    mv "$B/config.json" "$B/sub/"
    unchanged create c1
    mv "$B/sub/config.json" "$B/Config.json"
    unchanged create c1
}

@test "runtime.md, State: the fields, their types, and which are there when" {
    bundle "$SLEEP | .annotations = {\"org.example.key\": \"value\", \"empty\": \"\"}"
    local form='(keys - ["ociVersion", "id", "status", "pid", "bundle", "annotations"]) as $more
        | (.ociVersion | test("^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$")) and .id == "c1"
        and (.status | IN("creating", "created", "running", "stopped")) and (.pid | type == "number" and . >= 0)
        and .bundle == $bundle and .annotations == {"org.example.key": "value", "empty": ""} and ($more | index("hooks") == null)'
    create c1
    oci state c1 | jq -e --arg bundle "$B" "$form and .status == \"created\" and .pid > 0"
    local pid
    pid=$(oci state c1 | jq .pid)
    [[ -d /proc/$pid/ns ]] # as the runtime sees it
    oci start c1
    oci state c1 | jq -e --arg bundle "$B" --argjson pid "$pid" "$form and .status == \"running\" and .pid == \$pid"
    oci kill c1 KILL
    wait_until 30 has_status c1 stopped
    oci state c1 | jq -e --arg bundle "$B" "$form and .status == \"stopped\""
    oci delete c1
}

@test "runtime.md, Lifecycle 2: the program does not run before start, and later changes of config.json do not count" {
    bundle "$(sh_c 'echo before >/out; exec sleep 1000') | .root.readonly = false"
    create c1
    [[ ! -e $B/rootfs/out ]]
    change "$(sh_c 'echo after >/out; exec sleep 1000')" '.hostname = "changed" | .linux.namespaces = []'
    oci start c1
    wait_until 30 test -s "$B/rootfs/out"
    [[ $(<"$B/rootfs/out") == before ]]
    rm "$B/config.json"
    has_status c1 running
    oci kill c1 KILL
    wait_until 30 has_status c1 stopped
    oci delete c1
    assert_gone c1
}

hook() { # STAGE NAME STATUS: logs its name and the state's status, and ends with the status
    printf '#!/bin/sh\necho "%s $(sed -E "s/.*\\"status\\": ?\\"([a-z]*).*/\\1/")" >>%s/log\nexit %s\n' "$2" "$B" "$3" >"$B/hook-$2"
    chmod 755 "$B/hook-$2"
    change ".hooks.$1 += [{path: \"$B/hook-$2\"}]"
}

@test "runtime.md, Lifecycle 3 to 13: hooks in their order, several of a kind in theirs" {
    bundle "$(sh_c 'exit 0')"
    local stage
    for stage in poststop poststart createContainer createRuntime prestart; do
        hook $stage "$stage-1" 0
        hook $stage "$stage-2" 0
    done
    create c1
    [[ $(cut -d' ' -f1 "$B/log" | xargs) == "prestart-1 prestart-2 createRuntime-1 createRuntime-2 createContainer-1 createContainer-2" ]]
    oci start c1
    wait_until 30 has_status c1 stopped
    oci delete c1
    [[ $(tail -n 4 "$B/log" | cut -d' ' -f1 | xargs) == "poststart-1 poststart-2 poststop-1 poststop-2" ]]
    [[ $(grep -c . "$B/log") == 10 ]]
}

@test "runtime.md, Lifecycle 3 to 9: a hook that fails is an error, ends the container and runs poststop" {
    local stage
    for stage in prestart createRuntime createContainer; do
        bundle "$SLEEP"
        hook $stage bad 1
        hook $stage never 0
        hook poststop last 0
        unchanged create c1
        [[ $(cut -d' ' -f1 "$B/log" | xargs) == "bad last" ]]
    done
    # in the container: its own program
    bundle "$SLEEP"
    printf '#!/bin/sh\nexit 3\n' >"$B/rootfs/bin/bad"
    chmod 755 "$B/rootfs/bin/bad"
    change '.hooks.startContainer = [{path: "/bin/bad"}]'
    hook poststop last 0
    create c1
    run oci start c1
    expect 1 "hook '/bin/bad'"
    wait_until 30 has_status c1 stopped
    oci delete c1
    [[ $(cut -d' ' -f1 "$B/log" | xargs) == last ]]
    assert_gone c1
}

@test "runtime.md, Lifecycle 13: a poststop hook that fails is a warning, and the others run" {
    bundle "$SLEEP"
    hook poststop bad 1
    hook poststop good 0
    create c1
    oci start c1
    oci delete --force c1
    [[ $(cut -d' ' -f1 "$B/log" | xargs) == "bad good" ]]
    assert_gone c1
}

@test "runtime.md, Operations: each is an error without an ID, and for one that does not exist" {
    local verb
    bundle "$SLEEP"
    for verb in state create start kill delete; do
        unchanged oci $verb
        [[ $verb == create ]] || unchanged oci $verb none
    done
    unchanged oci create --bundle /no/such c1
    unchanged oci create --bundle "$B/config.json" c1
}

@test "runtime.md, Create: an ID is there once, and invalid ones make no container" {
    bundle "$SLEEP"
    create c1
    unchanged create c1
    local id
    for id in '' . .. a/b '../c' 'a b' $'a\nb' "$(printf 'x%.0s' {1..1025})"; do unchanged create -- "$id"; done
    has_status c1 created
}

@test "runtime.md, Create: what cannot be applied is an error and makes no container" {
    bundle "$SLEEP"
    local original filter
    original=$(<"$B/config.json")
    while IFS= read -r filter; do
        echo "$original" >"$B/config.json"
        change "$filter"
        unchanged create c1 || { echo "$filter"; return 1; }
    done <<'END'
del(.ociVersion)
.ociVersion = "one"
.ociVersion = "99.0.0"
.root.path = "nowhere"
.root.path = "config.json"
.mounts += [{"destination": "/x", "type": "nofs", "source": "nofs"}]
.mounts += [{"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]}]
.mounts[0].destination = 5
.process.cwd = "relative"
.process.args = []
.process.rlimits = [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]
.process.rlimits = [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 9}, {"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]
.process.rlimits = [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 8}]
.process.oomScoreAdj = 5000
.process.user.uid = -1
.process.user.uid = 4294967296
.process.user.umask = 65536
.hooks.prestart = [{"path": "relative"}]
.hooks.createRuntime = [{"path": "/bin/true", "timeout": 0}]
.hooks.createRuntime = [{"path": "/bin/true", "timeout": -1}]
.linux.namespaces += [{"type": "pid"}]
.linux.namespaces += [{"type": "moon"}]
(.linux.namespaces[] | select(.type == "ipc")).path = "/proc/self/ns/net"
(.linux.namespaces[] | select(.type == "ipc")).path = "proc/self/ns/ipc"
(.linux.namespaces[] | select(.type == "ipc")).path = "/etc/passwd"
.linux.devices = [{"path": "/dev/null", "type": "c", "major": 1, "minor": 5}]
.linux.devices = [{"path": "/dev/thing", "type": "x", "major": 1, "minor": 5}]
.linux.cgroupsPath = "/husk/../../x"
.linux.resources.memory = {"limit": -5}
.linux.resources.unified = {"nope.max": "1"}
.linux.resources.hugepageLimits = [{"pageSize": "3KB", "limit": 1}]
.linux.sysctl = {"kernel.nope": "1"}
.linux.sysctl = {"vm.swappiness": "1"}
.linux.rootfsPropagation = "sideways"
.linux.maskedPaths = ["relative"]
.linux.readonlyPaths = ["relative"]
.linux.seccomp = {"defaultAction": "SCMP_ACT_NOPE"}
.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 5}
.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}
.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ALLOW", "errnoRet": 5}]}
.linux.personality = {"domain": "MOON"}
.linux.timeOffsets = {"monotonic": {"secs": 5}}
END
    echo "$original" >"$B/config.json"
    create c1
}

@test "runtime.md, Start: only what is created starts" {
    bundle "$SLEEP"
    create c1
    oci start c1
    unchanged oci start c1
    oci pause c1
    unchanged oci start c1
    oci resume c1
    oci kill c1 KILL
    wait_until 30 has_status c1 stopped
    unchanged oci start c1
}

@test "runtime.md, Kill: what is created or running gets the signal; what is stopped is an error" {
    bundle "$(sh_c 'trap "echo usr1 >>/out" USR1; trap "echo hup >>/out; exit" HUP; echo ready >/out; while :; do sleep 0.1; done')"
    change '.root.readonly = false'
    create c1
    oci kill c1 CONT
    has_status c1 created
    oci start c1
    wait_until 30 grep -q ready "$B/rootfs/out"
    oci kill c1 USR1
    wait_until 30 grep -q usr1 "$B/rootfs/out"
    unchanged oci kill c1 NOPE
    oci kill c1 HUP
    wait_until 30 has_status c1 stopped
    [[ $(xargs <"$B/rootfs/out") == 'ready usr1 hup' ]]
    unchanged oci kill c1 KILL
    oci delete c1
    create c2
    oci kill c2 KILL # as created, too
    wait_until 30 has_status c2 stopped
}

@test "runtime.md, Delete: only what is stopped; what it made goes, what it did not make stays" {
    bundle "$SLEEP"
    mkdir "$B/shared"
    echo kept >"$B/shared/file"
    unshare --net sleep 1000 3>&- &
    local other=$!
    wait_until 30 sleeps "$other"
    change ".mounts += [{destination: \"/shared\", type: \"bind\", source: \"$B/shared\", options: [\"rbind\"]}]" \
        "(.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$other/ns/net\""
    create c1
    oci start c1
    unchanged oci delete c1
    oci pause c1
    unchanged oci delete c1
    oci resume c1
    oci kill c1 KILL
    wait_until 30 has_status c1 stopped
    oci delete c1
    assert_gone c1
    unchanged oci state c1
    [[ $(<"$B/shared/file") == kept ]]
    [[ -d $B/rootfs/bin ]]
    kill -0 "$other"
    create c1 # the ID is free again
    oci delete --force c1
    kill "$other"
}
sleeps() { [[ $(<"/proc/$1/comm") == sleep ]]; }

# ---- config.md, config-linux.md, runtime-linux.md --------------------------------------------------------------------

# in_container FILTER TEXT: what the shell's TEXT says in a container of the default bundle, changed by FILTER.
in_container() {
    bundle "$1 | $(sh_c "$2")"
    oci run --bundle "$B" c1
}

@test "config.md, Specification version and Extensibility: unknown properties are ignored" {
    in_container '.unknown = 1 | .linux.unknown = {a: 1} | .process.unknown = [] | .annotations = {"unknown": "x"}' true
}

@test "config.md, Root and Mounts: read-only, in the listed order, relative destinations" {
    run in_container '.root.readonly = true' 'touch /x'
    expect 1 "Read-only file system"
    run in_container '.root.readonly = false | .mounts += [
            {destination: "/m", type: "tmpfs", source: "a", options: ["size=4k"]}, {destination: "/m/n", type: "tmpfs", source: "b"},
            {destination: "r", type: "tmpfs", source: "c"}, {destination: "/m", type: "tmpfs", source: "d"}]' \
        'grep -E " (/m|/m/n|/r) " /proc/mounts | cut -d" " -f1,2 | tr "\n" ";"; ls /m'
    expect 0 "=a /m;b /m/n;c /r;d /m;"
}

@test "config.md, Process: cwd, env, user, rlimits, oomScoreAdj, capabilities, noNewPrivileges" {
    run in_container '.process.cwd = "/tmp" | .process.env = ["PATH=/bin", "A=1", "A=2"] | .process.oomScoreAdj = 77
            | .process.user = {uid: 5, gid: 6, additionalGids: [7, 8], umask: 63}
            | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 50, hard: 60}, {type: "RLIMIT_CORE", soft: 0, hard: 0}]' \
        'echo $(pwd; id -u; id -g; id -G; umask; ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj)'
    expect 0 "=/tmp 5 6 6 7 8 0077 50 60 0 77"
    [[ $(in_container 'del(.process.oomScoreAdj)' 'cat /proc/self/oom_score_adj') == "$(</proc/self/oom_score_adj)" ]]
    # one that the kernel does not have is a warning
    run in_container '.process.capabilities = (["CAP_KILL", "CAP_MOON"] | {bounding: ., effective: ., permitted: ., inheritable: ., ambient: .}) | .process.noNewPrivileges = true' \
        'grep -E "Cap(Inh|Prm|Eff|Bnd|Amb)|NoNew" /proc/self/status | cut -f2 | sort | uniq -c | xargs'
    expect 0 "CAP_MOON"
    output_has "5 0000000000000020 1 1" || { echo "$output" && return 1; }
}

@test "config.md, Hostname, Domainname and Annotations" {
    run in_container '.hostname = "host" | .domainname = "domain" | .annotations = {"com.example": "x"}' \
        'echo $(hostname; cat /proc/sys/kernel/domainname)'
    expect 0 "=host domain"
}

@test "config-linux.md, Namespaces: new ones, joined ones, inherited ones" {
    local kind
    for kind in pid net ipc uts mnt cgroup; do
        [[ $(in_container '.linux.namespaces += [{type: "cgroup"}] | .linux.namespaces |= unique' "readlink /proc/self/ns/$kind") \
            != "$(readlink "/proc/self/ns/$kind")" ]]
    done
    for kind in net ipc uts; do
        local type=${kind/net/network}
        [[ $(in_container "del(.linux.namespaces[] | select(.type == \"$type\")) | del(.hostname)" "readlink /proc/self/ns/$kind") \
            == "$(readlink "/proc/self/ns/$kind")" ]]
    done
    unshare --net --ipc sleep 1000 3>&- &
    local other=$!
    wait_until 30 sleeps "$other"
    run in_container "(.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$other/ns/net\"
            | (.linux.namespaces[] | select(.type == \"ipc\")).path = \"/proc/$other/ns/ipc\"" \
        'echo $(readlink /proc/self/ns/net; readlink /proc/self/ns/ipc)'
    expect 0 "=$(readlink "/proc/$other/ns/net" "/proc/$other/ns/ipc" | xargs)"
    kill "$other"
}

@test "config-linux.md, Default Devices and Devices; runtime-linux.md, Dev symbolic links and File descriptors" {
    run in_container '.linux.devices = [{path: "/dev/mine", type: "c", major: 1, minor: 3, fileMode: 384, uid: 5, gid: 6},
            {path: "/dev/pipe", type: "p"}]' \
        'for d in null zero full random urandom tty ptmx; do [ -c /dev/$d ] || [ -c $(readlink -f /dev/$d) ] || echo no $d; done
        stat -c "%a %u %g %t:%T" /dev/mine; [ -p /dev/pipe ] && echo pipe
        echo $(for l in fd stdin stdout stderr; do readlink /dev/$l; done)'
    expect 0 $'=600 5 6 1:3\npipe\n/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2'
    bundle '.process.args = ["ls", "/proc/self/fd"]'
    run bash -c 'exec 7</ 8</etc/passwd; "$@"' x "$HUSK_OCI" --root "$TRUN/oci" run --bundle "$B" c1
    expect 0 $'=0\n1\n2\n3' # the last is ls's own
}

@test "config-linux.md, Control groups: the same path is the same place, absolute and relative" {
    bundle "$SLEEP"
    local path pid
    for path in "/husk/$GROUP" "husk/$GROUP-r"; do
        change ".linux.cgroupsPath = \"$path\""
        create c1
        pid=$(oci state c1 | jq .pid)
        grep -q "memory:.*/${path#/}$" "/proc/$pid/cgroup" || { cat "/proc/$pid/cgroup"; return 1; }
        oci delete --force c1
    done
}

@test "config-linux.md, Sysctl, Masked Paths, Readonly Paths, Rootfs Mount Propagation" {
    run in_container '.linux.sysctl = {"kernel.shmmax": "4096", "net.ipv4.ip_forward": "1"} | .linux.maskedPaths = ["/etc/passwd", "/home"]
            | .linux.readonlyPaths = ["/tmp"] | .root.readonly = false | .linux.rootfsPropagation = "shared"' \
        'cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ip_forward | xargs; cat /etc/passwd; ls /home; touch /tmp/x 2>&1
        grep -cE " / / .* shared:" /proc/self/mountinfo || awk "\$5 == \"/\"" /proc/self/mountinfo | grep -c shared:'
    output_has $'4096 1\ntouch: /tmp/x: Read-only file system'
}

@test "config-linux.md, Seccomp: actions, errno and arguments" {
    run in_container '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [
            {names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28},
            {names: ["kill"], action: "SCMP_ACT_ERRNO", args: [{index: 1, value: 10, op: "SCMP_CMP_EQ"}]}]} | .root.readonly = false' \
        'mkdir /x 2>&1; kill -USR1 $$ 2>&1; kill -CONT $$ && echo continued'
    expect 0 "No space left on device"
    output_has "Operation not permitted"
    output_has continued
}
