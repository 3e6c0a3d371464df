#!/usr/bin/python
"""Remove what a pod network left in the kernel; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: network_traces
short_description: Remove what pods, kube-proxy and a pod network left in the kernel
description:
  - Interfaces, chains and tables with the names that Kubernetes and the network providers use; nothing else. A table of
    iptables goes when nothing is left in it.
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Remove what the network left
  network_traces:
"""

RETURN = r"""
removed:
  description: What was, or would be, removed.
  type: list
  elements: str
  returned: always
"""

import glob
import json
import os
import re
import shutil

from ansible.module_utils.basic import AnsibleModule

LINKS = ("cni0", "kube-ipvs0", "nodelocaldns", "flannel.*", "flannel-*", "vxlan.calico", "cali*", "cilium_*", "lxc*")
TABLES = re.compile(r"^(kube-proxy|cali-.*|flannel-.*|provision.*)$")
# iptables keeps its own in tables of these names; ours among them are chains and the rules that lead there.
SHARED = ("filter", "nat", "mangle", "raw", "security")
CHAINS = re.compile(r"^(KUBE-|cali-|FLANNEL-|CNI-|CILIUM_|OLD_CILIUM_)")


def links():
    """The interfaces of pods and pod networks."""
    return sorted(os.path.basename(path) for name in LINKS for path in glob.glob(f"/sys/class/net/{name}"))


def ruleset(module):
    """What nft lists, as its JSON objects; empty without nft."""
    if not shutil.which("nft"):
        return []
    code, out, _ = module.run_command(["nft", "-j", "list", "ruleset"])
    return json.loads(out)["nftables"] if code == 0 and out.strip() else []


def target(rule):
    """The chain that a rule leads to; iptables' own way of writing it is known only to iptables."""
    text = json.dumps(rule.get("expr", []))
    found = re.search(r'"target": "([^"]+)"', text) or re.search(r'"name": "([^"]+)"', text)
    return found[1] if found else ""


def plan(objects):
    """Return (tables, chains, rules) to delete, as words for nft, from what it lists."""
    known = [next(iter(each.items())) for each in objects]
    tables = [(body["family"], body["name"]) for kind, body in known if kind == "table"]
    chains = [(body["family"], body["table"], body["name"]) for kind, body in known if kind == "chain"]
    rules = [
        (body["family"], body["table"], body["chain"], body["handle"], target(body))
        for kind, body in known
        if kind == "rule"
    ]
    whole = {key for key in tables if TABLES.match(key[1])}
    ours = {key for key in chains if key[:2] not in whole and CHAINS.match(key[2])}
    leading = {rule for rule in rules if CHAINS.match(rule[4]) and rule[:3] not in ours and rule[:2] not in whole}
    if ours or leading:  # tables of iptables that hold nothing else go with what is ours
        left = {rule[:2] for rule in rules if rule not in leading and rule[:3] not in ours}
        named = {key[:2] for key in chains if key not in ours and key[2].upper() != key[2]}
        # A policy is somebody's firewall too, even where no rule is left.
        closed = {(body["family"], body["table"]) for kind, body in known if body.get("policy") == "drop"}
        mine = {key[:2] for key in ours} | {rule[:2] for rule in leading}
        whole |= {key for key in mine if key[1] in SHARED and key not in left | named | closed}
    return (
        sorted(whole),
        sorted(key for key in ours if key[:2] not in whole),
        sorted(rule[:4] for rule in leading if rule[:2] not in whole),
    )


def words(tables, chains, rules):
    """nft's commands: rules that lead to chains first, then the chains, emptied, then whole tables."""
    return [
        *(f"delete rule {family} {table} {chain} handle {handle}" for family, table, chain, handle in rules),
        *(f"flush chain {family} {table} {chain}" for family, table, chain in chains),
        *(f"delete chain {family} {table} {chain}" for family, table, chain in chains),
        *(f"delete table {family} {name}" for family, name in tables),
    ]


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    found, commands = links(), words(*plan(ruleset(module)))
    if not module.check_mode:
        for name in found:
            module.run_command(["ip", "link", "delete", name])  # its peer may have taken it along
        if commands:
            module.run_command(["nft", "-f", "-"], data="\n".join(commands) + "\n", check_rc=True)
        left = [name for name in found if os.path.exists(f"/sys/class/net/{name}")]
        if left:
            module.fail_json(msg=f"{', '.join(left)} could not be removed")
    module.exit_json(changed=bool(found or commands), removed=[f"link {name}" for name in found] + commands)


if __name__ == "__main__":
    main()
