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
