"""The pods with which the verification uses a cluster: one on each node, behind one Service."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlencode

from ansible.module_utils.cluster_checks import Unmet, each  # type: ignore[import-not-found]

LABELS = {"app.kubernetes.io/managed-by": "provision", "app.kubernetes.io/component": "verification"}
SELECTOR = ",".join(f"{key}={value}" for key, value in LABELS.items()).replace("/", "%2F").replace("=", "%3D")
NAME = "probe"
PORT = 8080
# Beyond this, every node asks this many others: the number of questions grows with the nodes, not with their square.
PEERS = 8


def namespace(name):
    """The namespace that holds everything; pods in it must meet the strictest pod security standard."""
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def account():
    """A service account of our own: the namespace's default one comes only after a while."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": NAME},
        "automountServiceAccountToken": False,
    }


def service():
    """The Service in front of the pods."""
    spec = {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}


def only_on(nodes):
    """An affinity to these nodes. The scheduler takes one name a field selector, so each node has a term of its own."""
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def daemon_set(image, nodes=None):
    """One pod a node, on control planes too; on `nodes` alone when they are given."""
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["netexec", f"--http-port={PORT}", "--udp-port=-1"],
        "ports": [{"containerPort": PORT}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        **({"affinity": only_on(nodes)} if nodes is not None else {}),
    }
    spec = {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": NAME, "labels": LABELS}, "spec": spec}


def create(kube, name, image, nodes=None):
    """Make the namespace with all that is in it; the Service first, so that its rules are there before the pods.

    The pods run on `nodes`, or without them, on every node of the cluster.
    """
    kube.create("/api/v1/namespaces", namespace(name))
    inside = f"/api/v1/namespaces/{name}"
    kube.create(f"{inside}/services", service())
    kube.create(f"{inside}/serviceaccounts", account())
    kube.create(f"/apis/apps/v1/namespaces/{name}/daemonsets", daemon_set(image, nodes))


def clean(kube):
    """Delete every namespace of this and of interrupted verifications, without waiting until they are gone."""
    for item in kube.get(f"/api/v1/namespaces?labelSelector={SELECTOR}")["items"]:
        if item["status"].get("phase") != "Terminating":
            kube.delete(f"/api/v1/namespaces/{item['metadata']['name']}")


def ailment(pod):
    """Why a pod does not run, in its own words, or ""."""
    status = pod.get("status", {})
    if status.get("phase") == "Running" and status.get("podIP"):
        return ""
    for container in status.get("containerStatuses", []):
        state = container.get("state", {})
        told = state.get("waiting") or state.get("terminated") or {}
        if told.get("reason") not in (None, "ContainerCreating"):
            return f"{told['reason']}: {told.get('message', '')}".strip(": ")
    unmet = [c for c in status.get("conditions", []) if c.get("status") != "True" and c.get("message")]
    return unmet[0]["message"] if unmet else f"still {status.get('phase', 'Pending')}"


def running(kube, name, wanted):
    """{node: pod address} when a pod runs on every wanted node; raises Unmet with the nodes that lack one."""
    pods = kube.get(f"/api/v1/namespaces/{name}/pods?labelSelector={SELECTOR}")["items"]
    by_node = {pod["spec"].get("nodeName", ""): pod for pod in pods}
    lines = [
        f"{node}: {ailment(by_node[node]) if node in by_node else 'no pod was placed on it'}"
        for node in wanted
        if node not in by_node or ailment(by_node[node])
    ]
    if lines:
        raise Unmet("; ".join(lines + warnings(kube, name)))
    return {node: by_node[node]["status"]["podIP"] for node in wanted}


def warnings(kube, name):
    """The newest warnings that the cluster itself gave about the pods."""
    events = kube.get(f"/api/v1/namespaces/{name}/events?fieldSelector=type%3DWarning&limit=50")["items"]
    return list(dict.fromkeys(event.get("message", "") for event in events[-5:]))[-2:]


def dial(address, host, port, timeout=6):
    """Let the pod at `address` ask `host`:`port` for its name over HTTP. Raises Unmet with the pod's words."""
    query = urlencode({"host": host, "port": port, "protocol": "http", "request": "hostname", "tries": 1})
    connection = http.client.HTTPConnection(address, PORT, timeout=timeout)
    try:
        connection.request("GET", f"/dial?{query}")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unmet(f"its pod {address} cannot be reached from here: {error}") from error
    finally:
        connection.close()
    if not answer.get("responses"):
        raise Unmet("; ".join(answer.get("errors", [])) or "no answer")
    return answer["responses"][0]


def journeys(addresses):
    """(from node, to node) for every pair, or for a ring of PEERS neighbours in a large cluster."""
    nodes = sorted(addresses)
    reach = min(len(nodes) - 1, PEERS)
    return [
        (node, nodes[(place + step) % len(nodes)]) for place, node in enumerate(nodes) for step in range(1, reach + 1)
    ]


def check_service(addresses, host):
    """The pod of every node reaches the Service by its name."""
    results = each(lambda node: dial(addresses[node], host, 80), sorted(addresses))
    lines = [f"{node}: {result}" for node, result in results if isinstance(result, Exception)]
    if lines:
        raise Unmet("; ".join(lines))
    return f"the pods of {len(addresses)} nodes reach http://{host}"


def check_paths(addresses):
    """The pod of every node reaches the pods of other nodes."""
    pairs = journeys(addresses)
    results = each(lambda pair: dial(addresses[pair[0]], addresses[pair[1]], PORT), pairs)
    lines = [f"{pair[0]} to {pair[1]}: {result}" for pair, result in results if isinstance(result, Exception)]
    if lines:
        raise Unmet("; ".join(lines[:10]) + (f"; and {len(lines) - 10} more" if len(lines) > 10 else ""))
    return f"{len(pairs)} paths between pods of {len(addresses)} nodes work" if pairs else "one node, no other to reach"
