"""The package sources of this machine, rewritten for the suite of a node: the project names no mirror itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from provision.errors import PreflightRefused

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ONE_LINE = re.compile(r"^deb(?:\s+\[(?P<options>[^\]]*)\])?\s+(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True)
class Source:
    """One place that packages of the distribution come from."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def as_deb822(self) -> str:
        """The source as a paragraph of a .sources file."""
        signed = self.signed_by or (str(_KEYRING) if _KEYRING.exists() else "")
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {self.suite}", f"Components: {' '.join(self.components)}"]
        return "\n".join([*lines, *([f"Signed-By: {signed}"] if signed else [])]) + "\n"


def sources_for(suite: str, *, etc: Path = Path("/etc")) -> list[Source]:
    """The sources that this machine installs Debian itself from, with its own suite replaced by `suite`.

    Sources of other makers (whose suites are not named after the release) are left out.
    Raises PreflightRefused when there are none.
    """
    codename = _codename(etc)
    found = [source for source in _configured(etc / "apt") if source.suite.split("-")[0] == codename]
    if not found:
        raise PreflightRefused(
            f"no package source for {codename or 'this release'} is configured in {etc / 'apt'}:"
            " the node image is made of the distribution's packages",
            hint=f"configure one, for example in {etc}/apt/sources.list.d/debian.sources",
        )
    return list(dict.fromkeys(_for_suite(source, codename, suite) for source in found))


def _for_suite(source: Source, codename: str, suite: str) -> Source:
    return Source(source.uri, suite + source.suite.removeprefix(codename), source.components[:1], source.signed_by)


def _codename(etc: Path) -> str:
    release = etc / "os-release"
    for line in release.read_text().splitlines() if release.exists() else []:
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip().strip('"')
    return ""


def _configured(apt: Path) -> list[Source]:
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    sources = [source for path in one_line if path.exists() for source in _from_lines(path.read_text())]
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        sources += _from_deb822(path.read_text())
    return sources


def _from_lines(text: str) -> list[Source]:
    found = []
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.strip()):
            options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
            signed = options.get("signed-by", "")
            found.append(Source(match["uri"], match["suite"], tuple(match["components"].split()), signed))
    return found


def _from_deb822(text: str) -> list[Source]:
    found: list[Source] = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields = _fields(paragraph)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        signed = fields.get("signed-by", "")
        # An embedded key is no path that mmdebstrap could be given.
        signed = signed if signed.startswith("/") else ""
        components = tuple(fields.get("components", "").split())
        found += [
            Source(uri, suite, components, signed)
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return found


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in paragraph.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[key] = f"{fields.get(key, '')} {line.strip()}".strip()
        elif ":" in line:
            key, _, value = line.partition(":")
            key = key.strip().lower()
            fields[key] = value.strip()
    return fields
