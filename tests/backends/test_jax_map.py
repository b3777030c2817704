"""Maps of JAX functions: the same numbers as NumPy's, from another framework."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, MapError, MissingExtraError, PrecisionError, ShapeError
from lyapmap.core.propagate import propagate, random_frame

if find_spec("jax") is None:
    pytest.skip("jax is not installed: pip install 'lyapmap[jax]'", allow_module_level=True)

W = np.random.default_rng(0).standard_normal((6, 6)) / 2


@pytest.fixture(scope="module", autouse=True)
def jax() -> Iterator[Any]:
    """The module, computing in float64."""
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def jnp(jax: Any) -> Any:
    return jax.numpy


def network(library: Any) -> Any:
    def layers(x: Any) -> Any:
        return library.tanh(x @ W.T.astype(x.dtype)) + 0.1 * library.sin(x[:, ::-1])

    return layers


def henon(library: Any) -> Any:
    def image(s: Any) -> Any:
        x, y = s[:, 0], s[:, 1]
        return library.stack([1 - 1.4 * x**2 + y, 0.3 * x], axis=1)

    return image


def picture(library: Any) -> Any:
    def image(x: Any) -> Any:
        return library.tanh(1.5 * library.roll(x, 1, axis=2) - x * x)

    return image


MAPS = {"network": (network, (6,)), "henon": (henon, (2,)), "picture": (picture, (1, 3, 2))}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_keeps_the_contract(jnp: Any, name: str, dtype: str) -> None:
    make, shape = MAPS[name]
    m = lm.wrap(make(jnp), state_shape=shape, backend="jax", dtype=dtype)
    states = np.random.default_rng(1).uniform(-0.5, 0.5, (4, *shape))
    report = lm.check_map(m, states)
    assert report, str(report)


@pytest.mark.parametrize("name", MAPS)
def test_the_numbers_are_those_of_the_numpy_backend(jnp: Any, name: str) -> None:
    make, shape = MAPS[name]
    ours = lm.wrap(make(jnp), state_shape=shape)
    theirs = lm.wrap(make(np), state_shape=shape)
    assert (type(ours).__name__, type(theirs).__name__) == ("JaxMap", "NumpyMap")
    assert ours.derivative == "forward mode"
    # Short enough that rounding, which a chaotic map magnifies, stays below what is compared.
    options: Any = {"n_steps": 20, "seed": 0, "throw": False}
    x0 = np.full((2, *shape), 0.3) + 0.1 * np.arange(2).reshape(2, *[1] * len(shape))
    found = lm.lyapunov_spectrum(ours, x0, **options)
    wanted = lm.lyapunov_spectrum(theirs, x0, **options)
    assert np.allclose(found.exponents, wanted.exponents, rtol=0, atol=1e-10)
    assert np.allclose(found.final_state, wanted.final_state, rtol=0, atol=1e-10)
    assert found.provenance["library"].startswith("jax ")


@pytest.fixture(scope="module")
def whole_and_parts(jnp: Any) -> tuple[Any, Any]:
    whole: Any = lm.wrap(network(jnp), state_shape=6)
    parts: Any = lm.wrap(network(jnp), state_shape=6, memory_limit=8 * 6 * 8 * 2)
    assert whole.rows_at_once > 1000
    assert parts.rows_at_once == 2
    return whole, parts


@settings(max_examples=8)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_chunks_do_not_change_what_is_computed(whole_and_parts: tuple[Any, Any], b: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal((b, 6)), rng.standard_normal((b, 6, k))
    whole, parts = whole_and_parts
    for a, c in zip(
        whole.jvp(whole.ops.from_numpy(x), whole.ops.from_numpy(v)),
        parts.jvp(parts.ops.from_numpy(x), parts.ops.from_numpy(v)),
        strict=True,
    ):
        assert np.allclose(a, c, rtol=0, atol=1e-14)
    assert np.allclose(whole.jacobian(whole.ops.from_numpy(x)), parts.jacobian(parts.ops.from_numpy(x)))


def test_frames_are_carried_by_its_own_arrays(jax: Any, jnp: Any) -> None:
    m = lm.wrap(network(jnp), state_shape=6)
    frame = random_frame(m, 2, 6, np.random.default_rng(0), "float64")
    carried = propagate(m, m.ops.from_numpy(np.full((2, 6), 0.2)), frame, n_steps=7, qr_every=3)
    assert isinstance(carried.frame, jax.Array)
    total = np.zeros(2)
    x = m.ops.from_numpy(np.full((2, 6), 0.2))
    for _ in range(7):  # a second way to the sum of all exponents
        total += np.linalg.slogdet(np.asarray(m.jacobian(x)))[1]
        x = m.apply(x)
    assert np.allclose(carried.log_growth.sum(axis=1), total, rtol=0, atol=1e-12)
    assert m.jvp(x, m.ops.from_numpy(np.zeros((2, 6, 0))))[1].shape == (2, 6, 0)


def test_other_analyses_take_it(jnp: Any) -> None:
    m = lm.wrap(henon(jnp), state_shape=2)
    x0 = [[0.1, 0.1], [0.2, 0.1]]
    assert lm.covariant_vectors(m, x0, n_steps=60, transient=40, seed=0).exponents[0] > 0
    assert lm.divergence(m, x0, method="rescaled", n_steps=200, transient=20, seed=0).exponent > 0
    shaken = lm.trajectory(lm.noisy(m, scale=1e-3, seed=0), x0, n_steps=3)
    assert shaken.states.shape == (2, 4, 2)
    assert lm.alignment(lm.iterate(m, 2), x0, n_steps=100, seed=0).verdicts.shape == (2,)


def test_jitted_functions_and_structures_are_found(jax: Any, jnp: Any) -> None:
    assert type(lm.wrap(jnp.tanh, state_shape=2)).__name__ == "JaxMap"
    assert type(lm.wrap(jax.jit(henon(jnp)), state_shape=2)).__name__ == "JaxMap"
    assert type(lm.wrap(jax.nn.relu, state_shape=2)).__name__ == "JaxMap"

    def pair(s: Any) -> Any:
        return {"c": jnp.tanh(s["h"] @ W), "h": s["c"] / 2}

    for array in (np.zeros, jnp.zeros):
        m: Any = lm.wrap(pair, state_example={"h": array(6), "c": array(6)})
        assert (type(m).__name__, m.ops.dtype) == ("JaxMap", "float64")
        assert lm.check_map(m, {"h": np.eye(6), "c": 0.5 * np.eye(6)})


def test_float64_needs_no_switch(jax: Any, jnp: Any) -> None:
    made = lm.wrap(henon(jnp), state_shape=2)
    x = np.full((3, 2), 0.1)
    wanted = np.asarray(made.apply(made.ops.from_numpy(x)))
    with jax.enable_x64(False):
        assert lm.wrap(henon(jnp), state_shape=2, backend="jax").ops.dtype == "float32"
        m = lm.wrap(henon(jnp), state_shape=2, backend="jax", dtype="float64")
        for same in (m, made):  # also one that was made while it was on
            image = same.apply(same.ops.from_numpy(x))
            assert image.dtype == "float64"
            np.testing.assert_allclose(np.asarray(image), wanted, rtol=1e-15)
        assert jnp.ones(2).dtype == "float32"


@pytest.mark.slow
def test_float64_in_a_process_that_never_switched_it_on() -> None:
    program = """
