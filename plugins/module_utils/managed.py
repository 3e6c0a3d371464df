"""What `files` wrote on a node, by path and digest, so that the status can tell what somebody changed by hand since."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os

from ansible.module_utils.atomic import read, write  # type: ignore[import-not-found]

RECORD = "/var/lib/provision/files.json"


def load():
    """Return {path: SHA-256} of the files that are managed whole; secrets and files of others with a block are not."""
    try:
        return dict(json.loads(read(RECORD) or b"{}"))
    except ValueError:  # damaged by hand: it is written anew
        return {}


def digest(data):
    """The SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def note(written, removed):
    """Note the files that were written ({path: bytes}); forget those removed, and those in a directory that was."""
    before = load()
    gone = tuple(f"{path}/" for path in removed)
    kept = {path: value for path, value in before.items() if path not in removed and not path.startswith(gone)}
    after = {**kept, **{path: digest(data) for path, data in written.items()}}
    if after == before:
        return
    if after:
        write(RECORD, (json.dumps(after, indent=1, sort_keys=True) + "\n").encode(), 0o600, 0, 0)
    else:
        os.unlink(RECORD)
        with contextlib.suppress(OSError):  # others keep something there
            os.rmdir(os.path.dirname(RECORD))


def changes():
    """A line for each managed file that is no more as it was written."""
    found = []
    for path, value in sorted(load().items()):
        data = read(path)
        if data is None:
            found.append(f"{path} is gone")
        elif digest(data) != value:
            found.append(f"{path} was changed by hand")
    return found
