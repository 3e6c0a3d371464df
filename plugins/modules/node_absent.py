#!/usr/bin/python
"""Take nodes out of the cluster's records; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_absent
short_description: Take nodes out of the cluster's records
description:
  - Runs on one control plane that stays. Deletes the Node objects and the nodes' addresses in the ConfigMap
    C(provision-nodes).
  - Of a host that is off nobody can end the Pods. The node gets the taint C(out-of-service), by which Kubernetes gives
    its volumes free, and its Pods are deleted at once, so that they start elsewhere.
options:
  nodes: {description: "Names of the nodes.", type: list, elements: str, required: true}
  dead: {description: Those of them whose host does not run any more., type: list, elements: str, default: []}
  address: {description: Address of the API server of this host., type: str, required: true}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Take the nodes out of the cluster's records
  node_absent:
    nodes: [worker1]
    address: 10.77.0.11
"""

RETURN = r"""
removed:
  description: The nodes whose records were, or would be, deleted.
  type: list
  elements: str
  returned: always
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]
from ansible.module_utils.kubeadm import ADMIN, API_PORT, KubeadmError, kubectl  # type: ignore[import-not-found]

ADDRESSES = "/api/v1/namespaces/kube-system/configmaps/provision-nodes"
OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


class Records:
    """What the cluster holds of its nodes."""

    def __init__(self, address):
        self.address = address
        self.kube = KubeClient(ADMIN, timeout=20)
        self.kube.address = (address, API_PORT)

    def read(self, path):
        """An object, or None when it does not exist."""
        try:
            return self.kube.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def give_up(self, node):
        """Say that the node's host is off, and delete its Pods without waiting for its kubelet."""
        name = node["metadata"]["name"]
        taints = [taint for taint in node["spec"].get("taints", []) if taint["key"] != OUT_OF_SERVICE["key"]]
        patch = {"spec": {"unschedulable": True, "taints": [*taints, OUT_OF_SERVICE]}}
        kubectl("patch", "node", name, "--type", "merge", "-p", json.dumps(patch), server=self.address)
        for pod in self.kube.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}")["items"]:
            meta = pod["metadata"]
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
            try:
                self.kube.request("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", body)
            except ApiError as error:
                if error.status != 404:
                    raise

    def forget(self, name):
        """Delete the Node object."""
        self.kube.delete(f"/api/v1/nodes/{name}")

    def forget_addresses(self, names):
        """Delete the nodes' addresses; the server's field manager of the module that writes them stays."""
        patch = json.dumps({"data": dict.fromkeys(names)})
        words = ("configmap", "provision-nodes", "--field-manager", "provision", "--type", "merge", "-p", patch)
        kubectl("-n", "kube-system", "patch", *words, server=self.address)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "dead": {"type": "list", "elements": "str", "default": []},
            "address": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        records = Records(module.params["address"])
        nodes = {name: records.read(f"/api/v1/nodes/{name}") for name in module.params["nodes"]}
        known = [name for name, node in nodes.items() if node]
        addresses = (records.read(ADDRESSES) or {}).get("data") or {}
        listed = [name for name in nodes if name in addresses]
        if not module.check_mode:
            for name in known:
                if name in module.params["dead"]:
                    records.give_up(nodes[name])
                records.forget(name)
            if listed:
                records.forget_addresses(listed)
    except (KubeadmError, ApiError, OSError) as error:
        module.fail_json(msg=str(error))
    removed = sorted({*known, *listed})
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
