# net.bash: what the network files share. Loaded after helpers.
# shellcheck shell=bash disable=SC2154
#
# The file's network namespace is the host. Beside it:
#
#   outside_begin, outside_end   a client beyond the host: 192.0.2.2 and 2001:db8::2 in a namespace of its own; the host
#                                is 192.0.2.1 and 2001:db8::1
#   outside CMD...               there
#   serve NAME [HUSK OPTION...]  a container whose port 80 answers with its name
#   ask ADDRESS PORT [CMD...]    what answers there to CMD (outside, husk exec -i ...) or the host
#   nobody ADDRESS PORT [CMD...] nothing answers

outside_begin() {
    unshare --net sleep infinity </dev/null >/dev/null 2>&1 3>&- &
    OUTSIDE=$!
    export OUTSIDE
    wait_until 10 other_namespace "$OUTSIDE"
    ip link add out0 type veth peer name eth0 netns "$OUTSIDE"
    ip address add 192.0.2.1/24 dev out0
    ip address add 2001:db8::1/64 dev out0 nodad
    ip link set out0 up
    outside ip link set lo up
    outside ip address add 192.0.2.2/24 dev eth0
    outside ip address add 2001:db8::2/64 dev eth0 nodad
    outside ip link set eth0 up
}
other_namespace() { [[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]; }
outside() { nsenter --target "$OUTSIDE" --net -- "$@"; }
outside_end() { [[ ! ${OUTSIDE-} ]] || kill "$OUTSIDE" 2>/dev/null || true; }

serve() {
    local name=$1
    shift
    # shellcheck disable=SC2016
    husk run -d --name "$name" "$@" busybox sh -c 'mkdir -p /srv && echo "$0" >/srv/index.html && exec httpd -f -p 80 -h /srv' \
        "$name" >/dev/null
    wait_until 10 listens "$name" 80
}
listens() { husk exec "$1" cat /proc/net/tcp /proc/net/tcp6 | grep -qi "$(printf ':%04x 0*:0000 0A' "$2")"; }
ask() {
    local address=$1 port=$2
    shift 2
    printf 'GET / HTTP/1.0\r\n\r\n' | "$@" busybox nc -w 3 "$address" "$port" 2>&1 | tr -d '\r' | tail -n 1
}
nobody() { # as ask: no answer comes
    run ask "$@"
    [[ ! $output || $output == *nc:* || $output == *refused* || $output == *"timed out"* ]] || { echo "answered: $output"; return 1; }
}
ip_of() { husk inspect "$1" | jq -r ".[0].NetworkSettings.Networks[\"${2:-husk}\"].IPAddress"; }
ip6_of() { husk inspect "$1" | jq -r ".[0].NetworkSettings.Networks[\"$2\"].GlobalIPv6Address"; }
# What husk has in the firewall, without what every network has.
published() { nft list table inet husk | grep -E '(tcp|udp|sctp) \. [0-9]+ : ' || true; }
veths() { ip -br link | grep -o '^hk[^@ ]*' || true; }
no_veths() { [[ ! $(veths) ]]; }
