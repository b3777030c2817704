"""What the explorer computes: everything about one map, in plain values for its page.

One computation at a time: they share the map, which need not bear two threads.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.exponents.tangent_run import Follower
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap, as_states, dimension, rate_unit
from lyapmap.core.plain import plain, with_error
from lyapmap.core.points import channels_first, image_shape
from lyapmap.core.propagate import step_states
from lyapmap.report.hover import sprite

MOST_STEPS = 400
"""Steps of a sequence."""
MOST_SPECTRUM_STEPS = 1_000_000
CLOUD_STEPS, CLOUD_TRANSIENT, CLOUD_POINTS = 120, 100, 480
"""Steps of the trajectories that the map of states is made of, steps before, and points at most."""
STARTS = 24
"""Initial states to choose from."""
SATURATED = 0.1
"""Share of the largest distance from which two sequences no longer part freely."""
FEWEST = 3
"""Steps that a rate is measured over at least."""


class Stopped(LyapmapError):  # noqa: N818  # no error: nobody waits for the result any more
    """Raised within a computation that is no longer wanted."""


class Session:
    """One map, its initial states and what was computed of it.

    Parameters
    ----------
    tangent_map : TangentMap
    x0 : (b, n)
        Initial states to choose from.
    name : str
    seed : int
    """

    def __init__(self, tangent_map: TangentMap, x0: NDArray[Any], *, name: str, seed: int = 0) -> None:
        self.map, self.name, self.seed = tangent_map, name, seed
        self.starts = np.asarray(x0, float)[:STARTS]
        self.shape = tuple(tangent_map.state_shape)
        self.n = dimension(self.shape)
        self.image = image_shape(self.shape)
        low, high = (
            float(end(self.starts)) if self.starts.size else value for end, value in ((np.min, -1.0), (np.max, 1.0))
        )
        self.range = (low, high) if high > low else (low - 1.0, low + 1.0)
        self.cloud: NDArray[Any] | None = None
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def about(self) -> dict[str, Any]:
        """The map, and the states to start from."""
        return plain(
            {
                "name": self.name,
                "shape": self.shape,
                "image": self.image,
                "n": self.n,
                "range": self.range,
                "unit": rate_unit(self.map),
                "starts": self.starts[:, : 8 if self.image is None else 0],
                "count": len(self.starts),
                "images": self._images(self.starts),
            }
        )

    def state(self, given: Mapping[str, Any]) -> NDArray[Any]:
        """The state that a request names: one of the initial ones, of the map of states, or its own numbers.

        Raises
        ------
        LyapmapError
            If it names none.
        """
        if "values" in given:
            values = np.asarray(_numbers(given["values"], self.n))
            return self._laid_out(values)[None]
        for key, rows in (("start", self.starts), ("point", self.cloud)):
            if key in given:
                count = 0 if rows is None else len(rows)
                at = _whole(given, key, 0, count - 1)
                assert rows is not None
                return np.asarray(rows[at])[None]
        raise LyapmapError("state: expected start, point or values")

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers of a state, images row by row with the channels first."""
        state = self.state(given)
        images = self._as_images(state)
        return plain({"values": (state if images is None else images).ravel()})

    def sequence(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A state and what the map makes of it, with the direction that a small difference takes, and its growth."""
        steps = _whole(given, "steps", 1, MOST_STEPS, 40)
        with self._computing():
            states, directions, growth, note = self._carried(self.state(given), steps, None)
        return plain(
            {
                "states": self._shown(states),
                "images": self._images(states),
                "directions": self._direction_images(directions),
                "growth": growth,
                "note": note,
            }
        )

    def nudge(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Two sequences from states that differ in one component: how far apart, measured and by the derivative."""
        steps = _whole(given, "steps", 1, MOST_STEPS, 40)
        component = _whole(given, "component", 0, self.n - 1, 0)
        size = float(_numbers([given.get("size", 0.01)], 1)[0])
        if not 0 < abs(size) < math.inf:
            raise LyapmapError(f"size: expected a number other than zero, got {size:g}")
        state = self.state(given)
        push = np.zeros(self.n)
        push[component] = 1.0
        push = self._laid_out(push)
        with self._computing():
            first, _, growth, note = self._carried(state, steps, push)
            second, _, _, other_note = self._carried(state + size * push, steps, push)
        shared = min(len(first), len(second))
        first, second = first[:shared], second[:shared]
        distance = np.linalg.norm(second - first, axis=1)
        predicted = abs(size) * np.exp(np.concatenate([[0.0], np.cumsum(growth[: shared - 1])]))
        return plain(
            {
                "first": self._images(first),
                "second": self._images(second),
                "difference": self._direction_images(second - first),
                "states": [self._shown(first), self._shown(second)],
                "distance": distance,
                "predicted": predicted,
                **rates(distance, predicted, rate_unit(self.map)),
                "note": note or other_note,
            }
        )

    def embedding(self) -> dict[str, Any]:
        """States along trajectories in the two principal components in which they differ most."""
        with self._computing():
            if self.cloud is None:
                self.cloud = self._attractor()
        rows = self.cloud
        centred = rows - rows.mean(axis=0)
        left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        count = min(2, len(sizes))
        places = np.zeros((len(rows), 2))
        places[:, :count] = left[:, :count] * sizes[:count]
        total = float((sizes**2).sum())
        share = float((sizes[:count] ** 2).sum()) / total if total else math.nan
        return plain({"places": places, "share": share, "images": self._images(rows), "states": self._shown(rows)})

    def spectrum(self, given: Mapping[str, Any], tell: Callable[[str, dict[str, Any]], None]) -> None:
        """Measure the spectrum; `tell` hears of each "estimate" and of the "result".

        Raises
        ------
        Stopped
            If `tell` raises it: nobody listens any more.
        """
        steps = _whole(given, "steps", 10, MOST_SPECTRUM_STEPS, 300)
        k = _whole(given, "exponents", 1, min(self.n, 64), min(self.n, 4))
        b = min(len(self.starts), 4)

        def see(done: int, total: int, mean: NDArray[Any], error: NDArray[Any], counted: int) -> None:
            if self.stopped.is_set():
                raise Stopped
            tell(
                "estimate", plain({"done": done, "total": total, "steps": counted, "exponents": mean, "stderr": error})
            )

        with self.lock:
            result = lyapunov_spectrum(
                self.map,
                self.starts[:b],
                n_steps=steps,
                transient=max(steps // 4, 10),
                n_exponents=k,
                seed=self.seed,
                progress=Follower(see),
                throw=False,
            )
        words = [with_error(float(v), float(e)) for v, e in zip(result.exponents, result.stderr, strict=True)]
        tell(
            "result",
            plain(
                {
                    "sentence": result.sentence,
                    "failed": result.failed,
                    "exponents": result.exponents,
                    "stderr": result.stderr,
                    "words": [] if result.failed else words,
                    "unit": result.unit,
                    "message": "; ".join(part for part in (result.message, result.remedy) if part),
                }
            ),
        )

    # Pieces

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with self.lock, self.map.ops.session(self.n), np.errstate(all="ignore"):
            yield

    def _carried(
        self, state: NDArray[Any], steps: int, direction: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], str]:
        """States (steps + 1, n), unit directions beside them, growth of each step in nats, and what went wrong."""
        ops = self.map.ops
        x, _ = as_states(state, self.map)
        v = np.random.default_rng(self.seed).standard_normal(self.n) if direction is None else direction
        v = v / np.linalg.norm(v)
        states, directions, growth, note = [ops.to_numpy(x)[0]], [v], [], ""
        for step in range(steps):
            if self.stopped.is_set():
                raise Stopped
            tangent = ops.from_numpy(v[None, :, None], ops.dtype)
            y, image = self.map.at(step).jvp(x, tangent)
            length = float(np.linalg.norm(ops.to_numpy(image)[0, :, 0].astype(float)))
            x = y
            row = ops.to_numpy(x)[0]
            if not np.isfinite(row).all():
                note = f"a state is not finite after step {step + 1}"
                break
            states.append(row)
            growth.append(math.log(length) if 0 < length < math.inf else math.nan)
            v = ops.to_numpy(image)[0, :, 0].astype(float) / length if 0 < length < math.inf else np.zeros(self.n)
            directions.append(v)
        return np.array(states, float), np.array(directions), np.array(growth), note

    def _attractor(self) -> NDArray[Any]:
        b = min(len(self.starts), 8)
        x, _ = as_states(self.starts[:b], self.map)
        x = step_states(self.map, x, n_steps=CLOUD_TRANSIENT)
        rows = []
        for step in range(CLOUD_STEPS):
            if self.stopped.is_set():
                raise Stopped
            x = step_states(self.map, x, n_steps=1, first_step=CLOUD_TRANSIENT + step)
            rows.append(self.map.ops.to_numpy(x).astype(float))
        states = np.concatenate(rows)
        states = states[np.isfinite(states).all(axis=1)]
        if not len(states):
            raise LyapmapError("every trajectory escapes: there is no attractor to show")
        return states[np.unique(np.linspace(0, len(states) - 1, min(CLOUD_POINTS, len(states))).astype(int))]

    def _as_images(self, rows: NDArray[Any]) -> NDArray[Any] | None:
        if self.image is None:
            return None
        return channels_first(np.asarray(rows).reshape(-1, *self.shape))

    def _laid_out(self, values: NDArray[Any]) -> NDArray[Any]:
        """Numbers of an image with the channels first, as the map orders them."""
        from lyapmap.core.points import laid_out

        if self.image is None:
            return values
        return np.asarray(laid_out(values.reshape(1, *self.image), self.shape)).reshape(-1)

    def _images(self, rows: NDArray[Any]) -> dict[str, Any] | None:
        images = self._as_images(rows)
        return None if images is None or not len(images) else sprite(images, self.range)

    def _direction_images(self, rows: NDArray[Any]) -> dict[str, Any] | None:
        """Directions as images: red where a pixel rises, blue where it falls, grey where it stays."""
        images = self._as_images(rows)
        if images is None or not len(images):
            return None
        signed = images.mean(axis=1)
        largest = np.abs(signed).reshape(len(signed), -1).max(axis=1)
        scaled = signed / np.where(largest > 0, largest, 1.0)[:, None, None]
        scaled = np.sign(scaled) * np.sqrt(np.abs(scaled))  # so that weak pixels are seen beside strong ones
        up, down = np.clip(scaled, 0, 1), np.clip(-scaled, 0, 1)
        return sprite(np.stack([1 - 1.6 * down, 1 - 0.9 * up - 0.9 * down, 1 - 1.6 * up], axis=1), (-1.0, 1.0))

    def _shown(self, rows: NDArray[Any]) -> Any:
        """The first components of states that are no images."""
        return rows[:, :3] if self.image is None else []


def rates(distance: NDArray[Any], predicted: NDArray[Any], unit: str) -> dict[str, Any]:
    """Rates at which two sequences part, measured and by the derivative, over the steps while they part freely.

    >>> steps = np.arange(8)
    >>> rates(1e-6 * 2.0**steps, 1e-6 * 2.0**steps, "per step")["measured"]
    0.693
    """
    free = len(distance)
    above = np.flatnonzero(distance > SATURATED * max(float(distance.max()), 1e-300))
    if len(above) and distance.max() > 30 * max(float(distance[0]), 1e-300):
        free = int(above[0])
    last = max(free - 1, 0)
    usable = last >= FEWEST and (distance[[0, last]] > 0).all() and (predicted[[0, last]] > 0).all()
    if not usable:
        return {"measured": None, "expected": None, "until": last, "words": "too few steps to tell a rate"}
    measured, expected = (float(np.log(part[last] / part[0]) / last) for part in (distance, predicted))
    words = f"over {last} steps they part at {measured:.3g} nats {unit}; the derivative says {expected:.3g}"
    return {"measured": round(measured, 3), "expected": round(expected, 3), "until": last, "words": words}


def _whole(given: Mapping[str, Any], key: str, low: int, high: int, otherwise: int | None = None) -> int:
    value = given.get(key, otherwise)
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise LyapmapError(f"{key}: expected a whole number, got {str(value)[:40]!r}") from None
    if (isinstance(value, float) and value != number) or not low <= number <= high:
        raise LyapmapError(f"{key}: expected {low} to {high}, got {str(value)[:40]}")
    return number


def _numbers(values: Any, n: int) -> NDArray[Any]:
    try:
        numbers = np.asarray(values, float).ravel()
    except (TypeError, ValueError):
        raise LyapmapError("values: expected numbers") from None
    if numbers.size != n or not np.isfinite(numbers).all():
        raise LyapmapError(f"values: expected {n} finite numbers, got {numbers.size}")
    return numbers
