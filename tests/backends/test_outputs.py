"""What comes beside a state, and states that are windows of a sequence, in every framework."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from command_line import run
from lyapmap.core.errors import LyapmapError, MapError, ShapeError

torch = pytest.importorskip("torch")

N_STEPS = 40
FACTORS = np.exp(np.random.default_rng(0).normal(size=N_STEPS))
EXPONENT = np.log(FACTORS).mean()
"""Of x -> u_t x over all the steps."""


def exponents(m: Any, n: int = 1, n_steps: int = N_STEPS) -> Any:
    return lm.lyapunov_spectrum(m, np.full(n, 0.3), n_steps=n_steps, seed=0, throw=False).exponents


def in_numpy() -> Any:
    return lm.wrap(lambda x, u: u * x, state_shape=1, inputs=lm.each_step(FACTORS[:, None]))


def in_numpy_one_by_one() -> Any:
    return lm.wrap(lambda x, u: u * x, state_shape=1, inputs={"u": lm.each_step(FACTORS)}, vectorized=False)


def in_torch() -> Any:
    given = (lm.each_step(lambda step: FACTORS[step : step + 1]),)
    return lm.wrap(lambda x, u: torch.exp(torch.log(u)) * x, state_shape=1, inputs=given, dtype="float64")


def in_jax() -> Any:
    jnp = pytest.importorskip("jax").numpy
    given = {"u": lm.each_step(FACTORS[:, None])}
    return lm.wrap(lambda x, u: jnp.exp(jnp.log(u)) * x, state_shape=1, inputs=given, backend="jax", dtype="float64")


def in_numba() -> Any:
    numba = pytest.importorskip("numba")
    return lm.wrap(numba.njit(lambda x, u: u * x), state_shape=1, inputs=lm.each_step(FACTORS[:, None]))


@pytest.mark.parametrize("made", [in_numpy, in_numpy_one_by_one, in_torch, in_jax, in_numba])
def test_an_input_has_another_value_at_each_step(made: Any) -> None:
    m = made()
    np.testing.assert_allclose(exponents(m), [EXPONENT], atol=1e-9)
    assert m.provenance["driven_by"]["m"] == 1
    assert repr(m).startswith("DrivenMap of <lambda>, n = 1, float64 on cpu, ")


class Steered(torch.nn.Module):
    """x -> (1 + t) x / 2, by a table of whole numbers t, in a dict with other things."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(4, 1)
        self.scale = torch.nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.table.weight.copy_(1.0 + torch.arange(4.0)[:, None])
            self.scale.weight.fill_(0.5)

    def forward(self, x: Any, t: Any) -> Any:
        return {"sample": self.table(t) * self.scale(x), "t": t}


def test_whole_numbers_come_as_such_and_may_be_repeated() -> None:
    t = np.array([0, 3, 1, 2])
    m = lm.wrap(Steered().eval(), state_shape=1, inputs={"t": lm.each_step(t, repeat=True)}, output="sample")
    np.testing.assert_allclose(exponents(m), [np.log((1 + t) / 2).mean()], atol=1e-6)


@pytest.mark.slow
def test_keras_models_take_inputs_by_their_names() -> None:
    keras = pytest.importorskip("keras")
    x, u = keras.Input((1,)), keras.Input((1,), name="u")
    net = keras.Model([x, u], keras.layers.Multiply()([x, u]))
    m = lm.wrap(net, state_shape=1, inputs={"u": lm.each_step(FACTORS[:, None])})
    np.testing.assert_allclose(exponents(m), [EXPONENT], atol=1e-5)
    np.testing.assert_allclose(exponents(lm.wrap(net, state_shape=1, inputs={"u": np.array([0.5])})), [np.log(0.5)])
    with pytest.raises(LyapmapError, match=r"inputs: .* takes .*, u; give all but the state, by these names"):
        lm.wrap(net, state_shape=1, inputs={"v": np.array([0.5])})


