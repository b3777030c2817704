"""What sequences of categories tell: entropy rates, stays, and how long an order holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.orbits.trajectory import Trajectory
from lyapmap.analysis.proportions import variance_of_mean, wilson
from lyapmap.core.arguments import probability, whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import real_array
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

Labels = NDArray[np.int64]
Values = NDArray[np.float64]

LONGEST_MEMORY = 12
"""Categories known before at most: beyond, words of two categories alone need 10 * 2^13 steps."""
WORDS_EACH = 10
"""Words found for each different one, at least, that an entropy of words needs."""


def transition_counts(sequences: list[Labels], k: int) -> NDArray[np.int64]:
    """How often each category (rows) was followed by each (columns)."""
    pairs = np.concatenate([s[:-1] * k + s[1:] for s in sequences])
    return np.bincount(pairs, minlength=k * k).reshape(k, k)


def conditional_entropies(sequences: list[Labels], k: int) -> tuple[Values, Values]:
    """Entropy of the next category given the 0, 1, 2, ... before it, in nats, and the bias removed.

    The entropy found in a sample is too small, in leading order by (D - 1) / 2N for D different
    outcomes among N (G. A. Miller 1955); that is added. Beyond 1, the memory grows while every word
    has been seen ten times on average.
    """
    rates, added = [], []
    beginnings: list[Labels] = []
    words = [s.copy() for s in sequences]  # the word that starts at each place, as a number
    for memory in range(LONGEST_MEMORY + 1):
        known = np.concatenate(words)
        n = len(known)
        if n == 0:
            break
        # The words and their beginnings are counted at the same places: then a rule without choice gives 0.
        counts = _counts(known)
        before = _counts(np.concatenate(beginnings)) if memory else np.array([n])
        if memory > 1 and WORDS_EACH * len(counts) > n:
            break
        bias = (len(counts) - len(before)) / (2 * n)
        rates.append(max(_entropy(counts) - _entropy(before), 0.0) + bias)
        added.append(bias)
        # Numbered anew, so that long words do not overflow.
        _, places = np.unique(known, return_inverse=True)
        lengths = np.cumsum([len(w) for w in words])[:-1]
        numbered = np.split(places.astype(np.int64), lengths)
        beginnings = [w[:-1] for w in numbered]
        words = [w[:-1] * k + s[memory + 1 :] for w, s in zip(numbered, sequences, strict=True)]
    return np.array(rates), np.array(added)


def stationary(matrix: Values) -> Values:
    """The distribution that a transition matrix leaves as it is; NaN where it is not the only one."""
    from scipy.sparse.csgraph import connected_components

    k = len(matrix)
    if not np.isfinite(matrix).all():
        return np.full(k, np.nan)
    count, part = connected_components(matrix > 0, connection="strong")
    leaves = np.zeros(count, bool)
    i, j = np.nonzero(matrix > 0)
    leaves[part[i[part[i] != part[j]]]] = True
    if (~leaves).sum() != 1:
        return np.full(k, np.nan)
    closed = part == int(np.flatnonzero(~leaves)[0])
    inner = matrix[np.ix_(closed, closed)]
    size = len(inner)
    equations = np.concatenate([inner.T - np.eye(size), np.ones((1, size))])
    solution = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0].clip(0)
    distribution = np.zeros(k)
    distribution[closed] = solution / solution.sum()
    return distribution


def stays(sequences: list[Labels], k: int) -> NDArray[np.int64]:
    """How often each category (rows) was kept for 1, 2, ... steps (columns).

    Stays that the beginning or the end of a sequence cuts are left out.
    """
    which, lengths = [], []
    for s in sequences:
        starts = np.concatenate([[0], np.flatnonzero(np.diff(s)) + 1, [len(s)]])
        which.append(s[starts[1:-2]])
        lengths.append(np.diff(starts)[1:-1])
    kept, length = np.concatenate(which), np.concatenate(lengths)
    table = np.zeros((k, int(length.max(initial=1))), np.int64)
    np.add.at(table, (kept, length - 1), 1)
    return table


def holding(sequences: list[Labels], successor: Labels) -> tuple[list[Values], Labels, NDArray[np.bool_]]:
    """Whether each step keeps an order, the lengths of unbroken runs, and which of these are cut by the end.

    Parameters
    ----------
    sequences : list of (m,)
    successor : (k,)
        Which category follows each; -1 for those outside the order.
    """
    kept, runs, cut = [], [], []
    for s in sequences:
        good = s[1:] == successor[s[:-1]]
        kept.append(good.astype(np.float64))
        padded = np.concatenate([[False], good, [False]])
        edges = np.flatnonzero(np.diff(padded.astype(np.int8)))
        begin, end = edges[::2], edges[1::2]
        runs.append(end - begin)
        cut.append((begin == 0) | (end == len(good)))
    return kept, np.concatenate(runs).astype(np.int64), np.concatenate(cut).astype(bool)


def usual_order(counts: NDArray[np.int64]) -> list[int]:
    """The cycle that one comes into from the commonest category by the commonest steps."""
    here, seen = int(counts.sum(axis=1).argmax()), list[int]()
    while here not in seen:
        seen.append(here)
        here = int(counts[here].argmax())
    cycle = seen[seen.index(here) :]
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


def surprises(sequences: list[Labels], matrix: Values) -> list[Values]:
    """-ln of the probability of each step."""
    return [-np.log(matrix[s[:-1], s[1:]]) for s in sequences]


def _counts(values: Labels) -> NDArray[np.int64]:
    return np.unique(values, return_counts=True)[1]


def _entropy(counts: NDArray[np.int64]) -> float:
    n = counts.sum()
    return math.log(n) - float((counts * np.log(counts)).sum()) / float(n)


Classify = Callable[[Any], Any]
"""Takes states (m, *state_shape), returns a category 0, 1, ... for each."""

ROWS = 2048
"""States that are classified at once."""
LARGEST = 10_000
"""Categories beyond are no categories."""


@dataclass(frozen=True, kw_only=True)
class Transitions(Result):
    """Categories along trajectories.

    Attributes
    ----------
    labels : (b, steps)
        Category of every state; -1 after an escape.
    categories : (k,)
        Those that occurred or were asked for, ascending; rows and columns below.
    counts : (k, k)
        How often a category (row) was followed by another (column).
    matrix : (k, k)
        Probabilities; rows sum to one, and are NaN for a category from which no step was seen.
    matrix_stderr : (k, k)
        Standard deviations of the Dirichlet distribution that counts and Jeffreys' prior give.
    matrix_interval : (k, k, 2)
        Wilson's limits at the level `settings["level"]`.
    order : (m,)
        The cycle that was asked for, or the commonest one (`settings["order"]` says which); empty
        where none was asked for and none is followed more often than chance would, draws from `occupation`.
    accuracy : float
        Part of all steps that go from a category of the order to the next one; NaN without an order.
    accuracy_interval : (2,)
        Wilson's limits, for as many independent steps as the correlated ones amount to.
    runs : (r,)
        Lengths in steps of the stretches over which the order held.
    runs_cut : (r,) bool
        Which of them the beginning or the end of a trajectory cut.
    dwell_counts : (k, L)
        How often each category was kept for 1, ..., L steps, stays cut by beginning or end left out.
    dwell_mean : (k,)
        Steps in a category for each departure from it; NaN where none was seen.
    occupation : (k,)
        Part of all states in each category.
    stationary : (k,)
        The distribution that `matrix` leaves as it is; NaN if there are several, or rows unknown.
    entropy_rate : float
        Of the Markov chain with these transitions, in nats per step, the bias of the sample removed.
    entropy_stderr : float
    memory_rates : (M,)
        Entropy of the next category given the 0, 1, 2, ... before it. That of 1 is `entropy_rate`;
        where more memory lowers it, the sequence is no Markov chain of the first order.
    memory_bias : (M,)
        What was added to each to remove the bias.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.manifold.pictures_manifold.draw_transitions"
    SUMMARY: ClassVar[tuple[str, ...]] = ("accuracy", "entropy_rate")
    REMEDIES: ClassVar[dict[Status, str]] = {Status.UNRESOLVED: "record more steps, or more trajectories"}

    labels: NDArray[np.int64] = dims("trajectory", "step")
    categories: NDArray[np.int64] = dims("category")
    counts: NDArray[np.int64] = dims("category", "next")
    matrix: NDArray[np.float64] = dims("category", "next")
    matrix_stderr: NDArray[np.float64] = dims("category", "next")
    matrix_interval: NDArray[np.float64] = dims("category", "next", "limit")
    order: NDArray[np.int64] = dims("place")
    accuracy: float
    accuracy_interval: NDArray[np.float64] = dims("limit")
    runs: NDArray[np.int64] = dims("run")
    runs_cut: NDArray[np.bool_] = dims("run")
    dwell_counts: NDArray[np.int64] = dims("category", "length")
    dwell_mean: NDArray[np.float64] = dims("category")
    occupation: NDArray[np.float64] = dims("category")
    stationary: NDArray[np.float64] = dims("category")
    entropy_rate: float
    entropy_stderr: float
    memory_rates: NDArray[np.float64] = dims("memory")
    memory_bias: NDArray[np.float64] = dims("memory")
    unit: str = "per step"

    @property
    def cycles(self) -> NDArray[np.int64]:
        """Whole cycles in each of the `runs`."""
        return self.runs // max(len(self.order), 1)

    def _finding(self) -> str:
        if not len(self.order):
            return f"The {len(self.categories)} categories follow each other in no order that chance would not give."
        order = " → ".join(str(place) for place in (*self.order, self.order[0]))
        low, high = self.accuracy_interval
        return f"{self.accuracy:.1%} of the steps follow the order {order} (between {low:.1%} and {high:.1%})."


