#!/usr/bin/env bats
# build: a cache that is given to others and taken from others, as root and as an ordinary user.
# shellcheck disable=SC2016,SC2154 # dollars for the container's shell; bats sets the variables

load helpers
load build-share

layers() { jq '.layers | length' "$1/blobs/sha256/$(jq -r '.manifests[0].digest | sub("sha256:";"")' "$1/index.json")"; }

@test "build --cache-to local: another store does nothing again, with all stages, and its image is the same" {
    local h id
    for h in $WHO; do
        id=$("$h" build -q -t share:1 --cache-to "type=local,dest=$T/out/$h,mode=max" "$T/c")
        forget "$h"
        run "$h" build --progress plain -t share:1 --cache-from "type=local,src=$T/out/$h" "$T/c"
        expect 0 "$id"
        [[ $(done_steps) == 0 ]]
        # of the target's stage alone
        forget "$h"
        "$h" build -q -t share:1 --cache-to "type=local,dest=$T/out/$h.min" "$T/c"
        [[ $(layers "$T/out/$h") == 4 && $(layers "$T/out/$h.min") == 3 ]]
        "$h" system check
        [[ $("$h" images) != *husk-build-cache* ]]
    done
}

@test "build --cache-to registry and inline: given to a registry, and taken from there" {
    local h id
    start_registry
    for h in $WHO; do
        forget "$h"
        id=$("$h" build -q -t share:1 --cache-to "type=registry,ref=$REGISTRY/cache/$h:1,mode=max" "$T/c")
        forget "$h"
        run "$h" build --progress plain -t share:1 --cache-from "$REGISTRY/cache/$h:1" "$T/c"
        expect 0 "$id"
        [[ $(done_steps) == 0 ]]
        forget "$h"
        id=$("$h" build -q --push -t "$REGISTRY/inline/$h:1" --cache-to type=inline -f - "$T/c" <<<$'FROM busybox\nRUN --network=none cat /proc/sys/kernel/random/uuid >/here\nENV A=1')
        "$h" rmi -f "$REGISTRY/inline/$h:1"
        forget "$h"
        run "$h" build --progress plain --cache-to type=inline --cache-from "type=registry,ref=$REGISTRY/inline/$h:1" -f - "$T/c" <<<$'FROM busybox\nRUN --network=none cat /proc/sys/kernel/random/uuid >/here\nENV A=1'
        expect 0 "$id"
        [[ $(done_steps) == 0 ]]
        # what is not there is told, and the build goes on
        run "$h" build --progress plain --cache-from "$REGISTRY/cache/nosuch:1" "$T/c"
        expect 0 "warning: --cache-from $REGISTRY/cache/nosuch:1: nothing is taken from there"
        run "$h" build -q --cache-to type=registry,ref=127.0.0.1:1/x:1 "$T/c"
        [[ $status -ne 0 ]]
        "$h" build -q --cache-to type=registry,ref=127.0.0.1:1/x:1,ignore-error=true "$T/c"
        "$h" system check
    done
}

@test "build --cache-from: records of others count only with their layers, and words that are wrong are told" {
    local dir=$T/out/broken config blob
    forget husk
    husk build -q --cache-to "type=local,dest=$dir,mode=max" "$T/c"
    forget husk
    blob=$(jq -r '.manifests[0].digest | sub("sha256:";"")' "$dir/index.json")
    config=$(jq -r '.config.digest | sub("sha256:";"")' "$dir/blobs/sha256/$blob")
    jq -e '."husk.build.cache" | length == 4' "$dir/blobs/sha256/$config"
    # a record that names a layer of somebody else's
    jq -c '."husk.build.cache"[].diffId |= "sha256:" + ("0" * 64)' "$dir/blobs/sha256/$config" >"$T/tmp/config"
    python3 - "$dir" "$blob" "$T/tmp/config" <<'P'
import sys, json, hashlib
d, blob, config = sys.argv[1:]
text = open(config, 'rb').read()
h = hashlib.sha256(text).hexdigest()
open(f'{d}/blobs/sha256/{h}', 'wb').write(text)
m = json.load(open(f'{d}/blobs/sha256/{blob}'))
m['config'].update(digest='sha256:' + h, size=len(text))
text = json.dumps(m).encode()
h = hashlib.sha256(text).hexdigest()
open(f'{d}/blobs/sha256/{h}', 'wb').write(text)
i = json.load(open(f'{d}/index.json'))
i['manifests'][0].update(digest='sha256:' + h, size=len(text))
json.dump(i, open(f'{d}/index.json', 'w'))
P
    run husk build --progress plain --cache-from "type=local,src=$dir" "$T/c"
    expect 0 '!CACHED'
    check_table husk build -q "$T/c" <<'ROWS'
--cache-from type=gha | 1 | unknown type 'gha': expected registry, local or inline
--cache-from type=local | 1 | expected type=registry,ref=IMAGE or type=local,src=DIRECTORY
--cache-to type=local,mode=some | 1 | expected min or max
--cache-to type=registry,ref=x,what=1 | 1 | unknown key 'what'
--cache-from type=inline | 1 | is taken with type=registry,ref=IMAGE
--cache-to type=registry,ref=x,compression=gzip | 1 | husk's cache is compression=zstd
ROWS
}
