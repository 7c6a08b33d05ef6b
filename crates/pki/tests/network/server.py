"""Serves a folder with the manners of good and bad servers, by the first part of the path. Prints its port."""

import hashlib
import http.server
import os
import ssl
import sys
import time
import urllib.parse

FOLDER, CERTIFICATE, KEY = (sys.argv[1:] + [None, None])[:3]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, status):
        with open(os.path.join(FOLDER, "requests.log"), "a") as log:
            log.write(f"{self.command} {self.path} {status}\n")

    def reply(self, status, body=b"", **fields):
        self.note(status)
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 304:
            self.send_header("Content-Length", fields.pop("length", len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self):
        manner, _, rest = self.path[1:].partition("/")
        file = os.path.join(FOLDER, urllib.parse.unquote(rest.split("/")[0]))
        body = open(file, "rb").read() if rest and os.path.isfile(file) else b""
        if manner == "plain":
            modified = self.date_time_string(int(os.path.getmtime(file))) if body else None
            if not body:
                self.reply(404, b"no such file")
            elif self.headers.get("If-Modified-Since") == modified:
                self.reply(304)
            else:
                self.reply(200, body, Last_Modified=modified)
        elif manner == "etag":
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == etag:
                self.reply(304)
            else:
                self.reply(200, body, ETag=etag)
        elif manner == "to":
            self.reply(302, Location=urllib.parse.unquote(rest))
        elif manner == "hops":
            count, _, name = rest.partition("/")
            self.reply(302, Location=f"/hops/{int(count) - 1}/{name}" if int(count) else f"/plain/{name}")
        elif manner == "truncated":
            self.note("truncated")
            self.send_response(200)
            self.send_header("Content-Length", len(body))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif manner == "chunked":
            self.note("chunked")
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 100):
                part = body[at : at + 100]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        elif manner == "drip":
            self.note("drip")
            self.send_response(200)
            self.send_header("Content-Length", 60000)
            self.end_headers()
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
        elif manner == "endless":
            self.note("endless")
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 65536)
        elif manner == "silent":
            self.note("silent")
            self.connection.recv(1)
        elif manner == "gzip":
            self.reply(200, body, Content_Encoding="gzip")
        else:
            self.reply(int(manner) if manner.isdigit() else 404, b"as it was asked for")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # Clients that go away are what is tested.


server = Server(("127.0.0.1", 0), Handler)
if CERTIFICATE:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
