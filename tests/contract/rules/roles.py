"""The contract of roles: what a role is given, what it may touch, and how its tasks are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.contract.rules.source import Role, lines, load, play_tasks, playbooks, roles, texts

PUBLIC_PER_ROLE, PUBLIC_IN_ALL = 25, 150
GROUPS = re.compile(r"\bgroups\s*[\[.]|\bgroup_names\b|\bkube_control_plane\b|\bkube_node\b|\bk8s_cluster\b")
DOWNLOADERS = frozenset({"get_url", "unarchive", "uri", "apt_key", "apt_repository"})
COMMANDS = frozenset({"command", "shell", "raw", "script", "expect"})
CALLS = frozenset({"import_role", "include_role"})
# A name as Jinja would read it: not part of a longer one, of a path, of a file name or of a quoted key.
WORD = r"(?<![\w./'\"-]){}(?![\w/-])"


def inputs_are_specified(project: Path) -> Iterator[str]:
    """Public inputs are exactly the options of argument_specs, with the role's prefix and the same default."""
    for role in roles(project):
        prefix, internal = f"{role.name}_", f"__{role.name}_"
        public = {name: value for name, value in role.defaults.items() if not name.startswith("__")}
        for name in sorted(set(role.options) ^ set(public)):
            yield f"{role.name}: {name} is in {'argument_specs' if name in role.options else 'the defaults'} alone"
        for name in sorted(set(role.options) & set(public)):
            if role.options[name].get("default") != public[name]:
                yield f"{role.name}: {name} has another default in argument_specs than {public[name]!r}"
        for name in sorted({*role.options, *public}):
            if not name.startswith(prefix):
                yield f"{role.name}: {name} lacks the prefix {prefix}"
        for name in sorted({*role.variables, *(set(role.defaults) - set(public))}):
            if not name.startswith(internal):
                yield f"{role.name}: {name} is internal and lacks the prefix {internal}"


def options_say_what_they_mean(project: Path) -> Iterator[str]:
    """Every option has a type and a description."""
    for role in roles(project):
        for name, option in role.options.items():
            for part in ("type", "description"):
                if not option.get(part):
                    yield f"{role.name}: {name} has no {part}"


def options_are_few(project: Path) -> Iterator[str]:
    """At most 25 options a role and 150 in all."""
    counts = {role.name: len(role.options) for role in roles(project)}
    yield from (f"{name}: {count} options" for name, count in counts.items() if count > PUBLIC_PER_ROLE)
    if sum(counts.values()) > PUBLIC_IN_ALL:
        yield f"roles: {sum(counts.values())} options in all"


def inputs_are_never_overwritten(project: Path) -> Iterator[str]:
    """What a role registers or sets is its own internal name."""
    for role in roles(project):
        for task in role.tasks:
            named = [task.data["register"]] if "register" in task.data else []
            named += list(task.data.get("vars") or {})
            if task.module == "set_fact":
                yield f"{role.name}: {task}: set_fact; compute it in vars/ or in a module"
            yield from (f"{role.name}: {task}: sets {name}" for name in named if not name.startswith(f"__{role.name}_"))


def only_cluster_settings_cross_roles(project: Path) -> Iterator[str]:
    """A role reads no other role's settings, and cluster_* in its defaults alone."""
    everything = roles(project)
    options = {name: role.name for role in everything for name in role.options}
    for role in everything:
        if role.name == "cluster":
            continue
        foreign = {name for name, owner in options.items() if owner not in (role.name, "cluster")}
        for file in role.files:
            if file.suffix not in (".yml", ".j2") or file.parent.name == "meta":
                continue
            text = without_comments(file.read_text(encoding="utf-8"))
            where = f"{role.name}: {file.relative_to(role.path)}"
            for name in sorted(foreign):
                if re.search(WORD.format(name), text):
                    yield f"{where} reads {name} of {options[name]}"
            if file != role.path / "defaults/main.yml":
                parameters = set(re.findall(r"^\s+(cluster_\w+):", text, flags=re.MULTILINE))
                used = set(re.findall(WORD.format(r"(cluster_\w+)"), text)) - parameters - _module_names(project)
                yield from (f"{where} reads {name}; take it in through defaults/main.yml" for name in sorted(used))


