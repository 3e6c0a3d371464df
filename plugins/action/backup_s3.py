"""Give a control plane what it needs to upload backups; the task that does sets `no_log`."""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import s3
from provision.errors import ProvisionError


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Writes `dest`, root's alone, of `url`, `region` and the file `credentials`; with no `url` it is removed."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module `files`."""
        super().run(tmp, task_vars)
        url, region, credentials, dest = (
            str(self._task.args.get(name) or "") for name in ("url", "region", "credentials", "dest")
        )
        item: dict[str, Any] = {"dest": dest, "state": "absent"}
        if url:
            try:
                told = s3.told(url, region, credentials)
            except ProvisionError as error:
                raise AnsibleActionFail(f"{error}; {error.hint}") from error
            item = {"dest": dest, "content": f"{json.dumps(told)}\n", "secret": True}
        result: dict[str, Any] = self._execute_module(
            module_name="files", module_args={"items": [item]}, task_vars=task_vars or {}
        )
        return result
