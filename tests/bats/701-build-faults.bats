#!/usr/bin/env bats
# build: killed at any step, the next build goes on behind the last one that was finished, and nothing is left.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is words; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
    echo x >"$T/c/f"
    cat >"$T/c/Dockerfile" <<'D'
FROM busybox AS a
COPY f /f
RUN echo 1 >/one
RUN --mount=type=cache,target=/k echo 2 >/k/two; cp /k/two /two
FROM busybox
COPY --from=a /one /two /
WORKDIR /made
D
}

CHANGING=mkdir,mkdirat,openat,write,rename,renameat,renameat2,unlink,unlinkat,rmdir,clone,clone3,flock,sendmsg,execve,execveat,mount,move_mount,utimensat

# killed_at [-f] N CMD...: the builder, or with -f every process that comes of it, at its Nth call that changes something.
killed_at() {
    local follow=
    [[ $1 != -f ]] || { follow=-f; shift; }
    local n=$1
    shift
    strace $follow -qq -o /dev/null -e trace=$CHANGING -e "inject=$CHANGING:signal=KILL:when=$n" "$@" </dev/null >"$T/tmp/out" 2>&1 3>&-
}

nothing_is_left() { # ROOT RUN
    local left
    left=$(find "$1/tmp" -mindepth 1 -maxdepth 1; find "$2" -mindepth 1 -maxdepth 1 -name '????????????????????????????????????????????????????????????????')
    [[ ! $left ]] || { echo "left: $left"; return 1; }
}

# Which N are tried: each of the first few, then fewer and fewer, so that all of a build is covered in a minute.
after() { echo $(($1 + 1 + $1 / ${2:-6})); }

@test "faults: the builder is killed at steps of all of a build, and the next one makes the same image" {
    local n want ran=0
    want=$("$HUSK" build -q "$T/c")
    for ((n = 1; n < 2000; n = $(after $n))); do
        "$HUSK" builder prune --all --force >/dev/null
        killed_at $n "$HUSK" build -q "$T/c" && break
        ran=$((ran + 1))
        [[ $("$HUSK" build -q "$T/c") == "$want" ]]
        wait_until 20 nothing_is_left "$HUSK_ROOT" "$HUSK_RUN" || { "$HUSK" build -q "$T/c"; nothing_is_left "$HUSK_ROOT" "$HUSK_RUN"; }
    done
    [ $ran -gt 8 ]
    run "$HUSK" system check
    expect 0 'no problems'
    store_is_sound "$HUSK_ROOT"
}

@test "faults: steps are killed with their builder, and what runs is ended by the next build" {
    local n want ran=0
    want=$("$HUSK" build -q "$T/c")
    for ((n = 2; n < 600; n = $(after $n 4))); do
        "$HUSK" builder prune --all --force >/dev/null
        killed_at -f $n "$HUSK" build -q "$T/c" && break
        ran=$((ran + 1))
        [[ $("$HUSK" build -q "$T/c") == "$want" ]]
        nothing_is_left "$HUSK_ROOT" "$HUSK_RUN"
    done
    [ $ran -gt 5 ]
    run "$HUSK" system check
    expect 0 'no problems'
    store_is_sound "$HUSK_ROOT"
}

@test "faults: a build that is told to end takes its containers with it; of one that is killed the finished steps stay" {
    local h signal root run
    mkdir -p "$T/c2"
    printf 'FROM busybox\nRUN echo done >/first\nRUN touch /flag/up && sleep 70101\n' >"$T/c2/Dockerfile"
    for h in husk user_husk; do
        root=$HUSK_ROOT run=$HUSK_RUN
        [[ $h == husk ]] || root=$USER_HOME/root run=$USER_RUN/husk
        for signal in INT TERM KILL; do
            rm -rf "$T/flag"
            mkdir -m 777 "$T/flag"
            if [[ $h == husk ]]; then
                "$HUSK" build -q -v "$T/flag:/flag" "$T/c2" 3>&- &
            else
                as_user husk build -q -v "$T/flag:/flag" "$T/c2" 3>&- &
            fi
            wait_until 30 test -e "$T/flag/up"
            pkill -"$signal" -o -f "build -q -v $T/flag:/flag"
            wait_until 30 none_runs
            wait || true
            run "$h" build --progress plain -f - "$T/c2" <<<$'FROM busybox\nRUN echo done >/first'
            expect 0 '#1 CACHED'
            nothing_is_left "$root" "$run"
        done
        run "$h" system check
        expect 0 'no problems'
    done
}
none_runs() { ! pgrep -f 'sleep 70101$' >/dev/null; }
