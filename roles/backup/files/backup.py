#!/usr/bin/python3
"""Make one sealed backup of the cluster on this control plane. Managed by provision.

A backup is a tar file: pieces of etcd's snapshot and the cluster's keys and settings, each compressed and encrypted for
the recipient's certificate (CMS, AES-256-GCM), then `manifest.json` with the SHA-256 of each. What is not encrypted is
in memory alone. Nothing on this machine can open a backup again: that takes the operator's key.

usage: provision-backup [SETTINGS]
Prints one JSON object: {"path", "manifest", "removed": [old backups]}.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time

FORMAT = "provision-backup/1"
SETTINGS = "/etc/kubernetes/provision/backup/settings.json"
S3 = "/usr/local/libexec/provision-s3"
PIECE = 64 * 1024 * 1024
MEMORY = "/run"
CA = "/etc/kubernetes/pki/ca.crt"
ETCD_TLS = {
    "cacert": "/etc/kubernetes/pki/etcd/ca.crt",
    "cert": "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "key": "/etc/kubernetes/pki/apiserver-etcd-client.key",
}
# What a cluster cannot be rebuilt without. Of etcd's authority only a control plane with a member has the key; another
# one is made in its place where it is missing.
SECRETS = (
    CA,
    "/etc/kubernetes/pki/ca.key",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.key",
    "/etc/kubernetes/pki/sa.key",
    "/etc/kubernetes/pki/sa.pub",
    "/etc/kubernetes/provision/apiserver/encryption.yaml",
)
OTHERS = (
    "/etc/etcd/pki/ca.crt",
    "/etc/etcd/pki/ca.key",
    "/etc/kubernetes/provision/kubeadm.yaml",
)
SUFFIX = ".backup"


class BackupError(Exception):
    """Why there is no backup, in words for the operator."""


def run(words, data=None):
    """A program's output as bytes; raises BackupError with its last words."""
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace").splitlines()
        raise BackupError(f"{' '.join(words[:3])}: {said[-1] if said else f'ended with {done.returncode}'}")
    return done.stdout


def seal(data, recipient):
    """`data` compressed and encrypted for the recipient's certificate."""
    words = ["openssl", "cms", "-encrypt", "-binary", "-stream", "-aes-256-gcm", "-outform", "DER", recipient]
    return run(words, gzip.compress(data, compresslevel=3))


def etcdctl(*words):
    """What etcdctl prints, asked as the API server."""
    return run(["etcdctl", *words, *(f"--{name}={value}" for name, value in ETCD_TLS.items())])


def answering(endpoints):
    """Return ([endpoint that answers], size of the largest database in bytes). Raises BackupError when none answers.

    A snapshot is asked of these alone: of a member that is down it would wait as long as a large snapshot may take.
    """
    alive, size, problems = [], 0, []
    for endpoint in endpoints:
        try:
            said = json.loads(etcdctl("endpoint", "status", f"--endpoints={endpoint}", "--write-out=json"))
            size = max(size, said[0]["Status"]["dbSize"])
            alive.append(endpoint)
        except (BackupError, ValueError, LookupError) as error:
            problems.append(f"{endpoint}: {error}")
    if not alive:
        raise BackupError("no member of etcd answers: " + "; ".join(problems))
    return alive, size


def snapshot(endpoints, path):
    """Save etcd's data into `path` from the first member that gives it, and return what etcdutl says of it."""
    problems = []
    for endpoint in endpoints:
        try:
            etcdctl("snapshot", "save", path, f"--endpoints={endpoint}", "--command-timeout=10m")
        except BackupError as error:
            problems.append(f"{endpoint}: {error}")
            continue
        return json.loads(run(["etcdutl", "snapshot", "status", path, "--write-out=json"]))
    raise BackupError("no member of etcd gave a snapshot: " + "; ".join(problems))


