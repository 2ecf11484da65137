"""quant_speed: what is surely reached against limits, and the comparison as a part of the value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.benches import Duel
from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.speed import quant_speed
from pytest_quantcheck.draws import Draws
from pytest_quantcheck.draws import prose
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Timings
from tests.builders import reply
from tests.builders import score

# 95 % sure of at least 903 and 47.2 tok/s, of at most 0.1071 s
BENCH = Bench((950.0, 1000.0, 1050.0), (49.0, 50.0, 53.0), 64, 16, (0.1, 0.102, 0.104))


def turns(old: float, new: float, noise: tuple[float, ...] = (1.0, 1.01, 0.99, 1.0, 1.0)) -> Duel:
    """So many pairs of decode speeds; prefill and first token are the same on both sides."""

    def side(speed: float) -> tuple[Bench, ...]:
        return tuple(Bench((500.0 * share,), (speed * share,), 512, 128, (1.0 / share,)) for share in noise)

    order = ("BCCB" * len(noise))[: 2 * len(noise)]
    return Duel(side(old), side(new), order)


def compared(check: Any, duel: Duel) -> Score:
    """What the check says on the candidate's side."""

    def measure(request: BenchRequest, margins: Mapping[str, float]) -> Duel:
        return Duel(duel.baseline, duel.candidate, duel.order, margins=dict(margins))

    def alone(request: BenchRequest) -> Bench:
        raise AssertionError("the duel has the candidate's figures")

    found: Score = check(CheckInput((), alone, duel=measure))
    return found


@pytest.mark.parametrize(
    ("keywords", "value"),
    [
        ({"decode": 46}, 1.0),
        ({"decode": 48}, 0.0),  # below every run but one, and yet not sure
        ({"prefill": 900}, 1.0),
        ({"prefill": 940}, 0.0),
        ({"ttft_s": 0.108}, 1.0),
        ({"ttft_s": 0.105}, 0.0),
        ({"decode": 46, "prefill": 940}, 0.5),
        ({"decode": 46, "prefill": 940, "ttft_s": 1}, 2 / 3),
        ({"decode": 1, "prefill": 1}, 1.0),
    ],
)
def test_the_sure_end_decides(keywords: dict[str, Any], value: float) -> None:
    result = score(quant_speed(**keywords), bench=BENCH)
    assert (result.check, result.value, result.passed, result.answer) == ("speed", value, value == 1, "")


def test_why_gives_median_and_what_is_sure() -> None:
    assert score(quant_speed(decode=60, ttft_s=0.3, depth=7), bench=BENCH).why == (
        "decode median 50 tok/s (95 % sure of at least 47.28) misses 60; "
        "first token median 0.102 s (95 % sure of at most 0.1054) stays below 0.3; "
        "behind 7 tokens, 512 prompt and 128 generated tokens, no thinking involved"
    )


@pytest.mark.parametrize("bench", [Bench((), (), 64, 16), Bench((1.0,), (100.0, 100.0), 64, 16)])
def test_what_was_not_measured_often_enough_misses_its_floor(bench: Bench) -> None:
    assert score(quant_speed(decode=1), bench=bench).value == 0.0


def test_the_engine_is_asked_for_what_the_marker_says() -> None:
    asked: list[BenchRequest] = []

    def bench(request: BenchRequest) -> Bench:
        asked.append(request)
        return BENCH

    quant_speed(decode=1)(CheckInput((), bench))
    quant_speed(decode=1, prompt_tokens=64, generate_tokens=16, repeats=3, depth=99)(CheckInput((), bench))
    quant_speed(decode=1, depth="context")(CheckInput((), bench))
    assert asked == [BenchRequest(512, 128, 5), BenchRequest(64, 16, 3, depth=99), BenchRequest(depth=None)]


def test_what_the_engine_refuses_goes_on() -> None:
    def bench(request: BenchRequest) -> Bench:
        raise EngineCannot("this server has no bench")

    with pytest.raises(EngineCannot, match="no bench"):
        quant_speed(decode=1)(CheckInput((), bench))


