#!/usr/bin/env bats
# What other engines ask of a runtime where CRIU works: see tests/vm/run. In the machine of 900, with this host's engines.
# long: most of a minute, in the machine
load helpers

setup_file() {
    husk_setup_file
}
teardown_file() {
    husk_teardown_file
}

@test "vm: containerd and podman checkpoint and restore containers of husk-oci" {
    ((EUID == 0)) || skip "kernel: only root can lend the host's / to a virtual machine"
    cp "$IMAGES/busybox.tar" "$T/busybox.tar" # /tmp is the machine's own in there
    run "$HUSK_TOP/tests/vm/run" "$HUSK_TOP/tests/vm/peers.sh" "$HUSK_BUILD" "$T"
    echo "$output"
    ((status == 0))
    [[ $output != *"not ok"* ]]
    (($(grep -c '^ok' <<<"$output") == 24))
}
