"""Rules of `dual` for layers beyond convolutions: activations, norms, attention, pooling, and what moves axes about.

What carries tangents is known by its `tangents`. Whatever fits no rule raises, upon which the network is left to
`torch.func`; and nothing here is trusted before it was held against torch on the network itself.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Rule = Callable[..., Any]
SCORES = 8 * 2**20
"""Values of attention scores that are carried at once: 32 MiB in float32, about what the caches hold."""


def is_dual(part: Any) -> bool:
    return hasattr(part, "tangents") and hasattr(part, "image")


def image_of(part: Any) -> Any:
    return part.image if is_dual(part) else part


def _require_constant(*parts: Any) -> None:
    if any(is_dual(part) for part in parts):
        raise TypeError("parameters that depend on the state")


def aligned(tangents: Tensor, ndim: int) -> Tensor:
    """Tangents (k, ...) with axes of length 1 put in after the first, as broadcasting would before the images'."""
    missing = ndim + 1 - tangents.ndim
    return tangents if missing <= 0 else tangents.reshape(len(tangents), *(1,) * missing, *tangents.shape[1:])


# Sums and products of two states, or of a state and a constant, of shapes that broadcast.


def _sum(sign: int) -> Rule:
    def rule(func: Rule, a: Any, b: Any) -> Any:
        y = func(image_of(a), image_of(b))
        if is_dual(a) and is_dual(b):
            left, right = aligned(a.tangents, y.ndim), aligned(b.tangents, y.ndim)
            return a.like(y, left + right if sign > 0 else left - right)
        state, sign_of = (a, 1) if is_dual(a) else (b, sign)
        moved = state.tangents if sign_of > 0 else -state.tangents
        if y.shape != state.image.shape:
            moved = aligned(moved, y.ndim).expand(len(moved), *y.shape)
        return state.like(y, moved)

    return rule


def _product(func: Rule, a: Any, b: Any) -> Any:
    y = func(image_of(a), image_of(b))
    state, other = (a, b) if is_dual(a) else (b, a)
    moved = aligned(state.tangents, y.ndim) * image_of(other)
    if is_dual(other):
        moved = moved + aligned(other.tangents, y.ndim) * state.image
    return state.like(y, moved)


def _quotient(func: Rule, a: Any, b: Any) -> Any:
    y = func(image_of(a), image_of(b))
    if not is_dual(b):
        return a.like(y, aligned(a.tangents, y.ndim) / b)
    moved = -y * aligned(b.tangents, y.ndim)
    if is_dual(a):
        moved = moved + aligned(a.tangents, y.ndim)
    return b.like(y, moved / b.image)


def _matmul(func: Rule, a: Any, b: Any) -> Any:
    left, right = image_of(a), image_of(b)
    if left.ndim < 2 or right.ndim < 2:
        raise TypeError("a product with a vector")
    y = func(left, right)
    state = a if is_dual(a) else b
    if not is_dual(b) and right.ndim == 2 and a.way.products is not None:
        moved = (a.tangents.to(a.way.products) @ right.to(a.way.products)).to(right.dtype)
        return a.like(y, moved)
    terms = []
    if is_dual(a):
        terms.append(aligned(a.tangents, y.ndim) @ right)
    if is_dual(b):
        terms.append(left @ aligned(b.tangents, y.ndim))
    return state.like(y, sum(terms[1:], terms[0]))


def _einsum(func: Rule, equation: str, *operands: Any) -> Any:
    given, arrow, wanted = equation.replace(" ", "").partition("->")
    axes = given.split(",")
    if not arrow or "." in equation or len(axes) != len(operands):
        raise TypeError("an equation without its result, or with an ellipsis")
    images = [image_of(part) for part in operands]
    letter = next(letter for letter in string.ascii_letters if letter not in equation)
    state = next(part for part in operands if is_dual(part))
    total: Any = 0
    for i, part in enumerate(operands):
        if is_dual(part):
            with_k = ",".join([*axes[:i], letter + axes[i], *axes[i + 1 :]])
            arguments = [*images[:i], part.tangents, *images[i + 1 :]]
            total = total + torch.einsum(f"{with_k}->{letter}{wanted}", *arguments)
    return state.like(func(equation, *images), total)


