"""Candidates that are known to be bad: an engine that spoils the answers of another one in one of five ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from typing import Final
from typing import TypeVar

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import CompletionRequest
from pytest_quantcheck.engines.base import EmbeddingRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import FidelityRequest
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.engines.base import Message
from pytest_quantcheck.engines.wrapper import Wrapper
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.records import Payload
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Status

KINDS: Final = {
    # in words, for the report
    "noise": "noise on the model's logits",
    "budget": "a quarter of the tokens that each answer needs",
    "template": "the conversation without a chat template",
    "swapped": "the answer to another question",
    "thinking": "twice the tokens, all of the surplus spare thinking",
}
CHANGED: Final = "sabotaged answers"
"""The engine's fact that says how many answers were spoilt."""

# in units of the logits' own spread: beyond what any quantization does, still a model
_NOISE = 2.0
# damage can keep a model from ever ending; beyond this many times the true answer nothing new is to be seen
_LONGEST = 2
# without its template a model may talk on for ever
_MOST_TOKENS = 256


_Value = TypeVar("_Value")


class Saboteur(Wrapper):
    """Everything that ``engine`` is, with spoilt answers. Speed is left alone.

    :param kind: one of `KINDS`.
    """

    def __init__(self, engine: Engine, kind: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
        super().__init__(engine)
        self._kind = kind
        self._changed = 0
        self._cut: dict[str, Reply] = {}
        self._latest: dict[str, Reply] = {}

    @property
    def facts(self) -> Payload:
        """The engine's own facts and how many answers were spoilt."""
        return {**getattr(self._engine, "facts", {}), CHANGED: self._changed}

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ``text``."""
        return self._engine.tokenize(text)

    def chat(self, request: ChatRequest) -> Reply:
        """One assistant turn, spoilt."""
        if self._kind == "template":
            most = min(request.generation.max_tokens or _MOST_TOKENS, _MOST_TOKENS)
            bare = CompletionRequest(_plain_text(request.messages), replace(request.generation, max_tokens=most))
            return self._spoilt(self._engine.complete(bare))
        if self._kind == "thinking":
            return self._spoilt(_with_spare_thinking(self._engine.chat(request)))
        return self._answer(request, [request.messages, request.tools])

    def complete(self, request: CompletionRequest) -> Reply:
        """A raw continuation, spoilt; it has neither template nor thinking to lose."""
        return self._answer(request, [request.prompt])

    def choose(self, request: ChoiceRequest) -> Choice:
        """The likelihoods of choices, spoilt; neither a budget nor thinking plays a part in them."""
        if self._kind == "template" and request.messages:
            self._changed += 1
            return self._engine.choose(replace(request, messages=(), prompt=_plain_text(request.messages)))
        found: Choice = self._measured(self._engine.choose, request, "loglikelihoods")
        return found

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """The vectors, spoilt; they have no template, budget or thinking."""
        found: Embeddings = self._measured(self._engine.embed, request, "packed")
        return found

    def fidelity(self, request: FidelityRequest) -> Fidelity:
        """The figures under noise; nothing else spoils them, since the model answers nothing: it reads given tokens."""
        if self._kind != "noise":
            return self._engine.fidelity(request)
        self._changed += 1
        return self._engine.fidelity(replace(request, noise=_NOISE))

    def _measured(self, ask: Callable[[Any], Any], request: ChoiceRequest | EmbeddingRequest, figures: str) -> Any:
        """What the engine measures, under noise or with its figures in other places."""
        if self._kind == "noise":
            request = replace(request, noise=_NOISE)
        elif self._kind != "swapped":
            return ask(request)
        self._changed += 1
        found = ask(request)
        return replace(found, **{figures: _moved(getattr(found, figures))}) if self._kind == "swapped" else found

    def _answer(self, request: ChatRequest | CompletionRequest, question: Sequence[Any]) -> Reply:
        generation = request.generation
        whole = replace(generation, stop=())  # what the true answer needs, to its end
        if self._kind == "noise":
            most = 16 + _LONGEST * self._ask(request, whole).usage.total
            most = min(most, generation.max_tokens or most)
            return self._spoilt(_ended(self._ask(request, replace(generation, max_tokens=most, noise=_NOISE))))
        if self._kind == "budget":
            # the probe asks again with more: of what an answer needs it still gets a quarter
            key = json.dumps([question, replace(generation, max_tokens=None).to_payload()], sort_keys=True)
            if key not in self._cut:
                needed = self._ask(request, whole).usage.total
                self._cut[key] = self._spoilt(self._ask(request, replace(generation, max_tokens=max(1, needed // 4))))
            return self._cut[key]
        if self._kind == "swapped":
            return self._swapped(json.dumps(question, sort_keys=True), self._ask(request, generation))
        return self._ask(request, generation)

    def _ask(self, request: ChatRequest | CompletionRequest, generation: Generation) -> Reply:
        if isinstance(request, ChatRequest):
            return self._engine.chat(replace(request, generation=generation))
        return self._engine.complete(replace(request, generation=generation))

    def _swapped(self, question: str, reply: Reply) -> Reply:
        """The reply to the question before; the very first one has nothing to be swapped with."""
        self._latest.pop(question, None)
        others = list(self._latest.values())
        self._latest[question] = reply
        # what was read is this question, only the answer is another's
        return self._spoilt(replace(others[-1], prompt=reply.prompt)) if others else reply

    def _spoilt(self, reply: Reply) -> Reply:
        self._changed += 1
        return reply


def _moved(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    """Each gets what belongs to the next."""
    return (*values[1:], values[0])


def _plain_text(messages: Sequence[Message]) -> str:
    """What the messages say, one after the other; of a list of parts their texts."""
    said = []
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [content]
        said += [str(part.get("text") or "") if isinstance(part, dict) else str(part or "") for part in parts]
    return "\n".join(text for text in said if text) or "\n"


def _ended(reply: Reply) -> Reply:
    """As if a cut answer had ended there: the damage shall show in what it says, not in the budget."""
    if reply.status is Status.STARVED:
        return replace(reply, finish="stop", status=Status.UNCLOSED)
    return replace(reply, finish="stop", status=Status.OK) if reply.status is Status.TRUNCATED else reply


def _with_spare_thinking(reply: Reply) -> Reply:
    spare = reply.usage.total
    seconds = reply.timings.total_s
    visible = reply.timings.first_visible_s
    return replace(
        reply,
        thinking=f"{reply.thinking} {'hm ' * spare}".strip(),
        usage=replace(reply.usage, thinking=reply.usage.thinking + spare, total=2 * spare),
        timings=replace(
            reply.timings,
            first_visible_s=None if visible is None else visible + seconds,
            total_s=2 * seconds,
        ),
    )
