"""Every setting there is: names, types, meaning and defaults, from the roles' argument_specs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from provision.errors import Location
from provision.paths import groups_file, project_root

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

HOST_VARIABLES: Mapping[str, str] = {
    "ip": "The host's address in the cluster's network, what the other machines use, IPv4. Default: ansible_host.",
    "access_ip": "Kubespray's name for the address that other machines use: must be the same as ip.",
}
"""What a host may have beside Ansible's own variables; the names mean what they mean in Kubespray."""

NEAR = 0.8
"""From this similarity on (0 to 1) a foreign name counts as a misspelt one of ours."""

_YES = frozenset({"true", "yes", "on", "y", "t", "1"})
_NO = frozenset({"false", "no", "off", "n", "f", "0"})


@dataclass(frozen=True)
class Option:
    """One setting, as its role's argument_specs and defaults describe it."""

    name: str
    role: str
    type: str
    description: str
    default: object
    location: Location
    """Where the default is written."""
    choices: tuple[object, ...] = ()
    elements: str = ""
    required: bool = False
    options: Mapping[str, Option] | None = None
    """The fields of a dict, or of the dicts in a list."""


@cache
def specs() -> Mapping[str, Option]:
    """Every setting by its name: the cluster's own first, then role by role."""
    roles = sorted(
        (project_root() / "roles").glob("*/meta/argument_specs.yml"),
        key=lambda file: (file.parts[-3] != "cluster", file),
    )
    return {option.name: option for file in roles for option in _role_options(file)}


@cache
def roles() -> tuple[str, ...]:
    """The roles of the project; each is the prefix of its settings."""
    return tuple(sorted(path.name for path in (project_root() / "roles").iterdir() if path.is_dir()))


def _role_options(file: Path) -> Iterator[Option]:
    role = file.parts[-3]
    main = (_load(file).get("argument_specs") or {}).get("main") or {}
    defaults = _defaults(role)
    for name, spec in (main.get("options") or {}).items():
        value, location = defaults.get(name, (spec.get("default"), Location(str(file))))
        yield _option(name, role, spec, value, location)


def _option(name: str, role: str, spec: Mapping[str, Any], default: object, location: Location) -> Option:
    nested = spec.get("options")
    return Option(
        name=name,
        role=role,
        type=spec.get("type", "str"),
        description=_text(spec.get("description", "")),
        default=default,
        location=location,
        choices=tuple(spec.get("choices") or ()),
        elements=spec.get("elements", ""),
        required=bool(spec.get("required", False)),
        options={key: _option(key, role, item, item.get("default"), location) for key, item in nested.items()}
        if nested
        else None,
    )


def _text(description: object) -> str:
    """Plain text of Ansible's markup: C(x), V(x), I(x) become `x`."""
    lines = description if isinstance(description, list) else [description]
    text = " ".join(str(line).strip() for line in lines)
    return re.sub(r"\b[CVIBOPE]\(([^()]*(?:\([^()]*\)[^()]*)*)\)", r"`\1`", text)


def _load(file: Path) -> dict[str, Any]:
    data: dict[str, Any] | None = _Loader(file.read_text(encoding="utf-8")).get_single_data()
    return data or {}


def _defaults(role: str) -> dict[str, tuple[object, Location]]:
    """The defaults of a role with the line each is on; the cluster's are in groups.yml."""
    if role == "cluster":
        return _values_with_lines(groups_file(), ("all", "vars"))
    directory = project_root() / "roles" / role / "defaults"
    files = sorted([*directory.glob("main.yml"), *directory.glob("main/*.yml")])
    return {name: found for file in files for name, found in _values_with_lines(file).items()}


def _values_with_lines(file: Path, inside: tuple[str, ...] = ()) -> dict[str, tuple[object, Location]]:
    loader = _Loader(file.read_text(encoding="utf-8"))
    node = loader.get_single_node()
    data: Any = loader.construct_document(node) if node else {}
    for key in inside:
        node = next((value for name, value in node.value if name.value == key), None) if node else None
        data = data[key]
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {
        name.value: (data[name.value], Location(str(file), name.start_mark.line + 1))
        for name, _ in node.value
        if name.value in data
    }


