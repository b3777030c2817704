"""Checkpoints of `tf.train.Checkpoint` as programs of the Keras 2 era wrote them, and SavedModels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from command_line import invoke
from keras_samples import both, needs_keras
from lyapmap.core.errors import CheckpointError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.models.cycle.config import CycleConfig
from lyapmap.training import convert

pytestmark = needs_keras

SMALL = CycleConfig(image_size=8, width=4)
NORM = {"gamma": "gamma", "beta": "beta"}


@pytest.fixture(scope="module")
def network():
    return both(SMALL, seed=1)[1]


def sequential(seed):
    """A generator as such programs build it: a Sequential model with a block of their own."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    rest = {"padding": "same", "use_bias": False}

    class Block(layers.Layer):
        def __init__(self, channels):
            super().__init__()
            self.conv1 = layers.Conv2D(channels, 3, padding="same", bias_initializer="random_normal")
            self.conv2 = layers.Conv2D(channels, 3, padding="same", bias_initializer="random_normal")
            self.bn1 = layers.LayerNormalization(gamma_initializer="random_normal")
            self.bn2 = layers.LayerNormalization(gamma_initializer="random_normal")
            self.relu = layers.ReLU()

        def call(self, x):
            return x + self.conv2(self.relu(self.bn2(self.conv1(self.relu(self.bn1(x))))))

    def norm():
        return [layers.LayerNormalization(axis=[1, 2], gamma_initializer="random_normal"), layers.LeakyReLU()]

    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            *(layers.Conv2D(4, 3, strides=2, **rest), *norm()),
            *(layers.Conv2D(8, 3, strides=2, **rest), *norm()),
            *(Block(8), layers.Dropout(0.1)),
            *(layers.Conv2DTranspose(8, 3, **rest), *norm()),
            *(layers.Conv2DTranspose(4, 5, strides=2, **rest), *norm()),
            layers.Conv2DTranspose(1, 5, strides=2, activation="tanh", **rest),
        ]
    )


def as_keras_2(network, swapped=False):
    """Objects with the names that Keras 2 gives to the layers of such a model.

    They are numbered beyond 9; the parts of the block have names of their own.
    """
    import tensorflow as tf

    def holder(layer, names):
        return tf.train.Checkpoint(**{name: tf.Variable(getattr(layer, ours).numpy()) for name, ours in names.items()})

    block = network.get_layer("residual")
    kernel = {"kernel": "kernel"}
    parts = {
        "conv2" if swapped else "conv1": holder(block.conv1, kernel | {"bias": "bias"}),
        "conv1" if swapped else "conv2": holder(block.conv2, kernel | {"bias": "bias"}),
        "bn1": holder(block.norm1, NORM),
        "bn2": holder(block.norm2, NORM),
    }
    stages = [
        holder(network.get_layer(f"{stage}_{part}"), NORM if part == "norm" else kernel)
        for stage in ("down1", "down2", "up1", "up2")
        for part in ("conv", "norm")
    ]
    layers = [*stages[:4], tf.train.Checkpoint(**parts), *stages[4:], holder(network.get_layer("up3"), kernel)]
    named = {f"layer_with_weights-{i}": layer for i, layer in enumerate(layers)}
    return tf.train.Checkpoint(**named)


def through(network):
    x = np.random.default_rng(0).uniform(-1, 1, (2, *network.input_shape[1:])).astype("float32")
    return np.asarray(network(x, training=False))


def refused(path, **options):
    with pytest.raises(CheckpointError) as caught:
        zoo.load_saved(path, **options)
    return str(caught.value)


@pytest.fixture(scope="module")
def keras_3(tmp_path_factory):
    """Folder of a checkpoint with two generators, a discriminator and an optimizer; the generators."""
    import keras
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("checkpoints")
    g, f = sequential(0), sequential(1)
    optimizer = keras.optimizers.Adam()
    optimizer.build(g.trainable_variables)  # now the variables' first names are those of the optimizer
    judge = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.Dense(1)])
    everything = tf.train.Checkpoint(
        generator_g=g, generator_f=f, discriminator_x=judge, generator_g_optimizer=optimizer
    )
    tf.train.CheckpointManager(everything, str(folder), max_to_keep=1).save()
    return folder, g, f


def test_both_generators_of_a_checkpoint(keras_3):
    folder, g, f = keras_3
    for part, ours in (("generator_g", g), ("generator_f", f)):
        for path in (folder, folder / "ckpt-1", folder / "ckpt-1.index"):
            saved, _ = zoo.load_saved(path, part=part)
            assert np.abs(through(saved.module) - through(ours)).max() < 1e-5
    assert saved.config == SMALL.to_dict()
    assert saved.sample_states is None
    assert saved.origin["model"] == "ckpt-1.index generator_f"
    assert len(saved.origin["sha256"]) == 64