def test_drawn_inputs_are_those_of_a_driven_map() -> None:
    """Bit for bit; and two of the same seed are independent of each other."""
    drawn = lm.random_inputs(2, scale=0.4, seed=3)

    def step(x: Any, u: Any) -> Any:
        return np.tanh(1.7 * x[:, ::-1] + u)

    joint = lm.wrap(lambda z: np.concatenate([step(z[:, :2], z[:, 2:]), z[:, 2:]], axis=1), state_shape=4)
    x0 = np.array([[0.1, 0.2], [0.3, -0.4]])
    runs = [
        lm.lyapunov_spectrum(m, x0, n_steps=60, seed=0, throw=False)
        for m in (lm.wrap(step, state_shape=2, inputs=drawn), lm.driven(joint, drawn))
    ]
    np.testing.assert_array_equal(runs[0].exponents, runs[1].exponents)
    both = lm.wrap(lambda x, u, v: 0.5 * x + u + v, state_shape=2, inputs={"u": drawn, "v": drawn})
    rows = both.inputs(5, 3)
    assert rows.shape == (3, 4)
    assert not (rows[:, :2] == rows[:, 2:]).any()
    assert lm.random_inputs((3, 4), seed=1)(0, 2).shape == (2, 12)


@pytest.mark.parametrize("kind", ["GRUCell", "LSTMCell"])
def test_cells_are_driven_in_one_line(kind: str) -> None:
    """The same input at each step is the held one."""
    torch.manual_seed(0)
    cell = getattr(torch.nn, kind)(3, 4).eval()
    driven, held = lm.wrap(cell, inputs=lm.each_step(np.ones((5, 3)))), lm.wrap(cell, inputs=np.ones(3))
    n = held.jacobian(held.ops.from_numpy(np.zeros((1, 8 if kind == "LSTMCell" else 4)))).shape[1]
    x = held.ops.from_numpy(np.random.default_rng(0).normal(size=(2, n)))
    v = held.ops.from_numpy(np.random.default_rng(1).normal(size=(2, n, 3)))
    for got, wanted in zip(driven.jvp(x, v), held.jvp(x, v), strict=True):
        torch.testing.assert_close(got, wanted)
    with pytest.raises(ShapeError, match="inputs: expected 3 floating-point values at each step of"):
        lm.wrap(cell, inputs=lm.each_step(np.ones((5, 2))))


def test_states_of_several_arrays_take_inputs() -> None:
    def step(s: Any, u: Any, factor: Any) -> Any:
        return {"a": s["a"] * u, "b": s["b"] * factor}, u

    example = {"a": np.zeros(1), "b": np.zeros(2)}
    given = {"u": lm.each_step(FACTORS[:, None]), "factor": 0.01}
    m = lm.wrap(step, state_example=example, inputs=given, output=0)
    np.testing.assert_allclose(exponents(m, 3).sum(), EXPONENT + 2 * np.log(0.01), atol=1e-9)
    assert m.restore(np.arange(3.0))["b"].tolist() == [1, 2]


def test_a_derivative_by_differences_is_one_of_every_step() -> None:
    def opaque(x: Any, u: Any) -> Any:
        return np.array([[float(value)] for value in (u * x)[:, 0]])

    m = lm.wrap(opaque, state_shape=1, inputs=lm.each_step(FACTORS[:, None]))
    assert m.derivative.startswith("central differences")
    np.testing.assert_allclose(exponents(m), [EXPONENT], atol=1e-6)


def test_what_cannot_change_from_step_to_step_is_refused() -> None:
    for values, message in (
        (["a", "b"], "values: expected numbers"),
        ([1.0, np.nan], "values: expected finite numbers"),
        (3.0, r"values: expected \(T, \*shape\), one for each step, got \(\)"),
    ):
        with pytest.raises(LyapmapError, match=message):
            lm.each_step(values)
    with pytest.raises(LyapmapError, match="inputs: hold 40 steps, and step 40 was asked for"):
        exponents(in_numpy(), n_steps=N_STEPS + 1)
    with pytest.raises(ShapeError, match=r"state: expected \(b, 1\) back"):
        lm.wrap(lambda x, u: u * x, state_shape=1, inputs=lm.each_step(FACTORS))
    with pytest.raises(MapError, match="unexpected keyword argument 'v'"):
        lm.wrap(lambda x, u: u * x, state_shape=1, inputs={"v": lm.each_step(FACTORS)})


