"""Clusters: processes of this machine that are started for a command, or a scheduler that runs somewhere."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, MissingExtraError

if TYPE_CHECKING:
    from distributed import Client

SETTINGS = {
    "distributed.scheduler.allowed-failures": 20,  # a worker that is killed from outside is no fault of its work
    "distributed.admin.large-graph-warning-threshold": "1GB",
    "distributed.nanny.pre-spawn-environ.NUMBA_NUM_THREADS": 1,
}
WAIT_SECONDS = 10
"""For a scheduler to answer."""


@contextmanager
def cluster(workers: int | None = None, scheduler: str | None = None) -> Iterator[Client | None]:
    """A client of so many processes of one thread each, which end with the block, or of a scheduler; else None.

    Raises
    ------
    LyapmapError
        If both are given, or no scheduler answers.
    MissingExtraError
        If dask.distributed is not installed.
    """
    if workers is not None and scheduler is not None:
        raise LyapmapError(f"workers: expected it or scheduler, got both: {workers} and {scheduler}")
    if workers is not None:
        whole("workers", workers, 1)
    if scheduler is None and workers in (None, 1):
        yield None
        return
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise MissingExtraError(
            "distributed", "distributed", "--workers" if scheduler is None else "--scheduler"
        ) from None
    with dask.config.set(SETTINGS):
        if scheduler is not None:
            _answers(scheduler)
            with Client(scheduler, timeout=WAIT_SECONDS, set_as_default=False) as client:
                yield client
            return
        quiet = logging.CRITICAL  # what it would say of killed workers, the crew knows
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=quiet
            ) as own,
            Client(own, set_as_default=False) as client,
        ):
            # Workers that this process starts find what it finds, such as a function in the folder of the command.
            client.register_worker_callbacks(_with_paths(list(sys.path)))
            yield client


def _answers(scheduler: str) -> None:
    """Raise an error where nobody listens: a client that finds none makes more words of it."""
    from distributed.comm.addressing import parse_host_port

    try:
        host, port = parse_host_port(scheduler.partition("://")[2] or scheduler)
        socket.create_connection((host, port), WAIT_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise LyapmapError(f"scheduler: no scheduler answers at {scheduler} ({reason})") from None


class _with_paths:  # noqa: N801  # called as a function, and sent to workers as one
    """Lets a worker import from the same folders."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __call__(self) -> None:
        sys.path += [path for path in self.paths if path not in sys.path]
