#!/usr/bin/env bats
# What this machine's kernel may not show, in a virtual machine with Debian's own: see tests/vm/run.
# long: half a minute, most of it in the machine
load helpers

setup_file() {
    husk_setup_file
}
teardown_file() {
    husk_teardown_file
}

@test "vm: cgroup v2 limits, Linux 6.1's overlay, checkpoints, a delegated user" {
    ((EUID == 0)) || skip "kernel: only root can lend the host's / to a virtual machine"
    cp -r "$IMAGES" "$T/images" # /tmp is the machine's own in there
    gcc -O1 -static -o "$T/huge" "$HUSK_TOP/tests/vm/huge.c"
    run "$HUSK_TOP/tests/vm/run" "$HUSK_TOP/tests/vm/cgroup2.sh" "$HUSK_BUILD" "$T/images/rootfs.tar" "$HUSK_USER" "$T/huge" "$T/images" "$HUSK_TOP"
    echo "$output"
    ((status == 0))
    [[ $output != *"not ok"* ]]
    (($(grep -c '^ok' <<<"$output") >= 105))
}
