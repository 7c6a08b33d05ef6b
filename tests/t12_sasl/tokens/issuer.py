"""An issuer of tokens, as far as mail servers see of one: its keys, and what it says of a token it is asked about.

Both are read from files of the folder it is started in, each time: `keys.json`, and `tokens.json`, claims by token. It prints
its port, and then a line for each request. When its input ends, so does it."""
import base64
import http.server
import json
import os
import ssl
import sys
import threading
import urllib.parse

certificate, key, secret = sys.argv[1:]


class Issuer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("keys.json", "rb") as file:
            self.answer(200 if self.path == "/keys" else 404, file.read())

    def do_POST(self):
        expected = "Basic " + base64.b64encode(f"gateway:{urllib.parse.quote_plus(secret)}".encode()).decode()
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.headers["Authorization"] != expected or self.path != "/introspect":
            return self.answer(401, b"{}")
        with open("tokens.json", "rb") as file:
            claims = json.load(file).get(form["token"][0], {"active": False})
        self.answer(200, json.dumps(claims).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        print(form % values, flush=True)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
