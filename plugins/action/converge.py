"""Bring one part of a host to its state, in one task; see DOCUMENTATION."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = """
module: converge
short_description: Bring one part of a host to its state, in one task
description:
  - Runs the modules M(ansible.builtin.user), M(artifact), M(files), M(packages), M(kernel), M(images) and M(unit), as
    far as they are asked for, in this order, and ends with the first that fails. What these say apart takes a task
    each, and most of a task's time is Ansible's own.
  - A unit is restarted or reloaded, in check mode said to be, when one of the files in its C(watch) changed.
options:
  paths: {description: Files that a task before this one changed., type: list, elements: str, default: []}
  user: {description: The arguments of M(ansible.builtin.user)., type: dict, default: {}}
  artifacts: {description: As C(items) of M(artifact)., type: list, elements: dict, default: []}
  files: {description: As C(items) of M(files)., type: list, elements: dict, default: []}
  packages: {description: The arguments of M(packages)., type: dict, default: {}}
  kernel: {description: The arguments of M(kernel)., type: dict, default: {}}
  images: {description: As C(items) of M(images)., type: list, elements: dict, default: []}
  units: {description: The arguments of M(unit) for each unit in turn., type: list, elements: dict, default: []}
"""

EXAMPLES = """
- name: Run containerd
  converge:
    artifacts: "{{ __containerd_artifacts }}"
    files:
      - {dest: /etc/containerd/config.toml, template: config.toml.j2}
    units:
      - name: containerd.service
        watch: [/etc/containerd/config.toml, /usr/local/bin/containerd]
        ready: {unix: /run/containerd/containerd.sock}
"""

RETURN = """
paths:
  description: The files that changed, or would change.
  type: list
  elements: str
  returned: always
packages:
  description: The packages that were, or would be, installed.
  type: list
  elements: str
  returned: always
actions:
  description: What was, or would be, done to each unit that was touched.
  type: dict
  returned: always
"""

_OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"type": "dict", "default": {}} for name in ("user", "packages", "kernel")},
    "paths": {"type": "list", "elements": "str", "default": []},
    **{name: {"type": "list", "elements": "dict", "default": []} for name in ("artifacts", "files", "images", "units")},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Hands each part to the module that knows how."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the modules changed together, or the failure of the first that failed."""
        super().run(tmp, task_vars)
        _, wanted = self.validate_argument_spec(argument_spec=_OPTIONS)
        done: dict[str, Any] = {"changed": False, "paths": [], "packages": [], "actions": {}, "diff": []}
        for result in self._results(wanted, done, task_vars or {}):
            done["changed"] |= bool(result.get("changed"))
            done["diff"] += result.get("diff") or []
            if result.get("failed") or result.get("unreachable"):
                # A failure brings its own words, over what was done before it.
                return {**done, **result, "changed": done["changed"], "diff": done["diff"]}
        return done

    def _results(
        self, wanted: dict[str, Any], done: dict[str, Any], variables: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Run what is asked for, a module each time that the next result is taken."""
        if user := wanted["user"]:
            made = self._module("ansible.builtin.user", user, variables)
            yield {**made, "diff": [{"prepared": f"user {user['name']}"}] if made.get("changed") else []}
        if wanted["artifacts"]:
            brought = self._module("artifact", {"items": wanted["artifacts"]}, variables)
            done["paths"] += brought.get("installed", [])
            yield brought
        if wanted["files"]:
            written = self._files(wanted["files"], variables)
            done["paths"] += written.get("paths", [])
            yield written
        if wanted["packages"]:
            brought = self._module("packages", wanted["packages"], variables)
            done["packages"] += brought.get("packages", [])
            yield brought
        if wanted["kernel"]:
            yield self._module("kernel", wanted["kernel"], variables)
        if wanted["images"]:
            yield self._module("images", {"items": wanted["images"]}, variables)
        for unit in wanted["units"]:
            pending = bool({*unit.get("watch", [])} & {*wanted["paths"], *done["paths"]})
            settled = self._module("unit", {**unit, "pending": pending}, variables)
            if settled.get("action", "none") != "none":
                done["actions"][unit["name"]] = settled["action"]
                settled["diff"] = [{"prepared": f"{unit['name']}: {settled['action']}"}]
            yield settled

    def _files(self, items: list[dict[str, Any]], variables: dict[str, Any]) -> dict[str, Any]:
        # Its templates are rendered by the action of that name.
        task = self._task.copy()
        task.action, task.args = "files", {"items": items}
        result: dict[str, Any] = self._shared_loader_obj.action_loader.get(
            "files",
            task,
            self._connection,
            self._play_context,
            self._loader,
            self._templar,
            self._shared_loader_obj,
        ).run(task_vars=variables)
        return result

    def _module(self, name: str, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_name=name, module_args=arguments, task_vars=variables)
        return result
