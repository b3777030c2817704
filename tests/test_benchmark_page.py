"""docs/benchmarks.md is what the stored results make it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("benchmark_page", BENCHMARKS / "page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_the_page_is_made_of_the_stored_results(generator: ModuleType) -> None:
    results = json.loads((BENCHMARKS / "results" / "peers.json").read_text())
    texts = [(BENCHMARKS / name).read_text() for name in ("page.md", "by_itself.md")]
    assert generator.PAGE.read_text() == generator.page(results, *texts), "run python benchmarks/page.py"


def test_losses_are_in_bold_and_what_failed_is_told(generator: ModuleType) -> None:
    works = {
        "twonn": {
            "lyapmap": {"cpu": 2.0, "first": 3.0, "share": 1, "values": {"twonn": [9.4, 1.06]}},
            "scikit-dimension": {"cpu": 0.5, "first": 1.0, "share": 4, "values": {"twonn": [9.4]}},
            "dadapy": {"missing": True},
        },
        "series": {"lyapmap": {"cpu": 0.1, "first": 1.0, "share": 1, "values": {}}, "neurokit2": {"failed": "a | b"}},
    }
    rows = generator.summary(works)
    assert "| 2 |  | 0.5 (scikit-dimension) | **4.00** |  |" in rows[2]
    assert "none measured" in rows[3]
    lines = "\n".join(generator.table("twonn", works["twonn"]))
    assert lines.index("scikit-dimension") < lines.index("| lyapmap |")
    assert "0.5 (from a part in 4)" in lines
    assert "not installed" in lines
    assert "failed: a / b" in generator.table("series", works["series"])[-1]
