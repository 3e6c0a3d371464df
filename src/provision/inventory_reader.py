"""The one place that reads an inventory with Ansible itself, in process: the same parser, precedence and templates.

Ansible is imported inside the functions only, because it costs a quarter of a second.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.aliases import refusals_left_out
from provision.errors import InvalidInput, Location
from provision.paths import project_root

_YAML_SUFFIXES = (".yml", ".yaml", ".json")
_IMPLICIT = frozenset({"inventory_file", "inventory_dir"})
ENCRYPTED = "<encrypted>"
"""Stands for a value in a vault whose password is not at hand; nothing can be checked about it."""


@dataclass(frozen=True)
class Definition:
    """One variable set at one place. Later ones of a host's chain win over earlier ones."""

    name: str
    value: object
    location: Location
    scope: str
    """`group k8s_cluster` or `host master1`."""
    in_file: bool
    """True for group_vars and host_vars files, False for the inventory file itself."""


@dataclass(frozen=True)
class HostReading:
    """What Ansible makes of one host; `chain` are its definitions, weakest first."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, object]
    chain: tuple[Definition, ...]


@dataclass(frozen=True)
class Reading:
    """What Ansible makes of the inventory sources."""

    hosts: tuple[HostReading, ...]
    groups: Mapping[str, tuple[str, ...]]
    """Every group and its hosts, those of its children included."""
    definitions: tuple[Definition, ...]
    warnings: tuple[str, ...]


def read(sources: tuple[Path, ...]) -> Reading:
    """Read all sources, the weakest first. Raises InvalidInput with file and line for what cannot be parsed."""
    messages = _Messages()
    with messages.collected(), refusals_left_out():
        return _Reader(sources, messages).read()


@dataclass
class _Messages:
    """What Ansible would print: warnings to pass on, and the reasons why a source could not be parsed."""

    warnings: list[str] = field(default_factory=list)
    failures: dict[str, BaseException] = field(default_factory=dict)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Ansible set up as ansible.cfg says, and silent, while inside."""
        display = _ansible_display()
        own = {
            "display": lambda *_, **__: None,
            "deprecated": lambda *_, **__: None,
            "warning": lambda msg, *_, **__: self.warnings.append(str(msg)),
            "error_as_warning": self._failed,
        }
        for name, replacement in own.items():
            setattr(display, name, replacement)
        try:
            yield
        finally:
            for name in own:
                delattr(display, name)

    def _failed(self, msg: str | None, exception: BaseException, *_: object, **__: object) -> None:
        plugin = str(msg).split("'")[1] if msg and "'" in msg else ""
        self.failures[plugin] = exception


def _ansible_display() -> Any:
    """Import Ansible under the project's own configuration, whatever the operator's shell says."""
    before = os.environ.get("ANSIBLE_CONFIG")
    os.environ["ANSIBLE_CONFIG"] = str(project_root() / "ansible.cfg")
    try:
        from ansible.utils.display import Display
    finally:
        os.environ.pop("ANSIBLE_CONFIG")
        if before is not None:
            os.environ["ANSIBLE_CONFIG"] = before
    return Display()