HENON = lm.wrap(lambda s: np.stack([s[:, 1], 1 - 1.4 * s[:, 1] ** 2 + 0.3 * s[:, 0]], axis=1), state_shape=2)
WINDOWS = {
    "numpy": (lambda w: 1 - 1.4 * w[:, 1] ** 2 + 0.3 * w[:, 0], {}),
    "as a column": (lambda w: 1 - 1.4 * w[:, 1:] ** 2 + 0.3 * w[:, :1], {}),
    "as many as it takes": (lambda w: np.stack([w[:, 1], 1 - 1.4 * w[:, 1] ** 2 + 0.3 * w[:, 0]], axis=1), {}),
    "one by one": (lambda w: 1 - 1.4 * w[1] ** 2 + 0.3 * w[0], {"vectorized": False}),
    "torch": (lambda w: 1 - 1.4 * w[:, 1] ** 2 + 0.3 * w[:, 0], {"dtype": torch.float64}),
    "jax": (lambda w: 1 - 1.4 * w[:, 1] ** 2 + 0.3 * w[:, 0], {"backend": "jax", "dtype": "float64"}),
    "numba": (lambda w: 1 - 1.4 * w[1] ** 2 + 0.3 * w[0], {}),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ("jax", "numba") else name for name in WINDOWS]
)
def test_a_delay_map_is_the_henon_map(name: str) -> None:
    function, options = WINDOWS[name]
    if name in ("jax", "numba"):
        function = pytest.importorskip("numba").njit(function) if name == "numba" else function
        pytest.importorskip(name)
    m = lm.wrap(function, state_shape=2, window=2, **options)
    assert m.provenance["window"] == 2
    x, v = np.random.default_rng(0).normal(size=(3, 2)), np.random.default_rng(1).normal(size=(3, 2, 2))
    got = m.jvp(m.ops.from_numpy(x), m.ops.from_numpy(v))
    for mine, wanted in zip(got, HENON.jvp(x, v), strict=True):
        np.testing.assert_allclose(m.ops.to_numpy(mine), wanted, rtol=1e-12, atol=1e-12)
    assert (m.ops.to_numpy(got[0])[:, 0] == x[:, 1]).all()


def test_frames_and_channels_move_on_exactly() -> None:
    torch.manual_seed(0)
    frames = lm.wrap(torch.nn.Conv2d(4, 1, 3, padding=1).eval(), state_shape=(4, 5, 5), window=4)
    x = torch.randn(2, 100)
    assert torch.equal(frames.apply(x)[:, :75], x[:, 25:])
    times_last = lm.wrap(torch.nn.Conv1d(3, 3, 5).eval(), state_shape=(3, 5), window=5)
    x = torch.randn(2, 15)
    moved = times_last.apply(x).reshape(2, 3, 5)
    assert torch.equal(moved[:, :, :4], x.reshape(2, 3, 5)[:, :, 1:])
    assert (times_last.jacobian(x)[0].reshape(3, 5, 15)[:, :4].abs().sum(-1) == 1).all()


def test_a_layer_over_sequences_gives_the_next_element() -> None:
    layer = torch.nn.GRU(3, 3, batch_first=True).eval()
    x = torch.randn(2, 15)
    moved = lm.wrap(layer, state_shape=(5, 3), window=5, output=0).apply(x)
    torch.testing.assert_close(moved[:, 12:], layer(x.reshape(2, 5, 3))[0][:, -1])


@pytest.mark.parametrize("given", [np.array([0.5, 0.25]), (np.array([0.5, 0.25]),), {"u": np.array([0.5, 0.25])}])
def test_one_array_is_held(given: Any) -> None:
    m = lm.wrap(lambda x, u: u * x, state_shape=2, inputs=given)
    np.testing.assert_allclose(m.apply(np.ones((1, 2))), [[0.5, 0.25]])


