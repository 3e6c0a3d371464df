"""Bring a backup to the operator's machine and verify it there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import backups
from provision.errors import ProvisionError


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Copies `path` from the host into `directory`, by default the operator's own place for this `cluster`."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return `backup` (the file here) and `provision_backup` (its manifest); fails when it did not arrive whole."""
        super().run(tmp, task_vars)
        if self._task.check_mode:
            return {"changed": True}
        given, source = self._task.args.get("directory"), str(self._task.args["path"])
        directory = Path(given).expanduser() if given else backups.home() / str(self._task.args["cluster"])
        target = directory / Path(source).name
        try:
            with backups.arriving(target) as part:
                self._fetch(source, part, task_vars)
        except (OSError, ProvisionError) as error:
            raise AnsibleActionFail(
                f"the backup is on the host, and could not be brought to {target}: {error}"
            ) from error
        return {"changed": True, "backup": str(target), "provision_backup": dict(backups.read(target).manifest)}

    def _fetch(self, source: str, target: Path, task_vars: dict[str, Any] | None) -> None:
        """Ansible's own fetch, which knows what to do for users who become root."""
        task = self._task.copy()
        task.args = {"src": source, "dest": str(target), "flat": True, "fail_on_missing": True}
        result = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.fetch",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        ).run(task_vars=task_vars)
        if result.get("failed"):
            raise AnsibleActionFail(str(result.get("msg")))
