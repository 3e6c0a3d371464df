"""Tell the later tasks of a run whether an earlier one changed anything."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: run_changed
type: aggregate
short_description: Tells later tasks whether an earlier one changed anything
description:
  - Sets the environment variable PROVISION_RUN_CHANGED of this Ansible process to 0 at the start and to 1 at the first
    change. Tasks read it with the C(env) lookup.
"""

VARIABLE = "PROVISION_RUN_CHANGED"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Workers are forked from this process, so they see the value."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "run_changed"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, _playbook: Any) -> None:
        """Nothing has changed yet."""
        os.environ[VARIABLE] = "0"

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a change."""
        if result._result.get("changed"):
            os.environ[VARIABLE] = "1"
