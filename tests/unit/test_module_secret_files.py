"""The `secret_files` module reads exactly the files that it is asked for."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from .module_runner import ModuleRunner


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def test_returns_the_bytes_of_each_file_and_changes_nothing(run: ModuleRunner, tmp_path: Path) -> None:
    key, certificate = tmp_path / "ca.key", tmp_path / "ca.crt"
    key.write_bytes(b"\x00\xffkey")
    certificate.write_bytes(b"certificate\n")
    result = run("secret_files", paths=[str(key), str(certificate)])
    assert {path: base64.b64decode(text) for path, text in result["contents"].items()} == {
        str(key): b"\x00\xffkey",
        str(certificate): b"certificate\n",
    }
    assert result["changed"] is False


def test_a_missing_file_is_an_error_unless_it_is_optional(run: ModuleRunner, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    assert f"{missing} is not there" in run("secret_files", paths=[missing])["msg"]
    assert run("secret_files", paths=[missing], optional=True)["contents"] == {}


def test_check_mode_goes_on_before_the_files_are_born(run: ModuleRunner, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    assert run("secret_files", check=True, paths=[missing])["contents"] == {missing: ""}
