#!/usr/bin/env bats
# husk why: in words, why a container is as it is, and what would change it.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

bats_require_minimum_version 1.5.0
load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

kernel_log_readable() { dd if=/dev/kmsg iflag=nonblock of=/dev/null bs=8k count=1 2>/dev/null; }
why() { # CONTAINER WORDS...: all of them are said
    local name=$1 word
    shift
    run $h why "$name"
    expect 0 || return 1
    for word; do
        [[ $output == *"$word"* ]] || { printf 'no "%s" in:\n%s\n' "$word" "$output"; return 1; }
    done
}

@test "why: one that was never started, one that runs, one that ended well, one that failed" {
    local h
    for h in husk 'as_user husk'; do
        $h create --name never busybox true
        why never 'never was never started.' 'husk start never'
        $h run -d --name up busybox sleep 1000
        why up 'up runs, for '
        $h pause up 2>/dev/null && why up 'up is paused' 'husk unpause up' && $h unpause up
        $h run --name well busybox true
        why well 'well ended by itself, and well: exit code 0.'
        run $h run --name five busybox sh -c 'echo first; echo last words; exit 5'
        why five 'five ended by itself with exit code 5.' 'its last line  last words' 'husk logs five'
        run -127 $h run --name shell busybox sh -c 'no-such-command'
        why shell 'exit code 127' 'a command was not found'
    done
    run husk why nobody
    expect 1 'no such container'
    run husk why
    expect 1 'which container?'
    run husk why --latest --format '{{.Why}}'
    expect 0 '=shell ended by itself with exit code 127, as shells say that a command was not found'
}

@test "why: the start that failed is named, and what is wrong with the command" {
    local h=husk
    run -127 husk run --name gone busybox nope
    why gone "its command 'nope' is not in it" 'not in $PATH' '--entrypoint'
    run husk run --name dir busybox /etc
    why dir "its command '/etc' is there but cannot be run: it is a directory"
    mkdir -p "$T/tmp/src"
    husk create --name mnt --mount "type=bind,source=$T/tmp/src,target=/x" busybox true
    rmdir "$T/tmp/src"
    run husk start mnt
    why mnt 'mnt could not be started' 'the reason'
}

