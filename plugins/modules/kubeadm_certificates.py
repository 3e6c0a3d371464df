#!/usr/bin/python
"""Renew the certificates that kubeadm made on a control plane; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_certificates
short_description: Renew the certificates and kubeconfigs that kubeadm made on a control plane
description:
  - Renews those of the API server and the kubeconfigs of the administrator, the controller manager and the scheduler.
    Authorities stay. It needs no API server, so it also helps when everything has ended.
  - The API server reads its files anew by itself. The controller manager and the scheduler restart when their
    kubeconfig is younger than they are, so a run that was interrupted between the two is healed by the next one.
options:
  within: {description: Renew what ends within so many days., type: int, required: true}
  since: {description: "Leave what was written after this time (epoch, seconds).", type: float, default: 0}
  timeout: {description: Seconds to wait for a component., type: int, default: 120}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Renew the certificates of the control plane
  kubeadm_certificates:
    within: 90
"""

RETURN = r"""
paths:
  description: What was, or would be, renewed and restarted.
  type: list
  elements: str
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.certificates import due  # type: ignore[import-not-found]
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    ADMIN,
    APPLIED,
    KUBERNETES,
    PKI,
    KubeadmError,
    last_words,
    run,
    started,
    unanswered,
    wait_until,
)

# kubeadm's name -> its file
LEAVES = {
    "apiserver": f"{PKI}/apiserver.crt",
    "apiserver-kubelet-client": f"{PKI}/apiserver-kubelet-client.crt",
    "front-proxy-client": f"{PKI}/front-proxy-client.crt",
    "admin.conf": ADMIN,
    "controller-manager.conf": f"{KUBERNETES}/controller-manager.conf",
    "scheduler.conf": f"{KUBERNETES}/scheduler.conf",
}
# What reads its kubeconfig at its start alone, and where it tells its health.
COMPONENTS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}


def kubeconfig(component):
    """The kubeconfig of a component."""
    return f"{KUBERNETES}/{component[len('kube-') :]}.conf"


def outdated(component):
    """Whether the component runs and is older than its kubeconfig."""
    return 0 < started(component) < os.stat(kubeconfig(component)).st_mtime


def stop(components):
    """Stop the containers of static pods, which the kubelet starts again."""
    identifiers = run("crictl", "ps", "--quiet", "--name", f"^({'|'.join(components)})$").split()
    if identifiers:
        run("crictl", "stop", "--timeout", "10", *identifiers)


def wait(component, timeout):
    """Wait until the new process of a component works."""

    def reason():
        if outdated(component) or not started(component):
            return "it has not started again"
        return unanswered(f"https://127.0.0.1:{COMPONENTS[component]}/healthz", verify=False)

    said = wait_until(reason, timeout)
    if said:
        raise KubeadmError(f"{component} does not work after {timeout} s: {said}\n{last_words(component)}")


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "within": {"type": "int", "required": True},
            "since": {"type": "float", "default": 0},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    todo = [name for name, path in LEAVES.items() if due(path, params["within"], params["since"])]
    late = [name for name in COMPONENTS if os.path.basename(kubeconfig(name)) in todo or outdated(name)]
    try:
        if not module.check_mode:
            for name in todo:
                run("kubeadm", "certs", "renew", name, "--config", APPLIED)
            if late:
                stop(late)
            for component in late:
                wait(component, params["timeout"])
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    paths = [LEAVES[name] for name in todo]
    module.exit_json(changed=bool(todo or late), paths=[*paths, *(f"{component} restarts" for component in late)])


if __name__ == "__main__":
    main()
