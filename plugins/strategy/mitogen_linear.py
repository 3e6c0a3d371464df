"""Mitogen's strategy, without the pinning of processes to processors."""

from __future__ import annotations

import ansible_mitogen.affinity
from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule

# On two processors it leaves one to all workers, and to whatever a task starts on this machine: nodes of a sandbox
# stayed on one processor for their whole life.
ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()

__all__ = ["StrategyModule"]
