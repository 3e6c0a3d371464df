"""Send a host the files of a bundle that it lacks."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import material
from provision.errors import ProvisionError

MANIFEST = "manifest.json"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Asks the module what is missing, and brings that in one archive."""

    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; fails when there is no bundle."""
        super().run(tmp, task_vars)
        bundle = Path(self._task.args["bundle"] or "").expanduser()
        arguments = {**self._task.args, "files": self._files(bundle)}
        result = self._module(arguments, task_vars)
        if result.get("failed") or not result.get("paths") or self._task.check_mode:
            return result
        with tempfile.NamedTemporaryFile(prefix="provision-bundle-", suffix=".tar") as stream:
            with tarfile.open(fileobj=stream, mode="w") as archive:
                for path in result["paths"]:
                    archive.add(bundle / path, path)
            stream.flush()
            remote = self._connection._shell.join_path(self._make_tmp_path(), "bundle.tar")
            self._transfer_file(stream.name, remote)
        try:
            return self._module({**arguments, "archive": remote}, task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name="bundle_copy", module_args=arguments, task_vars=task_vars
        )
        return result

    @staticmethod
    def _files(bundle: Path) -> dict[str, dict[str, Any]]:
        """SHA-256 and size of every file; the manifest comes last, so a copy that has it is whole."""
        try:
            held = material.manifest(str(bundle))
        except ProvisionError as error:
            raise AnsibleActionFail(f"{error}; {error.hint}") from error
        content = (bundle / MANIFEST).read_bytes()
        own = {MANIFEST: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}}
        return {**{path: file for path, file in (held or {})["files"].items() if path != MANIFEST}, **own}
