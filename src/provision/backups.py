"""Backups on the operator's machine: whom they are encrypted for, whether they are whole, and what is in them.

The format is written by `roles/backup/files/backup.py`: a tar file of parts, each gzip in CMS (AES-256-GCM), and
`manifest.json` with the SHA-256 of each. What is decrypted stays in memory, except for etcd's snapshot on its way.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from provision.errors import InvalidInput, PreflightRefused
from provision.paths import state_home

FORMAT = "provision-backup/1"
WORD_FROM = "PROVISION_BACKUP_PASSPHRASE"
"""The environment variable with the passphrase of an encrypted key."""
_VALID_DAYS = "36500"
_COPY = 1 << 20


def home() -> Path:
    """Where the operator's backups are, a directory for each cluster's name, and the operator's own key."""
    return state_home() / "backups"


def default_key() -> Path:
    """The operator's own key, which opens the backups of sites that name no recipient."""
    return home() / "key.pem"


def key_at(path: str | Path | None) -> Path:
    """The key at `path`, by default the operator's own."""
    return Path(path).expanduser() if path else default_key()


def recipient(setting: str, *, make: bool) -> str:
    """The certificate (PEM) that backups are encrypted for: the file `setting`, else the operator's own.

    With `make` the operator's own is made when there is none, with its key; else the answer is empty then.
    Raises InvalidInput when the file holds no certificate.
    """
    path = Path(setting).expanduser() if setting else home() / "recipient.pem"
    if not setting and make and not path.exists():
        _make_key(default_key(), path)
    if not path.exists():
        if setting:
            raise InvalidInput(f"backup_recipient: {path} is not there", hint="name a certificate in PEM form")
        return ""
    text = path.read_text(encoding="ascii", errors="replace")
    if "BEGIN CERTIFICATE" not in text:
        raise InvalidInput(f"backup_recipient: {path} holds no certificate")
    if "PRIVATE KEY" in text:
        raise InvalidInput(f"backup_recipient: {path} holds a private key, which must not leave the operator's machine")
    return text


def _make_key(key: Path, certificate: Path) -> None:
    """A key of the operator and its certificate."""
    key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if key.exists():  # a new certificate for it would do as well, but somebody moved one of the two on purpose
        raise InvalidInput(f"{key} is there and {certificate} is not", hint="put the two together again")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-days", _VALID_DAYS),
        *("-subj", "/CN=provision backups", "-keyout", f"{key}", "-out", f"{certificate}"),
    )
    key.chmod(0o600)


def _openssl(*words: str, data: bytes | None = None) -> bytes:
    """What openssl prints. Raises PreflightRefused when it is missing, ValueError with its words when it fails."""
    try:
        done = subprocess.run(["openssl", *words], input=data, capture_output=True, check=False, umask=0o077)
    except FileNotFoundError as error:
        raise PreflightRefused("openssl is not installed on this machine", hint="install openssl") from error
    if done.returncode != 0:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    return done.stdout


