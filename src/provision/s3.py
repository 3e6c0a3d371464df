"""Object storage that backups go to: what is needed to speak to it, and how a backup is brought back from there.

What speaks S3 is `roles/backup/files/s3.py`, the same program that the control planes upload with.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provision import backups, specs
from provision.errors import InvalidInput, PreflightRefused, UsageError
from provision.paths import project_root

if TYPE_CHECKING:
    from provision.inventory import Site

# Nothing that is encoded in a URL, and no name or password in it: it is shown, and signed as it is written.
_URL = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d+)?(/[\w~-][\w.~-]*)+/?", re.ASCII)
_KEYS = ("aws_access_key_id", "aws_secret_access_key")


def told(url: str, region: str, credentials: str) -> dict[str, str]:
    """What the program is told, as url, region, key and secret; `credentials` names a file. Never to be shown.

    Raises InvalidInput for what cannot work; its message begins with the name of the setting.
    """
    if not _URL.fullmatch(url):
        # What is wrong may be a password in it.
        raise InvalidInput("backup_s3_url: this is not the URL of a bucket", hint="write https://HOST/BUCKET/PREFIX")
    if not re.fullmatch(r"[\w-]+", region, re.ASCII):
        raise InvalidInput(f"backup_s3_region: {region!r} is no region", hint="write us-east-1, for example")
    key, secret = _credentials(credentials)
    return {"url": url.rstrip("/"), "region": region, "key": key, "secret": secret}


def of_site(site: Site, url: str = "") -> dict[str, str]:
    """What the program is told for a site; a `url` takes the place of the site's. Raises InvalidInput."""
    region = site.setting("backup_s3_region") or specs.specs()["backup_s3_region"].default
    return told(
        url or str(site.setting("backup_s3_url") or ""), str(region), str(site.setting("backup_s3_credentials") or "")
    )


def _credentials(setting: str) -> tuple[str, str]:
    """The key's name and the secret. No message quotes the file."""
    what = f"backup_s3_credentials: {setting}"
    path = Path(setting).expanduser()
    if not path.is_absolute():
        raise InvalidInput(
            f"{what} is not an absolute path" if setting else f"{what}no file is named",
            hint=f"write {path.absolute()}" if setting else "name a file such as ~/.aws/credentials",
        )
    reader = configparser.RawConfigParser()
    try:
        if not path.is_file():
            raise InvalidInput(f"{what} is not there", hint="name a file such as ~/.aws/credentials")
        if path.stat().st_mode & 0o007:
            raise InvalidInput(f"{what} is open to every user", hint=f"chmod 600 {path}")
        reader.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = str(error.strerror).lower()
        raise InvalidInput(f"{what} cannot be used: {why}", hint="name a file such as ~/.aws/credentials") from None
    except (configparser.Error, ValueError):
        raise InvalidInput(f"{what} is no INI file", hint=f"write [default], and {' and '.join(_KEYS)}") from None
    key, secret = (reader.get("default", name, fallback="") for name in _KEYS)
    if not key or not secret:
        raise InvalidInput(f"{what} lacks {' or '.join(_KEYS)}", hint="write both below [default], as NAME = VALUE")
    if reader.has_option("default", "aws_session_token"):
        raise InvalidInput(f"{what} holds a key that expires", hint="name one with a key that lasts, for backups alone")
    return key, secret


def fetch(url: str, site: Site) -> Path:
    """Bring the backup at `url` to the operator's place for the site's cluster, verified, and return the file.

    Raises UsageError for a URL that names no backup, InvalidInput for the site's credentials, PreflightRefused when it
    cannot be brought.
    """
    parent, _, name = url.rpartition("/")
    if not (name.endswith(".backup") and _URL.fullmatch(url) and _URL.fullmatch(parent)):
        raise UsageError("this is not the URL of a backup", hint="write https://HOST/BUCKET/PREFIX/NAME.backup")
    settings = of_site(site, parent)
    target = backups.home() / str(site.setting("cluster_name")) / name
    try:
        with backups.arriving(target) as part:
            done = subprocess.run(
                [sys.executable, project_root() / "roles/backup/files/s3.py", "get", name, part],
                input=json.dumps(settings),
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
                raise PreflightRefused(
                    f"no backup was fetched: {said[-1]}",
                    hint="correct the URL or backup_s3_credentials; they need the right to GetObject",
                )
    except OSError as error:
        raise PreflightRefused(f"no backup was fetched to {target}: {error}", hint="make room for it") from error
    return target
