"""Judging one pair and a whole run, as pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.verdict import judge
from pytest_quantcheck.verdict import no_answer
from tests.builders import reply

BOTH = (Role.BASELINE, Role.CANDIDATE)
CHECKS = ("assertions", "json", "recall")
ANSWERED = [status for status in Status if status.has_answer]


def observed(role: Role, *values: float, status: Status = Status.OK, floor: float = 1.0, **more: Any) -> Observation:
    scores = tuple(Score(check, value, f"{check} is {value:g}", floor) for check, value in zip(CHECKS, values))  # noqa: B905
    return Observation("test_x", role, status, scores, **more)


def baseline(*values: float, **more: Any) -> Observation:
    return observed(Role.BASELINE, *values, **more)


def candidate(*values: float, **more: Any) -> Observation:
    return observed(Role.CANDIDATE, *values, **more)


# thirds and tenths: their differences are not exact in binary
values = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1 / 3, 0.5, 2 / 3, 0.7, 0.9, 1.0])
several = st.tuples(values, values, values)
floors = st.sampled_from([0.1, 0.5, 0.9, 1.0])
tolerances = st.dictionaries(st.sampled_from(CHECKS), st.sampled_from([0.05, 0.1, 0.2, 1 / 3, 0.5]))
answered = st.sampled_from(ANSWERED)
statuses = st.sampled_from(Status)


@given(several, floors, tolerances, answered, st.booleans())
def test_a_candidate_equal_to_its_baseline_lost_nothing(
    values: tuple[float, ...], floor: float, tolerances: dict[str, float], status: Status, sample: bool
) -> None:
    verdict = judge(
        baseline(*values, floor=floor, status=status),
        candidate(*values, floor=floor, status=status),
        tolerances=tolerances,
        sample=sample,
    )

    passes = all(value >= floor for value in values)
    assert verdict.word is (Word.HELD if passes else Word.INHERITED)
    assert verdict.outcome == ("passed" if passes else "xfailed")


@given(several, several, floors, tolerances, answered, answered, st.booleans())
def test_worse_beyond_tolerance_is_a_loss_whatever_the_rest(
    old: tuple[float, ...],
    new: tuple[float, ...],
    floor: float,
    tolerances: dict[str, float],
    old_status: Status,
    new_status: Status,
    sample: bool,
) -> None:
    verdict = judge(
        baseline(*old, floor=floor, status=old_status),
        candidate(*new, floor=floor, status=new_status),
        tolerances=tolerances,
        sample=sample,
    )

    drops = [(a - b, tolerances.get(check, 0)) for check, a, b in zip(CHECKS, old, new, strict=True)]
    drop = max((drop for drop, allowed in drops if drop > allowed + 1e-9), default=0.0)
    gain = max((-drop for drop, allowed in drops if -drop > allowed + 1e-9), default=0.0)
    assert verdict.change == pytest.approx(gain - drop)
    # a requirement may lose nothing; a sample is one figure, so a gain of one check makes up for a loss of another
    lost = drop > gain + 1e-9 if sample else drop > 0
    assert (verdict.word is Word.REGRESSED) is lost
    assert verdict.flip is (lost and sample)
    assert verdict.counts is (lost and not sample)
    assert not verdict.budget


@given(several, several, floors, tolerances)
def test_what_one_direction_calls_a_loss_the_other_calls_a_change(
    a: tuple[float, ...], b: tuple[float, ...], floor: float, tolerances: dict[str, float]
) -> None:
    forth = judge(baseline(*a, floor=floor), candidate(*b, floor=floor), tolerances=tolerances)
    reverse = judge(baseline(*b, floor=floor), candidate(*a, floor=floor), tolerances=tolerances)
    there, back = forth.word, reverse.word
    assert forth.change == pytest.approx(-reverse.change)

    changed = (Word.REGRESSED, Word.IMPROVED)
    assert (there in changed) is (back in changed)
    if there is Word.IMPROVED:
        assert back is Word.REGRESSED
    if there not in changed:
        assert there is back


@given(st.none() | statuses, statuses, several, several, st.booleans())
def test_every_pair_gets_a_verdict_that_follows_the_rules(
    old_status: Status | None, new_status: Status, old: tuple[float, ...], new: tuple[float, ...], sample: bool
) -> None:
    before = None if old_status is None else baseline(*old, status=old_status)

    verdict = judge(before, candidate(*new, status=new_status), sample=sample)

    old_answered = old_status is not None and old_status.has_answer
    if new_status is Status.ERROR:
        assert (verdict.word, verdict.outcome) == (Word.UNSCORED, "error")
    elif old_status in (None, Status.ERROR):
        assert verdict.word is Word.UNPAIRED
    elif old_answered and new_status.has_answer:
        assert verdict.word not in (Word.UNSCORED, Word.UNPAIRED)
    else:
        assert verdict.word is Word.UNSCORED
        assert verdict.budget is old_answered
        assert (verdict.outcome == "failed") is old_answered
    assert verdict.flip is (verdict.word is Word.REGRESSED and sample)
    assert verdict.why or verdict.word is Word.HELD or verdict.outcome == "error"


def test_a_tolerance_is_inclusive_and_survives_binary_fractions() -> None:
    pair = baseline(1.0, 0.3), candidate(1.0, 0.1, floor=0.0)

    assert judge(*pair, tolerances={"json": 0.2}).word is Word.HELD
    assert judge(*pair, tolerances={"json": 0.19}).word is Word.REGRESSED


def test_a_drop_within_tolerance_passes_although_it_misses_the_floor() -> None:
    verdict = judge(baseline(1.0, 1.0), candidate(1.0, 0.9), tolerances={"json": 0.1})

    assert (verdict.word, verdict.outcome) == (Word.HELD, "passed")


def test_a_gain_within_tolerance_is_no_improvement() -> None:
    verdict = judge(baseline(1.0, 0.5), candidate(1.0, 0.6), tolerances={"json": 0.1})

    assert (verdict.word, verdict.outcome) == (Word.INHERITED, "xfailed")
    assert verdict.why == "inherited, both fail: json: json is 0.6"


def test_a_loss_names_every_lost_check_and_no_other() -> None:
    verdict = judge(baseline(1.0, 1.0, 0.5), candidate(0.0, 0.25, 1.0))

    assert verdict.why == "assertions 1 -> 0 (assertions is 0); json 1 -> 0.25 (json is 0.25)"


def test_a_gain_tells_what_was_wrong_before() -> None:
    assert judge(baseline(1.0, 0.0), candidate(1.0, 1.0)).why == "json 0 -> 1 (json is 0)"


def test_a_check_that_only_the_baseline_has_is_not_compared() -> None:
    assert judge(baseline(1.0, 1.0), candidate(1.0)).word is Word.HELD


@given(several, several, st.sampled_from(CHECKS), st.booleans())
def test_a_score_that_is_ignored_tells_the_sides_not_apart(
    old: tuple[float, ...], new: tuple[float, ...], name: str, sample: bool
) -> None:
    at = CHECKS.index(name)
    same = (*new[:at], old[at], *new[at + 1 :])

    verdict = judge(baseline(*old), candidate(*new), sample=sample, ignored=(name,))
    without = judge(baseline(*old), candidate(*same), sample=sample)

    assert verdict.change == without.change
    assert (verdict.word is Word.REGRESSED) == (without.word is Word.REGRESSED)


def test_a_check_that_only_the_candidate_has_is_held_to_its_own_floor() -> None:
    assert judge(baseline(1.0), candidate(1.0, 1.0)).word is Word.HELD
    verdict = judge(baseline(1.0), candidate(1.0, 0.0))
    assert (verdict.word, verdict.outcome) == (Word.UNPAIRED, "failed")
    assert judge(baseline(1.0), candidate(0.0, 0.0)).word is Word.REGRESSED


def test_a_starved_candidate_is_told_what_the_baseline_needed() -> None:
    cut = reply(thinking="hm", total=64, status="starved", thinking_tokens=64)

    verdict = judge(
        baseline(1.0, replies=(reply(total=30), reply(total=17))),
        candidate(0.0, status=Status.STARVED, replies=(reply(total=9), cut)),
    )

    assert verdict == Verdict(
        Word.UNSCORED, "failed", "no answer within 64 tokens, 64 of them thinking; the baseline needed 30", budget=True
    )


def test_no_answer_in_words() -> None:
    cut = reply("red green", total=6, status="truncated")

    assert no_answer(candidate(replies=(cut,))) == "the answer was cut after 6 tokens, 0 of them thinking"
    assert no_answer(candidate(replies=(reply("x"),))) == "no answer"


def test_a_dead_baseline_passes_its_last_words_on() -> None:
    verdict = judge(baseline(status=Status.ERROR, error="out of memory"), candidate(0.0))

    assert verdict == Verdict(Word.UNPAIRED, "failed", "the baseline's engine failed: out of memory")
