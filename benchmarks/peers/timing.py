"""One piece of work by one tool, in this process: `python timing.py WORK TOOL` prints a line of JSON.

The work is prepared, done once (which compiles), and timed when it is done again. A first time of
more than `LONG` CPU seconds counts itself. Everything is done in one thread.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version

LONG = 30.0
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "TQDM_DISABLE": "1",
}


def measured(work: str, tool: str) -> dict[str, object]:
    """Seconds of the first time, CPU seconds of the second, and the values that came out."""
    from works import WORKS

    job = WORKS[work].tools[tool]()
    begin, cpu = time.perf_counter(), time.process_time()
    answer = job()
    first = time.perf_counter() - begin
    spent = time.process_time() - cpu
    if spent < LONG:
        cpu = time.process_time()
        answer = job()
        spent = time.process_time() - cpu
    share = answer.pop("share", 1)
    return {"work": work, "tool": tool, "cpu": spent * share, "first": first, "share": share, "values": answer}


def packages(tool: str) -> dict[str, str]:
    """Versions that matter for a tool."""
    names = [tool.split(",")[0], "numpy", "numba", "jax", "torch", "scikit-learn"]
    known = {"python": platform.python_version()}
    for name in names:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.update(ONE_THREAD)
    work, tool = sys.argv[1:3]
    print(json.dumps(measured(work, tool) | {"versions": packages(tool)}))
