"""Backends of other packages, installed as pip would leave them: a module and its dist-info folder."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.backends import plugins
from lyapmap.core.errors import LyapmapError

BUILDER = """
import numpy as np
from lyapmap.core.ops import NumpyOps

class Table:
    '''A function tabulated on a circle of points: a callable that no framework knows.'''
    def __init__(self, slope):
        self.slope = slope
    def __call__(self, x):
        raise AssertionError("asked although it was claimed")

class TableMap:
    derivative = "given"
    def __init__(self, table, state_shape, provenance):
        self.table, self.state_shape, self.ops, self.provenance = table, state_shape, NumpyOps(), provenance
    def apply(self, x):
        return self.table.slope * x % 1
    def jvp(self, x, v):
        return self.apply(x), self.table.slope * v
    def jacobian(self, x):
        return np.full((len(x), 1, 1), self.table.slope)

def wrap_tables(function, *, state_shape, provenance=None):
    return TableMap(function, state_shape, {"map": "table"} | (provenance or {}))

wrap_tables.claims = lambda function: isinstance(function, Table)
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins._say_once.cache_clear()
    before = set(sys.modules)

    def package(name: str, code: str, entries: str) -> Path:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-2.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\n")
        (info / "entry_points.txt").write_text(f"[lyapmap.backends]\n{entries}\n")
        return info

    yield package
    for module in set(sys.modules) - before:
        if module.startswith("lyapmap_"):
            del sys.modules[module]


def test_an_installed_package_brings_a_backend(install: Install) -> None:
    install("lyapmap-tables", BUILDER, "tables = lyapmap_tables:wrap_tables")
    from lyapmap_tables import Table

    named = lm.wrap(Table(3.0), state_shape=1, backend="tables", provenance={"by": "hand"})
    assert type(named.inner).__name__ == "TableMap"  # type: ignore[attr-defined]
    assert named.table.slope == 3.0  # type: ignore[attr-defined]
    assert lm.check_map(named, np.array([[0.1], [0.2]]))
    s = lm.lyapunov_spectrum(named, [0.1], n_steps=20, seed=0)
    assert np.isclose(s.exponents[0], np.log(3))
    assert (s.provenance["map"], s.provenance["by"]) == ("table", "hand")
    with pytest.raises(LyapmapError, match=r"backend: expected one of .*numpy, tables, .*got 'chairs'"):
        lm.wrap(Table(3.0), state_shape=1, backend="chairs")


def test_it_may_claim_what_is_its_own_and_no_more(install: Install) -> None:
    install("lyapmap-tables", BUILDER, "tables = lyapmap_tables:wrap_tables")
    from lyapmap_tables import Table

    assert type(lm.wrap(Table(3.0), state_shape=1).inner).__name__ == "TableMap"  # type: ignore[attr-defined]
    assert type(lm.wrap(np.tanh, state_shape=1)).__name__ == "NumpyMap"
    del sys.modules["lyapmap_tables"].wrap_tables.claims
    with pytest.raises(lm.LyapmapError, match="asked although"):
        lm.wrap(Table(3.0), state_shape=1)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_framework", "(ModuleNotFoundError: No module named 'no_such_framework')"),
        ("raise RuntimeError('no\\n  device')", "(RuntimeError: no device)"),
        ("", "(AttributeError: module 'lyapmap_broken' has no attribute 'wrap_tables')"),
    ],
)
def test_one_that_cannot_be_loaded_is_named_with_its_package(
    install: Install, caplog: pytest.LogCaptureFixture, code: str, reason: str
) -> None:
    install("lyapmap-broken", code, "tables = lyapmap_broken:wrap_tables")
    with pytest.raises(LyapmapError) as raised:
        lm.wrap(np.tanh, state_shape=1, backend="tables")
    message = f"backend: 'tables' of the package lyapmap-broken 2.1 cannot be loaded {reason}; "
    assert message in str(raised.value)
    # It does not stand in the way of others, and says so once.
    with caplog.at_level(logging.WARNING, "lyapmap.backends.plugins"):
        for _ in range(2):
            assert type(lm.wrap(np.tanh, state_shape=1)).__name__ == "NumpyMap"
    assert [record.getMessage().startswith(message) for record in caplog.records] == [True]


def test_an_entry_point_that_is_no_function_is_refused(install: Install) -> None:
    install("lyapmap-tables", "wrap_tables = 3", "tables = lyapmap_tables:wrap_tables")
    with pytest.raises(LyapmapError, match=r"'tables' of the package lyapmap-tables 2.1 is no function, got int"):
        lm.wrap(np.tanh, state_shape=1, backend="tables")


def test_our_own_backends_win_over_others_of_their_name(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install("lyapmap-tables", BUILDER, "numpy = lyapmap_tables:wrap_tables")
    with caplog.at_level(logging.WARNING, "lyapmap.backends.plugins"):
        made: Any = lm.wrap(np.tanh, state_shape=1, backend="numpy")
    assert type(made).__name__ == "NumpyMap"
    assert [record.getMessage() for record in caplog.records] == [
        "the backend 'numpy' is lyapmap's own; that of lyapmap-tables 2.1 is not used"
    ]


def test_two_packages_with_one_name_are_not_chosen_between(install: Install) -> None:
    install("lyapmap-tables", BUILDER, "tables = lyapmap_tables:wrap_tables")
    install("lyapmap-desks", BUILDER, "tables = lyapmap_desks:wrap_tables")
    with pytest.raises(LyapmapError) as raised:
        lm.wrap(np.tanh, state_shape=1, backend="tables")
    assert "backend: 'tables' is brought by two packages" in str(raised.value)
    assert "lyapmap-tables 2.1" in str(raised.value)
    assert "lyapmap-desks 2.1" in str(raised.value)
    assert type(lm.wrap(np.tanh, state_shape=1)).__name__ == "NumpyMap"
