"""`lyapmap doctor` and `plan`: what this machine has for computations, and what one of them would take of it."""

from __future__ import annotations

import io
import os
import platform
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lyapmap.cli import show
from lyapmap.cli.command import Run, UsageError, command
from lyapmap.core.demand import in_bytes, in_time, planned
from lyapmap.core.errors import install_command

CAPS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_WAIT_POLICY")
"""Variables by which threads are limited."""
COLLECTIONS = {"all", "dev", "examples"}
"""Extras that no analysis needs as such."""


@command(
    group="data",
    out=False,
    examples="""
lyapmap doctor
lyapmap doctor --json
""",
)
def doctor(run: Run) -> int:
    """Show versions, devices, threads and caches, and how to add what is missing.

    Exits with 1 if something that every command needs is broken.
    """
    required = packages(None)
    state: dict[str, Any] = {
        "lyapmap": metadata.version("lyapmap"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": required,
        "extras": extras(),
        "devices": devices(),
        "threads": threads(),
        "caches": caches(),
    }
    broken = None in required.values()
    if run.as_json:
        show.print_json(state | {"ok": not broken})
    else:
        _print(state)
    return show.BAD_STATUS if broken else 0


def packages(extra: str | None) -> dict[str, str | None]:
    """Versions of the packages that lyapmap (None), or one of its extras, requires; None for what is not installed.

    Examples
    --------
    >>> sorted(packages(None))[:2]
    ['cyclopts', 'h5netcdf']
    """
    from packaging.requirements import Requirement

    versions: dict[str, str | None] = {}
    for requirement in map(Requirement, metadata.requires("lyapmap") or ()):
        wanted = requirement.marker is None if extra is None else requirement.marker is not None
        if wanted and requirement.marker is not None:
            wanted = requirement.marker.evaluate({"extra": extra or ""})
        if wanted and requirement.name != "lyapmap":
            versions[requirement.name] = _version(requirement)
    return versions


def _version(requirement: Any) -> str | None:
    """The installed version; None where there is none, with a note where it is too old."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None
    return version if requirement.specifier.contains(version, prereleases=True) else f"{version}, too old"


def extras() -> dict[str, dict[str, Any]]:
    """For each extra its packages, and the command that adds what is missing; an empty one where nothing is."""
    names = metadata.metadata("lyapmap").get_all("Provides-Extra") or ()
    listed = {name: packages(name) for name in names if name not in COLLECTIONS}
    return {
        name: {
            "packages": versions,
            "install": "" if all(versions.values()) else install_command(name),
        }
        for name, versions in listed.items()
        if versions
    }


def devices() -> dict[str, Any]:
    """The processor, and what torch can compute on beside it where torch is installed."""
    here: dict[str, Any] = {"cpu": _processor(), "cores": os.cpu_count()}
    if find_spec("torch") is not None:
        from lyapmap.backends.torch.map import devices as of_torch

        here |= of_torch()
    return here


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def threads() -> dict[str, Any]:
    """How many threads computations may use, and the variables that limit them."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"usable_cores": usable, **{name: os.environ[name] for name in CAPS if name in os.environ}}


def caches() -> dict[str, dict[str, Any]]:
    """Folders of what is kept between runs, and how much is in them."""
    from lyapmap.data import cache_folder

    kept = {}
    for kind in ("data", "features"):
        folder = cache_folder(kind)
        files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        size = sum(path.stat().st_size for path in files)
        kept[kind] = {"folder": str(folder), "files": len(files), "bytes": size}
    return kept


def _print(state: dict[str, Any]) -> None:
    from rich.table import Table

    console = show.make_console()
    place = f", Python {state['python']} at {sys.executable}"
    console.print(show.styled(f"lyapmap {state['lyapmap']}", "bold", place))
    missing = [name for name, version in state["packages"].items() if version is None]
    wrong = show.styled(f"missing: {', '.join(missing)}", "red")
    facts: list[tuple[str, Any]] = [
        ("system", state["system"]),
        ("packages", wrong if missing else _versions(state["packages"])),
    ]
    machine = state["devices"]
    facts.append(("processor", f"{machine['cpu']}, {machine['cores']} cores"))
    if "cuda" in machine:
        facts.append(("CUDA devices", ", ".join(machine["cuda"]) or "none"))
        facts.append(("bfloat16", "fast" if machine["bfloat16"] else "not in hardware"))
    limits = {name: value for name, value in state["threads"].items() if name != "usable_cores"}
    facts.append(
        (
            "threads",
            f"{state['threads']['usable_cores']} cores usable; "
            + (", ".join(f"{name}={value}" for name, value in limits.items()) or "no limit set"),
        )
    )
    for kind, kept in state["caches"].items():
        facts.append((f"cache of {kind}", f"{kept['folder']}: {kept['files']} files, {kept['bytes'] / 1e6:.0f} MB"))
    facts.append(("extras", ""))
    for name, extra in state["extras"].items():
        words = show.styled(extra["install"], "yellow") if extra["install"] else _versions(extra["packages"])
        facts.append((f"  {name}", words))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    for label, words in facts:
        table.add_row(label, words)
    console.print(table)


def _versions(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


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
