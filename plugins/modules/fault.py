#!/usr/bin/python
"""Injure a node for a while; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fault
short_description: Injure a node for a while, and heal it
description:
  - For failure training. Before anything is injured, a timer on the node is set that heals it after O(seconds), so that
    nothing stays broken when the one who asked for it is gone. O(state=absent) heals at once. O(state=disarmed) takes
    the timer away for good, because something else makes good what was injured; O(state=absent) then removes what the
    fault has kept, and no more.
  - C(process) kills all processes of O(unit); systemd may start it again. C(service) kills them and keeps the unit
    down. C(handover) stops O(unit) in order. C(data) is C(service), and O(path) is set aside. C(network) drops all
    packets but those of ssh. C(disk) takes all free space where O(path) is. C(clock) sets the clock O(jump) seconds
    ahead. C(power) cuts the power, as far as software can; the machine starts again by itself.
  - One fault at a time. What it needs is kept in /run, which a restart empties.
options:
  state:
    description: Whether the fault shall be there, and end by itself.
    type: str
    choices: [present, disarmed, absent]
    default: present
  kind:
    description: The fault; required with C(present).
    type: str
    choices: [process, service, handover, data, network, disk, clock, power]
  unit: {description: "The systemd unit, for C(process), C(service), C(handover) and C(data).", type: str, default: ""}
  path: {description: "A directory, for C(disk) and C(data).", type: path, default: /var/lib/etcd}
  jump: {description: "Seconds, for C(clock).", type: int, default: 600}
  port: {description: "The port of ssh, for C(network).", type: int, default: 22}
  vip:
    description: An address that may move to another host, for C(network). The host that is cut off claims it no more.
    type: str
    default: ""
  seconds: {description: After this long it heals by itself., type: int, default: 120}
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Kill HAProxy
  fault:
    kind: process
    unit: haproxy.service

- name: Heal
  fault:
    state: absent
"""

RETURN = r"""
fault:
  description: What was done, in words.
  type: str
  returned: always
"""

import ipaddress
import os
import re
import shlex
import shutil

from ansible.module_utils.basic import AnsibleModule

HOME = "/run/provision-fault"
UNIT = "provision-fault"
DISK_UNIT = "provision-fault-disk"
TABLE = "provision_fault"
ASIDE = ".drill"
# A copy, since the directory may be a disk of its own; and whole before anything is taken away.
SET_ASIDE = 'cp -a "$1" "$2.part" && mv "$2.part" "$2" && find "$1" -mindepth 1 -delete'
UNIT_NAME = re.compile(r"[A-Za-z0-9@_.-]+\.service")
NEEDS = {"network": "nft", "disk": "fallocate"}

# Whoever takes the script away first heals; the timer and the operator may come at the same moment.
HEAL = """\
#!/bin/sh
mv {home}/heal {home}/healing 2>/dev/null || exit 0
{{
{commands}
}} && rm -f {home}/healing
"""

RULES = """\
table inet {table} {{
  chain inward {{ type filter hook input priority -400; policy drop; iif lo accept; tcp dport {port} accept; }}
  chain outward {{ type filter hook output priority -400; policy drop; oif lo accept; tcp sport {port} accept; }}
  chain through {{ type filter hook forward priority -400; policy drop; }}
}}
"""
# ARP is none of inet's packets: a host that hears nobody takes the VIP, and would draw everybody's packets to itself.
RULES_VIP = """\
table arp {table} {{
  chain outward {{ type filter hook output priority -400; arp saddr ip {vip} drop; }}
}}
"""


def healing(params):
    """The shell commands that end the fault."""
    unit, path, aside = (shlex.quote(text) for text in (params["unit"], params["path"], params["path"] + ASIDE))
    return {
        # A unit that was killed too often is refused until its failures are forgotten.
        "process": f"systemctl reset-failed {unit} 2>/dev/null\nsystemctl start {unit}",
        "service": f"systemctl reset-failed {unit} 2>/dev/null\nsystemctl start {unit}",
        "handover": f"systemctl start {unit}",
        # What is not aside was never taken away.
        "data": f"systemctl stop {unit}\nrm -rf {aside}.part\nif [ -e {aside} ]; then"
        f" find {path} -mindepth 1 -delete && cp -a {aside}/. {path} && rm -rf {aside}; fi && systemctl start {unit}",
        "network": "\n".join(f"nft delete table {family} {TABLE}" for family, _ in tables(params)),
        "disk": f"systemctl stop {DISK_UNIT}.service",
        "clock": 'date -s "@$(($(date +%s) - {}))" >/dev/null'.format(params["jump"]),
        "power": ":",
    }[params["kind"]]


def tables(params):
    """(family, rules) of each table that cuts the host off."""
    inet = ("inet", RULES.format(table=TABLE, port=params["port"]))
    return [inet, *([("arp", RULES_VIP.format(table=TABLE, vip=params["vip"]))] if is_ipv4(params["vip"]) else [])]


def is_ipv4(text):
    """Whether `text` is an IPv4 address; IPv6 has no ARP."""
    try:
        return ipaddress.ip_address(text).version == 4
    except ValueError:
        return False


