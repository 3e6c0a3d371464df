#!/usr/bin/python
"""Read the health of one host; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_status
short_description: Read units, certificates and the VIP of one host
description:
  - Reads only, and asks nobody but the host itself.
options:
  units: {description: The units that shall run here., type: list, elements: str, default: []}
  vip: {description: The address of the API that moves between hosts; empty means none., type: str, default: ""}
  certificates:
    description: Patterns of certificate files, and of kubeconfig files with a certificate in them.
    type: list
    elements: str
    default:
      - /etc/kubernetes/pki/*.crt
      - /etc/kubernetes/pki/etcd/*.crt
      - /etc/kubernetes/*.conf
      - /etc/etcd/pki/*.crt
      - /var/lib/kubelet/pki/kubelet-*-current.pem
  backups: {description: The directory of the cluster's backups., type: path, default: /var/lib/provision/backups}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Read the host
  host_status:
    units: [containerd.service, kubelet.service]
    vip: 10.0.0.10
"""

RETURN = r"""
host:
  description: >-
    C(units) with the state of each, C(vip_held), C(certificates) with C(name), C(days_left) and C(authority), and
    C(changes), a line for each managed file or unit that somebody changed by hand.
  type: dict
  returned: always
"""

import glob
import json
import os
import time

from ansible.module_utils import managed  # type: ignore[attr-defined]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.certificates import described  # type: ignore[import-not-found]

BACKUPS = "/var/lib/provision/backups"
PATTERNS = (
    "/etc/kubernetes/pki/*.crt",
    "/etc/kubernetes/pki/etcd/*.crt",
    "/etc/kubernetes/*.conf",
    "/etc/etcd/pki/*.crt",
    "/var/lib/kubelet/pki/kubelet-*-current.pem",
)


def units(module, names):
    """{unit: state} as systemd sees it; "not-found" for one that is not installed."""
    if not names:
        return {}
    _, out, _ = module.run_command(["systemctl", "show", "-p", "Id,LoadState,ActiveState", *names])
    states = {}
    for block in out.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        missing = fields.get("LoadState") == "not-found"
        states[fields.get("Id", "")] = "not-found" if missing else fields.get("ActiveState", "unknown")
    return {name: states.get(name, "not-found") for name in names}


def unit_changes(module, names, managed):
    """A line for each unit that would not start at boot, or that a file of another hand changes."""
    if not names:
        return []
    _, out, _ = module.run_command(["systemctl", "show", "-p", "Id,LoadState,UnitFileState,DropInPaths", *names])
    found = []
    for block in out.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if fields.get("LoadState") == "masked" or fields.get("UnitFileState") in ("disabled", "masked"):
            found.append(f"{fields.get('Id')} is {fields.get('UnitFileState') or 'masked'}")
        strange = [path for path in fields.get("DropInPaths", "").split() if path.startswith("/etc/")]
        found += [f"{fields.get('Id')} is changed by {path}" for path in strange if path not in managed]
    return found


def holds(module, address):
    """True when an interface of this host has the address."""
    if not address:
        return False
    _, out, _ = module.run_command(["ip", "-j", "address", "show"])
    try:
        links = json.loads(out or "[]")
    except ValueError:
        return False
    return any(entry.get("local") == address for link in links for entry in link.get("addr_info", []))


def certificates(patterns):
    """[{name, days_left, authority}] of every certificate that the patterns find, sorted by name; days rounded down."""
    rows = []
    for path in sorted({path for pattern in patterns for path in glob.glob(pattern)}):
        found = described(path)
        if found is not None:
            rows.append({"name": path, "days_left": int(found["days_left"] // 1), "authority": found["authority"]})
    return rows


def backup_age(directory):
    """Hours since the newest backup in a directory was made; None when there is none."""
    moments = [os.path.getmtime(path) for path in glob.glob(os.path.join(directory, "*.backup"))]
    return round((time.time() - max(moments)) / 3600, 1) if moments else None


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "default": []},
            "vip": {"type": "str", "default": ""},
            "certificates": {"type": "list", "elements": "str", "default": list(PATTERNS)},
            "backups": {"type": "path", "default": BACKUPS},
        },
        supports_check_mode=True,
    )
    params = module.params
    host = {
        "units": units(module, params["units"]),
        "vip_held": holds(module, params["vip"]),
        "certificates": certificates(params["certificates"]),
        "backup_age_hours": backup_age(params["backups"]),
        "changes": managed.changes() + unit_changes(module, params["units"], managed.load()),
    }
    module.exit_json(changed=False, host=host)


if __name__ == "__main__":
    main()
