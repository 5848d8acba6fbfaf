#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""lying-registry.py OCI-LAYOUT DIR: a registry on 127.0.0.1 whose repositories lie, each in its own way.

It serves the first image of the layout under every name; the repository's name says what is wrong with it: see LIES.
Writes its port to DIR/port, that of a second server (another "host") to DIR/other-port, and one line per request to
DIR/log: "SERVER METHOD PATH authorization=VALUE range=VALUE[ body=TEXT]". A third server, whose port is in DIR/login-port, only
lets those in who have a token, and gives identity tokens.
"""
import hashlib
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

INDEX = "application/vnd.oci.image.index.v1+json"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TOKEN = "the-token"
USER = "Basic dTpw"  # u:p


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Image:
    """The image as it is, and as a liar tells it."""

    def __init__(self, layout):
        self.blobs = {}
        folder = os.path.join(layout, "blobs", "sha256")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as f:
                self.blobs["sha256:" + name] = f.read()
        with open(os.path.join(layout, "index.json"), encoding="utf-8") as f:
            digest = json.load(f)["manifests"][0]["digest"]
        self.manifest = json.loads(self.blobs[digest])
        self.manifest["mediaType"] = MANIFEST

    def lie(self, lie):
        """(manifest's bytes, blobs by digest)"""
        manifest = json.loads(json.dumps(self.manifest))
        blobs = dict(self.blobs)
        layer = manifest["layers"][0]
        if lie == "size-more":
            layer["size"] += 1
        elif lie == "size-less":
            layer["size"] -= 1
        elif lie == "size-huge":
            layer["size"] = 1 << 60
        elif lie == "held-diff-id":
            config = json.loads(blobs[manifest["config"]["digest"]])
            config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
            self.set_config(manifest, blobs, config)
        elif lie == "held-digest":  # the bytes before the place where it waits are right
            wrong = bytearray(blobs[layer["digest"]])
            wrong[-len(wrong) // 4] ^= 1
            blobs[layer["digest"]] = bytes(wrong)
        elif lie == "digest":
            wrong = bytearray(blobs[layer["digest"]])
            wrong[len(wrong) // 2] ^= 1
            blobs[layer["digest"]] = bytes(wrong)
        elif lie == "diff-id":
            config = json.loads(blobs[manifest["config"]["digest"]])
            config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
            self.set_config(manifest, blobs, config)
        elif lie == "more-layers":
            config = json.loads(blobs[manifest["config"]["digest"]])
            config["rootfs"]["diff_ids"] *= 2
            self.set_config(manifest, blobs, config)
        elif lie in ("no-rootfs", "no-diff-ids"):
            config = json.loads(blobs[manifest["config"]["digest"]])
            if lie == "no-rootfs":
                del config["rootfs"]
            else:
                del config["rootfs"]["diff_ids"]
            self.set_config(manifest, blobs, config)
        elif lie == "bad-diff-id":
            config = json.loads(blobs[manifest["config"]["digest"]])
            config["rootfs"]["diff_ids"] = ["sha256:../../../../etc"]
            self.set_config(manifest, blobs, config)
        elif lie == "config-is-layer":
            manifest["config"] = dict(layer, mediaType=manifest["config"]["mediaType"])
        elif lie == "layer-is-config":
            manifest["layers"] = [dict(manifest["config"], mediaType=layer["mediaType"])]
        elif lie == "config":
            wrong = b"x" * manifest["config"]["size"]
            blobs[manifest["config"]["digest"]] = wrong
        elif lie == "blob-missing":
            del blobs[layer["digest"]]
        elif lie == "both":
            manifest["manifests"] = []
        elif lie == "artifact":
            manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
        elif lie == "encrypted":
            layer["mediaType"] += "+encrypted"
        elif lie == "traversal":
            layer["digest"] = "sha256:../../../../../../tmp/evil"
        elif lie == "schema1":
            manifest = {"schemaVersion": 1, "name": "x", "fsLayers": []}
        return json.dumps(manifest).encode(), blobs

    @staticmethod
    def set_config(manifest, blobs, config):
        data = json.dumps(config).encode()
        blobs[sha(data)] = data
        manifest["config"].update(digest=sha(data), size=len(data))


# Those that lie by how they answer; the others do so by what: see Image.lie().
LIES = """honest size-more size-less size-huge digest diff-id more-layers config blob-missing both artifact encrypted traversal
schema1 cut cut-always short stall late wrong-range no-range busy busy-always broken html garbage huge
content-digest other-manifest token token-user token-user-always token-realm token-empty token-newline token-identity basic redirect
redirect-loop redirect-file redirect-manifest headers
held held-cut held-again held-other held-digest held-diff-id no-rootfs no-diff-ids bad-diff-id config-is-layer layer-is-config nested nested-hidden itself few-left
endless-manifest endless-error endless-config endless-layer endless-range token-endless
pages pages-elsewhere pages-endless""".split()


# Those that lie to who pushes. Only uploads are lied about; manifests are kept under DIR/pushed/.
UPLOAD_LIES = """up-honest up-cut up-cut-gone up-413 up-413-always up-busy up-busy-long up-digest up-no-location
up-elsewhere up-range up-redirect up-file up-endless up-expired up-readonly up-denied up-session-gone
up-manifest-unknown up-manifest-digest up-manifest-refused up-referrers up-no-mount
up-unauthorized""".split()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    image = None
    folder = None
    ports = {}
    counts = {}
    lock = threading.Lock()

    def log_message(self, *args):
        pass

    def note(self):
        line = "%s %s %s authorization=%s range=%s\n" % (
            self.server_name(), self.command, self.path, self.headers.get("Authorization", "-"),
            self.headers.get("Range", "-"))
        if self.form:
            line = line[:-1] + " body=" + self.form + "\n"
        with self.lock, open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as f:
            f.write(line)

    def server_name(self):
        return next(name for name, port in self.ports.items() if port == self.server.server_port)

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            return self.counts[what]

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content_Type", "application/json")
        headers.setdefault("Content_Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def endless(self, status, **headers):
        """In pieces, without a length, until the client has had enough; 1 GiB is more than anybody takes."""
        self.send_response(status)
        for key, value in dict({"Content_Type": "application/json"}, **headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for _ in range(16384):
                self.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        except OSError:
            pass
        self.close_connection = True

    def error(self, status, code, message, **headers):
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    form = ""

    def do_POST(self):
        self.form = ""
        if self.path.startswith("/token"):
            self.form = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self.do_GET()
        self.form = ""

    def do_GET(self):
        self.note()
        path = urllib.parse.urlparse(self.path).path
        if path.startswith("/token"):
            return self.do_token()
        if self.server_name() == "login":
            return self.do_login()
        if path.startswith("/v2/up-"):
            return self.upload()
        if self.server.server_port != self.ports["main"]:
            return self.do_other(path)
        if path == "/v2/":
            return self.answer(200, b"{}")
        if path == "/v1/search":
            return self.do_search()
        parts = path.split("/")
        if len(parts) != 5 or parts[1] != "v2" or parts[2] not in LIES:
            return self.error(404, "NAME_UNKNOWN", "repository name not known to registry")
        lie, kind, name = parts[2:]
        if not self.may(lie):
            return None
        manifest, blobs = self.image.lie(lie)
        if kind == "tags":
            return self.do_tags(lie)
        return self.do_manifest(lie, name, manifest) if kind == "manifests" else self.do_blob(lie, name, blobs)

    def do_tags(self, lie):
        """Three pages of two tags; where the next one is said to be at is a matter of taste."""
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        page = int(query.get("page", ["0"])[0])
        host = "https://inside.invalid:1" if lie == "pages-elsewhere" else ""
        following = '<%s/v2/%s/tags/list?page=%d>; rel="next"' % (host, lie, 1 if lie == "pages-endless" else page + 1)
        first = '<%s/v2/%s/tags/list>; rel="first", ' % (host, lie)
        headers = {"Link": first + following} if page < 2 or lie == "pages-endless" else {}
        tags = ["%d-a" % page, "%d-b" % page]
        return self.answer(200, json.dumps({"name": lie, "tags": tags}).encode(), **headers)

    def do_search(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        if query["q"] == ["garbage"]:
            return self.answer(200, b"{\"results\": [{")
        results = [{"name": query["q"][0], "description": "The \x1b[31m one " + "x" * 60, "star_count": 7, "is_official": True},
                   {"name": "other/" + query["q"][0], "description": "fr\u00e4\u202e\u009b" + "\u00f6" * 60, "star_count": 0, "is_official": False}] * 60
        return self.answer(200, json.dumps({"num_results": len(results), "results": results}).encode())

    # ---- uploads ----

    sessions = {}

    def do_HEAD(self):
        self.note()
        self.upload()

    def do_PUT(self):
        self.note()
        self.upload()

    def do_PATCH(self):
        self.note()
        self.upload()

    def do_DELETE(self):
        self.note()
        self.upload()

    def read_body(self, most=1 << 40):
        """At most so many of the bytes that the client promises."""
        size = min(int(self.headers.get("Content-Length", "0")), most)
        data = b""
        while len(data) < size:
            piece = self.rfile.read(min(65536, size - len(data)))
            if not piece:
                break
            data += piece
        return data

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def location(self, lie, session):
        port = self.ports["other" if lie == "up-elsewhere" else "main"]
        if lie == "up-file":
            return "file:///etc/passwd"
        path = "/v2/%s/blobs/uploads/%s?state=%d" % (lie, session, len(self.sessions.get(session, b"")))
        return path if lie == "up-honest" else "http://127.0.0.1:%d%s" % (port, path)

    def upload(self):
        url = urllib.parse.urlparse(self.path)
        query = urllib.parse.parse_qs(url.query)
        parts = url.path.split("/")  # "", v2, LIE, blobs, DIGEST | uploads, SESSION; manifests, TAG; referrers, DIGEST
        lie = parts[2] if len(parts) > 2 else ""
        if lie not in UPLOAD_LIES:
            self.read_body()
            return self.error(404, "NAME_UNKNOWN", "repository name not known to registry")
        if self.headers.get("Authorization") != "Bearer " + TOKEN and self.server_name() == "main":
            self.read_body()
            return self.challenge()
        if parts[3] == "manifests":
            return self.upload_manifest(lie, parts[4])
        if parts[3] == "referrers":
            return self.error(404, "UNSUPPORTED", "no such thing")
        if parts[4] != "uploads":
            there = (lie, parts[4]) in self.sessions
            return self.answer(200 if there else 404)
        session = parts[5]
        return self.upload_blob(lie, session, query) if session else self.upload_begin(lie, query)

    def challenge(self):
        realm = "http://127.0.0.1:%d/token/up" % self.ports["main"]
        return self.error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Bearer realm="%s"' % realm)

    def upload_begin(self, lie, query):
        self.read_body()
        if lie in ("up-busy", "up-busy-long") and self.count(lie) <= 2:
            return self.error(429, "TOOMANYREQUESTS", "slow down", Retry_After="0" if lie == "up-busy" else "7200",
                              RateLimit_Limit="100;w=21600", RateLimit_Remaining="0;w=21600")
        if lie == "up-no-location":
            return self.answer(202)
        if lie == "up-readonly":
            return self.error(405, "UNSUPPORTED", "read only")
        if lie == "up-unauthorized":
            return self.challenge()
        if lie == "up-denied":
            return self.error(403, "DENIED", "requested access to the resource is denied")
        if lie == "up-endless":
            self.send_response(400)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                return None
        with self.lock:
            session = "s%d" % len(self.sessions)
            self.sessions[session] = b""
        return self.answer(202, Location=self.location(lie, session), Range="0-0")

    def upload_blob(self, lie, session, query):
        if session not in self.sessions or (lie == "up-session-gone" and self.count(lie + session) == 2):
            self.read_body()
            return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        have = self.sessions[session]
        if self.command == "GET":
            if lie == "up-cut-gone":
                return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            return self.answer(204, Location=self.location(lie, session), Range="0-%d" % max(len(have) - 1, 0))
        if self.command == "DELETE":
            return self.answer(204)
        size = int(self.headers.get("Content-Length", "0"))
        if lie in ("up-cut", "up-cut-gone") and size > 1 << 20 and self.count(lie) <= 2:
            self.sessions[session] = have + self.read_body(size // 3)
            return self.hang_up()
        if lie in ("up-413", "up-range") and size > 3 << 20 or lie == "up-413-always" and size:
            self.read_body()
            return self.answer(413)
        if lie == "up-expired" and size and self.count(lie) == 1:
            self.read_body()
            return self.challenge()
        if lie == "up-redirect" and self.server_name() == "main":
            self.read_body()
            return self.answer(307, Location="http://127.0.0.1:%d%s" % (self.ports["other"], self.path))
        begin = self.headers.get("Content-Range")
        data = self.read_body()
        if begin and int(begin.split("-")[0]) != len(have):
            return self.answer(416)
        self.sessions[session] = have = have + data
        if self.command == "PATCH":
            end = len(have) + (5 if lie == "up-range" else -1)
            return self.answer(202, Location=self.location(lie, session), Range="0-%d" % end)
        digest = query["digest"][0]
        if sha(have) != digest or lie == "up-digest":
            return self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.sessions[lie, digest] = have
        return self.answer(201, Location="/v2/%s/blobs/%s" % (lie, digest), Docker_Content_Digest=digest)

    def upload_manifest(self, lie, tag):
        folder = os.path.join(self.folder, "pushed", lie)
        path = os.path.join(folder, tag)
        if self.command != "PUT":
            if not os.path.exists(path):
                return self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            with open(path, "rb") as f:
                data = f.read()
            return self.answer(200, data, Content_Type=json.loads(data)["mediaType"], Docker_Content_Digest=sha(data))
        data = self.read_body()
        if lie == "up-manifest-unknown":
            return self.error(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        if lie == "up-manifest-refused":
            return self.error(400, "MANIFEST_INVALID", "manifest invalid")
        os.makedirs(folder, exist_ok=True)
        for name in (tag, sha(data)):
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        digest = "sha256:" + "1" * 64 if lie == "up-manifest-digest" else sha(data)
        return self.answer(201, Location="/v2/x", Docker_Content_Digest=digest)

    # ---- others ----

    def do_other(self, path):
        """Another host: it has the blobs, and is no registry."""
        if path.startswith("/blobs/") and path[7:] in self.image.blobs:
            return self.answer(200, self.image.blobs[path[7:]], Content_Type="application/octet-stream")
        return self.answer(404, b"<html>nothing here</html>", Content_Type="text/html")

    def may(self, lie):
        authorization = self.headers.get("Authorization")
        main = "http://127.0.0.1:%d" % self.ports["main"]
        if lie.startswith("token") or lie.startswith("redirect"):
            if authorization == "Bearer " + TOKEN and lie != "token-user-always":
                return True
            realm = "file:///etc/passwd" if lie == "token-realm" else main + "/token/" + lie
            self.error(401, "UNAUTHORIZED", "authentication required",
                       WWW_Authenticate='Bearer realm="%s",service="liar",scope="repository:all:push"' % realm)
            return False
        if lie == "basic" and authorization != USER:
            self.error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="liar"')
            return False
        return True

    def do_token(self):
        lie = self.path.split("/")[2].split("?")[0]
        if lie == "token-identity":
            given = urllib.parse.parse_qs(self.form).get("refresh_token") == ["the-identity"]
            if not given and self.headers.get("Authorization") != USER:
                return self.error(401, "UNAUTHORIZED", "who are you?")
            answer = {"access_token": TOKEN}
            if "offline_token=true" in self.path:
                answer["refresh_token"] = "the-identity"
            return self.answer(200, json.dumps(answer).encode())
        if lie.startswith("token-user") and self.headers.get("Authorization") != USER:
            return self.error(401, "UNAUTHORIZED", "who are you?")
        if lie == "token-endless":
            return self.endless(200)
        if lie == "token-empty":
            return self.answer(200, b"{}")
        if lie == "token-newline":
            return self.answer(200, json.dumps({"token": "a\r\nX-Evil: 1"}).encode())
        key = "access_token" if lie == "token-user" else "token"
        return self.answer(200, json.dumps({key: TOKEN, "expires_in": 60}).encode())

    def do_login(self):
        if self.headers.get("Authorization") == "Bearer " + TOKEN:
            return self.answer(200, b"{}")
        realm = "http://127.0.0.1:%d/token/token-identity" % self.ports["login"]
        return self.error(401, "UNAUTHORIZED", "log in first", WWW_Authenticate='Bearer realm="%s"' % realm)

    def do_manifest(self, lie, name, manifest):
        digest = sha(manifest)
        if lie == "busy" and self.count("busy") <= 2:
            return self.error(429, "TOOMANYREQUESTS", "slow down", Retry_After="0")
        if lie == "busy-always":
            return self.error(429, "TOOMANYREQUESTS", "slow down", Retry_After="0")
        if lie == "broken":
            return self.answer(503, b"<h1>\x1b[31mbroken</h1>", Retry_After="0")
        if lie == "html":
            return self.answer(200, b"<html>welcome to the hotel</html>", Content_Type="text/html")
        if lie == "endless-manifest":
            return self.endless(200, Content_Type=MANIFEST)
        if lie == "endless-error":
            return self.endless(400)
        if lie == "garbage":
            return self.answer(200, b"{" * 100, Content_Type=MANIFEST)
        if lie == "huge":
            return self.answer(200, b"{\"x\":\"" + b" " * (5 << 20) + b"\"}", Content_Type=MANIFEST)
        if lie == "content-digest":
            return self.answer(200, manifest, Content_Type=MANIFEST, Docker_Content_Digest="sha256:" + "1" * 64)
        if lie == "other-manifest":
            return self.answer(200, manifest + b" ", Content_Type=MANIFEST)
        if lie == "redirect-manifest" and self.count(lie) == 1:
            return self.answer(307, Location="?again")
        if lie in ("nested", "nested-hidden", "itself"):
            return self.do_nested(lie, name)
        if lie == "few-left":
            return self.answer(200, manifest, Content_Type=MANIFEST, RateLimit_Limit="100;w=21600",
                               RateLimit_Remaining="3;w=21600")
        if lie == "headers":
            return self.answer(200, manifest, Content_Type=MANIFEST, X="y" * 60000)
        return self.answer(200, manifest, Content_Type=MANIFEST, Docker_Content_Digest=digest)

    def do_nested(self, lie, name):
        """An index where an image should be, said or not; an index that claims to hold itself."""
        def index(target, kind):
            return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
                {"mediaType": kind, "digest": target, "size": 400, "platform": {"os": "linux", "architecture": ARCH}}]}).encode()
        inner = index("sha256:" + "2" * 64, MANIFEST).ljust(400)
        outer = index(sha(inner), MANIFEST if lie == "nested-hidden" else INDEX)
        if lie == "itself":
            outer = index("sha256:" + "3" * 64, MANIFEST).ljust(400)
            inner = outer
        return self.answer(200, inner if name.startswith("sha256:") else outer, Content_Type=INDEX)

    def do_blob(self, lie, name, blobs):
        if name not in blobs:
            return self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        data = blobs[name]
        begin = 0
        if self.headers.get("Range"):
            begin = int(self.headers["Range"].split("=")[1].rstrip("-"))
        if lie == "endless-config":
            return self.endless(200)
        if name == self.image.manifest["config"]["digest"]:
            return self.answer(200, data)  # only the layer is lied about
        if lie == "endless-layer":
            return self.endless(200)
        if lie == "endless-range":
            return self.endless(206, Content_Range="bytes 0-%d/%d" % (len(data) - 1, len(data)))
        if lie == "redirect":
            return self.answer(307, Location="http://127.0.0.1:%d/blobs/%s" % (self.ports["other"], name))
        if lie == "redirect-loop":
            return self.answer(307, Location=self.path)
        if lie == "redirect-file":
            return self.answer(307, Location="file:///etc/passwd")
        if lie == "no-range":
            begin = 0
        headers = {"Content_Type": "application/octet-stream"}
        status = 200
        if begin:
            status = 206
            at = begin + 1 if lie == "wrong-range" else begin
            headers["Content_Range"] = "bytes %d-%d/%d" % (at, len(data) - 1, len(data))
        rest = data[begin:]
        if lie.startswith("held") and name == self.image.manifest["layers"][0]["digest"]:
            return self.hold(lie, status, rest, headers, data)
        if lie == "late":  # slow, so that it can be killed in the middle
            return self.slowly(status, rest, headers, 0.008, len(rest))
        if lie in ("cut", "no-range", "wrong-range", "cut-always", "stall"):
            most = 100 if lie in ("cut-always", "stall") else len(data) // 3 + 1
            if lie == "no-range" and self.count(lie) > 1:
                most = len(rest)
            if lie == "cut-always":
                rest = data
                status = 200
                headers.pop("Content_Range", None)
            return self.slowly(status, rest, headers, 0, most, stall=lie == "stall")
        if lie == "short":
            return self.answer(status, rest[: len(rest) // 2], **headers)
        return self.answer(status, rest, **headers)

    def hold(self, lie, status, rest, headers, data):
        """Sends half and waits for DIR/go; then the rest, or nothing more and, when asked again, all from the start."""
        go = os.path.join(self.folder, "go")
        first = not os.path.exists(go)
        if lie == "held-other" and first:  # other bytes than those that come when it begins again
            rest = bytes(len(data))
        if lie in ("held-again", "held-other") and not first:
            return self.answer(200, data)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        half = len(rest) // 2 if first else 0
        self.wfile.write(rest[:half])
        self.wfile.flush()
        while first and not os.path.exists(go):
            time.sleep(0.02)
        if first and lie in ("held-cut", "held-again", "held-other"):
            self.close_connection = True
        else:
            self.wfile.write(rest[half:])

    def slowly(self, status, rest, headers, pause, most, stall=False):
        """Promises all of rest, sends the first bytes of it, and hangs up."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        for at in range(0, most, 16384):
            self.wfile.write(rest[at : min(at + 16384, most)])
            self.wfile.flush()
            time.sleep(pause)
        if stall:
            time.sleep(30)
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients are killed in the middle on purpose


def main():
    layout, folder = sys.argv[1:]
    Handler.image = Image(layout)
    Handler.folder = folder
    servers = {name: Server(("127.0.0.1", 0), Handler) for name in ("main", "other", "login")}
    Handler.ports = {name: server.server_port for name, server in servers.items()}
    for name, file in (("other", "other-port"), ("login", "login-port"), ("main", "port")):
        threading.Thread(target=servers[name].serve_forever, daemon=True).start()
        temporary = os.path.join(folder, file + ".new")
        with open(temporary, "w", encoding="utf-8") as f:
            f.write(str(Handler.ports[name]))
        os.rename(temporary, os.path.join(folder, file))
    while os.path.isdir(folder):  # until the test's own directory is gone
        time.sleep(1)


main()
