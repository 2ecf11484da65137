"""The tokens of one generation -> a Reply: the text split, every token on one side, the times found."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any
from typing import Literal

from pytest_quantcheck.records import Finish
from pytest_quantcheck.records import GrammarCost
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Timings
from pytest_quantcheck.records import Usage
from pytest_quantcheck.repetition import DEFAULT_RULE
from pytest_quantcheck.repetition import LoopRule
from pytest_quantcheck.repetition import loop_period
from pytest_quantcheck.text import digest
from pytest_quantcheck.thinking import THINK
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import Kind
from pytest_quantcheck.thinking import Split
from pytest_quantcheck.thinking import split
from pytest_quantcheck.thinking import status_of

Source = Literal["exact", "reported", "re-tokenised", "estimated"]


class Run:
    """What was generated, token by token: bytes, and seconds since the start."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.pieces: list[bytes] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.times: list[float] = []
        self.first = 0.0
        """When the first token was known, the end-of-generation token included."""
        self.total = 0.0
        self.finish: Finish = "length"
        self.spared = 0
        self.grammar: GrammarCost | None = None

    def add(self, piece: bytes, when: float) -> None:
        """One more token; its piece may be empty or a part of a character."""
        self.pieces.append(piece)
        self.starts.append(len(self._bytes))
        self._bytes += piece
        self.ends.append(len(self._bytes))
        self.times.append(when)

    def end_early(self, budget: int) -> None:
        """No more is generated of the ``budget`` tokens that the answer might have had."""
        self.finish, self.spared = "early", budget - len(self.times)

    def loops(self, rule: LoopRule | None) -> bool:
        """Whether the answer ends in a repetition, white space after it aside."""
        end = len(self.pieces)
        while end and not self.pieces[end - 1].strip():
            end -= 1
        return loop_period(self.pieces[:end], rule) is not None

    @property
    def raw(self) -> str:
        """Everything; bytes that are no UTF-8 (a character that the budget cut in two) stay as surrogates."""
        return self._bytes.decode("utf-8", "surrogateescape")


def chat_reply(
    run: Run,
    prompt: Sequence[int | str],
    *,
    opened: bool,
    family: Family = THINK,
    tools: Sequence[Any] = (),
    loop: LoopRule | None = DEFAULT_RULE,
    source: Source = "exact",
) -> Reply:
    """An assistant turn.

    :param prompt: the tokens that were read: ids, or words where the engine has no ids.
    :param opened: the prompt already opened the thought.
    :param tools: those that were offered.
    """
    raw = run.raw
    parts = split(raw, family=family, opened=opened, tools=tools)
    # the same structure without the surrogates: JSON, terminals and files take none
    clean = _clean(raw)
    shown = parts if clean == raw else split(clean, family=family, opened=opened, tools=tools)
    counts = Counter(kinds_of_tokens(run, raw, parts))
    count = len(run.times)
    first_visible = None
    if parts.visible_from is not None:
        at = _byte_length(raw[: parts.visible_from])
        first_visible = next(when for end, when in zip(run.ends, run.times, strict=True) if end > at)
    return Reply(
        text=shown.text,
        thinking=shown.thinking,
        tool_calls=shown.tool_calls,
        raw=clean,
        finish=run.finish,
        status=_status(run, parts, loop),
        usage=Usage(
            len(prompt),
            counts[Kind.THINKING],
            count - counts[Kind.THINKING],
            count,
            source,
            tool_calls=counts[Kind.CALL],
        ),
        timings=Timings(run.first, first_visible, run.total),
        prompt=digest(list(prompt)),
        grammar=run.grammar,
        spared=run.spared,
    )


def _status(run: Run, parts: Split, loop: LoopRule | None) -> Status:
    if run.finish == "early":
        return Status.OK  # it shows text, and nobody knows how it would have ended
    return Status.LOOP if run.loops(loop) else status_of(parts, run.finish)


def kinds_of_tokens(run: Run, raw: str, parts: Split) -> list[Kind]:
    """Every token on the side on which its first byte lies; what comes after the last byte stays on the last side."""
    starts: list[int] = []
    at = 0
    for span in parts.spans:
        starts.append(at)
        at += _byte_length(raw[span.start : span.end])
    last = Kind.THINKING if not parts.closed else Kind.CALL if parts.call_open else Kind.CONTENT
    return [parts.spans[bisect_right(starts, start) - 1].part if start < at else last for start in run.starts]


def completion_reply(run: Run, prompt: Sequence[int | str], *, source: Source = "exact") -> Reply:
    """A raw continuation of the tokens ``prompt``: nothing is split off, and the budget is its normal end."""
    text = _clean(run.raw)
    count = len(run.times)
    return Reply(
        text=text,
        thinking="",
        tool_calls=(),
        raw=text,
        finish=run.finish,
        status=Status.OK if text else Status.EMPTY,
        usage=Usage(len(prompt), 0, count, count, source),
        timings=Timings(run.first, run.first if text else None, run.total),
        prompt=digest(list(prompt)),
        grammar=run.grammar,
        spared=run.spared,
    )


def _byte_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _clean(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
