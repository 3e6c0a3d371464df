"""A small client for the Kubernetes API: the standard library, one connection a thread, credentials of a kubeconfig."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import threading
from urllib.parse import urlsplit


class ApiError(Exception):
    """An answer of the API other than success; `status` is its HTTP code, `causes` are its reasons in detail."""

    def __init__(self, status, message, causes=()):
        super().__init__(message)
        self.status, self.causes = status, tuple(causes)


def kubeconfig_values(text):
    """The fields of a kubeconfig with one cluster and one user, which is what kubeadm writes."""
    pattern = r"^[ -]*(server|(?:certificate-authority|client-certificate|client-key)(?:-data)?): *\"?([^\s\"]+)\"?\s*$"
    return dict(re.findall(pattern, text, re.MULTILINE))


def pem(values, field):
    """The bytes behind `field`, from the kubeconfig itself or from the file that it names; None when it has neither."""
    if f"{field}-data" in values:
        return base64.b64decode(values[f"{field}-data"])
    if field in values:
        with open(values[field], "rb") as stream:
            return stream.read()
    return None


def tls_context(authority, pair=b""):
    """A context that trusts `authority` alone and shows the certificate and key in `pair`, all of them PEM bytes.

    The key goes to OpenSSL through memory: it touches no disk.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.decode())
    if pair:
        handle = os.memfd_create("pair", os.MFD_CLOEXEC)
        try:
            os.write(handle, pair)
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    return context


class JsonClient:
    """JSON over HTTPS to one server; keeps a connection open for each thread."""

    def __init__(self, host, port, context, timeout=5):
        self.address = (host, port)
        self.context = context
        self.timeout = timeout
        self.local = threading.local()

    def request(self, method, path, body=None, timeout=None):
        """Return the answer, decoded when it is JSON. Raises ApiError, or OSError when there is no answer."""
        data = None if body is None else json.dumps(body)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        connection = self._connection(timeout or self.timeout)
        try:
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.local.connection = None
            raise OSError("{}:{}: {}".format(*self.address, error or type(error).__name__)) from error
        return decoded(answer.status, text)

    def _connection(self, timeout):
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(*self.address, timeout=timeout, context=self.context)
            self.local.connection = connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection


def decoded(status, text):
    """The value of an answer's text; raises ApiError with the server's own words when it is no success."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if status >= 400:
        words = value.get("message") or value.get("error") if isinstance(value, dict) else value
        details = (value.get("details") or {}).get("causes") or [] if isinstance(value, dict) else []
        causes = [cause["message"] for cause in details if cause.get("message")]
        raise ApiError(status, f"HTTP {status}: {str(words or text).strip()[:300]}", causes)
    return value


class KubeClient(JsonClient):
    """The API server of a kubeconfig."""

    def __init__(self, kubeconfig, timeout=5):
        with open(kubeconfig, encoding="utf-8") as stream:
            values = kubeconfig_values(stream.read())
        if "server" not in values:
            raise ValueError(f"{kubeconfig}: names no server")
        server = urlsplit(values["server"])
        # The kubelet keeps both in one file: once is enough.
        pair = dict.fromkeys(part for part in (pem(values, "client-certificate"), pem(values, "client-key")) if part)
        context = tls_context(pem(values, "certificate-authority") or b"", b"\n".join(pair))
        super().__init__(server.hostname, server.port or 443, context, timeout)

    def get(self, path):
        """GET a path."""
        return self.request("GET", path)

    def create(self, path, body):
        """POST an object to a collection."""
        return self.request("POST", path, body)

    def delete(self, path):
        """DELETE an object without waiting until it is gone; one that is not there is well."""
        try:
            return self.request(
                "DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
            )
        except ApiError as error:
            if error.status != 404:
                raise
            return None
