"""What one text or set of conversations shows of a model's next-token probabilities: sums by chunk, as a record."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal

from pytest_quantcheck.record import Record

Part = Literal["text", "thought", "answer"]
"""What is scored: plain text, or of a conversation the thoughts and the answers of the assistant."""


@dataclass(frozen=True, slots=True)
class Chunk(Record):
    """Sums over the scored tokens of one chunk of a text, or of one part of one conversation; nats.

    The figures that need a reference are None without one. ``kl`` is the sum of the tokens' KL divergences,
    reference||role; ``same_top`` counts the tokens whose likeliest next token is the reference's.
    """

    part: Part
    tokens: int
    nll: float
    reference_nll: float | None = None
    kl: float | None = None
    same_top: int | None = None


@dataclass(frozen=True, slots=True)
class Fidelity(Record):
    """Perplexity of one role on one text and, with a reference, KL divergence from it. ``chunks`` are the units.

    :param name: the text's label, for reports.
    :param asked: digest of the request: equal for the same text and window on both sides.
    :param prompt: digest of all token ids that were read; equal where the same tokens were read.
    :param kl_tail: percentiles of the tokens' KL divergence by name ('50', '90', '99', '99.9', '100'), by part.
    :param covered: mean share of the reference's probability that its store keeps token by token; 1 with the whole
        vocabulary, None without a reference. What is left is one bucket, so ``kl`` is a lower bound below 1.
    :param reference: file name of the reference; '' without one. ``reference_fingerprint`` tells its content apart.
    """

    name: str
    chunks: tuple[Chunk, ...]
    asked: str = ""
    prompt: str = ""
    window: int = 0
    kl_tail: dict[str, dict[str, float]] = field(default_factory=dict)
    covered: float | None = None
    reference: str = ""
    reference_fingerprint: str = ""

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"chunks": lambda chunks: tuple(Chunk.from_payload(chunk) for chunk in chunks)}