@contextlib.contextmanager
def workplace(needed, fallback):
    """A private directory in memory with room for `needed` bytes; at `fallback`, on disk, where memory is too small."""
    path = tempfile.mkdtemp(prefix="provision-backup-", dir=MEMORY if room(MEMORY) > needed else fallback)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def room(path):
    """Free bytes."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def head(settings, moment, found, path):
    """What the backup says of itself; it is in the manifest and, encrypted, in the backup."""
    with open(CA, encoding="ascii") as stream:
        authority = hashlib.sha256(ssl.PEM_cert_to_DER_cert(stream.read())).hexdigest()
    return {
        "format": FORMAT,
        "cluster": settings["cluster"],
        "authority": authority,
        "kubernetes": settings["version"],
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
        "node": settings["node"],
        "revision": found["revision"],
        "keys": found["totalKey"],
        "snapshot": {"size": os.path.getsize(path), "sha256": digest(path)},
    }


def digest(path):
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for data in iter(lambda: stream.read(1 << 20), b""):
            found.update(data)
    return found.hexdigest()


def secrets(settings, about):
    """The keys and settings of the cluster as the bytes of a tar file. Raises BackupError when one is missing."""
    missing = [path for path in SECRETS if not os.path.exists(path)]
    if missing:
        raise BackupError(f"this control plane lacks {', '.join(missing)}")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in (*SECRETS, *filter(os.path.exists, OTHERS)):
            with open(path, "rb") as stream:
                add(archive, path.lstrip("/"), stream.read())
        for name, document in (("settings.json", settings["settings"]), ("backup.json", about)):
            add(archive, name, json.dumps(document, indent=1, sort_keys=True).encode())
    return buffer.getvalue()


def add(archive, name, data):
    """One member of a tar file, root's alone."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
    archive.addfile(member, io.BytesIO(data))


def pieces(path):
    """Yield (name, bytes) of the snapshot's pieces."""
    with open(path, "rb") as stream:
        for number, data in enumerate(iter(lambda: stream.read(PIECE), b"")):
            yield f"etcd.{number:04}", data


def write(target, settings, about, snapshot_path):
    """Write the backup, and give it its name when it is whole. Returns its manifest."""
    part, manifest = f"{target}.part", {**about, "parts": []}
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, data in (("cluster", secrets(settings, about)), *pieces(snapshot_path)):
                sealed = seal(data, settings["recipient"])
                add(archive, name, sealed)
                entry = {"name": name, "size": len(sealed), "sha256": hashlib.sha256(sealed).hexdigest()}
                manifest["parts"].append(entry)
            add(archive, "manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode())
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(part, target)
    return manifest


def prune(directory, prefix, keep):
    """Remove all but the newest `keep` backups of this node, and what was broken off; returns the names."""
    names = sorted(name for name in os.listdir(directory) if name.startswith(prefix))
    whole = [name for name in names if name.endswith(SUFFIX)]
    old = whole[: max(0, len(whole) - keep)] + [name for name in names if name.endswith(".part")]
    for name in old:
        os.unlink(os.path.join(directory, name))
    return old


def copy(path, directory):
    """Put a copy into the further directory, which must be there: an unmounted one is not filled by mistake."""
    if not os.path.isdir(directory):
        raise BackupError(f"{path} is made, but {directory} is not there for its copy: is it mounted?")
    target = os.path.join(directory, os.path.basename(path))
    try:
        shutil.copyfile(path, f"{target}.part")
        os.rename(f"{target}.part", target)
    except OSError as error:
        raise BackupError(f"{path} is made, but not its copy: {error}") from error


def upload(path, told):
    """Put the backup into object storage, as the file `told` says: it is secret, and goes through a pipe."""
    with open(told, "rb") as stream:
        data = stream.read()
    try:
        run([S3, "put", path], data)
    except BackupError as error:
        raise BackupError(f"the backup is made, but not uploaded: {error}") from error


def spread(path, settings, prefix):
    """Bring the backup to the further places. Raises BackupError when one did not take it; the others have it then."""
    problems = []
    try:
        if settings["copies"]:
            copy(path, settings["copies"])
            prune(settings["copies"], prefix, settings["keep"])
    except BackupError as error:
        problems.append(str(error))
    try:
        if settings["s3"]:
            upload(path, settings["s3"])
    except BackupError as error:
        problems.append(str(error))
    if problems:
        raise BackupError("; ".join(problems))


def make(settings):
    """Make one backup and remove the oldest; returns what main prints."""
    directory, moment = settings["directory"], time.gmtime()
    prefix = f"{settings['cluster']}-{settings['node']}-"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    target = os.path.join(directory, f"{prefix}{time.strftime('%Y%m%dT%H%M%SZ', moment)}{SUFFIX}")
    alive, size = answering(settings["endpoints"])
    with workplace(2 * size, directory) as place:
        path = os.path.join(place, "snapshot.db")
        about = head(settings, moment, snapshot(alive, path), path)
        manifest = write(target, settings, about, path)
    removed = prune(directory, prefix, settings["keep"])
    spread(target, settings, prefix)
    return {"path": target, "manifest": manifest, "removed": removed}


def main():
    """Make a backup as the settings file says."""
    with open(sys.argv[1] if len(sys.argv) > 1 else SETTINGS, encoding="utf-8") as stream:
        settings = json.load(stream)
    try:
        print(json.dumps(make(settings)))
    except BackupError as error:
        sys.exit(f"provision-backup: {error}")


if __name__ == "__main__":
    main()
