#!/usr/bin/env bats
# husk autostart: restart policies hold over a reboot, with the init at hand.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

# A system's root in which the sign of an init is.
make_root() { # SIGN
    local root=$T/tmp/sys
    rm -rf "$root"
    mkdir -p "$root/$1"
    chmod -R a+rwx "$root"
    echo "$root"
}

@test "the unit is written for the init at hand, once or twice, and taken away again" {
    local root row sign file link
    while IFS='|' read -r sign file link; do
        root=$(make_root "$sign")
        run husk autostart status --root-dir "$root"
        expect 0 'not installed: husk autostart install'
        husk autostart install --root-dir "$root"
        husk autostart install --root-dir "$root"
        grep -q 'autostart run$' "$root$file" || { cat "$root$file"; return 1; }
        grep -q "HUSK_ROOT.*$HUSK_ROOT" "$root$file"
        [[ -L $root$link ]]
        run husk autostart status --root-dir "$root"
        expect 0 "installed in $root$file"
        run husk autostart install --print --root-dir "$root"
        expect 0 "# $root$file"
        husk autostart remove --root-dir "$root"
        husk autostart remove --root-dir "$root"
        [[ ! -e $root$file && ! -L $root$link ]]
    done <<'EOT'
run/systemd/system|/etc/systemd/system/husk-autostart.service|/etc/systemd/system/multi-user.target.wants/husk-autostart.service
run/openrc|/etc/init.d/husk-autostart|/etc/runlevels/default/husk-autostart
run/runit|/etc/sv/husk-autostart/run|/etc/service/husk-autostart
EOT
    # An ordinary user's, with the advice that makes it start at the boot
    root=$(make_root run/systemd/system)
    mkdir -p "$root$USER_HOME" "$root/var/lib/systemd/linger"
    chmod -R a+rwx "$root"
    run as_user husk autostart install --root-dir "$root"
    expect 0 "loginctl enable-linger $HUSK_USER"
    [[ -e $root$USER_HOME/.config/systemd/user/husk-autostart.service ]]
    touch "$root/var/lib/systemd/linger/$HUSK_USER"
    run as_user husk autostart install --root-dir "$root"
    [[ $output != *enable-linger* ]]
    as_user husk autostart remove --root-dir "$root"
    rm -rf "$root"
    run husk autostart install --init upstart
    expect 1 'is not one of systemd, systemd-user, openrc, runit, cron'
    mkdir "$T/tmp/none"
    run husk autostart install --root-dir "$T/tmp/none"
    expect 1 'no init is known here'
}

@test "the systemd unit is one that systemd-analyze finds nothing wrong with, the scripts are shell" {
    local root
    root=$(make_root run/systemd/system)
    husk autostart install --root-dir "$root" >/dev/null
    if command -v systemd-analyze >/dev/null; then
        run systemd-analyze verify --man=no "$root/etc/systemd/system/husk-autostart.service"
        [[ $output != *husk-autostart.service:* ]] || { echo "$output"; return 1; }
    fi
    for init in openrc runit; do
        husk autostart install --print --init "$init" | bash -n
    done
    rm -rf "$root"
}

@test "cron: a line is added to the user's table, and only that is taken away" {
    mkdir "$T/tmp/bin"
    printf '#!/bin/sh\nif [ "$1" = -l ]; then cat "%s" 2>/dev/null; else cat >"%s.new" && mv "%s.new" "%s"; fi\n' \
        "$T/tmp/table" "$T/tmp/table" "$T/tmp/table" "$T/tmp/table" >"$T/tmp/bin/crontab"
    chmod 755 "$T/tmp/bin/crontab"
    echo '5 4 * * * backup' >"$T/tmp/table"
    PATH=$T/tmp/bin:$PATH
    husk autostart install --init cron
    husk autostart install --init cron
    [[ $(grep -c '^@reboot .*autostart run' "$T/tmp/table") -eq 1 && $(head -n 1 "$T/tmp/table") == '5 4 * * * backup' ]]
    run husk autostart status --init cron
    expect 0 'cron: installed in'
    husk autostart remove --init cron
    [[ $(<"$T/tmp/table") == '5 4 * * * backup' ]]
}

