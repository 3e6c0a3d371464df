#!/usr/bin/python
"""Publish in the cluster what belongs to it and not to a host; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_publish
short_description: Keep kubeadm's ConfigMaps, the rules for joining and kube-proxy as the configuration says
description:
  - Runs on one control plane. The digest of what was published is kept on the ConfigMap C(kubeadm-config), so any
    control plane can tell whether something is to be done, also after an interrupted run.
  - kube-proxy is restarted only when its own configuration changed. Where its pods are replaced, a tenth of them at a
    time, the end is waited for: a node without kube-proxy goes on sending requests to pods that left.
options:
  config: {description: "kubeadm's whole configuration as YAML.", type: str, required: true}
  cluster_config: {description: The part of it that belongs to the cluster., type: str, required: true}
  manifest: {description: Objects that belong to the control plane and are applied along., type: str, required: true}
  address: {description: Address of the API server of this host., type: str, required: true}
  timeout: {description: Seconds until kube-proxy runs everywhere as published., type: int, default: 300}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Publish the settings of the cluster
  kubeadm_publish:
    config: "{{ __control_plane_config }}"
    cluster_config: "{{ __control_plane_cluster_config }}"
    manifest: "{{ lookup('ansible.builtin.template', 'rbac.yaml.j2') }}"
    address: 10.77.0.11
"""

RETURN = r"""
published:
  description: The digest of what is published.
  type: str
  returned: always
"""

import hashlib
import json
import os
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    ADMIN,
    KubeadmError,
    api_get,
    config_map,
    is_ready,
    kubectl,
    nodes,
    private_directory,
    run,
    wait_until,
    write_private,
)

ANNOTATION = "provision/published"
APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager", "provision")
PROXY = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
TENTH = {"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%"}}}}
PHASES = (("upload-config", "all"), ("bootstrap-token",), ("addon", "kube-proxy"))


def published(address):
    """The digest of what was published last, or an empty string."""
    return config_map("kubeadm-config", address)[1].get(ANNOTATION, "") if os.path.exists(ADMIN) else ""


def behind(address):
    """Why kube-proxy does not run as published yet, or None. On a node that is not ready nothing starts."""
    try:
        proxy = api_get(PROXY, address)
        away = sum(not is_ready(node) for node in nodes(address).values())
    except KubeadmError as error:  # an API server that starts anew answers again
        return str(error)
    status = proxy["status"]
    if status.get("observedGeneration") != proxy["metadata"]["generation"]:
        return "the controller manager has not looked at kube-proxy yet"
    new = min(status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0))
    left = status["desiredNumberScheduled"] - new - away
    return f"kube-proxy does not run as published on {left} nodes" if left > 0 else None


def replace_proxy(address, restart, timeout):
    """Let a tenth of kube-proxy's pods be replaced at a time, and wait until they are; raises KubeadmError."""
    kubectl("--namespace", "kube-system", "patch", "daemonset/kube-proxy", "-p", json.dumps(TENTH), server=address)
    if restart:
        kubectl("--namespace", "kube-system", "rollout", "restart", "daemonset/kube-proxy", server=address)
    said = wait_until(lambda: behind(address), timeout)
    if said:
        raise KubeadmError(f"after {timeout} s {said}: kubectl get pods -n kube-system -l k8s-app=kube-proxy -o wide")


def forget_token(token, address):
    """Delete the bootstrap token that kubeadm insists on making: nobody joins with it."""
    name = f"secret/bootstrap-token-{token}"
    kubectl("--namespace", "kube-system", "delete", "--ignore-not-found", name, server=address)


def publish(config, manifest, address, digest, timeout):
    """Run the phases, replace kube-proxy's pods where that is needed, and remember the digest last."""
    proxy, _ = config_map("kube-proxy", address)
    with private_directory() as directory:
        path = write_private(directory, "kubeadm.yaml", config)
        for phase in PHASES:
            said = run("kubeadm", "init", "phase", *phase, "--config", path)
            for token in re.findall(r"Using token: ([a-z0-9]{6})\.", said):
                forget_token(token, address)
    kubectl(*APPLY, "-f", "-", data=manifest, server=address)
    if proxy:  # in a new cluster there is nothing to replace
        replace_proxy(address, proxy != config_map("kube-proxy", address)[0], timeout)
    note = f"{ANNOTATION}={digest}"
    kubectl("--namespace", "kube-system", "annotate", "--overwrite", "configmap/kubeadm-config", note, server=address)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "str", "required": True},
            "cluster_config": {"type": "str", "required": True},
            "manifest": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    address = module.params["address"]
    manifest = module.params["manifest"]
    digest = hashlib.sha256((module.params["cluster_config"] + manifest).encode()).hexdigest()
    try:
        changed = published(address) != digest
        if changed and not module.check_mode:
            publish(module.params["config"], manifest, address, digest, module.params["timeout"])
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, published=digest)


if __name__ == "__main__":
    main()
