# shellcheck shell=bash disable=SC2317,SC2015,SC2031,SC2016  # functions are called through ok()
# Runs inside tests/vm/run --systemd: containers whose PID 1 is systemd, as root and as an
# ordinary user; husk autostart under the system's systemd and a user's; the journald log driver with the real journald.
# Arguments: the build folder, a tar of busybox, a tar of a Debian with systemd, that Debian as a folder: as the host has them.
build=/host$1 tar=/host$2 debian=/host$3 lower=/host$4
failed=0

ok() { # NAME COMMAND...: the command succeeds
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        echo "ok $name ($SECONDS s)"
    else
        echo "not ok $name ($SECONDS s)"
        printf '%s\n' "$out" | sed 's/^/    /'
        failed=1
    fi
}
says() { # WORDS COMMAND...: it succeeds, and its output has the words
    local words=$1 out
    shift
    out=$("$@" 2>&1) && [[ $out == *"$words"* ]] || { printf 'wanted: %s\ngot: %s\n' "$words" "$out"; return 1; }
}
comes() { # SECONDS COMMAND...: the command succeeds before so many seconds have passed
    local end=$((SECONDS + $1)) out
    shift
    until out=$("$@" 2>&1); do
        ((SECONDS < end)) || { echo "last: $out"; return 1; }
        sleep 0.5
    done
    printf '%s\n' "$out"
}
export HUSK_ROOT=/tmp/life/root HUSK_RUN=/run/husk-life
husk=$build/bin/husk
libs="/host/usr/lib/$(uname -m)-linux-gnu" # husk-image's libraries are the host's
mkdir -p /tmp/life
id -u joe >/dev/null 2>&1 || useradd -m -u 1000 joe
printf 'joe:100000:65536\n' | tee /etc/subuid >/etc/subgid
systemctl start user@1000.service
as_joe() {
    setpriv --reuid 1000 --regid 1000 --init-groups env -i PATH="$PATH" HOME=/home/joe USER=joe XDG_RUNTIME_DIR=/run/user/1000 \
        HUSK_ROOT=/tmp/joe-life "$@"
}
install -d -o joe -g joe /tmp/joe-life

# ---- systemd as PID 1: root's from the machine's own Debian, the user's from an image ----
ok "import as joe" as_joe env LD_LIBRARY_PATH="$libs" "$husk" import "$debian" debian
root_husk() { "$husk" "$@"; }
joe_husk() { as_joe "$husk" "$@"; }
for h in root_husk joe_husk; do
    image=(--rootfs "$lower:O")
    [[ $h == root_husk ]] || image=(debian)
    ok "$h: run -d" $h run -d --name sd --network none "${image[@]}" /sbin/init
    [[ $h == root_husk ]] ||
        ok "$h: its scope is the user's systemd's" says husk- as_joe systemctl --user list-units --no-legend "husk-*.scope"
    ok "$h: is-system-running" comes 60 says running $h exec sd systemctl is-system-running
    ok "$h: no unit failed" says "0 loaded units" $h exec sd systemctl --failed --no-pager
    ok "$h: a unit runs" says hi $h exec sd systemd-run --wait --pipe --quiet echo hi
    ok "$h: stop" $h stop -t 60 sd
    ok "$h: it ended by itself" says 0 $h inspect -f '{{.State.ExitCode}}' sd
    ok "$h: rm" $h rm sd
done

# ---- autostart: the units that it writes, as this systemd takes them ----
wants() { # HUSK POLICY...: a container for each
    local h=$1 p
    shift
    for p; do $h run -d --name "p-$p" --restart "$p" --stop-timeout 1 --network none $image_of sleep 1000 || return; done
}
names() { $1 ps --format '{{.Names}}' | sort | tr '\n' ' '; }
user_ctl() { as_joe systemctl --user "$@"; }
ok "import busybox" env LD_LIBRARY_PATH="$libs" "$husk" import "$tar" busybox
ok "import busybox as joe" as_joe env LD_LIBRARY_PATH="$libs" "$husk" import "$tar" busybox
for h in root_husk joe_husk; do
    ctl=systemctl image_of=busybox
    [[ $h == root_husk ]] || ctl=user_ctl
    ok "$h: containers with policies" wants $h always unless-stopped no
    ok "$h: stopped by hand" $h stop -t 0 p-unless-stopped
    ok "$h: autostart install" says husk-autostart.service $h autostart install
    $ctl daemon-reload
    ok "$h: the unit is enabled" says enabled $ctl is-enabled husk-autostart.service
    ok "$h: the unit starts" $ctl start husk-autostart.service
    ok "$h: the unit stops, as when the machine goes down" $ctl stop husk-autostart.service
    ok "$h: what has a policy is stopped with it" says "=p-no =" echo "=$(names $h)="
    ok "$h: the unit starts, as after a boot" $ctl start husk-autostart.service
    ok "$h: and what its policy wants runs" says "=p-always p-no =" echo "=$(names $h)="
    pid=$($h inspect -f '{{.State.Pid}}' p-always)
    ok "$h: killed, it is started again" kill -KILL "$pid"
    other() { local now; now=$($h inspect -f '{{.State.Pid}}' p-always); ((now > 0 && now != pid)); }
    ok "$h: by its policy" comes 20 other
    ok "$h: autostart remove" $h autostart remove
    ok "$h: rm" $h rm -fa
done

# ---- the real journald, which this machine has masked ----
rm -f /etc/systemd/system/systemd-journald*
systemctl daemon-reload
ok "journald starts" systemctl start systemd-journald.socket systemd-journald.service
ok "a container logs to it" "$husk" run --name jay --network none --label tier=web --log-driver journald --log-opt labels=tier busybox sh -c 'echo out; echo err >&2; printf torn'
field() { says "$2" journalctl -o json --no-pager "CONTAINER_NAME=jay" "$1"; }
ok "journalctl has its lines" comes 20 field PRIORITY=6 '"MESSAGE":"out"'
ok "stderr's are errors" comes 20 field PRIORITY=3 '"MESSAGE":"err"'
ok "with its id" field PRIORITY=6 "\"CONTAINER_ID_FULL\":\"$("$husk" inspect -f '{{.Id}}' jay)\""
ok "and the label" field PRIORITY=6 '"TIER":"web"'
ok "husk logs reads them back" says $'out\nerr\ntorn' "$husk" logs jay
ok "rm jay" "$husk" rm jay
exit $failed
