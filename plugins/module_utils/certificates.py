"""Reading X.509 certificates on a node with the standard library alone."""

from __future__ import annotations

import os
import ssl
import time


def describe(path):
    """Return {sans: set of names and addresses, days_left: float} of the certificate at `path`, or None."""
    if not os.path.exists(path):
        return None
    try:
        # The only decoder in the standard library; the test of this module guards against its removal.
        fields = ssl._ssl._test_decode_cert(path)
    except (ssl.SSLError, ValueError):
        return None
    left = ssl.cert_time_to_seconds(fields["notAfter"]) - time.time()
    return {"sans": {value for _kind, value in fields.get("subjectAltName", ())}, "days_left": left / 86400}
