"""What the modules around kubeadm share: running it, asking the API server, waiting for a static pod."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from ansible.module_utils.kube_client import ApiError, KubeClient  # type: ignore[import-not-found]

KUBERNETES = "/etc/kubernetes"
PKI = f"{KUBERNETES}/pki"
ADMIN = f"{KUBERNETES}/admin.conf"
# Written when a control plane works, with the configuration that it works with: who has it is a member.
APPLIED = f"{KUBERNETES}/provision/kubeadm.yaml"
RUN = "/run/provision"
# What kubectl and helm remember of an API server would else stay in root's home, even after a plan.
KUBECTL_ENVIRONMENT = {"KUBECACHEDIR": f"{RUN}/kubectl"}
API_PORT = 6443


class KubeadmError(Exception):
    """Something that the operator must know, in the tool's own last words."""


@contextlib.contextmanager
def private_directory():
    """A directory in memory that only root reads and that is gone afterwards."""
    os.makedirs(RUN, mode=0o755, exist_ok=True)
    path = tempfile.mkdtemp(prefix="kubeadm-", dir=RUN)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_private(directory, name, text):
    """Write `text` into `directory`, readable by root alone, and return its path."""
    path = os.path.join(directory, name)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    return path


def run(*words, data=None, env=None, timeout=600):
    """Run a program and return its output; raises KubeadmError with its last words."""
    try:
        done = subprocess.run(
            words,
            input=data,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise KubeadmError(f"{words[0]} is not installed on this node") from error
    except subprocess.TimeoutExpired as error:
        raise KubeadmError(f"`{' '.join(words[:4])}` did not end within {timeout} s") from error
    if done.returncode != 0:
        said = "\n".join(line for line in (done.stderr.strip() or done.stdout.strip()).splitlines() if line.strip())
        raise KubeadmError(f"`{' '.join(words[:4])}` ended with {done.returncode}: {said[-1500:]}")
    return done.stdout


def kubectl(*words, data=None, server="", kubeconfig=ADMIN):
    """Run kubectl; `server` (host or host:port) asks this API server itself, without the balancer in between."""
    address = ["--server", f"https://{endpoint(server)}"] if server else []
    command = ["kubectl", "--kubeconfig", kubeconfig, *address, "--request-timeout", "20s", *words]
    return run(*command, data=data, env=KUBECTL_ENVIRONMENT, timeout=120)


def api_get(path, server):
    """Read an object or a list from the API server at `server` itself; None when it does not exist."""
    try:
        client = KubeClient(ADMIN, timeout=20)
        client.address = (server, API_PORT)
        return client.get(path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise KubeadmError(f"the API server at {server}: {error}") from error
    except OSError as error:
        raise KubeadmError(f"the API server does not answer: {error}") from error


def config_map(name, server):
    """The data and annotations of a ConfigMap of kube-system as (dict, dict); both empty when there is none."""
    found = api_get(f"/api/v1/namespaces/kube-system/configmaps/{name}", server) or {}
    return found.get("data") or {}, found.get("metadata", {}).get("annotations") or {}


def nodes(server):
    """The Node objects of the cluster by name."""
    return {node["metadata"]["name"]: node for node in api_get("/api/v1/nodes", server)["items"]}


def is_ready(node):
    """Whether the node's kubelet works."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", []))


def endpoint(address, port=API_PORT):
    """Return host:port for an address, with brackets around IPv6; one that has a port already stays."""
    if address.count(":") > 1 and not address.startswith("["):
        return f"[{address}]:{port}"
    return address if ":" in address.rpartition("]")[2] else f"{address}:{port}"


def unanswered(url, verify=True, timeout=2):
    """Return None when `url` answers 200 (signed by the cluster's authority if `verify`), else why it does not."""
    try:
        context = ssl.create_default_context(cafile=f"{PKI}/ca.crt" if verify else None)
        if not verify:  # the controller manager and the scheduler sign their own certificate, on 127.0.0.1
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        urllib.request.urlopen(url, timeout=timeout, context=context).close()
    except (OSError, urllib.error.URLError, ValueError) as error:
        return str(error)
    return None


def wait_until(missing, timeout, pause=0.2):
    """Call `missing` until it returns None; returns the last reason when `timeout` seconds are over, else None."""
    limit = time.monotonic() + timeout
    reason = missing()
    while reason is not None and time.monotonic() < limit:
        time.sleep(pause)
        reason = missing()
    return reason


def processes(component):
    """The processes of a component on this host."""
    found = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as stream:  # it may have ended meanwhile
            if stream.read().strip() == component[:15]:
                found.append(int(path.split("/")[2]))
    return found


def started(component):
    """When the newest process of a component started, in seconds since the epoch; 0 when there is none."""
    newest = 0
    for process in processes(component):
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{process}/stat", encoding="utf-8") as stream:
            newest = max(newest, int(stream.read().rpartition(")")[2].split()[19]))
    if not newest:
        return 0
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + newest / os.sysconf("SC_CLK_TCK")


def last_words(component, lines=8):
    """The end of the newest container log of a static pod, for an error message."""
    logs = glob.glob(f"/var/log/pods/kube-system_{component}-*/{component}/*.log")
    if not logs:
        return f"{component} has written no log: is the kubelet running? (journalctl -u kubelet)"
    with open(max(logs, key=os.path.getmtime), encoding="utf-8", errors="replace") as stream:
        tail = [line.split(" ", 3)[-1].strip() for line in stream.readlines()[-lines:]]
    return "\n".join(tail)
