"""What was read from the hosts and from the cluster, put together and compared with the site. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provision import certificates
from provision.outcome import unwrapped, why_unreachable

Data = Mapping[str, Any]
Row = dict[str, Any]
Hosts = Mapping[str, Data | None]

# etcd refuses writes at 2 GiB unless it is given more; a warning from four fifths of it on leaves time.
ETCD_SIZE_WARNING = int(0.8 * 2 * 1024**3)


def build(site: Data, hosts: Hosts, cluster: Data | None) -> Row:
    """The whole `provision_status`.

    `site`: {nodes: [{host, name, control_plane}], etcd_members, version, vip, api_mode, api_endpoint, labels, taints}.
    `hosts`: {inventory name: what `host_status` read, or None when the host does not answer}.
    `cluster`: what `cluster_status` read, or None when no control plane could be asked.
    """
    cluster = cluster or {}
    nodes = cluster.get("nodes", [])
    api = {"mode": site["api_mode"], "endpoint": site["api_endpoint"], "ready": False, **cluster.get("api", {})}
    status = {
        "nodes": [{key: value for key, value in node.items() if key != "labels"} for node in nodes],
        "api": api,
        "control_plane": {
            "endpoint": api["endpoint"],
            "ready": api["ready"],
            "components": cluster.get("components", []),
        },
        "vip": vip(site, hosts),
        "etcd": cluster.get("etcd", {}),
        "certificates": certificates.rows(hosts),
        "versions": versions(nodes, cluster),
        "backup": backup(site, hosts),
        "drift": drift(site, hosts, nodes) if nodes else [],
    }
    if not site["vip"]:
        del status["vip"]
    return {**status, "problems": problems(site, hosts, cluster, status)}


def nobody_answers(words: Mapping[str, str]) -> Row:
    """The status of a site of which no host was reached; `words` are what ssh said of each."""
    host, said = next(iter(words.items()), ("", ""))
    told = unwrapped(str(said)).splitlines()
    reason = f": {host}: {told[-1]}" if told else ""
    hint = why_unreachable(str(said))[1] or "`provision preflight` tells why for each host"
    return {"reached": False, "problems": [problem("reachable", f"no host of the site answers{reason}", hint)]}


def vip(site: Data, hosts: Hosts) -> Row:
    """Who holds the VIP; more than one holder means that the balancers do not see each other."""
    holders = sorted(name for name, host in hosts.items() if host and host["vip_held"])
    return {"address": site["vip"], "holder": ", ".join(holders), "holders_count": len(holders)}


def versions(nodes: Iterable[Data], cluster: Data) -> dict[str, str]:
    """The versions that run; several of one kind are joined, the lowest first."""

    def joined(values: Iterable[str]) -> str:
        return ", ".join(sorted({value for value in values if value}))

    found = {
        "kubernetes": joined(row["version"].lstrip("v") for row in cluster.get("components", [])),
        "kubelet": joined(node["version"].lstrip("v") for node in nodes),
        "containerd": joined(node["runtime"].split("://")[-1].lstrip("v") for node in nodes),
        "etcd": joined(member["version"] for member in cluster.get("etcd", {}).get("members", [])),
    }
    return {name: version for name, version in found.items() if version}


def drift(site: Data, hosts: Hosts, nodes: Iterable[Data]) -> list[Row]:
    """What differs from the site: [{host, what}]."""
    there = {node["name"]: node for node in nodes}
    wanted = {node["name"]: node for node in site["nodes"]}
    rows = [{"host": name, "what": "is in the site and no node of the cluster"} for name in wanted if name not in there]
    rows += [
        {"host": name, "what": "is a node of the cluster and not in the site"} for name in there if name not in wanted
    ]
    for name in sorted(set(wanted) & set(there)):
        rows += [{"host": name, "what": what} for what in node_drift(site, wanted[name], there[name])]
    for name, host in without_strangers(site, hosts, nodes).items():
        stopped = [f"{unit} is {state}" for unit, state in (host or {}).get("units", {}).items() if state != "active"]
        rows += [{"host": name, "what": what} for what in [*stopped, *(host or {}).get("changes", [])]]
    return rows


def without_strangers(site: Data, hosts: Hosts, nodes: Iterable[Data]) -> Hosts:
    """The hosts without those that should be nodes and are none: nothing is meant to run there yet, or any more."""
    there = {node["name"] for node in nodes}
    strangers = {node["host"] for node in site["nodes"] if there and node["name"] not in there}
    return {name: host for name, host in hosts.items() if host is None or name not in strangers}


def node_drift(site: Data, wanted: Data, node: Data) -> list[str]:
    """What of one node differs from the site, a line each."""
    lines = []
    if node["version"].lstrip("v") != site["version"]:
        lines.append(f"runs Kubernetes {node['version'].lstrip('v')}, the site says {site['version']}")
    if wanted["control_plane"] != ("control-plane" in node["roles"]):
        lines.append(
            "is a control plane in the site alone"
            if wanted["control_plane"]
            else "is a control plane in the cluster alone"
        )
    labels = wanted.get("labels", {})
    lines += [f"lacks the label {key}={labels[key]}" for key in labels if node["labels"].get(key) != labels[key]]
    lines += [f"lacks the taint {taint}" for taint in wanted.get("taints", []) if taint not in node["taints"]]
    return lines


def taint_text(taint: Data) -> str:
    """A taint as kubectl writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def backup(site: Data, hosts: Hosts) -> Row:
    """The newest backup that a host holds: {age_hours, host, interval_hours}; an age of None is none at all."""
    ages = {name: host.get("backup_age_hours") for name, host in hosts.items() if host}
    held = {name: age for name, age in ages.items() if age is not None}
    name = min(held, key=lambda each: held[each], default="")
    return {
        "age_hours": held.get(name),
        "host": name,
        "interval_hours": int(site.get("backup_interval_hours") or 0),
    }


