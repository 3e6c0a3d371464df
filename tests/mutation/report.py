"""What became of the mutants, as a table, as JSON, and as the page in docs/reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.mutation.trial import Verdict


class Report:
    """All verdicts of a run, and why some mutants may survive."""

    def __init__(self, verdicts: Sequence[Verdict], reasons: Mapping[str, str], *, seed: int) -> None:
        """`reasons` by the mutant's name; they count apart from what tests caught."""
        self.verdicts, self.reasons, self.seed = verdicts, reasons, seed

    @property
    def caught(self) -> int:
        """How many a test noticed."""
        return sum(bool(verdict.caught_by) for verdict in self.verdicts)

    @property
    def excused(self) -> int:
        """How many survived for a written reason."""
        return sum(self._is_excused(verdict) for verdict in self.verdicts)

    @property
    def survivors(self) -> list[Verdict]:
        """Those that nothing noticed and nobody explained."""
        return [verdict for verdict in self.verdicts if not verdict.caught_by and not self._is_excused(verdict)]

    @property
    def percent(self) -> float:
        """Caught by a test, of all."""
        return 100 * self.caught / len(self.verdicts) if self.verdicts else 100.0

    def _is_excused(self, verdict: Verdict) -> bool:
        return not verdict.caught_by and verdict.mutant.name in self.reasons

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "seed": self.seed,
            "mutants": len(self.verdicts),
            "caught": self.caught,
            "excused": self.excused,
            "percent": round(self.percent, 1),
            "verdicts": [
                {
                    "role": verdict.mutant.role,
                    "kind": verdict.mutant.kind,
                    "file": verdict.mutant.file,
                    "line": verdict.mutant.line,
                    "was": verdict.mutant.before[0].strip(),
                    "caught_by": verdict.caught_by,
                    "reason": self.reasons.get(verdict.mutant.name, "") if not verdict.caught_by else "",
                }
                for verdict in self.verdicts
            ],
        }

    def text(self) -> str:
        """The table for a terminal."""
        width = max((len(verdict.mutant.name) for verdict in self.verdicts), default=0)
        lines = [f"{verdict.mutant.name:<{min(width, 110)}}  {self.fate(verdict)}" for verdict in self.verdicts]
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        """One line."""
        kept = f"{self.excused} survived for a reason, {len(self.survivors)} without"
        return f"{self.caught} of {len(self.verdicts)} mutants caught ({self.percent:.1f} %); {kept}"

    def fate(self, verdict: Verdict) -> str:
        """What became of one."""
        if verdict.caught_by:
            return verdict.caught_by
        return f"reason: {self.reasons[verdict.mutant.name]}" if self._is_excused(verdict) else "SURVIVED"

    def page(self) -> str:
        """The page in Markdown."""
        lines = [
            "# Mutants",
            "",
            "<!-- Made by scripts/mutate --write. -->",
            "",
            "Each role is broken on purpose, one change at a time, and its cheap tests run (contract, render, unit);",
            "with `--scenarios`, those that survive meet the Molecule scenarios that go through what was changed.",
            "This shows which test notices first. `scripts/mutate --help` says more.",
            "",
            f"**{self.summary()}.**",
            "",
            "| role | mutants | caught | for a reason | survived |",
            "|---|---|---|---|---|",
            *self._by_role(),
        ]
        roles = dict.fromkeys(verdict.mutant.role for verdict in self.verdicts)
        for role in roles:
            lines += ["", f"## {role}", "", "| what was changed | where | noticed by |", "|---|---|---|"]
            lines += [self._row(verdict) for verdict in self.verdicts if verdict.mutant.role == role]
        return "\n".join(lines) + "\n"

    def _by_role(self) -> list[str]:
        rows = []
        for role in dict.fromkeys(verdict.mutant.role for verdict in self.verdicts):
            part = Report([each for each in self.verdicts if each.mutant.role == role], self.reasons, seed=self.seed)
            counts = (len(part.verdicts), part.caught, part.excused, len(part.survivors))
            rows.append(f"| {role} | {' | '.join(map(str, counts))} |")
        return rows

    def _row(self, verdict: Verdict) -> str:
        mutant = verdict.mutant
        place = mutant.file.removeprefix(f"roles/{mutant.role}/")
        was = mutant.before[0].strip().replace("|", "\\|").replace("`", "'")
        return f"| {mutant.kind} | `{place}`: `{was}` | {self.fate(verdict).replace('|', ' ')} |"
