#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make-look.py DIR: an OCI layout with the images base, app and other, whose layers change, replace and remove files.

    base    1: a small system with a dpkg database
    app     1, 2: changes /etc/passwd, removes one of two names of /usr/bin/big, an opaque /dir, dpkg database changed
            3: removes the other name, /etc/conf becomes a directory, /tree is removed, sizes known to the test
    other   1, 4: another file on the same base
"""
import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile

ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
DPKG = "Package: %s\nStatus: install ok installed\nVersion: %s\nArchitecture: amd64\n\n"


def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, kind, value, *mode in entries:
            info = tarfile.TarInfo(name)
            info.mtime = 1700000000
            info.mode = mode[0] if mode else 0o755 if kind == "dir" else 0o644
            data = b""
            if kind == "file":
                data = value if isinstance(value, bytes) else value.encode()
                info.size = len(data)
            elif kind == "dir":
                info.type = tarfile.DIRTYPE
            elif kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, value
            elif kind == "hard":
                info.type, info.linkname = tarfile.LNKTYPE, value
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


LAYERS = [
    tar([
        ("etc", "dir", None), ("etc/passwd", "file", "root:x:0:0:root:/root:/bin/sh\n"), ("etc/conf", "file", "c" * 500),
        ("usr", "dir", None), ("usr/bin", "dir", None), ("usr/bin/big", "file", b"b" * 100000, 0o755),
        ("usr/bin/big-too", "hard", "usr/bin/big"),
        ("dir", "dir", None), ("dir/one", "file", "1" * 1000), ("dir/two", "file", "2" * 2000),
        ("tree", "dir", None), ("tree/deep", "dir", None), ("tree/deep/file", "file", "t" * 3000),
        ("lnk", "link", "/etc"), ("loop", "link", "loop"), ("up", "link", "../../../etc/passwd"),
        ("var", "dir", None), ("var/lib", "dir", None), ("var/lib/dpkg", "dir", None),
        ("var/lib/dpkg/status", "file", DPKG % ("base-files", "12") + DPKG % ("gone", "1.0") + DPKG % ("same", "3")),
        ("secret", "file", "s", 0o600), ("suid", "file", "x", 0o4755), ("new\nline", "file", "n"),
    ]),
    tar([
        ("etc/passwd", "file", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n"),
        ("usr/bin/.wh.big", "file", ""),
        ("dir", "dir", None), ("dir/.wh..wh..opq", "file", ""), ("dir/three", "file", "3"),
        ("var/lib/dpkg/status", "file", DPKG % ("base-files", "13") + DPKG % ("fresh", "2.0") + DPKG % ("same", "3")),
        ("suid", "file", "x", 0o755),
    ]),
    tar([
        ("usr/bin/.wh.big-too", "file", ""), (".wh.tree", "file", ""),
        ("etc/conf", "dir", None), ("etc/conf/d", "file", "d"),
    ]),
    tar([("opt", "dir", None), ("opt/other", "file", "o" * 70)]),
]
BY = ["/bin/sh -c #(nop) ADD file:abc in / ", "RUN /bin/sh -c change # buildkit", "COPY conf /etc/conf # buildkit",
      "/bin/sh -c make other"]


def main():
    folder = sys.argv[1]
    blobs = os.path.join(folder, "blobs", "sha256")
    os.makedirs(blobs)

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as f:
            f.write(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    manifests = []
    for name, numbers, config, created in [
            ("base", [0], {"Cmd": ["sh"], "Env": ["PATH=/bin", "A=1"]}, "2023-01-01T00:00:00Z"),
            ("app", [0, 1, 2], {"Cmd": ["app"], "Env": ["PATH=/bin", "A=2", "B=1"], "Labels": {"kind": "app"}},
             "2023-03-01T00:00:00Z"),
            ("other", [0, 3], {"Cmd": ["sh"], "User": "alice"}, "2023-02-01T00:00:00Z")]:
        history = []
        for n in numbers:
            history.append({"created": created, "created_by": BY[n], "comment": "layer %d" % (n + 1)})
            history.append({"created": created, "created_by": "ENV x=%d" % n, "empty_layer": True})
        doc = {"created": created, "architecture": ARCH, "os": "linux", "author": "Ann", "config": config,
               "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(LAYERS[n]).hexdigest() for n in numbers]},
               "history": history}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": blob(json.dumps(doc).encode(), "application/vnd.oci.image.config.v1+json"),
                    "layers": [blob(gzip.compress(LAYERS[n], 6, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
                               for n in numbers]}
        row = blob(json.dumps(manifest).encode(), manifest["mediaType"])
        row["annotations"] = {"org.opencontainers.image.ref.name": name}
        manifests.append(row)
    with open(os.path.join(folder, "index.json"), "w", encoding="utf-8") as f:
        json.dump({"schemaVersion": 2, "manifests": manifests}, f)
    with open(os.path.join(folder, "oci-layout"), "w", encoding="utf-8") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')


main()
