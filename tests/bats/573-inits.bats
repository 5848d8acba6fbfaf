#!/usr/bin/env bats
# Inits of the image's own: systemd on a host without systemd, s6-overlay and OpenRC as PID 1, and chains of helpers.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    # Images whose first program is called as an init's is.
    cp -a "$IMAGES/rootfs" "$T/inits"
    rm -f "$T/inits/sbin/init" "$T/inits/init"
    mkdir -p "$T/inits/sbin" "$T/inits/helpers"
    printf '#!/bin/sh\necho "init is $$"\nexec "$@"\n' >"$T/inits/init"
    cp "$T/inits/init" "$T/inits/sbin/init"
    printf '#!/bin/sh\necho "one $$"\nexec "$@"\n' >"$T/inits/helpers/one"
    printf '#!/bin/sh\necho "two $$"\nexec "$@"\n' >"$T/inits/helpers/two"
    printf '#!/bin/sh\nexit 7\n' >"$T/inits/helpers/bad"
    printf '#!/bin/sh\nexit 0\n' >"$T/inits/helpers/zero"
    printf '#!/bin/sh\nsleep 0.2\nexit 7\n' >"$T/inits/helpers/slow"
    chmod 755 "$T/inits/init" "$T/inits/sbin/init" "$T/inits/helpers/"*
    tar -C "$T/inits" --owner=0 --group=0 -cf "$T/inits.tar" .
    chmod 644 "$T/inits.tar"
    husk import "$T/inits.tar" inits
    as_user husk import "$T/inits.tar" inits
}

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

@test "an init of the image's is PID 1, and --init beside it is refused" {
    local h
    for h in $WHO; do
        check_table $h <<'TABLE'
run --rm inits /init true                    | 0   | =init is 1
run --rm inits /sbin/init true               | 0   | =init is 1
run --rm --init inits /init true             | 125 | wants to be the first process
run --rm --init inits /sbin/init true        | 125 | wants to be the first process
run --rm --init inits sh -c 'echo $$'        | 0   | !=1
run --rm --systemd=sometimes inits true      | 125 | --systemd: auto, always or false
run --rm --systemd=false --init inits /init true | 125 | wants to be the first process
TABLE
    done
}

@test "init-chain: restart and autostart wait for the program too, and name the helper that stopped them" {
    local h
    for h in $WHO; do
        $h run --rm -v flip:/h inits cp /helpers/two /h/
        $h run -d --name re --restart always -v flip:/h --init-chain /h/two busybox sleep 1000
        $h restart -t 0 re
        $h run --rm -v flip:/h inits cp /helpers/slow /h/two
        run $h restart -t 0 re
        expect 1 "container 're' ended before its program ran: '/h/two' of its --init-chain"
        $h stop -t 0 re
        run $h autostart run
        expect 1 "container 're' ended before its program ran: '/h/two' of its --init-chain"
        $h rm -f re
        $h volume rm flip
    done
}

