"""Battles of generators, judged by each other's discriminators, one against one and all against all.

D. J. Im, C. D. Kim, H. Jiang, R. Memisevic (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive, probability, whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import real_array
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

PRIOR = 0.5
"""Added to each count when rates are drawn (H. Jeffreys 1946): no error seen is not none at all."""
REAL = 0.5
"""Probability from which a sample is called real."""


@dataclass(frozen=True)
class Contender:
    """A generator, with its discriminator if it has one.

    Attributes
    ----------
    name : str
    sample : callable
        Takes how many samples and a seed, returns them: (n, ...).
    judge : callable, optional
        Takes samples (n, ...), returns for each the probability that it is real, (n,).
    """

    name: str
    sample: Callable[[int, int], Any]
    judge: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class BattleResult(Result):
    """Two models, 1 and 2, judged by each other's discriminators; NaN where one has none.

    Attributes
    ----------
    names : tuple of str
    test_errors : (2,)
        err(D(x_test)): part of the test data that each discriminator calls generated.
    sample_errors : (2,)
        err(D1(G2(z))) and err(D2(G1(z))): part of the other's samples that each calls real.
    own_errors : (2,)
        The same for the samples of its own generator.
    r_test, r_sample : float
        Ratios of the two (Eq. 10).
    r_test_interval, r_sample_interval : (2,)
        Limits at the level `settings["level"]`.
    winner : str
        The winner's name, "tie", or "" where a discriminator is missing (Eq. 11).
    reason : str
        Why, in words.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.pictures.draw_battle"
    REMEDIES: ClassVar[dict[Status, str]] = {Status.UNRESOLVED: "give more samples and test data"}

    names: tuple[str, ...]
    test_errors: NDArray[np.float64] = dims("model")
    sample_errors: NDArray[np.float64] = dims("model")
    own_errors: NDArray[np.float64] = dims("model")
    r_test: float
    r_test_interval: NDArray[np.float64] = dims("limit")
    r_sample: float
    r_sample_interval: NDArray[np.float64] = dims("limit")
    winner: str
    reason: str

    def _finding(self) -> str:
        if self.winner == "tie":
            return f"A tie between {self.names[0]} and {self.names[1]}: {self.reason}."
        if not self.winner:
            return f"No winner: {self.reason}."
        loser = self.names[1] if self.winner == self.names[0] else self.names[0]
        return f"{self.winner} beats {loser}: {self.reason}."


