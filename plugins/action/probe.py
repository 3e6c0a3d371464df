"""Run `probe` on the host, and tell how far its clock is from the controller's."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleModuleError
from ansible.plugins.action import ActionBase

NOT_ROOT = {
    "check": "root",
    "message": "cannot become root on this host",
    "hint": "let the ssh user use sudo without a password, set ansible_become_password, or connect as root",
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Adds `clock_skew_s` and its error bound to the module's result."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; a host on which we cannot become root is refused in preflight's form."""
        super().run(tmp, task_vars)
        before = time.time()
        result = self._probed(task_vars)
        after = time.time()
        host = result.get("host")
        if host:
            host["clock_error_s"] = round((after - before) / 2, 3)
            host["clock_skew_s"] = round(host["time_epoch"] - (before + after) / 2, 3)
        elif not result.get("unreachable") and _is_about_sudo(result):
            result.update(failed=True, provision_problems=[NOT_ROOT], msg=f"{NOT_ROOT['message']}: {NOT_ROOT['hint']}")
        return result

    def _probed(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's result. Mitogen raises what Ansible's own connection returns when sudo wants a password."""
        try:
            result: dict[str, Any] = self._execute_module(module_args=dict(self._task.args), task_vars=task_vars)
        except AnsibleModuleError as error:
            if not _is_about_sudo({"msg": str(error)}):
                raise
            return {"msg": str(error)}
        return result


def _is_about_sudo(result: dict[str, Any]) -> bool:
    words = " ".join(str(result.get(key, "")) for key in ("msg", "module_stderr", "module_stdout")).lower()
    return any(sign in words for sign in ("sudo", "become", "su: ", "permission denied"))
