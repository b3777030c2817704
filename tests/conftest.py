"""Settings of the whole test suite."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import settings

# Read when NumPy, Numba and torch are loaded: one thread each, so that several processes share the cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

# Keras writes its settings there when it is loaded.
os.environ["KERAS_HOME"] = str(Path(tempfile.gettempdir()) / "lyapmap-tests-keras")

# The same examples every time, however slow the machine.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
