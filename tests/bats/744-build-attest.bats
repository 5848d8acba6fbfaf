#!/usr/bin/env bats
# build: what is said about an image beside it, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the variables

load helpers

setup_file() {
    setup_both_stores
    mkdir -m 755 "$T/c"
    mkdir -m 777 "$T/out"
    mkdir -p "$T/c/dpkg" "$T/c/apk"
    printf 'ID=debian\nVERSION_ID=12\n' >"$T/c/os-release"
    printf 'Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u4\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n' >"$T/c/dpkg/status"
    printf 'P:musl\nV:1.2.5-r0\nA:x86_64\n\n' >"$T/c/apk/installed"
    cat >"$T/c/Dockerfile" <<'D'
FROM busybox
ARG COLOUR
COPY dpkg/status /var/lib/dpkg/status
COPY apk/installed /lib/apk/db/installed
COPY os-release /etc/os-release
D
}

WHO="husk user_husk"
D= # a layout on disk
blob() { cat "$D/blobs/${1/://}"; }
# The statement of a type in the layout at $D, whose index is an image's.
statement() {
    local top manifest
    top=$(jq -r '.manifests[0].digest' "$D/index.json")
    manifest=$(blob "$top" | jq -r '[.manifests[] | select(.annotations."vnd.docker.reference.type" == "attestation-manifest")][0].digest')
    blob "$(blob "$manifest" | jq -r --arg t "$1" '.layers[] | select(.annotations."in-toto.io/predicate-type" == $t).digest')"
}

