#!/usr/bin/python
"""Make this host a control plane and keep it as its configuration says; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_control_plane
short_description: Make this host a control plane, or bring a control plane to a changed configuration
description:
  - All control planes have the cluster's authorities before they start, and etcd runs beside them. So each one is
    brought up by the same phases of C(kubeadm init), all at the same time, and none waits for a first one. What
    belongs to the cluster and not to a host (the kubeadm ConfigMaps, kube-proxy, the rules for joining) is the work
    of M(kubeadm_publish).
  - A half-finished bring-up is gone through again; authorities that exist stay.
  - On a member the static pods that the configuration asks for are compared with those that run. A changed one is
    replaced, waited for, and put back when it does not come up. Run the task with C(throttle=1), since other control
    planes must be ready before one is touched.
options:
  config:
    description: "kubeadm's InitConfiguration and ClusterConfiguration as YAML, without secrets."
    type: str
    required: true
  address: {description: Where the API server of this host answers., type: str, required: true}
  cert_sans: {description: Names and addresses that its certificate must hold., type: list, elements: str, default: []}
  attempt:
    description: Tells this run from others. A change that failed on one control plane is not tried on the next ones.
    type: str
    default: ""
  upgrade:
    description: Whether a member may be brought to another version of Kubernetes. Else that is refused.
    type: bool
    default: false
  peers: {description: Addresses of the other control planes., type: list, elements: str, default: []}
  timeout: {description: Seconds to wait for a component., type: int, default: 120}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: provision
"""

EXAMPLES = r"""
- name: Run the control plane
  kubeadm_control_plane:
    config: "{{ __control_plane_config }}"
    address: 10.77.0.11
  throttle: 1
"""

RETURN = r"""
action:
  description: C(none), C(created), or what was replaced.
  type: str
  returned: always
"""

import contextlib
import glob
import hashlib
import json
import os
import secrets
import socket
import ssl

from ansible.module_utils.atomic import read, write  # type: ignore[import-not-found]
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubeadm import (  # type: ignore[import-not-found]
    API_PORT,
    APPLIED,
    KUBERNETES,
    PKI,
    KubeadmError,
    config_map,
    endpoint,
    kubectl,
    last_words,
    private_directory,
    run,
    started,
    unanswered,
    wait_until,
    write_private,
)

MANIFESTS = f"{KUBERNETES}/manifests"
PODS = "/var/lib/kubelet/pods"
# The static pods have 30 seconds to end, and the kubelet some to clean up.
GONE = 60
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SEAL = f"{APPLIED}.seal"
# On the ConfigMap kubeadm-config: the run and the control plane where a change failed.
FAILED = "provision/failed"
# Preflight is ours; etcd is no pod; the rest belongs to the cluster and is published once.
SKIPPED = "preflight,etcd,upload-config,upload-certs,bootstrap-token,addon,show-join-command"


