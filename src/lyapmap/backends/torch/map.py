"""Maps made of torch modules and functions, carried with forward-mode differentiation.

Requires torch >= 2.6. With `torch_dual`, the only file of the backends that imports it.
"""

from __future__ import annotations

import copy
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from lyapmap.backends.compiled import CompilableFlow, Twin
from lyapmap.backends.outputs import Given, Selected
from lyapmap.backends.structured import FlatFunction
from lyapmap.backends.timed_field import TimedField
from lyapmap.backends.torch.copies import as_dtype, converted, copied, reason_of, resolved_device, stored_in, tensors_of
from lyapmap.backends.torch.dual import ORDERS, NoRule, Way, carry
from lyapmap.backends.torch.ops import TorchOps
from lyapmap.backends.torch.program import program_of
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError, by_user
from lyapmap.core.map import JACOBIAN_CHUNK, TangentMap, dimension
from lyapmap.core.ops import ArrayOps, quiet
from lyapmap.core.progress import pass_done, step_done
from lyapmap.core.propagate import HANDED_OVER, side_by_side
from lyapmap.core.structure import Structure

CPU_LAYER_BYTES = 10 * 2**20
"""Size of a layer's tangents up to which a CPU carries rows at once: more fall out of its caches."""
DEFAULT_MEMORY_LIMIT = 2 * 2**30
LIVE_TENSORS = 8
"""Tensors of the largest layer that are alive at once while tangents pass through it, about."""

FORWARD, RULES, REVERSE = "forward mode", "forward mode, by rules alone", "reverse mode"
TWICE = "reverse mode twice"
"""A cotangent's pull is linear in it, so that the pull of that pull carries tangents: no n x n matrix is made."""
STEPS = ("round", "floor", "ceil", "trunc", "sign", "fix", "heaviside", "quantize", "fmod", "remainder")
"""Operations, by parts of their names, whose values move in steps; those that give no floating-point numbers do too."""

FEW, MANY = 8, 64
"""Tangents, of all states together, from which the order of a layer's arrays matters; from which they are many."""
CLEARLY = 0.9
"""Share of the usual order's time that another one takes at most, to be taken in its place."""
REPEATED = 16
"""Dimension up to which states are repeated for every row of a Jacobian, in place of `torch.func`."""
TIMINGS = 3
"""Times that each order is tried: by turns, and the shortest time counts, since others may use the machine."""
LONG = 0.5
"""Seconds from which one trial of an order says enough."""
ORDER_VARIABLE = "LYAPMAP_TANGENT_ORDER"

RULES_TOLERANCE = 1e4
"""Roundings, relative to the largest value, within which our rules must agree with torch."""


_one_at_a_time = threading.RLock()
"""Forward mode has one level for the whole process, and what layers of attention may do is set for all of it."""


_orders: dict[tuple[Any, ...], str] = {}
"""Orders that were timed in this process, by the kinds and sizes of a network's layers."""
_timing = threading.Lock()
"""Orders are timed one at a time."""


def _kinds_of(function: Any) -> Any:
    """What two networks share that take the same time; a function without layers is like no other."""
    if not isinstance(function, torch.nn.Module):
        return object()
    return tuple((type(part), tuple(p.shape for p in part.parameters(recurse=False))) for part in function.modules())


