#!/usr/bin/python
"""Pull images into containerd; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: images
short_description: Pull images into containerd for the kubelet and compare their digests
options:
  items:
    description: Each item has C(ref) and, where the bundle or the catalog knows it, C(digest).
    type: list
    elements: dict
    required: true
  hosts_dir: {description: containerd's registry configuration., type: str, default: /etc/containerd/certs.d}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Pull the images of this node
  images:
    items: [{ref: "registry.k8s.io/pause:3.10.2", digest: ""}]
"""

RETURN = r"""
pulled:
  description: References that were, or would be, pulled.
  type: list
  elements: str
  returned: always
"""

import concurrent.futures
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

CTR = ["ctr", "--namespace", "k8s.io", "images"]


def present():
    """Digest by reference of what containerd has; empty while there is no containerd."""
    if not shutil.which("ctr"):
        return {}
    listing = subprocess.run([*CTR, "list"], capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def pull(item, hosts_dir):
    """Pull one image; return None or what went wrong."""
    command = [*CTR, "pull", "--hosts-dir", hosts_dir, "--label", "io.cri-containerd.image=managed", item["ref"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    words = (done.stderr or done.stdout).strip().splitlines() or [f"ended with {done.returncode}"]
    return f"{item['ref']}: {words[-1]}"


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "items": {"type": "list", "elements": "dict", "required": True},
            "hosts_dir": {"type": "str", "default": "/etc/containerd/certs.d"},
        },
        supports_check_mode=True,
    )
    items, before = module.params["items"], present()
    missing = [i for i in items if i["ref"] not in before or (i.get("digest") and before[i["ref"]] != i["digest"])]
    if missing and not module.check_mode:
        if not shutil.which("ctr"):
            module.fail_json(msg="containerd's ctr is not on this host: run provision cluster, which installs it")
        with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
            errors = [
                error for error in pool.map(lambda item: pull(item, module.params["hosts_dir"]), missing) if error
            ]
        if errors:
            module.fail_json(msg="images could not be pulled: " + "; ".join(errors))
        after = present()
        wrong = [i["ref"] for i in missing if i.get("digest") and after.get(i["ref"]) != i["digest"]]
        if wrong:
            subprocess.run([*CTR, "remove", *wrong], capture_output=True, check=False)
            module.fail_json(msg="images whose digest is not the bundle's were removed again: " + ", ".join(wrong))
    pulled = [item["ref"] for item in missing]
    module.exit_json(
        changed=bool(pulled), pulled=pulled, diff=[{"before": "", "after": "\n".join(pulled)}] if pulled else []
    )


if __name__ == "__main__":
    main()
