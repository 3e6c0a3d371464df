"""Install what a service is made of and run it, in one task; see DOCUMENTATION."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = """
module: daemon
short_description: Install a service's downloads and files and run its units, in one task
description:
  - Runs the modules M(artifact), M(files) and M(unit), in this order, and ends with the first that fails. What these
    say apart takes a task each, and most of a task's time is Ansible's own.
  - A unit is restarted or reloaded, in check mode said to be, when one of the files in its C(watch) changed.
options:
  artifacts: {description: As C(items) of M(artifact)., type: list, elements: dict, default: []}
  files: {description: As C(items) of M(files)., type: list, elements: dict, default: []}
  units: {description: The arguments of M(unit) for each unit in turn., type: list, elements: dict, default: []}
"""

EXAMPLES = """
- name: Run containerd
  daemon:
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
actions:
  description: What was, or would be, done to each unit that was touched.
  type: dict
  returned: always
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Hands each part to the module that knows how."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the modules changed together, or the failure of the first that failed."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        lists = {name: {"type": "list", "elements": "dict", "default": []} for name in ("artifacts", "files", "units")}
        _, wanted = self.validate_argument_spec(argument_spec=lists)
        done: dict[str, Any] = {"changed": False, "paths": [], "actions": {}, "diff": []}
        if wanted["artifacts"]:
            brought = self._module("artifact", {"items": wanted["artifacts"]}, variables)
            if not _added(done, brought, brought.get("installed", [])):
                return {**done, **brought}
        if wanted["files"]:
            # Its templates are rendered by the action of that name.
            task = self._task.copy()
            task.action, task.args = "files", {"items": wanted["files"]}
            written = self._shared_loader_obj.action_loader.get(
                "files",
                task,
                self._connection,
                self._play_context,
                self._loader,
                self._templar,
                self._shared_loader_obj,
            ).run(task_vars=variables)
            if not _added(done, written, written.get("paths", [])):
                return {**done, **written}
        for unit in wanted["units"]:
            pending = bool({*unit.get("watch", [])} & {*done["paths"]})
            settled = self._module("unit", {**unit, "pending": pending}, variables)
            if settled.get("action", "none") != "none":
                done["actions"][unit["name"]] = settled["action"]
                settled["diff"] = [{"prepared": f"{unit['name']}: {settled['action']}"}]
            if not _added(done, settled, []):
                return {**done, **settled}
        return done

    def _module(self, name: str, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_name=name, module_args=arguments, task_vars=variables)
        return result


def _added(done: dict[str, Any], result: dict[str, Any], paths: list[str]) -> bool:
    """Add one module's result to what was done; returns whether it went well."""
    done["changed"] |= bool(result.get("changed"))
    done["paths"] += paths
    done["diff"] += result.get("diff") or []
    # A failure brings its own words, over what was done before it.
    result["changed"], result["diff"] = done["changed"], done["diff"]
    return not (result.get("failed") or result.get("unreachable"))
