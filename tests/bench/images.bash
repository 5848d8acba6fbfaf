# images.bash: the cases of tests/bench/run that are about images. Sourced by it.
# shellcheck shell=bash disable=SC2154
#
# All stores are on one new ext4 in memory (a loop device over a file of /dev/shm), so that neither the disk nor what
# other file systems have deleted lately is measured. The registry is Debian's, on the loopback device. The layer is
# about 600 MB and 16,000 files of this machine ($HUSK_BENCH_FILES of them), packed by gzip -6. Of engines with a daemon the daemon's CPU counts.

# Once: the disk, the data, the registry, the daemons. images_begin
images_begin() {
    [[ ! ${disk-} ]] || return 0
    command -v docker-registry >/dev/null || { echo "images: docker-registry is not installed"; return 1; }
    gcc -std=gnu17 -D_GNU_SOURCE -O2 -o "$out/image_floor" tests/bench/image_floor.c -lisal -lcrypto
    disk=$tmp/disk
    mkdir "$disk"
    truncate -s 14G "$run/disk"
    mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$run/disk"
    mount -o loop "$run/disk" "$disk"
    in_peer_ns mount "$(findmnt -no SOURCE "$disk")" "$disk" # the same file system, in a namespace that was made before it
    mkdir "$disk/x" "$disk/data"
    # skopeo and podman remember which registry has which blob, here and on later days: that would be no cold push
    mkdir -p /var/lib/containers/cache
    in_peer_ns mount -t tmpfs none /var/lib/containers/cache
    images_data
    images_registry
    daemons_begin images "$disk"
    cat >"$tmp/after" <<END
#!/bin/bash
# what a case needs gone, or back, before the next run: \$1 is who has just run
[[ ! -e "$tmp/after.\$1" ]] || . "$tmp/after.\$1" >/dev/null 2>&1
rm -rf --one-file-system "$disk/x" && mkdir "$disk/x"
END
    chmod +x "$tmp/after"
}

images_end() { # from the trap
    [[ ${disk-} ]] || return 0
    in_peer_ns sh -c "umount $disk/*/overlay; umount $disk" 2>/dev/null
    umount "$disk"
}

# One gzip layer, and the same files as eight.
images_data() {
    local -a dirs=(usr/include usr/lib/python3 usr/lib/python3.11 usr/lib/gcc usr/share/perl usr/share/zoneinfo usr/share/doc
        usr/lib/llvm-14/lib/clang)
    local big=/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1 i
    (cd / && find "${dirs[@]}" -type f -size -8M 2>/dev/null | LC_ALL=C sort | head -n "${HUSK_BENCH_FILES:-16000}") >"$tmp/files"
    find -L "$big" /usr/lib/x86_64-linux-gnu -maxdepth 1 -type f -size +8M 2>/dev/null | sed 's|^/||' | LC_ALL=C sort -u |
        head -n $(((${HUSK_BENCH_FILES:-16000} + 650) / 1300)) >>"$tmp/files"
    tar -C / -cf "$disk/data/layer.tar" --dereference --no-recursion -T "$tmp/files" 2>/dev/null || true
    gzip -6 -k "$disk/data/layer.tar"
    echo "the layer: $(($(stat -c %s "$disk/data/layer.tar") >> 20)) MiB, $(($(stat -c %s "$disk/data/layer.tar.gz") >> 20)) packed, $(wc -l <"$tmp/files") files"
    HUSK_ROOT=$disk/seed "$husk" import "$disk/data/layer.tar.gz" big:1 >/dev/null
    mkdir -p "$disk/data/eight/blobs/sha256"
    for i in 0 1 2 3 4 5 6 7; do # files by turns, so that all are of one size
        awk -v i=$i 'NR % 8 == i' "$tmp/files" >"$tmp/files.$i"
        tar -C / -cf "$disk/data/$i.tar" --dereference --no-recursion -T "$tmp/files.$i" 2>/dev/null || true
        gzip -6 -k "$disk/data/$i.tar"
    done
    python3 - "$disk/data" <<'END'
import hashlib, json, os, sys
data = sys.argv[1]
def digest(path):
    with open(path, "rb") as f:
        return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()
def blob(text):
    name = hashlib.sha256(text).hexdigest()
    open(f"{data}/eight/blobs/sha256/{name}", "wb").write(text)
    return {"digest": "sha256:" + name, "size": len(text)}
layers, ids = [], []
for i in range(8):
    d = digest(f"{data}/{i}.tar.gz")
    ids.append(digest(f"{data}/{i}.tar"))
    layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": d,
                   "size": os.path.getsize(f"{data}/{i}.tar.gz")})
    os.rename(f"{data}/{i}.tar.gz", f"{data}/eight/blobs/sha256/{d[7:]}")
    os.unlink(f"{data}/{i}.tar")
