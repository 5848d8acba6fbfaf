# oci.bash: bundles and husk-oci, for the files about the OCI runtime. Loaded after helpers.
# shellcheck shell=bash disable=SC2154
#
#   oci ARG...       husk-oci as root with a state directory of this file's; user_oci: as the ordinary user
#   bundle [JQ]      a fresh bundle in $B: `husk-oci spec` with busybox as its root, changed by the jq filter
#   user_bundle [JQ] the same for the user (`spec --rootless`), owned by him

oci() { "$HUSK_OCI" --root "$TRUN/oci" "$@"; }
# naive: a runtime that checks nothing, to see that an attack is one (naive.py says how it is called).
naive() { python3 "$BATS_TEST_DIRNAME/naive.py" "$@"; }
user_oci() { as_user "$HUSK_OCI" --root "$USER_RUN/oci" "$@"; }

bundle() {
    B=$(mktemp -d "$T/tmp/b.XXXXXX")
    chmod 755 "$B"
    cp -a "$IMAGES/rootfs" "$B/rootfs"
    "$HUSK_OCI" spec --bundle "$B"
    GROUP=${T##*/}-${B##*/} # the same id in another file or another test run is another container
    change '.process.terminal = false' ".linux.cgroupsPath = \"/husk/$GROUP\"" "${1:-.}"
}

user_bundle() {
    B=$(mktemp -d "$T/tmp/b.XXXXXX")
    chmod 755 "$B"
    cp -a "$IMAGES/rootfs" "$B/rootfs"
    chown -R "$HUSK_USER:" "$B"
    GROUP=${T##*/}-${B##*/}
    as_user "$HUSK_OCI" spec --rootless --bundle "$B"
    change '.process.terminal = false' "${1:-.}"
}

# change JQ...: edits $B/config.json.
change() {
    local filter
    for filter; do
        jq "$filter" "$B/config.json" >"$B/config.new"
        cat "$B/config.new" >"$B/config.json"
        rm "$B/config.new"
    done
}

# sh_c TEXT: a jq filter that runs TEXT by the container's shell.
sh_c() { jq -n --arg text "$1" -r '".process.args = " + (["sh", "-c", $text] | tojson)'; }

remove_oci() {
    local id
    for id in $(oci list -q 2>/dev/null); do oci delete --force "$id"; done
    [[ ! -d $USER_RUN/oci ]] || for id in $(user_oci list -q); do user_oci delete --force "$id"; done
}

# Nothing of a container is left: no state, no group, no process (by its bundle's mounts).
assert_gone() { # ID
    [[ ! -e $TRUN/oci/$1 && ! -e $USER_RUN/oci/$1 ]] || { echo "state of '$1' is left"; return 1; }
    local found
    found=$(find /sys/fs/cgroup -maxdepth 4 -type d -path "*/husk/$GROUP") || true
    [[ ! $found ]] || { echo "left: $found"; return 1; }
    found=$(grep -l "$B" /proc/[0-9]*/mountinfo 2>/dev/null) || true
    [[ ! $found ]] || { echo "mounted: $found"; return 1; }
}
