"""Open a backup on the controller; its contents stay in memory."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import backups
from provision.errors import ProvisionError


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Returns `contents`, base64 of each file of the cluster by its path, and `authority`, the SHA-256 of the CA.

    Every task that uses it sets `no_log`.
    """

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the files; fails when the backup is damaged, of another cluster, or the key does not open it."""
        super().run(tmp, task_vars)
        cluster = str(self._task.args["cluster"])
        try:
            found = backups.read(Path(self._task.args["file"]).expanduser())
            found.verify()
            files = found.cluster_files(backups.key_at(self._task.args.get("key")))
        except ProvisionError as error:
            raise AnsibleActionFail(f"{error}; {error.hint}") from error
        if found.cluster != cluster:
            raise AnsibleActionFail(f"{found.path.name} is a backup of {found.cluster}, not of {cluster}")
        contents = {f"/{name}": base64.b64encode(data).decode() for name, data in files.items() if "/" in name}
        return {"changed": False, "contents": contents, "authority": found.authority}
