#!/usr/bin/env bats
# exec keeps what it has read of a configuration: the answers are those of the configuration all the same.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

teardown() {
    remove_oci
}

kept() { oci exec c1 true && [[ -s $TRUN/oci/c1/exec.template ]]; }

@test "exec: a kept configuration has its environment, user, rights, filter and personality" {
    bundle '.process.args = ["sleep", "1000"] | .process.env += ["A=1"] | .process.cwd = "/etc"
        | .linux.personality = {domain: "LINUX32"}
        | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95}]}'
    oci run -d -b "$B" c1 >/dev/null
    look() { oci exec c1 sh -c 'echo $A; pwd; uname -m; mkdir /tmp/x; grep -E "Cap|NoNew|Seccomp:" /proc/self/status' 2>&1; }
    first=$(look)
    echo "$first"
    [[ ! -e $TRUN/oci/c1/exec.template ]] # its configuration is too young
    [[ $first == 1$'\n'/etc$'\n'i686* && $first == *"mkdir: can't create directory '/tmp/x': "* && $first == *$'Seccomp:\t2'* ]]
    wait_until 20 kept
    [[ $(look) == "$first" ]]
    oci exec c1 true
    run oci exec -e A=2 --cwd / --user 5:6 c1 sh -c 'echo $A; pwd; id -u'
    expect 0 $'=2\n/\n5'
    # and what one exec was asked for is not kept
    [[ $(look) == "$first" ]]
}

@test "exec: an edited configuration counts at once, and one that is gone is missed" {
    bundle '.process.args = ["sleep", "1000"] | .process.env += ["A=1"]'
    oci run -d -b "$B" c1 >/dev/null
    wait_until 20 kept
    change '.process.env += ["A=2"]'
    run oci exec c1 sh -c 'echo $A'
    expect 0 =2
    wait_until 20 kept
    # the same size, and times put back: the time of the change cannot be
    touch -r "$B/config.json" "$T/tmp/times"
    sed -i.old 's/A=2/A=3/' "$B/config.json"
    touch -r "$T/tmp/times" "$B/config.json"
    run oci exec c1 sh -c 'echo $A'
    expect 0 =3
    rm "$B/config.json"
    run oci exec c1 true
    expect 255 "config.json"
}

@test "exec: a damaged one is as none" {
    bundle '.process.args = ["sleep", "1000"] | .process.env += ["A=1"]'
    oci run -d -b "$B" c1 >/dev/null
    wait_until 20 kept
    local file=$TRUN/oci/c1/exec.template size damage
    cp "$file" "$T/tmp/whole"
    size=$(stat -c %s "$file")
    for damage in "truncate -s 0" "truncate -s 50" "truncate -s $((size - 8))" "truncate -s $((size + 8))"; do
        cp "$T/tmp/whole" "$file"
        $damage "$file"
        run oci exec c1 sh -c 'echo $A'
        expect 0 =1
    done
    head -c "$size" /dev/urandom >"$file"
    run oci exec c1 sh -c 'echo $A'
    expect 0 =1
    # and it does not outlive its container
    oci delete --force c1
    assert_gone c1
}

# The first start keeps the filter under the text of its profile, the later ones do not read that text again.
@test "run: a profile that is known by its text filters all the same, and a changed one counts at once" {
    profile() { jq -nc --argjson errno "$1" '{defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: $errno}]}'; }
    bundle '.process.args = ["sh", "-c", "mkdir /tmp/x; grep Seccomp: /proc/self/status"] | .linux.seccomp = '"$(profile 95)"
    for _ in 1 2 3; do
        run oci run -b "$B" c1
        expect 0 "=mkdir: can't create directory '/tmp/x': Operation not supported"$'\nSeccomp:\t2'
    done
    (($(ls "$TRUN/oci/.seccomp" | wc -l) == 2)) # by its words and by its text
    change '.linux.seccomp = '"$(profile 28)"
    run oci run -b "$B" c1
    expect 0 "=mkdir: can't create directory '/tmp/x': No space left on device"$'\nSeccomp:\t2'
    # by another name the configuration is written down, with its profile
    change '.linux.seccomp = '"$(profile 95)"
    mv "$B/config.json" "$B/other.json"
    oci run -d -b "$B" -f other.json c2 >/dev/null
    jq -e '.linux.seccomp.defaultAction == "SCMP_ACT_ALLOW"' "$TRUN/oci/c2/config.json"
    oci delete --force c2
    # and one that a start cannot take is refused each time
    mv "$B/other.json" "$B/config.json"
    change '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO"}'
    for _ in 1 2; do
        run oci run -b "$B" c1
        expect 1 'execve'
    done
}
