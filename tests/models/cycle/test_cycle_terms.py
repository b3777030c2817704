"""Terms beyond the paper's losses: against formulas by hand, finite differences and runs that reach what was asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.models.cycle.extra_losses import ExponentTerm, ExtraTerms, energy_distance, iterate_losses, unrolled
from lyapmap.models.cycle.network import CycleConfig, CycleModel


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_energy_distance_is_the_sum_of_mean_distances():
    x, y = drawn(7, 3, 2).double(), drawn(5, 3, 2, seed=1).double() + 1
    a, b = x.flatten(1).numpy(), y.flatten(1).numpy()
    between = np.mean([np.linalg.norm(p - q) for p in a for q in b])
    within = [np.sum([np.linalg.norm(p - q) for p in z for q in z]) / (len(z) * (len(z) - 1)) for z in (a, b)]
    wanted = (2 * between - sum(within)) / math.sqrt(6)
    assert float(energy_distance(x, y)) == pytest.approx(wanted, rel=1e-9)


def test_energy_distance_is_zero_in_the_mean_for_one_distribution_and_grows_with_the_shift():
    same = [float(energy_distance(drawn(50, 4, seed=2 * i), drawn(50, 4, seed=2 * i + 1))) for i in range(60)]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(60)
    apart = [float(energy_distance(drawn(200, 4), drawn(200, 4, seed=1) + shift)) for shift in (0.5, 1, 2)]
    assert 0.05 < apart[0] < apart[1] < apart[2]


def test_energy_distance_pushes_copies_apart_with_finite_gradients():
    x = torch.zeros(6, 2) + 1e-3 * drawn(6, 2)
    x[3] = x[2]
    x.requires_grad_(True)
    energy_distance(x, drawn(100, 2, seed=1)).backward()
    assert torch.isfinite(x.grad).all()
    moved = (x - 0.1 * x.grad).detach()
    assert moved.std(0).sum() > x.detach().std(0).sum()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(2, 8), st.integers(1, 5), st.floats(0.1, 10))
def test_energy_distance_is_symmetric_and_scales(a, b, n, factor):
    x, y = drawn(a, n).double(), drawn(b, n, seed=1).double()
    d = float(energy_distance(x, y))
    assert float(energy_distance(y, x)) == pytest.approx(d, abs=1e-12)
    assert float(energy_distance(factor * x, factor * y)) == pytest.approx(factor * d, rel=1e-9, abs=1e-12)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CycleModel(CycleConfig(image_size=8, width=4, dropout=0.0)).eval()


def test_unrolled_images_are_successive_steps_filed_by_category(model):
    batch = torch.tanh(drawn(3, 5, 1, 8, 8))
    steps = unrolled(model, model.transform(batch)[0], 3)
    assert len(steps) == 3
    x = batch
    for step in steps:
        x = torch.stack([model.G(x[i - 1]) for i in range(3)])
        torch.testing.assert_close(step, x)


def test_a_step_has_the_gradients_of_that_step_only(model):
    batch = torch.tanh(drawn(3, 5, 1, 8, 8))
    first = model.transform(batch)[0]
    second = unrolled(model, first, 2)[1]
    assert torch.autograd.grad(second.sum(), first, retain_graph=True, allow_unused=True) == (None,)
    weight = model.G.up3.weight
    alone = torch.autograd.grad(model.advance(first.detach()).sum(), weight)[0]
    torch.testing.assert_close(torch.autograd.grad(second.sum(), weight)[0], alone)


def test_losses_of_iterates_by_hand(model):
    batch = torch.tanh(drawn(3, 5, 1, 8, 8))
    steps = unrolled(model, model.transform(batch)[0], 3)
    found = iterate_losses(model, batch, steps, ExtraTerms(unroll=3, diversity=2.0))
    bce = nn.BCEWithLogitsLoss()
    wanted = sum(bce(d(x), torch.ones(5)) for step in steps[1:] for d, x in zip(model.D, step, strict=True))
    torch.testing.assert_close(found["iterates"], wanted)
    apart = sum(energy_distance(a, b) for step in steps for a, b in zip(step, batch, strict=True)) / 3
    torch.testing.assert_close(found["diversity"], apart)
    assert iterate_losses(model, batch, steps[:1], ExtraTerms()) == {}


def test_discriminators_give_later_steps_a_share_of_the_first(model):
    batch = torch.tanh(drawn(3, 4, 1, 8, 8))
    by_g, by_f = model.transform(batch)
    # The same images again change nothing: their weight is shared.
    torch.testing.assert_close(
        model.discriminator_losses(batch, by_g, by_f, [by_g]), model.discriminator_losses(batch, by_g, by_f)
    )
    assert not torch.allclose(
        model.discriminator_losses(batch, by_g, by_f, [by_f]), model.discriminator_losses(batch, by_g, by_f)
    )


class Scaled(nn.Module):
    """x -> s R x + small tanh: its largest exponent is close to log s."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.register_buffer("rotation", torch.linalg.qr(drawn(16, 16))[0])

    def forward(self, x):
        return torch.tanh(self.factor * (x.flatten(1) @ self.rotation)).view(x.shape)


