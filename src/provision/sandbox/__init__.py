"""Real nodes on one machine, for the hosts of any inventory: to try and to test every workflow without hardware."""

from __future__ import annotations

from provision.sandbox.lifecycle import down, find_node, kill_node, node_states, overlay_for, up
from provision.sandbox.record import Sandbox, load, load_all

__all__ = ["Sandbox", "down", "find_node", "kill_node", "load", "load_all", "node_states", "overlay_for", "up"]
