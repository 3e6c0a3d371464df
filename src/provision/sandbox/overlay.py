"""The overlay: an inventory, read after the site's, that leads Ansible to the sandbox's nodes."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from provision.sandbox.record import Sandbox
from provision.sandbox.site import SiteHost
from provision.sandbox.ssh import common_options, connections

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
    "kubernetes_image_gc_high_percent": 100,
    # No tunnels and no images from outside: the nodes share one network segment.
    "cluster_network_provider": "routed",
}

# A virtual machine has all of its own, but its processor may be an emulated one: everything takes its time.
_MACHINE_NODE = {
    "ansible_timeout": 120,
    "ansible_ssh_args": "-o ConnectTimeout=60 -o ControlMaster=auto -o ControlPersist=600s",
    "load_balancer_advert_interval": 1.0,
    "load_balancer_connect_timeout_ms": 3000,
    # No images from outside.
    "cluster_network_provider": "routed",
}


# In a bucket a sandbox's backups would be taken for those of the real cluster; the site's mounts are not there.
_NO_COPIES = {"backup_s3_url": "", "backup_directory": ""}


def write_overlay(sandbox: Sandbox, hosts: Iterable[SiteHost], *, machines: bool = False) -> None:
    """Write the overlay for the site's hosts (not for spare machines, which the site does not know)."""
    kind = _MACHINE_NODE if machines else _CONTAINER_NODE
    settings = {**_connection(sandbox), **kind, **_NO_COPIES, **_bundle(sandbox)}
    addresses = {node.name: node.address for node in sandbox.nodes}
    each = {host: _for_host(settings, addresses[host.name]) for host in hosts}
    named = {host.name: values for host, values in each.items()}
    _write(sandbox.overlay, _HEADER.format(site=sandbox.site), {"all": {"vars": settings, "hosts": named}})

    # What the site sets in a file of host_vars wins over all inventory files, but not over a later file of that kind.
    beside = sandbox.directory / "host_vars"
    shutil.rmtree(beside, ignore_errors=True)
    for host, values in each.items():
        if again := {name: value for name, value in values.items() if name in host.own_files_set}:
            beside.mkdir(exist_ok=True)
            _write(beside / f"{host.name}.yml", "", again)


def leave_out(overlay: Path, names: Iterable[str]) -> None:
    """Forget hosts that the site has no more. Their nodes stay until `sandbox down`."""
    text = overlay.read_text()
    document = yaml.safe_load(text)
    hosts = document["all"]["hosts"]
    document["all"]["hosts"] = {name: values for name, values in hosts.items() if name not in set(names)}
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    _write(overlay, header, document)


def _write(path: Path, header: str, document: dict[str, object]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(header + yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, width=200))
    partial.replace(path)


def _for_host(settings: dict[str, object], address: str) -> dict[str, object]:
    return {**settings, "ansible_host": address, "ip": address, "access_ip": address}


def _connection(sandbox: Sandbox) -> dict[str, object]:
    """How Ansible reaches a node, whatever the site says of its machines."""
    return {
        "ansible_connection": "ssh",
        "ansible_user": "root",
        "ansible_port": 22,
        "ansible_ssh_private_key_file": str(sandbox.key),
        "ansible_ssh_common_args": shlex.join(common_options(sandbox)),
        "ansible_ssh_extra_args": "",
        "ansible_control_path_dir": str(connections(sandbox)),
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
