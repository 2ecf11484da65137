"""Watching an answer while it is generated: is everything already true that lets it end early?

Every look costs at most as much as was generated since the last one, so the whole is linear in the answer: the splitter
and the reader of JSON take pieces, token counts are running sums, and the visible text is searched as the checks
themselves search it, but only each time it has grown by a sixteenth.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections import Counter
from collections import deque
from collections.abc import Callable
from typing import Final

from pytest_quantcheck.checks.base import occurrences
from pytest_quantcheck.checks.constraint.marks import find_mark
from pytest_quantcheck.checks.constraint.parts import fold
from pytest_quantcheck.checks.constraint.units import count
from pytest_quantcheck.checks.tokens import find_tokens
from pytest_quantcheck.json_prefix import JsonPrefix
from pytest_quantcheck.stop_rules import Fact
from pytest_quantcheck.stop_rules import Stop
from pytest_quantcheck.thinking import Kind
from pytest_quantcheck.thinking import Splitter

_GROWTH: Final = 16
"""The text is searched anew when it has grown by one part in so many: 17 times as much is read as is written."""


class Watch:
    """Called with every token; true as soon as the answer may end.

    That takes a visible character too: whether a model that only thinks would ever have answered is another outcome
    than what it would have said. Only text and tokens count that no later text can turn into something else.
    """

    def __init__(self, stop: Stop, splitter: Splitter | None) -> None:
        self._open = list(stop)
        self._splitter = splitter
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._tokens: Counter[str] = Counter()
        self._starts: deque[int] = deque()
        self._written = self._settled = 0  # bytes
        self._unsettled: list[str] = []
        self._json = {fact: JsonPrefix(fact.most) for group in stop for fact in group if fact.kind == "json"}
        self._searches = any(fact.kind in _SEARCHES for group in stop for fact in group)
        self._text: list[str] = []
        self._length = 0
        self._next = 1
        self._shows = False

    def __call__(self, piece: bytes) -> bool:
        """Take one more token."""
        self._tokens["total"] += 1
        self._starts.append(self._written)
        self._written += len(piece)
        for kind, part, text in self._split(self._decoder.decode(piece)):
            self._settle(part, text)
            if kind is Kind.CONTENT:
                self._show(text)
        said = None
        if self._searches and self._length >= self._next:
            self._next = self._length + 1 + self._length // _GROWTH
            said = "".join(self._text)
        self._open = [group for group in self._open if not any(self._is_true(fact, said) for fact in group)]
        return self._shows and not self._open

    def _split(self, text: str) -> list[tuple[Kind, Kind, str]]:
        """Kind, side and text of what is settled now."""
        if self._splitter is None:
            return [(Kind.CONTENT, Kind.CONTENT, text)]
        self._unsettled.append(text)
        spans = self._splitter.feed(text)
        if not spans:
            return []
        held, begin = "".join(self._unsettled), spans[0].start
        self._unsettled = [held[spans[-1].end - begin :]]
        return [(span.kind, span.part, held[span.start - begin : span.end - begin]) for span in spans]

    def _settle(self, part: Kind, text: str) -> None:
        """Count the tokens whose first byte lies in this text, as `kinds_of_tokens` does."""
        self._settled += len(text.encode("utf-8", "surrogateescape"))
        side = "thinking" if part is Kind.THINKING else "visible"
        while self._starts and self._starts[0] < self._settled:
            self._starts.popleft()
            self._tokens[side] += 1

    def _show(self, text: str) -> None:
        self._shows = self._shows or bool(text.strip())
        for reader in self._json.values():
            reader.feed(text)
        if self._searches:
            self._text.append(text)
            self._length += len(text)

    def _is_true(self, fact: Fact, said: str | None) -> bool:
        if fact.kind == "tokens":
            return self._tokens[fact.name] > fact.most
        if fact.kind == "json":
            return self._json[fact].broken
        if said is None:
            return False
        # behind a blank no word, number or composed character goes on; behind a line break no line
        last = said.rfind("\n")
        last = last if fact.kind == "mark" else max(last, said.rfind(" "))
        return _SEARCHES[fact.kind](fact, said[: last + 1].strip())  # blanks at its end may be taken off the whole


def _word(fact: Fact, text: str) -> bool:
    if fact.most == 0:
        return bool(find_tokens(fact.texts, text, case_sensitive=fact.case_sensitive))
    found = (sum(1 for _ in occurrences(one, text, case_sensitive=fact.case_sensitive)) for one in fact.texts)
    return any(times > fact.most for times in found)


def _wrong_case(fact: Fact, text: str) -> bool:
    """As ``str.islower`` and ``str.isupper`` see it: a title case letter ('ǅ') is in neither case."""
    wrong: Callable[[str], bool] = str.isupper if fact.name == "lower" else str.islower
    return any(wrong(letter) or unicodedata.category(letter) == "Lt" for letter in text)


_SEARCHES: Final[dict[str, Callable[[Fact, str], bool]]] = {
    "word": _word,
    "character": lambda fact, text: fact.name in fold(text),
    "mark": lambda fact, text: find_mark(fact.name, text) is not None,
    "count": lambda fact, text: count(fact.name, text) > fact.most,
    "case": _wrong_case,
}
