#!/usr/bin/env bats
# Networks without a bridge (macvlan, ipvlan, another's namespace), and starts that are killed at every step.
# shellcheck disable=SC2016,SC2154

load helpers
load net
load bridges

@test "macvlan: a container is a neighbour of the outside" {
    skip_unless_kernel "no macvlan" sh -c 'ip link add link out0 name probe type macvlan && ip link del probe'
    husk network create -d macvlan -o parent=out0 --subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.64/28 lan >/dev/null
    run husk run --rm --network lan busybox sh -c 'ip address show eth0; ip route; ping -c 1 -w 5 192.0.2.2'
    expect 0 "1 packets received"
    [[ $output == *192.0.2.64/24* && $output == *"default via 192.0.2.2"* ]]
    ip link add gone type veth peer name gone1
    husk network create -d macvlan -o parent=gone --subnet 192.0.3.0/24 gone >/dev/null
    ip link del gone
    check_table <<'END'
network create -d macvlan --subnet 192.0.2.0/24 xx            | 1 | --driver macvlan: say --opt parent=DEVICE
network create -d macvlan -o parent=out0 xx                   | 1 | --driver macvlan: say --subnet, and --gateway
network create -d macvlan -o parent=out0 -o mode=l2 --subnet 192.0.2.0/24 xx | 1 | --opt mode: 'l2' is no mode of the driver 'macvlan'
run --rm --network gone busybox true                          | 125 | network 'gone': the host has no network device 'gone'
run --rm --network lan -p 80:80 busybox true                  | 125 | a published port needs a network of the driver bridge
END
}

@test "macvlan: started again at once, it is not in its own way" {
    skip_unless_kernel "no macvlan" sh -c 'ip link add link out0 name probe type macvlan && ip link del probe'
    husk network create -d macvlan -o parent=out0 --subnet 192.0.2.0/24 --ip-range 192.0.2.64/28 again >/dev/null
    husk run -d --name web --network again busybox sleep 1000 >/dev/null
    # What the kernel has not yet taken down: another of that address, for a second.
    husk stop -t 0 web >/dev/null
    wait_until 5 no_macvlan
    ip link add link out0 name last address 02:42:c0:00:02:40 type macvlan
    wait_until 5 ip link set last up # nor is it at once here
    (sleep 1 && ip link del last) 3>&- &
    husk start web >/dev/null
    wait
    husk exec web ip -o -4 address show eth0 | grep -q 192.0.2.64
    local i
    for i in 1 2 3 4 5; do husk restart -t 0 web >/dev/null; done
}
no_macvlan() { ! ip -o link show type macvlan | grep -q .; }

@test "ipvlan and VLANs: as the kernel has them, or said" {
    husk network create -d ipvlan -o parent=out0 --subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.80/28 ipv >/dev/null
    run husk run --rm --network ipv busybox ping -c 1 -w 5 192.0.2.2
    if ip link add link out0 name probe type ipvlan 2>/dev/null; then
        ip link del probe
        expect 0 "1 packets received"
    else
        expect 125 "this kernel has no ipvlan interfaces: load its module 'ipvlan', or use a network of another driver"
    fi
    husk network create -d macvlan -o parent=out0.7 --subnet 198.51.100.0/24 tagged >/dev/null
    run husk run --rm --network tagged busybox true
    if ip link add link out0 name probe type vlan id 8 2>/dev/null; then
        ip link del probe
        expect 0
        ip link show out0.7 | grep -q out0.7 # /sys may be another namespace's
        husk network rm tagged
        ! ip link show out0.7 2>/dev/null
    else
        expect 125 "'out0.7': this kernel has no VLANs: load its module '8021q'"
    fi
}

@test "another's namespace: ns:PATH, container:NAME" {
    run husk run --rm --network "ns:/proc/$OUTSIDE/ns/net" busybox ip address
    expect 0 "192.0.2.2/24"
    run husk run --rm --network ns:/nowhere busybox true
    expect 125 "/nowhere"
    serve web -p 8080:80
    run husk run --rm --network container:web busybox ip address show eth0
    expect 0 "$(ip_of web)/20"
    husk rm -f web
}

# What a killed command left after the next one: nothing of it is in the kernel or among the rows.
nothing_left() { # AFTER [CID FILE...]
    local after=$1 cid
    shift
    [[ ! $(published) ]] || { echo "after $after: $(published)"; return 1; }
    for cid; do
        [[ ! -s $cid || ! $(cgroups_of_husk | grep "$(<"$cid")") ]] || { echo "after $after: $(cgroups_of_husk)"; return 1; }
    done
    rm -f "$@"
    [[ ! $(find "$HUSK_RUN" -maxdepth 1 -name "$HEX64") ]] || { echo "after $after: $(ls "$HUSK_RUN")"; return 1; }
}
HEX64=$(printf '[0-9a-f]%.0s' {1..64})

