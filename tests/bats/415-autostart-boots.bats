#!/usr/bin/env bats
# husk autostart over a real second boot of inits that need no virtual machine: Debian's OpenRC, and Debian's cron, each
# as PID 1 of a container that is the machine. Those of systemd are in 780.
# shellcheck disable=SC2016,SC2154 # the dollars are the machine's shell's; bats sets the others

load helpers

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    "$HUSK_TOP/tests/bats/make-inits" "$T/tmp/inits"
    husk import -q "$T/tmp/inits/openrc.tar" machine >/dev/null
    cp "$IMAGES/busybox.tar" "$T/"
}

teardown() { remove_all_containers; }

# machine PROGRAM...: its /run is empty at each boot, its disk stays; husk is where it is here
machine() {
    husk run -d --name machine --privileged --network none --tmpfs /run -v /var/lib/husk -v "$HUSK_BUILD:$HUSK_BUILD:ro" -v "$T/busybox.tar:/busybox.tar:ro" \
        -v /usr/lib:/host/usr/lib:ro -v /usr/lib64:/host/usr/lib64:ro -e "husk=$HUSK" -e "LD_LIBRARY_PATH=/host/usr/lib/$(uname -m)-linux-gnu" machine "$@"
}
inside() { husk exec machine "$@"; }
runs() { [[ $(inside "$HUSK" ps --format '{{.Names}}' | sort | tr '\n' ' ') == "$1" ]]; }
populate() {
    inside sh -ec '$husk load -q -i /busybox.tar
        for p in always:always kept:unless-stopped stopped:unless-stopped by-hand:always none:no; do
            $husk run -d --name ${p%:*} --restart ${p#*:} --stop-timeout 1 --network none busybox sh -c "trap \"exit 0\" TERM; while :; do sleep 0.2; done"
        done
        $husk stop -t 0 by-hand stopped
        $husk autostart install'
}

@test "OpenRC boots again: what restart policies want runs, after a shutdown in order and after none" {
    ((EUID == 0)) || return 0
    machine /sbin/init
    wait_until 30 inside test -e /run/mine
    run populate
    expect 0 "/etc/init.d/husk-autostart"
    husk stop -t 30 machine
    husk start machine
    wait_until 30 runs 'always by-hand kept '
    [[ $(inside rc-status default) == *husk-autostart*started* ]]
    # in order: it was husk that ended them
    run inside "$HUSK" inspect -f '{{.State.Status}}' none
    expect 0 =exited
    husk kill machine >/dev/null
    husk wait machine >/dev/null
    husk start machine
    wait_until 30 runs 'always by-hand kept '
    [[ $(inside "$HUSK" system check) == "no problems" ]]
    husk rm -fv machine >/dev/null
}

@test "cron's @reboot, at its second start, runs what restart policies want" {
    ((EUID == 0)) || return 0
    machine cron -f
    populate
    run inside crontab -l
    expect 0 '@reboot '
    husk restart -t 0 machine
    wait_until 30 runs 'always by-hand kept '
    husk rm -fv machine >/dev/null
}
