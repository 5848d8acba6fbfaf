#!/usr/bin/env bats
# build: a Dockerfile becomes an image, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is words; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
}

WHO="husk user_husk"

# A directory of its own, in $C.
context() { # NAME
    rm -rf "${T:?}/c/$1"
    mkdir -p -m 755 "$T/c/$1"
    C=$T/c/$1
}
build() { "$h" build -q "$@" "$C"; }
show() { "$h" inspect --type image -f "$1" "${2:-t:1}"; }

setup() { umask 022; }

# has STATUS WORDS...: expect, for each of the words.
has() {
    local wanted=$1 word
    shift
    for word; do
        expect "$wanted" "$word"
    done
}

@test "build: every instruction has its place in the image, for root and for a user, with the same bytes" {
    local h id=
    context all
    mkdir "$C/dir"
    echo one >"$C/dir/one"
    ln -s one "$C/dir/link"
    touch -h -d @1700000000 "$C/dir/one" "$C/dir/link"
    cat >"$C/Dockerfile" <<'D'
# syntax=docker/dockerfile:1
ARG BASE=busybox
FROM $BASE AS first
ARG WHO=nobody
ENV A=1 B="two words"
ENV C=${A:+set} D=${NO:-default}
WORKDIR /place
WORKDIR sub
COPY dir ./
RUN echo "$A-$B-$C-$D-$WHO" >said && test "$(cat one)" = one && chmod 4755 said
FROM first
LABEL a.b="c d" e=$A
EXPOSE 80 53/udp 8000-8001
VOLUME /data
USER 5:6
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --retries=2 CMD true || exit 1
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT ["/bin/cat"]
CMD ["said"]
ONBUILD RUN true
MAINTAINER me
D
    for h in $WHO; do
        [[ $(build -t t:1 -t t:2 --build-arg WHO=me) =~ ^sha256:[0-9a-f]{64}$ ]]
        [[ $("$h" run --rm t:2) == "1-two words-set-default-me" ]]
        [[ $(show '{{.Config.User}} {{.Config.WorkingDir}} {{.Config.StopSignal}} {{.Author}}') == "5:6 /place/sub SIGINT me" ]]
        [[ $(show '{{json .Config.Labels}}') == '{"a.b":"c d","e":"1"}' ]]
        [[ $(show '{{json .Config.ExposedPorts}}' | jq -cS .) == '{"53/udp":{},"80/tcp":{},"8000/tcp":{},"8001/tcp":{}}' ]]
        [[ $(show '{{json .Config.Shell}} {{json .Config.OnBuild}}') == '["/bin/sh","-ec"] ["RUN true"]' ]]
        [[ $(show '{{json .Config.Healthcheck.Test}}') == '["CMD-SHELL","true || exit 1"]' ]]
        [[ $("$h" run --rm --entrypoint "" t:1 stat -c '%a %u %Y' said) == "4755 0 1700000000" ]]
        [[ $("$h" run --rm --entrypoint "" t:1 readlink link) == one ]]
        [[ ! $id || $(show '{{.Id}}') == "$id" ]]
        id=$(show '{{.Id}}')
        [[ $("$h" build -q --no-cache --build-arg WHO=me "$C") == "$id" ]]
        "$h" system check
    done
    store_is_sound "$HUSK_ROOT"
}

