"""Decrypt etcd's snapshot on the controller, and give it to the member that is restored from it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import backups
from provision.errors import ProvisionError


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Brings the snapshot of the backup `file`, opened with `key`, and runs the module of the same name."""

    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; fails when the backup cannot be opened."""
        super().run(tmp, task_vars)
        arguments = {name: value for name, value in self._task.args.items() if name not in ("file", "key")}
        if self._task.check_mode:
            return {"changed": True}
        with tempfile.TemporaryDirectory(prefix="provision-restore-", dir=backups.private_place()) as directory:
            path = Path(directory) / "snapshot.db"
            try:
                with path.open("wb") as stream:
                    backups.read(Path(self._task.args["file"]).expanduser()).snapshot(
                        backups.key_at(self._task.args.get("key")), stream
                    )
            except ProvisionError as error:
                raise AnsibleActionFail(f"{error}; {error.hint}") from error
            remote = self._connection._shell.join_path(self._make_tmp_path(), "snapshot.db")
            self._transfer_file(str(path), remote)
        try:
            result: dict[str, Any] = self._execute_module(
                module_name="etcd_restore", module_args={**arguments, "snapshot": remote}, task_vars=task_vars
            )
            return result
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