@test "a start with ports is killed at every row of its table, on either side: nothing of it stays after the next command" {
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    local fault=$HUSK_FAULT_BUILD/bin/husk n side killed=0
    for n in {0..33}; do
        for side in child parent; do # a row is one side's, and the child has none of the first
            ((n > 7)) || [[ $side == parent ]] || continue
            HUSK_FAULT="kill-$side@$n" run "$fault" run --cidfile "$T/tmp/cid" --name cut -p 8080:80 busybox true
            "$HUSK" rm -f cut >/dev/null 2>&1 || true
            nothing_left "$side@$n" "$T/tmp/cid"
            [[ $status == 0 ]] || { killed=$((killed + 1)) && break; }
        done
    done
    [[ $killed -ge 15 ]] || { echo "only $killed are killed"; return 1; }
    wait_until 10 no_veths
    husk run --rm -p 8080:80 busybox true
}

@test "a command is killed at every point of a network's life: the next one mends or clears up" {
    [[ ${HUSK_FAULT_BUILD-} ]] || skip "without a build with fault points"
    local fault=$HUSK_FAULT_BUILD/bin/husk point killed=0
    # the others: 761-network-killed.bats, 645-rootless.bats, 771-trash.bats, 751-policy.bats, 752-flows.bats, 753-cni.bats, 576-pods.bats
    for point in $(sed -n 's/.*X(FAULT_[A-Z_]*, "\(.*\)").*/\1/p' "$HUSK_TOP/src/os/fault.h" | grep -vE "^(change|user|trash|undo|policy|pod|flows|cni)-"); do
        husk network create cut >/dev/null
        HUSK_FAULT="kill@$point" run "$fault" run -d --cidfile "$T/tmp/cid" --name one --network cut -p 8080:80 busybox sleep 1000
        local killed_here=$((status != 0))
        if ((killed_here)); then # what it had begun is no obstacle to the same again
            "$HUSK" rm -f one >/dev/null 2>&1 || true
            husk run -d --cidfile "$T/tmp/again" --name one --network cut -p 8080:80 busybox sleep 1000 >/dev/null
        fi
        HUSK_FAULT="kill@$point" run "$fault" network connect bridge one
        if ((status != 0)); then
            killed_here=1
            husk network disconnect bridge one >/dev/null 2>&1 || true
            husk network connect bridge one
        fi
        husk exec one ping -c 1 -w 5 192.0.2.2 >/dev/null
        HUSK_FAULT="kill@$point" run "$fault" rm -f one
        ((status == 0)) || { killed_here=1 && "$HUSK" rm -f one >/dev/null 2>&1; } || true
        HUSK_FAULT="kill@$point" run "$fault" network rm cut
        ((status == 0)) || { killed_here=1 && husk network rm cut >/dev/null; }
        nothing_left "$point" "$T/tmp/cid" "$T/tmp/again"
        run husk network inspect cut
        [[ $status -ne 0 ]]
        ((killed_here)) || { echo "nothing is killed at $point"; return 1; }
    done
    # A folder that lost its row is left alone while it might be somebody's who is just making it.
    find "$HUSK_ROOT/containers" -mindepth 1 -maxdepth 1 -exec touch -d '1 minute ago' {} +
    husk system check --repair || true
    [[ ! $(ls "$HUSK_ROOT/containers") ]]
    wait_until 10 no_veths
}

@test "system check finds what the firewall lacks and what it has too much, and repairs both" {
    husk network create --disable-dns mute >/dev/null # where no resolver notices: 755-firewall-lost.bats
    serve web --network mute -p 8080:80
    nft flush ruleset
    run husk system check
    [[ $output == *"the firewall lacks "[12]" of them"* ]]
    husk system check --repair || true
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
    nft add element inet husk ports4 '{ tcp . 9999 : 10.208.0.99 . 80 }'
    run husk system check
    [[ $output == *"the firewall has 1 published ports of containers that do not run"* ]]
    husk system check --repair || true
    [[ $(published) != *9999* ]]
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
    run husk system check
    expect 0
}

@test "two stores share the firewall's table: a reload of one leaves the other's ports" {
    local other=$T/tmp/other
    mkdir -p "$other/root" "$other/run"
    two() { HUSK_ROOT=$other/root HUSK_RUN=$other/run "$HUSK" "$@"; }
    two load --quiet --input "$IMAGES/busybox.tar" >/dev/null
    serve web -p 8080:80
    two run -d --name their -p 8081:80 busybox sleep 1000 >/dev/null
    husk network reload
    [[ $(published) == *8080* && $(published) == *8081* ]]
    nft flush ruleset
    two network reload
    [[ $(published) == *8081* ]]
    husk network reload
    [[ $(published) == *8080* && $(published) == *8081* ]]
    run ask 192.0.2.1 8080 outside
    expect 0 "=web"
    two rm -f their >/dev/null
    two network rm husk >/dev/null
    [[ $(published) != *8081* ]]
}

@test "many starts at once have addresses of their own" {
    local i pids=()
    for i in 1 2 3 4 5 6 7 8; do
        husk run -d --name "many$i" -p 80 busybox sleep 1000 >/dev/null &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    [[ $(for i in 1 2 3 4 5 6 7 8; do ip_of "many$i"; done | sort -u | wc -l) == 8 ]]
    [[ $(husk ps --format '{{.Ports}}' | sort -u | wc -l) == 8 ]]
    [[ $(nft list chain inet husk forward | grep -c 'established.* accept') == 1 ]] # the table was made once
}
