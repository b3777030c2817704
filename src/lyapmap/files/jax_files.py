"""Parameters of flax (`.msgpack`) and equinox (`.eqx`), with the network that they belong to."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from lyapmap.backends import wrap
from lyapmap.core.errors import CheckpointError, LyapmapError, MapError, by_user
from lyapmap.core.map import TangentMap
from lyapmap.core.reading.bounded import content, parsing
from lyapmap.files.model import Saved, Wanted, imported, made, parameters_of


def read(path: Path, label: str, wanted: Wanted) -> Saved:
    """The network of a file, as a function of rows of states."""
    data = content(path, CheckpointError)
    if wanted.network is None:
        raise CheckpointError(
            f"network: {path.name} holds weights and not their network; give its class, e.g. mynet:Net"
        )
    function = (_flax if path.suffix == ".msgpack" else _equinox)(data, path, wanted)
    origin = {"model": label, "sha256": hashlib.sha256(data).hexdigest(), "map": function.__name__}
    return Saved(function, origin)


def as_map(saved: Saved, **options: Any) -> TangentMap:
    """The network as a map."""
    shape = options.pop("state_shape", None)
    if shape is None:
        raise LyapmapError(f"state_shape: {saved.origin['model']} needs the shape of one state, e.g. 2 or 32,32,3")
    return wrap(saved.module, state_shape=shape, backend="jax", provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """Nothing: these files do not say how they were trained."""
    return {}


def _flax(data: bytes, path: Path, wanted: Wanted) -> Any:
    from flax import linen, serialization

    with parsing(path, "damaged, or nothing that flax.serialization wrote", CheckpointError):
        stored = serialization.msgpack_restore(data)
        variables = stored if "params" in stored else {"params": stored}
    network = made(wanted.network, wanted.network_args, linen.Module)

    def apply(x: Any, *inputs: Any, **named: Any) -> Any:
        try:
            return network.apply(variables, x, *inputs, **named)
        except Exception as error:
            if type(error).__module__.startswith("flax"):
                raise MapError(f"function: does not fit {type(network).__name__}: {by_user(error)}") from None
            raise

    apply.__name__ = type(network).__name__
    return apply


def _equinox(data: bytes, path: Path, wanted: Wanted) -> Any:
    import equinox
    import jax

    arguments = dict(wanted.network_args)
    target = imported(wanted.network, "network") if isinstance(wanted.network, str) else wanted.network
    takes_key = not isinstance(target, equinox.Module) and "key" in {p.name for p in parameters_of(target)}
    if takes_key and "key" not in arguments:
        arguments["key"] = jax.random.key(0)  # the weights drawn by it are replaced at once
    network = made(wanted.network, arguments, equinox.Module)
    with parsing(path, f"does not fit {type(network).__name__}", CheckpointError):
        network = equinox.nn.inference_mode(equinox.tree_deserialise_leaves(io.BytesIO(data), network))

    def apply(x: Any, *inputs: Any, **named: Any) -> Any:
        return jax.vmap(lambda state: network(state, *inputs, **named))(x)

    apply.__name__ = type(network).__name__
    return apply
