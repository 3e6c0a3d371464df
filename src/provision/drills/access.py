"""What the operator's machine asks while a drill runs: the API, and a Service, as their users do.

The private key is born here and stays in memory; the cluster signs a certificate for it that ends within the hour and
may read and write in the drill's own namespace alone.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from provision.drills.probe import TIMEOUT

_SERVER_NAME = "kubernetes"
"""A name that every API server's certificate has, whatever address it is reached at."""


@dataclass(frozen=True)
class Identity:
    """A private key that nobody else has, and the request to sign a certificate for it."""

    key: bytes = field(repr=False)
    request: str
    """The certificate request (PEM); its name holds no privilege by itself."""


def new_identity(name: str) -> Identity:
    """A fresh key with a certificate request for the user `name`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(plain, request.public_bytes(serialization.Encoding.PEM).decode())


def tls_context(identity: Identity, certificate: str, authority: str) -> ssl.SSLContext:
    """Trusts the cluster's authority alone, and shows the certificate. The key goes to OpenSSL through memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority)
    handle = os.memfd_create("pair", os.MFD_CLOEXEC)
    try:
        os.write(handle, certificate.encode() + b"\n" + identity.key)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context


class _Connection(http.client.HTTPSConnection):
    """Reaches an API server at an address, and checks it by the name that all of them have."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__(*address, timeout=TIMEOUT, context=context)
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=_SERVER_NAME)
        except BaseException:
            plain.close()
            raise


@dataclass(frozen=True)
class Api:
    """The API as a user of the drill's namespace reaches it; every request has a connection of its own."""

    address: str
    port: int
    context: ssl.SSLContext
    namespace: str

    def read(self) -> bool:
        """One object is read. Raises OSError with the status that is not 200."""
        self._request("GET", self._note)
        return True

    def write(self) -> bool:
        """The same object is changed, which takes a majority of etcd. Raises as `read` does."""
        self._request("PATCH", self._note, {"data": {"beat": repr(time.time())}})
        return True

    def pods(self) -> list[dict[str, Any]]:
        """The drill's pods. Raises OSError, HTTPException or ValueError when there is no answer."""
        return list(json.loads(self._request("GET", f"/api/v1/namespaces/{self.namespace}/pods"))["items"])

    @property
    def _note(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/note"

    def _request(self, method: str, path: str, body: object = None) -> bytes:
        connection = _Connection((self.address, self.port), self.context)
        headers = {"Accept": "application/json", "Content-Type": "application/merge-patch+json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise OSError(f"HTTP {answer.status} {_message(text)}")
            return text
        finally:
            connection.close()


def _message(text: bytes) -> str:
    """What a Status object says, or the beginning of what is none."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, LookupError, TypeError):
        return text[:80].decode(errors="replace").strip()


@dataclass(frozen=True)
class Door:
    """A Service, reached through the port that it has on every node."""

    address: str
    port: int

    def answers(self) -> bool:
        """A pod behind it answers."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=TIMEOUT)
        try:
            connection.request("GET", "/hostname")
            return connection.getresponse().status == 200
        finally:
            connection.close()


def ready_elsewhere(pods: list[dict[str, Any]], node: str) -> int:
    """How many pods are ready on other nodes than this one."""
    return sum(
        pod["spec"].get("nodeName") not in (None, node)
        and "deletionTimestamp" not in pod["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
        for pod in pods
    )
