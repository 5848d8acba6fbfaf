#!/usr/bin/env bats
# What docker's and podman's options of a network mean here, and the loopback of IPv6.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

@test "[::1]: a port that is published there is reached from the host itself, on each of several networks, and from nowhere else" {
    local n
    for n in one four three; do
        husk network create --ipv6 "$n" >/dev/null
        sysctl -qw net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true
        serve "$n" --network "$n" -p "[::1]:808${#n}:80" -p "127.0.0.1:808${#n}:80"
    done
    [[ $(ask ::1 8083) == one && $(ask ::1 8084) == four && $(ask ::1 8085) == three ]]
    husk port add four "[::1]:8099:80" >/dev/null
    [[ $(ask ::1 8099) == four ]]
    nobody 2001:db8::1 8099 outside
    run curl -sfm 5 http://localhost:8085/
    expect 0 three
    if [[ -e /proc/sys/net/bridge/bridge-nf-call-ip6tables ]]; then
        sysctl -qw net.bridge.bridge-nf-call-ip6tables=1
        run husk port add one "[::1]:8098:80"
        expect 1 "publish on 127.0.0.1, where whoever asks for 'localhost' comes, too, or turn that off: sysctl net.bridge.bridge-nf-call-ip6tables=0"
        run husk run --rm --network one -p "[::1]:8098:80" busybox true
        expect 125 "[::1] leads to no container"
    fi
}

@test "a port on an address of a family that the container lacks is refused, with the cure" {
    run husk run --rm -p "[::1]:8080:80" busybox true
    expect 125 "port 80/tcp on '::1': the container has no IPv6 address that it could lead to: publish on another, or make its network with --ipv6"
    husk run -d --name web busybox sleep 1000 >/dev/null
    run husk port add web "[2001:db8::1]:8080:80"
    expect 1 "the container has no IPv6 address"
}

@test "who knows the way to a container from beyond the host reaches what is published, unless the network says otherwise" {
    husk network create --subnet 10.66.0.0/24 shut >/dev/null
    husk network create --subnet 10.67.0.0/24 -o com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected open >/dev/null
    husk network create --subnet 10.68.0.0/24 -o com.docker.network.bridge.trusted_host_interfaces=eth9:out0 trusting >/dev/null
    husk network create --subnet 10.69.0.0/24 --ipv6 --subnet fd66::/64 -o com.docker.network.bridge.gateway_mode_ipv6=nat-unprotected half >/dev/null
    local n
    for n in shut open trusting half; do serve "$n" --network "$n"; done
    husk port add trusting 8088:80 >/dev/null
    outside ip route add 10.64.0.0/12 via 192.0.2.1
    outside ip route add fd66::/64 via 2001:db8::1
    nobody 10.66.0.2 80 outside
    [[ $(ask 10.67.0.2 80 outside) == open ]]
    [[ $(ask 10.68.0.2 80 outside) == trusting ]]
    nobody 10.69.0.2 80 outside
    [[ $(ask fd66::2 80 outside) == half ]]
    [[ $(ask 192.0.2.1 8088 outside) == trusting && $(ask 10.66.0.2 80) == shut ]]
    husk network rm -f shut open trusting half >/dev/null 2>&1 || true
}

