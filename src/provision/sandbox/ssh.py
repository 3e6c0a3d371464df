"""How the machine talks to its nodes: with the sandbox's own key and host keys, and no other configuration."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from provision.errors import HostUnreachable
from provision.sandbox.commands import last_words
from provision.sandbox.record import Node, Sandbox

_POLL_SECONDS = 0.05
_SLOW_SECONDS = 20


def common_options(sandbox: Sandbox) -> list[str]:
    """The options of ssh that make it trust this sandbox's nodes and nothing else, and ignore the user's settings."""
    return [
        *("-F", "/dev/null"),
        *("-o", f"UserKnownHostsFile={sandbox.known_hosts}"),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "IdentitiesOnly=yes"),
    ]


def command(sandbox: Sandbox, node: Node, remote: Sequence[str] = ()) -> list[str]:
    """The command line of ssh to a node, as root."""
    return [
        "ssh",
        *common_options(sandbox),
        "-i",
        str(sandbox.key),
        "-l",
        "root",
        node.address,
        *(["--", *remote] if remote else []),
    ]


def connections(sandbox: Sandbox) -> Path:
    """Where Ansible keeps the sockets of open connections: a later sandbox must not meet those of this one.

    Not beside the record, because the path of a socket must be short.
    """
    return Path("/run/provision") / sandbox.name


def close_connections(sandbox: Sandbox) -> None:
    """End the connections that Ansible left open for its next run."""
    home = connections(sandbox)
    for path in home.iterdir() if home.is_dir() else []:
        argv = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={path}", "-O", "exit", sandbox.name]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    shutil.rmtree(home, ignore_errors=True)


def wait_booted(sandbox: Sandbox, node: Node, *, timeout: float, console: str) -> str:
    """Wait until the node lets us in and its systemd has started everything; returns the state systemd is in.

    Raises HostUnreachable after `timeout` seconds, which names the command `console`.
    """
    try:
        return _booted(sandbox, node, time.monotonic() + timeout)
    except _Silent as why:
        raise HostUnreachable(
            f"the sandbox node {node.name} ({node.address}) does not answer ssh: {why}",
            hint=f"see what it says with `{console}`, then run `provision sandbox down` and `up` again",
        ) from why


class _Silent(Exception):
    """Why a node does not answer."""


def _booted(sandbox: Sandbox, node: Node, deadline: float) -> str:
    _wait_banner(node, deadline)
    argv = command(sandbox, node, ["systemctl", "is-system-running", "--wait"])
    argv[1:1] = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={_SLOW_SECONDS}"]
    try:
        left = max(1.0, deadline - time.monotonic())
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=left, check=False)
    except subprocess.TimeoutExpired as error:
        raise _Silent("it still starts") from error
    if done.returncode == 255:
        raise _Silent(last_words(done.stderr))
    return done.stdout.strip()


def _wait_banner(node: Node, deadline: float) -> None:
    """Wait until something at port 22 of the node greets as ssh does."""
    why = "no connection"
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((node.address, 22), timeout=1) as connection:
                # A slow machine greets late, and each connection that is given up makes it slower.
                connection.settimeout(_SLOW_SECONDS)
                if connection.recv(4) == b"SSH-":
                    return
                why = "port 22 is not ssh"
        except OSError as error:
            why = str(error)
        time.sleep(_POLL_SECONDS)
    raise _Silent(why)
