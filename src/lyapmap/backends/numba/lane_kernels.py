"""Source of the compiled loops for maps of a few scalars: straight-line code for fixed n and k.

`LANES` trajectories go in lockstep, each variable in a row of its own, so that the inner loop over
trajectories becomes vector instructions. Frames are orthonormalized with a positive diagonal of R.
Nothing here imports Numba.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lyapmap.backends.numba.row_kernels import LARGEST, SMALLEST

Pattern = Sequence[Sequence[bool]]

LANES = 32
"""Trajectories in lockstep: several vectors, so that the long latencies of sqrt and division overlap."""
CANCELLATION = 1e-3
"""A vector that loses more of its length than this when projected is orthonormalized the careful way."""


def propagate_source(n: int, k: int, pattern: Pattern) -> str:
    """Source of `propagate(p, x, frame, total, n_steps, qr_every)` for fixed n and k.

    It changes x (b, n), frame (b, n, k) and total (b, k) in place. The names `np`, `step` and
    `orthonormalize` must be in its globals; `step(p, x0, x1, ...)` returns the image and those
    entries of the Jacobian that `pattern` marks, row by row.
    """
    row = _Rows(n, k)
    frames = [
        "            if number % qr_every != 0 and number != n_steps:",
        "                for i in range(n * k):",
        "                    for t in range(m):",
        f"                        s[{row.q} + i, t] = s[{row.w} + i, t]",
        "                continue",
        "            odd = 0",
        "            for t in range(m):",
        *(f"                {line}" for line in _orthonormalize(row)),
        "            if odd != 0:",
        "                for t in range(m):",
        *(f"                    {line}" for line in _mend(row)),
    ]
    load = [
        "                for j in range(k):",
        f"                    s[{row.q} + i * k + j, t] = frame[first + t, i, j]",
        "            for j in range(k):",
        f"                s[{row.g} + j, t] = 1.0",
    ]
    store = [
        "                for j in range(k):",
        f"                    frame[first + t, i, j] = s[{row.q} + i * k + j, t]",
        "            for j in range(k):",
        f"                total[first + t, j] += np.log(s[{row.g} + j, t])",
    ]
    lines = [
        "def propagate(p, x, frame, total, n_steps, qr_every):",
        "    b, n, k = frame.shape",
        f"    s = np.empty(({row.count}, {LANES}))",
        *(["    w, lengths, r = np.empty((k, n)), np.empty(k), np.empty(k)"] if k > 0 else []),
        f"    for first in range(0, b, {LANES}):",
        f"        m = min({LANES}, b - first)",
        "        for t in range(m):",
        "            for i in range(n):",
        f"                s[{row.x} + i, t] = x[first + t, i]",
        *(load if k > 0 else []),
        "        for number in range(1, n_steps + 1):",
        "            for t in range(m):",
        *(f"                {line}" for line in _advance(row, pattern)),
        *(frames if k > 0 else []),
        "        for t in range(m):",
        "            for i in range(n):",
        f"                x[first + t, i] = s[{row.x} + i, t]",
        *(store if k > 0 else []),
    ]
    return "\n".join(lines) + "\n"


def jvp_source(n: int, pattern: Pattern) -> str:
    """Source of `jvp(p, x, v, y, u)`, which fills y (b, n) and u (b, n, k); k may be 0.

    `step` must be in its globals.
    """
    lines = [
        "def jvp(p, x, v, y, u):",
        "    for t in range(x.shape[0]):",
        f"        {_image(n)}, {_entries(pattern)} = step(p, {', '.join(f'x[t, {i}]' for i in range(n))})",
        *(f"        y[t, {i}] = y{i}" for i in range(n)),
        "        for c in range(v.shape[2]):",
        *(f"            u[t, {i}, c] = {_product(pattern, i, 'v[t, {j}, c]')}" for i in range(n)),
    ]
    return "\n".join(lines) + "\n"


def rows_source(n: int, pattern: Pattern) -> str:
    """Source of `image` and `tangents` for the loops of `row_kernels`, which keep what lanes do not.

    `step` must be in its globals.
    """
    step = f"{_image(n)}, {_entries(pattern)} = step(p, {', '.join(f'x[{i}]' for i in range(n))})"
    lines = [
        "def image(p, x, y):",
        f"    {step}",
        *(f"    y[{i}] = y{i}" for i in range(n)),
        "def tangents(p, x, v, u):",
        f"    {step}",
        "    for c in range(v.shape[0]):",
        *(f"        u[c, {i}] = {_product(pattern, i, 'v[c, {j}]')}" for i in range(n)),
    ]
    return "\n".join(lines) + "\n"


def log_det_source(n: int, pattern: Pattern) -> str:
    """Source of `log_det(p, x, total, n_steps)`, which adds log|det J| along the orbits to total (b,).

    `np` and `step` must be in its globals. x (b, n) becomes the states after the last step.
    """
    names = _numbered(pattern)
    entry = [[names.get((i, j), "0.0") for j in range(n)] for i in range(n)]
    lines = [
        "def log_det(p, x, total, n_steps):",
        "    for t in range(x.shape[0]):",
        *(f"        x{i} = x[t, {i}]" for i in range(n)),
        "        product = 1.0",
        "        for number in range(n_steps):",
        f"            {_image(n)}, {_entries(pattern)} = step(p, {', '.join(f'x{i}' for i in range(n))})",
        f"            det = {_determinant(entry)}",
        "            product *= abs(det)",
        # Logarithms are dear: one for many factors, as long as these stay in a safe range.
        f"            if not (product > {SMALLEST} and product < {LARGEST}):",
        "                total[t] += np.log(product)",
        "                product = 1.0",
        *(f"            x{i} = y{i}" for i in range(n)),
        "        total[t] += np.log(product)",
        *(f"        x[t, {i}] = x{i}" for i in range(n)),
    ]
    return "\n".join(lines) + "\n"


def _determinant(entry: list[list[str]]) -> str:
    """A determinant written out by its first row, terms that are zero left out."""
    if len(entry) == 1:
        return entry[0][0]
    terms = []
    for j, first in enumerate(entry[0]):
        minor = _determinant([[value for column, value in enumerate(row) if column != j] for row in entry[1:]])
        if first != "0.0" and minor != "0.0":
            terms.append(f"{'-' if j % 2 else '+'} {first} * ({minor})")
    return " ".join(terms).removeprefix("+ ") or "0.0"


class _Rows:
    """Which row of the scratch array holds which variable; each column is a lane.

    The state x, the frame q and its image w under the Jacobian (k values for each of n
    coordinates), the products g of growth factors, and whether the last step was in order.
    """

    def __init__(self, n: int, k: int) -> None:
        self.n, self.k = n, k
        self.x, self.q, self.w, self.g = 0, n, n + n * k, n + 2 * n * k
        self.ok = self.g + k
        self.count = self.ok + 1

    def at_x(self, i: int) -> str:
        return f"s[{self.x + i}, t]"

    def at_q(self, i: int, j: int) -> str:
        return f"s[{self.q + i * self.k + j}, t]"

    def at_w(self, i: int, j: int) -> str:
        return f"s[{self.w + i * self.k + j}, t]"

    def at_g(self, j: int) -> str:
        return f"s[{self.g + j}, t]"


def _pairs(n: int, k: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(k)]


def _numbered(pattern: Pattern) -> dict[tuple[int, int], str]:
    marked = [(i, j) for i, entries in enumerate(pattern) for j, present in enumerate(entries) if present]
    return {place: f"e{number}" for number, place in enumerate(marked)}


def _image(n: int) -> str:
    return "(" + "".join(f"y{i}, " for i in range(n)) + ")"


def _entries(pattern: Pattern) -> str:
    return "(" + "".join(f"{name}, " for name in _numbered(pattern).values()) + ")"


def _product(pattern: Pattern, i: int, component: str) -> str:
    """Row i of the Jacobian times a vector, the entries that are zero left out."""
    terms = [f"{e} * {component.format(j=j)}" for (row, j), e in _numbered(pattern).items() if row == i]
    return " + ".join(terms) or "0.0"


def _advance(row: _Rows, pattern: Pattern) -> Iterator[str]:
    """x becomes its image, w is J times the frame."""
    n, k = row.n, row.k
    yield f"{_image(n)}, {_entries(pattern)} = step(p, {', '.join(row.at_x(i) for i in range(n))})"
    for j in range(k):
        yield from (f"q{i} = {row.at_q(i, j)}" for i in range(n))
        yield from (f"{row.at_w(i, j)} = {_product(pattern, i, 'q{j}')}" for i in range(n))
    yield from (f"{row.at_x(i)} = y{i}" for i in range(n))


def _dot(n: int, a: str, b: str) -> str:
    return " + ".join(f"{a.format(i=i)} * {b.format(i=i)}" for i in range(n))


def _orthonormalize(row: _Rows) -> Iterator[str]:
    """The frame becomes Q of w = Q R, and g is multiplied by diag R, unless anything looks odd.

    Odd is a vector near zero, near overflow, near the span of those before it, or not a number.
    """
    n, k = row.n, row.k
    # Of a full frame in up to three dimensions the last vector follows from the others, without a
    # square root or division, and orthogonal to rounding however strongly the map contracts.
    last = k - 1 if k == n <= 3 else k
    conditions = []
    yield from (f"w{i}_{j} = {row.at_w(i, j)}" for i, j in _pairs(n, k))
    for j in range(last):
        if j > 0:
            yield f"before = {_dot(n, f'w{{i}}_{j}', f'w{{i}}_{j}')}"
        for earlier in range(j):
            yield f"d = {_dot(n, f'q{{i}}_{earlier}', f'w{{i}}_{j}')}"
            yield from (f"w{i}_{j} -= d * q{i}_{earlier}" for i in range(n))
        yield f"square = {_dot(n, f'w{{i}}_{j}', f'w{{i}}_{j}')}"
        yield f"ok{j} = (square > {SMALLEST**2}) & (square < {LARGEST**2})"
        if j > 0:
            yield f"ok{j} &= square > {CANCELLATION**2} * before"
        yield f"r{j} = np.sqrt(square)"
        yield f"inverse = 1.0 / r{j}"
        yield from (f"q{i}_{j} = w{i}_{j} * inverse" for i in range(n))
        conditions.append(f"ok{j}")
    if last < k:
        for i, component in enumerate(_complement(n)):
            yield f"q{i}_{last} = {component}"
        yield f"d = {_dot(n, f'q{{i}}_{last}', f'w{{i}}_{last}')}"
        yield f"r{last} = abs(d)"
        yield f"ok{last} = (r{last} > {SMALLEST}) & (r{last} < {LARGEST})"
        yield "sign = 1.0 if d > 0 else -1.0"
        yield from (f"q{i}_{last} *= sign" for i in range(n))
        conditions.append(f"ok{last}")
    yield f"ok = {' & '.join(conditions)}"
    yield "fine = ok"
    for j in range(k):
        yield f"g{j} = {row.at_g(j)} * (r{j} if ok else 1.0)"
        yield f"fine &= (g{j} > {SMALLEST}) & (g{j} < {LARGEST})"
        yield f"{row.at_g(j)} = g{j}"
    yield from (f"{row.at_q(i, j)} = q{i}_{j}" for i, j in _pairs(n, k))
    yield f"s[{row.ok}, t] = 1.0 if ok else 0.0"
    yield "odd += not fine"


def _complement(n: int) -> list[str]:
    """The unit vector orthogonal to the n - 1 before it."""
    if n == 1:
        return ["1.0"]
    if n == 2:
        return ["-q1_0", "q0_0"]
    return [f"q{a}_0 * q{b}_1 - q{b}_0 * q{a}_1" for a, b in ((1, 2), (2, 0), (0, 1))]


def _mend(row: _Rows) -> list[str]:
    """What looked odd is done the careful way; products that left the safe range become logarithms."""
    return [
        f"if s[{row.ok}, t] == 0.0:",
        "    for i in range(n):",
        "        for j in range(k):",
        f"            w[j, i] = s[{row.w} + i * k + j, t]",
        "    orthonormalize(w, n, lengths, r)",
        "    for j in range(k):",
        "        total[first + t, j] += np.log(r[j])",
        "        for i in range(n):",
        f"            s[{row.q} + i * k + j, t] = w[j, i]",
        "for j in range(k):",
        f"    g = s[{row.g} + j, t]",
        f"    if not (g > {SMALLEST} and g < {LARGEST}):",
        "        total[first + t, j] += np.log(g)",
        f"        s[{row.g} + j, t] = 1.0",
    ]
