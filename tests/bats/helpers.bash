# helpers.bash: what every bats file loads first: `load helpers`.
#
# A file gets a store and a run-time directory of its own, as root ($HUSK_ROOT, $HUSK_RUN) and as the ordinary user
# (as_user); at its end all containers are removed and then nothing may be left: see assert_no_leaks. Files that need
# their own setup_file, setup, teardown or teardown_file call husk_setup_file etc. in them.
#
#   $HUSK $HUSK_OCI $HUSK_IMAGE   the programs, from $HUSK_BUILD (default: build/ of this tree)
#   $T                            a directory for this file on a real disk; $T/tmp is for the tests
#   $IMAGES                       rootfs/, rootfs.tar, busybox.tar (docker-archive), oci/, oci.tar: see make-images
#   load_busybox                  puts busybox into root's store; `as_user load_busybox` into the user's
# shellcheck shell=bash disable=SC2034,SC2154

# Root's files run in a network namespace of their own, with the loopback up: what they listen on and what husk does to
# addresses, routes and firewalls is theirs alone, and gone with them. The ordinary user of a file is in the same one.
#
#   USER_TUN=1 as_user CMD...          with a /dev/net/tun that everybody may open, as udev makes it
#   USER_FUSE=1 as_user CMD...         the same with /dev/fuse
#   MACHINE_NETWORK=1 as_user CMD...   in the machine's own, for what needs the world outside

# When bats first reads a file it is bats-exec-file that does: it begins again, inside, with the output that it had (3).
own_network() {
    ((EUID == 0)) || return 0
    [[ $(readlink /proc/self/ns/net) != "${HUSK_TEST_NETWORK-}" ]] || return 0
    [[ ! ${HUSK_TEST_NETWORK-} ]] || { echo "in another network namespace than the file's"; return 1; }
    local -a again
    mapfile -d '' -t again <"/proc/$$/cmdline"
    [[ ${again[1]-} == */bats-exec-file ]] || { echo "not read by bats-exec-file first: ${again[*]}"; return 1; }
    rm -f "$BATS_FILE_TMPDIR"-*.source_file
    rmdir "$BATS_FILE_TMPDIR"
    exec {HUSK_MACHINE_NET}</proc/self/ns/net # of process 1 it may not be ours to enter
    export HUSK_MACHINE_NET
    # shellcheck disable=SC2016
    exec unshare --net bash -c 'ip link set lo up
        HUSK_TEST_NETWORK=$(readlink /proc/self/ns/net) exec "$@"' own-network "${again[@]}" >&3 2>&3 3>&- 4>&-
}
own_network || exit 1

HUSK_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export HUSK_TOP
export HUSK_BUILD=${HUSK_BUILD:-$HUSK_TOP/build}
[[ $HUSK_BUILD == /* ]] || HUSK_BUILD=$HUSK_TOP/$HUSK_BUILD
HUSK_USER=${HUSK_TEST_USER:-husktest}
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8

use_build() { # DIR
    export HUSK_BUILD=$1
    export HUSK=$1/bin/husk HUSK_OCI=$1/bin/husk-oci HUSK_IMAGE=$1/libexec/husk/husk-image
}
use_build "$HUSK_BUILD"
export HUSK_MESON=${HUSK_MESON:-$HUSK_BUILD} # the build directory itself, also when the programs are copies

# ---- once per file -------------------------------------------------------------------------------------------------

husk_setup_file() {
    [[ -x $HUSK ]] || { echo "no program '$HUSK': build first (make), or set HUSK_BUILD"; return 1; }
    T=$(mktemp -d "${HUSK_TEST_TMP:-/var/tmp}/husk-t.XXXXXX")
    export T
    chmod 755 "$T"
    # The run-time directory is on a tmpfs, as /run is on a machine that booted; its paths must be short (sockets).
    if [[ -w /dev/shm && $(stat -f -c %T /dev/shm) == tmpfs ]]; then
        TRUN=/dev/shm/${T##*/}
    else
        TRUN=$T/run
    fi
    export TRUN
    mkdir -m 755 "$TRUN" "$T/tmp"
    mkdir -m 700 "$TRUN/r"
    export HUSK_ROOT=$T/root HUSK_RUN=$TRUN/r TMPDIR=$T/tmp
    chmod 1777 "$T/tmp"
    setup_user
    export IMAGES=${HUSK_TEST_IMAGES:-$BATS_RUN_TMPDIR/images}
    chmod a+rx "$BATS_RUN_TMPDIR"
    "$HUSK_TOP/tests/bats/make-images" "$IMAGES"
    cgroups_of_husk >"$T/cgroups-before"
}

