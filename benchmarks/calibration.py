"""How often 95 % intervals hold the true value: the table of docs/calibration.md.

    python benchmarks/calibration.py [--runs 600]

Each row is so many runs of the public function, with other initial states each. References: exact
for the logistic map; the catalogue's long runs for Hénon and Ikeda; a run of 256 x 100 000 steps
for the coupled lattice. `resolution` prints the other table: a linear map with exponents from 0 to
-60 in both precisions.
"""

from __future__ import annotations

import argparse

import numpy as np

import lyapmap as lm

Z = 1.959964
RUNS = ((1, 500), (1, 4000), (4, 1000), (8, 500), (8, 5000), (32, 200))


def cases(lattice_steps: int) -> dict[str, tuple[lm.systems.ReferenceMap, int | None, dict[str, np.ndarray]]]:
    """Maps, how many exponents, and what is known of them."""
    systems = lm.systems
    lattice = systems.coupled_map_lattice(n=16)
    long = lm.lyapunov_spectrum(lattice, lattice.initial_states(256, 1), n_steps=lattice_steps, transient=1000, seed=1)
    henon, ikeda = systems.henon().known_exponents, systems.ikeda().known_exponents
    return {
        "henon": (systems.henon(), None, known(henon, 1.25828)),
        "logistic, r = 4": (systems.logistic(4.0), None, known(np.array([np.log(2)]), np.nan)),
        "ikeda": (systems.ikeda(), None, known(ikeda, 1.70665)),
        "coupled lattice, n = 16": (lattice, None, known(long.exponents, np.nan)),
        "coupled lattice, 3 of n = 16": (lattice, 3, known(long.exponents[:3], np.nan)),
    }


def known(exponents: np.ndarray, dimension: float) -> dict[str, np.ndarray]:
    return {
        "exponents": exponents,
        "kaplan_yorke": np.array(dimension),
        "entropy": np.array(exponents[exponents > 0].sum()),
    }


def coverage(
    m: lm.systems.ReferenceMap, k: int | None, truth: dict[str, np.ndarray], b: int, n_steps: int, runs: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each number: how often its interval held the truth, and the median error over the scatter."""
    rng = np.random.default_rng(7)
    found: dict[str, list[np.ndarray]] = {name: [] for name in truth}
    errors: dict[str, list[np.ndarray]] = {name: [] for name in truth}
    while len(found["exponents"]) < runs:
        s = lm.lyapunov_spectrum(
            m, m.initial_states(b, rng), n_steps=n_steps, transient=300, n_exponents=k, seed=1, throw=False
        )
        if s.failed:  # an orbit of the logistic map that rounding put on 0 is reported, and no number
            continue
        for name, error in (("exponents", "stderr"), ("kaplan_yorke", None), ("entropy", None)):
            found[name].append(np.asarray(getattr(s, name)))
            errors[name].append(np.asarray(getattr(s, error or f"{name}_stderr")))
    out = {}
    for name, value in truth.items():
        if np.isnan(value).all():
            continue
        off, error = np.array(found[name]) - value, np.array(errors[name])
        out[name] = (np.abs(off) <= Z * error).mean(axis=0), np.median(error, axis=0) / off.std(axis=0)
    return out


def calibration(runs: int) -> None:
    print("| map | trajectories x steps | exponents | dimension | entropy | error over scatter |")
    print("|---|---|---|---|---|---|")
    for name, (m, k, truth) in cases(100_000).items():
        for b, n_steps in RUNS:
            got = coverage(m, k, truth, b, n_steps, runs)
            share, ratio = got["exponents"]
            low, high = 100 * np.min(share), 100 * np.max(share)
            text = f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
            others = [f"{100 * float(got[key][0]):.1f}" if key in got else "" for key in ("kaplan_yorke", "entropy")]
            print(f"| {name} | {b} x {n_steps} | {text} | {' | '.join(others)} | {np.median(ratio):.2f} |", flush=True)


def resolution() -> None:
    """Exponents 0, -4, ... -60: which come out, which are marked, and by how much they are off."""
    true = -4.0 * np.arange(16)
    print("| true exponent | float64 | float32 | float32, frames in float64 |\n|---|---|---|---|")
    rows = []
    for dtype, frame in (("float64", "float64"), ("float32", "float32"), ("float32", "float64")):
        m = lm.systems.linear_map(list(true), rotated=True, dtype=dtype)
        s = lm.lyapunov_spectrum(m, np.zeros(16), n_steps=400, transient=50, seed=0, frame_dtype=frame, throw=False)
        rows.append(s.exponents)
    for i, value in enumerate(true):
        cells = ["unresolved" if np.isnan(row[i]) else f"{row[i]:.6f}" for row in rows]
        print(f"| {value:.0f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["calibration", "resolution"], default="calibration")
    parser.add_argument("--runs", type=int, default=600)
    options = parser.parse_args()
    resolution() if options.what == "resolution" else calibration(options.runs)
