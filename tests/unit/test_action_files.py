"""The `files` action renders templates on the controller as Ansible's own template module would."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from .module_runner import PLUGINS


def action(name: str) -> Any:
    """The class of the action plugin `name`."""
    spec = importlib.util.spec_from_file_location(f"provision_action_{name}", PLUGINS / "action" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ActionModule


class Task:
    """A `files` task of a role with templates; `sent` is what its module would get."""

    def __init__(self, directory: Path, **templates: str) -> None:
        self.sent: dict[str, Any] = {}
        for name, text in templates.items():
            (directory / f"{name}.j2").write_text(text)
        self._directory = directory

    def run(self, *items: dict[str, Any], **variables: Any) -> list[dict[str, Any]]:
        task = SimpleNamespace(args={"items": list(items), "mode": "0640"}, async_val=0, check_mode=False, diff=False)
        plugin = action("files")(
            task=task,
            connection=SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), has_pipelining=False),
            play_context=SimpleNamespace(check_mode=False, diff=False),
            loader=DataLoader(),
            templar=Templar(loader=DataLoader(), variables=variables),
            shared_loader_obj=None,
        )
        plugin._execute_module = self._module
        plugin.run(task_vars={**variables, "ansible_search_path": [str(self._directory)]})
        rendered: list[dict[str, Any]] = self.sent["module_args"]["items"]
        return rendered

    def _module(self, **sent: Any) -> dict[str, Any]:
        self.sent = sent
        return {"changed": True}


def test_a_template_becomes_the_files_content(tmp_path: Path) -> None:
    task = Task(tmp_path, conf="# {{ ansible_managed }}\n{% if port %}\nport = {{ port }}\n{% endif %}\n")
    items = task.run({"dest": "/etc/x", "template": "conf.j2", "mode": "0600"}, port=8443)
    assert items == [{"dest": "/etc/x", "mode": "0600", "content": "# Managed by provision.\nport = 8443\n"}]
    assert (task.sent["module_name"], task.sent["module_args"]["mode"]) == ("files", "0640")


def test_each_item_has_its_own_variables(tmp_path: Path) -> None:
    items = Task(tmp_path, host="{{ endpoint }} {{ port }}\n").run(
        {"dest": "/a", "template": "host.j2", "variables": {"endpoint": "a"}},
        {"dest": "/b", "template": "host.j2", "variables": {"endpoint": "b", "port": 2}},
        endpoint="everybody's",
        port=1,
    )
    assert items == [{"dest": "/a", "content": "a 1\n"}, {"dest": "/b", "content": "b 2\n"}]


def test_what_looks_like_data_stays_text(tmp_path: Path) -> None:
    assert Task(tmp_path, n="{{ n }}").run({"dest": "/n", "template": "n.j2"}, n=1)[0]["content"] == "1"
    assert Task(tmp_path, d='{"a": "\\\\n"}').run({"dest": "/d", "template": "d.j2"})[0]["content"] == '{"a": "\\\\n"}'


def test_a_template_may_include_its_neighbour(tmp_path: Path) -> None:
    task = Task(tmp_path, whole="[{% include 'part.j2' %}]", part="{{ x }}")
    assert task.run({"dest": "/w", "template": "whole.j2"}, x="inside")[0]["content"] == "[inside]"


def test_items_without_a_template_pass_as_they_are(tmp_path: Path) -> None:
    item = {"dest": "/a", "content": "{{ not a template }}", "secret": True}
    assert Task(tmp_path).run(item) == [item]


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"there is no template lost\.j2"):
        Task(tmp_path).run({"dest": "/a", "template": "lost.j2"})


def test_a_mistake_names_the_template(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"bad\.j2.*nowhere"):
        Task(tmp_path, bad="{{ nowhere }}").run({"dest": "/a", "template": "bad.j2"})
