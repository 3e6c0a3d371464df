#!/usr/bin/python
"""Install files from verified downloads; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact
short_description: Install files from downloads whose SHA-256 is known
description:
  - Downloads run in parallel and go on where an earlier attempt stopped. Nothing is placed before its whole download is
    verified.
  - What was installed is remembered in C(/var/lib/provision/artifacts), so a second run looks at sizes and times alone.
options:
  items:
    description:
      - Each item has C(name), C(version), C(url), C(sha256) and C(install), a list of C(dest) with C(mode) (the
        download itself), of C(member) and C(dest) (one file of an archive), or of C(dest) with a final slash and
        C(strip) (the whole archive).
    type: list
    elements: dict
    required: true
  state:
    description: Whether they shall be there. C(downloaded) brings and verifies them, and installs nothing.
    type: str
    choices: [present, downloaded, absent]
    default: present
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Install the kubelet
  artifact:
    items:
      - name: kubelet
        version: 1.36.4
        url: https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubelet
        sha256: "{{ kubelet_sha256 }}"
        install: [{dest: /usr/local/bin/kubelet, mode: "0755"}]
"""

RETURN = r"""
installed:
  description: The files that changed, or would change.
  type: list
  elements: str
  returned: always
"""

import concurrent.futures
import hashlib
import json
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request

from ansible.module_utils.atomic import make_parents, read, write  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule

HOME = "/var/lib/provision/artifacts"
ATTEMPTS = 3
CHUNK = 1 << 20


class Refused(Exception):
    """An item that cannot be installed, with the reason."""


def record_path(item):
    return os.path.join(HOME, item["name"] + ".json")


def recorded(item):
    """What an earlier run installed for the item: {"sha256", "files": {path: [size, mtime_ns]}}, or None."""
    data = read(record_path(item))
    return json.loads(data) if data else None


def signature(path):
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def in_place(item):
    """True when exactly this download is installed and nobody touched its files."""
    record = recorded(item)
    if not record or record["sha256"] != item["sha256"] or record["install"] != item["install"]:
        return False
    return all(os.path.exists(path) and signature(path) == seen for path, seen in record["files"].items())


def part_path(item):
    """Where the item's download is kept until it is installed."""
    return os.path.join(HOME, f".{item['name']}-{item['sha256'][:16]}.part")


def downloaded(item):
    """Whether the whole verified download is waiting to be installed."""
    try:
        with open(part_path(item), "rb") as stream:
            digest = hashlib.sha256()
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == item["sha256"]


def download(item):
    """Fetch the item's file, going on from a part that is there, and return its path once its digest is right."""
    part, problem = part_path(item), None
    if downloaded(item):
        return part
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        try:
            found = fetch(item["url"], part)
        except (OSError, urllib.error.URLError) as error:
            problem = str(error)
            continue
        if found == item["sha256"]:
            return part
        os.unlink(part)
        problem = f"SHA-256 is {found}, not {item['sha256']}"
    raise Refused(f"{item['name']}: {item['url']}: {problem}; nothing of it was installed")


def fetch(url, part):
    """Bring `url` into the file `part`, going on after what is there; return the SHA-256 of the whole."""
    digest, start = hashlib.sha256(), 0
    if os.path.exists(part):
        with open(part, "rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                start += len(chunk)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # all of it is here already
            return digest.hexdigest()
        raise
    with response:
        resumed = response.status == 206
        if not resumed:
            digest = hashlib.sha256()
        with open(part, "ab" if resumed else "wb") as stream:
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                digest.update(chunk)
    return digest.hexdigest()


def place(source, dest, mode):
    """Copy the open stream `source` to `dest` with permission bits `mode` (int), replacing it in one step."""
    make_parents(dest)
    temporary = f"{dest}.provision-new"
    with open(temporary, "wb") as stream:
        shutil.copyfileobj(source, stream, CHUNK)
    os.chmod(temporary, mode)
    os.rename(temporary, dest)
    return dest


def unpack(archive, entry):
    """Install what `entry` names from the open archive; return the files."""
    if not entry["dest"].endswith("/"):
        source = archive.extractfile(entry["member"])
        return [place(source, entry["dest"], int(str(entry.get("mode", "0755")), 8))]
    files = []
    for member in archive.getmembers():
        path = "/".join(part for part in member.name.split("/") if part != ".")
        relative = path.split("/", entry.get("strip", 0))[-1]
        if not member.isfile() or not relative or ".." in relative.split("/"):
            continue
        files.append(place(archive.extractfile(member), entry["dest"] + relative, member.mode & 0o755))
    return files


def install(item):
    """Download and place one item; return the files that it brought."""
    part = download(item)
    files = []
    for entry in item["install"]:
        if entry.get("member") or entry["dest"].endswith("/"):
            with tarfile.open(part) as archive:
                try:
                    files += unpack(archive, entry)
                except KeyError as error:
                    raise Refused(f"{item['name']}: {entry['member']} is not in the archive") from error
        else:
            with open(part, "rb") as source:
                files.append(place(source, entry["dest"], int(str(entry.get("mode", "0755")), 8)))
    os.unlink(part)
    record = {
        "name": item["name"],
        "version": item.get("version"),
        "sha256": item["sha256"],
        "install": item["install"],
        "files": {path: signature(path) for path in files},
    }
    write(record_path(item), json.dumps(record, indent=1).encode(), 0o644, 0, 0)
    return files


def remove(items, check_mode):
    """Delete what was recorded for the items; return the files."""
    gone = []
    for item in items:
        record = recorded(item)
        if record is None:
            continue
        gone += [path for path in record["files"] if os.path.exists(path)]
        if not check_mode:
            for path in record["files"]:
                if os.path.exists(path):
                    os.unlink(path)
            os.unlink(record_path(item))
    return gone


def keep_download(item):
    """Download one item and leave it at that; returns no files."""
    download(item)
    return []


def bring(module, todo):
    """Install or download the items in parallel; fail with the reason of each that could not be."""
    work = keep_download if module.params["state"] == "downloaded" else install
    os.makedirs(HOME, mode=0o755, exist_ok=True)
    installed, problems = [], []
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for future in concurrent.futures.as_completed([pool.submit(work, item) for item in todo]):
            try:
                installed += future.result()
            except Refused as error:
                problems.append(str(error))
    if problems:
        module.fail_json(msg="; ".join(sorted(problems)), installed=sorted(installed))
    return sorted(installed)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "items": {"type": "list", "elements": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "downloaded", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    items, only_download = module.params["items"], module.params["state"] == "downloaded"
    if module.params["state"] == "absent":
        gone = remove(items, module.check_mode)
        module.exit_json(changed=bool(gone), installed=[], removed=gone)
    unverified = [item["name"] for item in items if not item.get("sha256")]
    if unverified:
        module.fail_json(msg=f"no SHA-256 is known for {', '.join(unverified)}; nothing is installed without one")
    before = {item["name"]: (recorded(item) or {}).get("version") for item in items}
    todo = [item for item in items if not in_place(item) and not (only_download and downloaded(item))]
    wanted = [entry["dest"] for item in todo for entry in item["install"] if not only_download]
    installed = wanted if module.check_mode or not todo else bring(module, todo)
    diff = [
        {
            "before_header": i["name"],
            "after_header": i["name"],
            "before": f"{before[i['name']] or 'absent'}\n",
            "after": f"{i['version']}\n",
        }
        for i in todo
    ]
    module.exit_json(changed=bool(todo), installed=installed, diff=diff)


if __name__ == "__main__":
    main()
