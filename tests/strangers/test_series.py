"""Series as people measure them: a number only where its error covers the truth, and words where there is none.

Exponents: ln 2 of the logistic map, -(a ln a + (1 - a) ln(1 - a)) of the skew tent map, 0.4192 of Hénon's map.
"""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.series.delays import measured_rows
from lyapmap.core.errors import LyapmapError
from series_samples import henon_points, logistic_series, lorenz_points

HENON = 0.4192
X = henon_points(2000)[:, 0]


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def tent_series(n: int, a: float = 0.4) -> np.ndarray:
    x, values = 0.3, np.empty(n)
    for i in range(n):
        x = x / a if x < a else (1 - x) / (1 - a)
        values[i] = x
    return values


def coloured(n: int, coefficient: float) -> np.ndarray:
    values, shocks = np.zeros(n), rng().normal(size=n)
    for i in range(1, n):
        values[i] = coefficient * values[i - 1] + shocks[i]
    return values


def covers(series, truth, **options) -> bool:
    """Whether the number given, if one is, holds the truth within three errors."""
    result = lm.from_series(series, throw=False, **options)
    if result.failed:
        return bool(np.isnan(result.exponent)) and bool(result.message)
    return abs(result.exponent - truth) < 3 * result.stderr


MEASURED = {
    "noise of 0.1 %": lambda x: x + 0.001 * x.std() * rng().normal(size=len(x)),
    "noise of 1 %": lambda x: x + 0.01 * x.std() * rng().normal(size=len(x)),
    "noise of 2 %": lambda x: x + 0.02 * x.std() * rng().normal(size=len(x)),
    "noise of 10 %": lambda x: x + 0.1 * x.std() * rng().normal(size=len(x)),
    "three decimals": lambda x: np.round(x, 3),
    "one decimal": lambda x: np.round(x, 1),
    "whole numbers": lambda x: np.round(100 * x).astype(int),
    "float32": lambda x: x.astype("f4"),
    "spikes": lambda x: np.where(rng().random(len(x)) < 0.002, 10 * x.std(), x),
    "dropouts": lambda x: np.where(rng().random(len(x)) < 0.01, 0.0, x),
    "clipped": lambda x: np.minimum(x, np.quantile(x, 0.9)),
    "missing": lambda x: np.where(rng().random(len(x)) < 0.005, np.nan, x),
    "drift": lambda x: x + 0.1 * x.std() * np.linspace(0, 1, len(x)),
    "slow wave": lambda x: x + 0.3 * x.std() * np.sin(np.linspace(0, 8, len(x))),
}


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize(
    ("series", "truth"),
    [(X, HENON), (tent_series(1500), -(0.4 * np.log(0.4) + 0.6 * np.log(0.6)))],
    ids=["henon", "tent"],
)
def test_the_error_covers_what_measuring_does(name, series, truth):
    assert covers(MEASURED[name](series), truth)


def test_noise_that_can_be_borne_is_and_is_told():
    for level in (0.005, 0.02):
        result = lm.from_series(X + level * X.std() * rng().normal(size=len(X)))
        assert result.status == "ok"
        assert 0.4 * level < result.noise < 2.5 * level
    rounded = lm.from_series(np.round(logistic_series(2000), 3))
    assert abs(rounded.exponent - np.log(2)) < 3 * rounded.stderr


def test_words_for_what_is_wrong_with_a_measurement():
    def words(name: str) -> str:
        return lm.from_series(MEASURED[name](X), throw=False).message

    assert "occurs" in words("dropouts")
    assert "make them NaN" in words("clipped")
    assert "drifts" in words("drift")
    assert "noise, here about" in words("noise of 10 %")
    assert "far from all others" in words("spikes")


