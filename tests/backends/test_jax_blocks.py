"""Blocks of steps in one compiled loop are those of the generic loop."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flows.map import FlowMap
from lyapmap.core.map import TangentMap
from lyapmap.core.propagate import random_frame

if find_spec("jax") is None:
    pytest.skip("jax is not installed: pip install 'lyapmap[jax]'", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def jnp() -> Iterator[Any]:
    """JAX's NumPy, computing in float64."""
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax.numpy
    jax.config.update("jax_enable_x64", before)


def maps(jnp: Any) -> dict[str, tuple[Any, int]]:
    weights = np.random.default_rng(0).standard_normal((6, 6)) / 2
    return {
        "henon": (lambda s: jnp.stack([1 - 1.2 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1), 2),
        "network": (lambda s: jnp.tanh(s @ weights.T.astype(s.dtype)), 6),
        "tent": (lambda s: jnp.where(s < 0.5, 1.9 * s, 1.9 * (1 - s)), 1),
        "singular": (lambda s: jnp.stack([jnp.sin(s[:, 0]), 0 * s[:, 0], 0.5 * s[:, 2] + s[:, 0]], 1), 3),
        "huge": (lambda s: 1e30 * s, 2),
    }


SLOW = pytest.mark.slow  # each shape is compiled anew


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("henon", "float64"),
        *(pytest.param(name, "float64", marks=SLOW) for name in ("network", "tent", "singular", "huge")),
        *(pytest.param(name, "float32", marks=SLOW) for name in ("henon", "network", "tent", "singular", "huge")),
    ],
)
def test_blocks_are_those_of_the_loop(jnp: Any, name: str, dtype: str) -> None:
    function, n = maps(jnp)[name]
    m = lm.wrap(function, state_shape=n, backend="jax", dtype=dtype, verify=False)
    k, tolerance = max(1, n - 1), 2e-4 if dtype == "float32" else 1e-11
    x = m.ops.from_numpy(np.random.default_rng(1).uniform(0.1, 0.4, (3, n)))
    frame = random_frame(m, 3, k, np.random.default_rng(0), dtype)
    ours, theirs = m.propagate(x, frame, 7, 1), TangentMap.propagate(m, x, frame, 7, 1)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5 if dtype == "float32" else 1e-13)
        np.testing.assert_allclose(ours[1], theirs[1], atol=tolerance)
        np.testing.assert_allclose(ours[2], theirs[2], rtol=tolerance, atol=tolerance)
    together = m.propagate_blocks(x, frame, 3, 4, 2)
    assert [len(part) for part in together] == [3, 3, 3]
    np.testing.assert_array_equal(together[0][1], m.propagate(x, frame, 8, 2)[0])
    if n <= 4:
        np.testing.assert_allclose(m.log_abs_det(x, 5), TangentMap.log_abs_det(m, x, 5), rtol=1e-5)


def test_a_block_that_escapes_says_so(jnp: Any) -> None:
    function, n = maps(jnp)["henon"]
    m = lm.wrap(function, state_shape=n, backend="jax", dtype="float64")
    s = lm.lyapunov_spectrum(m, [[0.1, 0.1], [5.0, 5.0]], n_steps=300, throw=False)
    assert s.status == "escaped"
    assert "1 of 2" in s.message


def lorenz(jnp: Any) -> Any:
    def field(s: Any) -> Any:
        x, y, z = s[:, 0], s[:, 1], s[:, 2]
        return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)

    return field


@pytest.mark.parametrize(
    "options",
    [
        {"method": "rk4", "steps": 5},
        pytest.param({"method": "dopri5"}, marks=SLOW),
    ],
    ids=["rk4", "dopri5"],
)
def test_flows_are_those_of_the_generic_one(jnp: Any, options: dict[str, Any]) -> None:
    m: Any = lm.flow(lorenz(jnp), 0.1, state_shape=3, backend="jax", dtype="float64", **options)
    assert type(m).__name__ == "JaxFlow"
    generic = FlowMap(lm.wrap(lorenz(jnp), state_shape=3, backend="jax", dtype="float64"), 0.1, m.scheme)
    x = m.ops.from_numpy(np.array([[1.0, 2.0, 20.0], [-3.0, -2.0, 15.0]]))
    frame = random_frame(m, 2, 3, np.random.default_rng(0), "float64")
    np.testing.assert_allclose(m.apply(x), generic.apply(x), rtol=1e-9)
    ours, theirs = m.propagate(x, frame, 2, 1), generic.propagate(x, frame, 2, 1)
    np.testing.assert_allclose(ours[0], m.apply(m.apply(x)), rtol=1e-13)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9)
    np.testing.assert_allclose(ours[2], theirs[2], atol=1e-7)
    y, tangents = m.jvp(x, frame)
    np.testing.assert_allclose(y, m.apply(x), rtol=1e-13)
    np.testing.assert_allclose(tangents, generic.jvp(x, frame)[1], atol=1e-6)
    np.testing.assert_allclose(m.log_abs_det(x, 2), generic.log_abs_det(x, 2), rtol=1e-9)


@SLOW
def test_a_flow_that_escapes_and_one_that_is_stiff(jnp: Any) -> None:
    leaving = lm.flow(lambda s: s**2, 1.0, state_shape=1, backend="jax", dtype="float64")
    y = np.asarray(leaving.apply(leaving.ops.from_numpy(np.array([[0.5], [2.0]]))))
    assert np.isnan(y).ravel().tolist() == [False, True]
    np.testing.assert_allclose(y[0], 1.0, rtol=1e-7)
    stiff = lm.flow(lambda s: -1e7 * (s - 1), 1.0, state_shape=1, backend="jax", dtype="float64", method="dopri5")
    with pytest.raises(LyapmapError, match="method: dopri5 needs more than"):
        stiff.apply(stiff.ops.from_numpy(np.array([[0.5]])))
