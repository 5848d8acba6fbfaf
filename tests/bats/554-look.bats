#!/usr/bin/env bats
# diff, export, stats, events: looking at containers from outside, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

@test "diff: what was added, changed and deleted, and nothing of husk's own" {
    local h
    for h in $WHO; do
        $h run --name quiet busybox true
        [[ $($h diff quiet) == '' ]]
        $h run -d --name busy busybox sh -c 'mkdir -m 700 /new; echo x >/new/file; chown 5:5 /new; rm /etc/passwd; echo >>/etc/group; sleep 1000'
        wait_until 30 $h exec busy grep -q '^$' /etc/group
        [[ $($h diff busy) == $'C /etc\nC /etc/group\nD /etc/passwd\nA /new\nA /new/file' ]]
        $h stop -t 0 busy
        [[ $($h diff busy) == $'C /etc\nC /etc/group\nD /etc/passwd\nA /new\nA /new/file' ]]
        [[ $($h diff --format json -l | jq -c .) == '{"changed":["/etc","/etc/group"],"deleted":["/etc/passwd"],"added":["/new","/new/file"]}' ]]
        run $h diff nothere
        expect 1 "no such container"
        run $h diff --format xml busy
        expect 125 "xml"
    done
}

@test "export: the whole root, of one that runs and of one that does not, without its mounts" {
    local h tar
    for h in $WHO; do
        tar=$T/tmp/export.$h
        rm -rf "$tar"*
        $h run -d --name busy -v data:/data busybox sh -c 'echo in >/data/volume; echo x >/own; rm /etc/passwd; ln -s own /link; sleep 1000'
        wait_until 30 $h exec busy test -L /link
        $h export busy >"$tar"
        $h stop -t 0 busy
        $h export -o "$tar.stopped" busy
        for f in "$tar" "$tar.stopped"; do
            tar -tf "$f" >"$tar.names"
            grep -qE '^(\./)?bin/busybox$|^(\./)?bin/sh$' "$tar.names"
            grep -qE '^(\./)?link$' "$tar.names"
            grep -qE '^(\./)?data/$' "$tar.names"
            run grep -E 'etc/passwd|data/volume|proc/1|^(\./)?sys/.' "$tar.names"
            [[ $output == '' ]]
            [[ $(tar -xOf "$f" own 2>/dev/null || tar -xOf "$f" ./own) == x ]]
        done
        if [[ $h == husk ]]; then
            [[ $("$HUSK" import "$tar" exported:1 | tail -n 1) ]]
            [[ $("$HUSK" run --rm exported:1 cat /own) == x ]]
        fi
        run $h export -o /nodir/x busy
        expect 1 "--output: open '/nodir'"
        echo kept >"$tar.kept"
        run $h export -o "$tar.kept" nothere
        expect 1 "no such container"
        run $h export -o /dev/full busy
        expect 1 "No space left"
        [[ $(<"$tar.kept") == kept && -c /dev/full ]]
        run $h export nothere
        expect 1 "no such container"
        $h rm busy
        $h volume rm data
    done
}

@test "stats: of those that run, with templates" {
    local h row
    for h in $WHO; do
        $h run -d --name burner busybox sh -c 'while :; do :; done'
        $h run -d --name idler busybox sleep 1000
        $h create --name unborn busybox true
        run $h stats --no-stream
        expect 0 "~^CONTAINER ID +NAME +CPU % +MEM USAGE / LIMIT +MEM % +NET I/O +BLOCK I/O +PIDS"
        [[ $output == *burner* && $output == *idler* && $output != *unborn* ]]
        [[ $($h stats --no-stream -a --format '{{.Name}}' | sort | paste -sd,) == burner,idler,unborn ]]
        row=$($h stats --no-stream --format '{{.CPUPerc}} {{.PIDs}} {{.MemUsage}}' burner)
        [[ $row =~ ^([0-9]+)\.[0-9]+%\ 1\ [0-9.]+[KMG]iB\ /\ [0-9.]+[MG]iB$ ]]
        ((BASH_REMATCH[1] > 0))
        [[ $($h stats --no-stream --format json idler | jq -r .Name) == idler ]]
        row=$($h stats --no-stream --format '{{.CPUPerc}}' unborn)
        [[ $row == 0.00% ]]
        run $h stats --no-stream nothere
        expect 1 "no such container"
        $h rm -f burner idler unborn
    done
}

