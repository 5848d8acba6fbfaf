#!/usr/bin/env bats
# build: what comes from a network, what is built again and compared, and the networks of RUN.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is words; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c" "$T/www"
}
teardown_file() {
    [[ ! ${SERVER-} ]] || kill "$SERVER"
    husk_teardown_file
}

WHO="husk user_husk"
C=

@test "build: --verify says that it is the same, or names the first file that differs" {
    local h
    C=$T/c
    echo 1 >"$C/a"
    printf 'FROM busybox\nCOPY a /a\nRUN echo fixed >/b\n' >"$C/Dockerfile"
    printf 'FROM busybox\nCOPY a /a\nRUN date +%%N >/d/now 2>/dev/null || { mkdir /d; cat /proc/uptime /proc/sys/kernel/random/uuid >/d/now; }\n' >"$C/Changing"
    for h in $WHO; do
        "$h" build -q -t same:1 "$C"
        run "$h" build -q --verify same:1 "$C"
        expect 0
        "$h" build -q -f "$C/Changing" -t other:1 "$C"
        run "$h" build -q -f "$C/Changing" --verify other:1 "$C"
        expect 1 "--verify docker.io/library/other:1: layer 3 of 3: '/d/now' differs: its contents"
        run "$h" build -q --verify nosuch:1 "$C"
        expect 1 '--verify'
        run "$h" build -q --verify same:1 -t x "$C"
        expect 1 'leave --tag out'
    done
}

@test "build: SOURCE_DATE_EPOCH is the newest time of all" {
    local h
    C=$T/c
    for h in $WHO; do
        "$h" build -q --build-arg SOURCE_DATE_EPOCH=86400 -t epoch:1 "$C"
        [[ $("$h" run --rm epoch:1 stat -c %Y /a /b | sort -u) == 86400 ]]
        [[ $("$h" inspect --type image -f '{{.Created}}' epoch:1) == 1970-01-02T00:00:00* ]]
    done
}

@test "build: RUN has a network of its own by default, the host's, or none" {
    local h
    C=$T/c
    for h in $WHO; do
        "$h" build -q -t net:1 -f - "$C" <<'D'
FROM busybox
RUN readlink /proc/self/ns/net >/own && test -s /etc/resolv.conf && ls /sys/class/net >/links
RUN --network=host readlink /proc/self/ns/net >/host && ls /sys/class/net
RUN --network=none ls /sys/class/net >/none
D
        [[ $("$h" run --rm net:1 cat /none) == lo ]]
        [[ $("$h" run --rm net:1 cat /host) == "$(readlink /proc/self/ns/net)" ]]
        [[ $("$h" run --rm net:1 cat /own) == net:* && $("$h" run --rm net:1 cat /own) != "$(readlink /proc/self/ns/net)" ]]
        "$h" build -q --network none -t net:2 -f - "$C" <<<$'FROM busybox\nRUN ls /sys/class/net >/none'
        [[ $("$h" run --rm net:2 cat /none) == lo ]]
        "$h" build -q --network host -t net:2 -f - "$C" <<<$'FROM busybox\nRUN readlink /proc/self/ns/net >/host'
        [[ $("$h" run --rm net:2 cat /host) == "$(readlink /proc/self/ns/net)" ]]
    done
    run husk build -q --network nosuch "$C"
    expect 1 "--network: no such network: 'nosuch'"
    run as_user husk build -q --network nosuch "$C"
    expect 1 "an ordinary user's RUN has default, host or none"
}

