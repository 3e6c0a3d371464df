"""Judge whether the living cluster may be upgraded, and put its hosts in order; nothing runs on the host."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import catalog, topology, upgrade_rules
from provision.errors import ProvisionError


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Returns `steps`, each a host with the group that it is taken in; fails with `provision_problems`."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the steps in their order. Arguments: `version`, and `status` as the module cluster_status tells it."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        status = self._task.args["status"]
        if not status["api"]["ready"]:
            raise AnsibleActionFail(f"the API does not answer: {status['api']['reason']}")
        try:
            cluster = self._cluster(variables, status)
        except (ProvisionError, ValueError) as error:
            raise AnsibleActionFail(str(error)) from error
        problems = [problem.as_dict() for problem in upgrade_rules.assess(cluster)]
        if problems:
            words = "\n".join(f"{problem['message']} ({problem['hint']})" for problem in problems)
            return {"changed": False, "failed": True, "msg": words, "provision_problems": problems}
        return {"changed": False, "steps": _steps(cluster, variables)}

    def _cluster(self, variables: dict[str, Any], status: dict[str, Any]) -> upgrade_rules.Cluster:
        known, target = catalog.load(), str(self._task.args["version"])
        known.release(target)
        present = set(variables["groups"].get("cluster_present", []))
        holders = [host for host in present if variables["hostvars"][host]["cluster_host"]["vip"]["held"]]
        planes = [member["host"] for member in variables["cluster_control_planes"] if member["host"] in present]
        names = {topology.node_name(host): host for host in variables["groups"]["all"]}
        without = [*variables["cluster_absent"], *str(variables.get("run_without") or "").split(",")]
        return upgrade_rules.Cluster(
            target=upgrade_rules.Version.of(target),
            runtime=variables["cluster_artifacts"]["containerd"]["version"],
            control_planes=tuple(upgrade_rules.in_order(planes, variables["cluster_leader"], next(iter(holders), ""))),
            known=known.known_versions(),
            **upgrade_rules.read(status, names, without),
        )


def _steps(cluster: upgrade_rules.Cluster, variables: dict[str, Any]) -> list[dict[str, str]]:
    present = variables["groups"].get("cluster_present", [])
    planes = list(cluster.control_planes)
    etcd = [member["host"] for member in variables["cluster_etcd_members"] if member["host"] in present]
    balancers = [host for host in present if variables["hostvars"][host]["cluster_balancer"] != "none"]
    nodes = [host for host in upgrade_rules.due(cluster) if host in present]
    last = {host: place for place, host in enumerate(planes)}
    groups = {
        "upgrade_etcd": sorted(etcd, key=lambda host: last.get(host, -1)),
        "upgrade_balancers": sorted(balancers, key=lambda host: last.get(host, -1)),
        "upgrade_planes": planes,
        "upgrade_main_nodes": [host for host in nodes if host in planes],
        "upgrade_workers": [host for host in nodes if host not in planes],
    }
    return [{"host": host, "group": group} for group, hosts in groups.items() for host in hosts]
