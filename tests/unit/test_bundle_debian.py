from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from provision.bundle import aptrepo, debian, files
from provision.bundle.debian import Apt, Deb
from provision.bundle.oci import Layer
from provision.catalog import Packages
from provision.errors import PreflightRefused, TaskFailed

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg is not installed")
needs_gpg = pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")

_SOURCES = """Types: deb deb-src
URIs: http://deb.example.org/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
Enabled: no
URIs: http://disabled.example.org
Suites: bookworm
Components: main
"""
_LIST = """# deb http://commented.example.org bookworm main
deb [arch=amd64 signed-by=/keys/x.gpg] http://security.example.org bookworm-security main # note
deb http://third-party.example.org cloud-sdk-bookworm main
deb-src http://source.example.org bookworm main
"""


def test_only_the_distributions_own_sources_are_read() -> None:
    stanza, disabled = list(debian._stanzas(_SOURCES)), "http://disabled.example.org"
    assert stanza[0][0] == "http://deb.example.org/debian"
    assert stanza[0][3] == "/usr/share/keyrings/debian.gpg"
    assert disabled not in {entry[0] for entry in stanza}
    assert next(debian._lines(_LIST)) == (
        "http://security.example.org",
        ["bookworm-security"],
        "main",
        "/keys/x.gpg",
    )
    assert "http://source.example.org" not in {entry[0] for entry in debian._lines(_LIST)}


def test_the_suite_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ("http://deb.example.org", ["bookworm", "bookworm-security"], "main", "/key.gpg")
    monkeypatch.setattr(debian, "_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    monkeypatch.setattr(debian, "_host_sources", lambda _: iter([entry]))
    text = Apt(Packages("debian-13", "debian", "trixie", ()), "amd64", tmp_path)._sources()
    assert "Suites: trixie trixie-security\n" in text
    assert "Signed-By: /key.gpg\n" in text


def test_another_vendor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    with pytest.raises(PreflightRefused, match=r"cannot serve ubuntu-24\.04") as caught:
        Apt(Packages("ubuntu-24.04", "ubuntu", "noble", ()), "amd64", tmp_path)._sources()
    assert caught.value.hint
    assert "ubuntu machine" in caught.value.hint


def test_a_file_name_gives_name_and_version() -> None:
    deb = debian._deb(Path("conntrack_1%3a1.4.8-2_amd64.deb"))
    assert (deb.name, deb.version, deb.arch) == ("conntrack", "1:1.4.8-2", "amd64")


@pytest.fixture
def deb(tmp_path: Path) -> Deb:
    """A package with one program in the old place, a link, a manual page and an epoch."""
    root = tmp_path / "package"
    files.write(
        root / "DEBIAN" / "control",
        "Package: thing\nVersion: 1:2-3\nArchitecture: all\nMaintainer: x\nDescription: x\n",
    )
    files.write(root / "sbin" / "thing", "program")
    files.write(root / "usr" / "share" / "man" / "thing.1", "manual")
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "alias").symlink_to("../sbin/thing")
    root.chmod(0o755)
    (root / "DEBIAN").chmod(0o755)
    path = tmp_path / "thing_1%3a2-3_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, path], check=True, capture_output=True)
    return debian._deb(path)


@needs_dpkg
def test_one_file_is_taken_from_a_package(deb: Deb, tmp_path: Path) -> None:
    debian.extract(deb, "sbin/thing", tmp_path / "thing")
    assert (tmp_path / "thing").read_text() == "program"
    with pytest.raises(TaskFailed, match="the package thing has no usr/bin/none"):
        debian.extract(deb, "usr/bin/none", tmp_path / "none")


@needs_dpkg
def test_a_layer_has_the_package_below_usr_without_documentation(deb: Deb, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "layer", "w") as archive:
        debian.add_to_layer(Layer(archive), [deb], {"usr/sbin/other": "thing"})
    with tarfile.open(tmp_path / "layer") as archive:
        names = archive.getnames()
        assert archive.getmember("sbin").linkname == "usr/sbin"
        assert archive.getmember("usr/sbin/other").linkname == "thing"
    assert {"usr/sbin/thing", "usr/bin/alias"} <= set(names)
    assert "usr/share/man/thing.1" not in names
    assert len(names) == len(set(names))


@needs_dpkg
@needs_gpg
def test_a_repository_is_indexed_signed_and_stays_as_it_is(deb: Deb, tmp_path: Path) -> None:
    home = tmp_path / "apt" / "debian-13"
    kept = aptrepo.write(home, "debian-13", [deb, deb])
    assert kept == {path for path in home.rglob("*") if path.is_file()}
    index = (home / "Packages").read_text()
    assert "Package: thing\n" in index
    assert "Filename: pool/thing_1.2-3_all.deb\n" in index
    assert f"SHA256: {files.digest(deb.path).sha256}\n" in index
    assert f"{files.digest(home / 'Packages').sha256} {len(index)} Packages" in (home / "InRelease").read_text()
    before = {path: files.digest(path) for path in kept}
    aptrepo.write(home, "debian-13", [deb])
    assert before == {path: files.digest(path) for path in kept}


@needs_dpkg
@needs_gpg
def test_a_changed_index_or_a_forged_signature_is_signed_anew(deb: Deb, tmp_path: Path) -> None:
    home = tmp_path / "apt"
    aptrepo.write(home, "debian-13", [deb])
    signed, key = (home / "InRelease").read_text(), (home / aptrepo.KEY).read_text()
    lines = signed.splitlines(keepends=True)
    lines[-4] = lines[-4].swapcase()  # in the middle of the signature's base64
    (home / "InRelease").write_text("".join(lines))
    aptrepo.write(home, "debian-13", [deb])
    assert (home / aptrepo.KEY).read_text() != key
    with aptrepo._keyring() as gpg:
        subprocess.run([*gpg, "--import", home / aptrepo.KEY], check=True, capture_output=True)
        assert subprocess.run([*gpg, "--verify", home / "InRelease"], check=False, capture_output=True).returncode == 0
