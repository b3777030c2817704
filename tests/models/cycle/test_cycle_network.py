"""The cycle model against its table, against TensorFlow's padding rule, and against the paper's losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError
from lyapmap.models.cycle.network import (
    ChannelNorm,
    CycleConfig,
    CycleModel,
    Discriminator,
    Generator,
    SameConv2d,
    SameConvTranspose2d,
    Stage,
)


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


SIZES = (8, 9, 10, 11, 16, 28, 30, 31, 64, 127, 128)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_in_images_out(size: int, channels: int) -> None:
    config = CycleConfig(image_size=size, channels=channels, width=2)
    x = torch.rand(2, channels, size, size) * 2 - 1
    with torch.no_grad():
        y = Generator(config).eval()(x)
        logits = Discriminator(config).eval()(x)
    assert config.state_shape == (channels, size, size)
    assert y.shape == x.shape
    assert y.abs().max() <= 1
    assert logits.shape == (2,)


def shapes_of(network: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Shape of every layer's output, without the batch axis."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str, module: nn.Module) -> None:
        module.register_forward_hook(lambda _module, _x, y: shapes.__setitem__(name, tuple(y.shape[1:])))

    for name, module in network.named_modules():
        watch(name, module)
    with torch.no_grad():
        network.eval()(x)
    return shapes


def test_generator_has_the_layers_of_the_paper() -> None:
    generator = Generator(CycleConfig())
    shapes = shapes_of(generator, torch.zeros(1, 1, 28, 28))
    table = {
        "down1": (64, 14, 14),
        "down2": (128, 7, 7),
        "residual": (128, 7, 7),
        "dropout": (128, 7, 7),
        "up1": (128, 7, 7),
        "up2": (64, 14, 14),
        "up3": (1, 28, 28),
        "": (1, 28, 28),
    }
    assert {name: shapes[name] for name in table} == table
    kernels = {
        name: (module.kernel_size, module.stride, module.bias is not None)
        for name, module in generator.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    }
    assert kernels == {
        "down1.conv": ((3, 3), (2, 2), False),
        "down2.conv": ((3, 3), (2, 2), False),
        "residual.conv1": ((3, 3), (1, 1), True),
        "residual.conv2": ((3, 3), (1, 1), True),
        "up1.conv": ((3, 3), (1, 1), False),
        "up2.conv": ((5, 5), (2, 2), False),
        "up3": ((5, 5), (2, 2), False),
    }
    assert [m.p for m in generator.modules() if isinstance(m, nn.Dropout) and m.p] == [0.1]


def test_discriminator_has_the_layers_of_the_paper() -> None:
    discriminator = Discriminator(CycleConfig())
    shapes = shapes_of(discriminator, torch.zeros(1, 1, 28, 28))
    table = {"stages.0": (64, 14, 14), "stages.1": (128, 7, 7), "stages.2": (128, 7, 7), "last": (128, 4, 4)}
    assert {name: shapes[name] for name in table} == table
    assert [stage.dropout.p for stage in discriminator.stages] == [0.1] * 3


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_by_hand() -> None:
    norms = 2 * 14 * 14, 2 * 7 * 7  # gain and bias over the pixels of a stage
    generator = (
        1 * 64 * 9
        + norms[0]
        + 64 * 128 * 9
        + norms[1]
        + 2 * (128 * 128 * 9 + 128 + 2 * 128)
        + 128 * 128 * 9
        + norms[1]
        + 128 * 64 * 25
        + norms[0]
        + 64 * 1 * 25
    )
    assert parameters(Generator(CycleConfig())) == generator == 724_820
    discriminator = (
        1 * 64 * 9 + norms[0] + 64 * 128 * 9 + norms[1] + 128 * 128 * 9 + norms[1] + 128 * 128 * 25 + 128 + 128 + 1
    )
    assert parameters(Discriminator(CycleConfig())) == discriminator
    model = CycleModel(CycleConfig(categories=5))
    assert parameters(model) == 2 * generator + 5 * discriminator


def tensorflow_conv(x: np.ndarray, w: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's rule for padding="same", written out: x (c, h, h), w (out, c, k, k)."""
    size, kernel = x.shape[1], w.shape[2]
    out = -(-size // stride)
    padded = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    before = padded // 2
    y = np.zeros((w.shape[0], out, out))
    for i in range(out):
        for j in range(out):
            for a in range(kernel):
                for b in range(kernel):
                    row, column = i * stride + a - before, j * stride + b - before
                    if 0 <= row < size and 0 <= column < size:
                        y[:, i, j] += w[:, :, a, b] @ x[:, row, column]
    return y


def tensorflow_conv_matrix(c: int, size: int, w: np.ndarray, stride: int) -> np.ndarray:
    """The same as a matrix, column by column."""
    unit = np.eye(c * size * size).reshape(-1, c, size, size)
    return np.stack([tensorflow_conv(x, w, stride).ravel() for x in unit], axis=1)


CONVOLUTIONS = [(size, kernel, stride) for size in (2, 5, 6, 7, 8) for kernel, stride in ((3, 1), (3, 2), (5, 2))]


@pytest.mark.parametrize(("size", "kernel", "stride"), CONVOLUTIONS)
def test_convolution_pads_as_tensorflow_does(size: int, kernel: int, stride: int) -> None:
    layer = SameConv2d(2, 3, kernel, size, stride=stride).double()
    x = torch.randn(1, 2, size, size, dtype=torch.float64)
    wanted = tensorflow_conv(x[0].numpy(), layer.weight.detach().numpy(), stride)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize(("size", "kernel", "stride"), CONVOLUTIONS)
def test_transposed_convolution_is_the_transpose_of_tensorflow_s(size: int, kernel: int, stride: int) -> None:
    # TensorFlow defines it as the gradient of the convolution that maps the larger image to the
    # smaller. Its weights (k, k, out, in) are PyTorch's (in, out, k, k).
    layer = SameConvTranspose2d(3, 2, kernel, size, stride=stride).double()
    small = -(-size // stride)
    x = torch.randn(1, 3, small, small, dtype=torch.float64)
    matrix = tensorflow_conv_matrix(2, size, layer.weight.detach().numpy(), stride)
    wanted = (matrix.T @ x.numpy().ravel()).reshape(2, size, size)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), wanted, atol=1e-12)


