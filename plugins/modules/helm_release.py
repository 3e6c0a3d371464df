#!/usr/bin/python
"""Install charts from files; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_release
short_description: Install charts from files on a control plane
description:
  - Needs C(helm) and, for C(apply), C(kubectl). Nothing is sent when a release has the chart and the values already.
  - The charts are installed in their order, each after the one before is ready.
options:
  charts:
    description:
      - Each has C(release), C(namespace), C(chart), a path on this host, and C(values). With C(apply) the chart is
        rendered and the result applied on the server side, for objects that are too large for a release.
    type: list
    elements: dict
    required: true
  timeout: {description: Seconds that each release may take to become ready., type: int, default: 300}
  kubeconfig: {description: Credentials., type: path, default: /etc/kubernetes/admin.conf}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Install Cilium
  helm_release:
    charts:
      - release: cilium
        namespace: kube-system
        chart: /var/lib/provision/charts/cilium.tgz
        values: {kubeProxyReplacement: true}
"""

RETURN = r"""
releases:
  description: The releases that changed, or would change.
  type: list
  elements: str
  returned: always
"""

import json
import os
import re
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import KUBECTL_ENVIRONMENT  # type: ignore[import-not-found]  # Ansible finds it


class Helm:
    """helm and kubectl with the module's credentials."""

    def __init__(self, module):
        self.module = module
        self.kubeconfig = ["--kubeconfig", module.params["kubeconfig"]]

    def run(self, program, *words, data=None, accept=(0,)):
        """Run a program with `data` on its input; fail the module with its words on another exit code than `accept`."""
        code, out, err = self.module.run_command(
            [program, *words, *self.kubeconfig], data=data, environ_update=KUBECTL_ENVIRONMENT
        )
        if code not in accept:
            self.module.fail_json(msg=f"{program} {' '.join(words[:3])}: {(err or out).strip()[-1500:]}")
        return code, out

    def title(self, chart):
        """NAME-VERSION of a chart file, as `helm list` shows it."""
        _, out = self.run("helm", "show", "chart", chart)
        fields = dict(re.findall(r"^(name|version): *\"?([^\s\"]+)", out, re.MULTILINE))
        return f"{fields.get('name')}-{fields.get('version')}"

    def installed(self, item):
        """{chart, status, values} of a release; empty when there is none."""
        place = ["-n", item["namespace"]]
        _, out = self.run("helm", "list", "-a", "-o", "json", *place, "--filter", f"^{re.escape(item['release'])}$")
        found = json.loads(out or "[]")
        if not found:
            return {}
        _, values = self.run("helm", "get", "values", item["release"], "-o", "json", *place)
        return {
            "chart": found[0]["chart"],
            "status": found[0]["status"],
            "values": json.loads(values or "null") or {},
        }

    def release(self, item):
        """Bring a release to the chart and the values; (before, after) when they differ, else None."""
        wanted = {"chart": self.title(item["chart"]), "status": "deployed", "values": item.get("values") or {}}
        before = self.installed(item)
        if before == wanted:
            return None
        if not self.module.check_mode:
            words = [
                "upgrade",
                item["release"],
                item["chart"],
                "--install",
                "-n",
                item["namespace"],
                "--create-namespace",
            ]
            words += ["--wait", "--timeout", f"{self.module.params['timeout']}s", "--values", "-"]
            self.run("helm", *words, data=json.dumps(wanted["values"]))
        return before, wanted

    def apply(self, item):
        """Render a chart and apply the result; ("", difference) when the cluster differs, else None."""
        values = json.dumps(item.get("values") or {})
        words = ["template", item["release"], item["chart"], "--include-crds", "-n", item["namespace"], "--values", "-"]
        _, manifest = self.run("helm", *words, data=values)
        how = ["--server-side", "--force-conflicts", "--field-manager=provision", "-f", "-"]
        code, difference = self.run("kubectl", "diff", *how, data=manifest, accept=(0, 1))
        if code == 0:
            return None
        if not self.module.check_mode:
            self.run("kubectl", "apply", *how, data=manifest)
        return "", difference


def missing(params):
    """What is not on this host yet, which in check mode means that an earlier task would bring it."""
    files = [params["kubeconfig"], *(item["chart"] for item in params["charts"])]
    return [path for path in files if not os.path.exists(path)] + ([] if shutil.which("helm") else ["helm"])


def shown(value):
    """The text of one side of a difference."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True) + "\n" if value else ""


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "charts": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "int", "default": 300},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    charts, helm = module.params["charts"], Helm(module)
    lacking = missing(module.params)
    if lacking and module.check_mode:
        module.exit_json(changed=True, releases=[item["release"] for item in charts])
    if lacking:
        module.fail_json(msg=f"not on this host: {', '.join(lacking)}")
    changes = {}
    for item in charts:
        change = helm.apply(item) if item.get("apply") else helm.release(item)
        if change:
            changes[item["release"]] = change
    module.exit_json(
        changed=bool(changes),
        releases=list(changes),
        diff=[
            {"before_header": name, "after_header": name, "before": shown(before), "after": shown(after)}
            for name, (before, after) in changes.items()
        ],
    )


if __name__ == "__main__":
    main()
