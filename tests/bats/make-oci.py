#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make-oci.py DIR SPEC...: an OCI layout with one image per SPEC, under the reference NAME.

SPEC is NAME=LAYER,LAYER,...[@PLATFORM] or, for an index, NAME=+OTHER,OTHER,... of names made before it.
LAYER is FORM:TEXT: FORM gzip, zstd or plain; the layer holds the file /TEXT with TEXT in it, and for TEXT "big" 8 MiB
that do not compress, for "mid" one and a half. PLATFORM defaults to this machine's.
"""
import gzip
import hashlib
import io
import json
import os
import platform
import random
import subprocess
import sys
import tarfile

TYPES = {"gzip": "tar+gzip", "zstd": "tar+zstd", "plain": "tar"}
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def blob(folder, data, media_type):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(folder, "blobs", "sha256", digest), "wb") as f:
        f.write(data)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}


def tar_of(text):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        data = random.Random(text).randbytes({"big": 8 << 20, "mid": 3 << 19}[text[:3]]) if text[:3] in ("big", "mid") else text.encode()
        info = tarfile.TarInfo(text)
        info.size = len(data)
        info.mtime = 1700000000
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pack(form, data):
    if form == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if form == "zstd":
        return subprocess.run(["zstd", "-q", "-1", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def image(folder, text):
    layers, _, where = text.partition("@")
    system, arch = (where or "linux/" + ARCH).split("/")
    descriptors, diff_ids = [], []
    for layer in layers.split(","):
        form, _, name = layer.partition(":")
        data = tar_of(name)
        diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
        descriptors.append(blob(folder, pack(form, data), "application/vnd.oci.image.layer.v1." + TYPES[form]))
    config = {"architecture": arch, "os": system, "config": {"Cmd": ["sh"]},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                "config": blob(folder, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
                "layers": descriptors}
    return dict(blob(folder, json.dumps(manifest).encode(), MANIFEST), platform={"os": system, "architecture": arch})


def main():
    folder = sys.argv[1]
    os.makedirs(os.path.join(folder, "blobs", "sha256"))
    made = {}
    for spec in sys.argv[2:]:
        name, _, text = spec.partition("=")
        if text.startswith("+"):
            index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                     "manifests": [made[other] for other in text[1:].split(",")]}
            made[name] = blob(folder, json.dumps(index).encode(), index["mediaType"])
        else:
            made[name] = image(folder, text)
    index = {"schemaVersion": 2, "manifests": [
        dict(descriptor, annotations={"org.opencontainers.image.ref.name": name}) for name, descriptor in made.items()]}
    with open(os.path.join(folder, "index.json"), "w", encoding="utf-8") as f:
        json.dump(index, f)
    with open(os.path.join(folder, "oci-layout"), "w", encoding="utf-8") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')


main()
