#!/usr/bin/env bats
# build: a shell in a step, one layer of many, and whether images are fetched again; as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the variables

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
    cat >"$T/c/Dockerfile" <<'D'
FROM busybox AS tools
ARG WORD=said
RUN --network=none echo 1 >/first
ENV HERE=yes
WORKDIR /work
RUN --network=none echo 2 >second && echo half >half && exit 7
RUN --network=none echo 3 >third
FROM tools
RUN --network=none true
D
}

WHO="husk user_husk"

@test "build --debug: a step that fails is opened, with its files, variables and directory, and the build fails as it did" {
    local h
    for h in $WHO; do
        run "$h" build -q --debug --network none "$T/c" <<<'pwd; cat half /first; echo "$HERE $WORD"; exit 3'
        expect 1 "exited with 7"
        expect 1 "--debug: [tools 5/6] RUN --network=none echo 2 >second && echo half >half && exit 7 failed: a shell in what it left"
        expect 1 $'/work\nhalf\n1\nyes said'
        [[ $("$h" images) != *husk-build-debug* && ! $("$h" ps -aq) ]]
        "$h" system check
    done
}

@test "build --debug=STEP: the files behind an earlier step, and nothing behind it is done" {
    local h
    for h in $WHO; do
        run "$h" build -q --debug=tools:2 --network none "$T/c" <<<'ls -d /first /work; cat /first'
        expect 0 "a shell behind step 2/6"
        expect 0 'ls: /work: No such file'
        run "$h" build -q --debug=tools:9 --network none --target tools -f /dev/null "$T/c" <<<exit
        [[ $status -ne 0 ]]
        printf 'FROM busybox\nENV A=1\nENV A=2\nRUN --network=none true\n' >"$T/c/Envs"
        run "$h" build -q --debug=1 --network none -f "$T/c/Envs" "$T/c" <<<'echo "A is $A"'
        expect 0 'A is 1'
        run "$h" build -q --debug=9 -f "$T/c/Envs" "$T/c" <<<exit
        expect 1 'the stage has only 3 steps'
        run "$h" build -q --debug=nosuch:1 -f "$T/c/Envs" "$T/c" <<<exit
        expect 1 "no stage 'nosuch' is built"
    done
    run husk build -q --debug=x "$T/c"
    expect 1 "--debug=x: expected the number of a step"
    run husk build -q --debug - </dev/null
    expect 1 "standard input is the shell's"
}

@test "build --squash: one layer over the base that hides what was removed, --squash-all: one of all" {
    local h
    cat >"$T/c/Squash" <<'D'
FROM base:1
RUN --network=none mkdir -p /d/deep && echo 1 >/d/one && echo 2 >/d/deep/two && ln /d/one /d/hard
RUN --network=none rm /bin/vi /d/one && rm -r /d/deep && mkdir /d/deep && echo 3 >/d/deep/three
RUN --network=none rm -rf /opt && mkdir /opt && echo new >/opt/only && ln -s only /opt/link && chmod 4711 /opt/only
D
    for h in $WHO; do
        "$h" build -q -t base:1 -f - "$T/c" <<<$'FROM busybox\nRUN --network=none mkdir -p /opt/old && echo x >/opt/old/x'
        "$h" build -q -t plain:1 -f "$T/c/Squash" "$T/c"
        "$h" build -q -t squash:1 --squash -f "$T/c/Squash" "$T/c"
        "$h" build -q -t squash:2 --squash-all -f "$T/c/Squash" "$T/c"
        [[ $("$h" inspect --type image -f '{{len .RootFS.Layers}}' plain:1) == 5 ]]
        [[ $("$h" inspect --type image -f '{{len .RootFS.Layers}}' squash:1) == 3 ]]
        [[ $("$h" inspect --type image -f '{{len .RootFS.Layers}}' squash:2) == 1 ]]
        for i in plain:1 squash:1 squash:2; do
            "$h" run --rm --network none "$i" sh -c 'find /d /opt; ls /bin' >"$T/tmp/$i"
            "$h" run --rm --network none "$i" sh -c 'cd /; stat -c "%n %a %u:%g %Y" d d/deep opt; stat -c "%n %a %u:%g %s %Y" d/hard d/deep/three opt/only opt/link' >>"$T/tmp/$i"
        done
        [[ $(grep -cx -e vi -e /opt/link "$T/tmp/plain:1") == 1 ]]
        diff "$T/tmp/plain:1" "$T/tmp/squash:1"
        diff "$T/tmp/plain:1" "$T/tmp/squash:2"
        [[ $("$h" history --format '{{.CreatedBy}}' squash:1 | head -n 1) == 'husk build --squash: 3 layers' ]]
        [[ $("$h" build -q --squash --no-cache -f "$T/c/Squash" "$T/c") == "$("$h" inspect --type image -f '{{.Id}}' squash:1)" ]]
        "$h" system check
    done
}

