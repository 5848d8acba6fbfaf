#!/usr/bin/env bats
# Containers with systemd as PID 1, the journald log driver, and husk autostart over a reboot: in a virtual machine with
# systemd and journald. See tests/vm/README.md.
# long: more than a minute, most of it in the machine
load helpers

setup_file() {
    husk_setup_file
}

# What a container needs of the test machine's Debian.
pack_debian() { # DIR TAR
    local out=(share/{doc,man,locale,info,perl,perl5,zoneinfo,bash-completion} lib/{python3*,apt,udev} bin/{perl,python}* sbin/criu)
    tar -C "$1" --numeric-owner "${out[@]/#/--exclude=./usr/}" --exclude='./usr/lib/*/perl*' --exclude='./usr/lib/*/gconv' \
        --exclude='./var/lib/dpkg' --exclude='./var/lib/apt' --exclude=./var/cache --exclude=./etc/apparmor.d --exclude='./dev/*' -cf "$2" .
}

@test "vm: systemd as PID 1 of root's and a user's container, the real journald, and after a reboot what restart policies want" {
    ((EUID == 0)) || skip "kernel: only root can lend the host's / to a virtual machine"
    local debian=${HUSK_VM_CACHE:-/var/tmp/husk-vm}/systemd-1
    [[ -d $debian ]] || "$HUSK_TOP/tests/vm/run" --systemd --make
    cp "$IMAGES/rootfs.tar" "$T/"
    pack_debian "$debian" "$T/debian.tar"
    run "$HUSK_TOP/tests/vm/run" --systemd --disk "$HUSK_TOP/tests/vm/life.sh" "$HUSK_BUILD" "$T/rootfs.tar" "$T/debian.tar" "$debian"
    echo "$output"
    ((status == 0))
    [[ $output != *"not ok"* ]]
    (($(grep -c '^ok' <<<"$output") >= 55))
}
