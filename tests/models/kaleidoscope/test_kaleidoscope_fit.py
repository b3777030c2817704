"""Small networks fitted to a few points, many at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.models.kaleidoscope import fit as kaleidoscope_fit
from lyapmap.models.kaleidoscope.fit import fit_points
from lyapmap.models.kaleidoscope.network import KaleidoscopeConfig, manifold_loss

POINTS = [[-0.5], [0.5]]


def weights(network):
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy()


def test_a_stack_trains_each_network_as_torch_does_alone():
    config = KaleidoscopeConfig(state_shape=(1,), depth=2, width=8, output="tanh")
    sets = np.array([POINTS, [[-0.3], [0.8]]])
    found = fit_points(sets, depth=2, width=8, output="tanh", loss=1e-20, steps=20, tries=1)
    for s in range(2):
        alone = kaleidoscope_fit._initial(config, (0, s, 0)).double()
        x = torch.as_tensor(sets[s])
        optimizer = torch.optim.Adam(alone.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.01 ** max(0.0, 2 * step / 20 - 1))
        for _ in range(20):
            optimizer.zero_grad()
            manifold_loss(alone(x), x).backward()
            optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(weights(found.networks[s]), weights(alone), atol=1e-12)
        assert found.loss[s] == pytest.approx(manifold_loss(alone(x), x).item(), rel=1e-9)
    assert found.steps.tolist() == [20, 20]


def test_what_is_found_depends_on_the_seed_alone():
    options = {"depth": 2, "width": 8, "output": "tanh", "steps": 80, "tries": 2}
    one = fit_points(POINTS, **options, at_once=1)
    many = fit_points([POINTS, POINTS], **options, at_once=4)
    np.testing.assert_array_equal(one.tries, many.tries[:1])
    np.testing.assert_allclose(weights(one.networks[0]), weights(many.networks[0]), atol=1e-9)
    assert not np.allclose(weights(many.networks[0]), weights(many.networks[1]))
    again = fit_points([POINTS, POINTS], **options, at_once=4)
    np.testing.assert_array_equal(weights(again.networks[1]), weights(many.networks[1]))
    other = fit_points(POINTS, **options, seed=1)
    assert not np.allclose(weights(one.networks[0]), weights(other.networks[0]))


def test_the_loss_is_that_of_the_network():
    found = fit_points([[0.5]], depth=2, width=5)
    network, x = found.networks[0], torch.tensor([[0.5]], dtype=torch.float64)
    assert manifold_loss(network(x), x).item() == pytest.approx(found.loss[0], rel=1e-9)
    assert found.loss[0] <= 1e-8
    assert found.reached(1e-8).tolist() == [True]


def test_dead_networks_are_given_up_and_counted(monkeypatch):
    usual = kaleidoscope_fit._initial

    def dying(config, key):
        network = usual(config, key)
        if key[2] < 2:
            for weight in network.parameters():
                torch.nn.init.constant_(weight, -1.0)
        return network

    options = {"depth": 2, "width": 40, "output": "tanh", "steps": 600, "at_once": 1}
    monkeypatch.setattr(kaleidoscope_fit, "_initial", dying)
    found = fit_points(POINTS, **options)
    assert (found.tries.tolist(), found.dead.tolist()) == ([3], [2])
    assert found.loss[0] <= 1e-8
    failed = fit_points(POINTS, **options, tries=2)
    assert (failed.tries.tolist(), failed.dead.tolist(), failed.reached(1e-8).tolist()) == ([2], [2], [False])
    # One point is learned by a constant too.
    assert fit_points(POINTS[:1], **{**options, "steps": 3000}).tries.tolist() == [1]


def test_what_is_not_reached_is_the_best_and_says_so():
    found = fit_points(POINTS, depth=2, width=8, output="tanh", steps=5, tries=3)
    assert found.reached(1e-8).tolist() == [False]
    assert found.tries.tolist() == [3]
    x = torch.as_tensor(POINTS, dtype=torch.float64)
    assert manifold_loss(found.networks[0](x), x).item() == pytest.approx(found.loss[0])


@pytest.mark.parametrize(
    ("points", "options", "error", "words"),
    [
        ([0.5], {}, ShapeError, "points: expected (points, dimensions)"),
        (np.zeros((0, 1)), {}, ShapeError, "points: expected (points, dimensions)"),
        ([["a"]], {}, ShapeError, "points: expected numbers"),
        ([[-0.5]], {}, LyapmapError, "points: expected values from 0 to 1 for sigmoid"),
        ([[np.nan]], {}, LyapmapError, "points: expected values"),
        ([[0.5]], {"depth": 0}, LyapmapError, "depth: expected at least 1"),
        ([[0.5]], {"output": "relu"}, LyapmapError, "output: expected one of"),
        ([[0.5]], {"loss": 0}, LyapmapError, "loss: expected a positive"),
        ([[0.5]], {"dtype": "float16"}, LyapmapError, "dtype: expected"),
        ([[0.5]], {"tries": 0}, LyapmapError, "tries: expected at least 1"),
    ],
)
def test_bad_input(points, options, error, words):
    with pytest.raises(error) as caught:
        fit_points(points, **{"depth": 2, "width": 5, **options})
    assert words in str(caught.value)
