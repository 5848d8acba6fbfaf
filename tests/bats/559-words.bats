#!/usr/bin/env bats
# Small words of docker's and podman's that scripts lean on: exists, --latest, --exit-first-match, --platform, --all.
# shellcheck disable=SC2030,SC2031,SC2154 # bats sets these

load helpers

setup_file() { setup_both_stores; }
teardown() { remove_all_containers; }

exist() {
    $h create --name there --network none busybox true
    run $h container exists there
    expect 0 =
    run $h container exists missing
    expect 1 =
    run $h image exists busybox:latest
    expect 0 =
    run $h image exists missing
    expect 1 =
    run $h image exists ''
    expect 125 'it is empty'
    $h rm there
}
@test "exists: the status alone says whether there is a container or an image" { each_user exist; }

first_of() {
    local slow fast
    $h run -d --name slow --network none busybox sleep 1000
    $h run -d --name fast --rm --network none busybox sh -c 'while [ ! -e /go ]; do sleep 0.05; done; exit 7'
    $h wait --exit-first-match slow fast >"$T/tmp/first" 3>&- &
    $h exec fast touch /go
    wait $!
    [[ $(<"$T/tmp/first") == 7 ]]
    run $h wait --exit-first-match slow missing
    expect 1 "no such container: 'missing'"
    [[ ! $(pgrep -f 'wait --exit-first-match') ]]
    $h rm -f slow
}
@test "wait --exit-first-match ends with the first, whose status it prints" { each_user first_of; }

@test "mount and unmount know the newest, and print whole IDs when asked" {
    husk create --name older --network none busybox true
    local id
    id=$(husk create --network none busybox true)
    run husk mount --latest
    expect 0 "$id"
    run husk mount
    expect 0 "~^${id:0:12} +/"
    run husk container mount --no-trunc
    expect 0 "~^$id +/"
    run husk mount --latest older
    expect 125 "--latest takes no container's name"
    run husk container unmount --latest
    expect 0
    run husk mount
    expect 0 =
    run husk unmount
    expect 125 "needs one of CONTAINER..., --latest and --all"
}

all_volumes() {
    run $h volume inspect --all
    expect 0 '=[]'
    $h volume create one
    $h volume create two
    run $h volume inspect --all -f '{{.Name}}'
    expect 0 $'=one\ntwo'
    run $h volume inspect --all one
    expect 1 "needs one of VOLUME... and --all"
    run $h volume inspect
    expect 1 "needs one of VOLUME... and --all"
    $h volume rm --no-trash one two
}
@test "volume inspect --all shows every one" { each_user all_volumes; }

@test "inspect and history of one platform of an image that has several" {
    local v
    for v in 6 7; do
        printf 'FROM scratch\nCOPY f%s /\n' $v >"$T/tmp/Dockerfile"
        echo $v >"$T/tmp/f$v"
        husk build -q --platform linux/arm/v$v -t "localhost/arm:v$v" "$T/tmp"
    done
    husk manifest create localhost/arm:both localhost/arm:v6 localhost/arm:v7
    for v in 6 7; do
        run husk image inspect --platform linux/arm/v$v -f '{{.Architecture}} {{.Variant}}' localhost/arm:both
        expect 0 "=arm v$v"
        run husk history --platform linux/arm/v$v --format '{{.CreatedBy}}' localhost/arm:both
        expect 0 "COPY f$v"
    done
    run husk image inspect --platform linux/s390x localhost/arm:both
    expect 1 'linux/s390x'
    husk manifest rm localhost/arm:both
    husk rmi localhost/arm:v6 localhost/arm:v7
}

@test "system events is events" {
    husk create --name seen --network none busybox true
    run husk system events --stream=false --filter container=seen --format '{{.Action}}'
    expect 0 create
}

