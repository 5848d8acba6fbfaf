#!/usr/bin/env bats
# Where output is kept: the file within its limits of size and age, the journal, nowhere; and how it is read again.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

# A journal of our own: each datagram is one line of JSON in $T/tmp/journal.
start_journal() {
    rm -f "$T/tmp/journal.sock" "$T/tmp/journal"
    python3 -c '
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
out = open(sys.argv[2], "a", buffering=1)
while True:
    fields = dict(f.split("=", 1) for f in s.recv(1 << 20).decode("utf-8", "replace").split("\n") if f)
    out.write(json.dumps(fields) + "\n")
' "$T/tmp/journal.sock" "$T/tmp/journal" 3>&- &
    journal=$!
    wait_until 10 test -S "$T/tmp/journal.sock"
    export HUSK_JOURNAL_SOCKET=$T/tmp/journal.sock
}
stop_journal() {
    kill "$journal"
    wait "$journal" 2>/dev/null || true
}
journal_has() { grep -qF -- "$1" "$T/tmp/journal"; }

@test "drivers and options: what there is, and what is refused" {
    check_table <<'EOT'
run --rm --log-driver local busybox true                  | 0   |
run --rm --log-driver k8s-file busybox true               | 0   |
run --rm --log-driver syslog busybox true                 | 125 | --log-driver: 'syslog' is not one of json-file (local and k8s-file are the same), journald
run --rm --log-opt max-age=0 busybox true                 | 125 | --log-opt
run --rm --log-opt max-age=3x busybox true                | 125 | --log-opt
run --rm --log-opt max-age=12h --log-opt max-age=-1 busybox true | 0 |
run --rm --log-opt mode=non-blocking busybox true         | 0   |
run --rm --log-opt mode=x busybox true                    | 125 | neither blocking nor non-blocking
run --rm --log-opt mode=non-blocking --log-opt max-buffer-size=4m busybox true | 0 |
run --rm --log-opt max-buffer-size=4m --log-opt mode=non-blocking busybox true | 0 |
run --rm --log-opt max-buffer-size=4m busybox true        | 125 | max-buffer-size is for mode=non-blocking
run --rm --log-opt mode=non-blocking --log-opt max-buffer-size=1k busybox true | 125 | 64k to 1g
run --rm --log-opt compress=maybe busybox true            | 125 | --log-opt
run --rm --log-opt compress=true --log-opt max-file=1 busybox true | 125 | compress is for logs that are rotated
run --rm --log-opt compress=true --log-opt max-size=-1 busybox true | 125 | compress is for logs that are rotated
run --rm --log-opt compress=false --log-opt max-file=1 busybox true | 0 |
run --rm --log-opt 'labels-regex=^(a' busybox true        | 125 | is no extended regular expression
run --rm --log-opt 'env-regex=[' busybox true             | 125 | is no extended regular expression
run --rm --log-opt path=/tmp/x busybox true               | 125 | a log stays with its container
run --rm --log-opt 'tag={{.Nope}}' busybox true           | 125 | --log-opt tag
run --rm --log-driver passthrough --restart always busybox true | 125 | exclude each other
run -t --rm --log-driver passthrough busybox true         | 125 | exclude each other
EOT
    HUSK_JOURNAL_SOCKET=$T/tmp/none run husk run --rm --log-driver journald busybox true
    expect 125 'there is no journal at'
    husk create --name inspect --log-driver local --log-opt max-age=7d --log-opt 'tag={{.Name}}' --log-opt labels=a,b busybox true
    husk create --name more --log-opt compress=true --log-opt labels-regex=^a --log-opt env-regex=^B --log-opt mode=non-blocking busybox true
    run husk inspect --format '{{json .HostConfig.LogConfig.Config}}' more
    [[ $output == *'"compress":"true"'* && $output == *'"labels-regex":"^a"'* && $output == *'"env-regex":"^B"'* &&
        $output == *'"mode":"non-blocking"'* && $output == *'"max-buffer-size":"1048576"'* ]]
    run husk inspect --format '{{.HostConfig.LogConfig.Type}} {{json .HostConfig.LogConfig.Config}}' inspect
    expect 0 'json-file {'
    [[ $output == *'"max-age":"604800s"'* && $output == *'"tag":"{{.Name}}"'* && $output == *'"labels":"a,b"'* ]]
}

