"""The array primitives of each library, against plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import lyapmap as lm
from lyapmap.backends.torch.map import TorchOps
from lyapmap.core.errors import PrecisionError
from lyapmap.core.ops import NumpyOps


@pytest.fixture(params=["numpy float64", "numpy float32", "torch float64", "torch float32"])
def ops(request: pytest.FixtureRequest) -> Any:
    library, dtype = request.param.split()
    return NumpyOps(dtype) if library == "numpy" else TorchOps(getattr(torch, dtype), torch.device("cpu"))


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 5, 2))


def close(got: Any, wanted: np.ndarray, ops: Any) -> None:
    np.testing.assert_allclose(got, wanted, atol=20 * np.finfo(ops.dtype).eps)


def test_arrays_come_back_from_the_library_as_they_went_in(ops: Any, frames: np.ndarray) -> None:
    back = ops.to_numpy(ops.from_numpy(frames))
    assert back.dtype == ops.dtype
    np.testing.assert_array_equal(back, frames.astype(ops.dtype))


def test_from_numpy_takes_reversed_and_integer_arrays(ops: Any) -> None:
    np.testing.assert_array_equal(ops.to_numpy(ops.from_numpy(np.arange(3)[::-1])), [2.0, 1.0, 0.0])


def test_another_dtype_can_be_asked_for(ops: Any, frames: np.ndarray) -> None:
    assert ops.to_numpy(ops.from_numpy(frames, "float32")).dtype == "float32"
    assert ops.to_numpy(ops.cast(ops.from_numpy(frames), "float64")).dtype == "float64"


def test_cast_to_its_own_dtype_returns_the_array_itself(ops: Any, frames: np.ndarray) -> None:
    array = ops.from_numpy(frames)
    assert ops.cast(array, ops.dtype) is array


def test_qr_gives_orthonormal_columns_and_the_frame_back(ops: Any, frames: np.ndarray) -> None:
    q, r = (ops.to_numpy(part) for part in ops.qr(ops.from_numpy(frames)))
    assert q.shape == (3, 5, 2)
    assert r.shape == (3, 2, 2)
    close(np.swapaxes(q, 1, 2) @ q, np.broadcast_to(np.eye(2), (3, 2, 2)), ops)
    close(q @ np.triu(r), frames, ops)


def test_log_abs_diagonal_is_float64_and_minus_infinity_where_singular(ops: Any) -> None:
    r = ops.from_numpy(np.array([[[-2.0, 7.0], [0.0, 0.5]], [[1.0, 1.0], [0.0, 0.0]]]))
    logs = ops.log_abs_diagonal(r)
    assert logs.dtype == np.float64
    np.testing.assert_allclose(logs, [[np.log(2), -np.log(2)], [0, -np.inf]])


def test_products_transposes_and_joins_are_those_of_numpy(ops: Any, frames: np.ndarray) -> None:
    a = ops.from_numpy(frames)
    transposed = ops.transpose(a)
    close(ops.to_numpy(ops.matmul(transposed, a)), np.swapaxes(frames, 1, 2) @ frames, ops)
    close(ops.to_numpy(ops.concatenate([a, a], 2)), np.concatenate([frames, frames], 2), ops)


def test_norms_are_taken_over_all_but_the_first_axis(ops: Any, frames: np.ndarray) -> None:
    norms = ops.norm(ops.from_numpy(frames))
    assert norms.dtype == np.float64
    close(norms, np.linalg.norm(frames.reshape(3, -1), axis=1), ops)


def test_norms_of_float32_are_summed_in_float64(ops: Any) -> None:
    np.testing.assert_allclose(ops.norm(ops.from_numpy(np.full((1, 4), 1e30))), [2e30], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_found(ops: Any, bad: float) -> None:
    rows = np.zeros((3, 4))
    rows[1, 2] = bad
    np.testing.assert_array_equal(ops.all_finite(ops.from_numpy(rows)), [True, False, True])


def test_rows_are_equal_only_in_every_value(ops: Any, frames: np.ndarray) -> None:
    other = frames.copy()
    other[1, 4, 1] *= 1.001
    np.testing.assert_array_equal(ops.rows_equal(ops.from_numpy(frames), ops.from_numpy(other)), [True, False, True])


def test_a_copy_is_left_alone_by_later_work_on_the_original(ops: Any, frames: np.ndarray) -> None:
    array = ops.from_numpy(frames.copy())
    kept = ops.copy(array)
    array += 1
    np.testing.assert_array_equal(ops.to_numpy(kept), frames.astype(ops.dtype))


def test_the_library_is_named_with_its_version(ops: Any) -> None:
    name, version = ops.library.split()
    assert version.startswith({"numpy": np.__version__, "torch": torch.__version__.split("+")[0]}[name])
    assert type(ops.library) is str


@pytest.mark.parametrize("make", [NumpyOps, lambda name: TorchOps(getattr(torch, name), torch.device("cpu"))])
def test_half_precision_is_refused(make: Any) -> None:
    with pytest.raises(PrecisionError, match="dtype: expected 'float32' or 'float64', got 'float16'"):
        make("float16")


def test_clip_keeps_what_lies_within_and_lets_nan_be_seen(ops: Any) -> None:
    array = ops.from_numpy(np.array([[-3.0, -1.0, 0.25], [1.0, 7.0, np.nan]]))
    clipped = ops.to_numpy(ops.clip(array, -1.0, 1.0))
    assert clipped.dtype == ops.dtype
    np.testing.assert_array_equal(clipped, [[-1.0, -1.0, 0.25], [1.0, 1.0, np.nan]])


def test_zeroed_takes_a_condition_that_is_broadcast(ops: Any, frames: np.ndarray) -> None:
    array = ops.from_numpy(frames)
    zeroed = ops.zeroed(array, (array[:, :, 0] > 0)[:, :, None])
    assert ops.to_numpy(zeroed).dtype == ops.dtype
    np.testing.assert_array_equal(ops.to_numpy(zeroed), np.where(frames[:, :, :1] > 0, 0, frames).astype(ops.dtype))


def test_a_run_in_numpy_leaves_products_to_one_thread_and_gives_the_others_back() -> None:
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    class Watched:
        state_shape = (2,)
        seen: list[set[int]] = []  # noqa: RUF012

        def apply(self, x: Any) -> Any:
            self.seen.append(threads())
            return x / 2

        def jacobian(self, x: Any) -> Any:
            return np.broadcast_to(np.eye(2) / 2, (len(x), 2, 2))

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        watched = Watched()
        made = lm.wrap(watched)
        watched.seen.clear()
        lm.trajectory(made, [[0.1, 0.2]], n_steps=3)
        assert watched.seen == [{1}] * 3
        assert threads() == before
        small, large = NumpyOps("float64").session(2), NumpyOps("float64").session(5000)
        with large:
            assert threads() == before
        with small, small:  # a run within a run
            assert threads() == {1}
        assert threads() == before
