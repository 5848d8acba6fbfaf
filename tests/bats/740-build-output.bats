#!/usr/bin/env bats
# build: where an image goes beside the store, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for others; bats sets the variables

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 777 "$T/out"
    mkdir -m 755 "$T/c"
    echo content >"$T/c/f"
    touch -d @1700000000 "$T/c/f"
    printf 'FROM busybox AS tools\nRUN mkdir /d && echo made >/d/made && rm /bin/vi\nCOPY f /d/\nFROM scratch AS files\nCOPY --from=tools /d /d\n' >"$T/c/Dockerfile"
}

WHO="husk user_husk"

setup() { umask 022; }

@test "build --output: the last stage's files in a directory of the caller's, and as a tar" {
    local h o
    for h in $WHO; do
        o=$T/out/$h
        "$h" build -q -o "type=local,dest=$o" "$T/c"
        [[ $(cd "$o" && find . | sort | xargs) == ". ./d ./d/f ./d/made" && $(<"$o/d/f") == content ]]
        [[ $(stat -c %Y "$o/d/f") == 1700000000 ]]
        [[ $(stat -c %u "$o/d/made") == "$(stat -c %u "$o")" ]]
        "$h" build -q -o "$o.2" --target tools "$T/c"
        [[ -x $o.2/bin/busybox && ! -e $o.2/bin/vi && -e $o.2/d/made ]]
        "$h" build -q --output "type=tar,dest=$o.tar" "$T/c"
        [[ $(tar -tf "$o.tar" | sed 's,^\./,,' | grep . | xargs) == "d/ d/f d/made" ]]
        "$h" build -q -o - "$T/c" >"$o.stdout.tar"
        cmp "$o.tar" "$o.stdout.tar"
        # what else is there stays, what has the same name is replaced
        [[ $h == husk ]] && echo else >"$o/d/else" || as_user sh -c "echo else >$o/d/else"
        "$h" build -q -o "$o" -f - "$T/c" <<<$'FROM scratch\nCOPY <<E /d/f\nnew\nE\nCOPY f /g/f'
        [[ $(<"$o/d/f") == new && $(<"$o/d/else") == else && -e $o/d/made && $(<"$o/g/f") == content ]]
        run "$h" build -q -o "$o" -f - "$T/c" <<<$'FROM scratch\nCOPY f /a\nCOPY f /d/f/x'
        expect 1 "'d/f' is no directory there, and one in the image"
        run "$h" build -q -o "$o" -f - "$T/c" <<<$'FROM scratch\nCOPY f /d'
        expect 1 "'d' is a directory there, and none in the image"
        [[ ! -e $o/a && -z $(compgen -G "$o/.husk-part-*") ]]
        "$h" system check
    done
}

@test "build --output: archives of both kinds, and what is written of them" {
    local h o id
    for h in $WHO; do
        o=$T/out/$h
        id=$("$h" build -q -t out:1 --annotation a.b=c --metadata-file "$o.json" -o "type=oci,dest=$o.oci" \
            -o "type=docker,dest=$o.docker,name=out:2" --load "$T/c")
        [[ $(jq -r '."containerimage.config.digest", ."image.name"' "$o.json") == "$id"$'\n'out:1,out:2 ]]
        [[ $(tar -xOf "$o.docker" manifest.json | jq -r '.[].Config' | grep -o '[0-9a-f]\{64\}' | sort -u) == "${id#sha256:}" ]]
        tar -xOf "$o.oci" index.json | jq -r '.manifests[].digest' | grep -qx "$(jq -r '."containerimage.digest"' "$o.json")"
        tar -xOf "$o.oci" "blobs/sha256/$(jq -r '."containerimage.digest" | sub("sha256:";"")' "$o.json")" | jq -e '.annotations["a.b"] == "c"'
        "$h" rmi out:1 out:2
        "$h" load -q -i "$o.oci"
        [[ $("$h" inspect --type image -f '{{.Id}}' out:2) == "$id" ]]
        "$h" build -q -o type=oci "$T/c" | tar -tf - | grep -qx oci-layout
    done
}