import warnings; warnings.simplefilter("error")
import jax, jax.numpy as jnp, numpy as np, lyapmap as lm
def henon(s):
    return jnp.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1)
def lorenz(s):
    x, y, z = s[:, 0], s[:, 1], s[:, 2]
    return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)
m = lm.wrap(henon, state_shape=2, backend="jax", dtype="float64")
some = np.random.default_rng(0).uniform(-0.1, 0.1, (8, 2))
s = lm.lyapunov_spectrum(m, some, n_steps=3000, transient=100, seed=0, throw=False)
assert abs(s.exponents.sum() - np.log(0.3)) < 1e-10 and abs(s.exponents[0] - 0.4192) < 0.02, s.exponents
assert lm.check_map(m, some)
lm.covariant_vectors(m, some[:1], n_steps=50, seed=0, throw=False)
lm.divergence(m, some, n_steps=50, seed=0, throw=False)
lm.finite_time_exponents(m, some, n_steps=20)
lm.settling(m, some, n_steps=20, throw=False)
for options in ({"method": "rk4", "steps": 5}, {}, {"method": "rodas4"}):
    f = lm.flow(lorenz, 0.05, state_shape=3, backend="jax", dtype="float64", **options)
    x = f.ops.from_numpy(np.array([[1.0, 1.0, 20.0]]))
    assert f.apply(x).dtype == f.jvp(x, f.ops.from_numpy(np.eye(3)[None]))[1].dtype == "float64"
    s = lm.lyapunov_spectrum(f, [1.0, 1.0, 20.0], n_steps=60, transient=5, seed=0, throw=False)
    assert abs(s.exponents.sum() + 10 + 1 + 8 / 3) < 2e-3, s.exponents
