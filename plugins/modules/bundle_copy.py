#!/usr/bin/python
"""Keep a copy of a bundle on a host; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_copy
short_description: Keep a copy of a bundle on a host
description:
  - The action plugin of the same name reads the bundle's manifest on the controller, asks which files are missing or
    damaged, and sends those alone, in one archive. Every file is verified on both occasions. Nothing is deleted.
options:
  bundle: {description: The bundle's directory on the controller., type: path, required: true}
  directory: {description: Where the copy is., type: path, required: true}
  files: {description: Set by the action plugin. SHA-256 and size by path., type: dict, default: {}}
  archive: {description: Set by the action plugin. What to unpack., type: path}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Copy the bundle
  bundle_copy:
    bundle: "{{ __mirror_bundle }}"
    directory: "{{ mirror_directory }}"
"""

RETURN = r"""
paths:
  description: The files of the bundle that were, or would be, copied.
  type: list
  elements: str
  returned: always
"""

import concurrent.futures
import hashlib
import os
import tarfile

from ansible.module_utils.atomic import make_parents, set_attributes  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule

CHUNK = 1 << 20


def digest(path):
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def missing(directory, files):
    """The paths of `files` whose copy is not there or not the same."""

    def same(path):
        copy = os.path.join(directory, path)
        if not os.path.isfile(copy) or os.path.getsize(copy) != files[path]["size"]:
            return False
        return digest(copy) == files[path]["sha256"]

    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        found = dict(pool.map(lambda path: (path, same(path)), files))
    return [path for path in files if not found[path]]


def unpack(archive, directory, files):
    """Place the archive's files, each verified and in one step; return their paths. ValueError: one is wrong."""
    placed = []
    for member in archive:
        if member.name not in files:
            raise ValueError(f"{member.name} is not a file of the bundle")
        target = os.path.join(directory, member.name)
        make_parents(target)
        temporary = f"{target}.provision-new"
        with open(temporary, "wb") as stream:
            source = archive.extractfile(member)
            while chunk := source.read(CHUNK):
                stream.write(chunk)
        if digest(temporary) != files[member.name]["sha256"]:
            os.unlink(temporary)
            raise ValueError(f"{member.name}: its SHA-256 is not the manifest's; check with `provision bundle verify`")
        set_attributes(temporary, 0o644, 0, 0)
        os.rename(temporary, target)
        placed.append(member.name)
    return placed


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bundle": {"type": "path", "required": True},
            "directory": {"type": "path", "required": True},
            "files": {"type": "dict", "default": {}},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    directory, files, archive = (module.params[name] for name in ("directory", "files", "archive"))
    if archive:
        try:
            with tarfile.open(archive) as stream:
                paths = unpack(stream, directory, files)
        except (ValueError, OSError, tarfile.TarError) as error:
            module.fail_json(msg=str(error))
    else:
        paths = missing(directory, files)
    diff = [{"before_header": directory, "after_header": directory, "before": "", "after": "\n".join(paths) + "\n"}]
    module.exit_json(changed=bool(paths), paths=paths, diff=diff if paths else [])


if __name__ == "__main__":
    main()
