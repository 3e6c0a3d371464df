"""Spare Mitogen work that it does again for every module and every task."""

from __future__ import annotations

import functools
import gc
from types import CodeType
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: mitogen_shortcuts
type: aggregate
short_description: Spares Mitogen work that it would do again and again
description:
  - Before a module's first call, Mitogen compiles every file that the module imports to learn what those import in
    turn. Nearly all of them are the same for every module, and the work holds up all hosts. With this plugin it is done
    once a file.
  - A module that imports a project's own C(module_utils) gets a new Python process on the host for each call, to which
    all that it imports is sent and compiled there again. With this plugin it runs in the one that is there, as those of
    Ansible itself do. Tasks that several hosts delegate to one go on having a process each, or they would wait in line.
  - It also tells the garbage collector to leave alone what exists before the first task, so that the processes which
    Ansible forks for each task and host share that memory. Without Mitogen only this remains.
"""


def take() -> None:
    """Change Mitogen in this process; does nothing where it is not installed."""
    try:
        from ansible_mitogen import module_finder, planner
    except ImportError:
        return
    remember_scans(module_finder)
    planner.NewStylePlanner.should_fork = needs_a_process


def remember_scans(module_finder: Any) -> None:
    """Give Mitogen's scanner a memory."""
    walk = module_finder.walk_imports

    @functools.lru_cache(maxsize=None)
    def compiled(source: bytes, name: str, mode: str) -> CodeType:
        return compile(source, name, mode)

    @functools.lru_cache(maxsize=None)
    def walked(code: CodeType, prefix: str | None = None) -> tuple[str, ...]:
        return tuple(walk(code, prefix))

    module_finder.compile = compiled
    module_finder.walk_imports = walked


def needs_a_process(planner: Any) -> bool:
    """Whether a module runs in a Python process of its own: in place of Mitogen's NewStylePlanner.should_fork."""
    call = planner._inv
    task = call.action._task
    return bool(
        call.wrap_async
        or call.task_vars.get("mitogen_task_isolation") == "fork"
        or call.module_name in planner.ALWAYS_FORK_MODULES
        or (task.delegate_to and not task.run_once)
    )


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Callbacks are loaded before the strategy starts Mitogen's processes."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "mitogen_shortcuts"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Change Mitogen in this process, from which its own are forked."""
        super().__init__(*arguments, **options)
        take()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Everything that is loaded now stays until the end."""
        del playbook
        gc.freeze()
        gc.set_threshold(20_000)  # objects; a run makes many, and nearly none that only the collector can free
