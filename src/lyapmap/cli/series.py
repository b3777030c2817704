"""`lyapmap series` and `zero-one`: chaos in measured series."""

from __future__ import annotations

from lyapmap.cli import show
from lyapmap.cli.command import KINDS, From, Run, command
from lyapmap.cli.options import SeriesFile


@command(
    "lyapmap.analysis.series.exponent:from_series",
    group="measure",
    source=From(trajectories=1, optional=True),
    names={"steps": "--steps -n", "n_steps": "--follow"},
    examples="""
lyapmap series --series measured.csv --column pressure
lyapmap series --series export.csv --sep ";" --decimal "," --dt 0.02
lyapmap series henon --component 0 --steps 5000
lyapmap series --series states.npy --column 2 --method kantz --out report
A column of times or dates gives the step; blank lines, empty cells and NaN are gaps, each of which ends a recording.
""",
)
def series(run: Run, file: SeriesFile, *, steps: int = 5_000, transient: int = 1_000) -> int:
    """Largest Lyapunov exponent of a series of values, without knowing the map.

    Parameters
    ----------
    steps : N, at least 1
        Values taken from a map.
    transient : N, at least 0
        Steps of a map before.
    """
    from lyapmap.analysis.series.zero_one import observed
    from lyapmap.cli import samples

    samples.one_of(run.source, file.series, "--series")
    dt, clock = run.values["dt"], ""
    if run.source is not None:
        source = run.source
        states = samples.iterated(source, source.x0, steps=steps, transient=transient).states
        values, name = observed(states[:1], file.component)[0], f"{source.name}, component {file.component}"
        time_step = (source.map.time_per_step if source.map.is_flow else None) if dt is None else dt
    else:
        table = samples.read_series(file)
        values, name = table.values, file.series.name
        time_step, clock = (table.step, table.clock) if dt is None else (dt, "")
    result = run(values, dt=time_step)
    first, last = result.window
    facts = [
        ("exponent", f"{show.pair(result.exponent, result.stderr)} nats {result.unit}"),
        ("error", f"{show.number(result.statistical)} sample, {show.number(result.systematic)} method"),
        ("delay vectors", f"dimension {result.dimension}, delay {result.delay}, Theiler {result.theiler}"),
        ("straight part", "none" if first != first else f"steps {first:.0f} to {last:.0f}"),
        ("pairs", str(result.n_pairs)),
        ("noise", "unknown" if result.noise != result.noise else f"about {100 * result.noise:.2g} % of the spread"),
        *([("step", clock)] if clock else []),
    ]
    return run.show(result, f"Largest exponent of the series {name}", facts)


@command(
    "lyapmap.analysis.series.zero_one:zero_one_test",
    group="measure",
    source=From(trajectories=1, optional=True),
    usual={"n_steps": {"map": 5_000, "callable": 5_000, "model": 1_000}, "transient": dict.fromkeys(KINDS, 1_000)},
    examples="""
lyapmap zero-one logistic -p r=3.97
lyapmap zero-one --series measured.csv
lyapmap zero-one standard --trajectories 4 --json
""",
)
def zero_one(run: Run, file: SeriesFile) -> int:
    """The 0-1 test for chaos: K near 0 is regular, near 1 chaotic."""
    from lyapmap.cli import samples

    samples.one_of(run.source, file.series, "--series")
    if run.source is not None:
        name = run.source.name
        result = run(observable=file.component)
    else:
        name = file.series.name
        values = samples.read_series(file).values
        result = run(values.T if values.ndim == 2 else values)
    facts = [
        ("K", show.pair(result.K, result.stderr)),
        ("series", f"{len(result.K_per_series)} of {result.n_values} values, every {result.every}"),
        ("frequencies", str(len(result.frequencies))),
    ]
    return run.show(result, f"0-1 test of {name}", facts, name="zero_one")
