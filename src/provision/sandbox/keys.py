"""The ssh keys of a sandbox: made for it, known before the first connection, never near the operator's own."""

from __future__ import annotations

from pathlib import Path

from provision.sandbox.commands import run
from provision.sandbox.record import Node, Sandbox


def make_keys(sandbox: Sandbox) -> None:
    """Make what is missing of the client's and the nodes' keys, and write known_hosts from the latter.

    Raises PreflightRefused when ssh-keygen is missing or fails.
    """
    _ensure(sandbox.key, f"sandbox {sandbox.name}")
    lines = [_make_identity(sandbox, node) for node in sandbox.nodes]
    sandbox.known_hosts.write_text("".join(lines))


def identity(sandbox: Sandbox, node: Node) -> Path:
    """The directory that the node sees as /etc/sandbox."""
    return sandbox.directory / "nodes" / node.container


def _make_identity(sandbox: Sandbox, node: Node) -> str:
    """Fill the node's identity directory; returns its line of known_hosts."""
    home = identity(sandbox, node)
    home.mkdir(parents=True, exist_ok=True)
    host_key = home / "ssh_host_ed25519_key"
    _ensure(host_key, node.container)
    (home / "authorized_keys").write_text(_public(sandbox.key).read_text())
    prefix = sandbox.network.subnet.partition("/")[2]
    place = {"NAME": node.name.lower(), "ADDRESS": f"{node.address}/{prefix}", "GATEWAY": sandbox.network.gateway}
    (home / "network").write_text("".join(f"{key}={value}\n" for key, value in place.items()))
    kind, key = _public(host_key).read_text().split()[:2]
    return f"{node.address} {kind} {key}\n"


def _ensure(path: Path, comment: str) -> None:
    if not path.exists():
        run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
            hint="apt-get install openssh-client",
        )


def _public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")