@test "build: a second time nothing is done, and each edit does what depends on it" {
    local h
    context cache
    echo 1 >"$C/a"
    echo 1 >"$C/b"
    printf 'FROM busybox\nCOPY a /a\nRUN date +%%N >/ran\nCOPY b /b\nRUN cat /a /b >/both\n' >"$C/Dockerfile"
    for h in $WHO; do
        run "$h" build --progress plain -t t:1 "$C"
        has 0 '#4 DONE' '!CACHED'
        run "$h" build --progress plain -t t:1 "$C"
        has 0 '#4 CACHED' '!DONE'
        touch "$C/a" "$C/b" # only a time
        run "$h" build --progress plain -t t:1 "$C"
        has 0 '#4 CACHED' '!DONE'
        echo 2 >"$C/b"
        run "$h" build --progress plain --explain-cache -t t:1 "$C"
        has 0 '#2 CACHED' '#3 DONE' '#4 DONE' "#3 runs: file 'b' changed"
        [[ $("$h" run --rm t:1 cat /both) == $'1\n2' ]]
        echo 1 >"$C/b"
        run "$h" build --progress plain --no-cache-filter stage-0 -t t:1 "$C"
        expect 0 '!CACHED'
        run "$h" builder du
        expect 0 'steps'
        "$h" builder prune --force
        run "$h" build --progress plain -t t:1 "$C"
        has 0 '#4 DONE' '!CACHED'
        "$h" system check
    done
}

@test "build: stages run side by side, those that nobody needs not at all" {
    local h start
    context stages
    cat >"$C/Dockerfile" <<'D'
FROM nowhere.invalid/none AS never
RUN exit 1
FROM busybox AS one
RUN echo 1 >/one; touch /shared/a; i=0; until test -e /shared/b || test $i = 100; do sleep 0.1; i=$((i+1)); done; test -e /shared/b
FROM busybox AS two
RUN echo 2 >/two; touch /shared/b; i=0; until test -e /shared/a || test $i = 100; do sleep 0.1; i=$((i+1)); done; test -e /shared/a
FROM scratch AS last
COPY --from=one /one /
COPY --from=1 /one /again
COPY --from=two /two /
COPY --from=busybox /bin/busybox /bin/
D
    for h in $WHO; do
        rm -rf "$T/c/shared"
        mkdir -m 777 "$T/c/shared"
        build -v "$T/c/shared:/shared" -t t:1
        [[ $("$h" run --rm t:1 /bin/busybox cat /one /two /again) == $'1\n2\n1' ]]
        run "$h" build -q --target never "$C"
        expect 1 'Dockerfile:1: FROM failed: the line above says why'
        run "$h" build -q --target nothing "$C"
        expect 1 "has no stage 'nothing': expected never, one, two, last"
        build --target one -t t:2 -v "$T/c/shared:/shared"
        [[ $("$h" run --rm t:2 cat /one) == 1 ]]
    done
}

@test "build: what is wrong is told with file and line" {
    local h=husk
    context wrong
    echo x >"$C/there"
    echo hidden >"$C/.dockerignore"
    echo x >"$C/hidden"
    wrong() { # STATUS MESSAGE, the Dockerfile on standard input
        cat >"$C/Dockerfile"
        run "$h" build -q "$C"
        expect "$1" "$2"
        [[ ! $(find "$HUSK_ROOT/tmp" -mindepth 1) ]]
    }
    wrong 1 "husk build: Dockerfile:2:1: unknown instruction 'RUNN': did you mean RUN?" <<<$'FROM busybox\nRUNN x'
    wrong 1 "Dockerfile:2: '/bin/sh -c exit 7' exited with 7" <<<$'FROM busybox\nRUN exit 7'
    wrong 1 "Dockerfile:2: COPY: 'nothere' is not in the context" <<<$'FROM busybox\nCOPY nothere /'
    wrong 1 "Dockerfile:2: COPY: 'hidden' is not in the context: .dockerignore keeps it out" <<<$'FROM busybox\nCOPY hidden /'
    wrong 1 "the destination must be a directory and end with a slash" <<<$'FROM busybox\nCOPY there there /x'
    wrong 1 "Dockerfile:2: USER" <<<$'FROM busybox\nUSER $NO'
    wrong 1 "Dockerfile:3: user 'nobodyhere'" <<<$'FROM busybox\nUSER nobodyhere\nRUN true'
    wrong 1 "Dockerfile:2: NO: say so" <<<$'FROM busybox\nENV A="${NO:?say so}"'
    wrong 1 "Dockerfile:2: STOPSIGNAL" <<<$'FROM busybox\nSTOPSIGNAL NOSUCH'
    wrong 1 "Dockerfile:2: EXPOSE" <<<$'FROM busybox\nEXPOSE 99999999'
    wrong 1 "syntax=example.com/other" <<<$'# syntax=example.com/other\nFROM busybox'
    wrong 1 "--mount: unknown key 'tpye': did you mean type?" <<<$'FROM busybox\nRUN --mount=tpye=cache,target=/x true'
    run "$h" build -q "$T/c/nosuch"
    expect 1 "context"
    run "$h" build -q -f nosuch "$C"
    expect 1 "--file"
    run "$h" build -q -t 'Bad Name' "$C"
    expect 1 "--tag"
}

