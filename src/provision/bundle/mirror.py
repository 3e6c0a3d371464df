"""The `mirror` source: a bundle copied from where another one is served, file by file, each checked."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from provision.bundle import fetch, manifest
from provision.bundle.fetch import Download
from provision.bundle.manifest import Manifest
from provision.bundle.plan import Progress
from provision.errors import UsageError


def copy(url: str, directory: Path, progress: Progress) -> Manifest:
    """Copies the bundle at `url` (what `bundle serve` prints). Raises UsageError without one."""
    if not url:
        raise UsageError("the source `mirror` needs the address of a mirror", hint="--mirror-url http://HOST:8080")
    base = url.rstrip("/")
    content = fetch.read(f"{base}/{manifest.NAME}").content
    found = manifest.parse(content.decode(errors="replace"), f"{base}/{manifest.NAME}")
    with progress(f"Copying from {base}", unit="bytes") as bars:
        fetch.fetch_all(
            (
                Download(f"{base}/{quote(path)}", directory / path, entry.sha256, entry.size)
                for path, entry in found.files.items()
            ),
            bars,
        )
    manifest.prune(directory, {directory / path for path in found.files})
    found.write(directory)
    return found
