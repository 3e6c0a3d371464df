"""The process that serves the bundle to the nodes of a sandbox."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from provision.errors import PreflightRefused
from provision.sandbox.commands import last_words
from provision.sandbox.overlay import FILES_PORT, REGISTRY_PORT
from provision.sandbox.processes import started_at
from provision.sandbox.record import Sandbox, Server

_START_SECONDS = 15
_STOP_SECONDS = 5
_POLL_SECONDS = 0.05


def start(sandbox: Sandbox) -> Server:
    """Start to serve the sandbox's bundle on its gateway address, in a process that outlives this one.

    Raises PreflightRefused when something else has the ports.
    """
    for port in (FILES_PORT, REGISTRY_PORT):
        if _answers(sandbox.network.gateway, port):
            raise PreflightRefused(
                f"port {port} of {sandbox.network.gateway}, where the bundle is to be served, is in use",
                hint=f"see by what with `ss -ltnp 'sport = :{port}'`",
            )
    argv = [sys.executable, "-m", "provision.bundle.serve", sandbox.bundle, "--address", sandbox.network.gateway]
    with _log(sandbox).open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    return Server(process.pid, started_at(process.pid) or 0)


def wait_serving(sandbox: Sandbox) -> None:
    """Return when the bundle's files and images can be had. Raises PreflightRefused with the server's last words."""
    deadline = time.monotonic() + _START_SECONDS
    while not all(_answers(sandbox.network.gateway, port) for port in (FILES_PORT, REGISTRY_PORT)):
        if not running(sandbox.server) or time.monotonic() > deadline:
            stop(sandbox.server)
            raise PreflightRefused(
                f"the bundle is not served: {last_words(_log(sandbox).read_text(errors='replace'))}",
                hint=f"provision bundle verify --directory {sandbox.bundle}",
            )
        time.sleep(_POLL_SECONDS)


def running(server: Server | None) -> bool:
    """Whether exactly that process is alive."""
    return server is not None and started_at(server.pid) == server.started


def stop(server: Server | None) -> None:
    """End exactly that process and what it started; does nothing when it is gone."""
    if server is None or not running(server):
        return
    os.kill(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while running(server) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    if running(server):
        # It leads a session of its own, made by `start`: the group is it and its children.
        os.killpg(server.pid, signal.SIGKILL)


def _log(sandbox: Sandbox) -> Path:
    return sandbox.directory / "bundle-serve.log"


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
