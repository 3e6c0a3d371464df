"""A flat apt repository of a bundle: packages, index and a signature whose key lives only as long as the signing."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from provision.bundle import files, programs
from provision.bundle.debian import Deb

KEY = "provision.asc"
"""The public key beside the index; nodes name it in Signed-By, the manifest has its digest."""


def write(directory: Path, distribution: str, debs: Sequence[Deb]) -> set[Path]:
    """Writes pool/, Packages, Packages.gz, Release, InRelease and the key; what is right already stays as it is.

    Returns the files of the repository.
    """
    unique = {deb.path.name: deb for deb in debs}
    stanzas = [_stanza(directory, unique[name]) for name in sorted(unique)]
    index = "\n".join(stanzas).encode()
    packed = gzip.compress(index, mtime=0)
    for name, content in (("Packages", index), ("Packages.gz", packed)):
        files.write(directory / name, content)
    architectures = sorted({deb.arch for deb in unique.values()} - {"all"})
    body = _release(distribution, architectures, {"Packages": index, "Packages.gz": packed})
    if not _is_signed(directory, body):
        _sign(directory, f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S UTC}\n{body}")
    names = [_pool_name(deb) for deb in unique.values()]
    return {directory / name for name in ("Packages", "Packages.gz", "Release", "InRelease", KEY, *names)}


def _pool_name(deb: Deb) -> str:
    """Without the escaped colon of an epoch, which not every client and server spells the same way in an address."""
    return f"pool/{deb.path.name.replace('%3a', '.')}"


def _stanza(directory: Path, deb: Deb) -> str:
    file_name = _pool_name(deb)
    found = files.copy(deb.path, directory / file_name)
    control = programs.run(["dpkg-deb", "--field", deb.path], what=f"reading {deb.path.name}")
    return f"{control.rstrip()}\nFilename: {file_name}\nSize: {found.size}\nSHA256: {found.sha256}\n"


def _release(distribution: str, architectures: Sequence[str], indexes: dict[str, bytes]) -> str:
    sums = "".join(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in indexes.items())
    return (
        f"Origin: provision\nLabel: provision\nSuite: {distribution}\nArchitectures: {' '.join(architectures)}\n"
        f"SHA256:\n{sums}"
    )


def _is_signed(directory: Path, body: str) -> bool:
    """Whether an earlier run signed exactly this, with the key that is there."""
    try:
        signed = (directory / "InRelease").read_text(encoding="utf-8")
        clear = (directory / "Release").read_text(encoding="utf-8")
    except OSError:
        return False
    if not (directory / KEY).is_file() or clear not in signed or re.sub(r"^Date: .*\n", "", clear) != body:
        return False
    with _keyring() as gpg:
        imported = subprocess.run([*gpg, "--import", directory / KEY], capture_output=True, check=False)
        verified = subprocess.run([*gpg, "--verify", directory / "InRelease"], capture_output=True, check=False)
        return imported.returncode == 0 and verified.returncode == 0


def _sign(directory: Path, release: str) -> None:
    """Signs with a new key; its secret half is gone when this returns, so nobody can sign a second repository."""
    files.write(directory / "Release", release)
    with _keyring() as gpg:
        what = "signing the package repository"
        make_key = ["--passphrase", "", "--quick-generate-key", "provision bundle", "rsa3072", "sign", "never"]
        programs.run([*gpg, *make_key], what=what)
        signed = programs.run(
            [*gpg, "--digest-algo", "SHA512", "--clearsign", "--output", "-", directory / "Release"], what=what
        )
        files.write(directory / "InRelease", signed)
        files.write(directory / KEY, programs.run([*gpg, "--armor", "--export"], what=what))


@contextmanager
def _keyring() -> Iterator[list[str]]:
    """The command gpg with an empty home of its own, and no agent left behind."""
    with tempfile.TemporaryDirectory(prefix="provision-gpg-") as home:
        try:
            yield ["gpg", "--homedir", home, "--batch", "--yes", "--quiet"]
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], capture_output=True, check=False)
