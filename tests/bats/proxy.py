#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""proxy.py --dir DIR [--user USER:PASSWORD] [--tls CERT KEY] NAME:PORT=ADDRESS:PORT...: an HTTP proxy on 127.0.0.1 that
knows these names and no others, lets in only this user, and is spoken to over TLS.

Writes its port to DIR/port and "METHOD TARGET" for each request to DIR/log. CONNECT makes a tunnel; a request with a
whole URL is passed on as one connection. Ends when DIR is gone.
"""
import argparse
import base64
import os
import select
import socket
import socketserver
import ssl
import threading
import time
import urllib.parse


class Handler(socketserver.StreamRequestHandler):
    names = {}
    folder = None
    user = None
    lock = threading.Lock()

    def handle(self):
        line = self.rfile.readline(65536).decode("latin-1").strip()
        if not line:
            return
        method, target, version = line.split(" ")
        with self.lock, open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as f:
            f.write("%s %s\n" % (method, target))
        headers, user = [], None
        while True:
            header = self.rfile.readline(65536)
            if header in (b"\r\n", b"\n", b""):
                break
            if header.lower().startswith(b"proxy-authorization: basic "):
                user = base64.b64decode(header.split()[2]).decode()
            if not header.lower().startswith((b"proxy-", b"connection:")):
                headers.append(header)
        if self.user and user != self.user:
            self.wfile.write(b"HTTP/1.1 407 who are you\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n")
            return
        url = urllib.parse.urlsplit(target if method != "CONNECT" else "//" + target)
        where = self.names.get("%s:%d" % (url.hostname, url.port or 80))
        if not where:
            self.wfile.write(b"HTTP/1.1 502 no such host\r\nContent-Length: 0\r\n\r\n")
            return
        host, port = where.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as other:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 go on\r\n\r\n")
            else:
                path = url.path + ("?" + url.query if url.query else "")
                other.sendall(("%s %s %s\r\n" % (method, path, version)).encode() + b"".join(headers) +
                              b"Connection: close\r\n\r\n")
            self.tunnel(other)

    def tunnel(self, other):
        ends = {self.connection: other, other: self.connection}
        open_ends = list(ends)
        while open_ends:
            for end in select.select(open_ends, [], [])[0]:
                try:
                    data = self.rfile.read1(65536) if end is self.connection else end.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                ends[end].sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass  # clients hang up when they like


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--user")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    Handler.folder, Handler.user = args.dir, args.user
    Handler.names = dict(word.split("=") for word in args.names)
    server = Server(("127.0.0.1", 0), Handler)
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*args.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    temporary = os.path.join(Handler.folder, "port.new")
    with open(temporary, "w", encoding="utf-8") as f:
        f.write(str(server.server_address[1]))
    os.rename(temporary, os.path.join(Handler.folder, "port"))
    while os.path.isdir(Handler.folder):
        time.sleep(1)


main()
