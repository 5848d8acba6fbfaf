#!/usr/bin/env bats
# SELinux labels: this host's kernel runs without it, Debian's in the test machine with a policy of our own.
load helpers

setup_file() {
    husk_setup_file
}
teardown_file() {
    husk_teardown_file
}

@test "vm: SELinux labels of processes and mounts, and what a policy refuses" {
    ((EUID == 0)) || skip "kernel: only root can lend the host's / to a virtual machine"
    cp "$IMAGES/rootfs.tar" "$T/"
    secilc -c 33 -o "$T/policy" -f /dev/null "$HUSK_TOP/tests/vm/selinux.cil"
    run "$HUSK_TOP/tests/vm/run" --selinux "$HUSK_TOP/tests/vm/selinux.sh" "$HUSK_BUILD" "$T/rootfs.tar" "$T/policy"
    echo "$output"
    ((status == 0))
    [[ $output != *"not ok"* ]]
    (($(grep -c '^ok' <<<"$output") >= 30))
}
