"""`lyapmap compare-dynamics`: learned systems beside true ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show
from lyapmap.cli.command import From, Run, command
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.dynamics.comparison import DynamicsComparison


@command(
    "lyapmap.analysis.dynamics.comparison:compare_dynamics",
    group="measure",
    source=From(optional=True, without=("trajectories", "x0", "data", "classes", "resize")),
    shown={"n_steps": "1000, or as many as data have", "bins": "30, or fewer", "smoothing": "1 % of them"},
    examples="""
lyapmap compare-dynamics henon -p a=1.39 --reference henon
lyapmap compare-dynamics last.pt --reference measured.csv --out comparison
lyapmap compare-dynamics my.package:step --state-shape 3 --reference lorenz --steps 2000
lyapmap compare-dynamics --generated rollout.npy --reference truth.npy --json
""",
)
def compare_dynamics(
    run: Run, *, reference: str | None = None, reference_parameter: list[str] | None = None,
    generated: Path | None = None,
) -> int:  # fmt: skip
    """A learned map, or data of it, beside the true one: states, spectra, exponents, forecasts, and a verdict.

    Files hold one state a row, in the order of time. With --out DIR: compare-dynamics.nc, compare-dynamics.json,
    compare-dynamics.png and report.html.

    Parameters
    ----------
    reference : MAP|MODEL|FILE
        The truth: a reference map, a model, a function PKG.MODULE:FUNCTION, or a file of its states.
    reference_parameter : NAME=VALUE
        Parameter of the reference, where that is a reference map; repeatable.
    generated : FILE
        States of the model, in the place of the model.
    """
    from lyapmap.cli.samples import one_of, read_numbers

    one_of(run.source, generated, "--generated")
    if reference is None:
        raise LyapmapError("--reference: expected a map, a model, a function or a file of states, got none")
    truth, name, x0 = _reference(run, reference, reference_parameter)
    model: Any = run.source.map if generated is None else read_numbers(generated, "--generated")
    result = run(model, truth, x0)
    title = f"{run.source.name if generated is None else generated.name} beside {name}"
    time = "-" if math.isnan(result.prediction_time) else f"{result.prediction_time:g} steps"
    if math.isfinite(result.lyapunov_times):
        time += f", {result.lyapunov_times:.2f} Lyapunov times"
    facts = [
        ("verdict", result.verdict or "-"),
        ("differs", ", ".join(result.differences) or "nothing"),
        ("forecasts hold", time),
        ("trajectories", f"{result.settings['n_trajectories']} of {result.settings['n_steps']} steps, reference twice"),
    ]
    return run.show(result, title, facts, table=_table if len(result.p_value) else None, source=None)


def _reference(run: Run, reference: str, parameter: list[str] | None) -> tuple[Any, str, Any]:
    """The reference as `compare_dynamics` takes it, its name, and where it starts."""
    from lyapmap.cli.options import MapOptions
    from lyapmap.cli.samples import read_numbers
    from lyapmap.cli.source import load_source
    from lyapmap.data.tables import is_table

    if is_table(reference):
        if parameter:
            raise LyapmapError("--reference-parameter: only for a reference map, and --reference is a file")
        return read_numbers(Path(reference), "--reference"), Path(reference).name, None
    options = MapOptions(
        subject=reference, parameter=parameter, seed=run.seed, trust=bool(run.values["trust"]),
        state_shape=run.values["state_shape"] if ":" in reference else None,
    )  # fmt: skip
    try:
        source = load_source(options)
    except LyapmapError as error:
        words = str(error).removeprefix("MAP: ").replace("-p: ", "--reference-parameter: ")
        raise type(error)(words if words.startswith("--") else f"--reference: {words}") from None
    return source.map, source.name, source.x0


def _table(result: DynamicsComparison) -> Table:
    table = show.make_table("", "model", "95 % limits", "reference", "95 % limits", "p")
    rows: list[tuple[Any, ...]] = []
    for place, (name, field) in enumerate(
        (("states", "divergence"), ("transitions", "transition_divergence"), ("power spectra", "spectral_distance"))
    ):
        value, limits = getattr(result, field), getattr(result, f"{field}_interval")
        rows.append((name, value, limits, getattr(result, f"{field}_floor"), None, result.p_value[place]))
    rows += [
        (name, result.model[i], result.model_interval[i], result.reference[i], result.reference_interval[i], p)
        for i, (name, p) in enumerate(zip(result.quantities, result.p_value[3:], strict=True))
    ]
    for name, model, limits, reference, others, p in rows:
        table.add_row(name, _short(model), _limits(limits), _short(reference), _limits(others), f"{p:.3f}")
    table.caption = "distances: the reference's is that between two runs of it"
    return table


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _limits(limits: Any) -> str:
    return "" if limits is None or not all(map(math.isfinite, limits)) else f"{limits[0]:.4g} to {limits[1]:.4g}"
