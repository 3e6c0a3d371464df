"""Renders a role's templates as the `files` action does, from its defaults, vars and given inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).parents[2] / "roles"


class Role:
    """One role with `inputs` set, as a play would see it on a host."""

    def __init__(self, name: str, **inputs: Any) -> None:
        self.path = ROLES / name
        self._loader = loader = DataLoader()
        variables: dict[str, Any] = {}
        for part in ("defaults", "vars"):
            if (file := self.path / part / "main.yml").exists():
                variables |= loader.load_from_file(str(file), trusted_as_template=True) or {}
        self.variables = variables | inputs | {"ansible_managed": "Managed by provision."}
        self._templar = Templar(loader=loader, variables=self.variables)

    def value(self, name: str) -> Any:
        """The value of a variable, templates resolved."""
        return self._templar.template(self.variables[name])

    def render(self, template: str, **variables: Any) -> str:
        """The text of a template of the role; `variables` are those of the item that names it."""
        templar = Templar(loader=self._loader, variables=self.variables | variables)
        text = (self.path / "templates" / template).read_text(encoding="utf-8")
        return str(
            templar.template(
                trust_as_template(text), escape_backslashes=False, preserve_trailing_newlines=True,
                overrides={"trim_blocks": True},
            )
        )  # fmt: skip
