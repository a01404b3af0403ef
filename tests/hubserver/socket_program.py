"""A program of a Space that speaks web sockets with nothing but the standard library."""

from __future__ import annotations

__all__ = ["PROGRAM"]

#: an echo by RFC 6455 on the standard library; "/flood" sends without reading, "/no" refuses, "/away" goes away
PROGRAM = """
import base64, hashlib, http.server, json, os, struct

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() != "websocket" or self.path.endswith("/no"):
            data = b"no socket"
            self.send_response(403 if self.path.endswith("/no") else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("Set-Cookie", "enfold-hub=stolen; Path=/")
        self.end_headers()
        said = {"path": self.path, "headers": dict(self.headers.items()), "uid": os.getuid()}
        self.send(1, json.dumps(said).encode())
        self.close_connection = True
        if self.path == "/away":
            return
        if self.path == "/flood":
            for number in range(200):
                self.send(2, bytes([number]) * 50_000)
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            size = head[1] & 127
            if size > 125:
                size = int.from_bytes(self.rfile.read(2 if size == 126 else 8), "big")
            mask = self.rfile.read(4)
            data = bytearray(self.rfile.read(size))
            for place in range(4):
                data[place::4] = data[place::4].translate(bytes(value ^ mask[place] for value in range(256)))
            self.send(head[0] & 15, bytes(data))
            if head[0] & 15 == 8:
                return

    def send(self, kind, data):
        size = len(data)
        head = bytes([128 | kind, min(size, 126 if size < 65536 else 127)])
        head += struct.pack("!H" if size < 65536 else "!Q", size) if size > 125 else b""
        self.wfile.write(head + data)

    def log_message(self, *words): pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["GRADIO_SERVER_PORT"])), Answer).serve_forever()
"""
