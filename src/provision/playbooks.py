"""What a playbook says of itself before it runs."""

from __future__ import annotations

from pathlib import Path

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def phases_of(playbook: Path) -> tuple[str, ...]:
    """The names of a playbook's plays, those of the playbooks it imports included, in their order."""
    plays = yaml.load(playbook.read_text(encoding="utf-8"), Loader=_LOADER) or []  # noqa: S506
    names: list[str] = []
    for play in plays:
        imported = play.get("import_playbook") or play.get("ansible.builtin.import_playbook")
        if imported:
            names.extend(phases_of(playbook.parent / str(imported)))
        else:
            names.append(str(play.get("name") or play.get("hosts")))
    return tuple(names)
