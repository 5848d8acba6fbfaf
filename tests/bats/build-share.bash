# shellcheck shell=bash disable=SC2154,SC2034
# A build of two stages whose steps tell by a number of their own whether they were done again, as root and as an ordinary
# user. Loaded behind helpers.

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
    mkdir -m 777 "$T/out"
    echo content >"$T/c/f"
    cat >"$T/c/Dockerfile" <<'D'
FROM busybox AS tools
RUN --network=none cat /proc/sys/kernel/random/uuid >/made
FROM busybox
COPY --from=tools /made /copied
COPY f /f
RUN --network=none cat /proc/sys/kernel/random/uuid >/here
D
}

WHO="husk user_husk"

# What the one who has no cache of their own any more makes, and how many steps of it were done.
forget() {
    "$1" rmi -f share:1 >/dev/null 2>&1 || true
    "$1" builder prune --all --force >/dev/null
}
done_steps() { grep -c ' DONE ' <<<"$output" || true; }
