"""How long a server may be silent, before and in an answer."""

from __future__ import annotations

import time
from typing import Final

from pytest_quantcheck.engines.base import EngineHung

LOADING_S: Final = 600.0
"""Seconds that a server may take to load a model before it begins to answer."""


class Patience:
    """How long one answer has been silent. Only tokens, and the reading of the prompt, end a silence."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.begin()

    def begin(self) -> None:
        """A request goes out: those before it were not answered, and their time is none of the answer's."""
        self._start = time.perf_counter()
        self._since = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the request that is answered."""
        return time.perf_counter() - self._start

    def progress(self) -> None:
        """Something was done."""
        self._since = time.monotonic()

    def check(self) -> None:
        """EngineHung when nothing was done for too long."""
        if time.monotonic() - self._since > self.limit_s:
            raise EngineHung(hung_words(self.limit_s))


def hung_words(limit_s: float) -> str:
    """What is said of a server that keeps silent."""
    return f"the server sent no new token for {limit_s:g} s; --quant-timeout sets it"
