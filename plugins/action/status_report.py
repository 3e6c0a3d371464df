"""Put together what the tasks before read from the hosts and the cluster; runs on the controller alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from provision.status_report import build, nobody_answers, taint_text


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Returns `provision_status`, even when hosts or all control planes are dead."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the report."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        hostvars, names = variables["hostvars"], variables["ansible_play_hosts_all"]
        hosts = {name: self._read(hostvars[name], "__cluster_host_status", "host") for name in names}
        clusters = [self._read(hostvars[name], "__cluster_status", "cluster") for name in names]
        cluster = next((found for found in clusters if found), None)
        known = next((hostvars[name] for name in names if "cluster_leader" in hostvars[name]), None)
        if known is None:
            words = {name: (hostvars[name].get("__cluster_probe") or {}).get("msg", "") for name in names}
            return {"changed": False, "provision_status": nobody_answers(words)}
        return {"changed": False, "provision_status": build(self._site(known, hostvars), hosts, cluster)}

    @staticmethod
    def _read(variables: Mapping[str, Any], register: str, key: str) -> dict[str, Any] | None:
        found = (variables.get(register) or {}).get(key)
        return dict(found) if found else None

    def _site(self, known: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, Any]:
        """What the site says, as one host that answered knows it."""
        planes = {member["name"] for member in known["cluster_control_planes"]}
        by_node = {name.lower(): name for name in hostvars}
        return {
            "nodes": [
                {
                    "host": by_node.get(node, node),
                    "name": node,
                    "control_plane": node in planes,
                    **self._settings(hostvars[by_node[node]]),
                }
                for node in known["cluster_nodes"]
            ],
            "version": str(self._templar.template(known["cluster_version"])),
            "vip": self._templar.template(known["cluster_vip"]),
            "backup_interval_hours": known.get("backup_interval_hours") or 0,
            "api_mode": known["cluster_api_mode"],
            "api_endpoint": known["cluster_api_endpoint"],
        }

    @staticmethod
    def _settings(variables: Mapping[str, Any]) -> dict[str, Any]:
        """The labels and taints that the site gives a node, as the status shows them."""
        labels = {key: str(value) for key, value in (variables.get("node_labels") or {}).items()}
        return {"labels": labels, "taints": [taint_text(taint) for taint in variables.get("node_taints") or []]}
