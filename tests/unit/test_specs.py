from __future__ import annotations

import pytest

from provision import paths, settings, specs
from provision.errors import Location
from provision.specs import Option


def test_the_settings_of_the_cluster_come_first_and_have_defaults_in_groups_yml() -> None:
    known = specs.specs()
    assert next(iter(known)) == "cluster_name"
    port = known["cluster_api_port"]
    assert (port.type, port.default, port.location.path) == ("int", 8443, str(paths.groups_file()))
    lines = paths.groups_file().read_text().splitlines()
    assert lines[port.location.line - 1].strip() == "cluster_api_port: 8443"


def test_the_defaults_of_the_cluster_are_exactly_its_options() -> None:
    import yaml

    defaults = yaml.safe_load(paths.groups_file().read_text())["all"]["vars"]
    assert defaults == {option.name: option.default for option in specs.specs().values() if option.role == "cluster"}
    spec = yaml.safe_load((paths.project_root() / "roles/cluster/meta/argument_specs.yml").read_text())
    for name, option in spec["argument_specs"]["main"]["options"].items():
        assert option["default"] == defaults[name], name


def test_an_option_of_a_role_knows_the_line_of_its_default() -> None:
    option = specs.specs()["containerd_max_concurrent_downloads"]
    assert option.role == "containerd"
    assert option.location.path.endswith("roles/containerd/defaults/main.yml")
    assert option.location.line > 0


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("str", ["x", 1, 1.36, ""], [True, [], {}]),
        ("int", [1, "8443"], ["x", True, 1.5, []]),
        ("float", [1, 0.2], ["x", True]),
        ("bool", [True, False], ["true", "yes", 1]),
        ("list", [[], [1]], ["x", {}]),
        ("dict", [{}, {"a": 1}], ["x", []]),
    ],
)
def test_types(kind: str, good: list[object], bad: list[object]) -> None:
    option = _option(kind)
    assert [list(specs.mistakes(option, value)) for value in good] == [[]] * len(good)
    for value in bad:
        (mistake,) = specs.mistakes(option, value)
        assert mistake.hint


def test_templates_and_unset_values_are_left_alone() -> None:
    assert not list(specs.mistakes(_option("int"), "{{ cluster_address }}"))
    assert not list(specs.mistakes(_option("int"), None))


def test_choices_elements_and_fields() -> None:
    assert _first(_option("str", choices=("calico", "cilium")), "calcio").hint == "did you mean calico?"
    assert _first(_option("list", elements="int"), [1, "x"]).path == "x_option[1]"
    fields = {"name": _option("str", name="name", required=True), "size": _option("int", name="size")}
    nested = _option("list", elements="dict", options=fields)
    assert not list(specs.mistakes(nested, [{"name": "a", "size": 1}]))
    assert _first(nested, [{"name": "a", "sise": 1}]).hint == "did you mean size?"
    assert _first(nested, [{"size": 1}]).reason == "needs name"


def test_nearest() -> None:
    assert specs.nearest("cluster_verison", specs.specs()) == "cluster_version"
    assert specs.nearest("something_else", specs.specs()) is None


def test_the_reference_names_every_setting_and_alias() -> None:
    text = settings.reference_markdown()
    for name in specs.specs():
        assert f"| `{name}` |" in text
    assert "| `kube_version` | `cluster_version` |" in text
    assert all(line.count(" | ") >= 1 for line in text.splitlines() if line.startswith("| "))


def _first(option: Option, value: object) -> specs.Mistake:
    return next(specs.mistakes(option, value))


def _option(kind: str, **more: object) -> Option:
    fields: dict[str, object] = {
        "name": "x_option",
        "role": "x",
        "description": "",
        "default": None,
        "location": Location("x"),
        **more,
    }
    return Option(type=kind, **fields)  # type: ignore[arg-type]
