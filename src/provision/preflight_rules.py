"""What a machine must be before anything is changed on it: pure rules over the probe's results.

Each rule takes the machine and the site and yields problems; `assess` runs them all. A rule never looks at the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SUPPORTED = {
    "debian": ("12", "13"),
    "ubuntu": ("22.04", "24.04"),
    "rhel": ("9",),
    "rocky": ("9",),
    "almalinux": ("9",),
}
SUPPORTED_TEXT = "Debian 12 and 13, Ubuntu 22.04 and 24.04, RHEL, Rocky Linux and AlmaLinux 9"
# Port -> who may listen on it; names as in /proc/PID/comm, which holds 15 characters.
PORTS = {
    "control_plane": {6443: "kube-apiserver", 10257: "kube-controller", 10259: "kube-scheduler"},
    "node": {10248: "kubelet", 10250: "kubelet", 10249: "kube-proxy", 10256: "kube-proxy"},
    "etcd": {2379: "etcd", 2380: "etcd", 2381: "etcd"},
}
_MOVE = "another one takes a new cluster, to which you move (backup, reset, cluster)"
# Settings that were built into the cluster when it was made, and why they stay.
WHY_FIXED = {
    "cluster_name": f"kubeconfigs, backups and etcd bear it; {_MOVE}",
    "cluster_domain": f"certificates, kubelets and pods bear it; {_MOVE}",
    "cluster_pod_cidr": f"nodes and pods have addresses of it; {_MOVE}",
    "cluster_pod_prefix": f"nodes have ranges of this size; {_MOVE}",
    "cluster_service_cidr": f"Services have addresses of it; {_MOVE}",
    "cluster_api_port": f"the kubeconfig of every node names it; {_MOVE}",
    "cluster_network_provider": f"two networks on one node break both; {_MOVE}",
    "control_plane_proxy_enabled": "Services would be without rules meanwhile; it goes with the network provider",
}
MEMORY_MIN_MB = {"control_plane": 1700, "node": 1024}


@dataclass(frozen=True)
class Problem:
    """One finding: the rule's name, what is wrong, and what the operator can do about it."""

    check: str
    message: str
    hint: str

    def as_dict(self) -> dict[str, str]:
        """The form in which results carry it."""
        return {"check": self.check, "message": self.message, "hint": self.hint}


@dataclass(frozen=True)
class Machine:
    """One host of the site: its inventory name, its own address, what it will be, and its probe's result."""

    name: str
    address: str
    roles: frozenset[str]
    probe: Mapping[str, Any]

    @property
    def is_member(self) -> bool:
        """True when a kubelet of some cluster is configured here."""
        return bool(self.probe["kubernetes"]["kubelet_conf"])

    @property
    def subnets(self) -> str:
        """Its addresses with prefix lengths, for messages."""
        entries = [entry for link in self.probe["interfaces"] for entry in link["addresses"]]
        return ", ".join(f"{entry['address']}/{entry['prefix']}" for entry in entries)


@dataclass(frozen=True)
class Settings:
    """What the operator allows and asks for. Memory in MiB (0: by role), times in seconds."""

    version: str = ""
    api_mode: str = "local"
    api_port: int = 8443
    vip: str = ""
    swap: str = "forbid"
    memory_min_mb: int = 0
    cgroup_v1_allowed: bool = False
    os_any_allowed: bool = False
    clock_skew_max_s: int = 60
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """What the site says of the settings that a running cluster keeps, by their names."""
    adding: bool = False
    """Whether the machine comes into a cluster that runs, by the workflow that is for it."""


@dataclass(frozen=True)
class Site:
    """The settings, every machine that answered the probe, and the leaders' inventory names."""

    settings: Settings
    machines: tuple[Machine, ...] = ()
    leader: str = ""
    etcd_leader: str = ""
    exists: bool = False
    complete: bool = True
    by_name: Mapping[str, Machine] = field(default_factory=dict)


def root(machine: Machine, _site: Site) -> Iterator[Problem]:
    """The probe must have run as root."""
    if not machine.probe["is_root"]:
        yield Problem("root", "not root on this host", "connect as root or as a user with sudo (ansible_become: true)")


