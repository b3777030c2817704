"""Layers of many tangents in slabs, tap by tap and in Fourier space: the numbers that torch gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import lyapmap as lm
from lyapmap.backends.torch import dual as torch_dual
from lyapmap.backends.torch import fourier as torch_fourier
from lyapmap.backends.torch import slabs as torch_slabs
from lyapmap.backends.torch.dual import ORDERS, Dual, Way
from lyapmap.backends.torch.map import MANY, ORDER_VARIABLE

OPTIONS = [
    {},
    {"padding": 1},
    {"stride": 2},
    {"stride": (2, 1), "padding": (1, 2)},
    {"stride": 3, "padding": 1},
    {"padding": 2, "dilation": 2},
    {"stride": 2, "dilation": (1, 2), "padding": 1},
]
WAYS = {"tap by tap": 1e9, "Fourier": 0.0}


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def agree(func, tangents, weight, **named):
    k, b = tangents.shape[:2]
    wanted = func(tangents.flatten(0, 1), weight, None, **named).unflatten(0, (k, b))
    ours = torch_dual._PRODUCTS[func](Dual(tangents[0], tangents), weight, wanted.shape[1:], **named)
    rows = torch_dual._linear_layer(func, Dual(tangents[0], tangents, way=Way("rows")), weight, None, **named).tangents
    for found in (ours, rows):
        assert found.shape == wanted.shape
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("c_in", "c_out"), [(1, 6), (3, 2), (8, 5)])
def test_convolutions(options, c_in, c_out, way, monkeypatch):
    monkeypatch.setattr(torch_slabs, "FOURIER_HANDICAP", WAYS[way])
    agree(F.conv2d, drawn(4, 2, c_in, 11, 10), drawn(c_out, c_in, 3, 4), **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [*OPTIONS, {"stride": 3, "padding": 1, "output_padding": 2}], ids=str)
@pytest.mark.parametrize(("c_in", "c_out"), [(6, 1), (2, 3), (5, 8)])
def test_transposed_convolutions(options, c_in, c_out, way, monkeypatch):
    monkeypatch.setattr(torch_slabs, "FOURIER_HANDICAP", WAYS[way])
    agree(F.conv_transpose2d, drawn(4, 2, c_in, 6, 7), drawn(c_in, c_out, 3, 4), **options)


@settings(max_examples=40, deadline=None)
@given(
    transposed=st.booleans(),
    fourier=st.booleans(),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    taps=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    channels=st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_any_geometry(transposed, fourier, size, taps, stride, padding, dilation, channels):
    func = F.conv_transpose2d if transposed else F.conv2d
    reach = [d * (t - 1) + 1 for d, t in zip(dilation, taps, strict=True)]
    if transposed:
        left = [(n - 1) * s - 2 * p + r for n, s, p, r in zip(size, stride, padding, reach, strict=True)]
    else:
        left = [n + 2 * p - r + 1 for n, p, r in zip(size, padding, reach, strict=True)]
    if min(left) < 1:
        return
    before = torch_slabs.FOURIER_HANDICAP
    torch_slabs.FOURIER_HANDICAP = WAYS["Fourier" if fourier else "tap by tap"]
    try:
        weight = drawn(*channels, *taps)
        c_in = channels[0] if transposed else channels[1]
        agree(func, drawn(3, 2, c_in, *size), weight, stride=stride, padding=padding, dilation=dilation)
    finally:
        torch_slabs.FOURIER_HANDICAP = before


def test_float32_loses_nothing_in_fourier_space():
    x, w = drawn(64, 1, 32, 7, 7), drawn(32, 32, 3, 3)
    exact = F.conv2d(x[:, 0], w, padding=1)
    shifts = (-1, 0, 1), (-1, 0, 1)
    t = torch_fourier.transforms((7, 7), (7, 7), shifts, torch.float32)
    spectra = torch_fourier.spectra(w.float(), t, lambda w: w.permute(2, 3, 1, 0))
    ours = torch_fourier.correlate(torch_slabs.slabs(x.float()).flatten(2, 3), spectra, t, (7, 7))
    error = (ours.permute(2, 3, 0, 1).double() - exact).abs().max() / exact.abs().max()
    assert error < 1e-6
    assert torch_fourier.products([8, 8]) == 124


def test_a_kernel_is_transformed_again_after_it_has_changed():
    t = torch_fourier.transforms((5, 5), (5, 5), ((-1, 0, 1), (-1, 0, 1)), torch.float64)
    w = drawn(2, 2, 3, 3)
    first = torch_fourier.spectra(w, t, lambda w: w.permute(2, 3, 1, 0))
    assert torch_fourier.spectra(w, t, lambda w: w.permute(2, 3, 1, 0)) is first
    w.mul_(2)
    torch.testing.assert_close(torch_fourier.spectra(w, t, lambda w: w.permute(2, 3, 1, 0)).even, 2 * first.even)


def test_groups_and_named_paddings_are_left_to_torch():
    x = Dual(drawn(3, 4, 8, 8), drawn(2, 3, 4, 8, 8))
    assert torch_dual._PRODUCTS[F.conv2d](x, drawn(4, 2, 3, 3), torch.Size((3, 4, 8, 8)), groups=2, padding=1) is None
    assert torch_dual._PRODUCTS[F.conv2d](x, drawn(5, 4, 3, 3), torch.Size((3, 5, 8, 8)), padding="same") is None
    assert torch_dual._PRODUCTS[F.conv_transpose2d](x, drawn(4, 1, 3, 3), torch.Size(()), 2, 1, 1, 2) is None


class Crossed(nn.Module):
    """Every layer that slabs know, with what is computed used twice."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 6, 3, stride=2)
        self.pixels = nn.LayerNorm((4, 4))
        self.mix = nn.Conv2d(6, 6, 3, padding=1)
        self.channels = nn.LayerNorm(6)
        self.up = nn.ConvTranspose2d(6, 5, 3, stride=2, padding=1, output_padding=1)
        self.last = nn.ConvTranspose2d(5, 1, 3, padding=1)

    def forward(self, x):
        y = F.leaky_relu(self.pixels(self.down(F.pad(x, (0, 1, 0, 1)))), 0.3)
        z = self.channels(torch.tanh(y).movedim(1, -1)).movedim(-1, 1)
        y = y + self.mix(F.relu(z)) * 0.5
        padded = F.pad(y, (1, 1, 1, 1))
        padded = padded + torch.tanh(padded)
        return torch.tanh(self.last(F.leaky_relu(self.up(padded[..., 1:-1, 1:-1]), 0.1))) + x * 0.3


@pytest.mark.parametrize("states", [1, 3])
@pytest.mark.parametrize(("order", "way"), [("slabs", "tap by tap"), *((o, "Fourier") for o in ORDERS)])
def test_many_tangents_at_once_are_those_of_a_few_at_a_time(order, way, states, monkeypatch):
    monkeypatch.setattr(torch_slabs, "FOURIER_HANDICAP", WAYS[way])
    monkeypatch.setenv(ORDER_VARIABLE, order)
    torch.manual_seed(0)
    network = Crossed().double().eval()
    for norm in (network.pixels, network.channels):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    m = lm.wrap(network, state_shape=(1, 8, 8))
    x, v = drawn(states, 64), drawn(states, 64, MANY + 8, seed=1)
    _, together = m.jvp(x, v)
    assert m._has_rules
    apart = torch.cat([m.jvp(x, part)[1] for part in v.split(4, dim=2)], dim=2)
    torch.testing.assert_close(together, apart, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(together, m.jacobian(x) @ v, rtol=1e-10, atol=1e-11)
