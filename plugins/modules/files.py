#!/usr/bin/python
"""Write a set of managed files in one call; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Write a set of managed files, directories and links in one call
description:
  - Brings every item to its state and reports which destinations changed. Nothing is written when one item fails its
    check.
  - Digests of the files that are managed whole are kept in C(/var/lib/provision/files.json) for M(host_status).
  - The action plugin of the same name renders O(items[].template) on the controller.
options:
  items:
    description:
      - What shall exist. Each item has C(dest) and one of C(template), C(content), C(content_b64), C(block), C(state).
      - Of a directory with C(purge), what was written below it before and is no longer an item is removed.
    type: list
    elements: dict
    required: true
  mode:
    description: Permission bits of files that name none.
    type: str
    default: "0644"
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Write the configuration of the balancer
  files:
    items:
      - {dest: /etc/haproxy/haproxy.cfg, template: haproxy.cfg.j2, validate: haproxy -c -f %s}
      - {dest: /etc/hosts, block: "10.0.0.10 api.cluster.local", marker: api}
      - {dest: /etc/etcd, state: directory, mode: "0700"}
"""

RETURN = r"""
paths:
  description: The destinations that changed, or would change.
  type: list
  elements: str
  returned: always
"""

import base64
import os
import shlex
import shutil
import tempfile

from ansible.module_utils.atomic import (  # type: ignore[import-not-found]
    attributes_differ,
    ids,
    make_parents,
    read,
    set_attributes,
    write,
)
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.managed import load, note  # type: ignore[import-not-found]  # there on nodes

STATES = ("file", "directory", "link", "absent")
KEYS = {
    "dest",
    "state",
    "template",
    "content",
    "content_b64",
    "block",
    "marker",
    "src",
    "mode",
    "owner",
    "group",
    "validate",
    "secret",
    "purge",
}


class Item:
    """One destination with its wanted state, and the difference from what is there."""

    def __init__(self, raw, default_mode):
        unknown = set(raw) - KEYS
        if unknown or not os.path.isabs(raw.get("dest", "")):
            raise ValueError(f"item {raw.get('dest')!r}: needs an absolute dest and knows no {sorted(unknown)}")
        self.dest = raw["dest"].rstrip("/")
        self.state = raw.get("state", "file")
        if self.state not in STATES:
            raise ValueError(f"{self.dest}: state is one of {', '.join(STATES)}, not {self.state}")
        fallback = "0755" if self.state == "directory" else default_mode
        self.secret = bool(raw.get("secret"))
        self.mode = int(str(raw.get("mode", "0600" if self.secret else fallback)), 8)
        self.uid, self.gid = ids(raw.get("owner", "root"), raw.get("group", "root"))
        self.source = raw.get("src")
        self.validate = raw.get("validate")
        self.purge = bool(raw.get("purge"))
        self.raw = raw

    def wanted(self, current):
        """The bytes the file shall have, given those it has now (None when it is not there)."""
        if "content_b64" in self.raw:
            return base64.b64decode(self.raw["content_b64"])
        if "block" in self.raw:
            return with_block((current or b"").decode(), self.raw["block"], self.raw.get("marker", "settings")).encode()
        return self.raw["content"].encode()

    def plan(self):
        """Return what is to be done, as (verb, before, after), or None when nothing is."""
        return getattr(self, f"plan_{self.state}")()

    def plan_absent(self):
        """A mount point counts as gone when it is empty: it cannot be removed itself."""
        there = os.path.lexists(self.dest) and not (os.path.ismount(self.dest) and not os.listdir(self.dest))
        return ("remove", "present", "absent") if there else None

    def plan_directory(self):
        """A directory is compared by its attributes, not by what is in it."""
        if os.path.isdir(self.dest) and not attributes_differ(self.dest, self.mode, self.uid, self.gid):
            return None
        return ("directory", "", f"directory {self.mode:04o}\n")

    def plan_link(self):
        """A link is compared by where it points."""
        same = os.path.islink(self.dest) and os.readlink(self.dest) == self.source
        return None if same else ("link", "", f"link to {self.source}\n")

    def plan_file(self):
        """A file is compared byte by byte, then by its attributes; no block in no file needs no file."""
        current = read(self.dest)
        data = self.wanted(current)
        if current is None and "block" in self.raw and not data:
            return None
        if current != data:
            return ("write", current, data)
        if attributes_differ(self.dest, self.mode, self.uid, self.gid):
            return ("attributes", "", f"mode {self.mode:04o}\n")
        return None

    def apply(self, action):
        """Carry out what `plan` returned."""
        verb, _before, after = action
        if verb == "remove":
            if os.path.ismount(self.dest):  # a disk of its own stays, empty, and is nobody's but root's
                for name in os.listdir(self.dest):
                    delete(os.path.join(self.dest, name))
                set_attributes(self.dest, 0o755, os.getuid(), os.getgid())
            else:
                delete(self.dest)
        elif verb == "directory":
            os.makedirs(self.dest, exist_ok=True)
            set_attributes(self.dest, self.mode, self.uid, self.gid)
        elif verb == "link":
            make_parents(self.dest)
            if os.path.lexists(self.dest):
                os.unlink(self.dest)
            os.symlink(self.source, self.dest)
        elif verb == "write":
            write(self.dest, after, self.mode, self.uid, self.gid)
        else:
            set_attributes(self.dest, self.mode, self.uid, self.gid)


