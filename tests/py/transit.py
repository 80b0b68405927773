"""A service with the HTTP API of Vault's transit engine, over TLS: encrypt and decrypt with a key that it keeps, and rotation of it.

It stands for a Vault in tests (Vault itself is in no package registry): requests, answers and refusals have the shapes of Vault's documentation.
The wrapping is HMAC-SHA256 as a stream cipher and as a tag.

Usage: transit.py CERTIFICATE KEY PORT-FILE TOKEN
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import ssl
import sys

CERTIFICATE, KEY, PORT_FILE, TOKEN = sys.argv[1:]
KEYS = [os.urandom(32)]
state = {"sealed": False}


def stream(key, nonce, length):
    blocks = (hmac.new(key, b"stream" + nonce + bytes([i]), hashlib.sha256).digest() for i in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def encrypt(plain):
    key, nonce = KEYS[-1], os.urandom(12)
    body = bytes(a ^ b for a, b in zip(plain, stream(key, nonce, len(plain))))
    tag = hmac.new(key, b"tag" + nonce + body, hashlib.sha256).digest()
    return f"vault:v{len(KEYS)}:" + base64.b64encode(nonce + tag + body).decode()


def decrypt(text):
    _, version, body = text.split(":")
    key, raw = KEYS[int(version[1:]) - 1], base64.b64decode(body)
    nonce, tag, body = raw[:12], raw[12:44], raw[44:]
    if not hmac.compare_digest(tag, hmac.new(key, b"tag" + nonce + body, hashlib.sha256).digest()):
        raise ValueError("cipher: message authentication failed")
    return bytes(a ^ b for a, b in zip(body, stream(key, nonce, len(body))))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
        if self.path.startswith("/test/"):
            if self.path == "/test/rotate":
                KEYS.append(os.urandom(32))
            else:
                state["sealed"] = self.path == "/test/seal"
            return self.answer(200, {})
        if state["sealed"]:
            return self.answer(503, {"errors": ["Vault is sealed"]})
        if self.headers.get("x-vault-token") != TOKEN:
            return self.answer(403, {"errors": ["permission denied"]})
        try:
            if self.path == "/v1/transit/encrypt/lakegate":
                return self.answer(200, {"data": {"ciphertext": encrypt(base64.b64decode(body["plaintext"]))}})
            if self.path == "/v1/transit/decrypt/lakegate":
                return self.answer(200, {"data": {"plaintext": base64.b64encode(decrypt(body["ciphertext"])).decode()}})
        except (ValueError, IndexError, KeyError) as error:
            return self.answer(400, {"errors": [str(error)]})
        self.answer(404, {"errors": ["no handler for route"]})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(PORT_FILE + ".new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(PORT_FILE + ".new", PORT_FILE)
server.serve_forever()
