#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make-rpmdb.py FILE NAME,EPOCH,VERSION,RELEASE,ARCH...: an rpmdb.sqlite with these packages (EPOCH may be empty), or
with FILE "-" the first one's header on standard output."""
import sqlite3
import struct
import sys


def header(name, epoch, version, release, arch):
    entries, data = [], b""
    for tag, text in ((1000, name), (1001, version), (1002, release), (1022, arch)):
        entries.append((tag, 6, len(data), 1))
        data += text.encode() + b"\0"
    if epoch:
        data += b"\0" * (-len(data) % 4)
        entries.append((1003, 4, len(data), 1))
        data += struct.pack(">I", int(epoch))
    entries.sort()
    return struct.pack(">II", len(entries), len(data)) + b"".join(struct.pack(">IIII", *e) for e in entries) + data


rows = [header(*text.split(",")) for text in sys.argv[2:]]
if sys.argv[1] == "-":
    sys.stdout.buffer.write(rows[0])
    sys.exit()
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
db.executemany("INSERT INTO Packages (blob) VALUES (?)", [(row,) for row in rows])
db.commit()
