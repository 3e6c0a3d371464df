"""Put together what the hosts told of their certificates; runs on the controller alone."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from provision.certificates import report


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Returns `provision_status` with the certificates, even when hosts are dead."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the report."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        told = {
            name: variables["hostvars"][name].get("__cluster_host_status") or {}
            for name in variables["ansible_play_hosts_all"]
        }
        hosts = {name: result.get("host") for name, result in told.items()}
        words = {name: str(result.get("msg", "")) for name, result in told.items()}
        return {"changed": False, "provision_status": report(hosts, words)}
