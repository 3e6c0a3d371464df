#!/usr/bin/python
"""Wait until nodes are ready and serve with a certificate of the cluster; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_ready
short_description: Approve the serving certificates of nodes and wait until the nodes are ready
description:
  - Runs on one control plane, after the pod network. A node is done when its condition C(Ready) is true and its
    kubelet shows a certificate that the cluster's authority signed for its address.
  - What is approved is decided by the program C(provision-csr-approver) of the role control_plane, the same that
    approves renewals later.
  - In check mode nothing is waited for, and a node that has not joined yet counts as one that asks for a certificate.
options:
  nodes: {description: Each has C(name) and C(address)., type: list, elements: dict, required: true}
  address: {description: Address of the API server of this host., type: str, required: true}
  version:
    description: The version that the kubelets have to report, such as 1.36.4; empty for any. Their static pods have to
      be those that these kubelets want, and ready. It is waited for while API servers restart as well.
    type: str
    default: ""
  approver: {description: The program that approves., type: path, default: /usr/local/libexec/provision-csr-approver}
  timeout: {description: Seconds to wait for all of them., type: int, default: 180}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Wait for the nodes
  node_ready:
    nodes: [{name: worker1, address: 10.77.0.21}]
    address: 10.77.0.11
"""

RETURN = r"""
approved:
  description: Certificate requests that were, or would be, approved; of a node that is to come, its name.
  type: list
  elements: str
  returned: always
"""

import json
import os
import socket
import ssl

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    ADMIN,
    PKI,
    KubeadmError,
    api_get,
    endpoint,
    nodes,
    run,
    wait_until,
)

KUBELET_PORT = 10250


def certificate_missing(address):
    """Why the kubelet at `address` does not serve with a certificate of the cluster, or None."""
    context = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
    try:
        with socket.create_connection((address, KUBELET_PORT), timeout=3) as plain:
            context.wrap_socket(plain, server_hostname=address).close()
    except (OSError, ValueError) as error:
        return f"serving without a certificate of the cluster ({error})"
    return None


def not_ready(thing):
    """Why a Node or a Pod is not ready, or None."""
    for condition in thing.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return None if condition["status"] == "True" else f"not ready: {condition.get('message', '')}"
    return "not reported yet"


def outdated(node, version):
    """Why a Node object does not report the wanted version, or None."""
    reported = node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")
    return f"still reports {reported or 'no version'}" if version and reported != f"v{version}" else None


def unsettled(name, server):
    """Why the static pods of a node are not yet those that its kubelet wants, or None.

    A kubelet of another minor version gives every static pod another identity: some time after it is ready it stops
    the API server that works, and starts it again.
    """
    listed = api_get(f"/api/v1/nodes/{name}/proxy/pods", server) or {}
    wanted = {_name(pod): _note(pod, "hash") for pod in listed.get("items") or () if _note(pod, "source") == "file"}
    shown = api_get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}", server)["items"]
    there = {_name(pod): _note(pod, "hash") for pod in shown if _note(pod, "mirror")}
    late = {pod for pod in wanted.keys() | there.keys() if wanted.get(pod) != there.get(pod)}
    late |= {_name(pod) for pod in shown if _note(pod, "mirror") and not_ready(pod)}
    return f"starts its static pods again: {', '.join(sorted(late))}" if late else None


def _name(pod):
    return pod["metadata"]["name"]


def _note(pod, word):
    return pod["metadata"].get("annotations", {}).get(f"kubernetes.io/config.{word}", "")


class Waiting:
    """Nodes that are not done, and what was approved for them so far."""

    def __init__(self, params, dry_run):
        self.todo = {node["name"]: node["address"] for node in params["nodes"]}
        self.server, self.approver, self.dry_run = params["address"], params["approver"], dry_run
        self.version = params["version"]
        self.approved, self.refused = [], {}

    def foresee(self):
        """In a plan: a node that is to come will ask for a certificate and be given it; one that has come is asked."""
        known = nodes(self.server) if os.path.exists(ADMIN) else {}
        self.approved = [name for name in self.todo if name not in known]
        asked = known if os.path.exists(self.approver) else {}
        self.todo = {name: address for name, address in self.todo.items() if name in asked}

    def approve(self):
        """Let the approver judge what waits."""
        dry = ["--dry-run"] if self.dry_run else []
        said = json.loads(run(self.approver, ADMIN, "--server", f"https://{endpoint(self.server)}", *dry))
        self.approved += said["approved"]
        self.refused.update(said["refused"])

    def missing(self):
        """What is still missing as one line, or None; while a version changes, an API server may be away."""
        try:
            return self.look()
        except KubeadmError as error:
            if not self.version:
                raise
            return str(error)

    def look(self):
        """Return what is still missing as one line, or None."""
        without = {name: certificate_missing(address) for name, address in self.todo.items()}
        if any(without.values()):
            self.approve()
        known = nodes(self.server)
        by_reason = {}
        for name in self.todo:
            node = known.get(name, {})
            reason = without[name] or outdated(node, self.version) or not_ready(node)
            if self.version and not reason:
                reason = unsettled(name, self.server)
            by_reason.setdefault(reason, []).append(name)
        done = by_reason.pop(None, [])
        self.todo = {name: address for name, address in self.todo.items() if name not in done}
        return "; ".join(f"{', '.join(names)} {reason}" for reason, names in by_reason.items()) or None


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True},
            "address": {"type": "str", "required": True},
            "version": {"type": "str", "default": ""},
            "approver": {"type": "path", "default": "/usr/local/libexec/provision-csr-approver"},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    waiting = Waiting(module.params, module.check_mode)
    try:
        if module.check_mode:
            waiting.foresee()
        limit = 0 if module.check_mode else module.params["timeout"]
        said = wait_until(waiting.missing, limit, pause=0.5) if waiting.todo else None
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    if said and not module.check_mode:
        refused = "".join(
            f"\ncertificate request {name} was not approved: {reason}" for name, reason in waiting.refused.items()
        )
        module.fail_json(msg=f"after {module.params['timeout']} s: {said}{refused}")
    module.exit_json(changed=bool(waiting.approved), approved=waiting.approved)


if __name__ == "__main__":
    main()