@test "init-chain: each runs the next, in one process; one that fails ends the container with its status" {
    local h
    for h in $WHO; do
        [[ $($h run --rm --init-chain /helpers/one,/helpers/two inits sh -c 'echo "end $$"') == $'one 1\ntwo 1\nend 1' ]]
        [[ $($h run --rm --init-chain /helpers/one inits cat /proc/1/cmdline | tr '\0' ' ') == $'one 1\ncat /proc/1/cmdline ' ]]
        # from a volume
        $h run --rm -v helpers:/h inits cp /helpers/two /h/
        [[ $($h run --rm -v helpers:/h --init-chain /h/two busybox echo end) == $'two 1\nend' ]]
        $h volume rm helpers
        $h run --rm -v helpers:/h inits cp /helpers/bad /h/sh # called as the program is
        run $h run -d --rm --name gone --init-chain /helpers/slow inits true
        ((status != 0))
        [[ $output == *"container 'gone' ended before its program ran: '/helpers/slow' of its --init-chain"* ]]
        check_table $h <<'TABLE'
run --rm --init-chain /helpers/one,/helpers/none inits true | 127 |
run --rm --init-chain /helpers/bad inits true               | 7   | '/helpers/bad' of its --init-chain ended with exit code 7 and did not run the next
run --rm --init-chain /helpers/none inits true              | 127 | /helpers/none
run --rm --init-chain helpers/one inits true                | 125 | must be an absolute path
run --name bad --init-chain /helpers/one,/helpers/bad,/helpers/two inits true | 7 | container 'bad' ended before its program ran: '/helpers/bad'
start -a bad      | 7 | container 'bad' ended before its program ran: '/helpers/bad'
start bad         | 1 | container 'bad' ended before its program ran: '/helpers/bad'
run -d --name badly --init-chain /helpers/bad inits true | 7 | container 'badly' ended before its program ran: '/helpers/bad'
run -d --name zero --init-chain /helpers/zero inits true   | 125 | '/helpers/zero' of its --init-chain ended with exit code 0
run --rm --init-chain /helpers/zero inits true             | 0 | '/helpers/zero' of its --init-chain ended with exit code 0
run -d --name well --init-chain /helpers/one,/helpers/two inits sleep 60 | 0 | !ended before
rm -f badly zero well  | 0 |
why bad           | 0 | bad ended before its program ran: '/helpers/bad' of its --init-chain ended with exit code 7
run --name none --init-chain /helpers/one,/helpers/none inits true | 127 |
why none          | 0 | '/helpers/one' of its --init-chain ended with exit code 127
run --name later --init-chain /helpers/one inits sh -c 'exit 7' | 7 | !of its --init-chain
why later         | 0 | later ended by itself with exit code 7
run --name same -v helpers:/h --init-chain /h/sh busybox sh -c true | 7 |
why same          | 0 | same ended by itself with exit code 7
rm bad none later same | 0 |
volume rm helpers | 0 |
TABLE
    done
}

@test "systemd: what it needs is there, as root" {
    ((EUID == 0)) || return 0
    skip_unless_kernel "no cgroup v2" sh -c 'test -e /sys/fs/cgroup/cgroup.controllers || test -e /sys/fs/cgroup/unified/cgroup.procs'
    run husk run --rm --systemd=always inits sh -c '
        echo "$container ${#container_uuid}"
        for d in /run /run/lock /tmp /var/log/journal; do stat -f -c %T $d; done
        mkdir /sys/fs/cgroup/mine && echo divided; rmdir /sys/fs/cgroup/mine; cat /proc/self/cgroup | grep -c ^0::/$'
    expect 0 $'=oci 36\ntmpfs\ntmpfs\ntmpfs\ntmpfs\ndivided\n1'
    [[ $(husk inspect -f '{{.Config.StopSignal}}' "$(husk create --systemd=always inits true)") == SIGRTMIN+3 ]]
    [[ $(husk inspect -f '{{.Config.StopSignal}}' "$(husk create inits true)") == SIGTERM ]]
    run husk run --rm --systemd=always --cgroups disabled inits true
    expect 125 "it divides its control group, so it needs one"
}

@test "systemd: /etc/machine-id is the container's own, whatever the image has" {
    local h id
    skip_unless_kernel "no cgroup v2" sh -c 'test -e /sys/fs/cgroup/cgroup.controllers || test -e /sys/fs/cgroup/unified/cgroup.procs'
    mkdir -p "$T/tmp/baked/etc"
    echo 0123456789abcdef0123456789abcdef >"$T/tmp/baked/etc/machine-id"
    cp -a "$T/inits/." "$T/tmp/baked/"
    tar -C "$T/tmp/baked" --owner=0 --group=0 -cf "$T/tmp/baked.tar" .
    chmod 644 "$T/tmp/baked.tar"
    for h in $WHO; do
        $h import "$T/tmp/baked.tar" baked
        for image in inits baked; do
            id=$($h create --systemd=always "$image" true)
            [[ $($h cp "$id:/etc/machine-id" - | tar -xO) == "${id:0:32}" ]]
            [[ $($h export "$id" | tar --numeric-owner -tv | awk '$6 ~ "^(./)?etc/(machine-id)?$" {print $1, $2}') == $'drwxr-xr-x 0/0\n-r--r--r-- 0/0' ]]
        done
        [[ $($h run --rm --network none baked cat /etc/machine-id) == 0123* ]]
    done
    ((EUID == 0)) || return 0
    id=$(husk create --systemd=always --uidmap 0:200000:1000 inits true)
    [[ $(husk export "$id" | tar --numeric-owner -tv | awk '$6 ~ "etc/machine-id$" {print $2}') == 0/0 ]]
}

