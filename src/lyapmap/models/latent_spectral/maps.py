"""Generator, encoder and a latent basis as maps that can be iterated: round trips and rotations.

Networks of torch and of Keras on TensorFlow carry tangents by forward mode; functions of NumPy arrays by what `wrap`
finds. What they share is written in plain arithmetic, so that it works in all of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.latent_basis import LatentBasis, cycle_phases, shift
from lyapmap.analysis.latent_triple import LatentTriple, is_keras
from lyapmap.backends import wrap
from lyapmap.core.combinators import MapsInTurn, in_turn
from lyapmap.core.errors import LyapmapError, MapError
from lyapmap.core.map import TangentMap

if TYPE_CHECKING:
    import torch

Step = Callable[[Any], Any]
"""Takes and gives a batch of the framework's arrays."""


def round_trip_map(triple: LatentTriple, *, dtype: str | None = None, device: str | None = None) -> TangentMap:
    """Latent space to itself through image space: z -> E(G(z)), with the mean of the encoder.

    Parameters
    ----------
    triple : LatentTriple
        Made by `LatentTriple.of`.
    dtype : "float32" or "float64", optional
        The networks' own by default. They are copied where it is another one.
    device : str, optional
        The networks' own by default.

    Returns
    -------
    TangentMap
        Of M values.

    Raises
    ------
    MapError
        If the triple does not hold its networks, or they are of different frameworks.

    Examples
    --------
    >>> import lyapmap as lm
    >>> triple = lm.LatentTriple.of(lambda z: 2 * z, lambda x: x / 4, lambda x: x, latent=3, categories=3)
    >>> round_trip_map(triple).apply(np.ones((1, 3))).tolist()
    [[0.5, 0.5, 0.5]]
    """
    networks = _Networks(triple, dtype, device)
    return networks.wrapped(lambda z: networks.encode(networks.generate(z)), (triple.latent,), "round trip")


def rotation_map(
    triple: LatentTriple,
    basis: LatentBasis,
    *,
    labels: Sequence[int] | None = None,
    steps: int = 1,
    dtype: str | None = None,
    device: str | None = None,
) -> MapsInTurn:
    """A rotation from label to label, and a round trip after every step: z -> E(G(R z)).

    Parameters
    ----------
    triple : LatentTriple
    basis : LatentBasis
    labels : sequence of int, optional
        In the order of the cycle, which goes from the last back to the first; all by default.
    steps : int
        Steps from one label to the next, each of pi / (2 steps); 3 in the paper.
    dtype, device
        As of `round_trip_map`.

    Returns
    -------
    MapsInTurn
        Of M values and period len(labels) * steps. R includes the length sqrt(M) that it gives its result.
    """
    networks = _Networks(triple, dtype, device)

    def next_turn(turn: Step) -> Step:
        return lambda z: networks.encode(networks.generate(turn(z)))

    return _turns(networks, basis, labels, steps, next_turn, (triple.latent,), "rotation")


def image_rotation_map(
    triple: LatentTriple,
    basis: LatentBasis,
    *,
    labels: Sequence[int] | None = None,
    steps: int = 1,
    dtype: str | None = None,
    device: str | None = None,
) -> MapsInTurn:
    """The rotation as a cyclic generator of images: x -> G(R E(x)); parameters as of `rotation_map`.

    Returns
    -------
    MapsInTurn
        Of images in the shape that the generator gives.
    """
    networks = _Networks(triple, dtype, device)

    def next_turn(turn: Step) -> Step:
        return lambda x: networks.generate(turn(networks.encode(x)))

    return _turns(networks, basis, labels, steps, next_turn, _image_shape(triple), "image rotation")


