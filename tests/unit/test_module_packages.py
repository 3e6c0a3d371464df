"""The `packages` module: one query, one transaction, and a site's other sources left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .module_runner import Clock, ModuleRunner, Tools, load

# chrony is installed, socat removed with its configuration left; like dpkg-query it fails when a package is unknown.
DPKG = "echo 'chrony installed'; echo 'socat config-files'; echo 'no packages found' >&2; exit 1"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools(tmp_path, monkeypatch)
    monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
    made.add("dpkg-query", DPKG)
    made.add("apt-get", '[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9')
    made.add("systemctl", "echo inactive; exit 3")  # the unit does not run
    made.add("systemd-run")
    return made


def apt_calls(tools: Tools) -> list[str]:
    return [call for call in tools.calls() if call.startswith("apt-get")]


def test_only_what_is_missing_is_installed_after_one_refresh(run: ModuleRunner, tools: Tools) -> None:
    result = run("packages", names=["socat", "chrony", "conntrack", "socat"])
    assert result["packages"] == ["socat", "conntrack"]
    update, install = apt_calls(tools)
    assert update.endswith(" update")
    assert install.endswith(" install --no-install-recommends socat conntrack")
    assert "--force-confold" in install
    assert "Dir::Etc" not in install


def test_when_all_is_there_apt_is_not_even_called(run: ModuleRunner, tools: Tools) -> None:
    assert not run("packages", names=["chrony"])["changed"]
    assert apt_calls(tools) == []


def test_a_source_is_used_alone_and_the_lists_of_the_others_stay(run: ModuleRunner, tools: Tools) -> None:
    run("packages", names=["conntrack"], source="/etc/apt/sources.list.d/provision.sources")
    for call in apt_calls(tools):
        assert "-o Dir::Etc::sourcelist=/etc/apt/sources.list.d/provision.sources -o Dir::Etc::sourceparts=-" in call
        assert "-o APT::Get::List-Cleanup=0" in call


def test_check_mode_asks_and_does_nothing(run: ModuleRunner, tools: Tools) -> None:
    result = run("packages", check=True, names=["conntrack", "chrony"])
    assert result["diff"] == [{"before": "", "after": "conntrack"}]
    assert apt_calls(tools) == []


def test_an_installation_that_is_not_waited_for_is_systemds(run: ModuleRunner, tools: Tools) -> None:
    result = run("packages", names=["conntrack", "chrony"], state="begun")

    assert (result["changed"], result["packages"]) == (True, ["conntrack"])
    assert apt_calls(tools) == []
    (begun,) = [call for call in tools.calls() if call.startswith("systemd-run")]
    assert "--collect --unit=provision-packages.service" in begun
    assert "--setenv=DEBIAN_FRONTEND=noninteractive" in begun
    assert re.search(r" sh -c apt-get .* update && apt-get .* install --no-install-recommends conntrack$", begun)


def test_nothing_is_begun_when_all_is_there_or_in_check_mode(run: ModuleRunner, tools: Tools) -> None:
    assert not run("packages", names=["chrony"], state="begun")["changed"]
    assert run("packages", check=True, names=["conntrack"], state="begun")["packages"] == ["conntrack"]
    assert "systemd-run" not in "".join(tools.calls())


def test_an_installation_that_goes_on_is_not_begun_again(run: ModuleRunner, tools: Tools) -> None:
    tools.add("systemctl", "echo active")  # the unit runs

    assert run("packages", names=["conntrack"], state="begun")["packages"] == ["conntrack"]
    assert "systemd-run" not in "".join(tools.calls())


def test_an_installation_that_goes_on_is_waited_for(run: ModuleRunner, tools: Tools, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    # It runs when it is first asked for, and its package is there when it does not run any more.
    tools.add("systemctl", f"[ ! -e {asked} ] || {{ echo inactive; exit 3; }}; touch {asked}; echo active")
    tools.add("dpkg-query", f"[ ! -e {asked} ] || echo 'conntrack installed'")

    assert not run("packages", names=["conntrack"])["changed"]
    assert [call for call in tools.calls() if call.startswith("systemctl")] == [
        "systemctl is-active provision-packages.service"
    ] * 2
    assert apt_calls(tools) == []


def test_a_systemd_that_does_not_answer_is_asked_again(
    run: ModuleRunner, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, asked = load("packages"), tmp_path / "asked"
    clock = Clock(monkeypatch, module)
    late = "echo 'Failed to get properties: Connection timed out' >&2; exit 1"
    tools.add("systemctl", f"[ -e {asked} ] || {{ touch {asked}; {late}; }}; echo inactive; exit 3")

    assert run(module, names=["conntrack"])["changed"]
    assert clock.slept == 1

    tools.add("systemctl", late)
    assert "Connection timed out" in run(module, names=["conntrack"])["msg"]
    assert 60 < clock.slept - 1 <= 61


def test_an_installation_that_failed_is_tried_in_sight(run: ModuleRunner, tools: Tools) -> None:
    tools.add("apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    run("packages", names=["conntrack"], state="begun")

    assert "E: Unable to locate package" in run("packages", names=["conntrack"])["msg"]


def test_absent_removes_only_what_is_installed(run: ModuleRunner, tools: Tools) -> None:
    assert run("packages", state="absent", names=["chrony", "socat"])["packages"] == ["chrony"]
    assert [call.split()[-2:] for call in apt_calls(tools)] == [["purge", "chrony"]]


def test_a_failure_stops_with_apts_words(run: ModuleRunner, tools: Tools) -> None:
    tools.add("apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    result = run("packages", names=["conntrack"])
    assert "apt-get update: E: Unable to locate package" in result["msg"]
    assert len(apt_calls(tools)) == 1


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_an_interrupted_dpkg_left_is_finished_first(
    run: ModuleRunner, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    module, updates = load("packages"), tmp_path / "updates"
    updates.mkdir()
    (updates / "0000").touch()
    monkeypatch.setattr(module.Apt, "updates", updates)
    tools.add("dpkg", f"rm {updates}/0000")
    run(module, state=state, names=["conntrack" if state == "present" else "chrony"])
    calls = [call for call in tools.calls() if call.startswith(("dpkg ", "apt-get"))]
    assert calls[0] == "dpkg --force-confold --configure -a"
    assert calls[1].startswith("apt-get")


def test_a_package_manager_that_is_at_work_is_waited_for(
    run: ModuleRunner, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves what an interrupted one would leave, until it is done."""
    module, updates, asked = load("packages"), tmp_path / "updates", tmp_path / "asked"
    clock = Clock(monkeypatch, module)
    updates.mkdir()
    (updates / "0000").touch()
    monkeypatch.setattr(module.Apt, "updates", updates)
    locked = "echo 'dpkg: error: dpkg frontend lock was locked by /usr/bin/apt-get process with pid 442' >&2; exit 2"
    tools.add("dpkg", f"[ -e {asked} ] || {{ touch {asked}; {locked}; }}; rm {updates}/0000")

    assert run(module, names=["conntrack"])["changed"]
    assert clock.slept == 1

    (updates / "0000").touch()
    tools.add("dpkg", locked)
    assert "process with pid 442" in run(module, names=["conntrack"])["msg"]
    assert 300 < clock.slept - 1 <= 301