# The processes die and the run-time folder is gone, as after a reboot.
reboot() {
    local id pid
    for id in $($h ps -q --no-trunc); do
        pid=$($h inspect --format '{{.State.Pid}}' "$id")
        # shellcheck disable=SC2046 # pids
        kill -KILL $(grep -lzx "id[=]$id" /proc/[0-9]*/cmdline | cut -d/ -f3) "$pid"
        wait_until 10 gone "$pid"
    done
    rm -rf "${run_:?}"/[0-9a-f]*
}

@test "after a reboot run starts what its policy wants: always, and unless-stopped that nobody stopped" {
    local h run_ name
    for h in husk 'as_user husk'; do
        run_=$HUSK_RUN
        [[ $h == husk ]] || run_=$USER_RUN/husk
        for name in always always-stopped unless unless-stopped fails none; do
            case $name in
            always*) policy=always ;;
            unless*) policy=unless-stopped ;;
            fails) policy=on-failure ;;
            none) policy=no ;;
            esac
            $h run -d --name "$name" --restart "$policy" --stop-signal KILL --network none busybox sleep 1000 >/dev/null
        done
        $h stop -t 0 always-stopped unless-stopped
        run $h autostart status --init cron
        [[ $output == *always*running*unless*running* && $output != *none* ]]
        reboot
        [[ ! $($h ps -q) ]]
        run $h autostart run
        expect 0
        [[ $($h ps --format '{{.Names}}' | sort | tr '\n' ' ') == 'always always-stopped unless ' ]] || { $h ps -a; return 1; }
        # Down in order: stopped, and still wanted.
        $h autostart stop
        [[ ! $($h ps -q) ]]
        reboot
        $h autostart run
        [[ $($h ps --format '{{.Names}}' | sort | tr '\n' ' ') == 'always always-stopped unless ' ]] || { $h ps -a; return 1; }
        $h rm -fa >/dev/null
    done
}

@test "a container that cron started, without XDG_RUNTIME_DIR, is the one that a login shell finds, and the other way round" {
    ((EUID == 0)) || skip "kernel: /tmp is replaced for this test alone"
    local uid
    as_user load_busybox
    uid=$(id -u "$HUSK_USER")
    install -d -m 700 -o "$HUSK_USER" "$T/xdg"
    cat >"$T/tmp/script" <<'END'
set -e
mount -t tmpfs tmpfs /tmp
[[ ! -d /run/user ]] || mount -t tmpfs tmpfs /run/user
chmod 1777 /tmp
cron() { as_user env -u HUSK_RUN -u XDG_RUNTIME_DIR "$HUSK" "$@"; }
login() { as_user env -u HUSK_RUN XDG_RUNTIME_DIR="$T/xdg" "$HUSK" "$@"; }
cron run -d --name cc --network none busybox sleep 1000
[[ $(login ps --format '{{.Names}} {{.State}}') == "cc running" && ! -e $T/xdg/husk ]]
login exec cc true
login stop -t 0 cc
[[ $(cron ps -a --format '{{.State}}') == exited ]]
# what another boot left is not taken for this one's
touch -d '2 years ago' /tmp/husk-$uid
login start cc
[[ -d $T/xdg/husk && $(login ps -q) ]]
login rm -f cc
# nor what is another user's
rm -rf /tmp/husk-$uid "$T/xdg/husk"
mkdir -m 700 /tmp/husk-$uid
login create --name cc --network none busybox true
[[ ! $(ls -A /tmp/husk-$uid) ]]
login rm --no-trash cc
END
    export -f as_user
    export uid T HUSK HUSK_USER USER_HOME
    run unshare --mount --propagation private bash "$T/tmp/script"
    expect 0
}
