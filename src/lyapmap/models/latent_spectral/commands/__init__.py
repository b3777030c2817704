"""`lyapmap lsd`: images in the basis of latent spectral decomposition."""

from __future__ import annotations

import typer

from lyapmap.models.latent_spectral.commands import decompose as lsd_decompose
from lyapmap.models.latent_spectral.commands import denoise as lsd_denoise
from lyapmap.models.latent_spectral.commands import rotate as lsd_rotate

app = typer.Typer(
    help="Images in the basis of latent spectral decomposition: components, denoising, rotations.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def lsd() -> None:
    """Images in the basis of latent spectral decomposition."""


app.command("decompose", epilog=lsd_decompose.EPILOG)(lsd_decompose.decompose)
app.command("denoise", epilog=lsd_denoise.EPILOG)(lsd_denoise.denoise)
app.command("rotate", epilog=lsd_rotate.EPILOG)(lsd_rotate.rotate)
