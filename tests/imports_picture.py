"""`make architecture`: draws which room imports which, read from the code, to docs/imports.svg.

Where a room stands on the page is chosen here; the arrows and the table come from the imports.
"""

from __future__ import annotations

from pathlib import Path

from test_architecture import BELOW, COMMANDS, DOORS, FLOORS, SOURCE, fits, imports_of, room_of

PICTURE = Path(__file__).parents[1] / "docs" / "imports.svg"

PLACES = {
    "cli": (2.0, 8, "commands"),
    "models": (2.0, 7, "a folder for a paper"),
    "study": (2.0, 6, "stages, resumed"),
    "views": (0.9, 5, "public pictures"),
    "training": (3.1, 5, "a loop"),
    "explore": (4.3, 5, "a local page"),
    "systems": (0.0, 4, "known maps"),
    "files": (1.7, 4, "checkpoints"),
    "analysis": (3.1, 3, "the methods"),
    "data": (4.3, 3, "data sets"),
    "backends": (0.9, 2, "frameworks"),
    "report": (3.1, 2, "style, page"),
    "engine": (4.3, 2, "workers"),
    "core": (2.0, 1, "the contract"),
}
"""Column and floor of each room, and what it holds in a word."""
AROUND = {("cli", "systems"), ("models", "data"), ("files", "data"), ("data", "core")}
"""Arrows that go around the rooms between: along the upper room's floor and down, or down and along the lower one's."""

COLUMN, STOREY, LEFT, TOP = 104, 68, 74, 66
WIDTH, HEIGHT = 92, 38
CELL, TABLE_LEFT, TABLE_TOP = 34, 690, 168
INK, PALE, ACCENT = "#1f2933", "#cbd2d9", "#2f6f9f"


def arrows() -> set[tuple[str, str]]:
    """Which room imports which, (from, to), at any time and in whatever way; doors are left out."""
    pairs = set()
    for path in SOURCE.rglob("*.py"):
        where = path.relative_to(SOURCE).as_posix()
        room = "cli" if fits(where, COMMANDS) else where.partition("/")[0]
        if room in BELOW:
            targets = {room_of(module) for module, _, _ in imports_of(SOURCE, path)}
            pairs |= {(room, target) for target in targets & set(BELOW) if target not in DOORS.get(where, ())}
    return {(room, target) for room, target in pairs if room != target}


def told_by_others(arrow: tuple[str, str], known: set[tuple[str, str]]) -> bool:
    """Whether other arrows lead from its room to its target as well."""
    reached: set[str] = set()
    waiting = [arrow[0]]
    while waiting:
        room = waiting.pop()
        more = {target for start, target in known - {arrow} if start == room} - reached
        reached |= more
        waiting += more
    return arrow[1] in reached


def middle(room: str) -> tuple[float, float]:
    column, floor, _ = PLACES[room]
    return LEFT + COLUMN * column, TOP + STOREY * (8 - floor)


def line(start: str, end: str) -> str:
    """The way of an arrow."""
    (x0, y0), (x1, y1) = middle(start), middle(end)
    side = 1 if x1 > x0 else -1
    if (start, end) in AROUND and y1 - y0 >= STOREY and PLACES[end][1] > 1:
        return f"M{x0 + side * WIDTH / 2:g} {y0:g}H{x1:g}V{y1 - HEIGHT / 2 - 7:g}"
    if (start, end) in AROUND:
        return f"M{x0:g} {y0 + HEIGHT / 2:g}V{y1:g}H{x1 - side * (WIDTH / 2 + 7):g}"
    lean = max(-0.4, min(0.4, 0.25 * (x1 - x0) / COLUMN)) * WIDTH
    return f"M{x0 + lean:g} {y0 + HEIGHT / 2:g}L{x1 - lean:g} {y1 - HEIGHT / 2 - 7:g}"


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "middle", colour: str = INK) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def picture() -> str:
    """The whole picture as SVG."""
    known = arrows()
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1130 640" font-family="Helvetica, Arial, sans-serif">',
        '<rect width="1130" height="640" fill="#ffffff"/>',
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{ACCENT}"/></marker></defs>',
        text(18, 26, "Which room imports which", size=16, anchor="start"),
        text(520, 26, "arrows that follow from others are left out", size=12, anchor="end", colour="#52606d"),
    ]
    for floor in range(1, 9):
        y = TOP + STOREY * (8 - floor) + STOREY / 2
        parts.append(f'<path d="M18 {y:g}H590" stroke="{PALE}" stroke-dasharray="2 4"/>')
    for start, end in sorted(known):
        if not told_by_others((start, end), known):
            way = line(start, end)
            parts.append(f'<path d="{way}" fill="none" stroke="{ACCENT}" stroke-width="1.5" marker-end="url(#tip)"/>')
    for room, (_, _, words) in PLACES.items():
        x, y = middle(room)
        parts += [
            f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="5" '
            f'fill="#eef4f8" stroke="{ACCENT}"/>',
            text(x, y - 2, room, size=13),
            text(x, y + 12, words, size=9, colour="#52606d"),
        ]
    rooms = [room for floor in reversed(FLOORS) for room in sorted(floor, reverse=True)]
    for i, room in enumerate(rooms):
        x, y = TABLE_LEFT + CELL * (i + 0.5), TABLE_TOP + CELL * (i + 0.5)
        parts.append(text(TABLE_LEFT - 8, y + 4, room, anchor="end"))
        parts.append(
            f'<g transform="translate({x + 4:g} {TABLE_TOP - 8}) rotate(-60)">{text(0, 0, room, anchor="start")}</g>'
        )
        for j, target in enumerate(rooms):
            left, top = TABLE_LEFT + CELL * j, TABLE_TOP + CELL * i
            allowed = target in BELOW[room] or room == target
            fill = PALE if room == target else "#ffffff" if allowed else "#f0f1f3"
            parts.append(f'<rect x="{left}" y="{top}" width="{CELL}" height="{CELL}" fill="{fill}" stroke="{PALE}"/>')
            if (room, target) in known:
                parts.append(f'<circle cx="{left + CELL / 2:g}" cy="{top + CELL / 2:g}" r="8" fill="{ACCENT}"/>')
    y = TABLE_TOP + CELL * len(rooms) + 24
    parts += [
        text(
            TABLE_LEFT,
            y,
            "row imports column: dot = it does, white = it may, grey = never",
            anchor="start",
            colour="#52606d",
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