assert not jax.config.jax_enable_x64 and jnp.ones(2).dtype == "float32"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda jnp: lambda x: x[:, :1],
            ShapeError,
            "function: expected (2, 2) for two states of shape (2,), got (2, 1)",
        ),
        (lambda jnp: lambda x: x.astype("float32"), PrecisionError, "function: expected float64 back, got float32"),
        (lambda jnp: lambda x: (x, x), MapError, "function: expected it to return one array, got tuple"),
        (
            lambda jnp: lambda x: x if x.sum() > 0 else -x,
            MapError,
            "function: JAX cannot trace it on states of shape (2, 2): Attempted boolean conversion of traced array",
        ),
        (
            lambda jnp: lambda x: np.tanh(x),
            MapError,
            "function: JAX cannot trace it on states of shape (2, 2): The numpy",
        ),
        (
            lambda jnp: lambda x: x @ jnp.ones((3, 3)),
            MapError,
            "function: JAX cannot trace it on states of shape (2, 2)",
        ),
    ],
)
def test_functions_that_will_not_do_are_refused(jnp: Any, make: Any, error: type[LyapmapError], message: str) -> None:
    with pytest.raises(error) as raised:
        lm.wrap(make(jnp), state_shape=2, backend="jax")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "float16"}, PrecisionError, "dtype: expected 'float32' or 'float64', got 'float16'"),
        ({"memory_limit": 0}, LyapmapError, "memory_limit: expected a positive number of bytes, got 0"),
        ({"device": "abacus"}, LyapmapError, "device: abacus cannot be used"),
        ({"device": "cpu:99"}, LyapmapError, "device: cpu:99 cannot be used"),
        ({"jacobian": abs}, LyapmapError, "options: the jax backend does not take them"),
    ],
)
def test_options_that_will_not_do_are_refused(
    jnp: Any, options: dict[str, Any], error: type[LyapmapError], message: str
) -> None:
    with pytest.raises(error) as raised:
        lm.wrap(jnp.tanh, state_shape=2, **options)
    assert message in str(raised.value)


def test_arrays_that_do_not_belong_to_it_are_refused(jax: Any, jnp: Any) -> None:
    m = lm.wrap(jnp.tanh, state_shape=2, device="cpu")
    assert m.ops.device == "cpu"
    assert lm.wrap(jnp.tanh, state_shape=2, device=jax.devices()[0]).ops.device == "cpu"
    with pytest.raises(PrecisionError, match="x: expected a JAX array, got ndarray"):
        m.apply(np.zeros((1, 2)))
    with pytest.raises(PrecisionError, match="x: expected float64, got float32"):
        m.apply(jnp.zeros((1, 2), "float32"))
    with pytest.raises(ShapeError, match=r"v: expected 2 values per row for \(2,\), got shape \(1, 3, 1\)"):
        m.jvp(jnp.zeros((1, 2)), jnp.zeros((1, 3, 1)))


def test_without_the_extra_the_error_names_the_command(jnp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lyapmap.backends.jax_map", raising=False)
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(MissingExtraError, match=r"needs jax, which is not installed: pip install 'lyapmap\[jax\]'"):
        lm.wrap(np.tanh, state_shape=2, backend="jax")


def test_what_has_no_forward_mode_is_pulled_twice(jax: Any, jnp: Any) -> None:
    """A custom_vjp: no n x n matrix is made, blocks stay compiled, and exponents are those of forward mode."""

    @jax.custom_vjp
    def saturate(x: Any) -> Any:
        return jnp.tanh(x)

    saturate.defvjp(lambda x: (jnp.tanh(x), x), lambda x, u: (u * (1 - jnp.tanh(x) ** 2),))
    weights = jnp.asarray(2.5 * np.random.default_rng(0).normal(size=(5, 5)) / np.sqrt(5))
    m = lm.wrap(lambda x: saturate(x @ weights), state_shape=5, backend="jax", dtype="float64")
    truth = lm.wrap(lambda x: jnp.tanh(x @ weights), state_shape=5, backend="jax", dtype="float64")
    assert m.derivative.startswith("reverse mode twice (forward mode fails: TypeError: can't apply forward-mode")
    assert m.derivative.endswith("1 to 2 evaluations a tangent)")
    runs = [
        lm.lyapunov_spectrum(each, np.full(5, 0.1), n_steps=200, transient=50, seed=0, throw=False)
        for each in (m, truth)
    ]
    np.testing.assert_allclose(runs[0].exponents, runs[1].exponents, atol=1e-3)
    x = m.ops.from_numpy(np.random.default_rng(1).normal(size=(3, 5)))
    np.testing.assert_allclose(m.jacobian(x), truth.jacobian(x), rtol=1e-12, atol=1e-14)
    assert m.other_derivative("")
    assert m.derivative.startswith("reverse mode (forward mode fails")
    assert not m.other_derivative("")
