#!/usr/bin/python
"""Give birth to a cluster's secrets on its first control plane; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_pki
short_description: Create the secrets that all control planes share, and read them for the others
description:
  - Creates the certificate authorities, the key of the service accounts and the key that encrypts secrets at rest,
    each only when it is missing. An authority is never replaced, and none is created while another control plane
    already has one.
  - The contents go through the controller's memory alone. Every task that calls this module sets C(no_log).
options:
  config: {description: "kubeadm's configuration as YAML (algorithm, validity).", type: str, required: true}
  encryption: {description: Path of the EncryptionConfiguration., type: path, required: true}
  elsewhere:
    description: SHA-256 of the certificate authorities (DER) that other control planes have, empty strings for none.
    type: list
    elements: str
    default: []
  also: {description: Other files to read along., type: list, elements: str, default: []}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Create the secrets of the cluster
  kubeadm_pki:
    config: "{{ __control_plane_config }}"
    encryption: /etc/kubernetes/provision/apiserver/encryption.yaml
  no_log: true
  register: __control_plane_shared
"""

RETURN = r"""
contents:
  description: Base64 of each shared file by its path; in check mode the files that are not there yet are left out.
  type: dict
  returned: always
created:
  description: What was, or would be, created.
  type: list
  elements: str
  returned: always
"""

import base64
import hashlib
import os
import ssl

from ansible.module_utils.atomic import write  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    APPLIED,
    PKI,
    KubeadmError,
    private_directory,
    run,
    write_private,
)

# kubeadm's phase -> the files it makes
PHASES = {
    "ca": ("ca.crt", "ca.key"),
    "front-proxy-ca": ("front-proxy-ca.crt", "front-proxy-ca.key"),
    "sa": ("sa.key", "sa.pub"),
}
ENCRYPTION = """\
# Managed by provision. Born on this cluster's first control plane: with it, a copy of etcd gives away every secret.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox:
          keys:
            - name: key1
              secret: {key}
      - identity: {{}}
"""


def shared_files(encryption):
    """The paths of all files that every control plane has alike."""
    return [*(os.path.join(PKI, name) for names in PHASES.values() for name in names), encryption]


def fingerprint(path):
    """SHA-256 of a PEM certificate's DER form, or an empty string when there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="ascii") as stream:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(stream.read())).hexdigest()


def refusal(own, elsewhere):
    """Why no authority may be created or handed out here, or None."""
    others = {value for value in elsewhere if value} - {own}
    if not others:
        return None
    if own:
        return "control planes have different certificate authorities: reset those that belong to another cluster"
    return "another control plane has a certificate authority and this one has none: it cannot be the leader"


def missing(encryption):
    """The phases and files that are still to be made."""
    phases = [phase for phase, names in PHASES.items() if not all(os.path.exists(os.path.join(PKI, n)) for n in names)]
    return phases + ([] if os.path.exists(encryption) else [encryption])


def create(config, todo):
    """Make what is missing."""
    with private_directory() as directory:
        path = write_private(directory, "kubeadm.yaml", config)
        for name in todo:
            if name in PHASES:
                run("kubeadm", "init", "phase", "certs", name, "--config", path)
            else:
                key = base64.b64encode(os.urandom(32)).decode()
                write(name, ENCRYPTION.format(key=key).encode(), 0o600, 0, 0)


def contents(paths):
    """Base64 by path of those files that exist."""
    found = {}
    for path in paths:
        if os.path.exists(path):
            with open(path, "rb") as stream:
                found[path] = base64.b64encode(stream.read()).decode()
    return found


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "str", "required": True},
            "encryption": {"type": "path", "required": True},
            "elsewhere": {"type": "list", "elements": "str", "default": []},
            "also": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    encryption = module.params["encryption"]
    reason = refusal(fingerprint(os.path.join(PKI, "ca.crt")), module.params["elsewhere"])
    if reason:
        module.fail_json(msg=reason)
    todo = missing(encryption)
    if todo and os.path.exists(APPLIED):
        module.fail_json(
            msg=f"this control plane has lost {', '.join(todo)}: copy it from another one, a new one would not fit"
        )
    if todo and not module.check_mode:
        try:
            create(module.params["config"], todo)
        except KubeadmError as error:
            module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(todo), created=todo, contents=contents([*shared_files(encryption), *module.params["also"]])
    )


if __name__ == "__main__":
    main()
