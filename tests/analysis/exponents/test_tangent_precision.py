"""Tangents in a lower precision: the states are the same, noise is known, and exponents that it hides are not shown."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.exponents import tangent_precision as precision
from lyapmap.core.errors import LyapmapError

torch = pytest.importorskip("torch")
N = 8


class Sheared(torch.nn.Module):
    """x -> tanh(gains * (x @ rotation)): exponents that fall evenly."""

    def __init__(self, gains) -> None:
        super().__init__()
        draws = np.random.default_rng(3)
        rotation = np.linalg.qr(draws.standard_normal((N, N)))[0]
        self.linear = torch.nn.Linear(N, N)
        self.linear.weight.data = torch.tensor(rotation * np.asarray(gains)[:, None], dtype=torch.float32)
        self.linear.bias.data = torch.tensor(draws.normal(0, 0.3, N), dtype=torch.float32)

    def forward(self, x):
        return torch.tanh(self.linear(x))


def network(spread=2.0):
    return lm.wrap(Sheared(np.linspace(3.0, 3.0 / spread, N)).eval(), state_shape=N)


def states(b=4):
    return np.random.default_rng(0).uniform(-1, 1, (b, N)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_states_are_the_same_to_the_last_bit_and_tangents_nearly(dtype):
    m = network()
    low = m.with_tangents(dtype)
    x = torch.tensor(states())
    v = torch.tensor(np.random.default_rng(1).standard_normal((4, N, 3)).astype(np.float32))
    (y, u), (y_low, u_low) = m.jvp(x, v), low.jvp(x, v)
    assert torch.equal(y, y_low)
    off = float((u - u_low).norm() / u.norm())
    assert 0 < off < 4 * precision.ROUNDOFF[dtype]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_exponents_agree_in_every_precision(dtype):
    m = network()
    whole, low = (
        lm.lyapunov_spectrum(
            m, states(), n_steps=300, transient=30, n_exponents=4, seed=0, tangent_dtype=d, throw=False, qr_every=1
        )
        for d in ("float32", dtype)
    )
    assert low.provenance["tangent_dtype"] == dtype
    assert whole.provenance["tangent_dtype"] == "float32"
    shift = np.abs(low.exponents - whole.exponents)
    assert (shift < 0.5 * np.fmax(whole.stderr, 2e-3)).all(), (shift, whole.stderr)


def test_exponents_that_noise_hides_are_not_shown():
    m = network(spread=1e5)
    whole = lm.lyapunov_spectrum(m, states(), n_steps=60, transient=20, seed=0, tangent_dtype="float32", throw=False)
    low = lm.lyapunov_spectrum(m, states(), n_steps=60, transient=20, seed=0, tangent_dtype="bfloat16", throw=False)
    shown = np.isfinite(low.exponents)
    hidden = whole.exponents < whole.exponents[0] + np.log(0.004)
    assert hidden.any()
    assert not shown[hidden].any()
    assert low.status == "unresolved"
    assert "bfloat16" in low.message
    assert np.abs(low.exponents[shown] - whole.exponents[shown]).max() < 0.1


def settled(m, monkeypatch, **options):
    """What `auto` decides where the machine is said to be fast at bfloat16."""
    monkeypatch.setattr(precision, "WORTH_WHILE", 0.0)
    monkeypatch.setattr(type(m), "low_tangent_dtype", "bfloat16")
    found = lm.lyapunov_spectrum(m, states(), n_steps=200, transient=20, seed=0, throw=False, **options)
    return found.provenance


def test_auto_takes_the_low_precision_where_nothing_shows(monkeypatch):
    origin = settled(network(), monkeypatch, n_exponents=2)
    assert origin["tangent_dtype"] == "bfloat16"
    comparison = origin["tangent_comparison"]
    assert 0 < comparison["noise"] < 0.02
    assert "objection" not in comparison


def test_auto_keeps_the_states_precision_where_exponents_lie_under_the_floor(monkeypatch):
    origin = settled(network(spread=1e5), monkeypatch)
    assert origin["tangent_dtype"] == "float32"
    assert "floor of bfloat16" in origin["tangent_comparison"]["objection"]


def test_auto_keeps_the_states_precision_where_a_shift_shows(monkeypatch):
    m = network()
    low = m.with_tangents("bfloat16")
    carry = low._carry

    def wrong(x, tangents):
        image, moved = carry(x, tangents)
        return image, 1.03 * moved

    low._carry = wrong
    monkeypatch.setattr(type(m), "with_tangents", lambda self, dtype: low)
    origin = settled(m, monkeypatch, n_exponents=2)
    assert origin["tangent_dtype"] == "float32"
    assert "shifts" in origin["tangent_comparison"]["objection"]


def test_short_runs_are_not_compared(monkeypatch):
    monkeypatch.setattr(type(network()), "low_tangent_dtype", "bfloat16")
    found = lm.lyapunov_spectrum(network(), states(), n_steps=20, n_exponents=2, seed=0, throw=False)
    assert found.provenance["tangent_dtype"] == "float32"
    assert "tangent_comparison" not in found.provenance


def test_float64_states_may_have_float32_tangents():
    m = lm.wrap(Sheared(np.linspace(3.0, 1.5, N)).eval(), state_shape=N, dtype="float64")
    found = lm.lyapunov_spectrum(m, states(), n_steps=50, n_exponents=2, seed=0, tangent_dtype="float32", throw=False)
    assert found.provenance["tangent_dtype"] == "float32"
    assert (
        lm.lyapunov_spectrum(m, states(), n_steps=50, n_exponents=2, throw=False).provenance["tangent_dtype"]
        == "float64"
    )


@pytest.mark.parametrize(
    ("made", "dtype", "words"),
    [
        (network, "int8", "expected one of auto, float64"),
        (network, "float64", "wrap it with dtype='float64'"),
        (lambda: lm.systems.henon(), "bfloat16", "only networks of torch"),
        (
            lambda: lm.wrap(lambda x: torch.lgamma(2 + torch.tanh(x)), state_shape=N, dtype="float32"),
            "bfloat16",
            "no rule",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(made, dtype, words):
    m = made()
    x0 = np.full((2, int(np.prod(m.state_shape))), 0.1)
    with pytest.raises(LyapmapError, match=words):
        lm.lyapunov_spectrum(m, x0, n_steps=5, tangent_dtype=dtype)
