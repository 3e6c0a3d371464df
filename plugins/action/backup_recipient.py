"""Name whom backups are encrypted for; runs on the controller alone."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from provision import backups
from provision.errors import ProvisionError


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Returns `certificate` (PEM); with `make` the operator's own is made, with its key, when there is none."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the certificate; empty when there is none and none is to be made."""
        super().run(tmp, task_vars)
        make = boolean(self._task.args.get("make", False)) and not self._task.check_mode
        try:
            text = backups.recipient(str(self._task.args.get("recipient") or ""), make=make)
        except ProvisionError as error:
            raise AnsibleActionFail(f"{error}; {error.hint}") from error
        return {"changed": False, "certificate": text}
