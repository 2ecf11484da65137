"""SIGTERM is what a CI job gets that is out of time: it ends a run like Ctrl-C, with reports on all that was done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType


def end_on_sigterm() -> Callable[[], None]:
    """From now on SIGTERM raises KeyboardInterrupt in the main thread; returns what takes that back.

    Nothing is changed where somebody else handles the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return lambda: None
    signal.signal(signal.SIGTERM, _interrupt)
    return _restore


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # once: whoever asks twice is in a hurry
    _restore()
    raise KeyboardInterrupt("SIGTERM")


def _restore() -> None:
    with suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGTERM) is _interrupt:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
