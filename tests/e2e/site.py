"""A site on sandbox nodes, as an operator sees it: the `provision` command, ssh to its hosts, kubectl."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import testinfra
import yaml

from provision import paths, sandbox
from provision.catalog import load as load_catalog
from provision.inventory import load

ROOT = Path(__file__).parents[2]
KUBECONFIG = "/etc/kubernetes/admin.conf"
ETCDCTL = (
    "etcdctl --cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/healthcheck-client.crt"
    " --key /etc/etcd/pki/healthcheck-client.key"
)


@dataclass(frozen=True)
class Call:
    """How a call of the command ended. `seconds` is the whole time that a user waits."""

    code: int
    document: Mapping[str, Any]
    text: str
    seconds: float

    @property
    def changes(self) -> list[Mapping[str, Any]]:
        """What was changed, or in a plan: would be."""
        return list(self.document["changes"])

    @property
    def changed_hosts(self) -> set[str]:
        """The hosts with changes, by name."""
        return {change["host"] for change in self.changes}

    @property
    def failures(self) -> str:
        """All that failed, with the problems that were found, as text."""
        return json.dumps(self.document.get("failures"), indent=1)


def provision(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Call:
    """Runs the command as a user would, with its answer as JSON."""
    command = [sys.executable, "-m", "provision", *map(str, arguments), "--output", "json"]
    inherited = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", **(environment or {})}
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=inherited)
    seconds = time.monotonic() - started
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = {}
    return Call(done.returncode, document, f"{done.stdout}\n{done.stderr}", seconds)


def free_network() -> str:
    """The first three numbers of a /24 that this machine does not use: that of the examples where it is free."""
    addresses = subprocess.run(["ip", "-oneline", "address"], capture_output=True, text=True, check=True).stdout
    # A sandbox that somebody broke off has its network still, while no node is in it.
    used = " ".join([addresses, *(known.network.subnet for known in sandbox.load_all())])
    return next(f"10.{number}.0" for number in range(77, 100) if f" 10.{number}.0." not in used)


def eventually(check: Callable[[], object], *, seconds: float, every: float = 1.0) -> None:
    """Repeat a check until it passes; its last failure is raised after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            check()
        except (AssertionError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(every)
        else:
            return


def image(name: str, version: str = "") -> str:
    """The reference of an image that a bundle of the version, by default the newest, carries."""
    catalog = load_catalog()
    return next(each.ref for each in catalog.images(version or catalog.default_version) if each.name == name)


def _known_to(record: sandbox.Sandbox) -> list[str]:
    return ["-o", f"UserKnownHostsFile={record.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null"]


class Site:
    """One inventory with its sandbox."""

    def __init__(self, directory: Path, inventory: str, settings: Mapping[str, Any] | None = None) -> None:
        """Write the site; example addresses (10.77.0.*) are moved to a free network, `settings` stay until `settle`."""
        self.network = free_network()
        self.file = directory / "site.ini"
        self._settings_file = directory / "group_vars/all.yml"
        self._settings_file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(inventory.replace("10.77.0", self.network))
        self._hosts: dict[str, Any] = {}
        self.settle(settings or {})

    def settle(self, settings: Mapping[str, Any]) -> None:
        """Make these the site's lasting settings beside those of its inventory file."""
        self._settings = dict(settings)
        self.set({})

    def set(self, settings: Mapping[str, Any]) -> None:
        """Add these to the site's lasting settings, instead of what the last call added."""
        self._settings_file.write_text(yaml.safe_dump({**self._settings, **settings}))

    def write_host(self, group: str, name: str, number: int, variables: str = "") -> None:
        """Write a host's line at the top of its group, which is made when the inventory has none."""
        address = f"{self.network}.{number}"
        line = f"{name} ansible_host={address} ip={address} {variables}".strip()
        text = self.file.read_text()
        header = f"[{group}]\n"
        self.file.write_text(
            text.replace(header, f"{header}{line}\n") if header in text else f"{text}\n{header}{line}\n"
        )

    def delete_lines(self, hosts: str) -> None:
        """Delete the lines that begin with one of these names, as `node remove` says to."""
        kept = [line for line in self.file.read_text().splitlines() if line.split(" ")[0] not in hosts.split()]
        self.file.write_text("\n".join(kept) + "\n")

    def provision(self, *arguments: str | Path) -> Call:
        """Run a command on this site."""
        return provision(*arguments, "-i", self.file)

    def interrupt(self, *arguments: str, after: str) -> int:
        """Run a command on this site, press Ctrl-C when it has told of this phase, and return its exit code."""
        command = [sys.executable, "-m", "provision", *arguments, "-i", str(self.file)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
            assert running.stdout is not None
            for line in running.stdout:
                if line.startswith(after):
                    running.send_signal(signal.SIGINT)
                    break
            running.stdout.read()
        return running.returncode

    def up(self, *arguments: str | Path) -> None:
        """Make the nodes, or make what is missing of them."""
        made = self.provision("sandbox", "up", *arguments)
        assert made.code == 0, made.text

    def down(self) -> None:
        """Remove the nodes."""
        removed = self.provision("sandbox", "down")
        assert removed.code == 0, removed.text

    @property
    def overlay(self) -> Path:
        """The inventory file that leads to the nodes."""
        found = sandbox.overlay_for(self.file)
        assert found is not None
        return found

    @property
    def version(self) -> str:
        """The version of Kubernetes that the site asks for."""
        return str(self._settings.get("cluster_version", load_catalog().default_version))

    @property
    def names(self) -> tuple[str, ...]:
        """All hosts."""
        return tuple(host.name for host in load(self.file).hosts)

    @property
    def control_planes(self) -> tuple[str, ...]:
        """The hosts that run the control plane."""
        return tuple(host.name for host in load(self.file).control_planes)

    def address(self, name: str) -> str:
        """A host's address."""
        return load(self.file).host(name).address

    def host(self, name: str) -> Any:
        """The host for testinfra, over the sandbox's ssh."""
        if name not in self._hosts:
            record, node = sandbox.find_node(self.file, name)
            self._hosts[name] = testinfra.get_host(
                f"ssh://root@{node.address}",
                ssh_config="/dev/null",
                ssh_identity_file=str(record.key),
                ssh_extra_args=shlex.join(_known_to(record)),
                controlpersist=0,
                timeout=60,  # a busy machine's sshd may be late
            )
        return self._hosts[name]

    def run(self, name: str, command: str) -> str:
        """A command's output on a host; it must succeed."""
        done = self.host(name).run(command)
        assert done.rc == 0, f"{name}: {command}: {done.stderr or done.stdout}"
        return str(done.stdout)

    def copy(self, name: str, file: Path, directory: str) -> None:
        """Copy a file of this machine to a host."""
        record, node = sandbox.find_node(self.file, name)
        command = ["scp", "-q", "-F", "/dev/null", "-i", str(record.key), *_known_to(record), str(file)]
        subprocess.run([*command, f"root@{node.address}:{directory}"], check=True)

    def kubectl(self, arguments: str, *, on: str | None = None, document: str = "") -> str:
        """kubectl through the API's own name, from a control plane; `document` is given to it as input."""
        command = f"kubectl --kubeconfig {KUBECONFIG} {arguments}"
        if document:
            command = f"kubectl --kubeconfig {KUBECONFIG} {arguments} <<'END'\n{document}\nEND"
        return self.run(on or self.control_planes[0], command)

    def kill(self, name: str) -> None:
        """Pull a host's plug."""
        sandbox.kill_node(self.file, name)

    @contextmanager
    def overlay_with(self, host: str, **values: object) -> Iterator[None]:
        """Change what the sandbox says of a host for a while."""
        file, before = self.overlay, self.overlay.read_text()
        data = yaml.safe_load(before)
        data["all"]["hosts"][host].update(values)
        file.write_text(yaml.safe_dump(data))
        try:
            yield
        finally:
            file.write_text(before)


def new_site(name: str, inventory: str, settings: Mapping[str, Any] | None = None) -> Site:
    """A site in the user's state directory, where a broken-off test's nodes are found and removed the next time."""
    directory = paths.state_home() / "e2e" / name
    old = directory / "site.ini"
    if old.exists():
        removed = provision("sandbox", "down", "-i", old)
        assert removed.code == 0, removed.text
        shutil.rmtree(directory)
    return Site(directory, inventory, settings)