class _Reader:
    def __init__(self, sources: tuple[Path, ...], messages: _Messages) -> None:
        from ansible.inventory.manager import InventoryManager
        from ansible.parsing.dataloader import DataLoader

        self.sources = [str(source) for source in sources]
        self.messages = messages
        self.loader = DataLoader()
        _open_vaults(self.loader)
        self.manager = InventoryManager(loader=self.loader, sources=self.sources, parse=False)

    def read(self) -> Reading:
        from ansible.errors import AnsibleError
        from ansible.vars.manager import VariableManager

        _forget_found_files()
        for source in self.sources:
            self._parse(source)
        self.manager.reconcile_inventory()
        try:
            definitions = self._definitions()
            self._add_plugin_variables()
            variables = VariableManager(loader=self.loader, inventory=self.manager)
            hosts = tuple(self._host(host, variables, definitions) for host in self.manager.get_hosts())
        except AnsibleError as error:
            raise _invalid(error, Path(self.sources[-1])) from error
        return Reading(
            hosts=hosts,
            groups={
                name: tuple(host.name for host in group.get_hosts()) for name, group in self.manager.groups.items()
            },
            definitions=tuple(item for items in definitions.values() for item in items),
            warnings=tuple(dict.fromkeys(self.messages.warnings)),
        )

    def _parse(self, source: str) -> None:
        """One source, strictly: Ansible by itself prints a warning and goes on without it."""
        self.messages.failures.clear()
        if not self.manager.parse_source(source):
            reason = _telling_failure(source, self.messages.failures)
            if reason is None:
                raise InvalidInput("is not an inventory", hint="write it as INI or YAML", location=source)
            raise _invalid(reason, Path(source)) from reason

    def _add_plugin_variables(self) -> None:
        """What InventoryManager.parse_sources does after parsing: here the aliases come in."""
        from ansible.utils.vars import combine_vars
        from ansible.vars.plugins import get_vars_from_inventory_sources

        for entity in self._entities():
            found = get_vars_from_inventory_sources(self.loader, self.sources, [entity], "inventory")
            entity.vars = combine_vars(entity.vars, found)

    def _entities(self) -> list[Any]:
        return [*self.manager.groups.values(), *self.manager.hosts.values()]

    def _definitions(self) -> dict[tuple[str, bool], list[Definition]]:
        """Everything that is set, by scope and by whether it stands in a file of group_vars or host_vars."""
        found: dict[tuple[str, bool], list[Definition]] = {}
        directories = list(dict.fromkeys(Path(source).parent for source in self.sources))
        for entity in self._entities():
            scope = _scope(entity)
            inline = {name: value for name, value in entity.vars.items() if name not in _IMPLICIT}
            found[scope, False] = _define(inline, scope, "", in_file=False)
            found[scope, True] = [
                item
                for directory in directories
                for file in self._files(directory, entity)
                for item in _define(self._mapping(file), scope, file, in_file=True)
            ]
        return found

    def _files(self, directory: Path, entity: Any) -> list[str]:
        parent = directory / ("host_vars" if _scope(entity).startswith("host ") else "group_vars")
        if not parent.is_dir():
            return []
        return [os.fsdecode(file) for file in self.loader.find_vars_files(str(parent), entity.name)]

    def _mapping(self, file: str) -> Mapping[str, object]:
        data = self.loader.load_from_file(file, cache="all", unsafe=True, trusted_as_template=True)
        if data is not None and not isinstance(data, Mapping):
            raise InvalidInput("must be a mapping of variables", hint="write `name: value` lines", location=file)
        return data or {}

    def _host(self, host: Any, variables: Any, definitions: dict[tuple[str, bool], list[Definition]]) -> HostReading:
        from ansible.inventory.helpers import sort_groups

        groups = [_scope(group) for group in sort_groups(host.get_groups())]
        own = _scope(host)
        # Ansible's order: inventory files first, then group_vars files, then the host's own, which also go file last.
        order = [(name, False) for name in groups] + [(name, True) for name in groups] + [(own, False), (own, True)]
        found = variables.get_vars(host=host, include_hostvars=False)
        return HostReading(
            name=str(host.name),
            groups=tuple(
                sorted(str(group.name) for group in host.get_groups() if group.name not in ("all", "ungrouped"))
            ),
            variables={str(name): _plain(value) for name, value in self._resolved(found).items()},
            chain=tuple(item for key in order for item in definitions.get(key, ())),
        )

    def _resolved(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Templates over inventory variables resolved; those that need a host's facts or a lookup stay as written."""
        from ansible.template import Templar

        templar = Templar(loader=self.loader, variables=variables)
        return {name: _resolve(templar, value) for name, value in variables.items()}


def _resolve(templar: Any, value: Any) -> Any:
    from ansible.errors import AnsibleError

    text = str(value) if isinstance(value, (str, dict, list)) else ""
    if "{{" not in text or any(word in text for word in ("lookup(", "query(", "q(")):
        return value
    try:
        return templar.template(value)
    except AnsibleError:  # it needs a host's facts: not known offline
        return value


def resolved(value: object, variables: Mapping[str, object]) -> object:
    """A default of ours as a host sees it; as written where that needs facts of the host or other defaults."""
    if not isinstance(value, str) or "{{" not in value:
        return value
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    templar = Templar(loader=DataLoader(), variables=dict(variables))
    return _plain(_resolve(templar, trust_as_template(value)))


def _scope(entity: Any) -> str:
    return f"{'host' if 'HOST' in str(entity.base_type) else 'group'} {entity.name}"


def _define(variables: Mapping[str, object], scope: str, file: str, *, in_file: bool) -> list[Definition]:
    from ansible._internal._datatag._tags import Origin

    found = []
    for name, value in variables.items():
        origin = Origin.get_tag(value) or Origin.get_tag(name)
        location = Location(origin.path or file, _line(Origin.get_tag(name), origin)) if origin else Location(file)
        found.append(Definition(str(name), _plain(value), location, scope, in_file))
    return found


def _line(of_name: Any, of_value: Any) -> int:
    """The line of the name where both are in one file: a value may start further down."""
    if of_name and of_name.path == of_value.path and (of_name.line_num or 0) <= (of_value.line_num or 0):
        return int(of_name.line_num or 0)
    return int(of_value.line_num or 0)


def _plain(value: Any) -> Any:
    """Ansible's tagged values as what they look like."""
    from ansible.errors import AnsibleError

    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if "Encrypted" in type(value).__name__:
        try:
            return str(value)
        except AnsibleError:  # no password, or a wrong one: Ansible's own run will say so
            return ENCRYPTED
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _open_vaults(loader: Any) -> None:
    """Give Ansible the vault password of ANSIBLE_VAULT_PASSWORD_FILE, if any: for files, and for single values."""
    from ansible import constants
    from ansible.parsing.vault import VaultSecretsContext, get_file_vault_secret

    secrets = []
    if file := os.environ.get("ANSIBLE_VAULT_PASSWORD_FILE") or constants.DEFAULT_VAULT_PASSWORD_FILE:
        secrets = [("default", get_file_vault_secret(filename=file, vault_id="default", loader=loader))]
        secrets[0][1].load()
    loader.set_vault_secrets(secrets)
    if VaultSecretsContext.current(optional=True) is None:
        VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    VaultSecretsContext.current().secrets = secrets


def _forget_found_files() -> None:
    """Ansible keeps the names of group_vars files for the life of the process; a second reading must look again."""
    from ansible.plugins.vars import host_group_vars

    host_group_vars.FOUND.clear()
    host_group_vars.NAK.clear()


def _telling_failure(source: str, failures: Mapping[str, BaseException]) -> BaseException | None:
    """Of the parsers that tried, the complaint of the one that the file was written for."""
    order = ["yaml", "ini"] if source.endswith(_YAML_SUFFIXES) or not _looks_like_ini(source) else ["ini", "yaml"]
    for plugin in [*order, *failures]:
        if plugin in failures:
            return failures[plugin]
    return None


def _looks_like_ini(source: str) -> bool:
    for line in Path(source).read_text(errors="replace").splitlines():
        if line.strip() and not line.lstrip().startswith(("#", ";", "---")):
            return line.lstrip().startswith("[") or "=" in line or ":" not in line
    return True


def _invalid(error: BaseException, source: Path) -> InvalidInput:
    """Ansible's chain of exceptions as one sentence with the place where it happened."""
    chain = list(_chain(error))
    for item in chain:
        if isinstance(item, InvalidInput):
            return item
    text = next((message for message in (_text(item) for item in reversed(chain)) if message), "it is not understood")
    location = _place(chain) or Location(str(source))
    if ini_line := _ini_line(chain):
        number, line = ini_line
        location = Location(location.path, number)
        text = f"`{line}` is no section header" if _is_broken_header(line) else f"`{line}`: {text}"
    text, hint = _in_plain_words(text, location)
    return InvalidInput(f"cannot be read: {text}", hint=hint, location=location)


def _in_plain_words(text: str, location: Location) -> tuple[str, str]:
    """What Ansible and its parser say in words of their own, and the fix."""
    if "no vault secrets" in text:
        return "it is encrypted", "name the file with the password: export ANSIBLE_VAULT_PASSWORD_FILE=…"
    if "that cannot start any token" in text and "\t" in _text_of_line(location):
        return "a tab, where YAML takes only spaces", "indent with spaces"
    if "_AnsibleTaggedList" in text:
        return "it is a list, as a playbook is; an inventory is a mapping", "give the inventory file of your site"
    return text, "correct this line and validate again"


def _text_of_line(location: Location) -> str:
    lines = Path(location.path).read_text(errors="replace").splitlines()
    return lines[location.line - 1] if 0 < location.line <= len(lines) else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _text(error: BaseException) -> str:
    text = str(getattr(error, "_original_message", "") or error)
    return " ".join(re.sub(r'in "<unicode string>", line \d+, column \d+', "", text).split())


def _place(chain: list[BaseException]) -> Location | None:
    """The most exact place that any of the exceptions names."""
    from ansible._internal._datatag._tags import Origin

    found: Location | None = None
    for item in chain:
        subject = getattr(item, "obj", None)
        origin = subject if isinstance(subject, Origin) else Origin.get_tag(subject)
        if origin and origin.path and (origin.line_num or found is None):
            found = Location(origin.path, origin.line_num or 0)
    return found


def _ini_line(chain: list[BaseException]) -> tuple[int, str] | None:
    """Number and text of the line at which the INI parser stopped. It tells nobody else than its own stack frame.

    A section header without its bracket is taken for a host or a group at first, and fails only later: it goes first.
    """
    for error in chain:
        frame = error.__traceback__
        while frame is not None:
            known = frame.tb_frame.f_locals
            if frame.tb_frame.f_code.co_name == "_parse" and {"lines", "line"} <= known.keys():
                lines = [str(line).strip() for line in known["lines"]]
                stopped = known["decl"]["line"] if "decl" in known else lines.index(str(known["line"]).strip()) + 1
                broken = (number for number, line in enumerate(lines, 1) if _is_broken_header(line))
                number = next(broken, stopped)
                return number, lines[number - 1]
            frame = frame.tb_next
    return None


def _is_broken_header(line: str) -> bool:
    return line.startswith("[") and "]" not in line