def _module_names(project: Path) -> set[str]:
    return {file.stem for file in (project / "plugins").glob("*/*.py")}


def without_comments(text: str) -> str:
    """The code of YAML and of templates alone."""
    return re.sub(r"\{#[\s\S]*?#\}|^\s*#.*$", "", text, flags=re.MULTILINE)


def group_names_stay_in_cluster(project: Path) -> Iterator[str]:
    """Host lists come in as inputs: no role but `cluster` knows groups."""
    for role in roles(project):
        if role.name != "cluster":
            for file in role.files:
                if file.suffix in (".yml", ".j2") and file.parent.name != "meta":
                    found = GROUPS.search(without_comments(file.read_text(encoding="utf-8")))
                    if found:
                        yield f"{role.name}: {file.relative_to(role.path)} names {found[0]}"


def roles_stand_alone(project: Path) -> Iterator[str]:
    """No dependencies between roles, no paths out of them, no role calling another."""
    for role in roles(project):
        if (load(role.path / "meta/main.yml") or {}).get("dependencies"):
            yield f"{role.name}: meta/main.yml has dependencies"
        for file in role.files:
            if file.suffix in (".yml", ".j2") and "../" in file.read_text(encoding="utf-8"):
                yield f"{role.name}: {file.relative_to(role.path)} leaves the role with ../"
        for task in role.tasks:
            if task.module in CALLS and (task.arguments or {}).get("name") not in ("chart", role.name):
                yield f"{role.name}: {task}: calls another role"


def imports_are_static(project: Path) -> Iterator[str]:
    """include_tasks chooses among files; what can be imported is, and exists."""
    for role in roles(project):
        for task in role.tasks:
            if task.module not in ("include_tasks", "import_tasks"):
                continue
            file = task.arguments.get("file", "") if isinstance(task.arguments, dict) else str(task.arguments)
            if task.module == "include_tasks" and "{{" not in file:
                yield f"{role.name}: {task}: includes {file}, which can be imported"
            if "{{" not in file and not (task.file.parent / file).exists():
                yield f"{role.name}: {task}: {file} does not exist"


def commands_tell_what_they_change(project: Path) -> Iterator[str]:
    """`command` says when it changes, and a changing one can be left out when its work is there."""
    for role in roles(project):
        for task in role.tasks:
            if task.module not in COMMANDS:
                continue
            arguments = {**task.arguments} if isinstance(task.arguments, dict) else {}
            arguments |= task.data.get("args") or {}
            if "changed_when" not in task.data:
                yield f"{role.name}: {task}: has no changed_when"
            elif task.data["changed_when"] is not False and not {"creates", "removes"} & set(arguments):
                yield f"{role.name}: {task}: changes something and has neither creates nor removes"
            if task.module == "shell" and not re.search(r"[|<>&;*$]", str(task.arguments)):
                yield f"{role.name}: {task}: needs no shell"
            if task.module in ("raw", "script", "expect"):
                yield f"{role.name}: {task}: {task.module}"


def failures_are_not_hidden(project: Path) -> Iterator[str]:
    """No ignore_errors, no failed_when: false; a rescue ends by failing."""
    owned = [(role.name, task) for role in roles(project) for task in role.tasks]
    for owner, task in [*owned, *(("playbooks", task) for task in play_tasks(project))]:
        if "ignore_errors" in task.data or "ignore_unreachable" in task.data:
            yield f"{owner}: {task}: ignores errors"
        if task.data.get("failed_when") is False:
            yield f"{owner}: {task}: never fails"
        rescue = task.data.get("rescue")
        if rescue and not any(str(key).endswith("fail") for key in rescue[-1]):
            yield f"{owner}: {task}: its rescue does not fail again"


