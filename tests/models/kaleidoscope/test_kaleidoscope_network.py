"""The kaleidoscopic network and its variants."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig, manifold_loss


def made(**sizes: Any) -> Kaleidoscope:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Kaleidoscope(KaleidoscopeConfig(**sizes)).eval()


@pytest.mark.parametrize("architecture", ["mlp", "conv", "unet"])
@pytest.mark.parametrize(("output", "low"), [("tanh", -1.0), ("sigmoid", 0.0)])
def test_images_become_images_within_the_range_of_the_output(architecture: str, output: str, low: float) -> None:
    net = made(state_shape=(3, 8, 12), depth=1, width=4, output=output, architecture=architecture)
    y = net(torch.randn(5, 3, 8, 12) * 100)
    assert y.shape == (5, 3, 8, 12)
    assert low <= y.min()
    assert y.max() <= 1
    assert net.config.value_range == (low, 1.0)


@pytest.mark.parametrize("architecture", ["mlp", "conv", "unet"])
def test_every_architecture_is_a_map(architecture: str) -> None:
    net = made(state_shape=(1, 8, 8), depth=1, width=4, architecture=architecture)
    m = lm.wrap(net, state_shape=(1, 8, 8), dtype="float64")
    x = torch.rand(3, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert lm.check_map(m, x)
    assert lm.check_map(lm.noisy(m, scale=0.5, clamp=(-1, 1)), x)


def test_the_perceptron_by_hand() -> None:
    net = made(state_shape=(2,), depth=2, width=3)
    x = torch.randn(4, 2)
    first, second, last = (layer for layer in net.layers if isinstance(layer, torch.nn.Linear))
    hidden = torch.relu(torch.relu(x @ first.weight.T + first.bias) @ second.weight.T + second.bias)
    torch.testing.assert_close(net(x), torch.tanh(hidden @ last.weight.T + last.bias))


def test_layers_are_as_many_and_as_wide_as_asked_for() -> None:
    def count(**sizes: Any) -> int:
        return sum(p.numel() for p in made(**sizes).parameters())

    assert count(state_shape=(1, 28, 28), depth=10, width=500) == 784 * 500 + 9 * 500**2 + 500 * 784 + 5000 + 784
    shape = {"state_shape": (1, 8, 8), "width": 4}
    for architecture in ("conv", "unet"):
        more = count(depth=3, architecture=architecture, **shape) - count(depth=1, architecture=architecture, **shape)
        norm = 2 * 16 if architecture == "conv" else 0
        assert more == 2 * (16 * 16 * 9 + 16 + norm)


def test_the_unet_hands_details_past_its_middle_and_the_autoencoder_does_not() -> None:
    x = torch.randn(1, 1, 8, 8)
    for architecture, passed in (("conv", False), ("unet", True)):
        net = made(state_shape=(1, 8, 8), depth=1, width=4, architecture=architecture)
        with torch.no_grad():
            for parameter in net.layers[0].middle.parameters():
                parameter.zero_()
        assert torch.equal(net(x), net(-x)) is not passed


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=2),
    st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=2),
)
@settings(max_examples=30)
def test_the_loss_is_the_mean_square(x: list[float], y: list[float]) -> None:
    by_hand = ((x[0] - y[0]) ** 2 + (x[1] - y[1]) ** 2) / 2
    assert manifold_loss(torch.tensor([x]), torch.tensor([y])).item() == pytest.approx(by_hand, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"state_shape": ()}, "state_shape: expected sizes of at least 1"),
        ({"state_shape": (0,)}, "state_shape: expected sizes of at least 1"),
        ({"state_shape": (2,), "depth": 0}, "depth: expected at least 1, got 0"),
        ({"state_shape": (2,), "width": 0}, "width: expected at least 1, got 0"),
        ({"state_shape": (2,), "output": "relu"}, "output: expected one of tanh, sigmoid, got 'relu'"),
        ({"state_shape": (2,), "architecture": "gpt"}, "architecture: expected one of mlp, conv, unet, got 'gpt'"),
        ({"state_shape": (2,), "architecture": "conv"}, r"the conv architecture takes images .*, got \(2,\)"),
        ({"state_shape": (1, 8, 9), "architecture": "unet"}, r"height and width are multiples of 4, got \(1, 8, 9\)"),
    ],
)
def test_sizes_that_do_not_fit(sizes: dict[str, Any], words: str) -> None:
    with pytest.raises(LyapmapError, match=words):
        made(**sizes)


def test_the_config_survives_a_checkpoint() -> None:
    config = KaleidoscopeConfig((1, 8, 8), depth=3, width=7, output="sigmoid", architecture="conv")
    assert KaleidoscopeConfig(**config.to_dict()) == config
    assert KaleidoscopeConfig(state_shape=[2]).architecture == "mlp"  # type: ignore[arg-type]
