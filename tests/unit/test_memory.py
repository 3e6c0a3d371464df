"""What was made once is not made again, and only the user's own files are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.memory import Memory


class Maker:
    """Makes code, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> Any:
        self.made += 1
        return compile("x = 7", "<made>", "exec")


def value(code: Any) -> int:
    names: dict[str, int] = {}
    exec(code, names)
    return names["x"]


def test_it_lasts_from_one_run_to_the_next(tmp_path: Path) -> None:
    make = Maker()
    for _ in range(2):
        memory = Memory(tmp_path / "memory")
        assert [value(memory.recall(make, "code", b"x")), value(memory.recall(make, "code", b"x"))] == [7, 7]
    assert make.made == 1
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("other", [("code", b"y"), ("cod", b"ex"), ("code", b"x", ""), ("codex",)], ids=str)
def test_other_parts_are_another_value(tmp_path: Path, other: tuple[str | bytes, ...]) -> None:
    memory, make = Memory(tmp_path / "memory"), Maker()
    memory.recall(make, "code", b"x")
    memory.recall(make, *other)
    assert make.made == 2


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    make = Maker()
    Memory(tmp_path / "memory").recall(make, "code")
    (file,) = (tmp_path / "memory").iterdir()
    file.write_bytes(file.read_bytes()[:9])
    for _ in range(2):
        assert value(Memory(tmp_path / "memory").recall(make, "code")) == 7
    assert make.made == 2


def test_a_directory_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    make, shared = Maker(), tmp_path / "memory"
    Memory(shared).recall(make, "code")
    shared.chmod(0o777)
    assert value(Memory(shared).recall(make, "code")) == 7
    assert make.made == 2


def test_it_works_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    memory, make = Memory(tmp_path / "file" / "memory"), Maker()
    assert value(memory.recall(make, "code")) == 7
    assert make.made == 1


def test_an_error_is_not_remembered(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory")

    def fail() -> Any:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        memory.recall(fail, "code")
    assert value(memory.recall(Maker(), "code")) == 7