@test "options of docker's and podman's: each does what it says, or one sentence says what would" {
    husk network create -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1 -o metric=77 local >/dev/null
    serve web --network local -p 8080:80
    [[ $(husk port web) == "80/tcp -> 127.0.0.1:8080" ]]
    [[ $(ask 127.0.0.1 8080) == web ]]
    nobody 192.0.2.1 8080 outside
    husk port add web 8081:80 >/dev/null
    [[ $(husk port web) == *"127.0.0.1:8081"* ]]
    husk exec web ip route | grep -q 'default.*metric 77'
    husk network create -o no_default_route=true inner >/dev/null
    run husk run --rm --network inner busybox ip route
    expect 0
    [[ $output != *default* && $output == *eth0* ]]
    husk network create -o com.docker.network.enable_ipv6=true -o com.docker.network.enable_ipv4=false six >/dev/null
    [[ $(husk network inspect six | jq -r '.[0].IPAM.Config | length') == 1 ]]
    ip link add mine type bridge
    ip address add 10.70.0.1/24 dev mine
    husk network create --interface-name mine -o mode=unmanaged theirs >/dev/null
    [[ $(husk network inspect theirs | jq -r '.[0].IPAM.Config[0].Gateway') == 10.70.0.1 ]]
    husk network rm theirs >/dev/null
    ip link del mine
    check_table <<'END'
network create -o mode=unmanaged xx                    | 1 | say which of the host's bridges it is: --interface-name
network create -o mode=unmanaged --interface-name nobr xx | 1 | the host has no bridge 'nobr': make it first
network create -o mode=managed xx                      | 0 |
network create -o com.docker.network.bridge.gateway_mode_ipv6=maybe xx2    | 1 | 'maybe' is none of nat, nat-unprotected, routed, isolated
network create -o com.docker.network.bridge.host_binding_ipv4=::1 xx2      | 1 | '::1' is no IPv4 address
network create -o com.docker.network.bridge.trusted_host_interfaces=a/b xx2 | 1 | 'a/b' is no name for a network interface
network create -o com.docker.network.bridge.inhibit_ipv4=true xx2          | 1 | --disable-dns and --gateway
network create -o com.docker.network.host_ipv4=192.0.2.1 xx2               | 1 | what leaves has the address
network create -o vrf=blue xx2                                             | 1 | a bridge of husk's is in no VRF
network create -o metric=0 xx2                                             | 1 | metric
network create -d macvlan -o parent=out0 -o isolate=true --subnet 192.0.2.0/24 xx2 | 1 | a network of the driver 'macvlan' has no bridge
network create --ipam-driver dhcp xx2                                      | 1 | on a bridge of husk's own there is no server
network create -o isolate=strict xx2                                       | 0 |
END
}

@test "a parent that is not there is said when the network is made; DEVICE.N is a VLAN of a device that must be there" {
    check_table <<'END'
network create -d macvlan -o parent=gone --subnet 192.0.3.0/24 xx    | 1 | the host has no network device 'gone': say one that it has, or DEVICE.N for a VLAN
network create -d macvlan -o parent=gone.7 --subnet 192.0.3.0/24 xx  | 1 | the host has no network device 'gone.7', and no 'gone' to make it of
network create -d macvlan -o parent=out0.7 --subnet 192.0.3.0/24 xx  | 0 |
END
}

@test "settings of an interface, in docker's words" {
    run husk run --rm --network 'name=bridge,"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.forwarding=0"' \
        busybox cat /proc/sys/net/ipv4/conf/eth0/log_martians /proc/sys/net/ipv4/conf/eth0/forwarding
    expect 0 "=1
0"
    husk run -d --name web busybox sleep 1000 >/dev/null
    husk network create more >/dev/null
    check_table <<'END'
run --rm --network bridge:driver-opt=com.docker.network.endpoint.sysctls=kernel.x=1 busybox true | 125 | 'kernel.x=1' is no setting of an interface
run --rm --network bridge:host_interface_name=me busybox true | 125 | the host's end of an interface has a name that tells whose it is
network connect --driver-opt com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1 more web | 1 | settings of an interface are said when the container is made
END
}

@test "a network's name may be one letter; several may be said in one word, as with podman" {
    husk network create a >/dev/null
    husk network create b >/dev/null
    run husk run --rm --network a,b busybox sh -c 'ip -o link show eth0; ip -o link show eth1'
    expect 0 "eth1"
    check_table <<'END'
run --rm --network a,none busybox true     | 125 | 'none' and other networks exclude each other
run --rm --network a,a busybox true        | 125 | twice
run --rm --expose x busybox true           | 125 | 'x' is not PORT[-LAST][/tcp|udp|sctp], with ports from 1 to 65535
network create -                           | 1   | '-' is no network name
network inspect host                       | 1   | 'host' is no network that is made or joined later: a container has it from the start, by --network host
network rm none                            | 1   | 'none' is no network that is made or joined later
END
}