def operating_system(machine: Machine, site: Site) -> Iterator[Problem]:
    """A tested distribution and release, systemd, and a Python that runs our modules."""
    probe = machine.probe
    releases = SUPPORTED.get(probe["os_id"], ())
    known = any(probe["os_version"] == release or probe["os_version"].startswith(f"{release}.") for release in releases)
    if not known and not site.settings.os_any_allowed:
        hint = f"supported: {SUPPORTED_TEXT}; host_os_any_allowed: true goes on with another one at your own risk"
        yield Problem("os", f"{probe['os_pretty']} is not supported", hint)
    if not probe["systemd"]:
        yield Problem("systemd", "systemd does not run here", "use a machine that boots with systemd")
    if tuple(int(part) for part in probe["python"].split(".")[:2]) < (3, 9):
        hint = "set ansible_python_interpreter to Python 3.9 or newer"
        yield Problem("python", f"Python {probe['python']} is too old", hint)


def architecture(machine: Machine, _site: Site) -> Iterator[Problem]:
    """Binaries exist for two architectures."""
    if machine.probe["arch"] not in ("amd64", "arm64"):
        yield Problem("arch", f"architecture {machine.probe['arch']} is not known", "use amd64 or arm64 machines")


def cgroups(machine: Machine, site: Site) -> Iterator[Problem]:
    """From Kubernetes 1.35 the kubelet refuses cgroup v1."""
    if machine.probe["cgroup_version"] == 1 and "k8s" in machine.roles and not site.settings.cgroup_v1_allowed:
        hint = "boot with systemd.unified_cgroup_hierarchy=1, or set kubernetes_cgroup_v1_allowed: true"
        yield Problem("cgroup", "cgroup v1 is in use, the kubelet needs v2", hint)


def swap(machine: Machine, site: Site) -> Iterator[Problem]:
    """Swap lets the kubelet lose track of memory."""
    devices = machine.probe["swap"]
    # A container's /proc/swaps shows its host's devices, which it cannot turn off.
    if devices and "k8s" in machine.roles and site.settings.swap == "forbid" and not machine.probe["virtualization"]:
        hint = "run `swapoff -a` and remove swap from /etc/fstab, or set host_swap to off or ignore"
        yield Problem("swap", f"swap is in use: {', '.join(devices)}", hint)


def clock(machine: Machine, site: Site) -> Iterator[Problem]:
    """Certificates and leases need clocks that agree."""
    skew, error = machine.probe["clock_skew_s"], machine.probe["clock_error_s"]
    if abs(skew) - error > site.settings.clock_skew_max_s:
        direction = "ahead of" if skew > 0 else "behind"
        hint = "set the clock and run a time service (chrony) on this host"
        yield Problem("clock", f"the clock is {abs(skew):.0f} s {direction} this machine's", hint)


def memory(machine: Machine, site: Site) -> Iterator[Problem]:
    """Less memory than the components take at rest is a cluster that dies later."""
    role = "control_plane" if "control_plane" in machine.roles else "node"
    least = site.settings.memory_min_mb or MEMORY_MIN_MB[role]
    if machine.probe["memory_mb"] < least:
        hint = "give the machine more memory, or lower host_memory_min_mb"
        yield Problem("memory", f"{machine.probe['memory_mb']} MiB of memory, at least {least} are needed", hint)


def address(machine: Machine, _site: Site) -> Iterator[Problem]:
    """Services bind to and are found at the address in the inventory."""
    own = [entry["address"] for link in machine.probe["interfaces"] for entry in link["addresses"]]
    if machine.address not in own:
        hint = f"set `ip` of this host to one of its own addresses: {machine.subnets or 'none found'}"
        yield Problem("address", f"{machine.address} is not an address of this host", hint)


def ports(machine: Machine, site: Site) -> Iterator[Problem]:
    """The ports of our services are free, or ours already."""
    listening = machine.probe["ports_listening"]
    wanted = {port: process for role in machine.roles for port, process in PORTS.get(role, {}).items()}
    if "balancer" in machine.roles:
        wanted[site.settings.api_port] = "haproxy"
    for port, expected in sorted(wanted.items()):
        process = listening.get(str(port))
        if process is None or (process == expected and _is_ours(machine, expected)):
            continue
        hint = f"stop it, or move it to another port: {expected} needs this one"
        yield Problem("port", f"port {port} is used by {process or 'a process that cannot be seen'}", hint)


def _is_ours(machine: Machine, process: str) -> bool:
    """Whether a process with one of our names comes from us; HAProxy may run before the host is a member."""
    if process == "etcd":
        return bool(machine.probe["etcd"]["ca_fingerprint"])
    return process == "haproxy" or machine.is_member


