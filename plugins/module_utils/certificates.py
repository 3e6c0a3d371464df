"""Reading X.509 certificates on a node with the standard library alone."""

from __future__ import annotations

import os
import socket
import ssl
import time

from ansible.module_utils.kube_client import kubeconfig_values, pem  # type: ignore[import-not-found]

DAY = 86400


def describe(path):
    """Return what is known of the certificate at `path`, or None when there is none.

    {sans: set of names and addresses, days_left: float, authority: whether it signed itself}.
    """
    if not os.path.exists(path):
        return None
    try:
        # The only decoder in the standard library; the test of this module guards against its removal.
        fields = ssl._ssl._test_decode_cert(path)
    except (ssl.SSLError, ValueError):
        return None
    left = ssl.cert_time_to_seconds(fields["notAfter"]) - time.time()
    return {
        "sans": {value for _kind, value in fields.get("subjectAltName", ())},
        "days_left": left / DAY,
        "authority": fields["subject"] == fields["issuer"],
    }


def described(path):
    """As `describe`, of a certificate file or of the client certificate inside a kubeconfig (*.conf).

    A kubeconfig that names a file holds none: that file stands for itself.
    """
    if not path.endswith(".conf") or not os.path.exists(path):
        return describe(path)
    with open(path, encoding="utf-8", errors="replace") as stream:
        values = kubeconfig_values(stream.read())
    if "client-certificate-data" not in values:
        return None
    handle = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(handle, pem(values, "client-certificate"))
        return describe(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def due(path, within, since=0):
    """Whether the certificate in `path` ends within `within` days and was not written after `since` (epoch; 0: ever).

    The time of the file counts, not the start of its validity: kubeadm dates that back.
    """
    found = described(path)
    if found is None or found["days_left"] >= within:
        return False
    return not since or os.stat(path).st_mtime < since


def not_shown(address, port, path):
    """Why the service at `address`:`port` does not show the certificate in `path`, or None when it does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Only which certificate is shown is asked here, not whether to trust it.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with open(path, encoding="ascii") as stream:
            wanted = ssl.PEM_cert_to_DER_cert(first_certificate(stream.read()))
        with socket.create_connection((address, port), timeout=3) as plain, context.wrap_socket(plain) as secured:
            shown = secured.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        return f"port {port}: {error}"
    return None if shown == wanted else f"port {port} shows another certificate than {path}"


def first_certificate(text):
    """The first certificate in PEM text, which may hold its key as well. Raises ValueError when there is none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return text[text.index(begin) : text.index(end) + len(end)]