@test "build: root's RUN is on the default bridge, or on a network that is named, and leaves nothing there" {
    local port
    C=$T/c
    husk run -d --name web busybox httpd -f -p 80 -h /bin
    port=$(husk inspect -f '{{.NetworkSettings.IPAddress}}' web)
    [[ $port =~ ^[0-9.]+$ ]]
    husk build -q -t net:3 --add-host "web.test:$port" -f - "$C" <<'D'
FROM busybox
RUN ls /sys/class/net | xargs >/links && ip -4 -o addr show eth0 | awk '{ print $4 }' >/address && grep nameserver /etc/resolv.conf >/dns
RUN wget -q -O /got http://web.test/busybox && cmp /got /bin/busybox && wget -q -O /dev/null http://web/busybox
D
    [[ $(husk run --rm net:3 cat /links) == *eth0* && $(husk run --rm net:3 cat /dns) == "nameserver ${port%.*}.1" ]]
    [[ $(husk run --rm net:3 cat /address) == "${port%.*}".*/* ]]
    husk network create --subnet 10.99.7.0/24 named
    husk build -q --network named -t net:4 -f - "$C" <<<$'FROM busybox\nRUN ip -4 -o addr show eth0 >/address'
    [[ $(husk run --rm net:4 cat /address) == *10.99.7.* ]]
    husk network rm named
    husk rm -f web
    husk system check
}

@test "build: what a killed build had on the bridge is found and given back" {
    local pid
    C=$T/c
    printf 'FROM busybox\nRUN echo up && sleep 1000\n' >"$C/Sleeping"
    "$HUSK" build --no-cache --progress plain -f "$C/Sleeping" "$C" >"$T/tmp/killed" 2>&1 3>&- &
    pid=$!
    wait_until 20 grep -q ' up$' "$T/tmp/killed"
    kill -STOP "$pid"
    pkill -KILL -P "$pid" # the step's process: both die at once
    kill -KILL "$pid"
    wait "$pid" || true
    husk build -q --no-cache -f - "$C" <<<$'FROM busybox\nRUN true'
    [[ ! $(find "$HUSK_ROOT/tmp" "$HUSK_RUN" -mindepth 1 -name 'build*' -o -name '????????????????????????????????????????????????????????????????') ]]
    husk system check
}

@test "build: an ordinary user's RUN reaches the outside by pasta, where there is one, and says what it lacks" {
    C=$T/c
    # shellcheck disable=SC2329
    t() { USER_TUN=1 as_user husk build -q --no-cache "$@" -f - "$C" <<<$'FROM busybox\nRUN ls /sys/class/net | grep -v lo >/links; ip route | grep -q default'; }
    ip link add out0 type veth peer name out1
    ip link set out1 up
    ip addr add 198.51.100.2/24 dev out0
    ip link set out0 up
    ip route add default via 198.51.100.1 dev out0
    t -t net:5
    [[ $(as_user husk run --rm net:5 cat /links) == out0 ]]
    as_user husk system check
    run as_user husk build -q --no-cache -f - "$C" <<<$'FROM busybox\nRUN true'
    expect 1 'or build with --network host'
    ip link del out0
}

@test "build: ADD fetches files, checks what they hash to, and clones repositories" {
    local h sum port commit
    C=$T/c
    echo fetched >"$T/www/file.txt"
    mkdir "$T/www/in"
    echo inside >"$T/www/in/f"
    tar -C "$T/www" -czf "$T/www/in.tar.gz" in
    sum=$(sha256sum <"$T/www/file.txt")
    git init -q "$T/www/origin"
    git -C "$T/www/origin" config user.email t@example.com
    git -C "$T/www/origin" config user.name t
    mkdir "$T/www/origin/sub"
    echo versioned >"$T/www/origin/sub/v"
    echo run >"$T/www/origin/x.sh"
    chmod 755 "$T/www/origin/x.sh"
    git -C "$T/www/origin" add . && git -C "$T/www/origin" commit -qm one
    git clone -q --bare "$T/www/origin" "$T/www/repo.git"
    git -C "$T/www/repo.git" update-server-info
    commit=$(git -C "$T/www/origin" rev-parse HEAD)
    touch -d @1800000000 "$T/www/file.txt" # the server's Last-Modified
    python3 -u -m http.server --bind 127.0.0.1 --directory "$T/www" 0 >"$T/tmp/server" 2>&1 3>&- &
    SERVER=$!
    wait_until 20 grep -q 'port [0-9]' "$T/tmp/server"
    port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$T/tmp/server" | head -n 1)
    for h in $WHO; do
        "$h" build -q -t add:1 -f - "$C" <<D
FROM busybox
ADD http://127.0.0.1:$port/file.txt /got/
ADD --checksum=sha256:${sum%% *} --chmod=0755 http://127.0.0.1:$port/file.txt /as
ADD --unpack http://127.0.0.1:$port/in.tar.gz /un/
ADD http://127.0.0.1:$port/repo.git /repo
ADD --keep-git-dir http://127.0.0.1:$port/repo.git#HEAD /kept
ADD http://127.0.0.1:$port/repo.git#HEAD:sub /sub
ADD http://127.0.0.1:$port/repo.git?subdir=sub&submodules=false /query
ADD --checksum=${commit:0:1} http://127.0.0.1:$port/repo.git#$commit /commit
RUN test "\$(stat -c %a /repo/sub /repo/sub/v /repo/x.sh | xargs)" = "755 644 755"
RUN test "\$(stat -c %Y /got/file.txt)" = 1800000000 && cmp /query/v /commit/sub/v
D
        [[ $("$h" run --rm add:1 sh -c 'cat /got/file.txt /as /un/in/f; stat -c %a /got/file.txt /as') == $'fetched\nfetched\ninside\n600\n755' ]]
        [[ $("$h" run --rm add:1 sh -c 'cat /repo/sub/v /kept/sub/v /sub/v; ls -d /repo/.git /kept/.git 2>/dev/null') == $'versioned\nversioned\nversioned\n/kept/.git' ]]
        run "$h" build -q -f - "$C" <<<"FROM busybox
ADD --checksum=sha256:$(printf '0%.0s' {1..64}) http://127.0.0.1:$port/file.txt /x"
        [[ $status -ne 0 && $output == *"instead of sha256:0000"* ]]
        run "$h" build -q -f - "$C" <<<"FROM busybox
ADD http://127.0.0.1:$port/nothere /x"
        [[ $status -ne 0 && $output == *404* ]]
        run "$h" build -q -f - "$C" <<<$'FROM busybox\nADD --checksum=md5:1 http://127.0.0.1/x /x'
        expect 1 'expected sha256:'
    done
    kill "$SERVER"
    SERVER=
}
