from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision import inventory, paths
from provision.errors import InvalidInput, Location
from tests.unit.sites import FIXTURES, write_site


def test_the_kubespray_inventory_is_read_unchanged() -> None:
    site = inventory.load(FIXTURES / "kubespray.ini")
    assert [host.name for host in site.control_planes] == ["master1", "master2", "master3"]
    assert [host.name for host in site.nodes] == ["master1", "master2", "master3", "worker1"]
    assert site.host("worker1").address == "10.77.0.21"
    assert site.setting("cluster_version") == "1.36.4"
    assert site.api_mode == "local"
    assert [(use.name, use.own, use.origin.line if use.origin else 0) for use in site.aliases] == [
        ("kube_version", "cluster_version", 20),
        ("container_manager", "", 21),
    ]


def test_a_variable_in_the_inventory_file_wins_over_the_default(tmp_path: Path) -> None:
    """Ansible ranks [all:vars] below every group_vars/all file, so no default may live there."""
    site = inventory.load(write_site(tmp_path, "cluster_vip=192.0.2.10"))
    assert site.setting("cluster_vip") == "192.0.2.10"
    assert site.api_mode == "vip"
    assert [host.name for host in site.load_balancers] == ["cp1"]


def test_every_value_knows_its_file_and_line(tmp_path: Path) -> None:
    path = write_site(
        tmp_path,
        "cluster_name=one",
        files={
            "group_vars/all.yml": "# a comment\ncluster_domain: example.org\n",
            "group_vars/kube_node/more.yml": "containerd_restrict_oom_score_adj: true\n",
            "host_vars/node1.yml": "\n\nhost_packages:\n  - vim\n",
        },
    )
    origins = inventory.load(path).host("node1").origins
    assert origins["cluster_name"] == Location(str(path), 11)
    assert origins["ansible_host"] == Location(str(path), 8)
    assert origins["cluster_domain"] == Location(str(tmp_path / "group_vars/all.yml"), 2)
    assert origins["containerd_restrict_oom_score_adj"] == Location(str(tmp_path / "group_vars/kube_node/more.yml"), 1)
    assert origins["host_packages"] == Location(str(tmp_path / "host_vars/node1.yml"), 3)
    assert origins["cluster_vip"].path == str(paths.groups_file())


def test_the_overlay_is_the_strongest_source(tmp_path: Path) -> None:
    overlay = tmp_path / "over" / "overlay.yml"
    overlay.parent.mkdir()
    overlay.write_text("all:\n  hosts:\n    cp1: {cluster_network_provider: routed}\n")
    site = inventory.load(write_site(tmp_path, "cluster_network_provider=cilium"), overlay)
    assert site.setting("cluster_network_provider") == "routed"
    assert site.sources == (paths.groups_file(), tmp_path / "site.ini", overlay)
    assert site.host("node1").vars["cluster_network_provider"] == "cilium"


def test_templates_over_other_variables_are_resolved(tmp_path: Path) -> None:
    variables = "base=example.org\ncluster_domain=k8s.{{ base }}\ncluster_name={{ lookup('env', 'HOME') }}"
    site = inventory.load(write_site(tmp_path, variables))
    assert site.setting("cluster_domain") == "k8s.example.org"
    assert site.setting("cluster_name") == "{{ lookup('env', 'HOME') }}"


