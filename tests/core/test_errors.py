"""Errors keep what they carry on their way between processes."""

from __future__ import annotations

import pickle

from lyapmap.core.errors import Interrupted, LyapmapError, MissingExtraError, RunError, install_command


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