@test "inspect: a field of docker's that holds nothing is its zero, a misspelt one an error" {
    husk create --name plain --network none busybox true
    run husk inspect -f '{{.Config.Volumes}} {{.Config.Healthcheck}} {{.HostConfig.CpuRealtimePeriod}} {{.AppArmorProfile}}|{{if .State.Health}}sick{{end}}' plain
    expect 0 '=map[] <no value> 0 |'
    run husk image inspect -f '{{.Config.Entrypoint}} {{.Config.Labels}} {{len .Config.ExposedPorts}} {{.Config.User}}|{{.Variant}}' busybox
    expect 0 '=[] map[] 0 |'
    run husk image inspect -f '{{.Config.Entripoint}}' busybox
    expect 1 "there is no field 'Entripoint' in Config"
    run husk inspect plain
    expect 0 '!"Volumes": null'
}

# ---- pulls ----

@test "pull --policy and run --pull=newer: what is here does, where it is asked for or nobody can be" {
    start_registry
    husk tag busybox "$REGISTRY/bb:1"
    husk push -q "$REGISTRY/bb:1"
    husk rmi "$REGISTRY/bb:1"
    run husk pull --policy never "$REGISTRY/bb:1"
    expect 1 "no such image"
    run husk pull -q --policy missing "$REGISTRY/bb:1"
    expect 0 "=$REGISTRY/bb:1"
    run husk pull --policy missing --all-tags "$REGISTRY/bb"
    expect 1 "exclude each other"
    run husk pull -q --policy newer "$REGISTRY/bb:1"
    expect 0 "=$REGISTRY/bb:1"
    run husk pull --arch s390x --os linux "$REGISTRY/bb:1"
    expect 1 "linux/s390x"
    run husk pull --arch s390x --platform linux/amd64 "$REGISTRY/bb:1"
    expect 1 "exclude each other"
    stop_registry
    run husk pull --policy never "$REGISTRY/bb:1"
    expect 0 "=$REGISTRY/bb:1"
    run husk pull --policy missing "$REGISTRY/bb:1"
    expect 0 "=$REGISTRY/bb:1"
    run husk pull --policy newer "$REGISTRY/bb:1"
    expect 0 'Connection refused'
    run husk pull "$REGISTRY/bb:1"
    expect 1 'Connection refused'
    run husk run --rm --pull newer --network none "$REGISTRY/bb:1" echo ran
    expect 0 ran
    run husk run --rm --pull newer --network none "$REGISTRY/missing" true
    expect 125 'Connection refused'
    run husk run --rm --pull always --network none "$REGISTRY/bb:1" true
    expect 125 'Connection refused'
    husk rmi "$REGISTRY/bb:1"
}

@test "--retry waits for a registry that is not there yet; 0 gives up at once" {
    start_registry
    husk tag busybox "$REGISTRY/bb:2"
    husk push -q "$REGISTRY/bb:2"
    husk rmi "$REGISTRY/bb:2"
    stop_registry
    run husk pull --retry -1 "$REGISTRY/bb:2"
    expect 1 "--retry: -1 is not 0 to 1000"
    run husk pull --retry 3 --retry-delay 0 "$REGISTRY/bb:2"
    expect 1 "--retry-delay: from 1ms to 1h"
    run husk pull --retry 0 "$REGISTRY/bb:2"
    expect 1 'Connection refused'
    run husk pull --retry 2 --retry-delay 1ms "$REGISTRY/bb:2"
    expect 1 'Connection refused'
    husk pull -q --retry 1000 --retry-delay 20ms "$REGISTRY/bb:2" >"$T/tmp/pulled" 3>&- &
    local pull=$!
    husk run --rm --network none --retry 1000 --retry-delay 20ms "$REGISTRY/bb:2" echo ran >"$T/tmp/ran" 3>&- &
    local run=$!
    docker-registry serve "$T/registry/config.yml" >>"$T/registry/log" 2>&1 3>&- </dev/null &
    echo $! >"$T/registry/pid"
    wait $pull
    wait $run
    [[ $(<"$T/tmp/pulled") == "$REGISTRY/bb:2" && $(<"$T/tmp/ran") == ran ]]
    husk rmi "$REGISTRY/bb:2"
}

# ---- options before the command ----

