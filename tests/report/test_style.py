"""Figures of several panels, and the axes or the size that a user gives `Result.plot`."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import lyapmap as lm
from lyapmap.core.canvas import CANVAS, canvas
from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Result
from lyapmap.report import style
from picture_checks import check_picture


@pytest.fixture(scope="module")
def spectrum():
    return lm.lyapunov_spectrum(lm.systems.henon(), [[0.1, 0.1]] * 4, n_steps=300, seed=0)


def placed(axes):
    """Left, right, lower and upper edge in the grid, in cells."""
    spec = axes.get_subplotspec()
    return spec.colspan.start, spec.colspan.stop, spec.rowspan.start, spec.rowspan.stop


@pytest.mark.parametrize(
    ("n", "figsize", "cells"),
    [
        (1, None, [(0, 1, 0, 1)]),
        (2, None, [(0, 1, 0, 1), (1, 2, 0, 1)]),
        (3, None, [(0, 2, 0, 1), (0, 1, 1, 2), (1, 2, 1, 2)]),
        (3, (13, 4), [(0, 1, 0, 1), (1, 2, 0, 1), (2, 3, 0, 1)]),
        (3, (4, 9), [(0, 1, 0, 1), (0, 1, 1, 2), (0, 1, 2, 3)]),
        (5, None, [(0, 2, 0, 1), (0, 1, 1, 2), (1, 2, 1, 2), (0, 1, 2, 3), (1, 2, 2, 3)]),
    ],
)
def test_panels_fill_the_rows_and_stand_below_each_other_on_a_narrow_figure(n, figsize, cells):
    with canvas(figsize=figsize):
        figure, axes = style.panels(n)
    assert [placed(each) for each in axes] == cells
    assert tuple(figure.get_size_inches()) == (figsize or (style.WIDTH, style.HEADING + style.ROW * cells[-1][3]))


def test_panels_of_unlike_heights_share_the_horizontal_axis():
    _, (upper, lower) = style.panels(2, heights=[2.0, 1.0])
    lower.set_xlim(3, 4)
    assert upper.get_xlim() == (3, 4)
    assert [placed(axes)[2:] for axes in (upper, lower)] == [(0, 1), (1, 2)]


def users_axes(n):
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, n, squeeze=False)[0]


def test_the_main_panel_goes_into_the_axes_of_the_user(spectrum):
    figure, (left, right) = users_axes(2)
    right.plot([0, 1], [0, 1])
    assert spectrum.plot(ax=left) is figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Spectrum", ""]
    assert left.get_xlabel() == "index $i$"
    assert CANVAS.get().axes == ()
    check_picture(figure)


def test_all_panels_go_into_as_many_axes(spectrum):
    figure, axes = users_axes(3)
    spectrum.plot(ax=axes)
    assert [each.get_title(loc="left") for each in axes] == ["Spectrum", "Convergence", "Kaplan-Yorke dimension"]
    assert figure.texts == []


def test_a_colour_bar_lies_in_the_figure_of_the_user():
    grid = lm.finite_time_exponents(lm.systems.henon(), lm.grid((-1, -0.3), (1, 0.3), 4), n_steps=3)
    figure, (left, _) = users_axes(2)
    grid.plot(ax=left)
    assert len(figure.axes) == 3


def test_a_failed_result_says_so_in_the_axes_of_the_user():
    result = lm.lyapunov_spectrum(lm.systems.henon(), [30.0, 30.0], n_steps=50, throw=False)
    _, (axes,) = users_axes(1)
    result.plot(ax=axes)
    assert axes.get_title(loc="left") == "Spectrum (escaped)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ax": 3}, "ax: expected matplotlib axes"),
        ({"ax": "left"}, "ax: expected matplotlib axes"),
        ({"figsize": 3}, "figsize: expected width and height"),
        ({"figsize": (0, 3)}, "figsize: expected width and height"),
        ({"figsize": (float("nan"), 3)}, "figsize: expected width and height"),
        ({"figsize": (1, 2, 3)}, "figsize: expected width and height"),
        ({"colour": "red"}, "a LyapunovSpectrum has no option 'colour'; it has kind, ax, figsize"),
    ],
)
def test_what_is_no_place_is_refused_in_one_line(spectrum, options, message):
    with pytest.raises(LyapmapError, match=message) as refused:
        spectrum.plot(**options)
    assert "\n" not in str(refused.value)


def test_axes_have_a_size_already_and_are_one_or_as_many_as_the_panels(spectrum):
    _, axes = users_axes(2)
    with pytest.raises(LyapmapError, match="figsize: the axes given"):
        spectrum.plot(ax=axes[0], figsize=(3, 3))
    with pytest.raises(LyapmapError, match="3 panels; expected one axes or 3, got 2"):
        spectrum.plot(ax=axes)


def test_a_picture_of_its_own_arrangement_has_no_single_panel():
    _, (axes,) = users_axes(1)
    with canvas(axes), pytest.raises(LyapmapError, match="leave ax out, or give figsize"):
        style.new_figure(4, 3)
    with canvas(figsize=(3, 2)):
        assert tuple(style.new_figure(4, 3).get_size_inches()) == (3, 2)


def test_headlines_break_between_their_parts_and_within_long_ones():
    parts = ["chaotic", r"$D_{KY}$ = 1.261 ± 0.002", "largest exponent 0.425 ± 0.005 per step", "8 trajectories"]
    assert style.broken(style.BETWEEN.join(parts), 60) == [style.BETWEEN.join(parts[:2]), style.BETWEEN.join(parts[2:])]
    assert style.broken(style.BETWEEN.join(parts), 200) == [style.BETWEEN.join(parts)]
    assert style.broken("none of many words " * 3, 20) == ["none of many words"] * 3


def test_a_logarithmic_axis_needs_two_values():
    _, (axes,) = style.panels(1)
    for values in ([], [3.0], [3.0, 3.0, -1.0, float("nan")]):
        style.log_axis(axes.xaxis, values)
        assert axes.get_xscale() == "linear"
    style.log_axis(axes.yaxis, [0.02, 0.5])
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    axes.set_ylim(0.015, 0.6)
    axes.figure.canvas.draw()
    shown = [tick.label1.get_text() for tick in axes.yaxis.get_major_ticks() if 0.015 <= tick.get_loc() <= 0.6]
    assert shown == ["0.02", "0.05", "0.1", "0.2", "0.5"]


def test_what_is_counted_has_whole_ticks():
    _, (axes,) = style.panels(1)
    axes.plot([0, 1, 2], [0.1, 0.2, 0.3])
    style.dress(axes, title="", x="step", y="length")
    assert all(tick == int(tick) for tick in axes.get_xticks())
    assert any(tick != int(tick) for tick in axes.get_yticks())


def test_words_in_place_of_a_picture_stand_in_no_empty_box():
    _, (axes,) = style.panels(1)
    style.dress(axes, title="Convergence", x="steps", y="value")
    style.say(axes, "no exponent is known")
    assert not any(spine.get_visible() for spine in axes.spines.values())
    assert (axes.get_xlabel(), axes.get_ylabel(), len(axes.get_xticks())) == ("", "", 0)


def every_kind(cls=Result):
    for kind in cls.__subclasses__():
        if kind.__module__.startswith("lyapmap."):
            yield kind
        yield from every_kind(kind)


def test_every_result_has_a_picture():
    for name in lm.__all__:
        getattr(lm, name)
    kinds = list(every_kind())
    assert len(kinds) > 20
    drawn = {kind.__name__: kind.DRAWN_BY.rpartition(".")[2] for kind in kinds if "plot" not in vars(kind)}
    assert [name for name, function in drawn.items() if not callable(getattr(lm.views, function, None))] == []
    assert len(drawn) > len(kinds) - 2
