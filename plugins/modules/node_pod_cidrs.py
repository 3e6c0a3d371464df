#!/usr/bin/python
"""Learn the pod ranges of nodes from their Node objects; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_pod_cidrs
short_description: Learn the pod ranges that the cluster gave to nodes
description:
  - Runs on one control plane. Reads the Node objects and waits until each has its range.
  - Changes nothing. In check mode a node that has not joined gets a placeholder.
options:
  nodes: {description: The names of the nodes., type: list, elements: str, required: true}
  kubeconfig: {description: Credentials that may read Node objects., type: path, default: /etc/kubernetes/admin.conf}
  timeout: {description: Seconds to wait for all of them., type: int, default: 60}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Learn the pod ranges of the nodes
  node_pod_cidrs:
    nodes: [worker1, worker2]
  register: ranges
"""

RETURN = r"""
pod_cidrs:
  description: The IPv4 range of each node's pods, by the node's name.
  type: dict
  returned: always
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]

# Documentation addresses: a plan shows that there will be a range, and nobody takes it for a real one.
PLACEHOLDER = "192.0.2.0/24"


def pod_cidr(node):
    """The IPv4 pod range in a Node object, or "" while there is none."""
    spec = node.get("spec", {})
    ranges = spec.get("podCIDRs") or [spec.get("podCIDR", "")]
    return next((cidr for cidr in ranges if "." in cidr), "")


def found(client, names):
    """The ranges of the nodes that have joined, "" for one whose range is not set yet; raises ApiError or OSError."""
    known = {node["metadata"]["name"]: pod_cidr(node) for node in client.get("/api/v1/nodes")["items"]}
    return {name: known[name] for name in names if name in known}


def wait(client, names, timeout):
    """The ranges of all nodes once they are set; raises TimeoutError with the last reason when they are not in time."""
    limit, ranges, reason = time.monotonic() + timeout, {}, ""
    while True:
        try:
            ranges = found(client, names)
            if all(ranges.get(name) for name in names):
                return ranges
            reason = "the controller manager has given it none; does it run with --allocate-node-cidrs?"
        except (ApiError, OSError) as error:
            reason = str(error)
        if time.monotonic() > limit:
            missing = ", ".join(name for name in names if not ranges.get(name))
            raise TimeoutError(f"no pod range for node {missing} after {timeout} s: {reason}")
        time.sleep(0.1)


def planned(kubeconfig, names):
    """The ranges that are known, with placeholders for nodes that have not joined."""
    ranges = found(KubeClient(kubeconfig), names) if os.path.exists(kubeconfig) else {}
    return {name: ranges.get(name) or PLACEHOLDER for name in names}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    kubeconfig, names = module.params["kubeconfig"], module.params["nodes"]
    try:
        if module.check_mode:
            ranges = planned(kubeconfig, names)
        else:
            ranges = wait(KubeClient(kubeconfig), names, module.params["timeout"])
    except (ApiError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, pod_cidrs=ranges)


if __name__ == "__main__":
    main()
