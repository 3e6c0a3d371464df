#!/usr/bin/python3
"""Approve the serving certificates that this cluster's kubelets ask for, and no others. Managed by provision.

A kubelet asks for a certificate with its own name and addresses. Kubernetes signs it only when somebody approves. This
program approves a request when it comes from the node itself, is for serving alone, and holds nothing but the node's
name and the addresses that the ConfigMap kube-system/provision-nodes has for it; a node can write neither. Everything
else is left for a person to judge.

usage: provision-csr-approver KUBECONFIG [--dry-run] [--server URL]
Prints one JSON object: {"approved": [names], "refused": {name: reason}}.
"""

from __future__ import annotations

import argparse
import base64
import ipaddress
import json
import re
import subprocess
import sys

SIGNER = "kubernetes.io/kubelet-serving"
PREFIX = "system:node:"
USAGES = {"digital signature", "key encipherment", "server auth"}
COMMON_NAME, ORGANIZATION = bytes.fromhex("550403"), bytes.fromhex("55040a")
EXTENSION_REQUEST, SUBJECT_ALT_NAME = bytes.fromhex("2a864886f70d01090e"), bytes.fromhex("551d11")
OID, DNS_NAME, IP_ADDRESS = 0x06, 0x82, 0x87


class Refused(Exception):
    """Why a request is not approved."""


def elements(data):
    """Yield (tag, content) of each DER element in `data`; raises Refused when it is not DER."""
    position = 0
    while position < len(data):
        if position + 2 > len(data):
            raise Refused("the request is cut off")
        tag, size = data[position], data[position + 1]
        position += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[position : position + count], "big")
            position += count
        if position + size > len(data):
            raise Refused("the request is cut off")
        yield tag, data[position : position + size]
        position += size


def only(data):
    """The content of the single element in `data`."""
    found = list(elements(data))
    if len(found) != 1:
        raise Refused("the request has an unknown form")
    return found[0][1]


def by_oid(data):
    """Yield (OID, the elements after it) of each sequence in `data`."""
    for _, sequence in elements(data):
        parts = list(elements(sequence))
        if parts and parts[0][0] == OID:
            yield parts[0][1], [content for _, content in parts[1:]]


def subject_of(data):
    """The values of a distinguished name as (OID, text)."""
    for _, relative in elements(data):
        for oid, values in by_oid(relative):
            yield oid, values[0].decode("utf-8", "replace")


def names_of(data):
    """The alternative names in a request's attributes, as text; raises Refused for kinds other than DNS and IP."""
    for oid, values in by_oid(data):
        if oid != EXTENSION_REQUEST:
            continue
        for extension, contents in by_oid(only(values[0])):
            if extension != SUBJECT_ALT_NAME:
                continue
            for tag, value in elements(only(contents[-1])):
                if tag == DNS_NAME:
                    yield value.decode("ascii", "replace")
                elif tag == IP_ADDRESS:
                    yield str(ipaddress.ip_address(value))
                else:
                    raise Refused("it asks for a name that is neither DNS nor IP")


def parse(pem):
    """Return (common names, organizations, alternative names) of a PEM certificate request (PKCS #10)."""
    found = re.search(r"-----BEGIN CERTIFICATE REQUEST-----(.+?)-----END", pem, re.DOTALL)
    if not found:
        raise Refused("it holds no certificate request")
    try:
        info = next(elements(only(base64.b64decode(found.group(1)))))[1]
        parts = list(elements(info))
        subject = list(subject_of(parts[1][1]))
        attributes = b"".join(content for tag, content in parts[3:] if tag == 0xA0)
        names = list(names_of(attributes))
    except (ValueError, IndexError, StopIteration) as error:
        raise Refused(f"the request cannot be read: {error}") from error
    return [v for o, v in subject if o == COMMON_NAME], [v for o, v in subject if o == ORGANIZATION], names


def judge(request, addresses):
    """Raise Refused unless this CertificateSigningRequest is what its node may have; `addresses` by node name."""
    spec = request["spec"]
    user = spec.get("username", "")
    node = user[len(PREFIX) :]
    if not user.startswith(PREFIX) or "system:nodes" not in spec.get("groups", []):
        raise Refused(f"{user} is no node")
    if node not in addresses:
        raise Refused(f"{node} is not known in kube-system/provision-nodes")
    if not set(spec.get("usages", [])) <= USAGES or "server auth" not in spec.get("usages", []):
        raise Refused("it is for more than serving")
    commons, organizations, names = parse(base64.b64decode(spec["request"]).decode("ascii", "replace"))
    if commons != [user] or organizations != ["system:nodes"]:
        raise Refused("its subject is another one's")
    strange = set(names) - {node} - {str(ipaddress.ip_address(a)) for a in addresses[node].split(",")}
    if strange or not names:
        raise Refused(f"it asks for {', '.join(sorted(strange)) or 'no name'}")


def pending(request):
    """Whether a request waits for an approval of ours."""
    return request["spec"]["signerName"] == SIGNER and not request.get("status", {}).get("conditions")


def review(requests, addresses):
    """Return (names to approve, {name: why not}) of the requests that wait."""
    good, bad = [], {}
    for request in filter(pending, requests):
        name = request["metadata"]["name"]
        try:
            judge(request, addresses)
            good.append(name)
        except Refused as reason:
            bad[name] = str(reason)
    return good, bad


def main():
    """Review what waits, once."""
    parser = argparse.ArgumentParser(
        description="Approve the serving certificates that this cluster's kubelets ask for."
    )
    parser.add_argument("kubeconfig")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--server")
    options = parser.parse_args()
    base = ["kubectl", "--kubeconfig", options.kubeconfig, "--request-timeout", "20s"]
    base += ["--server", options.server] if options.server else []

    def kubectl(*words):
        done = subprocess.run([*base, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"kubectl {' '.join(words[:2])}: {done.stderr.strip()}")
        return done.stdout

    requests = json.loads(kubectl("get", "certificatesigningrequests", "-o", "json"))["items"]
    good, bad = [], {}
    if any(map(pending, requests)):
        addresses = (
            json.loads(kubectl("-n", "kube-system", "get", "configmap", "provision-nodes", "-o", "json")).get("data")
            or {}
        )
        good, bad = review(requests, addresses)
    if good and not options.dry_run:
        kubectl("certificate", "approve", *good)
    print(json.dumps({"approved": good, "refused": bad}))


if __name__ == "__main__":
    main()
