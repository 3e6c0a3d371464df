"""The `bundle_copy` module and its action: what is missing or damaged travels, verified, and nothing else does."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from .module_runner import ModuleRunner
from .test_action_files import action

FILES = {"files/kubelet": b"kubelet", "images/blobs/a": b"layer", "apt/Release": b"packages"}


class Site:
    """A bundle on the controller and its copy on a host; `sent` has the paths of each archive that was sent."""

    def __init__(self, directory: Path, run: ModuleRunner) -> None:
        self.bundle, self.copy, self._remote = directory / "bundle", directory / "copy", directory / "remote"
        self._remote.mkdir()
        self._run = run
        self.sent: list[list[str]] = []
        listed = {path: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for path, data in FILES.items()}
        for path, data in {**FILES, "manifest.json": json.dumps({"files": listed}).encode()}.items():
            file = self.bundle / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def converge(self, check: bool = False) -> dict[str, Any]:
        task = SimpleNamespace(
            args={"bundle": str(self.bundle), "directory": str(self.copy)}, async_val=0, check_mode=check
        )
        shell = SimpleNamespace(tmpdir=str(self._remote), join_path=lambda *parts: "/".join(parts))
        plugin = action("bundle_copy")(
            task=task,
            connection=SimpleNamespace(_shell=shell),
            play_context=SimpleNamespace(),
            loader=None,
            templar=None,
            shared_loader_obj=None,
        )
        plugin._execute_module = lambda module_name, module_args, task_vars: self._run(
            module_name, check=check, **module_args
        )
        plugin._make_tmp_path = lambda: str(self._remote)
        plugin._transfer_file = self._transfer
        plugin._remove_tmp_path = lambda path: [file.unlink() for file in Path(path).iterdir()]
        result: dict[str, Any] = plugin.run()
        assert list(self._remote.iterdir()) == []
        return result

    def _transfer(self, source: str, target: str) -> None:
        Path(target).write_bytes(Path(source).read_bytes())
        with tarfile.open(target) as archive:
            self.sent.append(archive.getnames())

    def copied(self) -> dict[str, bytes]:
        return {str(f.relative_to(self.copy)): f.read_bytes() for f in self.copy.rglob("*") if f.is_file()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, ModuleRunner(monkeypatch, capsys))


def test_the_copy_is_the_bundle_and_the_manifest_came_last(site: Site) -> None:
    result = site.converge()
    assert result["changed"]
    assert site.copied() == {path: (site.bundle / path).read_bytes() for path in (*FILES, "manifest.json")}
    assert site.sent[0][-1] == "manifest.json"
    assert (site.copy / "apt/Release").stat().st_mode & 0o777 == 0o644


def test_a_second_run_sends_nothing(site: Site) -> None:
    site.converge()
    assert not site.converge()["changed"]
    assert len(site.sent) == 1


def test_only_what_is_missing_or_damaged_is_sent(site: Site) -> None:
    site.converge()
    (site.copy / "files/kubelet").unlink()
    (site.copy / "images/blobs/a").write_bytes(b"LAYER")  # as long as the right one
    assert sorted(site.converge()["paths"]) == ["files/kubelet", "images/blobs/a"]
    assert site.copied()["images/blobs/a"] == b"layer"


def test_check_mode_tells_and_sends_nothing(site: Site) -> None:
    assert site.converge(check=True)["paths"] == [*FILES, "manifest.json"]
    assert site.sent == []
    assert not site.copy.exists()


def test_a_file_that_is_not_the_manifests_is_refused(site: Site) -> None:
    (site.bundle / "images/blobs/a").write_bytes(b"other")
    result = site.converge()
    assert "images/blobs/a: its SHA-256" in result["msg"]
    assert "images/blobs/a" not in site.copied()
    assert "manifest.json" not in site.copied()


def test_an_archive_with_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "x", "../x")
    run = ModuleRunner(monkeypatch, capsys)
    result = run("bundle_copy", bundle="/b", directory=str(tmp_path / "copy"), archive=str(tmp_path / "a.tar"))
    assert "../x is not a file of the bundle" in result["msg"]


def test_without_a_bundle_it_says_how_to_make_one(site: Site) -> None:
    (site.bundle / "manifest.json").unlink()
    with pytest.raises(AnsibleActionFail, match="provision bundle create"):
        site.converge()
