"""`lyapmap compare-dynamics`, `attractors`: learned systems beside true ones; where a map ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show
from lyapmap.cli.command import From, Run, command
from lyapmap.cli.options import Plane
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.dynamics.attractors import Attractors
    from lyapmap.analysis.dynamics.comparison import DynamicsComparison

SHOWN = 12
"""Attractors that the table shows; the files hold all."""


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


@command(
    "lyapmap.analysis.dynamics.attractors:attractors",
    group="look",
    source=From(),
    names={"exponent_steps": "--exponent-steps"},
    hides=("n_starts",),
    shown={"trajectories": "8; 4 of a model; 200 with --low and --high"},
    examples="""
lyapmap attractors henon --low -1 --high 1 --trajectories 400
lyapmap attractors my.package:newton --state-shape 2 --grid 200,200 --low -2,-2 --high 2,2 --out basins
lyapmap attractors last.pt --x0 noise.npy --samples train.npy --json
""",
)
def attractors(run: Run, plane: Plane, *, samples: Path | None = None) -> int:
    """How many attractors a network or map has, what each is, and which part of the starts ends there.

    With --grid basins are drawn, and their boundary is measured. With --out DIR: attractors.nc, attractors.json,
    attractors.png and report.html.

    Parameters
    ----------
    samples : FILE
        Samples that a network was trained on: which attractors are samples, which are spurious?
    """
    from lyapmap.cli.samples import read_numbers
    from lyapmap.cli.source import plane as grid_of

    if plane.grid is not None:
        options: dict[str, Any] = {"x0": grid_of(run.source, plane)}
    elif (plane.low is None) != (plane.high is None):
        raise LyapmapError("--low and --high: expected both or none")
    elif plane.low is not None and plane.high is not None:
        options = {"x0": None, "region": ([*plane.low], [*plane.high])}
        options["n_starts"] = run.values["trajectories"] or BOX_STARTS
    else:
        options = {"x0": run.source.x0}
    start = options.pop("x0")
    data = None if samples is None else read_numbers(samples, "--samples")
    result = run(run.source.map, start, data=data, **options)
    facts = [
        ("attractors", f"{result.n_attractors} of {len(result.label)} starts"),
        ("escape", str(result.escaped)),
        ("unseen", f"{result.unseen:.2g}" if result.unseen else f"below {1 / max(len(result.label), 1):.2g}"),
    ]
    if math.isfinite(result.uncertainty_exponent):
        error = result.uncertainty_exponent_stderr
        facts.append(("boundary", f"uncertainty exponent {show.pair(result.uncertainty_exponent, error)}"))
    if data is not None:
        facts.append(("memorized", f"{int(result.memorized.sum())} of {result.n_attractors} are samples"))
    table = _attractors_table if result.n_attractors else None
    source = run.source if start is run.source.x0 else None
    return run.show(result, f"Attractors of {run.source.name}", facts, table=table, source=source)


BOX_STARTS = 200
"""Starts drawn from a box."""


def _attractors_table(result: Attractors) -> Table:
    table = show.make_table("#", "kind", "share", "95 % limits", "exponent 1", "dimension", "nearest sample")
    for i in range(min(result.n_attractors, SHOWN)):
        low, high = result.share_interval[i]
        largest = result.exponents[i, 0] if result.exponents.shape[1] else math.nan
        sample = "" if result.nearest_data[i] < 0 else f"{result.nearest_data[i]} ({result.data_ratio[i]:.2f})"
        table.add_row(
            str(i + 1), result.kinds[i] or "-", f"{result.share[i]:.3f}", f"{low:.3f} to {high:.3f}", _short(largest),
            _short(result.kaplan_yorke[i]), sample,
        )  # fmt: skip
    show.cut(table, result.n_attractors, SHOWN)
    return table