config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                          "rootfs": {"type": "layers", "diff_ids": ids}}).encode())
config["mediaType"] = "application/vnd.oci.image.config.v1+json"
manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                            "config": config, "layers": layers}).encode())
manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
open(f"{data}/eight/index.json", "w").write(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
open(f"{data}/eight/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
END
}

images_registry() {
    local port=$((20000 + RANDOM % 30000)) i
    registry=127.0.0.1:$port
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: "%s/registry"}}\nhttp: {addr: "%s"}\n' \
        "$disk" "$registry" >"$tmp/registry.yml"
    OTEL_TRACES_EXPORTER=none docker-registry serve "$tmp/registry.yml" >/dev/null 2>&1 &
    pids+=($!)
    for ((i = 0; i < 200; i++)); do
        ! (exec 8<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
        sleep 0.05
    done
    skopeo copy --quiet --insecure-policy --dest-tls-verify=false "oci:$disk/seed:docker.io/library/big:1" "docker://$registry/b/big:1"
    skopeo copy --quiet --insecure-policy --dest-tls-verify=false "oci:$disk/data/eight:latest" "docker://$registry/b/eight:1"
}

fresh_husk="env HUSK_ROOT=$tmp/disk/x/%I $husk"
# podman_at ROOT: podman with a store of its own
podman_at() { echo "podman --root $1 --runroot $run/podman-x --tmpdir $run/podman-x-tmp --storage-driver overlay"; }

# image_compare CASE TITLE ROUNDS COMMANDS...
image_compare() {
    local name=$1 title=$2 saved=$rounds
    rounds=$((rounds > $3 ? $3 : rounds))
    shift 3
    compare "$name" "$title" -w 1 -e "$tmp/after" "$@"
    rounds=$saved
    rm -f "$tmp"/after.*
}

cold_pulls() { # NAME; sets commands and what makes daemons forget
    local image=$registry/b/$1:1
    commands=("husk" "$fresh_husk pull --quiet $image")
    ! has podman || commands+=("podman@$peer_ns" "$(podman_at "$disk/x/%I") pull --quiet --signature-policy $tmp/policy.json --tls-verify=false $image")
    ! has podman || echo "nsenter --mount=$peer_ns sh -c 'umount $disk/x/*/overlay'" >"$tmp/after.podman"
    ! has skopeo || commands+=("skopeo to podman's store@$peer_ns" "skopeo copy --quiet --policy $tmp/policy.json --src-tls-verify=false docker://$image containers-storage:[overlay@$disk/x/%I+$run/skopeo]x:1")
    ! has skopeo || echo "nsenter --mount=$peer_ns sh -c 'umount $disk/x/*/overlay'" >"$tmp/after.skopeo to podman's store"
    if [[ $containerd_pid ]]; then
        commands+=("containerd+$containerd_pid" "${ctr_cli[*]} images pull --plain-http $image")
        echo "${ctr_cli[*]} images rm --sync $image" >"$tmp/after.containerd"
    fi
    if [[ $dockerd_pid ]]; then
        commands+=("docker+$dockerd_pid" "${docker_cli[*]} pull --quiet $image")
        echo "${docker_cli[*]} rmi $image" >"$tmp/after.docker"
    fi
}

case_pull() {
    local -a commands
    images_begin || return 0
    cold_pulls big
    commands+=("ISA-L, SHA-256, files (floor)" "$out/image_floor $disk/data/layer.tar.gz $disk/x/%I")
    image_compare pull "cold pull of one gzip layer from a registry on the loopback device" 5 "${commands[@]}"
}

