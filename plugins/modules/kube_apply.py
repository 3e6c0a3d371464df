#!/usr/bin/python
"""Apply manifests to the cluster; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kube_apply
short_description: Apply manifests on the server side and wait until they work
description:
  - Runs on a control plane. What would change is asked of the API server first, so nothing is sent when nothing
    differs.
options:
  manifest: {description: One or more YAML documents., type: str, required: true}
  state: {description: Whether the objects shall exist., type: str, choices: [present, absent], default: present}
  wait:
    description:
      - Objects to wait for, each with C(kind), C(name), C(namespace) and C(for), which is C(rollout) or
        C(condition=NAME).
    type: list
    elements: dict
    default: []
  timeout: {description: Seconds to wait for each., type: int, default: 120}
  kubeconfig: {description: Credentials., type: path, default: /etc/kubernetes/admin.conf}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Run CoreDNS
  kube_apply:
    manifest: "{{ lookup('template', 'coredns.yaml.j2') }}"
    wait: [{kind: deployment, name: coredns, namespace: kube-system, for: rollout}]
"""

RETURN = r"""
objects:
  description: What the API server changed.
  type: list
  elements: str
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import KUBECTL_ENVIRONMENT  # type: ignore[import-not-found]  # Ansible finds it

MANAGER = "--field-manager=provision"


class Kubectl:
    """kubectl with the module's credentials."""

    def __init__(self, module):
        self.module = module
        self.base = ["kubectl", "--kubeconfig", module.params["kubeconfig"]]

    def run(self, *words, data=None, accept=(0,)):
        """Run kubectl with `data` on its input; fail the module with its words on another exit code than `accept`."""
        code, out, err = self.module.run_command([*self.base, *words], data=data, environ_update=KUBECTL_ENVIRONMENT)
        if code not in accept:
            self.module.fail_json(msg=f"kubectl {' '.join(words[:3])}: {(err or out).strip()[-1500:]}")
        return code, out

    def differences(self, manifest):
        """The API server's own view of what applying would change; empty when nothing."""
        code, out = self.run(
            "diff", "--server-side", "--force-conflicts", MANAGER, "-f", "-", data=manifest, accept=(0, 1)
        )
        return out if code == 1 else ""


def existing(kubectl, manifest):
    """Names of those objects that exist, for their removal."""
    _, out = kubectl.run("get", "--ignore-not-found", "-o", "name", "-f", "-", data=manifest)
    return out.split()


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "wait": {"type": "list", "elements": "dict", "default": []},
            "timeout": {"type": "int", "default": 120},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    manifest, kubectl = module.params["manifest"], Kubectl(module)
    if not os.path.exists(module.params["kubeconfig"]):
        if module.check_mode:  # the cluster is not there yet: all of it would be created
            present = module.params["state"] == "present"
            module.exit_json(changed=present, objects=[], diff=[{"before": "", "after": manifest}] if present else [])
        module.fail_json(msg=f"{module.params['kubeconfig']} is not there: this node is no control plane")
    if module.params["state"] == "absent":
        names = existing(kubectl, manifest)
        if names and not module.check_mode:
            kubectl.run(
                "delete", "--ignore-not-found", "--timeout", f"{module.params['timeout']}s", "-f", "-", data=manifest
            )
        module.exit_json(changed=bool(names), objects=names)
    difference, changed = kubectl.differences(manifest), []
    if difference and not module.check_mode:
        _, out = kubectl.run("apply", "--server-side", "--force-conflicts", MANAGER, "-f", "-", data=manifest)
        changed = [line.split()[0] for line in out.splitlines() if not line.endswith("unchanged")]
    if not module.check_mode:
        for item in module.params["wait"]:
            await_object(kubectl, item, module.params["timeout"])
    module.exit_json(changed=bool(difference), objects=changed, diff=[{"prepared": difference}] if difference else [])


def await_object(kubectl, item, timeout):
    """Wait until the object is rolled out or meets its condition."""
    place = ["-n", item["namespace"]] if item.get("namespace") else []
    target = f"{item['kind']}/{item['name']}"
    if item["for"] == "rollout":
        kubectl.run("rollout", "status", target, *place, f"--timeout={timeout}s")
    else:
        kubectl.run("wait", target, *place, f"--for={item['for']}", f"--timeout={timeout}s")


if __name__ == "__main__":
    main()