def test_a_second_reading_sees_files_that_are_new(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    assert inventory.load(path).setting("cluster_domain") == "cluster.local"
    write_site(tmp_path, files={"group_vars/all.yml": "cluster_domain: example.org\n"})
    assert inventory.load(path).setting("cluster_domain") == "example.org"


def test_a_directory_stands_for_the_inventory_file_in_it(tmp_path: Path) -> None:
    path = write_site(tmp_path)
    assert inventory.load(tmp_path).path == path
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    with pytest.raises(InvalidInput, match="several"):
        inventory.load(tmp_path)


@pytest.mark.parametrize("name", ["nope.ini", "folder"])
def test_a_missing_inventory_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput) as caught:
        inventory.load(tmp_path / name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[kube_node]\na\n[etcd\nb\n", 3, "no section header"),
        ("[etcd:children]\nkube_control_plane\n\n[kube_node\na ip=1\n", 4, "no section header"),
        ("[kube_node]\na foo\n", 2, "key=value"),
        ("[kube_node]\na b='x\n", 2, "quotation"),
        ("[a:children]\nnope\n", 2, "undefined group"),
        ("[a:children]\nb\n[b:children]\na\n", 4, "loop"),
        ("[nope:vars]\nx=1\n", 1, "undefined group"),
    ],
)
def test_a_broken_ini_file_is_named_with_its_line(text: str, line: int, said: str, tmp_path: Path) -> None:
    path = tmp_path / "site.ini"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=said) as caught:
        inventory.load(path)
    assert caught.value.location == Location(str(path), line)


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("site.yml", "all:\n  hosts:\n    a: {ip: 1}\n   b: 1\n", 4),
        ("site.yml", "all:\n  hosts:\n    a: {ip: 1, ip: 2}\n", 3),
        ("group_vars/all.yml", "a: 1\nb: [1\nc: 2\n", 3),
        ("host_vars/cp1.yml", "- just\n- a list\n", 0),
    ],
)
def test_broken_yaml_is_named_with_its_line(file: str, text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "host_vars").mkdir()
    site = tmp_path / "site.yml"
    site.write_text("all:\n  hosts:\n    cp1: {ansible_host: 192.0.2.1}\n")
    (tmp_path / file).write_text(text)
    with pytest.raises(InvalidInput) as caught:
        inventory.load(site)
    assert caught.value.location == Location(str(tmp_path / file), line)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("all:\n  hosts:\n\ta: {ip: 1}\n", "a tab", "spaces"),
        ("- hosts: all\n", "a playbook", "inventory file"),
    ],
)
def test_mistakes_of_yaml_are_told_in_plain_words(text: str, said: str, hint: str, tmp_path: Path) -> None:
    site = tmp_path / "site.yml"
    site.write_text(text)
    with pytest.raises(InvalidInput, match=said) as caught:
        inventory.load(site)
    assert hint in (caught.value.hint or "")


def test_an_encrypted_file_without_a_password_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE", raising=False)
    site = write_site(tmp_path, files={"group_vars/all.yml": "$ANSIBLE_VAULT;1.1;AES256\n3130\n"})
    with pytest.raises(InvalidInput, match="encrypted") as caught:
        inventory.load(site)
    assert "ANSIBLE_VAULT_PASSWORD_FILE" in (caught.value.hint or "")


def test_an_unknown_host_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        inventory.load(write_site(tmp_path)).host("node2")
    assert caught.value.hint == "did you mean node1?"


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    inventory.load(write_site(tmp_path, hosts="[kube-node]\nnode1 ansible_host=192.0.2.1\n"))
    assert capfd.readouterr() == ("", "")


def test_plain_ansible_sees_the_same_values(tmp_path: Path) -> None:
    """Aliases hold for `ansible-playbook` without the command line, from inventory files and from group_vars."""
    path = write_site(
        tmp_path,
        "kube_version=v1.36.3\nloadbalancer_apiserver={'address': '192.0.2.10', 'port': 8383}",
        files={"group_vars/k8s_cluster/k8s-cluster.yml": "kube_pods_subnet: 10.50.0.0/16\nkube_version: 1.35.4\n"},
    )
    command = [
        str(Path(sys.executable).with_name("ansible-inventory")),
        *("-i", str(paths.groups_file()), "-i", str(path), "--host", "node1"),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(paths.project_root() / "ansible.cfg")}
    environment.pop("PYTHONPATH", None)
    shown = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)
    ours = inventory.load(path).host("node1").vars
    for name in ("cluster_version", "cluster_vip", "cluster_api_port", "cluster_pod_cidr", "cluster_domain"):
        value = shown[name]["__ansible_unsafe"] if isinstance(shown[name], dict) else shown[name]
        assert value == ours[name], name
    assert ours["cluster_version"] == "1.35.4"
    assert ours["cluster_vip"] == "192.0.2.10"
    assert ours["cluster_pod_cidr"] == "10.50.0.0/16"


def test_importing_the_package_does_not_import_ansible() -> None:
    code = (
        "import sys; import provision.inventory, provision.validate, provision.explain; print('ansible' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(paths.project_root() / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"
