"""Two virtual machines that share a VIP, each with the roles whose work a container hides."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import runner
from provision.events import AnyEvent, HostFailed, HostUnreachable, Message
from provision.paths import groups_file
from tests.e2e.conftest import KEEP
from tests.e2e.site import ROOT, Site, new_site
from tests.passed import Passed
from tests.vm import clock

INVENTORY = """
[kube_control_plane]
vm1 ansible_host=10.77.0.11 ip=10.77.0.11
vm2 ansible_host=10.77.0.12 ip=10.77.0.12
[all:vars]
cluster_vip=10.77.0.10
"""


ROLES = ("cluster", "host", "containerd", "load_balancer")
OUTCOME = Passed(
    f"virtual machines {os.environ.get('PROVISION_SANDBOX_IMAGE', '')}",
    (
        *(f"roles/{role}" for role in ROLES),
        *("src", "plugins", "group_vars", "groups.yml", "ansible.cfg"),
        *("tests/vm", "tests/e2e/site.py", "tests/e2e/conftest.py", "molecule/role_load_balancer/api.py"),
    ),
)
"""Of all tests in this directory together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.vm)
            if OUTCOME.reason:
                item.add_marker(pytest.mark.skip(reason=OUTCOME.reason))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Note it when all of them passed: those that were only collected did not."""
    from tests.vm import test_machines

    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed = {report.location[2].partition("[")[0] for report in reporter.stats.get("passed", ())}
    all_of_them = passed == {name for name in vars(test_machines) if name.startswith("test_")}
    if all_of_them and not {"failed", "error", "skipped"} & reporter.stats.keys():
        OUTCOME.note()


@pytest.fixture(scope="session")
def durations(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """How long the slow parts took, in seconds; shown at the end."""
    found: dict[str, float] = {}
    yield found
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        shown = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in found.items())
        reporter.write_line(f"\nvirtual machines: {shown}")


@pytest.fixture(scope="session")
def machines(durations: dict[str, float]) -> Iterator[Site]:
    """The bare machines."""
    site = new_site("vm", INVENTORY)
    gateway = f"{site.network}.1"
    site.set({"host_time_servers": [gateway], "host_swap": "off"})
    started = time.monotonic()
    try:
        site.up("--engine", "qemu")
        durations["booted"] = time.monotonic() - started
        with clock.serving(gateway):
            yield site
    finally:
        if not os.environ.get(KEEP):
            site.down()


@pytest.fixture(scope="session")
def pair(machines: Site, durations: dict[str, float]) -> Site:
    """The same machines with the roles host, containerd and load_balancer, and swap that was on before."""
    for name in machines.names:
        machines.run(
            name,
            "fallocate -l 64M /swap && chmod 600 /swap && mkswap -q /swap"
            " && echo '/swap none swap sw 0 0' >>/etc/fstab && swapon -a && grep -q ^/swap /proc/swaps",
        )
    failures: list[str] = []

    def note(event: AnyEvent) -> None:
        if isinstance(event, (HostFailed, HostUnreachable)):
            failures.append(f"{event.host}: {event.task.name}: {event.result.get('msg')}")
        elif isinstance(event, Message):
            failures.append(event.text)

    started = time.monotonic()
    done = runner.run(
        runner.Invocation(
            ROOT / "tests/vm/converge.yml",
            (groups_file(), machines.file, machines.overlay),
            extra_vars={"api_program": str(ROOT / "molecule/role_load_balancer/api.py")},
        ),
        note,
    )
    durations["converged"] = time.monotonic() - started
    assert done.code == 0, "\n".join(failures)
    return machines