@test "--root, --runroot, --conf and --log-level before a command reach what it starts" {
    cd "$T/tmp"
    unset HUSK_ROOT HUSK_RUN
    printf '[trash]\nkeep = "0"\n' >husk.conf
    local h=("$HUSK" --root here/root --runroot here/run --conf husk.conf)
    "${h[@]}" load -q -i "$IMAGES/busybox.tar"
    [[ -d here/root/blobs ]]
    run "${h[@]}" run --name one --network none busybox echo ran
    expect 0 ran
    [[ -d here/run ]]
    "${h[@]}" rm one
    run "${h[@]}" trash ls -q
    expect 0 =
    run "${h[@]}" -D images
    expect 0 busybox
    run "$HUSK" --root here/root --log-level debug run --rm --network none busybox true
    expect 0
    run "$HUSK" --root '' ps
    expect 125 'a path is empty'
    run "$HUSK" --log-level loud ps
    expect 125 'loud'
    run "$HUSK" --rot here ps
    expect 125 "did you mean '--root'?"
    run "$HUSK" -D
    expect 125 "which command?"
    run "$HUSK" help image inspect
    expect 0 'husk image inspect [OPTIONS] IMAGE'
    run "$HUSK" help pull
    expect 0 'husk pull [OPTIONS] IMAGE'
    run "$HUSK" -v
    expect 0 'husk version'
    rm -rf here
}

# ---- images of tars, artifacts ----

@test "import takes a tar from a URL; of a download that was cut off nothing is kept" {
    cat >"$T/tmp/serve.py" <<'P'
import http.server, sys
tar = open(sys.argv[1], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        whole = self.path == "/whole.tar"
        if not whole and self.path != "/cut.tar":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(tar)))
        self.end_headers()
        self.wfile.write(tar if whole else tar[:len(tar) // 2])
    def log_message(self, *words):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[2], "w").write(str(server.server_port))
server.serve_forever()
P
    python3 "$T/tmp/serve.py" "$IMAGES/rootfs.tar" "$T/tmp/port" >/dev/null 2>&1 3>&- &
    local server=$! url id
    wait_until 10 test -s "$T/tmp/port"
    url=http://127.0.0.1:$(<"$T/tmp/port")
    id=$(husk import -q --arch arm64 --variant v8 "$url/whole.tar" localhost/fetched:1)
    run husk image inspect -f '{{.Architecture}} {{.Id}}' localhost/fetched:1
    expect 0 "=arm64 $id"
    husk import "$url/whole.tar" localhost/fetched:2
    run husk run --rm --network none localhost/fetched:2 echo ran
    expect 0 ran
    run husk import "$url/cut.tar" localhost/fetched:3
    expect 1 "fetch '$url/cut.tar'"
    run husk import "$url/missing.tar" localhost/fetched:3
    expect 1 "fetch '$url/missing.tar': the server answers 404"
    run husk image exists localhost/fetched:3
    expect 1 =
    kill $server
    husk rmi localhost/fetched:1 localhost/fetched:2
    run husk import "$url/whole.tar" localhost/fetched:3
    expect 1 'Connection refused'
    run husk import ftp://x/y.tar
    expect 1 'import fetches http and https'
    run husk import --arch arm --platform linux/arm "$IMAGES/rootfs.tar"
    expect 1 'exclude each other'
    run husk system check
    expect 0 'no problems'
}

