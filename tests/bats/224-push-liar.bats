#!/usr/bin/env bats
# husk push to a registry that breaks off, refuses and lies; see UPLOAD_LIES in lying-registry.py.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" big=gzip:big
    start_liar "$T/oci"
    "$HUSK" pull -q "localhost:${LIAR#*:}/honest" # another registry by its name: nothing is mounted from there
    "$HUSK" tag "localhost:${LIAR#*:}/honest" big
}

log_of() { grep " /v2/$1[/?]" "$T/liar/log"; }
pushed() { [[ $(sha256sum <"$T/liar/pushed/$1/latest") == "$(digest_here)  -" ]]; }
digest_here() { jq -r '.manifests[0].digest' "$HUSK_ROOT/index.json" | sed 's/sha256://'; }

@test "one request for each blob, and the manifest as it is" {
    run "$HUSK" push -q big "$LIAR/up-honest"
    expect 0 "=$LIAR/up-honest:latest"
    pushed up-honest
    [[ $(log_of up-honest | grep -c ' PUT .*uploads/') == 2 && $(log_of up-honest | grep -c ' PATCH ') == 0 ]]
}

@test "a connection that breaks: the upload goes on where it was" {
    run "$HUSK" push -q big "$LIAR/up-cut"
    expect 0
    pushed up-cut
    log_of up-cut | grep -q ' PATCH '
    [[ $(log_of up-cut | grep -c ' POST .*uploads/') == 2 ]] # one for each blob: none was begun anew
}

@test "an upload that is gone: all of it is sent again" {
    run "$HUSK" push -q big "$LIAR/up-cut-gone"
    expect 0
    pushed up-cut-gone
    (($(log_of up-cut-gone | grep -c ' POST .*uploads/') > 2))
}

@test "413: pieces of half the size, until they are taken" {
    run "$HUSK" push -q big "$LIAR/up-413"
    expect 0
    pushed up-413
    (($(log_of up-413 | grep -c ' PATCH ') >= 4))
}

@test "busy, a token that has run out, a session that has ended, an upload elsewhere: it goes on" {
    local lie
    for lie in up-busy up-expired up-session-gone up-elsewhere up-redirect; do
        run "$HUSK" push -q big "$LIAR/$lie"
        expect 0 "$LIAR/$lie:latest"
        pushed "$lie"
    done
}

@test "a token for a mount is good for both repositories, and a refused mount is an upload" {
    "$HUSK" tag big "$LIAR/other/team:1"
    run "$HUSK" push -q big "$LIAR/up-honest:mounted"
    expect 0
    grep -q 'GET /token/up?scope=repository%3Aup-honest%3Apull%2Cpush&scope=repository%3Aother%2Fteam%3Apull ' "$T/liar/log"
    "$HUSK" rmi "$LIAR/other/team:1"
}

@test "credentials go to no other host" {
    run "$HUSK" push -q --creds u:p big "$LIAR/up-elsewhere:creds"
    expect 0
    grep -q '^other PUT /v2/up-elsewhere/' "$T/liar/log"
    run grep '^other .*authorization=[^-]' "$T/liar/log"
    expect 1
}

@test "what a liar answers leads to one clear sentence and to no name" {
    local lie words wrong=0 rows=0
    while IFS='|' read -r lie words; do
        lie=${lie// /} words=${words# }
        [[ $lie ]] || continue
        rows=$((rows + 1))
        run "$HUSK" push --timeout 2s big "$LIAR/$lie"
        if [[ $status != 1 || $(grep -c '^husk push: ' <<<"$output") != 1 || $output != *"$words"* ]]; then
            wrong=$((wrong + 1))
            echo "$lie: status $status, expected '$words': $output"
        fi
    done <<'EOF2'
up-413-always       | takes no blob of this size
up-busy-long        | there were too many requests: slow down; 0 of 100 requests in 6 h are left; it asks to wait for 7200 s
up-digest           | what was sent is not sha256:
up-no-location      | does not say where to send the blob
up-file             | 'file:///etc/passwd', which is no http URL
up-range            | says that it has other bytes than it was sent
up-endless          | the answer is longer than 1048576 bytes
up-readonly         | does not allow this: read only
up-denied           | forbids it: requested access to the resource is denied
up-unauthorized     | needs credentials for a push to 'up-unauthorized' ('husk login 127.0.0.1:
up-manifest-unknown | blob unknown to registry
up-manifest-refused | refuses the manifest (MANIFEST_INVALID)
up-manifest-digest  | and says that it has sha256:1111
unknown             | repository name not known to registry
EOF2
    [[ $rows == 14 && $wrong == 0 ]]
    run "$HUSK" push --creds u:p big "$LIAR/up-unauthorized"
    expect 1 "refuses the credentials, or does not let them push to 'up-unauthorized': authentication required"
    [[ ! -s $T/liar/out ]]
}