def downloads_are_verified(project: Path) -> Iterator[str]:
    """Files come through `artifact`, which checks them, and through nothing else."""
    for role in roles(project):
        for task in role.tasks:
            if task.module in DOWNLOADERS:
                yield f"{role.name}: {task}: downloads with {task.module}"
            if task.module in COMMANDS and re.search(r"\b(curl|wget)\b", " ".join(texts(task.arguments))):
                yield f"{role.name}: {task}: downloads with a command"


def secrets_stay_hidden(project: Path) -> Iterator[str]:
    """Tasks that read secrets, or use what was read, have no_log."""
    for role in roles(project):
        registered = {task.data.get("register") for task in role.tasks if task.module == "secret_files"} - {None}
        for task in role.tasks:
            words = " ".join(
                texts({key: value for key, value in task.data.items() if key not in ("when", "name", "register")})
            )
            uses = task.module == "secret_files" or any(re.search(rf"\b{name}\b", words) for name in registered)
            if uses and task.module and task.data.get("no_log") is not True:
                yield f"{role.name}: {task}: handles secrets without no_log"


def managed_files_have_a_header(project: Path) -> Iterator[str]:
    """What `files` writes says in its first lines that provision manages it, where its format has comments."""
    for role in roles(project):
        code = "\n".join(file.read_text(encoding="utf-8") for file in role.files if file.suffix == ".yml")
        for name in sorted(set(re.findall(r"\btemplate'?: *['\"]?([\w./-]+\.j2)", code))):
            file = role.path / "templates" / name
            head = "\n".join(file.read_text(encoding="utf-8").splitlines()[:6]) if file.exists() else ""
            commentless = Path(file.stem).suffix in (".json", ".conflist")
            if not commentless and "ansible_managed" not in head and "anaged by provision" not in head:
                yield f"{role.name}: templates/{name} has no header"


def tasks_are_named(project: Path) -> Iterator[str]:
    """Each task has a name, without variables, that begins with its file's stem outside main.yml."""
    for role in roles(project):
        for task in role.tasks:
            stem = task.file.stem.replace("_", " ").capitalize()
            if not task.name:
                yield f"{role.name}: {task}: has no name"
            elif "{{" in task.name:
                yield f"{role.name}: {task}: has a variable in its name"
            elif task.file.stem != "main" and not task.name.startswith(f"{stem} | "):
                yield f"{role.name}: {task}: does not begin with '{stem} | '"


def tasks_are_few_and_fat(project: Path) -> Iterator[str]:
    """A module takes the whole list: no loops."""
    for role in roles(project):
        for task in role.tasks:
            if any(str(key) == "loop" or str(key).startswith("with_") for key in task.data):
                yield f"{role.name}: {task}: loops"


def files_are_small(project: Path) -> Iterator[str]:
    """Task file 120 lines, role 400, playbook 60, template 150."""
    for role in roles(project):
        small = [(file, 120) for file in role.task_files]
        small += [(file, 150) for file in (role.path / "templates").glob("**/*") if file.is_file()]
        for file, most in small:
            if lines(file) > most:
                yield f"{role.name}: {file.relative_to(role.path)} has {lines(file)} lines, at most {most}"
        if _role_lines(role) > 400:
            yield f"{role.name}: has {_role_lines(role)} lines, at most 400"
    for file in playbooks(project):
        if lines(file) > 60:
            yield f"playbooks: {file.name} has {lines(file)} lines, at most 60"


def _role_lines(role: Role) -> int:
    """What has to be read to know what a role does: tasks, defaults and variables."""
    parts = ("tasks", "defaults", "vars", "handlers")
    return sum(lines(file) for file in role.files if file.relative_to(role.path).parts[0] in parts)


RULES = (
    inputs_are_specified,
    options_say_what_they_mean,
    options_are_few,
    inputs_are_never_overwritten,
    only_cluster_settings_cross_roles,
    group_names_stay_in_cluster,
    roles_stand_alone,
    imports_are_static,
    commands_tell_what_they_change,
    failures_are_not_hidden,
    downloads_are_verified,
    secrets_stay_hidden,
    managed_files_have_a_header,
    tasks_are_named,
    tasks_are_few_and_fat,
    files_are_small,
)
