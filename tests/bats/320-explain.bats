#!/usr/bin/env bats
# husk explain: the start's table as it happened, and a script of ordinary commands that makes the same container.
# shellcheck disable=SC2016,SC2154

load helpers

setup_file() { setup_both_stores; }

teardown() {
    remove_all_containers
}

# What a container says of itself; everything that differs from start to start is left out.
SAY='exec 2>&1; hostname; echo "pid $$"; id; tr -s " " </proc/self/uid_map; grep -E "^(Cap|NoNew)" /proc/self/status; ulimit -n
     sed "s/ - / - /" /proc/self/mountinfo | awk "{ for (i = 7; \$i != \"-\"; i++); print \$5, \$6, \$(i + 1) }" | sort
     for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n | cut -d: -f1; done
     ls -l /dev | awk "{ print \$1, \$NF }"; pwd; echo "A=$A"; cat /proc/keys | wc -c; ls -A /proc/acpi 2>/dev/null | wc -l
     echo x 2>/dev/null >/proc/sys/kernel/shmmax || echo protected; echo hello >/made && cat /made; ip -o link show lo | grep -c LOOPBACK,UP'

@test "explain: every row that a start has, with its time and its commands" {
    husk run --name ex --hostname box --network none --memory 64m busybox true
    run husk explain ex
    expect 0
    local row
    for row in "make the control group" "make the process and its namespaces" "mount the root file system" "mount file systems" \
        "make devices" "set the host name" "hide and protect paths" "change the root" "enter the program"; do
        grep -Eq "^ *[0-9]+  (husk|clone|child) +[0-9.]+ us  $row\$" <<<"$output" || { echo "no row '$row' in:"; echo "$output"; return 1; }
    done
    output_has "unshare "
    output_has "mount -t overlay overlay -o lowerdir="
    output_has "mount -t proc proc"
    output_has "hostname box"
    output_has "pivot_root . ."
    output_has "setpriv"
    output_has "from the first row to the last"
    run husk explain nobody
    expect 1 "nobody"
    # one that never started has the table without times
    husk create --name never busybox true
    run husk explain never
    expect 0 "change the root"
    output_has '! us  '
}

# The same command by husk and by the script; their answers are compared.
compare() { # HUSK OPTIONS...
    local h=$1
    shift
    $h run --name by-husk "$@" busybox sh -c "$SAY" >"$T/tmp/by-husk" 2>&1
    $h explain --script by-husk >"$T/tmp/script"
    bash -n "$T/tmp/script"
    chmod 755 "$T/tmp/script"
    if [[ $h == husk ]]; then
        bash "$T/tmp/script" >"$T/tmp/by-script" 2>&1 </dev/null || { cat "$T/tmp/by-script"; return 1; }
    else
        as_user bash "$T/tmp/script" >"$T/tmp/by-script" 2>&1 </dev/null || { cat "$T/tmp/by-script"; return 1; }
    fi
    diff "$T/tmp/by-husk" "$T/tmp/by-script"
    # and nothing of it is left
    ! grep -F "$T/tmp" /proc/self/mountinfo
    ! find /sys/fs/cgroup -maxdepth 5 -type d -name '*-script' | grep .
    ! compgen -G "$T/tmp/tmp.*"
}

@test "explain --script: the script's container is the same, as root" {
    compare husk --hostname scripted --network none -e A=1 -w /tmp --memory 64m --pids-limit 50
}

@test "explain --script: volumes, tmpfs, devices, read-only root, capabilities, another user" {
    mkdir -p "$T/tmp/vol"
    compare husk --network none -v "$T/tmp/vol:/vol:ro" --tmpfs /scratch:size=1m --cap-drop all --cap-add chown --user 5:6 \
        --device /dev/zero:/dev/mine --ulimit nofile=99:99 --group-add 7
}

@test "explain --script: as an ordinary user" {
    compare user_husk --hostname scripted --network none -e A=1
}

@test "explain --script: the words of arguments and variables stay what they are" {
    husk run --name quote --network none -e "V=it's \$HOME \"x\" \\ \`id\`" busybox sh -c 'printf "%s|%s\n" "$V" "$1"' sh $'two\nlines; $(id)' >"$T/tmp/a"
    husk explain --script quote >"$T/tmp/script"
    bash "$T/tmp/script" >"$T/tmp/b" </dev/null
    diff "$T/tmp/a" "$T/tmp/b"
    # and its exit status is the program's
    husk run --name status --network none busybox sh -c 'exit 42' || [[ $? == 42 ]]
    husk explain --script status >"$T/tmp/script"
    run bash "$T/tmp/script"
    expect 42
}