def transitions(
    states: Trajectory | Any,
    classify: Classify | None = None,
    *,
    order: Any = None,
    categories: Any = None,
    level: float = 0.95,
    progress: bool | Report = False,
    throw: bool = True,
) -> Transitions:
    """Transitions between categories along trajectories.

    Parameters
    ----------
    states : Trajectory, (b, steps, ...) or, without `classify`, (b, steps) or (steps,)
        States in the order of time; without `classify`, their categories 0, 1, ...
    classify : callable, optional
        Takes states (m, *state_shape), returns a category for each, e.g.
        ``lyapmap.training.classifier("classifier-mnist")``.
    order : sequence of int, optional
        The cycle that should hold, e.g. 0,1,2 for 0 -> 1 -> 2 -> 0; the commonest by default. That
        one is taken, if there is one, whose accuracy is then a little too good: it was chosen by the same data.
    categories : sequence of int, optional
        Categories that shall have a row even if they never occur.
    level : float
        Confidence of the limits.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (states done, states in all).
    throw : bool
        Raise if a state escaped; else use those before.

    Returns
    -------
    Transitions
        With status "unresolved" where rows, dwell times or the stationary distribution are not
        determined by what was seen; those are NaN.

    Raises
    ------
    ShapeError, LyapmapError
        If there are no two states in a row, or labels that are no categories.
    RunError
        If a state escaped and `throw`.
    Interrupted
        On Ctrl-C.

    References
    ----------
    T. W. Anderson, L. A. Goodman, Ann. Math. Stat. 28 (1957) 89 (estimated transition matrices).
    G. A. Miller, in "Information Theory in Psychology" (1955) 95 (the bias of entropies).
    C. E. Shannon, Bell Syst. Tech. J. 27 (1948) 379, Sect. 7 (entropy given what came before).

    Examples
    --------
    >>> import numpy as np
    >>> found = transitions(np.tile([0, 1, 2], 50), order=(0, 1, 2))
    >>> found.accuracy, found.entropy_rate, found.dwell_mean.tolist()
    (1.0, 0.0, [1.0, 1.0, 1.0])

    The left and right halves of the logistic map's interval follow each other like heads and tails:

    >>> import lyapmap as lm
    >>> orbit = lm.trajectory(lm.systems.logistic(r=4.0), [0.3], n_steps=5000)
    >>> round(lm.transitions(orbit, lambda x: (x[:, 0] > 0.5).astype(int)).entropy_rate, 2)
    0.69
    """
    level = probability("level", level)
    run = Run("categories", progress=progress)
    origin: dict[str, Any] = {}
    if isinstance(states, Trajectory):
        origin, states = dict(states.provenance), states.images()
        if classify is None:
            raise LyapmapError("classify: expected a function that gives the states of a trajectory their categories")
    with run.steps() as report:
        labels = _given(states) if classify is None else _classified(states, classify, report)
    cycle = [] if order is None else _numbers("order", order)
    if len(set(cycle)) < len(cycle):
        raise LyapmapError(f"order: expected every category once, got {cycle}")
    asked = [] if categories is None else _numbers("categories", categories)
    known = np.unique(np.concatenate([labels[labels >= 0], np.array(cycle + asked, np.int64)]))
    # What an escaped trajectory went through before is still in order; a single state makes no step.
    lengths = (labels >= 0).sum(axis=1)
    sequences = [np.searchsorted(known, row[:n]) for row, n in zip(labels, lengths, strict=True) if n > 1]
    if not sequences:
        raise LyapmapError("states: no trajectory has two finite states in a row, there is no transition")
    k = len(known)
    counts = transition_counts(sequences, k)
    places = usual_order(counts) if order is None else np.searchsorted(known, cycle).tolist()
    summary = _summary(sequences, counts, places, level)
    if order is None and not _followed(summary, places):
        places = []
        summary |= {"accuracy": float("nan"), "accuracy_interval": np.full(2, np.nan)}
        summary |= {"runs": np.zeros(0, np.int64), "runs_cut": np.zeros(0, bool)}
    notes = _notes(known, counts, summary)
    lost = int((lengths < labels.shape[1]).sum())
    status = Status.ESCAPED if lost else Status.UNRESOLVED if notes else Status.OK
    if lost:
        notes.insert(0, f"{lost} of {len(labels)} trajectories have a state that is not finite")
    settings = {
        "order": "found" if order is None else "given",
        "level": level,
        "classify": None if classify is None else str(getattr(classify, "name", getattr(classify, "__name__", ""))),
        "n_trajectories": len(labels),
        "n_states": labels.shape[1],
    }
    ending = run.ending(Verdict(status, "; ".join(notes)))
    ending["provenance"] |= origin | {"seconds": ending["provenance"]["seconds"]}
    result = Transitions(
        **ending,
        settings=settings,
        labels=labels,
        categories=known,
        counts=counts,
        order=known[places],
        **summary,
    )
    return run.finish(result, throw)


