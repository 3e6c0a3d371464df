"""The machines of a Molecule scenario, as its checks see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

from provision.inventory import load


class Machines:
    """The machines of the scenario, by name or by group."""

    def __init__(self, inventory: str, reached_by: str) -> None:
        self.site = load(Path(inventory))
        self._runner = AnsibleRunner(reached_by)

    def __getitem__(self, name: str) -> Host:
        host = self._runner.get_host(name)
        assert host is not None, name
        return host

    def group(self, group: str) -> dict[str, Host]:
        """The machines of a group by their names, in the order of the inventory."""
        return {host.name: self[host.name] for host in self.site.hosts if group in host.groups}

    def address(self, name: str) -> str:
        """A machine's own address."""
        return self.site.host(name).address

    def run(self, name: str, command: str) -> str:
        """What a command prints on a machine; it must succeed."""
        done = self[name].run(command)
        assert done.rc == 0, f"{name}: {command}: {done.stderr or done.stdout}"
        return str(done.stdout)

    def kubectl(self, name: str, arguments: str) -> Any:
        """What kubectl answers on a control plane, read as JSON."""
        # What it remembers of the API server is none of the role's files.
        command = "kubectl --cache-dir /tmp/kubectl --kubeconfig /etc/kubernetes/admin.conf"
        return json.loads(self.run(name, f"{command} {arguments} --output json"))

    def ready_nodes(self, name: str) -> set[str]:
        """The nodes of the cluster that are ready, asked on a control plane."""
        return {
            node["metadata"]["name"]
            for node in self.kubectl(name, "get nodes")["items"]
            for condition in node["status"]["conditions"]
            if (condition["type"], condition["status"]) == ("Ready", "True")
        }