@pytest.mark.parametrize("keywords", [{"decode": 1}, {"vs_baseline": True}])
def test_where_speed_cannot_be_judged_neither_limits_nor_comparisons_are(keywords: dict[str, Any]) -> None:
    given = CheckInput((), lambda request: BENCH, no_speed="2 workers share this machine")
    with pytest.raises(CheckCannot, match=r"^speed is not judged: 2 workers share this machine$"):
        quant_speed(**keywords)(given)


def drafting(*counts: tuple[int, int]) -> tuple[Reply, ...]:
    """Answers of a server with a draft model: (drafted, accepted) of each."""
    plain = reply("72")
    return tuple(replace(plain, timings=Timings(0.1, 0.1, 0.2, *each)) for each in counts)


@pytest.mark.parametrize(
    ("counts", "value", "why"),
    [
        (((60, 45), (20, 15)), 1.0, "draft acceptance 75 % (60 of 80 tokens of the answers) reaches 75 %"),
        (((60, 45), (20, 14)), 0.0, "draft acceptance 73.8 % (59 of 80 tokens of the answers) misses 75 %"),
        (((0, 0), (8, 8)), 1.0, "draft acceptance 100 % (8 of 8 tokens of the answers) reaches 75 %"),
    ],
)
def test_the_share_of_drafted_tokens_is_that_of_the_tests_answers(
    counts: tuple[tuple[int, int], ...], value: float, why: str
) -> None:
    found = score(quant_speed(draft_acceptance=0.75), *drafting(*counts))

    assert (found.value, found.why) == (value, why)


def test_a_test_that_asks_nothing_takes_the_probes_drafts() -> None:
    found = score(quant_speed(draft_acceptance=0.75), bench=replace(BENCH, drafted=100, accepted=76))

    assert found.value == 1.0
    assert found.why == "draft acceptance 76 % (76 of 100 tokens of the probe) reaches 75 %"


def test_where_nothing_drafts_there_is_nothing_to_judge() -> None:
    for replies in (drafting((0, 0)), ()):
        with pytest.raises(CheckCannot, match=r"^no tokens were drafted: it takes a llama-server with a draft model$"):
            score(quant_speed(draft_acceptance=0.0), *replies, bench=BENCH)


def test_drafts_need_no_quiet_machine_and_are_one_part_of_several() -> None:
    shared = CheckInput(drafting((10, 5)), lambda request: BENCH, no_speed="2 workers share this machine")
    assert quant_speed(draft_acceptance=0.5)(shared).value == 1.0
    with pytest.raises(CheckCannot, match="2 workers"):
        quant_speed(draft_acceptance=0.5, decode=1)(shared)
    assert score(quant_speed(draft_acceptance=0.5, decode=10**6), *drafting((10, 5)), bench=BENCH).value == 0.5


def test_of_several_runs_all_drafts_count() -> None:
    one, two = drafting((10, 2)), drafting((10, 10))
    given = CheckInput(two, lambda request: BENCH, runs=(one, two))

    assert quant_speed(draft_acceptance=0.7)(given).why.startswith("draft acceptance 60 % (12 of 20 ")


@pytest.mark.parametrize(
    ("new", "answer", "value"),
    [(100.0, "no-regression", 1.0), (120.0, "no-regression", 1.0), (90.0, "regression", 0.0)],
)
def test_the_comparison_is_a_part(new: float, answer: str, value: float) -> None:
    found = compared(quant_speed(vs_baseline=True), turns(100.0, new))
    assert (found.answer, found.value) == (answer, value)
    assert found.why.startswith(f"against the baseline: decode x{new / 100:.3g} (")
    assert "slower by 10 %; 5 % is allowed" in found.why or "): a loss of 5 % is excluded; " in found.why


