"""Roles that are broken on purpose, to see which test notices; `scripts/mutate` runs it."""
