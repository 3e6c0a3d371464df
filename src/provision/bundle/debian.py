"""Operating system packages: an isolated apt that fetches them for any suite, and the repository made from them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provision.bundle import files, programs
from provision.bundle.oci import Layer
from provision.catalog import Packages
from provision.errors import PreflightRefused, TaskFailed

_MERGED = ("bin", "sbin", "lib", "lib64")
_MERGED_PREFIXES = tuple(f"{name}/" for name in _MERGED)
_LEFT_OUT = tuple(f"usr/share/{name}/" for name in ("bug", "doc", "info", "lintian", "locale", "man"))


@dataclass(frozen=True)
class Deb:
    """A downloaded package, checked against the archive's signed index."""

    name: str
    version: str
    arch: str
    path: Path


class Apt:
    """apt for one suite and architecture, with the host's sources and network settings but nothing else of the host.

    It believes that nothing is installed, so it fetches packages with all that they depend on.
    """

    def __init__(self, packages: Packages, arch: str, cache: Path) -> None:
        self._packages, self._arch = packages, arch
        self._root = cache / "apt" / f"{packages.distribution}-{arch}"
        self._updated = False

    def fetch(self, names: Sequence[str]) -> list[Deb]:
        """Downloads packages and their dependencies, or takes them from the cache; damaged ones are fetched again."""
        with files.locked(self._root / "lock"):
            return self._fetch(names)

    def _fetch(self, names: Sequence[str]) -> list[Deb]:
        self._update()
        install = ["install", "--yes", "--no-install-recommends", *names]
        empty = self._root / "none"
        (empty / "partial").mkdir(parents=True, exist_ok=True)
        listing = self._apt("-o", f"Dir::Cache::archives={empty}/", "--print-uris", *install)
        wanted = re.findall(r"^'\S+' (\S+) (\d+) SHA256:([0-9a-f]{64})", listing, re.MULTILINE)
        archives = self._root / "cache" / "archives"
        for name, size, sha256 in wanted:
            if not files.matches(archives / name, sha256, int(size)):
                (archives / name).unlink(missing_ok=True)
        self._apt("--download-only", *install)
        for name, size, sha256 in wanted:
            if not files.matches(archives / name, sha256, int(size)):
                raise PreflightRefused(f"the package {name} is damaged after its download")
        return [_deb(archives / name) for name, _, _ in sorted(wanted)]

    def _update(self) -> None:
        if self._updated:
            return
        for part in ("etc", "state/lists/partial", "cache/archives/partial"):
            (self._root / part).mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        (self._root / "etc" / "provision.sources").write_text(self._sources(), encoding="utf-8")
        (self._root / "apt.conf").write_text(self._configuration(), encoding="utf-8")
        self._apt("update")
        self._updated = True

    def _sources(self) -> str:
        host = _os_release()
        entries = [
            (uris, [suite.replace(host["VERSION_CODENAME"], self._packages.suite, 1) for suite in suites], parts, key)
            for uris, suites, parts, key in _host_sources(host["VERSION_CODENAME"])
        ]
        if host["ID"] != self._packages.vendor or not entries:
            raise PreflightRefused(
                f"this machine's apt sources cannot serve {self._packages.distribution}",
                hint=f"make the bundle on a {self._packages.vendor} machine, or choose another --distribution",
            )
        return "\n".join(
            f"Types: deb\nURIs: {uris}\nSuites: {' '.join(suites)}\nComponents: {parts}\n"
            + (f"Signed-By: {key}\n" if key else "")
            for uris, suites, parts, key in entries
        )

    def _configuration(self) -> str:
        network = programs.run(["apt-config", "dump", "Acquire"], what="apt-config")
        return network + "".join(
            f'{key} "{value}";\n'
            for key, value in {
                "Dir::Etc::main": "/dev/null",
                "Dir::Etc::parts": "/dev/null",
                "Dir::Etc::sourcelist": "/dev/null",
                "Dir::Etc::sourceparts": f"{self._root}/etc",
                "Dir::Etc::preferences": "/dev/null",
                "Dir::Etc::preferencesparts": "/dev/null",
                "Dir::State": f"{self._root}/state",
                "Dir::State::status": f"{self._root}/status",
                "Dir::Cache": f"{self._root}/cache",
                "APT::Architecture": self._arch,
                "APT::Architectures": self._arch,
                "APT::Sandbox::User": "",
                "Acquire::ForceHash": "SHA256",
                "Acquire::Languages": "none",
                "Acquire::Retries": "3",
            }.items()
        )

    def _apt(self, *arguments: str) -> str:
        environment = {
            "APT_CONFIG": str(self._root / "apt.conf"),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
        }
        what = f"fetching packages for {self._packages.distribution} {self._arch}"
        return programs.run(["apt-get", "--quiet", *arguments], what=what, env=environment)


