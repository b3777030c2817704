"""Ctrl-C at a point of our choosing."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)


@contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """Hold the first Ctrl-C back until the yielded function is called, which raises it.

    In the middle of a step some weights are updated and others are not: a run that was stopped
    there could not go on exactly.
    """
    held: list[int] = []

    def hold(number: int, frame: Any) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)
        logger.warning("stopping after this step; Ctrl-C again stops at once")

    def let_through() -> None:
        if held:
            raise KeyboardInterrupt

    # Signals belong to the main thread, and a caller's own handler stays.
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield let_through
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield let_through
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    let_through()  # one that came after the last call