@test "stats and events: streams end with their readers" {
    local h
    for h in $WHO; do
        $h run -d --name one busybox sleep 1000
        [[ $($h stats --format '{{.Name}}' -i 1 | head -n 2 | tail -n 1) == one ]]
        [[ $($h events --since 1h --format '{{.Action}}' | head -n 1) ]]
    done
}

@test "events: what happened, with names, filters and templates; and what happens" {
    local h id began
    for h in $WHO; do
        began=$(date +%s.%N)
        id=$($h create --name evented --label tier=front busybox sh -c 'exit 3')
        $h start -a evented || [[ $? == 3 ]]
        $h rename evented renamed
        $h rm renamed
        $h volume create evol
        $h volume rm evol
        [[ $($h events --since "$began" --stream=false --filter container="$id" --format '{{.Action}}' | paste -sd,) == create,attach,start,die,rename,destroy ]]
        [[ $($h events --since "$began" --stream=false --filter event=die --format '{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.name}} {{.from}}') == "3 evented busybox" ]]
        [[ $($h events --since "$began" --until "$(date +%s.%N)" --filter type=volume --format '{{.Status}} {{.ID}} {{.Scope}} {{.Name}}|{{.Attributes.driver}}' | head -n 1) == "create evol local |local" ]]
        [[ $($h events --since "$began" --until "$(date +%s.%N)" --filter type=volume --format '{{.Nope}}' 2>&1) == *"no field 'Nope'"* ]]
        [[ $($h events --since "$began" --until "$(date +%s.%N)" --filter type=volume --format '{{.Action}} {{.Actor.ID}}' | paste -sd,) == "create evol,destroy evol" ]]
        [[ $($h events --since "$began" --stream=false --filter label=tier=front --format '{{.Action}}' | sort | paste -sd,) == attach,create,destroy,die,rename,start ]]
        [[ $($h events --since "$began" --stream=false --filter volume=evol | head -n 1) =~ ^20[0-9-]+T[0-9:.]+[+-][0-9:]+\ volume\ create\ evol\ \(driver=local\)$ ]]
        [[ $($h events --since "$began" --stream=false --format json --filter event=start | jq -r '.status + .Type + .scope') == startcontainerlocal ]]
        [[ $($h events --since "$began" --stream=false --no-trunc=false --filter event=start) == *"container start ${id:0:12} ("* ]]
        [[ $($h events --since "$began" --stream=false --no-trunc --filter event=start) == *"container start $id ("* ]]
        [[ $($h events --since "$began" --stream=false --no-trunc=false --filter event=start --format '{{.Actor.ID}}') == "${id:0:12}" ]]
        [[ $($h events --since "$began" --stream=false --no-trunc=false --filter volume=evol | head -n 1) == *" volume create evol "* ]]
        [[ ! $($h events --until 1h --filter event=start --filter container="$id") ]]
        check_table $h <<'TABLE'
events --since never                    | 1 | --since: 'never' is neither a time
events --since 1m --until 2m            | 1 | --until is before --since
events --filter colour=red --stream=no  | 1 | --filter: unknown key 'colour': it is one of container, image
events --filter type=nope --stream=no   | 1 | --filter type: 'nope' is not one of container, image
events --filter colour --stream=no      | 1 | it is KEY=VALUE
TABLE
        # and while it happens; the follower ends when nobody reads it any more
        : >"$T/tmp/events.$h"
        $h events --filter event=destroy --format '{{.Actor.Attributes.name}}' 3>&- | head -n 1 >"$T/tmp/events.$h" &
        wait_until 30 seen_when_made $h
        wait
    done
}

# Makes and removes containers until the follower has told of one: it may take its time to begin.
seen_when_made() {
    $1 create --name followed busybox true && $1 rm followed
    grep -q '^followed$' "$T/tmp/events.$1"
}

@test "events: a container that was killed tells by whom its end was seen" {
    local h began
    for h in $WHO; do
        began=$(date +%s.%N)
        $h run -d --name victim busybox sleep 1000
        $h kill victim
        $h wait victim
        [[ $($h events --since "$began" --stream=false --filter container=victim --format '{{.Action}}' | paste -sd,) == create,start,kill,die ]]
        [[ $($h events --since "$began" --stream=false --filter event=die --format '{{.Actor.Attributes.signal}}') == SIGKILL ]]
    done
}
