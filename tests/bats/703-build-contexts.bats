#!/usr/bin/env bats
# build: contexts with names and contexts from elsewhere, keys and agents, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the variables

load helpers

setup_file() {
    local g
    setup_both_stores
    mkdir -m 755 "$T/c" "$T/www" "$T/tree"
    mkdir "$T/tree/sub"
    echo named >"$T/tree/sub/f"
    echo hidden >"$T/tree/hidden"
    echo hidden >"$T/tree/.dockerignore"
    g=$T/www/origin
    git init -q "$g"
    git -C "$g" config user.email t@example.com
    git -C "$g" config user.name t
    mkdir "$g/dir"
    printf 'FROM busybox\nCOPY . /got\n' >"$g/Dockerfile"
    printf 'FROM busybox\nCOPY . /below\n' >"$g/dir/Dockerfile"
    echo 1 >"$g/dir/v"
    git -C "$g" add .
    GIT_COMMITTER_DATE=@1600000000 git -C "$g" commit -qm one
    git -C "$g" tag first
    echo 2 >"$g/dir/v"
    GIT_COMMITTER_DATE=@1650000000 git -C "$g" commit -qam two
    git clone -q --bare "$g" "$T/www/repo.git"
    git -C "$T/www/repo.git" update-server-info
    tar -C "$g" --exclude .git -czf "$T/www/files.tar.gz" .
    printf 'FROM busybox\nRUN --network=none echo alone >/alone\n' >"$T/www/just-a-file"
    python3 -u -m http.server --bind 127.0.0.1 --directory "$T/www" 0 >"$T/tmp/server" 2>&1 3>&- &
    echo $! >"$T/tmp/server.pid"
    wait_until 20 grep -q 'port [0-9]' "$T/tmp/server"
}
teardown_file() {
    kill "$(<"$T/tmp/server.pid")"
    husk_teardown_file
}

WHO="husk user_husk"
setup() {
    umask 022
    URL=http://127.0.0.1:$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$T/tmp/server" | head -n 1)
}

@test "build --build-context: a directory is a base, a source of COPY and of mounts, in the place of a stage too" {
    local h
    cat >"$T/c/Dockerfile" <<'D'
FROM busybox AS named
RUN --network=none false
FROM named AS rooted
FROM busybox
COPY --from=named sub/f /copied
COPY --from=rooted /sub/f /from-root
RUN --network=none --mount=type=bind,from=named,target=/m cat /m/sub/f >/mounted && test ! -e /m/hidden
D
    for h in $WHO; do
        "$h" build -q -t ctx:1 --build-context "named=$T/tree" "$T/c"
        [[ $("$h" run --rm ctx:1 cat /copied /from-root /mounted | xargs) == "named named named" ]]
        run "$h" build --progress plain -t ctx:1 --build-context "named=$T/tree" "$T/c"
        expect 0 '!DONE'
        run "$h" build -q --build-context "named=$T/tree" -f - "$T/c" <<<$'FROM scratch\nCOPY --from=named hidden /'
        expect 1 "'hidden'"
        "$h" system check
    done
}

@test "build --build-context: an image by another name, and the images of a layout on disk" {
    local h o
    for h in $WHO; do
        o=$T/tmp/layout-$h
        "$h" build -q -t other:1 -f - "$T/c" <<<$'FROM busybox\nRUN --network=none echo other >/other'
        "$h" build -q -t ctx:2 --build-context docker.io/library/alpine=docker-image://other:1 -f - "$T/c" <<<$'FROM alpine\nRUN --network=none cp /other /seen'
        [[ $("$h" run --rm ctx:2 cat /seen) == other ]]
        mkdir -m 777 "$o"
        "$h" copy -q store:other:1 "oci:$o:tagged"
        "$h" rmi -f other:1 ctx:2
        "$h" build -q -t ctx:3 --build-context "lay=oci-layout://$o:tagged" -f - "$T/c" <<<$'FROM lay\nCOPY --from=lay /other /again'
        [[ $("$h" run --rm ctx:3 cat /again) == other ]]
        [[ $("$h" images) != *husk-build-context* ]]
        "$h" system check
    done
}

