"""`check_map` finds each way in which a map can break its contract, and lets good maps pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError, MapError
from sample_maps import Henon, henon, tent

X = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 2))


class Mended:
    """The Hénon map with the members that are given replaced: broken in just that way."""

    def __init__(self, **members: Callable[..., Any]) -> None:
        inner = as_tangent_map(Henon())
        self.state_shape, self.ops = inner.state_shape, inner.ops
        for name in ("apply", "jvp", "jacobian"):
            setattr(self, name, members.get(name, getattr(inner, name)))


GOOD = as_tangent_map(Henon())


def in_both(apply: Callable[[Any], Any]) -> Mended:
    """Another image, in `apply` and `jvp` alike."""
    return Mended(apply=apply, jvp=lambda x, v: (apply(x.copy()), GOOD.jvp(x, v)[1]))


def writes(x: np.ndarray) -> np.ndarray:
    x *= 0.5
    return GOOD.apply(2 * x)


def clips_in_place(x: np.ndarray) -> np.ndarray:
    np.clip(x, -0.3, 0.3, out=x)
    return GOOD.apply(x)


def noise(x: np.ndarray, rng: np.random.Generator = np.random.default_rng(0)) -> np.ndarray:  # noqa: B008
    return GOOD.apply(x) * (1 + 1e-9 * rng.standard_normal(x.shape))


def changed_tangents(change: Callable[[Any], Any]) -> Mended:
    """`jvp` and `jacobian` changed together, so that they agree with each other."""
    return Mended(
        jvp=lambda x, v: (GOOD.apply(x), change(GOOD.jvp(x, v)[1])), jacobian=lambda x: change(GOOD.jacobian(x))
    )


def never(value: Any) -> Callable[[Any], Any]:
    return lambda x: np.full_like(x, value)


BROKEN = {
    "NaN": (Mended(apply=never(np.nan)), {"finite values of the shape"}),
    "infinity": (Mended(apply=never(np.inf)), {"finite values of the shape"}),
    "image of another shape": (Mended(apply=lambda x: GOOD.apply(x)[:, :1]), {"finite values of the shape"}),
    "NaN tangents": (
        Mended(jvp=lambda x, v: (GOOD.apply(x), np.full_like(v, np.nan))),
        {"tangents of the shape"},
    ),
    "tangents of another shape": (
        Mended(jvp=lambda x, v: (GOOD.apply(x), np.swapaxes(v, 1, 2))),
        {"tangents of the shape"},
    ),
    "jacobian of another shape": (Mended(jacobian=lambda x: GOOD.jacobian(x)[0]), {"jvp against jacobian"}),
    "noise": (
        Mended(apply=noise),
        {"repeatable", "rows independent", "image from jvp", "jvp against differences"},
    ),
    "writes into the states": (in_both(writes), {"repeatable"}),
    "writes the same thing again": (in_both(clips_in_place), {"repeatable", "jvp against differences"}),
    "normalizes over the batch": (
        in_both(lambda x: GOOD.apply(x) - x.mean(axis=0)),
        {"rows independent", "jvp against differences"},
    ),
    "adds up over the batch": (
        in_both(lambda x: GOOD.apply(x) + np.cumsum(x, 0) - x),
        {"rows independent", "jvp against differences"},
    ),
    "another image from jvp": (
        Mended(jvp=lambda x, v: (GOOD.apply(x) + 1e-6, GOOD.jvp(x, v)[1])),
        {"image from jvp"},
    ),
    "affine tangents": (
        Mended(jvp=lambda x, v: (GOOD.apply(x), GOOD.jvp(x, v)[1] + 1e-7)),
        {"jvp linear", "jvp against jacobian"},
    ),
    "wrong sign": (changed_tangents(lambda t: -t), {"jvp against differences"}),
    "derivative 0.1 % off": (changed_tangents(lambda t: 1.001 * t), {"jvp against differences"}),
    "no derivative": (changed_tangents(lambda t: 0 * t), {"jvp against differences"}),
    "transposed jacobian": (Mended(jacobian=lambda x: np.swapaxes(GOOD.jacobian(x), 1, 2)), {"jvp against jacobian"}),
    "NaN in the jacobian": (Mended(jacobian=lambda x: np.full((len(x), 2, 2), np.nan)), {"jvp against jacobian"}),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_map_that_is_broken_in_one_way_is_found_out(way: str) -> None:
    broken, expected = BROKEN[way]
    report = lm.check_map(broken, X)
    failed = {f.name for f in report.findings if not f.ok}
    assert failed == expected
    assert not report
    with pytest.raises(MapError, match=f"map: {next(f.name for f in report.findings if not f.ok)} off by"):
        report.raise_if_broken()


def wrapped(function: Any, **options: Any) -> Any:
    return lm.wrap(function, state_shape=2, **options)


GOOD_MAPS = {
    "a user's own": Henon(),
    "numpy, complex step": wrapped(henon, backend="numpy"),
    "numpy, central differences": wrapped(lambda x: np.where(x < 0.1, x - np.abs(x), x / 2), backend="numpy"),
    "numpy float32": wrapped(henon, backend="numpy", dtype="float32"),
    "numpy, one state at a time": wrapped(lambda s: henon(s[None])[0], backend="numpy", vectorized=False),
    "torch float64": wrapped(lambda x: torch.sin(2 * x), backend="torch", dtype="float64"),
    "torch float32": wrapped(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh()).eval()),
    "composed": lm.compose(Henon(), Henon()),
    "noisy": lm.noisy(Henon(), scale=0.1),
    "constant": wrapped(lambda x: 0 * x + 1, backend="numpy"),
}


@pytest.mark.parametrize("name", GOOD_MAPS)
def test_a_good_map_passes_every_check(name: str) -> None:
    report = lm.check_map(GOOD_MAPS[name], X)
    assert report, str(report)
    report.raise_if_broken()
    assert {f.name for f in report.findings} >= {"repeatable", "rows independent", "jvp linear", "jvp against jacobian"}


def test_a_map_of_an_interval_with_a_kink_passes() -> None:
    assert lm.check_map(tent(), np.array([[0.1], [0.3], [0.8]]))


def test_the_states_of_the_caller_are_left_as_they_are() -> None:
    x = X.copy()
    lm.check_map(in_both(writes), x)
    np.testing.assert_array_equal(x, X)


def test_large_jacobians_are_not_made() -> None:
    m = lm.wrap(lambda x: x / 2, state_shape=1025, backend="numpy")
    assert "jvp against jacobian" not in {f.name for f in lm.check_map(m, np.ones((2, 1025))).findings}


@pytest.mark.parametrize("x", [X[0], X[:1]])
def test_one_state_is_too_few(x: np.ndarray) -> None:
    with pytest.raises(LyapmapError, match="x: expected at least 2 states"):
        lm.check_map(Henon(), x)


def test_a_report_reads_as_text_and_as_plain_values() -> None:
    report = lm.check_map(BROKEN["NaN in the jacobian"][0], X)
    lines = str(report).splitlines()
    assert lines[0].startswith("ok    finite values of the shape")
    assert lines[-1].startswith("FAIL  jvp against jacobian")
    plain = report.to_dict()
    assert plain["ok"] is False
    last = plain["findings"][-1]
    assert (last["ok"], last["error"], last["detail"]) == (False, None, "jacobian and jvp disagree")
    assert all(f["detail"] == "" for f in plain["findings"][:-1])


def test_the_same_seed_tries_the_same_directions() -> None:
    errors = [[f.error for f in lm.check_map(Henon(), X, seed=seed).findings] for seed in (0, 0, 1)]
    assert errors[0] == errors[1] != errors[2]
