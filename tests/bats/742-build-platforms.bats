#!/usr/bin/env bats
# build: several platforms become an index of images, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the variables

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
    mkdir -m 777 "$T/out"
    cat >"$T/c/Dockerfile" <<'D'
FROM --platform=$BUILDPLATFORM busybox AS cross
ARG TARGETPLATFORM TARGETARCH TARGETVARIANT BUILDARCH
RUN --network=none echo "$TARGETPLATFORM $TARGETARCH$TARGETVARIANT" >/made
FROM scratch
COPY --from=cross /made /made
ENV A=1
D
    # a program for arm64: it writes a line
    python3 - "$T/c/arm64" <<'P'
import struct, sys
text = b'emulated\n'
code = struct.pack('<8I', 0xD2800020, 0x100000E1, 0xD2800002 | len(text) << 5, 0xD2800808, 0xD4000001, 0xD2800000, 0xD2800BA8, 0xD4000001) + text
head = b'\x7fELF\x02\x01\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, 183, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
body = struct.pack('<IIQQQQQQ', 1, 5, 0, 0x400000, 0x400000, 120 + len(code), 120 + len(code), 0x1000)
open(sys.argv[1], 'wb').write(head + body + code)
P
    chmod 755 "$T/c/arm64"
}

WHO="husk user_husk"
ALL=linux/amd64,linux/arm64,linux/arm/v7

@test "build --platform: several become an index, each with its own arguments, where nothing foreign runs" {
    local h o id
    for h in $WHO; do
        o=$T/out/$h
        id=$("$h" build -q -t multi:1 --platform "$ALL" --metadata-file "$o.json" --iidfile "$o.iid" "$T/c")
        [[ $(<"$o.iid") == "$id" && $(jq -r '."containerimage.digest", ."containerimage.descriptor".mediaType' "$o.json") == "$id"$'\napplication/vnd.oci.image.index.v1+json' ]]
        [[ $("$h" manifest inspect multi:1 | jq -r '.manifests[].platform | [.os, .architecture, .variant // ""] | join("/")' | xargs) == "linux/amd64/ linux/arm64/ linux/arm/v7" ]]
        [[ $("$h" build -q --no-cache -t multi:2 --platform linux/amd64 --platform linux/arm64,linux/arm/v7 "$T/c") == "$id" ]]
        "$h" build -q --platform "$ALL" -o "type=local,dest=$o.d" "$T/c"
        [[ $(cat "$o.d/linux_amd64/made" "$o.d/linux_arm64/made" "$o.d/linux_arm_v7/made") == $'linux/amd64 amd64\nlinux/arm64 arm64\nlinux/arm/v7 armv7' ]]
        "$h" build -q --platform "$ALL" -o "type=tar,dest=$o.tar" "$T/c"
        [[ $(tar -tf "$o.tar" | grep -c 'linux_.*/made$') == 3 ]]
        "$h" build -q -t multi:3 --platform "$ALL" -o "type=oci,dest=$o.oci" "$T/c"
        [[ $(tar -xOf "$o.oci" "blobs/${id/:/\/}" | jq '.manifests | length') == 3 ]]
        "$h" build -q --platform "$ALL" -o - -o type=oci,dest=- "$T/c" >/dev/null && return 1
        "$h" build -q --platform "$ALL" -o type=oci "$T/c" | tar -tf - | grep -q index.json
        run "$h" build -q --platform "$ALL" -o type=docker,dest="$o.docker" "$T/c"
        expect 1 'has one platform: use type=oci'
        run "$h" build -q --platform "$ALL" --verify multi:1 "$T/c"
        expect 1 'give one --platform'
        "$h" system check
    done
    store_is_sound "$HUSK_ROOT"
}

@test "build --platform: an index is pushed whole, and pulled for one platform" {
    start_registry
    husk build -q --push -t "$REGISTRY/multi:1" --platform "$ALL" "$T/c"
    [[ $(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/multi:1" | jq '.manifests | length') == 3 ]]
    husk rmi -f "$REGISTRY/multi:1"
    husk build -q --platform linux/arm64,linux/amd64 -o "type=local,dest=$T/out/based" -f - "$T/c" <<<"FROM $REGISTRY/multi:1"
    [[ $(cat "$T/out/based/linux_arm64/made" "$T/out/based/linux_amd64/made") == $'linux/arm64 arm64\nlinux/amd64 amd64' ]]
}

@test "build --platform: a program of another machine runs by its interpreter, else the error says what is missing" {
    local h
    for h in $WHO; do
        run "$h" build -q --platform linux/s390x -f - "$T/c" <<<$'FROM scratch\nCOPY arm64 /p\nRUN --network=none ["/p"]'
        expect 1 "RUN for linux/s390x: this machine is linux/amd64, and binfmt_misc has no interpreter for its programs: install qemu-user-static (qemu-s390x)"
    done
    # in a user namespace of its own, whose binfmt_misc is nobody else's
    run as_user unshare --user --map-root-user --map-auto --mount sh -c '
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
        printf "%s" ":aarch64:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/usr/bin/qemu-aarch64-static:$1" >/proc/sys/fs/binfmt_misc/register &&
        printf "FROM scratch\nCOPY arm64 /p\nRUN --network=none [\"/p\"]\n" | "$HUSK" build --progress plain --platform linux/arm64 -f - "$T/c"' - F
    expect 0 emulated
}
