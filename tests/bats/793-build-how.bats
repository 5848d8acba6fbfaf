#!/usr/bin/env bats
# build: what the command line says of how it is built, and where it goes beside that, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for others; bats sets the variables

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
    mkdir -m 777 "$T/out"
    echo content >"$T/c/f"
    touch -d @1700000000 "$T/c/f"
    printf 'FROM scratch\nCOPY f /\n' >"$T/c/Dockerfile"
}

WHO="husk user_husk"

# root_of WHO: the store.
root_of() { [[ $1 == husk ]] && echo "$HUSK_ROOT" || echo "$USER_HOME/root"; }
config() { "$1" image inspect "$2" | jq '.[0]'; }
layers() { config "$1" "$2" | jq '.RootFS.Layers | length'; }
# file WHO DOCKERFILE OPTION...: builds it without a network, as how:1; its standard output is the image's /out.
file() {
    local h=$1 text=$2
    shift 2
    "$h" build -q --network none -t how:1 "$@" -f - "$T/c" <<<"$text" >/dev/null && "$h" run --rm --network none how:1 cat /out
}

@test "build: RUN's hosts, names, groups and namespaces are those of the options, and another option is another step" {
    local h k kinds="ipc pid cgroup"
    # links of the machine's own, in the words of ls
    ns() { for k in $kinds; do readlink "/proc/self/ns/$k"; done | xargs; }
    cat >"$T/c/World" <<'D'
FROM busybox
RUN (test -s /etc/hosts && echo hosts; test -s /etc/hostname && echo hostname; hostname; id -G; cat /etc/resolv.conf) >/out; \
    for k in ipc pid cgroup; do readlink /proc/self/ns/$k; done >/ns
D
    for h in $WHO; do
        "$h" build -q --network none -t world:1 -f "$T/c/World" "$T/c"
        [[ $("$h" run --rm --network none world:1 cat /out) == hosts$'\n'hostname$'\n'husk-build$'\n'* ]]
        [[ $("$h" run --rm --network none world:1 cat /out) != *4711* ]]
        for k in $("$h" run --rm --network none world:1 cat /ns); do [[ $(ns) != *"$k"* ]]; done
        "$h" build -q --network none -t world:2 -f "$T/c/World" --no-hosts --no-hostname --uts host --group-add 4711 --dns 192.0.2.1 \
            --dns-search one.test --dns-option ndots:3 --ipc host --pid host --cgroupns host "$T/c"
        run "$h" run --rm --network none world:2 cat /out
        [[ ${lines[0]} == "$(uname -n)" && ${lines[1]} == *" 4711"* && $output == *"search one.test"*"ndots:3"* ]]
        [[ $("$h" run --rm --network none world:2 cat /ns | xargs) == "$(ns)" ]]
    done
    "$h" build -q --network none --ipc container -t world:1 -f "$T/c/World" "$T/c"
    [[ $(http_proxy=http://p.test file husk $'FROM busybox\nRUN echo "<$http_proxy>" >/out' --http-proxy) == "<http://p.test>" ]]
    [[ $(config husk how:1 | jq -c .Config.Env) != *p.test* ]]
    [[ $(http_proxy=http://p.test file husk $'FROM busybox\nRUN echo "<$http_proxy> " >/out' --net none) == "<> " ]]
}

@test "build --dns none: RUN has the image's own resolv.conf, and what it writes there is the image's" {
    local h
    printf 'FROM busybox\nRUN echo "nameserver 192.0.2.77" >/etc/resolv.conf\nRUN cat /etc/resolv.conf >/out\n' >"$T/c/Dns"
    for h in $WHO; do
        "$h" build -q --network none --dns none -t dns:1 -f "$T/c/Dns" "$T/c"
        [[ $("$h" run --rm --network none dns:1 cat /out) == "nameserver 192.0.2.77" ]]
        [[ $("$h" run --rm --network none --dns none dns:1 cat /etc/resolv.conf) == "nameserver 192.0.2.77" ]]
        run "$h" build -q --network none --dns none --dns 192.0.2.1 -t dns:2 -f "$T/c/Dns" "$T/c"
        [[ $status -ne 0 && $output == *"--dns none leaves the image's /etc/resolv.conf as it is"* ]]
    done
}

@test "build --stdin: RUN reads our standard input" {
    local h
    printf 'FROM busybox\nRUN cat >/out\n' >"$T/c/Stdin"
    for h in husk; do
        echo from here | "$h" build -q --network none --stdin -t in:1 -f "$T/c/Stdin" "$T/c"
        [[ $("$h" run --rm --network none in:1 cat /out) == "from here" ]]
        echo from here | "$h" build -q --network none --no-cache -t in:1 -f "$T/c/Stdin" "$T/c"
        [[ $("$h" run --rm --network none in:1 cat /out) == "" ]]
    done
}

@test "build --compat-volumes: what RUN changes below a VOLUME is gone, what COPY brings stays" {
    local h text=$'FROM busybox\nRUN mkdir /v && echo old >/v/x\nVOLUME /v /new\nRUN echo mine >/v/x && echo more >/v/y && echo z >/new/z\nCOPY f /v/\nRUN cat /v/* >/out'
    for h in user_husk; do
        [[ $(file "$h" "${text/ && echo z >\/new\/z/}") == $'content\nmine\nmore' ]]
        [[ $(file "$h" "$text" --compat-volumes) == $'content\nold' ]]
    done
}

@test "build --build-arg-file, --ignorefile: lines of arguments, and what the context does not have" {
    local h
    printf '# a comment\n\n A=file \nB=file\n' >"$T/c/args"
    printf 'f\n' >"$T/c/ignore"
    for h in husk; do
        [[ $(file "$h" $'FROM busybox\nARG A\nARG B\nRUN echo $A $B >/out' --build-arg-file "$T/c/args" --build-arg B=line) == "file line" ]]
        [[ $(file "$h" $'FROM busybox\nCOPY . /c\nRUN ls /c >/out' --ignorefile "$T/c/ignore") != *$'\nf'* ]]
        [[ $(file "$h" $'FROM busybox\nCOPY . /c\nRUN ls /c >/out') == *$'\nf'* ]]
    done
    # .containerignore goes before .dockerignore, as with buildah
    mkdir "$T/i"
    touch "$T/i/"{a,b}
    echo a >"$T/i/.containerignore"
    echo b >"$T/i/.dockerignore"
    printf 'FROM busybox\nCOPY . /c\nRUN ls /c >/out\n' >"$T/i/Dockerfile"
    husk build -q --network none -t how:1 "$T/i"
    [[ $(husk run --rm --network none how:1 cat /out | xargs) == "Dockerfile b" ]]
    printf '=x\n' >"$T/c/args"
    check_table husk build <<EOF
--build-arg-file $T/c/args $T/c | 1 | args': line 1: '=x': expected NAME=VALUE
--build-arg-file $T/c/nosuch $T/c | 1 | --build-arg-file
--ignorefile $T/c/nosuch $T/c | 1 | --ignorefile
EOF
}

@test "build --layers=false: without the cache, a stage's steps are one layer; --skip-unused-stages=false builds all" {
    local h text=$'FROM busybox AS one\nRUN echo 1 >/out\nRUN rm /bin/vi\nFROM one\nCOPY f /g\nRUN mv /g /h'
    for h in user_husk; do
        [[ $(file "$h" "$text") == 1 && $(layers "$h" how:1) == 5 ]]
        [[ $(file "$h" "$text" --layers=false) == 1 && $(layers "$h" how:1) == 3 ]]
        "$h" run --rm --network none how:1 sh -c 'test ! -e /bin/vi -a -e /h -a ! -e /g'
        [[ $("$h" history -q how:1 | wc -l) -ge 5 ]]
        run "$h" build --progress plain --network none --layers=false -f - "$T/c" <<<"$text"
        [[ $output != *CACHED* ]]
        run "$h" build --progress plain --network none --layers -f - "$T/c" <<<"$text"
        [[ $output == *CACHED* ]]
        "$h" build -q --network none -f - "$T/c" <<<$'FROM busybox\nRUN false\nFROM scratch'
        run "$h" build -q --network none --skip-unused-stages=false -f - "$T/c" <<<$'FROM busybox\nRUN false\nFROM scratch'
        expect 1 "exited with 1"
    done
}

@test "build --cache-ttl: a step that was made longer ago is done again" {
    local h entry
    for h in husk; do
        "$h" build -q --network none -f - "$T/c" <<<$'FROM busybox\nRUN echo ttl >/out' >/dev/null
        for entry in "$(root_of "$h")"/build/cache/*; do # an hour and more ago
            jq -c '.made -= 4000' "$entry" >"$T/tmp/entry" && cat "$T/tmp/entry" >"$entry"
        done
        run "$h" build --progress plain --network none --cache-ttl 2h -f - "$T/c" <<<$'FROM busybox\nRUN echo ttl >/out'
        [[ $output == *CACHED* ]]
        run "$h" build --progress plain --network none --cache-ttl 1h -f - "$T/c" <<<$'FROM busybox\nRUN echo ttl >/out'
        [[ $output != *CACHED* ]]
        run "$h" build --progress plain --network none --cache-ttl 0s -f - "$T/c" <<<$'FROM busybox\nRUN echo ttl >/out'
        [[ $output != *CACHED* ]]
    done
}

@test "build --jobs: so many steps at a time" {
    # two stages that must not be at work at once, and two that wait for each other
    alone() { printf 'FROM busybox AS %s\nRUN --mount=type=cache,target=/x mkdir /x/at && sleep 0.3 && rmdir /x/at\n' "$1"; }
    meet() { printf 'FROM busybox AS %s\nRUN --mount=type=cache,target=/y touch /y/%s; for i in $(seq 600); do test -e /y/%s && exit; sleep 0.05; done; exit 1\n' "$1" "$1" "$2"; }
    both=$'FROM scratch\nCOPY --from=a /bin/sh /a\nCOPY --from=b /bin/sh /b'
    husk build -q --network none --no-cache --jobs 1 -f - "$T/c" <<<"$(alone a; alone b; echo "$both")"
    husk build -q --network none --no-cache --jobs 0 -f - "$T/c" <<<"$(meet a b; meet b a; echo "$both")"
}

@test "build: words for what is so anyway are taken with their true value, others refused with the cure" {
    husk build -q --rm --force-rm --compress --skip-unused-stages --layers --isolation oci --userns host --allow network.host --builder default "$T/c"
    check_table husk build <<EOF
--rm=false $T/c | 1 | --rm=false: no step leaves a container
--force-rm=false $T/c | 1 | --force-rm=false: no step leaves a container
--isolation chroot $T/c | 1 | a RUN of husk's is always a whole container
--isolation vm $T/c | 1 | 'vm' is not one of default, oci
--userns auto $T/c | 1 | a step is in the build's own user namespace
--ipc container:x $T/c | 125 | private
--jobs -1 $T/c | 1 | --jobs: expected 0 or more
--allow all $T/c | 1 | is not one of network.host, security.insecure
--stdin -f - $T/c | 1 | the Dockerfile is standard input already
EOF
    run husk build -q --network none -f - "$T/c" <<<$'FROM busybox\nRUN --security=insecure true'
    expect 1 "give --allow security.insecure"
    husk build -q --network none --allow security.insecure -f - "$T/c" <<<$'FROM busybox\nRUN --security=insecure true'
}

@test "build --logfile: what is said goes there, and with --logsplit to a file of each platform" {
    local h log
    for h in $WHO; do
        log=$T/out/$h.log
        run "$h" build --progress plain --network none --logfile "$log" -t log:1 "$T/c"
        expect 0 =
        grep -q 'COPY f /' "$log" && [[ $(tail -n 1 "$log") == "$("$h" inspect --type image -f '{{.Id}}' log:1)" ]]
        [[ $(stat -c %a "$log") == 600 ]]
        run "$h" build --progress plain --network none --logfile "$log" --logsplit --platform linux/amd64,linux/arm64 "$T/c"
        expect 0 =
        grep -q linux/arm64 "${log}_linux_arm64" && grep -q linux/amd64 "${log}_linux_amd64"
        [[ $(<"$log") == sha256:* && $(<"$log") != *COPY* ]]
        run "$h" build --network none --logfile "$log" -f - "$T/c" <<<$'FROM busybox\nRUN echo said; false'
        expect 1 "exited with 1"
        [[ $output != *said* ]] && grep -q said "$log"
    done
    check_table husk build <<EOF
--logfile $T/nosuch/log $T/c | 1 | --logfile: open
--logfile $T/out/x --output - $T/c | 1 | --logfile and --output - exclude each other
--logfile $T/out/x --debug $T/c | 1 | --logfile and --debug exclude each other
--logsplit $T/c | 1 | it is for --logfile
EOF
}

@test "build --manifest: what is built is added to a list, which is made when there is none" {
    local h
    for h in user_husk; do
        "$h" build -q --network none --manifest list:1 -t one:1 "$T/c"
        [[ $("$h" manifest inspect list:1 | jq -c '[.manifests[].digest]') == "[\"$(jq -r --arg n docker.io/library/one:1 \
            '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $n).digest' "$(root_of "$h")/index.json")\"]" ]]
        run "$h" build -q --network none --manifest list:1 --platform linux/arm64,linux/arm/v7 "$T/c"
        [[ $status == 0 && $(wc -l <<<"$output") == 1 ]]
        [[ $("$h" manifest inspect list:1 | jq -r '.manifests[].platform.architecture' | xargs) == "amd64 arm64 arm" ]]
        # the same again is there once
        "$h" build -q --network none --manifest list:1 "$T/c"
        [[ $("$h" manifest inspect list:1 | jq '.manifests | length') == 3 ]]
        "$h" system check
    done
    run user_husk build -q --manifest one:1 "$T/c"
    [[ $status != 0 && $output == *one:1* ]]
}

@test "build --sbom-output, --sbom-purl-output: the packages of the image, as files" {
    local h
    mkdir -p "$T/p"
    printf 'P:musl\nV:1.2\nA:x86_64\n\n' >"$T/p/installed"
    printf 'FROM scratch\nCOPY installed /lib/apk/db/installed\n' >"$T/p/Dockerfile"
    for h in $WHO; do
        "$h" build -q --sbom-output "$T/out/$h.spdx" --sbom-purl-output "$T/out/$h.purl" -t sbom:1 "$T/p"
        [[ $(jq -r '.spdxVersion, .packages[].name' "$T/out/$h.spdx" | xargs) == "SPDX-2.3 musl" ]]
        [[ $(jq -r '.[0]' "$T/out/$h.purl") == pkg:apk/alpine/musl@1.2* ]]
        "$h" build -q --sbom=cyclonedx --sbom-output "$T/out/$h.cdx" "$T/p"
        [[ $(jq -r '.bomFormat, .components[].name' "$T/out/$h.cdx" | xargs) == "CycloneDX musl" ]]
    done
    run husk build -q --sbom-output "$T/out/x" --platform linux/amd64,linux/arm64 "$T/p"
    expect 1 "--sbom-output tells of one image: give one --platform"
}

@test "build --retry: husk-image asks so often again for what is pulled or pushed" {
    run husk build --retry 2 --retry-delay 10ms -f - "$T/c" <<<'FROM 127.0.0.1:9/nobody:1'
    [[ $status != 0 && $output == *127.0.0.1:9* ]]
    run husk build --retry x -f - "$T/c" <<<'FROM 127.0.0.1:9/nobody:1'
    [[ $status != 0 && $output == *--retry* ]]
    run husk build --retry x --push -t 127.0.0.1:9/nobody:2 "$T/c"
    [[ $status != 0 && $output == *--retry* ]]
}

@test "build: what husk does not do is refused by name, with what to do instead" {
    check_table husk build <<EOF
--builder other $T/c | 1 | --builder: there is none to choose
--layer-label a=b $T/c | 1 | the cache has layers alone
--cw type=SEV $T/c | 1 | buildah mkcw
--cpp-flag=-DX $T/c | 1 | with --file -
--decryption-key k $T/c | 1 | skopeo copy --decryption-key
--hooks-dir /x $T/c | 1 | --volume and --device
--runtime crun $T/c | 1 | husk is its own runtime
--runtime-flag debug $T/c | 1 | husk is its own runtime
--sign-by key $T/c | 1 | husk image sign
--userns-uid-map 0:1:2 $T/c | 1 | build as an ordinary user
--userns-gid-map 0:1:2 $T/c | 1 | build as an ordinary user
--userns-uid-map-user x $T/c | 1 | build as an ordinary user
--userns-gid-map-group x $T/c | 1 | build as an ordinary user
--sbom-scanner-image x $T/c | 1 | --sbom spdx or cyclonedx
--sbom-scanner-command x $T/c | 1 | --sbom spdx or cyclonedx
--sbom-merge-strategy x $T/c | 1 | --sbom spdx or cyclonedx
--sbom-image-output /x $T/c | 1 | beside the image
--sbom-image-purl-output /x $T/c | 1 | beside the image
EOF
}

@test "builder prune: only what was not used for so long, or the longest unused until so much is left" {
    local h entries
    for h in $WHO; do
        entries=$(root_of "$h")/build
        "$h" builder prune --all --force >/dev/null
        "$h" build -q --network none -f - "$T/c" <<<$'FROM busybox\nRUN --mount=type=cache,target=/m head -c 300000 /dev/urandom >/one'
        touch -d '-3 hours' "$entries"/cache/* "$entries"/mounts/*/id
        "$h" build -q --network none -f - "$T/c" <<<$'FROM busybox\nRUN head -c 300000 /dev/urandom >/two'
        [[ $("$h" builder du | awk '/^steps/ { print $2 }') == 2 ]]
        [[ $(find "$entries/cache" -mmin +170 | grep -c '[0-9a-f]\{64\}') == 1 ]] # to look is not to use
        "$h" builder prune --force --filter until=4h
        [[ $("$h" builder du | awk '/^steps/ { print $2 }') == 2 ]]
        [[ $("$h" builder prune --dry-run --filter until=2h | head -n 1) == steps$'\t'1 ]]
        "$h" builder prune --force --filter type=exec.cachemount --filter until=4h
        [[ $("$h" builder du | awk '/^cache mounts/ { print $3 }') == 1 ]]
        "$h" builder prune --force --filter type=exec.cachemount --filter unused-for=2h
        [[ $("$h" builder du | awk '/^steps|^cache mounts/ { print $(NF - 1) }' | xargs) == *" "* && $("$h" builder du | awk '/^cache mounts/ { print $3 }') == 0 ]]
        "$h" builder prune --force --all --keep-storage 1m
        "$h" builder prune --force --all --max-used-space 1m
        "$h" builder prune --force --all --max-used-space 1k --reserved-space 1m
        "$h" builder prune --force --all --min-free-space 1k # so much is free
        [[ $("$h" builder prune --dry-run --min-free-space 1000t | head -n 1) == steps$'\t'2 ]]
        [[ $("$h" builder prune --dry-run --min-free-space 1000t --reserved-space 400k | head -n 1) == steps$'\t'1 ]]
        [[ $("$h" builder du | awk '/^steps/ { print $2 }') == 2 ]]
        "$h" builder prune --force --max-used-space 400k
        [[ $("$h" builder du | awk '/^steps/ { print $2 }') == 1 ]]
        run "$h" build --progress plain --network none -f - "$T/c" <<<$'FROM busybox\nRUN head -c 300000 /dev/urandom >/two'
        [[ $output == *CACHED* ]] # it was the other one that went
        "$h" builder prune --force --filter until=0s
        [[ $("$h" builder du | awk '/^steps/ { print $2 }') == 0 ]]
    done
    check_table husk builder prune --force <<'EOF'
--filter label=x | 1 | expected until=DURATION, type=regular or type=exec.cachemount
--filter until=x | 1 | --filter until=x
--keep-storage -1 | 1 | --reserved-space: expected 0 or more
--max-used-space -1 | 1 | --max-used-space: expected 0 or more
--min-free-space much | 125 | --min-free-space
EOF
}

@test "build --all-platforms: for those that all base images are there for" {
    local h=user_husk
    "$h" build -q -t base:1 --platform linux/amd64,linux/arm64,linux/arm/v7 --provenance "$T/c"
    "$h" build -q -t base:2 --platform linux/arm64,linux/amd64,linux/s390x "$T/c"
    "$h" build -q -t all:1 --all-platforms --target two -f - "$T/c" <<<$'FROM base:1 AS one\nCOPY f /g\nFROM base:2 AS two\nCOPY --from=one /g /g\nFROM busybox'
    [[ $("$h" manifest inspect all:1 | jq -r '.manifests[].platform.architecture' | sort | xargs) == "amd64 arm64" ]]
    "$h" build -q -t all:2 --all-platforms -f - "$T/c" <<<'FROM busybox'
    [[ $("$h" image inspect all:2 | jq -r '.[0].Architecture') == amd64 ]]
    run "$h" build -q --all-platforms "$T/c"
    expect 1 "no stage that is needed stands on an image"
    run "$h" build -q --all-platforms --platform linux/amd64 "$T/c"
    expect 1 "--all-platforms and --platform exclude each other"
    "$h" build -q -t base:3 --platform linux/s390x "$T/c"
    run "$h" build -q --all-platforms -f - "$T/c" <<<$'FROM base:3 AS one\nFROM busybox\nCOPY --from=one /f /'
    expect 1 "the base images have no platform in common"
}
