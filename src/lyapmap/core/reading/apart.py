"""Parsers in C work in a child process: what crashes, hangs or eats memory there is an error here.

The child is started at the first such file and waits for the next one. It runs functions of ours, named as
"module:function", that take a path and options and return a plain value and arrays by name; it has so much memory as
the file has room for, and so much time on the processor as its size warrants.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lyapmap.core import errors
from lyapmap.core.errors import LyapmapError
from lyapmap.core.reading.bounded import opened, parsing, room, size_of

SECONDS = 5
"""On the processor, for any file."""
BYTES_PER_SECOND = 5_000_000
"""More of them give more time."""
PATIENCE = 12
"""Times its seconds on the processor that the child may take by the clock, on a machine that others use too."""
OWN_MEMORY = 2**29
"""Bytes that the child has beside the file's room, for its libraries."""
START = "from lyapmap.core.reading.apart import serve; serve()"

Answer = tuple[Any, dict[str, NDArray[Any]]]


class Child:
    """A process that runs functions of ours, one after another."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        # Neither the current folder nor the user's PYTHONSTARTUP and its like: a file beside the data runs nothing.
        paths = os.pathsep.join(path for path in sys.path if path and Path(path).is_absolute())
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        if not self._answers.readline():
            self.close()
            raise LyapmapError("a child process that reads foreign files could not be started")

    def ask(self, requests: Sequence[dict[str, Any]], seconds: float) -> Generator[Answer]:
        """The answers of the child, one after another; EOFError if it died over one or took longer."""
        watch = threading.Timer(seconds, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            self._requests.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
            self._requests.flush()
            for _ in requests:
                yield self._answer()
        finally:
            watch.cancel()

    def _answer(self) -> Answer:
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the parser crashed, or took too much time")
        answer = json.loads(line)
        if "error" in answer:
            kind, message = answer["error"]
            raise getattr(errors, kind, RuntimeError)(message)
        arrays = {}
        for name, dtype, shape in answer["arrays"]:
            array = np.empty(shape, np.dtype(dtype))
            if array.nbytes and self._answers.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:  # type: ignore[attr-defined]
                raise EOFError("the parser crashed")
            arrays[name] = array
        return answer["value"], arrays

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        for pipe in (self._requests, self._answers):
            with suppress(OSError):  # what was still to be sent has no reader any more
                pipe.close()
        self._process.wait()


_lock = threading.Lock()
_child: Child | None = None


def apart(
    function: str, path: str | Path, refusal: str, error: type[LyapmapError] = LyapmapError, **options: Any
) -> Answer:
    """What a function of ours makes of a file, run in the child process.

    Parameters
    ----------
    function : str
        As "module:function"; takes the path, the room in bytes and the options, returns a plain value and arrays by
        name.
    path : path
        A regular file.
    refusal : str
        What an error says after the path.
    error : type of LyapmapError

    Raises
    ------
    LyapmapError
        If the file cannot be read, or the function fails, crashes, or takes too much memory or time.
    """
    return next(each_apart(function, [path], refusal, error, **options))


AT_ONCE = 64
"""Files that the child is given together; it works on the next while the parent takes the last."""


def each_apart(
    function: str, paths: Sequence[str | Path], refusal: str, error: type[LyapmapError] = LyapmapError, **options: Any
) -> Iterator[Answer]:
    """The same of many files, in their order."""
    for begin in range(0, len(paths), AT_ONCE):
        some, sizes = paths[begin : begin + AT_ONCE], []
        for path in some:
            with opened(path, error) as file:
                sizes.append(size_of(file))
        yield from _answers(function, some, sizes, refusal, error, options)


def folder_apart(
    function: str, path: str | Path, size: int, refusal: str, error: type[LyapmapError] = LyapmapError, **options: Any
) -> Answer:
    """The same of a folder whose files have so many bytes together."""
    return _answers(function, [path], [size], refusal, error, options)[0]


def _answers(
    function: str,
    paths: Sequence[str | Path],
    sizes: Sequence[int],
    refusal: str,
    error: type[LyapmapError],
    options: dict[str, Any],
) -> list[Answer]:
    global _child
    requests: list[dict[str, Any]] = [
        {
            "function": function,
            "path": os.path.abspath(path),  # the child stays where it was started
            "options": options,
            "room": room(size),
            "seconds": SECONDS + size // BYTES_PER_SECOND,
        }
        for path, size in zip(paths, sizes, strict=True)
    ]
    patience = PATIENCE * sum(request["seconds"] for request in requests)
    received: list[Answer] = []
    with _lock:
        if _child is None or _child.owner != os.getpid():  # a fork has the pipes of its parent
            _child = Child()
        answers = _child.ask(requests, patience)
        for path in paths:
            with parsing(path, refusal, error):
                try:
                    received.append(next(answers))
                except BaseException as fault:
                    answers.close()
                    # It lives on if it has answered, and owes nothing more.
                    if not isinstance(fault, LyapmapError | RuntimeError) or len(received) + 1 < len(paths):
                        _child.close()
                        _child = None
                    raise
        answers.close()
    return received


@atexit.register
def _end() -> None:
    if _child is not None and _child.owner == os.getpid():
        _child.close()


def serve() -> None:
    """What the child does: answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    requests = sys.stdin.buffer
    _send(answers, {"ready": True}, {})
    while line := requests.readline():
        try:
            request = json.loads(line)
            _limit(request["room"], request["seconds"])
            module, _, name = request["function"].partition(":")
            run = getattr(import_module(module), name)
            value, arrays = run(request["path"], room=request["room"], **request["options"])
            arrays = {key: np.ascontiguousarray(array).reshape(np.shape(array)) for key, array in arrays.items()}
            about = {"value": value, "arrays": [[k, _dtype(a), list(a.shape)] for k, a in arrays.items()]}
            head = json.dumps(about)
        except Exception as fault:
            kind = type(fault).__name__ if isinstance(fault, LyapmapError) else ""
            message = str(fault) if kind else f"{type(fault).__name__}: {fault}"
            _send(answers, {"error": [kind, message]}, {})
            continue
        answers.write(head.encode() + b"\n")
        for array in arrays.values():
            if array.nbytes:
                answers.write(array.reshape(-1).view(np.uint8).data)
        answers.flush()


def _dtype(array: NDArray[Any]) -> str:
    if array.dtype.hasobject or array.dtype.names is not None or array.dtype.itemsize == 0:
        raise TypeError(f"arrays of {array.dtype} are not read")
    return array.dtype.str


def _send(answers: BinaryIO, value: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    answers.write(json.dumps(value).encode() + b"\n")
    answers.flush()


def _limit(memory: int, seconds: int) -> None:
    """Bound what the next request may take, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime) + seconds + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (end if hard < 0 else min(end, hard), hard))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        wanted = pages * os.sysconf("SC_PAGE_SIZE") + 2 * memory + OWN_MEMORY
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