def _os_release() -> dict[str, str]:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    found = {key: value.strip('"') for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)}
    return {"ID": "", "VERSION_CODENAME": "", **found}


def _host_sources(codename: str) -> Iterator[tuple[str, list[str], str, str]]:
    """The distribution's own entries as (URIs, suites, components, key file); third parties' are left out."""
    home = Path("/etc/apt")
    for path in [home / "sources.list", *sorted((home / "sources.list.d").glob("*"))]:
        if path.suffix not in {".list", ".sources"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for uris, suites, components, key in _stanzas(text) if path.suffix == ".sources" else _lines(text):
            own = [suite for suite in suites if suite in {codename, f"{codename}-updates", f"{codename}-security"}]
            if own and codename:
                yield uris, own, components, key


def _lines(text: str) -> Iterator[tuple[str, list[str], str, str]]:
    pattern = r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#\n]+)"
    for found in re.finditer(pattern, text, re.MULTILINE):
        key = re.search(r"signed-by=(\S+)", found["options"] or "")
        yield found["uri"], [found["suite"]], found["components"].strip(), key[1] if key else ""


def _stanzas(text: str) -> Iterator[tuple[str, list[str], str, str]]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
        enabled = fields.get("Enabled", "yes").lower() != "no"
        if "deb" in fields.get("Types", "").split() and enabled:
            yield (
                fields.get("URIs", ""),
                fields.get("Suites", "").split(),
                fields.get("Components", ""),
                fields.get("Signed-By", ""),
            )


def _deb(path: Path) -> Deb:
    """The name and version are in the file's name; a colon is written as %3a there."""
    name, version, arch = path.stem.split("_")
    return Deb(name, version.replace("%3a", ":"), arch, path)


def extract(deb: Deb, member: str, target: Path) -> None:
    """Takes one file out of a package, for example usr/sbin/runc."""
    with _data(deb) as archive:
        for entry in archive:
            if entry.name.removeprefix("./") == member and (stream := archive.extractfile(entry)):
                with files.replacing(target, 0o755) as out:
                    shutil.copyfileobj(stream, out)
                return
    raise TaskFailed(f"the package {deb.name} has no {member}")


def add_to_layer(layer: Layer, debs: Sequence[Deb], links: Mapping[str, str]) -> None:
    """Writes the content of packages into an image's layer, without documentation, below /usr as Debian has it."""
    for name in _MERGED:
        layer.add_link(name, f"usr/{name}")
    for deb in debs:
        with _data(deb) as content:
            for entry in content:
                _add_entry(layer, content, entry)
    for name, target in sorted(links.items()):
        layer.add_link(name, target)


def _add_entry(layer: Layer, content: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
    name = _merged(entry.name.removeprefix("./").strip("/"))
    if not name or f"{name}/".startswith(_LEFT_OUT):
        return
    entry.name = name
    if entry.islnk():
        entry.linkname = _merged(entry.linkname.removeprefix("./"))
    layer.add(entry, content.extractfile(entry) if entry.isreg() else None)


def _merged(name: str) -> str:
    return f"usr/{name}" if name.startswith(_MERGED_PREFIXES) else name


@contextmanager
def _data(deb: Deb) -> Iterator[tarfile.TarFile]:
    """The files of a package as a stream of tar members, read by dpkg, which knows every compression."""
    try:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb.path], stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise programs.missing("dpkg-deb") from None
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        yield archive