def test_noise_fails_nothing_and_says_so() -> None:
    found = compared(quant_speed(vs_baseline=True), turns(100.0, 80.0, (1.0, 1.3, 0.7, 1.0, 1.0)))
    assert (found.answer, found.value) == ("cannot-tell", 1.0)
    assert "): cannot tell: the baseline's own runs scatter by 24 % (standard deviation), more than 10 %" in found.why


def test_limits_and_comparison_together() -> None:
    check = quant_speed(decode=95, vs_baseline={"decode": 0.2})
    # the baseline's side: the limit is missed as well, the comparison counts as held
    assert score(check, bench=BENCH).value == 0.5
    assert score(check, bench=BENCH).answer == ""
    assert compared(check, turns(100.0, 85.0)).value == 0.5
    assert compared(check, turns(100.0, 70.0)).value == 0.0
    assert compared(check, turns(100.0, 100.0)).value == 1.0


def test_only_the_named_figures_are_compared() -> None:
    slower = turns(100.0, 50.0)
    assert compared(quant_speed(vs_baseline={"prefill": 0.05}), slower).value == 1.0
    assert compared(quant_speed(vs_baseline=0.6), slower).value == 1.0
    assert compared(quant_speed(vs_baseline=0.4), slower).value == 0.0


def test_without_a_baseline_there_is_nothing_to_compare() -> None:
    result = score(quant_speed(vs_baseline=True))
    assert (result.value, result.answer) == (1.0, "")
    assert result.why.startswith("there is nothing to compare with here; ")


@pytest.mark.parametrize(
    ("keywords", "line"),
    [
        ({}, "nothing to hold; allowed: decode, prefill, ttft_s, draft_acceptance, vs_baseline"),
        ({"vs_baseline": False}, "nothing to hold"),
        ({"decode": 0}, "decode=0"),
        ({"decode": "fast"}, "decode='fast'"),
        ({"prefill": float("inf")}, "prefill=inf"),
        ({"ttft_s": -1}, "ttft_s=-1"),
        ({"draft_acceptance": 70}, "draft_acceptance=70; allowed: a number from 0 to 1"),
        ({"draft_acceptance": "most"}, "draft_acceptance='most'"),
        ({"decode": 1, "repeats": 2}, "repeats=2; allowed: a whole number from 3"),
        ({"decode": 1, "prompt_tokens": 1.5}, "prompt_tokens=1.5"),
        ({"decode": 1, "depth": -1}, "depth=-1"),
        ({"decode": 1, "depth": "deep"}, "depth='deep'; allowed: a whole number from 0 to 10000000, or 'context'"),
        ({"vs_baseline": 1.0}, "vs_baseline=1.0; allowed: True, or a loss of speed between 0 and 1"),
        ({"vs_baseline": {"decode": True}}, "vs_baseline=True; allowed"),
        ({"vs_baseline": {"tok_s": 0.1}}, "vs_baseline names 'tok_s'; allowed: decode, prefill, ttft"),
        ({"vs_baseline": "yes"}, "vs_baseline='yes'; allowed"),
    ],
)
def test_a_wrong_marker_is_one_clear_line(keywords: dict[str, Any], line: str) -> None:
    with pytest.raises(MarkerError, match="allowed") as caught:
        quant_speed(**keywords)
    assert line in str(caught.value)


def test_the_text_of_a_measurement_does_not_repeat() -> None:
    draws = Draws("bench")
    assert len({prose(draws, number) for number in range(1000)}) > 960


@given(st.lists(st.floats(1, 1e4), min_size=3, max_size=9), st.floats(1, 1e4))
def test_a_floor_is_never_reached_by_a_mean_below_it(speeds: list[float], floor: float) -> None:
    reached = bool(score(quant_speed(prefill=floor), bench=Bench(tuple(speeds), (1.0,), 64, 16)).value)
    mean = math.exp(sum(map(math.log, speeds)) / len(speeds))

    assert not reached or mean >= floor * (1 - 1e-9)
    assert reached or min(speeds) < max(speeds) or speeds[0] < floor
