"""The node images: a plain Debian server made of the distribution's packages, built once and kept by its recipe."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from provision import render
from provision.errors import PreflightRefused
from provision.paths import cache_home
from provision.sandbox.apt_sources import sources_for
from provision.sandbox.commands import last_words, run
from provision.sandbox.engine import Engine
from provision.sandbox.locks import locked

SUITE = "trixie"
"""The Debian release of a node when nothing else is asked for."""

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3", "python3-apt"),
    *("apt", "ca-certificates", "openssl", "gpg", "curl", "less", "tzdata", "netbase"),
    *("iproute2", "iputils-ping", "kmod", "procps", "mount", "e2fsprogs"),
)
"""What a bare server has. What a cluster needs beyond this comes from the bundle, as on real machines."""


@dataclass(frozen=True)
class Recipe:
    """How an image is made."""

    name: str
    packages: tuple[str, ...]
    files: tuple[Path, ...]
    """Directories that are copied beside the hook `customize`, which is in the last one."""


def recipe(*, own_kernel: bool) -> Recipe:
    """That of a container node, or of a machine with a kernel of its own."""
    files = Path(str(resources.files("provision.sandbox"))) / "image_files"
    if own_kernel:
        return Recipe("machine", (*PACKAGES, "udev", "linux-image-cloud-amd64"), (files, files / "machine"))
    return Recipe("node", PACKAGES, (files,))


def ensure_image(engine: Engine, suite: str = SUITE) -> str:
    """The reference of the engine's node image of `suite`, built (about a minute) when this machine has it not yet.

    Raises PreflightRefused when it cannot be built.
    """
    wanted = recipe(own_kernel=engine.traits.own_kernel)
    reference = image_reference(suite, wanted)
    if engine.has_image(reference):
        return reference
    with locked(cache_home() / "sandbox" / "image.lock"):
        if not engine.has_image(reference):
            engine.import_image(_root_tar(suite, wanted), reference)
    return reference


def image_reference(suite: str = SUITE, wanted: Recipe | None = None) -> str:
    """The image's name: the same recipe has the same name on every machine."""
    wanted = wanted or recipe(own_kernel=False)
    return f"localhost/provision-{wanted.name}:{suite}-{_digest(suite, wanted)}"


def _digest(suite: str, wanted: Recipe) -> str:
    digest = hashlib.sha256(repr((suite, wanted.packages, os.uname().machine)).encode())
    for directory in wanted.files:
        for file in sorted(directory.iterdir(), key=lambda file: file.name):
            if file.is_file():
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _root_tar(suite: str, wanted: Recipe) -> Path:
    tar = cache_home() / "sandbox" / f"{wanted.name}-{suite}-{_digest(suite, wanted)}.tar"
    if not tar.exists():
        _build(suite, wanted, tar)
    return tar


def _build(suite: str, wanted: Recipe, tar: Path) -> None:
    if not shutil.which("mmdebstrap"):
        raise PreflightRefused(
            "the node image is not built yet, and mmdebstrap, which builds it, is not installed",
            hint="apt-get install mmdebstrap",
        )
    render.info(f"Building the {wanted.name} image (Debian {suite}); this takes about a minute, once")
    sources = "\n".join(source.as_deb822() for source in sources_for(suite))
    with tempfile.TemporaryDirectory(prefix="provision-image-") as work:
        shutil.copytree(wanted.files[0], work, dirs_exist_ok=True)
        hook = Path(work) / wanted.files[-1].relative_to(wanted.files[0]) / "customize"
        hook.chmod(0o755)
        partial = tar.with_name(f".{tar.name}.partial.tar")
        try:
            _mmdebstrap(suite, wanted.packages, sources, hook, partial)
            partial.replace(tar)
        finally:
            partial.unlink(missing_ok=True)


def _mmdebstrap(suite: str, packages: tuple[str, ...], sources: str, hook: Path, tar: Path) -> None:
    argv = [
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"),
        *(f"--aptopt={option}" for option in _apt_options()),
        *(f"--customize-hook={hook}", suite, str(tar), "-"),
    ]
    # A kernel that is started without an initial file system needs none made.
    environment = {**os.environ, "INITRD": "No"}
    done = subprocess.run(argv, input=sources, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise PreflightRefused(
            f"the node image could not be built: {last_words(done.stderr)}",
            hint="check the package sources of this machine with `apt-get update`",
        )


def _apt_options() -> list[str]:
    """How this machine reaches its package sources: mmdebstrap does not read its apt configuration by itself."""
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-")
    lines = run(["apt-config", "dump"]).splitlines()
    return [line.removesuffix(";") for line in lines if line.startswith(wanted) and not line.endswith('"";')]
