"""What a reference map is: a map that knows where it came from and what to expect of it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.demand import require_room_of_states
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import SameTangents, TangentMap, dimension


@dataclass(frozen=True, kw_only=True)
class Known:
    """Exponents that are known, largest first, in nats per step; of a flow per unit time.

    Attributes
    ----------
    exponents : tuple of float
        All of them, or the largest ones only.
    kind : "exact", "measured" or "published"
        A closed form, a long run in float64 with its standard error, or a figure of the literature.
    parameters : dict
        For which they hold; those not named may have any value.
    standard_error : tuple of float or None
        One for each exponent, where `kind` is "measured"; where it is "published", half a unit of
        the last digit printed.
    formula : str
        The closed form.
    """

    exponents: tuple[float, ...]
    kind: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    standard_error: tuple[float, ...] | None = None
    formula: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class SystemInfo:
    """A reference map as data.

    Attributes
    ----------
    name : str
    factory : callable
        Makes the map.
    formula : str
        The map in one line; a prime marks the image.
    source : str
        Author, year, journal.
    dimension : int or None
        None if it is the user's choice.
    low, high : tuple of float
        A box of initial states in the basin of the attractor, at the default parameters. One
        value stands for every coordinate where the dimension is free.
    known : tuple of Known
        What is known of the exponents, at which parameters.
    identity : str
        What holds for the exponents at all parameters.
    unit : "per step" or "per unit time"
        What the exponents are counted in besides nats: of a flow, per unit time.
    notes : str
        Traps.
    """

    name: str
    factory: Callable[..., ReferenceMap]
    formula: str
    source: str
    dimension: int | None
    low: tuple[float, ...]
    high: tuple[float, ...]
    known: tuple[Known, ...] = ()
    identity: str = ""
    unit: str = "per step"
    notes: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the factory and their defaults."""
        return {name: p.default for name, p in inspect.signature(self.factory).parameters.items()}

    @property
    def region(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The box of initial states, (low, high)."""
        return np.array(self.low), np.array(self.high)

    def known_at(self, **parameters: float) -> Known | None:
        """What is known at these parameters."""
        for known in self.known:
            if all(parameters.get(name) == value for name, value in known.parameters.items()):
                return known
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        facts = ("name", "formula", "source", "dimension", "identity", "unit", "notes")
        plain = {name: getattr(self, name) for name in facts}
        known = [
            {name: getattr(k, name) for name in ("exponents", "kind", "standard_error", "formula")}
            | {"parameters": dict(k.parameters)}
            for k in self.known
        ]
        return plain | {"parameters": self.parameters, "low": self.low, "high": self.high, "known": known}


@final
class ReferenceMap(SameTangents):
    """A map of the catalogue. Carries states and tangents as the map within does.

    Attributes
    ----------
    info : SystemInfo
    name : str
    parameters : dict
    region : (low, high)
        A box of initial states, two arrays (n,).
    known : Known or None
        What is known of its exponents at these parameters.
    mean_log_abs_det : float or None
        log|det J| where it is the same everywhere: what the exponents add up to.
    """

    region: tuple[NDArray[np.float64], NDArray[np.float64]]

    def __init__(
        self,
        inner: TangentMap,
        info: SystemInfo,
        parameters: Mapping[str, Any],
        *,
        known: Known | None = None,
        mean_log_abs_det: float | None = None,
        region: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> None:
        super().__init__(inner)
        self.info = info
        self.name = info.name
        self.parameters = dict(parameters)
        self.known = known
        self._mean_log_abs_det = mean_log_abs_det
        low, high = info.region if region is None else region
        n = dimension(self.state_shape)
        self.region = np.broadcast_to(low, (n,)).copy(), np.broadcast_to(high, (n,)).copy()

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{self.name}({given})"

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return super().provenance | {"map": self.info.name, "parameters": self.parameters}

    @property
    def mean_log_abs_det(self) -> float | None:  # type: ignore[override]
        return self._mean_log_abs_det

    @property
    def known_exponents(self) -> NDArray[np.float64] | None:
        """Exponents known at these parameters, largest first."""
        return None if self.known is None else np.array(self.known.exponents)

    def initial_states(self, b: int, rng: np.random.Generator | int = 0) -> NDArray[np.float64]:
        """Random states (b, n) in the region, from a generator or a seed."""
        if b < 1:
            raise LyapmapError(f"b: expected at least 1 state, got {b}")
        low, high = self.region
        require_room_of_states("initial states", b, len(low))
        return np.random.default_rng(rng).uniform(low, high, (b, len(low)))


def number(name: str, value: float, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> float:
    """A parameter as a finite float within [low, high], or (low, high] with `above`."""
    try:
        parameter = float(value)
    except (TypeError, ValueError):
        parameter = math.nan
    if math.isfinite(parameter) and low <= parameter <= high and not (above and parameter == low):
        return parameter
    if math.isinf(low) and math.isinf(high):
        wanted = "a finite number"
    elif math.isinf(high):
        wanted = f"a number {'>' if above else '>='} {low:g}"
    else:
        wanted = f"a number in {'(' if above else '['}{low:g}, {high:g}]"
    raise LyapmapError(f"{name}: expected {wanted}, got {value!r}")