@test "artifacts: listed without a heading, removed all at once, looked into by a template" {
    echo a >"$T/tmp/a"
    local digest
    digest=$(husk artifact add localhost/art:1 "$T/tmp/a")
    husk artifact add localhost/art:2 "$T/tmp/a" >/dev/null
    run husk artifact ls --noheading --no-trunc
    expect 0 "${digest#sha256:}"
    [[ ${#lines[@]} == 2 ]]
    run husk artifact inspect -f '{{.Name}} {{.Digest}}' localhost/art:1
    expect 0 "=localhost/art:1 $digest"
    run husk artifact rm --ignore localhost/art:1 localhost/missing:1
    expect 0 "=$digest"
    run husk artifact rm localhost/missing:1
    expect 1 'missing'
    run husk artifact rm --all localhost/art:2
    expect 1 'needs one of NAME... and --all'
    run husk artifact rm --all
    expect 0 sha256:
    run husk artifact ls -n
    expect 0 =
    start_registry
    husk artifact add "$REGISTRY/art:3" "$T/tmp/a" >/dev/null
    run husk artifact push -q --digestfile "$T/tmp/digest" "$REGISTRY/art:3"
    expect 0 "$(<"$T/tmp/digest")"
    husk artifact rm --all
}

@test "images without a heading, and as a tree" {
    run husk images --noheading --format 'table {{.Repository}}\t{{.Tag}}' busybox
    expect 0 '~^busybox +latest$'
    [[ ${#lines[@]} == 1 ]]
    run husk images -n busybox
    expect 0 '!REPOSITORY'
    run husk images --tree busybox
    expect 0 "=$(husk image tree busybox)"
    run husk images --tree --quiet
    expect 1 '--tree goes with --no-trunc alone'
}

# ---- names of images ----

untagged() {
    local id
    id=$($h image inspect -f '{{.Id}}' busybox)
    $h tag busybox one:1
    $h tag busybox two:2
    run $h untag one:1 two:2 other:3
    expect 1 "'other:3' is no name of image 'one:1'"
    run $h untag one:1 two:2
    expect 0 '=Untagged: two:2'
    run $h image exists two:2
    expect 1 =
    run $h untag busybox
    expect 0 'Untagged: busybox:latest'
    output_has 'Untagged: one:1'
    run $h images -q --no-trunc
    expect 0 "=$id"
    run $h image untag missing
    expect 1 'no such image'
    run $h run --rm --network none "${id#sha256:}" echo ran
    expect 0 ran
    $h tag "${id#sha256:}" busybox
    run $h images --format '{{.Repository}}'
    expect 0 busybox
}
@test "untag takes names away and leaves the image" { each_user untagged; }

all_removed() {
    printf 'FROM scratch\nLABEL a=b\n' >"$T/tmp/Labelled"
    $h build -q -t label:1 -f - "$T/tmp" <"$T/tmp/Labelled"
    $h create --name uses --network none busybox true
    run $h rmi --all label:1
    expect 1 'needs one of IMAGE... and --all'
    run $h rmi
    expect 1 'needs one of IMAGE... and --all'
    run $h rmi --ignore missing
    expect 0 =
    run $h rmi --all
    expect 0 'Untagged: label:1'
    [[ $output != *busybox* && $($h images -q | wc -l) == 1 ]]
    $h rmi --all --force --no-trash
    [[ ! $($h images -q) ]]
    $h rm --no-trash uses
    load_again
}
load_again() { if [[ $h == root_husk ]]; then load_busybox; else as_user load_busybox; fi; }
@test "rmi --all removes what no container uses, with --force the rest" { each_user all_removed; }

@test "templates: podman's and docker's words of ps, images, stats, info" {
    local h pid
    for h in husk user_husk; do
        $h run -d --name spaces --network none busybox sleep 1000 >/dev/null
        pid=$($h ps --filter name=spaces --format '{{.Pid}}')
        [[ $($h ps --format '{{.MNT}} {{.Namespaces.MNT}} {{.NET}} {{.Namespaces.NET}} {{.USERNS}} {{.Namespaces.User}}' --filter name=spaces) == \
            "$(for n in mnt net user; do readlink "/proc/$pid/ns/$n" | tr -dc '0-9\n' | sed 'p'; done | paste -sd' ')" ]]
        [[ $($h ps --format '{{json .}}' --filter name=spaces) != *Namespaces* ]]
        [[ $($h images --format '{{.ConfigDigest}}' busybox) == "$($h image inspect --format '{{.Id}}' busybox)" ]]
        (($($h stats --no-stream --format '{{.Duration}}' spaces) > 0))
        run $h info --format '{{.Host.DatabaseBackend}} {{.Host.IDMappings.UIDMap}} {{printf "%.0f" .Host.CPUUtilization.IdlePercent}} {{.Store.GraphRootAllocated}} {{.FirewallBackend.Driver}}'
        expect 0 "sqlite [map["
        [[ $output =~ \ [0-9]+\ [0-9]{6,}\ nftables$ ]]
        $h rm -f spaces >/dev/null
        [[ $($h images --format '{{html "<b>"}} {{js "it'"'"'s"}} {{urlquery "a b&c"}}' busybox) == "&lt;b&gt; it\\'s a+b%26c" ]]
    done
}
