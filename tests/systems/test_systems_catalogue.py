"""The catalogue: maps as data and by name, without loading what is not needed."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from lyapmap import systems
from lyapmap.core.errors import LyapmapError


def test_every_map_is_listed_with_its_facts():
    catalogue = systems.catalogue()
    assert set(catalogue) == set(systems.__all__) - {
        "catalogue",
        "create",
        "random_tanh_weights",
        "kuramoto_sivashinsky_profile",
        "Known",
        "ReferenceMap",
        "SystemInfo",
    }
    for name, info in catalogue.items():
        assert info.name == name == info.factory.__name__
        assert getattr(systems, name) is info.factory
        assert info.formula
        assert info.source
        low, high = info.region
        assert len(low) == len(high) == (info.dimension or 1)
        assert (low <= high).all()
        json.dumps(info.to_dict(), allow_nan=False)
        m = info.factory()
        assert set(m.parameters) <= set(info.parameters)
        assert m.info is info
        assert m.state_shape == (info.dimension or m.state_shape[0],)
        assert m.provenance["map"] == name
        if info.known:
            assert m.known is not None
            np.testing.assert_allclose(m.known_exponents, info.known[0].exponents)


def test_what_is_known_belongs_to_the_parameters():
    assert systems.henon().known.kind == "measured"
    assert systems.henon(a=1.3).known_exponents is None
    assert systems.logistic(r=3.9).known.standard_error == (3.8e-5,)
    assert systems.logistic(r=3.8).known is None
    np.testing.assert_allclose(systems.tent(mu=1.5).known_exponents, np.log(1.5))
    np.testing.assert_allclose(systems.kaplan_yorke_map(alpha=0.5, a=3).known_exponents, np.log([3, 0.5]))
    assert systems.henon(b=0).mean_log_abs_det == -np.inf
    assert systems.logistic().mean_log_abs_det is None


def test_maps_by_name():
    m = systems.create("henon", b=0.2)
    assert repr(m) == "henon(a=1.4, b=0.2)"
    assert m.parameters == {"a": 1.4, "b": 0.2}
    assert systems.create("coupled_map_lattice", n=16.0).state_shape == (16,)
    assert systems.create("linear_map", exponents=-0.5).state_shape == (1,)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("hennon", {}, "^name: expected a reference map, got 'hennon'; did you mean 'henon'\\?$"),
        ("qqq", {}, "^name: expected a reference map, got 'qqq'; there are logistic, tent, .*kuramoto_sivashinsky$"),
        ("ikeda", {"v": 1.0}, "^v: expected a parameter of ikeda, got 'v'; there are u, c, d$"),
        ("tent", {"muu": 1.0}, "^muu: expected a parameter of tent, got 'muu'; did you mean 'mu'\\?$"),
        ("baker", {"a": 1.0}, "^a: expected a parameter of baker, got 'a'; it has none$"),
        ("tent", {"mu": 3.0}, r"^mu: expected a number in \(0, 2\], got 3.0$"),
    ],
)
def test_wrong_names_are_answered_with_the_nearest(name, parameters, message):
    with pytest.raises(LyapmapError, match=message):
        systems.create(name, **parameters)


def test_names_are_loaded_late():
    assert "henon" in dir(systems)
    with pytest.raises(AttributeError, match="nonsense"):
        systems.nonsense  # noqa: B018


def test_maps_travel_between_processes():
    m = systems.folded_towel()
    x = m.initial_states(3, 0)
    copy = pickle.loads(pickle.dumps(m))
    np.testing.assert_array_equal(copy.apply(x), m.apply(x))
    assert copy.name == m.name


LISTING = """
import sys
import lyapmap.systems
lyapmap.systems.catalogue()
maps = [lyapmap.systems.create(name) for name in lyapmap.systems.catalogue()]
heavy = {"numba", "llvmlite", "torch", "scipy", "matplotlib", "tensorflow", "sklearn"}
print(sorted(heavy & set(sys.modules)))
"""


def test_listing_and_making_maps_loads_no_framework():
    found = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
