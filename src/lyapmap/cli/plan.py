"""`lyapmap plan`: what a command would take, before it starts."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from lyapmap.cli import show
from lyapmap.cli.command import Run, UsageError, command
from lyapmap.core.demand import in_bytes, in_time, planned


def any_word(text: str) -> str:
    """A word of another command, options included."""
    return text


@command(
    group="data",
    out=False,
    reads={"words": any_word},
    examples="""
lyapmap plan spectrum cycle-mnist-012 -n 2000
lyapmap plan trajectory henon -b 100000 -n 100000
lyapmap plan train cycle --data digits --out run --epochs 200
lyapmap plan spectrum henon -n 1000000000 --json
""",
)
def plan(run: Run, words: list[str], /) -> int:
    """Seconds and bytes of a command, before it starts.

    The command is begun, in a folder that is thrown away: it loads its model, reads its data, checks its options.
    Parts that take no more than a few seconds are done; the first that takes longer is foretold by a few of its own
    steps, and what comes after it is not looked at. Exits with 1 where memory would not do.

    Parameters
    ----------
    words : COMMAND
        A command with its options, as it would be typed.
    """
    from lyapmap.cli.root import run as typed

    if words[0] in ("plan", "--json", "--help"):
        raise UsageError(f"COMMAND: expected a command with its options, got {words[0]!r}")
    written, said, begin = io.StringIO(), io.StringIO(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lyapmap-plan-") as folder, planned() as foretold:
        foretold.folder = str(Path(folder, "out"))
        code = 0
        with redirect_stdout(written), redirect_stderr(said):
            code = typed([*words])
    taken = time.perf_counter() - begin
    if foretold.complete and (code == show.INTERRUPTED or (code and not foretold.parts)):
        sys.stderr.write(said.getvalue())
        return code
    if run.as_json:
        show.print_json({"command": words, "planning_seconds": round(taken, 3)} | foretold.to_dict())
        return 0 if foretold.fits else show.BAD_STATUS
    console = show.make_console()
    console.print(f"Plan of lyapmap {' '.join(words)}", style="bold")
    for part in foretold.parts:
        work = f"{part.rows:,} x {part.steps:,} steps" if part.steps > 1 else f"{part.rows:,} points"
        seconds = "not known" if part.seconds != part.seconds else in_time(part.seconds)
        show.print_facts(console, [(part.part, f"{seconds}, {in_bytes(part.bytes)} ({work})")])
    if not foretold.parts:
        show.print_facts(console, [("time", f"{in_time(taken)}: it was done on the way")])
    facts = [
        ("in all", f"{in_time(foretold.seconds)}, {in_bytes(foretold.bytes)} at once beside what the program holds")
    ]
    facts.append(("memory", f"{in_bytes(foretold.free)} are free{'' if foretold.fits else ': too few'}"))
    if not foretold.complete:
        facts.append(("not counted", "loading, what comes after the last part, and pictures"))
    show.print_facts(console, facts)
    return 0 if foretold.fits else show.BAD_STATUS
