"""Speed and memory, measured: `python -m benchmarks [table ...]`. Nothing in here is asserted in tests."""
