"""The `converge` action runs modules in their order, and restarts a unit for the files that changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from .test_action_files import action

FILES = [{"dest": "/etc/x.conf", "content": "x"}]
UNITS = [
    {"name": "x.service", "watch": ["/usr/bin/x", "/etc/x.conf"]},
    {"name": "y.service", "watch": ["/etc/y.conf"], "on_change": "reload"},
]


class Task(SimpleNamespace):
    """What an action reads of its task."""

    def copy(self) -> Task:
        return Task(**vars(self))


class Host:
    """A host whose modules answer as they are told to; `asked` is what they were given."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._answers = answers

    def run(self, **arguments: Any) -> dict[str, Any]:
        task = Task(action="converge", args=arguments, async_val=0, check_mode=False, diff=False)
        plugin = action("converge")(
            task=task,
            connection=SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), has_pipelining=False),
            play_context=SimpleNamespace(check_mode=False, diff=False),
            loader=DataLoader(),
            templar=Templar(loader=DataLoader(), variables={}),
            shared_loader_obj=None,
        )
        plugin._shared_loader_obj = SimpleNamespace(action_loader=SimpleNamespace(get=self._action))
        plugin._execute_module = lambda module_name, module_args, task_vars: self._answer(module_name, module_args)
        result: dict[str, Any] = plugin.run(task_vars={})
        return result

    def _action(self, name: str, task: Any, *_rest: Any) -> Any:
        return SimpleNamespace(run=lambda task_vars: self._answer(name, task.args))

    def _answer(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((name, arguments))
        return dict(self._answers.get(arguments.get("name", name)) or self._answers.get(name) or {"changed": False})


def test_downloads_come_before_files_and_units_in_their_order() -> None:
    host = Host()
    result = host.run(artifacts=[{"name": "x"}], files=FILES, units=UNITS)
    assert [name for name, _ in host.asked] == ["artifact", "files", "unit", "unit"]
    assert [arguments["name"] for name, arguments in host.asked if name == "unit"] == ["x.service", "y.service"]
    assert (result["changed"], result["paths"], result["actions"]) == (False, [], {})


def test_everything_has_its_place() -> None:
    host = Host(**{"ansible.builtin.user": {"changed": True}})
    asked: dict[str, Any] = {"units": UNITS, "images": [{"ref": "pause:3"}], "kernel": {"swap": "off"}}
    result = host.run(**asked, packages={"names": ["y"]}, files=FILES, user={"name": "x"})
    names = [name for name, _ in host.asked]
    assert names == ["ansible.builtin.user", "files", "packages", "kernel", "images", "unit", "unit"]
    assert result["diff"] == [{"prepared": "user x"}]


def test_what_is_not_asked_for_is_not_run() -> None:
    host = Host()
    host.run(files=FILES)
    assert host.asked == [("files", {"items": FILES})]


@pytest.mark.parametrize(
    ("answers", "pending"),
    [
        ({"artifact": {"changed": True, "installed": ["/usr/bin/x"]}}, [True, False]),
        ({"files": {"changed": True, "paths": ["/etc/y.conf"]}}, [False, True]),
        ({"files": {"changed": True, "paths": ["/etc/other"]}}, [False, False]),
    ],
    ids=["a download", "a file", "nothing that is watched"],
)
def test_a_unit_is_told_of_the_files_it_watches(answers: dict[str, Any], pending: list[bool]) -> None:
    host = Host(**answers)
    assert host.run(artifacts=[{"name": "x"}], files=FILES, units=UNITS)["changed"]
    assert [arguments["pending"] for name, arguments in host.asked if name == "unit"] == pending


def test_all_changes_are_told() -> None:
    host = Host(
        files={"changed": True, "paths": ["/etc/x.conf"], "diff": [{"before": "", "after": "x"}]},
        **{"x.service": {"changed": True, "action": "restart"}, "y.service": {"changed": False, "action": "none"}},
    )
    result = host.run(files=FILES, units=UNITS)
    assert result["paths"] == ["/etc/x.conf"]
    assert result["actions"] == {"x.service": "restart"}
    assert result["diff"] == [{"before": "", "after": "x"}, {"prepared": "x.service: restart"}]


@pytest.mark.parametrize(
    ("failing", "asked"), [("artifact", 1), ("files", 2), ("x.service", 3)], ids=["artifact", "files", "unit"]
)
def test_the_first_failure_ends_it_and_what_was_done_before_is_told(failing: str, asked: int) -> None:
    answers = {"files": {"changed": True, "paths": ["/etc/x.conf"]}, failing: {"failed": True, "msg": "no room"}}
    host = Host(**answers)
    result = host.run(artifacts=[{"name": "x"}], files=FILES, units=UNITS)
    assert (result["failed"], result["msg"]) == (True, "no room")
    assert result["changed"] is (failing == "x.service")
    assert len(host.asked) == asked


def test_files_that_a_task_before_changed_count() -> None:
    host = Host()
    host.run(units=[{"name": "x.service", "watch": ["/etc/x"]}], paths=["/etc/x"])
    assert host.asked[-1][1]["pending"] is True


def test_packages_are_told() -> None:
    host = Host(packages={"changed": True, "packages": ["chrony"]})
    assert host.run(packages={"names": ["chrony", "socat"]})["packages"] == ["chrony"]
