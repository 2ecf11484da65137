"""What was heard of an answer -> a Reply: the text split where the server did not, every token on one side. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from pytest_quantcheck.engines.answer import Run
from pytest_quantcheck.engines.answer import Source
from pytest_quantcheck.engines.answer import kinds_of_tokens
from pytest_quantcheck.engines.server.stream import CallParts
from pytest_quantcheck.engines.server.stream import Heard
from pytest_quantcheck.engines.server.stream import drafted
from pytest_quantcheck.engines.server.stream import finish_of
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Timings
from pytest_quantcheck.records import ToolCall
from pytest_quantcheck.records import Usage
from pytest_quantcheck.repetition import LoopRule
from pytest_quantcheck.thinking import PLAIN
from pytest_quantcheck.thinking import THINK
from pytest_quantcheck.thinking import Family
from pytest_quantcheck.thinking import Kind
from pytest_quantcheck.thinking import Split
from pytest_quantcheck.thinking import recognise
from pytest_quantcheck.thinking import split

BYTES_PER_TOKEN: Final = 4
"""For estimates: about what English text has in today's vocabularies."""
_JITTER: Final = 4
_JITTER_SHARE: Final = 0.1
"""By so many tokens, and by this share, a text that is tokenised again may be off: that is no hidden thought."""
_ESTIMATE_FACTOR: Final = 3
"""An estimate is not trusted with less: a thought is only seen where several times as many tokens were generated."""
_READING: Final = {"prompt_ms": 1e3, "prompt_eval_duration": 1e9}
"""How llama-server and Ollama tell the time that the prompt took, and how many of theirs make a second."""
_READS_FASTER: Final = 4
"""Prompts are read at least so many times as fast as answers are written."""
_CALL_MARKUP: Final = 32
"""Tokens of a tool call that the server leaves out: its markers, names of fields."""

_WORD: Final = re.compile(r"\s*\S+|\s+")

Count = Callable[[str], tuple[int, Source]]
"""Tokens of a text, and how that is known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of the question beside the answer.

    :param prompt_tokens: what the engine counted itself; None where only the server can.
    :param said: the text of the question, counted where nobody tells more: what a template adds is left out then.
    :param prompt: digest of the token ids that the model read, '' where nobody knows them.
    :param family: how the model marks thoughts and calls; None where the server does not show its template.
    :param opened: the prompt already opened the thought.
    :param counts_end: the server counts the token that ends an answer.
    :param splits: the server tells thoughts apart, so what stands in its content is none, whatever the prompt opened.
    :param may_hide: what is reported and not shown may be a thought; else it is white space that the server dropped.
    """

    count: Count
    prompt_tokens: int | None = None
    said: str = ""
    prompt: str = ""
    family: Family | None = None
    opened: bool = False
    tools: Sequence[Any] = ()
    loop: LoopRule | None = None
    counts_end: bool = True
    splits: bool = False
    may_hide: bool = True


