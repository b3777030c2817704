"""`wrap`: which backend takes what, and what is refused."""

from __future__ import annotations

import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch import nn

import lyapmap as lm
from lyapmap import backends
from lyapmap.backends.numba.map import NumbaMap
from lyapmap.backends.numpy.map import NumpyMap
from lyapmap.backends.torch.map import TorchMap
from lyapmap.core.errors import LyapmapError, MapError, MissingExtraError, ShapeError
from lyapmap.core.map import CompletedMap
from sample_maps import Henon, henon

WEIGHT, MATRIX = torch.eye(2), np.eye(2)


def columns(s: Any) -> list[Any]:
    x, y = s
    return [1 - 1.4 * x * x + y, 0.3 * x]


@pytest.mark.parametrize(
    "function",
    [
        henon,
        lambda x: x @ MATRIX,
        lambda x: 1 - x,
        partial(np.multiply, 0.5),
        lambda x: np.tanh(x),
        np.sin,
    ],
)
def test_numpy_functions_are_found(function: Any) -> None:
    assert isinstance(lm.wrap(function, state_shape=2), NumpyMap)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.tanh(x),
        lambda x: x.tanh(),
        lambda x: x @ WEIGHT,
        lambda x: (x @ WEIGHT).sigmoid(),
        lambda x: nn.functional.softmax(x, -1),
        nn.Linear(2, 2).forward,
        torch.sin,
    ],
)
def test_torch_functions_are_found(function: Any) -> None:
    assert isinstance(lm.wrap(function, state_shape=2), TorchMap)


def test_modules_and_compiled_functions_are_found() -> None:
    @numba.njit
    def image(s: np.ndarray) -> np.ndarray:
        return 0.5 * s

    assert isinstance(lm.wrap(nn.Tanh().eval(), state_shape=(1, 2, 2)), TorchMap)
    assert isinstance(lm.wrap(image, state_shape=2), NumbaMap)


def test_a_module_with_a_jacobian_of_its_own_is_still_a_module() -> None:
    class Flow(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

        def jacobian(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError

    assert isinstance(lm.wrap(Flow().eval(), state_shape=2), TorchMap)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"device": "cpu"}, TorchMap),
        ({"dtype": torch.float64}, TorchMap),
        ({"memory_limit": 1000}, NumpyMap),
        ({"backend": "torch"}, TorchMap),
        ({"backend": "numpy"}, NumpyMap),
        ({"dtype": "float32"}, NumpyMap),
        ({"vectorized": True}, NumpyMap),
    ],
)
def test_options_tell_which_framework_is_meant(options: dict[str, Any], kind: type) -> None:
    assert isinstance(lm.wrap(lambda x: 1 - x, state_shape=2, **options), kind)


def test_a_numpy_function_of_one_state_that_returns_a_list_is_numpy() -> None:
    assert isinstance(lm.wrap(columns, state_shape=2, vectorized=False), NumpyMap)


def test_without_torch_a_function_is_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    assert isinstance(lm.wrap(henon, state_shape=2), NumpyMap)


def test_a_map_that_is_ready_is_left_as_it_is() -> None:
    ready = lm.systems.henon()
    assert lm.wrap(ready) is ready
    assert lm.wrap(ready, state_shape=2) is ready
    completed = lm.wrap(Henon())
    assert isinstance(completed, CompletedMap)


@pytest.mark.parametrize("shape", [2, (2,), [2], np.int64(2), np.array([2]), torch.Size([2])])
def test_a_state_shape_may_be_a_number_or_a_sequence(shape: Any) -> None:
    assert lm.wrap(henon, state_shape=shape).state_shape == (2,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lm.wrap(henon), LyapmapError, "state_shape: expected the shape of one state, e.g. (2,)"),
        (lambda: lm.wrap(henon, state_shape=()), ShapeError, "state_shape: expected positive sizes, got ()"),
        (lambda: lm.wrap(henon, state_shape=-2), ShapeError, "state_shape: expected positive sizes, got -2"),
        (lambda: lm.wrap(henon, state_shape=2.0), ShapeError, "state_shape: expected an integer or a tuple of them"),
        (lambda: lm.wrap(henon, state_shape="2"), ShapeError, "state_shape: expected an integer or a tuple of them"),
        (lambda: lm.wrap(3, state_shape=2), MapError, "function: expected a function, a module or a map, got int"),
        (
            lambda: lm.wrap(henon, state_shape=2, backend="chainer"),
            LyapmapError,
            f"backend: expected one of {', '.join(sorted(backends.OURS))}, got 'chainer'",
        ),
        (
            lambda: lm.wrap(henon, state_shape=2, backend="numpy", colour=1),
            LyapmapError,
            "options: the numpy backend does not take them",
        ),
        (
            lambda: lm.wrap(nn.Tanh().eval(), state_shape=2, jacobian=henon),
            LyapmapError,
            "options: the torch backend does not take them",
        ),
        (
            lambda: lm.wrap(Henon(), dtype="float32"),
            LyapmapError,
            "dtype: Henon is a map already and takes no options",
        ),
        (
            lambda: lm.wrap(Henon(), backend="numpy"),
            LyapmapError,
            "backend: Henon is a map already and takes no options",
        ),
        (lambda: lm.wrap(Henon(), state_shape=3), ShapeError, "state_shape: Henon is a map of (2,), got (3,)"),
        (
            lambda: lm.wrap(SimpleNamespace(apply=henon, jacobian=henon)),
            MapError,
            "map: expected an object with state_shape, apply and jacobian, got SimpleNamespace",
        ),
    ],
)
def test_what_cannot_be_wrapped_is_refused_in_one_line(call: Any, error: type[LyapmapError], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_type_error_of_the_function_itself_is_not_mistaken_for_an_option() -> None:
    def failing(x: torch.Tensor) -> torch.Tensor:
        raise TypeError("the function's own")

    with pytest.raises(MapError, match=r"TypeError: the function's own \(test_wrap.py, line \d+\)"):
        lm.wrap(failing, state_shape=2, backend="torch")


def test_without_the_extra_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lyapmap.backends.torch.map")
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python marks what cannot be imported
    with pytest.raises(MissingExtraError, match=r"needs torch, which is not installed: pip install 'lyapmap\[torch\]'"):
        lm.wrap(henon, state_shape=2, backend="torch")
