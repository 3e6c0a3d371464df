"""Where the project's own files and the operator's state are."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from provision.errors import ProvisionError

_MARKS = ("playbooks", "groups.yml")


@cache
def project_root() -> Path:
    """The directory that holds playbooks/, roles/, plugins/, group_vars/ and groups.yml.

    The checkout when the package runs from one, else the copy that a wheel carries as package data.
    Raises ProvisionError when neither is complete.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package.parent.parent, package / "_project"):
        if all((candidate / mark).exists() for mark in _MARKS):
            return candidate
    raise ProvisionError(
        f"the installation is incomplete: {' and '.join(_MARKS)} are not in {package / '_project'}",
        hint="install the package again, or run it from a complete clone",
    )


def playbook(stem: str) -> Path:
    """The playbook of a workflow: `playbooks/<stem>.yml`."""
    return project_root() / "playbooks" / f"{stem}.yml"


def groups_file() -> Path:
    """The group hierarchy, always the first inventory source."""
    return project_root() / "groups.yml"


def state_home() -> Path:
    """Runs, locks and sandboxes: $PROVISION_STATE_DIR, $XDG_STATE_HOME/provision or ~/.local/state/provision."""
    return _home("PROVISION_STATE_DIR", "XDG_STATE_HOME", ".local/state")


def cache_home() -> Path:
    """What can be fetched or built again: $PROVISION_CACHE_DIR, $XDG_CACHE_HOME/provision or ~/.cache/provision."""
    return _home("PROVISION_CACHE_DIR", "XDG_CACHE_HOME", ".cache")


def _home(own: str, xdg: str, default: str) -> Path:
    if value := os.environ.get(own):
        return Path(value).expanduser().absolute()
    base = os.environ.get(xdg)
    return (Path(base).expanduser() if base else Path.home() / default).absolute() / "provision"
