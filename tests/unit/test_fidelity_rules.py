"""Intervals by chunk and the rules on them: hand-made figures, and simulations of texts whose tokens are correlated."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity_rules import ALPHA
from pytest_quantcheck.fidelity_rules import LEAST_UNITS
from pytest_quantcheck.fidelity_rules import Margins
from pytest_quantcheck.fidelity_rules import Mean
from pytest_quantcheck.fidelity_rules import compare_kl
from pytest_quantcheck.fidelity_rules import compare_perplexity
from pytest_quantcheck.fidelity_rules import compare_same_top
from pytest_quantcheck.fidelity_rules import log_ratio
from pytest_quantcheck.fidelity_rules import not_comparable
from pytest_quantcheck.fidelity_rules import per_token
from pytest_quantcheck.fidelity_rules import recovered

RUNS = 400
TOKENS = 120


@lru_cache
def world(units: int, kl: float, seed: int, *, conversations: bool = False) -> tuple[list[list[Chunk]], list[float]]:
    """``RUNS`` texts; the tokens' KL divergences share their unit's difficulty, and are heavy-tailed.

    Returns the chunks of every run and the error that a token-level formula would give.
    """
    rng = np.random.default_rng(seed)
    made, errors = [], []
    for _ in range(RUNS):
        lengths = rng.integers(20, 2 * TOKENS, units) if conversations else np.full(units, TOKENS)
        hardness = rng.lognormal(-0.125, 0.5, units)
        tokens = [kl * hard * rng.lognormal(-0.5, 1.0, count) for hard, count in zip(hardness, lengths, strict=True)]
        flat = np.concatenate(tokens)
        errors.append(float(flat.std(ddof=1) / math.sqrt(len(flat))))
        made.append([_chunk(values) for values in tokens])
    return made, errors


def _chunk(kls: npt.NDArray[np.float64]) -> Chunk:
    count, kl = len(kls), float(kls.sum())
    return Chunk("text", count, nll=2.0 * count + kl, reference_nll=2.0 * count, kl=kl, same_top=count)


def rates(old: list[list[Chunk]], new: list[list[Chunk]]) -> dict[str, float]:
    """How often each answer was given on KL divergence."""
    answers = []
    for a, b in zip(old, new, strict=True):
        comparison = compare_kl(a, b, Margins())
        assert comparison is not None
        answers.append(comparison.answer())
    return {answer: answers.count(answer) / len(answers) for answer in ("regression", "no-regression", "cannot-tell")}


def chunks(*kls: float, tokens: int = 100, nll: float = 200.0, same_top: int = 90) -> list[Chunk]:
    return [Chunk("text", tokens, nll + kl, nll, kl, same_top) for kl in kls]


def test_units_of_one_length_give_the_ordinary_mean_and_error() -> None:
    found = per_token([2.0, 4.0, 9.0], [10, 10, 10])

    assert found.value == pytest.approx(0.5)
    assert found.error == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1) / math.sqrt(3))


def test_a_long_conversation_counts_by_its_tokens() -> None:
    assert per_token([10.0, 900.0], [10, 90]).value == pytest.approx(9.1)


def test_one_unit_has_no_interval() -> None:
    alone = per_token([3.0], [10])

    assert alone.value == pytest.approx(0.3)
    assert (alone.low(), alone.high()) == (-math.inf, math.inf)


@given(st.lists(st.tuples(st.floats(-50, 50), st.integers(1, 500)), min_size=2, max_size=30), st.floats(0.1, 10))
def test_the_mean_scales_and_a_duplicate_of_every_unit_moves_nothing(
    units: list[tuple[float, int]], factor: float
) -> None:
    sums, tokens = [y for y, _ in units], [x for _, x in units]
    one, scaled, twice = (
        per_token(sums, tokens),
        per_token([factor * y for y in sums], tokens),
        per_token(sums * 2, tokens * 2),
    )

    assert scaled.value == pytest.approx(factor * one.value, abs=1e-9)
    assert scaled.error == pytest.approx(factor * one.error, rel=1e-6, abs=1e-9)
    assert twice.value == pytest.approx(one.value, abs=1e-9)
    assert twice.error <= one.error + 1e-12


def test_the_linearised_error_is_that_of_a_bootstrap() -> None:
    [run, *_], _ = world(60, 0.02, 7, conversations=True)
    sums, tokens = [chunk.kl or 0.0 for chunk in run], [chunk.tokens for chunk in run]
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 60, (4000, 60))
    resampled = np.array(sums)[drawn].sum(axis=1) / np.array(tokens)[drawn].sum(axis=1)

    assert per_token(sums, tokens).error == pytest.approx(resampled.std(), rel=0.06)


@pytest.mark.parametrize("conversations", [False, True], ids=["chunks", "conversations"])
@pytest.mark.parametrize("units", [LEAST_UNITS, 60])
def test_the_interval_covers_the_truth_where_the_error_by_token_does_not(units: int, conversations: bool) -> None:
    made, by_token = world(units, 0.02, units, conversations=conversations)
    means = [per_token([chunk.kl or 0.0 for chunk in run], [chunk.tokens for chunk in run]) for run in made]

    covered = sum(mean.low() <= 0.02 <= mean.high() for mean in means) / RUNS
    too_narrow = sum(abs(mean.value - 0.02) <= 1.645 * error for mean, error in zip(means, by_token, strict=True))

    # 0.90 is meant; a mean of skewed values loses some of it, most with few units
    assert covered >= 0.83
    assert too_narrow / RUNS <= 0.65
    assert np.mean([mean.error for mean in means]) > 2 * np.mean(by_token)


def test_with_few_units_the_interval_errs_more_often() -> None:
    def missed_above(units: int) -> float:
        """How often the truth lies above the upper end, which 'no regression' trusts."""
        made, _ = world(units, 0.02, 3)
        means = [per_token([chunk.kl or 0.0 for chunk in run], [chunk.tokens for chunk in run]) for run in made]
        return sum(mean.high() < 0.02 for mean in means) / RUNS

    assert missed_above(4) > 0.1
    assert missed_above(LEAST_UNITS) < 0.1
    assert missed_above(100) < missed_above(4)


@pytest.mark.parametrize("conversations", [False, True], ids=["chunks", "conversations"])
def test_equal_files_are_hardly_ever_called_a_regression(conversations: bool) -> None:
    old, _ = world(30, 0.02, 1, conversations=conversations)
    # another file that is as far away: the same text, so the same hardness, and its own noise
    new = [_noisy(run, 1.0, seed) for seed, run in enumerate(old)]

    assert rates(old, new)["regression"] <= ALPHA


def test_at_the_margin_no_regression_is_said_as_seldom_as_alpha_says() -> None:
    old, _ = world(40, 0.02, 2)
    at_the_margin = [_noisy(run, 1.25, seed) for seed, run in enumerate(old)]

    assert rates(old, at_the_margin)["no-regression"] <= ALPHA + 0.03


def test_what_is_clearly_worse_is_found_and_what_is_as_good_is_cleared() -> None:
    old, _ = world(40, 0.02, 2)
    worse = [_noisy(run, 2.0, seed) for seed, run in enumerate(old)]
    better = [_noisy(run, 0.7, seed) for seed, run in enumerate(old)]

    assert rates(old, worse)["regression"] >= 0.95
    assert rates(old, better)["no-regression"] >= 0.95


def _noisy(run: list[Chunk], factor: float, seed: int) -> list[Chunk]:
    rng = np.random.default_rng(10_000 + seed)
    noise = rng.normal(1.0, 0.25, len(run)).clip(0.05)
    return [_chunk(np.full(c.tokens, factor * w * (c.kl or 0.0) / c.tokens)) for c, w in zip(run, noise, strict=True)]


def test_several_looks_share_the_chance_of_a_false_regression() -> None:
    rng = np.random.default_rng(5)
    once = shared = 0
    for _ in range(RUNS):
        looks = []
        for _ in range(4):
            old, new = rng.normal(3.0, 0.2, (2, 30))
            looks.append(
                compare_perplexity(
                    [Chunk("text", 1, value) for value in old], [Chunk("text", 1, value) for value in new], Margins()
                )
            )
        once += any(look.answer() == "regression" for look in looks)
        shared += any(look.answer(len(looks)) == "regression" for look in looks)

    assert once / RUNS > 0.1
    assert shared / RUNS <= ALPHA + 0.02


HALF = [1.9, 2.1] * 15  # 30 chunks of 100 tokens: about 0.02 nats a token


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (HALF, [2 * kl for kl in HALF], "regression"),
        (HALF, HALF, "no-regression"),
        (HALF, [1.2 * kl for kl in HALF], "no-regression"),
        (HALF, [1.3 * kl for kl in HALF], "regression"),
        (HALF, [0.0, 5.4] * 15, "cannot-tell"),  # 1.35 times as far, in half of the chunks
        ([kl / 10 for kl in HALF], [kl / 5 for kl in HALF], "no-regression"),  # 0.004 is none
        ([kl / 10 for kl in HALF], [kl / 3.8 for kl in HALF], "regression"),
        (HALF[:19], [5 * kl for kl in HALF[:19]], "cannot-tell"),
        (HALF[:20], [5 * kl for kl in HALF[:20]], "regression"),
    ],
)
def test_the_rule_on_divergence(old: list[float], new: list[float], answer: str) -> None:
    comparison = compare_kl(chunks(*old), chunks(*new), Margins())

    assert comparison is not None
    assert comparison.answer() == answer


@pytest.mark.parametrize(
    ("percent", "spread", "answer"),
    [
        (0.0, 0.001, "no-regression"),
        (0.9, 0.001, "no-regression"),
        (1.1, 0.001, "regression"),
        (-5.0, 0.001, "no-regression"),
        (0.9, 0.05, "cannot-tell"),
        (1.1, 0.05, "cannot-tell"),
    ],
)
def test_the_rule_on_perplexity(percent: float, spread: float, answer: str) -> None:
    old = [Chunk("text", 100, 200.0)] * 30
    harms = [math.log1p(percent / 100) + spread * sign for sign in (-1, 1)] * 15
    new = [Chunk("text", 100, 200.0 + 100 * harm) for harm in harms]

    assert compare_perplexity(old, new, Margins()).answer() == answer


@pytest.mark.parametrize(
    ("baseline", "candidate", "answer"),
    [
        (-0.5, 0.0, "no-regression"),  # the damaged baseline finds the text likelier than the reference does
        (-0.5, -0.2, "no-regression"),
        (-0.5, 0.1, "regression"),
        (0.1, 0.0, "no-regression"),
        (0.0, 0.1, "regression"),
    ],
)
def test_a_perplexity_below_the_reference_is_no_merit(baseline: float, candidate: float, answer: str) -> None:
    def side(drop: float) -> list[Chunk]:
        return [Chunk("text", 100, 200 + 100 * drop + sign / 10, 200.0) for sign in (-1, 1) * 15]

    assert compare_perplexity(side(baseline), side(candidate), Margins()).answer() == answer


@pytest.mark.parametrize(
    ("lost", "spread", "answer"), [(0, 2, "no-regression"), (1, 4, "cannot-tell"), (3, 2, "regression")]
)
def test_the_rule_on_the_likeliest_token(lost: int, spread: int, answer: str) -> None:
    old = chunks(*[0.0] * 30, same_top=95)
    new = [*chunks(*[0.0] * 15, same_top=95 - lost - spread), *chunks(*[0.0] * 15, same_top=95 - lost + spread)]

    comparison = compare_same_top(old, new, Margins())

    assert comparison is not None
    assert comparison.answer() == answer


def test_without_a_reference_there_is_only_perplexity() -> None:
    alone = [Chunk("text", 100, 200.0)] * 30

    assert compare_kl(alone, alone, Margins()) is None
    assert compare_same_top(alone, alone, Margins()) is None
    assert log_ratio(alone) is None
    assert recovered(alone, alone) is None


def test_how_many_more_would_decide() -> None:
    old = [Chunk("text", 100, 200.0)] * 30
    new = [Chunk("text", 100, 200.0 + 100 * (0.005 + 0.03 * sign)) for sign in (-1, 1) * 15]
    comparison = compare_perplexity(old, new, Margins())
    needed = comparison.needed()

    assert comparison.answer() == "cannot-tell"
    assert needed is not None
    again = -(-needed // 2)
    assert compare_perplexity(old[:1] * 2 * again, new[:2] * again, Margins()).answer() == "no-regression"
    fewer = int(0.4 * needed)
    assert compare_perplexity(old[:1] * 2 * fewer, new[:2] * fewer, Margins()).answer() == "cannot-tell"


def test_nothing_would_decide_what_lies_on_the_margin() -> None:
    on_it = Mean(0.0, 0.01, 30)
    old = [Chunk("text", 100, 200.0)] * 30
    comparison = compare_perplexity(old, old, Margins())

    assert type(comparison)(on_it, on_it).needed() is None


def test_the_recovered_share() -> None:
    rng = np.random.default_rng(0)
    drops = rng.normal(0.08, 0.02, 60)
    old = [Chunk("text", 100, 200 + 100 * drop, 200.0) for drop in drops]
    new = [Chunk("text", 100, 200 + 46 * drop + rng.normal(0, 0.2), 200.0) for drop in drops]

    found = recovered(old, new)

    assert found is not None
    assert found.share == pytest.approx(0.54, abs=0.02)
    assert found.low < 0.54 < found.high
    assert found.high - found.low < 0.1
    assert recovered(old, new) == found  # the same figures, the same interval
    assert recovered(old, old) is not None
    assert recovered(old[:10], new[:10]) is None


def test_nothing_is_recovered_where_nothing_was_lost() -> None:
    old = [Chunk("text", 100, 200 + sign, 200.0) for sign in (-1.0, 1.0) * 30]

    assert recovered(old, old) is None


def test_the_recovered_share_is_covered() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(60):
        drops = rng.normal(8.0, 4.0, 40)
        old = [Chunk("text", 100, 200 + drop, 200.0) for drop in drops]
        new = [Chunk("text", 100, 200 + 0.5 * drop + rng.normal(0, 1), 200.0) for drop in drops]
        found = recovered(old, new)
        assert found is not None
        inside += found.low <= 0.5 <= found.high

    assert inside >= 48


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"asked": "b"}, "the baseline read another text"),
        ({"prompt": "q"}, "the two files read other tokens"),
        ({"prompt": ""}, ""),
        ({"chunks": (Chunk("text", 9, 1.0),)}, "the two files read other tokens"),
        ({"chunks": (Chunk("answer", 10, 1.0),)}, "the two files read other tokens"),
    ],
)
def test_what_is_not_comparable(change: dict[str, object], why: str) -> None:
    old = {"name": "x", "chunks": (Chunk("text", 10, 1.0),), "asked": "a", "prompt": "p"}
    made: Callable[..., Fidelity] = Fidelity

    assert not_comparable(made(**old), made(**{**old, **change})).startswith(why)
    assert bool(not_comparable(made(**old), made(**{**old, **change}))) is bool(why)
