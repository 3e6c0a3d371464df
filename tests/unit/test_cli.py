"""The command line: what can be called, with what, and how it ends."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from provision import __version__, cli, render, sandbox, workflows
from provision.sandbox import record
from tests.unit import fakes
from tests.unit.fakes import FakeRunner
from tests.unit.sites import FIXTURES, write_site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRunner:
    monkeypatch.delenv("PROVISION_INVENTORY", raising=False)
    return fakes.install(monkeypatch, tmp_path / "state")


@pytest.fixture(autouse=True)
def _defaults() -> None:
    render.configure(format="text", verbosity=0)


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Call `main` as the installed command does; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["provision", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def _provision(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "provision", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_the_version() -> None:
    assert _provision("--version").stdout == f"provision {__version__}\n"


def test_the_help_is_quick_and_names_every_command() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = _provision("--help", COLUMNS="100")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    for command in ("cluster", "preflight", "status", "validate", "explain", "catalog", "runs", "sandbox", "bundle"):
        assert f" {command} " in done.stdout
    # The time on the processor: what a quiet machine takes, also when this one is busy.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


_LOADED = """
import sys
from typer.testing import CliRunner
from provision import cli
CliRunner().invoke(cli.app, ["--help"])
heavy = ("ansible", "ansible_runner", "jsonschema", "yaml")
ours = ("provision.bundle", "provision.sandbox", "provision.workflows")
print([name for name in sys.modules if name.split(".")[0] in heavy or name.startswith(ours)])
"""


def test_the_help_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    [
        "cluster",
        "preflight",
        "status",
        "validate",
        "explain",
        "catalog list",
        "runs list",
        "runs show",
        "sandbox",
        "bundle",
    ],
)
def test_every_command_has_help(command: str) -> None:
    done = CliRunner().invoke(cli.app, [*command.split(), "--help"])

    assert done.exit_code == 0
    if command not in {"sandbox", "bundle"}:
        assert "Example" in done.output


@pytest.mark.parametrize("command", ["cluster", "preflight", "status", "validate"])
def test_the_shared_options_are_everywhere(command: str) -> None:
    done = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "160", "TERMINAL_WIDTH": "160"})
    for option in ("--inventory", "PROVISION_INVENTORY", "--output", "--verbose"):
        assert option in done.output


def test_completion_can_be_shown() -> None:
    done = _provision("--show-completion", "bash")
    assert "_PROVISION_COMPLETE=complete_bash" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("runs s", ["show"]),
        ("node add -i {site} c", ["cp1", "cp2", "cp3"]),
        ("cluster -i {site} --without w", ["w1"]),
        ("node add c", []),
        ("node add -i nowhere.ini c", []),
    ],
)
def test_completion_knows_commands_and_hosts(typed: str, offered: list[str]) -> None:
    words = "provision " + typed.format(site=Path(__file__).parents[2] / "inventory/sandbox/site.ini")
    last = str(len(words.split()) - 1)
    done = _provision(
        _PROVISION_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=last, _TYPER_COMPLETE_ARGS=words
    )
    assert done.stdout.split() == offered


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command"),
        (["cluster", "-i", "x", "--nonsense"], "No such option"),
        (["cluster", "-i", "x", "--exit-code"], "--exit-code goes with --plan"),
        (["cluster"], "Missing option"),
        (["status", "-i", "x", "--output", "xml"], "xml"),
        (["restore", "-i", "x", "--yes"], "--yes CLUSTER"),
    ],
)
def test_a_wrong_command_line_ends_with_2(
    arguments: list[str],
    says: str,
    fake: FakeRunner,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _main(monkeypatch, *arguments) == 2
    assert says in capsys.readouterr().err


def test_a_wrong_site_ends_with_3_and_is_told_as_json_too() -> None:
    done = _provision("validate", "-i", FIXTURES / "misspelt_variable.ini", "--output", "json")

    error = json.loads(done.stdout)["error"]
    assert done.returncode == 3
    assert error["file"].endswith("misspelt_variable.ini")
    assert error["line"]
    assert error["message"] in done.stderr


def test_a_good_site_is_described() -> None:
    done = _provision("validate", "-o", "json", PROVISION_INVENTORY=str(FIXTURES / "good.ini"))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"] is None


def test_what_kubesprays_names_became_is_counted_and_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "validate", "-i", FIXTURES / "kubespray.ini") == 0
    short = capsys.readouterr().out
    assert "3 control planes, 1 worker, 3 etcd members" in short
    assert "1 setting taken from Kubespray's names" in short

    assert _main(monkeypatch, "validate", "-v", "-i", FIXTURES / "kubespray.ini") == 0
    long = capsys.readouterr().out
    assert "kube_version → cluster_version = 1.36.4" in long
    assert "container_manager → no effect" in long


@pytest.mark.parametrize(("run", "code"), [("failed", 6), ("refused", 4), ("unreachable", 5), ("unverified", 7)])
def test_a_failed_run_has_its_code_and_its_words(
    run: str,
    code: int,
    site: Path,
    fake: FakeRunner,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.work = (run, fakes.BAD)

    assert _main(monkeypatch, "cluster", "-i", site, "--yes") == code
    out, err = capsys.readouterr()
    assert "FAILED node" in out
    assert "error: " in err
    assert "hint: " in err


def test_a_run_as_json_is_one_document(
    site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.work = ("failed", fakes.BAD)
    assert _main(monkeypatch, "cluster", "-i", site, "--yes", "--output", "json") == 6

    document = json.loads(capsys.readouterr().out)
    assert document["error"]["exit_code"] == 6
    assert document["failures"][0]["location"] == "roles/etcd/tasks/main.yml:10"
    assert document["hosts"]["node1"]["evaluated"] == 6
    assert document["run"] == 1


def test_a_plan_is_shown(
    site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "cluster", "-i", site, "--plan", "--exit-code") == 10

    out = capsys.readouterr().out
    assert out.startswith("Plan for ")
    assert "host: Write the host's files" in out


def test_without_a_terminal_a_yes_is_needed(site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _main(monkeypatch, "cluster", "-i", site) == 9
    assert fake.calls == []


def test_preflight_says_that_all_is_well(
    site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "preflight", "-i", site) == 0
    assert capsys.readouterr().out == "2 hosts: fit for the cluster.\n"


@pytest.mark.parametrize(
    ("problems", "code"), [([], 0), ([{"check": "node", "message": "w1 is not ready", "hint": ""}], 7)]
)
def test_status_ends_with_7_when_something_needs_care(
    problems: list[dict[str, str]],
    code: int,
    site: Path,
    fake: FakeRunner,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = workflows.execute

    def with_status(request: workflows.Request, show: workflows.ShowPlan) -> workflows.Outcome:
        done = real(request, show)
        return replace(done, result=replace(done.result, status={"nodes": [], "problems": problems}))

    monkeypatch.setattr(workflows, "execute", with_status)

    assert _main(monkeypatch, "status", "-i", site, "-o", "json") == code
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is not problems
    assert (document["error"] is None) == (code == 0)


def test_the_history_of_what_was_run(
    site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _main(monkeypatch, "cluster", "-i", site, "--yes")
    _main(monkeypatch, "cluster", "-i", site, "--plan")
    capsys.readouterr()

    assert _main(monkeypatch, "runs", "list", "-o", "json") == 0
    assert [(run["number"], run["mode"]) for run in json.loads(capsys.readouterr().out)] == [(2, "plan"), (1, "run")]
    assert _main(monkeypatch, "runs", "show", "1", "-i", site, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["result"]["hosts"]["node1"]["changed"] == 2
    assert _main(monkeypatch, "runs", "show", "9", "-i", site) == 2


def test_the_catalog_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(monkeypatch, "catalog", "list", "-o", "json") == 0

    document = json.loads(capsys.readouterr().out)
    assert document["kubernetes"] in document["versions"]
    assert {"etcd", "containerd"} <= {component["name"] for component in document["components"]}
    assert _main(monkeypatch, "catalog", "list") == 0


def test_a_setting_is_explained(
    site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "explain", "cluster_domain", "-i", site) == 0
    assert "cluster.local" in capsys.readouterr().out
    assert _main(monkeypatch, "explain", "cluster_domian", "-i", site) == 2


@pytest.mark.parametrize("arguments", [["validate", "-o", "json"], ["cluster", "--nonsense", "-o", "json"]])
def test_a_wrong_command_line_is_told_as_json_too(
    arguments: list[str], fake: FakeRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, *arguments) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["kind"], error["exit_code"]) == ("UsageError", 2)


def test_a_site_without_its_option_is_hinted_at(
    site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "validate", site) == 2
    assert f"name the site with -i {site}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("provision explain cluster_vi", ["cluster_vip"]),
        ("provision catalog list --kubernetes 1.36.4", ["1.36.4"]),
    ],
)
def test_completion_knows_settings_and_versions(words: str, wanted: list[str]) -> None:
    done = _provision(
        _PROVISION_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
        _TYPER_COMPLETE_ARGS=words,
    )
    assert done.stdout.split() == wanted


@pytest.mark.parametrize("there", [True, False])
def test_a_bundle_that_is_not_there_is_made_with_its_version(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROVISION_CACHE_DIR", str(tmp_path))
    place = tmp_path / "bundle" / "1.35.4"
    if there:
        place.mkdir(parents=True)
    assert _main(monkeypatch, "bundle", "verify", "--version", "1.35.4") == 3
    told = " ".join(capsys.readouterr().err.split())
    assert ("is not a complete bundle" if there else "there is no bundle in") in told
    assert "provision bundle create --version 1.35.4" in told


def test_a_node_whose_host_left_the_inventory_is_told_apart(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = record.Network(name="x", subnet="192.0.2.0/24", gateway="192.0.2.1")
    nodes = tuple(record.Node(name, name, f"192.0.2.{number}") for name, number in (("cp1", 11), ("w9", 29)))
    made = sandbox.Sandbox("x", str(site), "podman", network, "image", nodes)
    monkeypatch.setattr(sandbox, "up", lambda *_, **__: made)
    monkeypatch.setattr(sandbox, "node_states", lambda _: dict.fromkeys(("cp1", "w9"), "running"))
    assert _main(monkeypatch, "sandbox", "up", "-i", site) == 0
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert "no longer in the inventory" in shown["w9"]
    assert "no longer" not in shown["cp1"]
