"""Small servers and quiet progress for the bundle's tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Bars:
    """Progress that remembers."""

    notes: list[tuple[str, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def start(self, name: str, total: float | None = None) -> int:
        self.names.append(name)
        return len(self.names) - 1

    def advance(self, handle: int, amount: float = 1) -> None:
        pass

    def finish(self, handle: int, note: str = "") -> None:
        self.notes.append((self.names[handle], note))


@contextmanager
def quiet(title: str, *, unit: str = "items") -> Iterator[Bars]:
    yield Bars()


@dataclass
class Site:
    """A web site whose answers a test decides; it remembers what it was asked."""

    url: str
    asked: list[tuple[str, dict[str, str]]]


@contextmanager
def site(answer: Callable[[Any], None]) -> Iterator[Site]:
    """Serves on a free port of this machine; `answer` gets the request handler of each GET."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield Site(f"http://127.0.0.1:{server.server_port}", asked)
        finally:
            server.shutdown()


def send(handler: Any, content: bytes, status: int = 200, **headers: str) -> None:
    """A complete answer; underscores in header names become hyphens."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(content)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def send_range(handler: Any, content: bytes) -> None:
    """An answer that honours `Range: bytes=N-`."""
    wanted = handler.headers.get("Range", "")
    start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
    if start >= len(content):
        return send(handler, b"", 416)
    return send(handler, content[start:], 206 if wanted else 200)
