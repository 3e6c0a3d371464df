"""How roles are broken on purpose, how mutants are drawn, and how their fate is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.mutation import trial
from tests.mutation.mutants import Mutant, mutants_of, sample
from tests.mutation.report import Report
from tests.mutation.scenarios import scenarios_of
from tests.mutation.trial import Verdict

TASKS = """---
- name: Write it
  files:
    items: "{{ __x_files }}"
  when: x_enabled
  no_log: true
  register: __x_written

- name: Run it
  unit:
    name: x.service
    watch: [/etc/x]
    pending: "{{ __x_written is changed }}"
    ready: {port: 80}
"""
VARIABLES = '---\n__x_files:\n  - {dest: /etc/x, mode: "0600", owner: x, validate: x -t %s}\n__x_url: http://h:8080\n'
TEMPLATE = "# a comment\n{% if x_enabled %}\nlisten 80\n{% endif %}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    texts = {
        "tasks/main.yml": TASKS,
        "vars/main.yml": VARIABLES,
        "defaults/main.yml": "---\nx_size: 4\nx_enabled: true\n",
        "templates/x.j2": TEMPLATE,
    }
    for name, text in texts.items():
        file = tmp_path / "roles/x" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "file", "words", "times"),
    [
        ("task removed", "tasks/main.yml", "- name: Run it", 0),
        ("condition inverted", "tasks/main.yml", "when: not (x_enabled)", 1),
        ("secret shown", "tasks/main.yml", "no_log", 0),
        ("restart forgotten", "tasks/main.yml", "watch", 0),
        ("not enabled", "tasks/main.yml", "    enabled: false", 1),
        ("not waited for", "tasks/main.yml", "ready", 0),
        ("mode opened", "vars/main.yml", '"0777"', 1),
        ("owner dropped", "vars/main.yml", "owner", 0),
        ("validation dropped", "vars/main.yml", "validate", 0),
        ("port changed", "vars/main.yml", ":8081", 1),
        ("default changed", "defaults/main.yml", "x_size: 5", 1),
        ("default flipped", "defaults/main.yml", "x_enabled: false", 1),
        ("line dropped", "templates/x.j2", "listen", 0),
        ("number changed", "templates/x.j2", "listen 81", 1),
        ("condition inverted", "templates/x.j2", "{% if not (x_enabled) %}", 1),
    ],
)
def test_each_way_to_break_a_role(kind: str, file: str, words: str, times: int, project: Path) -> None:
    found = [mutant for mutant in mutants_of(project, "x") if (mutant.kind, mutant.file) == (kind, f"roles/x/{file}")]
    before = (project / "roles/x" / file).read_text().count(words)
    broken = []
    for mutant in found:
        original = (project / mutant.file).read_text()
        mutant.apply(project)
        broken.append((project / mutant.file).read_text())
        (project / mutant.file).write_text(original)

    assert any(text.count(words) == times for text in broken), broken
    assert before != times


def test_every_mutant_is_another_role_that_can_still_be_read(project: Path) -> None:
    for mutant in mutants_of(project, "x"):
        original = (project / mutant.file).read_text()
        mutant.apply(project)
        broken = (project / mutant.file).read_text()
        (project / mutant.file).write_text(original)
        assert broken != original
        if mutant.file.endswith(".yml"):
            assert yaml.safe_load(broken) != yaml.safe_load(original)


def test_the_same_seed_draws_the_same_mutants_of_many_kinds(project: Path) -> None:
    everything = list(mutants_of(project, "x"))

    assert sample(everything, 8, seed=1) == sample(everything, 8, seed=1)
    assert len({mutant.kind for mutant in sample(everything, 8, seed=1)}) == 8
    assert len(sample(everything, 1000, seed=1)) == len(everything)


def test_a_role_is_tried_with_its_own_tests() -> None:
    tests = trial.tests_of(Path(__file__).parents[2], "etcd")

    assert tests[0] == "tests/render/test_expected.py::test_what_a_role_writes[etcd]"
    assert "tests/render/test_etcd.py" in tests
    assert "tests/render/test_host.py" not in tests


@pytest.mark.parametrize(
    ("file", "scenarios"),
    [
        ("etcd/templates/etcd.env.j2", ["role_etcd"]),
        ("etcd/tasks/remove.yml", ["role_etcd"]),
        ("etcd/tasks/add.yml", ["flow_node_add"]),
        ("backup/tasks/backup.yml", ["flow_backup", "flow_reset", "flow_upgrade"]),
        ("cluster/tasks/status.yml", ["flow_backup"]),
    ],
)
def test_a_mutant_meets_the_scenarios_that_go_through_it(file: str, scenarios: list[str]) -> None:
    mutant = Mutant(file.partition("/")[0], "task removed", f"roles/{file}", 1, ("",), ())

    assert scenarios_of(Path(__file__).parents[2], mutant) == scenarios


def test_what_survives_for_a_reason_counts_apart() -> None:
    made = [Mutant("x", "line dropped", "roles/x/templates/x.j2", line, (f"line {line}",), ()) for line in range(4)]
    caught = ["tests/a.py::b", "tests/a.py::b", "", ""]
    verdicts = [Verdict(mutant, test) for mutant, test in zip(made, caught, strict=True)]
    report = Report(verdicts, {made[2].name: "a comment"}, seed=1)

    assert report.summary() == "2 of 4 mutants caught (50.0 %); 1 survived for a reason, 1 without"
    assert [verdict.mutant for verdict in report.survivors] == [made[3]]
    assert report.as_dict()["verdicts"][2]["reason"] == "a comment"
    assert "| x | 4 | 2 | 1 | 1 |" in report.page()
    assert "SURVIVED" in report.text()
