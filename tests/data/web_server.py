"""A web server with ranges, and with faults on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[[str, int], object]  # of (path, nth request): a status, "cut", "alter", "stall", or None


class WebServer(ThreadingHTTPServer):
    """Serves `files`; `fault(path, nth)` may spoil the nth request of a path.

    Attributes:
        requests: (path, Range) in the order of their arrival.
        ranges: whether ranges are answered.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.requests: list[tuple[str, str]] = []
        self.headers: dict[str, dict[str, str]] = {}  # by path
        self.ranges = True
        self.version = '"1"'
        self.fault: Fault = lambda path, nth: None
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""

    def sent(self, path: str) -> list[str]:
        """The ranges that were asked of a path."""
        return [asked for each, asked in self.requests if each == path]


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, asked = self.path, self.headers.get("Range", "")
        with self.server.lock:
            self.server.requests.append((path, asked))
            nth = len(self.server.sent(path))
        fault = self.server.fault(path, nth)
        content = self.server.files.get(path.partition("?")[0])
        if isinstance(fault, int) or content is None:
            refusal = self.server.headers.get(path, {}) if fault else {}
            self._answer(fault if isinstance(fault, int) else 404, refusal, b"")
            return
        headers = {"ETag": self.server.version} if self.server.version else {}
        headers |= self.server.headers.get(path, {})
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        current = self.headers.get("If-Range", self.server.version) == self.server.version
        if match and self.server.ranges and current and content:
            first, last = int(match[1]), min(int(match[2]), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self._answer(206, headers, content[first : last + 1], fault)
        else:
            self._answer(200, headers, content, fault)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, fault: object = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "alter":
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault in ("cut", "stall"):
            self.wfile.write(body[: len(body) // 2])
            if fault == "stall":
                self.server.ended.wait(60)
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[WebServer]:
    """A server of these files, by their paths."""
    server = WebServer(files)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