def injury(params):
    """The commands that make the fault, as lists of words."""
    unit, kind = params["unit"], params["kind"]
    kill = ["systemctl", "kill", "--signal=KILL", unit]
    stop = ["systemctl", "stop", unit]
    if kind == "disk":
        return [holding(params)]
    return {
        "process": [kill],
        "service": [kill, stop],
        "handover": [stop],
        "data": [kill, stop, ["/bin/sh", "-c", SET_ASIDE, "sh", params["path"], params["path"] + ASIDE]],
        "network": [["nft", "-f", f"{HOME}/rules"]],
        "clock": [["/bin/sh", "-c", 'date -s "@$(($(date +%s) + {}))" >/dev/null'.format(params["jump"])]],
        # A moment later, so that this module can still give its answer.
        "power": [["systemd-run", "--quiet", "--on-active=1", "/bin/sh", "-c", "echo b > /proc/sysrq-trigger"]],
    }[kind]


def holding(params):
    """A unit that holds all free space in a file without a name: free again when the unit ends, however it ends."""
    script = (
        'exec 3<>"$1/.provision-fault" && rm -f "$1/.provision-fault" && '
        "free=$(stat -f -c '%a * %S' \"$1\") && fallocate -l $((free)) /proc/self/fd/3; "
        "dd if=/dev/zero bs=4096 >&3 2>/dev/null; exec sleep infinity"
    )
    limits = ["--quiet", "--collect", f"--unit={DISK_UNIT}", "--property=RuntimeMaxSec={}".format(params["seconds"])]
    return ["systemd-run", *limits, "/bin/sh", "-c", script, "sh", params["path"]]


def run(module, words):
    """Run a command; fail the module with its words, after healing what was begun."""
    code, out, err = module.run_command(words)
    if code != 0:
        heal(module)
        module.fail_json(msg=f"{' '.join(words)}: {(err or out).strip()}")


def arm(module):
    """Write down how to heal, and let a timer of the node do it."""
    os.makedirs(HOME, mode=0o700, exist_ok=True)
    for name, text in (
        ("heal", HEAL.format(home=HOME, commands=healing(module.params))),
        ("rules", "".join(rules for _, rules in tables(module.params))),
    ):
        with open(os.path.join(HOME, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    os.chmod(os.path.join(HOME, "heal"), 0o700)
    after = "--on-active={}".format(module.params["seconds"])
    timer = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", after, "--timer-property=AccuracySec=100ms"]
    run(module, [*timer, "/bin/sh", f"{HOME}/heal"])


def disarm(module):
    """Let the fault stay: nothing but what it has set aside is taken away when it ends."""
    kept = os.path.join(HOME, "disarmed")
    try:
        os.rename(os.path.join(HOME, "heal"), kept)
    except FileNotFoundError:
        module.fail_json(msg="the fault is not here any more: its time was over")
    module.run_command(["systemctl", "stop", f"{UNIT}.timer"])
    with open(kept, "w", encoding="utf-8") as stream:
        stream.write(HEAL.format(home=HOME, commands="rm -rf {}".format(shlex.quote(module.params["path"] + ASIDE))))
    os.rename(kept, os.path.join(HOME, "heal"))


def heal(module):
    """End the fault and take the timer away."""
    if os.path.exists(f"{HOME}/heal"):
        code, out, err = module.run_command(["/bin/sh", f"{HOME}/heal"])
        if code != 0:
            module.fail_json(msg=f"the fault could not be healed: {(err or out).strip()}")
    # Unarmed last: a healing that was broken off is done by the timer.
    module.run_command(["systemctl", "stop", f"{UNIT}.timer"])
    shutil.rmtree(HOME, ignore_errors=True)


def refusal(params):
    """Why this fault cannot be made here; "" when it can."""
    if params["kind"] in ("process", "service", "handover", "data") and not UNIT_NAME.fullmatch(params["unit"]):
        return f"{params['unit']!r} is no name of a service"
    tool = NEEDS.get(params["kind"])
    if tool and not shutil.which(tool):
        return f"{tool} is not installed"
    if params["kind"] in ("disk", "data") and not os.path.isdir(params["path"]):
        return f"{params['path']} is no directory"
    if params["kind"] == "data" and os.path.exists(params["path"] + ASIDE):
        return f"{params['path']}{ASIDE} is still there from a drill that did not end: look at it, then remove it"
    return ""


def main():
    """Run the module."""
    kinds = ["process", "service", "handover", "data", "network", "disk", "clock", "power"]
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "disarmed", "absent"], "default": "present"},
            "kind": {"type": "str", "choices": kinds},
            "unit": {"type": "str", "default": ""},
            "path": {"type": "path", "default": "/var/lib/etcd"},
            "jump": {"type": "int", "default": 600},
            "port": {"type": "int", "default": 22},
            "vip": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 120},
        },
        required_if=[("state", "present", ("kind",))],
        supports_check_mode=True,
    )
    params, there = module.params, os.path.exists(f"{HOME}/heal")
    if params["state"] == "absent":
        if there and not module.check_mode:
            heal(module)
        module.exit_json(changed=there, fault="healed" if there else "no fault is here")
    if params["state"] == "disarmed":
        if not module.check_mode:
            disarm(module)
        module.exit_json(changed=True, fault="stays until something else makes it good")
    reason = "a fault is already here: heal it first" if there else refusal(params)
    if reason:
        module.fail_json(msg=reason)
    if not module.check_mode:
        arm(module)
        for words in injury(params):
            run(module, words)
    what = " ".join(filter(None, (params["kind"], params["unit"])))
    module.exit_json(changed=True, fault=f"{what}, heals by itself after {params['seconds']} s")


if __name__ == "__main__":
    main()
