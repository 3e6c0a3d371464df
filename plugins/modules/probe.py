#!/usr/bin/python
"""Read from one host all that the decisions of a run need; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Read from one host all that the decisions of a run need
description:
  - One call instead of a fact-gathering step and dozens of checks. Changes nothing.
  - The action plugin of the same name adds the difference between the host's clock and the controller's.
options:
  vip: {description: The virtual address to look for; empty for none., type: str, default: ""}
  api: {description: "An C(address:port) whose TCP answer is tested; empty for none.", type: str, default: ""}
  ports:
    description: The TCP ports whose listeners are reported.
    type: list
    elements: int
    default: [2379, 2380, 2381, 6443, 8443, 10248, 10249, 10250, 10256, 10257, 10259]
attributes:
  check_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Probe the host
  probe:
    vip: "{{ cluster_vip }}"
  register: __cluster_probe
"""

RETURN = r"""
host:
  description: "Identity, capacity, network, and what of a cluster is already there."
  type: dict
  returned: always
"""

import glob
import json
import os
import platform
import select
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from ansible.module_utils import host_facts as facts  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule

PKI, MANIFESTS = "/etc/kubernetes/pki", "/etc/kubernetes/manifests"
ETCD_PKI, ETCD_DATA = "/etc/etcd/pki", "/var/lib/etcd"
ARP_WAIT_S, ANSWER_WAIT_S = 0.08, 2.0
OWNER_WAIT_S = 2.0
TIME_SERVICES = {"chronyd": "chronyd", "systemd-timesyn": "systemd-timesyncd", "ntpd": "ntpd"}


def read(path):
    """Return the text of `path`, or "" when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip("\0")
    except OSError:
        return ""


def start(*words):
    """Start a tool whose output is wanted later; None when it is not installed."""
    program = shutil.which(words[0], path="/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin")
    if not program:
        return None
    return subprocess.Popen([program, *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def installed(name):
    """The version that M(artifact) installed of a program which nobody touched since; else "". A start costs 0.2 s."""
    try:
        record = json.loads(read(f"/var/lib/provision/artifacts/{name}.json") or "{}")
        path = next(path for path in record.get("files", {}) if path.endswith(f"/bin/{name}"))
        status = os.stat(path)
    except (ValueError, StopIteration, OSError):
        return ""
    return record["version"] if record["files"][path] == [status.st_size, status.st_mtime_ns] else ""


def output(process):
    """Return what a started tool printed, or "" when there is none."""
    if isinstance(process, str):
        return process
    return process.communicate(timeout=5)[0] if process else ""


def processes():
    """Return {pid: name} of all processes."""
    names = {}
    for path in glob.glob("/proc/[0-9]*/comm"):
        names[path.split("/")[2]] = read(path).strip()
    return names


def open_files(pid):
    """Yield what a process has open. It goes on opening and closing files meanwhile, and may end."""
    try:
        entries = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for entry in entries:
        try:
            yield os.readlink(f"/proc/{pid}/fd/{entry}")
        except OSError:
            continue


def ports_listening(wanted, names):
    """Return {port: process name} of the wanted ports that something listens on.

    A process that ends or starts between the looks at sockets and processes leaves a port without an owner; so what has
    none is looked at again. What keeps none belongs to the kernel or to a process that cannot be seen: "".
    """
    found = listeners(wanted, names)
    deadline = time.monotonic() + OWNER_WAIT_S
    while not all(found.values()) and time.monotonic() < deadline:
        time.sleep(0.1)
        found = listeners(wanted, processes())
    return found


def listeners(wanted, names):
    """Return {port: process name, or ""} as one look at sockets and processes gives it."""
    tables = [facts.listeners(read(f"/proc/net/{table}"), wanted) for table in ("tcp6", "tcp")]
    inodes = {f"socket:[{inode}]": str(port) for table in tables for port, inode in table.items()}
    found = {str(port): "" for table in tables for port in table}
    for pid, name in names.items() if inodes else ():
        found.update({inodes[link]: name for link in open_files(pid) if link in inodes})
    return found


class VirtualAddress:
    """The question who holds the virtual address: asked at once, answered while the rest of the probe runs."""

    def __init__(self, address, links):
        self.address = address
        self.held = any(address == entry["address"] for link in links for entry in link["addresses"])
        self.interface, self.mac, self.prefix = facts.place_of(address, links) if address else ("", "", 0)
        self.socket, self.deadline = None, time.monotonic() + ARP_WAIT_S
        if self.interface and not self.held and "." in address and os.geteuid() == 0:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
            self.socket.bind((self.interface, 0))
            self.ask()

    def ask(self):
        """Send the question once."""
        try:
            self.socket.send(facts.arp_question(self.mac, self.address))
        except OSError:
            self.socket = None

    def answer(self):
        """Return the hardware address of who answers until the deadline, or ""."""
        while self.socket:
            left = self.deadline - time.monotonic()
            if not select.select([self.socket], [], [], max(left, 0))[0]:
                break
            mac = facts.arp_answer(self.socket.recv(128), self.address)
            if mac:
                return mac
        return ""

    def result(self):
        """Return the `vip` part of the probe."""
        mac = self.answer()
        return {
            "address": self.address, "held": self.held, "answers": bool(mac) or self.held, "mac": mac,
            "interface": self.interface, "prefix": self.prefix,
        }  # fmt: skip


def status_of(url, context=None, body=None):
    """Return (HTTP status, text) of `url`, (0, "") when nothing answers."""
    try:
        with urllib.request.urlopen(url, body, timeout=ANSWER_WAIT_S, context=context) as reply:
            return reply.status, reply.read(65536).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, ValueError):
        return 0, ""


def with_certificate(pair):
    """A TLS context for a service on this host that shows the client certificate `pair`.crt when it is there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if os.path.exists(f"{pair}.crt") and os.path.exists(f"{pair}.key"):
        context.load_cert_chain(f"{pair}.crt", f"{pair}.key")
    return context


