"""What must be true of the files that a site names: ssh keys, the bundle, and the mirror that serves it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from provision.errors import InvalidInput
from provision.inventory import Site

Problems = Iterator[InvalidInput]


def keys(site: Site) -> Problems:
    """The ssh keys that the inventory names can be used."""
    seen: set[str] = set()
    for host in site.hosts:
        for name in ("ansible_ssh_private_key_file", "ansible_private_key_file"):
            value = host.vars.get(name)
            if not isinstance(value, str) or not value or value in seen or "{{" in value:
                continue
            seen.add(value)
            if mistake := _key_mistake(Path(value).expanduser()):
                reason, hint = mistake
                yield InvalidInput(f"the ssh key {value} {reason}", hint=hint, location=host.location_of(name))


def _key_mistake(file: Path) -> tuple[str, str] | None:
    try:
        status = file.stat()
    except OSError as error:
        return (
            f"cannot be used: {str(error.strerror).lower()}",
            "correct the path; a relative one starts at your working directory",
        )
    if not stat.S_ISREG(status.st_mode):
        return "is not a file", "give the path of the private key"
    # Root reads a file without any permission, ssh started by another user does not.
    if not status.st_mode & 0o400 or not os.access(file, os.R_OK):
        return "cannot be read", f"chmod 600 {file}"
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        return "is open to other users, ssh refuses it", f"chmod 600 {file}"
    with file.open("rb") as opened:
        start = opened.read(64)
    if b"-----BEGIN " not in start:
        return (
            "is not a private key",
            f"give {file.with_suffix('')}" if file.suffix == ".pub" else "give the path of the private key",
        )
    return None


def material(site: Site) -> Problems:
    """The bundle is there, and the mirror is said completely."""
    bundle = str(site.setting("cluster_bundle") or "")
    if bundle:
        path = Path(bundle).expanduser()
        location = site.location_of("cluster_bundle")
        if not path.is_absolute():
            yield InvalidInput(
                f"cluster_bundle: {bundle} is not an absolute path", hint=f"write {path.absolute()}", location=location
            )
        elif not (path / "manifest.json").is_file():
            what = "is not a bundle: it has no manifest.json" if path.is_dir() else "does not exist"
            yield InvalidInput(f"cluster_bundle: {bundle} {what}", hint="provision bundle create", location=location)
    for setting in ("cluster_mirror_url", "cluster_mirror_registry"):
        if bool(site.setting(setting)) is not bool(bundle):
            missing, given = (setting, "cluster_bundle") if bundle else ("cluster_bundle", setting)
            yield InvalidInput(
                f"{given} needs {missing}",
                hint="nodes fetch what the bundle names from its mirror: set both, and cluster_mirror_registry",
                location=site.location_of(given),
            )
            break
    url = str(site.setting("cluster_mirror_url") or "")
    if url and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", url):
        yield InvalidInput(
            f"cluster_mirror_url: {url!r} is not a URL",
            hint="write http://HOST:PORT",
            location=site.location_of("cluster_mirror_url"),
        )
    registry = str(site.setting("cluster_mirror_registry") or "")
    if "/" in registry:
        yield InvalidInput(
            f"cluster_mirror_registry: {registry!r} is not HOST:PORT",
            hint=f"write {re.sub(r'^[a-z]+://|/.*$', '', registry)}",
            location=site.location_of("cluster_mirror_registry"),
        )


ALL = (keys, material)