def battle(
    model_1: Any,
    model_2: Any,
    test_data: Any,
    n: int = 2000,
    *,
    tolerance: float = 0.3,
    level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> BattleResult:
    """Which of two generators makes samples that the other's discriminator takes for real.

    Parameters
    ----------
    model_1, model_2 : Contender, Gan or array (m, ...)
        What ``lyapmap.training.load_gan`` gives; or, as a `Contender`, any model of your own; or samples of
        a model, at least n of them. One may lack a discriminator (a variational autoencoder, say): then
        only the errors of the other's are found.
    test_data : (m, ...)
        Samples of the data that neither was trained on.
    n : int
        Samples of each generator.
    tolerance : float
        The ratio on the test data counts as close to 1 from 1 / (1 + tolerance) to 1 + tolerance. The
        paper names none, and accepts 0.79 to 1.29.
    level : float
        Confidence of the limits, which must not hold 1 for a winner.
    n_boot : int
        Draws of the bootstrap for the limits.
    seed : int, optional
        Of the samples and of the draws.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (judgements done, in all).
    throw : bool
        As everywhere; no status of this analysis is a failure.

    Returns
    -------
    BattleResult
        With status "unresolved" where a discriminator made no error, so that a ratio is no more than
        a bound.

    Raises
    ------
    LyapmapError, ShapeError
        If neither model has a discriminator, samples have another shape than the test data, or a
        discriminator gives something else than a probability for each.
    Interrupted
        On Ctrl-C.

    Notes
    -----
    The limits come from a Bayesian bootstrap (D. B. Rubin 1981) over samples with half a sample of
    each outcome added. Both discriminators judge the same test data, which is kept together.

    References
    ----------
    D. J. Im, C. D. Kim, H. Jiang, R. Memisevic, arXiv:1602.05110 (2016), Eq. 10 and 11.

    Examples
    --------
    Both judges call positive numbers real; the first generator makes them more often.

    >>> import numpy as np
    >>> import lyapmap as lm
    >>> def normal(mean): return lambda n, seed: mean + np.random.default_rng(seed).standard_normal((n, 1))
    >>> def judge(x): return (x[:, 0] > 0).astype(float)
    >>> good, bad = lm.Contender("good", normal(0.5), judge), lm.Contender("bad", normal(-0.5), judge)
    >>> result = lm.battle(good, bad, normal(1.0)(500, 9), seed=0)
    >>> result.winner, round(result.r_test, 2), bool(result.r_sample < 1)
    ('good', 1.0, True)
    """
    judgements = judged((model_1, model_2), test_data, n, seed=seed, progress=progress)
    return judgements.pair(0, 1, tolerance=tolerance, level=level, n_boot=n_boot).checked(throw)


@dataclass(frozen=True)
class Judged:
    """All judgements of several models, from which every pair of them follows.

    Attributes
    ----------
    names : tuple of str
    on_test : (m, n_test) bool
        Errors of each discriminator on the test data.
    on_samples : (m, m, n) bool
        Of each on the samples of each generator.
    known : (m,) bool
        Which models have a discriminator.
    run : Run
        Its seed, and how long it took.
    """

    names: tuple[str, ...]
    on_test: NDArray[np.bool_]
    on_samples: NDArray[np.bool_]
    known: NDArray[np.bool_]
    run: Run

    def pair(self, i: int, j: int, *, tolerance: float, level: float, n_boot: int) -> BattleResult:
        """The battle of two of them."""
        tolerance, n_boot = positive("tolerance", tolerance), whole("n_boot", n_boot, 100)
        level = probability("level", level)
        nan = np.nan
        known = self.known[[i, j]]
        test = np.where(known, self.on_test[[i, j]].mean(axis=1), nan)
        sample = np.where(known, [self.on_samples[i, j].mean(), self.on_samples[j, i].mean()], nan)
        own = np.where(known, [self.on_samples[i, i].mean(), self.on_samples[j, j].mean()], nan)
        rng = np.random.default_rng([self.run.seed, i, j])
        limits = {"test": np.full(2, nan), "sample": np.full(2, nan)}
        if known.all():
            tails = [(1 - level) / 2, (1 + level) / 2]
            limits["test"] = np.quantile(_paired_ratios(self.on_test[i], self.on_test[j], n_boot, rng), tails)
            drawn = [_rates(errors, n_boot, rng) for errors in (self.on_samples[i, j], self.on_samples[j, i])]
            limits["sample"] = np.quantile(drawn[0] / drawn[1], tails)
        r_test = _ratio(test, self.on_test.shape[1])
        r_sample = _ratio(sample, self.on_samples.shape[2])
        names = (self.names[i], self.names[j])
        winner, reason = _verdict(names, known, r_test, r_sample, limits["sample"], tolerance)
        bare = [names[p] for p in range(2) if known[p] and 0 in (test[p], sample[p])]
        verdict = Verdict()
        if bare:
            verdict = Verdict(Status.UNRESOLVED, f"the discriminator of {bare[0]} made no error: ratios are bounds")
        return BattleResult(
            **self.run.ending(verdict),
            settings={
                "n": self.on_samples.shape[2],
                "n_test": self.on_test.shape[1],
                "tolerance": tolerance,
                "level": level,
                "n_boot": n_boot,
            },
            names=names,
            test_errors=test,
            sample_errors=sample,
            own_errors=own,
            r_test=r_test,
            r_test_interval=limits["test"],
            r_sample=r_sample,
            r_sample_interval=limits["sample"],
            winner=winner,
            reason=reason,
        )


def as_contender(model: Any, place: int) -> Contender:
    """A contender, what an object's method `contender` makes, or one that draws from samples."""
    if isinstance(model, Contender):
        return model
    if hasattr(model, "contender"):
        made: Contender = model.contender()
        return made
    if not hasattr(model, "__array__") and not isinstance(model, list | tuple):
        raise LyapmapError(
            f"models: expected a Contender, a trained model or an array of samples, got {type(model).__name__}"
        )
    samples = real_array(model, "models")

    def drawn(n: int, seed: int) -> NDArray[Any]:
        if samples.ndim < 2 or len(samples) < n:
            raise ShapeError(f"models: expected {n} samples or more (m, ...), got {samples.shape}")
        rows = np.random.default_rng(seed).choice(len(samples), n, replace=False)
        return np.asarray(samples[np.sort(rows)])

    return Contender(f"samples {place + 1}", drawn)


def judged(
    models: Sequence[Any], test_data: Any, n: int, *, seed: int | None, progress: bool | Report = False
) -> Judged:
    """Let every discriminator judge the test data and the samples of every generator; errors as of `battle`."""
    n = whole("n", n, 2)
    run = Run("battle", seed=seed, progress=progress)
    test = _samples(test_data, "test_data")
    contenders = [as_contender(model, place) for place, model in enumerate(models)]
    names = tuple(contender.name for contender in contenders)
    if len(set(names)) < len(names):
        raise LyapmapError(f"names: expected different ones, got {', '.join(names)}")
    judges = [contender.judge for contender in contenders]
    if all(judge is None for judge in judges):
        raise LyapmapError("judge: none of the models has a discriminator")
    m = len(contenders)
    on_test, on_samples = np.zeros((m, len(test)), bool), np.zeros((m, m, n), bool)
    with run.steps() as report:
        for j, contender in enumerate(contenders):
            samples = _samples(contender.sample(n, run.seed), contender.name)
            if len(samples) != n or samples.shape[1:] != test.shape[1:]:
                raise ShapeError(
                    f"{contender.name}: expected {n} samples of shape {test.shape[1:]} like the test data, "
                    f"got {len(samples)} of {samples.shape[1:]}"
                )
            for i, judge in enumerate(judges):
                if judge is not None:
                    on_samples[i, j] = _called_real(judge, samples, names[i])
            report(j + 1, m + 1)
        for i, judge in enumerate(judges):
            if judge is not None:
                on_test[i] = ~_called_real(judge, test, names[i])
        report(m + 1, m + 1)
    return Judged(names, on_test, on_samples, np.array([judge is not None for judge in judges]), run)


def _samples(given: Any, name: str) -> NDArray[Any]:
    values = real_array(given, name)
    if values.ndim < 2 or len(values) < 2:
        raise ShapeError(f"{name}: expected two or more samples (m, ...), got {values.shape}")
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        raise LyapmapError(f"{name}: not all values are finite, the first in sample {int(bad.argmax())}")
    return values


def _called_real(judge: Callable[[Any], Any], samples: NDArray[Any], name: str) -> NDArray[np.bool_]:
    real = np.asarray(judge(samples), np.float64)
    if real.shape != (len(samples),):
        raise ShapeError(f"{name}: expected one probability for each of {len(samples)} samples, got {real.shape}")
    if not ((real >= 0) & (real <= 1)).all():
        raise LyapmapError(f"{name}: expected probabilities from 0 to 1, got {real.min():g} to {real.max():g}")
    return np.asarray(real >= REAL)


def _rates(errors: NDArray[np.bool_], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    k, n = int(errors.sum()), len(errors)
    return rng.beta(k + PRIOR, n - k + PRIOR, draws)


def _paired_ratios(
    first: NDArray[np.bool_], second: NDArray[np.bool_], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Ratios of two error rates on the same samples."""
    cells = [(first & second).sum(), (first & ~second).sum(), (~first & second).sum(), (~first & ~second).sum()]
    weights = rng.dirichlet(np.array(cells) + PRIOR, draws)
    ratios: NDArray[np.float64] = (weights[:, 0] + weights[:, 1]) / (weights[:, 0] + weights[:, 2])
    return ratios


def _ratio(rates: NDArray[np.float64], n: int) -> float:
    """The first over the second; with half an error added to both where one has none."""
    if 0 in rates:
        rates = (rates * n + PRIOR) / (n + 2 * PRIOR)
    return float(rates[0] / rates[1])


def _verdict(
    names: tuple[str, str],
    known: NDArray[np.bool_],
    r_test: float,
    r_sample: float,
    limits: NDArray[np.float64],
    tolerance: float,
) -> tuple[str, str]:
    """The winner (Eq. 11), and why."""
    if not known.all():
        return "", f"{names[int(known[0])]} has no discriminator: one side only"
    if not 1 / (1 + tolerance) <= r_test <= 1 + tolerance:
        better = names[0] if r_test < 1 else names[1]
        return "tie", f"r_test = {r_test:.3g} is not close to 1: the discriminator of {better} generalizes better"
    if limits[0] <= 1 <= limits[1]:
        return "tie", f"r_sample = {r_sample:.3g} cannot be told from 1"
    if r_sample < 1:
        return names[0], f"its discriminator is fooled {1 / r_sample:.3g} times less often"
    return names[1], f"its discriminator is fooled {r_sample:.3g} times less often"


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

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.pictures.draw_tournament"

    names: tuple[str, ...]
    test_errors: NDArray[np.float64] = dims("model")
    sample_errors: NDArray[np.float64] = dims("judge", "generator")
    r_test: NDArray[np.float64] = dims("model", "opponent")
    r_sample: NDArray[np.float64] = dims("model", "opponent")
    outcome: NDArray[np.int64] = dims("model", "opponent")
    wins: NDArray[np.int64] = dims("model")
    losses: NDArray[np.int64] = dims("model")
    ties: NDArray[np.int64] = dims("model")

    @property
    def ranking(self) -> list[str]:
        """Names, most wins less losses first."""
        return [self.names[i] for i in np.argsort(self.losses - self.wins, kind="stable")]

    def _finding(self) -> str:
        return f"In order of their battles: {', '.join(self.ranking)}."


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
    test_data : (m, ...)
        Samples of the data that none was trained on.
    n : int
        Samples of each generator.
    tolerance : float
        The ratio on the test data counts as close to 1 from 1 / (1 + tolerance) to 1 + tolerance.
    level : float
        Of the limits, which must not hold 1 for a winner.
    n_boot : int
        Draws for them.
    seed : int, optional
        Of the samples and of the draws. Without it drawn from the operating system and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (models done, in all).
    throw : bool
        As everywhere; no status of this analysis is a failure.

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
    judgements = judged(models, test_data, n, seed=seed, progress=progress)
    m = len(models)
    r_test, r_sample = np.full((m, m), np.nan), np.full((m, m), np.nan)
    outcome, fought = np.zeros((m, m), np.int64), np.zeros((m, m), bool)
    battles: list[BattleResult] = []
    for i in range(m):
        for j in range(i + 1, m):
            pair = judgements.pair(i, j, tolerance=tolerance, level=level, n_boot=n_boot)
            battles.append(pair)
            r_test[i, j], r_test[j, i] = pair.r_test, 1 / pair.r_test
            r_sample[i, j], r_sample[j, i] = pair.r_sample, 1 / pair.r_sample
            outcome[i, j] = {pair.names[0]: 1, pair.names[1]: -1}.get(pair.winner, 0)
            outcome[j, i] = -outcome[i, j]
            fought[i, j] = fought[j, i] = bool(pair.winner)
    unresolved = [Verdict(pair.status, pair.message) for pair in battles if pair.status is Status.UNRESOLVED]
    known = judgements.known
    return Tournament(
        **judgements.run.ending(unresolved[0] if unresolved else Verdict()),
        settings=battles[0].settings,
        names=judgements.names,
        test_errors=np.where(known, judgements.on_test.mean(axis=1), np.nan),
        sample_errors=np.where(known[:, None], judgements.on_samples.mean(axis=2), np.nan),
        r_test=r_test,
        r_sample=r_sample,
        outcome=outcome,
        wins=(outcome > 0).sum(axis=1),
        losses=(outcome < 0).sum(axis=1),
        ties=(fought & (outcome == 0)).sum(axis=1),
    ).checked(throw)