def _summary(
    sequences: list[NDArray[np.int64]], counts: NDArray[np.int64], places: list[int], level: float
) -> dict[str, Any]:
    k, left, n = len(counts), counts.sum(axis=1, keepdims=True), int(counts.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = counts / left
        gone = left[:, 0] - counts.diagonal()
        dwell = np.where(gone > 0, left[:, 0] / gone, np.nan)
    expected = (counts + 0.5) / (left + k / 2)
    successor = np.full(k, -1)
    successor[places] = places[1:] + places[:1]
    kept, runs, cut = holding(sequences, successor)
    accuracy = float(np.concatenate(kept).mean())
    correlated, independent = variance_of_mean(kept)
    rates, bias = conditional_entropies(sequences, k)
    # What is left of a constant surprise is the spread of the entropy itself, a chi-square.
    free = int((counts > 0).sum() - (left > 0).sum())
    surprise = surprises(sequences, matrix)
    entropy = float(np.concatenate(surprise).mean()) + free / (2 * n)
    return {
        "matrix": matrix,
        "matrix_stderr": np.sqrt(expected * (1 - expected) / (left + k / 2 + 1)),
        "matrix_interval": wilson(matrix, np.broadcast_to(left, matrix.shape), level),
        "accuracy": accuracy,
        "accuracy_interval": wilson(accuracy, n * independent / correlated if correlated else n, level),
        "runs": runs,
        "runs_cut": cut,
        "dwell_counts": stays(sequences, k),
        "dwell_mean": dwell,
        "occupation": np.bincount(np.concatenate(sequences), minlength=k) / sum(map(len, sequences)),
        "stationary": stationary(matrix),
        "entropy_rate": entropy + 0.0,
        "entropy_stderr": math.sqrt(variance_of_mean(surprise)[0] + free / (2 * n**2)),
        "memory_rates": rates,
        "memory_bias": bias,
    }


def _followed(summary: dict[str, Any], places: list[int]) -> bool:
    """Whether categories follow a cycle of at least two more often than independent draws would."""
    part = summary["occupation"][places]
    return len(places) > 1 and bool(summary["accuracy_interval"][0] > part @ np.roll(part, -1))


def _notes(known: NDArray[np.int64], counts: NDArray[np.int64], summary: dict[str, Any]) -> list[str]:
    """What was not determined, in words."""
    left = counts.sum(axis=1)
    notes = []
    if (left == 0).any():
        notes.append(f"no step from {_words(known[left == 0])} was seen")
    stuck = (left > 0) & np.isnan(summary["dwell_mean"])
    if stuck.any():
        notes.append(f"{_words(known[stuck])} was never left")
    if (left > 0).all() and np.isnan(summary["stationary"]).any():
        notes.append("several sets of categories are never left, the stationary distribution depends on the start")
    return notes


def _words(numbers: NDArray[np.int64]) -> str:
    return f"categor{'y' if len(numbers) == 1 else 'ies'} {', '.join(map(str, numbers))}"


def _given(labels: Any) -> NDArray[np.int64]:
    rows = _categories(labels, "states")
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] < 2:
        raise ShapeError(
            f"states: expected categories (b, steps) of at least two steps, or a function classify, got {rows.shape}"
        )
    return rows


