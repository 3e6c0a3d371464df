#!/usr/bin/python
"""Read secret files for the controller's memory; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_files
short_description: Read secret files so that another node can be given them
description:
  - The contents go through the controller's memory alone. Every task that calls this module sets C(no_log).
options:
  paths: {description: The files to read., type: list, elements: str, required: true}
  optional: {description: Leave out files that are not there instead of failing., type: bool, default: false}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Read the certificate authority
  secret_files:
    paths: [/etc/kubernetes/pki/ca.crt, /etc/kubernetes/pki/ca.key]
  no_log: true
  register: __authority
"""

RETURN = r"""
contents:
  description: Base64 of each file by its path. In check mode a file that is not there yet is the empty string.
  type: dict
  returned: always
"""

import base64
import os

from ansible.module_utils.basic import AnsibleModule


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "str", "required": True},
            "optional": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    contents = {}
    for path in module.params["paths"]:
        if os.path.exists(path):
            with open(path, "rb") as stream:
                contents[path] = base64.b64encode(stream.read()).decode()
        elif module.check_mode:
            contents[path] = ""
        elif not module.params["optional"]:
            module.fail_json(msg=f"{path} is not there")
    module.exit_json(changed=False, contents=contents)


if __name__ == "__main__":
    main()
