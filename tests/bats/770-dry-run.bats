#!/usr/bin/env bats
# --dry-run: what would go, and the room that would make, as root and as a user; and then just that goes.
# shellcheck disable=SC2154 # bats sets them

load helpers

teardown() { remove_all_containers; }

# All that a removal could take away.
everything() {
    { $h ps -a --no-trunc -q; $h images --no-trunc; $h volume ls -q; $h network ls -q; $h pod ps -q; } | sort
    find "$root/blobs" "$root/layers" "$root/containers" "$root/volumes" -maxdepth 2 ! -name usage | sort
}
# unchanged ARGS...: says what would go, and nothing is different afterwards; $said has what it said
unchanged() {
    local before
    before=$(everything)
    said=$($h "$@") || { echo "status $?: husk $*: $said"; return 1; }
    [[ $(everything) == "$before" ]] || { echo "husk $* changed:"; diff <(echo "$before") <(everything); return 1; }
}
has() { [[ $said == *"$1"* ]] || { echo "no '$1' in: $said"; return 1; }; }
lacks() { [[ $said != *"$1"* ]] || { echo "'$1' in: $said"; return 1; }; }

single() {
    local id
    $h load --quiet --input "$IMAGES/busybox.tar"
    $h tag busybox other
    id=$($h images -q --no-trunc busybox)
    $h volume create used
    $h volume create unused
    $h create --name cc --network none -v used:/x busybox true
    unchanged rmi --dry-run other
    has "Untagged: other:latest"
    lacks "Deleted:"
    has "Would be reclaimed: 0B"
    run $h rmi --dry-run "$id"
    expect 1 "has 2 names"
    unchanged rmi --dry-run -f "$id"
    has "Deleted: $id"
    unchanged volume rm --dry-run unused
    has "unused"
    lacks "used by"
    run $h volume rm --dry-run used
    expect 1 "volume 'used' is in use by container"
    run $h volume rm --dry-run nowhere
    expect 1 "no such volume: 'nowhere'"
    unchanged volume rm --dry-run --all
    [[ $said == unused ]]
    if [[ $h == root_husk ]]; then # an ordinary user's networks need a device that the tests of networks give him
        $h network create free
        unchanged network prune --dry-run
        has "free"
        $h network prune -f
    fi
    unchanged builder prune --dry-run --all
    has "Would be reclaimed:"
    $h rm cc
    $h volume rm used unused
    # what it said is what goes, to the byte
    local freed before
    $h rmi --no-trash other >/dev/null
    unchanged rmi --dry-run busybox
    freed=$said
    before=$($h system df --format '{{.Type}} {{.RawReclaimable}}' | awk '/^Images/ { print $2 }')
    $h image prune -a --dry-run >"$T/tmp/prune"
    [[ ${freed##*reclaimed: } == "$(sed -n 's/.*reclaimed: //p' "$T/tmp/prune")" && $before -gt 0 ]]
    $h rmi busybox
}
@test "--dry-run of rmi, volume rm, network prune and builder prune changes nothing and names the errors of the real one" { each_user single; }

# An image of a stopped container and its nameless volume go with it: the look must know that.
whole() {
    local c loose real
    $h load --quiet --input "$IMAGES/busybox.tar"
    $h volume create kept
    c=$($h create --name cc --network none -v /data -v kept:/kept busybox true)
    $h create --name runs --network none busybox sleep 1000
    $h pod create --network none stopped
    $h create --pod stopped --name member busybox true
    loose=$($h volume ls -q --filter anonymous=true)
    unchanged system prune -a --volumes --dry-run
    has "$c"
    has "$loose"
    has "Deleted Pods:"
    has "Untagged: busybox:latest"
    lacks kept
    $h start runs
    unchanged system prune -a --volumes --dry-run
    lacks Untagged # the image is used by one that stays
    has "$loose"
    real=$($h system prune -a --volumes -f)
    [[ ${real/Total reclaimed space/} == "${said/Would be reclaimed/}" ]] || { diff <(echo "$said") <(echo "$real"); false; }
    [[ $($h ps -a --format '{{.Names}}') == runs && ! $($h pod ps -q) && $($h volume ls -q) == kept ]]
    $h rm -f runs >/dev/null
    $h system prune -a -f >/dev/null
    $h volume rm kept
}
@test "system prune --dry-run with --volumes and -a says what the real one then removes; stopped pods go whole, named volumes stay" { each_user whole; }
