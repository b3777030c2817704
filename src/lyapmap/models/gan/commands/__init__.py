"""`lyapmap gan`: what trained adversarial networks draw, and the dynamics and geometry of it."""

from __future__ import annotations

import typer

from lyapmap.models.gan.commands import canvas as gan_canvas
from lyapmap.models.gan.commands import interpolate as gan_interpolate
from lyapmap.models.gan.commands import jacobian as gan_jacobian
from lyapmap.models.gan.commands import line as gan_line
from lyapmap.models.gan.commands import sample as gan_sample

app = typer.Typer(
    help="Samples, Jacobians and canvas dynamics of adversarial networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def gan() -> None:
    """Samples, Jacobians and canvas dynamics of adversarial networks."""


app.command("sample", epilog=gan_sample.EPILOG)(gan_sample.sample)
app.command("interpolate", epilog=gan_interpolate.EPILOG)(gan_interpolate.interpolate)
app.command("jacobian", epilog=gan_jacobian.EPILOG)(gan_jacobian.jacobian)
app.command("canvas", epilog=gan_canvas.EPILOG)(gan_canvas.canvas)
app.command("line", epilog=gan_line.EPILOG)(gan_line.line)
