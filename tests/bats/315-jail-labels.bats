#!/usr/bin/env bats
# --isolation jail, and the labels of security modules.
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup_file() { setup_both_stores; }
teardown() {
    remove_oci
}
landlock_6() {
    skip_unless_kernel "no Landlock with scopes (Linux 6.12)" python3 -c \
        'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, 0, 0, 1) < 6)'
}

jail_is_one() { # HUSK...
    local ns
    for ns in pid net ipc uts cgroup; do
        [[ $("$@" run --rm --isolation jail busybox readlink "/proc/self/ns/$ns") == "$(readlink "/proc/self/ns/$ns")" ]] ||
            { echo "another $ns namespace"; return 1; }
    done
    [[ $("$@" run --rm --isolation jail busybox readlink /proc/self/ns/mnt) != "$(readlink /proc/self/ns/mnt)" ]]
    [[ $("$@" run --rm --isolation jail busybox cat /etc/passwd) != "$(</etc/passwd)" ]]
}

@test "jail: a root and a mount namespace of its own, and no other" {
    landlock_6
    jail_is_one husk
    husk_as_user() { as_user husk "$@"; }
    jail_is_one husk_as_user
}

@test "jail: Landlock is on by default: no signal and no mount reaches out; the user may say otherwise" {
    landlock_6
    sleep 1000 3>&- &
    local victim=$!
    run husk run --rm --isolation jail busybox sh -c "kill -9 $victim 2>&1; mount -t tmpfs x /tmp; echo x >/tmp/x && echo end"
    expect 0 "Operation not permitted"
    output_has end
    kill -0 "$victim"
    # what the rule is worth: without it the same program kills
    run husk run --rm --isolation jail --security-opt landlock=unconfined busybox kill -9 "$victim"
    expect 0
    wait "$victim" || true
    run husk run --rm --isolation jail --security-opt landlock=exec:/ busybox sh -c 'echo x >/x'
    expect 1 "Permission denied"
}

@test "jail: its limits, its exit code, its inspect; what it has not is refused" {
    landlock_6
    run husk run --rm --isolation jail --pids-limit 3 busybox sh -c 'sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait'
    output_has "Resource temporarily unavailable"
    run husk run --rm --isolation jail busybox sh -c 'exit 7'
    expect 7 "="
    husk run -d --name j1 --isolation jail busybox sh -c 'sleep 1000 & sleep 1001' >/dev/null
    [[ $(husk inspect j1 | jq -r '.[0].HostConfig.Isolation') == jail ]]
    [[ $(husk inspect j1 | jq -r '.[0].HostConfig.PidMode') == host ]]
    run husk exec j1 sh -c 'kill -9 1'
    expect 1
    husk rm -f j1 >/dev/null
    check_table <<'END'
run --rm --isolation container busybox true                    | 0   | =
run --rm --isolation jail --network none busybox true          | 125 | --isolation jail: it has no namespace for --network none
run --rm --isolation jail --pid private busybox true           | 125 | no namespace for --pid private
run --rm --isolation jail --hostname x busybox true            | 125 | it has the host's name
run --rm --isolation jail --network host busybox true          | 0   | =
run --rm --isolation sandbox busybox true                      | 125 | --isolation sandbox: husk has container and jail
run --rm --isolation vm busybox true                           | 125 | --isolation vm: husk has container and jail
run --rm --isolation glass busybox true                        | 125 | 'glass' is not one of container, jail
run --rm --isolation default --network none busybox true             | 0   | 
END
}

@test "labels are refused where the kernel runs without their module" {
    bundle '.process.args = ["true"]'
    try() { oci run -b "$B" c1; }
    if [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) != Y ]]; then
        change '.process.apparmorProfile = "husk-default"'
        run oci run -b "$B" c1
        expect 1 "process.apparmorProfile needs AppArmor, which this host runs without"
        change 'del(.process.apparmorProfile)'
    fi
    if ! grep -q selinuxfs /proc/filesystems; then
        change '.process.selinuxLabel = "system_u:system_r:container_t:s0:c1,c2"'
        run oci run -b "$B" c1
        expect 1 "process.selinuxLabel needs SELinux, which this host runs without"
        change 'del(.process.selinuxLabel) | .linux.mountLabel = "system_u:object_r:container_file_t:s0:c1,c2"'
        run oci run -b "$B" c1
        expect 1 "linux.mountLabel needs SELinux, which this host runs without"
        change 'del(.linux.mountLabel)'
    fi
    assert_gone c1
}

@test "a mount option in quotes may hold commas" {
    bundle "$(sh_c 'grep " /q " /proc/self/mountinfo')"
    change '.mounts += [{destination: "/q", type: "tmpfs", source: "x", options: ["size=\"8k\"", "mode=\"700\""]}]'
    run oci run -b "$B" c1
    expect 0 "size=8k,mode=700"
}
