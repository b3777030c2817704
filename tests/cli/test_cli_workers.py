"""`--workers` and `--scheduler`: the same numbers from other processes, and what is wrong in one line."""

from __future__ import annotations

import json
import sys

import pytest

from command_line import run

SHORT = ("spectrum", "henon", "--trajectories", 64, "--steps", 2000, "--json")


def test_a_cluster_that_exists_gives_the_same_numbers() -> None:
    distributed = pytest.importorskip("distributed")
    quiet = {"processes": False, "dashboard_address": "127.0.0.1:0", "silence_logs": 50, "protocol": "tcp://"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as local:
        apart = run(*SHORT, "--scheduler", local.scheduler_address)
    here = run(*SHORT)
    assert apart.exit_code == here.exit_code == 0
    for name in ("exponents", "stderr", "per_trajectory", "settings"):
        assert json.loads(apart.stdout)[name] == json.loads(here.stdout)[name]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scheduler", "tcp://127.0.0.1:1"), "--scheduler: no scheduler answers at tcp://127.0.0.1:1 ("),
        (("--scheduler", "somewhere"), "--scheduler: no scheduler answers at somewhere (missing port"),
        (("--workers", 2, "--scheduler", "tcp://127.0.0.1:1"), "--workers: expected it or scheduler, got both"),
        (("--workers", 0), "--workers: expected 1 or more, got 0"),
        (("--workers", "two"), "--workers: expected a whole number, got 'two'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(options: tuple[object, ...], words: str) -> None:
    pytest.importorskip("distributed")
    refused = run(*SHORT, *options)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert words in line


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused = run(*SHORT, "--workers", 2)
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert "--workers needs distributed, which is not installed: pip install 'lyapmap[distributed]'" in line
