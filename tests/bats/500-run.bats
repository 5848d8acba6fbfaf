#!/usr/bin/env bats
# husk run: exit status, output, and what the options do to the container; each as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the others

load helpers

setup_file() { setup_both_stores; }

# The same table as root and as the user. Nothing may be left behind by either.
both() {
    local table
    table=$(cat)
    echo "as root:"
    check_table <<<"$table"
    echo "as the user:"
    check_table user_husk <<<"$table"
    [[ -z $("$HUSK" ps -aq) ]] || { echo "containers are left:"; "$HUSK" ps -a; return 1; }
    [[ -z $(user_husk ps -aq) ]] || { echo "containers of the user are left:"; user_husk ps -a; return 1; }
}

@test "run: exit status and output are the command's" {
    both <<'TABLE'
run --rm busybox true                                 | 0   | =
run --rm busybox echo hello                           | 0   | =hello
run --rm busybox sh -c 'exit 32'                      | 32  | =
run --rm --init busybox sh -c 'kill -9 $$'            | 137 | =
run --rm busybox sh -c 'kill -9 $$'                   | 0   | =
run --rm busybox sh -c 'kill -TERM $$; sleep 1; exit 4' | 4 | =
run --rm --init busybox sh -c 'kill -TERM $$; sleep 5' | 143 | =
run --rm busybox sh -c 'echo out; echo err >&2'       | 0   | ~^(out.err|err.out)$
run --rm busybox /no/such/command                     | 127 | start container: exec '/no/such/command': No such file or directory
run --rm busybox no-such-command                      | 127 | exec 'no-such-command': not in $PATH
run --rm busybox /etc                                 | 126 | exec '/etc': Permission denied
run --rm busybox /etc/passwd                          | 126 | exec '/etc/passwd': Permission denied
TABLE
}

@test "run: entrypoint, command, environment, directory and user are docker's" {
    both <<'TABLE'
run --rm --entrypoint echo busybox a b                | 0   | =a b
run --rm --entrypoint '' busybox echo c               | 0   | =c
run --rm --entrypoint '' busybox                      | 125 | no command
run --rm -e A=1 -e A=2 busybox sh -c 'echo $A'        | 0   | =2
run --rm -e HUSK_NOT_SET busybox sh -c 'echo x$HUSK_NOT_SET' | 0 | =x
run --rm -e TERM=vt busybox sh -c 'echo $HOME $PATH $TERM' | 0 | =/root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin vt
run --rm --hostname box busybox sh -c 'hostname; echo $HOSTNAME; cat /etc/hostname' | 0 | ~^box.box.box$
run --rm -w /tmp busybox pwd                          | 0   | =/tmp
run --rm -w /made/by/husk busybox pwd                 | 0   | =/made/by/husk
run --rm -w relative busybox pwd                      | 125 | --workdir: 'relative' must be an absolute path
run --rm busybox id                                   | 0   | =uid=0(root) gid=0(root) groups=0(root)
run --rm -u alice busybox id                          | 0   | =uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice)
run --rm -u alice busybox sh -c 'echo $HOME'          | 0   | =/home
run --rm -u 1000 busybox id -u                        | 0   | =1000
run --rm -u 1234:50 busybox sh -c 'id -u; id -g; echo $HOME' | 0 | ~^1234.50./$
run --rm -u alice:daemon busybox id                   | 0   | =uid=1000(alice) gid=1(daemon) groups=1(daemon)
run --rm -u daemon --group-add staff --group-add 77 busybox id -G | 0 | =1 50 77
run --rm -u nobodys busybox id                        | 125 | user 'nobodys' is not in the container's /etc/passwd
run --rm -u 0:nogroups busybox id                     | 125 | group 'nogroups' is not in the container's /etc/group
run --rm -u 4294967295 busybox id                     | 125 | 4294967295
run --rm -u 4294967296 busybox id                     | 125 | 4294967296
TABLE
}

