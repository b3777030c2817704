"""Write `docs/benchmarks.md` from the stored results: `make bench`, or `python benchmarks/page.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "peers"))
from works import WORKS  # noqa: E402  # which lies beside what runs it

PAGE = HERE.parent / "docs" / "benchmarks.md"
KINDS = {"one trajectory": "One trajectory", "ensemble": "Ensembles", "points": "Points and series"}
OURS = "lyapmap"
LEVEL = 1.05
"""Ratios of CPU seconds up to which two tools are level."""


def package(tool: str) -> str:
    return tool.split(",")[0]


def page(results: dict[str, Any], template: str, by_itself: str) -> str:
    """The whole page: the template with its fields filled."""
    works = {name: results["works"][name] for name in WORKS if name in results["works"]}
    tables: list[str] = []
    for kind, title in KINDS.items():
        tables += [f"### {title}", ""]
        for name, tools in works.items():
            if WORKS[name].kind == kind:
                tables += [*table(name, tools), ""]
    fields = {key: str(results[key]) for key in ("date", "machine", "load")} | {
        "versions": versions(works),
        "summary": "\n".join(summary(works)),
        "tables": "\n".join(tables).strip(),
        "by_itself": by_itself.strip(),
    }
    for name, text in fields.items():
        template = template.replace(f"{{{name}}}", text)
    return template


def versions(works: dict[str, Any]) -> str:
    """Of the packages, as each was measured."""
    known: dict[str, str] = {}
    for tools in works.values():
        for tool, measured in tools.items():
            name = package(tool)
            if name in measured.get("versions", {}):
                known[name] = measured["versions"][name]
            if name == OURS:
                shared = ("python", "numpy", "numba", "jax", "torch")
                known |= {key: value for key, value in measured.get("versions", {}).items() if key in shared}
    return ", ".join(f"{name} {version}" for name, version in sorted(known.items()))


def summary(works: dict[str, Any]) -> list[str]:
    """One row for each piece of work: our ways, the fastest other package, and who is faster by how much."""
    lines = [
        "| work | lyapmap, its own | lyapmap, a user's function | fastest other | its own / other | user's / other |",
        "|---|---|---|---|---|---|",
    ]
    for name, tools in works.items():
        times = {tool: measured["cpu"] for tool, measured in tools.items() if "cpu" in measured}
        others = {tool: cpu for tool, cpu in times.items() if package(tool) != OURS}
        own = next((cpu for tool, cpu in times.items() if tool in (OURS, f"{OURS}, its own map")), None)
        users = {tool.split(", ")[1]: cpu for tool, cpu in times.items() if package(tool) == OURS and cpu != own}
        other = min(others, key=others.__getitem__, default=None)
        user = min(users, key=users.__getitem__, default=None)
        cells = [
            WORKS[name].title,
            "" if own is None else seconds(own),
            "" if user is None else f"{seconds(users[user])} ({user.removeprefix('a ').removeprefix('an ')})",
            "none measured" if other is None else f"{seconds(others[other])} ({other})",
            "" if own is None or other is None else ratio(own / others[other]),
            "" if user is None or other is None else ratio(users[user] / others[other]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table(name: str, tools: dict[str, Any]) -> list[str]:
    """All tools of one piece of work, the fastest first."""
    work = WORKS[name]
    lines = [
        f"**{work.title}** (known: {work.known})",
        "",
        "| tool | CPU seconds | first time | result |",
        "|---|---|---|---|",
    ]
    for tool, measured in sorted(tools.items(), key=lambda item: item[1].get("cpu", float("inf"))):
        if measured.get("missing"):
            lines.append(f"| {tool} | not installed | | |")
        elif "cpu" not in measured:
            lines.append(f"| {tool} | failed: {measured['failed'].replace('|', '/')} | | |")
        else:
            part = "" if measured["share"] == 1 else f" (from a part in {measured['share']})"
            first = f"{measured['first']:.1f}"
            lines.append(f"| {tool} | {seconds(measured['cpu'])}{part} | {first} | {values(measured['values'])} |")
    return lines


def seconds(cpu: float) -> str:
    """Three digits."""
    return f"{cpu:.3g}" if cpu < 100 else f"{cpu:.0f}"


def ratio(value: float) -> str:
    text = f"{value:.2f}" if value < 10 else f"{value:.0f}"
    return f"**{text}**" if value > LEVEL else text


def values(answer: dict[str, list[float] | float]) -> str:
    """What came out, errors and all."""
    parts = []
    for key, value in answer.items():
        numbers = value if isinstance(value, list) else [value]
        parts.append(f"{key.replace('_', ' ')} {', '.join(f'{number:.4g}' for number in numbers[:4])}")
    return "; ".join(parts)


def main() -> None:
    results = json.loads((HERE / "results" / "peers.json").read_text())
    PAGE.write_text(page(results, (HERE / "page.md").read_text(), (HERE / "by_itself.md").read_text()))


if __name__ == "__main__":
    main()
