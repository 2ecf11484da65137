"""A stream of raw text -> spans, each character in exactly one, for families with a thought before the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from pytest_quantcheck.records import ToolCall
from pytest_quantcheck.thinking.calls import is_bare_call
from pytest_quantcheck.thinking.calls import json_calls
from pytest_quantcheck.thinking.calls import may_become_bare_call
from pytest_quantcheck.thinking.formats import CallFormat
from pytest_quantcheck.thinking.formats import Family
from pytest_quantcheck.thinking.formats import Kind
from pytest_quantcheck.thinking.formats import Quote
from pytest_quantcheck.thinking.formats import strings_of
from pytest_quantcheck.thinking.search import markers

_BARE = CallFormat("", None, json_calls, balance="{}[]", lenient=True)
_OPENING, _CLOSING = "{[", "}]"


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``start`` to ``end`` of the raw text. ``part`` is the side on which their tokens are counted."""

    kind: Kind
    part: Kind
    """The kind itself; of a marker, the kind of what it marks."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of one raw answer. ``spans`` cover it without gap or overlap."""

    family: str
    thinking: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    spans: tuple[Span, ...]
    visible_from: int | None
    """The index of the first character that a user or a tool sees, None when there is none."""
    closed: bool
    """Whether the thought, if any, ended."""
    call_open: bool
    """Whether the text ends inside a tool call."""


@dataclass(slots=True)
class _Region:
    format: CallFormat
    start: int
    first_span: int
    name: str = ""
    depth: int = 0
    quote: Quote | None = None
    end: int = 0
    closed: bool = False


_PIECE = 1024
_MENTIONS = 64  # so many quoted markers are no accident; each one costs a look at all that came before


