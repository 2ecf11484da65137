"""What chat templates make of a few conversations: two files can be compared by what the model would read.

A template is code from the file. It runs in a process of its own (``render_child``): sandboxed, with bounded memory,
killed when it takes too long.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.pipes import read_lines
from pytest_quantcheck.pipes import started
from pytest_quantcheck.pipes import write_line
from pytest_quantcheck.records import Record
from pytest_quantcheck.text import one_line

PATIENCE_S: Final = 10.0
"""Seconds that one card's template may take for all probes."""
_START_S: Final = 60.0
"""Seconds until the process says that it runs: on a slow disk Python alone takes some."""

_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city."}},
            "required": ["city"],
        },
    },
}
_CALL: Final = {
    "id": "call00001",  # nine letters and digits: Mistral's templates refuse anything else
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "Oslo"}},
}
_SYSTEM: Final = {"role": "system", "content": "Answer in one sentence."}
_USER: Final = {"role": "user", "content": "How is the weather in Oslo?"}
_HELLO: Final = {"role": "user", "content": "Hello"}

PROBES: Final[dict[str, dict[str, Any]]] = {
    "plain": {"messages": [_HELLO]},
    "system": {"messages": [_SYSTEM, _HELLO]},
    "turns": {"messages": [_HELLO, {"role": "assistant", "content": "Hi! How are you?"}, _USER]},
    "tools": {"messages": [_USER], "tools": [_TOOL]},
    "tool result": {
        "messages": [
            _USER,
            {"role": "assistant", "content": "", "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "snow"},
        ],
        "tools": [_TOOL],
    },
    "thinking on": {"messages": [_HELLO], "thinking": True},
    "thinking off": {"messages": [_HELLO], "thinking": False},
}
"""The conversations, by name: arguments of ``ChatTemplate.render``."""


@dataclass(frozen=True, slots=True)
class Renderings(Record):
    """What one file's template makes of each probe: every name of ``PROBES`` is in ``texts`` or in ``errors``.

    ``errors`` say in words why there is no text. ``thinking_default`` is what the template does when nobody says, None
    when it has no switch, which ``thinking_switch`` tells too. Dates in the texts are those of 2026-01-01.
    """

    texts: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    thinking_default: bool | None = None
    thinking_switch: bool = False


def render_probes(cards: Sequence[ModelCard], *, patience_s: float = PATIENCE_S) -> tuple[Renderings, ...]:
    """The renderings of each card's template, in order. Never raises for what a template does.

    One process renders all; where a template does not end within ``patience_s`` seconds, or kills the process, another
    one goes on with the next card. A template that is none of Jinja's is not rendered: of it is known what is told.
    """
    rendered = [card for card in cards if not card.template_is_go]
    done: list[Renderings] = []
    while len(done) < len(rendered):
        done += _render(rendered[len(done) :], patience_s)
    found = iter(done)
    return tuple(
        Renderings(thinking_default=card.thinks, thinking_switch=card.thinks is not None)
        if card.template_is_go
        else next(found)
        for card in cards
    )


def _render(cards: Sequence[ModelCard], patience_s: float) -> list[Renderings]:
    """The renderings of at least one card: the last one may say that its template brought the process to an end."""
    try:
        process = subprocess.Popen(
            # -P: a file of the user's that is called like a module of ours must not be imported
            [sys.executable, "-P", "-m", "pytest_quantcheck.render_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return [_failed(f"cannot start {sys.executable!r}: {error}") for _ in cards]
    given = [{"template": card.chat_template, "bos": card.bos, "eos": card.eos} for card in cards]
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threads = [
        started(write_line, process.stdin, json.dumps(given) + "\n"),
        started(read_lines, process.stdout, lines),
    ]
    done: list[Renderings] = []
    try:
        if _next(lines, _START_S) is not True:
            return [_failed("the process that renders chat templates does not start") for _ in cards]
        while len(done) < len(cards):
            try:
                answer = _next(lines, patience_s)
            except queue.Empty:
                return [*done, _failed(f"the template did not finish within {patience_s:g} s")]
            if answer is None:
                return [*done, _failed("the template brought its process to an end (too much memory?)")]
            done.append(Renderings.from_payload(answer))
        return done
    except queue.Empty:
        return [_failed(f"the process that renders chat templates did not start within {_START_S:g} s") for _ in cards]
    finally:
        process.kill()
        process.wait()
        for thread in threads:
            thread.join()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _next(lines: queue.SimpleQueue[str | None], patience_s: float) -> Any:
    """The next message; None at the end of the stream."""
    line = lines.get(timeout=patience_s)
    return None if line is None else json.loads(line)


def _failed(why: str) -> Renderings:
    return Renderings(errors=dict.fromkeys(PROBES, one_line(why)))