def api_ready():
    """Whether this host's own API server says it is ready."""
    context = with_certificate(f"{PKI}/apiserver-kubelet-client")
    return status_of("https://127.0.0.1:6443/readyz", context)[0] == 200


def etcd_members():
    """Return {name: whether it ever started} of the cluster's members, asked of this host's own member."""
    context = with_certificate(f"{ETCD_PKI}/healthcheck-client")
    reply = status_of("https://127.0.0.1:2379/v3/cluster/member/list", context, b"{}")[1]
    return facts.started_members(reply)


def kubernetes(listening, kubelet):
    """Return the `kubernetes` part of the probe."""
    manifests = sorted(os.path.basename(path)[:-5] for path in glob.glob(f"{MANIFESTS}/*.yaml"))
    serves = "kube-apiserver" in manifests
    return {
        "kubelet_conf": os.path.exists("/etc/kubernetes/kubelet.conf"),
        "admin_conf": os.path.exists("/etc/kubernetes/admin.conf"),
        "manifests": manifests,
        "kubelet_version": facts.version_of(output(kubelet)),
        "settings": facts.settings_of(read("/etc/kubernetes/provision/kubeadm.yaml"), glob.glob("/etc/cni/net.d/*")),
        "cluster_ca_fingerprint": facts.fingerprint(read(f"{PKI}/ca.crt")),
        "api_ready": ("6443" in listening and api_ready()) if serves else None,
    }


def etcd(listening, version):
    """Return the `etcd` part of the probe."""
    healthy = "2381" in listening and '"true"' in status_of("http://127.0.0.1:2381/health")[1]
    return {
        "data_dir_present": os.path.isdir(f"{ETCD_DATA}/member/wal"),
        "healthy": healthy,
        "members": etcd_members() if healthy else {},
        "version": facts.version_of(output(version)),
        "ca_fingerprint": facts.fingerprint(read(f"{ETCD_PKI}/ca.crt")),
    }


def accelerators():
    """Return [{slot, id}] of the display controllers and accelerators on the PCI bus."""
    found = []
    for path in sorted(glob.glob("/sys/bus/pci/devices/*")):
        kind, vendor, device = (read(f"{path}/{name}").strip() for name in ("class", "vendor", "device"))
        if kind.startswith(("0x03", "0x12")):
            found.append({"slot": os.path.basename(path), "id": f"{vendor[2:]}:{device[2:]}"})
    return found


def answers(endpoint):
    """Whether `address:port` takes a TCP connection; None when not asked."""
    if not endpoint:
        return None
    host, port = endpoint.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_WAIT_S).close()
    except OSError:
        return False
    return True


def free_mb(path):
    """Return the MiB that are free for root's services under `path`."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize // 1048576


def machine():
    """Return identity and capacity."""
    container = read("/run/systemd/container") or ("container" if "container=" in read("/proc/1/environ") else "")
    return {
        **facts.os_release(read("/etc/os-release")),
        "is_root": os.geteuid() == 0,
        "python": platform.python_version(),
        "hostname": socket.gethostname(),
        "kernel": os.uname().release,
        "arch": facts.ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "product_uuid": read("/sys/class/dmi/id/product_uuid").strip().lower(),
        "virtualization": "container" if container else "",
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mb": facts.memory_mb(read("/proc/meminfo")),
        "disk": {path: free_mb(path) for path in ("/", "/var/lib")},
        "swap": facts.swap_devices(read("/proc/swaps")),
        "cgroup_version": facts.cgroup_version(read("/proc/mounts")),
        "systemd": os.path.isdir("/run/systemd/system"),
        "package_manager": next((tool for tool in ("apt", "dnf") if os.path.exists(f"/usr/bin/{tool}")), ""),
    }


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "vip": {"type": "str", "default": ""},
            "api": {"type": "str", "default": ""},
            "ports": {
                "type": "list", "elements": "int",
                "default": [2379, 2380, 2381, 6443, 8443, 10248, 10249, 10250, 10256, 10257, 10259],
            },
        },
        supports_check_mode=True,
    )  # fmt: skip
    now = time.time()
    links_of = start("ip", "-json", "address")
    tools = {name: installed(name) or start(name, "--version") for name in ("kubelet", "containerd", "etcd")}
    links = facts.interfaces(output(links_of))
    vip = VirtualAddress(module.params["vip"], links)
    names = processes()
    listening = ports_listening(set(module.params["ports"]), names)
    running = set(names.values())
    host = {
        **machine(),
        "time_epoch": now,
        "time_sync": next((name for comm, name in TIME_SERVICES.items() if comm in running), ""),
        "interfaces": links,
        "default_interface": facts.default_interface(read("/proc/net/route")),
        "ports_listening": listening,
        "api_answers": answers(module.params["api"]),
        "kubernetes": kubernetes(listening, tools["kubelet"]),
        "etcd": etcd(listening, tools["etcd"]),
        "accelerators": accelerators(),
        "balancer": "Managed by provision" in read("/etc/haproxy/haproxy.cfg"),
        "backup_timer": os.path.exists("/etc/systemd/system/provision-backup.timer"),
        "containerd": {"version": facts.version_of(output(tools["containerd"])), "running": "containerd" in running},
    }
    host["vip"] = vip.result()
    module.exit_json(changed=False, host=host)


if __name__ == "__main__":
    main()