# The ordinary user: root makes him; an ordinary user is himself.
setup_user() {
    export USER_HOME=$T/u USER_RUN=$TRUN/u
    mkdir -m 700 "$USER_HOME" "$USER_RUN" "$USER_RUN/husk"
    ((EUID == 0)) || return 0
    "$HUSK_TOP/tools/test-user" "$HUSK_USER"
    chown -R "$HUSK_USER:" "$USER_HOME" "$USER_RUN"
    # A checkout below somebody's private home: the user runs copies.
    if ! as_user test -x "$HUSK"; then
        mkdir "$T/build"
        cp -a "$HUSK_BUILD/bin" "$HUSK_BUILD/libexec" "$T/build/"
        use_build "$T/build"
    fi
}

husk_teardown_file() {
    [[ ${T-} ]] || return 1 # the setup did not come so far; without a directory everybody's things would look like ours
    stop_registry
    stop_liar
    local failed=0
    remove_all_containers || failed=1
    assert_no_leaks || failed=1
    # Files in a user's store belong to his subordinate ids: root may remove them, he only inside his namespace.
    if ((EUID == 0)); then
        rm -rf --one-file-system "$T" "$TRUN"
    else
        unshare --map-root-user --map-auto rm -rf --one-file-system "$T" "$TRUN" || rm -rf "$T" "$TRUN"
    fi
    return $failed
}

# What most files begin with: the image busybox in root's store and in the ordinary user's.
setup_both_stores() {
    husk_setup_file || return 1
    load_busybox >/dev/null
    as_user load_busybox >/dev/null
}

husk_setup() { :; }
husk_teardown() { :; }
setup_file() { husk_setup_file; }
teardown_file() { husk_teardown_file; }
setup() { husk_setup; }
teardown() { husk_teardown; }

# ---- running -------------------------------------------------------------------------------------------------------

# A test that cannot be made says what it lacks.
fail() { echo "$*" >&2 && return 1; }

husk() { "$HUSK" "$@"; }

# as_user CMD...: as the ordinary user, with his own store, run-time and home directory. CMD may be a function of this
# file's that is listed here, because a function cannot cross an exec.
as_user() {
    local -a as=(env -i "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" "HOME=$USER_HOME" "USER=$HUSK_USER"
        "LOGNAME=$HUSK_USER" "XDG_RUNTIME_DIR=$USER_RUN" "XDG_DATA_HOME=$USER_HOME/data" "HUSK_ROOT=$USER_HOME/root"
        "HUSK_RUN=$USER_RUN/husk" "TMPDIR=$T/tmp" LC_ALL=C.UTF-8 "HUSK=$HUSK" "HUSK_OCI=$HUSK_OCI" "T=$T" "IMAGES=$IMAGES"
        ${REGISTRY:+"REGISTRY=$REGISTRY"} ${HUSK_FAULT:+"HUSK_FAULT=$HUSK_FAULT"})
    ((EUID != 0)) || as=(setpriv --reuid "$HUSK_USER" --regid "$HUSK_USER" --init-groups "${as[@]}")
    ((EUID != 0)) || [[ ! ${USER_TUN-} ]] || as=(unshare --mount --propagation slave "$HUSK_TOP/tests/bats/with-tun" "${as[@]}")
    ((EUID != 0)) || [[ ! ${USER_FUSE-} ]] || as=(unshare --mount --propagation slave "$HUSK_TOP/tests/bats/with-fuse" "${as[@]}")
    ((EUID != 0)) || [[ ! ${MACHINE_NETWORK-} ]] || as=(nsenter "--net=/proc/self/fd/$HUSK_MACHINE_NET" -- "${as[@]}")
    case $1 in
    husk) shift && (cd / && "${as[@]}" "$HUSK" "$@") ;;
    load_busybox) (cd / && "${as[@]}" "$HUSK" load --quiet --input "$IMAGES/busybox.tar") ;;
    *) (cd / && "${as[@]}" "$@") ;;
    esac
}

