"""`lyapmap lsd denoise`: noisy images, decoded from few components."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from lyapmap.cli import common
from lyapmap.models.latent_spectral.commands.options import (
    ComponentsOption,
    CountOption,
    DataOption,
    ModelOption,
    RescaleOption,
    loaded,
    tell,
)

EPILOG = """Examples:

lyapmap lsd denoise --model runs/lsd/last.pt --data mnist --noise 0.8 --out denoised

lyapmap lsd denoise --model lsd-mnist --data photographs/ --components 4 --out denoised

lyapmap lsd denoise --model lsd-mnist --data digit.png"""


@common.command
def denoise(
    model: ModelOption,
    data: DataOption,
    noise: Annotated[
        float, typer.Option("--noise", min=0, help="Standard deviation of normal noise to add, for pixels in [-1, 1].")
    ] = 0.0,
    samples: CountOption = 10,
    components: ComponentsOption = "1,4,10",
    rescale: RescaleOption = False,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Decode images from the largest components of their encodings, perhaps after adding noise to them."""
    lsd, images = loaded(model, data, samples, device=device)
    from lyapmap.models.latent_spectral.images import components_of_images, with_noise

    assert lsd.basis is not None
    noisy = replace(images, images=with_noise(images.images, noise, images.value_range, seed=seed))
    result = components_of_images(
        lsd.basis,
        noisy.images,
        components=common.integers(components, "--components") or (),
        rescale=rescale,
        value_range=images.value_range,
    )
    title = f"{lsd.name}: {len(images)} images, noise {noise:g}"
    tell(result, lsd, images, title, name="denoised", out=out, as_json=as_json)