def test_the_part_must_be_named_and_be_a_generator(keras_3):
    folder, *_ = keras_3
    words = refused(folder / "ckpt-1")
    assert words == ("part: ckpt-1 holds discriminator_x, generator_f, generator_g; choose one with --part (part=...)")
    assert "holds discriminator_x, generator_f, generator_g, got 'G'" in refused(folder, part="G")
    words = refused(folder, part="discriminator_x")
    assert "discriminator_x: a cycle generator has 7 convolutions and 6 norms, not 2 convolutions and 0 norms" in words
    result = invoke(["spectrum", "--model", str(folder)])
    assert result.exit_code == 2
    assert "choose one with --part" in result.stderr


@pytest.mark.parametrize("whole", [False, True])
def test_names_of_keras_2(tmp_path, network, whole):
    """Below the name that the program gave it, and at the root, as save_weights of Keras 2 writes it."""
    import tensorflow as tf

    given = as_keras_2(network)
    (given if whole else tf.train.Checkpoint(generator_g=given)).write(str(tmp_path / "ckpt-3"))
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "ckpt-3"))]
    prefix = "" if whole else "generator_g/"
    assert f"{prefix}layer_with_weights-4/conv1/kernel/.ATTRIBUTES/VARIABLE_VALUE" in names
    saved, _ = zoo.load_saved(tmp_path / "ckpt-3")
    assert np.array_equal(through(saved.module), through(network))


def test_numbers_of_layers_count_more_than_the_order_in_the_file(tmp_path, network):
    import tensorflow as tf

    tf.train.Checkpoint(g=as_keras_2(network, swapped=True)).write(str(tmp_path / "ckpt"))
    saved, _ = zoo.load_saved(tmp_path / "ckpt")
    block, ours = saved.module.get_layer("residual"), network.get_layer("residual")
    assert np.array_equal(block.conv1.kernel.numpy(), ours.conv2.kernel.numpy())


def test_conversion_of_a_checkpoint_to_torch(keras_3, tmp_path):
    folder, g, _ = keras_3
    values = invoke(["convert", str(folder), str(tmp_path / "g.pt"), "--part", "generator_g", "--json"])
    assert json.loads(values.stdout)["difference"] < 1e-5
    assert checkpoints.load(tmp_path / "g.pt").config == SMALL.to_dict()
    done = convert(tmp_path / "g.pt", tmp_path / "g.keras")
    assert done.sample_states == 0
    saved, _ = zoo.load_saved(tmp_path / "g.keras")
    assert np.abs(through(saved.module) - through(g)).max() < 1e-5


def test_what_does_not_fit_is_named(tmp_path, network):
    import tensorflow as tf

    def written(change):
        given = as_keras_2(network)
        change(given)
        tf.train.Checkpoint(g=given).write(str(tmp_path / "ckpt"))
        return refused(tmp_path / "ckpt")

    def wider(given):
        getattr(given, "layer_with_weights-2").kernel = tf.Variable(np.zeros((3, 3, 4, 9), np.float32))

    def with_bias(given):
        getattr(given, "layer_with_weights-9").bias = tf.Variable(np.zeros(1, np.float32))

    assert "layer_with_weights-2/kernel has shape (3, 3, 4, 9), expected (3, 3, 4, 8) for down2_conv" in written(wider)
    assert "ckpt g: layer_with_weights-9 has a bias that a cycle generator has not" in written(with_bias)


def test_damaged_and_other_checkpoints_are_refused(tmp_path, keras_3):
    import tensorflow as tf

    folder, *_ = keras_3
    for part in ("index", "data-00000-of-00001"):
        data = (folder / f"ckpt-1.{part}").read_bytes()
        (tmp_path / f"ckpt-1.{part}").write_bytes(data if part == "index" else data[:100])
    assert "truncated, damaged or not a TensorFlow checkpoint" in refused(tmp_path / "ckpt-1", part="generator_g")
    (tmp_path / "ckpt-2.index").write_bytes(b"nothing")
    assert "truncated, damaged or not a TensorFlow checkpoint" in refused(tmp_path / "ckpt-2")
    assert "no such file" in refused(tmp_path / "ckpt-7.index")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-9"')
    assert "names no checkpoint that is there" in refused(tmp_path)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "named"), tensor_names=["w"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
    )
    assert "a checkpoint of names, not of tf.train.Checkpoint" in refused(tmp_path / "named")
    tf.train.Checkpoint(a=tf.Variable(1.0)).write(str(tmp_path / "empty"))
    assert "holds no network with convolutions" in refused(tmp_path / "empty")


def test_a_saved_model_only_for_those_who_trust_it(tmp_path):
    import tensorflow as tf

    class Doubling(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
        def step(self, x):
            return {"y": 2 * x % 1}

    module = Doubling()
    folder = tmp_path / "doubling"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.step})
    assert "refused, because a SavedModel is a program" in refused(folder)
    arguments = ["spectrum", "--model", str(folder), "-n", "10", "--transient", "0", "--json"]
    result = invoke(arguments)
    assert result.exit_code == 2
    assert "--trust" in result.stderr
    result = invoke([*arguments, "--trust"])
    values = json.loads(result.stdout)
    assert values["exponents"] == pytest.approx([np.log(2)] * 2, abs=1e-5)
    (folder / "saved_model.pb").write_bytes(b"nothing")
    assert "TensorFlow cannot load it" in refused(folder, trust=True)
