"""Benchmarks: ours against what a user would do otherwise, paired in one run, reported as ratios.

`python -m benchmarks` (``make bench``) writes the table of `docs/benchmarks.md`. Needs a package index.
Never part of the tests: a shared machine's seconds say little, its ratios more.
"""
