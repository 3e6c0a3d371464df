"""Render the templates of a `files` task on the controller, then run the module once."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Turns `template: name.j2` of each item into `content`."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        arguments["items"] = [self._rendered(item, variables) for item in arguments.get("items") or []]
        result: dict[str, Any] = self._execute_module(module_name="files", module_args=arguments, task_vars=variables)
        return result

    def _rendered(self, item: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        if "template" not in item:
            return dict(item)
        lookup = lookup_loader.get("rendered", loader=self._loader, templar=self._templar)
        try:
            (text,) = lookup.run([item["template"]], {**variables, **item.get("variables", {})})
        except Exception as error:
            raise AnsibleActionFail(f"{item['template']}: {error}") from error
        rest = {key: value for key, value in item.items() if key not in ("template", "variables")}
        return {**rest, "content": text}
