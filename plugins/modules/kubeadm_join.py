#!/usr/bin/python
"""Make this host a node of the cluster; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join
short_description: Make this host a node of the cluster, when it is not
description:
  - A host with a kubelet's credentials that the cluster knows is left alone. One that the cluster does not know is
    registered again when its credentials are this cluster's; credentials of another cluster, or half of a join, are
    cleared away first.
  - The token is on the host only while kubeadm runs, in memory; it is never logged.
options:
  name: {description: The node's name., type: str, required: true}
  config:
    description: "kubeadm's JoinConfiguration as YAML; C(DISCOVERY) in it stands for the path of the discovery file."
    type: str
    required: true
  endpoint: {description: "host:port of the cluster's API.", type: str, required: true}
  token: {description: The bootstrap token., type: str, default: ""}
  ca: {description: The cluster's certificate authority (PEM)., type: str, default: ""}
  registered: {description: Whether the cluster knows this node., type: bool, default: false}
  control_plane:
    description:
      - Whether this host is a control plane. M(kubeadm_control_plane) makes it a node, in check mode it would; this
        module at most registers it again.
    type: bool
    default: false
  labels: {description: Handed on to M(node_settings)., type: dict, default: {}}
  taints: {description: Handed on to M(node_settings)., type: list, elements: dict, default: []}
  address: {description: Handed on to M(node_settings)., type: str, required: true}
  timeout: {description: Seconds to wait for the API and for the registration., type: int, default: 120}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Join the cluster
  kubeadm_join:
    name: worker1
    address: 10.77.0.21
    endpoint: api.cluster.local:8443
    config: "{{ lookup('template', 'join.yaml.j2') }}"
    token: "{{ __node_token.token }}"
    ca: "{{ __node_token.ca }}"
"""

RETURN = r"""
action:
  description: C(none), C(joined) or C(registered).
  type: str
  returned: always
node:
  description: Name, address, labels and taints that the cluster shall hold for this node.
  type: dict
  returned: always
"""

import glob
import json
import os
import shutil

from ansible.module_utils.atomic import read  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    APPLIED,
    KUBERNETES,
    PKI,
    KubeadmError,
    kubectl,
    private_directory,
    run,
    unanswered,
    wait_until,
    write_private,
)

CREDENTIALS = f"{KUBERNETES}/kubelet.conf"


def discovery(endpoint, token):
    """A kubeconfig that trusts the cluster's authority and holds the token: for kubeadm, then for the new kubelet.

    Nothing is asked anonymously: the API answers nobody without credentials, except for its health.
    """
    cluster = {"server": f"https://{endpoint}", "certificate-authority": f"{PKI}/ca.crt"}
    return json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "bootstrap", "user": {"token": token}}],
        "contexts": [{"name": "join", "context": {"cluster": "cluster", "user": "bootstrap"}}],
        "current-context": "join",
    })  # fmt: skip


def clear(ca):
    """Remove what another cluster, or half of a join, left; then install this cluster's authority."""
    run("systemctl", "stop", "kubelet.service")
    for path in glob.glob(f"{KUBERNETES}/*kubelet.conf"):
        os.unlink(path)
    shutil.rmtree("/var/lib/kubelet/pki", ignore_errors=True)
    os.makedirs(PKI, mode=0o755, exist_ok=True)
    with open(f"{PKI}/ca.crt", "w", encoding="ascii") as stream:
        stream.write(ca)


def join(params):
    """Run kubeadm join as soon as the API answers."""
    clear(params["ca"])
    # kubeadm looks every 5 s only; asking more often here saves that time.
    said = wait_until(lambda: unanswered(f"https://{params['endpoint']}/readyz"), params["timeout"])
    if said:
        raise KubeadmError(f"the API at {params['endpoint']} does not answer: {said}")
    with private_directory() as directory:
        found = write_private(directory, "discovery.json", discovery(params["endpoint"], params["token"]))
        config = write_private(directory, "join.yaml", params["config"].replace("DISCOVERY", found))
        try:
            run("kubeadm", "join", "--config", config, "--skip-phases", "preflight")
        except KubeadmError:  # a kubelet without credentials would look like another cluster's to the next run
            run("systemctl", "stop", "kubelet.service")
            raise
    os.chmod("/var/lib/kubelet/config.yaml", 0o600)


def register(params):
    """A kubelet with good credentials registers its node when it starts."""
    run("systemctl", "restart", "kubelet.service")

    def reason():
        try:
            kubectl("get", "node", params["name"], "-o", "name", kubeconfig=CREDENTIALS)
        except KubeadmError as error:
            return str(error)
        return None

    said = wait_until(reason, params["timeout"], pause=0.5)
    if said:
        raise KubeadmError(f"the kubelet does not register its node: {said} (journalctl -u kubelet)")


def decide(params):
    """What is to be done with this host."""
    if params["control_plane"] and not os.path.exists(APPLIED):
        return "none"  # a plan: this control plane is still to be made, and is a node then
    if not os.path.exists(CREDENTIALS) and not params["control_plane"]:
        return "joined"
    if params["registered"] or not params["ca"]:
        return "none"
    ours = (read(f"{PKI}/ca.crt") or b"").decode().strip() == params["ca"].strip()
    return "registered" if ours or params["control_plane"] else "joined"


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "config": {"type": "str", "required": True},
            "endpoint": {"type": "str", "required": True},
            "token": {"type": "str", "default": "", "no_log": True},
            "ca": {"type": "str", "default": ""},
            "registered": {"type": "bool", "default": False},
            "control_plane": {"type": "bool", "default": False},
            "labels": {"type": "dict", "default": {}},
            "taints": {"type": "list", "elements": "dict", "default": []},
            "address": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    action = decide(params)
    if action == "joined" and not module.check_mode and not params["token"]:
        module.fail_json(
            msg=f"{params['name']} has to join and there is no token: was this host a member when the run began?"
        )
    if not module.check_mode:
        try:
            if action != "none":
                (join if action == "joined" else register)(params)
        except KubeadmError as error:
            module.fail_json(msg=str(error))
    node = {key: params[key] for key in ("name", "address", "labels", "taints")}
    module.exit_json(changed=action != "none", action=action, node=node)


if __name__ == "__main__":
    main()
