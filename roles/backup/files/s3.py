#!/usr/bin/python3
"""Put a backup into object storage that speaks S3, or get one from there. Managed by provision.

Requests are signed here (AWS Signature Version 4): of curl, old releases that are still in use sign S3's wrongly.

usage: provision-s3 put FILE
       provision-s3 get NAME FILE
Reads {"url", "region", "key", "secret"} as JSON from standard input: what is secret is on no command line.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import time
from urllib.parse import urlsplit

LARGEST = 5 * 1024**3
PIECE = 1 << 20
TIMEOUT = 60
# Seconds before each further try.
PAUSES = (1, 5, 25)
EMPTY = hashlib.sha256(b"").hexdigest()


class S3Error(Exception):
    """Why a backup was not put or got, in words for the operator."""


class Transient(Exception):
    """What may be over at the next try."""


def signed(settings, method, url, payload, moment):
    """The headers of a signed request: `url` is split, `payload` the SHA-256 of the body, `moment` in UTC.

    Path and query are taken as they are: they hold nothing that has to be encoded, and a query is sorted.
    """
    date = time.strftime("%Y%m%dT%H%M%SZ", moment)
    headers = {"host": url.netloc, "x-amz-content-sha256": payload, "x-amz-date": date}
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    canonical = "\n".join([method, url.path, url.query, *lines, "", names, payload])
    scope = f"{date[:8]}/{settings['region']}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{settings['secret']}".encode()
    for word in [*scope.split("/"), text]:
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    credential = f"Credential={settings['key']}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}


@contextlib.contextmanager
def answered(settings, method, name, payload=EMPTY, body=None, headers=None):
    """The answer to one request, when it is a good one. Raises S3Error, or Transient when the server is at fault."""
    url = urlsplit(f"{settings['url']}/{name}")
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname, url.port, timeout=TIMEOUT, blocksize=PIECE)
    try:
        connection.connect()
        # A server that refuses an upload need not read it, and its answer says why.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            own = signed(settings, method, url, payload, time.gmtime())
            connection.request(method, url.path, body, {**own, **(headers or {})})
        answer = connection.getresponse()
        if answer.status // 100 != 2:
            raise (Transient if answer.status >= 500 else S3Error)(said(answer))
        yield answer
    finally:
        connection.close()


def said(answer):
    """Status, S3's code and its message, on one line."""
    text = answer.read(1 << 16).decode(errors="replace")
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    words = f"{answer.status} {code[1] if code else answer.reason}" + (f": {message[1]}" if message else "")
    return " ".join(words.split())[:300]


def patiently(what, attempt):
    """Try until it succeeds, a few times at most. Raises S3Error."""
    for pause in (*PAUSES, None):
        try:
            attempt()
        except S3Error as error:
            raise S3Error(f"{what}: {error}") from error
        except (Transient, OSError, http.client.HTTPException) as error:
            if pause is None:
                why = str(error) or type(error).__name__
                raise S3Error(f"{what}: {why} (tried {len(PAUSES) + 1} times)") from error
            time.sleep(pause)
        else:
            return


def put(settings, path):
    """Upload the file under its own name, in one request; the server compares its digests."""
    name, size = os.path.basename(path), os.path.getsize(path)
    if size > LARGEST:
        raise S3Error(f"{path} has {size} bytes, one upload takes at most {LARGEST}: use backup_directory")
    with open(path, "rb") as stream:
        # Buckets whose objects are locked against deletion ask for the MD5 too.
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for data in iter(lambda: stream.read(PIECE), b""):
            sha256.update(data)
            md5.update(data)
        headers = {"Content-Length": str(size), "Content-MD5": base64.b64encode(md5.digest()).decode()}

        def attempt():
            stream.seek(0)
            with answered(settings, "PUT", name, sha256.hexdigest(), stream, headers):
                pass

        patiently(f"PUT {settings['url']}/{name}", attempt)


def get(settings, name, path):
    """Download an object into the file, whole or not at all."""

    def attempt():
        with answered(settings, "GET", name) as answer, open(path, "wb") as stream:
            shutil.copyfileobj(answer, stream, PIECE)
            if answer.length:
                raise Transient(f"the connection ended {answer.length} bytes early")

    patiently(f"GET {settings['url']}/{name}", attempt)


def main():
    """Do what the command line says."""
    verb, *names = sys.argv[1:]
    try:
        {"put": put, "get": get}[verb](json.load(sys.stdin), *names)
    except S3Error as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
