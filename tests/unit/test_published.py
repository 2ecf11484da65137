"""What the plugin would have said of published comparisons, whose figures are entered as observations.

Six tasks on two quants of a 12B model; 48 single generations; three speeds of one laptop; MMLU of 14,042 questions.
"""

from __future__ import annotations

import math
from statistics import fmean
from statistics import stdev

import pytest

from pytest_quantcheck.attribution import Attribution
from pytest_quantcheck.attribution import Traffic
from pytest_quantcheck.attribution import attribute
from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.session import session_verdict
from pytest_quantcheck.speed_rules import Comparison
from pytest_quantcheck.speed_rules import compare
from pytest_quantcheck.speed_rules import geometric
from pytest_quantcheck.statistics import paired_ratio
from pytest_quantcheck.statistics import t_quantile
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.verdict import judge
from tests.builders import reply

BOTH = (Role.BASELINE, Role.CANDIDATE)


def pair(task: str, old: float | None, new: float | None) -> Result:
    """One task; None is an answer that the budget starved."""

    def observed(role: Role, value: float | None) -> Observation:
        cut = value is None
        answer = reply(
            "" if cut else "an answer",
            "hm",
            total=8192 if cut else 400,
            thinking_tokens=8192 if cut else 100,
            status="starved" if cut else "ok",
        )
        return Observation(
            task, role, Status.STARVED if cut else Status.OK, (Score(task, value or 0.0, "as published"),), (answer,)
        )

    baseline, candidate = observed(Role.BASELINE, old), observed(Role.CANDIDATE, new)
    return Result(task, task, task, "tasks", candidate, judge(baseline, candidate, sample=True), baseline)


def test_a_tie_of_six_tasks_is_no_proof_of_equal_quality() -> None:
    scores = {"code": 1.0, "json": 1.0, "translation": 0.5, "contradiction": 1.0, "arithmetic": None, "recall": 1.0}

    verdict = session_verdict([pair(task, score, score) for task, score in scores.items()], roles=BOTH)

    assert verdict.kind == "cannot-tell"
    assert verdict.samples is not None
    every = verdict.samples.everything
    assert (every.scored, every.unscored) == (5, 1)
    assert (100 * every.low, 100 * every.high) == pytest.approx((-39, 39), abs=0.5)
    # starved on both sides is scored as nobody's failure
    assert every.lost == every.won == every.both_fail == 0


def test_a_starved_run_is_still_a_measurement_of_speed_and_one_run_has_no_interval() -> None:
    ratio = paired_ratio([(8192 / 287.6, 8192 / 223.2)])

    assert ratio is not None
    assert pytest.approx(36.7, abs=0.05) == 8192 / 223.2
    assert ratio.ratio == pytest.approx(1.29, abs=0.005)
    assert (ratio.low, ratio.high) == (None, None)
    assert not ratio.exceeds(1.05)


@pytest.mark.parametrize(
    ("baseline", "candidate", "ratio"),
    [
        pytest.param(24.0, 124.0, 5.17, id="one long thought is no factor of five"),
        # two files called Q4_0 of 6.9 and 7.2 GB: what the bytes do not explain of 38.4 and 42.9 tok/s
        pytest.param(38.4 * 6.9, 42.9 * 7.2, 1.17, id="a residual of one run each is no difference of builds"),
        pytest.param(33.2 * 7.6, 42.9 * 7.2, 1.22, id="nor of kernels"),
        # '42 % faster' by (5.89 - 3.41) / 5.89 is 42 % less time
        pytest.param(3.41, 5.89, 1.73, id="one convention: more per second"),
    ],
)
def test_ratios_of_single_runs_are_points_without_an_interval(baseline: float, candidate: float, ratio: float) -> None:
    found = paired_ratio([(baseline, candidate)])

    assert found is not None
    assert found.ratio == pytest.approx(ratio, abs=0.01)
    assert found.low is None
    assert str(found).endswith("too few for an interval")


