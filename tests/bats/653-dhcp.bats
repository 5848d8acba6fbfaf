#!/usr/bin/env bats
# Networks whose addresses are a DHCP server's: busybox's udhcpd on the outside.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

# dhcp_server [LINE...]: on the outside, with these lines in its configuration beside the usual ones.
dhcp_server() {
    local dir=$BATS_TEST_TMPDIR
    : >"$dir/leases"
    {
        printf '%s\n' "start 192.0.2.100" "end 192.0.2.120" "interface eth0" "lease_file $dir/leases" "pidfile $dir/pid" \
            "auto_time 1" "option subnet 255.255.255.0" "option router 192.0.2.2" "option dns 192.0.2.53 192.0.2.54" \
            "option domain example.test"
        printf '%s\n' "$@"
    } >"$dir/udhcpd.conf"
    nsenter --target "$OUTSIDE" --net -- busybox udhcpd -f "$dir/udhcpd.conf" >"$dir/udhcpd.log" 2>&1 3>&- &
    SERVER=$!
    wait_until 5 outside sh -c 'ss -Hlun | grep -q ":67 "'
}
stop_server() {
    [[ ! ${SERVER-} ]] || kill "$SERVER" 2>/dev/null || true
    wait "${SERVER-}" 2>/dev/null || true
    SERVER=
}
teardown() {
    remove_all_containers
    stop_server
    local n
    for n in $(husk network ls --quiet); do husk network rm "$n" >/dev/null; done
    ip link del br9 2>/dev/null || true
}
lan() { husk network create -d macvlan -o parent=out0 --ipam-driver dhcp lan >/dev/null; }
need_macvlan() { skip_unless_kernel "no macvlan" sh -c 'ip link add link out0 name probe type macvlan && ip link del probe'; }
lease() { husk inspect "$1" | jq -r ".[0].NetworkSettings.Networks[\"${3:-lan}\"].$2"; }

