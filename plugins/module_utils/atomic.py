"""Writing on a node so that a reader, or a power cut, never meets half a file."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import tempfile


def ids(owner, group):
    """Return (uid, gid) for the names `owner` and `group`; raises KeyError when one does not exist."""
    return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid


def attributes_differ(path, mode, uid, gid):
    """True when `path` does not have exactly these permission bits (int) and owners."""
    status = os.lstat(path)
    return (status.st_mode & 0o7777, status.st_uid, status.st_gid) != (mode, uid, gid)


def set_attributes(path, mode, uid, gid):
    """Give `path` these permission bits (int) and owners."""
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def make_parents(path):
    """Create the missing parent directories of `path`, 0755."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)


def write(path, data, mode, uid, gid):
    """Replace `path` by `data` (bytes) in one step.

    A bind-mounted file (/etc/hosts in a container) cannot be renamed over: it alone is rewritten in place.
    """
    make_parents(path)
    handle, temporary = tempfile.mkstemp(prefix=".provision-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        set_attributes(temporary, mode, uid, gid)
        os.rename(temporary, path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        with open(path, "wb") as stream:
            stream.write(data)
        set_attributes(path, mode, uid, gid)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def read(path):
    """Return the bytes of `path`, or None when it is not there."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
