# peers.bash: engines of others (containerd, dockerd, podman) with husk-oci as their runtime. Loaded after helpers.
# shellcheck shell=bash disable=SC2154
#
# Each file has a world: mount, network and pid namespaces of its own, with an empty /run and /dev/shm and only the
# machine's own control group mounts. Daemons run in it, and ending it ends them with all that they started: nothing of
# theirs outlives a file, whatever happened in its tests. Control groups are the one thing that would: all are made below
# /$PEER_GROUP, and are swept.
#
#   world_begin, world_end    in setup_file and teardown_file
#   in_world CMD...           as root
#   user_in_world CMD...      as the ordinary user, with a /run of his own
#   peer_spawn NAME CMD...    a daemon in the world; its log is $T/NAME.log
#   peer_logs                 in teardown: what the daemons said, when the test failed

world_begin() {
    export PEER_GROUP=${T##*/}-peer
    mkdir -p "$T/world"
    # shellcheck disable=SC2016
    setsid unshare --mount --net --pid --fork --kill-child --propagation private --mount-proc bash -ec '
        mount -t tmpfs -o mode=755 run /run
        mount -t tmpfs -o mode=1777 shm /dev/shm
        if [[ $(stat -f -c %T /sys/fs/cgroup) == tmpfs ]]; then # v1: engines make stray folders beside the hierarchies
            mkdir /run/cgroup-view
            mount -t tmpfs -o mode=755 cgroup /run/cgroup-view
            for dir in /sys/fs/cgroup/*/; do
                dir=${dir%/} name=${dir##*/}
                [[ ! -L $dir ]] && mountpoint -q "$dir" || continue
                mkdir "/run/cgroup-view/$name"
                mount --bind "$dir" "/run/cgroup-view/$name"
            done
            mount -o remount,bind,ro /run/cgroup-view
            mount --rbind /run/cgroup-view /sys/fs/cgroup
        fi
        mkdir -m 700 /run/user
        chown "$2:" /run/user
        ip link set lo up
        echo ready >"$1"
        trap : TERM
        while :; do sleep 1000 & wait; done # it reaps what the engines leave behind
    ' world "$T/world/ready" "$HUSK_USER" >"$T/world/log" 2>&1 </dev/null 3>&- &
    WORLD_PARENT=$!
    export WORLD_PARENT
    wait_until 30 test -s "$T/world/ready" || { cat "$T/world/log"; return 1; }
    WORLD=$(pgrep -P "$WORLD_PARENT")
    export WORLD
}

world_end() {
    [[ ! ${WORLD-} ]] || kill -KILL "$WORLD" 2>/dev/null || true
    [[ ! ${WORLD_PARENT-} ]] || wait_until 30 world_is_gone
    [[ ! ${PEER_GROUP-} ]] || sweep_peer_groups
}
world_is_gone() { ! kill -0 "$WORLD_PARENT" 2>/dev/null; }

# A process that was just killed may still be in its group.
sweep_peer_groups() { wait_until 30 peer_groups_are_gone; }
peer_groups_are_gone() {
    local group left=0
    : "${PEER_GROUP:?}" # without a name it would be everybody's
    for group in /sys/fs/cgroup/"$PEER_GROUP" /sys/fs/cgroup/*/"$PEER_GROUP"; do
        [[ -d $group ]] || continue
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
    done
    ((!left))
}
# Groups of containers (64 hexadecimal digits, or ours) that are still there: a runtime that cleans up leaves none.
peer_groups() {
    find /sys/fs/cgroup -mindepth 3 -maxdepth 4 -type d -path "*/$PEER_GROUP/*" -not -name conmon 2>/dev/null
}

in_world() { nsenter --target "$WORLD" --mount --net --pid -- "$@"; }
user_in_world() {
    in_world setpriv --reuid "$HUSK_USER" --regid "$HUSK_USER" --init-groups env -i \
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" "HOME=$USER_HOME" "USER=$HUSK_USER" XDG_RUNTIME_DIR=/run/user \
        "TMPDIR=$T/tmp" LC_ALL=C.UTF-8 ${CONTAINERS_CONF:+"CONTAINERS_CONF=$CONTAINERS_CONF"} "$@"
}

peer_spawn() { # NAME CMD...
    local name=$1
    shift
    in_world setsid "$@" >"$T/$name.log" 2>&1 </dev/null 3>&- &
}

peer_logs() {
    [[ ! ${BATS_TEST_COMPLETED-} ]] || return 0
    local log
    for log in "$T"/*.log; do
        [[ ! -s $log ]] || { echo "${log##*/}:" && tail -n 25 "$log"; }
    done
}