def outdated(items):
    """What was written below a directory with C(purge) and is not asked for any more, as items."""
    wanted = {item.dest for item in items}
    below = tuple(f"{item.dest}/" for item in items if item.purge)
    paths = [path for path in sorted(load()) if path.startswith(below) and path not in wanted]
    return [Item({"dest": path, "state": "absent"}, "0644") for path in paths]


def delete(path):
    """Remove a file, a link or a whole directory."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def with_block(text, block, marker):
    """Return `text` with the marked block set to `block`; an empty block removes it."""
    begin, end = f"# BEGIN provision {marker}\n", f"# END provision {marker}\n"
    wanted = f"{begin}{block.strip()}\n{end}" if block.strip() else ""
    if begin in text and end in text:
        head, rest = text.split(begin, 1)
        return head + wanted + rest.split(end, 1)[1]
    return (text if not text or text.endswith("\n") else text + "\n") + wanted


def check(module, item, data):
    """Fail unless the item's own checker accepts `data`.

    In check mode a checker that is not installed yet is left out.
    """
    words = shlex.split(item.validate)
    if module.check_mode and not shutil.which(words[0]):
        return
    with tempfile.NamedTemporaryFile(prefix="provision-", suffix=os.path.basename(item.dest)) as stream:
        stream.write(data)
        stream.flush()
        code, out, err = module.run_command(
            [stream.name if word == "%s" else word.replace("%s", stream.name) for word in words]
        )
    if code != 0:
        module.fail_json(msg=f"{item.dest}: refused by `{words[0]}`: {(err or out).strip()[-800:]}")


def shown(item, value):
    """The text of `value` for a diff; secrets and binaries show their size alone."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if item.secret:
        return f"({len(value)} bytes, hidden)\n"
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"({len(value)} bytes)\n"


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "items": {"type": "list", "elements": "dict", "required": True},
            "mode": {"type": "str", "default": "0644"},
        },
        supports_check_mode=True,
    )
    try:
        # An item's owner may be made by an earlier task that check mode left out.
        items = [Item(raw, module.params["mode"]) for raw in module.params["items"]]
    except (ValueError, KeyError) as error:
        if module.check_mode and isinstance(error, KeyError):
            module.exit_json(changed=True, paths=[raw["dest"] for raw in module.params["items"]])
        module.fail_json(msg=str(error))
    items += outdated(items)
    todo = [(item, action) for item in items for action in [item.plan()] if action]
    for item, action in todo:
        if action[0] == "write" and item.validate:
            check(module, item, action[2])
    if not module.check_mode:
        for item, action in todo:
            item.apply(action)
        whole = [item for item in items if item.state == "file" and "block" not in item.raw and not item.secret]
        note(
            {item.dest: item.wanted(None) for item in whole},
            {item.dest for item in items if item.state == "absent"},
        )
    module.exit_json(
        changed=bool(todo),
        paths=[item.dest for item, _ in todo],
        diff=[
            {"before_header": i.dest, "after_header": i.dest, "before": shown(i, before), "after": shown(i, after)}
            for i, (_, before, after) in todo
        ],
    )


if __name__ == "__main__":
    main()
