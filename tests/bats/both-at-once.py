#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""both-at-once.py REGISTRY DIR: a proxy before a registry that answers for the repositories "one" and "two" only when both
were asked for; after 20 seconds of one alone it says 404. Writes its port to DIR/port and each path to DIR/paths."""
import http.client
import http.server
import os
import sys
import threading

both = threading.Barrier(2)
passed = set()
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = next((n for n in ("one", "two") if "/%s/" % n in self.path), None)
        with lock:
            first = name and name not in passed
            passed.add(name)
            with open(os.path.join(sys.argv[2], "paths"), "a", encoding="utf-8") as f:
                f.write(self.path + "\n")
        if first:
            try:
                both.wait(20)
            except threading.BrokenBarrierError:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        to = http.client.HTTPConnection(sys.argv[1])
        to.request(self.command, self.path, headers={k: v for k, v in self.headers.items() if k.lower() != "host"})
        answer = to.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(key, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(os.path.join(sys.argv[2], "port.new"), "w", encoding="utf-8") as out:
    out.write(str(server.server_address[1]))
os.rename(os.path.join(sys.argv[2], "port.new"), os.path.join(sys.argv[2], "port"))
server.serve_forever()
