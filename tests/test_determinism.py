"""docs/determinism.md, row by row: what is the same to the last bit, and what within rounding or error bars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lyapmap as lm

HENON = lm.systems.henon()
X = HENON.initial_states(4, 0)
PAGE = Path(__file__).parents[1] / "docs" / "determinism.md"


def spectrum(x: Any = X, tangent_map: Any = HENON, **options: Any) -> Any:
    return lm.lyapunov_spectrum(tangent_map, x, **{"n_steps": 300, "transient": 50, "qr_every": 1, "seed": 1} | options)


def bits(result: Any) -> list[bytes]:
    return [result.exponents.tobytes(), result.stderr.tobytes(), result.per_trajectory.tobytes()]


def test_every_row_of_the_table_has_its_test() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "`" in line]
    named = {line.split("`")[-2] for line in rows}
    assert named == {name for name in globals() if name.startswith("test_row_")}


def test_row_call() -> None:
    assert bits(spectrum()) == bits(spectrum())
    # Without a transient, in which frames would forget where they began.
    drawn = spectrum(seed=None, transient=0)
    assert bits(spectrum(seed=drawn.provenance["seed"], transient=0)) == bits(drawn)
    assert bits(spectrum(seed=2, transient=0)) != bits(spectrum(transient=0))


def test_row_batch_float64() -> None:
    path = lm.trajectory(HENON, X, n_steps=200).states
    for row in range(len(X)):
        assert np.array_equal(lm.trajectory(HENON, X[row : row + 1], n_steps=200).states[0], path[row])
    # Frames are drawn row by row, so that the first of a batch is that of a run alone.
    assert np.array_equal(spectrum(X[:1]).per_trajectory[0], spectrum().per_trajectory[0])


def test_row_batch_float32() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh()).eval()
    m = lm.wrap(net, state_shape=64)
    x = torch.rand(4, 64)
    alone, together = m.apply(x[:1]), m.apply(x)[:1]
    assert torch.allclose(alone, together, rtol=0, atol=8 * torch.finfo(torch.float32).eps)


def test_row_memory_limit() -> None:
    def step(x: Any) -> Any:
        return np.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], axis=1)

    whole, parts = (
        lm.wrap(step, state_shape=2, compile=False, backend="numpy", **limit) for limit in ({}, {"memory_limit": 1})
    )
    assert bits(spectrum(tangent_map=whole)) == bits(spectrum(tangent_map=parts))


def test_row_threads() -> None:
    numba = pytest.importorskip("numba")
    before, many = numba.get_num_threads(), HENON.initial_states(64, 0)
    try:
        made = []
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            made.append(bits(spectrum(many)))
    finally:
        numba.set_num_threads(before)
    assert made[0] == made[1]


def test_row_workers() -> None:
    made = [
        lm.sweep(lm.systems.logistic, "r", [3.5, 3.7, 3.9, 4.0], [0.3], n_steps=200, seed=0, workers=workers)
        for workers in (1, 2)
    ]
    assert made[0].exponents.tobytes() == made[1].exponents.tobytes()
    assert made[0].states.tobytes() == made[1].states.tobytes()


OTHER = """
import lyapmap as lm
m = lm.systems.henon()
s = lm.lyapunov_spectrum(m, m.initial_states(4, 0), n_steps=300, transient=50, qr_every=1, seed=1)
print(s.exponents.tobytes().hex())
"""


def test_row_process() -> None:
    done = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, check=True)
    assert bytes.fromhex(done.stdout.strip()) == bits(spectrum())[0]


def test_row_resume(tmp_path: Path) -> None:
    whole = spectrum()

    def stop(done: int, total: int) -> None:
        if done > 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spectrum(journal=tmp_path, progress=stop)
    assert bits(spectrum(journal=tmp_path)) == bits(whole)


def test_row_saved(tmp_path: Path) -> None:
    made = spectrum()
    for name in ("a.nc", "a.npz", "a.json"):
        assert bits(lm.load(made.save(tmp_path / name))) == bits(made)


def test_row_framework() -> None:
    torch = pytest.importorskip("torch")
    weights = np.random.default_rng(0).standard_normal((20, 20)) / 20**0.5
    own = lm.wrap(lambda x: np.tanh(x @ weights), state_shape=20, backend="numpy", compile=False)
    theirs = lm.wrap(
        lambda x: torch.tanh(x @ torch.tensor(weights)), state_shape=20, dtype=torch.float64, backend="torch"
    )
    x = np.random.default_rng(1).standard_normal((3, 20))
    np.testing.assert_allclose(theirs.apply(torch.tensor(x)).numpy(), own.apply(x), rtol=1e-13, atol=1e-14)


def test_row_machine() -> None:
    # The known sum of the exponents, ln b at every step, holds on any machine; the rest lies within its error.
    result = spectrum(n_steps=3000)
    assert result.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-12)
    assert abs(result.exponents[0] - 0.419) < 6 * result.stderr[0]