case_pull8() {
    local -a commands
    images_begin || return 0
    cold_pulls eight
    image_compare pull8 "cold pull of eight gzip layers" 5 "${commands[@]}"
}

case_present() {
    local -a commands
    local image
    images_begin || return 0
    image=$registry/b/big:1
    HUSK_ROOT=$disk/kept "$husk" pull --quiet "$image" >/dev/null
    commands=("husk" "env HUSK_ROOT=$disk/kept $husk pull --quiet $image")
    if has podman; then
        in_peer_ns env $(podman_at "$disk/podman-kept") pull --quiet --signature-policy "$tmp/policy.json" --tls-verify=false "$image" >/dev/null
        commands+=("podman@$peer_ns" "$(podman_at "$disk/podman-kept") pull --quiet --signature-policy $tmp/policy.json --tls-verify=false $image")
    fi
    if [[ $dockerd_pid ]]; then
        "${docker_cli[@]}" pull --quiet "$image" >/dev/null
        commands+=("docker+$dockerd_pid" "${docker_cli[*]} pull --quiet $image")
    fi
    compare present "pull of an image that is there" "${commands[@]}"
}

# 500 images of husk's, each with a config of its own; podman's and docker's are 500 names of one.
case_images() {
    local -a commands names=()
    local i
    images_begin || return 0
    python3 tests/bench/many-images "$disk/data/many" "$tmp/images/oci"
    HUSK_ROOT=$disk/many "$husk" load --quiet --input "$disk/data/many" >/dev/null
    commands=("husk images" "env HUSK_ROOT=$disk/many $husk images" "husk images -q" "env HUSK_ROOT=$disk/many $husk images -q")
    for ((i = 0; i < 500; i++)); do names+=("localhost/many:$i"); done
    if has podman; then
        in_peer_ns env $(podman_at "$disk/podman-many") load --quiet --signature-policy "$tmp/policy.json" --input "$tmp/images/busybox.tar" >/dev/null
        in_peer_ns env $(podman_at "$disk/podman-many") tag busybox "${names[@]}"
        commands+=("podman images@$peer_ns" "$(podman_at "$disk/podman-many") images")
    fi
    if [[ $dockerd_pid ]]; then
        "${docker_cli[@]}" load --quiet --input "$tmp/images/busybox.tar" >/dev/null
        for name in "${names[@]}"; do "${docker_cli[@]}" tag busybox "$name"; done
        commands+=("docker images+$dockerd_pid" "${docker_cli[*]} images")
    fi
    compare images "images, of which there are 500" "${commands[@]}"
}

# podman keeps no packed layers: it packs them again.
images_kept() {
    [[ -d $disk/kept ]] || HUSK_ROOT=$disk/kept "$husk" pull --quiet "$registry/b/big:1" >/dev/null
    HUSK_ROOT=$disk/kept "$husk" tag "$registry/b/big:1" big:1
    has podman || return 0
    [[ -d $disk/podman-kept ]] || in_peer_ns env $(podman_at "$disk/podman-kept") pull --quiet --signature-policy "$tmp/policy.json" \
        --tls-verify=false "$registry/b/big:1" >/dev/null
    in_peer_ns env $(podman_at "$disk/podman-kept") tag "$registry/b/big:1" localhost/big:1
}

# What husk saves of it, in both forms, for whoever loads it.
images_archives() {
    [[ ! -e $disk/data/oci.tar ]] || return 0
    HUSK_ROOT=$disk/kept "$husk" save --output "$disk/data/docker.tar" big:1
    HUSK_ROOT=$disk/kept "$husk" save --format oci-archive --output "$disk/data/oci.tar" big:1
}