def _addmm(func: Rule, bias: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return torch.add(torch.mul(torch.matmul(a, b), alpha), torch.mul(bias, beta))


def _addcmul(func: Rule, x: Any, a: Any, b: Any, *, value: float = 1) -> Any:
    return torch.add(x, torch.mul(torch.mul(a, b), value))


def _lerp(func: Rule, start: Any, end: Any, weight: Any) -> Any:
    return torch.add(start, torch.mul(torch.sub(end, start), weight))


# Functions of each value.


def elementwise(slope: Callable[..., Tensor]) -> Rule:
    """A function of each value; `slope` takes the values before and after, and the options."""

    def rule(func: Rule, x: Any, *rest: Any, inplace: bool = False, **named: Any) -> Any:
        _require_constant(*rest, *named.values())
        y = func(x.image, *rest, **named)
        factor = slope(x.image, y, *rest, **named)
        tangents = x.raw if x.margins is None else x.tangents
        factor = factor if x.factor is None else x.factor * factor
        if inplace:  # what else holds this state sees it changed
            x.image, x.raw, x.factor, x.margins = y, tangents, factor, None
            return x
        return x.like(y, tangents, factor)

    return rule


def _silu(x: Tensor, y: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s + y * (1 - s)


def _gelu(x: Tensor, y: Tensor, approximate: str = "none") -> Tensor:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        t = torch.tanh(inner)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _elu(x: Tensor, y: Tensor, alpha: float = 1.0) -> Tensor:
    return torch.where(x > 0, 1.0, y + alpha)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _selu(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(x > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)


def _softplus(x: Tensor, y: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    return torch.where(x * beta > threshold, 1.0, torch.sigmoid(beta * x))


def _mish(x: Tensor, y: Tensor) -> Tensor:
    t = torch.tanh(F.softplus(x))
    return t + x * torch.sigmoid(x) * (1 - t * t)


def _hardtanh(x: Tensor, y: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    return ((x > min_val) & (x < max_val)).to(x.dtype)


def _clamp(x: Tensor, y: Tensor, min: Any = None, max: Any = None) -> Tensor:  # noqa: A002  (torch's names)
    inside = torch.ones_like(x, dtype=torch.bool)
    if min is not None:
        inside = inside & (x >= min)
    if max is not None:
        inside = inside & (x <= max)
    return inside.to(x.dtype)


def _power(x: Tensor, y: Tensor, exponent: Any) -> Tensor:
    return exponent * x ** (exponent - 1)


_ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "silu": _silu,
    "gelu": _gelu,
    "elu": _elu,
    "celu": lambda x, y, alpha=1.0: torch.where(x > 0, 1.0, y / alpha + 1),
    "selu": _selu,
    "softplus": _softplus,
    "mish": _mish,
    "hardtanh": _hardtanh,
    "relu6": lambda x, y: _hardtanh(x, y, 0.0, 6.0),
    "leaky_relu": lambda x, y, negative_slope=0.01: torch.full_like(x, negative_slope).masked_fill_(x > 0, 1.0),
    "relu": lambda x, y: (x > 0).to(x.dtype),
    "tanh": lambda x, y: 1 - y * y,
    "sigmoid": lambda x, y: y * (1 - y),
    "logsigmoid": lambda x, y: torch.sigmoid(-x),
    "softsign": lambda x, y: (1 + x.abs()).square().reciprocal(),
    "tanhshrink": lambda x, y: (x - y).square(),
    "exp": lambda x, y: y,
    "expm1": lambda x, y: y + 1,
    "log": lambda x, y: x.reciprocal(),
    "log1p": lambda x, y: (1 + x).reciprocal(),
    "sin": lambda x, y: torch.cos(x),
    "cos": lambda x, y: -torch.sin(x),
    "tan": lambda x, y: 1 + y * y,
    "sinh": lambda x, y: torch.cosh(x),
    "cosh": lambda x, y: torch.sinh(x),
    "atan": lambda x, y: (1 + x * x).reciprocal(),
    "arctan": lambda x, y: (1 + x * x).reciprocal(),
    "erf": lambda x, y: 2 / math.sqrt(math.pi) * torch.exp(-x * x),
    "sqrt": lambda x, y: 0.5 / y,
    "rsqrt": lambda x, y: -0.5 * y**3,
    "square": lambda x, y: 2 * x,
    "reciprocal": lambda x, y: -y * y,
    "abs": lambda x, y: torch.sign(x),
    "clamp": _clamp,
    "clip": _clamp,
    "pow": _power,
    "neg": lambda x, y: torch.full_like(x, -1.0),
}


# Functions that mix the values along some axes.


def _softmax(func: Rule, x: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    if dim is None or dtype not in (None, x.image.dtype):
        raise TypeError("a softmax along an unnamed axis, or of another dtype")
    y = torch.softmax(x.image, dim)
    weighted = y * x.tangents
    along = dim % x.image.ndim + 1
    return x.like(y, weighted - y * weighted.sum(along, keepdim=True))


def _log_softmax(func: Rule, x: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    if dim is None or dtype not in (None, x.image.dtype):
        raise TypeError("a softmax along an unnamed axis, or of another dtype")
    y = torch.log_softmax(x.image, dim)
    along = dim % x.image.ndim + 1
    return x.like(y, x.tangents - (y.exp() * x.tangents).sum(along, keepdim=True))


def _in_groups(image: Tensor, tangents: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    """Tangents of what is normalized within groups of channels, and what they are yet to be multiplied with."""
    b, k = len(image), len(tangents)
    grouped = image.reshape(b, groups, -1)
    centred = grouped - grouped.mean(-1, keepdim=True)
    inverse = (centred.square().mean(-1, keepdim=True) + eps).rsqrt()
    normal = centred * inverse
    moved = tangents.reshape(k, b, groups, -1)
    overlap = torch.einsum("kbgi,bgi->kbg", moved, normal)[..., None] / grouped.shape[-1]
    moved = moved - moved.mean(-1, keepdim=True) - normal * overlap
    return moved.reshape(tangents.shape), inverse.expand_as(grouped).reshape(image.shape)


def _by_channel(values: Tensor, image: Tensor) -> Tensor:
    return values.view(1, -1, *(1,) * (image.ndim - 2))


def _group_norm(func: Rule, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    _require_constant(weight, bias)
    moved, factor = _in_groups(x.image, x.tangents, groups, eps)
    factor = factor if weight is None else factor * _by_channel(weight, x.image)
    return x.like(func(x.image, groups, weight, bias, eps), moved, factor)


def _instance_norm(
    func: Rule,
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    _require_constant(weight, bias)
    if not use_input_stats:
        return _batch_norm(func, x, running_mean, running_var, weight, bias, False, momentum, eps)
    moved, factor = _in_groups(x.image, x.tangents, x.image.shape[1], eps)
    factor = factor if weight is None else factor * _by_channel(weight, x.image)
    image = F.instance_norm(x.image, None, None, weight, bias, True, momentum, eps)
    return x.like(image, moved, factor)


def _batch_norm(
    func: Rule,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    _require_constant(weight, bias)
    if training or running_var is None:
        raise TypeError("a batch norm that takes its statistics from the batch")
    image = F.batch_norm(x.image, running_mean, running_var, weight, bias, False, momentum, eps)
    gain = (running_var + eps).rsqrt()
    factor = _by_channel(gain if weight is None else gain * weight, image).expand_as(image)
    tangents = x.raw if x.margins is None else x.tangents
    return x.like(image, tangents, factor if x.factor is None else x.factor * factor)


def _rms_norm(func: Rule, x: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    _require_constant(weight)
    dims = tuple(range(-len(shape), 0))
    image = x.image
    eps = torch.finfo(image.dtype).eps if eps is None else eps
    inverse = (image.square().mean(dims, keepdim=True) + eps).rsqrt()
    normal = image * inverse
    moved = x.tangents - normal * (normal * x.tangents).mean(dims, keepdim=True)
    factor = inverse.expand_as(image) if weight is None else inverse * weight
    return x.like(normal if weight is None else normal * weight, moved, factor)


def _normalize(func: Rule, x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Any:
    if p != 2.0 or not isinstance(dim, int):
        raise TypeError("another norm than the Euclidean one")
    size = x.image.norm(2, dim, keepdim=True)
    if bool((size <= eps).any()):
        raise TypeError("a state of norm zero")
    y = x.image / size
    along = dim % x.image.ndim + 1
    return x.like(y, (x.tangents - y * (y * x.tangents).sum(along, keepdim=True)) / size)


def _attention(
    func: Rule,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(q k^T s) v: the scores are made once, and their tangents for a few directions at a time."""
    _require_constant(attn_mask)
    if dropout_p or enable_gqa:
        raise TypeError("attention with dropout or grouped queries")
    q, k, v = (image_of(part) for part in (query, key, value))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = (q @ k.transpose(-1, -2)) * scale
    if is_causal:
        scores = scores.masked_fill(torch.ones_like(scores[0:1], dtype=torch.bool).tril().logical_not(), -torch.inf)
    elif attn_mask is not None:
        boolean = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if boolean else scores + attn_mask
    weights = torch.softmax(scores, -1)
    state = next(part for part in (query, key, value) if is_dual(part))
    moved = []
    for rows in torch.arange(len(state.tangents)).split(max(1, SCORES // max(1, scores.numel()))):
        first, last = int(rows[0]), int(rows[-1]) + 1
        dq, dk, dv = (part.tangents[first:last] if is_dual(part) else None for part in (query, key, value))
        total: Any = 0
        if dq is not None or dk is not None:
            change: Any = 0
            if dq is not None:
                change = dq @ k.transpose(-1, -2)
            if dk is not None:
                change = change + q @ dk.transpose(-1, -2)
            weighted = weights * change
            total = ((weighted - weights * weighted.sum(-1, keepdim=True)) * scale) @ v
        if dv is not None:
            total = total + weights @ dv
        moved.append(total)
    return state.like(weights @ v, torch.cat(moved))


def _multi_head_attention(
    func: Rule,
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """What torch does for `nn.MultiheadAttention`, (tokens, batch, units), written in functions that have rules."""
    unusual = (bias_k, bias_v, key_padding_mask, static_k, static_v)
    if any(part is not None for part in unusual) or add_zero_attn or (training and dropout_p):
        raise TypeError("an unusual attention")
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = separate if use_separate_proj_weight else in_proj_weight.chunk(3)
    biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    if query is key is value and not use_separate_proj_weight:
        projected = list(F.linear(query, in_proj_weight, in_proj_bias).chunk(3, dim=-1))
    else:
        projected = [
            F.linear(part, weight, bias)
            for part, weight, bias in zip((query, key, value), weights, biases, strict=True)
        ]
    tokens, batch, units = query.shape
    heads = [
        part.reshape(part.shape[0], part.shape[1], num_heads, units // num_heads).permute(1, 2, 0, 3)
        for part in projected
    ]
    mask = attn_mask
    if mask is not None and mask.ndim == 3:
        mask = mask.view(batch, num_heads, *mask.shape[1:])
    if mask is not None and mask.dtype == torch.bool:
        mask = ~mask  # here True is left out, there it takes part
    q, k, v = heads
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = out.permute(2, 0, 1, 3).reshape(tokens, batch, units)
    # The weights of attention are not asked for by what goes on with the states.
    return F.linear(out, out_proj_weight, out_proj_bias), None


def _glu(func: Rule, x: Any, dim: int = -1) -> Any:
    a, b = torch.chunk(x, 2, dim=dim)
    return a * torch.sigmoid(b)


def _max_pool(with_indices: Rule, axes: int) -> Rule:
    def rule(func: Rule, x: Any, *rest: Any, **named: Any) -> Any:
        image, index = with_indices(x.image, *rest, **named)
        flat = index.flatten(-axes).expand(len(x.tangents), *index.shape[:-axes], -1)
        return x.like(image, x.tangents.flatten(-axes).gather(-1, flat).unflatten(-1, image.shape[-axes:]))

    return rule


# Linear functions: of tangents they do the same.


def of_each(func: Rule, x: Any, *rest: Any, **named: Any) -> Any:
    """What a layer does to each image of a batch by itself, it does to tangents as one large batch."""
    _require_constant(*rest, *named.values())
    image, rows = func(x.image, *rest, **named), func(x.tangents.flatten(0, 1), *rest, **named)
    return x.like(image, rows.unflatten(0, x.tangents.shape[:2]))


def _axis(x: Any, dim: int, ndim: int | None = None) -> int:
    """Where an axis of the images stands among those of the tangents."""
    ndim = x.image.ndim if ndim is None else ndim
    if not -ndim <= dim < ndim:
        raise IndexError("an axis out of range")
    return dim % ndim + 1


def _axes(x: Any, dims: Any) -> tuple[int, ...]:
    return tuple(_axis(x, dim) for dim in ((dims,) if isinstance(dims, int) else dims))


def _several(given: tuple[Any, ...]) -> tuple[int, ...]:
    """f(x, 1, 2) or f(x, (1, 2))."""
    return tuple(given[0]) if len(given) == 1 and not isinstance(given[0], int) else tuple(given)


def _permute(func: Rule, x: Any, *dims: Any) -> Any:
    order = _several(dims)
    return x.like(x.image.permute(order), x.tangents.permute(0, *_axes(x, order)))


def _transpose(func: Rule, x: Any, dim0: int, dim1: int) -> Any:
    return x.like(x.image.transpose(dim0, dim1), x.tangents.transpose(_axis(x, dim0), _axis(x, dim1)))


def _unsqueeze(func: Rule, x: Any, dim: int) -> Any:
    return x.like(x.image.unsqueeze(dim), x.tangents.unsqueeze(_axis(x, dim, x.image.ndim + 1)))


def _squeeze(func: Rule, x: Any, dim: Any) -> Any:
    return x.like(x.image.squeeze(dim), x.tangents.squeeze(_axes(x, dim)))


def _expand(func: Rule, x: Any, *sizes: Any) -> Any:
    image = x.image.expand(_several(sizes))
    return x.like(image, aligned(x.tangents, image.ndim).expand(len(x.tangents), *image.shape))


def _reduced(func: Rule, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """mean and sum along axes."""
    if dim is None:
        raise TypeError("a sum over all values, those of other states too")
    return x.like(func(x.image, dim, keepdim), func(x.tangents, _axes(x, dim), keepdim))


def _log_sum_exp(func: Rule, x: Any, dim: Any, keepdim: bool = False) -> Any:
    along = (dim,) if isinstance(dim, int) else tuple(dim)
    share = (x.image - torch.logsumexp(x.image, along, True)).exp()
    return x.like(func(x.image, dim, keepdim), (share * x.tangents).sum(_axes(x, along), keepdim))


def _length(func: Rule, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The Euclidean norm along axes."""
    if p not in (2, 2.0, "fro") or dim is None or dtype is not None:
        raise TypeError("another norm than the Euclidean one along an axis")
    y = torch.linalg.vector_norm(x.image, 2, dim, True)
    moved = (x.image * x.tangents).sum(_axes(x, dim), True) / y
    return x.like(y, moved) if keepdim else x.like(y.squeeze(dim), moved.squeeze(_axes(x, dim)))


def _variance(func: Rule, x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, **named: Any) -> Any:
    """var along axes, with the divisor that is asked for."""
    if dim is None or isinstance(dim, bool):
        raise TypeError("a variance of all values, those of other states too")
    correction = named.get("correction", int(unbiased))
    y = torch.var(x.image, dim, correction=1 if correction is None else correction, keepdim=keepdim)
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    count = math.prod(x.image.shape[i] for i in dims) - (1 if correction is None else correction)
    centred = x.image - x.image.mean(dims, keepdim=True)
    return x.like(y, 2 / count * (centred * x.tangents).sum(_axes(x, dims), keepdim))


def _deviation(func: Rule, x: Any, *rest: Any, **named: Any) -> Any:
    return torch.sqrt(_variance(func, x, *rest, **named))


def _rolled(func: Rule, x: Any, shifts: Any, dims: Any) -> Any:
    return x.like(x.image.roll(shifts, dims), x.tangents.roll(shifts, _axes(x, dims)))


def _flipped(func: Rule, x: Any, *dims: Any) -> Any:
    return x.like(x.image.flip(_several(dims)), x.tangents.flip(_axes(x, _several(dims))))


def _unbind(func: Rule, x: Any, dim: int = 0) -> tuple[Any, ...]:
    parts = zip(x.image.unbind(dim), x.tangents.unbind(_axis(x, dim)), strict=True)
    return tuple(x.like(image, moved) for image, moved in parts)


def _cumulated(func: Rule, x: Any, dim: int) -> Any:
    return x.like(x.image.cumsum(dim), x.tangents.cumsum(_axis(x, dim)))


def _where(func: Rule, condition: Any, a: Any, b: Any) -> Any:
    y = torch.where(condition, image_of(a), image_of(b))
    state = a if is_dual(a) else b
    zero = y.new_zeros(())
    moved = [aligned(part.tangents, y.ndim) if is_dual(part) else zero for part in (a, b)]
    picked: Tensor = torch.where(condition, moved[0], moved[1])
    return state.like(y, picked.expand(len(state.tangents), *y.shape))


def _masked(func: Rule, x: Any, mask: Any, value: Any) -> Any:
    _require_constant(mask, value)
    return x.like(x.image.masked_fill(mask, value), x.tangents.masked_fill(mask, 0.0))


def _same(func: Rule, x: Any, *rest: Any, **named: Any) -> Any:
    return x.like(x.image, x.tangents)


def _in_dtype(func: Rule, x: Any, *rest: Any, **named: Any) -> Any:
    if func(image_of(x), *map(image_of, rest), **named).dtype != image_of(x).dtype:
        raise TypeError("a change of precision")
    return x


def _constant(func: Rule, x: Any, *rest: Any, **named: Any) -> Any:
    return func(x.image, *rest, **named)


def _rules() -> dict[Any, Rule]:
    rules: dict[Any, Rule] = {}

    def add(rule: Rule, names: Sequence[str], *owners: Any) -> None:
        for name in names:
            for owner in owners:
                if hasattr(owner, name):
                    rules[getattr(owner, name)] = rule

    everywhere = (torch, torch.Tensor, F)
    for name, slope in _ELEMENTWISE.items():
        add(elementwise(slope), [name], *everywhere, torch.special)
    torch_and_method = (torch, torch.Tensor)
    add(_sum(1), ["add"], *torch_and_method)
    add(_sum(-1), ["sub", "subtract"], *torch_and_method)
    add(_product, ["mul", "multiply"], *torch_and_method)
    add(_quotient, ["div", "divide", "true_divide"], *torch_and_method)
    add(_matmul, ["matmul", "bmm", "mm"], *torch_and_method)
    # An operator with a constant on its left is dispatched by the constant.
    for name, rule in {"add": _sum(1), "sub": _sum(-1), "mul": _product, "matmul": _matmul}.items():
        add(rule, [f"__{name}__"], torch.Tensor)
    rules[torch.Tensor.__truediv__] = _quotient
    add(_einsum, ["einsum"], torch)
    add(_addmm, ["addmm"], *torch_and_method)
    add(_addcmul, ["addcmul"], *torch_and_method)
    add(_lerp, ["lerp"], *torch_and_method)
    add(_log_sum_exp, ["logsumexp"], *torch_and_method)
    add(_length, ["norm"], *torch_and_method)
    rules[torch.linalg.vector_norm] = _length
    add(_variance, ["var"], *torch_and_method)
    add(_deviation, ["std"], *torch_and_method)
    add(_softmax, ["softmax"], F)
    add(lambda func, x, dim, dtype=None: _softmax(func, x, dim, 3, dtype), ["softmax"], *torch_and_method)
    add(_log_softmax, ["log_softmax"], F)
    add(lambda func, x, dim, dtype=None: _log_softmax(func, x, dim, 3, dtype), ["log_softmax"], *torch_and_method)
    add(_group_norm, ["group_norm"], F)
    add(_instance_norm, ["instance_norm"], F)
    add(_batch_norm, ["batch_norm"], F)
    add(_rms_norm, ["rms_norm"], F, torch)
    add(_normalize, ["normalize"], F)
    add(_attention, ["scaled_dot_product_attention"], F)
    add(_multi_head_attention, ["multi_head_attention_forward"], F)
    add(_glu, ["glu"], F)
    add(_max_pool(F.max_pool1d_with_indices, 1), ["max_pool1d"], torch, F)
    add(_max_pool(F.max_pool2d_with_indices, 2), ["max_pool2d"], torch, F)
    pools = [f"{kind}avg_pool{d}d" for kind in ("", "adaptive_") for d in (1, 2, 3)]
    add(of_each, [*pools, "interpolate", "pixel_shuffle", "pixel_unshuffle"], F, torch)
    add(_permute, ["permute"], *torch_and_method)
    add(_transpose, ["transpose", "swapaxes"], *torch_and_method)
    add(_unsqueeze, ["unsqueeze"], *torch_and_method)
    add(_squeeze, ["squeeze"], *torch_and_method)
    add(_expand, ["expand"], torch.Tensor)
    add(_reduced, ["mean", "sum"], *torch_and_method)
    add(_rolled, ["roll"], *torch_and_method)
    add(_flipped, ["flip"], *torch_and_method)
    add(_unbind, ["unbind"], *torch_and_method)
    add(_cumulated, ["cumsum"], *torch_and_method)
    rules[torch.where] = _where
    add(_masked, ["masked_fill"], *torch_and_method)
    add(_same, ["contiguous", "clone"], torch.Tensor, torch)
    add(_in_dtype, ["to", "float", "double", "type_as"], torch.Tensor)
    add(
        _constant,
        [
            "size",
            "numel",
            "new_zeros",
            "new_ones",
            "new_full",
            "new_tensor",
            "zeros_like",
            "ones_like",
            "is_floating_point",
        ],
        *torch_and_method,
    )
    return rules


RULES: dict[Any, Rule] = _rules()
