"""Fixed points of a kaleidoscopic network: found by iteration and by Newton's method, with basins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors import neighbor_graph
from lyapmap.analysis.periodic_orbits import periodic_orbits
from lyapmap.analysis.settling import Settling
from lyapmap.core.propagate import step_states
from lyapmap.models.kaleidoscope.subject import KaleidoscopeSubject
from lyapmap.study.fixed_points import SHOWN, basins
from lyapmap.study.stages import Bench

EARLY = (1, 2, 3, 5, 8, 13)
"""Steps after which states serve as guesses: near the borders of basins, where the unstable points lie."""


def fixed_points(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Newton's method from ends, early iterates and training images; merged, with multipliers and basins."""
    from lyapmap.study.pictures import draw_fixed_points

    rest = Settling.load(bench.result_of("burn-in", "settling"))
    guesses, origin = _guesses(subject, rest, bench.sizes.guesses)
    found = periodic_orbits(
        subject.precise,
        guesses,
        n_guesses=len(guesses),
        seed=subject.seed,
        progress=bench.progress,
        throw=False,
    )
    bench.keep(found, "fixed-points")
    points = found.orbits[:, 0]  # all within the range of the output, as images of themselves
    share, interval, confirmed = basins(rest, points, found.multipliers)
    stable = np.array([name == "stable" for name in found.stability], bool)
    order = np.argsort(-share, kind="stable")
    numbers: dict[str, Any] = {
        "fixed_points": len(points),
        "stable": int(stable.sum()),
        "unstable": int((~stable).sum()),
        "guesses": {name: int((origin == name).sum()) for name in dict.fromkeys(origin.tolist())},
        "guesses_converged": int(found.n_found.sum()),
        "largest_residual": float(found.residual.max()) if len(found.residual) else None,
        "n_unstable": found.n_unstable[order],
        "largest_multiplier": np.abs(found.multipliers[order, 0]) if len(points) else [],
        "share": share[order],
        "share_interval": interval[order],
        "reached": int((share > 0).sum()),
        "ends_by_iteration": len(rest.points),
        "ends_confirmed": confirmed,
        "settled_on_known": float(share.sum()),
        "unseen": rest.unseen,
    }
    if not len(points):
        return numbers
    training = subject.train.states.astype(np.float64)
    distance, nearest = neighbor_graph(training, 1, queries=points[order])
    numbers["nearest_training_image"] = nearest[:, 0]
    numbers["distance_to_training"] = distance[:, 0]
    shown = order[:SHOWN]
    bench.show(
        draw_fixed_points(
            subject.images(points[shown]),
            subject.images(training[nearest[: len(shown), 0]]),
            share[shown],
            np.abs(found.multipliers[shown, 0]),
            distance[: len(shown), 0],
            total=len(points),
            unstable=int((~stable).sum()),
        ),
        "fixed-points",
        "Fixed points with the largest basins, and their nearest training images",
        f"{len(points)} fixed points, of which {int((~stable).sum())} are unstable; {numbers['reached']} are reached "
        f"from {len(rest.attractor)} noise starts. Under each image: share of the starts that end there, and the "
        "modulus of the leading multiplier.",
    )
    bench.show(
        found.plot(),
        "multipliers",
        "Multipliers of the fixed points",
        "Those outside the unit circle are directions in which a fixed point repels.",
    )
    return numbers


def _guesses(subject: KaleidoscopeSubject, rest: Settling, count: int) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """States to start from, and where each comes from."""
    rng = np.random.default_rng(subject.seed)
    ends = rest.points[rest.period == 1][:count]
    x = subject.map.ops.from_numpy(subject.starts(count))
    early, done = [], 0
    for i, step in enumerate(EARLY):
        x = step_states(subject.map, x, n_steps=step - done)
        done = step
        early.append(np.asarray(subject.map.ops.to_numpy(x), np.float64)[i :: len(EARLY)])
    images = subject.train.states[rng.choice(len(subject.train), min(count, len(subject.train)), replace=False)]
    parts = {"ends": ends, "early iterates": np.concatenate(early), "training images": images.astype(np.float64)}
    origin = np.concatenate([np.full(len(part), name) for name, part in parts.items()])
    return np.concatenate(list(parts.values())), origin
