#!/usr/bin/env bats
# build: platforms side by side, what is fetched of a shared cache, and options that are wrong.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the variables

load helpers
load build-share

layer() { "$1" image inspect -f "{{index .RootFS.Layers $3}}" "$2"; }

@test "build --platform: platforms are built side by side, and what they have in common is done once" {
    local h
    # each waits for the other one
    cat >"$T/c/meet" <<'D'
FROM --platform=$BUILDPLATFORM busybox AS cross
RUN --network=none --mount=type=cache,id=meet,target=/meet echo x >>/meet/common; sleep 0.2
ARG TARGETARCH
RUN --network=none --mount=type=cache,id=meet,target=/meet touch /meet/$TARGETARCH; i=0; \
    until test -e /meet/amd64 && test -e /meet/arm64; do i=$((i + 1)); test $i -lt 200 || exit 7; sleep 0.1; done
RUN --network=none --mount=type=cache,id=meet,target=/meet wc -l </meet/common >/times
FROM scratch
COPY --from=cross /times /times
D
    for h in $WHO; do
        "$h" build -q --no-cache --platform linux/amd64,linux/arm64 -o "type=local,dest=$T/out/$h.meet" -f "$T/c/meet" "$T/c"
        [[ $(cat "$T/out/$h.meet/linux_amd64/times" "$T/out/$h.meet/linux_arm64/times" | xargs) == "1 1" ]]
        # one that fails ends the others
        run "$h" build -q --no-cache --platform linux/amd64,linux/arm64 -f - "$T/c" <<<$'FROM --platform=$BUILDPLATFORM busybox\nARG TARGETARCH\nRUN --network=none test $TARGETARCH = amd64 || exit 5; sleep 100'
        expect 1 'exited with 5'
    done
}

@test "build --cache-from registry: of a cache the layers of those steps are fetched that it is asked for, and what is lost is made" {
    local h root first last
    start_registry
    for h in $WHO; do
        root=$HUSK_ROOT
        [[ $h == husk ]] || root=$USER_HOME/root
        forget "$h"
        "$h" build -q -t share:1 --cache-to "type=registry,ref=$REGISTRY/some/$h:1,mode=max" "$T/c"
        first=$(layer "$h" share:1 1) last=$(layer "$h" share:1 3)
        forget "$h"
        "$h" system prune --force >/dev/null # layers that nobody needs go
        [[ ! -e $root/layers/${first#sha256:} && ! -e $root/layers/${last#sha256:} ]]
        printf '%s\n' 'FROM busybox AS tools' 'RUN --network=none cat /proc/sys/kernel/random/uuid >/made' 'FROM busybox' \
            'COPY --from=tools /made /copied' 'RUN --network=none echo other >/other' >"$T/c/other"
        run "$h" build --progress plain -t share:2 --cache-from "$REGISTRY/some/$h:1" -f "$T/c/other" "$T/c"
        expect 0
        [[ $(done_steps) == 1 && $(layer "$h" share:2 1) == "$first" ]]
        [[ -e $root/layers/${first#sha256:} && ! -e $root/layers/${last#sha256:} ]]
        # the records are there, the layers (zstd) are not
        "$h" rmi -f share:2
        forget "$h"
        LC_ALL=C grep -rlaP '\A\x28\xB5\x2F\xFD' "$T/registry/data" | xargs rm
        run "$h" build --progress plain -t share:2 --cache-from "$REGISTRY/some/$h:1" -f "$T/c/other" "$T/c"
        expect 0
        [[ $(done_steps) == 3 && $(layer "$h" share:2 1) != "$first" ]]
        "$h" rmi -f share:2
        "$h" system check
    done
}

# made_by WHO DOCKERFILE OPTION...: builds it without a network; its standard output is the image's /out.
made_by() {
    local h=$1 text=$2
    shift 2
    "$h" build -q --network none -t how:1 "$@" -f - "$T/c" <<<"$text" >/dev/null && "$h" run --rm --network none how:1 cat /out
}

@test "build: a volume with a layer of the step's own over it is written to in vain" {
    local h
    mkdir -m 755 "$T/c/vol"
    echo theirs >"$T/c/vol/f"
    chmod 777 "$T/c/vol"
    for h in $WHO; do
        [[ $(made_by "$h" $'FROM busybox\nRUN echo mine >/v/g && cat /v/f /v/g >/out\nRUN ls /v >>/out' --no-cache -v "$T/c/vol:/v:O") == $'theirs\nmine\nf' ]]
        [[ $(<"$T/c/vol/f") == theirs && $(ls "$T/c/vol") == f ]]
        run "$h" build -q --no-cache --network none -v "$T/c/vol:/v:ro" -f - "$T/c" <<<$'FROM busybox\nRUN echo mine >/v/g'
        expect 1 'exited with 1'
    done
}

@test "build: options that are wrong are told before anything is done" {
    local h options words
    while IFS='|' read -r options words; do
        for h in $WHO; do
            # shellcheck disable=SC2086 # words
            run "$h" build --progress plain $options "$T/c"
            [[ $status -eq 1 && $output == *"$words"* && $output != *'#1 '* ]] || { echo "$options: $status: $output"; return 1; }
        done
    done <<'END'
--memory 1|--memory: less than 6m
--ulimit nofile|--ulimit: 'nofile': it is NAME=SOFT[:HARD]
--shm-size -1|--shm-size: it must be more than 0
--cap-add FOO|--cap-add: 'FOO' is no capability
--add-host x|--add-host: 'x': it is NAME:IP
--dns foo|--dns: 'foo' is no IP address
--volume foo|must be absolute
--volume name:/x|a build has no volumes: RUN --mount=type=cache
--security-opt foo=bar|--security-opt: 'foo=bar' is not one of
--cgroup-parent ../x|'../x' has '..' in it
--label =x|--label '=x': expected KEY[=VALUE]
--env =x|--env '=x': expected NAME[=VALUE]
--os-feature=|--os-feature '': expected FEATURE
--unsetenv=|--unsetenv '': expected NAME
--platform foo|platform 'foo' is neither a system nor a machine
END
}
