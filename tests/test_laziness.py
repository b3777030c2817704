"""Importing the package brings in nothing heavy: proved in processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lyapmap as lm

FRAMEWORKS = {"torch", "tensorflow", "keras", "numba", "umap", "matplotlib"}
HEAVY = FRAMEWORKS | {"scipy", "sklearn", "xarray", "h5py", "h5netcdf", "pandas", "PIL", "typer", "rich", "pooch"}


def brought_in(code: str) -> set[str]:
    """Top-level modules in `sys.modules` after some code has run."""
    program = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


NUMPY_RUN = """
import numpy as np, lyapmap as lm
m = lm.wrap(lambda x: 3.9 * x * (1 - x), state_shape=1)
assert lm.lyapunov_spectrum(m, [0.4], n_steps=50, seed=0).exponents[0] > 0
assert lm.check_map(lm.noisy(m, scale=1e-3), [[0.4], [0.5]])
assert lm.trajectory(m, [0.4], n_steps=3).states.shape == (1, 4, 1)
assert lm.kaplan_yorke([0.5, -1]) == 1.5
"""


@pytest.mark.parametrize(
    ("code", "kept_out"),
    [
        ("import lyapmap; dir(lyapmap)", HEAVY),
        ("import lyapmap; lyapmap.__version__; lyapmap.LyapmapError; lyapmap.Status", HEAVY),
        (NUMPY_RUN, HEAVY),
        ("import lyapmap.systems; dir(lyapmap.systems)", HEAVY),
        ("import lyapmap.training, lyapmap.models, lyapmap.views, lyapmap.data", FRAMEWORKS),
        ("import lyapmap.cli.root", FRAMEWORKS | {"numpy", "sklearn", "xarray", "scipy"}),
    ],
)
def test_nothing_heavy_is_brought_in(code: str, kept_out: set[str]) -> None:
    assert brought_in(code) & kept_out == set()


def test_a_framework_is_noticed_where_it_is_brought_in() -> None:
    """The proof can fail."""
    assert "scipy" in brought_in("import lyapmap, scipy")


def test_a_name_that_is_not_there_says_which_was_meant():
    with pytest.raises(AttributeError, match="no attribute 'lyapunov_spectra'; did you mean 'lyapunov_spectrum'"):
        lm.lyapunov_spectra  # noqa: B018
    assert not hasattr(lm, "__nothing__")
    assert not hasattr(lm, "xyzzy")
