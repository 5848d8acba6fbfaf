#!/usr/bin/env bats
# husk-oci beside runc and crun, by differences: tests/conformance/differ.py runs a part of its cases here; and what was
# found by it, each on its own.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

teardown() {
    remove_oci
}

@test "no case has a difference from runc and crun that is not listed with its reason" {
    run timeout 150 python3 "$HUSK_TOP/tests/conformance/differ.py" --husk "$HUSK_OCI" --part
    [[ $status == 0 && $output =~ [1-9][0-9]+\ cases,\ [0-9]+\ differences\ that\ are\ listed,\ 0\ that\ are\ not ]] ||
        { echo "$output" && return 1; }
}

@test "a difference is seen: a runtime that drops one property" {
    printf '#!/bin/bash\nfor a; do [[ ! -e $a/config.json ]] || sed -i "s/\\"hostname\\": \\"h\\"/\\"hostname\\": \\"other\\"/" "$a/config.json"; done\nexec %q "$@"\n' \
        "$HUSK_OCI" >"$T/tmp/dropping"
    chmod 755 "$T/tmp/dropping"
    run python3 "$HUSK_TOP/tests/conformance/differ.py" --husk "$T/tmp/dropping" --kinds run hostname=1
    [[ $status == 1 ]] || { echo "$output" && return 1; }
    output_has "husk  other"
}

# in_container FILTER TEXT: what the shell's TEXT says in a container of the default bundle, changed by FILTER.
in_container() {
    bundle "$1 | $(sh_c "$2")"
    oci run --bundle "$B" c1
}

@test "HOME is what /etc/passwd has, where the environment has none; the last of two variables of a name counts" {
    bundle "$(sh_c 'echo $HOME')"
    printf 'root:x:0:0::/the/root:/bin/sh\nshort:x:5\nnumber:x:7x:7::/no:/bin/sh\nuser:x:7:7::/home/user:/bin/sh\nrelative:x:8:8::home:/bin/sh' \
        >"$B/rootfs/etc/passwd"
    local uid want
    while read -r uid want; do
        change ".process.user.uid = $uid | .process.env = [\"PATH=/bin\"]"
        [[ $(oci run --bundle "$B" c1) == "$want" ]] || { echo "uid $uid: $(oci run --bundle "$B" c1)" && return 1; }
    done <<'END'
0 /the/root
5 /
7 /home/user
8 /
9 /
END
    change '.process.env += ["HOME="]'
    [[ $(oci run --bundle "$B" c1) == "" ]]
    change '.process.env = ["PATH=/bin"]' '.process.user.uid = 0'
    rm "$B/rootfs/etc/passwd"
    mkfifo "$B/rootfs/etc/passwd" # nobody writes to it
    [[ $(oci run --bundle "$B" c1) == / ]]
    run in_container '.process.env = ["PATH=/nope", "A=1", "AB=3", "A=2", "PATH=/bin"]' 'env | sort | grep -E "^(A|PATH)"'
    expect 0 $'=A=2\nAB=3\nPATH=/bin'
}

@test "exec: HOME is the user's of exec; without capabilities in --process the container's are given" {
    bundle '.process.args = ["sleep", "1000"] | .process.env = ["PATH=/bin"]'
    printf 'root:x:0:0::/the/root:/bin/sh\nuser:x:7:7::/home/user:/bin/sh\n' >"$B/rootfs/etc/passwd"
    oci run --detach --bundle "$B" c1
    [[ $(oci exec --user 7 c1 sh -c 'echo $HOME') == /home/user ]]
    jq '.process | del(.capabilities) | .args = ["grep", "CapPrm", "/proc/self/status"]' "$B/config.json" >"$B/process.json"
    [[ $(oci exec --process "$B/process.json" c1) == *0000000020000420 ]]
}