# What a command that cannot be run is, by its file: on the path, in a volume, as root and as a user.
unrunnable() {
    local d=$T/tmp/programs f
    mkdir -p "$d"
    printf '#!/bin/bash -e\n' >"$d/script"
    printf '#!/bin/sh\r\necho hi\r\n' >"$d/dos"
    printf 'echo hi\n' >"$d/plain"
    printf '#!/bin/sh\n' >"$d/closed"
    cp /bin/true "$d/other"
    cp /bin/true "$d/foreign"
    printf '\xb7\0' | dd of="$d/foreign" bs=1 seek=18 conv=notrunc status=none # e_machine: arm64's
    head -c 70 /bin/true >"$d/cut"
    chmod 755 "$d"/*
    chmod 644 "$d/closed"
    for f in script dos plain closed foreign cut; do
        ! $h run --name "$f" --network none -v "$d:/s:ro" busybox "/s/$f" 2>/dev/null || return 1
    done
    ! $h run --name other --network none -v "$d:/s:ro" -e PATH=/none:/s busybox other 2>/dev/null || return 1
    why script "its command '/s/script' is a script for '/bin/bash', which is not in it" '#!/bin/sh'
    why dos "ends with a carriage return, as on Windows" "'/bin/sh\r' is looked for"
    why plain "is no program, and has no first line (#!)" "--entrypoint /bin/sh busybox /s/plain"
    why closed "its file is not executable" 'chmod +x'
    why foreign "is a program for arm64, and this machine is amd64" '--platform linux/amd64'
    why cut "is a damaged program"
    why other "its command '/s/other' is loaded by '/lib64/ld-linux-x86-64.so.2', which is not in it" 'glibc'
    ! $h start script 2>/dev/null || return 1 # a container that has run is told the same
    why script "is a script for '/bin/bash'"
    $h rm script dos plain closed foreign cut other
}
@test "why: what is wrong with the file of a command that cannot be run" { each_user unrunnable; }

@test "why: who sent the signal, when husk did, and that nobody knows when it did not" {
    local h
    for h in husk 'as_user husk'; do
        $h run -d --name s1 busybox sh -c 'trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'
        wait_until 10 eval "$h logs s1 | grep -q ready"
        $h stop s1
        $h run -d --name s2 busybox sleep 1000
        $h stop -t 1 s2
        why s2 's2 was killed by husk stop: it did not end within 1 second of SIGTERM' 'husk run --init' 'signal from  husk stop (pid '
        $h run -d --name s3 busybox sleep 1000
        $h kill s3
        $h wait s3
        why s3 's3 was ended by husk kill with SIGKILL' 'called by'
        $h run -d --name s4 busybox sleep 1000
        kill -KILL "$($h inspect --format '{{.State.Pid}}' s4)"
        $h wait s4
        why s4 's4 was killed by SIGKILL, which husk did not send' 'who sent it'
        $h run -d --name s5 --timeout 1 busybox sleep 1000
        $h wait s5
        why s5 'it ran longer than its --timeout of 1 second.' '--timeout 2'
    done
}

@test "why: the memory limit, the limit of processes" {
    local h=husk
    run husk run --name oom --memory 16m --memory-swap 16m busybox sh -c 'exec tail /dev/zero'
    why oom 'oom was killed: it needed more memory than its limit of 16 MiB' 'memory at its most  16 MiB of 16 MiB' \
        '--memory 32m'
    run husk run --name child --memory 16m --memory-swap 16m busybox sh -c 'tail /dev/zero; exit 3'
    why child 'ended after one of its processes was killed'
    run husk inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' child
    expect 0 '=true 3'
    run husk run --name forks --pids-limit 4 busybox sh -c 'for i in 1 2 3 4 5 6; do sleep 1 & done; exit 9'
    why forks 'could not make processes or threads: its limit is 4' 'refused forks' '--pids-limit 8'
}

@test "why: which process the memory limit took and which call the filter forbade, from the kernel's log" {
    local h=husk
    skip_unless_kernel "its log cannot be read" kernel_log_readable
    run husk run --name oom --memory 16m --memory-swap 16m busybox sh -c 'exec tail /dev/zero'
    why oom "killed process      'tail' (pid " 'its first, by the kernel'
    echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_KILL_PROCESS"}]}' \
        >"$T/tmp/no-mkdir.json"
    run husk run --name sec --security-opt "seccomp=$T/tmp/no-mkdir.json" busybox mkdir /x
    why sec 'sec was killed by its seccomp filter: it called mkdir' "by 'mkdir'" 'a profile that allows mkdir'
    # What may not read the log says so.
    chmod a+r "$T/tmp/no-mkdir.json"
    run as_user husk run --name sec --security-opt "seccomp=$T/tmp/no-mkdir.json" busybox mkdir /x
    h='as_user husk'
    if [[ $(</proc/sys/kernel/dmesg_restrict) == 1 ]]; then
        why sec 'killed by its seccomp filter' 'may not be read (kernel.dmesg_restrict)'
    fi
}

@test "why: a capability that is missing, a root that is read-only, a network that is none, by what it said" {
    local h=husk
    run husk run --name mnt busybox sh -c 'mount -t tmpfs x /mnt'
    why mnt 'mount needs CAP_SYS_ADMIN, which the container does not have' '--cap-add SYS_ADMIN'
    run husk run --name ro --read-only busybox sh -c 'touch /x'
    why ro 'its root, which is read-only (--read-only)' '--tmpfs DIR'
    run husk run --name net --network none busybox nc 192.0.2.1 80
    why net 'it connects to others' 'without --network none'
    run husk run --name nofile --ulimit nofile=6:6 busybox sh -c 'exec 3</ 4</ 5</ 6</ 7</'
    why nofile 'nofile ended by itself'
}

@test "why: Landlock rules that deny a file or a command, an egress that denies a host" {
    local h=husk
    run husk run --name ll --network none --security-opt landlock=ro:/,rw:/tmp busybox touch /etc/x
    expect 126
    why ll "its Landlock rules allow no execution of '/" 'Landlock rules  ro:/,rw:/tmp' 'landlock=ro:/,rw:/tmp,exec:/'
    run husk run --name write --network none --security-opt landlock=exec:/ busybox touch /etc/x
    why write 'its Landlock rules (--security-opt landlock=) allow no more' 'landlock=RULES,rw:DIR'
    run husk run --name jail --isolation jail busybox sh -c 'echo "x: Permission denied"; exit 1'
    run husk why jail
    [[ $output != *Landlock* ]]
    ip link add eg0 type veth peer name eg1
    ip addr add 192.0.2.1/24 dev eg0
    ip link set eg0 up
    run husk run --name eg --egress deny busybox wget -O- http://192.0.2.9/
    why eg 'where --egress does not' '--egress allow=HOST:PORT'
    ip link del eg0
}

@test "why: one that is unhealthy, one that is restarting, one whose monitor was killed with it" {
    local h=husk id pid
    husk run -d --name ill --health-cmd 'echo no database; exit 1' --health-interval 50ms --health-retries 2 busybox sleep 1000
    wait_until 10 eval '[[ $(husk inspect --format "{{.State.Health.Status}}" ill) == unhealthy ]]'
    why ill 'ill runs, but is unhealthy: its check failed' 'no database' '--on-unhealthy restart'
    husk run -d --name again --restart always busybox sh -c 'exit 7'
    wait_until 20 eval '[[ $(husk inspect --format "{{.RestartCount}}" again) -ge 3 ]]'
    wait_until 20 why again 'again is started again in ' 'ended by itself with exit code 7' 'husk stop again'
    husk rm -f again
    husk run -d --name twice --restart on-failure:1 busybox sh -c 'exit 7'
    wait_until 20 why twice '1, by its policy (on-failure:1)'
    id=$(husk run -d --name unseen busybox sleep 1000)
    pid=$(husk inspect --format '{{.State.Pid}}' unseen)
    kill -KILL "$(grep -lzx "id[=]$id" /proc/[0-9]*/cmdline | cut -d/ -f3)" "$pid"
    wait_until 10 eval '[[ $(husk inspect --format "{{.State.Status}}" unseen) == exited ]]'
    why unseen 'unseen'
}
