"""Journals: bytes that come back as they were, files of one run and no other, and what writing may cost."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import lyapmap as lm
from lyapmap.core import journal
from lyapmap.core.errors import LyapmapError
from lyapmap.core.journal import SUFFIX, Journal, packed, unpacked

HENON = lm.systems.henon()
START = np.array([[0.1, 0.1], [0.2, 0.1]])

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text("ab", min_size=1), inner),
    max_leaves=6,
)
numbers = arrays(st.sampled_from([np.float64, np.float32, np.int64, np.bool_]), array_shapes(min_dims=0, min_side=0))


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text("xyz", min_size=1), plain_values | numbers | st.lists(numbers, max_size=2)))
def test_what_is_packed_comes_back_bit_for_bit(value: dict[str, Any]) -> None:
    assert same(unpacked(packed(value)), value)


def test_generators_go_on_where_they_stood_and_objects_are_refused() -> None:
    rng = np.random.default_rng(5)
    rng.standard_normal(3)
    again = unpacked(packed({"rng": rng}))["rng"]
    assert again.standard_normal(4).tobytes() == rng.standard_normal(4).tobytes()
    for other in (object(), np.array([object()])):
        with pytest.raises(TypeError, match="journal holds"):
            packed([other])


@pytest.mark.parametrize("at", [0, 30, 90, -1])
def test_a_changed_bit_is_noticed(at: int) -> None:
    data = bytearray(packed({"x": np.arange(20.0)}))
    data[at] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        unpacked(bytes(data))


def interrupted(folder: Path, **changes: Any) -> None:
    """A run that ends early, with its journal in the folder."""

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    arguments: dict[str, Any] = {"n_steps": 5000, "seed": 1, "x0": START, "map": HENON}
    given = arguments | changes
    with pytest.raises(KeyboardInterrupt):
        lm.lyapunov_spectrum(given.pop("map"), given.pop("x0"), **given, journal=folder, progress=stop)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_steps": 6000}, "n_steps = 5000"),
        ({"seed": 2}, "seed = 1"),
        ({"x0": START + 0.01}, "other initial states"),
        ({"map": lm.systems.henon(a=1.39)}, "another map"),
        ({"map": lm.wrap(lambda x: HENON.apply(x) * (1 + 1e-9), state_shape=2)}, "another map"),
    ],
)
def test_another_run_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    interrupted(tmp_path)
    with pytest.raises(LyapmapError, match=words) as caught:
        interrupted(tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert "spectrum.journal is of another run" in str(caught.value)


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "__version__", "0.0.1")
    interrupted(tmp_path)
    monkeypatch.undo()
    with pytest.raises(LyapmapError, match=r"of another run \(lyapmap 0\.0\.1\)"):
        interrupted(tmp_path)


def test_damaged_journals_and_impossible_folders_are_refused(tmp_path: Path) -> None:
    interrupted(tmp_path)
    (file,) = tmp_path.glob(f"*{SUFFIX}")
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(LyapmapError, match="damaged; delete it to begin anew"):
        interrupted(tmp_path)
    with pytest.raises(LyapmapError, match=r"journal: .* cannot be made a folder"):
        interrupted(file)
    for odd in (5, "", b"journal"):
        with pytest.raises(LyapmapError, match="journal: expected a folder, got"):
            interrupted(odd)  # type: ignore[arg-type]


def test_a_seed_that_was_drawn_is_kept(tmp_path: Path) -> None:
    interrupted(tmp_path, seed=None)
    first = lm.lyapunov_spectrum(HENON, START, n_steps=5000, journal=tmp_path)
    again = lm.lyapunov_spectrum(HENON, START, n_steps=5000, seed=first.provenance["seed"])
    assert first.exponents.tobytes() == again.exponents.tobytes()


def test_leftovers_of_killed_writers_go_and_other_files_stay(tmp_path: Path) -> None:
    left = tmp_path / "spectrum.123-4.part.journal"
    others = [tmp_path / "entropy.123-4.part.journal", tmp_path / "spectrum.csv"]
    for file in (left, *others):
        file.write_text("x")
    Journal(tmp_path, {"analysis": "spectrum"})
    assert not left.exists()
    assert all(file.exists() for file in others)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_run_goes_on_where_its_journal_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    result = lm.lyapunov_spectrum(HENON, START, n_steps=5000, seed=1, journal=tmp_path)
    tmp_path.chmod(0o700)
    assert "Permission denied" in result.provenance["journal"]


def test_full_disks_are_told_of_in_the_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise journal.WriteError("no", "No space left on device")

    monkeypatch.setattr(journal, "written_whole", full)
    result = lm.lyapunov_spectrum(HENON, START, n_steps=5000, seed=1, journal=tmp_path)
    assert result.provenance["journal"] == "not written (No space left on device)"
    assert np.isfinite(result.exponents).all()


def test_writing_is_put_off_as_long_as_it_would_take_too_much_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    kept = Journal(tmp_path, {"analysis": "spectrum"})
    state = {"x": np.zeros(125_000)}  # a megabyte: a hundredth of a second
    times = []
    for second in np.arange(0, 10, 0.25):
        clock[0] = float(second)
        before = kept.path.stat().st_mtime_ns if kept.path.exists() else None
        kept.consider(lambda: state)
        if kept.path.exists() and kept.path.stat().st_mtime_ns != before:
            times.append(float(second))
    assert times == list(range(1, 10))
    state = {"x": np.zeros(1_250_000)}  # ten megabytes: not before ten seconds have gone by
    kept.path.unlink()
    kept.consider(lambda: state)
    assert not kept.path.exists()
    clock[0] = 20.5
    kept.consider(lambda: state)
    assert kept.path.exists()
