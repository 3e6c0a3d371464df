#!/usr/bin/python
"""Let kubeadm make etcd's certificate authority and one member's certificates; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_certificates
short_description: Let kubeadm make etcd's certificate authority and one member's certificates
description:
  - With V(authority) in O(state) it makes sure that the authority exists and returns it, so that the other members are
    given the same one through the controller's memory. Every task that calls this module sets C(no_log).
  - With V(member) it installs the authority and makes the certificates that are missing, name other addresses, or end
    within O(within) days. Nothing else is replaced; an authority that differs from the one on the member is refused.
    etcd reads its certificates anew for each connection, and needs no restart.
  - Keys are made in memory (C(/run)) and moved to O(directory) when all of them are there.
options:
  state: {description: What to make., type: str, choices: [authority, member], required: true}
  directory: {description: Where the files are., type: path, default: /etc/etcd/pki}
  owner: {description: The user that etcd runs as; the authority's key stays root's., type: str, default: etcd}
  kubernetes_version: {description: The version kubeadm is told so that it looks none up., type: str, required: true}
  name: {description: The member's name., type: str, default: ""}
  address: {description: The address that clients and peers use., type: str, required: true}
  sans: {description: Further names and addresses of the server certificate., type: list, elements: str, default: []}
  validity_days: {description: The life of the member's certificates in days., type: int, default: 365}
  within: {description: Renew what ends within so many days; 0 means what has ended., type: int, default: 0}
  since: {description: "Leave what was written after this time (epoch, seconds).", type: float, default: 0}
  authority: {description: "The authority as V(authority) returned it.", type: dict, default: {}}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Make the certificates of the member
  etcd_certificates:
    state: member
    kubernetes_version: 1.36.4
    name: master1
    address: 10.77.0.11
    authority: "{{ __etcd_authority.authority }}"
  no_log: true
"""

RETURN = r"""
authority:
  description: Base64 of C(ca.crt) and C(ca.key); empty in check mode when there is none yet.
  type: dict
  returned: when O(state) is V(authority)
made:
  description: The files that were made, or would be.
  type: list
  elements: str
  returned: always
"""

import base64
import json
import os
import shutil
import tempfile

from ansible.module_utils.atomic import ids, read, write  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.certificates import describe, due  # type: ignore[import-not-found]

# What kubeadm's phases write below its directory -> the name here.
AUTHORITY = {"etcd-ca": "etcd/ca"}
MEMBER = {
    "etcd-server": "etcd/server",
    "etcd-peer": "etcd/peer",
    "etcd-healthcheck-client": "etcd/healthcheck-client",
    "apiserver-etcd-client": "apiserver-etcd-client",
}


class Certificates:
    """The certificate directory of one member."""

    def __init__(self, module):
        self.module = module
        self.directory = module.params["directory"]
        self.made = []

    def path(self, name):
        return os.path.join(self.directory, os.path.basename(name))

    def present(self, name):
        return all(os.path.exists(f"{self.path(name)}.{kind}") for kind in ("crt", "key"))

    def configuration(self, work):
        """Return kubeadm's configuration (JSON is YAML) for certificates below `work`."""
        given = self.module.params
        address = given["address"]
        sans = sorted({address, "127.0.0.1", "localhost", *([given["name"]] if given["name"] else []), *given["sans"]})
        documents = [
            {
                "apiVersion": "kubeadm.k8s.io/v1beta4",
                "kind": "InitConfiguration",
                "localAPIEndpoint": {"advertiseAddress": address},
                "nodeRegistration": {
                    "name": given["name"] or "etcd",
                    "criSocket": "unix:///run/containerd/containerd.sock",
                },
            },
            {
                "apiVersion": "kubeadm.k8s.io/v1beta4",
                "kind": "ClusterConfiguration",
                "kubernetesVersion": f"v{given['kubernetes_version']}",
                "certificatesDir": work,
                "encryptionAlgorithm": "ECDSA-P256",
                "certificateValidityPeriod": f"{given['validity_days'] * 24}h",
                "etcd": {"local": {"serverCertSANs": sans, "peerCertSANs": sans}},
            },
        ]
        return "\n---\n".join(json.dumps(document) for document in documents)

    def make(self, phases):
        """Run kubeadm's `phases` in a directory of their own, then move the results here."""
        self.made += [self.path(phases[phase]) for phase in phases]
        if self.module.check_mode or not phases:
            return
        os.makedirs("/run/provision", mode=0o700, exist_ok=True)
        work = tempfile.mkdtemp(prefix="etcd-", dir="/run/provision")
        try:
            if self.present("ca"):
                os.makedirs(f"{work}/etcd")
                for kind in ("crt", "key"):
                    shutil.copy(f"{self.path('ca')}.{kind}", f"{work}/etcd/ca.{kind}")
            with open(f"{work}/kubeadm.yaml", "w", encoding="utf-8") as stream:
                stream.write(self.configuration(work))
            for phase in phases:
                self.module.run_command(
                    ["kubeadm", "init", "phase", "certs", phase, "--config", f"{work}/kubeadm.yaml"], check_rc=True
                )
            for name in phases.values():
                self.install(f"{name}.key", read(f"{work}/{name}.key"))
                self.install(f"{name}.crt", read(f"{work}/{name}.crt"))
        finally:
            shutil.rmtree(work)

    def install(self, name, data):
        """Write one file with the mode and owner that its reader needs."""
        secret = name.endswith(".key")
        user = "root" if os.path.basename(name) == "ca.key" else self.module.params["owner"]
        write(self.path(name), data, 0o600 if secret else 0o644, *ids(user, user))

    def take_authority(self, authority):
        """Install the authority that all members share; refuse to replace another one."""
        for name in ("ca.key", "ca.crt"):
            data = base64.b64decode(authority.get(name) or "")
            here = read(self.path(name))
            if here is not None and data and here != data:
                self.module.fail_json(msg=f"{self.path(name)} is not the one of the other members")
            if here is None:
                self.made.append(self.path(name))
                if not self.module.check_mode:
                    self.install(name, data)

    def outdated(self):
        """Return the member's phases whose certificate is missing, lacks one of its addresses, or is to be renewed."""
        given = self.module.params
        wanted = {given["address"], *given["sans"]}
        phases = {}
        for phase, name in MEMBER.items():
            path = f"{self.path(name)}.crt"
            certificate = describe(path) if self.present(name) else None
            lacks = name in ("etcd/server", "etcd/peer") and certificate and not wanted <= certificate["sans"]
            if certificate is None or lacks or due(path, given["within"], given["since"]):
                phases[phase] = name
        return phases


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["authority", "member"], "required": True},
            "directory": {"type": "path", "default": "/etc/etcd/pki"},
            "owner": {"type": "str", "default": "etcd"},
            "kubernetes_version": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "address": {"type": "str", "required": True},
            "sans": {"type": "list", "elements": "str", "default": []},
            "validity_days": {"type": "int", "default": 365},
            "within": {"type": "int", "default": 0},
            "since": {"type": "float", "default": 0},
            "authority": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    certificates = Certificates(module)
    result = {}
    if module.params["state"] == "authority":
        certificates.make({} if certificates.present("ca") else AUTHORITY)
        files = {name: read(certificates.path(name)) or b"" for name in ("ca.crt", "ca.key")}
        result["authority"] = {name: base64.b64encode(data).decode() for name, data in files.items()}
    else:
        certificates.take_authority(module.params["authority"])
        certificates.make(certificates.outdated())
    module.exit_json(changed=bool(certificates.made), made=certificates.made, **result)


if __name__ == "__main__":
    main()
