"""Every model against every other: a table of battles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.battle import BattleResult, judged
from lyapmap.analysis.progress import Report
from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Result, Status, provenance


@dataclass(frozen=True, kw_only=True)
class Tournament(Result):
    """Battles of all pairs of m models; rows are model 1, columns model 2.

    Attributes
    ----------
    names : tuple of str
    test_errors : (m,)
        Part of the test data that each discriminator calls generated; NaN without one.
    sample_errors : (m, m)
        Part of the samples of each generator (column) that each discriminator (row) calls real.
    r_test, r_sample : (m, m)
        Ratios (Eq. 10 of Im et al.); NaN on the diagonal and where a discriminator is missing.
    outcome : (m, m)
        1 where the row wins, -1 where the column does, 0 for a tie or no battle.
    wins, losses, ties : (m,)
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "test_errors": ("model",),
        "sample_errors": ("judge", "generator"),
        "r_test": ("model", "opponent"),
        "r_sample": ("model", "opponent"),
        "outcome": ("model", "opponent"),
        "wins": ("model",),
        "losses": ("model",),
        "ties": ("model",),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.pictures_battle.draw_tournament"

    names: tuple[str, ...]
    test_errors: NDArray[np.float64]
    sample_errors: NDArray[np.float64]
    r_test: NDArray[np.float64]
    r_sample: NDArray[np.float64]
    outcome: NDArray[np.int64]
    wins: NDArray[np.int64]
    losses: NDArray[np.int64]
    ties: NDArray[np.int64]

    @property
    def ranking(self) -> list[str]:
        """Names, most wins less losses first."""
        return [self.names[i] for i in np.argsort(self.losses - self.wins, kind="stable")]


def tournament(
    models: Sequence[Any],
    test_data: Any,
    n: int = 2000,
    *,
    tolerance: float = 0.3,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> Tournament:
    """All battles among several models, each of which samples and judges once.

    Parameters
    ----------
    models : sequence
        Two or more, of different names, each as `battle` takes it.
    test_data, n, tolerance, level, n_boot, seed, progress, throw
        As of `battle`.

    Returns
    -------
    Tournament

    Raises
    ------
    LyapmapError, ShapeError, Interrupted
        As of `battle`.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> def normal(mean): return lambda n, seed: mean + np.random.default_rng(seed).standard_normal((n, 1))
    >>> def judge(x): return (x[:, 0] > 0).astype(float)
    >>> models = [lm.Contender(f"{mean:g}", normal(mean), judge) for mean in (-1.0, 1.0, 0.0)]
    >>> lm.tournament(models, normal(1.0)(500, 9), seed=0).ranking
    ['1', '0', '-1']
    """
    if len(models) < 2:
        raise LyapmapError(f"models: expected two or more, got {len(models)}")
    found = judged(models, test_data, n, seed=seed, progress=progress)
    m = len(models)
    r_test, r_sample = np.full((m, m), np.nan), np.full((m, m), np.nan)
    outcome, fought = np.zeros((m, m), np.int64), np.zeros((m, m), bool)
    battles: list[BattleResult] = []
    for i in range(m):
        for j in range(i + 1, m):
            one = found.pair(i, j, tolerance=tolerance, level=level, n_boot=n_boot)
            battles.append(one)
            r_test[i, j], r_test[j, i] = one.r_test, 1 / one.r_test
            r_sample[i, j], r_sample[j, i] = one.r_sample, 1 / one.r_sample
            outcome[i, j] = {one.names[0]: 1, one.names[1]: -1}.get(one.winner, 0)
            outcome[j, i] = -outcome[i, j]
            fought[i, j] = fought[j, i] = bool(one.winner)
    bare = [one for one in battles if one.status is Status.UNRESOLVED]
    known = found.known
    return Tournament(
        status=Status.UNRESOLVED if bare else Status.OK,
        message=bare[0].message if bare else "",
        settings=battles[0].settings,
        provenance=provenance(None, seed=found.seed, seconds=found.seconds),
        names=found.names,
        test_errors=np.where(known, found.on_test.mean(axis=1), np.nan),
        sample_errors=np.where(known[:, None], found.on_samples.mean(axis=2), np.nan),
        r_test=r_test,
        r_sample=r_sample,
        outcome=outcome,
        wins=(outcome > 0).sum(axis=1),
        losses=(outcome < 0).sum(axis=1),
        ties=(fought & (outcome == 0)).sum(axis=1),
    ).checked(throw)
