"""Kubespray's variable names that a site may keep, and what they become.

The table is data/aliases.yml. The vars plugin of the same name (plugins/vars/aliases.py) applies it wherever Ansible
reads the inventory, so a plain `ansible-playbook` sees the same values as the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from provision.errors import Location

_DATA = Path(__file__).resolve().parent / "data"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class AliasRefused(ValueError):
    """A Kubespray variable has a value that means nothing here; the text says which values do."""


@dataclass(frozen=True)
class AliasUse:
    """A Kubespray name that a site uses."""

    name: str
    own: str
    """Our name for it; empty when the value asks for what is done anyway."""
    value: object
    """The value of our name, or of Kubespray's when there is nothing to set."""
    origin: Location | None
    note: str = ""

    def __str__(self) -> str:
        what = f"{self.own} = {self.value}" if self.own else f"no effect{f': {self.note}' if self.note else ''}"
        return f"{self.name} → {what}"


@dataclass(frozen=True)
class Alias:
    """One entry of the table; its fields are explained at the top of data/aliases.yml."""

    name: str
    own: str = ""
    values: Mapping[str, object] | None = None
    convert: str = ""
    fields: Mapping[str, str] | None = None
    only: tuple[object, ...] | None = None
    derived: bool = False
    any: bool = False
    when: str = ""
    note: str = ""

    @property
    def own_names(self) -> tuple[str, ...]:
        """Every name of ours that this one can set."""
        return tuple(self.fields.values()) if self.fields else (self.own,) if self.own else ()

    def applies(self, value: object) -> bool:
        """False when the value shows that the name is meant as ours."""
        return not self.when or (isinstance(value, str) and re.fullmatch(self.when, value) is not None)

    def translate(self, value: object) -> dict[str, object]:
        """Our names and values for this value. Raises AliasRefused."""
        if self.fields is not None:
            return self._translate_fields(value)
        if self.only is not None and not self._is_allowed(value, self.only):
            raise AliasRefused(self._refusal(value, self.only))
        if not self.own:
            return {}
        if self.values is not None:
            for known, meaning in self.values.items():
                if _same(value, known):
                    return {self.own: meaning}
            raise AliasRefused(self._refusal(value, tuple(self.values)))
        try:
            return {self.own: CONVERSIONS[self.convert](value) if self.convert else value}
        except AliasRefused as refused:
            raise AliasRefused(f"{self.name}: {refused}; set {self.own} instead") from refused

    def _is_allowed(self, value: object, allowed: tuple[object, ...]) -> bool:
        return (self.derived and _is_template(value)) or any(_same(value, each) for each in allowed)

    def _translate_fields(self, value: object) -> dict[str, object]:
        fields = self.fields or {}
        if not isinstance(value, Mapping):
            raise AliasRefused(f"{self.name} must be a mapping with {' and '.join(fields)}")
        return {own: value[field] for field, own in fields.items() if field in value}

    def _refusal(self, value: object, allowed: tuple[object, ...]) -> str:
        known = ", ".join(str(item) for item in allowed)
        taken = f", only {known}" if known else ""
        return f"{self.name}={value} cannot be taken over{taken}" + (f" ({self.note})" if self.note else "")


def _same(value: object, allowed: object) -> bool:
    """Equal, also when an INI file made a string of a number or a truth value."""
    return value == allowed or str(value).lower() == str(allowed).lower()


def _is_template(value: object) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _strip_v(value: object) -> object:
    if _is_template(value):
        raise AliasRefused("a template cannot be converted")
    return str(value).removeprefix("v")


def _mebibytes(value: object) -> object:
    """Bytes, or a number with K, M or G, as whole MiB."""
    match = re.fullmatch(r"(\d+)([KMG]?)", str(value))
    if match is None:
        raise AliasRefused(f"{value} is not a number of bytes")
    return int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]] // 2**20


