"""`python -m provision`."""

from __future__ import annotations

from provision.cli import main

main()
