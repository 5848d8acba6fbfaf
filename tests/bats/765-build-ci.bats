#!/usr/bin/env bats
# husk build as a CI machine calls it: progress that a program reads, variables.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

bats_require_minimum_version 1.5.0
load helpers

setup_file() { husk_setup_file && load_busybox >/dev/null; }
setup() {
    mkdir -p "$T/tmp/ctx"
    cd "$T/tmp/ctx" || return 1
}

@test "build --progress rawjson: each line is a status as BuildKit's, of steps that ran, were cached and failed" {
    printf 'FROM busybox as base\nRUN printf "a\\303\\244\\nb"\n' >Dockerfile
    husk build --progress rawjson . 2>progress
    jq -se 'map(.vertexes[]?) | length == 2 and .[0].digest == .[1].digest and (.[0].name | contains("RUN printf"))
        and (.[0].completed | not) and .[1].completed >= .[1].started and .[1].cached == null and .[1].error == null' progress
    jq -sre 'map(.logs[]? | .data | @base64d) | join("")' progress >out
    [[ $(<out) == $'a\xc3\xa4\nb' ]]
    jq -sre 'map(.warnings[]? | .short | @base64d) | join(" ")' progress | grep -q "FromAsCasing"
    husk build --progress rawjson . 2>progress
    jq -se 'map(.vertexes[]?) | length == 2 and .[1].cached' progress
    printf 'FROM busybox\nRUN exit 3\n' >Dockerfile
    run -1 --separate-stderr husk build --progress rawjson .
    [[ ! $output ]]
    sed '/^husk build: /d' <<<"$stderr" | jq -se 'map(.vertexes[]?) | .[1].error == "'"'/bin/sh -c exit 3' exited with 3"'"'
}

@test "build: what a pull says is no line among rawjson's" {
    start_registry
    printf 'FROM %s\nRUN true\n' "$(push_busybox base)" >Dockerfile
    husk build --pull --progress rawjson . 2>progress
    jq -se 'length > 1' progress
    husk run --quiet --pull always --rm --network none "$REGISTRY/base" true 2>said
    [[ ! -s said ]]
    husk run --pull always --rm --network none "$REGISTRY/base" true 2>said
    [[ $(<said) != *'no image'* ]]
    grep -q 'Image is up to date' said
    run husk run --rm --platform linux/sparc64 "$REGISTRY/base" true
    expect 125 "no image '$REGISTRY/base' for linux/sparc64 here: pulling it"
}

@test "build: BUILDKIT_PROGRESS is --progress where that is not given" {
    printf 'FROM busybox\nRUN echo one\n' >Dockerfile
    BUILDKIT_PROGRESS=rawjson husk build . 2>progress
    jq -se 'length > 1' progress
    BUILDKIT_PROGRESS=rawjson run husk build --progress plain .
    expect 0 '#1 [stage-0 1/1] RUN echo one'
    BUILDKIT_PROGRESS=tty run husk build -q .
    expect 0 '~^sha256:[0-9a-f]{64}$'
    BUILDKIT_PROGRESS=x run husk build .
    expect 1 "--progress: 'x': expected auto, plain"
}

@test "build --call check is --check" {
    printf 'FROM busybox\nRUN exit 3\n' >Dockerfile
    run husk buildx build --call check .
    expect 0
    printf 'FROM busybox as base\n' >Dockerfile
    run husk build --call check .
    expect 1 'FromAsCasing'
    run husk build --call outline .
    expect 125 "'outline' is not one of build, check"
}
