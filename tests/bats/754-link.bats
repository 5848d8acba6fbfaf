#!/usr/bin/env bats
# docker's --link, --link-local-ip, and the flags of network connect.
# shellcheck disable=SC2016,SC2154

load helpers
load net

setup_file() {
    husk_setup_file
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    husk network create back >/dev/null
}
setup() { ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"; }
teardown() { remove_all_containers; }

@test "--link: a neighbour has a name that one container alone knows, whatever it is called and whenever it comes" {
    serve web --network back
    husk run -d --name one --network back --link web:shop --link web busybox sleep 1000 >/dev/null
    husk run -d --name two --network back busybox sleep 1000 >/dev/null
    [[ $(husk exec one wget -q -O - http://shop/) == web && $(husk exec one wget -q -O - http://SHOP/) == web ]]
    ! husk exec two wget -q -O - http://shop/ 2>/dev/null
    husk rename web web2
    [[ $(husk exec one wget -q -O - http://shop/) == web ]]
    husk stop -t 0 web2 >/dev/null
    ! husk exec one nslookup shop >/dev/null
    husk start web2 >/dev/null
    wait_until 10 listens web2 80
    [[ $(husk exec one wget -q -O - http://shop/) == web ]]
    [[ $(husk inspect one | jq -c '.[0].HostConfig.Links') == '["/web2:/one/shop","/web2:/one/web"]' ]]
    [[ $(husk inspect two | jq -c '.[0].HostConfig.Links') == null ]]
    run husk exec one env
    expect 0 "!SHOP_"
}

@test "--link on the default network: environment variables say where the other is" {
    husk run -d --name db --expose 5432 --expose 80/udp -e COLOUR=blue busybox sleep 1000 >/dev/null
    local at
    at=$(ip_of db)
    run husk run --rm --name app --link db:my-db -e MY_DB_ENV_COLOUR2=x busybox env
    expect 0 "MY_DB_NAME=/app/my-db"
    [[ $output == *"MY_DB_PORT=udp://$at:80"* && $output == *"MY_DB_PORT_5432_TCP=tcp://$at:5432"* ]]
    [[ $output == *"MY_DB_PORT_5432_TCP_ADDR=$at"* && $output == *"MY_DB_PORT_80_UDP_PROTO=udp"* && $output == *"MY_DB_ENV_COLOUR=blue"* ]]
    husk run --rm --link db:my-db busybox ping -c 1 -w 5 my-db >/dev/null
    husk stop -t 0 db >/dev/null
    run husk run --rm --link db busybox true
    expect 125 "container 'db' does not run: start it first"
    check_table <<'END'
run --rm --link nobody busybox true                | 125 | nobody
run --rm --link "db:a b" busybox true              | 125 | no name for a host
run --rm --network none --link db busybox true     | 125 | is not asked for names
END
}

@test "--link-local-ip, and network connect with --link, --link-local-ip and --driver-opt" {
    serve web --network back
    husk run --rm --network back --link-local-ip 169.254.7.7 --link-local-ip fe80::77 busybox ip address >"$T/tmp/addresses"
    grep -q 'inet 169.254.7.7/16' "$T/tmp/addresses" && grep -q 'inet6 fe80::77/64' "$T/tmp/addresses"
    husk run -d --name late busybox sleep 1000 >/dev/null
    husk network connect --link web:shop --link-local-ip 169.254.8.8 --driver-opt com.docker.network.endpoint.ifname=lan7 back late
    [[ $(husk exec late wget -q -O - http://shop/) == web ]]
    husk exec late ip address show lan7 | grep -q 'inet 169.254.8.8/16'
    husk restart -t 0 late >/dev/null
    husk exec late ip address show lan7 | grep -q 'inet 169.254.8.8/16'
    check_table <<'END'
run --rm --network back --link-local-ip 10.0.0.1 busybox true      | 125 | no link-local address
run --rm --network none --link-local-ip 169.254.1.1 busybox true   | 125 | no interface of husk's
network connect --driver-opt a=b back late                         | 1   | no option of an interface
network connect --link nobody back late                            | 1   | nobody
END
}

way_out() { husk exec "$1" ip route | awk '$1 == "default" { print $5 }'; } # the interface of its default route

@test "--gw-priority: the default route leads through the network with the highest, and follows when networks come and go" {
    husk network create left >/dev/null
    husk network create right >/dev/null
    husk network create --internal inner >/dev/null
    husk run -d --name two --network left:interface=lef --network right:interface=rig,gw-priority=1 -p 127.0.0.1:8099:80 busybox sleep 1000 >/dev/null
    [[ $(way_out two) == rig && $(husk inspect two | jq -c '.[0].NetworkSettings.Networks | [.left.GwPriority, .right.GwPriority]') == '[0,1]' ]]
    [[ $(husk inspect two | jq -r '.[0].NetworkSettings.Networks | "\(.left.Gateway)|\(.right.Gateway)"') == "|"* ]]
    [[ $(published) == *"$(ip_of two right)"* && $(published) != *"$(ip_of two left)"* ]] # answers go where questions came from
    husk network connect --gw-priority 9 --interface bac back two
    [[ $(way_out two) == bac && $(published) == *"$(ip_of two back)"* ]]
    husk restart -t 0 two >/dev/null
    [[ $(way_out two) == bac ]]
    husk network disconnect back two
    [[ $(way_out two) == rig ]]
    husk network disconnect right two
    [[ $(way_out two) == lef ]]
    husk network connect --gw-priority 99 inner two # leads nowhere
    [[ $(way_out two) == lef ]]
    husk run -d --name last --network left:interface=lef,gw-priority=-1 --network inner --network right:interface=rig busybox sleep 1000 >/dev/null
    [[ $(way_out last) == rig && $(husk exec last ip route | grep -c default) == 1 ]]
    husk network connect --interface bac back last # of equal ones the first
    [[ $(way_out last) == rig ]]
    check_table <<'END'
run --rm --network back:gw-priority=high busybox true | 125 | --network: gw-priority: 'high'
network connect --gw-priority x back last             | 125 | --gw-priority
END
}
