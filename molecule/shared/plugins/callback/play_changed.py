"""Tell the last task of a play whether an earlier one of the same play changed anything."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: play_changed
type: aggregate
short_description: Tells whether the play has changed anything
description:
  - Sets the environment variable PLAY_CHANGED of this process to 0 when a play starts and to 1 at its first change.
"""

VARIABLE = "PLAY_CHANGED"


class CallbackModule(CallbackBase):
    """Workers are forked from this process, so their tasks see the value."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "play_changed"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_play_start(self, _play: Any) -> None:
        """Nothing has changed yet."""
        os.environ[VARIABLE] = "0"

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a change."""
        if result._result.get("changed"):
            os.environ[VARIABLE] = "1"