@test "build: COPY goes where the image's links and directories lead, with owners and modes" {
    local h
    context copy
    mkdir -p "$C/tree/sub/deep" "$C/more"
    echo f >"$C/tree/f"
    echo g >"$C/tree/sub/g"
    echo h >"$C/tree/sub/deep/h"
    echo 1 >"$C/more/x1.txt"
    echo 2 >"$C/more/x2.txt"
    echo 3 >"$C/more/y.log"
    ln "$C/tree/f" "$C/tree/hard"
    chmod 604 "$C/tree/f"
    cat >"$C/Dockerfile" <<'D'
FROM busybox
RUN mkdir -p /real/in && chmod 700 /real && ln -s real /linked && ln -s /etc/passwd /file && mkdir /d
COPY tree /linked/in
COPY tree/f /d
COPY tree/f /new/file
COPY --chown=7:8 --chmod=u=rwX,go=rX tree /owned/
COPY --chown=daemon more/x?.txt /globbed/
COPY --parents tree/./sub/deep/h tree/f /parents/
COPY --exclude=*.log --exclude=x1* more /excluded/
COPY --link --chmod=0640 more/y.log /linked-layer/
COPY <<A <<"B" /docs/
expanded $HOME ${NO:-x}
A
literal $HOME
B
RUN find / -xdev -path /proc -prune -o -newer /etc/hostname -print >/dev/null
D
    for h in $WHO; do
        build -t t:1
        run "$h" run --rm t:1 sh -c 'cd /; stat -c "%n %a %u:%g %h" real real/in real/in/f real/in/hard real/in/sub/deep/h d/f new new/file owned owned/f owned/sub globbed/x1.txt parents/sub/deep/h parents/tree/f linked-layer/y.log; ls excluded globbed docs; cat docs/A docs/B'
        has 0 "real 700 0:0" "real/in/f 604 0:0 2" "real/in/hard 604 0:0 2" "real/in/sub/deep/h 644 0:0 1" "d/f 604 0:0" "new 755 0:0" \
            "new/file 604 0:0" "owned/f 644 7:8" "owned/sub 755 7:8" "globbed/x1.txt 644 1:1" "parents/sub/deep/h 644" \
            "linked-layer/y.log 640" $'x2.txt\n\nglobbed' 'expanded  x' 'literal $HOME'
        "$h" system check
    done
}

