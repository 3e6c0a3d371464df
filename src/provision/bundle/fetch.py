"""Downloads: resumed where they stopped, checked before they count, several at a time."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from provision.bundle import files
from provision.errors import HostUnreachable, InvalidInput, PreflightRefused, ProvisionError
from provision.render import Bars

_AT_A_TIME = 6
_ATTEMPTS = 4
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Download:
    """One file to fetch. `size` in bytes, when it is known, is for progress and quick checks."""

    url: str
    path: Path
    sha256: str
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    """What progress calls it; the file's name by default."""

    @property
    def part(self) -> Path:
        """The unfinished download; a later run goes on with it."""
        return self.path.with_name(f"{self.path.name}.part")


def fetch_all(downloads: Iterable[Download], bars: Bars) -> None:
    """Fetches what is not there yet. Raises HostUnreachable or PreflightRefused that names every file that failed."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        results = [pool.submit(fetch, download, bars) for download in downloads]
    failures = [failure for result in results if (failure := result.exception())]
    if others := [failure for failure in failures if not isinstance(failure, ProvisionError)]:
        raise others[0]
    if failures:
        # Damage weighs more than an address that does not answer: trying again does not mend it.
        unreachable = all(isinstance(failure, HostUnreachable) for failure in failures)
        kind = HostUnreachable if unreachable else PreflightRefused
        raise kind(
            f"{len(failures)} of {len(results)} downloads failed:\n"
            + "\n".join(f"  {failure}" for failure in failures),
            hint="run the same command again: it goes on where it stopped",
        )


def fetch(download: Download, bars: Bars) -> None:
    """Fetches one file. Raises HostUnreachable when it stays away, PreflightRefused when it is not what it must be."""
    bar = bars.start(download.label or download.path.name, download.size)
    if files.matches(download.path, download.sha256, download.size):
        bars.finish(bar, "there already")
        return
    download.path.parent.mkdir(parents=True, exist_ok=True)
    _retry(lambda: _transfer(download, lambda count: bars.advance(bar, count)), download.url)
    found = files.digest(download.part)
    if found.sha256 != download.sha256:
        download.part.unlink()
        bars.finish(bar, "damaged")
        raise PreflightRefused(
            f"{download.path.name} from {download.url} is damaged: SHA-256 {found.sha256}, expected {download.sha256}"
        )
    download.part.replace(download.path)
    bars.finish(bar)


@dataclass(frozen=True)
class Answer:
    """A small document: content, status, and headers with their names in lower case."""

    content: bytes
    status: int
    headers: Mapping[str, str]


def read(url: str, headers: Mapping[str, str] | None = None, *, accept: Sequence[int] = ()) -> Answer:
    """Fetches a small document. Error statuses in `accept` are answers too; others raise HostUnreachable."""
    answers: list[Answer] = []

    def once() -> None:
        try:
            response: HTTPResponse | urllib.error.HTTPError = _open(url, headers or {})
        except urllib.error.HTTPError as error:
            if error.code not in accept:
                raise
            response = error
        with response:
            names = {name.lower(): value for name, value in response.headers.items()}
            answers.append(Answer(response.read(), response.status or 0, names))

    _retry(once, url)
    return answers[0]


def _retry(attempt: Callable[[], None], url: str) -> None:
    """Network trouble and server errors pass; an address that is wrong stays wrong."""
    for number in range(1, _ATTEMPTS + 1):
        try:
            return attempt()
        except urllib.error.HTTPError as error:
            if number == _ATTEMPTS or (error.code < 500 and error.code != 429):
                raise HostUnreachable(f"{url} answers {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            if number == _ATTEMPTS:
                raise HostUnreachable(f"{url} cannot be fetched: {error}") from error
        time.sleep(0.2 * 2**number)
    return None


def _transfer(download: Download, advance: Callable[[int], None]) -> None:
    start = download.part.stat().st_size if download.part.exists() else 0
    if start and start == download.size:
        return
    headers = {**download.headers, **({"Range": f"bytes={start}-"} if start else {})}
    try:
        response = _open(download.url, headers)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        download.part.unlink()  # longer than the file on the server: begin again
        response, start = _open(download.url, download.headers), 0
    with response:
        resumed = start > 0 and response.status == 206
        if resumed:
            advance(start)
        with download.part.open("ab" if resumed else "wb") as out:
            while chunk := response.read(files.CHUNK):
                out.write(chunk)
                advance(len(chunk))
        if response.length:
            raise ConnectionError(f"the connection ended {response.length} bytes early")


def _open(url: str, headers: Mapping[str, str]) -> HTTPResponse:
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"not an http address: {url}")
    request = urllib.request.Request(url, headers={"User-Agent": "provision"})  # noqa: S310
    for name, value in headers.items():
        # A registry redirects to a storage service: that one must not see the token.
        add = request.add_unredirected_header if name == "Authorization" else request.add_header
        add(name, value)
    response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    return response
