"""The pictures of a spectrum, for every kind of result that a run can end in."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import matplotlib
import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.exponents.pictures_spectrum import draw_spectrum
from lyapmap.core.errors import ShapeError
from lyapmap.core.results import Status
from lyapmap.report.style import with_error
from picture_checks import check_picture, legend, pixels, words


@dataclass(frozen=True)
class Spectrum:
    """What the figure reads of a `LyapunovSpectrum`."""

    exponents: np.ndarray
    stderr: np.ndarray
    per_trajectory: np.ndarray
    history: np.ndarray
    history_steps: np.ndarray
    kaplan_yorke: float = 1.0
    kaplan_yorke_stderr: float = 0.0
    kaplan_yorke_verdict: str = "certified"
    n_positive: int = 0
    attractor: str = "chaotic"
    unit: str = "per step"
    status: Status = Status.OK
    message: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=lambda: {"map": "a_map"})


def spectrum(exponents: Any, stderr: float = 0.004, b: int = 8, h: int = 40, **others: Any) -> Any:
    rng = np.random.default_rng(1)
    values = np.asarray(exponents, float)
    k = values.size
    steps = np.unique(np.geomspace(1, 2000, h).astype(int)) if h else np.zeros(0, int)
    with np.errstate(invalid="ignore"):
        wander = rng.standard_normal((len(steps), k)) * stderr * np.sqrt(2000 / np.maximum(steps, 1))[:, None]
        made = Spectrum(
            values,
            np.full(k, stderr),
            values + stderr * rng.standard_normal((b, k)),
            values + wander,
            steps,
            n_positive=int((values > 3 * stderr).sum()),
        )
    return replace(made, **others)


NETWORK = np.concatenate([np.linspace(0.34, -0.004, 8), -0.03 - 0.012 * np.arange(32) ** 1.1])
HENON = [0.4192, -1.6232]
CASES = {
    "logistic": spectrum([0.6931]),
    "henon": spectrum(HENON, b=256, kaplan_yorke=1.258, kaplan_yorke_stderr=0.004),
    "one trajectory": spectrum(HENON, b=1, kaplan_yorke=1.258),
    "network": spectrum(NETWORK, kaplan_yorke=18.31, kaplan_yorke_stderr=0.15),
    "full network": spectrum(np.linspace(0.15, -2.2, 784), b=4, kaplan_yorke=99.6, kaplan_yorke_stderr=0.9),
    "unresolved": spectrum(
        np.where(np.arange(40) < 25, np.linspace(0.34, -0.4, 40), np.nan),
        kaplan_yorke=np.nan,
        kaplan_yorke_stderr=np.nan,
        kaplan_yorke_verdict="needs exponents that were not resolved",
        status=Status.UNRESOLVED,
        message="15 exponents lie under the floor that float32 can resolve",
    ),
    "fixed point": spectrum([-0.1, -0.1, -0.9], 0.0, kaplan_yorke=0.0, attractor="fixed point"),
    "superstable": spectrum([-np.inf], np.nan, kaplan_yorke=0.0, attractor="fixed point"),
    "rank one": spectrum([0.5, -np.inf, -np.inf]),
    "never negative": spectrum(
        [0.9, 0.4],
        kaplan_yorke=np.nan,
        kaplan_yorke_stderr=np.nan,
        kaplan_yorke_verdict="needs more exponents",
        status=Status.NOT_CONVERGED,
        message="the sums stay above zero; " * 16,
    ),
    "conservative": spectrum([0.9624236501, -0.9624236501], 1e-13, kaplan_yorke=2.0, kaplan_yorke_stderr=1e-13),
    "uncertain": spectrum(
        [0.4, -0.4004], kaplan_yorke=1.999, kaplan_yorke_stderr=0.05, kaplan_yorke_verdict="uncertain"
    ),
    "escaped": spectrum(
        [np.nan, np.nan], np.nan, h=0, kaplan_yorke=np.nan, kaplan_yorke_stderr=np.nan, status=Status.ESCAPED
    ),
    "one step": spectrum(HENON, np.inf, b=1, h=1, history=np.array([HENON]), kaplan_yorke=1.258, n_positive=0),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_result_is_drawn_within_the_figure(name: str) -> None:
    figure = draw_spectrum(CASES[name])
    check_picture(figure)
    assert "a_map" in words(figure)
    known = np.sort(CASES[name].exponents[np.isfinite(CASES[name].exponents)])[::-1]
    drawn = [bars.lines[0].get_ydata() for bars in figure.axes[0].containers]
    np.testing.assert_allclose(np.concatenate(drawn) if drawn else np.zeros(0), known)


def test_headline_in_words() -> None:
    said = words(draw_spectrum(CASES["network"]))
    assert "$D_{KY}$ = 18.31 ± 0.15" in said
    assert "largest exponent 0.340 ± 0.004 per step" in said
    assert "status ok" in said
    assert "8 trajectories of 2000 steps" in said
    model = replace(CASES["network"], provenance={"model": "cycle-mnist-012", "map": "Generator"})
    assert "cycle-mnist-012" in words(draw_spectrum(model))
    assert "Lyapunov spectrum" in words(draw_spectrum(replace(CASES["network"], provenance={})))


def test_a_result_that_failed_says_so() -> None:
    said = words(draw_spectrum(CASES["never negative"]))
    assert "status not converged" in said
    assert "$D_{KY}$ unknown" in said
    assert "not certified:\nneeds more exponents" in said
    assert max(map(len, said.splitlines())) <= 160, "a long message is wrapped"
    assert "largest exponent unresolved" in words(draw_spectrum(CASES["escaped"]))
    assert "largest exponent −∞" in words(draw_spectrum(CASES["superstable"]))


def test_signs_and_gaps_are_told_apart() -> None:
    assert {"positive (7)", "zero within error (1)", "negative (32)"} <= set(
        legend(draw_spectrum(CASES["network"]).axes[0])
    )
    assert "unresolved (15)" in legend(draw_spectrum(CASES["unresolved"]).axes[0])
    assert "minus infinity (2)" in legend(draw_spectrum(CASES["rank one"]).axes[0])
    assert legend(draw_spectrum(CASES["one trajectory"]).axes[0]) == ["positive (1)", "negative (1)"]


def lines_with(axes: Any, marker: str) -> list[Any]:
    return [line for line in axes.lines if line.get_marker() == marker and len(line.get_xdata())]


def test_the_zero_of_the_sums_is_marked() -> None:
    right = draw_spectrum(CASES["henon"]).axes[2]
    curve, mark = lines_with(right, "o")
    np.testing.assert_allclose(curve.get_ydata(), [0, HENON[0], HENON[0] + HENON[1]])
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1.258, 0)
    bar = right.collections[-1].get_segments()[0]
    np.testing.assert_allclose(bar[:, 0], [1.258 - 2 * 0.004, 1.258 + 2 * 0.004])


def test_unsorted_exponents_are_drawn_in_order() -> None:
    given = spectrum([-0.5, 0.3, np.nan, 0.1], kaplan_yorke=2.8)
    curve = lines_with(draw_spectrum(given).axes[2], "o")[0]
    np.testing.assert_allclose(curve.get_ydata(), [0, 0.3, 0.4, -0.1])


def test_convergence_shows_the_leading_exponents_with_bands() -> None:
    middle = draw_spectrum(CASES["network"]).axes[1]
    assert middle.get_xscale() == "log"
    curves = [line for line in middle.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 6
    np.testing.assert_array_equal(curves[0].get_ydata(), CASES["network"].history[:, 0])
    low, high = middle.get_ylim()
    assert low < 0.098
    assert high > 0.348
    alone = draw_spectrum(CASES["henon"]).axes[1]
    low, high = alone.get_ylim()
    assert high - low < 0.5, "the band is invisible beside an exponent of -1.6"


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ShapeError, match="result: expected exponents"):
        draw_spectrum(replace(CASES["henon"], per_trajectory=np.zeros((4, 3))))
    with pytest.raises(ShapeError, match="result: expected exponents"):
        draw_spectrum(spectrum([]))


def test_a_name_is_drawn_as_it_is() -> None:
    figure = draw_spectrum(replace(CASES["henon"], provenance={"map": "cost_$1_and_$2^"}))
    pixels(figure)
    assert "cost_$1_and_$2^" in words(figure)


def test_the_callers_matplotlib_is_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    first = pixels(draw_spectrum(CASES["henon"]))
    assert dict(matplotlib.rcParams) == before
    np.testing.assert_array_equal(first, pixels(draw_spectrum(CASES["henon"])))


def test_matplotlib_comes_late_and_pyplot_never() -> None:
    code = (
        "import sys, lyapmap.analysis.exponents.pictures_spectrum, lyapmap.training.pictures, lyapmap.report.images\n"
        "import lyapmap.report.style as s\n"
        "assert 'matplotlib' not in sys.modules and 'PIL' not in sys.modules\n"
        "s.new_figure(2, 2).subplots()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.34012, 0.0021, "0.340 ± 0.002"),
        (14.4927, 0.2, "14.5 ± 0.2"),
        (14.4927, 0.0999, "14.49 ± 0.10"),
        (-1.6232, 0.0125, "-1.623 ± 0.013"),
        (1234.6, 41.0, "1235 ± 41"),
        (0.5, 0.0, "0.5"),
        (0.5, np.inf, "0.5"),
        (0.5, np.nan, "0.5"),
        (np.nan, 0.1, "nan"),
        (-np.inf, 0.1, "-inf"),
        (0.693147180559, 2e-13, "0.693147 ± 2e-13"),
    ],
)
def test_with_error(value: float, error: float, text: str) -> None:
    assert with_error(value, error) == text


@pytest.fixture(scope="module")
def henon():
    m = lm.systems.henon()
    return lm.lyapunov_spectrum(m, m.initial_states(8, 0), n_steps=2000, transient=100, seed=0)


def test_errors_are_drawn_beside_the_square_root(henon):
    figure = henon.plot(kind="convergence")
    check_picture(figure)
    middle = figure.axes[1]
    assert middle.get_xscale() == middle.get_yscale() == "log"
    line, guide = middle.get_lines()[:2]
    np.testing.assert_array_equal(line.get_ydata(), henon.error_history[:, 0])
    x, y = guide.get_data()
    np.testing.assert_allclose(y * np.sqrt(x), y[-1] * np.sqrt(x[-1]))
    assert y[-1] == pytest.approx(henon.stderr[0])
    assert "sign known" in words(figure)


def test_trajectories_have_whole_numbers():
    m = lm.systems.henon()
    few = lm.lyapunov_spectrum(m, m.initial_states(4, 0), n_steps=2000, transient=100, seed=0)
    ticks = few.plot(kind="convergence").axes[2].get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_a_saved_result_is_drawn_the_same(henon, tmp_path):
    again = lm.LyapunovSpectrum.load(henon.save(tmp_path / "s.nc"))
    assert words(again.plot(kind="convergence")) == words(henon.plot(kind="convergence"))


def test_several_attractors_are_told_apart():
    two = lm.wrap(lambda x: np.where(x < 1, (3 * x) % 1, 1 + (5 * (x - 1)) % 1), state_shape=1)
    s = lm.lyapunov_spectrum(two, np.sqrt([[0.1], [0.2], [1.3], [1.7], [0.7]]), n_steps=200, seed=0)
    assert {"attractor 1 (3)", "attractor 2 (2)"} <= set(legend(s.plot(kind="convergence").axes[2]))


@pytest.mark.parametrize("n_steps", [1, 20])
def test_runs_too_short_for_errors_are_drawn_too(n_steps):
    s = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=n_steps, seed=0, throw=False)
    check_picture(s.plot(kind="convergence"))


def test_a_run_that_failed_says_so():
    s = lm.lyapunov_spectrum(lm.systems.henon(), [9.0, 9.0], n_steps=50, seed=0, throw=False)
    assert "not finite" in words(s.plot(kind="convergence"))


def test_an_unknown_kind_is_refused(henon):
    with pytest.raises(lm.LyapmapError, match="kind: expected 'spectrum' or 'convergence', got 'x'"):
        henon.plot(kind="x")
