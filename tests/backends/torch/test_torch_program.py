"""Programs of torch functions: the function's own values and derivatives, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

from lyapmap.backends.numba.program import plain_function  # noqa: E402
from lyapmap.backends.numpy.program import UntraceableError  # noqa: E402
from lyapmap.backends.torch.program import program_of  # noqa: E402

N = 4
WEIGHTS = torch.from_numpy(np.random.default_rng(0).standard_normal((N, N)))
STATES = torch.from_numpy(np.random.default_rng(1).uniform(-1.5, 1.5, (6, N)))


def in_place(s: Tensor) -> Tensor:
    out = torch.zeros_like(s)
    out[:, 0] = 1 - 1.4 * s[:, 0] ** 2 + s[:, 1]
    out[:, 1:] = 0.3 * s[:, :-1]
    out[:, 1:3].mul_(2.0).add_(s[:, :2])
    return out


def filled(s: Tensor) -> Tensor:
    out = torch.empty(s.shape, dtype=s.dtype)
    for i in range(N):
        out[..., i] = torch.sin(s[..., (i + 1) % N]) * torch.tensor(0.9 + i)
    return out


class Layers(nn.Module):
    """A GRU cell and norms, with a parameter that is written over by the state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2, N)
        self.norm = nn.LayerNorm(N)

    def forward(self, h: Tensor) -> Tensor:
        state: Tensor = self.norm(self.cell(torch.ones(len(h), 2, dtype=h.dtype), h))
        return state - state.mean(1, keepdim=True)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Linear(N, 5), nn.SiLU(), nn.Linear(5, 5), nn.GELU(), nn.ELU(), nn.LeakyReLU(0.1), nn.Linear(5, N))
    return nn.Sequential(*layers, nn.Softplus(), nn.Hardtanh()).double().eval()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "in place": in_place,
    "filled": filled,
    "products": lambda s: torch.einsum("ij,bj->bi", WEIGHTS, torch.tanh(s)) + s @ WEIGHTS,
    "lattice": lambda s: (s.roll(-1, 1) - s.roll(2, 1)) * s.roll(1, 1) - s + 8,
    "where": lambda s: torch.where(s > 0.3, s * 2, 1 - s).clamp(-1, 1),
    "columns": lambda s: torch.stack([s.unbind(1)[1], *s.unbind(-1)[1:]], -1) ** 3,
    "parts": lambda s: torch.cat([s[:, 2:].exp(), s[:, :2].flip(1).cos()], 1),
    "one by one": lambda s: torch.func.vmap(lambda r: torch.stack([r[0] * r[1], r.sum(), r[2].abs(), r.prod()]))(s),
    "norms": lambda s: s / (1 + s.norm(dim=1, keepdim=True)) + torch.softmax(s, 1),
    "indexed": lambda s: s[:, [1, 0, 3, 2]] % 0.7 - torch.atan2(s, 2 + s * s),
    "padded": lambda s: nn.functional.pad(s[:, 1:], (1, 0), value=0.5) * torch.sigmoid(s),
    "network": network(),
    "cell": Layers().double().eval(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_program_gives_values_and_derivatives_of_the_function(name: str) -> None:
    function = FUNCTIONS[name]
    program = program_of(function, (N,), torch.float64)
    image, tangents = (plain_function(program.operations, program.ends, N, part) for part in ("image", "tangents"))
    with torch.no_grad():
        wanted = function(STATES).numpy()
    for row, theirs in zip(STATES, wanted, strict=True):
        ours, columns = np.empty(N), np.empty((N, N))
        image(program.constants, row.numpy(), ours)
        tangents(program.constants, row.numpy(), np.eye(N), columns)
        matrix = torch.autograd.functional.jacobian(lambda x: function(x.clone()[None])[0], row).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(columns.T, matrix, rtol=1e-11, atol=1e-12)


def test_single_precision_rounds_after_every_operation() -> None:
    def steep(s: Tensor) -> Tensor:
        return 3.9 * s * (1 - s) / 1.1 + 0.1 * s

    program = program_of(steep, (1,), torch.float32)
    image = plain_function(program.operations, program.ends, 1, "image")
    states = np.random.default_rng(0).uniform(0, 1, (200, 1)).astype(np.float32)
    ours = np.empty((200, 1))
    for row, out in zip(states, ours, strict=True):
        image(program.constants, row.astype(np.float64), out)
    assert np.array_equal(ours, ours.astype(np.float32))
    assert np.mean(ours.astype(np.float32) == steep(torch.from_numpy(states)).numpy()) > 0.95


def test_constants_are_parameters_and_code_does_not_change_with_them() -> None:
    rate = torch.tensor(3.7, dtype=torch.float64)

    def logistic(s: Tensor) -> Tensor:
        return rate * s * (1 - s)

    first = program_of(logistic, (1,), torch.float64)
    rate.fill_(3.9)
    second = program_of(logistic, (1,), torch.float64)
    assert first.operations == second.operations
    assert (first.constants, second.constants) == ((3.7,), (3.9,))


scratch = torch.zeros(1, N, dtype=torch.float64)


def writes_outside(s: Tensor) -> Tensor:
    scratch[:] = s * 2
    return scratch.clone()


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "branch": (lambda s: s * 2 if s.sum() > 0 else s, "scalar"),
    "noise": (lambda s: s + torch.rand_like(s), "random"),
    "detached": (lambda s: s.detach() * s, "detach"),
    "another's memory": (writes_outside, "not its own"),
    "index": (lambda s: s.gather(1, s.argmax(1, keepdim=True)) * s, "argmax"),
    "mixed": (lambda s: s.float().double(), "float32"),
    "complex": (lambda s: torch.fft.ifft(torch.fft.fft(s)).real, "fft"),
    "large": (lambda s: s + torch.ones(80, 80, dtype=s.dtype).sum() * s.new_ones(5000).sum(), "large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_place_in_a_program_is_refused(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(UntraceableError, match=reason):
        program_of(function, (N,), torch.float64)
