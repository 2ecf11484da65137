"""Bounds for code and grammars that come with a model file or a test: time, kept by the parent, and memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_EXTRA_MEMORY = 2 << 30


class Progress(Protocol):
    """A sign of life: with nothing to say (""), or with what is begun and must end soon."""

    def __call__(self, doing: str, done: int = 0, of: int = 0, /) -> None:
        """``done`` steps ``of`` so many, where that is known; of no known number they are generated tokens."""


@contextmanager
def bounded(progress: Progress, what: str) -> Iterator[None]:
    """Tell the parent what is begun, so that it kills this process when that does not end; MemoryError past 2 GiB.

    A clock in this process could not do it: ``9**9**9`` in a template never lets another thread run.
    """
    progress(what)
    with _limited_memory():
        yield
    progress("")


@contextmanager
def signs_of_life(progress: Progress, *, every_s: float = 1.0, most: int = 600) -> Iterator[None]:
    """Tell the parent that this process works while one call into llama.cpp takes its time: for ten minutes, no longer.

    For calls that tell nothing by themselves, as that of an image's encoder.
    """
    done = threading.Event()

    def tell() -> None:
        for _ in range(most):
            if done.wait(every_s):
                return
            progress("")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _limited_memory() -> Iterator[None]:
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as statm:
            used = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError):  # not on Linux: time alone bounds it
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    limits = [used + _EXTRA_MEMORY, *(limit for limit in before if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
