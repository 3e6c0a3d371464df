#!/usr/bin/python
"""Use the cluster and tell whether it works; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_verify
short_description: Use the cluster and tell whether it works
description:
  - Runs on a control plane. Writes and reads through the API endpoint, asks for the parts of the control plane, every
    etcd member and CoreDNS, runs a pod on every one of the nodes, lets each reach a Service by name and the pods of
    others, and deletes all of it again.
  - Fails with what does not work, and on which node. Leaves the cluster as it was, so it never reports a change.
  - In check mode only what a reader may ask is asked.
options:
  quick:
    description:
      - Whether to leave out the pods, which takes less than a second. Only heeded on a leader that has seen a whole
        verification pass before.
    type: bool
    default: false
  nodes: {description: Names of the nodes that are verified., type: list, elements: str, required: true}
  neighbour:
    description:
      - A node of the cluster that those in C(nodes) have to reach, when they are not all of its nodes. Pods then run on
        these and, when it is ready, on it alone. Empty for the whole cluster.
    type: str
    default: ""
  etcd_members: {description: "Members with C(name) and C(address).", type: list, elements: dict, required: true}
  image: {description: The agnhost image for the pods., type: str, required: true}
  dns_address:
    description: The address of the DNS Service; empty leaves its own check out, for while nodes are down.
    type: str
    default: ""
  domain: {description: The DNS domain of the cluster., type: str, default: cluster.local}
  timeout: {description: Seconds for everything together., type: int, default: 120}
  kubeconfig: {description: Credentials., type: path, default: /etc/kubernetes/admin.conf}
attributes:
  check_mode:
    support: full
    details: Asks nothing, since a plan finds the cluster as it was before.
author: provision
"""

EXAMPLES = r"""
- name: Use the cluster
  cluster_verify:
    nodes: [master1, worker1]
    etcd_members: [{name: master1, address: 10.0.0.11}]
    image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
    dns_address: 10.96.0.10
"""

RETURN = r"""
provision_verify:
  description: C(checks), a list with C(name), C(ok), C(detail) and C(seconds) of each; C(quick); and C(seconds) of all.
  type: dict
  returned: always
"""

import os
import secrets
import time

from ansible.module_utils import cluster_checks, probe_pods  # type: ignore[attr-defined]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_checks import Unmet  # type: ignore[import-not-found]
from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]

PASSED = "/var/lib/provision/verified"


class Verification:
    """One verification of one cluster."""

    def __init__(self, kube, params):
        self.kube = kube
        self.params = params
        self.limit = time.monotonic() + params["timeout"]
        self.namespace = ""
        self.places = params["nodes"]
        self.addresses = {}

    def basics(self):
        """The checks that need no pods of ours."""
        params = self.params
        return [
            ("nodes", lambda: cluster_checks.check_nodes(self.kube, params["nodes"])),
            ("control plane", lambda: cluster_checks.check_static_pods(self.kube, params["nodes"])),
            *([("etcd", lambda: cluster_checks.check_etcd(params["etcd_members"]))] if params["etcd_members"] else []),
            *([("dns", self.dns)] if params["dns_address"] else []),
        ]

    def dns(self):
        """The cluster's DNS runs as it should and answers."""
        params = self.params
        return cluster_checks.check_dns(self.kube, params["dns_address"], params["domain"], params["nodes"])

    def quick(self):
        """Ask what a reader may ask."""
        return cluster_checks.together(
            [("api", lambda: cluster_checks.check_ready(self.kube)), *self.basics()], self.limit
        )

    def whole(self):
        """Use the cluster as its users will, and clean up after."""
        try:
            first = cluster_checks.outcome("api", self.write, self.limit)
            if not first["ok"]:
                return [first]
            return [first, *cluster_checks.together([*self.basics(), ("pods", self.pods)], self.limit), *self.traffic()]
        finally:
            self.leave()

    def write(self):
        """Make the objects, and read one back with what was written in it."""
        probe_pods.clean(self.kube)
        self.namespace = f"provision-verify-{secrets.token_hex(3)}"
        neighbour = self.params["neighbour"]
        if neighbour and neighbour not in self.places:
            ill = cluster_checks.node_problems(self.kube.get("/api/v1/nodes")["items"], [neighbour])
            self.places = [*self.places, *([] if ill else [neighbour])]
        probe_pods.create(self.kube, self.namespace, self.params["image"], self.places if neighbour else None)
        path, note = f"/api/v1/namespaces/{self.namespace}/configmaps", secrets.token_hex(8)
        self.kube.create(
            path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"note": note}}
        )
        if self.kube.get(f"{path}/note")["data"]["note"] != note:
            raise Unmet("the API gave back something else than was written")
        return "https://{}:{} takes a write and gives it back".format(*self.kube.address)

    def pods(self):
        """A pod runs on every node."""
        self.addresses = probe_pods.running(self.kube, self.namespace, self.places)
        return f"a pod runs on each of {len(self.addresses)} nodes"

    def traffic(self):
        """What the pods can reach; nothing to ask when they do not run."""
        if not self.addresses:
            return []
        host = f"{probe_pods.NAME}.{self.namespace}.svc.{self.params['domain']}"
        return cluster_checks.together(
            [
                ("service", lambda: probe_pods.check_service(self.addresses, host)),
                ("pod network", lambda: probe_pods.check_paths(self.addresses)),
            ],
            self.limit,
        )

    def leave(self):
        """Ask for the removal of what was made. A cluster too ill for that keeps it until the next verification."""
        try:
            cluster_checks.until(lambda: self.kube.delete(f"/api/v1/namespaces/{self.namespace}"), time.monotonic() + 2)
        except (Unmet, ApiError, OSError):
            return


def remember(passed):
    """Note on this host that a whole verification passed, or that the last one did not."""
    if passed:
        os.makedirs(os.path.dirname(PASSED), mode=0o755, exist_ok=True)
        with open(PASSED, "w", encoding="ascii"):
            return
    if os.path.exists(PASSED):
        os.unlink(PASSED)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "quick": {"type": "bool", "default": False},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "neighbour": {"type": "str", "default": ""},
            "etcd_members": {"type": "list", "elements": "dict", "required": True},
            "image": {"type": "str", "required": True},
            "dns_address": {"type": "str", "default": ""},
            "domain": {"type": "str", "default": "cluster.local"},
            "timeout": {"type": "int", "default": 120},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        # What a plan would find is the cluster as it was before.
        module.exit_json(changed=False, provision_verify={"checks": [], "quick": True, "seconds": 0.0})
    try:
        kube = KubeClient(module.params["kubeconfig"])
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    start, quick = time.monotonic(), module.params["quick"] and os.path.exists(PASSED)
    verification = Verification(kube, module.params)
    checks = verification.quick() if quick else verification.whole()
    failed = [f"{check['name']}: {check['detail']}" for check in checks if not check["ok"]]
    if not quick:
        remember(not failed)
    result = {"checks": checks, "quick": quick, "seconds": round(time.monotonic() - start, 2)}
    if failed:
        module.fail_json(msg="the cluster does not work: " + "\n".join(failed), provision_verify=result)
    module.exit_json(changed=False, provision_verify=result)


if __name__ == "__main__":
    main()