def test_stages_normalise_over_the_pixels_of_each_channel() -> None:
    stage = Stage(nn.Identity(), 4)
    with torch.no_grad():
        stage.norm.weight.copy_(torch.rand(4, 4))
        stage.norm.bias.copy_(torch.rand(4, 4))
    x = torch.randn(3, 5, 4, 4) * torch.arange(1.0, 6.0)[:, None, None]
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
    normal = (x - mean) / (variance + 1e-3).sqrt() * stage.norm.weight + stage.norm.bias
    torch.testing.assert_close(stage(x), torch.where(normal > 0, normal, 0.3 * normal), atol=1e-5, rtol=1e-5)


def test_the_residual_block_normalises_over_channels() -> None:
    norm = ChannelNorm(5)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(5))
        norm.bias.copy_(torch.rand(5))
    x = torch.randn(3, 5, 4, 4)
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    wanted = (x - mean) / (variance + 1e-3).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), wanted, atol=1e-5, rtol=1e-5)


def test_residual_block_adds_to_its_input() -> None:
    block = Generator(CycleConfig(image_size=8, width=3)).residual
    x = torch.randn(2, 6, 2, 2)
    y = block.conv2(torch.relu(block.norm2(block.conv1(torch.relu(block.norm1(x))))))
    torch.testing.assert_close(block(x), x + y)
    for conv in (block.conv1, block.conv2):
        nn.init.zeros_(conv.weight)
    torch.testing.assert_close(block(x), x)


def test_evaluation_is_deterministic_and_rows_are_independent() -> None:
    generator = Generator(CycleConfig(image_size=8, width=4, dropout=0.5)).double().eval()
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    y = generator(x)
    torch.testing.assert_close(generator(x), y, rtol=0, atol=0)
    torch.testing.assert_close(generator(x.flip(0)).flip(0), y, rtol=0, atol=1e-14)
    for row in range(5):
        torch.testing.assert_close(generator(x[row : row + 1])[0], y[row], rtol=0, atol=1e-14)
    generator.train()
    assert not torch.equal(generator(x), generator(x)), "dropout is at work while training"


