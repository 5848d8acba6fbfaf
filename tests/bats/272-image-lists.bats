#!/usr/bin/env bats
# husk images, husk history, husk image inspect: docker's options, filters and fields.
# shellcheck disable=SC2030,SC2031,SC2154 # helpers and bats set the variables

load helpers
bats_require_minimum_version 1.5.0

setup_file() {
    husk_setup_file
    "$HUSK_TOP/tests/bats/make-look.py" "$T/look"
    "$HUSK" load --quiet --input "$T/look"
    "$HUSK" tag base localhost/team/base:v1
    # one without a name
    tar -cf - -C "$IMAGES/rootfs" etc | "$HUSK" import - >"$T/unnamed"
}

ids() { "$HUSK" images -q --no-trunc "$@"; }
names() { "$HUSK" images --format '{{.Repository}}:{{.Tag}}' "$@"; }

@test "images: newest first, sorted as asked, whole or short" {
    [[ $(names) == "$(printf '%s\n' '<none>:<none>' app:latest other:latest base:latest localhost/team/base:v1)" ]]
    [[ $(names --sort repository) == "$(printf '%s\n' '<none>:<none>' app:latest base:latest localhost/team/base:v1 other:latest)" ]]
    [[ $(names --sort tag | tail -n 1) == localhost/team/base:v1 ]]
    [[ $(names --sort size | tail -n 1) == app:latest ]]
    [[ $(ids --sort id) == "$(ids | sort)" ]]
    # an image with two names is one ID; a short one begins the whole one
    [[ $(ids | wc -l) == 4 ]]
    [[ $(ids | sed 's/^sha256://; s/^\(.\{12\}\).*/\1/') == "$("$HUSK" images -q)" ]]
    run "$HUSK" images --digests
    expect 0 "DIGEST"
    output_has "$("$HUSK" image inspect app --format '{{.ManifestDigest}}')"
    [[ $("$HUSK" images -a -q) == "$("$HUSK" images -q)" ]]
    run "$HUSK" images --sort colour
    expect 125 "'colour' is not one of created, id, repository, size, tag"
}

@test "images: the words of docker's and podman's templates" {
    run "$HUSK" images --format '{{.Containers}} {{.SharedSize}} {{.UniqueSize}} {{.VirtualSize}}={{.Size}}' app
    expect 0 "~^N/A N/A N/A ([^ ]+)=([^ ]+)$"
    [[ ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]]
    [[ $("$HUSK" images --format '{{.Id}}|{{.Created}}|{{.CreatedTime}}' app) == \
        "$("$HUSK" images --format '{{.ID}}' --no-trunc app | cut -d: -f2)|$("$HUSK" images --format '{{.CreatedSince}}|{{.CreatedAt}}' app)" ]]
    [[ $("$HUSK" images --format '{{.Dangling}}' --filter dangling=true) == true ]]
}

@test "images: filters" {
    [[ $(ids --filter dangling=true) == "$(cat "$T/unnamed")" ]]
    [[ $(ids --filter dangling=false | wc -l) == 3 ]]
    [[ $(names --filter before=app) == "$(printf '%s\n' other:latest base:latest localhost/team/base:v1)" ]]
    [[ $(names --filter since=other --filter dangling=0) == app:latest ]]
    [[ $(names --filter since=base --filter before=app) == other:latest ]]
    [[ $(names --filter label=kind) == app:latest ]]
    [[ $(names --filter label=kind=app) == app:latest ]]
    [[ -z $(names --filter label=kind=other) ]]
    [[ $(names --filter 'reference=localhost/*/*:v1') == localhost/team/base:v1 ]]
    [[ ! $(names --filter 'reference=*:v1') ]] # as in docker, '*' stands for no '/'
    [[ $(names --filter 'reference=app' --filter 'reference=other') == "$(printf '%s\n' app:latest other:latest)" ]]
    [[ $(names 'localhost/team/*') == localhost/team/base:v1 ]]
    # podman's
    local id digest
    id=$("$HUSK" image inspect app --format '{{.Id}}') digest=$("$HUSK" image inspect app --format '{{.ManifestDigest}}')
    [[ $(names --filter after=other --filter dangling=0) == app:latest ]]
    [[ $(names --filter id="${id:7:9}") == app:latest && $(names --filter id="$id") == app:latest ]]
    [[ $(names --filter digest="$digest") == app:latest && -z $(names --filter digest=sha256:00) ]]
    [[ $(names --filter 'label!=kind' --filter dangling=false | sort -u | wc -l) == 3 ]]
    [[ $(names --filter until=2023-01-01T12:00:00Z) == "$(printf '%s\n' base:latest localhost/team/base:v1)" ]]
    [[ $(names --filter until=1h | wc -l) == 4 && $(names --filter readonly=false | wc -l) == 5 ]]
    [[ -z $(names --filter intermediate=true)$(names --filter manifest=true) ]]
    "$HUSK" create --name user app true
    [[ $(names --filter containers=true) == app:latest && $(names --filter containers=false | wc -l) == 4 ]]
    "$HUSK" rm user
    check_table <<'ROWS'
images --filter colour=red        | 1 | --filter colour: is none of reference, label
images --filter containers=some   | 1 | --filter containers
images --filter until=then        | 1 | --filter until: 'then' is neither a time
images --filter dangling          | 1 | 'dangling' is not KEY=VALUE
images --filter dangling=maybe    | 1 | --filter dangling
images --filter before=nope       | 1 | --filter before
images a b                        | 1 | unexpected argument 'b'
ROWS
}