def vip_place(machine: Machine, site: Site) -> Iterator[Problem]:
    """A balancer can hold the VIP only on an interface in the VIP's subnet."""
    if site.settings.api_mode == "vip" and "balancer" in machine.roles and not machine.probe["vip"]["interface"]:
        hint = f"choose a cluster_vip in the balancers' subnet; this host has {machine.subnets}"
        yield Problem("vip", f"no interface's subnet holds the VIP {site.settings.vip}", hint)


def vip_free(machine: Machine, site: Site) -> Iterator[Problem]:
    """Nobody but our balancers may answer for the VIP. The first machine that sees a stranger reports it."""
    vip = site.settings.vip
    seen = [other for other in site.machines if other.probe["vip"]["answers"]]
    if site.settings.api_mode != "vip" or not seen or seen[0].name != machine.name:
        return
    holders = [other for other in site.machines if other.probe["vip"]["held"]]
    for holder in holders:
        if "balancer" not in holder.roles:
            message = f"{holder.name} holds the VIP {vip} and is no load balancer"
            yield Problem("vip", message, "remove the address there, or choose another VIP")
    own = {link["mac"] for other in site.machines for link in other.probe["interfaces"]}
    strangers = {other.probe["vip"]["mac"] for other in seen if other.probe["vip"]["mac"]} - own
    # A host that was not probed in this run may hold the VIP of a cluster that exists.
    if strangers and not (site.exists and not site.complete):
        hint = "choose a free address, or take the other machine off the network"
        yield Problem("vip", f"the VIP {vip} answers already, from {', '.join(sorted(strangers))}", hint)


def other_cluster(machine: Machine, site: Site) -> Iterator[Problem]:
    """A host that belongs to another cluster is never taken over."""
    own = machine.probe["kubernetes"]["cluster_ca_fingerprint"]
    hint = "take the host out of this site, or run `kubeadm reset` there after you made sure that nobody needs it"
    if machine.is_member and not site.exists:
        yield Problem("membership", "belongs to a cluster whose control planes are not in this site", hint)
    elif machine.is_member and own and own != _leader(site, site.leader, "kubernetes", "cluster_ca_fingerprint", own):
        yield Problem("membership", f"belongs to another cluster than {site.leader} (its CA differs)", hint)


def version(machine: Machine, site: Site) -> Iterator[Problem]:
    """A cluster that runs never changes its version because a setting or its default did."""
    running, wanted = machine.probe["kubernetes"]["kubelet_version"], site.settings.version.removeprefix("v")
    if site.settings.adding:  # what runs on the machine itself is replaced; the cluster's version counts
        running = _leader(site, site.leader, "kubernetes", "kubelet_version", "")
    if (machine.is_member or site.settings.adding) and running and wanted and running != wanted:
        hint = f"set cluster_version to {running}"
        if _numbers(wanted) > _numbers(running):
            hint = f"upgrade with: provision upgrade --to {wanted}; or {hint}"
        yield Problem("version", f"runs Kubernetes {running}, the site says {wanted}", hint)


def _numbers(version: str) -> list[int]:
    """A version in its order."""
    return [int(part) for part in version.split("-", maxsplit=1)[0].split(".")]


def fixed(machine: Machine, site: Site) -> Iterator[Problem]:
    """A setting that a running cluster cannot take is refused, never ignored. The leader tells it, once."""
    if machine.name != site.leader or not machine.is_member:
        return
    running = machine.probe["kubernetes"].get("settings", {})
    for name, wanted in site.settings.fixed.items():
        if name in running and str(running[name]).lower() != str(wanted).lower():
            hint = f"set {name} back to {running[name]}: {WHY_FIXED[name]}"
            yield Problem("setting", f"{name} is {running[name]} in the running cluster, not {wanted}", hint)


def other_etcd(machine: Machine, site: Site) -> Iterator[Problem]:
    """Data of another etcd is never started under this cluster's name."""
    if "etcd" not in machine.roles:
        return
    own = machine.probe["etcd"]["ca_fingerprint"]
    if machine.probe["etcd"]["data_dir_present"] and not own:
        hint = "move /var/lib/etcd away after you made sure that nobody needs it"
        yield Problem("etcd", "/var/lib/etcd holds the data of an etcd that is not ours", hint)
    elif own and own != _leader(site, site.etcd_leader, "etcd", "ca_fingerprint", own):
        hint = "move /etc/etcd and /var/lib/etcd away after you made sure that nobody needs them"
        yield Problem("etcd", f"has another etcd CA than {site.etcd_leader}", hint)