@test "build --sbom: packages of an RPM database, and a broken one is told" {
    local d
    mkdir -m 755 "$T/rpm"
    "$HUSK_TOP/tests/bats/make-rpmdb.py" "$T/rpm/rpmdb.sqlite" bash,,5.2.15,3.fc38,x86_64 shadow-utils,2,4.13,6.fc38,x86_64 gpg-pubkey,,1,2,x \
        tzdata,,2023c,1.fc38,noarch
    printf 'ID=fedora\n' >"$T/rpm/os-release"
    printf 'FROM scratch\nCOPY os-release /etc/\nCOPY rpmdb.sqlite /usr/lib/sysimage/rpm/\nCOPY os-release /var/lib/rpm/Packages\n' >"$T/rpm/Rpm"
    run husk build -t rpm:1 --sbom -f "$T/rpm/Rpm" -o "type=oci,dest=$T/tmp/rpm.tar" "$T/rpm"
    expect 0 "of an old form"
    mkdir "$T/tmp/rpm"
    tar -xf "$T/tmp/rpm.tar" -C "$T/tmp/rpm"
    d=$(grep -l SPDX-2.3 "$T"/tmp/rpm/blobs/sha256/*)
    [[ $(jq -r '.predicate.packages[] | .versionInfo + " " + .externalRefs[0].referenceLocator' "$d") == \
'5.2.15-3.fc38 pkg:rpm/fedora/bash@5.2.15-3.fc38?arch=x86_64
2:4.13-6.fc38 pkg:rpm/fedora/shadow-utils@4.13-6.fc38?arch=x86_64&epoch=2
2023c-1.fc38 pkg:rpm/fedora/tzdata@2023c-1.fc38?arch=noarch' ]]
    head -c 3000 "$T/rpm/rpmdb.sqlite" >"$T/rpm/cut" && mv "$T/rpm/cut" "$T/rpm/rpmdb.sqlite"
    run husk build -t rpm:1 --sbom -f "$T/rpm/Rpm" "$T/rpm"
    expect 1 "--sbom" "/usr/lib/sysimage/rpm/rpmdb.sqlite" "the RPM database: "
}

@test "build --provenance, --sbom: an index has the image and statements about it, the same each time" {
    local h id image
    for h in $WHO; do
        D=$T/out/$h
        id=$("$h" build -q -t att:1 --provenance=mode=max --sbom --build-arg COLOUR=blue --metadata-file "$D.json" "$T/c")
        [[ $("$h" inspect --type image -f '{{.Id}}' att:1) == "$id" && $("$h" run --rm --network none att:1 cat /lib/apk/db/installed) == *musl* ]]
        "$h" copy -q --all store:att:1 "oci:$D:x"
        [[ $(jq -r '.manifests[0].digest' "$D/index.json") == "$(jq -r '."containerimage.digest"' "$D.json")" ]]
        image=$(blob "$(jq -r '.manifests[0].digest' "$D/index.json")" | jq -r '.manifests[0].digest')
        [[ $(blob "$(jq -r '.manifests[0].digest' "$D/index.json")" | jq -r '.manifests[1] | .annotations."vnd.docker.reference.digest", .platform.os') == "$image"$'\nunknown' ]]
        statement https://slsa.dev/provenance/v0.2 >"$T/tmp/p"
        jq -e --arg d "${image#sha256:}" '.subject[0].digest.sha256 == $d and .subject[0].name == "pkg:docker/att@1?platform=linux%2Famd64"' "$T/tmp/p"
        jq -e '.predicate.materials[0].uri == "pkg:docker/busybox@latest?platform=linux%2Famd64" and .predicate.invocation.parameters.args."build-arg:COLOUR" == "blue"' "$T/tmp/p"
        statement https://spdx.dev/Document >"$T/tmp/s"
        [[ $(jq -r '.predicate.packages[].externalRefs[0].referenceLocator' "$T/tmp/s") == $'pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64\npkg:apk/debian/musl@1.2.5-r0?arch=x86_64' ]]
        jq -e '.predicate.spdxVersion == "SPDX-2.3" and (.predicate.relationships | length) == 2' "$T/tmp/s"
        # again, in another form, with the same bytes
        "$h" build -q --no-cache -t att:1 --attest type=provenance,mode=max --attest type=sbom --build-arg COLOUR=blue --metadata-file "$D.again.json" "$T/c"
        [[ $(jq -r '."containerimage.digest"' "$D.json") == "$(jq -r '."containerimage.digest"' "$D.again.json")" ]]
        # less of it
        rm -rf "$D"
        "$h" build -q -t att:2 --provenance --sbom=cyclonedx --build-arg COLOUR=blue -o "type=oci,dest=$D.tar" "$T/c"
        mkdir "$D"
        tar -C "$D" -xf "$D.tar"
        statement https://slsa.dev/provenance/v0.2 | jq -e '.predicate.invocation.parameters.args == {}'
        statement https://cyclonedx.org/bom | jq -e '.predicate.bomFormat == "CycloneDX" and .predicate.components[0].name == "libc6"'
        "$h" system check
    done
    store_is_sound "$HUSK_ROOT"
}

@test "build --provenance: several platforms have a statement each, and a registry gets all of it" {
    start_registry
    printf 'FROM scratch\nCOPY os-release /x\n' >"$T/c/Scratch"
    husk build -q --push --provenance --platform linux/amd64,linux/arm64 -t "$REGISTRY/att:1" -f "$T/c/Scratch" "$T/c"
    [[ $(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/att:1" | jq -r '.manifests[].platform.architecture' | xargs) == "amd64 arm64 unknown unknown" ]]
    husk rmi -f "$REGISTRY/att:1"
    husk pull -q "$REGISTRY/att:1"
    husk build -q -f - "$T/c" <<<"FROM $REGISTRY/att:1"
    check_table husk build -q "$T/c" <<'ROWS'
--provenance=mode=some | 1 | expected true, false, mode=min or mode=max
--sbom=generator=x | 1 | runs no generator
--attest type=what | 1 | expected type=sbom or type=provenance
ROWS
}

@test "build --provenance: names the commit of a context that is a git checkout, and says when it was changed since" {
    local h git=(git -c user.name=t -c user.email=t@example.org) vcs commit
    vcs='.predicate.metadata."https://mobyproject.org/buildkit@v1#metadata".vcs'
    for h in $WHO; do
        rm -rf "$T/out/repo"
        cp -r "$T/c" "$T/out/repo"
        "${git[@]}" -C "$T/out/repo" init -q
        "${git[@]}" -C "$T/out/repo" add .
        "${git[@]}" -C "$T/out/repo" commit -qm first
        commit=$("${git[@]}" -C "$T/out/repo" rev-parse HEAD)
        [[ $h != user_husk ]] || chown -R "$HUSK_USER" "$T/out/repo"
        provenance_of() { # CONTEXT
            D=$T/out/vcs-$h
            rm -rf "$D" "$D.tar"
            mkdir "$D"
            "$h" build -q --provenance=mode=min -o "type=oci,dest=$D.tar" "$1" >/dev/null
            tar xf "$D.tar" -C "$D"
            statement https://slsa.dev/provenance/v0.2
        }
        provenance_of "$T/out/repo" | jq -e --arg c "$commit" "$vcs == {revision: \$c}"
        "${git[@]}" -c safe.directory='*' -C "$T/out/repo" config remote.origin.url https://user:secret@example.org/a/b.git
        echo more >>"$T/out/repo/os-release"
        provenance_of "$T/out/repo" | jq -e --arg c "$commit-dirty" "$vcs == {revision: \$c, source: \"https://example.org/a/b.git\"}"
        provenance_of "$T/c" | jq -e "$vcs == null"
    done
}