def estimated(text: str) -> tuple[int, Source]:
    """Tokens of a text where nobody has the vocabulary."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN), "estimated"


def chat_reply(heard: Heard, asked: Asked) -> Reply:
    """An assistant turn."""
    content, thought = heard.text(Kind.CONTENT), heard.text(Kind.THINKING)
    family = asked.family
    if family is None:
        family = recognise(content)
        family = THINK if family is PLAIN else family
    finish = finish_of(heard)
    # a content that the budget cut may be all thought: some parsers only tell one when it has ended
    told_apart = bool(thought) or (asked.splits and finish == "stop")
    parts = split(content, family=family, opened=asked.opened and not told_apart, tools=asked.tools)
    calls = tuple(_call(call) for _, call in sorted(heard.calls.items())) or parts.tool_calls
    return Reply(
        text=parts.text,
        thinking=thought + parts.thinking,
        tool_calls=calls,
        raw="".join(piece.text for piece in heard.pieces),
        finish=finish,
        status=_status(parts, bool(thought), calls, finish, loops=_loops(heard, asked.loop)),
        usage=_usage(heard, asked, parts, finish),
        timings=_timings(heard, parts),
        prompt=asked.prompt,
    )


def completion_reply(heard: Heard, asked: Asked) -> Reply:
    """A raw continuation: nothing is split off, and the budget is its normal end."""
    text = heard.text(Kind.CONTENT)
    finish = finish_of(heard)
    total, source = _total(heard, asked, finish), "reported"
    if total is None:
        total, source = asked.count(text)
    first = max(0.0, (heard.pieces[0].when if heard.pieces else heard.total_s) - heard.load_s)
    return Reply(
        text=text,
        thinking="",
        tool_calls=(),
        raw=text,
        finish=finish,
        status=Status.OK if text else Status.EMPTY,
        usage=Usage(_prompt_tokens(heard, asked), 0, total, total, source),  # type: ignore[arg-type]
        timings=Timings(
            first, first if text else None, max(first, heard.total_s - heard.load_s), *drafted(heard.timings)
        ),
        prompt=asked.prompt,
    )


def _call(parts: CallParts) -> ToolCall:
    try:
        arguments = json.loads(parts.arguments) if parts.arguments.strip() else {}
    except (ValueError, RecursionError):
        arguments = None
    return ToolCall(parts.name, arguments if isinstance(arguments, dict) else None, f"{parts.name}({parts.arguments})")


def _status(parts: Split, thought: bool, calls: Sequence[ToolCall], finish: str, *, loops: bool) -> Status:
    """As thinking.status_of, where the server may have split the answer itself."""
    if loops:
        return Status.LOOP
    if finish == "length":
        complete = any(call.arguments is not None for call in calls)
        return Status.TRUNCATED if parts.text or complete else Status.STARVED
    if parts.text or calls:
        return Status.OK if parts.closed else Status.UNCLOSED
    # nothing came after the thought: a server that splits it does not say whether it was closed
    return Status.UNCLOSED if thought or not parts.closed else Status.EMPTY


def _loops(heard: Heard, rule: LoopRule | None) -> bool:
    """Whether the answer ends in a repetition; by words where a piece holds more than one."""
    run = _run(heard, None)
    words = [_WORD.findall(piece.text) for piece in heard.pieces]
    if all(len(found) <= 1 for found in words):
        return run.loops(rule)
    by_words = Run()
    for word in _WORD.findall(run.raw):
        by_words.add(word.encode("utf-8", "surrogateescape"), 0.0)
    return by_words.loops(rule)


def _run(heard: Heard, kind: Kind | None) -> Run:
    run = Run()
    for piece in heard.pieces:
        if kind is None or piece.kind is kind:
            run.add(piece.text.encode("utf-8", "surrogateescape"), piece.when)
    return run


def _timings(heard: Heard, parts: Split) -> Timings:
    def at(when: float) -> float:
        return max(0.0, when - heard.load_s)

    visible = [piece.when for piece in heard.pieces if piece.kind is Kind.CALL][:1]
    if parts.visible_from is not None:
        end = 0
        for piece in heard.pieces:
            end += len(piece.text) if piece.kind is Kind.CONTENT else 0
            if end > parts.visible_from:
                visible.append(piece.when)
                break
    first = at(heard.pieces[0].when if heard.pieces else heard.total_s)
    total = max(first, at(heard.total_s))
    return Timings(first, at(min(visible)) if visible else None, total, *drafted(heard.timings))


def _usage(heard: Heard, asked: Asked, parts: Split, finish: str) -> Usage:
    """Every token on one side; the sides add up to what the server reports, where it reports anything."""
    prompt = _prompt_tokens(heard, asked)
    total = _total(heard, asked, finish)
    by_piece = _by_piece(heard, parts)
    if total is not None and by_piece.total() == total and not heard.calls:  # each piece was a token
        thinking, calls = by_piece[Kind.THINKING], by_piece[Kind.CALL]
        return Usage(prompt, thinking, total - thinking, total, "reported", calls)
    content = heard.text(Kind.CONTENT)
    sources: set[Source] = set()

    def count(kind: Kind) -> int:
        text = heard.text(kind) if kind is not Kind.CONTENT else ""
        text += "".join(content[span.start : span.end] for span in parts.spans if span.part is kind)
        if not text:
            return 0
        found, source = asked.count(text)
        sources.add(source)
        return found

    visible, calls = count(Kind.CONTENT), count(Kind.CALL)
    has_thought = bool(heard.text(Kind.THINKING)) or any(span.part is Kind.THINKING for span in parts.spans)
    if total is None:
        thinking = count(Kind.THINKING) if has_thought else 0
        source = _worst(sources) if sources else "estimated"
        return Usage(prompt, thinking, visible + calls, thinking + visible + calls, source, calls)
    shown = min(total, visible + calls)
    if has_thought:
        own = count(Kind.THINKING)
        # counts that add up to more than there is are estimates, or another cut: each side then has its share
        fits = own + visible + calls <= total
        thinking = total - shown if fits else max(1, round(total * own / (own + visible + calls))) if total else 0
    elif not asked.may_hide:
        return Usage(prompt, 0, total, total, "reported", min(calls, total))
    else:
        thinking = _hidden(heard, parts, total, shown, _worst(sources) if sources else "reported")
        if not thinking:
            return Usage(prompt, 0, total, total, "reported", min(calls, total))
    source = _worst(sources) if sources else "reported"
    return Usage(prompt, thinking, total - thinking, total, source, min(calls, total - thinking))


def _hidden(heard: Heard, parts: Split, total: int, shown: int, source: Source) -> int:
    """Tokens that were generated and not shown: a thought that the server keeps to itself; 0 where there is none."""
    hidden = total - shown
    if hidden <= max(_JITTER, _JITTER_SHARE * shown) + _CALL_MARKUP * len(heard.calls):
        return 0
    if source != "estimated":
        return hidden
    # the second witness: the first visible token came late, as after a thought
    times = _timings(heard, parts)
    first = times.first_visible_s if times.first_visible_s is not None else times.total_s
    read = _reading_s(heard, (times.total_s - first) / max(1, shown))
    late = first - read > (times.total_s - read) * hidden / total / 2
    return hidden if total > _ESTIMATE_FACTOR * shown and late else 0


def _reading_s(heard: Heard, token_s: float) -> float:
    """Seconds that the prompt took, as the server tells them, or else at most.

    :param token_s: seconds that each visible token took, by estimate.
    """
    for name, unit in _READING.items():
        if name in heard.timings:
            return heard.timings[name] / unit
    return heard.usage.get("prompt_tokens", 0) * token_s / _READS_FASTER


def _by_piece(heard: Heard, parts: Split) -> Counter[Kind]:
    """Pieces of each side, as if each were a token."""
    counts = Counter({kind: len(_run(heard, kind).times) for kind in (Kind.THINKING, Kind.CALL)})
    run = _run(heard, Kind.CONTENT)
    return counts + Counter(kinds_of_tokens(run, run.raw, parts) if run.times else ())


def _total(heard: Heard, asked: Asked, finish: str) -> int | None:
    total = heard.usage.get("completion_tokens")
    if total is None or (total == 0 and heard.pieces):  # some servers fill in what they did not count
        return None
    return max(0, int(total) - (asked.counts_end and finish == "stop"))


def _prompt_tokens(heard: Heard, asked: Asked) -> int:
    reported = heard.usage.get("prompt_tokens")
    if reported is not None:
        return int(reported)
    return asked.count(asked.said)[0] if asked.prompt_tokens is None else asked.prompt_tokens


def _worst(sources: set[Source]) -> Source:
    order: tuple[Source, ...] = ("exact", "reported", "re-tokenised", "estimated")
    return max(sources, key=order.index)