@test "tag, labels and variables are with each line, and --details shows them" {
    local h
    for h in husk 'as_user husk'; do
        $h run --name det --label tier=web --label other=x -e "COLOR=deep blue" --log-opt 'tag={{.Name}}/{{.ImageName}}' \
            --log-opt labels=tier,missing --log-opt env=COLOR busybox echo hello
        run $h logs --details det
        expect 0 '=tag=det/busybox,tier=web,COLOR=deep blue hello'
        run $h logs det
        expect 0 =hello
        run $h logs -t --details det
        expect 0 '~^20[0-9-]+T[0-9:.]+Z tag='
    done
    husk run --name fit --label tier=web --label zone=a --label other=x -e COLOR=red -e SIZE=big --log-opt labels=tier \
        --log-opt 'labels-regex=^(tier|zo)' --log-opt 'env-regex=OLOR$' busybox echo hello
    run husk logs --details fit
    expect 0 '=tier=web,zone=a,COLOR=red hello'
    husk run --name plain busybox echo hello
    run husk logs --details plain
    expect 0 '= hello'
}

@test "the journal gets each line with its fields, long ones in parts, and logs still reads the file" {
    local n
    start_journal
    husk run --name jay --label tier=web --log-driver journald --log-opt labels=tier busybox \
        sh -c 'echo out; echo err >&2; head -c 40000 /dev/zero | tr "\0" x; echo; printf last'
    wait_until 10 journal_has '"MESSAGE": "last"'
    python3 - "$T/tmp/journal" <<'PY'
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
by = {r["MESSAGE"][:4]: r for r in rows}
assert by["out"]["PRIORITY"] == "6" and by["err"]["PRIORITY"] == "3", rows
assert by["out"]["CONTAINER_NAME"] == "jay" and by["out"]["IMAGE_NAME"] == "busybox" and by["out"]["TIER"] == "web"
assert by["out"]["CONTAINER_ID"] == by["out"]["CONTAINER_ID_FULL"][:12] == by["out"]["SYSLOG_IDENTIFIER"]
xs = [r for r in rows if r["MESSAGE"].startswith("x")]
assert "".join(r["MESSAGE"] for r in xs) == "x" * 40000, len(xs)
assert [r.get("CONTAINER_PARTIAL_MESSAGE") for r in xs] == ["true", "true", None], xs
PY
    run husk logs --tail 1 jay
    expect 0 =last
    # As the ordinary user, and over a restart of the journal
    stop_journal
    start_journal
    as_user env HUSK_JOURNAL_SOCKET="$HUSK_JOURNAL_SOCKET" "$HUSK" run -d --name uj --log-driver journald busybox \
        sh -c 'i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done'
    wait_until 10 journal_has 'tick 3'
    stop_journal
    start_journal
    wait_until 10 journal_has 'tick '
    stop_journal
}

# A journal that takes nothing until the file $T/tmp/take is there, then all: its lines' last words go to $T/tmp/taken.
start_sleeping_journal() {
    rm -f "$T/tmp/journal.sock" "$T/tmp/take" "$T/tmp/taken"
    python3 -c '
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1] + "/journal.sock")
os.chmod(sys.argv[1] + "/journal.sock", 0o777)
while not os.path.exists(sys.argv[1] + "/take"): time.sleep(0.02)
out = open(sys.argv[1] + "/taken", "w", buffering=1)
while True: out.write(s.recv(1 << 20).decode().split("MESSAGE=")[1])
' "$T/tmp" 3>&- &
    journal=$!
    wait_until 10 test -S "$T/tmp/journal.sock"
    export HUSK_JOURNAL_SOCKET=$T/tmp/journal.sock
}

