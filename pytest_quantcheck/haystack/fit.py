"""A text of exactly so many tokens by a tokenizer that only tells how many a text has, in few calls. Pure."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from pytest_quantcheck.draws import SHORT_WORDS

_FIRST_GUESS = 16  # sentences that tell what one costs
_STEPS = 8
_ROOM = 8  # tokens left for short words: with these any sum of their costs can be met
_CORRECTIONS = 4

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Length:
    """So many filling sentences and these short words make ``tokens`` tokens."""

    sentences: int
    words: tuple[str, ...]
    tokens: int


def fit(make: Callable[[int, Sequence[str]], str], tokens: int, count: Count) -> Length | None:
    """The length of a text with ``tokens`` tokens, or as near below as the tokenizer allows; None if all are longer.

    :param make: the text with so many filling sentences and these short words.
    :param count: how many tokens a text has. A text of full length is counted about six times.
    """
    least = count(make(0, ()))
    if least > tokens:
        return None
    sentences, size = _sentences(make, tokens - _ROOM, least, count)
    best = Length(sentences, (), size)
    costs = _costs(count)
    gap = tokens - size
    for _ in range(_CORRECTIONS):
        words = _words(gap, costs)
        size = count(make(sentences, words))
        if best.tokens < size <= tokens:
            best = Length(sentences, words, size)
        if size == tokens:
            break
        # words that cost something else where they stand than alone
        gap += tokens - size
    return best


def _sentences(make: Callable[[int, Sequence[str]], str], tokens: int, least: int, count: Count) -> tuple[int, int]:
    """How many sentences come near ``tokens`` without passing it, and the tokens of that text; by the secant rule."""
    best = last = (0, least)
    sentences = _FIRST_GUESS
    for _ in range(_STEPS):
        size = count(make(sentences, ()))
        rate = max(1.0, (size - last[1]) / (sentences - last[0]))
        last = (sentences, size)
        if best[1] < size <= tokens:
            best = last
        step = int((tokens - size) // rate)
        if step == 0 or sentences + step <= best[0]:
            break
        sentences += step
    return best


def _costs(count: Count) -> dict[str, int]:
    """Tokens of each short word behind another one; a word that joins with it costs nothing and is left out."""
    before = "And so"
    alone = count(before)
    costs = {word: count(f"{before} {word}") - alone for word in SHORT_WORDS}
    return {word: cost for word, cost in costs.items() if cost > 0}


def _words(gap: int, costs: Mapping[str, int]) -> tuple[str, ...]:
    """Short words that cost ``gap`` tokens together, or as nearly below it as they can."""
    alike = {cost: [word for word in costs if costs[word] == cost] for cost in set(costs.values())}
    # the cost that most words have first, so that they are not always the same ones
    order = sorted(alike, key=lambda cost: (-len(alike[cost]), cost))
    last = [0] * (max(0, gap) + 1)  # the cost of one word of a sum that can be met, 0 where it cannot
    for total in range(1, len(last)):
        fits = (cost for cost in order if cost == total or (cost < total and last[total - cost]))
        last[total] = next(fits, 0)
    total = next((total for total in reversed(range(len(last))) if last[total]), 0)
    turns = {cost: cycle(words) for cost, words in alike.items()}
    words = []
    while total > 0:
        words.append(next(turns[last[total]]))
        total -= last[total]
    return tuple(words)
