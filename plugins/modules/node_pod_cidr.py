#!/usr/bin/python
"""Learn the pod range of a node from its Node object; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_pod_cidr
short_description: Learn the pod range that the cluster gave to a node
description:
  - Reads the node's own Node object with the kubelet's credentials and waits until the range is set.
  - Changes nothing. In check mode on a host that is no node yet, the range is a placeholder and C(known) is false.
options:
  node: {description: The name of the node., type: str, required: true}
  kubeconfig: {description: The credentials of the kubelet., type: path, default: /etc/kubernetes/kubelet.conf}
  timeout: {description: Seconds to wait for the range., type: int, default: 60}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Learn the pod range of the node
  node_pod_cidr:
    node: worker1
  register: range
"""

RETURN = r"""
pod_cidr:
  description: The IPv4 range of the node's pods.
  type: str
  returned: always
known:
  description: Whether the cluster has given the range; false in check mode before the node joined.
  type: bool
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


def wait(client, node, timeout):
    """The range of the node once it is set; raises TimeoutError with the last reason when it is not in time."""
    limit, reason = time.monotonic() + timeout, ""
    while True:
        try:
            cidr = pod_cidr(client.get(f"/api/v1/nodes/{node}"))
            if cidr:
                return cidr
            reason = "the controller manager has given it none; does it run with --allocate-node-cidrs?"
        except (ApiError, OSError) as error:
            reason = str(error)
        if time.monotonic() > limit:
            raise TimeoutError(f"no pod range for node {node} after {timeout} s: {reason}")
        time.sleep(0.1)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/kubelet.conf"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    kubeconfig = module.params["kubeconfig"]
    if module.check_mode and not os.path.exists(kubeconfig):
        module.exit_json(changed=False, pod_cidr=PLACEHOLDER, known=False)
    try:
        cidr = wait(KubeClient(kubeconfig), module.params["node"], module.params["timeout"])
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, pod_cidr=cidr, known=True)


if __name__ == "__main__":
    main()
