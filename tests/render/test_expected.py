"""What each role writes on a node, whole: a change of a template, a mode or a default is seen where it ends up.

The pages in `expected/` are made with PROVISION_EXPECTED=write, and read in the review of the change.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError

from tests.render import test_control_plane, test_kubernetes
from tests.render.rendering import ROLES, Role
from tests.render.test_containerd import containerd
from tests.render.test_dns import dns
from tests.render.test_etcd import etcd
from tests.render.test_host import host
from tests.render.test_load_balancer import balancer
from tests.render.test_mirror import mirror
from tests.render.test_network import network

PAGES = Path(__file__).parent / "expected"
_LONG = 3000
_MEMBER: Mapping[str, Any] = {
    "inventory_hostname": "m1",
    "cluster_control_planes": [{"host": "m1", "name": "m1", "address": "10.77.0.11"}],
    "cluster_node_name": "m1",
    "cluster_address": "10.77.0.11",
}
_BACKUP: Mapping[str, Any] = {
    **_MEMBER,
    "cluster_name": "kubernetes",
    "cluster_version": "1.36.4",
    "cluster_etcd_members": [{"host": "m1", "name": "m1", "address": "10.77.0.11"}],
    "__backup_site": {"cluster_domain": "cluster.local"},
    "__backup_recipient": {"certificate": "-----BEGIN CERTIFICATE-----\n"},
}
OF: Mapping[str, Callable[[], Role]] = {
    "containerd": lambda: containerd(cluster_mirror_registry="10.77.0.1:5000"),
    "control_plane": lambda: test_control_plane.site(next(iter(test_control_plane.SITES))),
    "dns": dns,
    "etcd": etcd,
    "host": lambda: host(cluster_bundle="", cluster_mirror_url="", host_time_servers=["192.0.2.1"]),
    "kubernetes": lambda: Role("kubernetes", **(test_kubernetes.HOST | _MEMBER)),
    "load_balancer": balancer,
    "mirror": mirror,
    "network": network,
    "node": lambda: Role("node", **_MEMBER),
    "backup": lambda: Role("backup", **_BACKUP),
}
"""Roles as their render tests set them."""


def _values(role: Role) -> dict[str, Any]:
    """What the role makes of its inputs, without what is only known when its tasks run."""
    values = {}
    for name in sorted(role.variables):
        if name.startswith((f"__{role.path.name}_", f"{role.path.name}_")):
            with suppress(AnsibleError):
                values[name] = role.value(name)
    return values


def _templates(role: Role, values: Mapping[str, Any]) -> dict[str, str]:
    """Every template; one that an item names gets the item's variables."""
    items = [item for value in values.values() if isinstance(value, list) for item in value if isinstance(item, dict)]
    given = {item["template"]: item.get("variables") or {} for item in items if "template" in item}
    texts = {}
    for file in sorted((role.path / "templates").iterdir()):
        with suppress(AnsibleError):
            texts[file.name] = role.render(file.name, **given.get(file.name, {}))
    return texts


def page(role: Role) -> str:
    """Values as YAML, then the text of each template."""
    role.variables["ansible_search_path"] = [str(role.path)]
    values = _values(role)
    shown = yaml.dump(_plain(values), sort_keys=True, width=120, allow_unicode=True)
    parts = [f"# {role.path.name}, made by tests/render/test_expected.py\n{shown}"]
    parts += [f"===== {name}\n{text}" for name, text in _templates(role, values).items()]
    return "\n".join(parts).replace(str(ROLES), "roles").rstrip() + "\n"


def _plain(value: Any) -> Any:
    """The same without the marks that Ansible puts on its values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return str(value) if len(value) < _LONG else f"a text of {len(value.splitlines())} lines"
    return int(value) if type(value).__name__ == "_AnsibleTaggedInt" else value


@pytest.mark.parametrize("name", OF)
def test_what_a_role_writes(name: str) -> None:
    made, file = page(OF[name]()), PAGES / f"{name}.txt"
    if os.environ.get("PROVISION_EXPECTED") == "write":
        PAGES.mkdir(exist_ok=True)
        file.write_text(made, encoding="utf-8")
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    names = f"tests/render/expected/{file.name}", f"what roles/{name} writes"
    sides = expected.splitlines(), made.splitlines()
    if change := "\n".join(difflib.unified_diff(*sides, *names, lineterm="", n=6)):
        again = "PROVISION_EXPECTED=write scripts/test --quick -- -k what_a_role_writes"
        pytest.fail(f"{change}\n\nif that is meant: {again}, and read the difference", pytrace=False)


def test_no_role_with_templates_is_forgotten() -> None:
    with_templates = {path.parent.name for path in ROLES.glob("*/templates")}
    assert with_templates <= set(OF), "give it its inputs in OF"
