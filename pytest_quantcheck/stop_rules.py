"""When an answer may end early: facts about it that stay true whatever text follows, as plain records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any
from typing import Literal

from pytest_quantcheck.record import Payload
from pytest_quantcheck.record import Record

if TYPE_CHECKING:
    from pytest_quantcheck.thinking import Splitter


@dataclass(frozen=True, slots=True)
class Fact(Record):
    """Something that is true of a whole answer as soon as it is true of its beginning.

    By ``kind``:

    * 'tokens': more than ``most`` tokens of the part ``name``: total, thinking, visible.
    * 'json': nothing can be saved of the visible text as JSON: an object in it is no strict JSON or is nested deeper
      than ``most``, or there are two objects.
    * 'word': one of ``texts`` stands in it more than ``most`` times, as a word of its own.
    * 'character', 'mark': the character or the mark ``name`` stands in it.
    * 'count': it has more than ``most`` of the unit ``name``: characters, words, lines.
    * 'case': a letter in it is not in the case ``name``: lower, upper.
    """

    kind: Literal["tokens", "json", "word", "character", "mark", "count", "case"]
    name: str = ""
    most: int = 0
    texts: tuple[str, ...] = ()
    case_sensitive: bool = False

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"texts": tuple}


Stop = tuple[tuple[Fact, ...], ...]
"""An answer may end as soon as one fact of every group is true of it. Without groups it may not."""


def read_stop(groups: list[list[Payload]]) -> Stop:
    """What it was before it became JSON."""
    return tuple(tuple(Fact.from_payload(fact) for fact in group) for group in groups)


def never(piece: bytes) -> bool:
    """The watcher of an answer that may not end early."""
    return False


def watcher(stop: Stop, splitter: Callable[[], Splitter] | None) -> Callable[[bytes], bool]:
    """What is called with every token of an answer and says whether the answer may end with it.

    :param splitter: makes the one that tells the visible text; None where all is visible.
    """
    if not stop:
        return never
    from pytest_quantcheck.stopping import Watch  # nothing is imported for tests that do not ask for it

    return Watch(stop, None if splitter is None else splitter())
