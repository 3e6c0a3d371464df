"""A fault is armed before it injures, and whoever heals first heals alone."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from .module_runner import ModuleRunner, Tools, load


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("fault")
    monkeypatch.setattr(module, "HOME", str(tmp_path / "fault"))
    return module


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools(tmp_path, monkeypatch)
    # Every program that a fault uses: none may reach the machine that the tests run on.
    for name in ("systemctl", "systemd-run", "nft", "fallocate"):
        made.add(name)
    made.add("date", "echo 1000")
    return made


def test_the_timer_is_set_before_anything_is_injured(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    done = run(fault, kind="service", unit="etcd.service", seconds=30)
    assert done["changed"], done
    timer, kill, stop = tools.calls()
    assert timer.startswith("systemd-run ")
    assert "--on-active=30" in timer
    assert (kill, stop) == ("systemctl kill --signal=KILL etcd.service", "systemctl stop etcd.service")


def test_healing_undoes_it_and_a_second_time_does_nothing(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    run(fault, kind="handover", unit="keepalived.service")
    before = len(tools.calls())
    assert run(fault, state="absent")["changed"]
    assert tools.calls()[before:] == ["systemctl start keepalived.service", "systemctl stop provision-fault.timer"]
    assert not run(fault, state="absent")["changed"]
    assert not Path(fault.HOME).exists()


def test_the_timer_and_the_operator_do_not_both_heal(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    run(fault, kind="clock", jump=600)
    script = Path(fault.HOME, "heal")
    assert os.system(f"sh {script}") == 0
    before = tools.calls()
    assert not run(fault, state="absent")["changed"]
    assert os.system(f"sh {script} 2>/dev/null") != 0
    assert tools.calls() == before
    assert "date -s @400" in before


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with something in it."""
    made = tmp_path / "etcd"
    made.mkdir()
    (made / "db").write_text("kept")
    return made


def test_lost_data_comes_back(fault: ModuleType, run: ModuleRunner, tools: Tools, data: Path) -> None:
    done = run(fault, kind="data", unit="etcd.service", path=str(data))
    assert done["changed"], done
    assert list(data.iterdir()) == []
    (data / "new").touch()  # a service that was started meanwhile begins anew

    assert run(fault, state="absent")["changed"]
    assert [path.read_text() for path in data.iterdir()] == ["kept"]
    assert tools.calls()[-2:] == ["systemctl start etcd.service", "systemctl stop provision-fault.timer"]


def test_data_that_was_never_taken_stays(fault: ModuleType, run: ModuleRunner, tools: Tools, data: Path) -> None:
    tools.add("systemctl", '[ "$1" = kill ] && exit 1; exit 0')
    assert run(fault, kind="data", unit="etcd.service", path=str(data))["failed"]
    assert (data / "db").read_text() == "kept"


def test_a_disarmed_fault_is_left_to_somebody_else(
    fault: ModuleType, run: ModuleRunner, tools: Tools, data: Path
) -> None:
    run(fault, kind="data", unit="etcd.service", path=str(data))
    assert run(fault, state="disarmed", path=str(data))["changed"]
    assert tools.calls()[-1] == "systemctl stop provision-fault.timer"
    (data / "restored").touch()
    before = tools.calls()

    assert run(fault, state="absent")["changed"]
    assert tools.calls()[len(before) :] == ["systemctl stop provision-fault.timer"]
    assert [path.name for path in data.parent.glob("etcd*")] == ["etcd"]
    assert [path.name for path in data.iterdir()] == ["restored"]


def test_what_healed_itself_cannot_be_disarmed(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    assert "its time was over" in run(fault, state="disarmed")["msg"]


def test_data_set_aside_is_never_overwritten(fault: ModuleType, run: ModuleRunner, tools: Tools, data: Path) -> None:
    data.with_name("etcd.drill").mkdir()
    assert "still there" in run(fault, kind="data", unit="etcd.service", path=str(data))["msg"]


def test_an_injury_that_fails_is_healed_at_once(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    tools.add("nft", '[ "$1" = -f ] && { echo "no netfilter" >&2; exit 1; }; exit 0')
    done = run(fault, kind="network", port=2222)
    assert done["failed"]
    assert "no netfilter" in done["msg"]
    assert "nft delete table inet provision_fault" in tools.calls()
    assert not Path(fault.HOME).exists()


def test_a_cut_node_still_answers_ssh_at_its_port(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    run(fault, kind="network", port=2222)
    rules = Path(fault.HOME, "rules").read_text()
    assert "tcp dport 2222 accept" in rules
    assert "tcp sport 2222 accept" in rules
    assert rules.count("policy drop") == 3


def test_a_cut_node_claims_the_vip_no_more(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    run(fault, kind="network", vip="10.77.0.10")
    assert "arp saddr ip 10.77.0.10 drop" in Path(fault.HOME, "rules").read_text()
    run(fault, state="absent")
    assert "nft delete table arp provision_fault" in tools.calls()


@pytest.mark.parametrize("vip", ["", "fd00::10"])
def test_without_arp_there_is_nothing_to_claim(fault: ModuleType, run: ModuleRunner, tools: Tools, vip: str) -> None:
    run(fault, kind="network", vip=vip)
    assert "arp" not in Path(fault.HOME, "rules").read_text()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"kind": "process", "unit": "x; reboot"}, "is no name of a service"),
        ({"kind": "process"}, "is no name of a service"),
        ({"kind": "disk", "path": "/nonexistent"}, "is no directory"),
        ({}, "kind"),
    ],
)
def test_refusals(fault: ModuleType, run: ModuleRunner, tools: Tools, wanted: dict[str, str], says: str) -> None:
    done = run(fault, **wanted)
    assert done["failed"]
    assert says in done["msg"]
    assert tools.calls() == []


def test_one_fault_at_a_time(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    run(fault, kind="process", unit="haproxy.service")
    assert "already here" in run(fault, kind="process", unit="haproxy.service")["msg"]


def test_check_mode_touches_nothing(fault: ModuleType, run: ModuleRunner, tools: Tools) -> None:
    assert run(fault, check=True, kind="power")["changed"]
    assert not run(fault, check=True, state="absent")["changed"]
    assert tools.calls() == []


def test_the_disk_is_held_without_a_name_and_for_a_limited_time(fault: ModuleType, tmp_path: Path) -> None:
    words = fault.holding({"path": str(tmp_path), "seconds": 30})
    assert "--property=RuntimeMaxSec=30" in words
    script = words[words.index("-c") + 1].replace("exec sleep infinity", "stat -L -c %s /proc/self/fd/3; ls -A $1")
    small = script.replace("fallocate -l $((free))", "fallocate -l 8192").replace("dd if=/dev/zero bs=4096", "true")
    answer = os.popen(f"sh -c {shlex.quote(small)} sh {tmp_path}").read()
    assert answer.split() == ["8192"]
