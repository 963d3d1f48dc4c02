"""A file server on this machine that can be told to misbehave: cut connections, ignore ranges, answer with pages."""

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One address: its bytes, and how it is served.

    `cuts` are the numbers of bytes after which the connection of the first, second, ... download ends.
    """

    content: bytes
    etag: str = '"1"'
    ranges: bool = True
    status: int = 200
    kind: str = "application/octet-stream"
    length: bool = True
    cuts: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._head(self._served(), 200, 0)

    def do_GET(self):
        served = self._served()
        wanted = self.headers.get("Range", "")
        served.asked.append(wanted)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted).group(1)) if wanted else 0
        current = self.headers.get("If-Range") in (None, served.etag)
        partial = bool(wanted) and served.ranges and current
        start = start if partial else 0
        if partial and start >= len(served.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(served.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if not self._head(served, 206 if partial else 200, start):
            return
        rest = served.content[start:]
        if served.cuts:
            rest = rest[: served.cuts.pop(0)]
            self.close_connection = True
        self.wfile.write(rest)
        if not served.length:
            self.close_connection = True

    def _served(self) -> Served:
        return self.server.files.get(self.path.lstrip("/"), Served(b"no such file", status=404))

    def _head(self, served: Served, status: int, start: int) -> bool:
        status = status if served.status == 200 else served.status
        self.send_response(status)
        self.send_header("Content-Type", served.kind)
        if served.etag:
            self.send_header("ETag", served.etag)
        if status == 206:
            end = len(served.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if served.length:
            self.send_header("Content-Length", str(len(served.content) - start if status < 300 else 0))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        return status < 300

    def log_message(self, *_):
        pass


@contextmanager
def file_server():
    """Yields `(files, address)`: put `Served` under names into `files`; `address(name)` is the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.files = {}
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.files, lambda name: f"http://127.0.0.1:{server.server_port}/{name}"
    finally:
        server.shutdown()
        server.server_close()
