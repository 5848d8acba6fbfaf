#!/usr/bin/env bats
# husk-oci mounts: into and out of a running container.
# shellcheck disable=SC2154

load helpers
load oci

teardown() {
    remove_oci
}

started() { # [JQ]
    bundle "$(sh_c 'trap "exit 0" TERM; sleep 1000 & wait')"
    mkdir -p "$B/rootfs/data" "$B/src/sub" "$B/rootfs/safe"
    echo hello >"$B/src/file"
    ln -s /etc "$B/rootfs/way-out"
    change '.root.readonly = false' "${1:-.}"
    oci run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
}

@test "mounts add, mounts remove: a bind, a file, a tmpfs" {
    started
    cat >"$B/m.json" <<END
[{"destination": "/data", "type": "bind", "source": "$B/src", "options": ["rbind", "ro", "nosuid"]},
 {"destination": "/new/file", "source": "$B/src/file", "options": ["bind"]},
 {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "noexec"]}]
END
    oci mounts add c1 "$B/m.json"
    run oci exec c1 sh -c 'cat /data/file /new/file; touch /data/x 2>&1; grep -E " /(data|scratch) " /proc/self/mountinfo | cut -d" " -f5,6'
    expect 0 "=hello
hello
touch: /data/x: Read-only file system
/data ro,nosuid,relatime
/scratch rw,noexec,relatime"
    [[ $(grep -c "$B" /proc/self/mountinfo) == 0 ]] # nothing on the host's side
    oci mounts remove c1 "$B/m.json"
    run oci exec c1 sh -c 'ls /data; wc -c </new/file; grep -c -E " /(data|scratch|new/file) " /proc/self/mountinfo'
    expect 1 "=0
0"
    jq '{mounts: .[0:1]}' "$B/m.json" >"$B/m2.json" # the object that has the section
    oci mounts add c1 "$B/m2.json"
    run oci exec c1 cat /data/file
    expect 0 "=hello"
}

@test "mounts: all or none, and what is refused" {
    started
    one() { printf '[{"destination": "/safe", "source": "%s", "options": ["bind"]}, %s]' "$B/src" "$1" >"$B/m.json"; oci mounts "${2:-add}" c1 "$B/m.json"; }
    check_table one <<'END'
'{"destination": "/data", "source": "/no/such", "options": ["bind"]}'        | 1 | mount '/data'
'{"destination": "/proc/sys/kernel", "source": "/tmp", "options": ["bind"]}' | 1 | mount '/proc/sys/kernel'
'{"destination": "/proc/self/x", "type": "tmpfs"}'                           | 1 | mount '/proc/self/x'
'{"destination": "/", "type": "tmpfs"}'                                      | 1 | the root itself cannot be mounted over
'{"destination": "/p", "type": "proc", "source": "proc"}'                    | 1 | a proc belongs to the container's start
'{"destination": "/p", "options": ["remount", "ro"]}'                        | 1 | not remounted
'{"destination": "/p"}'                                                      | 1 | neither a type nor the option bind
'{"destination": "/p", "type": "nosuchfs"}'                                  | 1 | nosuchfs
'{"source": "/p"}'                                                           | 1 | destination: missing
'{"destination": "/data", "options": []}' remove                             | 1 | nothing is mounted there
END
    run oci exec c1 sh -c 'grep -c -E " /(safe|data|p) " /proc/self/mountinfo'
    expect 1 "=0"
    echo '[{"destination": "/way-out/inside", "type": "tmpfs"}]' >"$B/m.json"
    oci mounts add c1 "$B/m.json" # a link that leads out leads to the container's own /etc
    run oci exec c1 grep -c ' /etc/inside ' /proc/self/mountinfo
    expect 0 "=1"
    [[ ! -e /etc/inside ]]
    check_table oci <<END
mounts add nope "$B/m.json"  | 1 | container 'nope' does not exist
mounts add c1 /no/such       | 1 | open '/no/such'
mounts list c1 "$B/m.json"   | 1 | 'list': add or remove
mounts add c1                | 1 | ID
END
    oci kill c1 KILL
    wait_until 30 stopped c1
    run oci mounts add c1 "$B/m.json"
    expect 1 "cannot mount into container 'c1': it is stopped: container not running"
}
stopped() { [[ $(oci state "$1" | jq -r .status) == stopped ]]; }

@test "mounts: into a container with a user namespace of its own" {
    started '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 0, "size": 65536}] | .linux.gidMappings = .linux.uidMappings'
    echo "[{\"destination\": \"/data\", \"source\": \"$B/src\", \"options\": [\"bind\"]}, {\"destination\": \"/t\", \"type\": \"tmpfs\"}]" >"$B/m.json"
    oci mounts add c1 "$B/m.json"
    run oci exec c1 sh -c 'cat /data/file; touch /t/x; ls /t'
    expect 0 "=hello
x"
}

@test "mounts: an ordinary user's tmpfs; a bind is refused in one sentence" {
    ((EUID == 0)) || return 0
    user_bundle "$(sh_c 'sleep 1000')"
    change '.root.readonly = false'
    chown "$HUSK_USER:" "$B/config.json"
    user_oci run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
    echo '[{"destination": "/t", "type": "tmpfs", "options": ["size=1m"]}]' >"$B/m.json"
    user_oci mounts add c1 "$B/m.json"
    run user_oci exec c1 sh -c 'touch /t/x; ls /t'
    expect 0 "=x"
    user_oci mounts remove c1 "$B/m.json"
    run user_oci exec c1 ls /t
    expect 0 "="
    echo '[{"destination": "/t", "source": "/tmp", "options": ["bind"]}]' >"$B/m.json"
    run user_oci mounts add c1 "$B/m.json"
    expect 1 "only root may copy a mount of the host into a running container"
}
