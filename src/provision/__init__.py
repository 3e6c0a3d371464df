"""Provision: a highly available Kubernetes cluster on your own machines, in one command."""

from __future__ import annotations

__version__ = "0.1.0"
