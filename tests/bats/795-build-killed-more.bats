#!/usr/bin/env bats
# build: killed at any step, whatever it builds from and for, it goes on from the cache and leaves nothing behind.
# shellcheck disable=SC2154 # bats sets them

load helpers

setup_file() {
    local g
    husk_setup_file
    load_busybox
    mkdir -m 755 "$T/c" "$T/www" "$T/named"
    echo content >"$T/c/f"
    echo named >"$T/named/f"
    touch -d @1600000000 "$T/c/f" "$T/named/f"
    printf 'FROM busybox AS a\nCOPY f /f\nRUN --network=none echo made >/made\nFROM busybox\nCOPY --from=a /made /f /\nRUN --network=none cat /f >/g\n' >"$T/c/Dockerfile"
    tar -C "$T/c" -cf "$T/www/c.tar" .
    g=$T/www/origin
    git init -q "$g"
    cp "$T/c/f" "$T/c/Dockerfile" "$g"
    git -C "$g" add .
    GIT_COMMITTER_DATE=@1600000000 git -C "$g" -c user.email=t@example.com -c user.name=t commit -qm one
    git clone -q --bare "$g" "$T/www/repo.git"
    git -C "$T/www/repo.git" update-server-info
    skopeo copy --quiet "docker-archive:$IMAGES/busybox.tar" "oci:$T/www/layout:latest"
    python3 -u -m http.server --bind 127.0.0.1 --directory "$T/www" 0 >"$T/tmp/server" 2>&1 3>&- &
    echo $! >"$T/tmp/server.pid"
    wait_until 20 grep -q 'port [0-9]' "$T/tmp/server"
}
teardown_file() {
    kill "$(<"$T/tmp/server.pid")"
    husk_teardown_file
}
setup() {
    URL=http://127.0.0.1:$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$T/tmp/server" | head -n 1)
}

no_step_lives() { ! pgrep -f "husk-build.*$T|husk build.*$T" >/dev/null; }

# killed_at CALLS... -- BUILD-ARGUMENTS: the builder is killed at the Nth of its system calls that change something, for
# several N; the whole build behind that has the ID of one that nobody killed, and nothing is left of the killed ones.
killed_at() {
    local -a at=()
    local n want got killed=0 left
    while [[ $1 != -- ]]; do at+=("$1") && shift; done
    shift
    want=$(husk build -q --no-cache "$@" <"$INPUT")
    for n in "${at[@]}"; do
        # a new step each time, so that the cache does not do all of it
        strace -qq -o /dev/null -e trace=renameat,mkdirat,unlinkat,fork,clone,clone3,vfork,wait4,write \
            -e "inject=renameat,mkdirat,unlinkat,fork,clone,clone3,vfork,wait4,write:signal=KILL:when=$n" \
            "$HUSK" build -q --no-cache "$@" <"$INPUT" >/dev/null 2>&1 3>&- || killed=$((killed + 1))
        wait_until 20 no_step_lives # steps end by themselves when their builder is gone
        got=$(husk build -q "$@" <"$INPUT")
        [[ $got == "$want" ]] || { echo "killed at $n: $got instead of $want"; return 1; }
        left=$(find "$HUSK_ROOT/tmp" -mindepth 1 -maxdepth 1 -name 'build-*')
        [[ ! $left ]] || { echo "killed at $n: $left"; return 1; }
    done
    ((killed > 2)) || { echo "killed $killed times"; return 1; }
    run husk system check --repair # of names that only a check takes away
    run husk system check
    expect 0 'no problems'
    [[ ! $(husk images --format '{{.Repository}}' | grep husk-build) ]]
}

@test "build: killed with a repository as context" {
    INPUT=/dev/null killed_at 1 2 3 4 6 9 -- "$URL/repo.git"
}

@test "build: killed with an archive at an address, or on standard input, as context" {
    INPUT=/dev/null killed_at 1 2 3 5 7 -- "$URL/c.tar"
    INPUT=$T/www/c.tar killed_at 1 2 3 5 7 -- -
}

@test "build: killed with named contexts: a repository, a directory, a layout" {
    printf 'FROM laid\nCOPY --from=named f /n\nCOPY --from=repo f /r\nRUN --network=none cat /n >/m\n' >"$T/c/Named"
    INPUT=/dev/null killed_at 1 2 4 6 8 10 -- -f "$T/c/Named" --build-context "named=$T/named" \
        --build-context "repo=$URL/repo.git" --build-context "laid=oci-layout://$T/www/layout" "$T/c"
}

@test "build: killed while layers are squashed, and while the cache is given away" {
    INPUT=/dev/null killed_at 1 2 4 6 8 -- --squash "$T/c"
    INPUT=/dev/null killed_at 1 2 5 7 9 11 -- --cache-to "type=local,dest=$T/tmp/cache,mode=max" "$T/c"
    # what is there of the cache is whole
    husk build -q --cache-from "type=local,src=$T/tmp/cache" "$T/c"
}
