#!/usr/bin/python
"""Publish in the cluster what belongs to it and not to a host; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_publish
short_description: Keep kubeadm's ConfigMaps, the rules for joining and kube-proxy as the configuration says
description:
  - Runs on one control plane. The digest of what was published is kept on the ConfigMap C(kubeadm-config), so any
    control plane can tell whether something is to be done, also after an interrupted run.
  - kube-proxy is restarted, node by node, only when its own configuration changed.
options:
  config: {description: "kubeadm's whole configuration as YAML.", type: str, required: true}
  cluster_config: {description: The part of it that belongs to the cluster., type: str, required: true}
  manifest: {description: Objects that belong to the control plane and are applied along., type: str, required: true}
  address: {description: Address of the API server of this host., type: str, required: true}
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
import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    ADMIN,
    KubeadmError,
    config_map,
    kubectl,
    private_directory,
    run,
    write_private,
)

ANNOTATION = "provision/published"
APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager", "provision")
PHASES = (("upload-config", "all"), ("bootstrap-token",), ("addon", "kube-proxy"))


def published(address):
    """The digest of what was published last, or an empty string."""
    return config_map("kubeadm-config", address)[1].get(ANNOTATION, "") if os.path.exists(ADMIN) else ""


def publish(config, manifest, address, digest):
    """Run the phases, restart kube-proxy when its configuration changed, and remember the digest last."""
    proxy, _ = config_map("kube-proxy", address)
    with private_directory() as directory:
        path = write_private(directory, "kubeadm.yaml", config)
        for phase in PHASES:
            run("kubeadm", "init", "phase", *phase, "--config", path)
    if proxy and proxy != config_map("kube-proxy", address)[0]:
        kubectl("--namespace", "kube-system", "rollout", "restart", "daemonset/kube-proxy", server=address)
    kubectl(*APPLY, "-f", "-", data=manifest, server=address)
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
        },
        supports_check_mode=True,
    )
    address = module.params["address"]
    manifest = module.params["manifest"]
    digest = hashlib.sha256((module.params["cluster_config"] + manifest).encode()).hexdigest()
    try:
        changed = published(address) != digest
        if changed and not module.check_mode:
            publish(module.params["config"], manifest, address, digest)
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, published=digest)


if __name__ == "__main__":
    main()
