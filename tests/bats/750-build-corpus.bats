#!/usr/bin/env bats
# build: a corpus of Dockerfiles, tests/data/dockerfiles/*.dockerfile, all with one context. What comes of each is said in
# lines of its own, which a builder takes for comments:
#
#   #> ok                  an image comes of it, the same one for root and for a user
#   #> fails WORDS         none does, and husk says WORDS; where they begin with LINE:COLUMN:, at that place of the file
#   #> with OPTIONS        options of the build
#   #> warns RULE          a warning of this rule comes with it; of no other rule, where one is named
#   #> quiet RULE          no warning of this rule
#   #> config EXPRESSION   true, in jq, of the image's Config
#   #> peer buildah        buildah makes the same of it, where it is root's to try
# shellcheck disable=SC2154 # bats sets them

load helpers

setup_file() {
    setup_both_stores
    umask 022
    make_context "$T/c"
}

# The same bytes and times on every machine.
make_context() { # DIR
    mkdir -p "$1"/{app/lib,src/sub,etc,empty} "$T/tmp/site/www"
    cd "$1" || return 1
    printf '#!/bin/sh\necho main\n' >app/main.sh
    chmod 755 app/main.sh
    ln -s main.sh app/link
    echo a >app/lib/a.txt
    echo b >app/lib/b.md
    echo '{"name": "corpus"}' >package.json
    echo '{"lockfileVersion": 3}' >package-lock.json
    echo 'flask==3.0' >requirements.txt
    echo 'events {}' >etc/nginx.conf
    echo index >src/index.js
    echo deep >src/sub/deep.js
    echo space >'with space.txt'
    echo secret >secret.env
    echo log >debug.log
    printf 'secret.env\n**/*.log\n' >.dockerignore
    echo hello >"$T/tmp/site/www/index.html"
    tar -C "$T/tmp/site" --sort=name --mtime=@1600000000 --owner=0 --group=0 -czf site.tar.gz www
    mkdir "$T/tmp/site/old"
    echo old >"$T/tmp/site/old/a"
    tar -C "$T/tmp/site" --format=v7 --mtime=@1600000000 --owner=0 --group=0 -cf old.tar old
    find . -exec touch -h -d @1700000000 {} +
    cd /
}

# read_file FILE: what is said of it, in $ok, $fails, $options, $warns, $quiet and $config.
read_file() {
    local line
    ok='' fails='' options=() warns='' quiet='' config=''
    while IFS= read -r line; do
        case $line in
        '#> ok') ok=1 ;;
        '#> fails '*) fails=${line#'#> fails '} ;;
        '#> with '*) read -ra options <<<"${line#'#> with '}" ;;
        '#> warns '*) warns+=" ${line#'#> warns '}" ;;
        '#> quiet '*) quiet+=" ${line#'#> quiet '}" ;;
        '#> config '*) config+="${config:+ and }(${line#'#> config '})" ;;
        '#> peer buildah') ;;
        '#>'*) echo "not understood: $line" && return 1 ;;
        esac
    done <"$1"
    [[ ${ok:+1}${fails:+1} == 1 ]] || { echo "it does not say what comes of it: ok, or that it fails"; return 1; }
}

