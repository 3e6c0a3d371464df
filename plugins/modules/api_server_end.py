#!/usr/bin/python
"""End the API server of this host ahead of a kubelet that would kill it; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: api_server_end
short_description: Let the API server end its requests before a kubelet of another minor version comes
description:
  - A kubelet of another minor version gives each static pod another identity. The containers of the old one are
    strangers to it, which it kills after one second, with the requests that are under way.
  - Asked to end, an API server says for some seconds that it is not ready, so that balancers send new requests
    elsewhere, and answers what is under way. The kubelet that still runs starts it again, and the new one kills it
    before it is ready.
  - Does nothing on a host without an API server, and where the kubelet's minor version stays.
options:
  version: {description: "The version of the kubelet that comes, such as 1.36.4.", type: str, required: true}
  timeout: {description: Seconds until the API server has to be gone., type: int, default: 90}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Let the API server end its requests
  api_server_end:
    version: 1.36.4
"""

RETURN = r"""
ended:
  description: Whether there was an API server to end.
  type: bool
  returned: always
"""

import os
import signal

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    KUBERNETES,
    KubeadmError,
    processes,
    run,
    wait_until,
)

NAME = "kube-apiserver"
MANIFEST = f"{KUBERNETES}/manifests/{NAME}.yaml"


def minor(version):
    """The first two numbers of a version, with or without a v before them."""
    return tuple(int(part) for part in version.strip().lstrip("v").split(".")[:2])


def due(version):
    """The API server of this host, when the kubelet's minor version changes."""
    # Without a static pod of that name, such a process is somebody's workload.
    found = processes(NAME) if os.path.exists(MANIFEST) else []
    installed = run("kubelet", "--version").split()[-1] if found else version
    return found if minor(installed) != minor(version) else []


def end(found, timeout):
    """Ask them to end, and wait; raises KubeadmError when one stays."""
    for process in found:
        os.kill(process, signal.SIGTERM)
    said = wait_until(lambda: "it still runs" if set(found) & set(processes(NAME)) else None, timeout)
    if said:
        raise KubeadmError(f"{NAME} was asked to end {timeout} s ago: {said}")


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    try:
        found = due(module.params["version"])
        if found and not module.check_mode:
            end(found, module.params["timeout"])
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(found), ended=bool(found))


if __name__ == "__main__":
    main()
