"""The `files` module: exact contents and attributes, nothing half done, the truth in check mode."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner

from ansible.module_utils import managed  # isort: skip  # type: ignore[attr-defined]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record/files.json"


@pytest.fixture
def run(record: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    monkeypatch.setattr(managed, "RECORD", str(record))
    return ModuleRunner(monkeypatch, capsys)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_writes_a_file_once(run: ModuleRunner, tmp_path: Path) -> None:
    items = [{"dest": str(tmp_path / "deep" / "a.conf"), "content": "x = 1\n", "mode": "0640"}]
    first, second = run("files", items=items), run("files", items=items)
    assert (first["changed"], second["changed"]) == (True, False)
    assert (tmp_path / "deep" / "a.conf").read_text() == "x = 1\n"
    assert mode(tmp_path / "deep" / "a.conf") == 0o640


def test_check_mode_writes_nothing_and_shows_the_difference(run: ModuleRunner, tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old\n")
    result = run("files", check=True, items=[{"dest": str(target), "content": "new\n"}])
    assert result["paths"] == [str(target)]
    assert (result["diff"][0]["before"], result["diff"][0]["after"]) == ("old\n", "new\n")
    assert target.read_text() == "old\n"


def test_a_wrong_mode_alone_is_repaired(run: ModuleRunner, tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("x")
    target.chmod(0o666)
    assert run("files", items=[{"dest": str(target), "content": "x"}])["changed"]
    assert mode(target) == 0o644


def test_a_secret_is_private_and_its_content_is_not_shown(run: ModuleRunner, tmp_path: Path) -> None:
    result = run("files", items=[{"dest": str(tmp_path / "key"), "content": "hunter2", "secret": True}])
    assert mode(tmp_path / "key") == 0o600
    assert "hunter2" not in str(result["diff"])


def test_when_one_file_is_refused_none_is_written(run: ModuleRunner, tmp_path: Path) -> None:
    good = {"dest": str(tmp_path / "good"), "content": "1"}
    bad = {"dest": str(tmp_path / "bad"), "content": "2", "validate": "grep -q 3 %s"}
    result = run("files", items=[good, bad])
    assert result["failed"]
    assert "refused by `grep`" in result["msg"]
    assert list(tmp_path.iterdir()) == []


BLOCK_CASES: list[tuple[str, str, str]] = [
    ("", "1.1.1.1 a", "# BEGIN provision names\n1.1.1.1 a\n# END provision names\n"),
    ("127.0.0.1 l", "1.1.1.1 a", "127.0.0.1 l\n# BEGIN provision names\n1.1.1.1 a\n# END provision names\n"),
    (
        "x\n# BEGIN provision names\nold\n# END provision names\ny\n",
        "new",
        "x\n# BEGIN provision names\nnew\n# END provision names\ny\n",
    ),
    ("x\n# BEGIN provision names\nold\n# END provision names\ny\n", "", "x\ny\n"),
]


@pytest.mark.parametrize(("before", "block", "after"), BLOCK_CASES)
def test_a_block_leaves_the_rest_of_the_file_alone(
    run: ModuleRunner, tmp_path: Path, before: str, block: str, after: str
) -> None:
    target = tmp_path / "hosts"
    target.write_text(before)
    item: dict[str, Any] = {"dest": str(target), "block": block, "marker": "names"}
    run("files", items=[item])
    assert target.read_text() == after
    assert not run("files", items=[item])["changed"]


def test_no_block_in_no_file_needs_no_file(run: ModuleRunner, tmp_path: Path) -> None:
    item = {"dest": str(tmp_path / "chrony.conf"), "block": "", "marker": "time"}
    assert not run("files", items=[item])["changed"]
    assert list(tmp_path.iterdir()) == []


def test_removes_directories_links_and_files(run: ModuleRunner, tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_text("x")
    (tmp_path / "l").symlink_to(tmp_path / "d")
    items = [{"dest": str(tmp_path / name), "state": "absent"} for name in ("l", "d")]
    assert run("files", items=items)["changed"]
    assert list(tmp_path.iterdir()) == []
    assert not run("files", items=items)["changed"]


def test_an_unknown_key_or_relative_path_is_refused(run: ModuleRunner, tmp_path: Path) -> None:
    assert run("files", items=[{"dest": "etc/x", "content": ""}])["failed"]
    assert run("files", items=[{"dest": str(tmp_path / "x"), "contents": ""}])["failed"]


def test_what_somebody_changed_since_is_known_until_it_is_put_back(run: ModuleRunner, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    items = [{"dest": str(path), "content": "ours\n"} for path in paths]
    run("files", items=items)
    assert managed.changes() == []

    paths[0].write_text("theirs\n")
    paths[1].unlink()
    run("files", check=True, items=items)
    assert managed.changes() == [f"{paths[0]} was changed by hand", f"{paths[1]} is gone"]

    run("files", items=items)
    assert managed.changes() == []


def test_secrets_and_files_of_others_are_not_noted(run: ModuleRunner, tmp_path: Path, record: Path) -> None:
    (tmp_path / "hosts").write_text("x\n")
    secret = {"dest": str(tmp_path / "key"), "content": "x", "secret": True}
    run("files", items=[secret, {"dest": str(tmp_path / "hosts"), "block": "y", "marker": "m"}])
    assert not record.exists()


def test_what_is_no_longer_asked_for_leaves_a_directory_that_is_purged(run: ModuleRunner, tmp_path: Path) -> None:
    place = tmp_path / "certs.d"
    directory = {"dest": str(place), "state": "directory", "purge": True}
    files = [{"dest": str(place / name / "hosts.toml"), "content": name} for name in ("kept", "gone")]
    run("files", items=[directory, *files])
    (place / "gone" / "by-hand").touch()

    planned = run("files", items=[directory, files[0]], check=True)
    assert planned["paths"] == [files[1]["dest"]]
    assert (place / "gone/hosts.toml").exists()
    run("files", items=[directory, files[0]])

    assert not (place / "gone/hosts.toml").exists()
    assert (place / "gone/by-hand").exists()
    assert (place / "kept/hosts.toml").exists()
    assert run("files", items=[directory, files[0]])["changed"] is False


def test_what_is_removed_is_forgotten_with_all_in_it(run: ModuleRunner, tmp_path: Path, record: Path) -> None:
    run("files", items=[{"dest": str(tmp_path / name), "content": "x"} for name in ("d/a", "d2")])
    run("files", items=[{"dest": str(tmp_path / "d"), "state": "absent"}])
    assert list(json.loads(record.read_text())) == [str(tmp_path / "d2")]
    run("files", items=[{"dest": str(tmp_path / "d2"), "state": "absent"}])
    assert not record.parent.exists()
