from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.validate import notices, validate
from tests.unit.sites import FIXTURES, write_site

# The mistake, the line that is named, and words of the message and of the hint.
REFUSED = [
    ("misspelt_variable.ini", 14, "cluster_verison is not known", "cluster_version"),
    (
        "unknown_kubespray_variable.ini",
        14,
        "Kubespray's kube_apiserver_request_timeout has no counterpart",
        "from_kubespray",
    ),
    ("vip_is_a_node.ini", 13, "10.77.0.12 is the address of master2", "free address"),
    ("overlapping_ranges.ini", 14, "overlap", "cluster_pod_cidr"),
    ("unknown_version.ini", 14, "1.29.1 is not in the catalog", "1.36.4"),
    ("host_in_no_group.ini", 2, "spare1 is in no group", "kube_node"),
    ("broken_yaml.yml", 6, "cannot be read", "correct this line"),
    ("broken_ini.ini", 9, r"`\[kube_node` is no section header", "correct this line"),
    ("unreadable_key.ini", 14, "/nonexistent/id_ed25519", "path"),
    ("misspelt_group.ini", 1, "kube_control_plan is not known", "kube_control_plane"),
    ("same_address.ini", 10, "the same address 10.77.0.13", "its own"),
    ("node_name.ini", 10, "worker_1 cannot be a node's name", "worker-1"),
    ("wrong_type.ini", 14, "'true' is not a truth value", "True with a capital"),
    ("wrong_choice.ini", 14, "'calcio' is not one of", "calico"),
    ("wrong_runtime.ini", 14, "container_manager=docker", "take the line out"),
    ("two_ways_to_the_api.ini", 14, "exclude each other", "cluster_vip"),
    ("machine_in_pod_range.ini", 14, "3 more lie in cluster_pod_cidr", "holds no machine"),
    ("missing_bundle.ini", 14, "/nonexistent/bundle does not exist", "provision bundle create"),
    ("mirror_without_bundle.ini", 14, "cluster_mirror_url needs cluster_bundle", "set both"),
    ("no_control_plane.yml", 0, "no control plane", "kube_control_plane"),
]


