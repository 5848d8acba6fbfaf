# build.bash: the case of tests/bench/run that is about builds. Sourced by it.
# shellcheck shell=bash disable=SC2154
#
# The same trees for husk and for its peers: buildah, which runs its containers with runc, and docker with its classic
# builder and with BuildKit, as far as its client and daemon have them. What is cold is cold for all: each runs every step
# again. Of docker's CPU only its client's is seen. The stores are on /var/tmp; cp(1) copies beside them, and there
# husk's store is a new one each time: it hashes, makes the layer's tar and writes it to disk as well.

build_trees() {
    local i
    mkdir -p "$tmp/build/ten" "$tmp/build/big/tree" "$tmp/build/two" "$tmp/build/copy/t"
    echo file >"$tmp/build/ten/f"
    cat >"$tmp/build/ten/Dockerfile" <<'END'
FROM localhost/busybox
WORKDIR /app
RUN echo 1 >a
RUN echo 2 >b
COPY f /app/
RUN mkdir -p d/e && echo 3 >d/e/f
ENV X=1
RUN echo $X >x
RUN cat a b x >y
RUN rm a
COPY f /g
RUN echo end >z
END
    for ((i = 0; i < 10000; i++)); do
        ((i % 50)) || mkdir "$tmp/build/big/tree/$((i / 50))"
        echo "file $i" >"$tmp/build/big/tree/$((i / 50))/$i"
    done
    printf 'FROM localhost/busybox\nCOPY . /all\nRUN echo >/x\nCOPY tree/1 /y\nRUN ls /y >/z\n' >"$tmp/build/big/Dockerfile"
    for ((i = 0; i < 20000; i++)); do
        ((i % 100)) || mkdir "$tmp/build/copy/t/$((i / 100))"
        head -c $((i % 7 * 1500 + 200)) /usr/bin/python3 >"$tmp/build/copy/t/$((i / 100))/$i"
    done
    printf 'FROM scratch\nCOPY t /t\n' >"$tmp/build/copy/Dockerfile"
    printf 'FROM localhost/busybox AS a\nRUN sleep 2; echo 1 >/a\nFROM localhost/busybox AS b\nRUN sleep 2; echo 2 >/b\nFROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n' >"$tmp/build/two/Dockerfile"
}

# Adds a build by docker's builders to `commands`, those that work here: with_docker OPTIONS...
with_docker() {
    local kit
    local -a names=("docker build, classic" "docker build, BuildKit")
    has docker || return 0
    for kit in 0 1; do
        DOCKER_BUILDKIT=$kit docker build -q "$@" >/dev/null 2>&1 || continue
        commands+=("${names[kit]}" "env DOCKER_BUILDKIT=$kit docker build -q $*")
    done
}

# The parts of `build`; HUSK_BENCH_BUILD names some of them.
build_ten() {
    commands=("husk build" "$husk build -q --no-cache $tmp/build/ten")
    ((${#buildah[@]} == 0)) || commands+=("buildah bud" "${buildah[*]} bud -q --layers --no-cache --runtime runc -t b:1 $tmp/build/ten")
    with_docker --no-cache "$tmp/build/ten"
    compare build-cold "ten steps, nothing cached: build" -w 1 "${commands[@]}"
}
build_cached() {
    commands=("husk build" "$husk build -q $tmp/build/big")
    ((${#buildah[@]} == 0)) || commands+=("buildah bud" "${buildah[*]} bud -q --layers --runtime runc -t b:2 $tmp/build/big")
    with_docker "$tmp/build/big"
    compare build-cached "all cached, 10,000 files: build" -w 1 "${commands[@]}"
}
# Each begins on a disk that has nothing left to write: what cp leaves to the kernel is not for husk to wait for, whose
# build ends when its own is written.
build_copy() {
    printf '#!/bin/sh\nexec sync -f %q\n' "$tmp/build" >"$tmp/build/settle"
    chmod 755 "$tmp/build/settle"
    compare build-copy "COPY of 20,000 files" -w 1 -e "$tmp/build/settle" \
        "husk build" "env HUSK_ROOT=$tmp/build/store-%I $husk build -q $tmp/build/copy" \
        "cp -a" "cp -a --reflink=auto $tmp/build/copy/t $tmp/build/out-%I"
}
build_stages() {
    compare build-stages "two stages of 2 seconds" -w 0 "husk build" "$husk build -q --no-cache $tmp/build/two"
}

case_build() {
    local saved=$rounds part
    local -a buildah=() commands
    rounds=$((rounds > 9 ? 9 : rounds))
    build_trees
    "$husk" tag busybox localhost/busybox
    if command -v buildah >/dev/null && command -v runc >/dev/null; then
        buildah=(buildah --root "$tmp/buildah" --runroot "$run/buildah" --storage-driver overlay)
        skopeo copy --quiet "docker-archive:$tmp/images/busybox.tar" \
            "containers-storage:[overlay@$tmp/buildah+$run/buildah]localhost/busybox:latest" >/dev/null
    fi
    ! has docker || docker tag busybox localhost/busybox
    for part in ${HUSK_BENCH_BUILD:-ten cached copy stages}; do "build_$part"; done
    ((${#buildah[@]} == 0)) || "${buildah[@]}" rmi --all --force >/dev/null 2>&1 || true
    ! has docker || docker rmi localhost/busybox >/dev/null
    rounds=$saved
}
