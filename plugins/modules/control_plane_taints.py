#!/usr/bin/python
"""Keep or take away the taint of control planes; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: control_plane_taints
short_description: Keep other pods away from control planes, or let them in
description:
  - kubeadm taints a control plane once, when it is made. This keeps it so, or takes the taint away, on those that run.
options:
  nodes: {description: The names of the control planes., type: list, elements: str, required: true}
  workloads: {description: Whether other pods may run there., type: bool, required: true}
  address: {description: Address of the API server of this host., type: str, required: true}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Let other pods in
  control_plane_taints:
    nodes: [master1]
    workloads: true
    address: 10.77.0.11
"""

RETURN = r"""
paths:
  description: What was, or would be, done.
  type: list
  elements: str
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    ADMIN,
    KubeadmError,
    kubectl,
    nodes,
)

KEY, EFFECT = "node-role.kubernetes.io/control-plane", "NoSchedule"


def tainted(node):
    """Whether a Node object has the taint."""
    return any(taint["key"] == KEY and taint["effect"] == EFFECT for taint in node.get("spec", {}).get("taints", []))


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "workloads": {"type": "bool", "required": True},
            "address": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode and not os.path.exists(ADMIN):
        module.exit_json(changed=False, paths=[])
    word = f"{KEY}:{EFFECT}" + ("-" if params["workloads"] else "")
    try:
        known = nodes(params["address"])
        todo = [name for name in params["nodes"] if name in known and tainted(known[name]) is params["workloads"]]
        if todo and not module.check_mode:
            kubectl("taint", "nodes", *todo, word, server=params["address"])
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(todo), paths=[f"taint {name} {word}" for name in todo])


if __name__ == "__main__":
    main()
