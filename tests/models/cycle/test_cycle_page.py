"""The tables of the ablation in docs/studies/cycle.md are those of the stored results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

STUDIES = Path(__file__).parents[3] / "docs" / "studies"
if not STUDIES.exists():
    pytest.skip("the documentation is not part of this installation", allow_module_level=True)
ARMS = json.loads((STUDIES / "cycle_ablation.json").read_text())


def row(arm: dict[str, Any]) -> str:
    held, cells = arm["held"], [arm["arm"], f"{arm['largest']:.3f} ± {arm['stderr']:.3f}"]
    cells += [f"{min(held):.3f} to {max(held):.3f}", f"{arm['order']:.2f}"]
    cells += [f"{arm[f'{metric}_10']:.2f}, {arm[f'{metric}_30']:.2f}" for metric in ("precision", "recall", "coverage")]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("size", sorted({arm["batch_size"] for arm in ARMS}))
def test_the_table_is_that_of_the_stored_results(size: int) -> None:
    page = (STUDIES / "cycle.md").read_text(encoding="utf-8")
    rows = page.split(f"| batches of {size} |")[1].split("\n\n")[0].splitlines()[2:]
    assert rows == [row(arm) for arm in ARMS if arm["batch_size"] == size]
