#!/usr/bin/env bats
# husk in a default container of husk's, three deep, with no right that the first one has not; and with --nested.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/in"
    cp -a "$HUSK_BUILD/bin" "$HUSK_BUILD/libexec" "$T/in/"
    cp "$IMAGES/busybox.tar" "$T/in/"
    cp -a "$IMAGES/rootfs" "$T/in/root"
    chmod -R a+rX "$T/in"
    printf 'FROM busybox\nRUN echo made in $(id -u) >/made && rm /bin/awk && cat /made\nUSER alice\n' >"$T/in/Dockerfile"
    # husk's dynamic programs find this machine's libraries
    export NEST="-v $T/in:/in:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro"
    cat >"$T/in/level" <<'END'
n=$1
export HUSK_ROOT=/l/r HUSK_RUN=/run/h PATH=$PATH:/in/bin
mkdir -p /run/h /l
echo "level $n: $(id -u), $(grep -c . /proc/self/status | grep -c .), mount $(mount -t tmpfs t /home 2>/dev/null && echo yes || echo no)"
[ "$n" != 4 ] || exit 0
husk load -q -i /in/busybox.tar >/dev/null || exit
husk run --rm $2 -v /in:/in:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v /l busybox sh /in/level $((n + 1)) "$2" || exit
husk build -q -t mine -f /in/Dockerfile /run >/dev/null || exit
[ "$(husk run --rm $2 mine sh -c 'cat /made; id -u; ls /bin/awk 2>/dev/null')" = "made in 0
1000" ] && echo "built in $n"
[ -z "$(husk ps -aq)" ] && echo "nothing left in $n"
END
}

teardown() {
    remove_all_containers
}

wanted() { # MOUNT
    local n
    for n in 1 2 3 4; do echo "level $n: 0, 1, mount $1"; done
    for n in 3 2 1; do echo "built in $n"; echo "nothing left in $n"; done
}

@test "an ordinary user's husk runs husk runs husk runs husk, and each builds, in default containers" {
    # shellcheck disable=SC2086
    run as_user husk run --rm $NEST -v /l busybox sh /in/level 1
    expect 0 "=$(wanted no)"
}

@test "root's does with a map, and with --nested; without a map that is refused" {
    ((EUID == 0)) || return 0
    # shellcheck disable=SC2086
    run husk run --rm --network none --uidmap 0:200000:65536 $NEST -v /l busybox sh /in/level 1
    expect 0 "=$(wanted no)"
    # shellcheck disable=SC2086
    run husk run --rm --nested --network none --uidmap 0:200000:65536 $NEST -v /l busybox sh /in/level 1 '--nested --network none'
    expect 0 "=$(wanted yes)"
    run husk run --rm --nested busybox true
    expect 125 "give --userns auto or --uidmap"
    # images are looked after there all the same
    # shellcheck disable=SC2086
    run husk run --rm --network none $NEST -v /l busybox sh -c '
        export HUSK_ROOT=/l/r HUSK_RUN=/run/h PATH=$PATH:/in/bin; mkdir -p /run/h
        husk load -q -i /in/busybox.tar
        printf "FROM busybox\nCOPY busybox.tar /there\n" >/tmp/copies; husk build -q --network none -t copied -f /tmp/copies /in >/dev/null && husk image files copied | grep -c there
        printf "FROM busybox\nRUN true\n" >/tmp/runs; husk build -q --network none -f /tmp/runs /tmp 2>&1 | grep -v "warn: storage"
        husk create --name inner --network none busybox true 2>/dev/null && husk cp inner:/etc/group -'
    expect 1 "Loaded image: busybox:latest"$'\n'1$'\n'"husk build: /tmp/runs:2: root has no CAP_SYS_ADMIN here, as in a default container: start that one with --userns auto"
    [[ $output == *"husk cp: root has no CAP_SYS_ADMIN here"* ]]
    # what is in the way is named, with what takes it out of it
    run husk run --rm --network none $NEST busybox sh -c 'HUSK_RUN=/run/h /in/bin/husk run --rm --network host --rootfs /in/root true'
    expect 125 "as in a default container: start that one with --userns auto (or --privileged)"
    run husk run --rm --network none --uidmap 0:200000:65536 $NEST -v /l busybox sh -c \
        'HUSK_ROOT=/l/r HUSK_RUN=/run/h /in/bin/husk run --rm --network none --rootfs /in/root true'
    expect 125 "say --network host, or start that one with --nested"
}

@test "an ordinary user's with --nested" {
    # shellcheck disable=SC2086
    run as_user husk run --rm --nested --network none $NEST -v /l busybox sh /in/level 1 '--nested --network none'
    expect 0 "=$(wanted yes)"
}

@test "in a default container containers live and are looked after as outside; without a volume, too" {
    # shellcheck disable=SC2086
    run as_user husk run --rm $NEST busybox sh -c '
        export HUSK_ROOT=/l/r HUSK_RUN=/run/h PATH=$PATH:/in/bin; mkdir -p /run/h /l
        husk load -q -i /in/busybox.tar
        husk info -f "{{.Rootless}} {{.Storage}}"
        husk run -d --name in1 busybox sleep 1000 >/dev/null
        husk exec in1 sh -c "id -u; readlink /proc/self/ns/pid"; readlink /proc/self/ns/pid
        husk run --rm busybox sh -c "setsid sleep 7654 & exit 3"; echo "status $?"; ps -o args | grep -c "^sleep 7654"
        husk run --rm --pid private busybox sh -c "echo \$\$"
        husk exec -u alice in1 id -u
        husk exec in1 touch /new; husk diff in1
        husk cp in1:/etc/group - | tar t
        husk stop -t 0 in1
        husk cp in1:/etc/group - | tar t
        husk start in1
        husk rm -f in1
        husk run --rm --read-only busybox touch /x; echo "status $?"
        husk run --rm --network none busybox true; echo "status $?"
        husk build -q -t mine -f /in/Dockerfile /run >/dev/null; husk run --rm mine cat /made
        husk system check'
    echo "$output"
    [[ $output =~ 'true vfs'$'\n'0$'\n'('pid:['[0-9]+']')$'\n'('pid:['[0-9]+']') && ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]]
    [[ $output == *$'\nstatus 3\n0\n1\n1000\nA /new\ngroup\nin1\ngroup\nin1\nin1\n'* ]]
    [[ $output == *$'Read-only file system\nstatus 1\n'* ]]
    [[ $output == *$'Operation not permitted\nstatus 125\n'* ]]
    [[ $output == *$'\nmade in 0\n'* ]]
    [[ $output == *$'\nno problems' ]]
}

# The calls of seccomp-default.json stay as they are for a container of root's; what a user namespace of its own adds
# reaches no network namespace.
@test "a default container may make every namespace below its own but a network's, and may mount only there" {
    local h
    try() { "$@" run --rm --network none busybox sh -c '
        for how in "-U -r -m" "-U -r -p -f" "-U -r -i -u" "-U -r -n" "-m" "-n"; do unshare $how true 2>/dev/null && echo "yes $how" || echo "no $how"; done
        mount -t tmpfs t /home 2>/dev/null || echo no mount
        grep Seccomp: /proc/self/status'; }
    run try as_user husk
    expect 0 $'=yes -U -r -m\nyes -U -r -p -f\nyes -U -r -i -u\nno -U -r -n\nno -m\nno -n\nno mount\nSeccomp:\t2'
    ((EUID == 0)) || return 0
    run try husk
    expect 0 $'=no -U -r -m\nno -U -r -p -f\nno -U -r -i -u\nno -U -r -n\nno -m\nno -n\nno mount\nSeccomp:\t2'
}
