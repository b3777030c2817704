"""The figure of a training run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lyapmap.core.errors import LyapmapError
from lyapmap.training.pictures import draw_training


def run(epochs: int, *, monitor_every: int = 0, **monitor: Any) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        entry: dict[str, Any] = {"epoch": epoch, "seconds": 60.0 * epoch}
        entry["losses"] = {"G": 4 / epoch, "total": 40 / epoch, "D": 2.0}
        if monitor_every and epoch % monitor_every == 0:
            seen = {"exponents": [0.3, 0.1, -0.1], "stderr": [0.01, 0.01, 0.02], "kaplan_yorke": 2.5}
            entry["monitor"] = seen | monitor
        history.append(entry)
    return history


def drawn(history: list[dict[str, Any]]) -> Any:
    figure = draw_training(history)
    figure.set_dpi(72)  # quicker
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert pixels.std() > 5
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all(), "something is cut off at the edge"
    return figure


def names(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("epochs", [1, 2, 40, 1000])
def test_losses(epochs: int) -> None:
    (axes,) = drawn(run(epochs)).axes
    assert names(axes) == ["G", "total", "D"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 4 / np.arange(1, epochs + 1))
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_losses_that_are_negative_or_come_later() -> None:
    history = run(4)
    history[2]["losses"]["extra"] = -1.0
    (axes,) = drawn(history).axes
    assert names(axes) == ["G", "total", "D", "extra"]
    assert axes.get_yscale() == "linear"
    assert np.isnan(axes.lines[3].get_ydata()).tolist() == [True, True, False, True]


def test_exponents_and_dimension_along_the_way() -> None:
    losses, exponents, dimension = drawn(run(10, monitor_every=2)).axes
    assert losses.get_xlim() == exponents.get_xlim() == dimension.get_xlim()
    assert names(exponents) == [r"$\lambda_{1}$", r"$\lambda_{2}$", r"$\lambda_{3}$"]
    bar = exponents.collections[0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 1], [0.28, 0.32])
    np.testing.assert_allclose(dimension.lines[0].get_xydata()[:, 0], [2, 4, 6, 8, 10])


def test_a_monitor_that_knew_less() -> None:
    history = run(6, monitor_every=2, exponents=[0.1, None], stderr=[None, None], kaplan_yorke=None)
    history[3]["monitor"] = {"error": "escaped"}
    figure = drawn(history)
    assert len(figure.axes) == 2
    assert names(figure.axes[1]) == [r"$\lambda_{1}$"]
    assert len(drawn(run(4, monitor_every=1, exponents=[0.1], stderr=None)).axes) == 3


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [{"losses": {"G": 1.0}}], [{"epoch": 1, "losses": None}]])
def test_what_is_no_log_is_refused(history: list) -> None:
    with pytest.raises(LyapmapError, match="history: "):
        draw_training(history)
