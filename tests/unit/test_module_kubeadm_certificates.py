"""Which of a control plane's certificates are renewed, and what restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

RENEWED, RUNNING = 2000.0, 1000.0


class Plane:
    """A control plane whose files and processes are told; a restart makes a process younger."""

    def __init__(self, root: Path, run: ModuleRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.module = run, load("kubeadm_certificates")
        self.due: set[str] = set()
        self.renewed: set[str] = set()
        self.stopped: list[str] = []
        self.ill = False
        monkeypatch.setattr(self.module, "due", lambda path, _within, _since: Path(path).stem in self.due)
        monkeypatch.setattr(self.module, "outdated", self.is_outdated)
        monkeypatch.setattr(self.module, "started", lambda _name: RUNNING)
        monkeypatch.setattr(self.module, "unanswered", lambda *_, **__: "refused" if self.ill else None)
        monkeypatch.setattr(self.module, "run", self.program)

    def is_outdated(self, component: str) -> bool:
        name = component.removeprefix("kube-")
        return name in self.renewed and component not in self.stopped

    def program(self, *words: str) -> str:
        if words[:3] == ("kubeadm", "certs", "renew"):
            self.renewed.add(words[3].removesuffix(".conf"))
        elif words[1] == "ps":
            return words[-1].strip("^()$").replace("|", " ")
        else:
            self.stopped += words[4:]
        return ""

    def __call__(self, **more: Any) -> dict[str, Any]:
        return self.run(self.module, within=90, **{"timeout": 0, **more})


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Plane:
    return Plane(tmp_path, ModuleRunner(monkeypatch, capsys), monkeypatch)


def test_what_is_due_is_renewed_and_only_what_reads_it_once_restarts(plane: Plane) -> None:
    plane.due = {"apiserver", "scheduler"}

    done = plane()

    assert plane.renewed == {"apiserver", "scheduler"}
    assert plane.stopped == ["kube-scheduler"]
    assert done["paths"] == [
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/scheduler.conf",
        "kube-scheduler restarts",
    ]


def test_two_that_restart_are_stopped_at_once(plane: Plane) -> None:
    plane.renewed = {"controller-manager", "scheduler"}

    assert plane()["paths"] == ["kube-controller-manager restarts", "kube-scheduler restarts"]
    assert plane.stopped == ["kube-controller-manager", "kube-scheduler"]


def test_check_mode_says_the_same_and_does_nothing(plane: Plane) -> None:
    plane.due = {"apiserver", "scheduler"}

    planned = plane(check=True)

    assert planned["changed"] is True
    assert planned["paths"][-1] == "kube-scheduler restarts"
    assert not plane.renewed
    assert not plane.stopped


def test_an_interrupted_run_restarts_what_still_has_the_old_one(plane: Plane) -> None:
    plane.renewed = {"controller-manager"}

    done = plane()

    assert done["changed"] is True
    assert plane.stopped == ["kube-controller-manager"]


def test_nothing_due_changes_nothing(plane: Plane) -> None:
    assert plane()["changed"] is False


def test_a_component_that_does_not_come_back_stops_the_run(plane: Plane) -> None:
    plane.due, plane.ill = {"scheduler"}, True

    failed = plane()

    assert failed["failed"] is True
    assert "kube-scheduler does not work" in failed["msg"]
