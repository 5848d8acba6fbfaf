#!/usr/bin/env bats
# Every flag of runc 1.2's and crun 1.15's command lines is honoured by husk-oci, or refused with a reason. The lists are
# from their manual pages; what the runc and crun of this host have beyond them is found by asking them.
# shellcheck disable=SC2154

load helpers
load oci

teardown() {
    remove_oci
}

# COMMAND | FLAGS: long ones; "=" takes a value. What each does is tested where it belongs: 300, 310, 320 to 329.
flags() {
    cat <<'END'
-          | root= log= log-format= log-level= debug systemd-cgroup cgroup-manager= rootless= criu= version help
checkpoint | image-path= work-path= parent-path= leave-running tcp-established ext-unix-sk shell-job lazy-pages status-fd= page-server= file-locks pre-dump manage-cgroups-mode= empty-ns= auto-dedup link-remap network-lock=
create     | bundle= config= console-socket= pidfd-socket= pid-file= no-pivot no-new-keyring no-subreaper preserve-fds=
delete     | force regex
events     | interval= stats
exec       | console-socket= pidfd-socket= cwd= env= tty user= additional-gids= process= detach pid-file= process-label= apparmor= no-new-privs cap= preserve-fds= cgroup= ignore-paused
kill       | all regex
list       | format= quiet
ps         | format=
restore    | console-socket= image-path= work-path= tcp-established tcp-close ext-unix-sk shell-job file-locks manage-cgroups-mode= bundle= detach pid-file= no-subreaper no-pivot empty-ns= auto-dedup lazy-pages lsm-profile= lsm-mount-context=
run        | bundle= config= console-socket= pidfd-socket= detach keep pid-file= no-pivot no-new-keyring no-subreaper preserve-fds=
spec       | bundle= rootless file=
update     | resources= blkio-weight= cpu-period= cpu-quota= cpu-burst= cpu-share= cpu-rt-period= cpu-rt-runtime= cpuset-cpus= cpuset-mems= kernel-memory= kernel-memory-tcp= memory= memory-reservation= memory-swap= cpu-idle= pids-limit= l3-cache-schema= mem-bw-schema=
start      |
state      |
pause      |
resume     |
features   |
mounts     |
END
}
# One letter each: COMMAND LETTERS
letters() {
    cat <<'END'
create b f
delete f r
exec e t u g p d c
kill a r
list f q
ps f
restore b d
run b f d
spec b f
update r
END
}

known() { # COMMAND: what husk-oci's own table has, "name" or "name="
    "$HUSK_OCI" --introspect | jq -r --arg c "$1" '.[] | select(.name == $c) | .options[] | select(.name) | .name + (if .type == "flag" then "" else "=" end)'
}
global_known() { "$HUSK_OCI" --help | sed -n '/^Options before the command/,$s/^ *--\([a-z-]*\) \([A-Z].*\)\{0,1\}.*/\1/p'; }

