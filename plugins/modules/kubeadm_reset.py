#!/usr/bin/python
"""Take this host out of its cluster; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_reset
short_description: Undo on this host what kubeadm and the kubelet did
description:
  - Stops the kubelet and its pods and removes their files. Does nothing on a host that is no node. The cluster's own
    records, and etcd, stay.
options:
  cri_socket: {description: Where the container runtime answers., type: str, required: true}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Take the host out of the cluster
  kubeadm_reset:
    cri_socket: unix:///run/containerd/containerd.sock
"""

RETURN = r"""
removed:
  description: What was, or would be, removed.
  type: list
  elements: str
  returned: always
"""

import glob
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import KUBERNETES, KubeadmError, run  # type: ignore[import-not-found]

TRACES = (
    f"{KUBERNETES}/*.conf",
    f"{KUBERNETES}/pki",
    f"{KUBERNETES}/manifests/*",
    "/var/lib/kubelet/*",
    "/var/log/pods/*",
)


def traces():
    """What a node has that another host has not."""
    return sorted(path for pattern in TRACES for path in glob.glob(pattern))


def remove(paths):
    """Remove files and trees; a mount point (a volume of its own) keeps its directory."""
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        elif os.path.lexists(path):
            os.unlink(path)


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec={"cri_socket": {"type": "str", "required": True}}, supports_check_mode=True)
    found = traces()
    if found and not module.check_mode:
        try:
            if shutil.which("kubeadm"):
                # etcd runs beside Kubernetes: kubeadm would take its data directory for one of its own and empty it.
                skipped = ("--skip-phases", "preflight,remove-etcd-member")
                run("kubeadm", "reset", "--force", *skipped, "--cri-socket", module.params["cri_socket"])
        except KubeadmError as error:
            module.fail_json(msg=str(error))
        remove(traces())
    module.exit_json(changed=bool(found), removed=found)


if __name__ == "__main__":
    main()
