#!/usr/bin/env bats
# The flags of docker's and podman's run that few use: what each does, and why some are refused; as root and as an
# ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    husk commit --change 'ENV ONE=1 TWO=2' --change 'VOLUME /vol' "$(husk create busybox true)" env
    as_user husk commit --change 'ENV ONE=1 TWO=2' --change 'VOLUME /vol' "$(as_user husk create busybox true)" env
}

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

@test "variables: env-merge, unsetenv, env-host, http-proxy" {
    local h
    export http_proxy=http://proxy:1 FROM_HOST=yes
    for h in $WHO; do
        check_table $h <<'TABLE'
run --rm --env-merge TWO='<${TWO}-$ONE>' env sh -c 'echo $TWO'      | 0 | =<2-1>
run --rm --env-merge 'P=${PATH}:/more' env sh -c 'echo $P'          | 0 | /bin:/more
run --rm --unsetenv ONE env sh -c 'echo "[$ONE$TWO]"'               | 0 | =[2]
run --rm --unsetenv-all -e A=b env /bin/busybox env                 | 0 | !ONE
run --rm --env-merge nothing env true                               | 125 | it is KEY=VALUE
TABLE
    done
    [[ $(husk run --rm --env-host env sh -c 'echo $FROM_HOST') == yes ]]
    [[ $(husk run --rm --http-proxy env sh -c 'echo $http_proxy') == http://proxy:1 ]]
    [[ ! $(husk run --rm env sh -c 'echo $http_proxy') ]]
}

@test "the program: umask, tz, personality, init-path, read-only-tmpfs, image-volume" {
    local h
    printf '#!/bin/sh\nshift\nprintf init-\nexec "$@"\n' >"$T/tmp/init.sh"
    chmod 755 "$T/tmp/init.sh"
    for h in $WHO; do
        check_table $h <<TABLE
run --rm --umask 077 busybox sh -c 'umask; touch /f; stat -c %a /f'         | 0 | ~0077.600
run --rm --umask 9 busybox true                                             | 125 | no octal number
run --rm --tz No/Where busybox true                                         | 125 | knows no time zone
run --rm --personality LINUX32 busybox uname -m                             | 0 | =i686
run --rm --personality BSD busybox true                                     | 125 | is not one of LINUX, LINUX32
run --rm --init --init-path $T/tmp/init.sh busybox echo too                 | 0 | =init-too
run --rm --init-path /bin/true busybox true                                 | 125 | it is for --init
run --rm --read-only --read-only-tmpfs busybox touch /run/x /tmp/x /var/tmp/x | 0 |
run --rm --read-only busybox touch /tmp/x                                   | 1 | Read-only
run --rm --image-volume tmpfs env grep -c ' /vol tmpfs' /proc/mounts        | 0 | =1
run --rm --image-volume ignore env grep -c ' /vol ' /proc/mounts            | 1 | =0
run --rm --chrootdirs /jail busybox cat /jail/etc/hosts                     | 0 | localhost
TABLE
        $h run -d --name mask --umask 027 busybox sleep 100
        [[ $($h exec mask sh -c umask) == 0027 ]]
        $h rm -f mask
    done
    mkdir -p "$T/zone" && [[ -e /usr/share/zoneinfo/UTC ]] || return 0
    [[ $(husk run --rm --tz UTC busybox date +%Z) == UTC ]]
}

@test "accounts: passwd-entry, group-entry, hostuser" {
    local h
    for h in $WHO; do
        [[ $($h run --rm -u 1234:99 --passwd-entry 'me:*:$UID:$GID::/home/me:/bin/sh' busybox id -un) == me ]]
        [[ $($h run --rm -u 1234:99 --passwd-entry 'me:*:$UID:$GID::/home/me:/bin/sh' --group-entry 'we:x:$GID:' busybox id -gn) == we ]]
        [[ $($h run --rm --hostuser nobody busybox grep -c ^nobody: /etc/passwd) == 1 ]]
        [[ $($h run --rm busybox grep -c 1234 /etc/passwd || true) == 0 ]]
        run $h run --rm --hostuser nosuchuser busybox true
        expect 125 "no user 'nosuchuser'"
        run $h run --rm --passwd=false --hostuser nobody busybox true
        expect 125 "exclude each other"
    done
}

@test "life: replace, requires, pidfiles, preserve-fds, rmi, arch" {
    local h dir id
    for h in $WHO; do
        dir=$T/tmp/life.$h
        mkdir -m 777 "$dir"
        $h run -d --name db busybox sleep 1000
        $h stop -t 0 db
        $h create --name app --requires db busybox true
        $h start -a app
        [[ $($h inspect -f '{{.State.Status}}' db) == running ]]
        $h run -d --replace --name db --pidfile "$dir/pid" --conmon-pidfile "$dir/monitor" busybox sleep 1000
        [[ $(<"$dir/pid") == "$($h inspect -f '{{.State.Pid}}' db)" ]]
        grep -q husk-monitor "/proc/$(<"$dir/monitor")/cmdline"
        id=$($h inspect -f '{{.Id}}' db)
        run $h run -d --replace --name db --pull never busybox:nothere true # what is wrong is found while the old one runs
        expect 125 "no such image"
        run $h run -d --replace --name db --mount type=bind,src=/no/such/place,dst=/x busybox true
        expect 125 "bind source '/no/such/place' does not exist"
        run $h run -d --replace --name db --network nowhere busybox true
        expect 125 "no such network"
        run $h run -d --replace --name db --cidfile "$dir/pid" busybox true
        expect 125 "--cidfile: '$dir/pid' exists"
        [[ $($h inspect -f '{{.Id}} {{.State.Status}}' db) == "$id running" ]]
        run $h run --replace busybox true
        expect 125 "give --name"
        [[ $($h ps -aq | wc -l) == 2 ]]
        $h tag busybox gone
        $h run --rmi gone true
        run $h image inspect gone
        ((status != 0)) || [[ $output == *busybox* ]]
        [[ $($h run --rm --arch "$(dpkg --print-architecture)" busybox echo here) == here ]]
        run $h run --rm --arch s390x --platform linux/amd64 busybox true
        expect 125 "exclude each other"
        $h rm -f db app
    done
    echo through >"$T/tmp/fd"
    [[ $(husk run --rm --preserve-fds 1 busybox sh -c 'cat <&3' 3<"$T/tmp/fd") == through ]]
    run husk run --rm --preserve-fds 9 busybox true
    expect 125 "is not open"
}

@test "limits: what the control group has, and what it has not" {
    ((EUID == 0)) || return 0
    check_table husk <<'TABLE'
run --rm --blkio-weight 5 busybox true                          | 125 | from 10 to 1000
run --rm --device-read-bps /dev/null:1m busybox true            | 125 | it is no block device
run --rm --device-read-bps sda:1m busybox true                  | 125 | it is /dev/NAME:RATE
run --rm --device-write-iops /dev/sda:x busybox true            | 125 | /dev/sda:x
run --rm --oom-kill-disable busybox true                        | 125 | give both
run --rm --cgroups disabled busybox grep -c husk /proc/1/cgroup | 1 | =0
run --rm --cgroups split busybox true                           | 125 | is not one of enabled, disabled
run --rm --storage-opt size=0 busybox true                      | 125 | it must be more than 0
run --rm --storage-opt inodes=1 busybox true                    | 125 | is not size=BYTES
TABLE
    local disk
    disk=$(losetup -f --show "$(truncate -s 1M "$T/tmp/disk" && echo "$T/tmp/disk")") || skip_unless_kernel "no loop device" false
    run husk run --rm --device-read-bps "$disk:1m" --device-write-iops "$disk:100" busybox \
        sh -c 'cat /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device /sys/fs/cgroup/io.max 2>/dev/null || true'
    losetup -d "$disk"
    expect 0 1048576
}

@test "refused, each with its reason and 125" {
    local h
    for h in $WHO; do
        check_table $h <<'TABLE'
run --gpus all busybox true             | 125 | husk starts no vendor's hook
run --kernel-memory 1g busybox true     | 125 | Linux removed that limit
run --runtime runc busybox true         | 125 | its own runtime
run --cpu-count 1 busybox true          | 125 | Windows
run --cpu-percent 1 busybox true        | 125 | Windows
run --io-maxbandwidth 1 busybox true    | 125 | Windows
run --io-maxiops 1 busybox true         | 125 | Windows
run --decryption-key k busybox true     | 125 | no encrypted layers
run --preserve-fd 900 busybox true      | 125 | our descriptor 900 is not open
run --preserve-fd x busybox true        | 125 | --preserve-fd
run --disable-content-trust=false busybox true | 125 | there is no Notary
pull --disable-content-trust=false localhost/x | 1 | there is no Notary
run --sdnotify conmon busybox true      | 125 | sends systemd no notification
run --rm --sdnotify ignore busybox true | 0 |
run --seccomp-policy image busybox true | 125 | does not choose its own filter
run --use-api-socket busybox true       | 125 | there is no daemon
TABLE
    done
}
