"""Replies for tests, in one line each."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import Literal

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.embeddings import pack
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.scripted import ScriptedEngine
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Timings
from pytest_quantcheck.records import ToolCall
from pytest_quantcheck.records import Usage


def reply(
    text: str = "",
    thinking: str = "",
    tool_calls: Iterable[ToolCall] = (),
    total: int | None = None,
    status: Status | str = Status.OK,
    *,
    thinking_tokens: int | None = None,
    source: Literal["exact", "reported", "re-tokenised", "estimated"] = "exact",
    total_s: float = 1.0,
) -> Reply:
    """One reply; tokens are words unless ``total`` or ``thinking_tokens`` say otherwise."""
    calls = tuple(tool_calls)
    status = Status(status)
    hidden = len(thinking.split()) if thinking_tokens is None else thinking_tokens
    everything = hidden + len(text.split()) if total is None else total
    raw = (f"<think>{thinking}</think>" if thinking else "") + text + "".join(call.raw for call in calls)
    return Reply(
        text=text,
        thinking=thinking,
        tool_calls=calls,
        raw=raw,
        finish="length" if status in (Status.TRUNCATED, Status.STARVED) else "stop",
        status=status,
        usage=Usage(prompt=10, thinking=hidden, visible=everything - hidden, total=everything, source=source),
        timings=Timings(first_token_s=0.1, first_visible_s=0.2 if text else None, total_s=total_s),
    )


def choice(note: str = "", **likelihoods: float) -> Choice:
    """``choice(Lima=-1.5, Quito=-3.0)``; one token for each."""
    return Choice(tuple(likelihoods), tuple(likelihoods.values()), (1,) * len(likelihoods), 10, note)


def embeddings(*vectors: Sequence[float], queries: int = 0) -> Embeddings:
    """One text for each vector, called a, b, c."""
    labels = tuple("abcdefghijklmnopqrstuvwxyz"[: len(vectors)])
    return Embeddings(labels, tuple(map(pack, vectors)), queries, "mean", (1,) * len(vectors))


def card(name: str = "a") -> ModelCard:
    """A card that says nothing but its name."""
    return ScriptedEngine(lambda _: "", name=name).card()


def call(name: str, arguments: dict[str, Any] | None = None, raw: str = "", **more: Any) -> ToolCall:
    """One tool call; ``call("f", x=1)`` for short, malformed with ``raw`` alone."""
    if arguments is None and raw and not more:
        return ToolCall(name, None, raw)
    return ToolCall(name, {**(arguments or {}), **more}, raw or name)


def tool(name: str, *, required: Iterable[str] = (), **properties: Any) -> dict[str, Any]:
    """An offered tool; ``properties`` are its arguments' schemas, a text stands for the type."""
    schemas = {key: {"type": one} if isinstance(one, str) else one for key, one in properties.items()}
    parameters = {"type": "object", "properties": schemas, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


def score(
    check: Check,
    *replies: Reply | str,
    bench: Bench | None = None,
    choices: tuple[Choice, ...] = (),
    embeddings: tuple[Embeddings, ...] = (),
    baseline: Observation | None = None,
    offered: Iterable[Any] = (),
    memory: Memory | None = None,
) -> Score:
    """What ``check`` says of these replies or choices; a text stands for a reply with that text.

    ``offered`` are the tools of the last question.
    """

    def measure(request: BenchRequest) -> Bench:
        assert bench is not None, "this check asked for a measurement"
        return bench

    def take(_request: MemoryRequest) -> Memory:
        assert memory is not None, "this check asked for the memory"
        return memory

    given = tuple(reply(one) if isinstance(one, str) else one for one in replies)
    found: dict[str, Any] = {"choices": choices, "embeddings": embeddings, "offered": tuple(offered), "memory": take}
    return check(CheckInput(given, measure, baseline, **found))
