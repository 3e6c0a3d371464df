"""Judge what the probe found on one host, before anything is changed; nothing runs on the host."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from provision import preflight_rules as rules


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Fails with `provision_problems` when the host, or the site seen from it, cannot become what is asked for."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return `warnings_found`; with problems the result is failed and its message has one line for each."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        site = _site(variables, self._settings())
        problems, warnings = rules.assess(site.by_name[variables["inventory_hostname"]], site)
        result: dict[str, Any] = {
            "changed": False,
            "warnings_found": [warning.as_dict() for warning in warnings],
            "provision_problems": [problem.as_dict() for problem in problems],
        }
        if problems:
            result.update(failed=True, msg="\n".join(f"{problem.message} ({problem.hint})" for problem in problems))
        return result

    def _settings(self) -> Any:
        empty = rules.Settings()
        types = {field.name: type(getattr(empty, field.name)) for field in fields(rules.Settings)}
        unknown = set(self._task.args) - set(types)
        if unknown:
            raise AnsibleActionFail(f"preflight_assess knows no {', '.join(sorted(unknown))}")
        return rules.Settings(**{name: _as(types[name], value) for name, value in self._task.args.items()})


def _as(wanted: Any, value: Any) -> Any:
    """`value` as the setting's own type: templates may hand over text."""
    if wanted is bool:
        return str(value).lower() in ("true", "yes", "1", "on")
    return wanted(value)


def _site(variables: dict[str, Any], settings: Any) -> Any:
    """The site as one host must see it: itself and every host with an office.

    Each look into hostvars resolves all of that host's variables, so workers do not look at each other: on two hundred
    machines that would be forty thousand looks.
    """
    lists = [variables[f"cluster_{key}"] for key in ("control_planes", "etcd_members", "load_balancers")]
    members = {member["host"] for members in lists for member in members}
    hostvars = {name: variables["hostvars"][name] for name in {variables["inventory_hostname"], *members}}
    probed = [name for name, known in hostvars.items() if (known.get("__cluster_probe") or {}).get("host")]
    machines = tuple(_machine(name, hostvars[name], variables) for name in probed)
    return rules.Site(
        settings=settings,
        machines=machines,
        leader=variables["cluster_leader"],
        etcd_leader=variables["cluster_etcd_leader"],
        exists=variables["cluster_exists"],
        complete=members <= set(probed),
        by_name={machine.name: machine for machine in machines},
    )


def _machine(name: str, hostvars: Any, variables: dict[str, Any]) -> Any:
    roles = {
        role
        for role, key in (("control_plane", "control_planes"), ("etcd", "etcd_members"))
        if any(member["host"] == name for member in variables[f"cluster_{key}"])
    }
    if name.lower() in variables["cluster_nodes"]:
        roles |= {"node", "k8s"}
    if "gpu_node" in hostvars["group_names"]:
        roles.add("gpu")
    if hostvars["cluster_balancer"] != "none":
        roles.add("balancer")
    return rules.Machine(name, hostvars["cluster_address"], frozenset(roles), hostvars["__cluster_probe"]["host"])