load_busybox() { "$HUSK" load --quiet --input "$IMAGES/busybox.tar"; }

# wait_until SECONDS CMD...: polls until CMD succeeds. On a machine that does much else what takes a tenth of a second
# takes several, so a failure is one after half a minute at the earliest.
wait_until() {
    local deadline=$((SECONDS + ($1 > 30 ? $1 : 30)))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || { echo "still not so: $*"; return 1; }
        sleep 0.05
    done
}

# as_if_older [DIR...]: what `husk system check` takes for something that is just being made (five seconds) is that no
# more: all directories of the store and of the run-time folder, and what is staged, were changed a minute ago.
as_if_older() {
    (($#)) || set -- "$HUSK_ROOT" "$HUSK_RUN"
    find "$@" -ignore_readdir_race -xdev \( -type d -o -path '*/tmp/*' \) -exec touch -c -h -d '1 minute ago' {} +
}

# check_table [COMMAND...] <<EOF: each row is "arguments | status | words": COMMAND (default: $HUSK) with the arguments,
# quoted as in a shell, ends with the status, and its output contains the words ("=words": is exactly; "!words": does
# not contain; "~regex": matches; empty: anything). Every row runs, whatever the commands do with standard input; all
# wrong rows are shown.
check_table() {
    local -a command=("$@") rows
    ((${#command[@]})) || command=("$HUSK")
    mapfile -t rows
    local row args want words wrong=0 ran=0 rows_n=0
    local form='^(.*[^[:space:]]|)[[:space:]]*\|[[:space:]]*([0-9]+)[[:space:]]*\|[[:space:]]*(.*)$'
    for row in "${rows[@]}"; do
        [[ -n ${row//[[:space:]]/} && ! $row =~ ^[[:space:]]*# ]] || continue
        rows_n=$((rows_n + 1))
        if ! [[ $row =~ $form ]]; then
            echo "not a row of 'arguments | status | words': $row"
            wrong=$((wrong + 1))
            continue
        fi
        args=${BASH_REMATCH[1]} want=${BASH_REMATCH[2]} words=${BASH_REMATCH[3]}
        words=${words%"${words##*[![:space:]]}"}
        eval "run \"\${command[@]}\" $args" </dev/null
        ran=$((ran + 1))
        if [[ $status -ne $want ]] || ! output_has "$words"; then
            wrong=$((wrong + 1))
            printf 'row: %s\n  status: %s (expected %s)\n  output: %s\n' "$row" "$status" "$want" "$output"
        fi
    done
    ((rows_n > 0)) || { echo "a table without rows"; return 1; }
    ((ran == rows_n || wrong > 0)) || { echo "only $ran of $rows_n rows ran"; return 1; }
    ((wrong == 0)) || { echo "$wrong of $rows_n rows are wrong"; return 1; }
}

# What `expect` takes for "HOST cannot be looked up": a file's own network has no name server, but a resolver behind a
# socket of the machine's may answer all the same.
no_host() { echo "~connect to ${1//./[.]}:443: (no such host|Temporary failure in name resolution)"; }

output_has() {
    case $1 in
    '') return 0 ;;
    =*) [[ $output == "${1:1}" ]] ;;
    !*) [[ $output != *"${1:1}"* ]] ;;
    ~*) [[ $output =~ ${1:1} ]] ;;
    *) [[ $output == *"$1"* ]] ;;
    esac
}

# After `run`: show what happened when it is not what it should be.
expect() { # STATUS [WORDS]
    [[ $status -eq $1 ]] && output_has "${2-}" && return 0
    printf 'status %s, expected %s; output does not fit "%s":\n%s\n' "$status" "$1" "${2-}" "$output"
    return 1
}

# ---- skips ---------------------------------------------------------------------------------------------------------

# Only a kernel may excuse a test. Where HUSK_TEST_STRICT is set, as ./check sets it, any other skip is a failure.
if ! declare -F bats_own_skip >/dev/null; then
    eval "bats_own_$(declare -f skip)"
fi
skip() {
    if [[ ${HUSK_TEST_STRICT-} ]]; then
        echo "skip without a kernel reason: $*"
        return 1
    fi
    bats_own_skip "$@"
}
# skip_unless_kernel REASON CMD...: CMD asks the kernel itself (not husk) for what the test needs.
skip_unless_kernel() {
    local reason=$1
    shift
    "$@" >/dev/null 2>&1 || bats_own_skip "kernel: $reason"
}

# ---- a registry ----------------------------------------------------------------------------------------------------

# start_registry [--auth USER:PASSWORD]: Debian's docker-registry on a free port of 127.0.0.1; sets $REGISTRY.
start_registry() {
    local auth='' try dir=$T/registry
    [[ ${1-} != --auth ]] || auth=$2
    stop_registry
    mkdir -p "$dir"
    for try in 1 2 3 4 5 6 7 8; do
        export REGISTRY=127.0.0.1:$((20000 + RANDOM % 30000))
        {
            printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n'
            printf 'storage: {filesystem: {rootdirectory: "%s/data"}, delete: {enabled: true}}\n' "$dir"
            printf 'http: {addr: "%s"}\n' "$REGISTRY"
            if [[ $auth ]]; then
                printf 'auth: {htpasswd: {realm: husk-test, path: "%s/htpasswd"}}\n' "$dir"
            fi
        } >"$dir/config.yml"
        # shellcheck disable=SC2016 # the dollars are bcrypt's
        [[ ! $auth ]] || perl -e 'print "$ARGV[0]:", crypt($ARGV[1], q($2y$05$abcdefghijklmnopqrstuu)), "\n"' \
            "${auth%%:*}" "${auth#*:}" >"$dir/htpasswd"
        OTEL_TRACES_EXPORTER=none setsid docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 3>&- </dev/null &
        echo $! >"$dir/pid"
        local i
        for ((i = 0; i < 200; i++)); do
            kill -0 "$(<"$dir/pid")" 2>/dev/null || continue 2
            if (exec 8<>"/dev/tcp/${REGISTRY%:*}/${REGISTRY#*:}") 2>/dev/null; then
                # Ours, or did somebody else take the port? Ours still runs then.
                sleep 0.05
                kill -0 "$(<"$dir/pid")" 2>/dev/null && return 0
                continue 2
            fi
            sleep 0.05
        done
    done
    echo "docker-registry does not start:"
    cat "$dir/log"
    return 1
}

stop_registry() {
    local pid
    [[ -e $T/registry/pid ]] || return 0
    pid=$(<"$T/registry/pid")
    rm -f "$T/registry/pid"
    kill "$pid" 2>/dev/null || return 0
    wait_until 10 gone "$pid" || kill -KILL "$pid"
}
# Ended; whether PID 1 has reaped it, which may take it seconds, is no matter.
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

# start_liar LAYOUT: lying-registry.py on the images of that OCI layout; $LIAR and $OTHER are where it listens, $T/liar/log
# says what was asked. husk_teardown_file ends it.
start_liar() {
    mkdir "$T/liar"
    python3 "$HUSK_TOP/tests/bats/lying-registry.py" "$1" "$T/liar" >"$T/liar/out" 2>&1 3>&- &
    echo $! >"$T/liar/pid"
    wait_until 30 test -e "$T/liar/port"
    LIAR=127.0.0.1:$(<"$T/liar/port") OTHER=127.0.0.1:$(<"$T/liar/other-port")
    export LIAR OTHER
}
stop_liar() { [[ ! -e $T/liar/pid ]] || kill "$(<"$T/liar/pid")"; }

# push_busybox NAME[:TAG]: the test image in the registry, put there by skopeo; answers the full reference.
push_busybox() {
    skopeo copy --quiet --dest-tls-verify=false ${REGISTRY_AUTH:+--dest-creds "$REGISTRY_AUTH"} \
        "oci:$IMAGES/oci:latest" "docker://$REGISTRY/$1" >&2
    echo "$REGISTRY/$1"
}

# ---- the image store ------------------------------------------------------------------------------------------------

# The names in a store's index.json.
names() { python3 -c '
import json, sys
for m in json.load(open(sys.argv[1] + "/index.json"))["manifests"]:
    if "org.opencontainers.image.ref.name" in m.get("annotations", {}):
        print(m["annotations"]["org.opencontainers.image.ref.name"])' "${1:-$HUSK_ROOT}"; }

# Every blob is what its name says, every layer was unpacked to the end, nothing is staged.
store_is_sound() { # STORE [PATTERN: staged entries so named are fine]
    local blob
    for blob in "$1"/blobs/sha256/*; do
        [[ -e $blob ]] || continue
        [[ $(sha256sum <"$blob") == "${blob##*/}  -" ]] || { echo "blob '$blob' has other content"; return 1; }
    done
    for layer in "$1"/layers/*; do
        [[ ! -e $layer || -e $layer/size && -d $layer/fs ]] || { echo "half a layer: $layer"; return 1; }
    done
    local staged
    staged=$(find "$1/tmp" -mindepth 1 -maxdepth 1 ${2:+! -name "$2"})
    [[ ! $staged ]] || { echo "staged: $staged"; return 1; }
}

# A store in which nothing that a name needs is missing.
names_are_whole() { # STORE
    local name
    while read -r name; do
        skopeo inspect --raw "oci:$1:$name" >/dev/null && skopeo inspect "oci:$1:$name" >/dev/null || return 1
        skopeo copy --quiet "oci:$1:$name" "dir:$T/tmp/copy" || return 1
        rm -rf "$T/tmp/copy"
    done < <(names "$1")
}

# The two ways to husk, and what is to hold for both: with $h the way and $root its store.
root_husk() { "$HUSK" "$@"; }
user_husk() { as_user husk "$@"; }
each_user() { # FUNCTION
    # shellcheck disable=SC2034 # FUNCTION reads them
    local h root
    h=root_husk root=$HUSK_ROOT
    "$1" # no ||: what fails in it has to end the test
    h=user_husk root=$USER_HOME/root
    "$1"
}

# ---- nothing is left -----------------------------------------------------------------------------------------------

remove_all_containers() {
    local ids
    # shellcheck disable=SC2086 # a list of ids
    if [[ -d $HUSK_ROOT ]]; then
        [[ ! $("$HUSK" pod ps --quiet) ]] || "$HUSK" pod rm --all --force >/dev/null || return 1
        ids=$("$HUSK" ps --all --quiet) || return 1
        [[ ! $ids ]] || "$HUSK" rm --force $ids >/dev/null || return 1
    fi
    # shellcheck disable=SC2086
    if [[ -d $USER_HOME/root ]]; then
        [[ ! $(as_user husk pod ps --quiet) ]] || as_user husk pod rm --all --force >/dev/null || return 1
        ids=$(as_user husk ps --all --quiet) || return 1
        [[ ! $ids ]] || as_user husk rm --force $ids >/dev/null || return 1
    fi
}

# Control groups that husk made: ".../husk/<id>" in any hierarchy.
cgroups_of_husk() {
    { find /sys/fs/cgroup -mindepth 2 -maxdepth 7 -type d -path '*/husk*/*' 2>/dev/null || true; } | LC_ALL=C sort
}
# One without a process that no container of any test run at this moment owns: files run side by side.
cgroups_leaked() {
    local path
    while read -r path; do
        [[ ! -e $path || $(find "$path" -name cgroup.procs -exec cat {} + 2>/dev/null) ]] ||
            compgen -G "${T%/*}/husk-t.*/root/containers/${path##*/}" >/dev/null ||
            compgen -G "${T%/*}/husk-t.*/u/root/containers/${path##*/}" >/dev/null ||
            compgen -G "${TRUN%/*}/*/r/${path##*/}" >/dev/null ||
            [[ $path == */husk-t.* && $path != */"${T##*/}"-* ]] || echo "$path" # of bundles: see oci.bash
    done < <(cgroups_of_husk | LC_ALL=C comm -13 "$T/cgroups-before" -)
}

# Processes of ours: an executable named husk* that knows this file's directories by environment, arguments or an open
# file, or any process whose mounts come from there.
processes_leaked() {
    local proc exe
    for proc in /proc/[0-9]*; do
        [[ ${proc#/proc/} != "$$" && ${proc#/proc/} != "$BASHPID" ]] || continue
        exe=$(readlink "$proc/exe" 2>/dev/null) || continue
        if [[ ${exe##*/} == husk* ]]; then
            grep -qaF -e "$T" -e "$TRUN" "$proc/environ" "$proc/cmdline" 2>/dev/null ||
                find "$proc/fd" "$proc/cwd" -maxdepth 1 -lname "*${T##*/}*" 2>/dev/null | grep -q . || continue
        else
            grep -qF "${T##*/}" "$proc/mountinfo" 2>/dev/null || continue
        fi
        printf '%s %s: %s\n' "${proc#/proc/}" "$exe" "$(tr '\0' ' ' <"$proc/cmdline" 2>/dev/null)"
    done
}

# Staging that nobody holds a lock on may stay until the next sweep, but here nothing runs any more, so all is rubbish.
files_leaked() {
    local dir
    for dir in "$HUSK_ROOT" "$USER_HOME/root"; do
        [[ ! -d $dir/tmp ]] || find "$dir/tmp" -mindepth 1 -maxdepth 1
        [[ ! -d $dir/containers ]] || find "$dir/containers" -mindepth 1 -maxdepth 1
    done
    for dir in "$HUSK_RUN" "$USER_RUN/husk"; do
        find "$dir" -mindepth 1 -maxdepth 1 -type d -not -name seccomp
    done
}

leaks() {
    local mounts cgroups processes files
    mounts=$(grep -F "${T##*/}" /proc/self/mountinfo || true)
    processes=$(processes_leaked)
    cgroups=$(cgroups_leaked)
    files=$(files_leaked)
    [[ $mounts$processes$cgroups$files ]] || return 1
    printf 'left behind:\n%s\n' "${mounts:+mounts: $mounts
}${processes:+processes: $processes
}${cgroups:+cgroups: $cgroups
}${files:+files: $files}"
}

# assert_no_leaks: no mount in the host's namespace, no process, no control group, no staging file. What is on its way
# out gets three seconds.
assert_no_leaks() {
    local i found
    for ((i = 0; i < 15; i++)); do
        found=$(leaks) || return 0
        sleep 0.2
    done
    echo "$found"
    return 1
}

# mount_copy IMAGE DIR, unmount_copy IMAGE DIR: a copy of a disk that another disk may have been at the same path before.
# mount's own loop device may still be there with the last one's blocks in its cache, so the device is seen to be gone.
mount_copy() {
    local device
    device=$(losetup -f --show "$1")
    blockdev --flushbufs "$device"
    cmp "$device" "$1" || { echo "$device shows blocks of a disk that it was before"; return 1; }
    mount -o noatime "$device" "$2"
}
no_device_of() { [[ ! $(losetup -j "$1") ]]; }
unmount_copy() {
    umount "$2"
    losetup -j "$1" | cut -d: -f1 | xargs -r losetup -d
    wait_until 10 no_device_of "$1"
    rm "$1"
}
