"""A streamed answer: lines -> events -> everything that was heard. Pure but for the clock that it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final
from typing import Literal

from pytest_quantcheck.engines.base import EngineDied
from pytest_quantcheck.engines.base import EngineRefused
from pytest_quantcheck.engines.server.answer import error_words
from pytest_quantcheck.text import encodable
from pytest_quantcheck.text import one_line
from pytest_quantcheck.thinking import Kind

_THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")
"""Fields in which servers put the thought: llama-server and older vLLM, newer vLLM and Ollama's /v1, Ollama itself."""
_BUDGET: Final = ("length", "max_tokens", "limit")
_BROKEN: Final = ("abort", "error", "cancelled", "content_filter", "load", "unload")
"""Ends of an answer that is none; Ollama's 'load' and 'unload' answer a request that asks nothing."""
MOST: Final = 1 << 53
"""From here on a double no longer tells whole numbers apart."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of one kind, and seconds since the request."""

    kind: Kind
    text: str
    when: float


@dataclass(slots=True)
class CallParts:
    """A tool call as far as it has come."""

    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Heard:
    """One answer as the server told it, as far as it has come.

    ``usage`` has OpenAI's names, ``timings`` those of llama-server; empty where the server says nothing.
    """

    pieces: list[Piece] = field(default_factory=list)
    calls: dict[int, CallParts] = field(default_factory=dict)
    finish: str = ""
    usage: dict[str, float] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    total_s: float = 0.0
    signature: str = ""
    """The model's name and the server's build, as every chunk of an answer says them; '' where none does."""
    load_s: float = 0.0
    """Seconds that the server took to load the model first; they are no part of the answer."""

    def add(self, kind: Kind, text: str, when: float) -> bool:
        """Take in a piece; whether there was any."""
        if text:
            self.pieces.append(Piece(kind, text, when))
        return bool(text)

    def text(self, kind: Kind) -> str:
        """All text of one kind."""
        return "".join(piece.text for piece in self.pieces if piece.kind is kind)


def numbers_of(told: object) -> dict[str, Any]:
    """The numbers of a JSON object that can be a count or a time; neither is below 0, infinite or beyond a double."""
    fields = told if isinstance(told, dict) else {}
    return {name: value for name, value in fields.items() if type(value) in (int, float) and 0 <= value < MOST}


def text_of(told: object, what: str) -> str:
    """A piece of text, '' where there is none; EngineDied for anything else, which would be heard as no answer."""
    if told is None:
        return ""
    if not isinstance(told, str):
        raise EngineDied(f"the server's stream is broken: {what} is {type(told).__name__}, not text")
    return encodable(told)