@test "flags: each of runc's and crun's is in the table" {
    local command names name wrong=0 rows=0 mine
    while IFS='|' read -r command names; do
        command=${command// /}
        rows=$((rows + 1))
        if [[ $command == - ]]; then
            mine=$("$HUSK_OCI" --help)
            for name in $names; do
                [[ $name == help || $mine == *"--${name%=}"* ]] || { echo "not there: --$name"; wrong=1; }
            done
            continue
        fi
        "$HUSK_OCI" --introspect | jq -e --arg c "$command" 'any(.[]; .name == $c)' >/dev/null || { echo "no command $command"; wrong=1; }
        mine=" $(known "$command" | tr '\n' ' ')"
        for name in $names; do
            [[ $mine == *" $name "* ]] || { echo "$command lacks --$name (has:$mine)"; wrong=1; }
        done
    done < <(flags)
    ((rows == 19 && wrong == 0))
}

@test "flags: the letters, too" {
    local command letters letter mine wrong=0
    while read -r command letters; do
        mine=$("$HUSK_OCI" "$command" --help)
        for letter in $letters; do
            grep -qE "^ +-$letter[, ]" <<<"$mine" || { echo "$command lacks -$letter"; wrong=1; }
        done
    done < <(letters)
    ((wrong == 0))
}

@test "flags: this host's runc and crun have none beyond them" {
    command -v runc >/dev/null && command -v crun >/dev/null
    local command theirs name wrong=0 all
    all=$(flags)
    for command in checkpoint create delete events exec kill list pause ps restore resume run spec start state update; do
        mine=" $(sed -n "s/^$command *| *//p" <<<"$all" | tr -d '=') "
        theirs=$(runc "$command" --help | sed -n '/^OPTIONS/,$s/^ *--\([a-z0-9-]*\).*/\1/p'
            crun "$command" --help 2>/dev/null | sed -n 's/^ *\(-.,\)\{0,1\} *--\([a-z0-9-]*\).*/\2/p' | grep -vxE 'help|usage|version') || true
        for name in $theirs; do
            [[ $mine == *" $name "* ]] || { echo "$command: --$name is theirs"; wrong=1; }
        done
    done
    ((wrong == 0))
}

@test "flags: what is refused says why" {
    bundle '.process.args = ["sleep", "1000"]'
    oci run -d -b "$B" c1 >/dev/null 2>&1 </dev/null
    check_table oci <<END
update --l3-cache-schema L3:0=f c1                    | 1 | no resctrl file system is mounted: 'mount -t resctrl resctrl
update --mem-bw-schema MB:0=9 c1                      | 1 | no resctrl file system is mounted: 'mount -t resctrl resctrl
restore --console-socket x --image-path "$B" -b "$B" c2 | 1 | terminal
restore --image-path /no/such -b "$B" c2              | 1 | --image-path '/no/such'
checkpoint --parent-path /x --image-path "$B/i" c1    | 1 | relative
checkpoint --empty-ns pid --image-path "$B/i" c1      | 1 | only the network
checkpoint --manage-cgroups-mode x --image-path "$B/i" c1 | 1 | --manage-cgroups-mode: 'x'
checkpoint --network-lock x --image-path "$B/i" c1    | 1 | --network-lock: 'x'
checkpoint --page-server x --image-path "$B/i" c1     | 1 | --page-server: 'x' is not ADDRESS:PORT
--criu /no/criu checkpoint --image-path "$B/i" c1     | 1 | '/no/criu' is not installed
checkpoint --image-path "$B/i" nope                   | 1 | container 'nope' does not exist
--log-format xml list                                 | 1 | xml
--log-level loud list                                 | 1 | loud
--log syslog:x list                                   | 1 | ~(/dev/log|^$)
--rootless maybe list                                 | 1 | maybe
END
    [[ $(oci state c1 | jq -r .status) == running ]]
    [[ $(oci list -q) == c1 ]]
    oci delete --force c1
}

@test "flags: --log and its forms" {
    bundle
    check_table oci <<END
--log "file:$T/tmp/l1" --log-format json state nope | 1 | does not exist
--log "$T/tmp/l2" state nope                        | 1 | does not exist
--debug --log "$T/tmp/l3" list                      | 0 |
END
    [[ $(jq -r .level "$T/tmp/l1") == error ]]
    grep -q "^husk: error: container 'nope' does not exist" "$T/tmp/l2"
    # syslog: and journald: are sockets of the host: a host of our own has them
    ((EUID == 0)) || return 0
    cat >"$T/tmp/syslog.py" <<'PY'
import os, socket, subprocess, sys
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); s.settimeout(30)
subprocess.run(sys.argv[2:], stderr=subprocess.DEVNULL)
print(s.recv(4096).decode())
PY
    run unshare -m sh -c 'mount -t tmpfs none /run && exec "$@"' - python3 "$T/tmp/syslog.py" /run/systemd/journal/dev-log "$HUSK_OCI" --root "$T/tmp/x" --log journald:husk-test state nope
    expect 0 "<11>husk-test: container 'nope' does not exist"
}

@test "a shell job has its own session, as under runc" {
    bundle "$(sh_c 'cut -d" " -f6 /proc/1/stat; ls -l /proc/self/fd/0 | sed "s/.*-> //"')"
    run oci run -b "$B" c1 </dev/null
    expect 0 "=1
/dev/null"
}

@test "one dash for two before a long option, as runc takes it: containerd's restore says -no-subreaper" {
    check_table oci <<'END'
restore -no-subreaper --image-path /nope c1 | 1   | --image-path '/nope'
restore -image-path=/nope c1                | 1   | --image-path '/nope'
list -format json                           | 0   | =[]
kill -all c1                                | 1   | 'c1' does not exist
restore -no-such c1                         | 1   | unknown option '-n'
END
}
