"""The overlay: an inventory, read after the site's, that leads Ansible to the sandbox's nodes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import yaml

from provision.sandbox.record import Sandbox
from provision.sandbox.ssh import common_options

FILES_PORT = 8080
REGISTRY_PORT = 5000

_HEADER = """\
# Written by `provision sandbox up` for {site}
# Every command of provision reads it last while this sandbox is up. It is set for each host, and not once for all of
# them, because a site's group variables would win over the latter. A host that joins the site later has the same
# from `vars`, until the next `sandbox up` lists it too.
"""

# What only nodes in containers need. A real machine must not have these, so no site sets them.
_CONTAINER_NODE = {
    # They share this machine's kernel: its cgroups, its swap, its clock and its connection tracking table.
    "kubernetes_cgroup_v1_allowed": True,
    "kubernetes_swap_allowed": True,
    "control_plane_proxy_conntrack_max_per_core": 0,
    "host_swap": "ignore",
    "host_time_sync_enabled": False,
    # Without CAP_SYS_RESOURCE nobody may lower the score that the out-of-memory killer goes by.
    "containerd_restrict_oom_score_adj": True,
    # All nodes see the whole memory and the whole disk of this machine as theirs.
    "host_memory_min_mb": 512,
    "kubernetes_eviction_hard": {
        "memory.available": "50Mi",
        "nodefs.available": "1%",
        "nodefs.inodesFree": "1%",
        "imagefs.available": "1%",
    },
    # No tunnels and no images from outside: the nodes share one network segment.
    "cluster_network_provider": "routed",
}


def write_overlay(sandbox: Sandbox, hosts: Iterable[str]) -> None:
    """Write the overlay for these hosts of the site (not for spare machines, which the site does not know)."""
    settings = _settings(sandbox)
    each = {
        node.name: {**settings, "ansible_host": node.address, "ip": node.address, "access_ip": node.address}
        for node in sandbox.nodes
        if node.name in set(hosts)
    }
    document = {"all": {"vars": settings, "hosts": each}}
    partial = sandbox.overlay.with_name(".overlay.yml.partial")
    text = yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, width=200)
    partial.write_text(_HEADER.format(site=sandbox.site) + text)
    partial.replace(sandbox.overlay)


def _settings(sandbox: Sandbox) -> dict[str, object]:
    return {**_connection(sandbox), **_CONTAINER_NODE, **_bundle(sandbox)}


def _connection(sandbox: Sandbox) -> dict[str, object]:
    """How Ansible reaches a node, whatever the site says of its machines."""
    return {
        "ansible_connection": "ssh",
        "ansible_user": "root",
        "ansible_port": 22,
        "ansible_ssh_private_key_file": str(sandbox.key),
        "ansible_ssh_common_args": shlex.join(common_options(sandbox)),
        "ansible_ssh_extra_args": "",
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _bundle(sandbox: Sandbox) -> dict[str, object]:
    if not sandbox.bundle:
        return {}
    gateway = sandbox.network.gateway
    return {
        "cluster_bundle": sandbox.bundle,
        "cluster_mirror_url": f"http://{gateway}:{FILES_PORT}",
        "cluster_mirror_registry": f"{gateway}:{REGISTRY_PORT}",
    }


class _PlainDumper(yaml.SafeDumper):
    """Repeats a value instead of naming it once and pointing there: the file is for people too."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the parent's
        return True
