#!/usr/bin/python
"""Renew a kubelet's client and serving certificates; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_certificates
short_description: Renew a kubelet's client and serving certificates, also when they have ended
description:
  - Kubelets renew their certificates by themselves. This does it now, or for one that was switched off for so long that
    it cannot any more.
  - V(requested), on the node, makes keys, which never leave it, and returns requests for what is to be renewed.
    V(signed), on a control plane, signs them with the cluster's authority, for the name and address given here and not
    for what the request says. V(installed), on the node, puts them into use, and the old one back when the API server
    does not accept the new one. The kubelet reads them at its start.
options:
  state: {description: The step., type: str, choices: [requested, signed, installed], required: true}
  directory: {description: Where the kubelet keeps them., type: path, default: /var/lib/kubelet/pki}
  within: {description: Renew what ends within so many days., type: int, default: 0}
  since: {description: "Leave what was written after this time (epoch, seconds).", type: float, default: 0}
  name: {description: The node's name., type: str, required: true}
  address: {description: The node's address., type: str, required: true}
  days: {description: The life of what is signed in days., type: int, default: 365}
  authority:
    description: Path of the authority that signs, without C(.crt) and C(.key).
    type: path
    default: /etc/kubernetes/pki/ca
  requests: {description: "What V(requested) returned.", type: dict, default: {}}
  certificates: {description: "What V(signed) returned.", type: dict, default: {}}
  kubeconfig: {description: The kubelet's., type: path, default: /etc/kubernetes/kubelet.conf}
  timeout: {description: Seconds to wait until the API server takes the new certificate., type: int, default: 90}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Ask for new certificates
  kubelet_certificates:
    state: requested
    within: 90
    name: worker1
    address: 10.77.0.21
  register: __kubernetes_requested
"""

RETURN = r"""
requests:
  description: The certificate requests (PEM) by kind, C(client) and C(server).
  type: dict
  returned: when O(state) is V(requested)
certificates:
  description: The signed certificates (PEM) by kind.
  type: dict
  returned: when O(state) is V(signed)
paths:
  description: What was, or would be, renewed.
  type: list
  elements: str
  returned: always
"""

import os
import time

from ansible.module_utils.atomic import write  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.certificates import due  # type: ignore[import-not-found]
from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    KubeadmError,
    private_directory,
    run,
    wait_until,
    write_private,
)

USAGE = {"client": "clientAuth", "server": "serverAuth"}


def current(params, kind):
    """The link to the certificate that the kubelet uses."""
    return os.path.join(params["directory"], f"kubelet-{kind}-current.pem")


def key_of(params, kind):
    """Where the key waits for its certificate."""
    return os.path.join(params["directory"], f"provision-{kind}.key")


def requested(params, check):
    """Make keys and requests for what is to be renewed."""
    kinds = [kind for kind in USAGE if due(current(params, kind), params["within"], params["since"])]
    requests = {} if check else {kind: request(params, kind) for kind in kinds}
    return {"changed": bool(kinds), "paths": [current(params, kind) for kind in kinds], "requests": requests}


def request(params, kind):
    """Make a key and return the request for it."""
    key = key_of(params, kind)
    made = run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    write(key, made.encode(), 0o600, 0, 0)
    return run("openssl", "req", "-new", "-key", key, "-subj", f"/O=system:nodes/CN=system:node:{params['name']}")


def extensions(params, kind):
    """What the certificate may be used for, and by whom."""
    lines = [
        "basicConstraints=critical,CA:false",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={USAGE[kind]}",
        "authorityKeyIdentifier=keyid",
    ]
    names = f"subjectAltName=DNS:{params['name']},IP:{params['address']}"
    return "\n".join([*lines, *([names] if kind == "server" else []), ""])


def signed(params):
    """Sign the requests; of each only its key is taken."""
    made = {}
    for kind, text in params["requests"].items():
        with private_directory() as directory:
            asked = write_private(directory, "request.csr", text)
            allowed = write_private(directory, "extensions", extensions(params, kind))
            made[kind] = run(
                *("openssl", "x509", "-req", "-in", asked, "-extfile", allowed, "-sha256"),
                *("-CA", f"{params['authority']}.crt", "-CAkey", f"{params['authority']}.key"),
                *("-set_serial", f"0x{os.urandom(15).hex()}", "-days", str(params["days"])),
                *("-subj", f"/O=system:nodes/CN=system:node:{params['name']}"),
            )
    return {"changed": False, "paths": [], "certificates": made}


def installed(params):
    """Put the certificates into use, the old ones back when the API server refuses the new client certificate."""
    before = {kind: os.readlink(current(params, kind)) for kind in params["certificates"]}
    for kind, text in params["certificates"].items():
        install(params, kind, text)
    said = wait_until(lambda: refused(params), params["timeout"], pause=1) if "client" in before else None
    if said:
        for kind, target in before.items():
            point(current(params, kind), target)
        raise KubeadmError(f"the API server does not take the kubelet's new certificate, the old one is back: {said}")
    for kind in before:
        os.unlink(key_of(params, kind))
    return {"changed": bool(before), "paths": [current(params, kind) for kind in before]}


def install(params, kind, certificate):
    """Write certificate and key as the kubelet does, into a file of their own that the link then names."""
    with open(key_of(params, kind), encoding="ascii") as stream:
        pair = certificate + stream.read()
    name = f"kubelet-{kind}-{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime())}.pem"
    write(os.path.join(params["directory"], name), pair.encode("ascii"), 0o600, 0, 0)
    point(current(params, kind), os.path.join(params["directory"], name))


def point(link, target):
    """Let a link name another file, in one step."""
    fresh = f"{link}.provision"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    os.symlink(target, fresh)
    os.rename(fresh, link)


def refused(params):
    """Why the API server does not answer to the kubelet's client certificate, or None."""
    try:
        KubeClient(params["kubeconfig"]).get(f"/api/v1/nodes/{params['name']}")
    except (ApiError, OSError, ValueError) as error:
        return str(error)
    return None


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["requested", "signed", "installed"], "required": True},
            "directory": {"type": "path", "default": "/var/lib/kubelet/pki"},
            "within": {"type": "int", "default": 0},
            "since": {"type": "float", "default": 0},
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "days": {"type": "int", "default": 365},
            "authority": {"type": "path", "default": "/etc/kubernetes/pki/ca"},
            "requests": {"type": "dict", "default": {}},
            "certificates": {"type": "dict", "default": {}},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/kubelet.conf"},
            "timeout": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        if params["state"] == "requested":
            result = requested(params, module.check_mode)
        else:
            result = signed(params) if params["state"] == "signed" else installed(params)
    except (KubeadmError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
