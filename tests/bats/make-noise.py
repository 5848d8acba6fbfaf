#!/usr/bin/env python3
"""make-noise.py FILE NAME LAYERS BYTES: a docker-archive of layers that hold BYTES of noise each, in ten files."""
import hashlib
import io
import json
import random
import sys
import tarfile


def add(tar, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def layer(number, size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for i in range(10):
            add(tar, f"noise-{number}-{i}", random.randbytes(size // 10))
    return out.getvalue()


def main():
    path, name, layers, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    random.seed(name)
    tars = [layer(i, size) for i in range(layers)]
    ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
                         "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    rows = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{i}.tar" for i in range(layers)]}]
    with tarfile.open(path, mode="w") as out:
        add(out, config_name, config)
        for i, tar in enumerate(tars):
            add(out, f"{i}.tar", tar)
        add(out, "manifest.json", json.dumps(rows).encode())


main()
