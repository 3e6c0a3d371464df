"""The objects of a drill: a namespace with two pods behind a Service, and what its one user may do in it."""

from __future__ import annotations

from ansible.module_utils import probe_pods  # type: ignore[attr-defined]

LABELS = {"app.kubernetes.io/managed-by": "provision", "app.kubernetes.io/component": "drill"}
# Pods leave a dead node as soon as the cluster calls it dead: the five minutes that others wait are no news.
PATIENCE = 1


def selector():
    """The labels as a query."""
    return ",".join(f"{key}={value}" for key, value in LABELS.items()).replace("/", "%2F").replace("=", "%3D")


def objects(name, image, count, node, spare):
    """[(path of the collection, object)] in the order in which they are made."""
    inside = f"/api/v1/namespaces/{name}"
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}"
    note = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"beat": ""}}
    return [
        ("/api/v1/namespaces", namespace(name)),
        (f"{inside}/services", service()),
        (f"{inside}/serviceaccounts", probe_pods.account()),
        (f"{inside}/configmaps", note),
        (f"{rbac}/roles", role()),
        (f"{rbac}/rolebindings", binding(name)),
        (f"/apis/apps/v1/namespaces/{name}/deployments", deployment(image, count, node, spare)),
    ]


def namespace(name):
    """The namespace that holds everything; its pods meet the strictest pod security standard."""
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service():
    """A Service with a port on every node."""
    spec = {"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": probe_pods.PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "answer"}, "spec": spec}


def role():
    """Read and write one object, and see the drill's pods: no more."""
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["note"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "measure"},
        "rules": rules,
    }


def binding(user):
    """The role for the user of the certificate."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "measure"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "measure"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": user}],
    }


def deployment(image, count, node, spare):
    """`count` pods on different nodes: one on `node` if it can be, none on `spare`."""
    pod = probe_pods.daemon_set(image)["spec"]["template"]["spec"]
    soon = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE}
    pod["tolerations"] = [
        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
        *({**soon, "key": f"node.kubernetes.io/{key}"} for key in ("not-ready", "unreachable")),
    ]
    pod["affinity"] = affinity(node, spare)
    pod["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/hostname", "port": probe_pods.PORT},
        "periodSeconds": 1,
    }
    spec = {
        "replicas": count,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "answer"}, "spec": spec}


def affinity(node, spare):
    """Never two on one node; drawn to `node`, kept from `spare`."""
    apart = {"labelSelector": {"matchLabels": LABELS}, "topologyKey": "kubernetes.io/hostname"}
    rules = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    places = {}
    if node:
        places["preferredDuringSchedulingIgnoredDuringExecution"] = [{"weight": 100, "preference": named("In", node)}]
    if spare:
        places["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [named("NotIn", spare)]}
    return {**rules, "nodeAffinity": places} if places else rules


def named(operator, node):
    """A term about a node's name."""
    return {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": operator, "values": [node]}]}