class Machine:
    """States, what is held until it can be judged, and the spans so far."""

    def __init__(self, family: Family, *, opened: bool = False, tools: Sequence[Any] = ()) -> None:
        self._family = family
        self._offered = bool(tools)
        self._strings = strings_of(tools)
        self._fed: list[str] = []
        self._held = ""
        self._at = 0
        self._spans: list[Span] = []
        self._given = 0
        self._regions: list[_Region] = []
        self._region: _Region | None = None
        self._thought = opened
        self._closed = not opened
        self._fresh = True
        self._question = family.stray and not opened
        self._mentioned = 0
        self._lead: list[str] = []
        self._tail: int | None = None
        self._step = self._in_thought if opened else self._in_content
        self._drop = family.drops
        self._begins = (family.thought, *(call.open for call in family.calls))
        self._content_markers = markers(*self._begins, family.close, *family.drops, *(family.wrapper or ()))

    @property
    def inside(self) -> Kind:
        """What the text is in the middle of, as far as it is known now."""
        if self._region is not None:
            return Kind.CALL
        return Kind.CONTENT if self._closed else Kind.THINKING

    def feed(self, text: str) -> list[Span]:
        """Take more text; returns the spans that are settled now, in order, whatever may follow."""
        self._fed.append(text)
        for start in range(0, len(text), _PIECE):  # each step copies what is held
            self._held += text[start : start + _PIECE]
            self._advance(final=False)
        settled = self._settled()
        spans = self._spans[self._given : settled]
        self._given = max(self._given, settled)
        return spans

    def finish(self) -> Split:
        """The answer has ended."""
        self._advance(final=True)
        open_region = self._region
        if self._region is not None:
            self._end_region(closed=False)
        if self._tail is not None:
            self._spans[self._tail] = replace(self._spans[self._tail], kind=Kind.MARKER)
        raw = "".join(self._fed)
        calls: list[ToolCall] = []
        for region in self._regions:
            calls += self._parse(region, raw[region.start : region.end])
        cut = bool(self._regions) and self._regions[-1] is open_region and calls[-1].arguments is None
        return Split(
            family=self._family.name,
            thinking=self._thinking(raw),
            text=self._joined(raw, Kind.CONTENT).strip(),
            tool_calls=tuple(calls),
            spans=_merged(self._spans),
            visible_from=self._visible_from(raw),
            closed=self._closed,
            call_open=cut,
        )

    # --- the machine ----------------------------------------------------------------------------------------------

    def _advance(self, final: bool) -> None:
        while self._held and self._step(final):
            pass

    def _take(self, count: int, kind: Kind, part: Kind | None = None) -> None:
        if not count:
            return
        text, self._held = self._held[:count], self._held[count:]
        self._spans.append(Span(kind, part or kind, self._at, self._at + count))
        self._at += count
        if kind is Kind.CONTENT:
            if self._question:
                self._lead.append(text)
            if begun := text.strip():
                if self._fresh and begun[0] in _OPENING:
                    self._question = False  # all of it stands in JSON's quotes, a closing marker too
                self._fresh, self._tail = False, None

    def _in_thought(self, final: bool) -> bool:
        family = self._family
        count, marker = markers(family.close, *family.breaks).find(self._held, final)
        self._take(count, Kind.THINKING)
        if marker is None:
            return False
        self._closed = self._fresh = True
        self._step = self._in_content
        if marker == family.close:
            self._take(len(marker), Kind.MARKER, Kind.THINKING)
        return True

    def _in_content(self, final: bool) -> bool:
        if self._fresh and self._family.bare and self._offered:
            begun = self._bare_call(final)
            if begun is not None:
                return begun
        count, marker = self._content_markers.find(self._held, final)
        self._take(count, Kind.CONTENT)
        if marker is None:
            return False
        self._meet(marker)
        return True

    def _meet(self, marker: str) -> None:
        """A marker in the visible part: some count always, some at the right place only."""
        family = self._family
        if marker == family.thought and (family.repeats or (self._fresh and not self._thought and not self._regions)):
            self._open_thought(len(marker))
        elif marker == family.close and self._question and not self._quoted():
            self._turn(0, Kind.THINKING)
            self._take(len(marker), Kind.MARKER, Kind.THINKING)
            self._thought, self._question, self._fresh = True, False, True
        elif marker in self._drop:
            # at the end, the drop marker may be the beginning of a longer one that was cut
            longer = [other for other in self._begins if other != marker and other.startswith(self._held)]
            part = Kind.THINKING if family.thought in longer else Kind.CONTENT
            self._take(len(self._held if longer else marker), Kind.MARKER, part)
        elif family.wrapper and marker == family.wrapper[0] and self._fresh:
            self._take(len(marker), Kind.MARKER, Kind.CONTENT)
        elif family.wrapper and marker == family.wrapper[1]:
            self._take(len(marker), Kind.CONTENT)
            self._tail = len(self._spans) - 1
        elif call := next((call for call in family.calls if call.open == marker), None):
            self._question = False
            self._take(len(marker), Kind.MARKER, Kind.CALL)
            self._begin_region(call, keep=len(call.keep))
        else:
            self._mentioned += 1
            if marker == family.thought or self._mentioned == _MENTIONS:
                self._question = False  # the answer speaks of the markers
            self._take(len(marker), Kind.CONTENT)

    def _open_thought(self, length: int) -> None:
        if not self._thought and self._fresh and not self._regions:
            for index in range(len(self._spans)):  # white space only
                span = self._spans[index]
                self._spans[index] = replace(span, kind=Kind.MARKER, part=Kind.THINKING)
        self._take(length, Kind.MARKER, Kind.THINKING)
        self._thought, self._closed, self._question = True, False, False
        self._step = self._in_thought

    def _quoted(self) -> bool:
        """Whether the visible text so far puts what follows in quotes: in a code block, in a code word."""
        lead = "".join(self._lead)
        if lead.count("```") % 2:
            return True
        return lead.replace("```", "").rsplit("\n", 1)[-1].count("`") % 2 == 1

    # --- tool calls -----------------------------------------------------------------------------------------------

    def _begin_region(self, call: CallFormat, *, name: str = "", keep: int = 0) -> None:
        self._region = _Region(call, self._at - keep, len(self._spans), name)
        self._step = self._in_region

    def _in_region(self, final: bool) -> bool:
        region = self._region
        assert region is not None
        if region.quote is not None:
            return self._in_quote(region, region.quote, final)
        form = region.format
        stops = self._region_stops()
        opens = {quote.open: quote for quote in form.quotes}
        count, marker = markers(*opens, *form.balance, form.close or "", *stops).find(self._held, final)
        self._take(count, Kind.CALL)
        if marker is None:
            return False
        if marker == form.close:
            self._take(len(marker), Kind.MARKER, Kind.CALL)
            self._end_region(closed=True, marker=len(marker))
        elif marker in stops:
            self._end_region(closed=False)
        else:
            self._take(len(marker), Kind.CALL)
            region.quote = opens.get(marker)
            region.depth += (marker in _OPENING) - (marker in _CLOSING) if marker in form.balance else 0
            if marker in form.balance and region.depth <= 0:
                self._end_region(closed=True)
        return True

    def _region_stops(self) -> tuple[str, ...]:
        """Markers that end a call which was not closed: the next call's, when it has one."""
        assert self._region is not None
        return (self._region.format.open,) if self._region.format.open else ()

    def _in_quote(self, region: _Region, quote: Quote, final: bool) -> bool:
        if not quote.escapes:
            count, marker = markers(quote.close).find(self._held, final)
            self._take(count + len(marker or ""), Kind.CALL)
            region.quote = quote if marker is None else None
            return marker is not None
        position = 0
        while found := _quote_end(quote.close).search(self._held, position):
            if found[0] == quote.close:
                region.quote = None
                self._take(found.end(), Kind.CALL)
                return True
            if found[0] == "\\" and not final:
                self._take(found.start(), Kind.CALL)
                return False
            position = found.end()
        self._take(len(self._held), Kind.CALL)
        return False

    def _end_region(self, closed: bool, marker: int = 0) -> None:
        region = self._region
        assert region is not None
        self._region = None
        region.end, region.closed = self._at - marker, closed or region.format.lenient
        self._fresh = True
        self._step = self._in_content
        if region.format is _BARE:
            body = self._text(region.start, region.end)
            if not (is_bare_call(body) if closed else may_become_bare_call(body)):
                self._turn(region.first_span, Kind.CONTENT)
                self._fresh = False
                return
        self._regions.append(region)

    def _bare_call(self, final: bool) -> bool | None:
        """Begin a call that no marker announces; False when more text must tell, None when there is none."""
        after_bare = bool(self._regions) and self._regions[-1].format is _BARE
        gap = len(self._held) - len(self._held.lstrip(" \t\r\n;," if after_bare else None))
        if gap == len(self._held):
            if not final or not after_bare:
                return None if final else False
            self._take(gap, Kind.MARKER, Kind.CALL)
            return False
        if self._held[gap] not in _OPENING:
            return None
        self._take(gap, *((Kind.MARKER, Kind.CALL) if after_bare else (Kind.CONTENT,)))
        self._begin_region(_BARE)
        return True

    def _parse(self, region: _Region, body: str) -> list[ToolCall]:
        calls = region.format.parse(body, region.closed, self._strings)
        return [replace(call, name=call.name or region.name) for call in calls]

    # --- the result -----------------------------------------------------------------------------------------------

    def _turn(self, first: int, kind: Kind) -> None:
        """What was taken since then is of another kind; its markers mark that."""
        for index in range(first, len(self._spans)):
            span = self._spans[index]
            self._spans[index] = replace(span, kind=span.kind if span.kind is Kind.MARKER else kind, part=kind)

    def _settled(self) -> int:
        """How many spans no later text can turn into another kind."""
        if self._question or (self._fresh and not self._thought and not self._regions and self._family.thought):
            return 0
        if self._region is not None and self._region.format is _BARE:
            return self._region.first_span
        return len(self._spans) if self._tail is None else self._tail

    def _text(self, start: int, end: int) -> str:
        return "".join(self._fed)[start:end]

    def _joined(self, raw: str, kind: Kind) -> str:
        return "".join(raw[span.start : span.end] for span in self._spans if span.kind is kind)

    def _thinking(self, raw: str) -> str:
        thoughts = [raw[span.start : span.end].strip() for span in _merged(self._spans) if span.kind is Kind.THINKING]
        return "\n".join(thought for thought in thoughts if thought)

    def _visible_from(self, raw: str) -> int | None:
        for span in self._spans:
            if span.part is Kind.CALL:
                return span.start
            if span.kind is Kind.CONTENT and (text := raw[span.start : span.end]).strip():
                return span.start + len(text) - len(text.lstrip())
        return None


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is not None and (last.kind, last.part) == (span.kind, span.part):
            merged[-1] = replace(last, end=span.end)
        else:
            merged.append(span)
    return tuple(merged)


_ENDS: dict[str, re.Pattern[str]] = {
    close: re.compile(rf"\\(?:.|\Z)|{re.escape(close)}", re.DOTALL) for close in ('"', "'")
}


def _quote_end(close: str) -> re.Pattern[str]:
    return _ENDS[close]
