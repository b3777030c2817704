"""Convolutions of many tangents in other ways than torch's own: the same numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lyapmap as lm
from lyapmap.backends.torch_dual import _PRODUCTS, MANY_ROWS

OPTIONS = [
    {},
    {"stride": 2},
    {"stride": (2, 1), "padding": (1, 2)},
    {"stride": 3, "padding": 1},
    {"padding": 2, "dilation": 2},
    {"stride": 2, "dilation": (1, 2), "padding": 1},
]


def agree(func, x, weight, *rest, **named):
    ours, wanted = _PRODUCTS[func](func, x, weight, *rest, **named), func(x, weight, None, *rest, **named)
    assert ours.shape == wanted.shape
    torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("c_in", "c_out"), [(1, 6), (3, 2), (8, 5)])
def test_convolutions(options, c_in, c_out):
    agree(F.conv2d, drawn(4, c_in, 11, 10), drawn(c_out, c_in, 3, 4), **options)


@pytest.mark.parametrize("options", [*OPTIONS, {"stride": 3, "padding": 1, "output_padding": 2}], ids=str)
@pytest.mark.parametrize(("c_in", "c_out"), [(6, 1), (2, 3), (5, 8)])
def test_transposed_convolutions(options, c_in, c_out):
    agree(F.conv_transpose2d, drawn(4, c_in, 6, 7), drawn(c_in, c_out, 3, 4), **options)


def test_groups_and_named_paddings_are_left_to_torch():
    agree(F.conv2d, drawn(3, 4, 8, 8), drawn(4, 2, 3, 3), groups=2, padding=1)
    agree(F.conv2d, drawn(3, 2, 8, 8), drawn(5, 2, 3, 3), padding="same")
    agree(F.conv_transpose2d, drawn(3, 4, 8, 8), drawn(4, 1, 3, 3), 2, 1, 1, 2)


def test_many_tangents_at_once_are_those_of_a_few_at_a_time():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.Tanh(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.Tanh()]
    back = [nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1), nn.Tanh(), nn.ConvTranspose2d(6, 1, 4, 2, 1), nn.Tanh()]
    m = lm.wrap(nn.Sequential(*layers, *back).double().eval(), state_shape=(1, 8, 8))
    x, v = drawn(1, 64), drawn(1, 64, MANY_ROWS + 8)
    _, together = m.jvp(x, v)
    apart = torch.cat([m.jvp(x, part)[1] for part in v.split(4, dim=2)], dim=2)
    torch.testing.assert_close(together, apart, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(together, m.jacobian(x) @ v, rtol=1e-10, atol=1e-11)
