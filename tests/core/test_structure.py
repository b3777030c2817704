"""States that are not one array: taken apart and put together again."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyapmap.core.errors import LyapmapError, PrecisionError, ShapeError
from lyapmap.core.structure import Structure, structure_of

Pair = namedtuple("Pair", "h c")  # as users write it

arrays = st.lists(st.integers(1, 3), max_size=3).map(lambda shape: np.zeros(shape))
examples = st.recursive(
    arrays,
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3),
        st.lists(parts, min_size=1, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("chux"), parts, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


def batch_of(example: Any, b: int, rng: np.random.Generator) -> Any:
    """Random states like an example, made without the code under test."""
    if isinstance(example, dict):
        return {key: batch_of(part, b, rng) for key, part in example.items()}
    if isinstance(example, list | tuple):
        return type(example)(batch_of(part, b, rng) for part in example)
    return rng.standard_normal((b, *example.shape))


def flat(state: Any, b: int) -> np.ndarray:
    """The rows, by hand."""
    parts = list(state.values()) if isinstance(state, dict) else state
    if isinstance(parts, list | tuple):
        return np.concatenate([flat(part, b) for part in parts], axis=1)
    return parts.reshape(b, -1)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a.shape == b.shape and bool((a == b).all())


@given(examples, st.integers(1, 4), st.integers(0, 9))
def test_what_is_taken_apart_is_put_together_again(example: Any, b: int, seed: int) -> None:
    state = batch_of(example, b, np.random.default_rng(seed))
    structure = structure_of(example)
    rows = structure.flatten(state) if structure.is_like(state) else state.reshape(b, -1)
    assert rows.shape == (b, structure.n)
    assert np.array_equal(rows, flat(state, b))
    assert same(structure.restore(rows), state)


def test_one_state_a_batch_and_a_trajectory_are_restored() -> None:
    structure = structure_of({"h": np.zeros(2), "c": np.zeros((2, 2))})
    rows = np.arange(24.0).reshape(2, 2, 6)
    assert structure.restore(rows[0, 0])["c"].tolist() == [[2, 3], [4, 5]]
    assert structure.restore(rows[0])["c"].shape == (2, 2, 2)
    assert structure.restore(rows)["h"].tolist() == [[[0, 1], [6, 7]], [[12, 13], [18, 19]]]


def test_a_namedtuple_comes_back_as_one() -> None:
    structure = structure_of(Pair(np.zeros(2), np.zeros(1)))
    found = structure.restore(np.arange(3.0))
    assert isinstance(found, Pair)
    assert found.c.tolist() == [2.0]


def test_a_dict_keeps_the_order_of_the_example() -> None:
    structure = structure_of({"h": np.zeros(1), "c": np.zeros(1)})
    assert structure.flatten({"c": np.ones(1), "h": np.zeros(1)}).tolist() == [0.0, 1.0]


def test_tuples_and_lists_stand_for_each_other() -> None:
    structure = structure_of((np.zeros(1), np.zeros(2)))
    assert structure.flatten([np.ones(1), np.zeros(2)]).tolist() == [1.0, 0.0, 0.0]


def test_one_state_and_a_batch_are_told_apart() -> None:
    structure = structure_of((np.zeros(2), np.zeros((2, 2))))
    assert structure.flatten((np.zeros(2), np.zeros((2, 2)))).shape == (6,)
    assert structure.flatten((np.zeros((2, 2)), np.zeros((2, 2, 2)))).shape == (2, 6)


def test_the_last_entries_can_be_left_out() -> None:
    structure = structure_of({"h": np.zeros(2), "c": (np.zeros(1), np.zeros(3)), "u": np.zeros(2)})
    shorter = structure.without_last(2)
    assert isinstance(shorter, Structure)
    assert shorter.n == 6
    assert list(shorter.restore(np.arange(6.0))) == ["h", "c"]
    assert structure.without_last(5) is None  # would cut c in two
    assert structure.without_last(8) is None
    assert structure_of((np.zeros(2), np.zeros(1))).without_last(1).restore(np.ones(2))[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("example", "error", "message"),
    [
        ({"h": 3.0}, LyapmapError, "state_example['h']: expected an array or tensor, got float"),
        ((np.zeros(2), None), LyapmapError, "state_example[1]: expected an array or tensor, got NoneType"),
        ((np.zeros(2), np.zeros(2, int)), PrecisionError, "state_example[1]: expected float32 or float64, got int64"),
        (
            (np.zeros(2), [np.zeros(2, "f4")]),
            PrecisionError,
            "state_example[1][0]: expected float64 like state_example[0], got float32",
        ),
        ((np.zeros(2), np.zeros((2, 0))), ShapeError, "state_example[1]: expected positive sizes, got (2, 0)"),
        ((), LyapmapError, "state_example: expected arrays, got an empty tuple"),
        ({"h": []}, LyapmapError, "state_example: expected arrays, got an empty dict"),
    ],
)
def test_an_example_that_will_not_do_is_refused(example: Any, error: type[LyapmapError], message: str) -> None:
    with pytest.raises(error) as raised:
        structure_of(example)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("x0", "error", "message"),
    [
        ({"h": np.zeros(2)}, ShapeError, "x0: expected a dict of 'h', 'c', got one that lacks 'c'"),
        (
            {"h": np.zeros(2), "c": np.zeros((1, 3)), "u": np.zeros(1)},
            ShapeError,
            "x0: expected a dict of 'h', 'c', got one that has 'u' besides",
        ),
        (
            {"h": np.zeros(3), "c": np.zeros((1, 3))},
            ShapeError,
            "x0['h']: expected (2,) or a batch (b, 2), got (3,)",
        ),
        ({"h": np.zeros((4, 2)), "c": np.zeros((1, 3))}, ShapeError, "x0['c']: expected (4, 1, 3), got (1, 3)"),
        ({"h": np.zeros(2), "c": np.zeros((4, 1, 3))}, ShapeError, "x0['c']: expected (1, 3), got (4, 1, 3)"),
        ({"h": [0.0, 0.0], "c": np.zeros((1, 3))}, ShapeError, "x0['h']: expected an array of shape (2,), got list"),
        (
            {"h": np.array(["a", "b"]), "c": np.zeros((1, 3))},
            PrecisionError,
            "x0['h']: expected real numbers, got dtype <U1",
        ),
    ],
)
def test_states_that_do_not_fit_are_refused_by_name(x0: Any, error: type[LyapmapError], message: str) -> None:
    structure = structure_of({"h": np.zeros(2), "c": np.zeros((1, 3))})
    with pytest.raises(error) as raised:
        structure.flatten(x0)
    assert str(raised.value) == message


def test_rows_of_another_length_are_not_restored() -> None:
    structure = structure_of((np.zeros(2), np.zeros(1)))
    with pytest.raises(ShapeError, match=r"flat: expected \(..., 3\) for state\[0\] \(2,\), state\[1\] \(1,\), got"):
        structure.restore(np.zeros((4, 2)))
