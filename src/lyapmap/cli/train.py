"""`lyapmap train`: train the networks of the papers."""

from __future__ import annotations

import typer

from lyapmap.models.classifier import commands as train_classifier
from lyapmap.models.cycle.commands import train as train_cycle
from lyapmap.models.gan.commands import train_dcgan, train_gran
from lyapmap.models.kaleidoscope.commands import train as train_kaleidoscope
from lyapmap.models.latent_spectral.commands import train as train_lsd

app = typer.Typer(
    help="Train the networks of the papers.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def train() -> None:
    """Train the networks of the papers."""


app.command("cycle", epilog=train_cycle.EPILOG)(train_cycle.cycle)
app.command("kaleidoscope", epilog=train_kaleidoscope.EPILOG)(train_kaleidoscope.kaleidoscope)
app.command("dcgan", epilog=train_dcgan.EPILOG)(train_dcgan.dcgan)
app.command("gran", epilog=train_gran.EPILOG)(train_gran.gran)
app.command("lsd", epilog=train_lsd.EPILOG)(train_lsd.lsd)
app.command("classifier", epilog=train_classifier.EPILOG)(train_classifier.classifier)
