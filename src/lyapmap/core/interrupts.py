"""Ctrl-C that is neither lost nor comes at a bad moment.

Python raises KeyboardInterrupt between any two instructions of the main thread. One that falls into a destructor or a
callback of a library in C is printed and forgotten, and one that falls between two arrays that belong together leaves
them apart. So a run watches its signals, asks at each step whether one was forgotten, and holds them back where it
takes in what it must keep.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Watch:
    """The signals of one run.

    Attributes
    ----------
    signalled : int or None
        The signal that asked the run to end.
    """

    def __init__(self) -> None:
        self.signalled: int | None = None
        self.held = 0
        self.before: dict[int, Any] = {}

    def handle(self, number: int, frame: Any) -> None:
        """Take a signal: do as before, or later where signals are held back."""
        if self.held:
            self.signalled = number
            return
        try:
            self.before[number](number, frame)
        except KeyboardInterrupt:
            self.signalled = number
            raise

    def check(self) -> None:
        """Raise KeyboardInterrupt if one was raised before and got lost, or waits."""
        number, self.signalled = self.signalled, None
        if number is not None:
            self.handle(number, None)


_watches: list[Watch] = []


@contextmanager
def watched() -> Iterator[Watch]:
    """A block whose signals are watched.

    Only those that have a handler in Python, such as the one that makes KeyboardInterrupt of Ctrl-C, and only in the
    main thread, to which signals go.
    """
    watch = Watch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            watch.before[number] = handler
            signal.signal(number, watch.handle)
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
        for watched_signal, handler in watch.before.items():
            signal.signal(watched_signal, handler)


@contextmanager
def unbroken() -> Iterator[None]:
    """A block that belongs together: signals wait for its end.

    Examples
    --------
    >>> import os
    >>> done = []
    >>> try:
    ...     with watched(), unbroken():
    ...         os.kill(os.getpid(), signal.SIGINT)
    ...         done.append("all of it")
    ... except KeyboardInterrupt:
    ...     print(done)
    ['all of it']
    """
    if not _watches or threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _watches[-1]
    watch.held += 1
    try:
        yield
    finally:
        watch.held -= 1
    if not watch.held:
        watch.check()
