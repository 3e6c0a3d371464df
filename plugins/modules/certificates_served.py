#!/usr/bin/python
"""Wait until services show the certificates that are in their files; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates_served
short_description: Wait until services show the certificates that are in their files, and work
description:
  - Proves that a renewed certificate is in use. Changes nothing, and asks nothing in check mode.
options:
  address: {description: Where the services of this host answer., type: str, required: true}
  certificates:
    description: What each service shows, as C(port) and C(path) of a PEM file. One whose file is not there is left out.
    type: list
    elements: dict
    required: true
  health: {description: Answers 200 when the service works., type: str, required: true}
  timeout: {description: Seconds to wait., type: int, default: 120}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Wait until etcd shows its new certificates
  certificates_served:
    address: 10.77.0.11
    certificates: [{port: 2379, path: /etc/etcd/pki/server.crt}]
    health: http://127.0.0.1:2381/health
"""

RETURN = r"""
shown:
  description: The files whose certificate is shown.
  type: list
  elements: str
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.certificates import not_shown  # type: ignore[import-not-found]
from ansible.module_utils.kubeadm import unanswered, wait_until  # type: ignore[import-not-found]


def missing(params):
    """What does not hold yet, as one line, or None."""
    reasons = [not_shown(params["address"], int(entry["port"]), entry["path"]) for entry in params["certificates"]]
    health = unanswered(params["health"], verify=False)
    reasons += [f"{params['health']}: {health}"] if health else []
    return "; ".join(reason for reason in reasons if reason) or None


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "certificates": {"type": "list", "elements": "dict", "required": True},
            "health": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    params["certificates"] = [entry for entry in params["certificates"] if os.path.exists(entry["path"])]
    said = None if module.check_mode else wait_until(lambda: missing(params), params["timeout"])
    if said:
        module.fail_json(msg=f"after {params['timeout']} s: {said}")
    module.exit_json(changed=False, shown=[entry["path"] for entry in params["certificates"]])


if __name__ == "__main__":
    main()
