"""The picture that shows whether to go on."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm


def texts(figure):
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts]
        legend = axes.get_legend()
        found += [t.get_text() for t in legend.get_texts()] if legend else []
    return "\n".join(found)


@pytest.fixture(scope="module")
def henon():
    m = lm.systems.henon()
    return lm.lyapunov_spectrum(m, m.initial_states(8, 0), n_steps=2000, transient=100, seed=0)


def test_errors_are_drawn_beside_the_square_root(henon):
    figure = henon.plot(kind="convergence")
    middle = figure.axes[1]
    assert middle.get_xscale() == middle.get_yscale() == "log"
    line, guide = middle.get_lines()[:2]
    np.testing.assert_array_equal(line.get_ydata(), henon.error_history[:, 0])
    x, y = guide.get_data()
    np.testing.assert_allclose(y * np.sqrt(x), y[-1] * np.sqrt(x[-1]))
    assert y[-1] == pytest.approx(henon.stderr[0])
    assert "sign known" in texts(figure)


def test_a_saved_result_is_drawn_the_same(henon, tmp_path):
    again = lm.LyapunovSpectrum.load(henon.save(tmp_path / "s.nc"))
    assert texts(again.plot(kind="convergence")) == texts(henon.plot(kind="convergence"))


def test_several_attractors_are_told_apart():
    two = lm.wrap(lambda x: np.where(x < 1, (3 * x) % 1, 1 + (5 * (x - 1)) % 1), state_shape=1)
    s = lm.lyapunov_spectrum(two, np.sqrt([[0.1], [0.2], [1.3], [1.7], [0.7]]), n_steps=200, seed=0)
    words = texts(s.plot(kind="convergence"))
    assert "attractor 1 (3)" in words
    assert "attractor 2 (2)" in words


@pytest.mark.parametrize("n_steps", [1, 20])
def test_runs_too_short_for_errors_are_drawn_too(n_steps):
    s = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=n_steps, seed=0, throw=False)
    s.plot(kind="convergence").savefig("/dev/null", format="png")


def test_a_run_that_failed_says_so():
    s = lm.lyapunov_spectrum(lm.systems.henon(), [9.0, 9.0], n_steps=50, seed=0, throw=False)
    assert "not finite" in texts(s.plot(kind="convergence"))


def test_an_unknown_kind_is_refused(henon):
    with pytest.raises(lm.LyapmapError, match="kind: expected 'spectrum' or 'convergence', got 'x'"):
        henon.plot(kind="x")