@dataclass(frozen=True)
class Part:
    """One encrypted piece of a backup."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Backup:
    """A backup file, as its manifest describes it."""

    path: Path
    manifest: Mapping[str, Any]
    parts: tuple[Part, ...]

    @property
    def cluster(self) -> str:
        """The name of the cluster it is of."""
        return str(self.manifest["cluster"])

    @property
    def authority(self) -> str:
        """The cluster's authority: the SHA-256 of its certificate, in hexadecimal."""
        return str(self.manifest["authority"])

    @property
    def kubernetes(self) -> str:
        """The cluster's Kubernetes version."""
        return str(self.manifest["kubernetes"])

    @property
    def created(self) -> str:
        """When it was made, in UTC as ISO 8601."""
        return str(self.manifest["created"])

    def verify(self) -> None:
        """Compare every part with the manifest. Raises PreflightRefused for what is missing, added or damaged."""
        with tarfile.open(self.path) as archive:
            names = [member.name for member in archive.getmembers()]
            if sorted(names) != sorted([*(part.name for part in self.parts), "manifest.json"]):
                raise _damaged(self.path, "its parts are not those of its manifest")
            for part in self.parts:
                found = hashlib.sha256()
                with _member(archive, part.name) as stream:
                    for data in iter(lambda: stream.read(_COPY), b""):
                        found.update(data)
                if found.hexdigest() != part.sha256:
                    raise _damaged(self.path, f"the digest of {part.name} is {found.hexdigest()[:16]}…, not as written")

    def cluster_files(self, key: Path) -> dict[str, bytes]:
        """{path without leading slash: content} of the cluster's keys and settings.

        Raises PreflightRefused for a wrong key, and when the manifest is not the one that was encrypted along.
        """
        with tarfile.open(fileobj=io.BytesIO(self._opened("cluster", key))) as archive:
            files = {member.name: _member(archive, member.name).read() for member in archive.getmembers()}
        about = {name: value for name, value in self.manifest.items() if name != "parts"}
        if json.loads(files.get("backup.json", b"{}")) != about:
            raise _damaged(self.path, "its manifest was changed after it was made")
        return files

    def snapshot(self, key: Path, target: BinaryIO) -> None:
        """Write etcd's snapshot into `target`; raises PreflightRefused when it is not the one that was backed up."""
        found = hashlib.sha256()
        for part in self.parts:
            if part.name.startswith("etcd."):
                data = self._opened(part.name, key)
                found.update(data)
                target.write(data)
        if found.hexdigest() != self.manifest["snapshot"]["sha256"]:
            raise _damaged(self.path, "etcd's snapshot is not the one that was backed up")

    def _opened(self, name: str, key: Path) -> bytes:
        """A part, decrypted."""
        with tarfile.open(self.path) as archive, _member(archive, name) as stream:
            sealed = stream.read()
        if not key.exists():
            raise PreflightRefused(f"the key {key} is not there", hint="name the key of the recipient with --key")
        # Without a passphrase openssl would ask for one on the terminal, and wait.
        word = ["-passin", f"env:{WORD_FROM}" if WORD_FROM in os.environ else "pass:"]
        try:
            return gzip.decompress(
                _openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", f"{key}", *word, data=sealed)
            )
        except ValueError as error:
            raise PreflightRefused(
                f"{key} does not open {self.path.name}: it is of another recipient, or its passphrase is wrong",
                hint=f"name the right key with --key; a passphrase comes from {WORD_FROM}",
            ) from error


def read(path: Path) -> Backup:
    """The backup at `path`; nothing but its manifest is looked at. Raises PreflightRefused when it is none."""
    if not path.is_file():
        raise PreflightRefused(f"{path} is not there", hint=f"backups are kept in {home()}")
    try:
        with tarfile.open(path) as archive:
            manifest = json.loads(_member(archive, "manifest.json").read())
        parts = tuple(Part(str(part["name"]), int(part["size"]), str(part["sha256"])) for part in manifest["parts"])
        missing = {"cluster", "authority", "kubernetes", "created", "node", "snapshot"} - set(manifest)
    except (tarfile.TarError, ValueError, LookupError, TypeError, EOFError) as error:
        raise _damaged(path, "its manifest cannot be read") from error
    if manifest.get("format") != FORMAT or missing:
        raise _damaged(path, f"its manifest is not of the form {FORMAT}")
    return Backup(path, manifest, parts)


@contextmanager
def arriving(target: Path) -> Iterator[Path]:
    """A file of this user alone for a backup that arrives; once it is verified, it is `target`.

    Raises PreflightRefused when it is not whole, OSError when it cannot be kept.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.touch(mode=0o600)
        yield part
        part.chmod(0o600)
        read(part).verify()
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def private_place() -> Path:
    """A directory of this user alone where what is decrypted waits for its transfer: in memory where there is one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime)
    home().mkdir(mode=0o700, parents=True, exist_ok=True)
    return home()


def known(cluster: str, directory: Path | None = None) -> Iterator[Path]:
    """The backups of a cluster in a directory, by default the operator's, the newest first."""
    found = (directory or home() / cluster).glob(f"{cluster}-*.backup")
    return iter(sorted(found, key=lambda path: path.stem.rsplit("-", 1)[-1], reverse=True))


def _member(archive: tarfile.TarFile, name: str) -> Any:
    """A file in an archive; raises KeyError when it is not there."""
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream


def _damaged(path: Path, why: str) -> PreflightRefused:
    return PreflightRefused(f"{path.name} is damaged: {why}", hint="take another backup; nothing was changed")