case_push() {
    local -a commands
    local name
    images_begin || return 0
    images_kept
    HUSK_ROOT=$disk/own "$husk" import "$disk/data/layer.tar.gz" own:1 >/dev/null # no name of it says that a registry has it
    commands=("husk" "env HUSK_ROOT=$disk/own $husk push --quiet own:1 $registry/p/husk-%I:1")
    ! has podman || commands+=("podman@$peer_ns" "$(podman_at "$disk/podman-kept") push --quiet --signature-policy $tmp/policy.json --tls-verify=false localhost/big:1 $registry/p/podman-%I:1")
    ! has skopeo || commands+=("skopeo from husk's store@$peer_ns" "skopeo copy --quiet --insecure-policy --dest-tls-verify=false oci:$disk/own:docker.io/library/own:1 docker://$registry/p/skopeo-%I:1")
    for name in podman "skopeo from husk's store"; do
        echo "nsenter --mount=$peer_ns sh -c 'rm -f /var/lib/containers/cache/*'" >"$tmp/after.$name"
    done
    # Both daemons ask for a mount from where they know a layer to be: they get it from an archive, and forget each push.
    images_archives
    if [[ $containerd_pid ]]; then
        name="${ctr_cli[*]} images rm --sync docker.io/library/big:1; ${ctr_cli[*]} images import $disk/data/oci.tar"
        eval "$name" >/dev/null 2>&1 || true
        commands+=("containerd+$containerd_pid" "${ctr_cli[*]} images push --plain-http $registry/p/containerd-%I:1 docker.io/library/big:1")
        echo "$name" >"$tmp/after.containerd"
    fi
    if [[ $dockerd_pid ]]; then
        "${docker_cli[@]}" load --quiet --input "$disk/data/docker.tar" >/dev/null
        "${docker_cli[@]}" tag big:1 "$registry/p/docker:1"
        echo "find $disk/docker/image/overlay2/distribution -type f -delete; rm -rf $disk/registry/docker/registry/v2/repositories/p/docker" |
            tee "$tmp/after.docker" | sh
        commands+=("docker+$dockerd_pid" "${docker_cli[*]} push --quiet $registry/p/docker:1")
    fi
    in_peer_ns sh -c 'rm -f /var/lib/containers/cache/*'
    image_compare push "push to a registry that has nothing of it" 3 "${commands[@]}"
}

case_save() {
    local -a commands
    images_begin || return 0
    images_kept
    commands=("husk" "env HUSK_ROOT=$disk/kept $husk save --output $disk/x/%I.tar big:1"
        "husk, oci-archive" "env HUSK_ROOT=$disk/kept $husk save --format oci-archive --output $disk/x/%I.tar big:1")
    ! has podman || commands+=("podman@$peer_ns" "$(podman_at "$disk/podman-kept") save --quiet --output $disk/x/%I.tar localhost/big:1"
        "podman, oci-archive@$peer_ns" "$(podman_at "$disk/podman-kept") save --quiet --format oci-archive --output $disk/x/%I.tar localhost/big:1")
    if has skopeo; then # skopeo unpacks for the one, for the other it copies
        commands+=("skopeo from husk's store@$peer_ns" "skopeo copy --quiet --insecure-policy oci:$disk/kept:docker.io/library/big:1 docker-archive:$disk/x/%I.tar:big:1"
            "skopeo, oci-archive@$peer_ns" "skopeo copy --quiet --insecure-policy oci:$disk/kept:docker.io/library/big:1 oci-archive:$disk/x/%I.tar:big:1")
    fi
    if [[ $containerd_pid ]]; then
        "${ctr_cli[@]}" images pull --plain-http "$registry/b/big:1" >/dev/null
        commands+=("containerd+$containerd_pid" "${ctr_cli[*]} images export $disk/x/%I.tar $registry/b/big:1")
    fi
    if [[ $dockerd_pid ]]; then
        "${docker_cli[@]}" pull --quiet "$registry/b/big:1" >/dev/null
        commands+=("docker+$dockerd_pid" "${docker_cli[*]} save --output $disk/x/%I.tar $registry/b/big:1")
    fi
    image_compare save "save" 3 "${commands[@]}"
}