# The value of a container's limit, from outside: the group of a pid in the world, its file.
limit_of() { # PID CONTROLLER FILE
    local path
    path=$(in_world grep -oP "^[0-9]+:([^:]*,)?$2(,[^:]*)?:\K.*" "/proc/$1/cgroup") || { echo "no $2 for $1"; return 1; }
    in_world cat "/sys/fs/cgroup/$2$path/$3"
}

# in_terminal TEXT CMD...: CMD on a terminal; what it prints until it ends.
in_terminal() { script --quiet --return --command "$(printf '%q ' "$@")" /dev/null </dev/null; }

# A program that tells the size of its terminal and each new one, and ends with what is typed. docker gives an exec its
# size only when it runs.
# shellcheck disable=SC2016 # for the shell inside
resized='tty; until [ "$(stty size 2>&1)" = "24 80" ]; do usleep 20000; done; stty size; trap "echo now \$(stty size)" WINCH; echo ready; until read -r x; do :; done; echo "got $x"'
peer_resize() { # PEER ARGUMENT...: what starts it
    printf 'see 24 80\nsee ready\nsize 33 99\nsee now 33 99\ntype hello\\r\nsee got hello\nend\n' >"$T/tmp/script"
    run python3 "$BATS_TEST_DIRNAME/terminal.py" "$T/tmp/script" "$@" sh -c "$resized"
    expect 0 "got hello"
}

# ---- docker and podman: one command line -----------------------------------------------------------------------------
# $PEER is the function that runs it, $PEER_RM removes containers of any state at once; rows that only one of the two has stay in its own file.

peer_run() { "$PEER" run --rm --network none "$@"; }

peer_run_table() {
    check_table peer_run <<'END'
busybox sh -c 'echo out; echo err >&2; exit 32'     | 32  | out
busybox sh -c 'sleep 100 & kill -9 $!; wait $!'     | 137 |
busybox /nope                                       | 127 | exec '/nope'
busybox nope                                        | 127 | nope
busybox /etc                                        | 126 | exec '/etc'
--memory 20m busybox dd if=/dev/zero of=/dev/null bs=100M count=1 | 137 |
--entrypoint sh --user 1000:50 --group-add 5 -e A=b --hostname elsewhere --ulimit nofile=100:200 --ulimit nproc=50:60 busybox -c 'echo $0 $A $(id -u) $(id -g) $(id -G | grep -ow 5) $(hostname) $(ulimit -n) $(ulimit -Hn)' | 0 | =sh b 1000 50 5 elsewhere 100 200
--sysctl kernel.shmmax=12345 --oom-score-adj 500 --cpuset-cpus 0 busybox sh -c 'echo $(cat /proc/sys/kernel/shmmax /proc/self/oom_score_adj) $(grep -o "list:.*" /proc/self/status)' | 0 | ~^12345.500.list:.0
--read-only --tmpfs /x --shm-size 3m --mount type=tmpfs,dst=/m,tmpfs-size=1048576 -v "$T/tmp/volume:/v" -v "$T/tmp/volume:/r:ro" busybox sh -c 'exec 2>&1; df /dev/shm /m | grep -owE "3072|1024" | sort -u; echo 1 >/v/file; touch /x/a; cat /r/file; touch /r/no; touch /no' | 1 | ~1024.3072.1.touch:./r/no:.Read-only.file.system.touch:./no:.Read-only
--cap-drop ALL --cap-add NET_ADMIN --security-opt no-new-privileges busybox sh -c 'echo $(grep -hE "CapBnd|NoNew|Seccomp:" /proc/self/status)' | 0 | CapBnd: 0000000000001000 NoNewPrivs: 1 Seccomp: 2
--security-opt seccomp=unconfined busybox grep Seccomp: /proc/self/status | 0 | ~:.0
--device /dev/fuse:/dev/other:r busybox sh -c 'exec 2>&1 3</dev/other && echo read && exec 3>/dev/other' | 1 | ~^read.*Operation.not.permitted
--uts host --pid host --ipc host busybox sh -c '[ -d /proc/1/task ] && [ $$ -gt 2 ] && readlink /proc/self/ns/uts' | 0 | uts:
--privileged busybox sh -c 'ls -l /dev/ptmx; grep Seccomp: /proc/self/status' | 0 | pts/ptmx
-t busybox sh -c 'tty; test -c /dev/console'        | 0   | /dev/pts/0
END
}

