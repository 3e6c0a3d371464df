#!/usr/bin/python
"""Read the state of the cluster from a control plane; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_status
short_description: Read nodes, control plane and etcd from a control plane
description:
  - Reads only. What does not answer is told in the result, the module does not fail for it.
options:
  etcd_members: {description: "Members with C(name) and C(address).", type: list, elements: dict, required: true}
  kubeconfig: {description: Credentials., type: path, default: /etc/kubernetes/admin.conf}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Read the cluster
  cluster_status:
    etcd_members: [{name: master1, address: 10.0.0.11}]
"""

RETURN = r"""
cluster:
  description: C(api), C(nodes), C(components) and C(etcd) as they are.
  type: dict
  returned: always
"""

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_checks import condition, static_pods  # type: ignore[import-not-found]
from ansible.module_utils.etcd_report import report  # type: ignore[import-not-found]
from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]

ROLE_LABEL = "node-role.kubernetes.io/"


def node_row(node):
    """What the status shows of a Node object."""
    metadata, spec, status = node["metadata"], node["spec"], node["status"]
    info, ready = status.get("nodeInfo", {}), condition(node, "Ready")
    addresses = [entry["address"] for entry in status.get("addresses", []) if entry["type"] == "InternalIP"]
    labels = metadata.get("labels", {})
    return {
        "name": metadata["name"],
        "roles": sorted(label[len(ROLE_LABEL) :] for label in labels if label.startswith(ROLE_LABEL)) or ["worker"],
        "ready": ready.get("status") == "True",
        "reason": "" if ready.get("status") == "True" else ready.get("message", "the kubelet has not reported"),
        "version": info.get("kubeletVersion", ""),
        "address": addresses[0] if addresses else "",
        "os": info.get("osImage", ""),
        "runtime": info.get("containerRuntimeVersion", ""),
        "taints": [taint_text(taint) for taint in spec.get("taints", [])],
        "labels": labels,
        "schedulable": not spec.get("unschedulable", False),
        "cordoned_by_us": "provision/cordoned" in metadata.get("annotations", {}),
        "pod_cidr": spec.get("podCIDR", ""),
    }


def taint_text(taint):
    """A taint as kubectl writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def read_api(kubeconfig):
    """The API's part: {api, nodes, components}; without an answer, `api` says why."""
    try:
        kube = KubeClient(kubeconfig)
        endpoint = "{}:{}".format(*kube.address)
        kube.get("/readyz")
        components = static_pods(kube)
        nodes = kube.get("/api/v1/nodes")["items"]
    except (ApiError, OSError, ValueError) as error:
        return {"api": {"ready": False, "reason": str(error)}, "nodes": [], "components": []}
    return {
        "api": {"endpoint": endpoint, "ready": True, "reason": ""},
        "nodes": sorted((node_row(node) for node in nodes), key=lambda row: row["name"]),
        "components": sorted(components, key=lambda row: (row["name"], row["node"])),
    }


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "etcd_members": {"type": "list", "elements": "dict", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    with ThreadPoolExecutor(max_workers=2) as pool:
        etcd = pool.submit(report, module.params["etcd_members"])
        cluster = read_api(module.params["kubeconfig"])
        cluster["etcd"] = etcd.result()
    module.exit_json(changed=False, cluster=cluster)


if __name__ == "__main__":
    main()
