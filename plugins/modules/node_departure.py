#!/usr/bin/python
"""Tell whether nodes may leave the cluster; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_departure
short_description: Tell whether nodes may leave the cluster
description:
  - Runs on one control plane that stays, before anything is changed, and changes nothing.
  - Fails with C(provision_problems) when etcd would lose its majority, counting members that are dead already; when no
    other API server is ready; or when data lives on a node's own disks. O(force) passes over the last of these.
options:
  nodes: {description: Names of the nodes that leave., type: list, elements: str, required: true}
  control_planes:
    description: Addresses of the API servers that stay.
    type: list
    elements: str
    required: true
  etcd:
    description: The members that leave, each with C(name) and C(address).
    type: list
    elements: dict
    default: []
  etcd_stays: {description: "Addresses of the members that stay.", type: list, elements: str, default: []}
  address: {description: Address of the API server of this host., type: str, required: true}
  force: {description: Whether data on the nodes' own disks may be lost., type: bool, default: false}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Make sure that the nodes may leave
  node_departure:
    nodes: [worker1]
    control_planes: [10.77.0.11]
    address: 10.77.0.11
"""

RETURN = r"""
warnings_found:
  description: What the operator should know, each with C(check), C(message) and C(hint).
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_checks import Unmet, each, etcd_client, etcd_health  # type: ignore[import-not-found]
from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]
from ansible.module_utils.kubeadm import ADMIN, API_PORT, endpoint, unanswered  # type: ignore[import-not-found]

OSD = "rook-ceph-osd"


def problem(check, message, hint):
    """A finding in the form of the preflight's."""
    return {"check": check, "message": message, "hint": hint}


def quorum(voters, healthy, leaving):
    """What is wrong with etcd without the members `leaving`; all three are sets of names of voters."""
    for group, when in ((voters, "now"), (voters - leaving, "afterwards")):
        live, needed = len(healthy & group), len(group) // 2 + 1
        if group and live < needed:
            yield problem(
                "quorum",
                f"etcd has {live} healthy of {len(group)} members {when} and needs {needed}: it would stop",
                "bring back the members that are down first, or restore the cluster from a backup",
            )
            return


def parity(voters, leaving):
    """A word about an even number of members."""
    left = len(voters - leaving)
    if voters & leaving and left and left % 2 == 0:
        survives = (left - 1) // 2
        message = f"etcd is left with {left} members, which survive the loss of {survives}, as {left - 1} would"
        yield problem("etcd_even", message, "add another control plane: provision node add NAME")


def etcd_voters(client):
    """The names of the members that vote, and the addresses where each answers."""
    members = client.request("POST", "/v3/cluster/member/list", {"linearizable": False})["members"]
    return {
        m.get("name") or m["peerURLs"][0]: [url.split("//")[1].rsplit(":", 1)[0].strip("[]") for url in m["peerURLs"]]
        for m in members
        if not m.get("isLearner")
    }


def look_at_etcd(params):
    """(problems, warnings) about etcd."""
    answering = [address for address, told in each(etcd_health, params["etcd_stays"]) if told is True]
    if not answering:
        message = "no etcd member that stays answers"
        return [problem("quorum", message, "restore the cluster from a backup")], []
    voters = etcd_voters(etcd_client(answering[0]))
    everywhere = {address for addresses in voters.values() for address in addresses}
    healthy = {address for address, told in each(etcd_health, everywhere) if told is True}
    names = {name for name, addresses in voters.items() if healthy & set(addresses)}
    leaving = {member["name"] for member in params["etcd"]}
    return list(quorum(set(voters), names, leaving)), list(parity(set(voters), leaving))


def held_to(volume, nodes):
    """The node of `nodes` on whose own disk a PersistentVolume is, or None."""
    terms = ((volume["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or []
    rules = [rule for term in terms for rule in term.get("matchExpressions") or []]
    names = {name for rule in rules if rule["key"] == "kubernetes.io/hostname" for name in rule.get("values") or []}
    return next((node for node in nodes if names == {node}), None)


def storage(volumes, pods, nodes):
    """The problems of data that would go with the nodes."""
    hint = "move the data first, or lose it with --force"
    for volume in volumes:
        node, claim = held_to(volume, nodes), volume["spec"].get("claimRef")
        if node and claim and volume.get("status", {}).get("phase") == "Bound":
            owner = f"{claim['namespace']}/{claim['name']}"
            yield problem(
                "storage", f"the data of {owner} ({volume['metadata']['name']}) is on {node}'s own disk", hint
            )
    for pod in pods:
        if pod["metadata"].get("labels", {}).get("app") == OSD:
            message = f"{pod['spec']['nodeName']} holds a part of Ceph's data ({pod['metadata']['name']})"
            yield problem("storage", message, hint)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "control_planes": {"type": "list", "elements": "str", "required": True},
            "etcd": {"type": "list", "elements": "dict", "default": []},
            "etcd_stays": {"type": "list", "elements": "str", "default": []},
            "address": {"type": "str", "required": True},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    problems, warnings = [], []
    try:
        if all(unanswered(f"https://{endpoint(address)}/readyz") for address in params["control_planes"]):
            problems.append(problem("control_plane", "no API server that stays is ready", "look at: provision status"))
        if params["etcd"]:
            found, warnings = look_at_etcd(params)
            problems += found
        if not params["force"] and not problems:
            kube = KubeClient(ADMIN, timeout=20)
            kube.address = (params["address"], API_PORT)
            volumes = kube.get("/api/v1/persistentvolumes")["items"]
            wanted = [f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}" for name in params["nodes"]]
            pods = [pod for path in wanted for pod in kube.get(path)["items"]]
            problems += storage(volumes, pods, params["nodes"])
    except (Unmet, ApiError, OSError) as error:
        module.fail_json(msg=str(error))
    result = {"provision_problems": problems, "warnings_found": warnings}
    if problems:
        module.fail_json(msg="\n".join(f"{found['message']} ({found['hint']})" for found in problems), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