# One file, by $h: prints what is wrong.
try_file() { # FILE
    local name=${1##*/} ok fails options warns quiet config rule line
    name=${name%.dockerfile}
    read_file "$1" || return 1
    run "$h" build --progress plain --network none -t "corpus:$name" -f "$1" "${options[@]}" "$T/c"
    if [[ $fails ]]; then
        [[ ! $fails =~ ^[0-9]+:\ ?[0-9]* ]] || fails="$name.dockerfile:$fails"
        expect 1 "$fails"
        return
    fi
    expect 0 || return 1
    for rule in $warns; do expect 0 ": $rule: " || return 1; done
    for rule in $quiet; do expect 0 "!$rule" || return 1; done
    for line in "${lines[@]}"; do
        [[ $warns && $line =~ ^warning:\ [^\ ]+\ ([A-Za-z]+): ]] || continue
        [[ " $warns " == *" ${BASH_REMATCH[1]} "* ]] || { echo "another warning: $line"; return 1; }
    done
    line=${lines[-1]}
    [[ $line =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "no ID: $output"; return 1; }
    case $h in
    user_husk)
        run husk image inspect -f '{{.Id}}' "corpus:$name"
        expect 0 "=$line"
        return
        ;;
    esac
    [[ ! $config ]] || "$h" image inspect -f '{{json .Config}}' "corpus:$name" | tee "$T/tmp/config" | jq -e "$config" >/dev/null ||
        { echo "not true: $config: $(<"$T/tmp/config")"; return 1; }
}

# try_files FILE...: all of them, whatever comes of each.
try_files() {
    local file said wrong=0
    for file; do
        said=$(try_file "$file") || { printf '%s: %s\n' "${file##*/}" "$said"; wrong=$((wrong + 1)); }
    done
    (($# > 0 && wrong == 0)) || { echo "$wrong of $# are wrong"; return 1; }
}

corpus() { grep -lE "$1" "$HUSK_TOP"/tests/data/dockerfiles/*.dockerfile; }

@test "corpus: what is right becomes the image that it should, and the warnings" {
    local h=husk files
    mapfile -t files < <(corpus '^#> ok$')
    try_files "${files[@]}"
}

@test "corpus: an ordinary user's images are root's, to the byte" {
    local h=user_husk files
    mapfile -t files < <(corpus '^#> ok$')
    try_files "${files[@]}"
}

@test "corpus: what is wrong is refused at its place, in words that say what would be right" {
    local h=husk files
    mapfile -t files < <(corpus '^#> fails ')
    ((${#files[@]} >= 60))
    try_files "${files[@]}"
    [[ ! $(husk images --format '{{.Tag}}' | grep -Fxf <(printf '%s\n' "${files[@]##*/}" | sed 's/[.].*//')) ]]
    husk system check
}

buildah() { command buildah --root "$TRUN/peer" --runroot "$TRUN/peer-run" --storage-driver vfs "$@"; }

# All that a tree must have in common with another builder's: not the times, nor where the holes are.
tree() { "$HUSK_TOP/tests/bats/list-tree" "$1" | awk '{ $5 = $8 = ""; print }'; }

# A Config as JSON on standard input: what both builders say, empty and absent being the same.
settings() {
    jq -S '{Env, Cmd, Entrypoint, WorkingDir, User, ExposedPorts, Volumes, Labels, StopSignal, OnBuild}
        | del(.Labels["io.buildah.version"]?) | map_values(select(. != null and . != [] and . != {} and . != ""))'
}

@test "corpus: the files and the config of an image are those of buildah's, entry by entry" {
    local h=husk file name container wrong=0 n=0
    printf '[storage]\ndriver = "vfs"\n' >"$T/tmp/storage.conf"
    export CONTAINERS_STORAGE_CONF=$T/tmp/storage.conf
    buildah pull -q "docker-archive:$IMAGES/busybox.tar"
    for file in $(corpus '^#> peer buildah$'); do
        name=$(basename "$file" .dockerfile)
        n=$((n + 1))
        buildah bud -q --isolation chroot --pull-never --layers=false --format docker -t "corpus:$name" -f "$file" "$T/c" >"$T/tmp/bud" 2>&1 ||
            { echo "$name: buildah:"; cat "$T/tmp/bud"; wrong=$((wrong + 1)); continue; }
        husk build -q --network none -t "corpus:$name" -f "$file" "$T/c" >/dev/null
        container=$(buildah from --pull-never "corpus:$name")
        # In a chroot, buildah leaves empty files where RUN had the host's.
        tree "$(buildah mount "$container")" | grep -vE '^f 755 .* etc/(hosts|hostname|resolv.conf)$' >"$T/tmp/theirs"
        tree "$(husk image mount "corpus:$name")" >"$T/tmp/ours"
        husk image unmount "corpus:$name"
        buildah inspect -t image "corpus:$name" | jq .Docker.config | settings >>"$T/tmp/theirs"
        husk image inspect -f '{{json .Config}}' "corpus:$name" | settings >>"$T/tmp/ours"
        diff -u "$T/tmp/theirs" "$T/tmp/ours" >"$T/tmp/diff" || { echo "$name:"; cat "$T/tmp/diff"; wrong=$((wrong + 1)); }
    done
    rm -r "$TRUN/peer" "$TRUN/peer-run"
    ((n >= 12 && wrong == 0)) || { echo "$wrong of $n are otherwise"; return 1; }
}
