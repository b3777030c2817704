"""DCGAN and GRAN: shapes, the recurrence by hand, the step that is a DCGAN, and batch norm that counts steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.models.gan import dcgan, gran
from lyapmap.models.gan.dcgan import DcganConfig, Discriminator, Painter, StepNorm, usual_kernels
from lyapmap.models.gan.gran import PRESETS, GranConfig, preset

SMALL = GranConfig(image_size=8, channels=1, kernels=(6,), latent=5, hidden=7, steps=3)


def made(config: GranConfig = SMALL, seed: int = 0) -> gran.Generator:
    torch.manual_seed(seed)
    generator = gran.Generator(config).double()
    generator.train()(torch.randn(20, *config.latent_shape, dtype=torch.float64))  # running means that differ by step
    return generator.eval()


def noise(b: int, *shape: int) -> torch.Tensor:
    return torch.randn(b, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@settings(max_examples=20)
@given(
    size=st.sampled_from([8, 28, 32, 64, 128]),
    channels=st.sampled_from([1, 3]),
    kernel=st.sampled_from([3, 4, 5]),
    steps=st.integers(1, 3),
    weights=st.sampled_from(["tied", "separate"]),
    fresh=st.booleans(),
    spectral=st.booleans(),
)
def test_any_size_gives_images_and_logits(size, channels, kernel, steps, weights, fresh, spectral):
    config = GranConfig(
        size, channels, usual_kernels(size, 1), kernel, latent=2, steps=steps, hidden=3, weights=weights,
        noise="fresh" if fresh else "one", spectral_norm=spectral,
    )  # fmt: skip
    assert config.smallest in (4, 7)
    pair = gran.Gran(config).eval()
    images = pair.generator(torch.zeros(2, *config.latent_shape))
    assert images.shape == (2, channels, size, size)
    assert pair.discriminator(images).shape == (2,)
    plain = DcganConfig(size, channels, usual_kernels(size, 1), kernel, latent=2)
    assert dcgan.Dcgan(plain).eval().generator(torch.zeros(2, 2)).shape == images.shape


@pytest.mark.parametrize("name", PRESETS)
def test_published_sizes(name):
    config = preset(name)
    kernels, latent = {
        "mnist": ((80, 40, 1), 60),
        "cifar10": ((1024, 512, 216, 3), 100),
        "lsun": ((1024, 512, 216, 128, 3), 100),
    }[name]
    assert (*config.kernels, config.channels) == kernels
    assert (config.latent, config.kernel_size, config.steps) == (latent, 5, 3)
    if name == "mnist":
        assert [layer.weight.shape[-1] for layer in gran.Generator(config).painters[0].layers] == [5, 5]


def copied_into_dcgan(generator: gran.Generator) -> dcgan.Generator:
    """A DCGAN whose noise has as many values as the code of noise, with the weights of the first painter."""
    config = generator.config
    plain = dcgan.Generator(
        DcganConfig(config.image_size, config.channels, config.kernels, config.kernel_size, latent=config.hidden)
    ).double()
    painter: Painter = generator.painters[0]
    weights = painter.state_dict()
    weights["dense.weight"] = weights["dense.weight"][:, : config.hidden]
    for name in weights:
        if name.endswith(("mean", "variance")):
            weights[name] = weights[name][:1]
    plain.painter.load_state_dict(weights)
    return plain.eval()


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("weights", ["tied", "separate"])
def test_the_first_step_is_a_dcgan_behind_a_dense_layer(steps, weights):
    generator = made(replace(SMALL, steps=steps, weights=weights))
    z = noise(4, 5)
    code = torch.tanh(z @ generator.noise[0].weight.T + generator.noise[0].bias)
    with torch.no_grad():
        expected = copied_into_dcgan(generator)(code)
        torch.testing.assert_close(generator.canvases(z)[:, 0], expected, rtol=1e-12, atol=1e-14)
        if steps == 1:
            torch.testing.assert_close(generator(z), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["one", "fresh"])
@pytest.mark.parametrize("weights", ["tied", "separate"])
def test_the_recurrence_by_hand(kind, weights):
    generator = made(replace(SMALL, noise=kind, weights=weights))
    z = noise(4, 5) if kind == "one" else noise(4, 5, 5)
    separate = weights == "separate"
    with torch.no_grad():
        total, update = 0.0, None
        for t in range(5):  # two more than trained
            at = min(t, 2)
            own = at if separate else 0
            z_t = z if kind == "one" else z[:, t]
            h_z = torch.tanh(nn.functional.linear(z_t, generator.noise[own].weight, generator.noise[own].bias))
            h_c = torch.zeros(4, 7, dtype=torch.float64)
            if update is not None:
                reader = generator.readers[at - 1 if separate else 0]
                h_c = reader(update, 0 if separate else at - 1)
            update = generator.painters[own](torch.cat([h_z, h_c], 1), 0 if separate else at)
            total = total + update
        torch.testing.assert_close(generator.canvases(z, 5)[:, -1], torch.tanh(total))
        torch.testing.assert_close(generator.updates(z, 5)[:, -1], update, rtol=1e-10, atol=1e-12)


def test_weights_of_steps_are_the_same_or_others():
    count = [sum(p.numel() for p in made(replace(SMALL, weights=w)).parameters()) for w in ("tied", "separate")]
    assert count[1] > 2 * count[0]
    assert len(made(replace(SMALL, steps=1)).readers) == 0


def test_sigmoid_output_is_the_logistic_function_of_the_sum():
    tanh = made()
    sigmoid = gran.Generator(replace(SMALL, output="sigmoid")).double().eval()
    sigmoid.load_state_dict(tanh.state_dict())
    z = noise(2, 5)
    with torch.no_grad():
        torch.testing.assert_close(sigmoid(z), torch.sigmoid(tanh.updates(z).sum(1)))


def test_step_norm_is_torch_s_batch_norm_at_each_step():
    ours, theirs = StepNorm(3, steps=2).double(), [nn.BatchNorm2d(3).double() for _ in range(2)]
    for batch in range(3):
        for step, norm in enumerate(theirs):
            norm.weight.data, norm.bias.data = ours.weight.data, ours.bias.data
            x = (step + 1) * noise(6, 3, 4, 4) + batch
            torch.testing.assert_close(ours(x, step), norm(x))
    ours.eval()
    for step, norm in enumerate(theirs):
        x = noise(2, 3, 4, 4)
        torch.testing.assert_close(ours(x, step), norm.eval()(x))
    assert not torch.equal(ours.mean[0], ours.mean[1])


def test_in_evaluation_mode_rows_are_apart():
    generator = made()
    z = noise(5, 5)
    with torch.no_grad():
        torch.testing.assert_close(generator(z)[2:3], generator(z[2:3]))


def test_spectral_norm_bounds_the_layers():
    torch.manual_seed(0)
    judge = Discriminator(replace(SMALL, spectral_norm=True))
    for _ in range(50):  # of power iteration
        judge.train()(torch.randn(2, 1, 8, 8))
    weight = judge.eval().dense.weight.detach()
    assert float(weight.norm()) == pytest.approx(1, abs=1e-3)
    assert not len(judge.norms)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 7}, "image_size: expected 8 to 128 pixels, got 7"),
        ({"channels": 2}, "channels: expected 1 or 3, got 2"),
        ({"kernels": ()}, "kernels: expected at least one"),
        ({"kernels": (4, 4, 4)}, "3 layers halve 8 pixels 3 times"),
        ({"kernel_size": 7}, "kernel_size: expected one of"),
        ({"latent": 0}, "latent: expected at least 1"),
        ({"output": "relu"}, "output: expected one of tanh, sigmoid"),
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"noise": "two"}, "noise: expected one of one, fresh"),
        ({"weights": "loose"}, "weights: expected one of tied, separate"),
    ],
)
def test_bad_sizes_are_named(changes, said):
    with pytest.raises(LyapmapError, match=said):
        replace(SMALL, **changes)


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(LyapmapError, match="made for one step"):
        made(replace(SMALL, steps=1)).canvases(noise(2, 5), 2)
    with pytest.raises(ShapeError, match=r"z: expected \(b, 5\), got \(2, 4\)"):
        made()(noise(2, 4))
    with pytest.raises(ShapeError, match=r"expected \(b, 4, 5\), fresh noise for each step, got \(2, 3, 5\)"):
        made(replace(SMALL, noise="fresh")).canvases(noise(2, 3, 5), 4)
    with pytest.raises(LyapmapError, match="preset: expected one of mnist"):
        preset("digits")
    with pytest.raises(LyapmapError, match="image_size: expected an even number of at least 8, got 9"):
        usual_kernels(9, 4)
