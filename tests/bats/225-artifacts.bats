#!/usr/bin/env bats
# husk artifact, husk search and husk image tags.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" x=gzip:a,gzip:b
    local tag
    for tag in 1 2 latest; do
        skopeo copy --quiet --preserve-digests --dest-tls-verify=false "oci:$T/oci:x" "docker://$REGISTRY/team/x:$tag"
    done
    start_liar "$T/oci"
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER HOME=$T/home-$BATS_TEST_NUMBER
    unset XDG_CONFIG_HOME
    mkdir -p "$HOME/in" "$HOME/out"
    head -c 300000 /dev/urandom >"$HOME/in/data.bin"
    printf '{"x":1}\n' >"$HOME/in/doc.json"
}
teardown() { rm -rf "$HUSK_ROOT" "$HOME"; }

@test "an artifact: made of files, pushed, pulled elsewhere, taken out again" {
    run "$HUSK" artifact add --type application/vnd.test.sbom --file-type application/json --annotation a=b "$REGISTRY/art:1" \
        "$HOME/in/data.bin" "$HOME/in/doc.json"
    expect 0 "~^sha256:[0-9a-f]{64}$"
    local digest=$output
    run "$HUSK" artifact push -q "$REGISTRY/art:1"
    expect 0 "=$digest"
    [[ $(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/art:1" | jq -c '[.artifactType, .annotations.a, (.layers | map(.annotations["org.opencontainers.image.title"]))]') == \
        '["application/vnd.test.sbom","b",["data.bin","doc.json"]]' ]]
    rm -rf "$HUSK_ROOT"
    run "$HUSK" artifact pull -q "$REGISTRY/art:1"
    expect 0 "=$digest"
    run "$HUSK" artifact ls --format '{{.Repository}}:{{.Tag}} {{.Digest}} {{.Type}}'
    expect 0 "=$REGISTRY/art:1 $digest application/vnd.test.sbom"
    run "$HUSK" artifact inspect "$REGISTRY/art:1"
    [[ $(jq -r .Digest <<<"$output") == "$digest" && $(jq '.Manifest.layers | length' <<<"$output") == 2 ]]
    run "$HUSK" artifact extract "$REGISTRY/art:1" "$HOME/out"
    expect 0
    cmp "$HOME/in/data.bin" "$HOME/out/data.bin"
    cmp "$HOME/in/doc.json" "$HOME/out/doc.json"
    run "$HUSK" artifact extract --title doc.json "$REGISTRY/art:1" "$HOME/one"
    expect 0
    cmp "$HOME/in/doc.json" "$HOME/one"
    run "$HUSK" artifact extract "$REGISTRY/art:1" "$HOME/two"
    expect 1 "it has several files"
    store_is_sound "$HUSK_ROOT"
}

@test "images and artifacts are kept apart, and a prune keeps what is named" {
    "$HUSK" artifact add "localhost/art:1" "$HOME/in/doc.json"
    "$HUSK" pull -q "$REGISTRY/team/x:1"
    run "$HUSK" images --format '{{.Repository}}'
    expect 0 "=$REGISTRY/team/x"
    run "$HUSK" artifact ls
    expect 0 "localhost/art"
    [[ ${#lines[@]} == 2 ]]
    run "$HUSK" image inspect localhost/art:1
    expect 1 "it is no container image but an artifact"
    run "$HUSK" artifact inspect "$REGISTRY/team/x:1"
    expect 1 "is a container image, no artifact"
    run "$HUSK" artifact pull "$REGISTRY/team/x:1"
    expect 1 "it is a container image, no artifact: husk pull fetches it"
    run "$HUSK" artifact add localhost/art:1 "$HOME/in/data.bin"
    expect 1 "the name 'localhost/art:1' is taken"
    "$HUSK" image prune
    "$HUSK" artifact extract localhost/art:1 "$HOME/out"
    cmp "$HOME/in/doc.json" "$HOME/out/doc.json"
    run "$HUSK" artifact rm localhost/art:1
    expect 0
    run "$HUSK" artifact rm localhost/art:1
    expect 1 "no such artifact"
    "$HUSK" image prune
    local blob
    blob=$(sha256sum <"$HOME/in/doc.json")
    [[ ! -e $HUSK_ROOT/blobs/sha256/${blob%% *} ]]
}

@test "an artifact's title names a file in the directory and nothing else" {
    "$HUSK" artifact add "localhost/art:1" "$HOME/in/doc.json"
    local title
    for title in ../evil /etc/evil .. 'a/b' ''; do
        python3 - "$HUSK_ROOT" "$title" <<'END'
import hashlib, json, os, sys
root, title = sys.argv[1:]
index = json.load(open(root + "/index.json"))
entry = index["manifests"][0]
doc = json.load(open(root + "/blobs/sha256/" + entry["digest"][7:]))
doc["layers"][0]["annotations"]["org.opencontainers.image.title"] = title
data = json.dumps(doc).encode()
entry["digest"] = "sha256:" + hashlib.sha256(data).hexdigest()
entry["size"] = len(data)
open(root + "/blobs/sha256/" + entry["digest"][7:], "wb").write(data)
json.dump(index, open(root + "/index.json", "w"))
END
        run "$HUSK" artifact extract localhost/art:1 "$HOME/out"
        expect 1 "the title '$title' is no plain file name"
    done
    [[ ! $(ls "$HOME/out") && ! -e $HOME/evil && ! -e /etc/evil ]]
    ln -s "$HOME/victim" "$HOME/out/doc.json"
    "$HUSK" artifact rm localhost/art:1
    "$HUSK" artifact add "localhost/art:1" "$HOME/in/doc.json"
    run "$HUSK" artifact extract localhost/art:1 "$HOME/out"
    expect 1 "write 'doc.json'"
    [[ ! -e $HOME/victim ]]
}

@test "tags of a repository" {
    run "$HUSK" image tags "$REGISTRY/team/x"
    expect 0
    [[ $(sort <<<"$output" | tr '\n' ' ') == "1 2 latest " ]]
    run "$HUSK" image tags --format '{{.Name}}={{.Tag}}' "$REGISTRY/team/x"
    expect 0 "$REGISTRY/team/x=1"
    run "$HUSK" search --list-tags --limit 3 --format '{{.Tag}}' "$LIAR/pages"
    expect 0 "=$(printf '%s\n' 0-a 0-b 1-a)"
    run "$HUSK" search --list-tags --filter stars=1 "$LIAR/pages"
    expect 1 "a tag has nothing that --filter could look at"
    run "$HUSK" search --list-tags "$REGISTRY/team/x"
    expect 0 "~NAME +TAG"
    local lie
    for lie in pages pages-elsewhere; do # page by page, at the registry itself, whatever it is called inside
        run "$HUSK" image tags "$LIAR/$lie"
        expect 0 "=$(printf '%s\n' 0-a 0-b 1-a 1-b 2-a 2-b)"
    done
    run "$HUSK" image tags "$LIAR/pages-endless"
    expect 1 "its list of tags has no end"
    run "$HUSK" image tags "$REGISTRY/nothing"
    expect 1 "tags of '$REGISTRY/nothing': registry '$REGISTRY' has no such image"
    run "$HUSK" image tags "$REGISTRY/team/x:1"
    expect 1 "name a repository, without a tag or a digest"
}

@test "a search, where the registry has one, and where it only has a list" {
    run "$HUSK" search "$LIAR/tool"
    expect 0 "~NAME +DESCRIPTION +STARS +OFFICIAL"
    [[ $output == *"$LIAR/tool "* && $output == *"The  [31m one xxx"*"... "* && $output == *"[OK]"* ]]
    [[ $output != *$'\e'* && ${#lines[@]} == 26 ]]
    run "$HUSK" search --limit 4 --filter is-official=false --format '{{.Name}} {{.StarCount}}' "$LIAR/tool"
    expect 0 "=$LIAR/other/tool 0"$'\n'"$LIAR/other/tool 0"
    run "$HUSK" search --limit 4 --filter stars=1 --no-trunc --format json "$LIAR/tool"
    [[ $(wc -l <<<"$output") == 2 && $(jq -r '.Description | length' <<<"${lines[0]}") -gt 60 ]]
    # letters beyond ASCII stay, are cut between them, and none turns the text around
    run "$HUSK" search --limit 2 --format '{{.Description}}' "$LIAR/tool"
    expect 0 "$(printf 'frä  %s...' "$(printf 'ö%.0s' {1..37})")"
    run "$HUSK" search --limit 1 --compatible "$LIAR/tool"
    expect 0 "~OFFICIAL +AUTOMATED"
    run "$HUSK" search --limit 1 --format '{{.Index}} {{.Stars}} {{.Automated}} {{.IsAutomated}}' "$LIAR/tool"
    expect 0 "~^$LIAR [0-9]+  false$"
    run "$HUSK" search --filter is-automated=true --format '{{.Name}}' "$LIAR/tool"
    expect 0 "="
    run "$HUSK" search "$REGISTRY/tea"
    expect 0 "$REGISTRY/team/x"
    run "$HUSK" search "$REGISTRY/nothing-like-that"
    expect 0
    [[ ${#lines[@]} == 1 ]]
    mkdir -p "$HOME/.config/containers"
    printf 'unqualified-search-registries = ["127.0.0.1:1", "%s"]\n' "$REGISTRY" >"$HOME/.config/containers/registries.conf"
    run "$HUSK" search team
    expect 0 "$REGISTRY/team/x"
    [[ $output == *"127.0.0.1:1: connect to 127.0.0.1:1: Connection refused"* ]]
}

@test "wrong use: one sentence each" {
    check_table "$HUSK" <<EOF2
artifact add x                             | 1 | needs NAME FILE...
artifact add x /no/such/file               | 1 | open '/no/such/file': No such file or directory
artifact add x /                           | 1 | '/' is no regular file
artifact add x '$HOME/in/doc.json' '$HOME/in/../in/doc.json' | 1 | two files have the name 'doc.json'
artifact add --annotation x y '$HOME/in/doc.json' | 1 | annotation 'x' is not of the form KEY=VALUE
artifact push localhost/none               | 1 | artifact 'localhost/none:latest': no such artifact
artifact pull $REGISTRY/none               | 1 | artifact '$REGISTRY/none:latest': registry '$REGISTRY' has no such image
artifact extract localhost/none /no/such/x | 1 | write '/no/such/x': No such file or directory
search --limit 0 x.invalid/x               | 1 | --limit: 0 is not between 1 and 100
search --filter x=y x.invalid/x            | 1 | --filter 'x=y' is not one of is-official=true
search ''                                  | 1 | there is nothing to search for
search $LIAR/garbage                       | 1 | registry '$LIAR': what is found: 
EOF2
}

@test "an ordinary user" {
    as_user mkdir -p "$USER_HOME/out"
    as_user cp "$T/oci/index.json" "$USER_HOME/in.json"
    as_user husk artifact add "$REGISTRY/users/art:1" "$USER_HOME/in.json"
    as_user husk artifact push -q "$REGISTRY/users/art:1"
    as_user husk artifact rm "$REGISTRY/users/art:1"
    as_user husk artifact pull -q "$REGISTRY/users/art:1"
    as_user husk artifact extract "$REGISTRY/users/art:1" "$USER_HOME/out"
    cmp "$USER_HOME/in.json" "$USER_HOME/out/in.json"
    [[ $(stat -c %U "$USER_HOME/out/in.json") == "$HUSK_USER" ]]
}

@test "artifact add --append adds files, --replace makes it anew, and an image is in no danger" {
    echo one >one.txt && echo two >two.txt
    "$HUSK" artifact add --type application/vnd.test localhost/more:1 one.txt
    "$HUSK" artifact add --append --annotation later=yes localhost/more:1 two.txt
    "$HUSK" artifact inspect localhost/more:1 >inspected
    grep -q 'application/vnd.test' inspected && grep -q '"later": "yes"' inspected
    mkdir out && "$HUSK" artifact extract localhost/more:1 out
    [[ $(cat out/one.txt out/two.txt) == $'one\ntwo' ]]
    "$HUSK" artifact add --replace localhost/more:1 two.txt
    rm -rf out && mkdir out && "$HUSK" artifact extract localhost/more:1 out
    [[ $(ls out) == two.txt ]]
    "$HUSK" artifact add --replace localhost/fresh:1 one.txt
    "$HUSK" import "$IMAGES/rootfs.tar" localhost/image:1 >/dev/null
    check_table <<'ROWS'
artifact add --append localhost/more:1 two.txt              | 1 | has a file 'two.txt' already
artifact add --append localhost/none:1 two.txt              | 1 | no such artifact
artifact add --append --type x/y localhost/more:1 one.txt   | 1 | leave out --type
artifact add --append --replace localhost/more:1 one.txt    | 125 | exclude each other
artifact add --replace localhost/image:1 one.txt            | 1 | is a container image, no artifact
artifact add --append localhost/image:1 one.txt             | 1 | is a container image, no artifact
artifact add localhost/more:1 one.txt                       | 1 | or say --replace
ROWS
    rm -rf out one.txt two.txt inspected
}