def test_the_exponent_that_a_term_sees_is_that_of_the_spectrum():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4))).eval()
    with torch.no_grad():
        network[1].weight.mul_(3.0)
    states = torch.tanh(drawn(32, 1, 4, 4))
    term = ExponentTerm(states, 0.0)
    for _ in range(250):
        term.loss(network)
    seen = term.state()["mean"]
    spectrum = lm.lyapunov_spectrum(
        lm.wrap(network, state_shape=(1, 4, 4)), states[:8], n_steps=400, transient=100, n_exponents=1, throw=False
    )
    assert seen == pytest.approx(spectrum.exponents[0], abs=0.1)


class Wrapped(nn.Module):
    """x -> s x folded back into [-1/2, 1/2]: its exponent is log s exactly, for any s."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        y = self.factor * x
        return y - torch.round(y.detach())


@pytest.mark.parametrize("target", [-0.2, 0.1, 0.5])
@pytest.mark.parametrize("start", [0.9, 1.9])
def test_a_map_is_trained_to_the_exponent_asked_for(target, start):
    network, states = Wrapped(start), 0.5 * torch.tanh(drawn(32, 1, 4, 4))
    term, adam = ExponentTerm(states, target), torch.optim.Adam(network.parameters(), 1e-2)
    for step in range(240):
        adam.zero_grad()
        term.loss(network).backward()
        adam.step()
        if step == 180:
            adam.param_groups[0]["lr"] = 1e-3
    assert math.log(network.factor.item()) == pytest.approx(target, abs=0.01)


def test_the_gradient_is_that_of_the_squared_error():
    network, states = Scaled(1.2), torch.tanh(drawn(32, 1, 4, 4))
    term = ExponentTerm(states, 0.4)
    kept = term.state()

    def growth(factor):
        other, again = Scaled(factor), ExponentTerm(states, 0.0)
        again.load_state(kept | {"mean": 0.0})
        again.loss(other)
        return again.state()["mean"] / 0.2

    loss = term.loss(network)
    loss.backward()
    slope = (growth(1.21) - growth(1.19)) / 0.02
    error = term.state()["mean"] - 0.4
    assert float(network.factor.grad) == pytest.approx(2 * error * slope, rel=2e-2)
    assert loss.item() == pytest.approx(error**2)


def test_a_term_goes_on_where_its_state_was_saved():
    network, states = Scaled(1.3), torch.tanh(drawn(40, 1, 4, 4))
    one, other = ExponentTerm(states, 0.1), ExponentTerm(states, 0.1)
    for _ in range(5):
        one.loss(network)
    other.load_state(one.state())
    assert one.loss(network).item() == other.loss(network).item()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"unroll": 0}, "unroll"),
        ({"diversity": -1.0}, "diversity"),
        ({"diversity": math.nan}, "diversity"),
        ({"exponent": math.inf}, "exponent"),
        ({"exponent_weight": -0.5}, "exponent_weight"),
        ({"average": 1.0}, "average"),
    ],
    ids=str,
)
def test_wrong_wishes_are_named(wrong, named):
    with pytest.raises(LyapmapError, match=f"^{named}: "):
        ExtraTerms(**wrong)


def test_only_what_differs_from_the_paper_is_recorded():
    assert ExtraTerms().to_dict() == {}
    assert ExtraTerms(unroll=3, average=0.99).to_dict() == {"unroll": 3, "average": 0.99}