STOCHASTIC = {
    "white": rng().normal(size=1500),
    "uniform": rng().uniform(size=1500),
    "counts": rng().poisson(20, size=1500),
    "AR(1), 0.5": coloured(1500, 0.5),
    "AR(1), 0.9": coloured(1500, 0.9),
    "AR(1), 0.98": coloured(1500, 0.98),
    "its exponential": np.exp(coloured(1500, 0.8)),
    "white, three variables": rng().normal(size=(1500, 3)),
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_noise_of_any_colour_is_not_chaos(name):
    series = np.asarray(STOCHASTIC[name], dtype=float)
    result = lm.from_series(series, throw=False)
    assert result.failed
    assert np.isnan(result.exponent)
    verdict = lm.zero_one_test(series.T, seed=0, throw=False)
    assert not (verdict.verdict == "chaotic" and verdict.status == "ok")


def test_chaos_is_told_by_the_zero_one_test_all_the_same():
    for series in (X, logistic_series(1000), X + 0.05 * rng().normal(size=len(X))):
        assert lm.zero_one_test(series, seed=0).verdict == "chaotic"
    white = lm.zero_one_test(STOCHASTIC["white"], seed=0, throw=False)
    assert "noise has K = 1" in white.message


# Gaps, masks, several recordings.
def test_a_mask_is_a_gap():
    bad = X.copy()
    bad[1000:1100] = 50.0
    masked = lm.from_series(np.ma.masked_array(bad, bad > 10))
    missing = lm.from_series(np.where(bad > 10, np.nan, bad))
    pieces = lm.from_series([X[:1000], X[1100:]])
    assert masked.exponent == missing.exponent == pieces.exponent
    assert masked.settings["n_recordings"] == 2
    assert abs(masked.exponent - HENON) < 3 * masked.stderr


def test_gaps_are_not_glued():
    halves = np.split(X, 2)
    assert covers(halves, HENON)
    with pytest.raises(LyapmapError, match="without a gap"):
        lm.from_series(np.insert(X, np.arange(0, len(X), 5), np.nan), throw=False)


@pytest.mark.parametrize("call", [lm.zero_one_test, lambda s: lm.embed_delay(s, dimension=2)])
def test_what_needs_a_whole_recording_refuses_gaps(call):
    holed = X.copy()
    holed[17] = np.nan
    for series in (holed, np.ma.masked_array(X, np.arange(len(X)) == 17)):
        with pytest.raises(LyapmapError, match=r"value 17 is (masked|not finite)"):
            call(series)


def test_tables_and_named_axes():
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    plain = lm.from_series(X)
    frame = pandas.DataFrame({"x": X})
    days = pandas.Series(X, index=pandas.date_range("2024-01-01", periods=len(X), freq="D"))
    for series in (pandas.Series(X), frame["x"], days, xarray.DataArray(X, dims="time"), X.tolist()):
        assert lm.from_series(series).exponent == plain.exponent
    assert lm.from_series(days.drop(days.index[500:510])).settings["n_recordings"] == 2
    uneven = pandas.to_datetime(np.cumsum(rng().uniform(1, 2, 400)), unit="D")
    with pytest.raises(LyapmapError, match="equal steps"):
        lm.from_series(pandas.Series(X[:400], index=uneven))
    with pytest.raises(LyapmapError, match="real numbers"):
        lm.from_series(pandas.DataFrame({"x": X, "note": "fine"}))
    nullable = pandas.Series(X).astype("Float64")
    nullable[1000] = pandas.NA
    assert lm.from_series(nullable).settings["n_recordings"] == 2


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (np.full(300, np.inf), "infinite"),
        (np.ma.masked_all(300), "not finite"),
        (["a"] * 300, "real numbers"),
        ([np.zeros(300), np.zeros((300, 2))], "same variables"),
        ([], "series: expected"),
    ],
)
def test_what_is_no_series(series, words):
    with pytest.raises(LyapmapError, match=words):
        lm.from_series(series)


def test_a_flow_with_noise():
    series = lorenz_points(3000, 0.05)[0, :, 0]
    assert covers(series + 0.01 * series.std() * rng().normal(size=len(series)), 0.9056, dt=0.05)


def test_a_tensor_of_half_precision_is_a_series_like_any_other() -> None:
    torch = pytest.importorskip("torch")
    values = torch.sin(torch.arange(300.0)).to(torch.bfloat16)
    rows = measured_rows(values)
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows[:, 0], values.float().numpy())