@test "inspect shows what --security-opt asked for, and the paths that are hidden and read-only" {
    husk create --name opts --network none --security-opt mask=/a:/b --security-opt unmask=/proc/sys --security-opt unmask=/sys/* \
        --security-opt landlock=exec:/ --security-opt proc-opts=hidepid=1 --security-opt apparmor=mine busybox true
    run husk inspect --format '{{json .HostConfig.SecurityOpt}} {{.AppArmorProfile}}' opts
    expect 0 '=["apparmor=mine","mask=/a","mask=/b","unmask=/proc/sys","unmask=/sys/*","proc-opts=hidepid=1","landlock=exec:/"] mine'
    run husk inspect --format '{{join .HostConfig.MaskedPaths " "}}|{{join .HostConfig.ReadonlyPaths " "}}' opts
    expect 0 '~^/proc/asound .* /proc/scsi /sys/devices/virtual/powercap /a /b\|/proc/bus /proc/fs /proc/irq /proc/sysrq-trigger$'
    if ! grep -q Y /sys/module/apparmor/parameters/enabled 2>/dev/null; then
        run husk start opts
        expect 1 'needs AppArmor, which this host runs without'
    fi
    husk rm opts
}

@test "run: capabilities, seccomp and no-new-privileges" {
    both <<'TABLE'
run --rm busybox grep CapEff /proc/self/status        | 0   | 00000000a80425fb
run --rm busybox grep CapBnd /proc/self/status        | 0   | 00000000a80425fb
run --rm busybox grep CapAmb /proc/self/status        | 0   | 0000000000000000
run --rm -u alice busybox grep CapEff /proc/self/status | 0 | 0000000000000000
run --rm --cap-drop ALL busybox grep CapBnd /proc/self/status | 0 | 0000000000000000
run --rm --cap-drop ALL --cap-add CHOWN busybox grep CapEff /proc/self/status | 0 | 0000000000000001
run --rm --cap-drop all --cap-add cap_net_raw busybox grep CapEff /proc/self/status | 0 | 0000000000002000
run --rm --cap-drop mknod busybox grep CapEff /proc/self/status | 0 | 00000000a00425fb
run --rm --cap-add SYS_ADMINN busybox true            | 125 | --cap-add
run --rm busybox grep Seccomp: /proc/self/status      | 0   | 2
run --rm --security-opt seccomp=unconfined busybox grep Seccomp: /proc/self/status | 0 | 0
run --rm --security-opt seccomp=/no/such/file busybox true | 125 | --security-opt: seccomp: open '/no/such/file'
run --rm busybox grep NoNewPrivs /proc/self/status    | 0   | 0
run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status | 0 | 1
run --rm --security-opt nonsense busybox true         | 125 | 'nonsense' is not one of seccomp=FILE
run --rm busybox mount -t tmpfs x /tmp                | 1   | denied
run --rm busybox sh -c 'echo 1 >/proc/sys/kernel/hostname' | 1 | Read-only
run --rm busybox sh -c 'cat /proc/keys; ls /sys/firmware; cat /proc/interrupts' | 0 | =
run --rm --security-opt systempaths=unconfined busybox sh -c 'cat /proc/keys | grep -c .' | 0 | ~^[1-9]
run --rm --security-opt unmask=ALL busybox sh -c 'cat /proc/keys | grep -c .' | 0 | ~^[1-9]
run --rm --security-opt unmask=/proc/k*:/proc/sys busybox sh -c 'cat /proc/keys | grep -c .' | 0 | ~^[1-9]
run --rm --security-opt unmask=/proc/k*:/proc/sys busybox grep -c ' /proc/sys ' /proc/mounts | 1 | =0
run --rm --security-opt unmask=/proc/k*:/proc/sys busybox grep -c ' /proc/irq ' /proc/mounts | 0 | =1
run --rm --security-opt mask=/proc/meminfo:/etc busybox sh -c 'cat /proc/meminfo; ls /etc' | 0 | =
run --rm --privileged --security-opt mask=/proc/meminfo busybox cat /proc/meminfo | 0 | =
run --rm --security-opt proc-opts=hidepid=2 busybox grep -c '^proc /proc proc .*hidepid=' /proc/mounts | 0 | =1
run --rm --security-opt proc-opts=noexec busybox true | 125 | proc-opts: 'noexec' is not one of hidepid=
run --rm --security-opt mask=etc busybox true         | 125 | mask: 'etc' is not an absolute path
run --rm --security-opt unmask= busybox true          | 125 | 'unmask=' is not one of
run --rm --security-opt systempaths=all busybox true  | 125 | systempaths: 'all' is not unconfined
run --rm --security-opt label=type:x busybox true     | 125 | husk gives no SELinux labels
run --rm --security-opt label=disable --security-opt apparmor=unconfined busybox true | 0 | =
run --rm --security-opt writable-cgroups=true busybox true | 125 | --nested lets another engine
TABLE
}

@test "run: a seccomp profile of one's own" {
    cat >"$T/tmp/no-mkdir.json" <<'JSON'
{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}
JSON
    echo '{"defaultAction":"SCMP_ACT_PERHAPS"}' >"$T/tmp/wrong.json"
    chmod 644 "$T/tmp"/*.json
    both <<TABLE
run --rm --security-opt seccomp=$T/tmp/no-mkdir.json busybox mkdir /x | 1 | Operation not permitted
run --rm --security-opt seccomp=$T/tmp/no-mkdir.json busybox touch /x | 0 | =
run --rm --security-opt seccomp=$T/tmp/wrong.json busybox true | 125 | SCMP_ACT_PERHAPS
TABLE
}

@test "run: namespaces" {
    local own host
    host=$(readlink /proc/self/ns/pid)
    both <<TABLE
run --rm busybox sh -c 'echo \$\$'                    | 0   | =1
run --rm --init busybox sh -c 'echo \$\$'             | 0   | ~^[2-9]
run --rm busybox readlink /proc/self/ns/pid           | 0   | !$host
run --rm --pid host busybox readlink /proc/self/ns/pid | 0  | =$host
run --rm --uts host busybox readlink /proc/self/ns/uts | 0  | =$(readlink /proc/self/ns/uts)
run --rm --uts host busybox sh -c 'cat /etc/hostname' | 0   | =$(uname -n)
run --rm --network host busybox sh -c 'hostname; cat /etc/hostname; echo \$HOSTNAME' | 0 | ~^$(uname -n).$(uname -n).$(uname -n)$
run --rm --network host busybox sh -c 'grep -qw "\$(hostname)" /etc/hosts' | 0 | =
run --rm --network host --hostname me busybox grep -cw me /etc/hosts | 0 | =1
run --rm --uts host --hostname x busybox true         | 125 | --hostname: with --uts host
run --rm --ipc host busybox readlink /proc/self/ns/ipc | 0  | =$(readlink /proc/self/ns/ipc)
run --rm --ipc none busybox ls -d /dev/shm            | 1   | No such file
run --rm --network host busybox readlink /proc/self/ns/net | 0 | =$(readlink /proc/self/ns/net)
run --rm --network none busybox ls /sys/class/net     | 0   | =lo
run --rm --network none busybox ping -c 1 -W 1 127.0.0.1 | 0 | 1 packets received
run --rm --network none busybox ls /sys/class/net     | 0   | =lo
run --rm --network nope busybox true                  | 125 | --network
run --rm --pid nonsense busybox true                  | 125 | --pid: 'nonsense' is not one of private, host, container:NAME
run --rm --network container:nobody busybox true      | 125 | --network: no such container: 'nobody'
run --rm --cgroupns host busybox true                 | 0   | =
TABLE
}

@test "run: another container's namespaces" {
    local h
    for h in husk user_husk; do
        $h run -d --name other busybox sleep 100
        run $h run --rm --network container:other busybox readlink /proc/self/ns/net
        expect 0 "$($h exec other readlink /proc/self/ns/net)"
        # by the name that the hosts file of both has a line for
        run $h run --rm --network container:other busybox sh -c 'hostname; grep -cw "$(hostname)" /etc/hosts'
        [[ $output == "$($h exec other hostname)"$'\n1' ]]
        run $h run --rm --network container:other --hostname me busybox hostname
        expect 0 "=me"
        run $h run --rm --pid container:other busybox ps
        expect 0 "sleep 100"
        $h rm -f other
    done
}

@test "run: generated files" {
    printf 'A=1\n# no\nB=two words\n' >"$T/tmp/env"
    printf 'a.b=c\n' >"$T/tmp/labels"
    echo '10.9.9.9 base # localhost' >"$T/tmp/hosts"
    chmod 644 "$T/tmp/env" "$T/tmp/labels" "$T/tmp/hosts"
    cp -a "$IMAGES/rootfs" "$T/hostly"
    chmod -R a+rX "$T/hostly"
    echo '127.9.9.9 localhost' >"$T/hostly/etc/hosts"
    echo theirs >"$T/hostly/etc/hostname"
    echo nameserver 192.0.2.77 >"$T/hostly/etc/resolv.conf"
    both <<TABLE
run --rm --add-host db:10.1.2.3 busybox cat /etc/hosts | 0 | ~10.1.2.3[[:space:]]db
run --rm busybox cat /etc/hosts                       | 0   | ~127.0.0.1[[:space:]]localhost
run --rm --hostname me busybox ping -c 1 -W 1 me      | 0   | 1 packets received
run --rm --add-host db busybox true                   | 125 | --add-host: 'db': it is NAME:IP
run --rm --add-host db:1.2.3 busybox true             | 125 | --add-host: '1.2.3' is no IP address
run --rm --no-hosts busybox sh -c 'grep -c . /etc/hosts; grep /etc/ho /proc/mounts | cut -d " " -f 2' | 0 | ~^0./etc/hostname$
run --rm --no-hostname --hostname me busybox sh -c 'hostname; grep -c . /etc/hostname; grep /etc/ho /proc/mounts | cut -d " " -f 2' | 0 | ~^me.0./etc/hosts$
run --rm --no-hosts --add-host db:10.1.2.3 busybox true | 125 | --no-hosts and --add-host exclude each other
run --rm --no-hosts --hosts-file none busybox true    | 125 | --no-hosts and --hosts-file exclude each other
run --rm --hosts-file $T/tmp/none busybox true        | 125 | --hosts-file '$T/tmp/none': No such file or directory
run --rm --hosts-file /tmp busybox true               | 125 | --hosts-file '/tmp': it is no file
run --rm --network none --hostname me --add-host db:10.1.2.3 --hosts-file $T/tmp/hosts busybox sed 's/\\t/ /g' /etc/hosts | 0 | ~^10.1.2.3 db.10.9.9.9 base # localhost.127.0.0.1 localhost.*127.0.1.1 me$
run --rm --network host --hosts-file none busybox sed 's/\\t/ /g' /etc/hosts | 0 | ~^127.0.0.1 localhost
run --rm --network none --hosts-file image busybox head -n 1 /etc/hosts | 0 | ~^127.0.0.1
run --rm --network none --hostname me --hosts-file image --rootfs $T/hostly sed 's/\\t/ /g' /etc/hosts | 0 | ~^127.9.9.9 localhost.127.0.1.1 me$
run --rm --network none --no-hosts --no-hostname --rootfs $T/hostly cat /etc/hosts /etc/hostname | 0 | ~^127.9.9.9 localhost.theirs$
run --rm --network none --dns 9.9.9.9 --dns-search example.org --dns-option ndots:2 busybox cat /etc/resolv.conf | 0 | ~^nameserver 9.9.9.9.search example.org.options ndots:2$
run --rm --dns nine busybox true                      | 125 | --dns: 'nine' is no IP address
run --rm --network none --dns none --rootfs $T/hostly cat /etc/resolv.conf | 0 | =nameserver 192.0.2.77
run --rm --dns none --dns 9.9.9.9 busybox true        | 125 | --dns none leaves the image's /etc/resolv.conf as it is: it excludes other name servers
run --rm --dns none --dns-search a.example busybox true | 125 | it excludes --dns-search
run --rm --env-file $T/tmp/env busybox sh -c 'echo \$A \$B' | 0 | =1 two words
run --rm --env-file $T/tmp/none busybox true          | 125 | --env-file: open '$T/tmp/none': No such file or directory
run --rm --label-file $T/tmp/labels busybox true      | 0   | =
TABLE
    # a file that is the image's own is what the container changed, as any other
    husk run --name own --network none --no-hosts --dns none busybox sh -c 'echo x >/etc/hosts; echo x >/etc/hostname; echo x >/etc/resolv.conf'
    run husk diff own
    [[ $(husk inspect own | jq -c '.[0] | [.HostConfig.Dns, .ResolvConfPath]') == '[["none"],""]' ]]
    husk rm own
    [[ $output == *" /etc/hosts"* && $output == *" /etc/resolv.conf"* && $output != *hostname* ]]
}

@test "run: limits of the process, kernel settings and devices" {
    both <<'TABLE'
run --rm --ulimit nofile=100:200 busybox sh -c 'ulimit -Sn; ulimit -Hn' | 0 | ~^100.200$
run --rm --ulimit nofiles=1 busybox true              | 125 | --ulimit: 'nofiles': no such limit: did you mean 'nofile'?
run --rm --ulimit nofile=2:1 busybox true             | 125 | --ulimit: 'nofile=2:1': the soft limit is above the hard one
run --rm --sysctl kernel.msgmax=4096 busybox cat /proc/sys/kernel/msgmax | 0 | =4096
run --rm --sysctl kernel.core_pattern=x busybox true  | 125 | kernel.core_pattern
run --rm --sysctl net.ipv4.ip_forward=1 --network host busybox true | 125 | net.ipv4.ip_forward
run --rm --oom-score-adj 500 busybox cat /proc/self/oom_score_adj | 0 | =500
run --rm --oom-score-adj 5000 busybox true            | 125 | --oom-score-adj: it is from -1000 to 1000
run --rm --shm-size 1m busybox df -k /dev/shm         | 0   | 1024
run --rm --shm-size 1q busybox true                   | 125 | --shm-size: '1q' has an unknown unit 'q'
run --rm --device /dev/null:/dev/nothing busybox sh -c 'echo x >/dev/nothing; test -c /dev/nothing' | 0 | =
run --rm --ipc container:x busybox true               | 125 | --ipc: no such container: 'x'
run --rm --device /dev/nope busybox true              | 125 | --device: device '/dev/nope': No such file or directory
run --rm --device /etc/passwd busybox true            | 125 | it is no device
run --rm --read-only busybox touch /x                 | 1   | Read-only file system
run --rm --read-only --tmpfs /t busybox touch /t/x    | 0   | =
TABLE
}

@test "run: a directory as the root" {
    chmod a+rx "$IMAGES"
    cp -a "$IMAGES/rootfs" "$T/tmp/rootfs"
    run husk run --rm --rootfs "$T/tmp/rootfs" echo from a directory
    expect 0 "=from a directory"
    run husk run --rm --rootfs "$T/tmp/rootfs" touch /made
    expect 0
    [[ -e $T/tmp/rootfs/made ]]
    run husk run --rm --rootfs "$T/tmp/nothing" true
    expect 125 "--rootfs '$T/tmp/nothing': No such file or directory"
    run husk run --rm --rootfs "$T/tmp/env" true
    expect 125
    rm -rf "$T/tmp/rootfs"
}

@test "run: --pull, --cidfile and --name" {
    both <<TABLE
run --rm --pull never busybox true                    | 0   | =
run --rm --pull never no-such-image-here true         | 125 | no-such-image-here
run --rm --pull sometimes busybox true                | 125 | --pull: 'sometimes' is not one of always, missing, never
run --rm --name '' busybox true                       | 125 | --name
run --rm --name a/b busybox true                      | 125 | --name: 'a/b' is no container name
run --rm --platform linux/sparc64 --pull never busybox true | 125 | sparc64
TABLE
    run husk run --rm --cidfile "$T/tmp/cid" busybox true
    expect 0
    [[ $(<"$T/tmp/cid") =~ ^[0-9a-f]{64}$ ]]
    run husk run --rm --cidfile "$T/tmp/cid" busybox true
    expect 125 "--cidfile: '$T/tmp/cid' exists"
    husk run -d --name one busybox sleep 100
    run husk run --name one busybox true
    expect 125 "the name 'one' is taken by container"
    husk rm -f one
}

@test "run: the embedded image needs no network" {
    HUSK_ROOT=$T/empty run husk run --rm localhost/hello
    expect 0
    HUSK_ROOT=$T/empty husk rmi localhost/hello
    rm -rf "$T/empty"
}

@test "run: -d prints the ID and leaves it running" {
    local h id
    for h in husk user_husk; do
        id=$($h run -d busybox sh -c 'echo started; sleep 100')
        [[ $id =~ ^[0-9a-f]{64}$ ]]
        run $h ps -q --no-trunc
        expect 0 "=$id"
        wait_until 5 eval "[[ \$($h logs $id) == started ]]"
        $h rm -f "$id"
    done
}

@test "run: input of -i reaches the program, and ends" {
    local h
    for h in husk user_husk; do
        [[ $(printf 'a\nb\n' | $h run -i --rm busybox cat) == $'a\nb' ]]
        [[ $(printf 'lost' | $h run --rm busybox cat) == '' ]]
        [[ $(head -c 1000000 /dev/zero | $h run -i --rm busybox wc -c) == 1000000 ]]
        [[ $($h run --rm busybox head -c 1000000 /dev/zero | wc -c) == 1000000 ]]
    done
}

@test "run: signals are passed on" {
    local h
    for h in husk user_husk; do
        $h run --rm --name sig busybox sh -c 'trap "echo got it; exit 9" TERM; echo ready; while :; do sleep 0.1; done' \
            >"$T/tmp/sig" 3>&- &
        local pid=$!
        wait_until 10 grep -q ready "$T/tmp/sig"
        kill -TERM "$(pgrep -f "^$HUSK run --rm --name sig")"
        status=0
        wait "$pid" || status=$?
        expect 9
        grep -q 'got it' "$T/tmp/sig"
    done
}

@test "run: --userns auto gives each container ids of its own" {
    ((EUID == 0)) || skip_unless_kernel "an ordinary user's containers always have a user namespace" false
    run husk run --rm --userns host busybox cat /proc/self/uid_map
    expect 0 "4294967295"
    run user_husk run --rm --userns host busybox true
    expect 125 "--userns host: an ordinary user's container needs a user namespace"
    # In a mount namespace of its own: the machine's files stay as they are.
    printf 'root:1000000000:131072\n' >"$T/tmp/subids"
    run unshare --mount --propagation private bash -c '
        mount --bind "$1/subids" /etc/subuid && mount --bind "$1/subids" /etc/subgid || exit 1
        "$2" run -d --name auto1 --userns auto -v idvol:/v busybox sh -c "touch /v/f; chown 5 /v/f; sleep 100"
        "$2" run -d --name auto2 --userns auto busybox sleep 100
        "$2" exec auto1 cat /proc/self/uid_map
        "$2" exec auto2 cat /proc/self/uid_map
        "$2" run --rm --userns auto busybox true
        "$2" exec auto1 stat -c "%u of the files" / /etc/passwd /etc/hosts
        "$2" rm -f auto1
        "$2" run --rm --userns auto -v idvol:/v busybox stat -c "owner %u" /v/f
        stat -c "on disk %u" "$HUSK_ROOT/volumes/idvol/_data/f"
        "$2" rm -f auto2
        "$2" volume rm idvol
    ' bash "$T/tmp" "$HUSK"
    expect 0 "1000000000      65536"
    [[ $output == *"1000065536      65536"* ]]
    [[ $output == *"of root's ranges in /etc/subuid are not free"* ]]
    [[ $output == *$'0 of the files\n0 of the files\n0 of the files'* ]]
    [[ $output == *$'owner 5\non disk 5'* ]]
    printf 'root:1000000000:100\n' >"$T/tmp/subids"
    run unshare --mount --propagation private bash -c '
        mount --bind "$1/subids" /etc/subuid && "$2" run --rm --userns auto busybox true' bash "$T/tmp" "$HUSK"
    expect 125 "add the line 'root:1000000000:6553600' to /etc/subuid and /etc/subgid"
}

@test "run: --privileged" {
    both <<'TABLE'
run --rm --privileged busybox grep Seccomp: /proc/self/status  | 0 | 0
run --rm --privileged busybox mount -t tmpfs x /tmp            | 0 | =
run --rm --privileged busybox sh -c 'mount | grep " /sys "'    | 0 | sysfs (rw
TABLE
    run husk run --rm --privileged busybox grep CapEff /proc/self/status
    expect 0 "$(grep CapBnd /proc/self/status | tr -d '[:space:]' | cut -d: -f2)"
    run husk run --rm --privileged busybox ls /dev
    expect 0 "kmsg"
}

@test "run: a terminal" {
    run script -qec "$HUSK run --rm -it busybox sh -c 'tty; stty size; test -t 0 && test -t 1 && echo terminal; exit 5'" /dev/null
    [[ $output == *"/dev/pts/0"*terminal* ]]
    expect 5
    run husk run --rm -it busybox true </dev/null
    expect 125 "our standard input is no terminal"
    run husk run --rm -t busybox tty
    expect 0 "/dev/pts/0"
}