def _registry_mirrors(value: object) -> object:
    """[{prefix, mirrors: [{host, …}]}] as {registry: [URL, …]}."""
    try:
        entries = [(entry["prefix"], entry["mirrors"]) for entry in cast("list[dict[str, Any]]", value)]
        if any(mirror.get("skip_verify") or mirror.get("ca") for _, mirrors in entries for mirror in mirrors):
            raise AliasRefused("ca and skip_verify have no counterpart")
        return {prefix: [mirror["host"] for mirror in mirrors] for prefix, mirrors in entries}
    except (KeyError, TypeError, AttributeError) as error:
        raise AliasRefused("it must be a list of prefix and mirrors with host") from error


def _sysctl(value: object) -> object:
    """[{name, value}] as {name: value}."""
    try:
        return {entry["name"]: entry["value"] for entry in cast("list[dict[str, Any]]", value)}
    except (KeyError, TypeError) as error:
        raise AliasRefused("it must be a list of name and value") from error


def _listed(value: object) -> object:
    return [value]


CONVERSIONS: Mapping[str, Callable[[object], object]] = {
    "listed": _listed,
    "strip_v": _strip_v,
    "mebibytes": _mebibytes,
    "registry_mirrors": _registry_mirrors,
    "sysctl": _sysctl,
}


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = _Loader((_DATA / "aliases.yml").read_text(encoding="utf-8")).get_single_data()
    return data


@cache
def table() -> Mapping[str, Alias]:
    """Every alias by its Kubespray name."""
    return {
        name: Alias(name=name, **{**entry, **({"only": tuple(entry["only"])} if "only" in entry else {})})
        for name, entry in _data()["aliases"].items()
    }


@cache
def kubespray_names() -> frozenset[str]:
    """Every public variable name of Kubespray, with or without a counterpart."""
    lines = (_DATA / "kubespray_variables.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#")) | frozenset(table())


def hint_for(name: str) -> str | None:
    """What to write instead of a Kubespray name, or of a value of it, that is not taken over."""
    found: str | None = _data()["hints"].get(name)
    return found


def former_group(name: str) -> str | None:
    """Today's name of a group that Kubespray once called otherwise."""
    found: str | None = _data()["groups"].get(name)
    return found


def is_idle(name: str, value: object) -> bool:
    """True for a Kubespray name that asks for nothing: a part that is not chosen, or a feature switched off."""
    if name.startswith(tuple(_data()["idle_prefixes"])):
        return True
    return name.endswith("_enabled") and _same(value, False)


def aliases_of(own: str) -> tuple[str, ...]:
    """The Kubespray names that set one of ours."""
    return tuple(name for name, alias in table().items() if own in alias.own_names)


_lenient = ContextVar("lenient", default=False)


@contextmanager
def refusals_left_out() -> Iterator[None]:
    """Inside, `translate` leaves refused values out: validation reports all of them itself, with file and line."""
    token = _lenient.set(True)
    try:
        yield
    finally:
        _lenient.reset(token)


def translate(variables: Mapping[str, object], defaults: Mapping[str, object] | None = None) -> dict[str, object]:
    """Our names for all of Kubespray's among these variables; names of ours that are set beside them win.

    `defaults` are values of ours that count as not set. Raises AliasRefused. Kept cheap: Ansible asks for every
    task and host.
    """
    found: dict[str, object] = {}
    for name in sorted(variables.keys() & table().keys()):
        alias = table()[name]
        if not alias.applies(variables[name]):
            continue
        try:
            translated = alias.translate(variables[name])
        except AliasRefused:
            if _lenient.get():
                continue
            raise
        for own, value in translated.items():
            if not _is_set(own, variables, defaults):
                found[own] = _merged(found.get(own), value)
    return found


def _merged(before: object, value: object) -> object:
    """Two names that add to one list of ours do not push each other out."""
    return [*before, *value] if isinstance(before, list) and isinstance(value, list) else value


def _is_set(own: str, variables: Mapping[str, object], defaults: Mapping[str, object] | None) -> bool:
    return own in variables and not (defaults and own in defaults and variables[own] == defaults[own])