@test "mode=non-blocking: a journal that takes nothing holds nobody up, and gets all that fits into the buffer later" {
    local h
    for h in husk 'as_user env HUSK_JOURNAL_SOCKET=XX '"$HUSK"; do
        start_sleeping_journal
        h=${h/XX/$HUSK_JOURNAL_SOCKET}
        $h run -d --name nb --log-driver journald --log-opt mode=non-blocking busybox \
            sh -c 'i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done; echo written >/done; sleep 1000'
        wait_until 10 $h exec nb test -e /done
        [[ ! -s $T/tmp/taken ]]
        touch "$T/tmp/take"
        wait_until 10 eval "[[ \$(tail -n 1 '$T/tmp/taken') == 'line 1999' ]]"
        diff <(seq -f 'line %.0f' 0 1999) "$T/tmp/taken"
        $h rm -f nb
        stop_journal
    done
    # What does not fit is lost and counted.
    start_sleeping_journal
    husk run -d --name nb --log-driver journald --log-opt mode=non-blocking --log-opt max-buffer-size=64k busybox \
        sh -c 'i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i+1)); done'
    touch "$T/tmp/take"
    husk wait nb
    stop_journal
    [[ $(husk logs nb | wc -l) -eq 3000 ]]
}

@test "compress: rotated files are packed, and logs reads them, its ends, times and followers too" {
    local h root id dir
    for h in root_husk user_husk; do
        root=$HUSK_ROOT
        [[ $h == root_husk ]] || root=$USER_HOME/root
        id=$($h run -d --name gz --log-opt max-size=16k --log-opt max-file=6 --log-opt compress=true busybox \
            sh -c 'i=0; while [ $i -lt 800 ]; do echo "line $i of some length"; i=$((i+1)); done; sleep 1000')
        dir=$root/containers/$id
        wait_until 10 test -e "$dir/log.json.4.gz"
        wait_until 10 test ! -e "$dir/log.json.2"
        wait_until 10 test ! -e "$dir/log.json.4"
        [[ -e $dir/log.json.1 && -e $dir/log.json.2.gz && -e $dir/log.json.3.gz ]]
        gzip -t "$dir"/log.json.*.gz
        $h logs gz >"$T/tmp/all"
        [[ $(tail -n 1 "$T/tmp/all") == 'line 799 of some length' ]]
        diff <(seq -f 'line %.0f of some length' "$((800 - $(wc -l <"$T/tmp/all")))" 799) "$T/tmp/all"
        [[ $(wc -l <"$T/tmp/all") -eq $(cat "$dir"/log.json "$dir"/log.json.1 <(gzip -dc "$dir"/log.json.*.gz) | wc -l) ]]
        $h logs --tail 500 gz | diff - <(tail -n 500 "$T/tmp/all")
        $h logs -t --tail 500 gz >"$T/tmp/timed"
        $h logs --since "$(head -n 1 "$T/tmp/timed" | cut -d' ' -f1)" gz | diff - <(tail -n 500 "$T/tmp/all")
        [[ $($h top gz | grep -c husk-pack) == 0 ]]
        $h rm -f gz
    done
}

