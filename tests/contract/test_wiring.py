"""The parts of each role fit together, and every rule about that can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.contract.rules import Rule, wiring
from tests.contract.test_roles import Mutation, append, task

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("rule", wiring.RULES, ids=lambda rule: rule.__name__)
def test_the_roles_keep(rule: Rule) -> None:
    breaches = list(rule(ROOT))
    assert not breaches, "\n".join(breaches)


BREAKS: tuple[tuple[Rule, Mutation, str], ...] = (
    (wiring.names_are_known, task("command: echo {{ __host_lost }}"), "__host_lost is read and never set"),
    (wiring.names_are_used, task("command: id\n  register: __host_idle"), "__host_idle is set and never read"),
    (wiring.templates_are_used, append("roles/host/templates/lost.j2", "x"), "lost.j2 is never rendered"),
    (wiring.services_restart_with_their_inputs, task("unit: {name: x.service}"), "watches no input"),
    (wiring.services_restart_with_their_inputs, task("converge: {units: [{name: x.service}]}"), "watches no input"),
    (wiring.services_restart_with_their_inputs, task("converge: {units: '{{ host_lost }}'}"), "watches no input"),
    (
        wiring.services_restart_with_their_inputs,
        task("unit: {name: x.service, watch: [/x], enabled: false}"),
        "does not start at boot",
    ),
    (wiring.services_are_waited_for, task("unit: {name: x.service, watch: [/x]}"), "x.service is not waited for"),
    (wiring.restarts_are_planned, task("unit: {name: x.service, watch: [/x]}"), "does not tell that it restarts"),
    (wiring.what_runs_is_stopped, task("converge: {units: [{name: x.service}]}"), "x.service is never stopped"),
    (
        wiring.secrets_stay_secret,
        lambda project: [
            task("secret_files: {paths: [/x]}\n  no_log: true\n  register: __host_x")(project),
            append("roles/host/vars/main.yml", '__host_y: "{{ __host_x.contents }}"')(project),
            task('files: {items: "{{ __host_y }}"}')(project),
        ],
        "is given what a silent task returned",
    ),
    (
        wiring.written_services_are_run,
        lambda project: [
            append("roles/host/templates/x.service.j2", "[Install]\nWantedBy=x.target\n")(project),
            append(
                "roles/host/vars/main.yml", "__host_x: [{dest: /etc/systemd/system/x.service, template: x.service.j2}]"
            )(project),
        ],
        "x.service is written and never run",
    ),
    (wiring.secretive_modules_are_silent, task("kubeadm_token: {}"), "kubeadm_token without no_log"),
)


@pytest.mark.parametrize(("rule", "mutate", "words"), BREAKS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_breach_is_found(rule: Rule, mutate: Mutation, words: str, tmp_path: Path) -> None:
    for part in ("roles", "playbooks", "plugins"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "groups.yml", tmp_path)
    mutate(tmp_path)

    assert any(words in breach for breach in rule(tmp_path)), list(rule(tmp_path))
