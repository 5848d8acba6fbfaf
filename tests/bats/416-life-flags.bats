#!/usr/bin/env bats
# Small things about exec, logs and attach that docker's and podman's users know.
# shellcheck disable=SC2016,SC2154 # the dollars are the containers'; bats sets the others

load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

@test "exec --preserve-fds hands on what is open, and never a descriptor of husk's own" {
    local h
    for h in husk 'as_user husk'; do
        $h run -d --name ex --network none busybox sleep 1000
        run $h exec --preserve-fds 1 ex sh -c 'cat <&3' 3<<<"from outside" 4>&-
        expect 0 '=from outside'
        run $h exec --preserve-fds 2 ex true 3<<<x 4>&-
        expect 1 'our descriptor 4 is not open'
        run $h exec --preserve-fds=-1 ex true
        expect 1 'from 0 to 1000'
        run $h exec ex sh -c 'ls /proc/self/fd | wc -l' 3<<<x
        expect 0 =4 # 0, 1, 2 and the directory itself
        run $h exec --preserve-fd 7,5 --no-session ex sh -c 'cat <&5; cat <&7; ls /proc/self/fd' 3<<<three 4<<<four 5<<<five 6<<<six 7<<<seven
        expect 0 $'=five\nseven\n0\n1\n2\n3\n5\n7' # 3: the directory itself
        run $h run --rm --network none --disable-content-trust --preserve-fd 5 busybox sh -c 'cat <&5; ls /proc/self/fd' 4<<<four 5<<<five 6<<<six
        expect 0 $'=five\n0\n1\n2\n3\n5'
        run $h exec --preserve-fd 9 ex true 9>&-
        expect 1 'our descriptor 9 is not open'
    done
}
