"""Several processes that train together: which rows each takes, and what they agree on.

Every process holds the whole model and draws the same random numbers; only the rows of a batch are divided. One
process alone needs nothing of this; several, and mixed precision, need lightning-fabric, which starts
them, finds `torchrun`, and carries tensors between them.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function_unary

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, MissingExtraError

_REFUSED = {
    function: name
    for name in ("dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu")
    for function in [getattr(F, name)]
}


_LEVELS = 1 << 16
"""Of the random numbers that decide what `dropout` drops: one of 16 bits for each value."""


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Dropout whose random numbers cost a third of those of torch on a CPU.

    The probability is rounded to a multiple of 2 ** -16, and what is kept is scaled accordingly. Numbers come from
    torch's global generator; on other devices this is torch's own function.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> kept = dropout(torch.ones(10_000), 0.1)
    >>> [round(value, 3) for value in kept.unique().tolist()], round(kept.mean().item(), 2)
    ([0.0, 1.111], 1.0)
    """
    if not training or p == 0.0:  # first of all, so that tangents pass, which know nothing of this function
        return x
    if has_torch_function_unary(x):
        return handle_torch_function(dropout, (x,), x, p, training)
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped = round(p * _LEVELS)
    # One draw of 64 bits serves four values.
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    keep = (draws.view(torch.int16)[: x.numel()] >= dropped - _LEVELS // 2).view(x.shape)
    return x * (keep * (_LEVELS / (_LEVELS - dropped))).to(x.dtype)


class Dropout(torch.nn.Dropout):
    """torch's module with `dropout` in the place of its function."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


class SharedDraws(TorchFunctionMode):
    """Dropout draws the mask of all rows in every process, and each uses that of its own.

    So the masks are those of one process that has the whole batch, the generators of all processes stay
    in the same state, and a run may go on with another number of them. Tensors must consist of whole
    blocks of own rows, one after the other, as when categories are stacked.

    Parameters
    ----------
    rank, size : int
        Which process, of how many.
    rows : int
        Rows of the whole batch.

    Examples
    --------
    >>> x = torch.ones(8, 3)
    >>> _ = torch.manual_seed(0)
    >>> whole = F.dropout(x)
    >>> _ = torch.manual_seed(0)
    >>> with SharedDraws(rank=1, size=2, rows=8):
    ...     half = F.dropout(x[4:])
    >>> torch.equal(half, whole[4:])
    True
    """

    def __init__(self, rank: int, size: int, rows: int) -> None:
        super().__init__()
        self._rank, self._size, self._own = rank, size, rows // size

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout or func is dropout:
            return self._dropout(func, *args, **kwargs)
        if func in _REFUSED:
            raise LyapmapError(f"devices: {_REFUSED[func]} does not draw the same for shared batches; use dropout")
        if func is F.batch_norm and (kwargs.get("training") or (len(args) > 5 and args[5])):
            raise LyapmapError(
                "devices: batch normalization would see the rows of one process only; "
                "use another norm, or train with one process"
            )
        return func(*args, **kwargs)

    def _dropout(
        self, draw: Callable[..., Tensor], x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0.0:
            return x
        blocks, rest = divmod(len(x), self._own)
        if rest:
            raise LyapmapError(
                f"devices: dropout of {len(x)} rows, expected a multiple of the {self._own} that each process takes"
            )
        # A layout of its own would change which number falls on which pixel.
        last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        ones = x.new_ones(blocks * self._size * self._own, *x.shape[1:]).contiguous(memory_format=layout)
        mask = draw(ones, p).unflatten(0, (blocks, self._size, self._own))[:, self._rank].flatten(0, 1)
        return x.mul_(mask) if inplace else x * mask


T = TypeVar("T")

PRECISIONS = ("32", "tf32", "bf16-mixed")
"""float32; on a GPU with products rounded to 10 bits; bfloat16 where torch's autocast holds it for safe."""


class Workers(Protocol):
    """The processes that train together, seen from one of them.

    Attributes
    ----------
    rank, size : int
        Which of them this is, and how many they are. Rank 0 writes and tells.
    device : str
        Where this one computes.
    precision : str
        One of `PRECISIONS`.
    """

    rank: int
    size: int
    device: str
    precision: str

    @property
    def generators(self) -> list[int]:
        """CUDA devices whose random generators belong to this process."""

    def rows(self, n: int) -> slice:
        """Own rows of a batch of n."""

    def gathered(self, x: Tensor) -> Tensor:
        """Rows of all processes, with gradients."""

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Replace the gradients of its parameters by their means over the processes."""

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Means over the processes, by name."""

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""

    def first(self, work: Callable[[], T]) -> T:
        """What `work` gives, or raises, in the first process, which alone does it."""

    def require_same(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise a `LyapmapError` if they differ between processes."""

    def computing(self, rows: int) -> Any:
        """Context of a step on a batch of so many rows."""

    def leave(self) -> None:
        """End the connection to the others."""


class OneProcess:
    """A process that trains alone; see `Workers`."""

    rank, size = 0, 1

    def __init__(self, device: str = "cpu", precision: str = "32") -> None:
        self.device = device
        self.precision = precision

    @property
    def generators(self) -> list[int]:
        return list(range(torch.cuda.device_count()))

    def rows(self, n: int) -> slice:
        return slice(0, n)

    def gathered(self, x: Tensor) -> Tensor:
        return x

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        pass

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        return dict(values)

    def any(self, flag: bool) -> bool:
        return flag

    def first(self, work: Callable[[], T]) -> T:
        return work()

    def require_same(self, tensors: Mapping[str, Tensor]) -> None:
        pass

    @contextmanager
    def computing(self, rows: int) -> Iterator[None]:
        mixed = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16-mixed")
        with _tf32(self.precision == "tf32"), mixed:
            yield

    def leave(self) -> None:
        pass


class FabricWorkers:
    """Processes that lightning-fabric started or found; see `Workers`."""

    def __init__(self, fabric: Any, precision: str) -> None:
        self._fabric = fabric
        self.rank, self.size = int(fabric.global_rank), int(fabric.world_size)
        self.device = str(fabric.device)
        self.precision = precision

    @property
    def generators(self) -> list[int]:
        return [self._fabric.device.index] if self._fabric.device.type == "cuda" else []

    def rows(self, n: int) -> slice:
        own = n // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def gathered(self, x: Tensor) -> Tensor:
        if self.size == 1:
            return x
        parts = self._gather(x.detach())
        # All processes compute one loss from the same rows, and each has the gradient through its own: their
        # sum is wanted, of which `average_gradients` takes the mean.
        parts[self.rank] = x.detach() + self.size * (x - x.detach())
        return torch.cat(parts)

    def _gather(self, x: Tensor) -> list[Tensor]:
        # Fabric's own goes through a function of torch that warns of its end.
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(self.size)]
        torch.distributed.all_gather(parts, x.contiguous())
        return parts

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        if self.size == 1:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        together = torch.cat([p.grad.flatten() for p in parameters])
        together = self._fabric.all_reduce(together, reduce_op="mean")
        for p, grad in zip(parameters, together.split([p.numel() for p in parameters]), strict=True):
            p.grad.copy_(grad.view_as(p))

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        together = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        means = self._fabric.all_reduce(together, reduce_op="mean").tolist()
        return dict(zip(values, means, strict=True))

    def any(self, flag: bool) -> bool:
        count = torch.tensor(float(flag), device=self.device)
        return self._fabric.all_reduce(count, reduce_op="sum").item() > 0

    def first(self, work: Callable[[], T]) -> T:
        value, trouble, failure = None, None, None
        if self.rank == 0:
            try:
                value = work()
            except BaseException as error:
                failure = error
                known = isinstance(error, LyapmapError | KeyboardInterrupt)
                trouble = (type(error).__name__ if known else "other", str(error) if known else repr(error))
        value, trouble = self._fabric.broadcast((value, trouble))
        if failure is not None:
            raise failure
        if trouble is not None:
            kind, said = trouble
            if kind == KeyboardInterrupt.__name__:
                raise KeyboardInterrupt
            if kind == "other":
                raise RuntimeError(f"the first process failed: {said}")
            raise LyapmapError(said)
        return value

    def require_same(self, tensors: Mapping[str, Tensor]) -> None:
        if self.size == 1:
            return
        sums = [zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes()) for tensor in tensors.values()]
        gathered = torch.stack(self._gather(torch.tensor(sums, device=self.device)))
        for name, column in zip(tensors, gathered.T, strict=True):
            if (column != column[0]).any():
                raise LyapmapError(
                    f"{name} differs between the processes: gradients were not averaged, or they drew different numbers"
                )

    @contextmanager
    def computing(self, rows: int) -> Iterator[None]:
        with _tf32(self.precision == "tf32"), self._fabric.autocast():
            if self.size == 1:
                yield
            else:
                with SharedDraws(self.rank, self.size, rows):
                    yield

    def leave(self) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def launch(*, device: str | None = "cpu", devices: int | None = None, precision: str = "32") -> Workers:
    """Start the processes that train together, or join those that `torchrun` started.

    Without `torchrun`, this program is started again, with the same arguments, for every further
    device; all of them come to this call, and go on from here.

    Parameters
    ----------
    device : str
        "cpu", "cuda", "cuda:1", "mps", ...
    devices : int, optional
        Processes on this host, each with its own device; by default those that `torchrun` started, else 1.
    precision : "32", "tf32" or "bf16-mixed"
        Arithmetic of a training step.

    Returns
    -------
    Workers
        For `train`, and with the device that the recipe is to be made for.

    Raises
    ------
    MissingExtraError
        If lightning-fabric is needed and not installed.
    LyapmapError
        If there are not so many devices.

    Examples
    --------
    >>> workers = launch(device="cpu")
    >>> workers.rank, workers.size, workers.rows(10)
    (0, 1, slice(0, 10, None))
    """
    device = device or "cpu"
    if precision not in PRECISIONS:
        raise LyapmapError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if devices is not None:
        whole("devices", devices, 1)
    here, hosts = _started_outside()
    if here and devices not in (None, here):
        raise LyapmapError(f"devices: torchrun started {here} processes on this host, got {devices}; leave it out")
    count = here or devices or 1
    if count * hosts == 1:
        return OneProcess(device, precision)
    kind, index = _place(device, count)
    if find_spec("lightning_fabric") is None:
        raise MissingExtraError("lightning-fabric", "train", "training on several devices")
    from lightning_fabric import Fabric

    fabric = Fabric(
        accelerator=kind,
        devices=count if index is None else [index],
        num_nodes=hosts,
        strategy="ddp" if count * hosts > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16-mixed" else "32-true",
    )
    with _hushed("lightning_fabric"):
        fabric.launch()
    return FabricWorkers(fabric, precision)


def _started_outside() -> tuple[int, int]:
    """Processes that `torchrun` started on this host, 0 without it, and the number of hosts."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def _place(device: str, count: int) -> tuple[str, int | None]:
    """Kind of the device, and which, if one is named."""
    try:
        asked = torch.device(device)
    except RuntimeError:
        raise LyapmapError(f"device: expected e.g. cpu or cuda, got {device!r}") from None
    if asked.index is not None and count > 1 and asked.type != "cpu":
        raise LyapmapError(f"device: expected a kind such as {asked.type} for {count} devices, got {device}")
    if asked.type == "cuda" and torch.cuda.device_count() < max(count, (asked.index or 0) + 1):
        raise LyapmapError(
            f"devices: {count} on {device}, but this machine has {torch.cuda.device_count()} CUDA devices"
        )
    return asked.type, None if asked.type == "cpu" else asked.index


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Whether products of float32 may be rounded to 10 bits on a GPU; torch allows it for convolutions by default."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextmanager
def _hushed(name: str) -> Iterator[None]:
    """Only warnings of this logger."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