@test "build, run: --creds do not stand in the command line of a program of ours" {
    local registry
    (
        T=$T/auth
        mkdir -p "$T"
        start_registry --auth u:p
        echo "$REGISTRY" >"$T/where"
    )
    registry=$(<"$T/auth/where")
    for h in $WHO; do
        "$h" build -q --push --creds u:p -t "$registry/creds/$h:1" "$T/c"
        "$h" rmi "$registry/creds/$h:1"
        run "$h" build -q --push --creds u:wrong -t "$registry/creds/$h:2" "$T/c"
        expect 125 "refuses the credentials"
        "$h" rmi "$registry/creds/$h:2"
        "$h" create --name "creds-$h" --creds u:p "$registry/creds/$h:1" /x
        "$h" rm "creds-$h"
        "$h" rmi "$registry/creds/$h:1"
    done
    strace -f -qq -s 200 -o "$T/out/exec" -e trace=execve "$HUSK" build -q --push --creds u:p -t "$registry/creds/seen:1" "$T/c" 3>&-
    strace -f -qq -s 200 -o "$T/out/exec2" -e trace=execve "$HUSK" pull -q --creds-file <(echo u:p) "$registry/creds/seen:1" 3>&-
    "$HUSK" rmi "$registry/creds/seen:1"
    grep -q 'husk-image.*"--creds-file=/proc/self/fd/' "$T/out/exec"
    ! grep 'husk-image.*u:p' "$T/out/exec" "$T/out/exec2" || return 1
    printf 'u:wrong\n' >"$T/out/creds"
    check_table <<EOF
pull --creds-file $T/out/creds $registry/creds/root:1          | 1 | refuses the credentials
pull --creds-file $T/out/none $registry/creds/root:1           | 1 | --creds-file
pull --creds u:p --creds-file $T/out/creds $registry/creds/x   | 1 | give one of them
EOF
    kill "$(<"$T/auth/registry/pid")"
}

@test "build --push: to the registries of its names" {
    local h id
    start_registry
    for h in $WHO; do
        id=$("$h" build -q --push -t "$REGISTRY/out/$h:1" "$T/c")
        "$h" rmi "$REGISTRY/out/$h:1"
        "$h" pull -q "$REGISTRY/out/$h:1"
        [[ $("$h" inspect --type image -f '{{.Id}}' "$REGISTRY/out/$h:1") == "$id" ]]
        id=$("$h" build -q -o "type=image,name=$REGISTRY/out/$h:2,push=true" "$T/c")
        "$h" rmi "$REGISTRY/out/$h:2"
        "$h" pull -q "$REGISTRY/out/$h:2"
        "$h" build -q -o "type=registry,name=$REGISTRY/out/$h:3,compression=zstd,oci-mediatypes=true" --tls-verify=false --creds u:p "$T/c"
        "$h" rmi "$REGISTRY/out/$h:3"
        "$h" pull -q "$REGISTRY/out/$h:3"
        run "$h" build -q --push --cert-dir /nosuch/dir -t "$REGISTRY/out/$h:4" "$T/c"
        expect 125 /nosuch/dir
        echo '{' >"$T/out/auth"
        run "$h" build -q --push --authfile "$T/out/auth" -t "$REGISTRY/out/$h:4" "$T/c"
        expect 125 "$T/out/auth"
        run "$h" build -q --push -t "127.0.0.1:1/none:1" "$T/c"
        expect 125
    done
}

# kinds STORE: of the image's layers, from the bytes and from the manifest
kinds() {
    local m
    m=$1/blobs/sha256/$(jq -r --arg n "$2" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $n) | .digest | sub("sha256:";"")' "$1/index.json")
    jq -r '.mediaType, (.layers[] | .mediaType | sub(".*[.](?<x>[a-z]+)$";"\(.x)") )' "$m" | xargs
    for d in $(jq -r '.layers[].digest | sub("sha256:";"")' "$m"); do
        case $(head -c 4 "$1/blobs/sha256/$d" | xxd -p) in
            1f8b*) echo gzip ;;
            28b52ffd) echo zstd ;;
            *) tar -tf "$1/blobs/sha256/$d" >/dev/null && echo tar ;;
        esac
    done | xargs
}

