"""`lyapmap kaleidoscope`: sampling and experiments with kaleidoscopic networks."""

from __future__ import annotations

import typer

from lyapmap.models.kaleidoscope.commands import corners as kaleidoscope_corners
from lyapmap.models.kaleidoscope.commands import depth as kaleidoscope_depth
from lyapmap.models.kaleidoscope.commands import line as kaleidoscope_line
from lyapmap.models.kaleidoscope.commands import plane as kaleidoscope_plane
from lyapmap.models.kaleidoscope.commands import sample as kaleidoscope_sample

app = typer.Typer(
    help="Sampling and experiments with kaleidoscopic networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def kaleidoscope() -> None:
    """Sampling and experiments with kaleidoscopic networks."""


app.command("sample", epilog=kaleidoscope_sample.EPILOG)(kaleidoscope_sample.sample)
app.command("line", epilog=kaleidoscope_line.EPILOG)(kaleidoscope_line.line)
app.command("plane", epilog=kaleidoscope_plane.EPILOG)(kaleidoscope_plane.plane)
app.command("corners", epilog=kaleidoscope_corners.EPILOG)(kaleidoscope_corners.corners)
app.command("depth", epilog=kaleidoscope_depth.EPILOG)(kaleidoscope_depth.depth)
