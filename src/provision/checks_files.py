"""What must be true of the files that a site names: ssh keys, the bundle, and the mirror that serves it."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from provision import catalog, material, s3
from provision.errors import InvalidInput, Location
from provision.inventory import Site
from provision.inventory_reader import ENCRYPTED
from provision.paths import cache_home

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


def bundle_and_mirror(site: Site) -> Problems:
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
        else:
            yield from _lacking(site, path)
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


def _lacking(site: Site, bundle: Path) -> Problems:
    """The bundle is for the site's Kubernetes version, and has what its network provider needs."""
    known, version = catalog.load(), str(site.setting("cluster_version"))
    provider, location = str(site.setting("cluster_network_provider")), site.location_of("cluster_bundle")
    extra = (provider,) if provider in known.optional else ()
    command = f"provision bundle create --version {version}" + "".join(f" --with {name}" for name in extra)
    try:
        held = material.manifest(str(bundle)) or {}
    except ValueError:
        yield InvalidInput(f"cluster_bundle: {bundle}/manifest.json is damaged", hint=command, location=location)
        return
    if version not in known.known_versions():
        return  # that is reported already
    if (holds := held.get("kubernetes")) != version:
        yield InvalidInput(
            f"cluster_bundle: {bundle} is for Kubernetes {holds}, cluster_version is {version}",
            hint=_other_bundle(site, str(holds), version, command),
            location=location,
        )
    elif missing := _missing(site, known, version, extra, held):
        yield InvalidInput(
            f"cluster_bundle: {bundle} lacks {', '.join(missing[:3])}{' and more' if missing[3:] else ''},"
            f" which the network provider {provider} needs",
            hint=f"{command} --directory {bundle}",
            location=location,
        )


def _other_bundle(site: Site, holds: str, version: str, command: str) -> str:
    """What to do when bundle and site are for different versions; on a sandbox `sandbox up` names the bundle."""
    if site.overlay is None:
        return f"{command}, and name that bundle"
    place = cache_home() / "bundle" / version
    served = f"provision sandbox up -i {site.path} --bundle {place}"
    return f"{'' if place.exists() else command + ', then '}{served}; or set cluster_version to {holds}"


def _missing(
    site: Site, known: catalog.Catalog, version: str, extra: tuple[str, ...], held: material.Manifest
) -> list[str]:
    own = site.setting("network_chart_artifacts")
    given = {*held.get("artifacts", {}), *(own if isinstance(own, dict) else ())}
    brought = {part.name for part in known.components(version)}
    needed = [part for part in known.components(version, extra) if part.name not in brought]
    files = [part.name for part in needed if part.has_artifact and part.name not in given]
    images = [image.ref for part in needed for image in part.images if image.ref not in held.get("images", {})]
    return files + images


def object_storage(site: Site) -> Problems:
    """Backups can be uploaded with what the site names."""
    values = [str(site.setting(f"backup_s3_{name}") or "") for name in ("url", "region", "credentials")]
    if not values[0] or any(value == ENCRYPTED or "{{" in value for value in values):
        return
    try:
        s3.of_site(site)
    except InvalidInput as error:
        where = site.location_of(error.message.partition(":")[0], "backup_s3_url")
        yield InvalidInput(error.message, hint=error.hint, location=where)


def inventory_twice(site: Site) -> Problems:
    """In an INI file the last of two lines for the same thing wins silently; in YAML Ansible itself refuses them."""
    if site.path.suffix in (".yml", ".yaml", ".json"):
        return
    first: dict[tuple[str, str], tuple[str, int]] = {}
    for owner, name, value, line in _ini_assignments(site.path.read_text(encoding="utf-8")):
        before, at = first.setdefault((owner, name), (value, line))
        if before != value:
            yield InvalidInput(
                f"{name} of {owner} is {value} here and {before} in line {at}",
                hint="keep one of the two lines",
                location=Location(str(site.path), line),
            )


def _ini_assignments(text: str) -> Iterator[tuple[str, str, str, int]]:
    """Owner (`[all:vars]`, or a host), name, value and line of every assignment."""
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = line.partition("]")[0] + "]"
        elif section.endswith(":vars]"):
            name, _, value = line.partition("=")
            yield section, name.strip(), value.partition(" #")[0].strip(), number
        elif not section.endswith(":children]"):
            host, *assignments = shlex.split(line, comments=True)
            for name, _, value in (assignment.partition("=") for assignment in assignments):
                yield host, name, value, number


ALL = (keys, bundle_and_mirror, object_storage, inventory_twice)