@test "build: RUN has its mounts, and nothing of them is in the image" {
    local h
    context mounts
    mkdir "$C/src"
    echo file >"$C/src/f"
    # the user's build may not change a directory of root's, whatever is mounted over it
    ((EUID != 0)) || chown -R "$HUSK_USER:" "$C/src"
    printf secret-value-123 >"$T/c/secret"
    chmod 644 "$T/c/secret"
    cat >"$C/Dockerfile" <<'D'
FROM busybox AS tools
RUN mkdir /t && echo tool >/t/tool
FROM busybox
RUN --mount=type=bind,source=src,target=/mnt cat /mnt/f >/a && ! touch /mnt/new
RUN --mount=type=bind,source=src,target=/mnt,rw touch /mnt/new && ls /mnt >/b
RUN --mount=type=bind,from=tools,source=/t,target=/tools cat /tools/tool >/c
RUN --mount=type=cache,target=/root/.cache,mode=0700 echo x >>/root/.cache/count; wc -l </root/.cache/count >/d
RUN --mount=type=cache,target=/root/.cache cat /root/.cache/count >/e
RUN --mount=type=tmpfs,target=/scratch,size=1m touch /scratch/x && df -k /scratch | tail -n 1 >/dev/null
RUN --mount=type=secret,id=s,uid=5,mode=0440 stat -c '%a %u' /run/secrets/s >/f && md5sum </run/secrets/s >/g
RUN --mount=type=secret,id=s,env=S test "${#S}" = 16
RUN --mount=type=secret,id=none test ! -e /run/secrets/none
RUN --mount=type=bind,source=src,target=/mnt,rw test "$(grep -c volatile /proc/mounts)" = 2
RUN --network=none test "$(ls /sys/class/net)" = lo
RUN --security=insecure grep CapEff /proc/self/status >/h
D
    for h in $WHO; do
        build --allow security.insecure --secret "id=s,src=$T/c/secret" -t t:1
        run "$h" run --rm t:1 sh -c 'cat /a /b /c /d /e /f; ls -d /mnt /tools /root/.cache /scratch /run/secrets'
        has 1 $'file\nf\nnew\ntool\n1\nx\n440 5' '/mnt: No such' '/tools: No such' '.cache: No such' '/scratch: No such' '/run/secrets: No such'
        [[ ! -e $C/src/new ]]
        # neither in the history nor anywhere in the store
        run "$h" history --no-trunc t:1
        expect 0 '!secret-value'
        run "$h" build -q --secret "id=s,src=$T/c/secret" -f - "$C" <<<$'FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s >/leak'
        expect 1 "the layer has the secret 's' in it"
        run "$h" build -q -f - "$C" <<<$'FROM busybox\nRUN --mount=type=secret,id=s,required true'
        expect 1 "secret 's' is required"
        "$h" system check
        "$h" builder prune --all --force
    done
    ! grep -rq secret-value-123 "$HUSK_ROOT"
}

@test "build: contexts and Dockerfiles from standard input, .dockerignore, ADD of archives" {
    local h
    context in
    mkdir -p "$C/a/keep" "$C/pack/d"
    echo x >"$C/a/x"
    echo k >"$C/a/keep/k"
    echo "packed" >"$C/pack/d/p"
    tar -C "$C/pack" --owner=9 --group=9 -czf "$C/p.tar.gz" d
    gzip -c "$C/a/x" >"$C/plain.gz"
    printf 'a\n!a/keep\npack\n' >"$C/.dockerignore"
    printf 'FROM busybox\nCOPY . /all/\nADD p.tar.gz /un/\nADD plain.gz /\nADD --unpack=false p.tar.gz /as-is/\n' >"$C/Dockerfile"
    printf 'nothing-else\n' >"$C/Other.dockerignore"
    printf 'FROM busybox\nCOPY . /all/\n' >"$C/Other"
    for h in $WHO; do
        build -t t:1
        run "$h" run --rm t:1 sh -c 'cd /; find all un as-is plain.gz | sort; stat -c %u un/d/p'
        has 0 'all/a/keep/k' '!all/a/x' '!all/pack' 'un/d/p' 'as-is/p.tar.gz' 'plain.gz' '9'
        tar -C "$C" -c . | "$h" build -q -t t:2 -
        [[ $("$h" run --rm t:2 cat /all/a/keep/k) == k ]]
        tar -C "$C" -cz . | "$h" build -q -t t:2 -f Other -
        echo 'FROM busybox
RUN echo from-stdin >/f' | "$h" build -q -t t:3 -
        [[ $("$h" run --rm t:3 cat /f) == from-stdin ]]
        build -f "$C/Other" -t t:4
        [[ $("$h" run --rm t:4 cat /all/a/x) == x ]]
        "$h" system check
    done
}

