"""The 0-1 test as a picture: the walk, how it spreads, and K over the frequencies."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.zero_one import ZeroOneTest


def draw_zero_one(result: ZeroOneTest) -> Figure:
    """Draw a 0-1 test.

    Left the walk in the plane at one frequency: bounded for regular, diffuse for chaotic motion.
    In the middle its mean square displacement, right K of every frequency with the median.

    Parameters
    ----------
    result : ZeroOneTest

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(12.0, 4.4)
    left, middle, right = figure.subplots(1, 3)
    walk = np.asarray(result.walk)
    left.plot(walk[:, 0], walk[:, 1], color=style.BLUE, linewidth=0.5)
    style.dress(left, title=f"Walk of the first {len(walk)} values", x="p", y="q")
    left.set_aspect("equal", adjustable="datalim")
    middle.plot(result.lags, result.displacement, color=style.BLUE, linewidth=1.2)
    style.dress(middle, title="Mean square displacement", x="steps n", y="D(n)")
    if len(result.displacement):
        middle.set_ylim(bottom=min(0.0, float(np.min(result.displacement))))
    for i, row in enumerate(np.asarray(result.K_per_frequency)[:8]):
        colour = style.SEQUENCE[(i + 1) % len(style.SEQUENCE)]
        right.plot(result.frequencies, row, ".", color=colour, markersize=4, alpha=0.8, markeredgewidth=0)
    if np.isfinite(result.K):
        right.axhline(result.K, color=style.VERMILLION, linewidth=1.0, zorder=1.8, label=f"median {result.K:.3f}")
        right.legend(loc="center right", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    right.set_ylim(-1.05, 1.1)
    style.dress(right, title="K of each frequency", x="frequency c", y="K")
    name = result.provenance.get("model") or result.provenance.get("map") or "0-1 test"
    b = len(result.K_per_series)
    found = [
        result.verdict,
        f"K = {style.with_error(result.K, result.stderr)}",
        f"{b} series of {result.n_values} values" if b > 1 else f"{result.n_values} values",
        f"status {str(result.status).replace('_', ' ')}",
    ]
    notes = textwrap.wrap(str(result.message), 150) if result.message else []
    style.headline(figure, str(name), "   ·   ".join(found), notes=notes)
    return figure
