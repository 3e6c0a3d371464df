"""Serves a bundle: files and packages over HTTP, images through a real registry, both read-only.

`python -m provision.bundle.serve DIRECTORY` does it until SIGTERM; `Server` is the same for other code.
"""

from __future__ import annotations

import argparse
import errno
import json
import posixpath
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from provision.bundle import manifest, programs
from provision.bundle.files import Digest
from provision.bundle.manifest import Manifest
from provision.errors import PreflightRefused, ProvisionError

HTTP_PORT = 8080
REGISTRY_PORT = 5000
_START_TIMEOUT_S = 15
_POLL_S = 0.05
"""How often the HTTP server looks whether it shall end, so how long `stop` may wait for it."""


class _Content:
    """What may be served: the files of the manifest. A bundle that is made anew below us is noticed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._stamp = -1
        self._manifest: Manifest
        self._current()

    def find(self, name: str) -> tuple[Path, Digest | None] | None:
        """The file for an address, or None for everything that the manifest does not name."""
        current = self._current()
        if name == manifest.NAME:
            return self.directory / name, None
        entry = current.files.get(name)
        return (self.directory / name, entry) if entry else None

    def _current(self) -> Manifest:
        with self._lock:
            try:
                stamp = (self.directory / manifest.NAME).stat().st_mtime_ns
            except OSError:
                stamp = 0
            if stamp != self._stamp:
                self._manifest = manifest.load(self.directory)
                self._stamp = stamp
            return self._manifest


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD with ranges; clients keep their connection."""

    protocol_version = "HTTP/1.1"
    server_version = "provision"
    sys_version = ""
    content: _Content

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: four nodes ask for the same thirty files."""

    def _answer(self, *, body: bool) -> None:
        try:
            # apt asks for "./Release" in a flat repository. Names that leave the bundle are in no manifest.
            found = self.content.find(posixpath.normpath(unquote(urlsplit(self.path).path)).lstrip("/"))
        except ProvisionError as error:
            return self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))
        if not found:
            return self.send_error(HTTPStatus.NOT_FOUND)
        path, wanted = found
        try:
            stream = path.open("rb")
        except OSError as error:
            return self.send_error(HTTPStatus.NOT_FOUND, explain=f"missing from the bundle: {error.strerror}")
        with stream:
            size = path.stat().st_size
            if wanted and size != wanted.size:
                return self.send_error(
                    HTTPStatus.INTERNAL_SERVER_ERROR, explain="damaged: its size is not the manifest's"
                )
            tag = f'"{wanted.sha256}"' if wanted else ""
            start, end, status = self._range(size, tag)
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return self._refuse_range(size)
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(end - start))
            self.send_header("Accept-Ranges", "bytes")
            if tag:
                self.send_header("ETag", tag)
            if status == HTTPStatus.PARTIAL_CONTENT:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            if body and end > start:
                self.wfile.flush()
                self.connection.sendfile(stream, start, end - start)
        return None

    def _refuse_range(self, size: int) -> None:
        self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        self.send_header("Content-Range", f"bytes */{size}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _range(self, size: int, tag: str) -> tuple[int, int, HTTPStatus]:
        """First byte, byte after the last one, and the status of the answer."""
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not found or not any(found.groups()) or (condition and condition != tag):
            return 0, size, HTTPStatus.OK
        if not found[1]:
            start, end = max(size - int(found[2]), 0), size
        else:
            start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if start >= end:
            return 0, 0, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        return start, end, HTTPStatus.PARTIAL_CONTENT


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event."""


