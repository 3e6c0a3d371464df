"""A drill as a command: it is agreed to, locked, recorded, and its report kept in three forms beside the record."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import render, state
from provision.drills import conduct, page
from provision.drills.plays import Plays
from provision.errors import Interrupted, NotConfirmed, ProvisionError, VerifyFailed
from provision.outcome import shown

if TYPE_CHECKING:
    from provision.drills.catalog import Drill
    from provision.drills.report import Report
    from provision.inventory import Site
    from provision.runner import Strategy

FORMS = ("txt", "json", "html")


@dataclass(frozen=True)
class Wanted:
    """What the operator asked for."""

    site: Site
    drill: Drill
    host: str = ""
    """The host to injure; empty for the one that fits."""
    plan_only: bool = False
    approved: str | None = None
    """The cluster's name as agreement: machines that are no sandbox are injured with it alone."""
    strategy: Strategy = "mitogen"


@dataclass(frozen=True)
class Done:
    """How it ended; without a report, it was only planned."""

    wanted: Wanted
    target: str
    blast: str
    run: int
    report: Report | None = None
    files: tuple[Path, ...] = ()

    @property
    def error(self) -> ProvisionError | None:
        """Why the drill was not passed."""
        if self.report is None or self.report.passed:
            return None
        return VerifyFailed(
            f"drill {self.report.drill}: {self.report.verdict().removeprefix('Failed: ')}",
            hint=f"look at: provision status -i {shown(self.wanted.site.path)}",
        )

    def as_dict(self) -> dict[str, Any]:
        """The outcome as the one JSON document of the command."""
        return {
            "workflow": "drill",
            "site": str(self.wanted.site.path),
            "sandbox": str(self.wanted.site.overlay) if self.wanted.site.overlay else None,
            "mode": "run" if self.report else "plan",
            "run": self.run,
            "drill": self.wanted.drill.name,
            "target": self.target,
            "blast": self.blast,
            "report": self.report.as_dict() if self.report else None,
            "files": [str(path) for path in self.files],
            "error": self.error.as_dict() if self.error else None,
        }


def hold(wanted: Wanted) -> Done:
    """Do the drill, or with `plan_only` say what it would do. Raises ProvisionError when it must not be done."""
    site, began = wanted.site, time.monotonic()
    _require_consent(wanted)
    with state.lock(site.path, f"drill {wanted.drill.name}"):
        history = state.History.of(site.path)
        options = {
            "drill": wanted.drill.name,
            "host": wanted.host,
            "strategy": wanted.strategy,
            "sandbox": site.overlay is not None,
        }
        record = history.begin("drill", site.path, "plan" if wanted.plan_only else "run", options)
        ending: dict[str, Any] = {"state": state.FAILED, "exit_code": ProvisionError.exit_code}
        try:
            done = _held(wanted, history.directory / "runs" / f"{record.number:04d}", record.number)
            ending = _ending(done)
        except ProvisionError as error:
            ending = {"state": _state_of(error), "exit_code": error.exit_code, "error": error.message}
            raise
        except KeyboardInterrupt:
            ending = {"state": state.INTERRUPTED, "exit_code": Interrupted.exit_code, "error": "interrupted"}
            raise
        finally:
            seconds = round(time.monotonic() - began, 1)
            history.save(replace(record, ended=state.now(), seconds=seconds, **ending))
    return done


def _require_consent(wanted: Wanted) -> None:
    """Sandbox nodes may be injured by who made them; for machines the cluster's name must be typed."""
    if wanted.plan_only or wanted.site.overlay:
        return
    name = str(wanted.site.setting("cluster_name"))
    if wanted.approved is None and render.interactive():
        return
    if wanted.approved != name:
        again = f"provision drill {wanted.drill.name} -i {shown(wanted.site.path)}"
        given = f", not {wanted.approved}" if wanted.approved else ""
        raise NotConfirmed(
            f"this injures machines of {name}{given}; nothing was changed", hint=f"agree with: {again} --yes {name}"
        )


def _held(wanted: Wanted, directory: Path, run: int) -> Done:
    plays = Plays(wanted.site, f"drill {wanted.drill.name}", wanted.strategy)
    prepared = conduct.prepare(wanted.site, wanted.drill, plays, wanted.host)
    done = Done(wanted, prepared.names, prepared.blast, run)
    render.info(prepared.blast)
    if wanted.plan_only:
        return done
    name = str(wanted.site.setting("cluster_name"))
    if not wanted.site.overlay and wanted.approved is None and not render.confirm("Go on?", expected=name):
        raise NotConfirmed("not confirmed; nothing was changed")
    report = conduct.conduct(prepared)
    return replace(done, report=report, files=_write(report, directory))


def _write(report: Report, directory: Path) -> tuple[Path, ...]:
    texts = {
        "txt": report.text() + "\n",
        "json": json.dumps(report.as_dict(), indent=1) + "\n",
        "html": page.html(report),
    }
    for form, text in texts.items():
        (directory / f"report.{form}").write_text(text, encoding="utf-8")
    return tuple(directory / f"report.{form}" for form in FORMS)


def _ending(done: Done) -> dict[str, Any]:
    error, report = done.error, done.report
    result: dict[str, Any] = {"drill": done.wanted.drill.name, "target": done.target}
    if report is not None:
        result["report"] = {**report.as_dict(), "measures": [_figures(each) for each in report.as_dict()["measures"]]}
    return {
        "state": state.FAILED if error else state.DONE,
        "exit_code": error.exit_code if error else 0,
        "error": error.message if error else "",
        "result": result,
    }


def _figures(measure: dict[str, Any]) -> dict[str, Any]:
    """A measure without its timeline, which the report holds."""
    return {key: value for key, value in measure.items() if key != "spans"}


def _state_of(error: ProvisionError) -> str:
    if isinstance(error, NotConfirmed):
        return state.DECLINED
    return state.INTERRUPTED if isinstance(error, Interrupted) else state.FAILED
