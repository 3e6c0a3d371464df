"""Let Mitogen read each file that modules import once, and not once for every module."""

from __future__ import annotations

import functools
import gc
from types import CodeType
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: module_scan_memory
type: aggregate
short_description: Lets Mitogen read each imported file once
description:
  - Before a module's first call, Mitogen compiles every file that the module imports to learn what those import in
    turn. Nearly all of them are the same for every module, and the work holds up all hosts. With this plugin it is done
    once a file.
  - It also tells the garbage collector to leave alone what exists before the first task, so that the processes which
    Ansible forks for each task and host share that memory. Without Mitogen only this remains.
"""


def remember_scans() -> None:
    """Give Mitogen's scanner a memory; does nothing where Mitogen is not installed."""
    try:
        from ansible_mitogen import module_finder
    except ImportError:
        return
    walk = module_finder.walk_imports

    @functools.lru_cache(maxsize=None)
    def compiled(source: bytes, name: str, mode: str) -> CodeType:
        return compile(source, name, mode)

    @functools.lru_cache(maxsize=None)
    def walked(code: CodeType, prefix: str | None = None) -> tuple[str, ...]:
        return tuple(walk(code, prefix))

    module_finder.compile = compiled
    module_finder.walk_imports = walked


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Callbacks are loaded before the strategy starts Mitogen's processes."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_scan_memory"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Install the memory in this process, from which Mitogen's are forked."""
        super().__init__(*arguments, **options)
        remember_scans()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Everything that is loaded now stays until the end."""
        del playbook
        gc.freeze()
