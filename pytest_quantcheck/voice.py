"""The voice of a served model: what it says to fixed questions, where the server does not tell which file it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from typing import Final

from pytest_quantcheck.engines.base import ChatRequest
from pytest_quantcheck.engines.base import ChoiceRequest
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import Generation
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.records import Record

_QUESTIONS: Final = (
    "What is 27 + 45?",
    "Tell a story about a lighthouse keeper who finds a letter.",
    "List five animals, then five colours.",
    "Why is the sky blue?",
)
_TOKENS: Final = 48
"""Long enough for most changes of the weights to change a word, short enough to cost seconds."""
_PROMPT: Final = "The letter was written on"
_CHOICES: Final = (" thin blue paper.", " a Tuesday in winter.", " both sides of an old map.", " 17 pages.")
_TOLERANCE: Final = 0.01
"""Nats by which the same weights on the same machine differ at most; other roundings of them differ by more."""


@dataclass(frozen=True, slots=True)
class Voice(Record):
    """What a model answered, greedily, and how likely given texts were to it; () where the server does not tell."""

    answers: tuple[str, ...]
    likelihoods: tuple[float, ...] = ()

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"answers": tuple, "likelihoods": tuple}


def needs_voice(card: ModelCard) -> bool:
    """Whether nothing but its name tells this model from another one."""
    return card.served and not card.fingerprint


def listen(engine: Engine) -> Voice:
    """Ask a model a few questions; EngineError where it does not answer."""
    how = Generation(max_tokens=_TOKENS, loop=None)
    requests = [ChatRequest(({"role": "user", "content": text},), generation=how) for text in _QUESTIONS]
    answers = tuple(engine.chat(request).raw for request in requests)
    try:
        likelihoods = engine.choose(ChoiceRequest(_CHOICES, prompt=_PROMPT)).loglikelihoods
    except EngineCannot:
        likelihoods = ()
    return Voice(answers, tuple(likelihoods))


def is_other(old: Voice, new: Voice) -> bool:
    """Whether this is another model, or the same one on another machine: neither is what was recorded.

    Weights that differ little may say the same words; where the server tells likelihoods, these decide as well.
    """
    if old.answers != new.answers:
        return True
    pairs = zip(old.likelihoods, new.likelihoods, strict=False)
    return any(abs(mine - theirs) > _TOLERANCE for mine, theirs in pairs)