@test "build --pull: alone it fetches always, and with a word it does what docker's and podman's words mean" {
    start_registry
    husk tag busybox "$REGISTRY/base:1"
    husk push -q "$REGISTRY/base:1"
    printf 'FROM %s/base:1\nENV A=1\n' "$REGISTRY" >"$T/c/Pull"
    husk build -q --pull -f "$T/c/Pull" "$T/c"
    run husk build -q --pull -f - "$T/c" <<<"FROM $REGISTRY/nosuch:1"
    [[ $status -ne 0 ]]
    stop_registry
    run husk build -q --pull -f "$T/c/Pull" "$T/c"
    [[ $status -ne 0 ]]
    husk build -q --pull=newer -f "$T/c/Pull" "$T/c"
    husk build -q --pull=missing -f "$T/c/Pull" "$T/c"
    husk build -q --pull=false -f "$T/c/Pull" "$T/c"
    husk build -q --pull=never -f "$T/c/Pull" "$T/c"
    run husk build -q --pull=sometimes "$T/c"
    expect 125 'is not one of always'
}

# A debug build whose shell waits for its input: sets build (the build's process) and feeder (who has the input open).
waiting_shell() {
    mkfifo "$T/tmp/input"
    sleep 300 >"$T/tmp/input" 3>&- &
    feeder=$!
    "$h" build -q --debug --network none -f "$T/c/Fails" "$T/c" <"$T/tmp/input" >"$T/tmp/$h.out" 2>&1 3>&- &
    build=$!
    wait_until 20 shell_runs
    rm "$T/tmp/input"
}
shell_runs() { [[ $("$h" ps --format '{{.Names}}') == husk-build-debug-* ]]; }
nothing_left() { [[ ! $("$h" ps -aq) && $("$h" images --format '{{.Repository}}') != *husk-build-debug* ]]; }
# Process ids of the build's own: of a user's the first is setpriv's, which became it.
builds() { pgrep -f "[h]usk.* build -q --debug --network none -f $T/c/Fails" "$@"; }

@test "build --debug: of a killed build no shell, no container and no name stays; killed with all its processes, the next build clears up" {
    local h feeder build
    printf 'FROM busybox\nRUN --network=none exit 7\n' >"$T/c/Fails" # which changed nothing: there is a shell all the same
    for h in $WHO; do
        waiting_shell
        kill -KILL "$(builds -o)"
        wait_until 20 nothing_left
        kill "$feeder"
        wait "$build" || true
        waiting_shell
        # All at the same moment: who has started the shell removes it as soon as it sees the build gone.
        mapfile -t all < <(builds)
        kill -STOP "${all[@]}"
        kill -KILL "${all[@]}"
        shell_runs
        run "$h" build -q --network none -f "$T/c/Fails" "$T/c"
        expect 1 "exited with 7"
        nothing_left
        kill "$feeder"
        wait "$build" || true
        "$h" system check
    done
}