@test "build: the context is a git repository, a commit or a directory of it, with the commit's time in all files" {
    local h id
    for h in $WHO; do
        "$h" build -q -t git:1 "$URL/repo.git"
        [[ $("$h" run --rm git:1 sh -c 'cat /got/dir/v; stat -c %Y /got/dir/v /got/dir /got/Dockerfile; ls -A /got') == $'2\n1650000000\n1650000000\n1650000000\nDockerfile\ndir' ]]
        [[ $("$h" inspect --type image -f '{{.Created}}' git:1) == 2022-04-15T05:20:00* || $("$h" inspect --type image -f '{{.Created}}' busybox) > 2022-04-15 ]]
        id=$("$h" build -q -t git:2 "$URL/repo.git#first:dir")
        [[ $("$h" run --rm git:2 cat /below/v) == 1 && $("$h" build -q --no-cache "$URL/repo.git?ref=first&subdir=dir") == "$id" ]]
        [[ $("$h" build -q --no-cache "$URL/repo.git#$(git -C "$T/www/origin" rev-parse first):dir") == "$id" ]]
        "$h" system check
        [[ $h == husk ]] || continue # what is left is no matter of rights
        "$h" build -q -t git:3 --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 "$URL/repo.git"
        "$h" run --rm git:3 test -e /got/.git/HEAD
        "$h" build -q -t git:4 --build-context "src=$URL/repo.git#first" -f - "$T/c" <<<$'FROM scratch\nCOPY --from=src dir/v /v'
        run "$h" build -q "$URL/repo.git?commit=0123456789"
        [[ $status -ne 0 ]]
        run "$h" build -q "$URL/repo.git?branch=master&what=1"
        expect 1 "unknown key 'what'"
        run "$h" build -q "$URL/repo.git#first:nosuch"
        expect 1 "nosuch"
    done
}

@test "build: secrets GIT_AUTH_TOKEN and GIT_AUTH_HEADER open a repository, HTTP_AUTH_ ones a file, and are nowhere in it" {
    local h at pid want
    want="basic $(printf 'x-access-token:the-git-token' | base64)"
    cat >"$T/tmp/guarded.py" <<'P'
import functools, http.server, os, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def send_head(self):
        if self.headers.get("Authorization") in (sys.argv[2], "Bearer whole"):
            return super().send_head()
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
open(sys.argv[3] + ".new", "w").write(str(server.server_address[1]))
os.rename(sys.argv[3] + ".new", sys.argv[3])
server.serve_forever()
P
    python3 "$T/tmp/guarded.py" "$T/www" "$want" "$T/tmp/guarded.port" >/dev/null 2>&1 3>&- &
    pid=$!
    wait_until 20 test -s "$T/tmp/guarded.port"
    at=127.0.0.1:$(<"$T/tmp/guarded.port")
    echo the-git-token >"$T/c/token"
    for h in $WHO; do
        run "$h" build -q "http://$at/repo.git"
        [[ $status != 0 ]]
        "$h" build -q -t guarded:1 --secret "id=GIT_AUTH_TOKEN,src=$T/c/token" --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 "http://$at/repo.git"
        [[ $("$h" run --rm guarded:1 cat /got/dir/v) == 2 ]]
        run "$h" run --rm guarded:1 grep -r -e the-git-token -e "${want#basic }" /got/.git
        expect 1 ''
        run "$h" build -q --no-cache --secret "id=GIT_AUTH_TOKEN.example.org,src=$T/c/token" "http://$at/repo.git"
        [[ $status != 0 ]]
    done
    printf 'FROM scratch\nADD http://%s/repo.git#first:dir /a\n' "$at" >"$T/c/Guarded"
    WHOLE='Bearer whole' husk build -q --secret "id=GIT_AUTH_HEADER.$at,env=WHOLE" --secret "id=GIT_AUTH_TOKEN,src=$T/c/Guarded" \
        -o "$T/tmp/guarded" -f "$T/c/Guarded" "$T/c"
    [[ $(<"$T/tmp/guarded/a/v") == 1 ]]
    echo open >"$T/www/guarded.txt"
    printf 'FROM scratch\nADD http://%s/guarded.txt /a\n' "$at" >"$T/c/Guarded"
    for h in $WHO; do
        printf whole >"$T/c/token"
        "$h" build -q -t guarded:2 --no-cache --secret "id=HTTP_AUTH_TOKEN_$at,src=$T/c/token" -f "$T/c/Guarded" "$T/c"
        printf 'Bearer whole\n' >"$T/c/token"
        "$h" build -q -t guarded:2 --no-cache --secret "id=HTTP_AUTH_HEADER_$at,src=$T/c/token" -f "$T/c/Guarded" "$T/c"
        run "$h" build -q --no-cache --secret "id=HTTP_AUTH_HEADER_example.org,src=$T/c/token" -f "$T/c/Guarded" "$T/c"
        expect 1 'Guarded:2: ADD failed: the line above says why'
    done
    kill "$pid"
}

