"""Spare Ansible and Mitogen work that they do again for every task, module and run."""

from __future__ import annotations

import functools
import gc
from importlib.metadata import version
from types import CodeType
from typing import Any

from ansible._internal._templating import _jinja_bits as jinja
from ansible.plugins.callback import CallbackBase

from provision import paths
from provision.memory import Memory

DOCUMENTATION = """
name: shortcuts
type: aggregate
short_description: Spares Ansible and Mitogen work that they would do again and again
description:
  - Each task on each host is a process of its own that ends with the task, and with it the templates that it compiled.
    With this plugin they are kept in the user's cache directory.
  - Before a module's first call, Mitogen compiles every file that the module imports to learn what those import in
    turn, and takes comments and docstrings out of each file that it sends. These results are kept in the same place.
  - A module that imports a project's own C(module_utils) gets a new Python process on the host for each call, to which
    all that it imports is sent and compiled there again. With this plugin it runs in the one that is there, as those of
    Ansible itself do. Tasks that several hosts delegate to another go on having a process each, or they would wait in
    line.
  - It also tells the garbage collector to leave alone what exists before the first task, so that the processes which
    Ansible forks for each task and host share that memory.
  - Without Mitogen, what is said of it is left out.
"""


def take(memory: Memory) -> None:
    """Change Ansible and Mitogen in this process; Mitogen only where it is installed."""
    remember_templates(memory)
    try:
        from ansible_mitogen import module_finder, planner
        from mitogen import minify
    except ImportError:
        return
    remember_scans(module_finder, memory)
    remember_sources(minify, memory)
    planner.NewStylePlanner.should_fork = needs_a_process


def remember_templates(memory: Memory) -> None:
    """Give Ansible's template engine a memory for compiled templates."""
    plain = jinja.Environment.compile
    versions = f"{version('ansible-core')} {version('jinja2')}"

    def compiled(self: Any, source: Any, *arguments: Any, **options: Any) -> Any:
        def make() -> Any:
            return plain(self, source, *arguments, **options)

        if not isinstance(source, str) or self._debuggable_template_source:
            return make()
        # The optimizer, which would run filters while it compiles, is off in Ansible: code follows from these alone.
        context = jinja._TemplateCompileContext.current(optional=True)
        settings = [getattr(self, name) for name in jinja._TEMPLATE_OVERRIDE_FIELD_NAMES]
        settings += [sorted(self.extensions), self.optimized, jinja._TemplateConfig.allow_embedded_templates]
        settings += [arguments, sorted(options.items()), context and context.escape_backslashes]
        return memory.recall(make, "template", versions, repr(settings), source)

    jinja.AnsibleEnvironment.compile = compiled


def remember_scans(module_finder: Any, memory: Memory) -> None:
    """Give Mitogen's scanner a memory."""
    walk = module_finder.walk_imports

    def compiled(source: bytes, name: str, mode: str) -> CodeType:
        found: CodeType = memory.recall(lambda: compile(source, name, mode), "code", name, mode, source)
        return found

    @functools.lru_cache(maxsize=None)
    def walked(code: CodeType, prefix: str | None = None) -> tuple[str, ...]:
        return tuple(walk(code, prefix))

    module_finder.compile = compiled
    module_finder.walk_imports = walked


def remember_sources(minify: Any, memory: Memory) -> None:
    """Give Mitogen a memory for what it makes of source files before it sends them."""
    plain = minify.minimize_source
    versions = version("mitogen")

    def minimized(source: str | bytes) -> str:
        found: str = memory.recall(lambda: plain(source), "source", versions, source)
        return found

    minify.minimize_source = minimized


def needs_a_process(planner: Any) -> bool:
    """Whether a module runs in a Python process of its own: in place of Mitogen's NewStylePlanner.should_fork."""
    call = planner._inv
    task = call.action._task
    return bool(
        call.wrap_async
        or call.task_vars.get("mitogen_task_isolation") == "fork"
        or call.module_name in planner.ALWAYS_FORK_MODULES
        or (task.delegate_to and not task.run_once and task.delegate_to != call.task_vars["inventory_hostname"])
    )


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Callbacks are loaded before the strategy starts Mitogen's processes."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "shortcuts"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Change Ansible and Mitogen in this process, from which its own are forked."""
        super().__init__(*arguments, **options)
        take(Memory(paths.cache_home() / "compiled"))

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Everything that is loaded now stays until the end."""
        del playbook
        gc.freeze()
        gc.set_threshold(20_000)  # objects; a run makes many, and nearly none that only the collector can free
