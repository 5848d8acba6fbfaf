#!/usr/bin/env bats
# Secrets: where they are, who sees them and where they never are; as root and as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"
store() { if [[ $1 == husk ]]; then echo "$HUSK_ROOT"; else echo "$USER_HOME/root"; fi; }
runtime() { if [[ $1 == husk ]]; then echo "$HUSK_RUN"; else echo "$USER_RUN/husk"; fi; }

teardown() {
    remove_all_containers
    local h
    for h in $WHO; do $h secret rm --all; done
}

@test "secret: create, ls, inspect, exists, rm; the file is 0600" {
    local h id
    for h in $WHO; do
        id=$(printf 'pass word\n' | $h secret create --label a=b pw)
        [[ ${#id} == 25 ]]
        [[ $(stat -c %a "$(store $h)/secrets/pw.secret") == 600 ]]
        printf x >"$T/tmp/file" && chmod 644 "$T/tmp/file"
        $h secret create other "$T/tmp/file"
        [[ $($h secret ls --format '{{.Name}} {{.Driver}}' | paste -sd,) == "other file,pw file" ]]
        [[ $($h secret ls -q --filter label=a=b) == "$id" ]]
        [[ $($h secret inspect -f '{{.Spec.Name}} {{.Spec.Labels.a}}' "${id:0:10}") == "pw b" ]]
        run $h secret inspect pw
        expect 0 "!pass word"
        run $h secret inspect --showsecret pw
        expect 0 "pass word"
        $h secret exists pw
        run $h secret exists none
        expect 1 "="
        run $h secret create pw "$T/tmp/file"
        expect 1 "--replace takes its place"
        [[ $($h secret create --ignore pw "$T/tmp/file") == "$id" ]]
        [[ $($h secret create --replace pw "$T/tmp/file") != "$id" ]]
        : >"$T/tmp/empty"
        head -c 512001 /dev/zero >"$T/tmp/large"
        check_table $h <<TABLE
secret create a/b $T/tmp/file        | 1 | 'a/b' is no secret name
secret create xx $T/tmp/empty        | 1 | from 1 to 512000 bytes, not 0
secret create xx $T/tmp/large        | 1 | $T/tmp/large
secret create -d vault xx $T/tmp/file | 1 | husk has file alone
secret create --env xx NO_SUCH_THING | 1 | no environment variable 'NO_SUCH_THING'
secret rm none                       | 1 | no such secret: 'none'
secret rm --ignore none              | 0 |
secret rm                            | 1 | Name some, or say --all
TABLE
        $h secret rm other pw
        [[ ! $($h secret ls -q) ]]
    done
    FROM_ENV=value husk secret create --env fromenv FROM_ENV
    [[ $(husk run --rm --secret fromenv busybox cat /run/secrets/fromenv) == value ]]
}

@test "run --secret: a file in memory with owner and mode, or a variable" {
    local h
    for h in $WHO; do
        printf 'S3CR-%s' ET | $h secret create pw -
        [[ $($h run --rm --secret pw busybox sh -c 'cat /run/secrets/pw; stat -c " %u:%g %a" /run/secrets/pw') == "S3CR-ET 0:0 444" ]]
        [[ $($h run --rm -u 7 --secret pw,uid=7,gid=8,mode=0400,target=other busybox sh -c \
            'cat /run/secrets/other; stat -c " %u:%g %a" /run/secrets/other') == "S3CR-ET 7:8 400" ]]
        [[ $($h run --rm --secret source=pw,target=/etc/key busybox cat /etc/key) == S3CR-ET ]]
        [[ $($h run --rm --secret pw,type=env busybox sh -c 'echo $pw') == S3CR-ET ]]
        [[ $($h run --rm --secret pw,type=env,target=KEY --secret pw busybox sh -c 'echo $KEY$(cat /run/secrets/pw)') == S3CR-ETS3CR-ET ]]
        [[ $($h run --rm --secret pw busybox stat -f -c %T /run/secrets/pw) == tmpfs ]]
        run $h run --rm --secret pw busybox sh -c 'echo x >/run/secrets/pw'
        expect 1 "Read-only file system"
        check_table $h <<'TABLE'
run --rm --secret nope busybox true               | 125 | --secret: no such secret: 'nope'
run --rm --secret pw,type=file busybox true       | 125 | 'file' is not one of mount, env
run --rm --secret pw,mode=9 busybox true          | 125 | '9' is no octal file mode
run --rm --secret pw,colour=red busybox true      | 125 | 'colour' is not one of type, target
run --rm --secret pw,type=env,uid=3 busybox true  | 125 | are for type=mount only
TABLE
    done
}

@test "a secret is nowhere else: not in the store, inspect, config.json, commit or export" {
    local h
    for h in $WHO; do
        printf 'S3CR-%s' ET | $h secret create pw -
        $h run -d --name box --secret pw --secret pw,type=env,target=KEY busybox sleep 1000
        [[ $($h exec box sh -c 'echo $KEY') == S3CR-ET ]]
        run $h inspect box
        expect 0 '"Name": "pw"'
        expect 0 "!S3CR-ET"
        run $h explain --script box
        expect 0 "!S3CR-ET"
        $h commit box withsecret
        $h export box >"$T/tmp/box.tar"
        # the one file that has it, beside the run-time folder's
        run grep -rlaF S3CR-ET "$(store $h)"
        expect 0 "=$(store $h)/secrets/pw.secret"
        run grep -caF S3CR-ET "$T/tmp/box.tar"
        expect 1 "=0"
        run grep -rlaF S3CR-ET "$(runtime $h)"
        expect 0 "~/secrets/0$"
        # each start reads it anew
        printf 'N3W' | $h secret create --replace pw -
        $h stop -t 0 box
        $h start box
        [[ $($h exec box sh -c 'echo $KEY; cat /run/secrets/pw') == $'N3W\nN3W' ]]
        $h secret rm pw
        $h stop -t 0 box
        run $h start box
        expect 1 "no such secret: 'pw'"
        $h rm -f box
        run grep -rlaF N3W "$(runtime $h)"
        expect 1 "="
        $h rmi withsecret
    done
}

@test "a run-time folder on a disk gets no secret" {
    printf x | husk secret create pw -
    mkdir "$T/tmp/run"
    [[ $(stat -f -c %T "$T/tmp/run") != tmpfs ]] || bats_own_skip "kernel: the test's disk is a tmpfs"
    HUSK_RUN=$T/tmp/run run husk run --network none --rm --secret pw busybox true
    expect 125 "is on a disk"
}

@test "secret create, killed at any moment, leaves the old one or the new one" {
    local i text
    printf old | husk secret create pw -
    for i in $(seq 30); do
        printf 'new%s' "$i" >"$T/tmp/new"
        husk secret create --replace pw "$T/tmp/new" >/dev/null &
        sleep 0.00$((RANDOM % 9))
        kill -KILL $! 2>/dev/null || true
        wait $! 2>/dev/null || true
        text=$(husk run --rm --network none --secret pw busybox cat /run/secrets/pw)
        [[ $text == old || $text == new* ]]
    done
    # what it staged is no secret, and goes with the next one
    [[ $(husk secret ls --format '{{.Name}}') == pw ]]
    printf x | husk secret create other -
    [[ $(ls "$HUSK_ROOT/secrets") == $'other.secret\npw.secret' ]]
}
