"""tagkit measured against what its users would otherwise do: `make bench`, or `python -m benchmarks`."""
