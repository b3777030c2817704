"""States that live on beside the training: where they lie, how old they grow, and what is asked of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lyapmap import data
from lyapmap.core.errors import LyapmapError
from lyapmap.files import checkpoint
from lyapmap.models.cycle.extra_losses import ExtraTerms, ReplayPool
from lyapmap.models.cycle.network import CycleConfig, CycleModel
from lyapmap.models.cycle.recipe import POOL_BATCHES, CycleRecipe
from lyapmap.training.distributed import launch
from lyapmap.training.loop import train

CLASSES = (0, 1, 2)
TRAIN, TEST = (data.load("digits", split=split, classes=CLASSES) for split in ("train", "test"))


def images(m=50):
    """Three categories whose values say which they are."""
    return [torch.full((m, 1, 2, 2), 10.0 * i) for i in range(3)]


def recipe(**wishes):
    config = CycleConfig(image_size=8, width=4)
    return CycleRecipe(config, TRAIN, TEST, classes=CLASSES, batch_size=40, terms=ExtraTerms(**wishes))


def test_states_stay_under_their_category():
    torch.manual_seed(0)
    pool = ReplayPool(images(), size=30, renewal=0.0)
    for step in range(6):
        rows, states = pool.draw(30)
        assert len(set(rows.tolist())) == 30
        assert (states == torch.tensor([0.0, 10.0, 20.0]).view(3, 1, 1, 1, 1)).all()
        # A perfect generator: the next category's value, filed under the next category.
        pool.put(rows, ((states + 10) % 30).roll(1, dims=0))
        assert (pool.ages == step + 1).all()


def test_states_live_as_long_as_the_renewal_says():
    torch.manual_seed(1)
    pool = ReplayPool(images(), size=400, renewal=0.1)
    for _ in range(120):
        rows, states = pool.draw(400)
        pool.put(rows, states.roll(1, dims=0))
    # Ages are geometric: (1 - r) / r in the mean, with a deviation of about 9.5.
    ages = pool.ages.double()
    assert float(ages.mean()) == pytest.approx(9.0, abs=4 * 9.5 / 1200**0.5)
    assert int(ages.max()) > 30


@pytest.mark.parametrize(("renewal", "oldest"), [(1.0, 0), (0.0, 7)])
def test_all_anew_or_none(renewal, oldest):
    torch.manual_seed(2)
    pool = ReplayPool(images(), size=5, renewal=renewal)
    for _ in range(7):
        rows, states = pool.draw(5)
        pool.put(rows, states + 1)
    assert (pool.ages == oldest).all()
    if renewal:
        assert (pool.states == torch.tensor([0.0, 10.0, 20.0]).view(3, 1, 1, 1, 1)).all()


def test_a_pool_goes_on_where_its_state_was_saved():
    one, other = (ReplayPool(images(), size=8, renewal=0.3) for _ in range(2))
    torch.manual_seed(3)
    for _ in range(4):
        rows, states = one.draw(3)
        one.put(rows, states + 1)
    other.load_state(one.state())
    kept = torch.get_rng_state()
    drawn = one.draw(3)
    torch.set_rng_state(kept)
    for a, b in zip(drawn, other.draw(3), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ReplayPool(images(), size=0, renewal=0.1), "size: expected at least 1 state, got 0"),
        (lambda: ReplayPool(images(), size=4, renewal=1.5), "renewal: expected a chance"),
        (lambda: ReplayPool(images(), size=4, renewal=0.1).draw(5), "b: expected 1 to 4 states"),
        (lambda: ExtraTerms(replay=1.5), r"replay: expected a part in \[0, 1\], got 1.5"),
        (lambda: ExtraTerms(replay_cycle=-1.0), "replay_cycle: expected a weight"),
    ],
)
def test_what_cannot_be_is_named(make, words):
    with pytest.raises(LyapmapError, match=words):
        make()


def test_discriminators_take_any_number_of_replayed_images():
    torch.manual_seed(0)
    model = CycleModel(CycleConfig(image_size=8, width=4, dropout=0.0)).eval()
    batch, few = torch.tanh(torch.randn(3, 6, 1, 8, 8)), torch.tanh(torch.randn(3, 2, 1, 8, 8))
    by_g, by_f = model.transform(batch)
    bce = nn.BCEWithLogitsLoss()
    wanted = []
    for i, d in enumerate(model.D):
        by_either = torch.cat([by_g[i], few[i]])
        wanted.append(
            bce(d(batch[i]), torch.ones(6))
            + 0.5 * bce(d(by_either), torch.zeros(8))
            + 0.5 * bce(d(by_f[i]), torch.zeros(6))
        )
    torch.testing.assert_close(model.discriminator_losses(batch, by_g, by_f, [few]), torch.stack(wanted))


def test_training_carries_the_pool_on_and_resumes_exactly(tmp_path):
    wishes = {"replay": 0.5, "renewal": 0.1, "replay_cycle": 0.5, "diversity": 1.0}
    whole = train(recipe(**wishes), tmp_path / "whole", epochs=4)
    train(recipe(**wishes), tmp_path / "parts", epochs=1)
    parts = train(recipe(**wishes), tmp_path / "parts", epochs=4)
    pools = [c.training["state"]["recipe"]["pool"] for c in (whole, parts)]
    assert torch.equal(pools[0]["states"], pools[1]["states"])
    assert pools[0]["states"].shape == (3, POOL_BATCHES * 40, 1, 8, 8)
    # 12 steps of 20 states out of 160: one and a half uses each.
    assert 1.0 < pools[0]["ages"].double().mean() < 1.5
    for name, weights in whole.state_dict.items():
        assert torch.equal(weights, parts.state_dict[name])
    assert {"iterates", "diversity"} <= set(whole.training["history"][-1]["losses"])


def test_a_run_begins_with_the_networks_of_another(tmp_path):
    before = train(recipe(), tmp_path / "before", epochs=2)
    after = recipe(replay=0.5, average=0.9)
    after.start_from(before)
    for name, weights in after.generator.state_dict().items():
        assert torch.equal(weights, before.state_dict[name])
    # Without terms of its own it is the earlier run going on.
    same = recipe()
    same.start_from(before)
    again = recipe()
    again.load_state(before.training["state"]["recipe"])
    losses = []
    for one in (same, again):
        torch.manual_seed(0)
        one.start_epoch(2)
        losses.append(one.step(0))
    assert losses[0] == losses[1]
    assert same.checkpoint().training["settings"]["start"] == {"sha256": before.sha256, "epoch": 2}


def test_a_run_begins_with_one_that_knew_no_mean_weights(tmp_path):
    before = train(recipe(), tmp_path, epochs=1)
    del before.training["state"]["recipe"]["mean"]
    after = recipe(average=0.9)
    after.start_from(before)
    for name, weights in after.generator.state_dict().items():
        assert torch.equal(weights, before.state_dict[name])


def test_every_term_in_mixed_precision(tmp_path):
    all_terms = recipe(replay=0.5, renewal=0.5, replay_cycle=0.5, diversity=1.0, exponent=0.1, average=0.9, unroll=2)
    made = train(all_terms, tmp_path, epochs=1, workers=launch(precision="bf16-mixed"))
    pool = made.training["state"]["recipe"]["pool"]
    assert pool["states"].dtype == torch.float32
    assert (pool["ages"] > 0).any()
    for weights in made.state_dict.values():
        assert weights.dtype == torch.float32
        assert weights.isfinite().all()


def test_an_own_learning_rate_stays_when_a_run_begins_with_another(tmp_path):
    before = train(recipe(), tmp_path, epochs=1)
    slow = CycleRecipe(CycleConfig(image_size=8, width=4), TRAIN, TEST, classes=CLASSES, batch_size=40, learning_rate=0)
    slow.start_from(before)
    slow.start_epoch(0)
    slow.step(0)
    for name, weights in slow.generator.state_dict().items():
        assert torch.equal(weights, before.state_dict[name])


def test_a_run_cannot_begin_with_something_else(tmp_path):
    train(recipe(), tmp_path, epochs=1, keep_every=1)
    with pytest.raises(LyapmapError, match="start: holds no more than weights"):
        recipe().start_from(checkpoint.load(tmp_path / "epoch-0001.pt"))
    other = CycleRecipe(CycleConfig(image_size=8, width=6), TRAIN, TEST, classes=CLASSES, batch_size=40)
    with pytest.raises(LyapmapError, match=r"start: expected a model of .*'width': 6.*, got .*'width': 4"):
        other.start_from(checkpoint.load(tmp_path / "last.pt"))


def test_the_cycle_loss_of_replayed_states_is_asked_for():
    plain, asked = recipe(replay=0.5), recipe(replay=0.5, replay_cycle=1.0)
    totals = []
    for one in (plain, asked):
        torch.manual_seed(0)
        one.start_epoch(0)
        totals.append(one.step(0)["total"])
    assert totals[1] > totals[0] + 1