@pytest.mark.parametrize(("file", "line", "message", "hint"), REFUSED, ids=[entry[0] for entry in REFUSED])
def test_a_mistake_is_refused_with_one_message_and_its_place(file: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        validate(FIXTURES / file)
    error = caught.value
    assert error.exit_code == 3
    assert error.location is not None
    assert (Path(error.location.path).name, error.location.line) == (file, line)
    assert hint in (error.hint or "")
    assert file == "machine_in_pod_range.ini" or not error.others


def test_every_fixture_is_used() -> None:
    good = {"good.ini", "kubespray.ini", "two_etcd_members.ini"}
    assert {file.name for file in FIXTURES.iterdir()} == good | {entry[0] for entry in REFUSED}


@pytest.mark.parametrize("file", ["good.ini", "kubespray.ini"])
def test_a_good_site_passes_in_time(file: str) -> None:
    start = time.process_time()
    site = validate(FIXTURES / file)
    assert time.process_time() - start < 2
    assert notices(site) == ()


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    variables = (
        "cluster_verison=1\ncluster_vip=192.0.2.11\nkube_log_level=5\ncontainer_manager=docker\ncluster_api_port=6443"
    )
    with pytest.raises(InvalidInput) as caught:
        validate(write_site(tmp_path, variables))
    messages = [problem.message for problem in (caught.value, *caught.value.others)]
    assert len(messages) == 5
    assert {problem.location.line for problem in (caught.value, *caught.value.others) if problem.location} == {
        11,
        12,
        13,
        14,
        15,
    }


@pytest.mark.parametrize(
    ("files", "named", "message"),
    [
        (("group_vars/al.yml",), "al.yml", "there is no group al: the file is never read; name it all.yml"),
        (
            ("group_vars/all/a.yml", "group_vars/all.yml"),
            "all.yml",
            "since group_vars/all is there; .* into all/all.yml",
        ),
        (("group_vars/etcd.yaml", "group_vars/etcd.yml"), "etcd.yaml", "since group_vars/etcd.yml is there"),
        (("host_vars/cp1.json", "host_vars/cp1"), "cp1.json", "since host_vars/cp1 is there"),
    ],
    ids=["misspelt", "beside a directory", "two suffixes", "beside no suffix"],
)
def test_a_file_that_ansible_never_reads_is_named(
    files: tuple[str, ...], named: str, message: str, tmp_path: Path
) -> None:
    site = write_site(tmp_path, files=dict.fromkeys(files, "{}\n"))
    with pytest.raises(InvalidInput) as caught:
        validate(site)
    assert caught.value.location is not None
    assert Path(caught.value.location.path).name == named
    assert re.search(message, f"{caught.value.message}; {caught.value.hint}")


def test_files_that_ansible_reads_are_fine(tmp_path: Path) -> None:
    files = (
        "group_vars/all/a.yml",
        "group_vars/all/b.yml",
        "group_vars/etcd.yml",
        "host_vars/cp1.yml",
        "group_vars/x~",
    )
    validate(write_site(tmp_path, files=dict.fromkeys(files, "{}\n")))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ("cluster_pod_cidr=10.244.1.0/16", "write 10.244.0.0/16"),
        ("cluster_pod_cidr=fd00::/48", "is not an IPv4 range"),
        ("cluster_pod_prefix=16", "does not divide"),
        ("cluster_pod_prefix=many", "'many' is not a whole number"),
        ("cluster_pod_cidr=10.244.0.0/24\ncluster_pod_prefix=25\ncluster_service_cidr=10.96.0.0/8", "IPv4 range"),
        ("cluster_service_cidr=172.0.0.0/8", "not a size"),
        ("cluster_vip=nowhere", "not an IPv4 address"),
        ("cluster_vip=10.244.3.3", "lies in cluster_pod_cidr"),
        ("cluster_vip=192.0.2.9\ncluster_api_port=6443", "taken by the API servers"),
        ("cluster_api_port=6443", "taken by the API servers"),
        ("cluster_api_port=70000", "not a port"),
        ("cluster_domain=Example.org", "not a DNS name"),
        ("cluster_bundle=bundle\ncluster_mirror_url=http://m\ncluster_mirror_registry=m:1", "absolute"),
        ("ansible_hosst=1.2.3.4", "did you mean ansible_host"),
        ("__cluster_secret=1", "is internal"),
        ("containerd_nonsense=1", "containerd_nonsense is not known"),
        ("host_packages=vim", r"write \[vim\]"),
        ("access_ip=192.0.2.99", "is not its address"),
        ("kube_version=v1.35.4\ncluster_version=1.36.4", "keep cluster_version"),
        ("cluster_vip=192.0.2.8\ncluster_vip=192.0.2.9", r"192\.0\.2\.9 here and 192\.0\.2\.8 in line 11"),
        ("ingress_nginx_enabled=True", "ingress_nginx_enabled=True cannot be taken over"),
        ("metrics_server_enabled=True", "no counterpart here set it to false, and install it"),
        ("gvisor_enabled=True", "runc runs the containers"),
        ("kube_vip_enabled=True", "set cluster_vip"),
        ("kube_vip_address=192.0.2.9", "whether the VIP is wanted"),
        ("kube_vip_enabled=True\nkube_vip_address=192.0.2.9\ncluster_vip=192.0.2.8", "keep cluster_vip"),
        ("kube_vip_services_enabled=True", "type LoadBalancer"),
        ("calico_network_backend=bird", "only vxlan"),
        ("http_proxy=http://proxy:3128", "containerd_proxy"),
        ("kubeconfig_localhost=True", "admin.conf"),
        ("kube_oidc_auth=True", "control_plane_jwt_authenticators"),
        ("files_repo=http://m", "cluster_mirror_url"),
        ('node_taints=["gpu=yes:NoSchedule"]', 'write {key: gpu, value: "yes", effect: NoSchedule}'),
        ('node_taints=[{"key": "a" "value": "b"}]', r"cannot be parsed at character \d+ before .*a comma"),
        ('node_taints=[{"key": a}]', "in quotes"),
        ("cluster_network_provider=cilium\nkubernetes_max_pods=400", "has addresses for 253 pods"),
    ],
)
def test_structure(variables: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(write_site(tmp_path, variables))
    told = "\n".join(f"{problem} {problem.hint}" for problem in (caught.value, *caught.value.others))
    assert re.search(message, told), told


def test_kube_vip_becomes_the_vip(tmp_path: Path) -> None:
    variables = "kube_vip_enabled=True\nkube_vip_address=192.0.2.9\nkube_vip_controlplane_enabled=True\n"
    site = validate(write_site(tmp_path, variables + "calico_network_backend=vxlan\ningress_nginx_enabled=False"))
    assert (site.setting("cluster_vip"), site.api_mode) == ("192.0.2.9", "vip")
    assert [(use.name, use.value) for use in site.aliases if use.own] == [("kube_vip_address", "192.0.2.9")]


def test_a_host_twice_with_different_values_is_refused(tmp_path: Path) -> None:
    hosts = "[kube_control_plane]\ncp1 ansible_host=192.0.2.11\n[etcd]\ncp1 ansible_host=192.0.2.12\n"
    with pytest.raises(InvalidInput, match=r"ansible_host of cp1 is 192\.0\.2\.12 here and .* in line 2"):
        validate(write_site(tmp_path, hosts=hosts))
    validate(write_site(tmp_path, hosts=hosts.replace(".12", ".11")))


@pytest.mark.parametrize(
    ("manifest", "variables", "said"),
    [
        ('{"kubernetes": "1.36.4"}', "cluster_version=1.35.4", "is for Kubernetes 1.36.4"),
        ('{"kubernetes": "1.36.4"}', "", "lacks .*calico"),
        ('{"kubernetes"', "", "is damaged"),
        ('{"kubernetes": "1.36.4"}', "cluster_network_provider=routed", None),
    ],
)
def test_the_bundle_is_for_the_site(manifest: str, variables: str, said: str | None, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    material = f"cluster_bundle={tmp_path}\ncluster_mirror_url=http://m\ncluster_mirror_registry=m:1\n"
    site = write_site(tmp_path, material + variables)
    if said is None:
        validate(site)
        return
    with pytest.raises(InvalidInput, match=said) as caught:
        validate(site)
    assert "provision bundle create --version 1.3" in (caught.value.hint or "")
    assert "--with calico" in (caught.value.hint or "")


def test_a_control_plane_that_kubespray_would_give_pods_is_noticed(tmp_path: Path) -> None:
    hosts = "[kube_control_plane]\ncp1 ansible_host=192.0.2.11\n[kube_node]\ncp1\n"
    (told,) = notices(validate(write_site(tmp_path, hosts=hosts)))
    assert "control_plane_workloads_allowed" in told
    assert notices(validate(write_site(tmp_path, "control_plane_workloads_allowed=False", hosts=hosts))) == ()


@pytest.mark.parametrize(
    "hosts",
    [
        "[kube_control_plane]\ncp1\n",
        "[kube_control_plane]\ncp1 ansible_host=cp1.example.org\n",
        "[kube_control_plane]\ncp1 ip=127.0.0.1\n",
    ],
)
def test_every_machine_needs_an_address_that_others_reach(hosts: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no IPv4 address|cannot reach") as caught:
        validate(write_site(tmp_path, hosts=hosts))
    assert caught.value.location is not None
    assert caught.value.location.line == 2


def test_a_setting_of_the_cluster_is_the_same_everywhere(tmp_path: Path) -> None:
    site = write_site(tmp_path, files={"group_vars/kube_node.yml": "cluster_domain: example.org\n"})
    with pytest.raises(
        InvalidInput, match=r"cluster_domain is cluster\.local on cp1 and example\.org on node1"
    ) as caught:
        validate(site)
    assert str(caught.value.location).endswith("kube_node.yml:1")


TWO_CONTROL_PLANES = "[kube_control_plane]\ncp1 ansible_host=192.0.2.11\ncp2 ansible_host=192.0.2.12\n"


@pytest.mark.parametrize(
    "line",
    [
        "control_plane_scheduler_extra_args: [{name: v, value: 4}]",
        "dns_cache_seconds: 5",
        "network_policy_enabled: false",
    ],
)
def test_what_the_control_planes_publish_for_all_is_the_same_on_each(line: str, tmp_path: Path) -> None:
    """Otherwise the record of the cluster would change with the control plane that leads."""
    with pytest.raises(InvalidInput, match=r"\w+ is .+ on cp1 and .+ on cp2") as caught:
        validate(write_site(tmp_path, files={"host_vars/cp2.yml": f"{line}\n"}, hosts=TWO_CONTROL_PLANES))
    assert str(caught.value.location).endswith("cp2.yml:1")


def test_what_a_control_plane_keeps_to_itself_may_be_its_own(tmp_path: Path) -> None:
    own = "control_plane_start_timeout: 300\ncontrol_plane_workloads_allowed: true\n"
    validate(write_site(tmp_path, files={"host_vars/cp2.yml": own}, hosts=TWO_CONTROL_PLANES))


def test_a_file_that_no_group_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no group kube_nodes") as caught:
        validate(write_site(tmp_path, files={"group_vars/kube_nodes.yml": "host_packages: [vim]\n"}))
    assert caught.value.hint == "name it kube_node.yml"


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (0o600, "-----BEGIN OPENSSH PRIVATE KEY-----\n", None),
        (0o000, "-----BEGIN OPENSSH PRIVATE KEY-----\n", "cannot be read"),
        (0o644, "-----BEGIN OPENSSH PRIVATE KEY-----\n", "open to other users"),
        (0o600, "ssh-ed25519 AAAA me\n", "not a private key"),
    ],
)
def test_ssh_keys_can_be_used(mode: int, text: str, said: str | None, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(text)
    key.chmod(mode)
    site = write_site(tmp_path, f"ansible_ssh_private_key_file={key}")
    if said is None:
        validate(site)
    else:
        with pytest.raises(InvalidInput, match=said):
            validate(site)


def test_what_is_no_mistake_is_noticed(tmp_path: Path) -> None:
    site = validate(
        write_site(
            tmp_path,
            "rack_owner=me\nargocd_enabled=False\ncluster_vip=192.0.3.9",
            hosts="[kube_control_plane]\ncp1 ansible_host=192.0.2.1\n[bastion]\nb ansible_host=192.0.2.9\n",
        )
    )
    told = "\n".join(notices(site))
    for words in (
        "rack_owner is not ours",
        "argocd_enabled: without effect",
        "b: in no group of ours",
        "not in the /24 of cp1",
    ):
        assert words in told


def test_the_overlay_forgets_a_host_that_left_the_site(tmp_path: Path) -> None:
    overlay = tmp_path / "over" / "overlay.yml"
    overlay.parent.mkdir()
    overlay.write_text("# Kept.\nall:\n  hosts:\n    cp1: {ip: 192.0.2.11}\n    gone: {ip: 10.77.0.29}\n")

    site = validate(write_site(tmp_path), overlay)

    assert "gone" not in [host.name for host in site.hosts]
    assert overlay.read_text() == "# Kept.\nall:\n  hosts:\n    cp1:\n      ip: 192.0.2.11\n"


@pytest.mark.parametrize(
    ("address", "vip", "says"),
    [
        ("192.0.2.11", "", "cp1 and node1 have the same address 192.0.2.11"),
        ("192.0.2.10", "192.0.2.10", "cluster_vip 192.0.2.10 is the address of node1"),
        ("192.0.2.29", "", "node1 is at 192.0.2.29 here and at 192.0.2.21 in the sandbox"),
    ],
)
def test_the_sites_own_addresses_are_checked_under_those_of_its_sandbox(
    address: str, vip: str, says: str, tmp_path: Path
) -> None:
    overlay = tmp_path / "over" / "overlay.yml"
    overlay.parent.mkdir()
    overlay.write_text("all:\n  hosts:\n    cp1: {ip: 192.0.2.11}\n    node1: {ip: 192.0.2.21}\n")
    site = write_site(tmp_path, f"cluster_vip={vip}")
    assert validate(site, overlay)
    site.write_text(site.read_text().replace("192.0.2.21", address))
    with pytest.raises(InvalidInput) as refused:
        validate(site, overlay)
    told = [refused.value, *refused.value.others]
    assert says in [problem.message for problem in told]
    assert all(str(problem.location).startswith(str(site)) for problem in told)


@pytest.mark.parametrize("replaced", ["{}", "{vars: {cluster_network_provider: routed}}"])
def test_a_wrong_value_is_told_once_whether_the_overlay_replaces_it_or_not(tmp_path: Path, replaced: str) -> None:
    overlay = tmp_path / "over" / "overlay.yml"
    overlay.parent.mkdir()
    overlay.write_text(f"all: {replaced}\n")
    site = write_site(tmp_path)
    site.write_text(f"{site.read_text()}\n[all:vars]\ncluster_network_provider=calcio\n")
    with pytest.raises(InvalidInput) as refused:
        validate(site, overlay)
    assert "calcio" in str(refused.value)
    assert str(refused.value.location).startswith(str(site))
    assert refused.value.others == ()


def test_names_of_the_overlay_are_not_judged(tmp_path: Path) -> None:
    overlay = tmp_path / "over" / "overlay.yml"
    overlay.parent.mkdir()
    overlay.write_text("all:\n  hosts:\n    cp1: {kubernetes_something_new: 1}\n")
    assert validate(write_site(tmp_path), overlay).overlay == overlay


def test_an_even_number_of_etcd_members_is_worth_a_word_and_no_mistake() -> None:
    """Between the loss of one and the coming of the next the site is just that, and must work."""
    assert any("etcd has 2 members" in notice for notice in notices(validate(FIXTURES / "two_etcd_members.ini")))
    assert not any("etcd has" in notice for notice in notices(validate(FIXTURES / "good.ini")))