def events(lines: Iterable[str], blot: Callable[[str], str] = str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream: server-sent events (WHATWG HTML, 9.2), or one object a line, as Ollama sends them.

    ``blot`` takes out of an error what nobody may read. EngineRefused for an error that the server puts into the
    stream, EngineDied for a line that is no JSON.
    """
    for line in lines:
        text = line.strip()
        if text.startswith("data:"):
            text = text.removeprefix("data:").strip()
        elif not text.startswith("{"):
            continue  # a comment that keeps the connection open, an event's name, an empty line
        if text == "[DONE]":
            return
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            raise EngineDied(f"the server's stream is broken: {one_line(blot(text), 100)!r} is no JSON") from None
        if not isinstance(event, dict):
            raise EngineDied(f"the server's stream is broken: {one_line(blot(text), 100)!r} is no JSON object")
        if event.get("error") or event.get("object") == "error":
            said = one_line(blot(error_words(event) or text), 300)
            raise EngineRefused(f"the server broke its answer off: {said}")
        yield event


def hear_openai(
    found: Iterable[dict[str, Any]], now: Callable[[], float], progress: Callable[[], None], *, raw: bool = False
) -> Heard:
    """An answer of ``/v1/chat/completions``, or with ``raw`` of ``/v1/completions``.

    The last chunk may hold the usage and no choices; usage and timings may come with any chunk, the last ones count.
    """
    heard, banner, held = Heard(), Banner(), list[float]()
    for event in found:
        when = now()
        choices = event.get("choices") or [{}]  # none beside the usage
        choice = choices[0] if isinstance(choices, list) else None
        if not isinstance(choice, dict):
            raise EngineDied("the server's stream is broken: its choices are no list of objects")
        if not raw and isinstance(choice.get("message"), dict) and "delta" not in choice:
            raise EngineRefused("the server answers without streaming, which it was asked for")
        delta = choice if raw else choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise EngineDied(f"the server's stream is broken: a delta is {type(delta).__name__}")
        some = "prompt_progress" in event
        # some servers send one thought under two names
        thoughts = [] if raw else [text_of(delta.get(name), f"the delta's {name}") for name in _THOUGHTS]
        for kind, text in (
            (Kind.THINKING, next(filter(None, thoughts), "")),
            (Kind.CONTENT, text_of(delta.get("text" if raw else "content"), "the delta's content")),
        ):
            own = banner.without(text)
            if text and not own:
                held.append(when)
                some = True
            if banner.was_one and not heard.load_s:
                heard.load_s = held[-1] if held else when
                held.clear()
            if heard.add(kind, own, held[0] if held else when):  # what was held back came when it came
                held.clear()
                some = True
        some |= _hear_calls(heard, delta.get("tool_calls"), when)
        if isinstance(choice.get("finish_reason"), str):
            heard.finish = choice["finish_reason"]
        if isinstance(event.get("model"), str):
            heard.signature = f"{event['model']} {event.get('system_fingerprint') or ''}".strip()
        heard.usage |= numbers_of(event.get("usage"))
        heard.timings |= numbers_of(event.get("timings"))
        if some:
            progress()
    total_s = now()
    heard.add(Kind.CONTENT, banner.rest, held[0] if held else total_s)
    return _ended(heard, total_s)


def _hear_calls(heard: Heard, deltas: object, when: float) -> bool:
    some = False
    for number, delta in enumerate(deltas if isinstance(deltas, list) else ()):
        function = delta.get("function") if isinstance(delta, dict) else None
        if not isinstance(function, dict):
            continue
        index = delta.get("index")
        call = heard.calls.setdefault(index if isinstance(index, int) else number, CallParts())
        name, arguments = text_of(function.get("name"), "a call's name"), function.get("arguments")
        if name and not call.name:
            call.name = name
            some |= heard.add(Kind.CALL, name, when)
        if isinstance(arguments, dict):  # Ollama's are no text
            arguments = json.dumps(arguments, ensure_ascii=False)
        arguments = text_of(arguments, "what a call is given")
        call.arguments += arguments
        some |= heard.add(Kind.CALL, arguments, when)
    return some


def hear_ollama(
    found: Iterable[dict[str, Any]], now: Callable[[], float], progress: Callable[[], None], *, raw: bool = False
) -> Heard:
    """An answer of Ollama's ``/api/chat``, or with ``raw`` of ``/api/generate``."""
    heard = Heard()
    for event in found:
        when = now()
        message = event if raw else event.get("message") or {}
        if not isinstance(message, dict):
            raise EngineDied(f"the server's stream is broken: a message is {type(message).__name__}")
        name = "response" if raw else "content"
        some = heard.add(Kind.THINKING, text_of(message.get("thinking"), "the message's thinking"), when)
        some |= heard.add(Kind.CONTENT, text_of(message.get(name), f"the message's {name}"), when)
        calls = message.get("tool_calls")
        if isinstance(calls, list):  # each comes whole, and its index starts anew in every chunk
            fresh = [{**call, "index": len(heard.calls) + n} for n, call in enumerate(calls) if isinstance(call, dict)]
            some |= _hear_calls(heard, fresh, when)
        if event.get("done") is True:
            heard.finish = str(event.get("done_reason") or "stop")
            names = {"prompt_eval_count": "prompt_tokens", "eval_count": "completion_tokens"}
            heard.timings |= numbers_of(event)
            heard.usage |= {to: heard.timings[name] for name, to in names.items() if name in heard.timings}
            heard.load_s = heard.timings.get("load_duration", 0) / 1e9
        if some:
            progress()
    return _ended(heard, now())


def _ended(heard: Heard, total_s: float) -> Heard:
    heard.total_s = total_s
    if not heard.finish:
        raise EngineDied("the server's stream ended before the answer did")
    if heard.finish in _BROKEN:
        raise EngineDied(f"the server broke its answer off ({heard.finish})")
    return heard


def drafted(timings: Mapping[str, float]) -> tuple[int, int]:
    """Tokens that llama-server's draft model proposed, and how many of them were accepted."""
    proposed = int(timings.get("draft_n", 0))
    return proposed, min(proposed, int(timings.get("draft_n_accepted", 0)))


def finish_of(heard: Heard) -> Literal["stop", "length"]:
    """'length' where the budget ended the answer, else 'stop'."""
    return "length" if heard.finish in _BUDGET else "stop"


class Banner:
    """Takes out what llama-swap says while it loads a model: lines between two rules, then a blank one.

    They come as a thought, or as content in newer versions, before anything that a model wrote
    (``sendLoadingState: true``). Text that only begins alike is given back.
    """

    _FIRST = "llama-swap loading model:"
    _RULES = "━─"

    def __init__(self) -> None:
        self._held = ""
        self._over = False
        self.was_one = False
        """Whether a whole banner came."""

    @property
    def rest(self) -> str:
        """What was held back and is no banner, when nothing more comes."""
        return "" if self._over or self._FIRST in self._held else self._held

    def without(self, text: str) -> str:
        """What of the text is the model's; some of it may come back with a later piece."""
        if self._over:
            return text
        self._held += text
        if not self._held:  # many a stream begins with an empty piece
            return ""
        lines = self._held.split("\n")
        rule = lines[0].strip()
        is_rule = bool(rule) and not rule.strip(self._RULES)
        if is_rule and (len(lines) == 1 or self._FIRST.startswith(lines[1][: len(self._FIRST)])):
            ends = [
                number for number, line in enumerate(lines[2:-1], 2) if line.strip() and not line.strip(self._RULES)
            ]
            if not ends or len(lines) < ends[0] + 3:
                return ""
            rest = lines[ends[0] + 1 :]
            self.was_one = True
            self._held = "\n".join(rest[1:] if not rest[0].strip() else rest)
        self._over = True
        return self._held
