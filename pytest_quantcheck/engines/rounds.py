"""Rounds of a speed measurement, whoever times them: their text, the warm-up that ends when it is flat, the record."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_quantcheck.draws import Draws
from pytest_quantcheck.draws import prose
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.records import Bench

FLAT: Final = 0.03
"""The warm-up ends with a round that is faster than the best before it by no more than this share."""


@dataclass(frozen=True, slots=True)
class Round:
    """Tokens per second, seconds to the first token, and what a draft model had to do with it."""

    prefill: float
    decode: float
    ttft: float
    drafted: int = 0
    accepted: int = 0


def prose_tokens(tokenize: Callable[[str], list[int]], count: int) -> list[int]:
    """So many tokens or more of sentences that do not repeat, the same text for every model."""
    draws, sentences, ids = Draws("bench"), 64, list[int]()
    while len(ids) < count:
        ids = tokenize(" ".join(prose(draws, number) for number in range(sentences)))
        sentences *= 4
    return ids


def measured(request: BenchRequest, depth: int, time_round: Callable[[], Round], *, is_cold: bool = False) -> Bench:
    """Warm up, then time every repetition; nothing is dropped.

    :param is_cold: nothing ran before the first round, which tells the cold prefill then.
    """
    discarded, settled = _warm_up(time_round, request.warmup)
    kept = [time_round() for _ in range(request.repeats)]
    return Bench(
        tuple(one.prefill for one in kept),
        tuple(one.decode for one in kept),
        request.prompt_tokens,
        request.generate_tokens,
        tuple(one.ttft for one in kept),
        depth,
        discarded[0].prefill if is_cold and discarded else None,
        len(discarded),
        settled,
        sum(one.drafted for one in kept),
        sum(one.accepted for one in kept),
    )


def _warm_up(time_round: Callable[[], Round], most: int) -> tuple[Sequence[Round], bool]:
    """The discarded rounds, and whether they ended by themselves."""
    rounds: list[Round] = []
    best_prefill = best_decode = 0.0
    while len(rounds) < most:
        one = time_round()
        rounds.append(one)
        if one.prefill <= best_prefill * (1 + FLAT) and one.decode <= best_decode * (1 + FLAT):
            return rounds, True
        best_prefill, best_decode = max(best_prefill, one.prefill), max(best_decode, one.decode)
    return rounds, not most