def backup_problems(found: Data) -> list[Row]:
    """A schedule that is not kept: nothing for twice its interval."""
    interval, age = found["interval_hours"], found["age_hours"]
    if not interval or (age is not None and age <= 2 * interval):
        return []
    words = "no control plane holds a backup" if age is None else f"the newest backup is {age:.0f} hours old"
    hint = "journalctl -u provision-backup on the control planes tells why; `provision backup` makes one now"
    return [problem("backup", f"{words}, one is due every {interval} hours", hint)]


def problem(check: str, message: str, hint: str = "") -> Row:
    """One entry of `problems`."""
    return {"check": check, "message": message, "hint": hint}


def problems(site: Data, hosts: Hosts, cluster: Data, status: Data) -> list[Row]:
    """Everything that somebody has to do something about."""
    return [
        *host_problems(without_strangers(site, hosts, status["nodes"])),
        *api_problems(cluster, status),
        *node_problems(site, status["nodes"], hosts),
        *vip_problems(status.get("vip")),
        *etcd_problems(status["etcd"]),
        *certificates.problems(status["certificates"]),
        *backup_problems(status["backup"]),
    ]


def host_problems(hosts: Hosts) -> list[Row]:
    """Hosts that do not answer, and units that should run."""
    rows = []
    for name, host in hosts.items():
        if host is None:
            rows.append(
                problem(
                    "reachable",
                    f"{name} does not answer over ssh",
                    "start it, or take it out of the site",
                )
            )
            continue
        for unit, state in host["units"].items():
            if state != "active":
                rows.append(
                    problem("unit", f"{unit} on {name} is {state}", f"journalctl -u {unit} on {name} tells why")
                )
        rows += [problem("changed", f"{what} on {name}", put_back(what)) for what in host.get("changes", [])]
    return rows


def put_back(what: str) -> str:
    """What helps against a change by hand."""
    if " is changed by " in what:
        return "remove that file, then systemctl daemon-reload and restart the unit there"
    return "`provision cluster` puts it back; to keep it, set it in the site (provision explain NAME)"


def api_problems(cluster: Data, status: Data) -> list[Row]:
    """The API, and the parts of the control plane."""
    if not cluster:
        return [problem("api", "no control plane could be asked")]
    api = status["api"]
    rows = [] if api["ready"] else [problem("api", f"the API does not answer: {api.get('reason', '')}")]
    parts = [part for part in cluster.get("components", []) if not part["ready"]]
    return rows + [problem("control plane", f"{part['name']} on {part['node']} is not ready") for part in parts]


def node_problems(site: Data, nodes: Iterable[Data], hosts: Hosts) -> list[Row]:
    """Nodes that are missing or not ready; a host that is known to be dead is not told twice."""
    if not nodes:
        return []
    there = {node["name"] for node in nodes}
    silent = {node["name"] for node in site["nodes"] if hosts.get(node["host"]) is None}
    missing = [
        problem(
            "node",
            f"{node['name']} is no node of the cluster",
            "`provision node add` or `provision cluster` joins it; if it was removed, delete its line from the site",
        )
        for node in site["nodes"]
        if node["name"] not in there
    ]
    ill = [node for node in nodes if not node["ready"] and node["name"] not in silent]
    return missing + [problem("node", f"{node['name']} is not ready: {node['reason']}") for node in ill]


def vip_problems(vip_status: Data | None) -> list[Row]:
    """Nobody or several hold the VIP."""
    if not vip_status or vip_status["holders_count"] == 1:
        return []
    if vip_status["holders_count"] == 0:
        return [problem("vip", f"no host holds {vip_status['address']}", "look at keepalived on the load balancers")]
    return [
        problem(
            "vip",
            f"several hosts hold {vip_status['address']}: {vip_status['holder']}",
            "they do not see each other's VRRP",
        )
    ]


def etcd_problems(etcd: Data) -> list[Row]:
    """Members that are ill, alarms, no leader, and a database near its limit."""
    members = etcd.get("members", [])
    rows = [
        problem("etcd", f"{member['name']} ({member['address']}) is not healthy: {member['reason']}")
        for member in members
        if not member["healthy"]
    ]
    rows += [
        problem("etcd", f"alarm {alarm}", "free space, then disarm it with etcdctl") for alarm in etcd.get("alarms", [])
    ]
    if members and not etcd.get("leader"):
        rows.append(problem("etcd", "the members have no leader"))
    if etcd.get("db_size", 0) > ETCD_SIZE_WARNING:
        rows.append(
            problem("etcd", f"the database has {etcd['db_size'] // 1024**2} MiB", "defragment it, or raise its quota")
        )
    return rows
