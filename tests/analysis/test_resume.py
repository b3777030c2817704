"""Analyses that are cut short go on to the same bits: at every report, and killed at random moments."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lyapmap as lm

START = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 2))
WIDE = np.random.default_rng(1).standard_normal((24, 24)) * 1.5 / np.sqrt(24)


def in_turn(x: np.ndarray) -> np.ndarray:
    return np.tanh(x @ WIDE)


HENON = lm.systems.henon()
NETWORK = lm.wrap(in_turn, state_shape=24)
NETWORK_START = np.random.default_rng(2).standard_normal((3, 24))

Call = Callable[..., Any]
CALLS: dict[str, Call] = {
    "spectrum": lambda **o: lm.lyapunov_spectrum(HENON, START, n_steps=20_000, transient=500, seed=3, **o),
    "as many exponents as needed": lambda **o: lm.lyapunov_spectrum(
        NETWORK, NETWORK_START, n_steps=600, transient=200, n_exponents="auto", seed=3, **o
    ),
    "a tolerance": lambda **o: lm.lyapunov_spectrum(HENON, START, n_steps=20_000, tolerance=3e-3, seed=3, **o),
    "finite time": lambda **o: lm.finite_time_exponents(
        HENON, START, n_steps=300, n_windows=4, transient=100, n_exponents=2, seed=3, **o
    ),
    "stretching": lambda **o: lm.finite_time_exponents(
        HENON, START, n_steps=20, n_windows=4, transient=10, measure="stretching", **o
    ),
    "divergence": lambda **o: lm.divergence(HENON, START, transient=100, seed=3, **o),
    "divergence, rescaled": lambda **o: lm.divergence(
        HENON, START, method="rescaled", n_steps=60, renormalize_every=3, direction="random", seed=3, **o
    ),
    "sweep": lambda **o: lm.sweep(lm.systems.henon, "a", [1.2, 1.3, 1.4], START[:1], n_steps=300, seed=3, **o),
    "sweep, carried": lambda **o: lm.sweep(
        lm.systems.henon, "a", [1.2, 1.3, 1.4], START[:1], n_steps=300, carry=True, seed=3, **o
    ),
    "covariant": lambda **o: lm.covariant_vectors(HENON, START, n_steps=200, seed=3, **o),
    "covariant, by checkpoints": lambda **o: lm.covariant_vectors(
        HENON, START, n_steps=200, checkpoint_every=40, seed=3, **o
    ),
}


def bits(result: Any) -> dict[str, bytes]:
    """All that a result says but for when and how long."""
    values = {name: value for name, value in vars(result).items() if name != "provenance"}
    values |= {name: value for name, value in result.provenance.items() if name not in ("seconds", "created")}
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
        for name, value in values.items()
    }


@pytest.mark.parametrize("name", CALLS)
def test_cut_short_at_every_few_reports_an_analysis_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    call = CALLS[name]
    undisturbed = call(throw=False)
    rng = random.Random(name)
    cuts = 0

    def cut(left: list[int]) -> Callable[[int, int], None]:
        def report(done: int, total: int) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        return report

    while True:
        try:
            resumed = call(throw=False, journal=tmp_path, progress=cut([rng.randint(1, 40) if cuts else 1]))
        except KeyboardInterrupt:
            cuts += 1
            assert cuts < 1000
        else:
            break
    assert cuts > 0
    assert bits(resumed) == bits(undisturbed)
    once_more = call(throw=False, journal=tmp_path, progress=cut([1000]))
    assert bits(once_more) == bits(undisturbed)


SCRIPT = """
import sys, json
import numpy as np
from lyapmap.core import journal
journal.LEAST_SECONDS, journal.SHARE = 0.02, 0.5
sys.path.insert(0, {tests!r})
import test_resume
result = test_resume.KILLED[{name!r}](throw=False, journal=sys.argv[1])
print(json.dumps({{key: value.hex() for key, value in test_resume.bits(result).items()}}))
"""
KILLED: dict[str, Call] = {
    "a short one": lambda **o: lm.lyapunov_spectrum(NETWORK, NETWORK_START, n_steps=1_500, n_exponents=8, seed=3, **o),
    "spectrum": lambda **o: lm.lyapunov_spectrum(NETWORK, NETWORK_START, n_steps=8_000, n_exponents=8, seed=3, **o),
    "one long trajectory": lambda **o: lm.lyapunov_spectrum(HENON, START[:1], n_steps=150_000_000, seed=3, **o),
    "finite time": lambda **o: lm.finite_time_exponents(
        NETWORK, NETWORK_START, n_steps=1000, n_windows=9, n_exponents=8, seed=3, **o
    ),
    "divergence": lambda **o: lm.divergence(NETWORK, NETWORK_START, method="rescaled", n_steps=30_000, seed=3, **o),
    "sweep": lambda **o: lm.sweep(lm.systems.henon, "a", np.linspace(1, 1.4, 300), START[:1], seed=3, **o),
    "covariant": lambda **o: lm.covariant_vectors(NETWORK, NETWORK_START, n_steps=4_000, n_vectors=8, seed=3, **o),
}


def killed_until_done(name: str, folder: Path, kills: int) -> tuple[int, dict[str, str]]:
    """Run the call in processes that are killed at random moments, so many times, and once to its end."""
    script = SCRIPT.format(tests=str(Path(__file__).parent), name=name)
    rng = random.Random(name)
    done = 0

    def written() -> set[tuple[str, int]]:
        return {(file.name, file.stat().st_mtime_ns) for file in folder.glob("*.journal") if file.exists()}

    while True:
        before = written()
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if done < kills:
            until = time.monotonic() + (rng.uniform(0, 3) if done % 4 == 3 else 60)  # while it begins, or works
            while written() <= before and process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            try:
                process.wait(rng.uniform(0.0, 0.2))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        if process.returncode == 0:
            return done, json.loads(out)
        assert process.returncode == -signal.SIGKILL, err.decode()
        done += 1


def test_a_killed_process_loses_nothing_that_counts(tmp_path: Path) -> None:
    done, values = killed_until_done("a short one", tmp_path, 1)
    undisturbed = KILLED["a short one"](throw=False)
    assert done == 1
    assert values == {name: value.hex() for name, value in bits(undisturbed).items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KILLED][1:])
def test_twenty_kills_at_random_moments_end_with_the_same_bits(name: str, tmp_path: Path) -> None:
    done, values = killed_until_done(name, tmp_path, 20)
    undisturbed = KILLED[name](throw=False)
    assert done > 10
    assert values == {key: value.hex() for key, value in bits(undisturbed).items()}
