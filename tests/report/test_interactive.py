"""Figures become plots with the same numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lyapmap.report import style
from lyapmap.report.axes import MOST_MARKERS
from lyapmap.report.hover import Hovered
from lyapmap.report.interactive import is_panels, panels_of
from lyapmap.report.page import COLOURS
from lyapmap.report.palette import TOKENS, colour
from lyapmap.report.values import LONGEST_LINE, numbers, thinned
from lyapmap.report.words import in_html, in_words


@pytest.fixture
def axes():
    return style.new_figure(4, 3).subplots()


def the_panel(axes):
    [panel] = panels_of(axes.figure)
    json.dumps(panel, allow_nan=False)
    assert is_panels([panel])
    return panel


def test_a_line_keeps_its_numbers_names_and_limits(axes):
    axes.plot([1, 2, 3], [0.5, np.nan, 2.5], color=style.BLUE, label="<b>own</b>")
    axes.set_xlim(0, 5)
    style.dress(axes, title="Spectrum of $\\lambda_i$", x="steps", y="value")
    style.legend(axes)
    panel = the_panel(axes)
    [trace] = panel["traces"]
    assert (trace["x"], trace["y"]) == ([1.0, 2.0, 3.0], [0.5, None, 2.5])
    assert trace["line"]["color"] == "@blue"
    assert (trace["name"], trace["showlegend"]) == ("&lt;b&gt;own&lt;/b&gt;", True)
    assert panel["title"] == "Spectrum of λ<sub>i</sub>"
    assert panel["layout"]["xaxis"]["range"] == [0.0, 5.0]
    assert "Spectrum of λi" in panel["alt"]
    assert "value over steps" in panel["alt"]


def test_error_bars_may_differ_on_both_sides(axes):
    axes.errorbar([1, 2], [10.0, 20.0], yerr=[[1, 2], [3, 4]], fmt="o", color=style.VERMILLION)
    [trace] = the_panel(axes)["traces"]
    assert trace["mode"] == "markers"
    assert trace["error_y"]["arrayminus"] == [1.0, 2.0]
    assert trace["error_y"]["array"] == [3.0, 4.0]


def test_bars_fields_bands_and_borders(axes):
    axes.bar([1, 2], [3.0, 4.0], width=0.5, bottom=1.0)
    axes.fill_between([1, 2], [0.0, 0.0], [1.0, 2.0], color=style.SKY, alpha=0.3)
    axes.axhline(2.0, linestyle="--")
    axes.axvspan(1.0, 1.5, color=style.ORANGE, alpha=0.2)
    panel = the_panel(axes)
    kinds = {trace["type"]: trace for trace in panel["traces"]}
    assert kinds["bar"]["y"] == [3.0, 4.0]
    assert kinds["bar"]["base"] == [1.0, 1.0]
    assert kinds["scatter"]["fillcolor"] == "@sky/0.3"
    line, area = sorted(panel["layout"]["shapes"], key=lambda shape: shape["type"])
    assert (line["xref"], line["y0"], line["line"]["dash"]) == ("x domain", 2.0, "dash")
    assert (area["yref"], area["x0"], area["x1"]) == ("y domain", 1.0, 1.5)


def test_a_field_stands_where_its_picture_does(axes):
    values = np.arange(6.0).reshape(2, 3)
    axes.imshow(values, origin="lower", extent=(0, 3, 10, 12), aspect="auto")
    [trace] = the_panel(axes)["traces"]
    assert trace["x"] == [0.5, 1.5, 2.5]
    assert trace["y"] == [10.5, 11.5]
    assert trace["z"] == values.tolist()


def test_a_field_with_its_origin_above_is_not_upside_down(axes):
    axes.imshow([[0.0, 1.0], [2.0, 3.0]])
    panel = the_panel(axes)
    [trace] = panel["traces"]
    low, high = panel["layout"]["yaxis"]["range"]
    assert low > high, "the axis runs downwards"
    assert dict(zip(trace["y"], trace["z"], strict=True)) == {0.0: [0.0, 1.0], 1.0: [2.0, 3.0]}


def test_logarithmic_axes_have_ranges_and_words_in_decades(axes):
    axes.plot([1, 1000], [1, 2])
    axes.set_xscale("log")
    axes.set_xlim(1, 1000)
    axes.annotate("here", (100, 1.5))
    layout = the_panel(axes)["layout"]
    assert layout["xaxis"]["type"] == "log"
    assert layout["xaxis"]["range"] == [0.0, 3.0]
    assert layout["annotations"][0]["x"] == 2.0


def test_ticks_with_names_keep_them(axes):
    axes.plot([0, 1], [1, 2])
    axes.set_xticks([0, 1], ["ours <x>", "theirs"])
    assert the_panel(axes)["layout"]["xaxis"]["ticktext"] == ["ours &lt;x&gt;", "theirs"]


def test_many_points_become_a_cloud_that_can_be_hovered_over(axes):
    x, y = np.random.default_rng(0).uniform(size=(2, 3 * MOST_MARKERS))
    axes.plot(x, y, linestyle="none", marker=".", color=style.BLUE)
    panel = the_panel(axes)
    assert len(panel["traces"][0]["x"]) < MOST_MARKERS
    [image] = panel["layout"]["images"]
    assert image["source"].startswith("data:image/")
    assert [image["x"], image["x"] + image["sizex"]] == pytest.approx(panel["layout"]["xaxis"]["range"], rel=1e-5)


def test_a_long_line_keeps_its_peaks():
    y = np.zeros(20 * LONGEST_LINE)
    y[12345] = 1.0
    x, thin = thinned(np.arange(len(y)), y)
    assert len(thin) <= LONGEST_LINE
    assert x[thin.argmax()] == 12345


def test_white_signs_with_an_edge_are_empty_on_any_ground(axes):
    axes.plot([1, 2], [1, 2], "o", markerfacecolor="white", markeredgecolor=style.BLUE)
    marker = the_panel(axes)["traces"][0]["marker"]
    assert (marker["symbol"], marker["color"]) == ("circle-open", "@blue")


def test_points_carry_their_images(axes):
    line = axes.plot([1, 2], [1, 2], "o")[0]
    line.hovered = Hovered(np.stack([np.full((1, 8, 8), -1.0), np.full((1, 8, 8), 1.0)]))
    images = the_panel(axes)["traces"][0]["images"]
    assert images["places"] == [0, 1]
    assert (images["columns"], images["width"], images["height"]) == (2, 8, 8)


def test_images_without_a_scale_stay_a_picture():
    figure = style.new_figure(4, 3)
    left, right = figure.subplots(1, 2)
    left.imshow(np.zeros((8, 8, 3)))
    left.axis("off")
    right.plot([1, 2], [3, 4])
    plot, picture = panels_of(figure)
    assert plot["traces"]
    assert picture["picture"].startswith("data:image/")
    assert picture["size"][0] < figure.get_figwidth() * figure.dpi / 2


def test_surfaces_stay_pictures():
    figure = style.new_figure(4, 3)
    figure.add_subplot(projection="3d").plot_surface(*np.meshgrid([0, 1], [0, 1]), np.zeros((2, 2)))
    [panel] = panels_of(figure)
    assert "picture" in panel


@pytest.mark.parametrize(
    ("text", "html", "words"),
    [
        ("plain & <i>", "plain &amp; &lt;i&gt;", "plain & <i>"),
        (r"$D_{KY}$ = 2", "D<sub>KY</sub> = 2", "DKY = 2"),
        (r"steps$^{-1/2}$", "steps<sup>−1/2</sup>", "steps−1/2"),
        (r"costs 5 $", "costs 5 $", "costs 5 $"),
        ("a\nb", "a<br>b", "a b"),
    ],
)
def test_words_of_figures(text, html, words):
    assert in_html(text) == html
    assert in_words(text) == words


def test_values_are_short_and_json():
    assert numbers([1 / 3, np.inf, np.nan]) == [0.333333, None, None]


@pytest.mark.parametrize(
    "panel",
    [
        {"title": 1, "alt": "", "traces": [], "layout": {}},
        {"title": "", "alt": "", "picture": "https://example.org/a.png", "size": [1, 1]},
        {"title": "", "alt": "", "picture": "data:image/png;base64,", "size": ["1", 1]},
        {"title": "", "alt": "", "traces": [], "layout": {}, "onload": "x"},
        {"title": "", "alt": ""},
        "text",
    ],
)
def test_what_is_no_panel_is_not_taken_for_one(panel):
    assert not is_panels([panel])
    assert not is_panels(panel)


def test_every_colour_of_figures_has_a_name_on_light_and_on_dark():
    for shade, name in TOKENS.items():
        assert colour(shade) == f"@{name}"
        assert all(name in colours for colours in COLOURS.values())