def nearest(name: str, candidates: Iterable[str], cutoff: float = NEAR) -> str | None:
    """The candidate most like `name`, None when none is at least `cutoff` alike."""
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name)
    best, score = None, cutoff
    for candidate in candidates:
        matcher.set_seq1(candidate)
        if matcher.real_quick_ratio() < score or matcher.quick_ratio() < score:
            continue
        ratio = matcher.ratio()
        if ratio > score or (ratio == score and best is None):
            best, score = candidate, ratio
    return best


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a value: the part of it, the reason, and the fix."""

    path: str
    reason: str
    hint: str


def mistakes(option: Option, value: object, path: str = "") -> Iterator[Mistake]:
    """Everything that is wrong with a value for an option; nothing when it is right or not known before the run."""
    path = path or option.name
    if value is None or _is_template(value):
        return
    if reason := _type_mistake(option.type, value):
        yield Mistake(path, reason, _type_hint(option.type, value))
        return
    if option.choices and option.type != "list" and str(value) not in map(str, option.choices):
        known = ", ".join(str(choice) or '""' for choice in option.choices)
        near = nearest(str(value), map(str, option.choices), 0.6)
        yield Mistake(
            path, f"{value!r} is not one of {known}", f"did you mean {near}?" if near else f"choose one of {known}"
        )
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _element_mistakes(option, item, f"{path}[{index}]")
    elif isinstance(value, Mapping) and option.options:
        yield from _field_mistakes(option.options, value, path)


def _element_mistakes(option: Option, item: object, path: str) -> Iterator[Mistake]:
    if _is_template(item):
        return
    if option.elements and (reason := _type_mistake(option.elements, item)):
        yield Mistake(path, reason, _type_hint(option.elements, item))
    elif option.choices and str(item) not in map(str, option.choices):
        known = ", ".join(map(str, option.choices))
        yield Mistake(path, f"{item!r} is not one of {known}", f"choose one of {known}")
    elif isinstance(item, Mapping) and option.options:
        yield from _field_mistakes(option.options, item, path)


def _field_mistakes(options: Mapping[str, Option], value: Mapping[Any, object], path: str) -> Iterator[Mistake]:
    for name, item in value.items():
        if name in options:
            yield from mistakes(options[name], item, f"{path}.{name}")
        else:
            near = nearest(str(name), options, 0.6)
            known = ", ".join(options)
            yield Mistake(
                f"{path}.{name}", "is not known", f"did you mean {near}?" if near else f"its fields are {known}"
            )
    for name, option in options.items():
        if option.required and name not in value:
            yield Mistake(path, f"needs {name}", f"{name}: {option.description}")


def _is_template(value: object) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _type_mistake(kind: str, value: object) -> str:
    """Why a value is not of a type, empty when it is. Strict where roles would trip over it: "true" is no bool."""
    match kind:
        case "bool":
            good = isinstance(value, bool)
        case "int":
            good = (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value) is not None
            )
        case "float":
            good = isinstance(value, (int, float)) and not isinstance(value, bool)
        case "list":
            good = isinstance(value, list)
        case "dict":
            good = isinstance(value, Mapping)
        case "str" | "path":
            good = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        case _:
            good = True
    return "" if good else f"{value!r} is not {_ARTICLE.get(kind, kind)}"


_ARTICLE = {
    "bool": "a truth value",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "dict": "a mapping",
    "str": "a text",
    "path": "a path",
}


def _type_hint(kind: str, value: object) -> str:
    match kind:
        case "bool" if str(value).lower() in _YES | _NO:
            meant = str(value).lower() in _YES
            return f"write {str(meant).lower()} without quotes in YAML, {meant} with a capital in an INI file"
        case "bool":
            return "write true or false"
        case "list" | "dict":
            return _structure_hint(kind, value)
        case "str" | "path":
            return "put the value in quotes" if isinstance(value, bool) else "write a single text"
        case _:
            return "write a number"


def _structure_hint(kind: str, value: object) -> str:
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        return _syntax_hint(value)
    if kind == "list":
        return f"write [{value}]" if isinstance(value, (str, int)) else "write one item a line, each after a dash"
    if taint := re.fullmatch(r"([^=:\s]+)=?([^=:\s]*):((?:Prefer)?NoSchedule|NoExecute)", str(value)):
        return f'write {{key: {taint[1]}, value: "{taint[2]}", effect: {taint[3]}}}'
    return "write `name: value` pairs"


def _syntax_hint(text: str) -> str:
    """Where a list or mapping in an INI file stops being one: Ansible reads it as a Python literal, else as text."""
    try:
        ast.literal_eval(text.strip())
    except SyntaxError as error:
        at = error.offset or 1
        rest = f" before {text.strip()[at - 1 :]}" if text.strip()[at - 1 :] else ""
        return f"it cannot be parsed at character {at}{rest}: a comma, quote or bracket is missing or too many"
    except ValueError:
        return "put every text in it in quotes, and write True and False with a capital"
    return "write the other kind of brackets"
