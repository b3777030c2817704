"""`wrap` with a `state_example`: states that are tuples, lists or dicts of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lyapmap as lm
from lyapmap.backends.numpy.map import NumpyMap
from lyapmap.backends.torch.map import TorchMap
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError

K = 1.2
PENDULUM = {"angle": np.zeros(1), "momentum": np.zeros(1)}
TENSORS = (torch.zeros(3, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64))


def pendulum(s: dict[str, Any]) -> dict[str, Any]:
    p = s["momentum"] + K * np.sin(s["angle"])
    return {"momentum": p, "angle": s["angle"] + p}  # another order than that of the example


def flat_pendulum(s: np.ndarray) -> np.ndarray:
    p = s[:, 1] + K * np.sin(s[:, 0])
    return np.stack([s[:, 0] + p, p], axis=1)


def twisted(s: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = s
    moved = torch.tanh(a.sum(1)[:, None, None] + 2 * b)
    return torch.sigmoid(a) + b[:, 0, :1], moved


class Cell(nn.Module):
    def __init__(self, n: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell = nn.LSTMCell(1, n)

    def forward(self, state: Any) -> Any:
        h, _ = state
        return self.cell(torch.ones_like(h[:, :1]), state)


def test_exponents_are_those_of_the_flat_map() -> None:
    options: Any = {"n_steps": 200, "transient": 10, "seed": 1}
    structured = lm.wrap(pendulum, state_example=PENDULUM)
    x0 = {"angle": np.array([1.0]), "momentum": np.array([0.3])}
    found = lm.lyapunov_spectrum(structured, x0, **options)
    wanted = lm.lyapunov_spectrum(lm.wrap(flat_pendulum, state_shape=2), [1.0, 0.3], **options)
    assert np.allclose(found.exponents, wanted.exponents, rtol=0, atol=1e-10)
    assert found.provenance["map"] == "pendulum"
    assert found.provenance["state"] == {"['angle']": [1], "['momentum']": [1]}
    end = structured.restore(found.final_state)
    assert np.array_equal(end["momentum"][:, 0], found.final_state[:, 1])


def test_a_run_from_a_batch_of_structures_and_from_rows_is_the_same() -> None:
    m = lm.wrap(twisted, state_example=TENSORS)
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 3)), rng.random((3, 2, 2))
    rows = np.concatenate([a, b.reshape(3, 4)], axis=1)
    first = lm.trajectory(m, (torch.from_numpy(a), torch.from_numpy(b)), n_steps=5)
    second = lm.trajectory(m, rows, n_steps=5)
    assert np.array_equal(first.states, second.states)
    states = m.restore(first.states)
    assert states[1].shape == (3, 6, 2, 2)
    assert np.array_equal(states[0][:, 0], a)


@pytest.mark.parametrize(
    ("function", "example", "kind", "dtype"),
    [
        (pendulum, PENDULUM, NumpyMap, "float64"),
        (pendulum, {key: array.astype("f4") for key, array in PENDULUM.items()}, NumpyMap, "float32"),
        (twisted, TENSORS, TorchMap, "float64"),
        (twisted, [t.float() for t in TENSORS], TorchMap, "float32"),
        (twisted, [t.numpy() for t in TENSORS], TorchMap, "float64"),  # found by what it does to NumPy
        (Cell().eval(), (torch.zeros(4), torch.zeros(4)), TorchMap, "float32"),
        (lambda s: ([s[0][0] / 2], 0.3 * s[1]), ([np.zeros(())], np.zeros(2)), NumpyMap, "float64"),
    ],
)
def test_framework_and_dtype_come_from_the_example(function: Any, example: Any, kind: type, dtype: str) -> None:
    m = lm.wrap(function, state_example=example)
    assert isinstance(m, kind)
    assert m.ops.dtype == dtype
    states = np.random.default_rng(0).uniform(-0.5, 0.5, (3, m.state_shape[0]))
    report = lm.check_map(m, states)
    assert report, str(report)


def test_an_example_that_is_one_array_stands_for_its_shape() -> None:
    m = lm.wrap(torch.tanh, state_example=torch.zeros(1, 4, 4, dtype=torch.float64))
    assert (m.state_shape, m.ops.dtype) == ((1, 4, 4), "float64")


def test_a_module_is_copied_and_checked_like_any_other() -> None:
    cell = Cell().double()
    example = (np.zeros(4), np.zeros(4))
    with pytest.raises(MapError, match="the module itself is in training mode"):
        lm.wrap(cell, state_example=example)
    m = lm.wrap(cell.eval(), state_example=example)
    x = m.ops.from_numpy(np.full((1, 8), 0.3))
    before = m.apply(x)
    with torch.no_grad():
        cell.cell.weight_hh.zero_()
    assert torch.equal(m.apply(x), before)
    assert m.provenance["map"] == "Cell"
    assert m.jacobian(x).requires_grad is False


def test_the_module_s_dtype_and_the_example_s_must_agree_unless_one_is_asked_for() -> None:
    example = (np.zeros(4), np.zeros(4))
    with pytest.raises(PrecisionError, match="state_example: holds float64, and the map computes in float32; give dty"):
        lm.wrap(Cell().eval(), state_example=example)
    assert lm.wrap(Cell().eval(), state_example=example, dtype="float64").ops.dtype == "float64"


def test_one_state_at_a_time_and_a_jacobian_of_one_s_own() -> None:
    def alone(s: Any) -> Any:
        return [s[0] * s[1][0], np.array([0.5, 0.1]) * s[1]]

    def derivative(s: Any) -> np.ndarray:
        (a,), (b, _) = s
        return np.array([[b, a, 0], [0, 0.5, 0], [0, 0, 0.1]])

    example = [np.zeros(1), np.zeros(2)]
    plain = lm.wrap(alone, state_example=example, vectorized=False)
    given = lm.wrap(alone, state_example=example, vectorized=False, jacobian=derivative)
    assert (plain.derivative, given.derivative) == ("complex step", "jacobian given")
    x = np.random.default_rng(0).random((2, 3))
    assert np.allclose(plain.jacobian(x), given.jacobian(x), rtol=0, atol=1e-14)


def test_maps_made_of_such_maps_take_the_same_states() -> None:
    m = lm.wrap(pendulum, state_example=PENDULUM)
    x0 = {"angle": np.ones((2, 1)), "momentum": np.zeros((2, 1))}
    twice = lm.iterate(m, 2)
    after = lm.trajectory(twice, x0, n_steps=1).states[:, 1]
    assert np.allclose(after, lm.trajectory(m, x0, n_steps=2).states[:, 2])
    shaken = lm.noisy(m, scale=0.1, seed=0)
    assert shaken.restore(lm.trajectory(shaken, x0, n_steps=1).states)["angle"].shape == (2, 2, 1)


def test_the_response_of_a_driven_map_keeps_its_structure() -> None:
    def joint(s: Any) -> Any:
        return {"h": np.tanh(s["h"] + s["u"]), "c": 0.5 * s["c"] + s["h"][:, None], "u": s["u"]}

    example = {"h": np.zeros(2), "c": np.zeros((1, 2)), "u": np.zeros(2)}
    m = lm.driven(lm.wrap(joint, state_example=example), lm.random_inputs(2, seed=0))
    states = lm.trajectory(m, {"h": np.zeros(2), "c": np.zeros((1, 2))}, n_steps=3).states
    assert list(m.restore(states)) == ["h", "c"]
    assert m.restore(states)["c"].shape == (1, 4, 1, 2)
    cut = lm.driven(lm.wrap(joint, state_example=example), lm.random_inputs(3, seed=0))
    with pytest.raises(ShapeError, match=r"x0: expected one state \(3,\) or a batch"):
        lm.trajectory(cut, np.zeros(4), n_steps=1)
    assert cut.structure is None


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (lambda h, c: h, ShapeError, "function: state: expected a tuple of 2, got an array of shape (3, 3)"),
        (lambda h, c: (h,), ShapeError, "function: state: expected a tuple of 2, got a tuple of 1"),
        (lambda h, c: {"h": h}, ShapeError, "function: state: expected a tuple of 2, got a dict of 'h'"),
        (lambda h, c: (h, None), ShapeError, "function: state[1]: expected an array of shape (2, 2), got NoneType"),
        (
            lambda h, c: (h, c[:, :1]),
            ShapeError,
            "function: state[1]: expected (b, 2, 2) back, got (3, 1, 2) for b = 3",
        ),
        (lambda h, c: (h[:1], c), ShapeError, "function: state[0]: expected (b, 3) back, got (1, 3) for b = 3"),
        (lambda h, c: (h, c.sum()), ShapeError, "function: state[1]: expected (b, 2, 2) back, got () for b = 3"),
        (
            lambda h, c: (h, c.astype("float32")),
            PrecisionError,
            "function: state[1]: expected float64 back, got float32",
        ),
    ],
)
def test_what_comes_back_wrong_is_named(image: Any, error: type[LyapmapError], message: str) -> None:
    def function(s: Any) -> Any:
        return image(*s)

    # The number of states tried is never n, which is 7 here.
    with pytest.raises(error) as raised:
        lm.wrap(function, state_example=(np.zeros(3), np.zeros((2, 2))), backend="numpy")
    assert str(raised.value) == message


def test_a_torch_function_is_told_the_same() -> None:
    with pytest.raises(PrecisionError, match=r"function: state\[0\]: expected float64 back, got float32"):
        lm.wrap(lambda s: (s[0].float(), s[1]), state_example=TENSORS)
    with pytest.raises(ShapeError, match=r"function: state\[1\]: expected \(b, 2, 2\) back, got \(2, 4\) for b = 2"):
        lm.wrap(lambda s: (s[0], s[1].flatten(1)), state_example=TENSORS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: lm.wrap(pendulum, state_example=PENDULUM, state_shape=2),
            "state_example: give either this or state_shape, not both",
        ),
        (
            lambda: lm.wrap(lm.systems.henon(), state_example=PENDULUM),
            "state_example: ReferenceMap is a map already and takes no options",
        ),
        (
            lambda: lm.wrap(pendulum, state_example=PENDULUM, backend="numba"),
            "state_example: Numba functions take one array; give state_shape, or backend='numpy'",
        ),
        (
            lambda: lm.wrap(pendulum, state_example=PENDULUM, colour=1),
            "options: the numpy backend does not take them",
        ),
        (
            lambda: lm.lyapunov_spectrum(lm.wrap(pendulum, state_example=PENDULUM), {"angle": np.zeros(1)}, n_steps=1),
            "x0: expected a dict of 'angle', 'momentum', got one that lacks 'momentum'",
        ),
        (
            lambda: lm.trajectory(
                lm.wrap(pendulum, state_example=PENDULUM),
                {"angle": np.zeros(1), "momentum": np.array([np.nan])},
                n_steps=1,
            ),
            "x0: state 0 is not finite",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(call: Any, message: str) -> None:
    with pytest.raises(LyapmapError) as raised:
        call()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
