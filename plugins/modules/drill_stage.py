#!/usr/bin/python
"""Set up or take down what a drill measures with; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_stage
short_description: Set up or take down what a drill measures with
description:
  - Runs on a control plane. Makes a namespace with two pods behind a Service that has a port on every node, one object
    to read and to write, and a certificate with which its holder may do just that, for an hour. All of it but the
    certificate goes with the namespace, and the certificate is worth nothing without it.
  - The certificate is made for a key that stays with the one who asks, so that nothing in the result is a secret.
options:
  state: {description: Whether it shall be there., type: str, choices: [present, absent], default: present}
  namespace: {description: Name of the namespace and of the certificate's user. Required with C(present)., type: str}
  request: {description: The certificate request (PEM)., type: str}
  image: {description: The agnhost image for the pods., type: str}
  node: {description: The node that shall run one of the pods if it can., type: str, default: ""}
  spare: {description: The node that shall run none of them., type: str, default: ""}
  timeout: {description: Seconds to wait until the pods answer., type: int, default: 60}
  kubeconfig: {description: Credentials., type: path, default: /etc/kubernetes/admin.conf}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Remove what a drill left
  drill_stage:
    state: absent
"""

RETURN = r"""
provision_drill:
  description: C(certificate) and C(authority) (PEM), C(port) of the Service on every node, C(pods) {name, node}.
  type: dict
  returned: with state present
"""

import base64
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.drill_objects import objects, selector  # type: ignore[import-not-found]
from ansible.module_utils.kube_client import (  # type: ignore[import-not-found]
    ApiError,
    KubeClient,
    kubeconfig_values,
    pem,
)

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


class Unmet(Exception):
    """Something did not come about in time; the message says what."""


def until(check, limit):
    """Repeat `check` until it returns something; raises Unmet with the last reason when the time is over."""
    while True:
        try:
            found = check()
        except Unmet:
            if time.monotonic() > limit:
                raise
        else:
            if found:
                return found
        time.sleep(0.1)


def signed(kube, name, request, limit):
    """Let the cluster sign the request; returns the certificate. The request is deleted: its answer is known."""
    kube.create(
        REQUESTS,
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(request.encode()).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "expirationSeconds": 3600,
                "usages": ["client auth"],
            },
        },
    )
    try:
        asked = kube.get(f"{REQUESTS}/{name}")
        asked["status"] = {
            "conditions": [{"type": "Approved", "status": "True", "reason": "Drill", "message": "a drill measures"}]
        }
        kube.request("PUT", f"{REQUESTS}/{name}/approval", asked)

        def certificate():
            found = kube.get(f"{REQUESTS}/{name}").get("status", {}).get("certificate")
            if not found:
                raise Unmet("the cluster does not sign the drill's certificate")
            return base64.b64decode(found).decode()

        return until(certificate, limit)
    finally:
        kube.delete(f"{REQUESTS}/{name}")


def pods_ready(kube, namespace, count):
    """[{name, node}] when `count` pods are ready; raises Unmet with what is missing."""
    pods = kube.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    ready = [
        {"name": pod["metadata"]["name"], "node": pod["spec"].get("nodeName", "")}
        for pod in pods
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
    ]
    if len(ready) < count:
        raise Unmet(f"{len(ready)} of {count} pods of the drill are ready")
    return ready


def remove(kube, check_mode=False):
    """Delete what this or a broken-off drill left; returns whether there was anything."""
    left = [
        item["metadata"]["name"]
        for item in kube.get(f"/api/v1/namespaces?labelSelector={selector()}")["items"]
        if item["status"].get("phase") != "Terminating"
    ]
    for name in [] if check_mode else left:
        kube.delete(f"/api/v1/namespaces/{name}")
    return bool(left)


def set_up(kube, params):
    """Make everything and wait until it works; returns the module's result."""
    limit = time.monotonic() + params["timeout"]
    namespace = params["namespace"]
    workers = len(kube.get("/api/v1/nodes")["items"]) - bool(params["spare"])
    count = max(1, min(2, workers))
    for path, body in objects(namespace, params["image"], count, params["node"], params["spare"]):
        kube.create(path, body)
    certificate = signed(kube, namespace, params["request"], limit)
    port = kube.get(f"/api/v1/namespaces/{namespace}/services/answer")["spec"]["ports"][0]["nodePort"]
    pods = until(lambda: pods_ready(kube, namespace, count), limit)
    with open(params["kubeconfig"], encoding="utf-8") as stream:
        authority = pem(kubeconfig_values(stream.read()), "certificate-authority").decode()
    return {"certificate": certificate, "authority": authority, "port": port, "pods": pods}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "namespace": {"type": "str"},
            "request": {"type": "str"},
            "image": {"type": "str"},
            "node": {"type": "str", "default": ""},
            "spare": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 60},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        required_if=[("state", "present", ("namespace", "request", "image"))],
        supports_check_mode=True,
    )
    try:
        kube = KubeClient(module.params["kubeconfig"])
        if module.params["state"] == "absent":
            module.exit_json(changed=remove(kube, module.check_mode))
        if module.check_mode:
            module.exit_json(changed=True, provision_drill={})
        remove(kube)
        found = set_up(kube, module.params)
    except (ApiError, OSError, ValueError, Unmet) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, provision_drill=found)


if __name__ == "__main__":
    main()
