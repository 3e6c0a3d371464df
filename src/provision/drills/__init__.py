"""Failure training: a fault is injected, what users would notice is measured from outside, and the fault is healed."""
