#!/usr/bin/env bats
# The systemd cgroup driver, AppArmor and CRIU: in a virtual machine with systemd as PID 1. See tests/vm/README.md. And what
# the driver says where no systemd runs.
# long: more than a minute, most of it in the machine
# shellcheck disable=SC2154

load helpers
load oci

teardown() {
    remove_oci
}

@test "the systemd driver, AppArmor and CRIU in a machine with systemd" {
    ((EUID == 0)) || skip "kernel: only root can lend the host's / to a virtual machine"
    cp "$IMAGES/rootfs.tar" "$T/"
    gcc -O1 -static -o "$T/console" "$HUSK_TOP/tests/vm/console.c"
    gcc -O1 -static -o "$T/held" "$HUSK_TOP/tests/vm/held.c"
    gcc -O1 -static -o "$T/proc-links" "$HUSK_TOP/tests/vm/proc-links.c"
    run "$HUSK_TOP/tests/vm/run" --systemd "$HUSK_TOP/tests/vm/systemd.sh" "$HUSK_BUILD" "$T/rootfs.tar" "$T/console" \
        "$T/held" "$T/proc-links"
    echo "$output"
    ((status == 0))
    [[ $output != *"not ok"* ]]
    (($(grep -c '^ok' <<<"$output") >= 211))
}

@test "without systemd the driver is refused, and nothing is left" {
    [[ ! -d /run/systemd/system ]] || return 0
    bundle '.linux.cgroupsPath = ":husk:x" | .process.args = ["true"]'
    check_table oci <<END
--systemd-cgroup run -b "$B" c1           | 1 | systemd does not run this host: leave control groups to husk (cgroupfs)
--cgroup-manager systemd run -b "$B" c1   | 1 | systemd does not run this host
--cgroup-manager cgroupfs run -b "$B" c1  | 0 |
--cgroup-manager disabled run -b "$B" c1  | 0 |
--cgroup-manager nope run -b "$B" c1      | 1 | nope
END
    assert_gone c1
    load_busybox
    run husk run --rm --cgroup-manager systemd busybox true
    expect 125 "systemd does not run this host"
    run husk run --rm --cgroup-manager systemd --cgroup-parent /x busybox true
    expect 125 "--cgroup-parent: '/x': with systemd it is the name of a slice"
    [[ ! $(husk ps -aq) ]]
}
