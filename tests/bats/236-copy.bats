# copy: an image from any place to any other, byte for byte; ssh:// to another host's store.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031,SC2164

load helpers

setup_file() {
    husk_setup_file
    start_registry
    python3 "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" here=gzip:a,zstd:b,plain:c other=gzip:other@linux/sparc64 \
        multi=+here,other big=gzip:big old=gzip:a,plain:c
    make_artifact "$T/oci"
    chmod -R a+rX "$T/oci"
    "$HUSK" copy "oci:$T/oci:here" store:example.org/here:1
    as_user husk copy "oci:$T/oci:here" store:example.org/here:1
}
setup() {
    husk_setup
    cd "$T/tmp"
}
teardown() { find "$T/tmp" -mindepth 1 -delete; }

digest_in() { # LAYOUT NAME
    jq -r --arg name "$2" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $name) | .digest' \
        "$1/index.json"
}
# An artifact that refers to the image "here", under the name "note", and an image whose layer says it is encrypted.
make_artifact() {
    python3 - "$1" <<'PY'
import hashlib, json, sys
top = sys.argv[1]
def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    open(top + "/blobs/sha256/" + digest, "wb").write(data)
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}
index = json.load(open(top + "/index.json"))
def named(name):
    return [m for m in index["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == name][0]
def add(name, manifest):
    d = blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    d["annotations"] = {"org.opencontainers.image.ref.name": name}
    index["manifests"].append(d)
here = {k: named("here")[k] for k in ("mediaType", "digest", "size")}
add("note", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
             "artifactType": "text/x-note", "config": blob(b"{}", "application/vnd.oci.empty.v1+json"),
             "layers": [blob(b"a note", "text/plain")], "subject": here})
secret = json.loads(open(top + "/blobs/sha256/" + here["digest"][7:]).read())
secret["layers"][0]["mediaType"] += "+encrypted"
add("secret", secret)
json.dump(index, open(top + "/index.json", "w"))
PY
}

