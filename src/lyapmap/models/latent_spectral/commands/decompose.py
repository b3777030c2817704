"""`lyapmap lsd decompose`: images and their largest components."""

from __future__ import annotations

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

lyapmap lsd decompose --model runs/lsd/last.pt --data mnist --samples 20 --out components"""


@common.command
def decompose(
    model: ModelOption,
    data: DataOption,
    samples: CountOption = 10,
    components: ComponentsOption = "1,2,3,4,10",
    rescale: RescaleOption = False,
    device: common.DeviceOption = None,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Write images as sums of quasi-eigenvectors, and decode the largest parts of the sums."""
    lsd, images = loaded(model, data, samples, device=device)
    from lyapmap.models.latent_spectral.images import components_of_images

    assert lsd.basis is not None
    result = components_of_images(
        lsd.basis,
        images.images,
        components=common.integers(components, "--components") or (),
        rescale=rescale,
        value_range=images.value_range,
    )
    tell(result, lsd, images, f"{lsd.name}: {len(images)} images", name="components", out=out, as_json=as_json)
