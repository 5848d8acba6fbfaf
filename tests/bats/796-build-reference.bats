#!/usr/bin/env bats
# build: what the Dockerfile reference promises and a corpus of single files cannot show: triggers that name stages of
# another file, arguments that change, servers that want to know who asks, agents with an owner.
# shellcheck disable=SC2154 # bats sets them

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c" "$T/c/config" "$T/www"
    echo context >"$T/c/file"
    echo conf >"$T/c/config/conf"
}
teardown_file() {
    [[ ! ${SERVER-} ]] || kill "$SERVER"
    husk_teardown_file
}

WHO="husk user_husk"
# build NAME ARGS...: what is on standard input, by $h.
build() { "$h" build -q --network none -t "r:$1" -f - "${@:2}" "$T/c"; }
shown() { "$h" run --rm --network none "r:$1" "${@:2}"; }

@test "reference: a trigger of a base image takes from a stage, an image or a context of the build that it is in" {
    local h
    for h in $WHO; do
        build base <<'D'
FROM busybox
ONBUILD COPY --from=made /app /app
ONBUILD RUN --mount=from=config,target=/opt/config cp /opt/config/conf /conf
D
        build child --build-context "config=$T/c/config" <<'D'
FROM busybox AS unused
RUN exit 1
FROM busybox AS made
RUN echo app >/app
FROM r:base
D
        [[ $(shown child cat /app /conf) == $'app\nconf' ]]
        "$h" image inspect r:child | jq -e '(.[0].Config.OnBuild // []) == []'
        run build child --pull=never --build-context "config=$T/c/config" <<<$'FROM busybox\nFROM r:base'
        expect 1 "Dockerfile:2: ONBUILD COPY of its base: image 'made': no such image"
        run build child --build-context "config=$T/c/config" --target 0 <<<$'FROM r:base\nFROM busybox AS made'
        expect 1 "Dockerfile:1: ONBUILD of its base, 1:1:6: stage 'made' comes later: expected an earlier one"
    done
}

@test "reference: a proxy is no part of a step, unless an ARG names it: then it is in the history and in the key" {
    local h=husk
    build proxy --build-arg HTTP_PROXY=http://u:p@one <<<$'FROM busybox\nRUN echo $HTTP_PROXY >/p'
    build proxy --build-arg HTTP_PROXY=http://u:p@two <<<$'FROM busybox\nRUN echo $HTTP_PROXY >/p'
    [[ $(shown proxy cat /p) == http://u:p@one ]]
    [[ $(husk history --no-trunc r:proxy) != *u:p@* ]]
    build proxy --build-arg HTTP_PROXY=http://u:p@one <<<$'FROM busybox\nARG HTTP_PROXY\nRUN echo $HTTP_PROXY >/p'
    build proxy --build-arg HTTP_PROXY=http://u:p@two <<<$'FROM busybox\nARG HTTP_PROXY\nRUN echo $HTTP_PROXY >/p'
    [[ $(shown proxy cat /p) == http://u:p@two ]]
    [[ $(husk history --no-trunc --format '{{.CreatedBy}}' r:proxy | head -n 1) == 'RUN |1 HTTP_PROXY=http://u:p@two /bin/sh -c'* ]]
}

@test "reference: arguments that speak to the builder: names of hosts and caches, checks, syntax, indexes, caches inside" {
    local h=husk
    build arg --build-arg BUILDKIT_SANDBOX_HOSTNAME=sandy <<<$'FROM busybox\nRUN hostname >/h'
    [[ $(shown arg cat /h) == sandy ]]
    build arg --build-arg BUILDKIT_CACHE_MOUNT_NS=one <<<$'FROM busybox\nRUN --mount=type=cache,target=/c touch /c/one'
    build arg --build-arg BUILDKIT_CACHE_MOUNT_NS=two <<<$'FROM busybox\nRUN --mount=type=cache,target=/c ls /c >/ls'
    [[ ! $(shown arg cat /ls) ]]
    run build arg <<<$'#syntax=mine/own\nFROM busybox\nRUN true'
    expect 1 'syntax=mine/own'
    build arg --build-arg BUILDKIT_SYNTAX=dockerfile.v0 <<<$'#syntax=mine/own\nFROM busybox\nRUN true'
    run build arg --build-arg BUILDKIT_SYNTAX=mine/own <<<$'FROM busybox\nRUN true'
    expect 1 '--build-arg BUILDKIT_SYNTAX=mine/own: husk reads docker/dockerfile:1'
    run build arg --build-arg BUILDKIT_DOCKERFILE_CHECK=error=true <<<$'FROM busybox\nCMD a b'
    expect 1 '1 warning of checks'
    build arg --build-arg 'BUILDKIT_DOCKERFILE_CHECK=error=true;skip=JSONArgsRecommended' <<<$'FROM busybox\nCMD a b'
    run build arg --build-arg BUILDKIT_DOCKERFILE_CHECK=nonsense <<<$'FROM busybox\nCMD a b'
    expect 1 "BUILDKIT_DOCKERFILE_CHECK: 'nonsense': expected skip=NAMES"
    build arg --build-arg BUILDKIT_MULTI_PLATFORM=1 <<<$'FROM busybox\nRUN true'
    [[ $(husk manifest inspect r:arg | jq '.manifests | length') == 1 ]]
    build arg --build-arg BUILDKIT_INLINE_CACHE=1 <<<$'FROM busybox\nRUN true >/inline'
    husk save --format oci-dir -o "$T/tmp/inline" r:arg
    grep -rqF '"husk.build.cache"' "$T/tmp/inline/blobs"
    run build arg --build-arg BUILDKIT_MULTI_PLATFORM=perhaps <<<$'FROM busybox'
    expect 1 "--build-arg BUILDKIT_MULTI_PLATFORM: 'perhaps' is neither true nor false"
}