@test "build --output: compression=, with a level and with force, is what the image's layers have, and its ID stays the same" {
    local id how want type
    printf 'FROM busybox\nCOPY f /d/\n' >"$T/c/Packed"
    id=$(husk build -q -f "$T/c/Packed" "$T/c")
    while read -r how type want; do
        [[ $(husk build -q -t packed:1 -f "$T/c/Packed" -o "type=image,$how" "$T/c") == "$id" || $how == *oci-mediatypes* ]] || return 1
        run kinds "$HUSK_ROOT" docker.io/library/packed:1
        [[ ${lines[0]} == *"$type"* && ${lines[1]} == $want ]] || { echo "$how: $output"; return 1; }
        husk run --rm --network none packed:1 cat /d/f
    done <<'END'
compression=gzip oci.image.manifest * gzip
compression=uncompressed oci.image.manifest * tar
compression=zstd oci.image.manifest * zstd
compression=gzip,force-compression=true,compression-level=9 oci.image.manifest gzip gzip
compression=uncompressed,force-compression=1 oci.image.manifest tar tar
compression=zstd,compression-level=19,force-compression=true oci.image.manifest zstd zstd
oci-mediatypes=false docker.distribution.manifest gzip gzip
oci-mediatypes=false,compression=uncompressed,force-compression=true docker.distribution.manifest tar tar
END
    husk build -q -f "$T/c/Packed" -o "type=oci,dest=$T/out/packed.tar,compression=gzip,force-compression=true" "$T/c" >/dev/null
    mkdir "$T/out/packed"
    tar -xf "$T/out/packed.tar" -C "$T/out/packed"
    skopeo inspect --raw "oci:$T/out/packed" | jq -e '[.layers[].mediaType] | unique == ["application/vnd.oci.image.layer.v1.tar+gzip"]'
    husk rmi packed:1 >/dev/null
    run husk system check
    expect 0 'no problems'
}

@test "build --output: what it does not know is told before anything is built" {
    local text
    for text in type=squash 'type=local' 'type=tar,to=x' 'type=image,dest=x' 'type=oci,push=true,dest=x' 'type=oci,dest=' 'type=tar,x' 'type=image,compression=lz4' \
        'type=image,compression=estargz' 'type=image,oci-mediatypes=no,compression=zstd' 'type=oci,dest=x,compression=gzip,compression-level=10' \
        'type=oci,dest=x,compression=uncompressed,compression-level=1' 'type=tar,dest=x,compression=gzip' 'type=image,force-compression=x'; do
        run husk build -q -o "$text" "$T/c"
        expect 1 "--output '$text': "
    done
    run husk build -q -o type=image,compression=gzip -o type=oci,dest=x,compression=zstd "$T/c"
    expect 1 "packs the same image otherwise"
    run husk build -q -o type=image,compression=gzip --disable-compression "$T/c"
    expect 1 "contradict each other"
    run husk build -q --format docker -o type=image,compression=zstd "$T/c"
    expect 1 "say --output compression=gzip"
    run husk build -q --push "$T/c"
    expect 1 "give it with --tag"
    run husk build -q -o - -o type=oci "$T/c"
    expect 1 "has room for one"
    run husk build -q --verify busybox -o x "$T/c"
    expect 1 "leave --output and --push out"
}

@test "build --progress tty: steps at work are drawn below those that are done, which stay as lines" {
    printf 'FROM busybox\nRUN --network=none echo word; until [ -e /flag/go ]; do sleep 0.05; done\nENV A=1\nRUN --network=none true\n' >"$T/c/Tty"
    mkdir -p "$T/out/flag"
    python3 -c 'import pty, sys; pty.spawn(["sh", "-c", sys.argv[1]])' \
        "stty cols 60; $HUSK build --no-cache -v $T/out/flag:/flag -f $T/c/Tty $T/c" </dev/null >"$T/out/typescript" 2>&1 3>&- &
    local pid=$!
    wait_until 20 grep -q '    word' "$T/out/typescript"
    touch "$T/out/flag/go"
    wait "$pid"
    grep -q $'\033\[A\033\[2K' "$T/out/typescript"
    grep -q '^ => \[stage-0 3/3\] RUN --network=none true [0-9.]*s' "$T/out/typescript"
    # a line that is drawn is cut where the terminal ends
    tr -d '\r' <"$T/out/typescript" | grep -q ' => \[stage-0 1/3\] RUN --network=none echo word; until \[ -e $'
}