@test "every place to every place: one digest, whatever the way" {
    local want from to i=0
    want=$(digest_in "$T/oci" here)
    local -a places=("oci:$T/oci:here")
    for to in "oci:$T/tmp/o:x" "dir:$T/tmp/d" "oci-archive:$T/tmp/oa.tar:x" "docker-archive:$T/tmp/da.tar:x:1" \
        "store:example.org/x:1" "docker://$REGISTRY/x:1"; do
        from=${places[-1]}
        "$HUSK" copy --quiet --digestfile digest "$from" "$to"
        [[ $(<digest) == "$want" ]] || { echo "$from -> $to: $(<digest)"; false; }
        places+=("$to")
    done
    # from each of them into a layout: always the same blobs
    for from in "${places[@]}"; do
        i=$((i + 1))
        "$HUSK" copy "$from" "oci:$T/tmp/end$i:x"
        diff -r "end1/blobs" "end$i/blobs"
    done
    [[ $(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/x:1" | sha256sum) == "${want#*:}  -" ]]
    store_is_sound "$HUSK_ROOT"
}

@test "skopeo reads what copy wrote, and copy what skopeo wrote" {
    local form
    for form in docker-archive:s.tar oci-archive:so.tar oci:so:x dir:sd; do
        skopeo copy --quiet "oci:$T/oci:old" "$form"
        "$HUSK" copy "$form" "oci:$T/tmp/back:${form%%:*}"
    done
    gzip -k s.tar
    "$HUSK" copy docker-archive:s.tar.gz oci:back:packed
    "$HUSK" copy docker-archive:- oci:back:piped <s.tar.gz
    local id
    id=$(jq -r .config.digest "$T/oci/blobs/sha256/$(digest_in "$T/oci" old | cut -d: -f2)")
    for form in docker-archive oci-archive oci dir packed piped; do
        [[ $(jq -r .config.digest "back/blobs/sha256/$(digest_in back "$form" | cut -d: -f2)") == "$id" ]]
    done
    "$HUSK" copy "oci:$T/oci:old" dir:d
    "$HUSK" copy "oci:$T/oci:old" docker-archive:d.tar
    "$HUSK" copy "oci:$T/oci:old" oci-archive:- >o.tar
    for form in dir:d docker-archive:d.tar oci-archive:o.tar; do
        skopeo copy --quiet "$form" "oci:checked:${form%%:*}"
    done
}

@test "--all copies every platform, --platform one of them, alone" {
    local want other
    want=$(digest_in "$T/oci" multi)
    other=$(digest_in "$T/oci" other)
    "$HUSK" copy --all --digestfile d2 "oci:$T/oci:multi" "docker://$REGISTRY/multi:all"
    "$HUSK" copy --platform linux/sparc64 --digestfile d1 "docker://$REGISTRY/multi:all" oci:one:x
    "$HUSK" copy --digestfile d3 "docker://$REGISTRY/multi:all" oci-archive:here.tar
    [[ $(<d2) == "$want" && $(<d1) == "$other" && $(<d3) == "$(digest_in "$T/oci" here)" ]]
    for to in oci-archive:all.tar dir:all.d store:example.org/multi:1 oci:all.o:x; do
        "$HUSK" copy --all --digestfile d2 "docker://$REGISTRY/multi:all" "$to"
        [[ $(<d2) == "$want" ]]
    done
    "$HUSK" copy --all store:example.org/multi:1 oci:again:x
    diff -r all.o/blobs again/blobs
    check_table <<ROWS
copy --all oci:$T/oci:multi docker-archive:x.tar           | 1 | no room for an image of several platforms
copy --all --platform linux/amd64 oci:$T/oci:multi dir:x.d | 1 | exclude each other
copy --platform linux/vax oci:$T/oci:multi dir:x.d         | 1 | linux/vax
ROWS
    [[ ! -e x.tar ]]
}

@test "layers of zstd are plain in a docker-archive that is made of the store's image, whose ID stays" {
    local id manifest
    id=$("$HUSK" image inspect -f '{{.Id}}' example.org/here:1)
    "$HUSK" copy --quiet --digestfile digest store:example.org/here:1 docker-archive:da.tar:plain:1
    [[ $(skopeo inspect --raw docker-archive:da.tar:plain:1 | jq -r .config.digest) == "$id" ]]
    manifest=$(tar -xOf da.tar index.json | jq -r '.manifests[0].digest')
    [[ $(<digest) == "$manifest" && $manifest != "$(digest_in "$T/oci" here)" ]]
    tar -xOf da.tar "blobs/sha256/${manifest#*:}" | jq -e '.layers | length == 3 and all(.mediaType | endswith("zstd") | not)'
    "$HUSK" copy --quiet store:example.org/here:1 oci-archive:oa.tar:same:1 # every other place takes it as it is
    [[ $(tar -xOf oa.tar index.json | jq -r '.manifests[0].digest') == "$(digest_in "$T/oci" here)" ]]
}

@test "artifacts and what refers to an image go along; encrypted layers go nowhere" {
    local note to
    note=$(digest_in "$T/oci" note)
    "$HUSK" copy --digestfile d "oci:$T/oci:note" "docker://$REGISTRY/art:note"
    [[ $(<d) == "$note" ]]
    "$HUSK" copy "docker://$REGISTRY/art:note" oci:art:note
    [[ $(digest_in art note) == "$note" && $(cat "art/blobs/sha256/$(printf 'a note' | sha256sum | cut -d' ' -f1)") == 'a note' ]]
    "$HUSK" copy "oci:$T/oci:here" "docker://$REGISTRY/art:here"
    # from a registry (by the tag scheme: Debian's has no referrers API), into the store, and on
    "$HUSK" copy --referrers "docker://$REGISTRY/art:here" store:example.org/art:here
    "$HUSK" copy --referrers store:example.org/art:here oci:with:here
    "$HUSK" copy store:example.org/art:here oci:without:here
    [[ $(jq '.manifests | length' with/index.json) == 2 && $(jq '.manifests | length' without/index.json) == 1 ]]
    [[ $(jq -r '.manifests[1].digest' with/index.json) == "$note" ]]
    "$HUSK" copy "oci:$T/oci:note" store:example.org/art:note
    run "$HUSK" images # also: no warning
    expect 0 "!note"
    run "$HUSK" run --rm example.org/art:note
    expect 125 "no container image but an artifact of type 'text/x-note'"
    run "$HUSK" save --format oci-archive -o art.tar example.org/art:here
    expect 0
    for to in dir:x oci:x:y oci-archive:x.tar docker-archive:x.tar store:x "docker://$REGISTRY/x:y"; do
        run "$HUSK" copy "oci:$T/oci:secret" "$to"
        expect 1 "its layers are encrypted"
    done
    skopeo copy --quiet --all --dest-tls-verify=false "oci:$T/oci:here" "docker://$REGISTRY/plain:1"
    mkdir sec
    "$HUSK" copy "oci:$T/oci:here" oci:sec:x
    python3 - <<'PY'
import hashlib, json
i = json.load(open("sec/index.json"))
m = json.load(open("sec/blobs/sha256/" + i["manifests"][0]["digest"][7:]))
m["layers"][0]["mediaType"] += "+encrypted"
data = json.dumps(m).encode()
d = hashlib.sha256(data).hexdigest()
open("sec/blobs/sha256/" + d, "wb").write(data)
i["manifests"][0].update(digest="sha256:" + d, size=len(data))
json.dump(i, open("sec/index.json", "w"))
PY
    run "$HUSK" load -q sec
    expect 1 "its layers are encrypted"
}

@test "between repositories of one registry blobs are mounted, and what is there is not sent" {
    "$HUSK" copy "oci:$T/oci:big" "docker://$REGISTRY/first:1"
    strace -f -e trace=sendto,write,writev -o trace "$HUSK" copy "docker://$REGISTRY/first:1" "docker://$REGISTRY/second:1"
    # 8 MiB would be seen
    [[ $(awk '{ s += $NF ~ /^[0-9]+$/ ? $NF : 0 } END { print (s < 2000000) }' trace) == 1 ]]
    "$HUSK" copy "docker://$REGISTRY/second:1" oci:o:x
    [[ $(digest_in o x) == "$(digest_in "$T/oci" big)" ]]
}

@test "nothing is put on the disk on the way from a registry to an archive in a pipe" {
    "$HUSK" copy "oci:$T/oci:big" "docker://$REGISTRY/pipe:1"
    strace -f -e trace=openat,open,creat,memfd_create -o trace "$HUSK" copy "docker://$REGISTRY/pipe:1" oci-archive:- >x.tar
    ! grep -E 'O_CREAT|O_TMPFILE|memfd_create|creat\(' trace
    skopeo inspect --raw oci-archive:x.tar | jq -e .config >/dev/null
}

@test "blobs that lie are refused, wherever they are, and leave nothing" {
    local blob_digest to
    "$HUSK" copy "oci:$T/oci:here" oci:bad:x
    blob_digest=$(jq -r '.layers[1].digest' "bad/blobs/sha256/$(digest_in bad x | cut -d: -f2)")
    printf 'XX' | dd of="bad/blobs/sha256/${blob_digest#*:}" conv=notrunc bs=1 seek=9 status=none
    for to in dir:d oci:o:x oci-archive:a.tar store:bad:1 "docker://$REGISTRY/bad:1"; do
        HUSK_ROOT=$T/tmp/fresh run "$HUSK" copy oci:bad:x "$to"
        expect 1 "${blob_digest:7:12}"
    done
    [[ ! -e a.tar && ! -e d/manifest.json && ! -e o/index.json ]]
    [[ ! $(names fresh) ]]
    store_is_sound fresh
    : >"bad/blobs/sha256/${blob_digest#*:}"
    run "$HUSK" copy oci:bad:x oci:o2:x
    expect 1 "too early"
    rm "bad/blobs/sha256/${blob_digest#*:}"
    ln -s /etc/passwd "bad/blobs/sha256/${blob_digest#*:}"
    run "$HUSK" copy oci:bad:x oci:o3:x
    expect 1
    store_is_sound "$HUSK_ROOT"
}

@test "what cannot be copied is refused in a sentence" {
    echo x >there
    mkdir full && echo x >full/x
    check_table <<ROWS
copy oci:$T/oci:here                          | 1 | needs SOURCE DESTINATION
copy oci:$T/oci:nosuch oci:x                  | 1 | no image 'nosuch': there is
copy oci:$T/oci oci:x                         | 1 | it holds several images: name one
copy oci:/no/such oci:x                       | 1 | open '/no/such': No such file or directory
copy store:nosuch oci:x                       | 1 | no such image
copy store: oci:x                             | 1 | it names no image
copy docker-daemon:a:b oci:x                  | 1 | husk has no transport 'docker-daemon:'
copy oci:$T/oci:here oci-archive:there        | 1 | is there already
copy oci:$T/oci:here dir:full                 | 1 | has other things in it
copy ssh://-oProxyCommand=x/y oci:x           | 1 | is not of the form ssh://
copy ssh://a@-b/y oci:x                       | 1 | is not of the form ssh://
copy ssh://a:99999/y oci:x                    | 1 | the port of
copy oci-archive:there oci:x                  | 1 | archive 'there'
copy docker://$REGISTRY/nosuch:1 oci:x        | 1 | has no such image
ROWS
    [[ $(<there) == x && ! -e x.tar ]]
}

# ---- ssh -----------------------------------------------------------------------------------------------------------

# start_sshd: Debian's sshd on a free port of 127.0.0.1, for this test's key only, whose one command is husk's; the
# store over there is $T/tmp/there. Sets $SSH_PORT and $HUSK_SSH.
start_sshd() {
    local dir=$T/tmp/sshd try i
    mkdir -m 700 "$dir"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
    echo "command=\"env HUSK_ROOT=$T/tmp/there HUSK_RUN=$HUSK_RUN $HUSK image serve\",restrict $(<"$dir/key.pub")" >"$dir/keys"
    mkdir -p /run/sshd
    for try in 1 2 3 4 5 6 7 8; do
        SSH_PORT=$((20000 + RANDOM % 30000))
        printf '%s\n' "ListenAddress 127.0.0.1" "Port $SSH_PORT" "HostKey $dir/host" "AuthorizedKeysFile $dir/keys" \
            "PidFile none" "StrictModes no" "PasswordAuthentication no" "UsePAM no" "PermitRootLogin yes" >"$dir/config"
        setsid "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f "$dir/config" >"$dir/log" 2>&1 3>&- </dev/null &
        SSHD=$!
        for ((i = 0; i < 200; i++)); do
            kill -0 "$SSHD" 2>/dev/null || continue 2
            if grep -q "Server listening" "$dir/log"; then
                export HUSK_SSH="ssh -q -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i $dir/key"
                return 0
            fi
            sleep 0.05
        done
    done
    cat "$dir/log"
    return 1
}

@test "ssh: to another host's store and back, and only what is missing travels" {
    start_sshd
    local want there=$T/tmp/there
    want=$(digest_in "$T/oci" here)
    "$HUSK" copy --digestfile d store:example.org/here:1 "ssh://root@127.0.0.1:$SSH_PORT"
    [[ $(<d) == "$want" && $(digest_in there example.org/here:1) == "$want" ]]
    store_is_sound "$there"
    [[ $(HUSK_ROOT=$there "$HUSK" images --quiet) == "$("$HUSK" images --quiet example.org/here)" ]]
    "$HUSK" copy "oci:$T/oci:big" "ssh://root@127.0.0.1:$SSH_PORT/example.org/big:1"
    # again: the blobs are there
    strace -f -e trace=writev,write -o trace "$HUSK" copy "oci:$T/oci:big" "ssh://root@127.0.0.1:$SSH_PORT/example.org/big:2"
    [[ $(awk '{ s += $NF ~ /^[0-9]+$/ ? $NF : 0 } END { print (s < 2000000) }' trace) == 1 ]]
    "$HUSK" copy "ssh://root@127.0.0.1:$SSH_PORT/example.org/big:2" oci:back:x
    [[ $(digest_in back x) == "$(digest_in "$T/oci" big)" ]]
    "$HUSK" copy "ssh://root@127.0.0.1:$SSH_PORT/example.org/big:2" store:example.org/big:3
    "$HUSK" copy --all "oci:$T/oci:multi" "ssh://root@127.0.0.1:$SSH_PORT/example.org/multi:1"
    "$HUSK" copy --all "ssh://root@127.0.0.1:$SSH_PORT/example.org/multi:1" oci:multi:x
    [[ $(digest_in multi x) == "$(digest_in "$T/oci" multi)" ]]
    run "$HUSK" copy "ssh://root@127.0.0.1:$SSH_PORT/nosuch" oci:x:y
    expect 1 "image 'nosuch': no such image"
    # the key is good for nothing else
    run $HUSK_SSH -p "$SSH_PORT" root@127.0.0.1 id
    [[ $output != *uid=* ]]
    kill "$SSHD"
    wait_until 10 gone "$SSHD"
    run "$HUSK" copy store:example.org/here:1 "ssh://root@127.0.0.1:$SSH_PORT"
    expect 1 "husk on 'root@127.0.0.1': '${HUSK_SSH%% *}' ended with 255"
}

@test "ssh: an ordinary user's store, a far end that talks, dies or lies" {
    # The program that stands in for ssh gets "-- HOST COMMAND".
    printf '#!/bin/sh\nexport PATH="%s:$PATH"\nexec sh -c "$3"\n' "$(dirname "$HUSK")" >local
    printf '#!/bin/sh\necho Welcome to this host\ncat >/dev/null\n' >talks
    printf '#!/bin/sh\nexit 1\n' >dies
    printf '#!/bin/sh\nprintf "H\\000\\000\\000\\012\\000\\000\\000{\\"husk\\":9}"; cat >/dev/null\n' >newer
    printf '#!/bin/sh\nprintf "H\\000\\000\\000\\377\\377\\377\\377"; cat >/dev/null\n' >huge
    chmod 755 local talks dies newer huge
    HUSK_SSH=$T/tmp/local HUSK_ROOT=$T/tmp/mine "$HUSK" copy "oci:$T/oci:here" ssh://h/example.org/mine:1
    HUSK_ROOT=$T/tmp/mine
    [[ $(names) == example.org/mine:1 ]]
    as_user env "HUSK_SSH=$T/tmp/local" "$HUSK" copy "oci:$T/oci:here" ssh://h/example.org/theirs:1
    as_user env "HUSK_SSH=$T/tmp/local" "$HUSK" copy ssh://h/example.org/theirs:1 store:example.org/ours:1
    [[ $(as_user husk run --rm example.org/ours:1 /nothere 2>&1) == *nothere* ]]
    run as_user husk images --quiet example.org/ours
    [[ $output ]]
    check_table env "HUSK_SSH=$T/tmp/talks" "$HUSK" <<<"copy oci:$T/oci:here ssh://h/x | 1 | does its shell print something at login?"
    check_table env "HUSK_SSH=$T/tmp/dies" "$HUSK" <<<"copy oci:$T/oci:here ssh://h/x | 1 | dies' ended with 1"
    check_table env HUSK_SSH=/nowhere/ssh "$HUSK" <<<"copy oci:$T/oci:here ssh://h/x | 1 | there is no '/nowhere/ssh' here"
    check_table env "HUSK_SSH=$T/tmp/newer" "$HUSK" <<<"copy oci:$T/oci:here ssh://h/x | 1 | speaks version 9 of the protocol"
    check_table env "HUSK_SSH=$T/tmp/huge" "$HUSK" <<<"copy oci:$T/oci:here ssh://h/x | 1 | is not husk's"
}

@test "ssh: a client that lies gets nothing into the store" {
    export HUSK_ROOT=$T/tmp/victim
    run python3 - "$HUSK" <<'PY'
import hashlib, json, struct, subprocess, sys
p = subprocess.Popen([sys.argv[1], "image", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def send(kind, data=b""):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    p.stdin.write(struct.pack("<c3xI", kind.encode(), len(data)) + data)
    p.stdin.flush()
def answer():
    kind, n = struct.unpack("<c3xI", p.stdout.read(8))
    return kind.decode(), p.stdout.read(n)
def ask(kind, data=b"", more=()):
    send(kind, data)
    for m in more:
        send(*m)
    return answer()
def refused(what, kind, text):
    assert kind == "X" and what in text, (kind, text)
assert ask("H", {"husk": 1})[0] == "H"
good = "sha256:" + hashlib.sha256(b"good").hexdigest()
refused(b"other content", *ask("P", {"digest": good, "size": 4}, [("B", b"evil"), ("E",)]))
refused(b"longer than", *ask("P", {"digest": good, "size": 4}, [("B", b"good and more"), ("E",)]))
refused(b"ends after", *ask("P", {"digest": good, "size": 4}, [("B", b"go"), ("E",)]))
refused(b"is none", *ask("P", {"digest": "sha256:../../../../etc/passwd", "size": 4}))
refused(b"negative", *ask("P", {"digest": good, "size": -1}))
assert ask("Q", {"blobs": [good]}) == ("A", b'{"has":"0"}')
manifest = json.dumps({"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": good, "size": 4}, "layers": []})
digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
refused(b"was not sent", *ask("S", {"place": "top", "name": "x:1", "digest": digest, "text": manifest}))
refused(b"has digest", *ask("S", {"place": "top", "name": "x:1", "digest": good, "text": manifest}))
refused(b"image name", *ask("S", {"place": "top", "name": "../x", "digest": digest, "text": manifest}))
refused(b"does not know", *ask("Z", {}))
refused(b"", *ask("G", b"\xff\xfe"))
refused(b"", *ask("F", {"digest": good, "size": 4}))
assert ask("P", {"digest": good, "size": 4}, [("B", b"good"), ("E",)])[0] == "K"
p.stdin.close()
assert p.wait() == 0
PY
    expect 0
    [[ ! $(names) ]]
    store_is_sound "$HUSK_ROOT"
}
