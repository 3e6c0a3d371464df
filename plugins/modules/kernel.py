#!/usr/bin/python
"""Load kernel modules, set sysctls and turn swap off, now; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel
short_description: Load kernel modules, set sysctls and turn swap off on the running system
description:
  - What shall hold after a reboot is written by M(files) to /etc/modules-load.d and /etc/sysctl.d.
options:
  modules: {description: Modules that must be loaded or built in., type: list, elements: str, default: []}
  optional_modules: {description: Modules to load where the kernel has them., type: list, elements: str, default: []}
  sysctl: {description: Values by name., type: dict, default: {}}
  swap: {description: Set to C(off) to turn all swap off., type: str, choices: ["off", "keep"], default: keep}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Prepare the running kernel
  kernel:
    modules: [overlay, br_netfilter]
    sysctl: {net.ipv4.ip_forward: 1}
"""

RETURN = r"""
changes:
  description: One line for each change.
  type: list
  elements: str
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule

ROOT = ""  # what /proc, /sys and /lib are below


def read(path):
    """The text of a /proc or /sys file, or None."""
    try:
        with open(ROOT + path, encoding="ascii") as stream:
            return stream.read()
    except OSError:
        return None


def built_in():
    """Names of the modules that the running kernel has compiled in."""
    listing = read(f"/lib/modules/{os.uname().release}/modules.builtin") or ""
    return {os.path.basename(line).split(".")[0].replace("-", "_") for line in listing.splitlines()}


def provided(name, known):
    """True when the feature is there: loaded, built in, or told by the kernel's own interface."""
    plain = name.replace("-", "_")
    signs = {
        "overlay": lambda: "\toverlay\n" in (read("/proc/filesystems") or ""),
        "br_netfilter": lambda: os.path.exists(ROOT + "/proc/sys/net/bridge/bridge-nf-call-iptables"),
        "nf_conntrack": lambda: os.path.exists(ROOT + "/proc/sys/net/netfilter/nf_conntrack_max"),
    }
    return os.path.isdir(f"{ROOT}/sys/module/{plain}") or plain in known or signs.get(plain, lambda: False)()


def load(module, names, required):
    """Load the modules that are missing; return a line for each."""
    known, changes = built_in(), []
    for name in names:
        if provided(name, known):
            continue
        if module.check_mode:
            if required:
                changes.append(f"load {name}")
            continue
        code, _, err = module.run_command(["modprobe", name])
        if code == 0:
            changes.append(f"load {name}")
        elif required:
            module.fail_json(
                msg=f"kernel module {name} cannot be loaded: {err.strip()}; install the kernel's modules package"
            )
    return changes


def set_values(module, values):
    """Set the sysctls that differ; return a line for each."""
    changes = []
    for name, value in values.items():
        # As sysctl reads it: with slashes between the words, a dot belongs to a name (an interface eth0.100).
        path = "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))
        current = read(path)
        if current is not None and current.split() == str(value).split():
            continue
        if not module.check_mode:
            if current is None:
                module.fail_json(msg=f"sysctl {name}: this kernel does not have it")
            try:
                with open(ROOT + path, "w", encoding="ascii") as stream:
                    stream.write(str(value))
            except OSError as error:
                module.fail_json(msg=f"sysctl {name}={value}: {error.strerror}")
        changes.append(f"{name}: {(current or 'unset').strip()} -> {value}")
    return changes


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "modules": {"type": "list", "elements": "str", "default": []},
            "optional_modules": {"type": "list", "elements": "str", "default": []},
            "sysctl": {"type": "dict", "default": {}},
            "swap": {"type": "str", "choices": ["off", "keep"], "default": "keep"},
        },
        supports_check_mode=True,
    )
    changes = load(module, module.params["modules"], required=True)
    changes += load(module, module.params["optional_modules"], required=False)
    changes += set_values(module, module.params["sysctl"])
    if module.params["swap"] == "off" and len((read("/proc/swaps") or "").splitlines()) > 1:
        changes.append("swap off")
        if not module.check_mode:
            module.run_command(["swapoff", "-a"], check_rc=True)
    module.exit_json(
        changed=bool(changes), changes=changes, diff=[{"before": "", "after": "\n".join(changes)}] if changes else []
    )


if __name__ == "__main__":
    main()
