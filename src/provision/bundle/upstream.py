"""The `upstream` source: what the projects published."""
from __future__ import annotations
from provision.bundle.plan import Content, Plan
def fetch_all(plan: Plan) -> Content:
    raise NotImplementedError