def test_three_speeds_cannot_carry_half_a_percent() -> None:
    speeds = [107.18, 100.89, 100.27]

    half = t_quantile(0.95, 2) * stdev(speeds) / math.sqrt(3)

    assert fmean(speeds) == pytest.approx(102.8, abs=0.05)
    assert half == pytest.approx(6.4, abs=0.05)
    found = geometric(speeds)
    assert found.low is not None
    assert found.high is not None
    # +- 6 %: half a percent drowns in it
    assert (found.high / found.low) ** 0.5 - 1 == pytest.approx(0.063, abs=0.003)
    ratio = paired_ratio([(speed, speed * 1.005) for speed in speeds][:2])
    assert ratio is not None
    assert ratio.low is None


QAT_Q4_0, PTQ_Q4_0, Q4_K_M = ((42.9, 7.20e9), (38.4, 6.9e9), (33.2, 7.60e9))
"""Tokens per second of one run each, and bytes of the file."""


def single_runs(baseline: float, candidate: float) -> Comparison:
    """Decode speeds of two single runs, one after the other."""
    old, new = (Bench((), (speed,), 0, 490) for speed in (baseline, candidate))
    found = compare(Duel((old,), (new,), "BC"), "decode")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("baseline", "candidate", "ratio"),
    [
        pytest.param(42.9, 38.4, 0.895, id="two files called Q4_0"),
        pytest.param(38.4, 42.9, 1.117, id="the same the other way round"),
        pytest.param(8192 / 287.6, 8192 / 223.2, 1.29, id="starved runs are valid speed data"),
        pytest.param(87.5, 102.8, 1.175, id="a laptop"),
        pytest.param(3.41, 5.89, 1.73, id="42 % less time is 73 % more tokens per second"),
    ],
)
def test_single_runs_carry_no_verdict_on_speed(baseline: float, candidate: float, ratio: float) -> None:
    found = single_runs(baseline, candidate)

    assert found.ratio == pytest.approx(ratio, abs=0.005)
    assert (found.answer, found.why) == ("cannot-tell", "1 pair of runs; it takes 3 for an interval")
    assert (found.low, found.high, found.detectable) == (None, None, None)


@pytest.mark.parametrize(
    ("baseline", "candidate", "observed", "predicted", "residual"),
    [
        pytest.param(Q4_K_M, QAT_Q4_0, 1.292, 1.056, 1.22, id="QAT Q4_0 against Q4_K_M"),
        pytest.param(PTQ_Q4_0, QAT_Q4_0, 1.117, 0.958, 1.17, id="QAT against PTQ, both called Q4_0"),
    ],
)
def test_what_single_runs_are_owed_to_nobody_can_tell(
    baseline: tuple[float, float],
    candidate: tuple[float, float],
    observed: float,
    predicted: float,
    residual: float,
) -> None:
    found = attribute(Traffic(baseline[1]), Traffic(candidate[1]), single_runs(baseline[0], candidate[0]))

    assert isinstance(found, Attribution)
    assert found.cause == "cannot-tell"
    assert found.observed == pytest.approx(observed, abs=0.001)
    assert found.predicted == pytest.approx(predicted, abs=0.001)
    assert found.residual == pytest.approx(residual, abs=0.005)
    assert found.next_file.endswith(
        ", and a PTQ file with the candidate's tensor types: it has the format without the recipe"
    )


def test_the_published_bandwidths() -> None:
    reads = [speed * size / 1e9 for speed, size in (QAT_Q4_0, PTQ_Q4_0, Q4_K_M)]
    assert [round(read) for read in reads] == [309, 265, 252]


def test_eight_hundredths_of_a_point_of_mmlu() -> None:
    # 67.07 and 67.15 % of 14,042 questions; with 6 % flips: 416 lost and 427 won
    results = [pair("mmlu", 1.0, 0.0)] * 416 + [pair("mmlu", 0.0, 1.0)] * 427
    results += [pair("mmlu", 1.0, 1.0)] * 9002 + [pair("mmlu", 0.0, 0.0)] * 4197

    verdict = session_verdict(results, roles=BOTH)

    assert verdict.kind == "no-regression"
    assert verdict.samples is not None
    every = verdict.samples.everything
    assert 100 * every.mean == pytest.approx(0.08, abs=0.005)
    # the paired standard error is 0.21 points, half of the unpaired one
    assert 100 * (every.high - every.low) / 2 / t_quantile(0.95, 14_043) == pytest.approx(0.21, abs=0.005)
    assert 100 * every.low < 0 < 100 * every.high