class TorchMap(TangentMap):
    """A torch function of a batch of states, with tangents by forward mode.

    Built by `wrap_torch`. All k tangents of a state pass through the network in one batch; states
    and directions are chunked so that a pass stays within `memory_limit` (and, on a CPU, within
    its caches).
    """

    derivative = "forward mode"
    roundoff = 0.0
    """Rounding of the coarsest precision that was seen inside."""
    steps_inside = False
    """Whether rounding, comparisons or whole numbers were seen inside."""
    _products: torch.dtype | None = None

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        state_shape: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device,
        memory_limit: int,
        provenance: dict[str, Any],
    ) -> None:
        self.state_shape = state_shape
        self.ops: ArrayOps = TorchOps(dtype, device)
        self.provenance = provenance
        self._function = function
        self._n = dimension(state_shape)
        self._dtype, self._device = dtype, device
        self.rows_at_once = side_by_side(self.ops, [partial(self._rows_at_once, memory_limit)], HANDED_OVER)[0]
        self._ways = iter((RULES, TWICE, REVERSE))
        self._way, self._first_reason = FORWARD, ""
        self._jacobian_by_tangents = False
        self._has_rules = side_by_side(self.ops, [self._rules_agree], HANDED_OVER)[0]
        self._orders: dict[bool, str] = {}
        self._kinds = _kinds_of(function)
        self.twin = Twin(self, partial(program_of, function, state_shape, dtype))

    def _alone(self, call: Callable[..., Any], evaluations: int, *arguments: Tensor) -> Any:
        """A call in one thread that computes alone; many that share every layer wait for each other."""
        return side_by_side(self.ops, [partial(call, *arguments)], self.row_work * evaluations)[0]

    def apply(self, x: Tensor) -> Tensor:
        images: Tensor = self._alone(self._applied, len(x), x)
        return images

    def jvp(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        carried: tuple[Tensor, Tensor] = self._alone(self._carried, len(x) * (1 + v.shape[-1]), x, v)
        return carried

    def _applied(self, x: Tensor) -> Tensor:
        self._require(x, "x")
        with torch.no_grad():
            parts = [self._image(rows) for rows in x.split(self.rows_at_once)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _carried(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self._require(x, "x")
        self._require(v, "v")
        b, _, k = v.shape
        if k == 0:
            return self._applied(x), v
        if self._way == REVERSE:
            return self._applied(x), torch.bmm(self._jacobian_by_cotangents(x), v)
        directions = min(k, self.rows_at_once)
        states = max(1, self.rows_at_once // directions)
        images, tangents = [], []
        with torch.no_grad():
            if self._in_one_pass(b, k):
                rows, moved = self._carry(self._shaped(x), v.movedim(2, 0).reshape(k, b, *self.state_shape))
                pass_done(b)
                return rows.reshape(b, -1), moved.reshape(k, b, -1).movedim(0, 2)
            for first in range(0, b, states):
                rows = self._shaped(x[first : first + states])
                # (k, b, *shape): directions lead, so that a layer sees them as one large batch.
                moved = v[first : first + states].movedim(2, 0).unflatten(2, self.state_shape)
                passes = []
                for part in moved.split(directions):
                    passes.append(self._carry(rows, part))
                    pass_done(len(rows) * len(part) / k)
                images.append(passes[0][0].flatten(1))
                tangents.append(torch.cat([t for _, t in passes]).flatten(2).movedim(0, 2))
        return torch.cat(images), torch.cat(tangents)

    def propagate(
        self,
        x: Tensor,
        frame: Tensor,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
        """See `TangentMap`, with the same bits; tangents lead all the way from one QR decomposition to the next."""
        b, _, k = frame.shape
        if self._way == REVERSE or not k or not self._in_one_pass(b, k) or not self.carries(frame_dtype):
            return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)
        self._require(x, "x")
        self._require(frame, "v")

        def block() -> tuple[Tensor, Tensor, NDArray[np.float64]]:
            total, rows = np.zeros((b, k)), self._shaped(x)
            vectors, moved = frame, frame.movedim(2, 0).reshape(k, b, *self.state_shape)
            with torch.no_grad(), quiet():
                for step in range(1, n_steps + 1):
                    rows, moved = self._carry(rows.contiguous(), moved)
                    if step % qr_every == 0 or step == n_steps:
                        vectors, r = self.ops.qr(moved.reshape(k, b, -1).movedim(0, 2))
                        total += self.ops.log_abs_diagonal(r)
                        moved = vectors.movedim(2, 0).reshape(k, b, *self.state_shape)
                    step_done(b)
            return rows.reshape(b, -1), vectors, total

        return side_by_side(self.ops, [block], self.row_work * b * (1 + k))[0]

    def _in_one_pass(self, b: int, k: int) -> bool:
        return k <= self.rows_at_once and b <= self.rows_at_once // k

    def _shaped(self, x: Tensor) -> Tensor:
        """States (b, n) as the function takes them; expanded ones share memory, which forward mode refuses."""
        return x.contiguous().view(-1, *self.state_shape)

    def jacobian(self, x: Tensor) -> Tensor:
        """By reverse mode, independent of `jvp`: for square Jacobians it measured 1.6 times faster."""
        self._require(x, "x")
        if self._jacobian_by_tangents:
            return super().jacobian(x)
        return self._jacobian_by_cotangents(x)

    def jacobian_by_tangents(self) -> None:
        """From now on take Jacobians by `jvp`: reverse mode gives something else."""
        self._jacobian_by_tangents = self._way != REVERSE

    def pull(self, x: Tensor, u: Tensor) -> Tensor:
        """The transposed Jacobian applied to one cotangent at each state, (b, n), (b, n) -> (b, n)."""
        parts = zip(x.split(32), u.split(32), strict=True)
        try:
            with torch.enable_grad(), plain_attention():
                return torch.cat([_gradient(self._image, rows, cotangents) for rows, cotangents in parts])
        except (RuntimeError, NotImplementedError):
            parts = zip(x.split(32), u.split(32), strict=True)
            return torch.cat([self._pulled(rows, cotangents[None])[0] for rows, cotangents in parts])

    def for_run(self, x: Tensor, k: int, n_steps: int) -> TangentMap:
        made = self.twin.for_run(x, n_steps)
        if made is None and self.twin.reason:
            self.provenance = self.provenance | {"compiled": f"no: {self.twin.reason}"}
        return made or self

    def along(self, tau: float, scheme: Any) -> TangentMap:
        return CompilableFlow(self, self.twin, tau, scheme)

    def other_derivative(self, reason: str) -> bool:
        """Turn to the next exact way to tangents: our own rules alone, then reverse mode; False where none is left."""
        self._first_reason = self._first_reason or reason
        self._way = next(self._ways, "")
        if self._way == RULES:
            self._has_rules = True  # what they do not know they refuse
        elif self._way:
            self._has_rules = False
            if self._way == TWICE:  # whose graphs hold what all layers made
                self.rows_at_once = max(1, self.rows_at_once // LIVE_TENSORS)
            cost = "about 4 evaluations a tangent" if self._way == TWICE else f"{self._n} cotangents a state and step"
            self.derivative = f"{self._way} ({self._first_reason}; {cost})"
        return bool(self._way)

    def in_float64(self) -> TorchMap | None:
        """The same map in double precision, where the function takes that."""
        function = self._function
        if isinstance(function, nn.Module):
            function = converted(copy.deepcopy(function), torch.float64, self._device)
        with suppress(Exception):  # a function that is made for float32 may complain about anything
            made = TorchMap(function, self.state_shape, torch.float64, self._device, DEFAULT_MEMORY_LIMIT, {})
            return made if made.roundoff < 1e-10 else None
        return None

    @property
    def low_tangent_dtype(self) -> str | None:
        if not self._has_rules or self._dtype != torch.float32 or self._coarse_inside():
            return None
        return "bfloat16" if has_bfloat16(self._device) else None

    def with_tangents(self, dtype: str) -> TorchMap:
        """See `TangentMap`: convolutions and dense layers take weights and tangents in `dtype`; sums are float32."""
        if dtype == self.ops.dtype:
            return self
        if not self._has_rules:
            raise PrecisionError(
                f"tangent_dtype: expected {self.ops.dtype!r} for a network with layers that lyapmap has no rule for, "
                f"got {dtype!r}"
            )
        low = copy.copy(self)
        low._products, low._orders = LOW_DTYPES[dtype], {}
        return low

    def _coarse_inside(self) -> bool:
        return self.roundoff > float(torch.finfo(self._dtype).eps)

    def _jacobian_by_cotangents(self, x: Tensor) -> Tensor:
        unit = torch.eye(self._n, dtype=self._dtype, device=self._device)
        if self._n <= REPEATED:
            with suppress(RuntimeError, NotImplementedError), torch.enable_grad(), plain_attention():
                repeated, units = x.repeat_interleave(self._n, 0), unit.repeat(len(x), 1)
                chunks = zip(repeated.split(self.rows_at_once), units.split(self.rows_at_once), strict=True)
                return torch.cat([_gradient(self._image, *chunk) for chunk in chunks]).view(-1, self._n, self._n)
        states = max(1, self.rows_at_once // JACOBIAN_CHUNK)
        # Rows are independent, so one cotangent serves all states of the batch at once.
        parts = [self._pulled(rows, unit[:, None].expand(-1, len(rows), -1)) for rows in x.split(states)]
        return torch.cat([part.movedim(0, 1) for part in parts])

    def _pulled(self, rows: Tensor, cotangents: Tensor) -> Tensor:
        """The transposed Jacobian applied to cotangents (m, b, n)."""
        try:
            with plain_attention():
                pull = vjp(self._image, rows)[1]
                return vmap(lambda u: pull(u)[0], chunk_size=JACOBIAN_CHUNK)(cotangents).detach()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            try:
                return self._pulled_in_turn(rows, cotangents)
            except (RuntimeError, NotImplementedError):
                raise MapError(f"function: torch cannot differentiate it: {reason_of(error)}") from error

    def _pulled_in_turn(self, rows: Tensor, cotangents: Tensor) -> Tensor:
        """The same without `torch.func`, for functions whose gradient takes one cotangent at a time."""
        with torch.enable_grad(), plain_attention():
            x = rows.detach().clone().requires_grad_(True)
            y = self._image(x)
            return torch.stack([torch.autograd.grad(y, x, u, retain_graph=True)[0] for u in cotangents])

    def _image(self, x: Tensor) -> Tensor:
        return self._function(x.unflatten(1, self.state_shape)).flatten(1)

    def _carry(self, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """Images (b, *shape) and tangents (k, b, *shape) after one step."""
        tangents = tangents.contiguous()
        if self._way == TWICE:
            return self._carry_by_pulls(x, tangents)
        if self._has_rules:
            try:
                return carry(self._function, x, tangents, self._layers(x, tangents))
            except NoRule as error:
                if self._way == RULES or self._products is not None:
                    raise MapError(f"function: has no rule for {error}") from error
                self._has_rules = False
        return self._carry_by_torch(x, tangents)

    def _layers(self, x: Tensor, tangents: Tensor) -> Way:
        """How layers carry tangents (k, b, ...): chosen by a short timing on these, once for few and once for many."""
        if self._device.type != "cpu" or x.ndim != 4 or tangents.shape[:2].numel() < FEW:
            return Way("torch", self._products)
        many = tangents.shape[:2].numel() >= MANY
        with _timing:
            if many not in self._orders:
                key = (self._kinds, self._products, many, x.shape[1:], x.dtype)
                # Other orders have other last bits: a network that is wrapped twice has one order.
                if key not in _orders or os.environ.get(ORDER_VARIABLE):
                    _orders[key] = self._quickest_order(x, tangents)
                self._orders[many] = _orders[key]
                self.provenance = self.provenance | {"tangent_order": self._orders[many]}
        return Way(self._orders[many], self._products)

    def _quickest_order(self, x: Tensor, tangents: Tensor) -> str:
        named = os.environ.get(ORDER_VARIABLE, "")
        if named:
            if named not in ORDERS:
                raise LyapmapError(f"{ORDER_VARIABLE}: expected one of {', '.join(ORDERS)}, got {named!r}")
            return named
        orders = [order for order in ORDERS if order != "slabs" or self._products is None]
        seconds = dict.fromkeys(orders, math.inf)
        for turn in range(TIMINGS + 1):  # the first time weights are laid out
            for order in orders:
                begin = time.thread_time()
                carry(self._function, x, tangents, Way(order, self._products))
                taken = time.thread_time() - begin
                if turn or taken > LONG:  # beside which laying out weights is nothing
                    seconds[order] = min(seconds[order], taken)
            if LONG < max(seconds.values()) < math.inf:
                break
        usual = next(iter(seconds))
        quickest = min(seconds, key=lambda order: seconds[order])
        return quickest if seconds[quickest] < CLEARLY * seconds[usual] else usual

    def _carry_by_torch(self, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        def push(tangent: Tensor) -> Any:
            return jvp(self._function, (x,), (tangent,))

        try:
            with plain_attention():
                image, carried = vmap(push, out_dims=cast(Any, (None, 0)), randomness="error")(tangents)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            raise MapError(f"function: torch cannot carry tangents through it: {reason_of(error)}") from error
        return image, carried

    def _carry_by_pulls(self, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        k, b = tangents.shape[:2]
        rows = x.expand(k, *x.shape).flatten(0, 1).clone().requires_grad_(True)
        u = torch.zeros_like(rows, requires_grad=True)
        try:
            with torch.enable_grad(), plain_attention():
                y = self._function(rows)
                pulled = torch.autograd.grad(y, rows, u, create_graph=True)[0]
                moved = torch.autograd.grad(pulled, u, tangents.flatten(0, 1))[0]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            raise MapError(f"function: torch cannot differentiate its derivative: {reason_of(error)}") from error
        return y[:b].detach(), moved.unflatten(0, (k, b))

    def _rules_agree(self) -> bool:
        """Whether the rules of `dual` know the function, and give what torch gives."""
        draws = torch.Generator().manual_seed(0)
        x = (2 * torch.rand(2, *self.state_shape, generator=draws, dtype=self._dtype) - 1).to(self._device)
        tangents = torch.randn(2, 2, *self.state_shape, generator=draws, dtype=self._dtype).to(self._device)
        tolerance = RULES_TOLERANCE * torch.finfo(self._dtype).eps
        with torch.no_grad():
            try:
                image, moved = carry(self._function, x, tangents)
                wanted = self._function(x)
            except NoRule:
                return False
            if image.shape != wanted.shape or not bool((image - wanted).abs().max() <= tolerance * wanted.abs().max()):
                return False
            try:
                return self._pulls_agree(x, tangents, moved, tolerance)
            except (RuntimeError, NotImplementedError, TypeError, ValueError, MapError):
                pass  # it cannot be differentiated backward
            try:
                forward = self._carry_by_torch(x, tangents)[1]
            except MapError:
                return False
            return moved.shape == forward.shape and bool(
                (moved - forward).abs().max() <= tolerance * forward.abs().max()
            )

    def _pulls_agree(self, x: Tensor, tangents: Tensor, moved: Tensor, tolerance: float) -> bool:
        """Whether u . (J v) is (J' u) . v, for random u; reverse mode loads nothing of torch's that compiles."""
        for seed in (1, 2):
            u = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=self._dtype).to(self._device)
            with torch.enable_grad(), plain_attention():
                pulled = _gradient(self._function, x, u)
            forth, back = ((a * b).flatten(2).sum(-1) for a, b in ((u, moved), (pulled, tangents)))
            size = moved.flatten(2).norm(dim=-1) * u.flatten(1).norm(dim=-1)
            if not bool(((forth - back).abs() <= tolerance * size.max()).all()):
                return False
        return True

    def _require(self, array: Any, name: str) -> None:
        if not isinstance(array, Tensor):
            raise PrecisionError(f"{name}: expected a torch tensor, got {type(array).__name__}")
        if array.dtype != self._dtype or array.device != self._device:
            raise PrecisionError(
                f"{name}: expected {self.ops.dtype} on {self._device}, "
                f"got {str(array.dtype).removeprefix('torch.')} on {array.device}; "
                "wrap the map with the other dtype or device"
            )
        if array.ndim != (2 if name == "x" else 3) or array.shape[1] != self._n:
            shape = tuple(array.shape)
            raise ShapeError(f"{name}: expected {self._n} values per row for {self.state_shape}, got shape {shape}")

    def _rows_at_once(self, memory_limit: int) -> int:
        """Calls the function once, checks what comes back, and measures how large its layers are."""
        probe = torch.full((2, *self.state_shape), 0.5, dtype=self._dtype, device=self._device)
        largest = _LargestOutput()
        try:
            with torch.no_grad(), largest:
                y = self._function(probe)
                if not isinstance(y, Tensor):
                    kind = SelectedModule if isinstance(self._function, nn.Module) else Selected
                    self._function = kind(self._function, Given())
                    y = self._function(probe)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise MapError(f"function: failed on states of shape {tuple(probe.shape)}: {reason_of(error)}") from error
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            if isinstance(error, LyapmapError):
                raise
            raise MapError(f"function: failed on states of shape {tuple(probe.shape)}: {by_user(error)}") from error
        if not bool((probe == 0.5).all()):
            raise MapError("function: it changes the states it is given; let it work on x.clone()")
        if y.shape != probe.shape:
            raise ShapeError(
                f"function: expected {tuple(probe.shape)} for two states of shape {self.state_shape}, "
                f"got {tuple(y.shape)}; only a map of a space to itself can be iterated"
            )
        if y.dtype != self._dtype:
            raise PrecisionError(f"function: expected {self._dtype} back, got {y.dtype}")
        self.roundoff, self.steps_inside = largest.roundoff, largest.steps
        if self._device.type == "cpu":
            self.row_work = largest.work / 2
        per_row = max(largest.bytes / 2, 1.0) * LIVE_TENSORS
        self.row_bytes = per_row
        rows = max(1, int(memory_limit / per_row))
        if self._device.type == "cpu":
            rows = min(rows, max(32, int(2 * CPU_LAYER_BYTES / max(largest.bytes, 1))))
        return rows


LOW_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 numbers much faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(ask is not None and ask() for ask in asked)


def devices() -> dict[str, Any]:
    """What torch can compute on beside the processor, and whether bfloat16 is fast on the processor."""
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cuda": cuda, "bfloat16": has_bfloat16(torch.device("cpu"))}


def _gradient(function: Callable[[Tensor], Tensor], x: Tensor, u: Tensor) -> Tensor:
    """The transposed Jacobian applied to one cotangent at each state.

    `torch.func` would load torch's compiler; and where cotangents are given, a system of computer algebra is loaded.
    """
    given = x.detach().clone().requires_grad_(True)
    return torch.autograd.grad((function(given) * u).sum(), given)[0]


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention computed step by step, the only way of torch's that carries tangents."""
    with _one_at_a_time:
        enabled = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(enabled)


class _LargestOutput(TorchDispatchMode):
    """Records the bytes of the largest tensor that any operation makes; views, as of weights, are none.

    Also the work of all operations, the rounding of the coarsest precision, and whether values move in
    steps somewhere.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # It would load torch's compiler, for seconds, to tell it that there is nothing to do.
        return False

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.work = 0.0
        self.roundoff = 0.0
        self.steps = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {_address(tensor) for tensor in args if isinstance(tensor, Tensor)}
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and _address(tensor) not in given:
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
                self.work += _work(func, args, tensor)
                if tensor.is_floating_point():
                    self.roundoff = max(self.roundoff, torch.finfo(tensor.dtype).eps)
                else:
                    self.steps |= not tensor.is_complex()
        self.steps |= any(name in str(func) for name in STEPS)
        return out


def _work(func: Any, args: Any, out: Tensor) -> float:
    """Floating-point operations of one operation, about."""
    matrices = [a for a in args if isinstance(a, Tensor) and a.ndim >= 2]
    name = func.overloadpacket.__name__
    if name in ("convolution", "_convolution"):
        meets = args[0] if args[6] else out  # transposed: each pixel that goes in, else each that comes out
        return float(2 * meets.numel() * args[1].shape[1:].numel())
    if name in ("mm", "addmm", "bmm", "baddbmm") and len(matrices) >= 2:
        return float(2 * out.numel() * matrices[-1].shape[-2])
    return float(out.numel())


def _address(tensor: Tensor) -> int:
    """Where a tensor's memory lies; a number of its own where it is not one block."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else id(tensor)


def wrap_torch(
    function: Callable[[Tensor], Tensor],
    *,
    state_shape: tuple[int, ...],
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    provenance: dict[str, Any] | None = None,
    compile: bool | None = None,  # noqa: A002  (what users will look for)
) -> TorchMap:
    """Make a map of a torch module or function.

    Parameters
    ----------
    function : torch.nn.Module or callable
        Takes a batch (b, *state_shape) and returns one of the same shape. A module must be in
        evaluation mode; it is copied, so that later training does not change the map, and the map
        never changes it.
    state_shape : tuple of int
        Shape of one state.
    dtype : str or torch.dtype, optional
        float32 or float64. A module's own by default; another one converts the copy. For a
        function torch's default dtype.
    device : str or torch.device, optional
        A module's own by default, else the CPU.
    memory_limit : int
        Bytes that one pass of tangents may take, about.
    provenance : dict, optional
        Plain values that results will record.
    compile : bool, optional
        Whether long runs are carried by compiled code, where the function can be followed (see
        docs/frameworks.md): by default where that pays, with True for runs of any length.

    Returns
    -------
    TorchMap

    Raises
    ------
    LyapmapError
        If a module is in training mode, or what comes back has another shape or dtype.

    Examples
    --------
    >>> import torch
    >>> m = wrap_torch(torch.nn.Tanh().eval(), state_shape=(3,), dtype="float64")
    >>> m.jacobian(torch.zeros(1, 3, dtype=torch.float64))[0].diagonal()
    tensor([1., 1., 1.], dtype=torch.float64)
    """
    shape = tuple(int(s) for s in state_shape)
    if not shape or min(shape) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape}")
    if memory_limit < 1:
        raise LyapmapError(f"memory_limit: expected a positive number of bytes, got {memory_limit}")
    wanted = as_dtype(dtype)
    if isinstance(function, nn.Module):
        module, own_dtype, own_device = copied(function, wanted, device)
        name = type(function).__name__
        described = {"map": name} | stored_in(tensors_of(function)) | (provenance or {})
        made = TorchMap(module, shape, own_dtype, own_device, memory_limit, described)
        made.twin.wanted = compile
        return made
    if not callable(function):
        raise MapError(f"function: expected a torch module or function, got {type(function).__name__}")
    own_device = resolved_device(device or "cpu")
    name = getattr(function, "__name__", type(function).__name__)
    described = {"map": name} | (provenance or {})
    made = TorchMap(function, shape, wanted or torch.get_default_dtype(), own_device, memory_limit, described)
    made.twin.wanted = compile
    return made


class TimedModule(torch.nn.Module):
    """Keeps the module's parameters in sight, by which dtype and device are found."""

    def __init__(self, module: torch.nn.Module, field: TimedField) -> None:
        super().__init__()
        self.module = module
        self._field = TimedField(self.module, field.order, field.state_shape, field.time, field.vectorized)
        self._field.third = field.third
        self.train(module.training)

    def forward(self, z: torch.Tensor) -> Any:
        return self._field(z)


class SelectedModule(nn.Module):
    """A module with inputs beside the state, of whose answers one array is taken; copied and moved like any module."""

    def __init__(self, module: nn.Module, given: Given) -> None:
        super().__init__()
        self.module = module
        self.given = given
        self.training = module.training

    def forward(self, state: Any) -> Any:
        return self.given.call(self.module, state)


class FlatModule(nn.Module):
    """A module that holds another one, so that it is checked, copied and moved like any module."""

    def __init__(self, module: nn.Module, structure: Structure) -> None:
        super().__init__()
        self.module = module
        self.structure = structure
        self.training = module.training

    def forward(self, x: Tensor) -> Tensor:
        return FlatFunction(self.module, self.structure)(x)
