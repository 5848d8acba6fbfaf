#!/usr/bin/env bats
# husk image sign, verify, key; policy.json at pull, copy, load and run. Debian 12's podman and skopeo are built without
# sigstore ("Debian-local change: sigstore disabled"): signatures are compared with openssl's, scopes with skopeo's.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    start_registry
    python3 "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" here=gzip:a other=gzip:other@linux/sparc64 multi=+here,other plain=gzip:plain
    chmod -R a+rX "$T/oci"
    cd "$T" || return
    export COSIGN_PASSWORD='a password'
    "$HUSK" image key generate --output-key-prefix "$T/good"
    "$HUSK" image key generate --output-key-prefix "$T/bad"
    "$HUSK" copy "oci:$T/oci:here" "docker://$REGISTRY/signed:1"
    "$HUSK" copy "oci:$T/oci:plain" "docker://$REGISTRY/unsigned:1"
    "$HUSK" copy --all "oci:$T/oci:multi" "docker://$REGISTRY/multi:1"
    "$HUSK" image sign --key good.key "$REGISTRY/signed:1"
    "$HUSK" image sign --key good.key "$REGISTRY/multi:1"
    policy good >policy.json
    policy bad >policy-bad.json
    printf '{"default":[{"type":"reject"}]}' >policy-reject.json
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >policy-any.json
    chmod a+r ./*.json good.pub bad.pub
}
setup() {
    husk_setup
    export COSIGN_PASSWORD='a password' HUSK_ROOT=$T/tmp/store
    cd "$T/tmp" || return
}
teardown() {
    "$HUSK" ps -aq 2>/dev/null | xargs -r "$HUSK" rm -f >/dev/null
    find "$T/tmp" -mindepth 1 -delete
}

# policy KEY [IDENTITY]: what is in the test's registry is to be signed, all else is refused.
policy() {
    printf '{"default":[{"type":"reject"}],"transports":{"docker":{"%s":[{"type":"sigstoreSigned","keyPath":"%s"%s}]}}}' \
        "$REGISTRY" "$T/$1.pub" "${2:+,\"signedIdentity\":$2}"
}
# payload_of NAME: what was signed, and FILE.sig as bytes, by tools that are not husk's.
payload_of() { # NAME FILE
    local digest layer
    digest=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/$1" | sha256sum | cut -d' ' -f1)
    skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/${1%:*}:sha256-$digest.sig" >m.json
    layer=$(jq -r '.layers[-1].digest' m.json)
    jq -r '.layers[-1].annotations["dev.cosignproject.cosign/signature"]' m.json | base64 -d >"$2.sig"
    curl -sf "http://$REGISTRY/v2/${1%:*}/blobs/$layer" >"$2"
}

@test "a key pair: encrypted as cosign's, never written over, opened by its password alone" {
    grep -q 'BEGIN ENCRYPTED COSIGN PRIVATE KEY' "$T/good.key"
    [[ $(stat -c %a "$T/good.key") == 600 ]]
    openssl pkey -pubin -in "$T/good.pub" -noout -text | grep -q prime256v1
    sed 1d "$T/good.key" | sed '$d' | base64 -d | jq -e '.kdf.name == "scrypt" and .cipher.name == "nacl/secretbox"'
    diff <("$HUSK" image key public "$T/good.key") "$T/good.pub"
    echo 'another' >wrong
    check_table <<ROWS
image key generate --output-key-prefix $T/good                          | 1 | never written over
image key public --passphrase-file wrong $T/good.key                    | 1 | the password is not the private key's
image key public $T/good.pub                                            | 1 | is no private key
image key public /nosuch                                                | 1 | No such file
image sign --key $T/good.pub $REGISTRY/signed:1                         | 1 | is no private key
image sign --key $T/good.key --sign-identity x $REGISTRY/signed:1       | 1 | is no full name
image sign --key $T/good.key dir:x                                      | 1 | a signature has no place there
image sign --key $T/good.key $REGISTRY/nosuch:1                         | 1 | nosuch
ROWS
    openssl ecparam -name prime256v1 -genkey -noout -out plain.key # one without a password will do, too
    "$HUSK" image key public plain.key | grep -q 'BEGIN PUBLIC KEY'
    unset COSIGN_PASSWORD
    run setsid "$HUSK" image key public "$T/good.key" </dev/null
    expect 1 "the key has a password: give --passphrase-file"
}

@test "verify: by key, by policy; another key, another name and another image are refused" {
    run "$HUSK" image verify --key "$T/good.pub" "$REGISTRY/signed:1"
    expect 0 '"docker-reference":"'"$REGISTRY/signed:1"
    run "$HUSK" image verify --signature-policy "$T/policy.json" "$REGISTRY/signed:1"
    expect 0 "the signature policy accepts it"
    check_table <<ROWS
image verify --key $T/bad.pub $REGISTRY/signed:1                                        | 1 | signed by another key
image verify --key $T/good.pub $REGISTRY/unsigned:1                                     | 1 | has no signature
image verify --key $T/good.pub --sign-identity example.org/x:1 $REGISTRY/signed:1       | 1 | it is for the name
image verify --key $T/good.pub --sign-identity $REGISTRY/signed:1 $REGISTRY/signed:1    | 0 | docker-reference
image verify --signature-policy $T/policy-bad.json $REGISTRY/signed:1                   | 1 | signed by another key
image verify --signature-policy $T/policy-reject.json $REGISTRY/signed:1                | 1 | default: it is to be rejected
image verify --signature-policy /nosuch $REGISTRY/signed:1                              | 1 | No such file
ROWS
    # a signature of one image put under another's tag
    local from to
    from=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/signed:1" | sha256sum | cut -d' ' -f1)
    to=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/multi:1" | sha256sum | cut -d' ' -f1)
    "$HUSK" copy --all "docker://$REGISTRY/multi:1" "docker://$REGISTRY/swapped:1"
    "$HUSK" copy "docker://$REGISTRY/signed:sha256-$from.sig" "docker://$REGISTRY/swapped:sha256-$to.sig"
    run "$HUSK" image verify --key "$T/good.pub" "$REGISTRY/swapped:1"
    expect 1 "it is for another image"
}

@test "pull: what the policy asks for is checked before anything comes" {
    run "$HUSK" pull --signature-policy "$T/policy.json" "$REGISTRY/signed:1"
    expect 0
    run "$HUSK" pull --signature-policy "$T/policy.json" "$REGISTRY/multi:1" # the index is signed
    expect 0
    check_table <<ROWS
pull --signature-policy $T/policy.json $REGISTRY/unsigned:1         | 1 | it is to be signed, and has no signature here
pull --signature-policy $T/policy-bad.json $REGISTRY/signed:1       | 1 | signed by another key
pull --signature-policy $T/policy-reject.json $REGISTRY/unsigned:1  | 1 | it is to be rejected
pull --signature-policy $T/policy-any.json $REGISTRY/unsigned:1     | 0 | unsigned
ROWS
    HUSK_ROOT=$T/tmp/two run "$HUSK" pull --signature-policy "$T/policy.json" "$REGISTRY/unsigned:1"
    expect 1
    HUSK_ROOT=$T/tmp/two run "$HUSK" images -q
    expect 0 "="
    [[ ! $(ls two/blobs/sha256 2>/dev/null) ]]
}

@test "pull: the user's own policy.json counts, and each identity of the manual page" {
    mkdir -p .config/containers
    cp "$T/policy-reject.json" .config/containers/policy.json
    XDG_CONFIG_HOME='' HOME=$T/tmp run "$HUSK" pull "$REGISTRY/signed:1"
    expect 1 "$T/tmp/.config/containers/policy.json"
    echo '{"default":[{"type":"insecureAcceptAnything"}],"x":1}' >.config/containers/policy.json
    XDG_CONFIG_HOME='' HOME=$T/tmp run "$HUSK" pull "$REGISTRY/signed:1"
    expect 1 "unknown key 'x'"
    "$HUSK" copy "docker://$REGISTRY/signed:1" "docker://$REGISTRY/signed:2"
    local row tag want identity
    for row in '1 0 {"type":"matchExact"}' '2 1 {"type":"matchExact"}' '2 0 {"type":"matchRepository"}' \
        '2 1 {"type":"matchRepoDigestOrExact"}' \
        '2 0 {"type":"exactReference","dockerReference":"'"$REGISTRY"'/signed:1"}' \
        '1 1 {"type":"exactReference","dockerReference":"example.org/signed:1"}' \
        '2 0 {"type":"exactRepository","dockerRepository":"'"$REGISTRY"'/signed"}' \
        '1 1 {"type":"remapIdentity","prefix":"'"$REGISTRY"'","signedPrefix":"example.org"}'; do
        read -r tag want identity <<<"$row"
        policy good "$identity" >p.json
        run "$HUSK" image verify --signature-policy p.json "$REGISTRY/signed:$tag"
        [[ $status == "$want" ]] || { echo "$row: $output"; false; }
    done
    # a signature is of a name: by digest the repository counts
    run "$HUSK" pull --signature-policy "$T/policy.json" \
        "$REGISTRY/signed@sha256:$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/signed:1" | sha256sum | cut -d' ' -f1)"
    expect 0
}

@test "openssl accepts what husk signed, husk what openssl signed, and each platform with --recursive" {
    payload_of signed:1 p
    openssl dgst -sha256 -verify "$T/good.pub" -signature p.sig p
    run openssl dgst -sha256 -verify "$T/bad.pub" -signature p.sig p
    [[ $status -ne 0 ]]
    # exactly what containers/image reads: these members and no others
    jq -e '(keys == ["critical", "optional"]) and (.critical | keys == ["identity", "image", "type"]) and
        .critical.type == "cosign container image signature"' p
    jq -e '.mediaType == "application/vnd.oci.image.manifest.v1+json" and
        .layers[0].mediaType == "application/vnd.dev.cosign.simplesigning.v1+json"' m.json
    # made as cosign makes it, with a key of openssl's: a payload with the repository alone, optional null
    openssl ecparam -name prime256v1 -genkey -noout -out other.key
    openssl pkey -in other.key -pubout -out other.pub
    "$HUSK" copy "oci:$T/oci:plain" "docker://$REGISTRY/by-openssl:1"
    "$HUSK" image sign --key "$T/good.key" "$REGISTRY/by-openssl:1" # replaced by the other's
    python3 - "$REGISTRY" "$("$HUSK" manifest inspect "$REGISTRY/by-openssl:1" >/dev/null && skopeo inspect --raw \
        --tls-verify=false "docker://$REGISTRY/by-openssl:1" | sha256sum | cut -d' ' -f1)" <<'PY'
import base64, hashlib, json, os, subprocess, sys
registry, image = sys.argv[1:]
os.makedirs("l/blobs/sha256")
def blob(data):
    d = hashlib.sha256(data).hexdigest()
    open("l/blobs/sha256/" + d, "wb").write(data)
    return {"digest": "sha256:" + d, "size": len(data)}
payload = json.dumps({"critical": {"identity": {"docker-reference": registry + "/by-openssl"},
    "image": {"docker-manifest-digest": "sha256:" + image}, "type": "cosign container image signature"},
    "optional": None}).encode()
open("payload", "wb").write(payload)
signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", "other.key", "payload"], capture_output=True).stdout
layer = blob(payload) | {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
    "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}}
config = blob(b"{}") | {"mediaType": "application/vnd.oci.image.config.v1+json"}
m = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
    "layers": [layer]}).encode()) | {"mediaType": "application/vnd.oci.image.manifest.v1+json",
    "annotations": {"org.opencontainers.image.ref.name": "x"}}
json.dump({"schemaVersion": 2, "manifests": [m]}, open("l/index.json", "w"))
open("l/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
open("tag", "w").write("sha256-" + image + ".sig")
PY
    "$HUSK" copy oci:l:x "docker://$REGISTRY/by-openssl:$(<tag)"
    run "$HUSK" image verify --key other.pub "$REGISTRY/by-openssl:1"
    expect 0 by-openssl
    printf '{"default":[{"type":"sigstoreSigned","keyPath":"other.pub"}]}' >q.json # a tag is not what was signed
    run "$HUSK" pull --signature-policy q.json "$REGISTRY/by-openssl:1"
    expect 1 "it is for the name"
    printf '{"default":[{"type":"sigstoreSigned","keyPath":"other.pub","signedIdentity":{"type":"matchRepository"}}]}' >q.json
    run "$HUSK" pull --signature-policy q.json "$REGISTRY/by-openssl:1"
    expect 0
    # a second signature beside it: either key will do
    "$HUSK" image sign --key "$T/bad.key" "$REGISTRY/by-openssl:1"
    "$HUSK" image verify --key other.pub "$REGISTRY/by-openssl:1"
    "$HUSK" image verify --key "$T/bad.pub" "$REGISTRY/by-openssl:1"
    "$HUSK" copy --all "oci:$T/oci:multi" "docker://$REGISTRY/all:1"
    run "$HUSK" image sign --recursive --key "$T/good.key" "$REGISTRY/all:1"
    expect 0
    [[ $(wc -l <<<"$output") == 3 ]]
    [[ $("$HUSK" image sign --all --key "$T/good.key" "$REGISTRY/all:1") == "$output" ]] # podman's word
}

@test "push, manifest push and copy sign what they bring, with podman's flags" {
    unset COSIGN_PASSWORD
    echo 'a password' >password
    local by=(--sign-by-sigstore-private-key "$T/good.key" --sign-passphrase-file "$PWD/password")
    "$HUSK" copy "oci:$T/oci:here" store:here
    run "$HUSK" push "${by[@]}" here "$REGISTRY/pushed:1"
    expect 0 "1: digest: sha256:"
    "$HUSK" image verify --key "$T/good.pub" --sign-identity "$REGISTRY/pushed:1" "$REGISTRY/pushed:1"
    payload_of pushed:1 p
    openssl dgst -sha256 -verify "$T/good.pub" -signature p.sig p
    run "$HUSK" pull -q --signature-policy "$T/policy.json" "$REGISTRY/pushed:1"
    expect 0
    "$HUSK" push --quiet --compression-format zstd "${by[@]}" here "$REGISTRY/packed:1" # what came to be there is signed
    "$HUSK" image verify --key "$T/good.pub" "$REGISTRY/packed:1"
    "$HUSK" copy "${by[@]}" "oci:$T/oci:plain" "docker://$REGISTRY/copied:1"
    "$HUSK" image verify --key "$T/good.pub" "$REGISTRY/copied:1"
    "$HUSK" manifest create list here
    "$HUSK" manifest push "${by[@]}" list "docker://$REGISTRY/list:1"
    "$HUSK" image verify --key "$T/good.pub" "$REGISTRY/list:1"
    run "$HUSK" pull -q --signature-policy "$T/policy.json" "$REGISTRY/list:1"
    expect 0
    echo wrong >password
    check_table <<ROWS
push ${by[*]} here $REGISTRY/refused:1                            | 1 | the password is not the private key's
push --sign-by-sigstore-private-key /nosuch here $REGISTRY/refused:1 | 1 | --sign-by-sigstore-private-key: 
push --sign-passphrase-file password here $REGISTRY/refused:1     | 1 | is for --sign-by-sigstore-private-key
push --sign-by me@x.io here $REGISTRY/refused:1                   | 1 | husk makes no OpenPGP signatures: give a key
push --sign-by-sq-fingerprint 12 here $REGISTRY/refused:1         | 1 | husk makes no OpenPGP signatures: give a key
push --sign-by-sigstore file here $REGISTRY/refused:1             | 1 | without Fulcio and Rekor: give a key
copy ${by[*]} store:here oci:x                                    | 1 | 
ROWS
    echo 'a password' >password
    run "$HUSK" copy "${by[@]}" store:here oci:x
    expect 1 "is for copies to a registry: elsewhere 'husk image sign' signs"
    [[ ! -e x ]]
    run "$HUSK" image tags "$REGISTRY/refused"
    expect 1 # nothing came
}

@test "which scope holds is what skopeo says, too" {
    local any='[{"type":"insecureAcceptAnything"}]' no='[{"type":"reject"}]' scopes want i=0
    for scopes in "\"$REGISTRY\":$any" "\"$REGISTRY/signed\":$any" "\"$REGISTRY/signed:1\":$any" \
        "\"$REGISTRY\":$any,\"$REGISTRY/signed\":$no" "\"$REGISTRY/sign\":$any" "\"\":$any" "\"127.0.0.1\":$any" \
        "\"*.0.0.1:${REGISTRY#*:}\":$any" "\"*.0.0.1\":$any" "\"*.1\":$any" "\"\":$any,\"$REGISTRY/signed:2\":$no" "\"$REGISTRY\":$no,\"\":$any"; do
        i=$((i + 1))
        printf '{"default":%s,"transports":{"docker":{%s}}}' "$no" "$scopes" >p.json
        want=0
        skopeo --policy p.json copy --quiet --src-tls-verify=false "docker://$REGISTRY/signed:1" "dir:s$i" 2>/dev/null || want=1
        run "$HUSK" copy --signature-policy p.json "docker://$REGISTRY/signed:1" "dir:h$i"
        [[ $status == "$want" ]] || { echo "$scopes: skopeo $want, husk $status: $output"; false; }
    done
}

@test "run: the policy of today is asked, and what was checked at pull is not checked again" {
    load_busybox
    "$HUSK" copy store:busybox "docker://$REGISTRY/run:1"
    "$HUSK" copy "oci:$T/oci:plain" "docker://$REGISTRY/plain:1"
    "$HUSK" image sign --key "$T/good.key" "$REGISTRY/run:1"
    "$HUSK" pull -q --signature-policy "$T/policy.json" "$REGISTRY/run:1"
    strace -f -e trace=execve -o trace "$HUSK" run --rm --signature-policy "$T/policy.json" "$REGISTRY/run:1" true
    ! grep -q husk-image trace
    # another rule, the same key: checked once more from what was kept, then remembered
    policy good '{"type":"matchRepository"}' >p.json
    strace -f -e trace=execve -o trace "$HUSK" run --rm --signature-policy p.json "$REGISTRY/run:1" true
    grep -q husk-image trace
    strace -f -e trace=execve -o trace "$HUSK" run --rm --signature-policy p.json "$REGISTRY/run:1" true
    ! grep -q husk-image trace
    run "$HUSK" run --rm --signature-policy "$T/policy-bad.json" "$REGISTRY/run:1" true
    expect 125 "signed by another key"
    run "$HUSK" create --signature-policy "$T/policy-reject.json" "$REGISTRY/run:1" true
    expect 1 "it is to be rejected"
    # a policy or a key that is missing is not an image that is missing
    policy gone >p.json
    run "$HUSK" run --rm --signature-policy p.json "$REGISTRY/run:1" true
    expect 125 "key of the signature policy: open '$T/gone.pub': No such file or directory"
    [[ $output != *pulling* ]]
    run "$HUSK" run --rm --signature-policy /nosuch "$REGISTRY/run:1" true
    expect 125 "--signature-policy: open '/nosuch': No such file or directory"
    [[ $output != *pulling* ]]
    # it came in when nothing was asked for
    "$HUSK" pull -q --signature-policy "$T/policy-any.json" "$REGISTRY/plain:1"
    run "$HUSK" run --rm --signature-policy "$T/policy.json" "$REGISTRY/plain:1" true
    expect 125 "no signature came with it: pull it"
    "$HUSK" create --signature-policy "$T/policy-any.json" "$REGISTRY/plain:1" true
    # under another name it is still the image that came from there
    "$HUSK" tag "$REGISTRY/run:1" example.org/mine:1
    run "$HUSK" run --rm --signature-policy "$T/policy.json" example.org/mine:1 true
    expect 0
    # an archive's names are not the registry's
    "$HUSK" tag busybox "$REGISTRY/fake:1"
    HUSK_ROOT=$T/tmp/victim
    load_busybox
    "$HUSK" tag busybox "$REGISTRY/run:1"
    run "$HUSK" run --rm --signature-policy "$T/policy.json" "$REGISTRY/run:1" true
    expect 125 "no signature came with it"
    [[ ! $("$HUSK" ps -aq) ]]
}

@test "run by an ID asks for the names of the image; run --pull carries the policy to the pull" {
    load_busybox
    "$HUSK" copy store:busybox "docker://$REGISTRY/id:1"
    "$HUSK" image sign --key "$T/good.key" "$REGISTRY/id:1"
    "$HUSK" rmi --no-trash busybox
    run "$HUSK" run --rm --signature-policy "$T/policy-bad.json" "$REGISTRY/id:1" true
    expect 125 "signed by another key"
    run "$HUSK" run --rm --quiet --signature-policy "$T/policy.json" "$REGISTRY/id:1" true
    expect 0
    local id
    id=$("$HUSK" images -q "$REGISTRY/id:1")
    run "$HUSK" run --rm --signature-policy "$T/policy.json" "$id" true
    expect 0
    run "$HUSK" run --rm --signature-policy "$T/policy-bad.json" "$id" true
    expect 125
    # the record goes with the image, and a store with one is in order
    [[ $(ls store/trust) ]]
    run "$HUSK" system check
    expect 0
    "$HUSK" rmi --no-trash "$REGISTRY/id:1" >/dev/null
    "$HUSK" image prune >/dev/null
    [[ ! $(ls store/trust) ]]
}

# own_policy FILE: what a command reads that is told of none.
own_policy() {
    mkdir -p "$T/tmp/config/containers"
    cp "$1" "$T/tmp/config/containers/policy.json"
    chmod -R a+rX "$T/tmp/config"
    export XDG_CONFIG_HOME=$T/tmp/config
}

@test "start: the policy of today is asked about the image that a container was made of" {
    local old=$XDG_CONFIG_HOME
    load_busybox
    "$HUSK" copy store:busybox "docker://$REGISTRY/start:1"
    "$HUSK" image sign --key "$T/good.key" "$REGISTRY/start:1"
    "$HUSK" import "$IMAGES/rootfs.tar" other
    own_policy "$T/policy.json"
    "$HUSK" create -q --network none --name signed "$REGISTRY/start:1" echo ran
    "$HUSK" create --network none --name loaded --signature-policy "$T/policy-any.json" other echo ran
    own_policy "$T/policy-any.json"
    "$HUSK" create --network none --name accepted other echo ran
    strace -f -e trace=execve -o trace "$HUSK" start -a signed
    own_policy "$T/policy.json"
    strace -f -e trace=execve -o trace "$HUSK" start -a signed
    ! grep -q husk-image trace # as at a run, what was found is remembered
    check_table <<'ROWS'
start accepted    | 1 | image 'other': signature policy
restart accepted  | 1 | it is to be rejected
start -a loaded   | 0 | =ran
start nosuch      | 1 | nosuch
ROWS
    # another rule: what was kept at the pull is checked once, also when the name is another image's by then
    policy good '{"type":"matchRepository"}' >p.json
    own_policy p.json
    "$HUSK" rmi -f "$REGISTRY/start:1" >/dev/null
    strace -f -e trace=execve -o trace "$HUSK" start -a signed >out
    [[ $(<out) == ran ]]
    grep -q 'husk-image.*--manifest' trace
    strace -f -e trace=execve -o trace "$HUSK" start -a signed
    ! grep -q husk-image trace
    own_policy "$T/policy-bad.json"
    run "$HUSK" start -a signed
    expect 125 "signed by another key"
    [[ $("$HUSK" inspect --format '{{.State.Status}}' signed) == exited ]]
    own_policy "$T/policy-reject.json"
    check_table <<'ROWS'
start signed      | 1 | it is to be rejected
start --all       | 1 | it is to be rejected
ROWS
    "$HUSK" rm -f signed loaded accepted >/dev/null # --all has started one
    XDG_CONFIG_HOME=$old
}

@test "import of a tar and bootstrap ask as podman's transport tarball, before anything is made" {
    printf '{"default":[{"type":"reject"}],"transports":{"tarball":{"":[{"type":"insecureAcceptAnything"}]}}}' >t.json
    printf '{"default":[{"type":"sigstoreSigned","keyPath":"%s"}]}' "$T/good.pub" >s.json
    check_table <<ROWS
import --signature-policy $T/policy-reject.json $IMAGES/rootfs.tar x      | 1 | it is to be rejected
import --signature-policy s.json $IMAGES/rootfs.tar x                     | 1 | a tar has no signature
import --signature-policy t.json $IMAGES/rootfs.tar x                     | 0 | sha256:
bootstrap --signature-policy $T/policy-reject.json debian:bookworm        | 1 | 'debian:bookworm': signature policy
bootstrap --signature-policy s.json debian:bookworm                       | 1 | a tar has no signature
ROWS
    run "$HUSK" images --format '{{.Repository}}'
    expect 0 =x
    own_policy "$T/policy-reject.json"
    run "$HUSK" import "$IMAGES/rootfs.tar" y
    expect 1 "it is to be rejected"
}

@test "what another host sends is asked for as transport ssh, with the signatures that come along" {
    # stands in for ssh and gets "-- HOST COMMAND"; over there another store and another policy hold
    printf '#!/bin/sh\nexport HUSK_ROOT=%q XDG_CONFIG_HOME=%q\nexec %q image serve\n' "$T/tmp/there" "$T/tmp/there-config" "$HUSK" >local
    chmod 755 local
    export HUSK_SSH=$T/tmp/local
    mkdir -p there-config/containers
    there_are() { HUSK_ROOT=$T/tmp/there "$HUSK" images --format '{{.Repository}}:{{.Tag}}'; }
    cp "$T/policy-reject.json" there-config/containers/policy.json
    run "$HUSK" copy "oci:$T/oci:here" ssh://h/example.org/x:1
    expect 1 "there-config/containers/policy.json', default: it is to be rejected"
    printf '{"default":[{"type":"reject"}],"transports":{"ssh":{"":[{"type":"sigstoreSigned","keyPath":"%s"}]}}}' "$T/good.pub" \
        >there-config/containers/policy.json
    run "$HUSK" copy "docker://$REGISTRY/signed:1" "ssh://h/$REGISTRY/signed:1"
    expect 1 "it is to be signed, and has no signature here"
    run "$HUSK" copy --referrers "oci:$T/oci:here" ssh://h/example.org/x:1
    expect 1 "it is to be signed, and has no signature here"
    # nor by another word for what it is
    run "$HUSK" copy --referrers "docker://$REGISTRY/signed:1" "ssh://h/example.org/other:1"
    expect 1 "it is for the name"
    [[ ! $(there_are) ]]
    run "$HUSK" copy --referrers "docker://$REGISTRY/signed:1" "ssh://h/$REGISTRY/signed:1"
    expect 0
    [[ $(there_are) == "$REGISTRY/signed:1" ]]
    python3 - "$HUSK_SSH" "$T/tmp/there" <<'PY'
import json, os, struct, subprocess, sys
there = sys.argv[2]
index = json.load(open(there + "/index.json"))
top = next(m for m in index["manifests"] if m["annotations"].get("org.opencontainers.image.ref.name", "").endswith(":1"))
text = open(there + "/blobs/sha256/" + top["digest"][7:]).read()
p = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def ask(kind, **data):
    data = json.dumps(data).encode()
    p.stdin.write(struct.pack("<c3xI", kind.encode(), len(data)) + data)
    p.stdin.flush()
    kind, n = struct.unpack("<c3xI", p.stdout.read(8))
    return kind, p.stdout.read(n)
assert ask("H", husk=1)[0] == b"H"
for name in "example.org/fake:1", "example.org/fake:sha256-%s.six" % ("0" * 64), "example.org/fake:sha256-1.sig":
    kind, answer = ask("S", place="referrer", name=name, digest=top["digest"], mediaType=top["mediaType"], text=text)
    assert kind == b"X" and b"it is for the name" in answer or b"no signature" in answer, (kind, answer)
PY
    [[ $(there_are) == "$REGISTRY/signed:1" ]]
}

@test "load and copy ask for their own transports" {
    cp "$IMAGES/busybox.tar" a.tar
    printf '{"default":[{"type":"reject"}],"transports":{"docker-archive":{"%s":[{"type":"insecureAcceptAnything"}]},
        "oci":{"":[{"type":"sigstoreSigned","keyPath":"%s"}]}}}' "$T/tmp/a.tar" "$T/good.pub" >p.json
    cp a.tar b.tar
    check_table <<ROWS
load -q --signature-policy p.json a.tar                                     | 0 | Loaded
load -q --signature-policy p.json -i ../tmp/a.tar                           | 0 | Loaded
load -q --signature-policy p.json b.tar                                     | 1 | it is to be rejected
load -q --signature-policy p.json $T/oci                                    | 1 | \`load\` reads no signatures
copy --signature-policy p.json docker-archive:b.tar oci:o:x                 | 1 | it is to be rejected
copy --signature-policy p.json oci:$T/oci:here oci:o:x                      | 1 | has no signature here
copy --signature-policy $T/policy.json docker://$REGISTRY/signed:1 oci:o:x  | 0 |
copy --signature-policy $T/policy.json docker://$REGISTRY/unsigned:1 oci:q:x | 1 | has no signature here
ROWS
    [[ ! -e q/index.json ]]
}

@test "signatures go along with --referrers, into the store too, and are good there" {
    "$HUSK" copy --referrers "docker://$REGISTRY/signed:1" store:"$REGISTRY/signed:1"
    run "$HUSK" image verify --key "$T/good.pub" "store:$REGISTRY/signed:1"
    expect 0
    "$HUSK" copy --referrers "store:$REGISTRY/signed:1" oci:o:"$REGISTRY/signed:1"
    run "$HUSK" image verify --key "$T/good.pub" "oci:o:$REGISTRY/signed:1"
    expect 0
    "$HUSK" copy --referrers "oci:o:$REGISTRY/signed:1" "docker://$REGISTRY/moved:1"
    run "$HUSK" image verify --key "$T/good.pub" --sign-identity "$REGISTRY/signed:1" "$REGISTRY/moved:1"
    expect 0
    # and made there
    "$HUSK" copy "oci:$T/oci:here" store:example.org/local:1
    "$HUSK" image sign --key "$T/good.key" store:example.org/local:1
    "$HUSK" image verify --key "$T/good.pub" store:example.org/local:1
    run "$HUSK" images
    expect 0 "!.sig"
}

@test "a GPG policy is refused with its cure when its rule is asked for, and not before" {
    printf '{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"%s/signed":
        [{"type":"signedBy","keyType":"GPGKeys","keyPath":"/nosuch"}]}}}' "$REGISTRY" >p.json
    run "$HUSK" pull --signature-policy p.json "$REGISTRY/signed:1"
    expect 1 'ask for "sigstoreSigned"'
    run "$HUSK" pull --signature-policy p.json "$REGISTRY/unsigned:1"
    expect 0
    printf '{"default":[{"type":"sigstoreSigned","keyPath":"/nosuch.pub"}]}' >q.json
    run "$HUSK" pull --signature-policy q.json "$REGISTRY/signed:1"
    expect 1 "/nosuch.pub"
    printf '{"default":[{"type":"sigstoreSigned","fulcio":{}}]}' >q.json
    run "$HUSK" pull --signature-policy q.json "$REGISTRY/signed:1"
    expect 1 "offline"
}

@test "husk's own policy in /etc wins over the containers' one, and the user's over both; artifacts are asked for, too" {
    # in a mount namespace of our own, with another /etc/husk and /etc/containers/policy.json
    local as=(unshare --mount --propagation private sh -c '
        mkdir etc-husk upper work && mount -t tmpfs none /etc/husk 2>/dev/null ||
            { mount -t overlay -o "lowerdir=/etc,upperdir=$PWD/upper,workdir=$PWD/work" none /etc && mkdir -p /etc/husk; }
        mkdir -p /etc/containers && touch /etc/containers/policy.json
        mount --bind "$1" /etc/containers/policy.json
        [ "$2" = none ] || cp "$2" /etc/husk/policy.json
        shift 2 && exec "$@"' sh)
    export HOME=$T/tmp XDG_CONFIG_HOME=''
    run "${as[@]}" "$T/policy-reject.json" none "$HUSK" pull -q "$REGISTRY/signed:1"
    expect 1 "'/etc/containers/policy.json'"
    rm -rf etc-husk upper work
    run "${as[@]}" "$T/policy-any.json" "$T/policy-reject.json" "$HUSK" pull -q "$REGISTRY/signed:1"
    expect 1 "'/etc/husk/policy.json'"
    rm -rf etc-husk upper work
    mkdir -p .config/containers
    cp "$T/policy.json" .config/containers/
    run "${as[@]}" "$T/policy-reject.json" "$T/policy-reject.json" "$HUSK" pull -q "$REGISTRY/signed:1"
    expect 0
    rm -rf .config
    echo note >note.txt
    "$HUSK" artifact add "$REGISTRY/art:1" note.txt
    "$HUSK" artifact push "$REGISTRY/art:1"
    "$HUSK" artifact rm "$REGISTRY/art:1"
    run "$HUSK" artifact pull --signature-policy "$T/policy.json" "$REGISTRY/art:1"
    expect 1 "has no signature here"
    "$HUSK" image sign --key "$T/good.key" "$REGISTRY/art:1"
    run "$HUSK" artifact pull --signature-policy "$T/policy.json" "$REGISTRY/art:1"
    expect 0
}

@test "an ordinary user pulls and runs what is signed, and nothing else" {
    as_user load_busybox
    as_user husk copy store:busybox "docker://$REGISTRY/user:1"
    "$HUSK" image sign --key "$T/good.key" "$REGISTRY/user:1"
    as_user husk pull -q --signature-policy "$T/policy.json" "$REGISTRY/user:1"
    run as_user husk run --rm --signature-policy "$T/policy.json" "$REGISTRY/user:1" true
    expect 0
    run as_user husk run --rm --signature-policy "$T/policy.json" "$REGISTRY/unsigned:1" true
    expect 125 "has no signature here"
}
