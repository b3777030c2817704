"""Random numbers of a batch that several processes share: the same as if one process had it all."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lyapmap.core.errors import LyapmapError

_REFUSED = {
    function: name
    for name in ("dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu")
    for function in [getattr(F, name)]
}


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
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        if func in _REFUSED:
            raise LyapmapError(f"devices: {_REFUSED[func]} does not draw the same for shared batches; use dropout")
        if func is F.batch_norm and (kwargs.get("training") or (len(args) > 5 and args[5])):
            raise LyapmapError(
                "devices: batch normalization would see the rows of one process only; "
                "use another norm, or train with one process"
            )
        return func(*args, **kwargs)

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0:
            return F.dropout(x, p, training, inplace)
        blocks, rest = divmod(len(x), self._own)
        if rest:
            raise LyapmapError(
                f"devices: dropout of {len(x)} rows, expected a multiple of the {self._own} that each process takes"
            )
        # A layout of its own would change which number falls on which pixel.
        last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        ones = x.new_ones(blocks * self._size * self._own, *x.shape[1:]).contiguous(memory_format=layout)
        mask = F.dropout(ones, p).unflatten(0, (blocks, self._size, self._own))[:, self._rank].flatten(0, 1)
        return x.mul_(mask) if inplace else x * mask
