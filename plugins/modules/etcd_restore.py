#!/usr/bin/python
"""Make an etcd member's data from a snapshot; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: Make an etcd member's data from a snapshot
description:
  - Each member of the new cluster is given the same snapshot, and starts with it. Revisions are raised far above those
    of the snapshot and marked as compacted, so that everybody who still holds newer ones reads anew.
  - Data that is there already is never replaced.
  - The action plugin of the same name brings the snapshot out of a backup (C(file), C(key)).
options:
  snapshot: {description: The snapshot on this host., type: path, required: true}
  name: {description: The member's name., type: str, required: true}
  members: {description: "All members, each with C(name) and C(address).", type: list, elements: dict, required: true}
  token: {description: Tells this cluster from others., type: str, required: true}
  data_dir: {description: The data directory., type: path, default: /var/lib/etcd}
  owner: {description: The user that etcd runs as., type: str, default: etcd}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Restore the member
  etcd_restore:
    file: "{{ run_backup_file }}"
    key: "{{ run_backup_key }}"
    name: master1
    members: [{name: master1, address: 10.77.0.11}]
    token: prod-restored
"""

RETURN = r""" # """

import os
import shutil

from ansible.module_utils.atomic import ids  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule

# A busy cluster writes some thousand revisions a second; this is a fortnight of them.
BUMP = 1000000000


def peer(member):
    """A member's URL for its peers."""
    address = member["address"]
    return f"https://[{address}]:2380" if ":" in address else f"https://{address}:2380"


def command(params, target):
    """etcdutl's words."""
    own = next(member for member in params["members"] if member["name"] == params["name"])
    return [
        "etcdutl", "snapshot", "restore", params["snapshot"],
        "--name", params["name"], "--initial-advertise-peer-urls", peer(own),
        "--initial-cluster", ",".join(f"{member['name']}={peer(member)}" for member in params["members"]),
        "--initial-cluster-token", params["token"], "--data-dir", target,
        "--bump-revision", str(BUMP), "--mark-compacted",
    ]  # fmt: skip


def give(path, uid, gid):
    """Make a tree another user's."""
    for directory, _, files in os.walk(path):
        for name in (directory, *(os.path.join(directory, file) for file in files)):
            os.chown(name, uid, gid)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "snapshot": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "dict", "required": True},
            "token": {"type": "str", "required": True, "no_log": False},
            "data_dir": {"type": "path", "default": "/var/lib/etcd"},
            "owner": {"type": "str", "default": "etcd"},
        },
        supports_check_mode=True,
    )
    params = module.params
    data, fresh = params["data_dir"], os.path.join(params["data_dir"], ".restored")
    if os.path.exists(os.path.join(data, "member")):
        module.fail_json(msg=f"{data} holds data already, which is never replaced")
    if module.check_mode:
        module.exit_json(changed=True)
    os.makedirs(data, mode=0o700, exist_ok=True)
    shutil.rmtree(fresh, ignore_errors=True)  # half of an interrupted restore
    code, out, err = module.run_command(command(params, fresh))
    if code != 0:
        module.fail_json(msg=f"etcdutl snapshot restore: {(err or out).strip()[-1200:]}")
    owner = ids(params["owner"], params["owner"])
    os.chown(data, *owner)
    give(fresh, *owner)
    os.rename(os.path.join(fresh, "member"), os.path.join(data, "member"))
    shutil.rmtree(fresh)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
