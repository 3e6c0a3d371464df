"""Sites for the tests of the settings: fixtures, and small ones written on the spot."""

from __future__ import annotations

from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "sites"

_HOSTS = """[kube_control_plane]
cp1 ansible_host=192.0.2.11

[etcd:children]
kube_control_plane

[kube_node]
node1 ansible_host=192.0.2.21
"""


def write_site(directory: Path, variables: str = "", files: dict[str, str] | None = None, hosts: str = _HOSTS) -> Path:
    """A site of one control plane and one worker, with `[all:vars]` and further files beside it."""
    for name, text in (files or {}).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    site = directory / "site.ini"
    site.write_text(f"{hosts}\n[all:vars]\n{variables}\n")
    return site
