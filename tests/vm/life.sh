# shellcheck shell=bash disable=SC2317,SC2015,SC2031,SC2016  # functions are called through ok()
# Runs inside tests/vm/run --systemd --disk: containers whose PID 1 is systemd, as root and as an ordinary user; the journald
# log driver with the real journald; husk autostart under the system's systemd and a user's. Then the machine is rebooted
# and the script runs again: it looks which containers run.
# Arguments: the build folder, a tar of busybox, a tar of a Debian with systemd, that Debian as a folder: as the host has them.
build=/host$1 tar=/host$2 debian=/host$3 lower=/host$4

export HUSK_ROOT=/persist/root HUSK_RUN=/run/husk-life
husk=$build/bin/husk
libs="/host/usr/lib/$(uname -m)-linux-gnu" # husk-image's libraries are the host's
as_joe() {
    setpriv --reuid 1000 --regid 1000 --init-groups env -i PATH="$PATH" HOME=/home/joe USER=joe XDG_RUNTIME_DIR=/run/user/1000 \
        HUSK_ROOT=/persist/joe "$@"
}
root_husk() { "$husk" "$@"; }
joe_husk() { as_joe "$husk" "$@"; }
names() { $1 ps --format '{{.Names}}' | sort | tr '\n' ' '; }

# ---- after the reboot ----
own_group() { # of the container's, as its first process
    [[ $($1 exec kept cat /proc/self/cgroup) == "$($1 exec kept cat /proc/1/cgroup)" ]] || { $1 exec kept cat /proc/self/cgroup /proc/1/cgroup; return 1; }
}
wanted_run() { [[ $(names "$1") == 'always by-hand kept ' ]] || { "$1" ps -a; return 1; }; }
if [[ -e /persist/rebooted ]]; then
    ok "the machine comes up" systemctl start multi-user.target
    for h in root_husk joe_husk; do
        ok "$h: what its policy wants runs after the reboot" comes 60 wanted_run $h
        ok "$h: unless-stopped that somebody stopped does not" says exited $h inspect -f '{{.State.Status}}' stopped
        ok "$h: nor does one without a policy" says exited $h inspect -f '{{.State.Status}}' none
        ok "$h: files are there" says before $h exec kept cat /file
        pid=$($h inspect -f '{{.State.Pid}}' always)
        ok "$h: killed, it is started again" kill -KILL "$pid"
        other() { local now; now=$($h inspect -f '{{.State.Pid}}' always); ((now > 0 && now != pid)); }
        ok "$h: by its policy" comes 20 other
        ok "$h: the store is whole" says "no problems" $h system check
        ok "$h: exec from a login is in its group" own_group $h
        ok "$h: autostart remove" $h autostart remove
        ok "$h: rm" $h rm -fa
    done
    ok "it was the system's unit" says active systemctl is-active husk-autostart.service
    ok "and the user's" says active as_joe systemctl --user is-active husk-autostart.service
    finish
fi

useradd -m -u 1000 joe
install -d -o joe -g joe /persist/joe
printf 'joe:100000:65536\n' | tee /etc/subuid >/etc/subgid
mkdir -p /var/lib/systemd/linger
touch /var/lib/systemd/linger/joe
systemctl start user@1000.service

# ---- systemd as PID 1: root's from the machine's own Debian, the user's from an image ----
ok "import as joe" as_joe env LD_LIBRARY_PATH="$libs" "$husk" import "$debian" debian
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

# ---- the real journald, which this machine has masked ----
rm -f /etc/systemd/system/systemd-journald*
systemctl daemon-reload
ok "import busybox" env LD_LIBRARY_PATH="$libs" "$husk" import "$tar" busybox
ok "import busybox as joe" as_joe env LD_LIBRARY_PATH="$libs" "$husk" import "$tar" busybox
ok "journald starts" systemctl start systemd-journald.socket systemd-journald.service
ok "a container logs to it" "$husk" run --name jay --network none --label tier=web --log-driver journald --log-opt labels=tier busybox sh -c 'echo out; echo err >&2; printf torn'
field() { says "$2" journalctl -o json --no-pager "CONTAINER_NAME=jay" "$1"; }
ok "journalctl has its lines" comes 20 field PRIORITY=6 '"MESSAGE":"out"'
ok "stderr's are errors" comes 20 field PRIORITY=3 '"MESSAGE":"err"'
ok "with its id" field PRIORITY=6 "\"CONTAINER_ID_FULL\":\"$("$husk" inspect -f '{{.Id}}' jay)\""
ok "and the label" field PRIORITY=6 '"TIER":"web"'
ok "husk logs reads them back" says $'out\nerr\ntorn' "$husk" logs jay
ok "rm jay" "$husk" rm jay

# ---- autostart: what it writes, as these inits take it ----
start_all() { # HUSK NAME=POLICY...
    local h=$1 what
    shift
    for what; do
        $h run -d --name "${what%=*}" --restart "${what#*=}" --stop-timeout 1 --network none busybox \
            sh -c 'echo before >>/file; trap "exit 0" TERM; while :; do sleep 0.5; done' || return
    done
    $h stop -t 0 by-hand stopped
}
user_ctl() { as_joe systemctl --user "$@"; }
systemctl mask --quiet getty.target # waits for a device that nobody announces without udev
for h in root_husk joe_husk; do
    ok "$h: containers with policies" start_all $h always=always by-hand=always kept=unless-stopped stopped=unless-stopped none=no
    ok "$h: autostart install" says husk-autostart.service $h autostart install
done
for ctl in systemctl user_ctl; do
    $ctl daemon-reload
    ok "$ctl: the unit is enabled" says enabled $ctl is-enabled husk-autostart.service
    ok "$ctl: the unit starts" $ctl start husk-autostart.service
done
none_failed || finish
: >/persist/rebooted
systemctl reboot
sleep 1000