def test_windows_that_do_not_fit_are_refused() -> None:
    def first(w: Any) -> Any:
        return w[:, 0]

    for options, message in (
        ({"state_shape": 3, "window": 2}, r"window: state_shape is .* with an axis of 2, got \(3,\); e.g. \(2, 3\)"),
        ({"state_shape": 3, "window": 0}, "window: expected at least 1, got 0"),
        ({"window": 2}, "state_shape: expected the shape of one state"),
        ({"state_example": (np.zeros(2), np.zeros(2)), "window": 2}, "window: expected states of one array"),
    ):
        with pytest.raises(LyapmapError, match=message):
            lm.wrap(first, **options)
    with pytest.raises(ShapeError, match=r"window: expected the next element back, \(b\), got \('b', 2\)"):
        lm.wrap(lambda w: w[:, :2], state_shape=3, window=3)
    with pytest.raises(LyapmapError, match=r"window: .* is a map already"):
        lm.wrap(lm.systems.henon(), window=2)


def test_numba_functions_take_what_is_held() -> None:
    numba = pytest.importorskip("numba")

    @numba.njit
    def step(w: Any, a: float, b: Any) -> Any:
        return 1 - a * w[1] ** 2 + b[0] * w[0]

    m = lm.wrap(step, state_shape=2, window=2, inputs={"b": np.array([0.3]), "a": 1.4})
    assert m.derivative == "dual numbers"
    x = np.random.default_rng(0).normal(size=(3, 2))
    np.testing.assert_allclose(m.apply(x), HENON.apply(x), rtol=1e-12)
    with pytest.raises(LyapmapError, match="inputs: missing a required argument: 'b'"):
        lm.wrap(step, state_shape=2, window=2, inputs={"a": 1.4})


FUNCTION = """
def step(w, u):
    return 1 - u * w[:, 1:] ** 2 + 0.3 * w[:, :1]
"""


def test_the_command_line_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "delayed.py").write_text(FUNCTION)
    np.save("u.npy", np.full((40, 1), 1.4))
    command = ["spectrum", "--callable", "delayed:step", "--state-shape", 2, "--sequence-window", 2, "--steps", 30]
    runs = []
    for given in ({"each_step": "u.npy"}, {"u": {"each_step": [[1.4]], "repeat": True}}):
        done = run(*command, "--transient", 10, "--json", "--inputs", json.dumps(given))
        runs.append(json.loads(done.stdout)["exponents"])
    assert runs[0] == runs[1]
    drawn = json.dumps({"drawn": "uniform", "center": 1.4, "scale": 0.001, "seed": 1})
    assert run(*command, "--inputs", drawn, "--json").stdout
    for given, message in (
        ({"each_step": "none.npy"}, "none.npy"),
        ({"u": {"drawn": "cauchy"}}, "kind: expected one of normal"),
        ({"u": {"every": 1}}, "--inputs: expected numbers, or each_step or drawn among every"),
        ({"u": {"each_step": [1], "often": 1}}, "--inputs: .*unexpected keyword argument 'often'"),
    ):
        refused = run(*command, "--inputs", json.dumps(given))
        assert refused.exit_code == 2
        assert re.search(message, refused.stderr)


def halved(x):
    return 0.5 * x


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: (halved(x), 1), "returns a tuple; say which part of it is the next state, such as output=0"),
        (lambda x: {"state": halved(x), "n": 3}, "returns a dict; .* such as output='state'"),
        (lambda x: (halved(x), halved(x)), "returns several arrays; say which is the next state: output=0 or 1"),
    ],
    ids=["tuple", "dict", "two"],
)
def test_a_numpy_function_that_returns_more_than_a_state_says_so_in_one_line(answer, message):
    with pytest.raises(MapError, match=message) as refused:
        lm.wrap(answer, state_shape=3)
    assert "\n" not in str(refused.value)
    assert lm.wrap(lambda x: (x[1], -0.5 * x[0]), state_shape=2, vectorized=False).state_shape == (2,)


@pytest.mark.parametrize("option", ["state_shape", "state_example"])
@pytest.mark.parametrize("batch", [1, 5])
def test_a_batch_axis_is_told_from_a_state(option, batch):
    given = {"state_shape": (batch, 2, 2)} if option == "state_shape" else {"state_example": np.zeros((batch, 2, 2))}
    with pytest.raises(ShapeError, match=r"takes states of shape \(2, 2\), got \(\d, 2, 2\); leave the batch axis out"):
        lm.wrap(lambda x: np.tanh(x.reshape(len(x), 4)).reshape(len(x), 2, 2), **given)