@test "docker's and podman's other words below a noun" {
    [[ $("$HUSK" image list) == "$("$HUSK" image ls)" && $("$HUSK" container list) == "$("$HUSK" ps)" ]]
    [[ $("$HUSK" volume list) == "$("$HUSK" volume ls)" ]]
    "$HUSK" tag app localhost/short-lived
    check_table <<'ROWS'
image remove localhost/short-lived | 0 | =Untagged: localhost/short-lived:latest
image trust show                   | 125 | policy.json says whose are taken
image scp a b                      | 125 | 'husk copy IMAGE ssh://HOST/IMAGE'
list                               | 125 | 'list' is not a command
ROWS
}

@test "a name without a registry is localhost's, too, where nothing else has it" {
    [[ $("$HUSK" image inspect --format '{{.Id}}' team/base:v1) == "$("$HUSK" image inspect --format '{{.Id}}' base)" ]]
    "$HUSK" tag app localhost/base:latest
    [[ $("$HUSK" image inspect --format '{{.Id}}' base) != "$("$HUSK" image inspect --format '{{.Id}}' app)" ]]
    "$HUSK" rmi localhost/base:latest
    run "$HUSK" image inspect docker.io/team/base:v1
    expect 1 "no such image"
    run "$HUSK" image inspect team/base:v2
    expect 1 "no such image"
}

