"""Turn the probe's results and the settings into the facts that every role reads; nothing runs on the host."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import catalog, material, topology
from provision.errors import ProvisionError


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Returns the `cluster_*` facts of one host, and puts it into the groups that plays work on."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the facts; fails with the reason when the settings contradict each other."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            facts = {**self._people(variables), **self._material(variables)}
        except ProvisionError as error:
            raise AnsibleActionFail(str(error)) from error
        place = {"host_name": variables["inventory_hostname"], "groups": _groups(variables, facts)}
        return {"changed": False, "ansible_facts": facts, "add_host": place, "_ansible_verbose_always": False}

    def _people(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Who is in the cluster, who leads, and how the API is reached."""
        groups, name = variables["groups"], variables["inventory_hostname"]
        everyone = _offices(groups)
        leaving = _listed(self._task.args.get("leaving"))
        leading = {host for office in ("control_plane", "etcd", "balancer") for host in everyone[office]}
        # Each look into hostvars resolves all of that host's variables: none for a host without an office.
        hostvars = {host: variables["hostvars"][host] for host in {name, *leading, *leaving}}
        # One that leaves is still worked on when nothing of its membership is left, after an interruption.
        strangers = _strangers(hostvars, self._task.args.get("joining")) - {*leaving}
        outside = {*leaving, *strangers}
        planes, etcd, balancers, nodes = (
            [host for host in everyone[office] if host not in outside]
            for office in ("control_plane", "etcd", "balancer", "node")
        )
        probes = {host: hostvars[host]["__cluster_probe"]["host"] for host in _answering(hostvars) & {*planes, *etcd}}
        mode = topology.api_access(variables["cluster_vip"], variables["cluster_api_address"])
        host = f"api.{variables['cluster_domain']}"
        targets = {"vip": variables["cluster_vip"], "external": variables["cluster_api_address"]}
        return {
            "cluster_host": variables["__cluster_probe"]["host"],
            "cluster_address": topology.address(variables),
            "cluster_node_name": topology.node_name(name),
            "cluster_control_planes": topology.members(planes, hostvars),
            "cluster_etcd_members": topology.members(etcd, hostvars),
            "cluster_load_balancers": topology.members(balancers, hostvars),
            "cluster_nodes": [topology.node_name(node) for node in nodes],
            "cluster_leaving": [
                {**member, **{office: member["host"] in everyone[office] for office in everyone}}
                for member in topology.members(leaving, hostvars)
            ],
            "cluster_leader": topology.control_plane_leader(planes, probes),
            "cluster_etcd_leader": topology.etcd_leader(etcd, probes),
            "cluster_absent": _absent(
                {*planes, *etcd, *balancers, *leaving} - _answering(hostvars), variables.get("run_without")
            ),
            "cluster_exists": topology.cluster_exists(planes, probes),
            "cluster_api_mode": mode,
            "cluster_api_host": host,
            "cluster_api_endpoint": f"{host}:{variables['cluster_api_port']}",
            "cluster_api_ip": targets.get(mode, "127.0.0.1"),
            "cluster_balancer": topology.balancer(mode, name, balancers, nodes),
            "cluster_stranger": name in strangers,
        }

    @staticmethod
    def _material(variables: dict[str, Any]) -> dict[str, Any]:
        """Where this host's downloads and images come from."""
        known, held = catalog.load(), material.manifest(variables["cluster_bundle"])
        version, arch = str(variables["cluster_version"]), variables["__cluster_probe"]["host"]["arch"]
        return {
            "cluster_artifacts": material.artifacts(known, version, arch, held, variables["cluster_mirror_url"]),
            "cluster_images": material.images(known, version, held),
        }


def _listed(names: object) -> list[str]:
    return [name for name in str(names or "").split(",") if name]


def _strangers(hostvars: dict[str, Any], joining: str | None) -> set[str]:
    """The hosts that are no members and are not taken in by this run; a run that names nobody takes in all."""
    if joining is None:
        return set()
    probes = {host: hostvars[host]["__cluster_probe"]["host"] for host in _answering(hostvars) - {*_listed(joining)}}
    return {
        host
        for host, probe in probes.items()
        if not (probe["kubernetes"]["kubelet_conf"] or probe["etcd"]["data_dir_present"] or probe["balancer"])
    }


def _offices(groups: dict[str, list[str]]) -> dict[str, list[str]]:
    """Which hosts do what, as the groups say."""
    planes = list(groups.get("kube_control_plane", []))
    return {
        "control_plane": planes,
        "etcd": list(groups.get("etcd") or planes),
        "balancer": list(groups.get("load_balancer") or planes),
        "node": [*planes, *(host for host in groups.get("kube_node", []) if host not in planes)],
    }


def _groups(variables: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """What plays name instead of asking on each host whether it is meant."""
    name, probe, balancer = variables["inventory_hostname"], facts["cluster_host"], facts["cluster_balancer"]
    leaving = [member for member in facts["cluster_leaving"] if member["etcd"]]
    belongs = {
        "cluster_present": not facts["cluster_stranger"],
        "cluster_stranger": facts["cluster_stranger"],
        "cluster_leads": name == facts["cluster_leader"],
        "cluster_etcd": name in {member["host"] for member in (*facts["cluster_etcd_members"], *leaving)},
        f"balancer_{balancer}": True,
        # It balanced before and shall not any more, since the group or the way to the API changed.
        "balancer_gone": balancer == "none" and probe["balancer"],
        "backup_timed": variables.get("backup_interval_hours") is not None or probe["backup_timer"],
    }
    return [group for group, does in belongs.items() if does]


def _answering(hostvars: dict[str, Any]) -> set[str]:
    """The hosts that the probe reached."""
    return {host for host, known in hostvars.items() if (known.get("__cluster_probe") or {}).get("host")}


def _absent(silent: set[str], without: str | None) -> list[str]:
    """The hosts that this run does without: members that did not answer, and those that the operator named."""
    return sorted(silent | set(_listed(without)))
