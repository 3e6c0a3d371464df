"""The contract of the package and of the plugins: imports, who prints, who runs Ansible, what has a test."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

# Lower layers first: a module imports from its own layer and from those below. What is not named is in the middle.
FOUNDATION = ("errors", "paths", "words")
TOP = ("workflows", "cli", "reference", "__main__")
# The server of a bundle is a program of its own too, which other machines run.
PRINTS = frozenset({"provision.render", "provision.bundle.serve"})
RUNS_ANSIBLE = frozenset({"provision.runner"})


def modules(project: Path) -> Mapping[str, Path]:
    """Every module of the package by its dotted name."""
    source = project / "src"
    found = {}
    for file in sorted((source / "provision").rglob("*.py")):
        if "_project" not in file.parts:
            parts = file.relative_to(source).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(project: Path) -> Mapping[str, set[str]]:
    """Which modules of the package each one imports, inside functions too, but not for the type checker alone."""
    known = modules(project)
    return {name: {target for target in _imported(file, known) if target != name} for name, file in known.items()}


@cache
def _parsed(text: str) -> ast.Module:
    """What several rules read, of projects that differ in one file."""
    return ast.parse(text)


def _imported(file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in _run_time_nodes(_parsed(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _run_time_nodes(child)


def imports_have_no_cycles(project: Path) -> Iterator[str]:
    """No module imports itself by way of others; a package and its own parts count as one."""
    graph: dict[str, set[str]] = {}
    for name, targets in imports(project).items():
        graph.setdefault(_unit(name), set()).update({_unit(target) for target in targets} - {_unit(name)})
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield " -> ".join((*path[path.index(name) :], name))
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                yield from visit(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        yield from visit(name, ())


def _unit(module: str) -> str:
    """The part of the package that a module belongs to: provision.bundle.fetch -> bundle."""
    return module.split(".")[1] if "." in module else ""


def _layer(module: str) -> int:
    unit = _unit(module)
    if unit in FOUNDATION or not unit:
        return FOUNDATION.index(unit) if unit else -1
    return len(FOUNDATION) + 1 + TOP.index(unit) if unit in TOP else len(FOUNDATION)


def imports_point_downwards(project: Path) -> Iterator[str]:
    """The foundation imports nothing above it, and nothing below the command line imports the top."""
    for name, targets in imports(project).items():
        for target in sorted(targets):
            if _layer(target) > _layer(name):
                yield f"{name} imports {target}, which is above it"


_OTHERS = """
import contextlib, importlib, sys
for name in sys.argv[1:]:
    with contextlib.suppress(BaseException):
        importlib.import_module(name)
print("", *(name for name in sys.modules if name.split(".")[0] not in ("provision", "__main__")))
"""
_ALONE = """
import contextlib, importlib, os, sys
for name in sys.stdin.read().split():
    with contextlib.suppress(BaseException):
        importlib.import_module(name)
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def modules_import_alone(project: Path) -> Iterator[str]:
    """Each module can be the first of the package that is imported."""
    names = [name for name in modules(project) if not name.endswith("__main__")]
    environment = {"PYTHONPATH": str(project / "src"), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}

    def printed(program: str, given: str = "") -> list[str]:
        command = [sys.executable, "-c", program, *names]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.splitlines()

    # What others wrote is the same for every module: importing it once, before the forks, saves most of the time.
    yield from printed(_ALONE, printed(_OTHERS)[-1])


def only_one_module_prints(project: Path) -> Iterator[str]:
    """`render` alone writes to the terminal."""
    for name, file in modules(project).items():
        if name in PRINTS:
            continue
        for node in ast.walk(_parsed(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "sys.stdout.write",
                "typer.echo",
                "Console",
            ):
                yield f"{name}:{node.lineno} prints with {ast.unparse(node.func)}"


def only_one_module_runs_ansible(project: Path) -> Iterator[str]:
    """`runner` alone knows ansible_runner."""
    for name, file in modules(project).items():
        for node in ast.walk(_parsed(file.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(module.split(".")[0] == "ansible_runner" for module in named) and name not in RUNS_ANSIBLE:
                yield f"{name} imports ansible_runner"


def modules_have_tests(project: Path) -> Iterator[str]:
    """Every module that runs on nodes has a file of unit tests with its name."""
    tests = {file.stem for file in (project / "tests/unit").rglob("test_*.py")}
    for module in sorted((project / "plugins/modules").glob("*.py")):
        if not {f"test_module_{module.stem}", f"test_{module.stem}"} & tests:
            yield f"plugins/modules/{module.name} has no tests/unit/test_module_{module.stem}.py"


def modules_leave_their_process_alone(project: Path) -> Iterator[str]:
    """The modules of a run share one process on each host: what one changes there, the next would find."""
    state = re.compile(
        r"os\.(?:environ\[|environ\.(?:update|pop|setdefault)|putenv|chdir|umask|set\w*id|_exit|exec\w+)"
        r"|signal\.signal|socket\.setdefaulttimeout|sys\.path\.|\bglobal \w+$",
        re.MULTILINE,
    )
    for directory in ("modules", "module_utils"):
        for file in sorted((project / "plugins" / directory).glob("*.py")):
            for found in state.finditer(file.read_text(encoding="utf-8")):
                yield f"plugins/{directory}/{file.name} changes its process: {found[0]}"


def python_files_are_small(project: Path) -> Iterator[str]:
    """A file of more than 400 lines is two files."""
    for directory in ("src/provision", "plugins", "tests"):
        for file in sorted((project / directory).rglob("*.py")):
            count = len(file.read_text(encoding="utf-8").splitlines())
            if count > 400 and "_project" not in file.parts:
                yield f"{file.relative_to(project)} has {count} lines"


RULES = (
    imports_have_no_cycles,
    imports_point_downwards,
    modules_import_alone,
    only_one_module_prints,
    only_one_module_runs_ansible,
    modules_have_tests,
    modules_leave_their_process_alone,
    python_files_are_small,
)
