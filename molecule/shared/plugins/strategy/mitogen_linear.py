"""Mitogen's strategy under a path that does not depend on where Python keeps its packages."""

from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule

__all__ = ["StrategyModule"]
