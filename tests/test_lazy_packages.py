"""Packages that load their names late offer all of them."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("package", ["models", "views", "training", "systems", "data"])
def test_every_public_name_resolves(package: str) -> None:
    module = importlib.import_module(f"lyapmap.{package}")
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)


@pytest.mark.parametrize("package", ["models", "views", "training", "systems"])
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    module = importlib.import_module(f"lyapmap.{package}")
    with pytest.raises(AttributeError, match=f"'lyapmap.{package}' has no attribute 'nothing'"):
        _ = module.nothing
