#!/usr/bin/env bats
# Documents that lie, in a layout: for load and for copy, into the store and past it. What a registry lies is in 200.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    python3 "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" here=gzip:a
    # One layout for each lie.
    python3 - "$T/oci" "$T" <<'PY'
import hashlib, json, os, shutil, sys
source, out = sys.argv[1:]
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
top = json.load(open(source + "/index.json"))["manifests"][0]
def read(digest):
    return json.load(open(source + "/blobs/sha256/" + digest[7:]))
class Lie:
    def __init__(self, name):
        self.dir = out + "/lie-" + name
        shutil.copytree(source, self.dir)
    def put(self, doc, kind):
        data = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        digest = hashlib.sha256(data).hexdigest()
        open(self.dir + "/blobs/sha256/" + digest, "wb").write(data)
        return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}
    def done(self, d):
        d = dict(d, annotations={"org.opencontainers.image.ref.name": "example.org/x:1"})
        json.dump({"schemaVersion": 2, "manifests": [d]}, open(self.dir + "/index.json", "w"))
image = {k: top[k] for k in ("mediaType", "digest", "size")}
where = {"platform": {"os": "linux", "architecture": read(read(top["digest"])["config"]["digest"])["architecture"]}}
lie = Lie("deep")
d = image
for _ in range(12):
    d = lie.put({"schemaVersion": 2, "mediaType": INDEX, "manifests": [dict(d, **where)]}, INDEX)
lie.done(d)
lie = Lie("itself") # its own digest cannot be in it; a file says it is
d = lie.put({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, INDEX)
data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [dict(d, **where)]}).encode()
open(lie.dir + "/blobs/sha256/" + d["digest"][7:], "wb").write(data)
lie.done(dict(d, size=len(data)))
def config_lie(name, change):
    lie = Lie(name)
    m = read(top["digest"])
    config = read(m["config"]["digest"])
    change(config)
    m["config"] = lie.put(config, m["config"]["mediaType"])
    lie.done(lie.put(m, MANIFEST))
config_lie("no-rootfs", lambda c: c.pop("rootfs"))
config_lie("no-diff-ids", lambda c: c["rootfs"].pop("diff_ids"))
config_lie("more-diff-ids", lambda c: c["rootfs"]["diff_ids"].append("sha256:" + "0" * 64))
config_lie("other-diff-id", lambda c: c["rootfs"].update(diff_ids=["sha256:" + "0" * 64]))
config_lie("path-diff-id", lambda c: c["rootfs"].update(diff_ids=["sha256:../../../../etc/passwd"]))
def manifest_lie(name, change):
    lie = Lie(name)
    m = read(top["digest"])
    change(m)
    lie.done(lie.put(m, MANIFEST))
manifest_lie("both", lambda m: m.update(manifests=[]))
manifest_lie("index-type", lambda m: m.update(mediaType=INDEX))
manifest_lie("other-type", lambda m: m.update(mediaType="text/html"))
manifest_lie("negative", lambda m: m["layers"][0].update(size=-1))
manifest_lie("path", lambda m: m["layers"][0].update(digest="sha256:../../../../../etc/passwd"))
manifest_lie("schema", lambda m: m.update(schemaVersion=3))
lie = Lie("garbage")
lie.done(lie.put(b"{" * 1000, MANIFEST))
lie = Lie("nul")
lie.done(lie.put(b'{"schemaVersion":2,"x":"\\u0000"}', MANIFEST))
PY
    chmod -R a+rX "$T"/lie-*
}
setup() {
    husk_setup
    export HUSK_ROOT=$T/tmp/store
}
teardown() { find "$T/tmp" -mindepth 1 -delete; }

@test "documents that lie: load and copy say one sentence, name nothing and leave nothing" {
    local lie wrong=0 n=0
    for lie in "$T"/lie-*; do
        n=$((n + 1))
        run timeout 60 "$HUSK" load -q "$lie"
        if [[ $status != 1 || ${#lines[@]} != 1 || $(names) || $(ls "$HUSK_ROOT/layers" 2>/dev/null) ]] || ! store_is_sound "$HUSK_ROOT"; then
            echo "load ${lie##*/}: $status: $output"
            wrong=$((wrong + 1))
        fi
        rm -rf "$HUSK_ROOT"
        run timeout 60 "$HUSK" copy -q "oci:$lie:example.org/x:1" store:example.org/x:1
        if [[ $status != 1 || ${#lines[@]} != 1 || $(names) || $(ls "$HUSK_ROOT/layers" 2>/dev/null) ]] || ! store_is_sound "$HUSK_ROOT"; then
            echo "copy ${lie##*/}: $status: $output"
            wrong=$((wrong + 1))
        fi
        rm -rf "$HUSK_ROOT"
    done
    [[ $n == 15 && $wrong == 0 ]]
}
