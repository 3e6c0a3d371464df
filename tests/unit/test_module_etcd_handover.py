"""The leader hands over before it restarts, and nobody restarts while another member is sick."""

from __future__ import annotations

from typing import Any

import pytest

from .module_runner import ModuleRunner, load


class Etcd:
    """Three members; `leader` leads, those of `sick` do not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, leader: str = "1", sick: tuple[str, ...] = ()) -> None:
        self.module, self.leader, self.sick = load("etcd_handover"), leader, sick
        monkeypatch.setattr(self.module, "etcd_client", lambda _address: self)
        monkeypatch.setattr(self.module, "etcd_health", self.health)

    def health(self, address: str) -> bool:
        if address in self.sick:
            raise self.module.Unmet("no leader")
        return True

    def request(self, method: str, path: str, body: dict[str, Any], timeout: int = 5) -> dict[str, Any]:
        assert method == "POST"
        if path.endswith("transfer-leadership"):
            self.leader = body["targetID"]
        elif path.endswith("list"):
            learner = {"ID": "3", "name": "m3", "isLearner": True}
            return {"members": [learner, {"ID": "1", "name": "m1"}, {"ID": "2", "name": "m2"}]}
        return {"header": {"member_id": "1"}, "leader": self.leader}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def call(run: ModuleRunner, etcd: Etcd, *, check: bool = False) -> dict[str, Any]:
    return run(etcd.module, check=check, address="10.0.0.1", peers=["10.0.0.2", "10.0.0.3"], timeout=0)


def test_a_leader_hands_over_to_a_voter(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    assert call(run, etcd, check=True)["leader"] == "m2"
    assert etcd.leader == "1"
    assert call(run, etcd)["leader"] == "m2"
    assert etcd.leader == "2"
    assert not call(run, etcd)["changed"]


def test_nothing_is_restarted_beside_a_sick_member(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch, sick=("10.0.0.3",))
    assert "10.0.0.3: no leader" in call(run, etcd)["msg"]
    assert etcd.leader == "1"


def test_a_member_that_is_down_has_nothing_to_hand_over(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)

    def down(_address: str) -> Any:
        raise OSError("refused")

    monkeypatch.setattr(etcd.module, "etcd_client", down)
    assert not call(run, etcd)["changed"]
