#!/usr/bin/env python3
"""name-server.py ADDRESS [MARK]: a name server for tests, UDP and TCP port 53.

Any A is 192.0.2.MARK (default 1); a name that begins with "missing" does not exist; "long" has 3000 bytes of TXT, which UDP
cuts; "silent" gets no answer; "failing" gets SERVFAIL; "later..." is 127.0.0.1, and SERVFAIL at the first nine questions
about it.
"""
import collections
import ctypes
import socket
import struct
import sys
import threading

ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG: it ends with the shell that a test kills
address, mark = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
asked = collections.Counter()


def answer(query, limit):
    end = 12
    while query[end]:
        end += 1 + query[end]
    name = query[13:13 + query[12]].lower() if query[12] else b""
    kind = struct.unpack(">H", query[end + 1:end + 3])[0]
    question = query[12:end + 5]
    records, rcode = [], 0
    if name == b"silent":
        return None
    if name == b"failing":
        rcode = 2
    elif name.startswith(b"missing"):
        rcode = 3
    elif name.startswith(b"later"):
        asked[name] += 1
        if asked[name] <= 9:
            rcode = 2
        elif kind == 1:
            records.append(struct.pack(">HHHIH4B", 0xC00C, 1, 1, 60, 4, 127, 0, 0, 1))
    elif kind == 1:
        records.append(struct.pack(">HHHIH4B", 0xC00C, 1, 1, 60, 4, 192, 0, 2, mark))
    elif kind == 16 and name == b"long":
        for i in range(15):
            records.append(struct.pack(">HHHIHB", 0xC00C, 16, 1, 60, 201, 200) + b"%02d" % i + b"x" * 198)
    flags = 0x8180 | rcode
    reply = question + b"".join(records)
    if 12 + len(reply) > limit:
        flags |= 0x0200
        records, reply = [], question
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + reply


def serve_udp():
    while True:
        query, peer = udp.recvfrom(4096)
        reply = answer(query, 512)
        if reply:
            udp.sendto(reply, peer)


family = socket.AF_INET6 if ":" in address else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.bind((address, 53))
tcp = socket.socket(family, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind((address, 53))
tcp.listen(16)
threading.Thread(target=serve_udp, daemon=True).start()
while True:
    peer, _ = tcp.accept()
    with peer:
        head = peer.recv(2)
        if len(head) == 2:
            reply = answer(peer.recv(struct.unpack(">H", head)[0]), 65535)
            if reply:
                peer.sendall(struct.pack(">H", len(reply)) + reply)
