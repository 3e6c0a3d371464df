"""Questions that a living cluster must answer; used by the verification and by the status.

Each check returns a line that tells what it saw, or raises Unmet with what is wrong and on which node.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.kube_client import (  # type: ignore[import-not-found]
    ApiError,
    JsonClient,
    tls_context,
)

# Where a host may have a client pair for etcd: a member has the first, another control plane the second.
ETCD_CLIENT_PAIRS = (
    ("/etc/etcd/pki/ca.crt", "/etc/etcd/pki/healthcheck-client"),
    ("/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/apiserver-etcd-client"),
    ("/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/healthcheck-client"),
)


class Unmet(Exception):
    """What a check wants does not hold (yet)."""


def until(check, limit, pause=0.15):
    """Repeat `check` until it passes; raise its last reason when the monotonic time `limit` is over."""
    while True:
        try:
            return check()
        except (Unmet, ApiError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
        if time.monotonic() + pause > limit:
            raise Unmet(reason)
        time.sleep(pause)


def outcome(name, check, limit):
    """Run one check to its end: {name, ok, detail, seconds}."""
    start = time.monotonic()
    try:
        ok, detail = True, until(check, limit)
    except Unmet as error:
        ok, detail = False, str(error)
    return {"name": name, "ok": ok, "detail": detail, "seconds": round(time.monotonic() - start, 2)}


def together(checks, limit):
    """Run named checks at the same time; their outcomes in the order given."""
    with ThreadPoolExecutor(max_workers=max(1, len(checks))) as pool:
        return list(pool.map(lambda item: outcome(item[0], item[1], limit), checks))


def each(function, items, workers=16):
    """Apply `function` to all items at the same time; [(item, result or the exception)]."""

    def safe(item):
        try:
            return item, function(item)
        except (Unmet, ApiError, OSError, ValueError) as error:
            return item, error

    items = list(items)
    with ThreadPoolExecutor(max_workers=min(workers, len(items) or 1)) as pool:
        return list(pool.map(safe, items))


def condition(node, kind):
    """The condition `kind` of an object, or an empty dict."""
    return next((entry for entry in node.get("status", {}).get("conditions", []) if entry["type"] == kind), {})


def node_problems(nodes, wanted):
    """A line for each wanted node that is missing or not Ready; `nodes` are Node objects."""
    found = {node["metadata"]["name"]: node for node in nodes}
    lines = [f"{name} is no node of the cluster" for name in wanted if name not in found]
    for name in wanted:
        ready = condition(found[name], "Ready") if name in found else {"status": "True"}
        if ready.get("status") != "True":
            lines.append(
                f"{name} is not ready: {ready.get('message') or ready.get('reason') or 'the kubelet has not reported'}"
            )
    return lines


def check_nodes(kube, wanted):
    """Every wanted node is Ready."""
    lines = node_problems(kube.get("/api/v1/nodes")["items"], wanted)
    if lines:
        raise Unmet("; ".join(lines))
    return f"{len(wanted)} nodes are ready"


def static_pods(kube):
    """The control plane's static pods as the API shows them: rows of name (of the component), node, version, ready."""
    pods = kube.get("/api/v1/namespaces/kube-system/pods?labelSelector=tier%3Dcontrol-plane")["items"]
    return [
        {
            "name": pod["metadata"]["labels"].get("component", pod["metadata"]["name"]),
            "node": pod["spec"].get("nodeName", ""),
            "version": pod["spec"]["containers"][0]["image"].split("@")[0].rsplit(":", 1)[-1],
            "ready": condition(pod, "Ready").get("status") == "True",
        }
        for pod in pods
    ]


def check_static_pods(kube, nodes):
    """Each part of the control plane is Ready, on those of `nodes` that have any."""
    pods = [pod for pod in static_pods(kube) if pod["node"] in nodes]
    ill = ["{name} on {node} is not ready".format(**pod) for pod in pods if not pod["ready"]]
    if ill:
        raise Unmet("; ".join(ill))
    return f"{len(pods)} static pods are ready"


def check_ready(kube):
    """The API says that it is ready, through the address that every client uses."""
    kube.get("/readyz")
    return "https://{}:{}/readyz answers".format(*kube.address)


def etcd_client(address, pairs=ETCD_CLIENT_PAIRS, port=2379):
    """A client of one etcd member, with the pair that this host has; raises Unmet when it has none."""
    for authority, stem in pairs:
        files = [authority, stem + ".crt", stem + ".key"]
        if all(os.path.exists(path) for path in files):
            parts = []
            for path in files:
                with open(path, "rb") as stream:
                    parts.append(stream.read())
            return JsonClient(address, port, tls_context(parts[0], parts[1] + b"\n" + parts[2]))
    raise Unmet("this host has no client certificate for etcd")


def etcd_health(address):
    """True when the member at `address` takes part: its answer needs a quorum. Raises with the reason else."""
    answer = etcd_client(address).request("GET", "/health")
    if str(answer.get("health")).lower() != "true":
        raise Unmet(answer.get("reason") or "says that it is not healthy")
    return True


def check_etcd(members):
    """Every etcd member [{name, address}] is healthy."""
    results = each(lambda member: etcd_health(member["address"]), members)
    lines = [f"{member['name']} ({member['address']}): {result}" for member, result in results if result is not True]
    if lines:
        raise Unmet("; ".join(lines))
    return f"{len(members)} members are healthy"


def dns_question(name, number):
    """The bytes of a query for the IPv4 address of `name`."""
    labels = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def resolve(server, name, timeout=1.0, port=53):
    """Ask one DNS server for the address of `name` over UDP; raise Unmet when it has no answer."""
    number = random.getrandbits(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        udp.connect((server, port))
        udp.send(dns_question(name, number))
        try:
            answer = udp.recv(4096)
        except socket.timeout as error:
            raise Unmet(f"{server} does not answer within {timeout:g} s") from error
    if len(answer) < 12:
        raise Unmet(f"{server} gave a broken answer")
    got, flags, _, count = struct.unpack(">HHHH", answer[:8])
    if got != number or flags & 0xF or not count:
        raise Unmet(f"{server} does not know {name} (code {flags & 0xF}, {count} answers)")
    return True


def lost_pods(kube, namespace, selector, nodes):
    """How many of the pods with these labels {key: value} are on no node of `nodes`."""
    labels = "%2C".join(f"{key}%3D{value}" for key, value in selector.items())
    pods = kube.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={labels}")["items"]
    return sum(pod["spec"].get("nodeName", "") not in nodes for pod in pods)


def check_rollout(kube, namespace, name, nodes):
    """A Deployment runs all its pods in their newest form; those on nodes that are not in `nodes` may be lost."""
    found = kube.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    wanted, status = found["spec"]["replicas"], found.get("status", {})
    fresh = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
    counts = [status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas")]
    selector = found["spec"]["selector"]["matchLabels"]
    if fresh and counts[0] == wanted > counts[1] > 0:
        counts[1] += lost_pods(kube, namespace, selector, nodes)
    if not fresh or counts[0] != wanted or counts[1] < wanted or counts[2] != wanted:
        raise Unmet("{}: {} wanted, {} new, {} available, {} in all".format(name, wanted, *counts))


def check_dns(kube, server, domain, nodes):
    """CoreDNS runs as it should, and answers through its Service, so kube-proxy's rules work on this host too."""
    name = f"kubernetes.default.svc.{domain}"
    check_rollout(kube, "kube-system", "coredns", nodes)
    resolve(server, name)
    return f"{server} knows {name}"
