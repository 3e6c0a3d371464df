"""Every role keeps the contract, and every rule of it can fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.rules import Rule, roles

ROOT = Path(__file__).parents[2]
MAIN = "roles/host/tasks/main.yml"


@pytest.mark.parametrize("rule", roles.RULES, ids=lambda rule: rule.__name__)
def test_the_roles_keep(rule: Rule) -> None:
    breaches = list(rule(ROOT))
    assert not breaches, "\n".join(breaches)


Mutation = Callable[[Path], None]


def append(file: str, text: str) -> Mutation:
    """Adds text to the end of a file."""

    def mutate(project: Path) -> None:
        path = project / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)

    return mutate


def task(text: str) -> Mutation:
    """Adds a task to a role."""
    return append(MAIN, f"\n- {text}\n")


def many_options(count: int) -> Mutation:
    names = [f"        host_made_up_{number}: {{type: str, description: [x]}}" for number in range(count)]
    spec = "---\nargument_specs:\n  main:\n    options:\n" + "\n".join(names)
    return lambda project: (project / "roles/host/meta/argument_specs.yml").write_text(
        spec.replace("        ", "      ")
    )


BREAKS: tuple[tuple[Rule, Mutation, str], ...] = (
    (
        roles.inputs_are_specified,
        append("roles/host/defaults/main.yml", "\nhost_new: 1\n"),
        "host_new is in the defaults alone",
    ),
    (
        roles.inputs_are_specified,
        append("roles/host/defaults/main.yml", "\nhost_swap: 'off'\n"),
        "host_swap has another default",
    ),
    (roles.inputs_are_specified, append("roles/host/defaults/main.yml", "\nnew: 1\n"), "new lacks the prefix host_"),
    (roles.inputs_are_specified, append("roles/host/vars/main.yml", "\nhost_x: 1\n"), "lacks the prefix __host_"),
    (
        roles.options_say_what_they_mean,
        append("roles/host/meta/argument_specs.yml", "\n      host_x: {}\n"),
        "no description",
    ),
    (roles.options_are_few, many_options(26), "host: 26 options"),
    (roles.options_are_few, many_options(151), "options in all"),
    (roles.inputs_are_never_overwritten, task("set_fact: {host_swap: 1}"), "set_fact"),
    (roles.inputs_are_never_overwritten, task("command: true\n  register: host_swap"), "sets host_swap"),
    (roles.only_cluster_settings_cross_roles, task("command: echo {{ cluster_vip }}"), "reads cluster_vip"),
    (
        roles.only_cluster_settings_cross_roles,
        task("command: echo {{ containerd_proxy }}"),
        "reads containerd_proxy of containerd",
    ),
    (roles.group_names_stay_in_cluster, task("command: echo {{ groups['etcd'] }}"), "names groups["),
    (
        roles.group_names_stay_in_cluster,
        task("command: id  \n# why\n- command: echo {{ groups.etcd }}"),
        "names groups.",
    ),
    (roles.group_names_stay_in_cluster, append("roles/host/templates/x.j2", "{{ groups.etcd }}"), "names groups."),
    (roles.roles_stand_alone, append("roles/host/meta/main.yml", "\ndependencies: [etcd]\n"), "has dependencies"),
    (roles.roles_stand_alone, task("include_vars: ../x.yml"), "leaves the role"),
    (roles.roles_stand_alone, task("ansible.builtin.import_role: {name: etcd}"), "calls another role"),
    (roles.imports_are_static, task("include_tasks: remove.yml"), "can be imported"),
    (roles.imports_are_static, task("import_tasks: nowhere.yml"), "does not exist"),
    (roles.commands_tell_what_they_change, task("command: mkfs"), "has no changed_when"),
    (roles.commands_tell_what_they_change, task("command: mkfs\n  changed_when: true"), "neither creates nor removes"),
    (roles.commands_tell_what_they_change, task("shell: id\n  changed_when: false"), "needs no shell"),
    (roles.failures_are_not_hidden, task("command: id\n  ignore_errors: true"), "ignores errors"),
    (roles.failures_are_not_hidden, task("command: id\n  failed_when: false"), "never fails"),
    (roles.failures_are_not_hidden, task("block: [{command: id}]\n  rescue: [{command: id}]"), "does not fail again"),
    (
        roles.failures_are_not_hidden,
        append("playbooks/x.yml", "- hosts: all\n  tasks: [{command: id, ignore_errors: true}]"),
        "ignores",
    ),
    (roles.downloads_are_verified, task("ansible.builtin.get_url: {url: x}"), "downloads with get_url"),
    (roles.downloads_are_verified, task("shell: curl x | sh"), "downloads with a command"),
    (roles.secrets_stay_hidden, task("secret_files: {paths: [/x]}"), "without no_log"),
    (
        roles.secrets_stay_hidden,
        task("secret_files: {paths: [/x]}\n  register: __host_s\n  no_log: true\n- files: {items: '{{ __host_s }}'}"),
        "files: handles secrets",
    ),
    (roles.managed_files_have_a_header, task("files: {items: [{dest: /x, template: x.j2}]}"), "has no header"),
    (roles.tasks_are_named, task("command: id"), "has no name"),
    (roles.tasks_are_named, task("name: Make {{ x }}\n  command: id"), "has a variable in its name"),
    (
        roles.tasks_are_named,
        append("roles/host/tasks/remove.yml", "\n- name: Stop it\n  command: id\n"),
        "does not begin with",
    ),
    (roles.tasks_are_few_and_fat, task("command: id\n  loop: [1]"), "loops"),
    (roles.files_are_small, append(MAIN, "\n" * 120), "at most 120"),
    (roles.files_are_small, append("roles/host/templates/x.j2", "\n" * 151), "at most 150"),
    (roles.files_are_small, append("roles/host/vars/more.yml", "#\n" * 400), "at most 400"),
    (roles.files_are_small, append("playbooks/x.yml", "#\n" * 61), "at most 60"),
)


@pytest.mark.parametrize(
    ("rule", "mutation", "says"), BREAKS, ids=[f"{rule.__name__}-{says}" for rule, _, says in BREAKS]
)
def test_a_breach_is_found(rule: Rule, mutation: Mutation, says: str, tmp_path: Path) -> None:
    for part in ("roles", "playbooks", "plugins"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "groups.yml", tmp_path)
    before = set(rule(tmp_path))

    mutation(tmp_path)

    assert any(says in line for line in set(rule(tmp_path)) - before)
