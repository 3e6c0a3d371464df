"""Two recorded runs beside each other: what was asked, how long each phase took, what each changed on which host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from provision import timeline
from provision.state import Record

_ASKED = ("workflow", "mode", "site", "version", "user", "state", "seconds")


@dataclass(frozen=True, slots=True)
class Pair:
    """One thing in both runs; None in a run that has no such thing."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Comparison:
    """What `runs diff A B` tells."""

    a: Record
    b: Record
    options: tuple[Pair, ...]
    """What was asked and how it ended; the options of the command only where they differ."""
    phases: tuple[Pair, ...]
    """Seconds of each phase, in the order of their work."""
    hosts: tuple[tuple[str, Mapping[str, float] | None, Mapping[str, float] | None], ...]
    """`changed` and `failed` tasks and `busy` seconds of each host."""
    only_a: tuple[Mapping[str, Any], ...]
    """Changes that only the first run made."""
    only_b: tuple[Mapping[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """The comparison for JSON."""
        return {
            "runs": [self.a.number, self.b.number],
            "options": [asdict(pair) for pair in self.options],
            "phases": [asdict(pair) for pair in self.phases],
            "hosts": [{"name": name, "a": a, "b": b} for name, a, b in self.hosts],
            "changes": {"only_a": list(self.only_a), "only_b": list(self.only_b)},
        }


def compare(a: Record, b: Record) -> Comparison:
    """Lay two runs of one site beside each other."""
    return Comparison(
        a,
        b,
        options=tuple(_options(a, b)),
        phases=tuple(_pairs(_phases(a), _phases(b))),
        hosts=tuple((pair.name, pair.a, pair.b) for pair in _pairs(_hosts(a), _hosts(b))),
        only_a=_only(a, b),
        only_b=_only(b, a),
    )


def _options(a: Record, b: Record) -> Iterator[Pair]:
    yield from (Pair(name, getattr(a, name), getattr(b, name)) for name in _ASKED)
    yield from (pair for pair in _pairs(a.options, b.options) if pair.a != pair.b)


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Pair]:
    return (Pair(name, a.get(name), b.get(name)) for name in _merged(list(a), list(b)))


def _merged(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """The names of both in one order: what only `b` has stands behind what it follows there."""
    names = list(a)
    place = 0
    for name in b:
        if name in names:
            place = names.index(name) + 1
        else:
            names.insert(place, name)
            place += 1
    return names


def _phases(record: Record) -> dict[str, float]:
    return {phase["name"]: float(phase["seconds"]) for phase in record.result.get("phases", [])}


def _hosts(record: Record) -> dict[str, dict[str, float]]:
    busy = timeline.busy(timeline.steps_in(record.result))
    return {
        name: {
            "changed": tally.get("changed", 0),
            "failed": tally.get("failed", 0) + tally.get("unreachable", 0),
            "busy": busy.get(name, 0.0),
        }
        for name, tally in (record.result.get("hosts") or {}).items()
    }


def _only(one: Record, other: Record) -> tuple[Mapping[str, Any], ...]:
    known = {_identity(change) for change in other.result.get("changes", [])}
    return tuple(change for change in one.result.get("changes", []) if _identity(change) not in known)


def _identity(change: Mapping[str, Any]) -> tuple[str, ...]:
    return (change["host"], change["role"], change["task"], *change["summary"])