def etcd_membership(machine: Machine, site: Site) -> Iterator[Problem]:
    """A living cluster takes a new or emptied member by adding it, never by starting it as on the first day."""
    leader = site.by_name.get(site.etcd_leader)
    members = leader.probe["etcd"]["members"] if leader else {}
    if "etcd" not in machine.roles or not members or site.settings.adding:
        return
    node, hint = machine.name.lower(), f"provision node add {machine.name}"
    if members.get(node) and not machine.probe["etcd"]["data_dir_present"]:
        yield Problem(
            "etcd", "is a member of the etcd cluster but has lost its data", f"bring it in again with: {hint}"
        )
    elif node not in members:
        yield Problem("etcd", "is no member of the etcd cluster that runs", f"add it with: {hint}")


def etcd_parity(machine: Machine, site: Site) -> Iterator[Problem]:
    """A new cluster has an odd number of members: an even one fails as early as one less and votes no better."""
    members = [other.name for other in site.machines if "etcd" in other.roles]
    if site.exists or not site.complete or len(members) % 2 or members[:1] != [machine.name]:
        return
    advice = "make it one or three" if len(members) == 2 else "add one or take one away"
    message = f"etcd would have {len(members)} members ({', '.join(members)}): no safer than with one less"
    yield Problem("etcd", message, f"{advice}, in the group etcd or kube_control_plane")


def _leader(site: Site, name: str, part: str, key: str, default: str) -> str:
    leader = site.by_name.get(name)
    return str((leader.probe[part][key] if leader else "") or default)


def twins(machine: Machine, site: Site) -> Iterator[Problem]:
    """Cloned machines share what should be unique; container nodes do so by nature."""
    for key, what in (("product_uuid", "product UUID"), ("hostname", "hostname")):
        value = machine.probe[key]
        same = [o.name for o in site.machines if value and o.name != machine.name and o.probe[key] == value]
        if same:
            hint = "give each machine its own; container nodes share the product UUID of their host"
            yield Problem(key, f"{what} {value} is also that of {', '.join(same)}", hint)


def time_service(machine: Machine, _site: Site) -> Iterator[Problem]:
    """Clocks that agree now drift apart when nothing keeps them."""
    if not machine.probe["time_sync"] and not machine.probe["virtualization"]:
        yield Problem("time_sync", "no time service runs", "install chrony")


def disk(machine: Machine, _site: Site) -> Iterator[Problem]:
    """Images, logs and etcd need room."""
    free = machine.probe["disk"]["/var/lib"]
    if free < 8192:
        yield Problem("disk", f"{free} MiB are free under /var/lib", "8 GiB is a sensible minimum")


GPU_VENDORS = {"10de": "NVIDIA", "1002": "AMD", "8086": "Intel"}


def gpu(machine: Machine, _site: Site) -> Iterator[Problem]:
    """A GPU node has a GPU; what its bus shows is said, whatever it is."""
    if "gpu" not in machine.roles:
        return
    devices = machine.probe.get("accelerators", [])
    seen = ", ".join(
        f"{GPU_VENDORS.get(each['id'][:4], '')} {each['id']} at {each['slot']}".strip() for each in devices
    )
    if any(each["id"][:4] in GPU_VENDORS for each in devices):
        yield Problem("gpu", f"{machine.name} has {seen}", "that is what the GPU operator will find")
    else:
        hint = "is the card in its slot, and passed through to this machine? It joins without one as well"
        shown = seen or "no display controller at all"
        yield Problem("gpu", f"{machine.name} has no GPU on its PCI bus, which shows {shown}", hint)


REFUSALS = (
    root, operating_system, architecture, cgroups, swap, clock, memory, address, ports,
    vip_place, vip_free, other_cluster, version, fixed, other_etcd, etcd_membership, etcd_parity,
)  # fmt: skip
WARNINGS = (twins, time_service, disk, gpu)


def assess(machine: Machine, site: Site) -> tuple[list[Problem], list[Problem]]:
    """Return (problems that refuse the machine, warnings), both lists of Problem."""
    return (
        [problem for rule in REFUSALS for problem in rule(machine, site)],
        [problem for rule in WARNINGS for problem in rule(machine, site)],
    )
