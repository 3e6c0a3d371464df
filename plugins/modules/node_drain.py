#!/usr/bin/python
"""Take the pods off a node, or let pods come again; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Take the pods off a node, or let pods come again
description:
  - Runs on one control plane. Pods leave by the Eviction API, which respects disruption budgets; what blocks is tried
    again until the time is over, and then told with the budgets' names. Pods of DaemonSets and static pods stay.
  - None is asked to leave before a controller manager leads, which takes up to 15 seconds after the former one ended.
    Services would else go on sending requests to pods that left, and nobody would make others.
  - Pods of a node that is not ready cannot end there. They count as gone once they are asked to leave.
  - Only a node that this module cordoned is uncordoned by it (it notes that on the node). A drain that does not succeed
    uncordons the node that it cordoned.
options:
  node: {description: The node's name. One that the cluster does not know is well., type: str, required: true}
  address: {description: Address of the API server to ask., type: str, required: true}
  state:
    description: C(cordoned) lets no new pods come, C(drained) takes away those that are there as well.
    type: str
    choices: [drained, cordoned, uncordoned]
    default: drained
  delete_emptydir:
    description: Whether pods may leave that lose data with the node (C(emptyDir)). Else they refuse the drain.
    type: bool
    default: false
  force:
    description: Whether pods may leave that nobody makes again elsewhere. Else they refuse the drain.
    type: bool
    default: false
  timeout: {description: Seconds until all pods have to be gone., type: int, default: 300}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Drain the node
  node_drain:
    node: worker1
    address: 10.77.0.11
    delete_emptydir: true
  delegate_to: "{{ cluster_leader }}"
"""

RETURN = r"""
evicted:
  description: The pods that left, or would leave, as namespace/name.
  type: list
  elements: str
  returned: always
blocked:
  description: When it fails, each pod that stays (C(pod)) and why (C(reason)).
  type: list
  elements: dict
  returned: failure
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]
from ansible.module_utils.kubeadm import ADMIN, API_PORT, KubeadmError, is_ready, kubectl, wait_until  # type: ignore[import-not-found]  # our own module_utils

NOTE = "provision/cordoned"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
CLOSED = "node.kubernetes.io/unschedulable"
MIRROR = "kubernetes.io/config.mirror"


def owner(pod):
    """The kind of what makes the pod again; empty when nobody does."""
    owners = pod["metadata"].get("ownerReferences", [])
    return next((each["kind"] for each in owners if each.get("controller")), "")


def stays(pod):
    """Whether a pod belongs to the node itself and is left alone."""
    return MIRROR in pod["metadata"].get("annotations", {}) or owner(pod) == "DaemonSet"


def refusal(pod, params):
    """Why a pod must not be taken away without the operator's word, or None."""
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        return None
    if not params["force"] and not owner(pod):
        return "nobody makes it again elsewhere"
    if not params["delete_emptydir"] and any("emptyDir" in volume for volume in pod["spec"].get("volumes", [])):
        return "its data in emptyDir would be lost"
    return None


