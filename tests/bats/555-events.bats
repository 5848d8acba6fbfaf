#!/usr/bin/env bats
# events of images, removals of many things at once, and who looks at containers or runs something in them; as root and
# as an ordinary user.
# shellcheck disable=SC2016,SC2154 # $h is a word; bats sets the others

load helpers

setup_file() {
    setup_both_stores
    start_registry
    skopeo copy --quiet --dest-tls-verify=false "docker-archive:$IMAGES/busybox.tar" "docker://$REGISTRY/seen:1"
}

WHO="husk user_husk"

teardown() {
    remove_all_containers
}

# happened ARGUMENT...: what happened since $began, one line each
happened() { $h events --since "$began" --stream=false "$@"; }

@test "images: pull, tag, push, save, untag, load, import, delete and prune are said in docker's words" {
    local h began id digest tmp
    for h in $WHO; do
        tmp=$T/tmp/$h
        mkdir -p "$tmp" && chmod 777 "$tmp"
        began=$(date +%s.%N)
        $h pull -q "$REGISTRY/seen:1"
        $h pull -q "$REGISTRY/seen:1" # nothing is new, and it is said all the same
        digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/seen:1")
        [[ $(happened --filter type=image --format '{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.Actor.Attributes.digest}}') == "pull $REGISTRY/seen:1 $REGISTRY/seen $digest"$'\n'"pull $REGISTRY/seen:1 $REGISTRY/seen $digest" ]]
        [[ $(happened --filter event=pull --format json | head -n 1 | jq -r '.Type + .status + .scope + .id') == "imagepulllocal$REGISTRY/seen:1" ]]
        id=$($h image inspect --format '{{.Id}}' "$REGISTRY/seen:1")

        began=$(date +%s.%N)
        $h tag "$REGISTRY/seen:1" other:2
        $h save -q -o "$tmp/saved.tar" other:2
        $h push -q "$REGISTRY/seen:1" "$REGISTRY/pushed:3"
        $h rmi other:2
        $h load -q -i "$tmp/saved.tar"
        $h copy -q store:other:2 "oci:$tmp/oci:x"
        $h copy -q "oci:$tmp/oci:x" store:copied:4
        [[ $(happened --filter type=image --format '{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}') == "$(
            printf '%s\n' "tag $id other:2" "save $id other:2" "push $REGISTRY/pushed:3 $REGISTRY/pushed" \
                "untag $id other:2" "load $id other:2" "save $id other:2" "load $id copied:4")" ]]
        [[ $(happened --filter image=other --format '{{.Action}}' | paste -sd,) == tag,save,untag,load,save ]]
        [[ $(happened --filter image=copied:4 --format '{{.Action}}') == load ]]
        [[ $(happened --filter event=loadfromarchive --format '{{.Action}}' | sort -u) == load ]]

        began=$(date +%s.%N)
        tar -C "$tmp" -cf "$tmp/files.tar" saved.tar
        id=$($h import -c 'LABEL tier=front' "$tmp/files.tar" imported:5)
        $h rmi imported:5
        [[ $(happened --filter type=image --format '{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}' | paste -sd,) == "import $id imported:5,untag $id imported:5,delete $id imported:5" ]]
        # the label is the image's own
        [[ $(happened --filter label=tier=front --format '{{.Action}}' | paste -sd,) == untag,delete ]]

        began=$(date +%s.%N)
        $h image prune -a -f
        [[ $(happened --filter event=prune --format '{{.Type}} [{{.Actor.ID}}]') == 'image []' ]]
        [[ $(happened --filter event=prune --format '{{.Actor.Attributes.reclaimed}}') =~ ^[0-9]+$ ]]
        [[ $(happened --filter event=untag --format '{{.Actor.Attributes.name}}' | sort | head -n 1) == 127.* ]]
        rm -rf "$tmp"
        $h load -q -i "$IMAGES/busybox.tar"
    done
}

@test "images: labels are there while the image is, and a pull that failed is no event" {
    local h began
    for h in $WHO; do
        printf 'FROM busybox\nLABEL tier=back\n' | $h build -q -t "$REGISTRY/labelled:1" -
        $h push -q "$REGISTRY/labelled:1"
        began=$(date +%s.%N)
        $h pull -q "$REGISTRY/labelled:1"
        run $h pull -q "$REGISTRY/nothing:1"
        expect 1
        [[ $(happened --filter type=image --filter label=tier=back --format '{{.Action}}') == pull ]]
        [[ $(happened --filter type=image --format '{{.Action}}') == pull ]]
        began=$(date +%s.%N)
        printf 'FROM busybox\nENV A=1\n' | $h build -q -t built:1 -t built:2 -
        [[ $(happened --filter type=image --format '{{.Action}} {{.Actor.Attributes.name}}' | paste -sd,) == 'create built:1,tag built:1,tag built:2' ]]
        [[ $(happened --filter event=build --format '{{.Actor.ID}}') == "$($h image inspect -f '{{.Id}}' built:1)" ]]
        $h rmi -f built:1 built:2 "$REGISTRY/labelled:1"
    done
}

@test "containers: attach, exec, top and the prunes" {
    local h began id
    for h in $WHO; do
        $h run -d --name seen busybox sleep 1000
        began=$(date +%s.%N)
        $h exec seen echo one 'two "words"'
        $h top seen
        [[ $(happened --filter container=seen --format '{{.Action}}' | head -n 3) == 'exec_create: echo one two "words"'$'\n''exec_start: echo one two "words"'$'\n''exec_die' ]]
        [[ $(happened --filter event=exec_start --format '{{.Actor.Attributes.execCommand}}') == echo ]]
        [[ $(happened --filter event=exec --format '{{.Actor.Attributes.name}}') == seen ]]
        [[ $(happened --filter event=exec_died --format '{{.Actor.Attributes.exitCode}}') == 0 ]]
        [[ $(happened --filter event=top --format '{{.Actor.Attributes.name}}') == seen ]]
        # whatever is run, and however long it is, a line is a line
        $h exec seen true "$(printf '\001\377%.0s' {1..3000})" || [[ $? == 126 ]]
        [[ $(happened --filter event=exec_die --format '{{.Actor.Attributes.name}}' | wc -l) -ge 1 ]]
        happened --filter event=exec_start --format json | tail -n 1 | jq -e '.Action | startswith("exec_start: true")'

        began=$(date +%s.%N)
        $h attach --no-stdin seen >/dev/null 3>&- &
        wait_until 30 was_attached
        $h kill seen
        wait
        $h container prune -f
        $h volume create empty
        $h volume prune -a -f
        $h network prune -f
        $h builder prune -f
        [[ $(happened --filter event=prune --format '{{.Type}} {{.Actor.Attributes.reclaimed}}' | sed 's/ [0-9][0-9]*$/ N/' | paste -sd,) == 'container N,volume N,network N,builder N' ]]
        began=$(date +%s.%N)
        $h system prune -f --volumes
        [[ $(happened --filter event=prune --format '{{.Type}}' | sort | paste -sd,) == container,image,network,volume ]]
        $h load -q -i "$IMAGES/busybox.tar"
    done
}
was_attached() { [[ $(happened --filter event=attach --format '{{.Actor.Attributes.name}}') == seen ]]; }

@test "a log of events that is full begins anew also where only images come and go" {
    local h run
    for h in root user; do
        run=$HUSK_RUN
        [[ $h == root ]] || run=$USER_RUN/husk
        yes '{"Type":"image","Action":"tag","Actor":{"ID":"x","Attributes":{}},"timeNano":1}' | head -c 1048577 >>"$run/events"
        ${h}_husk pull -q "$REGISTRY/seen:1"
        [[ $(stat -c %s "$run/events") -lt 4096 && $(stat -c %s "$run/events.1") -gt 1048576 ]]
        [[ $(${h}_husk events --since 1m --stream=false --filter event=pull --filter image="$REGISTRY/seen:1" --format '{{.Action}}' | tail -n 1) == pull ]]
    done
}
