"""What one text or set of conversations shows of a model's next-token probabilities: sums by chunk, as a record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
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
    itself: bool = False
    """Whether the reference has the same content as the measured file: there is nothing to lose then."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What was scored: 'text', or of conversations 'thought' and 'answer' as far as there were any."""
        return tuple(dict.fromkeys(chunk.part for chunk in self.chunks))

    def only(self, part: Part) -> Fidelity:
        """The same of one part: ``found.only("answer").kl``."""
        tail: dict[str, dict[str, float]] = {name: values for name, values in self.kl_tail.items() if name == part}
        return replace(self, chunks=tuple(chunk for chunk in self.chunks if chunk.part == part), kl_tail=tail)

    @property
    def tokens(self) -> int:
        """Tokens that were scored."""
        return sum(chunk.tokens for chunk in self.chunks)

    @property
    def perplexity(self) -> float | None:
        """Euler's number to the mean negative log-likelihood of a token; None without a token."""
        return _exp(self._mean("nll"))

    @property
    def reference_perplexity(self) -> float | None:
        """The reference's own perplexity on the same tokens; None without a reference."""
        return _exp(self._mean("reference_nll"))

    @property
    def perplexity_ratio(self) -> float | None:
        """Perplexity over the reference's; None without a reference."""
        mine, reference = self._mean("nll"), self._mean("reference_nll")
        return None if mine is None or reference is None else _exp(mine - reference)

    @property
    def kl(self) -> float | None:
        """Mean KL divergence of a token's probabilities, reference||file, in nats; None without a reference."""
        return self._mean("kl")

    @property
    def same_top(self) -> float | None:
        """Share of the tokens, 0 to 1, whose likeliest next token is the reference's; None without a reference."""
        return self._mean("same_top")

    def _mean(self, name: str) -> float | None:
        sums = [getattr(chunk, name) for chunk in self.chunks]
        return None if not self.tokens or None in sums else sum(sums) / self.tokens

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {"chunks": lambda chunks: tuple(Chunk.from_payload(chunk) for chunk in chunks)}


def exponential(logarithm: float) -> float:
    """The exponential, infinite where it would overflow: a perplexity from a mean negative log-likelihood."""
    try:
        return math.exp(logarithm)
    except OverflowError:
        return math.inf


def _exp(logarithm: float | None) -> float | None:
    return None if logarithm is None else exponential(logarithm)