case_load() {
    local -a commands
    images_begin || return 0
    images_kept
    images_archives
    commands=("husk" "$fresh_husk load --quiet --input $disk/data/docker.tar" "husk, oci-archive" "$fresh_husk load --quiet --input $disk/data/oci.tar")
    if has podman; then
        commands+=("podman@$peer_ns" "$(podman_at "$disk/x/%I") load --quiet --signature-policy $tmp/policy.json --input $disk/data/docker.tar"
            "podman, oci-archive@$peer_ns" "$(podman_at "$disk/x/%I") load --quiet --signature-policy $tmp/policy.json --input $disk/data/oci.tar")
        echo "nsenter --mount=$peer_ns sh -c 'umount $disk/x/*/overlay'" | tee "$tmp/after.podman" >"$tmp/after.podman, oci-archive"
    fi
    if has skopeo; then
        commands+=("skopeo to podman's store@$peer_ns" "skopeo copy --quiet --policy $tmp/policy.json docker-archive:$disk/data/docker.tar containers-storage:[overlay@$disk/x/%I+$run/skopeo]x:1")
        echo "nsenter --mount=$peer_ns sh -c 'umount $disk/x/*/overlay'" >"$tmp/after.skopeo to podman's store"
    fi
    if [[ $containerd_pid ]]; then
        "${ctr_cli[@]}" images rm --sync "$registry/b/big:1" docker.io/library/big:1 >/dev/null 2>&1 || true
        commands+=("containerd+$containerd_pid" "${ctr_cli[*]} images import $disk/data/oci.tar")
        echo "${ctr_cli[*]} images rm --sync docker.io/library/big:1" >"$tmp/after.containerd"
    fi
    if [[ $dockerd_pid ]]; then
        "${docker_cli[@]}" rmi "$registry/b/big:1" "$registry/p/docker:1" big:1 >/dev/null 2>&1 || true
        commands+=("docker+$dockerd_pid" "${docker_cli[*]} load --quiet --input $disk/data/docker.tar")
        echo "${docker_cli[*]} rmi big:1" >"$tmp/after.docker"
    fi
    image_compare load "load" 3 "${commands[@]}"
}

case_rmi() {
    local -a commands
    local image
    images_begin || return 0
    image=$registry/b/big:1
    images_kept
    pull_back() { echo "env HUSK_ROOT=$disk/$1 HUSK_LAYERS=$2 $husk pull --quiet $image"; }
    eval "$(pull_back rmi files) && $(pull_back rmi-erofs erofs)" >/dev/null
    commands=("husk" "env HUSK_ROOT=$disk/rmi $husk rmi --no-trash $image" "husk, EROFS layer" "env HUSK_ROOT=$disk/rmi-erofs $husk rmi --no-trash $image")
    pull_back rmi files >"$tmp/after.husk"
    pull_back rmi-erofs erofs >"$tmp/after.husk, EROFS layer"
    mkdir "$disk/plain"
    mkdir "$disk/plain/files"
    tar -C "$disk/plain/files" -xf "$disk/data/layer.tar"
    commands+=("rm -rf of the files (floor)" "rm -rf $disk/plain/files")
    echo "mkdir $disk/plain/files; tar -C $disk/plain/files -xf $disk/data/layer.tar" >"$tmp/after.rm -rf of the files (floor)"
    if has podman; then
        in_peer_ns env $(podman_at "$disk/podman-rmi") pull --quiet --signature-policy "$tmp/policy.json" --tls-verify=false "$image" >/dev/null
        commands+=("podman@$peer_ns" "$(podman_at "$disk/podman-rmi") rmi $image")
        echo "nsenter --mount=$peer_ns env $(podman_at "$disk/podman-rmi") pull --quiet --signature-policy $tmp/policy.json --tls-verify=false $image" >"$tmp/after.podman"
    fi
    image_compare rmi "rmi of a 16,000-file image" 3 "${commands[@]}"
}

case_erofs() {
    local -a commands
    local image form
    images_begin || return 0
    image=$registry/b/eight:1
    commands=("husk, EROFS layers" "env HUSK_LAYERS=erofs $fresh_husk pull --quiet $image" "husk, files" "env HUSK_LAYERS=files $fresh_husk pull --quiet $image")
    image_compare erofs "cold pull of eight layers, by form" 5 "${commands[@]}"
    for form in erofs files; do
        HUSK_ROOT=$disk/form HUSK_LAYERS=$form "$husk" pull --quiet "$image" >/dev/null
        echo "inodes below layers/ and merged/ ($form): $(find "$disk/form/layers" "$disk/form/merged" 2>/dev/null | wc -l)"
        HUSK_ROOT=$disk/form "$husk" rmi --no-trash "$image" >/dev/null
    done
}
