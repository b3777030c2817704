"""Callbacks that measure exponents while other loops train: Keras's `fit`, Lightning's `Trainer`."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lyapmap as lm
from keras_samples import needs_keras
from lyapmap.training.exponents import Measurement, Watch, scalars
from lyapmap.training.lightning_callback import LyapunovCallback as OfLightning

QUICK = {"n_exponents": 2, "n_trajectories": 2, "transient": 0, "n_steps": 10}
STATES = np.random.default_rng(0).uniform(-1, 1, (4, 3)).astype("float32")


class Module(torch.nn.Module):
    """Stands for a LightningModule: a network under a name, and what is logged."""

    def __init__(self, scale=0.5):
        super().__init__()
        self.generator = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Dropout(0.5))
        with torch.no_grad():
            self.generator[0].weight.copy_(scale * torch.eye(3))
        self.logged = {}

    def log_dict(self, values, **options):
        self.logged |= values


def trained(callback, module, epochs, zero=True):
    for epoch in range(epochs):
        callback.on_train_epoch_end(SimpleNamespace(current_epoch=epoch, is_global_zero=zero), module)


def test_lightning_callback_measures_the_named_network_every_few_epochs():
    module = Module().train()
    callback = OfLightning(torch.from_numpy(STATES), every=2, generator="generator", **QUICK)
    trained(callback, module, 5)
    assert [entry["epoch"] for entry in callback.history] == [2, 4]
    assert module.logged["lyapunov_1"] == pytest.approx(np.log(0.5), abs=1e-5)
    assert set(module.logged) == {"lyapunov_1", "lyapunov_2", "kaplan_yorke"}
    assert callback.history[0]["status"] == "ok"
    assert module.training
    assert module.generator[1].training


def test_only_the_first_process_measures():
    module = Module()
    callback = OfLightning(STATES, every=1, generator=lambda m: m.generator, **QUICK)
    trained(callback, module, 2, zero=False)
    assert callback.history == []
    assert module.logged == {}


def test_parts_that_did_not_train_stay_so():
    module = Module().train()
    module.generator[1].eval()
    trained(OfLightning(STATES, every=1, generator="generator", **QUICK), module, 1)
    assert module.training
    assert not module.generator[1].training


def test_a_network_that_cannot_be_measured_does_not_end_the_training(caplog):
    module = Module()
    module.generator = torch.nn.Linear(3, 2)
    callback = OfLightning(STATES, every=1, generator="generator", **QUICK)
    with caplog.at_level(logging.WARNING, "lyapmap"):
        trained(callback, module, 1)
    assert "only a map of a space to itself" in callback.history[0]["error"]
    assert "epoch 1: the exponents cannot be measured" in caplog.text
    assert module.logged == {}
    callback = OfLightning(STATES, every=1, generator="net.generator", **QUICK)
    trained(callback, Module(), 1)
    assert callback.history[0]["error"] == "generator: Module has no 'net.generator'"


def test_an_escape_is_written_down_without_numbers():
    module = Module(scale=1e30)
    callback = OfLightning(STATES, every=1, generator="generator", **QUICK)
    trained(callback, module, 1)
    assert callback.history[0]["status"] == "escaped"
    assert "kaplan_yorke" not in module.logged


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "every: expected a number of at least 1|every: expected at least 1, got 0"),
        ({"n_exponents": 0}, "n_exponents: expected at least 1"),
        ({"n_steps": 0}, "n_steps: expected at least 1"),
        ({"generator": 3}, "generator: expected None, the name of an attribute or a function, got int"),
    ],
)
def test_bad_options_are_refused_at_once(options, words):
    with pytest.raises(lm.LyapmapError, match=words):
        OfLightning(STATES, **options)


def test_states_must_be_a_batch():
    for states in (np.zeros(3), np.zeros((0, 3))):
        with pytest.raises(lm.LyapmapError, match="states: expected a batch of initial states"):
            OfLightning(states)


@given(st.integers(1, 9), st.integers(0, 60))
def test_it_is_due_every_so_many_epochs(every, epochs):
    watch = Watch(STATES, every, None, Measurement())
    assert sum(watch.due(epoch) for epoch in range(1, epochs + 1)) == epochs // every


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5)), max_size=5), st.one_of(st.none(), st.floats(0, 9)))
def test_loggers_get_only_what_is_known(exponents, dimension):
    found = scalars({"exponents": exponents, "kaplan_yorke": dimension})
    assert all(isinstance(value, float) for value in found.values())
    assert len(found) == sum(e is not None for e in exponents) + (dimension is not None)


def test_a_measurement_is_the_spectrum_of_the_library():
    henon = lm.systems.henon()
    x0 = henon.initial_states(4, 0)
    found = Measurement(2, 3, 50, 200, 7).of(henon, x0)
    direct = lm.lyapunov_spectrum(henon, x0[:3], n_steps=200, transient=50, n_exponents=2, seed=7)
    assert found["exponents"] == pytest.approx(direct.exponents, abs=1e-6)
    assert found["kaplan_yorke"] == pytest.approx(direct.kaplan_yorke, abs=1e-6)


@pytest.mark.filterwarnings("default")  # what Lightning says about itself
def test_in_lightning_itself():
    lightning = pytest.importorskip("lightning.pytorch", reason="needs lightning: pip install lightning")

    class Trained(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.generator = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh())

        def training_step(self, batch, index):
            return ((self.generator(batch) - batch) ** 2).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    callback = OfLightning(STATES, every=2, generator="generator", **QUICK)
    trainer = lightning.Trainer(
        max_epochs=4,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Trained(), torch.utils.data.DataLoader(torch.from_numpy(STATES), batch_size=2))
    assert [entry["epoch"] for entry in callback.history] == [2, 4]
    logged = float(trainer.callback_metrics["lyapunov_1"])
    assert logged == pytest.approx(callback.history[-1]["exponents"][0], abs=1e-5)


@needs_keras
def test_in_fit_of_keras():
    import keras
    from keras import layers

    from lyapmap.training.keras_callbacks import LyapunovCallback

    class Wrapper(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator = keras.Sequential(
                [layers.Input((3,)), layers.Dense(3, kernel_initializer="identity"), layers.Dropout(0.5)]
            )

        def call(self, x, training=False):
            return self.generator(x, training=training)

    model = Wrapper()
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.generator.layers[0].kernel.assign(0.5 * np.eye(3))
    callback = LyapunovCallback(STATES, every=2, generator="generator", **QUICK)
    history = model.fit(STATES, STATES, epochs=3, verbose=0, callbacks=[callback])
    assert [entry["epoch"] for entry in callback.history] == [2]
    assert callback.history[0]["exponents"] == pytest.approx([np.log(0.5)] * 2, abs=1e-5)
    assert history.history["lyapunov_1"] == [callback.history[0]["exponents"][0]]
    assert len(history.history["loss"]) == 3
    # Weights that have moved since are measured as they are.
    model.generator.layers[0].kernel.assign(0.25 * np.eye(3))
    model.fit(STATES, STATES, epochs=2, verbose=0, callbacks=[callback])
    assert callback.history[-1]["exponents"][0] == pytest.approx(np.log(0.25), abs=1e-5)


@needs_keras
def test_keras_goes_on_where_nothing_can_be_measured():
    import keras
    from keras import layers

    from lyapmap.training.keras_callbacks import LyapunovCallback

    model = keras.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile(optimizer="sgd", loss="mse")
    callback = LyapunovCallback(STATES, every=1, **QUICK)
    history = model.fit(STATES, STATES[:, :2], epochs=1, verbose=0, callbacks=[callback])
    assert "lyapunov_1" not in history.history
    assert "error" in callback.history[0]