@test "compress: whoever follows while files are packed and rotated sees each line once" {
    local lines
    husk run -d --name fz --log-opt max-size=64k --log-opt max-file=200 --log-opt compress=true busybox \
        sh -c 'i=0; while [ $i -lt 30000 ]; do echo "line $i"; i=$((i+1)); done'
    husk logs -f fz >"$T/tmp/followed"
    diff <(seq -f 'line %.0f' 0 29999) "$T/tmp/followed"
    husk logs fz | diff <(seq -f 'line %.0f' 0 29999) -
    ls "$HUSK_ROOT"/containers/*/log.json.*.gz >/dev/null
}

@test "compress: a packer that is killed leaves the original, and the next one packs it; one that is not there loses nothing" {
    local id dir pid i file
    id=$(husk run -d --name kz --log-opt max-size=2m --log-opt max-file=4 --log-opt compress=true busybox \
        sh -c 'while :; do while [ ! -e /go ]; do sleep 0.05; done; rm /go; yes "some line of a log" | head -n 30000; done')
    dir=$HUSK_ROOT/containers/$id
    for i in 1 2 3; do
        husk exec kz touch /go
        wait_until 10 test -e "$dir/log.json.1"
        for pid in $(pgrep -f "husk-pack $dir"); do kill -KILL "$pid" 2>/dev/null || true; done
    done
    wait_until 20 eval "husk exec kz touch /go; test -e '$dir/log.json.3.gz'"
    # from here on nobody rotates
    husk stop -t 0 kz
    wait_until 10 eval "! pgrep -f 'husk-pack $dir'"
    "${HUSK%/bin/husk}/libexec/husk/husk-pack" "$dir" 2
    [[ ! $(find "$dir" -name '*.pack') && ! -e $dir/log.json.2 && ! -e $dir/log.json.3 ]]
    gzip -t "$dir"/log.json.*.gz
    # both are there: the original counts
    file=$(find "$dir" -name '*.gz' | head -n 1)
    gzip -dc "$file" >"${file%.gz}"
    husk logs kz | head -n -1 | sort -u | diff - <(echo 'some line of a log') # the last may be half a line of the program's
    run husk system check
    expect 0 'no problems'
}

@test "passthrough: the program has our streams, and there is no log" {
    husk run --rm --log-driver passthrough busybox sh -c 'echo out; echo err >&2; cat' <<<"in" >"$T/tmp/out" 2>"$T/tmp/err"
    [[ $(<"$T/tmp/out") == out$'\n'in && $(<"$T/tmp/err") == err ]]
    husk run --name pass --log-driver passthrough busybox true </dev/null
    run husk logs pass
    expect 1 'keeps no log: it was made with --log-driver passthrough'
    echo end >"$T/tmp/script"
    run python3 "$HUSK_TOP/tests/bats/terminal.py" "$T/tmp/script" "$HUSK" run --rm --log-driver passthrough busybox true
    [[ $output == *'is a terminal, which a container must not have'* ]] || { echo "$output"; false; }
}

@test "files that are older than max-age go, with the next line or the next start" {
    local id dir
    id=$(husk run -d --name old --log-opt max-size=4k --log-opt max-file=5 --log-opt max-age=1h busybox \
        sh -c 'i=0; while [ $i -lt 300 ]; do echo "line $i of some length"; i=$((i+1)); done; cat /ready 2>/dev/null')
    husk wait old
    dir=$HUSK_ROOT/containers/$id
    [[ -e $dir/log.json.2 && -e $dir/log.json.3 ]]
    touch -d '2 hours ago' "$dir/log.json.3" "$dir/log.json"
    husk run -d --name other busybox true
    husk start old
    husk wait old
    [[ $(grep -c 'line 0 of' <(husk logs old)) -le 1 ]]
    [[ ! $(find "$dir" -name 'log.json*' -mmin +60) ]]
}

@test "several containers are read in turn, followed at once, with IDs, names and colours" {
    local i
    for i in one two; do
        husk run -d --name "$i" busybox sh -c "for i in 1 2 3 4 5; do echo $i \$i; sleep 0.1; done"
    done
    run husk logs -f --names one two
    expect 0
    [[ $(grep -c '^one one [1-5]$' <<<"$output") -eq 5 && $(grep -c '^two two [1-5]$' <<<"$output") -eq 5 ]]
    run husk logs one two
    [[ ${lines[0]} == "$(husk inspect --format '{{.Id}}' one | cut -c1-12) one 1" && ${#lines[@]} -eq 10 ]]
    run husk logs --names --color --tail 1 one two
    expect 0 $'=\e[31mone\e[0m one 5\n\e[32mtwo\e[0m two 5'
    run husk logs -f one nobody
    expect 1 'no such container'
    run husk logs -l --names -n 1
    expect 0 '=two two 5'
}

@test "attach --logs: who comes late sees all of it, nothing twice and nothing missing" {
    local h i
    for h in husk 'as_user husk'; do
        $h run -d --name late --log-opt max-size=64k --log-opt max-file=100 busybox sh -c \
            'i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done; printf "half "; sleep 1; echo "a line"'
        for i in 1 2 3; do
            $h attach --logs --no-stdin late >"$T/tmp/late.$i" &
            sleep 0.2
        done
        wait
        for i in 1 2 3; do
            cmp "$T/tmp/late.$i" <(seq -f 'line %.0f' 0 19999; echo 'half a line') || { head -c 300 "$T/tmp/late.$i"; false; }
        done
        $h rm late
    done
}
