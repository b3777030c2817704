"""`lyapmap kaleidoscope`: sampling and experiments with kaleidoscopic networks."""

from __future__ import annotations

import typer

from lyapmap.cli import (
    kaleidoscope_corners,
    kaleidoscope_depth,
    kaleidoscope_line,
    kaleidoscope_plane,
    kaleidoscope_sample,
)

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
