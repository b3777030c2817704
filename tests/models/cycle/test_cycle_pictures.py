"""Pictures and the page of studies."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.manifold.pictures_embedding import draw_embedded_bundle
from lyapmap.core.errors import LyapmapError
from lyapmap.models.cycle.pictures import draw_development


def entry(epoch, **others):
    keys = ("largest", "kaplan_yorke", "n_positive", "precision_at_1", "precision_at_10", "recall_at_1", "recall_at_10")
    return {"epoch": epoch} | dict.fromkeys(keys, 0.1 * epoch) | others


def test_development_of_two_runs_beside_the_paper(tmp_path):
    runs = {
        "a": [entry(2, order=0.6), entry(1, order=0.5)],
        "b": [entry(1, kaplan_yorke=None, largest_stderr=0.01)],
        "none": [],
    }
    figure = draw_development(runs, paper={"largest": 0.34, "recall_at_10": 0.3})
    figure.savefig(tmp_path / "development.png")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:5] == ["Largest exponent", "Kaplan-Yorke dimension", "Positive exponents", "Precision", "Recall"]
    assert titles[5:7] == ["Coverage", "Order of the categories kept"]
    largest, dimension, _, precision, recall, _, order, legend = figure.axes
    line = largest.containers[0].lines[0]
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == [0.1, 0.2]
    assert [line.get_ydata()[0] for line in largest.lines if line.get_linestyle() == ":"] == [0.34]
    assert [line.get_ydata()[0] for line in recall.lines if line.get_linestyle() == ":"] == [0.3]
    assert len(precision.containers) == 6
    assert order.containers[0].lines[0].get_ydata().tolist() == [0.5, 0.6]
    assert np.isnan(dimension.containers[1].lines[0].get_ydata()[0])
    words = [text.get_text() for text in legend.get_legend().get_texts()]
    assert words[:2] == ["a", "b"]
    assert any("paper" in text for text in words)


def test_development_of_nothing():
    with pytest.raises(LyapmapError, match="runs: expected at least one epoch"):
        draw_development({"a": []})


@pytest.fixture
def embedded():
    rng = np.random.default_rng(0)
    return lm.EmbeddedStates(
        status=lm.Status.OK,
        data=rng.standard_normal((50, 2)).astype(np.float32),
        labels=np.zeros(0, np.int64),
        label_names=(),
        coordinates=rng.standard_normal((5, 7, 2)).astype(np.float32),
        at=np.arange(7),
    )


def test_a_panel_for_each_trajectory_also_of_a_saved_result(embedded, tmp_path):
    for result in (embedded, lm.EmbeddedStates.load(embedded.save(tmp_path / "bundle.nc"))):
        figure = draw_embedded_bundle(result)
        figure.savefig(tmp_path / "bundle.png")
        shown = [axes for axes in figure.axes if axes.get_visible()]
        assert [axes.get_title(loc="left") for axes in shown] == ["1", "2", "3", "4", "5"]
        np.testing.assert_array_equal(shown[2].collections[1].get_offsets(), result.coordinates[2])


def test_no_trajectories_to_draw(embedded):
    import dataclasses

    with pytest.raises(LyapmapError, match="expected trajectories"):
        draw_embedded_bundle(dataclasses.replace(embedded, coordinates=np.zeros((0, 0, 2), np.float32)))


def test_many_runs_share_one_line_for_each_step():
    runs = {f"seed-{i}": [{"epoch": e, "precision_at_1": 0.1 * i, "order": 0.5} for e in (1, 4)] for i in range(5)}
    runs["seed-4"].append({"epoch": 7, "precision_at_1": 0.9})
    figure = draw_development(runs)
    precision = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Precision")
    drawn = [line for line in precision.lines if len(line.get_xdata())]
    assert len(drawn) == 1
    np.testing.assert_allclose(drawn[0].get_xydata(), [(1, 0.2), (4, 0.2), (7, 0.9)])
    order = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("Order"))
    assert len(order.lines) == 5
