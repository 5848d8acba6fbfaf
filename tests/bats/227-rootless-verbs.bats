#!/usr/bin/env bats
# An ordinary user who has neither newuidmap(1) nor a control group of his own: what each verb of husk-oci does, and what
# it says where it cannot. With a group of his own, under both drivers: tests/vm/systemd.sh (329).
# shellcheck disable=SC2154

load helpers
load oci

setup() {
    user_bundle '.process.args = ["sleep", "1000"]'
    # no uidmap, no systemctl: what a shell and its tests need
    BARE=$T/tmp/bin
    [[ -e $BARE ]] || { mkdir -m 755 "$BARE" && ln -s "$(command -v ps)" "$(command -v busybox)" "$(command -v env)" "$BARE/"; }
}
teardown() {
    remove_oci
}

bare() { as_user env PATH="$BARE" "$HUSK_OCI" --root "$USER_RUN/oci" "$@"; }
is_stopped() { [[ $(bare state c1 | jq -r .status) == stopped ]]; }

@test "one id, no newuidmap, no control group: the whole life of a container, verb by verb" {
    bare create -b "$B" c1 >/dev/null </dev/null
    [[ $(bare state c1 | jq -r .status) == created ]]
    run bare exec c1 id -u
    expect 0 "=0"
    bare start c1
    bare list | grep -q 'c1 .*running'
    bare ps c1 | grep -q 'sleep 1000'
    [[ $(bare ps -f json c1 | jq length) == 1 ]]
    check_table bare <<END
exec c1 cat /proc/self/setgroups       | 0   | =deny
exec c1 sh -c 'exit 7'                 | 7   | =
exec -u 1 c1 true                      | 255 | set the user id (is it mapped in the container's user namespace?)
exec -u 0:5 c1 true                    | 255 | set the group id (is it mapped in the container's user namespace?)
exec -g 5 c1 true                      | 255 | install uidmap and give the user a range in /etc/subgid
pause c1                               | 1   | cannot pause container 'c1': it has no control group
resume c1                              | 1   | cannot resume container 'c1': it is running
update --memory 20m c1                 | 1   | cannot update container 'c1': it has no control group
events --stats c1                      | 1   | cannot watch container 'c1': it has no control group
checkpoint --image-path $T/tmp/images c1 | 1   | cannot checkpoint container 'c1': CRIU needs root
exec --cgroup jobs c1 true             | 255 | has no control group to have one below
delete c1                              | 1   | cannot delete container 'c1': it is running
kill c1 NOPE                           | 1   | 'NOPE' is not a signal
kill --all c1 KILL                     | 0   | =
END
    wait_until 20 is_stopped
    bare delete c1
    bare delete --force c1
    run bare state c1
    expect 1 "does not exist"
    assert_gone c1
}

@test "one id, no newuidmap, no control group: what needs one of them is refused before anything is made" {
    cp "$B/config.json" "$B/plain"
    try() { cp "$B/plain" "$B/config.json"; change "$1"; bare "${@:2}" run -b "$B" c1 </dev/null; }
    check_table try <<'END'
'.process.args = ["sh", "-c", "exit 3"]'                                       | 3 | =
'.linux.uidMappings += [{containerID: 1, hostID: 100000, size: 9}] | .linux.gidMappings += [{containerID: 1, hostID: 100000, size: 9}]' | 1 | 'newuidmap' is not installed: run 'apt install uidmap'
'.linux.uidMappings[0].hostID = 0'                                             | 1 | newuidmap
'.process.user = {uid: 5, gid: 0}'                                             | 1 | set the user id (is it mapped
'.process.user.additionalGids = [5]'                                           | 1 | install uidmap
'.linux.resources = {memory: {limit: 20000000}}'                               | 1 | may not make control groups: have a group delegated
'.linux.resources = {pids: {limit: 20}}'                                       | 1 | may not make control groups
'.linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings, .linux.gidMappings)' | 1 | needs a user namespace
'.' --systemd-cgroup                                                           | 1 | leave control groups to husk (cgroupfs)
END
    assert_gone c1
}
