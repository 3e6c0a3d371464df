"""`up` and `down` around an engine that only remembers: what is made, kept, recorded and removed."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
import yaml

from provision import cli, sandbox
from provision.errors import HostUnreachable, InvalidInput, PreflightRefused, UsageError
from provision.sandbox import checks, lifecycle, record, server, ssh
from provision.sandbox.engine import CONTAINER, Network, NodeSpec
from provision.sandbox.processes import started_at
from tests.unit.sites import write_site


class _Engine:
    """Nodes in a dictionary."""

    name = "podman"
    traits = CONTAINER

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.specs: list[NodeSpec] = []
        self.networks: set[str] = set()

    def check(self) -> None: ...

    def has_image(self, reference: str) -> bool:
        return True

    def import_image(self, tar: Path, reference: str) -> None: ...

    def create_network(self, network: Network) -> None:
        self.networks.add(network.name)

    def open_gateway(self, network: Network) -> None: ...

    def remove_network(self, name: str) -> None:
        self.networks.discard(name)

    def node_states(self) -> dict[str, str]:
        return dict(self.nodes)

    def run_node(self, node: NodeSpec) -> None:
        assert node.container not in self.nodes
        self.specs.append(node)
        self.nodes[node.container] = "running"

    def start_node(self, container: str) -> None:
        self.nodes[container] = "running"

    def kill_node(self, container: str) -> None:
        self.nodes[container] = "stopped"

    def remove_nodes(self, containers: list[str]) -> None:
        for container in containers:
            self.nodes.pop(container, None)

    def console(self, container: str) -> str:
        return f"look at {container}"

    def removal(self, containers: list[str], network: str) -> str:
        return f"remove {' '.join(containers)} {network}"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Engine:
    made = _Engine()
    monkeypatch.setenv("PROVISION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PROVISION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(lifecycle, "choose_engine", lambda _name: made)
    monkeypatch.setattr(ssh, "wait_booted", lambda *_, **__: "running")
    monkeypatch.setattr(checks, "_ip", lambda *_: [])
    monkeypatch.setattr(checks, "_available_memory", lambda: 1 << 20)
    monkeypatch.setattr(checks, "network_is_up", lambda _network: bool(made.networks))
    return made


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path, "ansible_user=admin")


def _up(site: Path) -> sandbox.Sandbox:
    return sandbox.up(site, with_bundle=False)


def test_up_makes_nodes_keys_and_a_record(engine: _Engine, site: Path) -> None:
    made = _up(site)

    assert made.ready
    assert made == sandbox.load(site)
    assert set(engine.nodes) == {node.container for node in made.nodes}
    assert stat.S_IMODE(made.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert [line.split()[0] for line in made.known_hosts.read_text().splitlines()] == ["192.0.2.11", "192.0.2.21"]
    for spec in engine.specs:
        assert (spec.identity / "authorized_keys").read_text() == made.key.with_name("id_ed25519.pub").read_text()
        assert (spec.identity / "ssh_host_ed25519_key").exists()


def test_a_second_up_changes_nothing(engine: _Engine, site: Path) -> None:
    first = _up(site)
    key, overlay = first.key.read_text(), first.overlay.read_text()

    assert _up(site) == first
    assert (first.key.read_text(), first.overlay.read_text()) == (key, overlay)
    assert len(engine.specs) == 2


def test_up_makes_what_is_missing_and_starts_what_is_off(engine: _Engine, site: Path) -> None:
    made = _up(site)
    engine.nodes[made.nodes[0].container] = "created"
    sandbox.kill_node(site, "node1")
    write_site(site.parent, hosts=f"{site.read_text()}\n[load_balancer]\nlb1 ansible_host=192.0.2.5\n")

    again = _up(site)

    assert [node.name for node in again.nodes] == ["lb1", "cp1", "node1"]
    assert set(engine.nodes.values()) == {"running"}
    assert {spec.hostname for spec in engine.specs[2:]} == {"cp1", "lb1"}


def test_a_node_is_killed_by_its_name(
    engine: _Engine, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = _up(site)
    monkeypatch.setattr(sys, "argv", ["provision", "sandbox", "kill", "node1", "-i", str(site)])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert not ended.value.code
    assert sandbox.node_states(made) == {"cp1": "running", "node1": "stopped"}
    assert f"provision sandbox up -i {site}" in capsys.readouterr().out


def test_down_leaves_nothing(engine: _Engine, site: Path) -> None:
    made = _up(site)
    engine.nodes["somebody-elses"] = "running"

    assert sandbox.down(site) is not None
    assert engine.nodes == {"somebody-elses": "running"}
    assert not engine.networks
    assert not made.directory.exists()
    assert not list(made.directory.parent.iterdir())
    assert sandbox.down(site) is None


def test_a_sandbox_outlives_its_site_and_can_be_removed(engine: _Engine, site: Path) -> None:
    made = _up(site)
    site.unlink()

    assert sandbox.down(site) is not None
    assert not engine.nodes
    assert not made.directory.exists()
    with pytest.raises(InvalidInput, match="does not exist"):
        sandbox.down(site)


def test_a_node_that_stays_silent_leaves_a_record_that_down_can_use(
    engine: _Engine, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object, **__: object) -> str:
        raise HostUnreachable("no answer")

    monkeypatch.setattr(ssh, "wait_booted", silent)
    with pytest.raises(HostUnreachable):
        _up(site)

    with pytest.raises(PreflightRefused, match="half made"):
        sandbox.overlay_for(site)
    sandbox.down(site)
    assert not engine.nodes


def test_a_site_without_sandbox_has_no_overlay(engine: _Engine, site: Path) -> None:
    assert sandbox.overlay_for(site) is None


def test_the_overlay_of_a_sandbox_that_was_switched_off_is_refused(engine: _Engine, site: Path) -> None:
    assert sandbox.overlay_for(site) is None
    made = _up(site)
    assert sandbox.overlay_for(site) == made.overlay

    engine.networks.clear()
    with pytest.raises(PreflightRefused, match="restarted") as refused:
        sandbox.overlay_for(site)
    assert refused.value.hint is not None
    assert "provision sandbox up" in refused.value.hint


def test_the_overlay_wins_over_group_and_host_vars(engine: _Engine, site: Path) -> None:
    write_site(
        site.parent,
        files={
            "group_vars/all.yml": "cluster_network_provider: cilium\nansible_user: everyone\n"
            "backup_s3_url: https://s3/b\nbackup_directory: /mnt\n",
            "host_vars/node1.yml": "ansible_user: someone\nansible_port: 2222\n",
        },
    )
    made = _up(site)

    from provision import inventory

    for host in inventory.load(site, sandbox.overlay_for(site)).hosts:
        assert host.vars["ansible_user"] == "root"
        assert host.vars["ansible_port"] == 22
        assert host.vars["cluster_network_provider"] == "routed"
        assert (host.vars["backup_s3_url"], host.vars["backup_directory"]) == ("", "")
        assert host.vars["ansible_ssh_private_key_file"] == str(made.key)


def test_a_spare_is_made_and_not_in_the_overlay(engine: _Engine, site: Path) -> None:
    made = sandbox.up(site, with_bundle=False, spare=True)

    assert [node.name for node in made.nodes if node.spare] == ["spare22"]
    assert set(yaml.safe_load(made.overlay.read_text())["all"]["hosts"]) == {"cp1", "node1"}


def test_a_changed_network_is_refused(engine: _Engine, site: Path) -> None:
    _up(site)
    site.write_text(site.read_text().replace("192.0.2.", "198.51.100."))

    with pytest.raises(PreflightRefused, match=r"from 192.0.2.0/24 to 198.51.100.0/24"):
        _up(site)


def test_a_host_that_moved_is_refused_and_the_sandbox_goes_on(engine: _Engine, site: Path) -> None:
    made = _up(site)
    before = site.read_text()
    site.write_text(before.replace("192.0.2.21", "192.0.2.29"))
    with pytest.raises(PreflightRefused, match=r"node1 moved from 192\.0\.2\.21 to 192\.0\.2\.29") as refused:
        _up(site)
    assert refused.value.hint is not None
    assert "sandbox down" in refused.value.hint

    site.write_text(before)
    assert _up(site) == made


def test_a_network_of_another_sandbox_is_refused(engine: _Engine, site: Path, tmp_path: Path) -> None:
    made = _up(site)
    other = tmp_path / "other"
    other.mkdir()
    engine.networks.clear()

    with pytest.raises(PreflightRefused, match=f"in use by the sandbox {made.name}"):
        _up(write_site(other))


def test_a_network_of_this_machine_is_refused(engine: _Engine, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"ifname": "eth7", "addr_info": [{"local": "192.0.2.200", "prefixlen": 25}]}
    monkeypatch.setattr(checks, "_ip", lambda kind, *_: [card] if kind == "address" else [])

    with pytest.raises(PreflightRefused, match="in use by interface eth7") as refused:
        _up(site)
    assert "ip address show dev eth7" in str(refused.value.hint)


def test_nodes_whose_record_is_lost_are_named(engine: _Engine, site: Path) -> None:
    made = _up(site)
    (made.directory / "sandbox.json").unlink()

    with pytest.raises(PreflightRefused, match="its record is not in") as refused:
        _up(site)
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(f"remove {made.nodes[0].container} ")


def test_a_missing_bundle_is_named_before_anything_is_made(engine: _Engine, site: Path) -> None:
    with pytest.raises(PreflightRefused, match=r"no bundle in .*/bundle/1\.36\.4") as refused:
        sandbox.up(site)
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("provision bundle create")
    assert not engine.nodes


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_too_little_room_is_refused(what: str, engine: _Engine, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "memory":
        monkeypatch.setattr(checks, "_available_memory", lambda: 1000)
    else:
        monkeypatch.setattr(checks.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1 << 30}))

    with pytest.raises(PreflightRefused, match=rf"too little {what}.*2 nodes take about 1440 MiB"):
        _up(site)


def test_a_record_of_another_version_is_refused(engine: _Engine, site: Path) -> None:
    made = _up(site)
    file = made.directory / "sandbox.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": record.FORMAT + 1}))

    with pytest.raises(Exception, match="another version"):
        sandbox.load(site)


def test_only_the_recorded_process_counts_as_the_server() -> None:
    import os

    started = started_at(os.getpid())
    assert started is not None
    assert server.running(record.Server(os.getpid(), started))
    assert not server.running(record.Server(os.getpid(), started + 1))
    server.stop(record.Server(os.getpid(), started + 1))


def test_ssh_to_an_unknown_node_names_the_known(engine: _Engine, site: Path) -> None:
    _up(site)
    with pytest.raises(UsageError) as refused:
        sandbox.find_node(site, "nobody")
    assert refused.value.hint == "there are cp1, node1"


def test_ssh_needs_no_inventory_while_one_sandbox_has_the_name(engine: _Engine, site: Path, tmp_path: Path) -> None:
    made = _up(site)
    assert sandbox.find_node(None, "node1") == (made, made.nodes[1])

    other = tmp_path / "other"
    other.mkdir()
    _up(write_site(other, hosts=site.read_text().replace("192.0.2.", "198.51.100.")))
    with pytest.raises(UsageError, match="several sandboxes have a node node1"):
        sandbox.find_node(None, "node1")