@test "build: ONBUILD runs where the image is a base; here-documents are scripts; options of the config" {
    local h
    context onbuild
    echo app >"$C/app"
    for h in $WHO; do
        build -t base:1 -f - <<<$'FROM busybox\nONBUILD COPY app /app\nONBUILD RUN echo triggered >/t\nCMD ["old"]'
        build -t t:1 --label l=v --annotation an=no --iidfile "$T/tmp/iid.$h" -f - <<'D'
FROM base:1
RUN <<E
a=1
echo $a >/script
E
RUN <<-'E' cat >/cat
	$tabs
	E
RUN <<E
#!/bin/cat
shown
E
ENTRYPOINT exec cat /app /t /script /cat
D
        [[ $("$h" run --rm t:1) == $'app\ntriggered\n1\n$tabs' ]]
        [[ $(show '{{json .Config}}') != *triggered* && $(show '{{.Config.Labels.l}}') == v ]]
        [[ $(<"$T/tmp/iid.$h") == "$(show '{{.Id}}')" ]]
    done
}

@test "build: --check is content with a shell that was chosen, and with stages that are named after their platform" {
    printf 'FROM busybox\nSHELL ["/bin/sh", "-c"]\nCMD echo x\n' >"$T/c/Chosen"
    husk build --check -f "$T/c/Chosen" "$T/c"
    printf 'FROM --platform=linux/amd64 busybox AS build_amd64\nFROM --platform=linux/arm64 busybox AS build_arm64\nFROM build_${TARGETARCH}\n' >"$T/c/Chosen"
    husk build --check -f "$T/c/Chosen" "$T/c"
    printf 'FROM --platform=linux/amd64 busybox AS other\nCMD echo x\n' >"$T/c/Chosen"
    run husk build --check -f "$T/c/Chosen" "$T/c"
    expect 1 FromPlatformFlagConstDisallowed JSONArgsRecommended
    rm "$T/c/Chosen"
}

@test "build: --check tells BuildKit's rules by name and builds nothing" {
    local h=husk
    context check
    cat >"$C/Dockerfile" <<'D'
FROM --platform=$TARGETPLATFORM busybox as Base
maintainer me
ENV old style
ENV API_TOKEN=x
CMD one
CMD two
WORKDIR rel
EXPOSE 80/TCP
RUN a \

  b
D
    run "$h" build --check --progress plain "$C"
    has 1 RedundantTargetPlatform StageNameCasing FromAsCasing MaintainerDeprecated ConsistentInstructionCasing LegacyKeyValueFormat \
        SecretsUsedInArgOrEnv MultipleInstructionsDisallowed JSONArgsRecommended WorkdirRelativePath ExposeProtoCasing NoEmptyContinuation
    printf '# check=skip=all\n%s\n' "$(<"$C/Dockerfile")" >"$C/Dockerfile"
    run "$h" build --check --progress plain "$C"
    expect 0 '!warning'
    cat >"$C/Dockerfile" <<'D'
# check=experimental=InvalidDefinitionDescription
# something else
ARG EMPTY
# WORD the word
ARG WORD=busy
# TWO the first line
# of nothing
ARG TWO
FROM $EMPTY AS a
FROM ${NOBODY}box AS b
FROM ${WORD}box AS c
FROM ${BUILDARCH}/x${TARGETARCH} AS d
D
    run "$h" build --check --progress plain "$C"
    has 1 "Dockerfile:9:6: InvalidDefaultArgInFrom: with the defaults of ARG alone '\$EMPTY' is ''" "Dockerfile:10:6: UndefinedArgInFrom: no ARG before the first FROM is named 'NOBODY'" \
        "Dockerfile:3:1: InvalidDefinitionDescription: the comment above should be '# EMPTY DESCRIPTION'" "Dockerfile:8:1: InvalidDefinitionDescription" "Dockerfile: 4 warnings"
    sed -i 1d "$C/Dockerfile"
    run "$h" build --check --progress plain "$C"
    expect 1 'Dockerfile: 2 warnings'
    printf '# check=error=true\nFROM busybox\nCMD x\n' >"$C/Dockerfile"
    run "$h" build "$C"
    expect 1 JSONArgsRecommended
}
