#!/usr/bin/env bats
# Terminals, input, output and logs of containers, seen by their users.
# shellcheck disable=SC2016 # the dollars are the containers'
load helpers

hrun() { husk run --network none "$@"; }
R=(--rootfs)
setup() {
    husk_setup
    R=(--rootfs "$IMAGES/rootfs")
}
on_terminal() { # SCRIPT CMD...
    printf '%s\n' "$1" >"$T/tmp/script"
    "$HUSK_TOP/tests/bats/terminal.py" "$T/tmp/script" "${@:2}"
}
# The client with this process id has a connection that the container's monitor has taken.
attached() {
    local monitor inode
    monitor=$(ps -o ppid= -p "$(husk inspect --format '{{.State.Pid}}' "$2")")
    for inode in $(readlink /proc/"$1"/fd/* | sed -n 's/^socket:.\([0-9]*\).$/\1/p'); do
        ss -xpn | grep -E "pid=${monitor// /}," | grep -qw "$inode" && return
    done
    return 1
}
has_log() { husk logs "$1" 2>&1 | grep -qF -- "$2"; }

@test "stdout and stderr come apart, and the exit code last" {
    local status=0
    hrun --rm "${R[@]}" sh -c 'echo out; echo err >&2; exit 5' >"$T/tmp/o" 2>"$T/tmp/e" || status=$?
    [[ $status -eq 5 && $(<"$T/tmp/o") == out && $(<"$T/tmp/e") == err ]]
}

@test "input from a pipe arrives whole, with its end" {
    [[ $(echo hi | hrun --rm -i "${R[@]}" cat) == hi ]]
    [[ $(hrun --rm -i "${R[@]}" wc -c </dev/null) == 0 ]]
    [[ $(hrun --rm "${R[@]}" wc -c <<<'not for it') == 0 ]]
    head -c 100000000 /dev/urandom >"$T/tmp/big"
    local want
    want=$(md5sum <"$T/tmp/big")
    [[ $(hrun --rm -i --log-driver none "${R[@]}" cat <"$T/tmp/big" | md5sum) == "$want" ]]
    # A reader that is slower than the program loses nothing either.
    head -c 3000000 "$T/tmp/big" >"$T/tmp/part"
    [[ $(hrun --rm -i "${R[@]}" cat <"$T/tmp/part" | { sleep 1; md5sum; }) == "$(md5sum <"$T/tmp/part")" ]]
    rm "$T/tmp/big"
}

@test "100 MB of text are in the log and on stdout, line for line" {
    local id n
    n=$(hrun --name big --log-opt max-size=400m "${R[@]}" \
        awk 'BEGIN { for (i = 0; i < 1300000; i++) printf "%07d 0123456789012345678901234567890123456789012345678901234567890123456789\n", i }' |
        tee >(md5sum >"$T/tmp/sum") | wc -l)
    [[ $n -eq 1300000 ]]
    wait_until 10 test -s "$T/tmp/sum"
    [[ $(husk logs big | md5sum) == "$(<"$T/tmp/sum")" ]]
    husk rm big
}

@test "binary output is passed on as it is, and kept in the log as far as JSON can" {
    local id
    hrun --name binary "${R[@]}" sh -c 'printf "a\377\000b\303\251\n"' >"$T/tmp/o"
    [[ $(od -An -tx1 "$T/tmp/o") == " 61 ff 00 62 c3 a9 0a" ]]
    [[ $(husk logs binary | od -An -tx1) == " 61 ef bf bd 00 62 c3 a9 0a" ]]
    husk rm binary
}

@test "the log is docker's format, with lines beyond 16 KiB in pieces" {
    local id file
    id=$(hrun -d "${R[@]}" sh -c 'printf "<tab>\t&\"\n"; head -c 20000 /dev/zero | tr "\0" x; echo; printf end')
    husk wait "$id"
    file=$HUSK_ROOT/containers/$id/log.json
    [[ $(wc -l <"$file") -eq 4 ]]
    grep -qE '^\{"log":"\\u003ctab\\u003e\\u0009\\u0026\\"\\n","stream":"stdout","time":"20[0-9-]+T[0-9:.]+Z"\}$' "$file"
    grep -qE '^\{"log":"x{16384}","stream"' "$file"
    grep -qE '^\{"log":"x{3616}\\n","stream"' "$file"
    grep -qE '^\{"log":"end","stream"' "$file"
    python3 -c 'import json, sys
for line in sys.stdin: json.loads(line)' <"$file"
}

@test "a terminal has the size of ours, follows it, and ours is put back" {
    run on_terminal $'see # \ntype stty size\\r\nsee 24 80\nsize 40 132\ntype sleep 0.3; stty size\\r\nsee 40 132\ntype exit 6\\r\nend' \
        "$HUSK" run --rm -it --network none "${R[@]}" sh
    expect 0 'status 6'
    expect 0 'terminal as before'
}

@test "detach, attach, attach again; the log has it all" {
    local id
    run on_terminal $'see ready\ntype one\\r\nsee got one\ntype \\x10\\x11\nend' \
        "$HUSK" run -it --name twice --network none "${R[@]}" sh -c 'echo ready; while read x; do [ "$x" = quit ] && exit 7; echo got $x; done'
    expect 0 'status 0'
    expect 0 'terminal as before'
    run on_terminal $'type two\\r\nsee got two\ntype ~\\x04\nend' "$HUSK" attach --detach-keys '~,ctrl-d' twice
    expect 0 'terminal as before'
    run husk ps --quiet --filter name=twice --filter status=running
    expect 0 '~[0-9a-f]'
    run on_terminal $'type quit\\r\nend' "$HUSK" attach twice
    expect 0 'status 7'
    has_log twice 'got one'
    has_log twice 'got two'
    husk rm twice
}

@test "two clients at once see the same" {
    husk run -d -i --name both --network none "${R[@]}" sh -c 'read go; for i in 1 2 3; do echo line $i; done; exit 4'
    "$HUSK" attach --no-stdin both >"$T/tmp/a" 3>&- &
    local a=$! status=0
    wait_until 10 attached "$a" both
    echo go | husk attach both >"$T/tmp/b" || status=$?
    [[ $status -eq 4 ]]
    wait $a || status=$?
    [[ $status -eq 4 ]]
    [[ $(<"$T/tmp/a") == $'line 1\nline 2\nline 3' ]]
    cmp "$T/tmp/a" "$T/tmp/b"
    husk rm both
}

@test "signals of the command reach the program" {
    local status=0
    "$HUSK" run --rm --name signals --network none "${R[@]}" sh -c 'trap "echo usr1" USR1; trap "echo term; exit 11" TERM; echo ready; while :; do sleep 0.1; done' \
        >"$T/tmp/o" 3>&- &
    wait_until 10 grep -q ready "$T/tmp/o"
    kill -USR1 $!
    wait_until 10 grep -q usr1 "$T/tmp/o"
    kill -TERM $!
    wait $! || status=$?
    [[ $status -eq 11 ]]
}

@test "a killing signal puts the terminal back" {
    run on_terminal $'see ready\nsignal 9\nend' "$HUSK" run -it --name killed --network none "${R[@]}" sh -c 'echo ready; sleep 100'
    expect 0 'status -9'
    run on_terminal $'signal 15\nend' "$HUSK" attach --sig-proxy=false killed
    expect 0 'terminal as before'
    husk rm --force killed
}

@test "logs: tail, times, since, until, follow" {
    local id from
    husk run -d --name talk --network none "${R[@]}" \
        sh -c 'for i in 1 2 3; do echo early $i; done; sleep 1.2; echo late >&2; sleep 1; echo last; exit 2'
    run timeout 20 "$HUSK" logs --follow talk
    expect 0 $'early 1\nearly 2\nearly 3\nlate\nlast'
    run husk logs --tail 2 talk
    expect 0 $'=late\nlast'
    run husk logs --tail 0 talk
    expect 0 =
    run husk logs --timestamps --tail 1 talk
    expect 0 '~^20[0-9-]{8}T[0-9:]{8}\.[0-9]{9}Z last$'
    from=$(husk logs -t talk 2>&1 >/dev/null | cut -d' ' -f1)
    run husk logs --since "$from" talk
    expect 0 $'=late\nlast'
    run husk logs --until "$from" talk
    expect 0 $'=early 1\nearly 2\nearly 3\nlate'
    husk logs talk >"$T/tmp/o" 2>"$T/tmp/e"
    [[ $(<"$T/tmp/e") == late && $(wc -l <"$T/tmp/o") -eq 4 ]]
    husk rm talk
}

@test "a log that was cut in the middle of a line is read up to it" {
    local id
    id=$(hrun -d "${R[@]}" sh -c 'echo one; echo two')
    husk wait "$id"
    truncate -s -10 "$HUSK_ROOT/containers/$id/log.json"
    run husk logs "$id"
    expect 0 =one
}
