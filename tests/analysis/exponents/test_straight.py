"""The straight part of a curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lyapmap.analysis.exponents.straight import local_slope, straight_part


def curve(slope, noise=0.0, seed=0):
    """Bent down, then straight from 3 to 10, then flat."""
    rng = np.random.default_rng(seed)
    x = np.arange(0, 20.0, 0.5)
    y = np.where(x < 3, slope * (x - 3) - slope * (3 - x) ** 2, np.minimum(slope * (x - 3), 7 * slope))
    replicates = y + noise * rng.normal(size=(16, len(x)))
    return x, y, replicates


@settings(max_examples=25)
@given(slope=st.floats(0.1, 5), seed=st.integers(0, 100))
def test_the_straight_part_is_found(slope, seed):
    x, y, replicates = curve(slope, 1e-4 * slope, seed)
    found = straight_part(x, y, replicates, shortest=3.0, fewest=5)
    assert 2.9 < x[found.first] < x[found.last] < 10.1
    assert found.slope == pytest.approx(slope, rel=0.02)


def test_jackknife_of_independent_stretches():
    """The error of a mean of 16 curves is their spread over 4."""
    x = np.arange(10.0)
    rng = np.random.default_rng(0)
    slopes = 1 + 0.1 * rng.normal(size=16)
    single = slopes[:, None] * x
    without = (single.sum(axis=0) - single) / 15
    found = straight_part(x, single.mean(axis=0), without, shortest=9.0, fewest=5)
    assert found.slope == pytest.approx(slopes.mean())
    assert found.statistical == pytest.approx(slopes.std(ddof=1) / 4)
    assert found.systematic == pytest.approx(0, abs=1e-12)


def test_ripples_and_allowances_count():
    x = np.arange(30.0)
    y = x + np.sin(x)
    same = np.tile(y, (16, 1))
    plain = straight_part(x, y, same, shortest=29, fewest=5)
    rough = straight_part(x, y, same, shortest=29, fewest=5, rough=True)
    allowed = straight_part(x, y, same, shortest=29, fewest=5, allowance=np.full(30, 0.2))
    assert rough.systematic > plain.systematic
    assert allowed.systematic == pytest.approx(np.hypot(plain.systematic, 0.2 * plain.slope))


def test_too_short():
    x = np.arange(4.0)
    assert straight_part(x, x, x[None], shortest=10.0, fewest=5) is None
    assert straight_part(x, x, x[None], shortest=1.0, fewest=5, window=(7, 9)) is None


def test_local_slope_of_a_parabola():
    x = np.linspace(0, 1, 11)
    np.testing.assert_allclose(local_slope(x, x**2)[2:-2], 2 * x[2:-2])
