#!/usr/bin/env bats
# husk image files, cat, tree, diff, blame, waste: what is said about an image's layers is what overlayfs shows and what
# the layers hold; as root and as an ordinary user.
# shellcheck disable=SC2030,SC2031,SC2154 # helpers and bats set the variables

load helpers

setup_file() {
    husk_setup_file
    "$HUSK_TOP/tests/bats/make-look.py" "$T/look"
    chmod -R a+rX "$T/look"
    "$HUSK" load --quiet --input "$T/look"
    as_user husk load --quiet --input "$T/look"
}

# The test's own overlay of an image's layers, in a namespace that ends with it: CMD sees it as $merged.
over() { # IMAGE CMD
    local lower='' id config
    config=$("$HUSK" image inspect "$1" --format '{{.Id}}')
    for id in $(jq -r '.rootfs.diff_ids[]' "$HUSK_ROOT/blobs/sha256/${config#*:}"); do
        lower=$HUSK_ROOT/layers/${id#*:}/fs${lower:+:$lower}
    done
    mkdir -p "$T/tmp/merged" "$T/tmp/empty"
    unshare -m bash -c "mount -t overlay overlay -o ro,lowerdir=$lower:$T/tmp/empty $T/tmp/merged && cd $T/tmp/merged && $2"
}

@test "files are what overlayfs shows, with their modes, owners and sizes" {
    local image
    for image in base app other; do
        over "$image" "find . -mindepth 1 -printf '/%P %m %U %G %y %l\n' | LC_ALL=C sort" >"$T/tmp/want"
        "$HUSK" image files -R --format json "$image" |
            jq -r '[.Path, (.Mode | ltrimstr("0") | ltrimstr("0")), .Uid, .Gid,
                (.Type | {directory: "d", file: "f", link: "l"}[.]), (.Link // "")] | "\(.[0]) \(.[1]) \(.[2]) \(.[3]) \(.[4]) \(.[5])"' |
            LC_ALL=C sort >"$T/tmp/got"
        diff "$T/tmp/want" "$T/tmp/got"
        as_user husk image files -R --format json "$image" | jq -r .Path | LC_ALL=C sort >"$T/tmp/user"
        diff <(jq -r .Path <("$HUSK" image files -R --format json "$image") | LC_ALL=C sort) "$T/tmp/user"
    done
}

@test "files, cat: paths and links are followed inside the image, and errors say what is wrong" {
    check_table <<'ROWS'
image files app /dir                         | 0 | =three
image files app dir/                         | 0 | =three
image files app lnk/                         | 0 | ~^conf.passwd$
image ls app /lnk                            | 0 | =/lnk
image ls -l app /suid                        | 0 | ~^-rwxr-xr-x +0 +0 +1 2023-11-14 22:13 +2 /suid$
image ls -l base /suid                       | 0 | -rwsr-xr-x
image ls -R app /etc                         | 0 | /etc/conf/d
image files base /                           | 0 | new\nline
image files app /lnk/../usr/./bin            | 0 | =
image cat base up                            | 0 | =root:x:0:0:root:/root:/bin/sh
image cat app /lnk/passwd                    | 0 | alice
image cat app /dir/one                       | 1 | husk image cat: there is no '/dir/one' in the image
image cat app /tree/deep/file                | 1 | there is no
image cat app loop                           | 1 | too many links
image cat app /etc                           | 1 | is a directory
image cat app /etc/passwd/x                  | 1 | 'passwd' is not a directory
image cat nope /x                            | 1 | nope
image cat app                                | 1 | needs IMAGE PATH
image files app /nope                        | 1 | there is no '/nope'
image files --format yaml app                | 125 | 'yaml' is not one of text, json
image ls -q app /etc                         | 1 | files are listed with
image ls -l                                  | 1 | are for files
ROWS
    [[ $("$HUSK" image cat base /usr/bin/big-too | sha256sum) == "$(head -c 100000 /dev/zero | tr '\0' b | sha256sum)" ]]
    [[ $(as_user husk image cat base /secret) == s ]]
}

@test "blame: every layer that made, changed or removed a file, and its instruction" {
    run bash -c '"$HUSK" image blame app /etc/passwd --format "{{.Number}} {{.What}} {{.Size}} {{.CreatedBy}}"'
    expect 0 "=1 added 30B ADD file:abc in /
2 changed 59B RUN /bin/sh -c change"
    run bash -c '"$HUSK" image blame app /usr/bin/big-too --format "{{.Number}} {{.What}}"'
    expect 0 "=1 added
3 removed"
    run bash -c '"$HUSK" image blame app /dir/one --format "{{.Number}} {{.What}}"'
    expect 0 "=1 added
2 removed"
    run bash -c '"$HUSK" image blame app /tree/deep/file --format "{{.Number}} {{.What}} {{.CreatedBy}}"'
    expect 0 "=1 added ADD file:abc in /
3 removed COPY conf /etc/conf"
    # a directory: each entry with the layer that it is seen from
    run bash -c '"$HUSK" image blame app /etc --format "{{.Name}} {{.Number}}"'
    expect 0 "=conf/ 3
passwd 2"
    run "$HUSK" image blame app /etc/passwd
    expect 0 "CREATED BY"
    run as_user husk image blame app /dir/three
    expect 0 "RUN /bin/sh -c change"
    run "$HUSK" image blame app /never
    expect 1 "there is no '/never' in the image"
    [[ $("$HUSK" image blame --no-trunc app /etc/passwd --format '{{.Layer}}' | head -n 1) =~ ^sha256:[0-9a-f]{64}$ ]]
}

@test "waste: bytes that later layers hide, by file and in all; a file with two names once" {
    local status_bytes
    status_bytes=$("$HUSK" image cat base /var/lib/dpkg/status | wc -c)
    run bash -c '"$HUSK" image waste app --format json | jq -c "[.WastedBytes, .WastedFiles]"'
    expect 0 "=[$((100000 + 3000 + 2000 + 1000 + 500 + status_bytes + 30 + 1)),8]"
    run bash -c '"$HUSK" image waste app --format "{{.Bytes}} {{.Path}} {{.How}}"'
    expect 0 "100000 /usr/bin/big"
    output_has "3000 /tree/deep/file removed"
    output_has "2000 /dir/two removed"
    output_has "30 /etc/passwd replaced"
    output_has "500 /etc/conf replaced"
    run "$HUSK" image waste -n 2 app
    expect 0 "... and 6 more"
    run "$HUSK" image waste base
    expect 0 "0B of"
    run as_user husk image waste app
    expect 0 "hidden by later layers"
    run "$HUSK" image waste --top -1 app
    expect 1 "no number of files"
}

@test "tree: who stands on whose layers, as text, JSON and a picture" {
    local id
    run "$HUSK" image tree
    expect 0 "4 layers"
    output_has "[base:latest]"
    output_has "─ "
    # app and other part after the layer that they share
    [[ $(printf '%s\n' "$output" | grep -c '[├└]─ *2') == 2 ]]
    run "$HUSK" image tree app
    expect 0 "shared with base:latest, other:latest"
    output_has "RUN /bin/sh -c change"
    run bash -c '"$HUSK" image tree --format json | jq -c "[.[] | .Images, .Names, [.Children[].Names]]"'
    expect 0 '=[3,["base:latest"],[["other:latest"],[]]]' || expect 0 '=[3,["base:latest"],[[],["other:latest"]]]'
    "$HUSK" image tree --svg >"$T/tmp/tree.svg"
    python3 -c 'import sys, xml.dom.minidom as m; d = m.parse(sys.argv[1]); assert len(d.getElementsByTagName("g")) == 4' "$T/tmp/tree.svg"
    grep -q 'app:latest' "$T/tmp/tree.svg"
    run as_user husk image tree
    expect 0 "[app:latest]"
    run "$HUSK" image tree nope
    expect 1 nope
    run "$HUSK" image tree --svg --format json
    expect 1 "exclude each other"
}

@test "tree --whatrequires: what stands on an image" {
    run "$HUSK" image tree --whatrequires base
    expect 0 "[other:latest]"
    output_has "[app:latest]"
    output_has "2 images stand on it"
    run as_user husk image tree --whatrequires app
    expect 0 "0 images stand on it"
    check_table <<'ROWS'
image tree --whatrequires             | 1 | needs an IMAGE
image tree --whatrequires --svg app   | 1 | is text alone
image tree --whatrequires nope        | 1 | nope
ROWS
}

@test "diff: configuration, packages and files of two images" {
    run "$HUSK" image diff base app
    expect 0 'Cmd: ["sh"] -> ["app"]'
    output_has 'Env.A: "1" -> "2"'
    output_has 'Env.B: - -> "1"'
    output_has 'Labels.kind: - -> "app"'
    output_has '~ base-files 12 -> 13'
    output_has '+ fresh 2.0'
    output_has '- gone 1.0'
    output_has "C /etc/passwd (contents) 30B -> 59B"
    output_has "C /suid (mode)"
    output_has "C /etc/conf (type, mode)"
    output_has "A /etc/conf/d 1B"
    output_has "D /tree/deep/file 3.00kB"
    output_has "A /dir/three"
    output_has "!secret"
    output_has "!same"
    run bash -c '"$HUSK" image diff base app --only files --format json | jq -r ".Files[] | .Change + .Path" | sort'
    local want
    want=$(printf '%s\n' added/dir/three added/etc/conf/d changed/etc/conf changed/etc/passwd changed/suid \
        changed/var/lib/dpkg/status removed/dir/one removed/dir/two removed/tree removed/tree/deep removed/tree/deep/file \
        removed/usr/bin/big removed/usr/bin/big-too)
    expect 0 "=$want"
    run "$HUSK" image diff app app
    expect 0 "="
    run bash -c '"$HUSK" image diff other base --only config --only packages --format json | jq -c "[.Files, .Packages, .Config]"'
    expect 0 '=[null,[],[{"Field":"User","A":"alice","B":null},{"Field":"Env.A","A":null,"B":"1"},{"Field":"Env.PATH","A":null,"B":"/bin"}]]' ||
        expect 0 '"Field":"User","A":"alice","B":null'
    run as_user husk image diff base other
    expect 0 "A /opt/other 70B"
}

@test "diff IMAGE [PATH]: what its topmost layer changed, all or at a place" {
    run "$HUSK" image diff --format json other # its topmost layer and the one below it, as two images would have it
    expect 0
    [[ $(jq -c 'keys' <<<"$output") == '["Files","Image","Packages"]' ]]
    [[ $(jq -r '.Files[].Path' <<<"$output") == *"/opt/other"* ]]
    run as_user husk image diff other
    expect 0 "A /opt/other 70B"
    run "$HUSK" image diff other /opt/
    expect 0 "=$(printf '%s\n' 'Files: 2 differences' 'A /opt' 'A /opt/other 70B')"
    run "$HUSK" image diff other /op
    expect 0 "="
    run "$HUSK" image diff base # of one layer: everything
    expect 0 "A /etc/passwd 30B"
    check_table <<'ROWS'
image diff --only config other  | 1 | a layer has no configuration
image diff nope                 | 1 | nope
image diff nope /etc            | 1 | nope
image diff                      | 1 | needs IMAGE [IMAGE | PATH]
ROWS
}

@test "what is looked at cannot be written: the store is as it was, and a missing layer is named" {
    local before after store=$T/tmp/store
    before=$(find "$HUSK_ROOT/layers" -printf '%p %s %T@ %i\n' | sort | sha256sum)
    "$HUSK" image files -R app >"$T/tmp/out"
    "$HUSK" image diff base app >"$T/tmp/out"
    after=$(find "$HUSK_ROOT/layers" -printf '%p %s %T@ %i\n' | sort | sha256sum)
    [[ $before == "$after" ]]
    HUSK_ROOT=$store "$HUSK" load --quiet --input "$T/look"
    rm -rf "$store"/layers/*
    HUSK_ROOT=$store run "$HUSK" image files app
    expect 1 "is not in the image store: pull or load the image again"
    HUSK_ROOT=$store run "$HUSK" image tree
    expect 0 " ? "
}