def test_initial_weights_are_glorot_uniform() -> None:
    generator = Generator(CycleConfig(width=32))
    weight = generator.up1.conv.weight.detach()
    bound = np.sqrt(6 / (64 * 9 + 64 * 9))
    assert weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert not generator.residual.conv1.bias.any()


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    p = torch.sigmoid(logits)
    return -(label * p.log() + (1 - label) * (1 - p).log()).mean()


def test_losses_are_equations_7_to_9_of_the_paper() -> None:
    # X -> Y -> Z -> X by G; the last term of Eq. 7 names D_X in the paper and means D_Z.
    model = CycleModel(CycleConfig(image_size=8, width=3, dropout=0.0)).double()
    G, F = model.G, model.F
    D_X, D_Y, D_Z = model.D
    batch = torch.rand(3, 4, 1, 8, 8, dtype=torch.float64) * 2 - 1
    x, y, z = batch
    adversarial_g = cross_entropy(D_Y(G(x)), 1) + cross_entropy(D_Z(G(y)), 1) + cross_entropy(D_X(G(z)), 1)
    adversarial_f = cross_entropy(D_X(F(y)), 1) + cross_entropy(D_Y(F(z)), 1) + cross_entropy(D_Z(F(x)), 1)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean()

    cycle = distance(F(G(x)), x) + distance(G(F(y)), y) + distance(F(G(y)), y)
    cycle = cycle + distance(G(F(z)), z) + distance(F(G(z)), z) + distance(G(F(x)), x)
    losses, by_g, by_f = model.generator_losses(batch, cycle_weight=7.0)
    torch.testing.assert_close(losses["G"], adversarial_g)
    torch.testing.assert_close(losses["F"], adversarial_f)
    torch.testing.assert_close(losses["cycle"], cycle)
    torch.testing.assert_close(losses["total"], adversarial_g + adversarial_f + 7 * cycle)
    torch.testing.assert_close(by_g, torch.stack([G(z), G(x), G(y)]))
    torch.testing.assert_close(by_f, torch.stack([F(y), F(z), F(x)]))

    def judged(d: nn.Module, real: Tensor, from_g: Tensor, from_f: Tensor) -> Tensor:
        return cross_entropy(d(real), 1) + (cross_entropy(d(from_g), 0) + cross_entropy(d(from_f), 0)) / 2

    wanted = torch.stack([judged(D_X, x, G(z), F(y)), judged(D_Y, y, G(x), F(z)), judged(D_Z, z, G(y), F(x))])
    found = model.discriminator_losses(batch, by_g, by_f)
    torch.testing.assert_close(found, wanted)
    found.sum().backward()
    assert all(p.grad is None for p in [*G.parameters(), *F.parameters()]), "a discriminator teaches no generator"


@pytest.mark.parametrize("categories", [2, 3, 4, 5])
def test_categories_go_round(categories: int) -> None:
    model = CycleModel(CycleConfig(categories=categories, image_size=8, width=2)).eval()
    batch = torch.rand(categories, 2, 1, 8, 8)
    by_g, by_f = model.transform(batch)
    for i in range(categories):
        torch.testing.assert_close(by_g[(i + 1) % categories], model.G(batch[i]))
        torch.testing.assert_close(by_f[(i - 1) % categories], model.F(batch[i]))
    losses, by_g, by_f = model.generator_losses(batch)
    assert losses["total"].isfinite()
    assert model.discriminator_losses(batch, by_g, by_f).shape == (categories,)
    assert len(model.D) == categories


@pytest.mark.parametrize(
    "bad",
    [
        {"categories": 1},
        {"image_size": 7},
        {"image_size": 129},
        {"channels": 2},
        {"channels": 0},
        {"width": 0},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"dropout": float("nan")},
    ],
)
def test_bad_configs_name_the_field_and_the_value(bad: dict[str, Any]) -> None:
    ((name, value),) = bad.items()
    with pytest.raises(LyapmapError, match=rf"^{name}: expected .* got {value}$"):
        CycleConfig(**bad)


def test_config_survives_as_plain_values() -> None:
    config = CycleConfig(categories=4, image_size=9, channels=3, width=5, dropout=0.2)
    assert CycleConfig(**config.to_dict()) == config