def test_where_there_is_no_dpkg_dnf_does_it(
    run: ModuleRunner, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dpkg-query", "apt-get"):
        (tools.directory / name).unlink()
    for name in ("sh", "test"):
        (tools.directory / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tools.directory))
    tools.add("rpm", '[ "$3" = chrony ]')
    tools.add("dnf")
    assert run("packages", names=["chrony", "socat"])["packages"] == ["socat"]
    assert tools.calls()[-1] == "dnf -y -q install --setopt=install_weak_deps=False socat"
    assert run("packages", state="absent", names=["chrony", "socat"])["packages"] == ["chrony"]
    assert tools.calls()[-1] == "dnf -y -q remove chrony"


POLICY = """cat <<'END'
haproxy:
  Installed: 3.0.1
  Candidate: 3.0.2
keepalived:
  Installed: 2.3.3
  Candidate: 2.3.3
bird2:
  Installed: (none)
  Candidate: 2.17
END"""


def test_what_is_installed_and_older_is_brought_to_the_newest(run: ModuleRunner, tools: Tools) -> None:
    tools.add("apt-cache", POLICY)
    result = run("packages", names=["haproxy", "keepalived", "bird2"], state="latest")
    assert (result["changed"], result["packages"]) == (True, ["haproxy"])
    (install,) = apt_calls(tools)
    assert install.endswith(" install --only-upgrade haproxy")


def test_newer_packages_are_fetched_ahead_after_a_refresh(run: ModuleRunner, tools: Tools) -> None:
    tools.add("apt-cache", POLICY)
    result = run("packages", names=["haproxy", "keepalived"], state="downloaded")
    assert not result["changed"]
    update, install = apt_calls(tools)
    assert update.endswith(" update")
    assert install.endswith(" install --only-upgrade --download-only haproxy")


def test_check_mode_tells_of_newer_packages(run: ModuleRunner, tools: Tools) -> None:
    tools.add("apt-cache", POLICY)
    assert run("packages", check=True, names=["haproxy"], state="latest")["packages"] == ["haproxy"]
    assert apt_calls(tools) == []
