"""Errors keep what they carry on their way between processes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import (
    Interrupted,
    LyapmapError,
    MapError,
    MissingExtraError,
    RunError,
    by_user,
    in_one_line,
    install_command,
)
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import NumpyOps


def test_errors_survive_pickling() -> None:
    run = pickle.loads(pickle.dumps(RunError("escaped: far away", {"k": 1})))
    assert (str(run), run.result) == ("escaped: far away", {"k": 1})
    assert pickle.loads(pickle.dumps(Interrupted([1, 2]))).result == [1, 2]
    missing = pickle.loads(pickle.dumps(MissingExtraError("torch", "torch", "loading a model")))
    assert str(missing) == "loading a model needs torch, which is not installed: " + install_command("torch")


def test_all_errors_are_of_one_family() -> None:
    assert issubclass(RunError, LyapmapError)
    assert issubclass(LyapmapError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(Interrupted, KeyboardInterrupt)


def late(x: np.ndarray) -> np.ndarray:
    """Far from the start it fails."""
    if np.abs(x).max() > 3:
        raise KeyError("no entry")  # of this line
    return 1.01 * x


LINE = f"(test_errors.py, line {late.__code__.co_firstlineno + 3})"


@pytest.mark.parametrize("analysis", [lm.lyapunov_spectrum, lm.trajectory])
def test_what_a_users_function_raises_late_is_one_line_with_its_place(analysis: Any) -> None:
    m = lm.wrap(late, state_shape=2, verify=False)
    with pytest.raises(MapError) as caught:
        analysis(m, np.ones(2), n_steps=500)
    assert str(caught.value) == f"function: KeyError: 'no entry' {LINE}"
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_a_users_function_raises_at_once_has_its_place() -> None:
    with pytest.raises(MapError, match=r"undefined_name.*\(test_errors.py, line \d+\)"):
        lm.wrap(lambda x: undefined_name * x, state_shape=2)  # type: ignore[name-defined]  # noqa: F821


def test_what_a_factory_raises_has_its_place() -> None:
    with pytest.raises(LyapmapError, match=r"values: no map at a = 1 .*ZeroDivisionError.*test_errors.py, line"):
        lm.sweep(lambda a: lm.systems.henon(a=a / 0), "a", [1.0], [0.1, 0.1], analysis="spectrum", n_steps=10)


def test_a_map_of_the_users_own_class_too() -> None:
    class Own(TangentMap):
        state_shape = (1,)
        ops = NumpyOps("float64")

        def apply(self, x: Any) -> Any:
            raise IndexError("out of it")

        def jvp(self, x: Any, v: Any) -> Any:
            return self.apply(x), v

    with pytest.raises(MapError, match=r"IndexError: out of it \(test_errors.py, line \d+\)"):
        Own().jvp(np.ones((1, 1)), np.ones((1, 1, 1)))


def test_faults_that_are_not_a_users_and_want_of_memory_stay_what_they_are() -> None:
    @in_one_line
    def hungry() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        hungry()
    with pytest.raises(TypeError):
        in_one_line(len)(3)


def test_tracebacks_that_came_as_text_are_read() -> None:
    text = f'CpuCallback error:\nTraceback (most recent call last):\n  File "{__file__}", line 7, in host\nKeyError: 3'
    assert by_user(RuntimeError(text)) == "RuntimeError: KeyError: 3 (test_errors.py, line 7)"


def test_a_layer_of_a_library_with_nothing_of_the_users_around_it() -> None:
    """No file of the user's is there to be named, and it is one line all the same."""
    torch = pytest.importorskip("torch")
    m = lm.wrap(torch.nn.Sequential(torch.nn.Linear(2, 2)).eval(), state_shape=2)
    m._function[0].weight = torch.nn.Parameter(torch.zeros(3, 3))  # what nobody would do
    with pytest.raises(MapError, match="function: RuntimeError: mat1 and mat2 shapes cannot be multiplied"):
        m.apply(torch.zeros(1, 2))
