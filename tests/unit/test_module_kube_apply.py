"""The `kube_apply` module: asks before it sends, waits afterwards, and removes only what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, Tools

MANIFEST = "kind: Deployment\nmetadata: {name: dns}\n"
SAME, DIFFERENT = "diff) exit 0 ;;", "diff) cat $0.input; exit 1 ;;"
READ_INPUT = 'for last; do :; done\n[ "$last" != - ] || cat > $0.input\n'
WAIT = [{"kind": "deployment", "name": "dns", "namespace": "kube-system", "for": "rollout"}]


class ControlPlane:
    """A node with credentials and a `kubectl` whose answers are the given shell cases."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kubeconfig = directory / "admin.conf"
        self.kubeconfig.write_text("x")
        self._tools = Tools(directory, monkeypatch)

    def answers(self, *cases: str) -> None:
        self._tools.add("kubectl", READ_INPUT + 'shift 2\ncase "$1" in\n' + "\n".join(cases) + "\nesac\n")

    def calls(self) -> list[str]:
        prefix = f"kubectl --kubeconfig {self.kubeconfig} "
        return [call.removeprefix(prefix) for call in self._tools.calls()]


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    return ControlPlane(tmp_path, monkeypatch)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], plane: ControlPlane) -> Any:
    runner = ModuleRunner(monkeypatch, capsys)
    return lambda **options: runner("kube_apply", manifest=MANIFEST, kubeconfig=str(plane.kubeconfig), **options)


def test_nothing_is_sent_when_nothing_differs_but_it_waits(run: Any, plane: ControlPlane) -> None:
    plane.answers(SAME)
    assert not run(wait=WAIT, timeout=7)["changed"]
    assert [call.split()[0] for call in plane.calls()] == ["diff", "rollout"]
    assert plane.calls()[1] == "rollout status deployment/dns -n kube-system --timeout=7s"


def test_a_difference_is_applied_by_our_manager_and_shown(run: Any, plane: ControlPlane) -> None:
    plane.answers(DIFFERENT, "apply) grep -q Deployment $0.input && echo 'deployment.apps/dns serverside-applied' ;;")
    result = run()
    assert result["objects"] == ["deployment.apps/dns"]
    assert MANIFEST in result["diff"][0]["prepared"]
    assert plane.calls()[1] == "apply --server-side --force-conflicts --field-manager=provision -f -"


def test_check_mode_asks_the_server_and_sends_nothing(run: Any, plane: ControlPlane) -> None:
    plane.answers(DIFFERENT)
    assert run(check=True, wait=WAIT)["changed"]
    assert [call.split()[0] for call in plane.calls()] == ["diff"]


def test_a_refusal_stops_with_the_servers_words(run: Any, plane: ControlPlane) -> None:
    plane.answers("diff) echo 'error: no matches for kind' >&2; exit 2 ;;")
    result = run()
    assert result["failed"]
    assert "no matches for kind" in result["msg"]
    assert len(plane.calls()) == 1


def test_a_condition_is_waited_for(run: Any, plane: ControlPlane) -> None:
    plane.answers(SAME)
    run(wait=[{"kind": "crd", "name": "x", "for": "condition=Established"}], timeout=9)
    assert plane.calls()[-1] == "wait crd/x --for=condition=Established --timeout=9s"


def test_a_failed_wait_fails(run: Any, plane: ControlPlane) -> None:
    plane.answers(SAME, "rollout) echo 'timed out waiting' >&2; exit 1 ;;")
    assert "timed out waiting" in run(wait=WAIT)["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_absent_removes_only_what_exists(run: Any, plane: ControlPlane, check: bool) -> None:
    plane.answers("get) echo deployment.apps/dns ;;")
    assert run(state="absent", check=check)["objects"] == ["deployment.apps/dns"]
    assert [call.split()[0] for call in plane.calls()] == (["get"] if check else ["get", "delete"])
    plane.answers("get) ;;")
    assert not run(state="absent", check=check)["changed"]


def test_before_the_cluster_exists_check_mode_shows_all_of_it(run: Any, plane: ControlPlane) -> None:
    plane.kubeconfig.unlink()
    result = run(check=True)
    assert (result["changed"], result["diff"][0]["after"]) == (True, MANIFEST)
    assert not run(check=True, state="absent")["changed"]
    assert "no control plane" in run()["msg"]
