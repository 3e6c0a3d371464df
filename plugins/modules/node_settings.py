#!/usr/bin/python
"""Keep labels, taints and known addresses of nodes as the site says; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_settings
short_description: Keep labels, taints and known addresses of nodes as the site says
description:
  - Runs on one control plane, for all nodes of the run at once. Only labels and taints that this module once set are
    ever removed (it notes them on the node); those of the cluster itself and of people stay.
  - The addresses go to the ConfigMap C(provision-nodes) of C(kube-system), against which the serving certificates
    that kubelets ask for are judged. Nodes cannot write it.
  - In check mode a node that has not joined yet counts as one without labels, taints and an address.
options:
  nodes:
    description: Each has C(name), C(address), C(labels) (dict) and C(taints) (list of C(key), C(value), C(effect)).
    type: list
    elements: dict
    required: true
  address: {description: Address of the API server of this host., type: str, required: true}
  token: {description: A bootstrap token that is needed no more., type: str, default: ""}
  timeout: {description: Seconds to wait for the nodes to be registered., type: int, default: 60}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Set labels and taints
  node_settings:
    nodes: [{name: worker1, address: 10.77.0.21, labels: {disk: ssd}, taints: []}]
    address: 10.77.0.11
"""

RETURN = r"""
nodes:
  description: Names of the nodes that were, or would be, changed.
  type: list
  elements: str
  returned: always
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    ADMIN,
    KubeadmError,
    config_map,
    kubectl,
    nodes,
    wait_until,
)

NOTE = "provision/managed"
ADDRESSES = "provision-nodes"


def identity(taint):
    """What distinguishes a taint from another one of the same node."""
    return f"{taint['key']}:{taint['effect']}"


def difference(node, wanted):
    """Return the merge patch that brings the node object to what is wanted, or None."""
    labels = {key: str(value) for key, value in (wanted.get("labels") or {}).items()}
    taints = [
        {key: str(taint[key]) for key in ("key", "value", "effect") if taint.get(key)}
        for taint in wanted.get("taints") or []
    ]
    meta, spec = node["metadata"], node.get("spec", {})
    managed = json.loads(meta.get("annotations", {}).get(NOTE, "{}"))
    now = meta.get("labels", {})
    patch_labels = {key: value for key, value in labels.items() if now.get(key) != value}
    patch_labels.update({key: None for key in managed.get("labels", []) if key not in labels and key in now})
    ours = {*map(identity, taints), *managed.get("taints", [])}
    # The whole list is sent, so a wanted taint stands where it stood: an unchanged node needs no patch.
    before = spec.get("taints", [])
    kept = [taint for taint in before if identity(taint) not in ours or taint in taints]
    after = kept + [taint for taint in taints if taint not in kept]
    note = {
        name: names for name, names in (("labels", sorted(labels)), ("taints", sorted(map(identity, taints)))) if names
    }
    patch = {}
    if patch_labels:
        patch["metadata"] = {"labels": patch_labels}
    if note != managed:
        patch.setdefault("metadata", {})["annotations"] = {NOTE: json.dumps(note) if note else None}
    if after != before:
        # Others write taints as well: the version makes the API server refuse a patch of an outdated list.
        patch.setdefault("metadata", {})["resourceVersion"] = meta["resourceVersion"]
        patch["spec"] = {"taints": after}
    return patch or None


def shown(node, patch):
    """What a patch changes, as a part of a diff."""
    labels, taints = patch.get("metadata", {}).get("labels", {}), patch.get("spec", {}).get("taints")
    now, have = node["metadata"].get("labels", {}), node.get("spec", {}).get("taints", [])
    before = [f"label {key}={now[key]}" for key in labels if key in now]
    after = [f"label {key}={value}" for key, value in labels.items() if value is not None]
    if taints is not None:
        before += [text(taint) for taint in have]
        after += [text(taint) for taint in taints]
    name = node["metadata"]["name"]
    lines = {"before": "\n".join([*before, ""]), "after": "\n".join([*after, ""])}
    return {"before_header": name, "after_header": name, **lines}


def recorded(before, after):
    """What changes in the record of addresses, as a part of a diff."""
    sides = {
        "before": "".join(f"{name} {before[name]}\n" for name in sorted(after) if name in before),
        "after": "".join(f"{name} {after[name]}\n" for name in sorted(after)),
    }
    return {"before_header": ADDRESSES, "after_header": ADDRESSES, **sides}


def text(taint):
    """A taint as people write it."""
    return f"taint {taint['key']}={taint.get('value', '')}:{taint['effect']}"


class Cluster:
    """The nodes of the cluster, and what is known of them."""

    def __init__(self, address):
        self.address = address
        self.nodes = {}
        self.addresses = {}

    def read(self, names):
        """Read all; return which of `names` are not registered, or None."""
        self.nodes = nodes(self.address)
        missing = sorted(set(names) - set(self.nodes))
        return f"not registered: {', '.join(missing)}" if missing else None

    def read_addresses(self):
        """Read the ConfigMap of addresses."""
        self.addresses, _ = config_map(ADDRESSES, self.address)

    def foresee(self, names):
        """In a plan: read what is there; a node that is to come has nothing of ours when it does."""
        if os.path.exists(ADMIN):
            self.read(names)
            self.read_addresses()
        for name in names:
            self.nodes.setdefault(name, {"metadata": {"name": name, "resourceVersion": ""}})

    def patch(self, name, patch):
        """Patch one node."""
        kubectl(
            "patch",
            "node",
            name,
            "--type",
            "merge",
            "--patch-file",
            "/dev/stdin",
            data=json.dumps(patch),
            server=self.address,
        )

    def write_addresses(self, addresses):
        """Write the ConfigMap of addresses; those of other nodes stay."""
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": ADDRESSES, "namespace": "kube-system"},
            "data": {**self.addresses, **addresses},
        }
        words = ("apply", "--server-side", "--force-conflicts", "--field-manager", "provision", "-f", "-")
        kubectl(*words, data=json.dumps(manifest), server=self.address)


def settle(cluster, wanted):
    """Patch the nodes that differ; one whose object changed meanwhile is read and patched again."""
    for node in wanted:
        for attempt in (1, 2, 3):
            patch = difference(cluster.nodes[node["name"]], node)
            if not patch:
                break
            try:
                cluster.patch(node["name"], patch)
                break
            except KubeadmError as error:
                if attempt == 3 or "modified" not in str(error):
                    raise
                cluster.read([])


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True},
            "address": {"type": "str", "required": True},
            "token": {"type": "str", "default": "", "no_log": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    wanted, token = module.params["nodes"], module.params["token"]
    names = [node["name"] for node in wanted]
    cluster = Cluster(module.params["address"])
    try:
        if module.check_mode:
            cluster.foresee(names)
        else:
            said = wait_until(lambda: cluster.read(names), module.params["timeout"], pause=0.5)
            if said:
                module.fail_json(msg=said)
            cluster.read_addresses()
        patches = {
            node["name"]: patch for node in wanted for patch in [difference(cluster.nodes[node["name"]], node)] if patch
        }
        addresses = {n["name"]: n["address"] for n in wanted if cluster.addresses.get(n["name"]) != n["address"]}
        diff = [shown(cluster.nodes[name], patch) for name, patch in patches.items()]
        diff += [recorded(cluster.addresses, addresses)] if addresses else []
        if not module.check_mode:
            settle(cluster, wanted)
            if addresses:
                cluster.write_addresses(addresses)
            if token:
                name = f"bootstrap-token-{token.split('.')[0]}"
                kubectl(
                    "-n", "kube-system", "delete", "secret", name, "--ignore-not-found", server=module.params["address"]
                )
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    changed = sorted({*patches, *addresses})
    module.exit_json(changed=bool(changed), nodes=changed, diff=diff)


if __name__ == "__main__":
    main()