# A container's life; leaves none.
peer_lifecycle() {
    local pid
    "$PEER" run -d --name life --network none --memory 64m --cpus 0.5 --pids-limit 50 --cpu-shares 512 busybox sh -c \
        'echo started; trap "echo term; exit 3" TERM; trap "echo usr1" USR1; while :; do sleep 0.1; done' >/dev/null
    wait_until 30 logs_have started
    pid=$("$PEER" inspect -f '{{.State.Pid}}' life)
    [[ $(limit_of "$pid" memory memory.limit_in_bytes) == 67108864 ]]
    [[ $(limit_of "$pid" cpu cpu.cfs_quota_us) == 50000 ]]
    [[ $(limit_of "$pid" cpu cpu.shares) == 512 ]]
    [[ $(limit_of "$pid" pids pids.max) == 50 ]]

    check_table "$PEER" <<'END'
exec life sh -c 'echo in; exit 4'                | 4   | =in
exec -u 5 -w /tmp -e A=b life sh -c 'echo $(id -u; pwd) $A' | 0 | =5 /tmp b
exec --privileged life grep CapEff /proc/self/status | 0 | ffffff
END
    peer_resize "${PEER_COMMAND[@]}" exec -it life
    output_has "/dev/pts/0"
    run "$PEER" top life
    expect 0 "sleep 0.1"

    "$PEER" pause life
    has_state paused
    run "$PEER" exec life true
    ((status != 0))
    "$PEER" unpause life
    has_state running

    "$PEER" kill --signal USR1 life
    wait_until 30 logs_have usr1
    # of this container and not of the host, which has used minutes
    run "$PEER" stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' life
    expect 0 "iB / 64MiB 2" || expect 0 "MB / 67.11MB 2" || expect 0 "kB / 67.11MB 2"

    "$PEER" restart --time 20 life
    has_state running
    wait_until 30 logs_have term
    "$PEER" stop --time 20 life
    [[ $("$PEER" inspect -f '{{.State.Status}} {{.State.ExitCode}}' life) == 'exited 3' ]]
    "$PEER" start life
    "$PEER" kill life
    wait_until 30 has_state exited
    [[ $("$PEER" inspect -f '{{.State.ExitCode}}' life) == 137 ]]
    "$PEER" rm life

    run "$PEER" run --name again --network none --restart on-failure:2 -d busybox sh -c 'exit 5'
    expect 0
    wait_until 30 restarted_twice
    "${PEER_RM[@]}" again
    "$PEER" create --name attached --network none busybox sh -c 'echo hello; exit 6' >/dev/null
    run "$PEER" start --attach attached
    expect 6 =hello
    "$PEER" rm attached
    run "$PEER" run --rm --name joined --network none --ipc shareable -d busybox sleep 1000
    expect 0
    run "$PEER" run --rm --network container:joined --pid container:joined --ipc container:joined busybox ps
    expect 0 "sleep 1000"
    "${PEER_RM[@]}" joined
}
logs_have() { "$PEER" logs life 2>&1 | grep -qx "$1"; }
has_state() { [[ $("$PEER" inspect -f '{{.State.Status}}' "${2:-life}") == "$1" ]]; }
restarted_twice() { [[ $("$PEER" inspect -f '{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}' again) == 'exited 2 5' ]]; }
peer_remove_all() {
    local ids
    ids=$("$PEER" ps -aq)
    # shellcheck disable=SC2086
    [[ ! $ids ]] || "${PEER_RM[@]}" $ids >/dev/null
}