@test "a tmpfs has the mode of the directory below it, or of everybody's where there was none; tmpcopyup may be read-only" {
    bundle "$(sh_c 'stat -c "%a %n" /closed /new /told /copied; cat /copied/file; touch /copied/x 2>&1') | .root.readonly = false
        | .mounts += [{destination: \"/closed\", type: \"tmpfs\", source: \"tmpfs\"}, {destination: \"/new\", type: \"tmpfs\", source: \"tmpfs\"},
            {destination: \"/told\", type: \"tmpfs\", source: \"tmpfs\", options: [\"size=1m\", \"mode=711\"]},
            {destination: \"/copied\", type: \"tmpfs\", source: \"tmpfs\", options: [\"tmpcopyup\", \"ro\"]}]"
    mkdir -m 750 "$B/rootfs/closed" "$B/rootfs/copied"
    echo text >"$B/rootfs/copied/file"
    local i
    for i in first again; do # the mount point that was made is there the second time
        run oci run --bundle "$B" c1
        expect 1 $'=750 /closed\n1777 /new\n711 /told\n750 /copied\ntext\ntouch: /copied/x: Read-only file system' || { echo "$i" && return 1; }
    done
    run in_container '.mounts += [{destination: "/x", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"]}] | .process.user.uid = 5 | .root.readonly = false' \
        'touch /x/file && echo made'
    expect 0 =made # podman asks for tmpcopyup with every --tmpfs
}

@test "a file is mounted where a link of the image leads to nothing: in the root" {
    bundle "$(sh_c 'cat /etc/resolv.conf; readlink /etc/resolv.conf; cat /run/made/by/link') | .root.readonly = false
        | .mounts += [{destination: \"/etc/resolv.conf\", type: \"bind\", source: \"$T/tmp/text\", options: [\"bind\"]},
            {destination: \"/link\", type: \"bind\", source: \"$T/tmp/text\", options: [\"bind\"]}]"
    echo text >"$T/tmp/text"
    rm -f "$B/rootfs/etc/resolv.conf"
    ln -s ../run/systemd/resolve/stub-resolv.conf "$B/rootfs/etc/resolv.conf"
    ln -s ../../../../run/made/by/link "$B/rootfs/link"
    run oci run --bundle "$B" c1
    expect 0 $'=text\n../run/systemd/resolve/stub-resolv.conf\ntext'
    [[ ! -e /run/made && ! -e $T/run/made ]]
    ln -sf link "$B/rootfs/link"
    run oci run --bundle "$B" c1
    expect 1 "mount point '/link'" # as libc spells ELOOP
}

@test "hooks: without env they have the caller's, or in the container the program's; their state is as the container sees it" {
    bundle '.process.args = ["sh", "-c", "cat /log"] | .root.readonly = false | .process.env = ["PATH=/bin", "OF=program"]'
    local stage
    for stage in createRuntime createContainer poststop; do
        printf '#!/bin/bash\necho "%s $OF $GIVEN $(jq -r "[.status, (if .pid == 1 then 1 elif .pid then \\"other\\" else null end)] | map(tostring) | join(\\" \\")")" >>%q\n' \
            $stage "$B/log" >"$B/$stage"
        chmod 755 "$B/$stage"
        change ".hooks.$stage = [{path: \"$B/$stage\"}, {path: \"$B/$stage\", env: [\"PATH=$PATH\", \"GIVEN=yes\"]}]"
    done
    printf '#!/bin/sh\necho "$OF $GIVEN $(cat)" >>/log\n' >"$B/rootfs/bin/hook"
    chmod 755 "$B/rootfs/bin/hook"
    change '.hooks.startContainer = [{path: "/bin/hook"}, {path: "/bin/hook", env: ["GIVEN=yes", "PATH=/bin"]}, {path: "/bin/hook", env: []}]'
    run env OF=caller "$HUSK_OCI" --root "$TRUN/oci" run --bundle "$B" c1
    [[ $status == 0 && ${#lines[@]} == 3 ]] || { echo "$output" && return 1; }
    [[ ${lines[0]} == 'program  {'*'"status":"created","pid":1,'* && ${lines[1]} == ' yes {'* ]] || { echo "$output" && return 1; }
    diff "$B/log" - <<'END'
createRuntime caller  creating other
createRuntime  yes creating other
createContainer caller  creating 1
createContainer  yes creating 1
poststop caller  stopped null
poststop  yes stopped null
END
    bundle '.process.args = ["true"]' # given and empty is empty, also when it is read again from the state
    change ".hooks.poststop = [{path: \"/usr/bin/env\", env: []}] | .annotations = {\"run.oci.hooks.stdout\": \"$B/env\"}"
    OF=caller oci run --bundle "$B" c1
    [[ -e $B/env && ! -s $B/env ]]
}

@test "names as the specification spells them, device numbers that there are, a group's path as engines join it" {
    check_table in_container <<'END'
'.process.rlimits = [{type: "nofile", soft: 9, hard: 9}]' true        | 1 | 'nofile' is no resource limit: is it RLIMIT_NOFILE?
'.process.rlimits = [{type: "RLIMIT_nofile", soft: 9, hard: 9}]' true | 1 | is it RLIMIT_NOFILE?
'.linux.devices = [{path: "/dev/x", type: "c", major: -1, minor: -1}]' true | 1 | -1:-1 is no device number
'.linux.devices = [{path: "/dev/x", type: "b", major: 1, minor: 1048576}]' true | 1 | 1:1048576 is no device number
'.process.capabilities.bounding += ["NET_ADMIN"] | .process.capabilities.permitted += ["NET_ADMIN"]' 'grep CapPrm /proc/self/status' | 0 | 0000000020000420
'.process.capabilities.bounding += ["NET_ADMIN"]' true                | 0 | 'NET_ADMIN' is no capability: it does not begin with CAP_
'del(.linux.namespaces[] | select(.type == "cgroup")) | .linux.cgroupsPath = "//husk//" + (.linux.cgroupsPath | ltrimstr("/husk/")) + "/"' 'cat /proc/self/cgroup' | 0 | ~memory:/husk/husk-t[^/]*[[:space:]]
'.linux.cgroupsPath = "/husk/../x"' true                              | 1 | has an empty, '.', '..' or too long part
END
}

@test "what was paused before its start is paused, does not start, and is resumed, started or killed" {
    bundle '.process.args = ["sleep", "1000"]'
    oci create --bundle "$B" c1 >"$T/tmp/output" 2>&1 </dev/null
    oci pause c1
    [[ $(oci state c1 | jq -r .status) == paused ]]
    run timeout 20 "$HUSK_OCI" --root "$TRUN/oci" start c1
    expect 1 "cannot start container 'c1': it is paused"
    oci resume c1
    [[ $(oci state c1 | jq -r .status) == created ]]
    oci start c1
    oci delete --force c1
    oci create --bundle "$B" c1 >"$T/tmp/output" 2>&1 </dev/null
    oci pause c1
    oci kill c1 KILL
    wait_until 10 is_stopped
    oci delete c1
    assert_gone c1
}
is_stopped() { [[ $(oci state c1 | jq -r .status) == stopped ]]; }

@test "a limit below what is used is told as that, not as a container that is not running" {
    bundle '.process.args = ["sleep", "1000"]'
    oci run --detach --bundle "$B" c1
    run oci update --memory 4096 c1
    expect 1 "more than 4096 bytes are in use already"
    [[ $output != *"container not running"* ]]
}
