"""The member list of a living etcd, changed in the order that costs no majority."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.module_runner import Clock, ModuleRunner, load

member = load("etcd_member")
ApiError = member.ApiError


class FakeEtcd:
    """A member list that answers as etcd's JSON gateway does."""

    def __init__(self, *names: str, leader: str = "") -> None:
        self.members = [self.row(number, name) for number, name in enumerate(names, 1)]
        self.leader = leader or names[0]
        self.unsynced = 0
        self.elections: dict[str, int] = {}
        self.calls: list[str] = []

    @staticmethod
    def row(number: int, name: str, **more: Any) -> dict[str, Any]:
        urls = {"peerURLs": [f"https://10.0.0.{number}:2380"]}
        started = {"name": name, "clientURLs": [f"https://10.0.0.{number}:2379"]} if name else {}
        return {"ID": str(number), **urls, **started, **more}

    def request(self, _method: str, path: str, body: dict[str, Any], timeout: int | None = None) -> dict[str, Any]:
        verb = path.removeprefix("/v3/")
        self.calls.append(verb)
        if self.elections.get(verb):
            self.elections[verb] -= 1
            if verb == "cluster/member/remove":  # it worked, and the answer got lost
                self.members = [row for row in self.members if row["ID"] != body["ID"]]
            raise ApiError(503, "HTTP 503: etcdserver: leader changed")
        if verb == "cluster/member/list":
            return {"members": self.members}
        if verb == "maintenance/status":
            return {"leader": next(row["ID"] for row in self.members if row.get("name") == self.leader)}
        if verb == "cluster/member/add":
            number = int(body["peerURLs"][0].rsplit(".", 1)[1].split(":")[0])
            self.members.append(self.row(number, "", isLearner=body["isLearner"]))
        if verb == "cluster/member/remove":
            if body["ID"] not in [row["ID"] for row in self.members]:
                raise ApiError(404, "HTTP 404: etcdserver: member not found")
            self.members = [row for row in self.members if row["ID"] != body["ID"]]
        if verb == "cluster/member/promote":
            if self.unsynced:
                self.unsynced -= 1
                raise ApiError(412, "HTTP 412: can only promote a learner member which is in sync with leader")
            next(row for row in self.members if row["ID"] == body["ID"]).pop("isLearner")
        return {}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(etcd: FakeEtcd, state: str, *hosts: int, **more: Any) -> dict[str, Any]:
        monkeypatch.setattr(member, "healthy_member", lambda _addresses: etcd)
        monkeypatch.setattr(member, "etcd_client", lambda _address: etcd)
        members = [{"name": f"m{number}", "address": f"10.0.0.{number}"} for number in hosts]
        runner = ModuleRunner(monkeypatch, capsys)
        return runner(member, state=state, via=["10.0.0.1"], members=members, **more)

    return call


def test_a_new_member_comes_without_a_vote_and_learns_who_the_others_are(run: Any) -> None:
    etcd = FakeEtcd("m1", "m2")
    result = run(etcd, "added", 3, empty=True)
    assert result["changed"]
    assert etcd.members[-1]["isLearner"]
    expected = "m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380,m3=https://10.0.0.3:2380"
    assert result["initial_cluster"] == expected


def test_an_election_meanwhile_is_waited_for(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, member)
    etcd = FakeEtcd("m1", "m2", "m3")
    etcd.elections = {"cluster/member/list": 2, "cluster/member/remove": 1}
    assert run(etcd, "removed", 2)["changed"]
    assert [row["name"] for row in etcd.members] == ["m1", "m3"]

    etcd.elections = {"cluster/member/list": 1000}
    assert "leader changed" in run(etcd, "removed", 3)["msg"]
    assert clock.slept > 20


