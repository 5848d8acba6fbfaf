# outside.bash: a world behind the file's network namespace: `load outside`, then outside_up in setup_file.
#
#   inside   198.51.100.1 and 2001:db8:1::1 on out0, default routes to the outside
#   outside  198.51.100.2 and 2001:db8:1::2; `outside CMD...` runs there; 203.0.113.7 and 2001:db8:2::7 are its, too
# shellcheck shell=bash disable=SC2154

outside_up() {
    unshare --net sleep infinity 3>&- 4>&- </dev/null >/dev/null 2>&1 &
    OUTSIDE=$!
    export OUTSIDE
    wait_until 10 own_netns "$OUTSIDE"
    ip link add out0 type veth peer name in0 netns "$OUTSIDE"
    ip address add 198.51.100.1/24 dev out0
    ip address add 2001:db8:1::1/64 dev out0 nodad
    ip link set out0 up
    outside ip link set lo up
    outside ip address add 198.51.100.2/24 dev in0
    outside ip address add 2001:db8:1::2/64 dev in0 nodad
    outside ip address add 203.0.113.7/32 dev lo
    outside ip address add 2001:db8:2::7/128 dev lo nodad
    outside ip link set in0 up
    ip route add default via 198.51.100.2
    ip route add default via 2001:db8:1::2
}
own_netns() { [[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]; }
outside() { nsenter --net="/proc/$OUTSIDE/ns/net" -- "$@"; }
# Its servers go too: what is killed by the number that the shell knows is only the shell that started one.
outside_down() {
    local net process
    [[ ${OUTSIDE-} ]] || return 0
    net=$(readlink "/proc/$OUTSIDE/ns/net")
    for process in /proc/[0-9]*; do
        [[ $(readlink "$process/ns/net" 2>/dev/null) != "$net" ]] || kill "${process#/proc/}" 2>/dev/null || true
    done
}
