"""The reference page of all settings, made from the roles' argument_specs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from provision import aliases, specs
from provision.explain import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.specs import Option

_HEAD = """# Variables

Every setting there is. `provision explain NAME --inventory SITE` says what it is in your site and where that comes
from; `provision validate` refuses unknown names. Those of the whole cluster belong under `[all:vars]` or in
`group_vars/all`; the others wherever they should hold: all hosts, a group, one host.
"""

_HOSTS = """## Hosts

Beside Ansible's own connection variables (`ansible_host`, `ansible_user`, …) a host has:
"""

_ALIASES = """## Kubespray's names

These names of Kubespray are taken as they are. A name of Kubespray that is not here is refused.
"""


def reference_markdown() -> str:
    """The text of docs/reference/variables.md."""
    return "\n".join([_HEAD, _HOSTS, *_host_lines(), *_role_sections(), _ALIASES, *_alias_lines()]) + "\n"


def _host_lines() -> Iterator[str]:
    yield from ("| name | meaning |", "|---|---|")
    for name, meaning in specs.HOST_VARIABLES.items():
        yield f"| `{name}` | {_cell(meaning)} |"
    yield ""


def _role_sections() -> Iterator[str]:
    for role, options in groupby(specs.specs().values(), key=lambda option: option.role):
        yield from (f"## {role}", "", "| name | type | default | meaning |", "|---|---|---|---|")
        for option in options:
            yield f"| `{option.name}` | {_type(option)} | {_default(option)} | {_meaning(option)} |"
        yield ""


def _type(option: Option) -> str:
    return f"list of {option.elements}" if option.elements else option.type


def _default(option: Option) -> str:
    return "required" if option.required else f"`{_cell(text_of(option.default))}`"


def _meaning(option: Option) -> str:
    choices = f" One of {', '.join(f'`{choice}`' for choice in option.choices)}." if option.choices else ""
    each = [f"`{name}` ({_type(field)}): {field.description}" for name, field in (option.options or {}).items()]
    fields = f" Fields: {'; '.join(each)}" if each else ""
    return _cell(f"{option.description}{choices}{fields}")


def _alias_lines() -> Iterator[str]:
    yield from ("| Kubespray | here | remarks |", "|---|---|---|")
    for name, alias in sorted(aliases.table().items()):
        own = ", ".join(f"`{own}`" for own in alias.own_names) or "nothing to set"
        yield f"| `{name}` | {own} | {_cell(_remarks(alias))} |"


def _remarks(alias: aliases.Alias) -> str:
    only = [text_of(value) for value in alias.only or alias.values or ()]
    parts = [f"only {', '.join(f'`{value}`' for value in only)}" if only else "", alias.note]
    return "; ".join(part for part in parts if part)


def _cell(text: str) -> str:
    """Text for a table: no line ends, no column bars."""
    return " ".join(text.split()).replace("|", "\\|")