@test "build: the context is an archive at an address, or a Dockerfile there, without a context" {
    local h
    for h in $WHO; do
        "$h" build -q -t arc:1 -f dir/Dockerfile "$URL/files.tar.gz"
        [[ $("$h" run --rm arc:1 cat /below/dir/v) == 2 ]]
        "$h" build -q -t arc:2 "$URL/just-a-file"
        [[ $("$h" run --rm arc:2 cat /alone) == alone ]]
        run "$h" build -q "$URL/nothere"
        [[ $status -ne 0 && $output == *404* ]]
        run "$h" build -q --build-context "x=$URL/just-a-file" -f - "$T/c" <<<$'FROM scratch\nCOPY --from=x . /'
        expect 1 'expected a tar archive'
    done
    check_table husk build -q "$T/c" <<'ROWS'
--build-context x | 1 | --build-context 'x': expected NAME=DIRECTORY
--build-context x=/nosuch/dir | 1 | there is no directory '/nosuch/dir'
--build-context x=ftp://a/b | 1 | expected docker-image://, oci-layout://
ROWS
}

@test "build --ssh: a step talks to an agent that the build started with a key, or to a real one, and has no key" {
    local h key list socket agent
    key=$T/tmp/key
    ssh-keygen -q -t ed25519 -N '' -C of-the-test -f "$key"
    ssh-keygen -q -t ed25519 -N secret -f "$key.locked"
    chmod 644 "$key" "$key.locked"
    list='FROM busybox
RUN --network=none --mount=type=ssh cd /husr/lib/*-linux-gnu && LD_LIBRARY_PATH=$PWD ./ld-linux-*.so.* /husr/bin/ssh-add -l | cut -d" " -f2,3 >/list'
    for h in $WHO; do
        "$h" build -q --no-cache -t ssh:1 -v /usr:/husr:ro --ssh "default=$key" -f - "$T/c" <<<"$list"
        [[ $("$h" run --rm ssh:1 cat /list) == "$(ssh-keygen -lf "$key" | cut -d' ' -f2,3)" ]]
        run "$h" build -q --ssh "default=$key.locked" -f - "$T/c" <<<"$list"
        expect 1 "no key without a passphrase"
        # a real agent
        socket=$T/tmp/agent-$h
        if [[ $h == husk ]]; then
            ssh-agent -D -a "$socket" >/dev/null 3>&- &
        else
            as_user ssh-agent -D -a "$socket" >/dev/null 3>&- &
        fi
        agent=$!
        wait_until 20 test -S "$socket"
        SSH_AUTH_SOCK=$socket ssh-add -q "$key" 2>/dev/null || { chmod 600 "$key"; SSH_AUTH_SOCK=$socket ssh-add -q "$key"; chmod 644 "$key"; }
        "$h" build -q --no-cache -t ssh:2 -v /usr:/husr:ro --ssh "default=$socket" -f - "$T/c" <<<"$list"
        [[ $("$h" run --rm ssh:2 cat /list) == "$(ssh-keygen -lf "$key" | cut -d' ' -f2,3)" ]]
        # the socket of a step is the step's own, with the mode and the owner that the mount says: another user may ask
        "$h" build -q --no-cache -t ssh:3 -v /usr:/husr:ro --ssh "default=$socket" --ssh "two=$socket" -f - "$T/c" <<'D'
FROM busybox
RUN --network=none --mount=type=cache,target=/c --mount=type=ssh --mount=type=ssh,id=two,target=/two,mode=0666,uid=7,gid=8 \
    echo $SSH_AUTH_SOCK >/where; stat -c '%F %a %u:%g' $SSH_AUTH_SOCK /two >>/where
RUN mkdir -m 1777 /out
USER 5:6
RUN --network=none --mount=type=ssh,uid=5 \
    cd /husr/lib/*-linux-gnu && LD_LIBRARY_PATH=$PWD ./ld-linux-*.so.* /husr/bin/ssh-add -l | cut -d" " -f2,3 >/out/list
D
        [[ $("$h" run --rm ssh:3 cat /where) == $'/run/buildkit/ssh_agent.0\nsocket 600 0:0\nsocket 666 7:8' ]]
        [[ $("$h" run --rm ssh:3 cat /out/list) == "$(ssh-keygen -lf "$key" | cut -d' ' -f2,3)" ]]
        pkill -f "ssh-agent -D -a $socket"
        wait "$agent" || true
        [[ ! $(pgrep -f "ssh-agent -D -a $T") ]]
        run "$h" build -q --ssh "default=/nosuch" -f - "$T/c" <<<"$list"
        expect 1 "'/nosuch'"
        "$h" system check
    done
}
