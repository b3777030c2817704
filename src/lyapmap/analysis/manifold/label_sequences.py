"""What sequences of categories tell: entropy rates, stays, and how long an order holds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Values = NDArray[np.float64]

LONGEST_MEMORY = 12
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
    found = np.zeros(k)
    found[closed] = solution / solution.sum()
    return found


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