def _classified(states: Any, classify: Classify, report: Report) -> NDArray[np.int64]:
    if not callable(classify):
        raise LyapmapError(f"classify: expected a function of states, got {type(classify).__name__}")
    given = real_array(states, "states")
    if given.ndim < 3 or given.shape[1] < 2 or given.size == 0:
        raise ShapeError(f"states: expected (b, steps, ...) of at least two steps, got {given.shape}")
    rows = given.reshape(-1, *given.shape[2:])
    alive = np.isfinite(rows.reshape(len(rows), -1)).all(axis=1).reshape(given.shape[:2])
    alive = np.logical_and.accumulate(alive, axis=1)  # what follows an escape is no orbit
    places = np.flatnonzero(alive)
    labels = np.full(len(rows), -1, np.int64)
    for start in range(0, len(places), ROWS):
        some = places[start : start + ROWS]
        category = _categories(classify(rows[some]), "classify")
        if category.shape != some.shape:
            raise ShapeError(
                f"classify: expected one category for each of {len(some)} states, got shape {category.shape}"
            )
        labels[some] = category
        report(start + len(some), len(places))
    return labels.reshape(given.shape[:2])


def _categories(values: Any, name: str) -> NDArray[np.int64]:
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.dtype.kind not in "iub":
        raise LyapmapError(f"{name}: expected categories as integers, got dtype {array.dtype}")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < LARGEST:
        raise LyapmapError(
            f"{name}: expected categories from 0 to {LARGEST - 1}, got {int(array.min())} to {int(array.max())}"
        )
    return array.astype(np.int64)


def _numbers(name: str, values: Any) -> list[int]:
    numbers = [whole(name, value.item() if isinstance(value, np.generic) else value, 0) for value in values]
    if not numbers or max(numbers) >= LARGEST:
        raise LyapmapError(f"{name}: expected categories from 0 to {LARGEST - 1}, got {numbers or 'none'}")
    return numbers