@test "macvlan: a start asks, and the program finds address, route, name servers and its own name; inspect shows the lease" {
    need_macvlan
    dhcp_server "option lease 600" "option mtu 1400"
    lan
    run husk run --rm --hostname box --network lan busybox sh -c 'ip -o -4 address show eth0; ip link show eth0; ip route; cat /etc/resolv.conf /etc/hosts; ping -c 1 -w 5 192.0.2.2'
    expect 0 "192.0.2.1"
    [[ $output == *"mtu 1400"* && $output == *"default via 192.0.2.2"* && $output == *"nameserver 192.0.2.53"* ]]
    [[ $output == *"nameserver 192.0.2.54"* && $output == *"search example.test"* && $output =~ 192\.0\.2\.1[0-9]+$'\t'+box ]]
    [[ $output == *"1 packets received"* ]]
    husk run -d --name web --network lan busybox sleep 1000 >/dev/null
    [[ $(lease web IPAddress) == 192.0.2.1?? && $(lease web IPPrefixLen) == 24 && $(lease web Gateway) == 192.0.2.2 ]]
    [[ $(lease web DHCP.Server) == 192.0.2.2 && $(lease web DHCP.LeaseSeconds) == 600 ]]
    [[ $(husk network inspect lan | jq -r '.[0].IPAM.Driver, .[0].Containers[].IPv4Address') == "dhcp
$(lease web IPAddress)/24" ]]
    husk exec web ip -o -4 address show eth0 | grep -q 'valid_lft [0-9]*sec'
    run husk run --rm --network lan --dns 192.0.2.99 --dns-search other.test busybox cat /etc/resolv.conf
    expect 0 "nameserver 192.0.2.99"
    [[ $output != *192.0.2.53* && $output != *example.test* ]]
    # the same container gets the same address again; at its end the server is told
    local first
    first=$(lease web IPAddress)
    husk restart -t 0 web >/dev/null
    [[ $(lease web IPAddress) == "$first" ]]
    wait_until 5 holds "$first"
    husk rm -ft 0 web >/dev/null
    wait_until 5 holds_nothing || { busybox dumpleases -f "$BATS_TEST_TMPDIR/leases"; cat "$BATS_TEST_TMPDIR/udhcpd.log"; false; }
}
# What the server has given away and not got back.
held() { kill -USR1 "$SERVER" && sleep 0.2 && busybox dumpleases -f "$BATS_TEST_TMPDIR/leases" | grep -v expired | grep 192.0.2; }
holds() { held | grep -q "$1"; }
holds_nothing() { ! held; }

@test "the lease is renewed for as long as the container runs; without a server it ends, and begins anew with one" {
    need_macvlan
    dhcp_server "option lease 6" "min_lease 1"
    lan
    husk run -d --name web --network lan busybox sleep 1000 >/dev/null
    local ip
    ip=$(lease web IPAddress)
    sleep 14 # two leases and more
    [[ $(lease web IPAddress) == "$ip" ]]
    husk exec web ip -o -4 address show eth0 | grep -q "$ip"
    outside busybox ping -c 1 -w 3 "$ip"
    # the server is gone: when the time is over the address is, with or without a monitor
    stop_server
    wait_until 12 has_no_address web
    # and when it is back, so is an address
    dhcp_server "option lease 6" "min_lease 1"
    wait_until 30 has_address web
}
has_address() { husk exec "$1" ip -o -4 address show eth0 | grep -q 'inet 192.0.2'; }
has_no_address() { ! has_address "$1"; }

@test "a server that refuses: another address is asked for, and the container's files follow" {
    need_macvlan
    dhcp_server "option lease 8" "min_lease 1"
    lan
    husk run -d --name web --network lan busybox sleep 1000 >/dev/null
    local ip
    ip=$(lease web IPAddress)
    stop_server
    dhcp_server "option lease 8" "min_lease 1" "start 192.0.2.200" "end 192.0.2.210"
    wait_until 30 other_address web
    [[ $(lease web IPAddress) == 192.0.2.2?? ]]
    wait_until 5 names_itself web
}
other_address() { husk exec "$1" ip -o -4 address show eth0 | grep -q 'inet 192.0.2.2'; }
names_itself() { husk exec "$1" grep -q "^192.0.2.2.*$(husk inspect "$1" | jq -r '.[0].Config.Hostname')" /etc/hosts; }

@test "no server: the start fails within its patience with a sentence, and leaves nothing" {
    need_macvlan
    lan
    local begin=$SECONDS
    run husk run --rm --name web --network lan busybox true
    expect 125 "interface 'eth0': no DHCP server answered within 10 seconds: is one on the link of the network's parent, and is that up?"
    ((SECONDS - begin < 14))
    run husk inspect web
    expect 1
}

@test "live: connect asks, disconnect gives back" {
    need_macvlan
    dhcp_server "option lease 6" "min_lease 1"
    lan
    husk run -d --name web busybox sleep 1000 >/dev/null
    husk network connect lan web
    [[ $(lease web IPAddress) == 192.0.2.1?? ]]
    husk exec web ip -o -4 address show eth1 | grep -q "$(lease web IPAddress)"
    husk exec web ip route | grep -q "default via 10"
    sleep 8 # renewed
    husk exec web ip -o -4 address show eth1 | grep -q 192.0.2
    husk network disconnect lan web
    run husk exec web ip link show eth1
    [[ $status -ne 0 ]]
    run ls "$HUSK_RUN"/*/dhcp.eth1
    [[ $status -ne 0 ]]
    husk network connect lan web
    husk exec web ip -o -4 address show eth1 | grep -q 192.0.2
}

@test "a bridge of the host's own, mode=unmanaged: the server on its link is asked" {
    ip link add br9 type bridge
    ip link set br9 up
    ip link set out0 master br9
    dhcp_server "option lease 600" "option staticroutes 203.0.113.0/24 192.0.2.7, 0.0.0.0/0 192.0.2.9"
    husk network create -o mode=unmanaged --interface-name br9 --ipam-driver dhcp theirs >/dev/null
    run husk run --rm --network theirs busybox sh -c 'ip route; ping -c 1 -w 5 192.0.2.2'
    expect 0 "1 packets received"
    [[ $output == *"default via 192.0.2.9"* && $output == *"203.0.113.0/24 via 192.0.2.7"* ]]
    ip link set out0 nomaster
}

@test "what cannot be with a DHCP server is said" {
    check_table <<'END'
network create --ipam-driver dhcp xx                                      | 1 | on a bridge of husk's own there is no server: say -o mode=unmanaged --interface-name BRIDGE
network create -d macvlan -o parent=out0 --ipam-driver dhcp --subnet 192.0.2.0/24 xx | 1 | leave --subnet, --gateway
network create -d macvlan -o parent=out0 --ipam-driver dhcp --ipv6 xx     | 1 | the server has IPv4 addresses
network create -d ipvlan -o parent=out0 --ipam-driver dhcp xx             | 1 | ipvlan's interfaces have one hardware address
network create --ipam-driver bootp xx                                     | 1 | 'bootp' is not one of default, none, dhcp
network create -d macvlan -o parent=out0 --ipam-driver dhcp lan           | 0 |
run --rm --network lan --ip 192.0.2.7 busybox true                        | 125 | address 192.0.2.7 is not in network 'lan'
run --rm --network lan -p 80:80 busybox true                              | 125 | a published port needs a network of the driver bridge
END
    as_user load_busybox >/dev/null
    run as_user husk network create --ipam-driver dhcp xx
    expect 1 "the kernel lets root alone put a container there"
}
