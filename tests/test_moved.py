"""Modules that were moved can still be imported by their old names, with a warning."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from lyapmap._moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_warns_and_gives_the_new_module(old: str) -> None:
    new = f"lyapmap.{MOVED[old]}"
    if "keras" in old and find_spec("keras") is None:
        pytest.skip("needs Keras")
    if "keras" in old:
        assert find_spec(new) is not None  # loading it would bring TensorFlow into this process
        return
    sys.modules.pop(f"lyapmap.{old}", None)
    with pytest.warns(DeprecationWarning, match=rf"lyapmap\.{old} is now {new}") as record:
        module = import_module(f"lyapmap.{old}")
    assert module is import_module(new)
    assert module.__spec__ is not None
    assert module.__spec__.name == new
    assert all(warning.filename != "lyapmap/_moved.py" for warning in record)


def test_the_warning_points_at_the_line_that_imports() -> None:
    sys.modules.pop("lyapmap.views.style", None)
    with pytest.warns(DeprecationWarning, match=r"views\.style is now") as record:
        exec(compile("import lyapmap.views.style", "theirs.py", "exec"))
    assert record[0].filename == "theirs.py"


def test_attributes_of_models_that_were_modules() -> None:
    import lyapmap as lm

    sys.modules.pop("lyapmap.models.dcgan", None)
    vars(lm.models).pop("dcgan", None)
    with pytest.warns(DeprecationWarning, match="lyapmap.models.gan.dcgan"):
        assert lm.models.dcgan.Dcgan is lm.models.gan.Dcgan
    assert lm.models.cycle.Generator.__module__ == "lyapmap.models.cycle.network"
    assert lm.models.kaleidoscope.Kaleidoscope is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its folder, where no other test has brought that in
def test_a_name_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module("lyapmap.studies.nothing")
