"""How long things take: `benchmarks/run`."""
