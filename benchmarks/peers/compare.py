"""Every piece of work by every tool that is installed, in turns; the medians go to `results/peers.json`.

    LYAPMAP_PEERS=/a/bin/python:/b/bin/python python benchmarks/peers/compare.py [--rounds 3] [--only henon,...]

lyapmap runs in this Python. Another tool runs in the first Python of `LYAPMAP_PEERS` that has it, or in
this one if it is here, and is left out where none has. Each measurement is a process of its own, in one
thread on one core. A round goes through all tools of a piece of work, so that a slow moment of the
machine meets them all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from timing import LONG, ONE_THREAD
from works import WORKS

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "peers.json"
MODULES = {"scikit-dimension": "skdim"}


def interpreters() -> list[str]:
    """Where the other tools may be."""
    return [path for path in os.environ.get("LYAPMAP_PEERS", "").split(os.pathsep) if path] + [sys.executable]


@lru_cache(maxsize=64)
def python_with(package: str) -> str | None:
    """The interpreter that has a package."""
    if package == "lyapmap":
        return sys.executable
    module = MODULES.get(package, package)
    for python in interpreters():
        look = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        if subprocess.run([python, "-c", look], capture_output=True).returncode == 0:
            return python
    return None


def once(name: str, tool: str, patience: float) -> dict[str, Any]:
    """One measurement in a process of its own."""
    python = python_with(tool.split(",")[0])
    if python is None:
        return {"missing": True}
    pinned = ["taskset", "-c", str(max(os.sched_getaffinity(0)))] if sys.platform == "linux" else []
    command = [*pinned, python, str(HERE / "timing.py"), name, tool]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patience, env=os.environ | ONE_THREAD, cwd=HERE
        )
        measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {patience:.0f} s"}
    except (IndexError, json.JSONDecodeError):
        reasons = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"failed": reasons[-1][:200]}
    return measured


def compare(name: str, rounds: int, patience: float) -> dict[str, Any]:
    """Medians of the rounds for each tool of a piece of work."""
    tools: dict[str, list[dict[str, Any]]] = {tool: [] for tool in WORKS[name].tools}
    for number in range(rounds):
        for tool, measurements in tools.items():
            if number and measurements[-1].get("cpu", LONG) >= LONG:
                continue  # what takes so long is known well enough, or failed
            measurements.append(once(name, tool, patience))
            print(name, tool, measurements[-1].get("cpu", measurements[-1]), file=sys.stderr, flush=True)
    return {tool: median(measurements) for tool, measurements in tools.items()}


def median(measurements: list[dict[str, Any]]) -> dict[str, Any]:
    """One of several measurements, with the median of their times."""
    good = [m for m in measurements if "cpu" in m]
    if not good:
        return measurements[-1]
    return good[-1] | {
        "cpu": statistics.median(m["cpu"] for m in good),
        "first": statistics.median(m["first"] for m in good),
        "turns": len(good),
    }


def machine() -> str:
    """Its processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores, {platform.system()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=600.0, help="seconds after which a measurement is given up")
    parser.add_argument("--only", help="pieces of work, separated by commas")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(WORKS)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() and options.only else {"works": {}}
    kept |= {"date": str(date.today()), "machine": machine()}
    RESULTS.parent.mkdir(exist_ok=True)
    for name in names:
        kept["works"][name] = compare(name, options.rounds, options.patience)
        kept["load"] = round(os.getloadavg()[0], 1)
        # After every piece of work: Ctrl-C keeps what was measured.
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