@test "history: who made what, whole or short, for people or for programs" {
    run "$HUSK" history app
    expect 0 "CREATED BY"
    [[ ${#lines[@]} == 7 ]]
    output_has "ENV x=2"
    [[ $("$HUSK" history -q app | tail -n +2 | sort -u) == "<missing>" ]]
    [[ $("$HUSK" history -q --no-trunc app | head -n 1) == "$("$HUSK" image inspect app --format '{{.Id}}')" ]]
    [[ $("$HUSK" image history -q app | wc -l) == 6 ]]
    [[ $("$HUSK" history --human=false --format '{{.CreatedSince}} {{.Size}}' base | tail -n 1) =~ ^2023-01-01T00:00:00Z\ [0-9]+$ ]]
    [[ $("$HUSK" history --format '{{.Created}}{{.Tags}}' base | tail -n 1) == *" ago[]" ]]
    [[ $("$HUSK" history -H --format '{{.CreatedSince}} {{.Size}}' base | tail -n 1) == *" ago "*kB ]]
    [[ $("$HUSK" history --format json app | jq -rs '.[1].Comment') == "layer 3" ]]
    run "$HUSK" history nope
    expect 1 nope
    # letters of several bytes: cut between them, and counted as docker counts
    printf 'FROM scratch\nLABEL x=%s\n' "$(printf 'ä%.0s' {1..60})" | "$HUSK" build -q -t letters -
    run "$HUSK" history --format '{{.CreatedBy}}|' letters
    expect 0 "ä…|"
    [[ $(head -n 1 <<<"${output%%|*}" | wc -m) == 46 ]]
    "$HUSK" rmi letters
}

@test "inspect: docker's fields with docker's types" {
    local doc
    doc=$("$HUSK" image inspect base)
    [[ $(jq -c '.[0] | [.Author, .Os, .Comment, .Parent, .Created, .RootFS.Type, (.RootFS.Layers | length)]' <<<"$doc") == \
        '["Ann","linux","","","2023-01-01T00:00:00Z","layers",1]' ]]
    [[ $(jq -c '.[0] | [.RepoTags, (.RepoDigests | length)]' <<<"$doc") == '[["base:latest","localhost/team/base:v1"],2]' ]]
    [[ $(jq -c '.[0] | .Config | [.Cmd, .Env]' <<<"$doc") == '[["sh"],["PATH=/bin","A=1"]]' ]]
    # every field that docker's document of an image must have
    jq -e '.[0] | [.Id, .Architecture, .GraphDriver.Name, .GraphDriver.Data.UpperDir, .Descriptor.mediaType,
        .Descriptor.digest, .Metadata.LastTagTime] | all(type == "string")' <<<"$doc"
    jq -e '.[0] | [.Size, .Descriptor.size, .StoredSize] | all(type == "number" and . > 0)' <<<"$doc"
    local -a layers
    mapfile -t layers < <("$HUSK" image inspect app --format '{{range .RootFS.Layers}}{{println .}}{{end}}')
    [[ ${#layers[@]} -ge 3 ]]
    [[ $("$HUSK" image inspect app --format '{{.GraphDriver.Data.LowerDir}}' | tr : '\n' | wc -l) == 2 ]]
    [[ -d $("$HUSK" image inspect app --format '{{.GraphDriver.Data.UpperDir}}') ]]
    [[ $("$HUSK" image inspect --format '{{json .Config.Labels}}' app) == '{"kind":"app"}' ]]
    [[ $("$HUSK" image inspect base app | jq length) == 2 ]]
    run "$HUSK" image inspect --format '{{.Nope}}' app
    expect 1 Nope
    run --separate-stderr "$HUSK" image inspect --format '{{.Os}}' app nope base # what is there is shown
    [[ $status == 1 && $output == $'linux\nlinux' && $stderr == *"image 'nope': no such image"* ]]
}

@test "images --history: the names that each has, and those that it had" {
    "$HUSK" tag other localhost/was:1
    "$HUSK" untag other localhost/was:1
    run "$HUSK" images --history other
    expect 0 '~HISTORY.other .*docker.io/library/other:latest, localhost/was:1$'
    [[ $("$HUSK" images --format '{{.History}}' other) == 'docker.io/library/other:latest, localhost/was:1' ]]
    run "$HUSK" images --history --digests other
    expect 0 '~DIGEST .*HISTORY'
    [[ $("$HUSK" images --format json other) != *History* ]]
    [[ $("$HUSK" images --format '{{.History}}' base) == 'docker.io/library/base:latest, localhost/team/base:v1' ]]
}

@test "images: what got a name is no longer without one, and goes with its last one" {
    local id before after
    before=$(ids --filter dangling=true)
    mkdir "$T/tmp/context"
    printf 'FROM base\nLABEL one=more\n' >"$T/tmp/context/Dockerfile"
    id=$("$HUSK" build -q "$T/tmp/context")
    [[ $(names --filter label=one) == '<none>:<none>' ]]
    "$HUSK" tag "$id" first:1
    [[ $(names --filter label=one) == first:1 ]]
    [[ $(ids --filter dangling=true) == "$before" ]]
    "$HUSK" build -q -t second "$T/tmp/context" # the same once more
    "$HUSK" build -q "$T/tmp/context"
    [[ $(names --filter label=one | sort) == $'first:1\nsecond:latest' ]]
    "$HUSK" untag "$id" # the image stays
    [[ $(names --filter label=one) == '<none>:<none>' ]]
    printf 'FROM %s\nLABEL two=more\n' "$id" >"$T/tmp/context/Dockerfile"
    "$HUSK" build -q --output "type=oci,dest=$T/tmp/out.tar" "$T/tmp/context" # a build's own names are nobody's
    [[ $(ids --filter label=one) == *"$id"* ]]
    "$HUSK" tag "$id" first:1
    run "$HUSK" rmi first:1
    expect 0 "Deleted: $id"
    [[ $(ids --filter label=one) != *"$id"* ]]
}
