"""End the run for a host that did not answer the probe, as if it were asked again; nothing runs on the host."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Says that the host is unreachable, in the words of the attempt that a tolerant play passed over."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return nothing special for a host that answered."""
        super().run(tmp, task_vars)
        probe = (task_vars or {}).get("__cluster_probe") or {}
        if probe.get("host"):
            return {"changed": False}
        words = str(probe.get("msg") or "it does not answer")
        # Failed as well: an unreachable host alone would let the plays that follow work on the others.
        return {"changed": False, "unreachable": bool(probe.get("unreachable", True)), "failed": True, "msg": words}
