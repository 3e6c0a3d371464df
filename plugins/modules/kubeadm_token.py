#!/usr/bin/python
"""Make a bootstrap token when a host has to join; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_token
short_description: Tell which hosts are not in the cluster, and make a token for them
description:
  - Runs on one control plane. Without anybody to join, no token is made and nothing changes. The token allows nothing
    but to ask for a kubelet's certificate; M(node_settings) removes it after the joins, and the cluster itself does
    when its time is over.
  - Every task that calls this module sets C(no_log).
options:
  nodes: {description: Names of all nodes that the cluster shall have., type: list, elements: str, required: true}
  strangers:
    description: Those of them whose host holds no credentials of a kubelet.
    type: list
    elements: str
    default: []
  address: {description: Address of the API server of this host., type: str, required: true}
  ttl: {description: Seconds that the token lives., type: int, default: 900}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Make a token for the hosts that join
  kubeadm_token:
    nodes: [master1, worker1]
    strangers: [worker1]
    address: 10.77.0.11
  no_log: true
  register: __node_token
"""

RETURN = r"""
token:
  description: The token, or an empty string when nobody joins.
  type: str
  returned: always
ca:
  description: The cluster's certificate authority (PEM).
  type: str
  returned: always
registered:
  description: Names of the nodes that the cluster knows.
  type: list
  elements: str
  returned: always
"""

import datetime as dt
import json
import os
import secrets
import string

from ansible.module_utils.atomic import read  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import ADMIN, PKI, KubeadmError, kubectl, nodes  # type: ignore[import-not-found]

ALPHABET = string.ascii_lowercase + string.digits
GROUP = "system:bootstrappers:kubeadm:default-node-token"


def new_token():
    """A token in kubeadm's form."""
    return ".".join("".join(secrets.choice(ALPHABET) for _ in range(size)) for size in (6, 16))


def manifest(token, ttl):
    """The Secret that makes `token` valid for `ttl` seconds."""
    name, secret = token.split(".")
    until = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=ttl)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{name}", "namespace": "kube-system"},
        "stringData": {
            "description": "provision: one run's joins",
            "token-id": name,
            "token-secret": secret,
            "expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": GROUP,
        },
    }


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "strangers": {"type": "list", "elements": "str", "default": []},
            "address": {"type": "str", "required": True},
            "ttl": {"type": "int", "default": 900, "no_log": False},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not os.path.exists(ADMIN):
        module.exit_json(changed=False, token="", ca="", registered=[])
    address, token = module.params["address"], ""
    try:
        registered = sorted(nodes(address))
        if (set(module.params["nodes"]) - set(registered) or module.params["strangers"]) and not module.check_mode:
            token = new_token()
            kubectl("create", "-f", "-", server=address, data=json.dumps(manifest(token, module.params["ttl"])))
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    ca = (read(os.path.join(PKI, "ca.crt")) or b"").decode()
    module.exit_json(changed=False, token=token, ca=ca, registered=registered)


if __name__ == "__main__":
    main()
