"""What a host says about itself, read from the texts of /proc, /etc/os-release and `ip`: pure functions for `probe`."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shlex
import ssl

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
DEBIAN_LIKE, REDHAT_LIKE = {"debian", "ubuntu"}, {"rhel", "rocky", "almalinux", "centos", "fedora"}
LISTEN = "0A"
# The file that a network provider leaves on a node -> its name
NETWORKS = {
    "10-provision.conflist": "routed",
    "10-calico.conflist": "calico",
    "05-cilium.conflist": "cilium",
    "10-flannel.conflist": "flannel",
}


def os_release(text):
    """Return os_id, os_version, os_family (debian, redhat or other), os_codename and os_pretty of os-release."""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    values = {key: "".join(shlex.split(value)[:1]) for key, value in pairs.items()}
    names = {values.get("ID", ""), *values.get("ID_LIKE", "").split()}
    family = "debian" if names & DEBIAN_LIKE else "redhat" if names & REDHAT_LIKE else "other"
    return {
        "os_id": values.get("ID", ""),
        "os_version": values.get("VERSION_ID", ""),
        "os_family": family,
        "os_codename": values.get("VERSION_CODENAME", ""),
        "os_pretty": values.get("PRETTY_NAME", values.get("ID", "unknown")),
    }


def memory_mb(meminfo):
    """Return the total memory in MiB of /proc/meminfo; 0 when it does not say."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def swap_devices(swaps):
    """Return the devices and files of /proc/swaps."""
    return [line.split()[0] for line in swaps.splitlines()[1:] if line.strip()]


def cgroup_version(mounts):
    """Return 2 when /proc/mounts has the unified hierarchy at /sys/fs/cgroup itself, else 1."""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[1] == "/sys/fs/cgroup":
            return 2 if fields[2] == "cgroup2" else 1
    return 1


def listeners(table, wanted):
    """Return {port: socket inode} of the listening sockets in /proc/net/tcp or tcp6 whose port is in `wanted`."""
    found = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            port = int(fields[1].rsplit(":", 1)[1], 16)
            if port in wanted:
                found[port] = fields[9]
    return found


def interfaces(text):
    """Return [{name, mac, addresses: [{address, prefix}]}] of `ip -json address`: global addresses alone."""
    result = []
    for link in json.loads(text or "[]"):
        addresses = [
            {"address": entry["local"], "prefix": entry["prefixlen"]}
            for entry in link.get("addr_info", [])
            if entry.get("scope") == "global" and "local" in entry
        ]
        if addresses:
            result.append({"name": link["ifname"], "mac": link.get("address", ""), "addresses": addresses})
    return result


def default_interface(routes):
    """Return the interface of the default route with the lowest metric in /proc/net/route, or ""."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    defaults = [(int(row[6]), row[0]) for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"]
    return min(defaults)[1] if defaults else ""


def place_of(address, links):
    """Return (interface name, mac, prefix length) of the interface whose subnet holds `address`, else ("", "", 0).

    An interface that carries the address itself as a /32 does not count as its subnet.
    """
    target = ipaddress.ip_address(address)
    for link in links:
        for entry in link["addresses"]:
            network = ipaddress.ip_network(f"{entry['address']}/{entry['prefix']}", strict=False)
            if target.version == network.version and network.num_addresses > 1 and target in network:
                return link["name"], link["mac"], entry["prefix"]
    return "", "", 0


def version_of(output):
    """Return the first word of a tool's `--version` output that looks like 1.2.3, without a leading v; else ""."""
    for word in output.replace(",", " ").split():
        number = word.lstrip("v")
        if number[:1].isdigit() and "." in number:
            return number
    return ""


def settings_of(config, networks):
    """Return the settings, by name, that a control plane runs with and of which a running cluster takes no others.

    `config` is kubeadm's configuration as provision wrote it, `networks` are the files of network plugins.
    """
    patterns = {
        "cluster_name": r"^clusterName: (\S+)$",
        "cluster_domain": r"^  dnsDomain: (\S+)$",
        "cluster_pod_cidr": r"^  podSubnet: (\S+)$",
        "cluster_pod_prefix": r"^  - name: node-cidr-mask-size\n    value: \"?(\d+)",
        "cluster_service_cidr": r"^  serviceSubnet: (\S+)$",
        "cluster_api_port": r"^controlPlaneEndpoint: \S+:(\d+)$",
    }
    found = {name: re.search(pattern, config, re.MULTILINE) for name, pattern in patterns.items()}
    settings = {name: match[1] for name, match in found.items() if match}
    proxy = re.search(r"^proxy:\n  disabled: (\w+)$", config, re.MULTILINE)
    if proxy:
        settings["control_plane_proxy_enabled"] = proxy[1] == "false"
    providers = {NETWORKS[name] for path in networks for name in [os.path.basename(path)] if name in NETWORKS}
    if config and len(providers) == 1:
        settings["cluster_network_provider"] = providers.pop()
    return settings


def started_members(reply):
    """Return {name: whether it ever started} of etcd's member list in JSON; one that was just added has no name."""
    members = json.loads(reply).get("members", []) if reply.startswith("{") else []
    return {member.get("name", ""): bool(member.get("clientURLs")) for member in members}


def fingerprint(pem):
    """Return the SHA-256 of the first certificate in `pem` (its DER form, in hexadecimal), or "" when there is none."""
    end = "-----END CERTIFICATE-----"
    if end not in pem:
        return ""
    certificate = pem[pem.index("-----BEGIN") : pem.index(end) + len(end)]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def arp_question(mac, target):
    """Return the Ethernet frame that asks who has `target`, with no sender address so that no cache learns from it."""
    sender = bytes.fromhex(mac.replace(":", ""))
    header = b"\xff" * 6 + sender + b"\x08\x06"
    question = b"\x00\x01\x08\x00\x06\x04\x00\x01" + sender + b"\x00" * 10
    return header + question + ipaddress.IPv4Address(target).packed


def arp_answer(frame, target):
    """Return the hardware address that `frame` names for `target`, or "" when it is no such answer."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x06" or frame[20:22] != b"\x00\x02":
        return ""
    if frame[28:32] != ipaddress.IPv4Address(target).packed:
        return ""
    return ":".join(f"{byte:02x}" for byte in frame[22:28])
