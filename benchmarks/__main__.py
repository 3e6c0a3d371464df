"""Runs the rounds; see benchmarks/run."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import floor
from benchmarks.report import Figures, Ours, page
from provision import catalog, sandbox
from provision.drills.probe import Prober
from tests.e2e.site import ROOT, Call, Site, eventually, new_site

_APT = """
set -e
mkdir -p /etc/apt/keyrings
curl -fsS {url}/apt/debian-13/provision.asc -o /etc/apt/keyrings/benchmark.asc
printf 'Types: deb\\nURIs: {url}/apt/debian-13/\\nSuites: ./\\nSigned-By: /etc/apt/keyrings/benchmark.asc\\n' \
  > /etc/apt/sources.list.d/benchmark.sources
apt-get update -q=2
DEBIAN_FRONTEND=noninteractive apt-get install -q=2 --no-install-recommends {packages} >/dev/null 2>&1
systemctl disable --now -q haproxy keepalived bird 2>/dev/null || true
rm /etc/apt/sources.list.d/benchmark.sources /etc/apt/keyrings/benchmark.asc
"""
CALM = 0.45
"""The share of all processors' time that a quiet cluster of four nodes on two cores stays below."""
CALM_SECONDS = 10
"""How long the machine has to be calm: a cluster that just came up rests for a moment and goes on."""
# Nodes need no registry of their own.
_NOT_ON_NODES = {"docker-registry"}


def main() -> None:
    """Measure, and write the page."""
    wanted = _arguments()
    site = new_site("benchmark", (ROOT / "inventory/sandbox/site.ini").read_text(encoding="utf-8"))
    figures = Figures()
    try:
        for number in range(wanted.rounds):
            _say(f"round {number + 1}: provision cluster")
            _fresh(site)
            figures.ours.append(_measure(site))
            if wanted.floor.exists():
                _say(f"round {number + 1}: {wanted.floor.name}")
                _fresh(site)
                figures.floor.append(_measure_floor(site, wanted.floor))
    finally:
        site.down()
    wanted.output.write_text(page(figures, site.control_planes), encoding="utf-8")
    _say(f"written: {wanted.output}")
    print(wanted.output.read_text(encoding="utf-8"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument(
        "--floor",
        type=Path,
        default=ROOT.parent / "shared/bench/hand_cluster.sh",
        help="the script to compare with; left out where it is missing",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs/reference/benchmarks.md", help="the page")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def _fresh(site: Site) -> None:
    """New nodes with the operating system's packages, as a machine has them that was installed for this."""
    site.down()
    site.up()
    known = catalog.load().packages("debian-13")
    packages = " ".join(name for name in known.names if name not in _NOT_ON_NODES)
    script = _APT.format(url=f"http://{site.network}.1:8080", packages=packages)
    for name in site.names:
        site.run(name, script)


def _measure(site: Site) -> Ours:
    first = _done(site.provision("cluster", "--yes"))
    _say(f"first run {first.seconds:.1f} s")
    eventually(_calm, seconds=120, every=0)
    second = _done(site.provision("cluster", "--yes"))
    assert second.changes == [], second.changes
    plan = _done(site.provision("cluster", "--plan"))
    hosts = first.document["hosts"]
    added = _add(site)
    gap = _gap(site)
    _say(f"second run {second.seconds:.1f} s, node add {added:.1f} s, gap {gap:.2f} s")
    return Ours(
        first=first.seconds,
        second=second.seconds,
        plan=plan.seconds,
        added=added,
        gap=gap,
        phases={span["name"]: span["seconds"] for span in first.document["phases"]},
        evaluated={host: tally["evaluated"] for host, tally in hosts.items()},
        skipped={host: tally["skipped"] for host, tally in hosts.items()},
    )


def _add(site: Site) -> float:
    """Take a bare machine in as a worker; the seconds that it takes, with its operating system's packages."""
    site.write_host("kube_node", "w2", 22)
    try:
        site.up()
        eventually(_calm, seconds=120, every=0)
        return _done(site.provision("node", "add", "w2", "--yes")).seconds
    finally:
        site.delete_lines("w2")


def _calm() -> None:
    """A cluster that just came up is busy with itself for a while; nobody's second run comes at once."""
    before = _processor_time()
    time.sleep(CALM_SECONDS)
    busy, idle = (after - then for after, then in zip(_processor_time(), before, strict=True))
    assert busy / (busy + idle) < CALM, f"{busy / (busy + idle):.0%} of the processor time is in use"


def _processor_time() -> tuple[float, float]:
    """What all processors spent working and waiting since the machine started, in ticks."""
    spent = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    waiting = sum(spent[3:5])
    return sum(spent) - waiting, waiting


def _done(call: Call) -> Call:
    if call.code != 0:
        raise SystemExit(call.text)
    return call


def _gap(site: Site) -> float:
    """Kill the node that holds the VIP; the seconds until the API answers again for good."""
    holder = _done(site.provision("status")).document["vip"]["holder"]
    with Prober(f"{site.network}.10", 8443) as prober:
        time.sleep(1)
        site.kill(holder)
        eventually(lambda: _back(prober), seconds=60, every=0.1)
        time.sleep(5)
        return prober.gap


def _back(prober: Prober) -> None:
    answers = sorted(prober.answers, key=lambda answer: answer.at)
    assert not all(answer.ok for answer in answers)
    assert all(answer.ok for answer in answers[-20:])


def _measure_floor(site: Site, script: Path) -> float:
    record, _ = sandbox.find_node(site.file, site.names[0])
    control_planes = [site.address(name) for name in site.control_planes]
    workers = [site.address(name) for name in site.names if name not in site.control_planes]
    with tempfile.TemporaryDirectory() as work:
        artifacts = Path(work) / "artifacts"
        floor.make_artifacts(Path(record.bundle), artifacts)
        seconds = floor.run(script, artifacts, record.key, f"{site.network}.10", control_planes, workers)
    _say(f"floor {seconds:.1f} s")
    return seconds


if __name__ == "__main__":
    main()
