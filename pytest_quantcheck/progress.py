"""What a process is doing right now: its engines tell, the line on the terminal and other processes read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.record import Record
from pytest_quantcheck.record import encode

_PUBLISHED_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Doing(Record):
    """One process at work. ``done`` and ``of`` are the engine's own steps, or tokens where ``of`` is 0."""

    role: str = ""
    op: str = ""
    """What its engine is asked for; empty while no engine works."""
    done: int = 0
    of: int = 0
    tok_s: float = 0.0
    """Tokens per second of the answer that is being generated; 0 while that is unknown."""


class Watch:
    """Keeps what this process does. Told from the thread that asks an engine, read from any.

    :param publish: called with every change, of numbers at most four times a second; what it raises is dropped.
    """

    def __init__(
        self, publish: Callable[[Doing], None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = Doing()
        self._publish = publish
        self._clock = clock
        self._role = ""
        self._first: tuple[float, int] | None = None
        self._published = float("-inf")

    def test(self, role: str) -> None:
        """A test of this role begins."""
        self._role = role
        self._set(Doing(role))

    def tell(self, role: str, op: str, done: int = 0, of: int = 0) -> None:
        """An engine of this role is asked for ``op`` and got so far; it is over with ''."""
        if not op:
            self._first = None
            self._set(Doing(self._role))
            return
        speed, when = 0.0, self._clock()
        if of or not done:
            self._first = None
        elif self._first is None:
            self._first = when, done
        elif when > self._first[0]:
            speed = (done - self._first[1]) / (when - self._first[0])
        self._set(Doing(role, op, done, of, speed))

    def _set(self, doing: Doing) -> None:
        before, self.now = self.now, doing
        when = self._clock()
        only_numbers = (before.role, before.op) == (doing.role, doing.op)
        if self._publish is not None and not (only_numbers and 0 <= when - self._published < _PUBLISHED_EVERY_S):
            self._published = when
            with suppress(Exception):  # nothing of this is worth a test
                self._publish(doing)


def publish_to(path: Path) -> Callable[[Doing], None]:
    """Let another process read what this one does (`published`)."""
    return lambda doing: write_atomically(path, encode(doing))


def published(path: Path) -> Doing:
    """What the process that writes this file does; nothing when there is no such file."""
    try:
        return Doing.from_payload(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        return Doing()
