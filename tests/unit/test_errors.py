from __future__ import annotations

from pathlib import Path

import pytest

from provision import errors


def test_exit_codes_are_the_documented_ones() -> None:
    codes = [kind.exit_code for kind in errors.ALL]
    assert codes == [2, 3, 4, 5, 6, 7, 8, 9, 10, 130]


def test_every_subclass_is_listed() -> None:
    assert set(errors.ProvisionError.__subclasses__()) == set(errors.ALL)


def test_location_is_shown_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(errors.Location(str(tmp_path / "site.ini"), 3)) == "site.ini:3"
    assert str(errors.Location("/etc/site.ini")) == "/etc/site.ini"


def test_text_and_json_carry_file_and_line() -> None:
    other = errors.InvalidInput("more")
    error = errors.InvalidInput("bad", hint="fix", location=errors.Location("/x/site.ini", 7), others=(other,))
    assert str(error) == "/x/site.ini:7: bad"
    data = error.as_dict()
    assert (data["file"], data["line"], data["hint"], data["exit_code"]) == ("/x/site.ini", 7, "fix", 3)
    assert data["others"] == [other.as_dict()]


def test_text_location_is_a_file() -> None:
    assert errors.TaskFailed("x", location="/a").location == errors.Location("/a")
