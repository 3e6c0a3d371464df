"""Which certificates are due, and what is said of them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from provision import certificates, reports_certificates
from provision.inventory import load
from provision.lifecycle import certificates_renew
from provision.workflows import WORKFLOWS, Request

SITES = Path(__file__).parents[1] / "fixtures/sites"


def host(*entries: tuple[str, int, bool]) -> dict[str, Any]:
    return {"certificates": [{"name": name, "days_left": days, "authority": ca} for name, days, ca in entries]}


@pytest.mark.parametrize(
    ("days", "says"),
    [(29, "ends in 29 days"), (0, "ends in 0 days"), (-3, "ended 3 days ago"), (30, None)],
)
def test_what_ends_within_thirty_days_is_a_problem_with_its_remedy(days: int, says: str | None) -> None:
    found = certificates.report({"cp1": host(("apiserver.crt", days, False))}, {})["problems"]

    assert [each["message"] for each in found] == ([f"apiserver.crt on cp1 {says}"] if says else [])
    assert all(each["hint"] == "provision certificates renew" for each in found)


@pytest.mark.parametrize(
    ("days", "warned", "due"), [(365, False, False), (364, True, False), (30, True, False), (29, False, True)]
)
def test_an_authority_is_warned_of_a_year_ahead_once_for_all_its_hosts(days: int, warned: bool, due: bool) -> None:
    found = certificates.report({name: host(("ca.crt", days, True)) for name in ("cp1", "cp2")}, {})

    assert [each["message"] for each in found["warnings"]] == (
        [f"the authority ca.crt ends in {days} days (on cp1, cp2)"] if warned else []
    )
    assert bool(found["problems"]) is due
    assert all("plan" in each["hint"] for each in [*found["warnings"], *found["problems"]])


def test_dead_hosts_are_named_and_the_others_shown() -> None:
    hosts = {"cp1": host(("a.crt", 200, False)), "w1": None}

    found = certificates.report(hosts, {"w1": "ssh: connect to host 10.0.0.1 port 22: No route to host"})

    assert found["reached"] is True
    assert [row["host"] for row in found["certificates"]] == ["cp1"]
    (problem,) = found["problems"]
    assert problem["message"].startswith("w1 does not answer")
    assert "is the machine on" in problem["hint"]
    assert certificates.report({"w1": None}, {})["reached"] is False


def text_of(found: dict[str, Any]) -> str:
    out = StringIO()
    Console(file=out, width=120).print(reports_certificates.certificates(found))
    return out.getvalue()


def test_the_table_has_one_row_for_equal_certificates_and_the_first_to_end_at_the_top() -> None:
    hosts = {name: host(("b.crt", 300, False), ("a.crt", days, False)) for name, days in (("cp1", 20), ("cp2", 200))}

    lines = [line.split() for line in text_of(certificates.report(hosts, {})).splitlines() if ".crt" in line]

    assert lines[:3] == [["20", "a.crt", "cp1"], ["200", "a.crt", "cp2"], ["300", "b.crt", "cp1,", "cp2"]]


def test_without_anything_due_it_says_so() -> None:
    assert "No certificate ends" in text_of(certificates.report({"cp1": host(("a.crt", 90, False))}, {}))


def test_the_blast_radius_counts_hosts_and_says_what_restarts() -> None:
    site = load(SITES / "good.ini")
    request = Request(WORKFLOWS["certificates renew"], site.path, inputs={"run_within": 60})
    every = len(site.hosts)

    lines = "\n".join(certificates_renew.blast(site, request))

    assert f"within 60 days, on {every} hosts" in lines
    assert "the API is not interrupted" in lines
    assert "kubelet" in lines
    left = Request(request.workflow, site.path, without=(site.hosts[-1].name,))
    assert f"on {every - 1} hosts" in "\n".join(certificates_renew.blast(site, left))


def test_a_resumed_renewal_keeps_the_beginning_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from provision.cli import certificates as command

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(command, "execute", lambda *_, **wanted: asked.append(wanted) or cast(Any, SimpleNamespace()))
    monkeypatch.setattr(command, "finish", lambda _: None)
    for words in (["--yes", "--within", "90"], ["--resume", "--yes"]):
        assert CliRunner().invoke(command.app, ["renew", "-i", "site.ini", *words]).exit_code == 0

    assert asked[0]["inputs"]["run_within"] == 90
    assert asked[0]["inputs"]["run_since"] > 1_700_000_000
    assert asked[1]["inputs"] == {}
