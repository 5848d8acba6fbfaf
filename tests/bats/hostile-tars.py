#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""hostile-tars.py DIR: layers that try to reach outside of their directory, or to be too much: one DIR/NAME.tar each.

Those named ok-* are odd but lawful and must be taken; all others must be refused.
"""
import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile

OUT = sys.argv[1]
# Where a layer lies: <store>/tmp/<staging>/fs. As many ".." as it takes to reach anything.
UP = "../" * 30
VICTIM = os.environ["VICTIM"]  # absolute path of a file that must stay as it is


class Layer:
    def __init__(self, name, form=tarfile.PAX_FORMAT):
        self.path = os.path.join(OUT, name + ".tar")
        self.tar = tarfile.open(self.path, "w", format=form)

    def add(self, name, data=None, kind=tarfile.REGTYPE, link="", mode=0o644, pax=None, **more):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = kind, link, mode
        info.pax_headers = pax or {}
        for key, value in more.items():
            setattr(info, key, value)
        if data is not None:
            info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data) if data is not None else None)
        return self

    def done(self):
        self.tar.close()
        return self.path


def link(name, target):
    return dict(name=name, kind=tarfile.SYMTYPE, link=target)


def hard(name, target):
    return dict(name=name, kind=tarfile.LNKTYPE, link=target)


EVIL = b"evil\n"
DIR = tarfile.DIRTYPE
away = UP + VICTIM.lstrip("/")
folder = os.path.dirname(VICTIM)

LAYERS = {
    # names
    "dotdot": [dict(name=away, data=EVIL)],
    "dotdot-behind-dir": [dict(name="a/b/../../../" + away, data=EVIL)],
    "dotdot-absolute": [dict(name="/" + away, data=EVIL)],
    "dotdot-dir": [dict(name=UP, kind=DIR, mode=0o777)],
    "dotdot-whiteout": [dict(name=UP + os.path.dirname(away.replace("../", "")) + "/.wh.victim", data=b"")],
    "dotdot-opaque": [dict(name=UP + folder.lstrip("/") + "/.wh..wh..opq", data=b"")],
    "whiteout-of-dotdot": [dict(name=".wh...", data=b"")],
    "whiteout-of-dot": [dict(name="d/.wh..", data=b"")],
    "name-too-long": [dict(name="n" * 5000, data=EVIL)],
    "component-too-long": [dict(name="n" * 300, data=EVIL)],
    "root-is-a-file": [dict(name="./", data=EVIL), dict(name=".", data=EVIL)],
    "root-is-a-link": [link("/", folder)],
    "ok-absolute": [dict(name=VICTIM, data=EVIL)],
    "ok-dots-inside": [dict(name="a/../b/./c", data=EVIL)],
    # links
    "hard-link-out": [hard("h", VICTIM), dict(name="h", data=EVIL)],
    "hard-link-dotdot": [hard("h", away)],
    "hard-link-through-link": [link("up", UP + folder.lstrip("/")), hard("h", "up/victim"), dict(name="h", data=EVIL)],
    "link-loop": [link("a", "b"), link("b", "a"), dict(name="a/x", data=EVIL)],
    "ok-link-proc-root": [link("p", "/proc/self/root" + folder), dict(name="p/victim", data=EVIL)],
    "ok-link-proc-cwd": [link("p", "/proc/self/cwd"), dict(name="p/victim", data=EVIL)],
    "ok-link-dangling": [link("up", folder), dict(name="up/victim", data=EVIL)],
    "link-in-the-middle": [dict(name="d", kind=DIR), link("d/up", UP), dict(name="d/up" + VICTIM, data=EVIL),
                           dict(name="d/up" + folder + "/.wh.victim", data=b""), dict(name="\x1b[31mred", kind=b"9")],
    "ok-link-written-over": [link("l", VICTIM), dict(name="l", data=EVIL)],
    "ok-link-up-is-inside": [dict(name=folder.lstrip("/"), kind=DIR), link("up", UP), dict(name="up" + VICTIM, data=EVIL)],
    "ok-dir-over-link": [link("d", folder), dict(name="d", kind=DIR, mode=0o777), dict(name="d/victim", data=EVIL)],
    "ok-link-over-dir": [dict(name="d", kind=DIR, mode=0o1777, uid=77), link("d", folder)],
    "ok-fifo-over-link": [link("l", VICTIM), dict(name="l", kind=tarfile.FIFOTYPE)],
    "ok-hard-link-to-link": [link("l", VICTIM), hard("h", "l"), dict(name="h", data=EVIL)],
    # attributes
    "ok-overlay-xattrs": [dict(name="d", kind=DIR, pax={"SCHILY.xattr.trusted.overlay.opaque": "y",
                                                         "SCHILY.xattr.trusted.overlay.redirect": "/etc",
                                                         "SCHILY.xattr.user.overlay.opaque": "y"})],
    "owner-minus-one": [dict(name="f", data=EVIL, pax={"uid": "4294967295"})],
    "owner-too-big": [dict(name="f", data=EVIL, pax={"gid": "99999999999"})],
    "size-negative": [dict(name="f", data=EVIL, pax={"size": "-5"})],
    "size-huge": [dict(name="f", data=EVIL, pax={"size": "9000000000000000000"})],
    "sparse-outside": [dict(name="f", data=EVIL, pax={"GNU.sparse.size": "4", "GNU.sparse.map": "3,5"})],
    "sparse-backwards": [dict(name="f", data=EVIL, pax={"GNU.sparse.size": "40", "GNU.sparse.map": "9,4,0,1"})],
    "sparse-short": [dict(name="f", data=EVIL, pax={"GNU.sparse.size": "40", "GNU.sparse.map": "0,4"})],
    "name-with-nul": [dict(name="f", data=EVIL, pax={"path": "a\0b"})],
    "pax-too-big": [dict(name="f", data=EVIL, pax={"comment": "x" * (3 << 20)})],
    "unknown-kind": [dict(name="f", kind=b"Z")],
    "ok-capability": [dict(name="f", data=EVIL, pax={"SCHILY.xattr.security.capability":
                                                      "\x01\x00\x00\x02\x00\x04\x00\x00" + "\x00" * 12})],
    "ok-duplicates": [dict(name="f", data=b"first\n")] * 50 + [dict(name="d", kind=DIR), dict(name="d", kind=DIR, mode=0o700),
                      dict(name="f", kind=DIR), dict(name="f/x", data=EVIL), dict(name="f", data=EVIL)],
    "ok-times": [dict(name="old", data=EVIL, pax={"mtime": "-2147483648.5"}), dict(name="new", data=EVIL, pax={"mtime": "8589934591"})],
    "ok-wide": [dict(name=f"wide/{i}", data=b"") for i in range(2400)],
    # too much
    "entries": [dict(name=f"e{i}", data=b"") for i in range(3000)],
    "devices": [dict(name=f"c{i}", kind=tarfile.CHRTYPE, devmajor=1, devminor=3) for i in range(70000)],
}

for name, entries in LAYERS.items():
    layer = Layer(name)
    for entry in entries:
        layer.add(**entry)
    layer.done()


def raw(name, data):
    with open(os.path.join(OUT, name + ".tar"), "wb") as f:
        f.write(data)


whole = open(Layer("tmp").add("f", b"x" * 5000).done(), "rb").read()
os.unlink(os.path.join(OUT, "tmp.tar"))
def binary(field_at, width, value):
    """The header of whole with a base-256 number in a field, and a right checksum."""
    h = bytearray(whole[:512])
    h[field_at:field_at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "big")
    h[field_at] |= 0x80
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h) + whole[512:]


raw("binary-size-negative", binary(124, 12, -1))
raw("binary-size-huge", binary(124, 12, 1 << 80))
raw("binary-uid-huge", binary(108, 8, 1 << 40))
raw("ok-binary-time", binary(136, 12, 5000000000))
raw("cut-in-contents", whole[:3000])
raw("cut-in-header", whole[:300])
raw("checksum", whole[:20] + b"X" + whole[21:])
raw("garbage-behind", whole[:5632] + os.urandom(512))
raw("text", b"this is no tar at all, just some text\n" * 100)
raw("gzip-cut", gzip.compress(whole)[:-20])
raw("gzip-garbage", gzip.compress(whole) + b"garbage")
raw("gzip-crc", gzip.compress(whole)[:-8] + b"\0\0\0\0\x88\x13\0\0")
raw("gzip-bomb", gzip.compress(open(Layer("zero").add("zero", bytes(80 << 20)).done(), "rb").read(), 9))
# The same by other packers; zstd as the program writes it, since Python has none.
with open(os.path.join(OUT, "zero.tar"), "rb") as f:
    raw("xz-bomb", lzma.compress(f.read(), preset=0))
with open(os.path.join(OUT, "zero.tar"), "rb") as f:
    raw("bzip2-bomb", bz2.compress(f.read(), 1))
raw("xz-cut", lzma.compress(whole)[:-20])
subprocess.run(["zstd", "-q", "-1", "-f", os.path.join(OUT, "zero.tar"), "-o", os.path.join(OUT, "zstd-bomb.tar")], check=True)
packed = subprocess.run(["zstd", "-q", "--check"], input=whole, stdout=subprocess.PIPE, check=True).stdout
raw("zstd-cut", packed[:-20])
raw("zstd-sum", packed[:-1] + bytes([packed[-1] ^ 1]))
raw("zstd-garbage", packed + b"garbage")
os.unlink(os.path.join(OUT, "zero.tar"))
