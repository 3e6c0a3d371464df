#!/usr/bin/python
"""Take the nodes that are gone out of a restored cluster; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_settle
short_description: Take the nodes that are gone out of a restored cluster
description:
  - Deletes the Node objects of all nodes but O(nodes). Their pods go with them and are made anew elsewhere.
options:
  nodes: {description: The names of the nodes that live., type: list, elements: str, required: true}
  address: {description: The API server that is asked., type: str, required: true}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Forget the nodes that are gone
  backup_settle:
    nodes: [master1, worker1]
    address: 10.77.0.11
"""

RETURN = r"""
removed:
  description: The nodes that were, or would be, removed.
  type: list
  elements: str
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import ADMIN, KubeadmError, kubectl, nodes  # type: ignore[import-not-found]


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "address": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not os.path.exists(ADMIN):
        module.exit_json(changed=False, removed=[])
    address = module.params["address"]
    try:
        gone = sorted(set(nodes(address)) - set(module.params["nodes"]))
        if gone and not module.check_mode:
            kubectl("delete", "node", *gone, server=address)
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(gone), removed=gone)


if __name__ == "__main__":
    main()