@dataclass
class Server:
    """Offers a bundle's directory on one address. `start` and `stop` it, or use it as a context manager."""

    directory: Path
    address: str = "127.0.0.1"
    http_port: int = HTTP_PORT
    registry_port: int = REGISTRY_PORT

    def __post_init__(self) -> None:
        self._http: _HttpServer | None = None
        self._registry: subprocess.Popen[bytes] | None = None
        self._scratch = ""

    @property
    def url(self) -> str:
        """Where files and packages are: the setting `cluster_mirror_url`."""
        return f"http://{_bracketed(self.address)}:{self.http_port}"

    @property
    def registry(self) -> str:
        """Where images are: the setting `cluster_mirror_registry`."""
        return f"{_bracketed(self.address)}:{self.registry_port}"

    def start(self) -> None:
        """Returns when both answer. Raises InvalidInput (no bundle) or PreflightRefused (port in use, no registry)."""
        content = _Content(self.directory.absolute())
        program = registry_program()
        if not program:
            raise programs.missing("docker-registry")
        for port in (self.http_port, self.registry_port):
            _require_free(self.address, port)
        try:
            self._start_registry(program)
            handler = type("Handler", (_Handler,), {"content": content})
            self._http = _HttpServer((self.address, self.http_port), handler)
            threading.Thread(target=self._http.serve_forever, args=(_POLL_S,), name="bundle-http", daemon=True).start()
            self._wait_for_registry()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends both; quiet when they are not running."""
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        if self._registry:
            self._registry.terminate()
            try:
                self._registry.wait(5)
            except subprocess.TimeoutExpired:
                self._registry.kill()
                self._registry.wait()
            self._registry = None
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def failed(self) -> str:
        """Why it no longer serves, or an empty text while it does."""
        if self._registry and self._registry.poll() is not None:
            return f"the registry ended (exit {self._registry.returncode}): {self._registry_words()}"
        return ""

    def _start_registry(self, program: str) -> None:
        self._scratch = tempfile.mkdtemp(prefix="provision-registry-")
        config = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.directory.absolute() / "images")},
                "cache": {"blobdescriptor": "inmemory"},
                "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}},
            },
            "http": {"addr": self.registry, "secret": secrets.token_hex(16)},
        }
        path = Path(self._scratch, "config.yml")
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        with Path(self._scratch, "log").open("wb") as log:
            self._registry = subprocess.Popen(
                [program, "serve", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def _wait_for_registry(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if reason := self.failed():
                raise PreflightRefused(reason)
            try:
                socket.create_connection((self.address, self.registry_port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise PreflightRefused(f"the registry does not answer on {self.registry}: {self._registry_words()}")

    def _registry_words(self) -> str:
        lines = Path(self._scratch, "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-5:])


def registry_program() -> str | None:
    """The registry that serves the images: Debian's docker-registry or distribution's own `registry`."""
    return shutil.which("docker-registry") or shutil.which("registry")


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _require_free(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            hint = "stop what uses the port, or choose another with --http-port and --registry-port"
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                hint = "give one of this machine's own addresses with --address"
            raise PreflightRefused(f"cannot serve on {address} port {port}: {error.strerror}", hint=hint) from error


def run(server: Server) -> int:
    """Serves until SIGTERM or Ctrl-C (0), or until the registry fails (1); prints the addresses when it is ready."""
    received: list[int] = []  # not an Event: its lock could be held when the signal comes
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: received.append(number))
    with server:
        print(f"files and packages: {server.url}", flush=True)  # noqa: T201
        print(f"images: {server.registry}", flush=True)  # noqa: T201
        while not received:
            time.sleep(0.2)
            # Ctrl-C reaches the registry too: that it ended is no failure then.
            if (reason := server.failed()) and not received:
                print(reason, file=sys.stderr)  # noqa: T201
                return 1
    return 0


def main() -> int:
    """The command line of `python -m provision.bundle.serve`."""
    parser = argparse.ArgumentParser(prog="python -m provision.bundle.serve", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--http-port", type=int, default=HTTP_PORT)
    parser.add_argument("--registry-port", type=int, default=REGISTRY_PORT)
    options = parser.parse_args()
    try:
        return run(Server(options.directory, options.address, options.http_port, options.registry_port))
    except ProvisionError as error:
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        print(f"error: {error}{hint}", file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
