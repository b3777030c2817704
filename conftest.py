"""Doctests of files that import an optional framework are left out where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("jax") else ["src/lyapmap/backends/jax_map.py"]
