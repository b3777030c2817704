"""`lyapmap check`: does a network or map keep the map contract?"""

from __future__ import annotations

import typer

from lyapmap.cli import common

EPILOG = """Examples:

lyapmap check --model cycle-mnist-012

lyapmap check --callable mypkg.maps:step --state-shape 2

lyapmap check --map ikeda --json"""


@common.command
def check(
    model: common.ModelOption = None,
    map_name: common.MapOption = None,
    parameters: common.ParameterOption = None,
    function: common.CallableOption = None,
    state_shape: common.ShapeOption = None,
    trajectories: common.TrajectoriesOption = None,
    dtype: common.DtypeOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    x0: common.X0Option = None,
    data: common.DataOption = None,
    classes: common.ClassesOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Check a network or map: finite, repeatable, rows independent, derivatives right.

    Exits with 1 if a check fails.
    """
    from lyapmap.cli.source import load_source
    from lyapmap.core.conformance import check_map

    source = load_source(
        model=model,
        map_name=map_name,
        parameters=parameters,
        function=function,
        state_shape=state_shape,
        x0=x0,
        data=data,
        classes=classes,
        trajectories=trajectories or 4,
        dtype=dtype,
        device=device,
        seed=seed,
    )
    report = check_map(source.map, source.x0, seed=seed)
    if as_json:
        common.echo_json(report.to_dict())
    else:
        typer.echo(f"{source.name}: {len(source.x0)} states from {source.started_from}")
        typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(common.BAD_STATUS)