def test_check_mode_adds_nobody_and_tells_the_same(run: Any) -> None:
    etcd = FakeEtcd("m1")
    result = run(etcd, "added", 2, empty=True, check=True)
    assert (result["changed"], len(etcd.members)) == (True, 1)
    assert result["initial_cluster"].endswith("m2=https://10.0.0.2:2380")


def test_a_member_with_its_data_is_left_alone(run: Any) -> None:
    etcd = FakeEtcd("m1", "m2")
    assert not run(etcd, "added", 2)["changed"]
    assert etcd.calls == ["cluster/member/list"]


@pytest.mark.parametrize("started", [True, False])
def test_one_that_lost_its_data_or_never_started_is_added_anew(run: Any, started: bool) -> None:
    etcd = FakeEtcd("m1")
    etcd.members.append(FakeEtcd.row(2, "m2" if started else ""))
    assert run(etcd, "added", 2, empty=started)["changed"]
    assert [row.get("isLearner") for row in etcd.members] == [None, True]


def test_another_half_added_member_is_named(run: Any) -> None:
    etcd = FakeEtcd("m1")
    etcd.members.append(FakeEtcd.row(9, "", isLearner=True))
    result = run(etcd, "added", 2, empty=True)
    assert result["failed"]
    assert "https://10.0.0.9:2380 was added before" in result["msg"]


def test_the_vote_comes_when_the_data_is_there(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, member)
    etcd = FakeEtcd("m1")
    etcd.members.append(FakeEtcd.row(2, "m2", isLearner=True))
    etcd.unsynced = 2
    assert run(etcd, "promoted", 2)["changed"]
    assert etcd.calls.count("cluster/member/promote") == 3
    assert clock.slept > 0
    assert not run(etcd, "promoted", 2)["changed"]


@pytest.mark.parametrize(
    ("row", "empty", "changed"),
    [
        (None, True, True),
        (FakeEtcd.row(2, "", isLearner=True), True, True),
        (FakeEtcd.row(2, "m2", isLearner=True), False, True),
        (FakeEtcd.row(2, "m2"), True, True),
        (FakeEtcd.row(2, "m2"), False, False),
    ],
    ids=["new", "never started", "without a vote", "lost its data", "votes"],
)
def test_a_plan_tells_of_the_vote_that_a_member_to_come_is_given(
    run: Any, row: dict[str, Any] | None, empty: bool, changed: bool
) -> None:
    etcd = FakeEtcd("m1")
    etcd.members += [dict(row)] if row else []
    plan = [run(etcd, state, 2, empty=empty, check=True)["changed"] for state in ("added", "promoted")]
    assert etcd.calls == ["cluster/member/list"] * 2
    done = [run(etcd, state, 2, empty=empty)["changed"] for state in ("added", "promoted")]
    assert plan == done
    assert done[1] is changed


def test_who_is_no_member_has_no_vote_to_be_given(run: Any) -> None:
    assert "m2 is no member of etcd" in run(FakeEtcd("m1"), "promoted", 2)["msg"]


def test_data_that_never_comes_ends_with_etcds_words(run: Any) -> None:
    etcd = FakeEtcd("m1")
    etcd.members.append(FakeEtcd.row(2, "m2", isLearner=True))
    etcd.unsynced = 99
    assert "in sync with leader" in run(etcd, "promoted", 2, timeout=0)["msg"]


def test_the_leader_hands_over_before_it_goes(run: Any) -> None:
    etcd = FakeEtcd("m1", "m2", "m3", leader="m3")
    assert run(etcd, "removed", 3)["members"] == 2
    assert etcd.calls.index("maintenance/transfer-leadership") < etcd.calls.index("cluster/member/remove")


def test_several_can_go_and_those_that_are_gone_are_well(run: Any) -> None:
    etcd = FakeEtcd("m1", "m2", "m3")
    assert run(etcd, "removed", 2, 3)["changed"]
    assert [row["name"] for row in etcd.members] == ["m1"]
    assert not run(etcd, "removed", 2, 3)["changed"]
