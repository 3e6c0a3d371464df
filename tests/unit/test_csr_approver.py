"""The approver signs off a node's own serving certificate, and nothing that goes an inch beyond it."""

from __future__ import annotations

import base64
import importlib.util
import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

SCRIPT = Path(__file__).parents[2] / "roles/control_plane/files/csr_approver.py"
ADDRESSES = {"worker1": "10.0.0.21", "worker2": "10.0.0.22,fd00::22"}
SERVING = ["digital signature", "server auth"]


@pytest.fixture(scope="module")
def approver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("csr_approver", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def pem(common: str, names: list[str], organization: str = "system:nodes", key: str = "ec") -> bytes:
    private = ec.generate_private_key(ec.SECP256R1()) if key == "ec" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, common),
    ])  # fmt: skip
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([general(name) for name in names]), critical=False)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def request(names: list[str], node: str = "worker1", **other: Any) -> dict[str, Any]:
    text = other.pop("pem", None) or pem(
        other.pop("common", f"system:node:{node}"), names, other.pop("organization", "system:nodes")
    )
    return {
        "metadata": {"name": "csr-x"},
        "spec": {
            "signerName": "kubernetes.io/kubelet-serving", "username": f"system:node:{node}",
            "groups": ["system:nodes", "system:authenticated"], "usages": SERVING,
            "request": base64.b64encode(text).decode(), **other,
        },
    }  # fmt: skip


GOOD = {
    "name and address": request(["worker1", "10.0.0.21"]),
    "address alone": request(["10.0.0.21"]),
    "IPv6": request(["worker2", "10.0.0.22", "fd00:0::22"], node="worker2"),
    "RSA": request([], pem=pem("system:node:worker1", ["worker1"], key="rsa"), usages=[*SERVING, "key encipherment"]),
}
BAD = {
    "another node's name": (request(["worker1", "worker2"]), "worker2"),
    "another node's address": (request(["10.0.0.22"]), "10.0.0.22"),
    "the API's name": (request(["worker1", "api.cluster.local"]), "api.cluster.local"),
    "an e-mail address": (request(["worker1", "root@example.org"]), "neither DNS nor IP"),
    "no name": (request([]), "no name"),
    "an unknown node": (request(["worker9"], node="worker9"), "not known"),
    "another subject": (request(["worker1"], common="system:node:worker2"), "subject"),
    "another organization": (request(["worker1"], organization="system:masters"), "subject"),
    "a client's use": (request(["worker1"], usages=["digital signature", "client auth"]), "more than serving"),
    "both uses": (request(["worker1"], usages=[*SERVING, "client auth"]), "more than serving"),
    "no node": (request(["worker1"], username="kubernetes-admin"), "no node"),
    "not in the nodes' group": (request(["worker1"], groups=["system:authenticated"]), "no node"),
    "no request at all": (request([], pem=b"hello"), "no certificate request"),
    "half a request": (
        request([], pem=b"\n".join([*pem("system:node:worker1", ["worker1"]).split(b"\n")[:3], b"-----END"])),
        "cut off",
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_nodes_own_certificate_is_approved(approver: ModuleType, case: str) -> None:
    assert approver.review([GOOD[case]], ADDRESSES) == (["csr-x"], {})


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_left_with_the_reason(approver: ModuleType, case: str) -> None:
    asked, reason = BAD[case]
    good, bad = approver.review([asked], ADDRESSES)
    assert good == []
    assert reason in bad["csr-x"]


def test_only_what_waits_for_this_signer_is_looked_at(approver: ModuleType) -> None:
    done = {**request(["worker2"]), "status": {"conditions": [{"type": "Approved"}]}}
    other = request(["worker2"], signerName="kubernetes.io/kube-apiserver-client")
    assert approver.review([done, other], ADDRESSES) == ([], {})


@pytest.mark.parametrize("dry", [False, True])
def test_the_program_approves_through_kubectl(tmp_path: Path, dry: bool) -> None:
    """The whole program against a kubectl that answers from files and notes what it is told."""
    (tmp_path / "requests.json").write_text(json.dumps({"items": [GOOD["address alone"]]}))
    (tmp_path / "nodes.json").write_text(json.dumps({"data": ADDRESSES}))
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\ncase "$*" in *signingrequests*) cat {tmp_path}/requests.json;;'
        f" *configmap*) cat {tmp_path}/nodes.json;;"
        f' *approve*) echo "$*" >> {tmp_path}/said;; esac\n'
    )
    kubectl.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = [sys.executable, str(SCRIPT), "/etc/x.conf", *(["--dry-run"] if dry else [])]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"approved": ["csr-x"], "refused": {}}
    assert (tmp_path / "said").exists() is not dry