def named(pod):
    """A pod as people write it."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


class Node:
    """One node and the pods on it, as one API server sees them."""

    def __init__(self, name, address):
        self.name, self.server = name, address
        self.client = KubeClient(ADMIN, timeout=20)
        self.client.address = (address, API_PORT)
        self.evicted, self.blocked, self.asked = [], {}, set()
        self.known, self.led = None, False

    def read(self):
        """The Node object, or None when the cluster has none."""
        try:
            return self.client.get(f"/api/v1/nodes/{self.name}")
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def pods(self):
        """The pods that a drain takes away."""
        found = self.client.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}")["items"]
        return [pod for pod in found if not stays(pod)]

    def mark(self, cordoned):
        """Let new pods come or not, and note that it was us."""
        patch = {
            "metadata": {"annotations": {NOTE: "true" if cordoned else None}},
            "spec": {"unschedulable": True if cordoned else None},
        }
        kubectl("patch", "node", self.name, "--type", "merge", "-p", json.dumps(patch), server=self.server)

    def renewed(self):
        """When the controller manager that leads said last that it does, as it wrote it."""
        return self.client.get(LEASE)["spec"].get("renewTime")

    def is_led(self):
        """Whether a controller manager acts on what happens to pods; once seen, it stays so.

        Only one that leads renews the lease, and taints a node that was cordoned; an ended one leaves its lease behind.
        """
        if not self.led:
            taints = self.client.get(f"/api/v1/nodes/{self.name}")["spec"].get("taints", [])
            self.led = self.renewed() != self.known and any(taint["key"] == CLOSED for taint in taints)
        return self.led

    def evict(self, pod):
        """Ask a pod to leave; remembers why when it may not."""
        meta = pod["metadata"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "deleteOptions": {"preconditions": {"uid": meta["uid"]}},
        }
        try:
            self.client.create(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction", body)
        except ApiError as error:
            if error.status in (404, 409):  # gone, or another pod of the same name
                return
            self.blocked[named(pod)] = "; ".join(error.causes) or str(error)
            return
        self.evicted.append(named(pod))
        self.asked.add(meta["uid"])

    def look(self, ready):
        """Ask all pods to leave that were not asked yet; return what is still there as one line, or None."""
        try:
            left = [pod for pod in self.pods() if ready or not pod["metadata"].get("deletionTimestamp")]
            self.blocked = {named(pod): "does not end" for pod in left}
            going = {pod["metadata"]["uid"] for pod in left if pod["metadata"].get("deletionTimestamp")} | self.asked
            asking = [pod for pod in left if pod["metadata"]["uid"] not in going]
            if asking and ready and not self.is_led():
                self.blocked = {self.name: "no controller manager leads (its log says why)"}
                asking = []
            for pod in asking:
                self.evict(pod)
        except (OSError, ApiError) as error:
            return f"the API server does not answer: {error}"
        return "; ".join(f"{pod}: {reason}" for pod, reason in self.blocked.items()) or None


def drain(module, node, found):
    """Take the pods away; returns whether anything was, or would be, done."""
    params = module.params
    leaving = node.pods()
    refused = {named(pod): reason for pod in leaving for reason in [refusal(pod, params)] if reason}
    if refused:
        fail(module, refused, f"{node.name} was not touched: ")
    fresh = not found["spec"].get("unschedulable")
    if module.check_mode:
        node.evicted = [named(pod) for pod in leaving]
        return fresh or bool(leaving)
    node.known = node.renewed()
    if fresh:
        node.mark(cordoned=True)
    said = wait_until(lambda: node.look(is_ready(found)), params["timeout"], pause=0.5)
    if said:
        if fresh:
            node.mark(cordoned=False)
        fail(module, node.blocked or {node.name: said}, f"after {params['timeout']} s {node.name} is not empty: ")
    return fresh or bool(node.evicted)


def fail(module, blocked, words):
    """End with what stays and why."""
    text = "; ".join(f"{pod}: {reason}" for pod, reason in sorted(blocked.items()))
    listed = [{"pod": pod, "reason": reason} for pod, reason in sorted(blocked.items())]
    module.fail_json(msg=words + text, blocked=listed)


def settle(module, node):
    """Bring the node to the wanted state; returns whether that changes anything."""
    found = node.read()
    if found is None:
        return False
    if module.params["state"] == "drained":
        return drain(module, node, found)
    cordon = module.params["state"] == "cordoned"
    closed, ours = found["spec"].get("unschedulable", False), NOTE in found["metadata"].get("annotations", {})
    todo = not closed if cordon else ours
    if todo and not module.check_mode:
        node.mark(cordon)
    return todo


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "cordoned", "uncordoned"], "default": "drained"},
            "delete_emptydir": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not os.path.exists(ADMIN):
        module.exit_json(changed=False, evicted=[])
    node = Node(module.params["node"], module.params["address"])
    try:
        changed = settle(module, node)
    except (KubeadmError, ApiError, OSError) as error:
        module.fail_json(msg=f"{node.name}: {error}", blocked=[])
    module.exit_json(changed=changed, evicted=sorted(set(node.evicted)))


if __name__ == "__main__":
    main()
