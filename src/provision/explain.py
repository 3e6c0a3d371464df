"""Where a setting's value comes from, what it means, and how to change it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import aliases, inventory, specs
from provision.errors import Location, UsageError
from provision.inventory_reader import resolved

if TYPE_CHECKING:
    from provision.inventory import Definition, Host, Site
    from provision.specs import Option


@dataclass(frozen=True)
class Explanation:
    """Everything about one setting of one site."""

    name: str
    value: object
    """The value on `host`; the default when no site was given."""
    origin: Location | None
    source: str
    """`site`, `overlay`, `alias`, `default`, or `role default`."""
    host: str | None
    type: str
    description: str
    default: object
    choices: tuple[object, ...]
    aliases: tuple[str, ...]
    """Kubespray's names for it."""
    overridden: tuple[tuple[Location, object], ...] = ()
    """Where else it is set, to no effect: the strongest first."""
    per_host: tuple[tuple[str, object], ...] = ()
    """The hosts with a value other than `value`."""

    def as_dict(self) -> dict[str, object]:
        """The explanation for `--output json`."""
        return {
            "name": self.name,
            "value": self.value,
            "origin": _place(self.origin),
            "source": self.source,
            "host": self.host,
            "type": self.type,
            "description": self.description,
            "default": self.default,
            "choices": list(self.choices),
            "aliases": list(self.aliases),
            "overridden": [{"origin": _place(location), "value": value} for location, value in self.overridden],
            "per_host": dict(self.per_host),
        }


def explain(site: Site | None, name: str, host: str | None = None) -> Explanation:
    """Explain a setting, by our name or Kubespray's, as `host` sees it (default: the first control plane).

    Raises UsageError with the nearest names when there is no such setting or host.
    """
    option = _option(name, site)
    if site is None:
        return _explanation(
            option, option.default, None if option.role == "host" else option.location, _default_source(option)
        )
    seen_by = site.host(host) if host else (site.control_planes or site.hosts)[0]
    values = {
        each.name: each.vars[option.name] if option.name in each.vars else resolved(option.default, each.vars)
        for each in site.hosts
    }
    value = values[seen_by.name]
    origin = seen_by.origins.get(option.name, None if option.role == "host" else option.location)
    return _explanation(
        option,
        value,
        origin,
        _source(site, seen_by, option, origin),
        host=seen_by.name,
        overridden=_overridden(seen_by, option, origin),
        per_host=tuple((each, other) for each, other in values.items() if other != value),
    )


def _option(name: str, site: Site | None) -> Option:
    known = specs.specs()
    alias = aliases.table().get(name)
    if name not in known and alias is not None:
        if not alias.own_names:
            return _outside(name, f"Kubespray's; it sets nothing here{f': {alias.note}' if alias.note else ''}", site)
        name = alias.own_names[0]
    if name in known:
        return known[name]
    if name in specs.HOST_VARIABLES:
        return _outside(name, specs.HOST_VARIABLES[name], site)
    if name.startswith("ansible_"):
        return _outside(name, "Ansible's own variable: how it reaches the host.", site)
    if name in aliases.kubespray_names():
        hint = aliases.hint_for(name) or _suggestion(name, specs.NEAR)
        raise UsageError(f"Kubespray's {name} has no counterpart here", hint=hint)
    raise UsageError(f"there is no setting {name}", hint=_suggestion(name, 0.6))


def _outside(name: str, description: str, site: Site | None) -> Option:
    """A name that a site may have and that is no setting of ours: it has no default."""
    return specs.Option(name, "host", "str", description, None, _site_file(site))


def _site_file(site: Site | None) -> Location:
    return Location(str(site.path)) if site else Location("inventory")


def _suggestion(name: str, cutoff: float) -> str:
    near = specs.nearest(name, [*specs.specs(), *aliases.table()], cutoff)
    if near:
        return f"did you mean {near}?"
    if name in aliases.kubespray_names():
        return "docs/how-to/from_kubespray.md"
    words = [part for part in name.split("_") if len(part) > 2]
    holding = [known for known in specs.specs() if any(part in known for part in words)][:5]
    return (
        f"settings with a like name: {', '.join(holding)}"
        if holding
        else "docs/reference/variables.md lists all settings"
    )


def _explanation(
    option: Option,
    value: object,
    origin: Location | None,
    source: str,
    host: str | None = None,
    overridden: tuple[tuple[Location, object], ...] = (),
    per_host: tuple[tuple[str, object], ...] = (),
) -> Explanation:
    return Explanation(
        name=option.name,
        value=value,
        origin=origin,
        source=source,
        host=host,
        type=f"list of {option.elements}" if option.elements else option.type,
        description=option.description,
        default=option.default,
        choices=option.choices,
        aliases=aliases.aliases_of(option.name),
        overridden=overridden,
        per_host=per_host,
    )


def _default_source(option: Option) -> str:
    if option.role == "host":
        return "not set"
    return "default" if option.role == "cluster" else "role default"


def _source(site: Site, host: Host, option: Option, origin: Location | None) -> str:
    if origin is None or origin == option.location:
        return _default_source(option)
    if site.overlay and origin.path == str(site.overlay):
        return "overlay"
    set_there = {item.name for item in host.chain if item.location == origin}
    return "site" if option.name in set_there else "alias"


def _overridden(host: Host, option: Option, origin: Location | None) -> tuple[tuple[Location, object], ...]:
    """Weaker places that set it too, the project's default left out."""
    found = [item for item in reversed(host.chain) if _sets(item, option)]
    return tuple((item.location, item.value) for item in found if item.location not in (origin, option.location))


def _sets(item: Definition, option: Option) -> bool:
    return item.name == option.name or any(use.own == option.name for use in inventory.alias_uses(item))


def _place(location: Location | None) -> str | None:
    return str(location) if location else None


def text_of(value: object) -> str:
    """A value as it is written in YAML on one line."""
    if isinstance(value, (dict, list, bool)) or value == "":
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
