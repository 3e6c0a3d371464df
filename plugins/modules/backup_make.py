#!/usr/bin/python
"""Make one backup of the cluster on this control plane; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_make
short_description: Make one encrypted backup of the cluster on this control plane
description:
  - Runs the program that the role backup installs, the same that its timer runs.
options:
  program: {description: The program., type: path, required: true}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Make a backup
  backup_make:
    program: /usr/local/libexec/provision-backup
"""

RETURN = r"""
path: {description: The backup., type: str, returned: when made}
manifest: {description: What it says of itself., type: dict, returned: when made}
removed: {description: The old backups that went., type: list, elements: str, returned: when made}
"""

import json

from ansible.module_utils.basic import AnsibleModule


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec={"program": {"type": "path", "required": True}}, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=True)
    program = module.params["program"]
    code, out, err = module.run_command([program])
    if code != 0:
        module.fail_json(msg=(err or out).strip()[-1500:] or f"{program} ended with {code}")
    module.exit_json(changed=True, **json.loads(out))


if __name__ == "__main__":
    main()
