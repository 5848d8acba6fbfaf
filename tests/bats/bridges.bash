# shellcheck shell=bash
# How a file about root's bridge networks begins and ends: with the outside of net.bash, and with nothing left of any
# network after each test. Loaded behind helpers and net.

setup_file() {
    husk_setup_file || return 1
    ((EUID == 0)) || return 0
    load_busybox >/dev/null
    outside_begin
}
teardown_file() {
    outside_end
    husk_teardown_file
}
setup() { ((EUID == 0)) || skip "kernel: only root has bridges in the host's network namespace"; }
teardown() {
    remove_all_containers
    local n
    for n in $(husk network ls --quiet); do husk network rm "$n" >/dev/null; done
    wait_until 10 no_veths
    [[ ! $(published) ]]
}
