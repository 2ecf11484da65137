"""A text of so many tokens, by tokenizers whose costs are known."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_quantcheck.draws import SHORT_WORDS
from pytest_quantcheck.haystack.fit import fit

LEAST = 9  # tokens of a text without sentences and with no words but 'so', which may cost six


def make(sentences: int, words: Sequence[str]) -> str:
    return " ".join(["Text", *(f"#{at}" for at in range(sentences)), "And so", *words])


def counts(sentences: Sequence[int], words: Sequence[int]) -> Callable[[str], int]:
    """A tokenizer by price: of sentences and of short words, each list over and over."""
    price = {word: words[at % len(words)] for at, word in enumerate(SHORT_WORDS)}

    def cost(piece: str) -> int:
        return sentences[int(piece[1:]) % len(sentences)] if piece[0] == "#" else price.get(piece, 1)

    return lambda text: sum(map(cost, text.split()))


costs = st.lists(st.integers(1, 90), min_size=1, max_size=9)


@settings(max_examples=200, deadline=None)
@given(costs, st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(LEAST, 20_000))
def test_any_length_is_met_exactly_where_one_word_is_one_token(
    sentences: list[int], words: list[int], tokens: int
) -> None:
    count = counts(sentences, [1, *words])

    length = fit(make, tokens, count)

    assert length is not None
    assert length.tokens == tokens == count(make(length.sentences, length.words))
    assert len(length.words) < 1000 + tokens // 10, "short words fill a gap, sentences make the text"


@settings(max_examples=100, deadline=None)
@given(costs, st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(LEAST, 5000))
def test_never_more_and_never_much_less(sentences: list[int], words: list[int], tokens: int) -> None:
    count = counts(sentences, words)

    length = fit(make, tokens, count)

    assert length is not None
    assert length.tokens == count(make(length.sentences, length.words))
    assert tokens - max(words) * max(sentences) < length.tokens <= tokens


@pytest.mark.parametrize("word", [2, 3])
def test_two_costs_without_a_common_factor_reach_everything(word: int) -> None:
    for tokens in range(1000, 1025):
        length = fit(make, tokens, counts([20], [word, word + 1]))
        assert length is not None
        assert length.tokens == tokens


def test_the_nearest_below_where_everything_costs_two() -> None:
    lengths = [fit(make, tokens, lambda text: 2 * len(text.split())) for tokens in (1000, 1001, 1002)]

    assert [length and length.tokens for length in lengths] == [1000, 1000, 1002]


def test_less_than_the_least_is_none() -> None:
    assert fit(make, 2, counts([20], [1])) is None
    assert fit(make, 3, counts([20], [1])) is not None


@pytest.mark.parametrize("saved", [1, 2])
def test_words_that_join_with_their_neighbours_do_no_harm(saved: int) -> None:
    def count(text: str) -> int:
        return len(text.split()) - saved * len(re.findall(r"\bso [a-z]{2}\b", text))

    length = fit(make, 500, count)

    assert length is not None
    assert length.tokens == 500