mine_is_started() { [[ $($h exec rc rc-status default) == *"mine"*"started"* ]]; }
@test "Debian's OpenRC starts its services as PID 1, and stops them" {
    local h name program
    "$HUSK_TOP/tests/bats/make-inits" "$T/tmp/inits"
    for h in $WHO; do
        $h import "$T/tmp/inits/openrc.tar" openrc
        for program in /sbin/openrc-init /sbin/init; do
            $h run -d --name rc --network none openrc $program
            wait_until 30 $h exec rc test -e /run/mine
            wait_until 10 mine_is_started # OpenRC says so a moment after the service's own start
            [[ $($h exec rc stat -f -c %T /run) == tmpfs ]]
            [[ $($h exec rc cat /proc/1/comm) == *init ]]
            [[ $($h inspect -f '{{.HostConfig.CapAdd}}' rc) == *SYS_BOOT* ]]
            $h stop -t 60 rc
            # it ends by reboot(2), which the kernel makes SIGINT of in a pid namespace
            [[ $($h inspect -f '{{.State.ExitCode}}' rc) == 130 ]]
            [[ $($h diff rc) == *"A /state/stopped"* ]]
            $h rm rc
        done
        # nothing of it with the host's pid namespace, whose machine it would end
        [[ $($h inspect -f '{{.HostConfig.CapAdd}}' "$($h create --pid host openrc /sbin/init)") != *SYS_BOOT* ]]
        [[ $($h inspect -f '{{.HostConfig.CapAdd}}' "$($h create openrc sh)") != *SYS_BOOT* ]]
    done
}

@test "Debian's s6 under /init, as s6-overlay has it, starts its services as PID 1, and stops them" {
    local h
    "$HUSK_TOP/tests/bats/make-inits" "$T/tmp/inits"
    for h in $WHO; do
        $h import "$T/tmp/inits/s6.tar" s6
        $h run -d --name six --network none s6 /init
        wait_until 30 $h exec six test -e /run/mine
        [[ $($h exec six cat /proc/1/comm) == s6-svscan ]]
        [[ $($h exec six s6-svstat /run/services/mine) == up* ]]
        $h stop -t 60 six
        [[ $($h inspect -f '{{.State.ExitCode}}' six) == 0 ]]
        [[ $($h diff six) == *"A /state/stopped"* ]]
        $h rm six
    done
}

@test "systemd reaches 'running' in a container of root's, and stops by its signal" {
    ((EUID == 0)) || return 0
    skip_unless_kernel "no cgroup v2" sh -c 'test -e /sys/fs/cgroup/cgroup.controllers || test -e /sys/fs/cgroup/unified/cgroup.procs'
    local debian
    debian=${HUSK_VM_CACHE:-/var/tmp/husk-vm}/systemd-1 # the test machine's Debian
    [[ -d $debian ]] || "$HUSK_TOP/tests/vm/run" --systemd --make
    mkdir "$T/sd" "$T/sd/upper" "$T/sd/work" "$T/sd/root"
    run unshare --mount --propagation private bash -c '
        set -e
        mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
        "$HUSK" run -d --name sd --rootfs "$2/root" /sbin/init
        for i in $(seq 100); do
            state=$("$HUSK" exec sd systemctl is-system-running) || true
            [[ $state != running ]] || break
            sleep 0.2
        done
        echo "state: $state"
        [[ $state == running ]] || "$HUSK" exec sd systemctl --failed --no-pager
        "$HUSK" exec sd systemd-run --wait --quiet /bin/true && echo "a unit ran"
        "$HUSK" stop -t 30 sd
        "$HUSK" inspect -f "exit {{.State.ExitCode}}" sd
        "$HUSK" rm -f sd' bash "$debian" "$T/sd"
    expect 0 "state: running"
    expect 0 $'a unit ran\nsd\nexit 0'
}