class ControlPlane:
    """This host as a control plane."""

    def __init__(self, config, address, timeout):
        self.config, self.address, self.timeout = config, address, timeout

    def health(self, component):
        """Return None when the component works, else why not."""
        if component == "kube-apiserver":
            return unanswered(f"https://{endpoint(self.address)}/readyz")
        port = 10257 if component == "kube-controller-manager" else 10259
        return unanswered(f"https://127.0.0.1:{port}/healthz", verify=False)

    def kubeadm(self, *words, env=None):
        """Run kubeadm with the wanted configuration and our patches."""
        with private_directory() as directory, private_directory() as patches:
            for component, patch in self.patches().items():
                write_private(patches, f"{component}+strategic.json", patch)
            kind = "kind: InitConfiguration\n"
            config = self.config.replace(kind, f"{kind}patches: {{directory: {patches}}}\n", 1)
            return run("kubeadm", *words, "--config", write_private(directory, "kubeadm.yaml", config), env=env)

    def patches(self):
        """What the static pods have otherwise than kubeadm makes them, by component.

        The first look at kubeadm's pods comes after ten seconds, and until then they are not ready.
        """
        probe = {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": self.timeout}
        return {
            name: json.dumps({"spec": {"containers": [{"name": name, "startupProbe": probe}]}}) for name in COMPONENTS
        }

    def seal(self, manifests):
        """What tells that these manifests are what was asked for, and that nobody changed them since."""
        text = "\0".join((self.config, *self.patches().values(), *(manifests[name] for name in COMPONENTS)))
        return hashlib.sha256(text.encode()).hexdigest().encode()

    def create(self):
        """Bring the host up; what an earlier attempt left is made again, except the authorities.

        The kubelet's credentials stay as well: by them the host is known as ours when this is interrupted too.
        """
        left = {*glob.glob(f"{KUBERNETES}/*.conf"), *glob.glob(f"{PKI}/apiserver.*")} - {f"{KUBERNETES}/kubelet.conf"}
        for path in left:
            os.unlink(path)
        try:
            self.kubeadm("init", "--skip-phases", SKIPPED)
        except KubeadmError as error:
            raise KubeadmError(f"{error}\n{last_words('kube-apiserver')}") from error
        os.chmod("/var/lib/kubelet/config.yaml", 0o600)
        # It passes by RBAC and is needed no more; `kubeadm init phase kubeconfig super-admin` makes it again.
        os.unlink(f"{KUBERNETES}/super-admin.conf")
        self.wait("kube-apiserver", 0)

    def manifests(self):
        """The static pods as they are on this host, by component."""
        return {name: (read(manifest_path(name)) or b"").decode() for name in COMPONENTS}

    def wanted_manifests(self):
        """The static pods that the configuration asks for, by component."""
        with private_directory() as directory:
            self.kubeadm(
                "init", "phase", "control-plane", "all", "--dry-run", env={"KUBEADM_INIT_DRYRUN_DIR": directory}
            )
            return {name: (read(os.path.join(directory, f"{name}.yaml")) or b"").decode() for name in COMPONENTS}

    def replace(self, manifests):
        """Replace static pods at the same time and wait for the new ones; the old ones come back when one fails."""
        paths = {name: manifest_path(name) for name in manifests}
        before = {name: read(path) for name, path in paths.items()}
        self.hand_over(manifests)
        try:
            for name, path in paths.items():
                self.wait(name, os.stat(path).st_mtime)
        except KubeadmError:
            there = {name: text.decode() for name, text in before.items() if text is not None}
            self.hand_over(there)
            for name in there:
                wait_until(lambda name=name: self.health(name), self.timeout)
            raise

    def hand_over(self, manifests):
        """Give the kubelet other static pods, so that each starts as soon as the old one is gone.

        A pod that finds one of its name still there is looked at again after ten to fifteen seconds; one that comes
        when the old one is gone starts at once. So each is written twice; what stands in between would do as well.
        """
        old = [path for name in manifests for path in glob.glob(f"{PODS}/*/containers/{name}")]
        if old:
            for name, text in manifests.items():
                write(manifest_path(name), other_pod(text).encode(), 0o600, 0, 0)
            wait_until(lambda: "an old pod is there" if any(map(os.path.exists, old)) else None, GONE)
        for name, text in manifests.items():
            write(manifest_path(name), text.encode(), 0o600, 0, 0)

    def wait(self, component, since):
        """Wait until a process of the component that is younger than `since` (epoch) works."""

        def reason():
            return "its new pod has not started" if started(component) < since else self.health(component)

        said = wait_until(reason, self.timeout)
        if said:
            raise KubeadmError(f"{component} does not work after {self.timeout} s: {said}\n{last_words(component)}")

    def certificate_names(self):
        """Names and addresses in the certificate that the API server shows."""
        context = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
        plain = socket.create_connection((self.address, API_PORT), timeout=5)
        with context.wrap_socket(plain, server_hostname=self.address) as secured:
            return {value for _, value in secured.getpeercert()["subjectAltName"]}

    def renew_certificate(self):
        """Make the API server's certificate again; the API server sees the new file by itself."""
        for path in glob.glob(f"{PKI}/apiserver.*"):
            os.unlink(path)
        self.kubeadm("init", "phase", "certs", "apiserver")


def manifest_path(component):
    """Where the kubelet finds a static pod."""
    return os.path.join(MANIFESTS, f"{component}.yaml")


def other_pod(manifest):
    """A manifest of the same containers, and yet another pod: the kubelet tells them apart by their contents.

    It is another one each time: after an interruption an earlier one of these may be what runs.
    """
    return manifest.replace("metadata:\n", f"metadata:\n  generateName: next-{secrets.token_hex(4)}-\n", 1)


def unready(peers):
    """The other control planes that do not answer."""
    return [peer for peer in peers if unanswered(f"https://{endpoint(peer)}/readyz")]


def version_of(config):
    """The Kubernetes version that a configuration names."""
    return next(
        (line.split(":", 1)[1].strip() for line in config.splitlines() if line.startswith("kubernetesVersion:")), ""
    )


def lacking_names(plane, wanted):
    """The names that the API server's certificate lacks."""
    try:
        return sorted(set(wanted) - plane.certificate_names())
    except OSError:  # an API server that is down has other troubles, which the status tells
        return []


def warn_others(address, attempt):
    """Leave word for the control planes that come next in this run; without an API server they stop by themselves."""
    note = f"{FAILED}={attempt} on {address}"
    with contextlib.suppress(KubeadmError):
        kubectl("-n", "kube-system", "annotate", "--overwrite", "configmap/kubeadm-config", note, server=address)


def reconcile(module, plane, applied):
    """Bring a member to the wanted configuration; returns (what was done, diff)."""
    before, after = version_of(applied), version_of(plane.config)
    if before != after and not module.params["upgrade"]:
        raise KubeadmError(f"this control plane runs {before}, not {after}: provision upgrade --to {after.lstrip('v')}")
    if before != after and module.check_mode:  # the kubeadm that could tell more comes with the upgrade
        return list(COMPONENTS), [{"before": f"{before}\n", "after": f"{after}\n", "after_header": "control plane"}]
    current = plane.manifests()
    settled = applied == plane.config and read(SEAL) == plane.seal(current)
    # Asking kubeadm takes half a second of the processor, on every control plane and in every run.
    wanted = current if settled else plane.wanted_manifests()
    todo = [name for name in COMPONENTS if wanted[name] != current[name]]
    lacking = lacking_names(plane, module.params["cert_sans"])
    diff = [
        {"before_header": name, "after_header": name, "before": current[name], "after": wanted[name]} for name in todo
    ]
    if lacking:
        diff.append({"before": "", "after": "".join(f"certificate of the API server: {name}\n" for name in lacking)})
    if not module.check_mode:
        carry_out(plane, module.params, {name: wanted[name] for name in todo}, lacking)
        if applied != plane.config:
            for name in COMPONENTS:  # an earlier run may have been interrupted before it waited
                plane.wait(name, 0)
            write(APPLIED, plane.config.encode(), 0o600, 0, 0)
        if not settled:
            write(SEAL, plane.seal(wanted), 0o600, 0, 0)
    return [*todo, *(["certificate"] if lacking else [])], diff


def hindrance(address, peers, attempt):
    """Why this control plane must not be touched now, or None."""
    absent = unready(peers)
    if absent:
        return f"the API server on {', '.join(absent)} is not ready"
    failed = config_map("kubeadm-config", address)[1].get(FAILED, "").split(" on ")
    return f"the change failed on {failed[-1]}" if attempt and failed[0] == attempt else None


def carry_out(plane, params, manifests, lacking):
    """Replace the API server, then the two that only it serves, then the certificate if it lacks names."""
    reason = hindrance(plane.address, params["peers"], params["attempt"]) if manifests else None
    if reason:
        raise KubeadmError(f"nothing was changed here: {reason}")
    try:
        for names in (COMPONENTS[:1], COMPONENTS[1:]):
            plane.replace({name: manifests[name] for name in names if name in manifests})
    except KubeadmError:
        if params["attempt"]:
            warn_others(plane.address, params["attempt"])
        raise
    if lacking:
        plane.renew_certificate()


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "cert_sans": {"type": "list", "elements": "str", "default": []},
            "attempt": {"type": "str", "default": ""},
            "upgrade": {"type": "bool", "default": False},
            "peers": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    plane = ControlPlane(module.params["config"], module.params["address"], module.params["timeout"])
    applied = read(APPLIED)
    try:
        if applied is not None:
            done, diff = reconcile(module, plane, applied.decode())
            module.exit_json(changed=bool(done), action=", ".join(done) or "none", diff=diff)
        if not module.check_mode:
            plane.create()
            write(APPLIED, plane.config.encode(), 0o600, 0, 0)
            write(SEAL, plane.seal(plane.manifests()), 0o600, 0, 0)
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    diff = [{"before": "", "after": plane.config, "after_header": "control plane"}]
    module.exit_json(changed=True, action="created", diff=diff)


if __name__ == "__main__":
    main()