def image_shift_map(
    triple: LatentTriple,
    basis: LatentBasis,
    *,
    labels: Sequence[int] | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> TangentMap:
    """A cyclic generator that does not depend on the step: x -> G(S E(x)).

    S takes the vector of every label to that of the next, all at once (`lyapmap.analysis.latent_basis.shift`);
    parameters as of `rotation_map`.
    """
    networks = _Networks(triple, dtype, device)
    turn = networks.rotation(shift(basis, labels))
    return networks.wrapped(lambda x: networks.generate(turn(networks.encode(x))), _image_shape(triple), "image shift")


def _image_shape(triple: LatentTriple) -> tuple[int, ...]:
    shape: tuple[int, ...] = triple.images(np.zeros((1, triple.latent), np.float32)).shape[1:]
    return shape


def _turns(
    networks: _Networks,
    basis: LatentBasis,
    labels: Sequence[int] | None,
    steps: int,
    step: Callable[[Step], Step],
    shape: tuple[int, ...],
    name: str,
) -> MapsInTurn:
    phases = cycle_phases(basis, labels, steps)
    made: dict[tuple[int, int, float], TangentMap] = {}
    for phase in phases:
        if phase not in made:
            made[phase] = networks.wrapped(step(networks.rotation(basis.rotation(*phase))), shape, name)
    return in_turn(*(made[phase] for phase in phases))


class _Networks:
    """Generator and encoder as functions of their framework's arrays."""

    def __init__(self, triple: LatentTriple, dtype: str | None, device: str | None) -> None:
        if triple.networks is None:
            raise MapError("triple: does not hold its networks; LatentTriple.of(generator, encoder, ...) keeps them")
        generator, encoder, _ = triple.networks
        kinds = {_kind(network) for network in (generator, encoder)}
        if len(kinds) > 1:
            raise MapError(f"triple: generator and encoder are of different frameworks, {' and '.join(sorted(kinds))}")
        self.backend = kinds.pop()
        self.options: dict[str, Any] = {"dtype": dtype} if dtype else {}
        if self.backend == "torch":
            import torch

            held = next(iter(generator.parameters()), torch.zeros(()))
            wanted = getattr(torch, dtype) if dtype else held.dtype
            generator, encoder = (_converted(network, wanted, device) for network in (generator, encoder))
            place = next(iter(generator.parameters()), torch.zeros(())).device
            self.options = {"dtype": wanted, "device": place}
            self.constant: Callable[[NDArray[Any]], Any] = lambda array: torch.as_tensor(
                array, dtype=wanted, device=place
            )
        else:
            if device is not None:
                raise LyapmapError(f"device: can be chosen for torch networks only, not for {self.backend}")
            kind = np.dtype(dtype or ("float32" if self.backend == "tensorflow" else "float64"))
            self.options = {"dtype": str(kind)}
            self.constant = lambda array: np.asarray(array, kind)
        self._generator, self._encoder = generator, encoder

    def generate(self, z: Any) -> Any:
        return self._generator(z)

    def encode(self, x: Any) -> Any:
        made = self._encoder(x)
        return made[0] if isinstance(made, list | tuple) else made

    def rotation(self, matrix: NDArray[np.float64]) -> Step:
        """z -> R z, given the length sqrt(M)."""
        across, ones = self.constant(matrix.T), self.constant(np.ones((len(matrix), 1)))
        length = math.sqrt(len(matrix))

        def turn(z: Any) -> Any:
            y = z @ across
            return y * (length * ((y * y) @ ones) ** -0.5)

        return turn

    def wrapped(self, function: Step, shape: tuple[int, ...], name: str) -> TangentMap:
        made: TangentMap = wrap(
            function, state_shape=shape, backend=self.backend, provenance={"map": name}, **self.options
        )
        return made


def _kind(network: Any) -> str:
    if is_keras(network):
        return "tensorflow"
    import torch

    return "torch" if isinstance(network, torch.nn.Module) else "numpy"


def _converted(network: torch.nn.Module, dtype: torch.dtype, device: str | None) -> torch.nn.Module:
    """The network itself, or a copy in another dtype or on another device."""
    held = next(iter(network.parameters()), None)
    if held is None or (held.dtype == dtype and device in (None, str(held.device))):
        return network
    return copy.deepcopy(network).to(dtype=dtype, device=device)
