#!/usr/bin/env bats
# Networks of CNI plugins: --network cni:NAME, with Debian's own plugins.
# shellcheck disable=SC2016,SC2154

load helpers
load net

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    mkdir "$T/net.d"
    cat >"$T/net.d/20-far.conflist" <<'END'
{ "cniVersion": "1.0.0", "name": "far", "plugins": [
  { "type": "bridge", "bridge": "cni7", "isGateway": true, "ipMasq": false,
    "ipam": { "type": "host-local", "dataDir": "IPAM", "ranges": [[{ "subnet": "10.99.7.0/24" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
  { "type": "tuning", "sysctl": { "net.ipv4.conf.eth0.arp_filter": "1" } },
  { "type": "portmap", "capabilities": { "portMappings": true } } ] }
END
    sed -i "s|IPAM|$T/ipam|" "$T/net.d/20-far.conflist"
    echo '{ "cniVersion": "0.4.0", "name": "old", "type": "ptp", "ipam": { "type": "host-local", "dataDir": "'"$T/ipam"'", "subnet": "10.99.8.0/24" } }' \
        >"$T/net.d/10-old.conf"
    echo '{ "name": "odd", "plugins": [ { "type": "../../bin/sh" } ] }' >"$T/net.d/30-odd.conflist"
    echo '{ "cniVersion": "1.0.0", "name": "bare", "plugins": [ { "type": "no-such-plugin" } ] }' >"$T/net.d/40-bare.conflist"
    echo 'not JSON' >"$T/net.d/50-broken.conf"
    mkdir "$T/plugins"
    printf '#!/bin/sh\ncat >/dev/null\n[ "$CNI_COMMAND" = DEL ] && [ ! -e %s ] && exit 0\necho "{\\"code\\": 7, \\"msg\\": \\"the cable is cut\\", \\"details\\": \\"$CNI_COMMAND\\"}"\nexit 1\n' "$T/stuck" \
        >"$T/plugins/failing"
    chmod +x "$T/plugins/failing"
    echo '{ "cniVersion": "1.0.0", "name": "cut", "plugins": [ { "type": "ptp", "ipam": { "type": "host-local", "dataDir": "'"$T/ipam"'", "subnet": "10.99.9.0/24" } }, { "type": "failing" } ] }' \
        >"$T/net.d/60-cut.conflist"
    printf '[network]\ncni_dirs = %s\ncni_plugins = /usr/lib/cni:%s\n' "$T/nowhere:$T/net.d" "$T/plugins" >"$T/husk.conf"
}
setup() {
    ((EUID == 0)) || skip "kernel: CNI plugins change the host's network, which is root's"
    export HUSK_CONF=$T/husk.conf
}
teardown() {
    remove_all_containers
    [[ ! $(leases) ]] || { leases && return 1; }
    [[ ! $(find "$HUSK_RUN" -name cni) ]]
}

leases() { find "$T/ipam" -name '10.*' 2>/dev/null; }
address() { husk inspect "$1" | jq -r '.[0].NetworkSettings.Networks | to_entries[0].value.IPAddress'; }

@test "cni: a container is on the plugins' network, with address, route and what each plugin does; then all is gone" {
    husk run -d --name one --network cni:far busybox sleep 1000 >/dev/null
    [[ $(address one) == 10.99.7.* && $(leases) == *"$(address one)"* ]]
    [[ $(husk exec one cat /proc/sys/net/ipv4/conf/eth0/arp_filter) == 1 ]]
    husk run --rm --network cni:far busybox ping -c 1 -w 5 "$(address one)" >/dev/null
    busybox ping -c 1 -w 5 "$(address one)" >/dev/null
    [[ $(leases | wc -l) == 1 ]]
    husk restart -t 0 one >/dev/null
    busybox ping -c 1 -w 5 "$(address one)" >/dev/null
    run husk explain one
    expect 0 "cnitool add far"
    husk stop -t 0 one >/dev/null
    [[ ! $(leases) ]]
    no_link() { ! ip -br link | grep '^veth'; }
    wait_until 10 no_link # the kernel takes a namespace down behind its last process
    husk run --rm --network cni:old busybox ip address | grep -q 'inet 10.99.8'
}

@test "cni: published ports by the capability portMappings, held and shown; a list without it says so" {
    PATH=$PATH:/usr/sbin:/sbin command -v iptables >/dev/null || skip "environment: portmap needs iptables"
    serve web --network cni:far -p 8091:80
    [[ $(ask 10.99.7.1 8091) == web ]]
    [[ $(husk port web) == "80/tcp -> 0.0.0.0:8091" ]]
    run husk run --rm --network cni:far -p 8091:80 busybox true
    expect 125 "taken by container 'web'"
    run husk run --rm --network cni:old -p 8092:80 busybox true
    expect 125 "none of its plugins takes published ports"
}

@test "cni: an address, a hardware address, a rate and names by the capabilities of those names" {
    cat >"$T/net.d/25-wide.conflist" <<END
{ "cniVersion": "1.0.0", "name": "wide", "plugins": [
  { "type": "bridge", "bridge": "cni6", "capabilities": { "ips": true, "mac": true, "aliases": true },
    "ipam": { "type": "host-local", "dataDir": "$T/ipam", "ranges": [[{ "subnet": "10.99.6.0/24" }]] } },
  { "type": "bandwidth", "capabilities": { "bandwidth": true } } ] }
END
    husk run -d --name one --network cni:wide:ip=10.99.6.77,mac=02:00:5e:00:53:07,alias=first --net-rate in=8mbit,out=16mbit busybox sleep 1000 >/dev/null
    [[ $(address one) == 10.99.6.77 && $(husk exec one cat /sys/class/net/eth0/address) == 02:00:5e:00:53:07 ]]
    [[ $(jq -c '.runtimeConfig.aliases' "$HUSK_RUN/$(husk inspect --format '{{.Id}}' one)/cni") == '["first"]' ]]
    tc qdisc show | grep -q 'tbf.*rate 8Mbit'
    tc qdisc show | grep -q 'tbf.*rate 16Mbit'
    husk rm -f -t 0 one >/dev/null
    husk run --rm --network cni:wide --ip 10.99.6.78 --mac-address 02:00:5e:00:53:08 busybox ip address show dev eth0 >"$T/shown"
    grep -q 'inet 10.99.6.78/24' "$T/shown" && grep -q 'ether 02:00:5e:00:53:08' "$T/shown"
    check_table <<'END'
run --rm --network cni:old --ip 10.99.8.7 busybox true     | 125 | CNI network 'old': none of its plugins takes an address (capability ips)
run --rm --network cni:far:mac=02:00:5e:00:53:09 busybox true | 125 | none of its plugins takes a hardware address (capability mac)
run --rm --network cni:far --net-rate 1mbit busybox true   | 125 | none of its plugins takes a rate (capability bandwidth): add 'bandwidth' to it
run --rm --network cni:far --network-alias a busybox true  | 125 | none of its plugins takes names (capability aliases)
run --rm --network cni:far:interface=x busybox true        | 125 | cni:far: plugins take ip, ip6, mac and alias
run --rm --network cni:far:ip=nine busybox true            | 125 | 'nine'
run --rm --network cni:far --link-local-ip 169.254.1.1 busybox true | 125 | there is no interface of husk's that could have it
END
}

@test "cni: what is no network, no plugin or no good is said; a plugin's failure is told and undone" {
    check_table <<'END'
run --rm --network cni:nope busybox true               | 125 | no CNI network 'nope'
run --rm --network cni:odd busybox true                | 125 | '../../bin/sh' is no name of a program
run --rm --network cni:bare busybox true               | 125 | no CNI plugin 'no-such-plugin'
run --rm --network cni: busybox true                   | 125 | followed by a name
run --rm --network cni:far --network husk busybox true | 125 | exclude each other
run --rm --network cni:cut busybox true                | 125 | CNI plugin 'failing': ADD: the cable is cut: ADD
END
    run husk run --rm --network cni:nope busybox true
    [[ $output == *"'far', "* || $output == *"'far'"* ]]
    [[ ! $(leases) ]]
    # a plugin that never lets go does not keep a container from being removed
    touch "$T/stuck"
    run husk run --rm --network cni:cut busybox true
    rm "$T/stuck"
    remove_all_containers
    printf '[network]\ncni_dirs = relative\n' >"$T/bad.conf"
    HUSK_CONF=$T/bad.conf run husk run --rm --network cni:far busybox true
    expect 125 "'relative' is not /FOLDER"
}

@test "cni: network reload asks the plugins and makes anew what is gone" {
    husk run -d --name one --network cni:far busybox sleep 1000 >/dev/null
    local before
    before=$(address one)
    husk network reload
    [[ $(address one) == "$before" ]]
    ip link delete cni7
    run husk network reload
    expect 0 "connected anew"
    busybox ping -c 1 -w 5 "$(address one)" >/dev/null
}

@test "cni: killed between plugins, or with the monitor, the next command takes everything out" {
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    HUSK_FAULT=kill@cni-plugin run "$HUSK_FAULT_BUILD/bin/husk" run -d --name cut --network cni:far busybox sleep 1000
    ((status != 0))
    husk rm -f cut >/dev/null 2>&1 || husk system check --repair >/dev/null || true
    [[ ! $(leases) ]]
    husk run -d --name one --network cni:far busybox sleep 1000 >/dev/null
    local pid monitor
    pid=$(husk inspect --format '{{.State.Pid}}' one)
    monitor=$(awk '{ print $4 }' "/proc/$pid/stat")
    kill -KILL "$monitor" "$pid"
    [[ $(leases) ]]
    husk rm -f one >/dev/null
    [[ ! $(leases) && ! $(ip -br link | grep '^veth') ]]
}
