#!/usr/bin/env python3
"""forge.py udp4|udp6|tcp|arp|na|hear ...: what a container that may make packets itself (NET_RAW) tries to get past
--egress and rules among neighbours.

  udp4 SOURCE TO GATEWAY-MAC TEXT   a datagram from port 9 to TO's port 9, from whatever address SOURCE is
  udp6 SOURCE TO GATEWAY-MAC TEXT   the same
  tcp SOURCE TO GATEWAY-MAC         a whole connection to TO's port 8000 from an address that nobody has: it answers the
                                    bridge's question for it, and prints what comes back
  arp SOURCE TO MAC                 an answer that SOURCE is here, by ARP
  na SOURCE TO MAC                  the same by IPv6's neighbour discovery, from SOURCE itself and from an address of ours
  hear                              prints what of these comes from others: "udp4 SOURCE TEXT", "arp SOURCE", "na SOURCE"
"""
import socket
import struct
import sys
import time

OWN_PORT = 40001


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def packet(source, to, protocol, segment, at):
    """at: where the segment's checksum is."""
    source, to = packed(source), packed(to)
    if len(source) == 4:
        pseudo = source + to + struct.pack("!BBH", 0, protocol, len(segment))
    else:
        pseudo = source + to + struct.pack("!IHBB", len(segment), 0, 0, protocol)
    segment = segment[:at] + struct.pack("!H", checksum(pseudo + segment)) + segment[at + 2 :]
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + source + to + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, protocol, 0) + source + to
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + segment


def datagram(source, to, text):
    data = text.encode()
    return packet(source, to, 17, struct.pack("!HHHH", 9, 9, 8 + len(data), 0) + data, 6)


def segment(source, to, seq, ack, flags, data=b""):
    head = struct.pack("!HHIIBBHHH", OWN_PORT, 8000, seq, ack, 5 << 4, flags, 65535, 0, 0)
    return packet(source, to, 6, head + data, 16)


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def connection(wire, own, gateway, source, to):
    def send(seq, ack, flags, data=b""):
        wire.send(gateway + own + b"\x08\x00" + segment(source, to, seq, ack, flags, data))

    deadline = time.monotonic() + 2
    send(1000, 0, 2)  # SYN
    wire.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            frame = wire.recv(65535)
        except socket.timeout:
            send(1000, 0, 2)
            continue
        kind, body = frame[12:14], frame[14:]
        if kind == b"\x08\x06" and body[6:8] == b"\0\1" and body[24:28] == packed(source):  # who has it? we do
            wire.send(
                frame[6:12] + own + b"\x08\x06" + body[:6] + b"\0\2" + own + packed(source) + body[8:14] + body[14:18]
            )
        elif kind == b"\x08\x00" and body[9] == 6 and body[12:16] == packed(to) and body[16:20] == packed(source):
            tcp = body[(body[0] & 15) * 4 :]
            seq, flags = struct.unpack("!I", tcp[4:8])[0], tcp[13]
            data = body[(body[0] & 15) * 4 + (tcp[12] >> 4) * 4 : struct.unpack("!H", body[2:4])[0]]
            if flags & 2:  # SYN ACK
                send(1001, seq + 1, 16 | 8, b"GET / HTTP/1.0\r\n\r\n")
            elif data:
                print(data.decode(errors="replace"))
                return


def advert(source, to, about, own):
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + packed(about) + b"\2\1" + own
    frame = packet(source, to, 58, body, 2)
    return frame[:7] + b"\xff" + frame[8:]  # what came over a router does not count (RFC 4861, 7.1.2)


def hear(wire):
    own = wire.getsockname()[4]
    while True:
        frame = wire.recv(65535)
        kind, body = frame[12:14], frame[14:]
        if frame[6:12] == own:
            continue
        if kind == b"\x08\x06":
            print("arp", socket.inet_ntop(socket.AF_INET, body[14:18]), flush=True)
        elif kind == b"\x08\x00" and body[9] == 17:
            print("udp4", socket.inet_ntop(socket.AF_INET, body[12:16]), body[28:].decode(errors="replace"), flush=True)
        elif kind == b"\x86\xdd" and body[6] == 17:
            print("udp6", socket.inet_ntop(socket.AF_INET6, body[8:24]), body[48:].decode(errors="replace"), flush=True)
        elif kind == b"\x86\xdd" and body[6] == 58 and body[40] == 136:
            print("na", socket.inet_ntop(socket.AF_INET6, body[48:64]), flush=True)


def main():
    if sys.argv[1] == "hear":
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        wire.bind(("eth0", 0))
        hear(wire)
    how, source, to, gateway = sys.argv[1:5]
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind(("eth0", 0))
    own, gateway = wire.getsockname()[4], mac_bytes(gateway)
    if how == "tcp":
        connection(wire, own, gateway, source, to)
        return
    if how == "arp":
        body = struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + own + packed(source) + gateway + packed(to)
        wire.send(gateway + own + b"\x08\x06" + body)
        return
    if how == "na":
        for sender in source, sys.argv[5]:
            wire.send(gateway + own + b"\x86\xdd" + advert(sender, to, source, own))
        return
    kind = b"\x08\x00" if how == "udp4" else b"\x86\xdd"
    for sender in own, b"\x02\0\0\0\0\x77":  # its own MAC, and one that nobody has
        for tag in b"", b"\x81\0\0\0":  # untagged, and with a priority (802.1p) alone
            wire.send(gateway + sender + tag + kind + datagram(source, to, sys.argv[5]))


main()
