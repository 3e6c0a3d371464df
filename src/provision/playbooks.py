"""What a playbook says of itself before it runs."""

from __future__ import annotations

from pathlib import Path

from provision import own_yaml


def phases_of(playbook: Path) -> tuple[str, ...]:
    """The names of a playbook's plays, those of the playbooks it imports included, in their order."""
    plays = own_yaml.read(playbook) or []
    names: list[str] = []
    for play in plays:
        imported = play.get("import_playbook") or play.get("ansible.builtin.import_playbook")
        if imported:
            names.extend(phases_of(playbook.parent / str(imported)))
        else:
            names.append(str(play.get("name") or play.get("hosts")))
    return tuple(names)
