#!/usr/bin/env bats
# commit: a container's changes as an image that runs, with a configuration of its own: as root and as an ordinary user.
# shellcheck disable=SC2016,SC2086,SC2154 # dollars for the container's shell; $h is a word; bats sets the others

load helpers

setup_file() { setup_both_stores; }

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

@test "commit: what was changed is in the image, what was mounted is not" {
    local h id
    for h in $WHO; do
        $h run --name work -e FROM=container -v data:/data busybox sh -c \
            'echo x >/data/volume; mkdir /new; echo y >/new/file; chown 5:6 /new/file; rm /etc/passwd'
        id=$($h commit -a "A. Uthor" -m "a message" -c 'CMD ["cat", "/new/file"]' -c 'LABEL made=by-commit' work made:1)
        [[ $id =~ ^sha256:[0-9a-f]{64}$ ]]
        [[ $($h run --rm made:1) == y ]]
        [[ $($h run --rm made:1 sh -c 'stat -c %u:%g /new/file; echo $FROM; ls /data; test -e /etc/passwd || echo gone') == $'5:6\ncontainer\ngone' ]]
        [[ $($h inspect --type image -f '{{.Author}} {{.Config.Labels.made}} {{len .RootFS.Layers}}' made:1) == "A. Uthor by-commit 2" ]]
        [[ $($h history --no-trunc made:1) == *"a message"* ]]
        [[ $($h events --since 1h --stream=false --filter event=commit --format '{{.Actor.Attributes.imageRef}}' | tail -n 1) == made:1 ]]
        # one on top of the other
        $h run --name more made:1 sh -c 'echo z >>/new/file'
        $h commit --iidfile "$T/tmp/iid.$h" -q more made:2
        [[ $($h run --rm made:2 cat /new/file) == $'y\nz' ]]
        [[ $($h inspect -f '{{.Id}}' --type image made:2) == "$(<"$T/tmp/iid.$h")" ]]
        store_is_sound "$([[ $h == husk ]] && echo "$HUSK_ROOT" || echo "$USER_HOME/root")"
        $h rm work more
        $h rmi made:1 made:2
        $h volume rm data
    done
}

@test "commit: of one that runs, paused where it can be; and what cannot be" {
    local h id
    for h in $WHO; do
        $h run -d --name work busybox sh -c 'echo 1 >/file; sleep 1000'
        wait_until 30 $h exec work test -s /file
        id=$($h commit work 2>/dev/null)
        [[ $($h run --rm "$id" cat /file) == 1 ]]
        [[ $($h inspect -f '{{.State.Status}}' work) == running ]]
        $h commit --pause=false work second >/dev/null
        check_table $h <<'TABLE'
commit nothere                    | 1 | no such container: 'nothere'
commit -c 'FLY away' work bad:1   | 1 | FLY
commit --pause=perhaps work bad:1 | 1 | --pause: 'perhaps'
commit work 'Bad Name'            | 1 | husk commit: image name:
inspect --type image bad:1        | 1 | bad:1
TABLE
        [[ $($h inspect -f '{{.State.Status}}' work) == running ]]
        $h rm -f work
    done
    mkdir -p "$T/tmp/rootfs"
    husk run --name dir --rootfs "$IMAGES/rootfs" true || true
    husk create --name more --expose 81 -v named:/named -v /anon --network none busybox true
    husk commit -q --iidfile "$T/tmp/iid" more more:1
    run husk image inspect -f '{{json .Config.ExposedPorts}} {{json .Config.Volumes}}' more:1
    expect 0 '={"81/tcp":{}} {}'
    husk commit --include-volumes more more:2
    run husk image inspect -f '{{json .Config.Volumes}}' more:2
    expect 0 '={"/named":{},"/anon":{}}'
    husk rm -v --no-trash more
    husk volume rm --no-trash named
    run husk commit dir x:1
    expect 1 "use \`husk export\` and \`husk import\`"
    rm -rf "$T/tmp/rootfs"
}

@test "commit --config puts a configuration over the container's, and --format and --squash say what to use" {
    husk create --name one --network none -e A=old -e KEEP=yes --label a=b busybox sh -c 'echo hi'
    printf '{"Env": ["A=new", "B=2"], "Cmd": ["env"], "Labels": {"c": "d"}, "User": "7"}' >"$T/tmp/config"
    husk commit --config "$T/tmp/config" one configured
    [[ $(husk image inspect -f '{{.Config.Cmd}} {{.Config.User}} {{.Config.Labels.a}}{{.Config.Labels.c}}' configured) == '[env] 7 bd' ]]
    [[ $(husk image inspect -f '{{join .Config.Env " "}}' configured) == 'PATH='*' A=new KEEP=yes B=2' ]]
    husk commit --config - --format oci --no-pause one <"$T/tmp/config"
    printf '{"Env": "A"}' >"$T/tmp/config"
    run husk commit --config "$T/tmp/config" one
    expect 1 "--config '$T/tmp/config': "
    [[ $output == *Env* ]]
    run husk commit --config "$T/tmp/nothing" one
    expect 1 'No such file'
    run husk commit --squash one
    expect 1 '`husk export one | husk import -`'
    run husk commit -f docker one
    expect 1 "--format: 'docker'"
    husk rm one
    husk rmi configured
}
