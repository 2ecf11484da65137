"""A test that runs more than once for a role: what its runs are, and one observation out of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from statistics import fmean

from pytest_quantcheck.markers import ANSWER
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import RunScores
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often a test's body runs for one role, and how its answers are drawn.

    Run ``i`` (from 0) uses the seed ``--quant-seed + first_seed + i``. Without ``sampling`` answers are greedy.
    """

    runs: int = 1
    first_seed: int = 0
    sampling: Sampling | None = None
    always_drawn: bool = False
    """Draw answers even where the test itself asks for ``temperature=0``: greedy repeats say nothing new."""


def mean_observation(runs: Sequence[Observation]) -> Observation:
    """One observation out of the runs of one test for one role; a single run is returned as it is.

    The rule for runs without an answer (starved or cut by the token budget): they leave the mean of every check, as a
    starved test leaves the comparison, as long as at least one run has an answer; but the check 'answer' counts them
    as 0, so a side that starves more often than the other has lost something and says what. A side whose runs all
    starve is starved. An engine's failure in one run is the failure of the test: there is no verdict on the rest.
    """
    if len(runs) == 1:
        return runs[0]
    answered = [run for run in runs if run.status.has_answer]
    worst = max((run.status for run in answered or runs), key=lambda status: status.rank)
    failed = next((run for run in runs if run.status is Status.ERROR), None)
    scores = () if failed is not None else tuple(_means(runs, answered or runs))
    return replace(
        runs[-1],
        status=worst if failed is None else Status.ERROR,
        scores=scores,
        replies=tuple(reply for run in runs for reply in run.replies),
        error=failed.error if failed is not None else "",
        runs=len(runs),
        each=tuple(
            RunScores(run.status, run.passed, tuple(score.value for score in run.scores), len(run.replies))
            for run in runs
        ),
    )


def _means(runs: Sequence[Observation], scored: Sequence[Observation]) -> list[Score]:
    numbers = [number for number, run in enumerate(runs, 1) if any(run is one for one in scored)]
    means = []
    for of_check in zip(*(run.scores for run in scored), strict=True):
        first = of_check[0]
        value, why = fmean(score.value for score in of_check), _why(numbers, of_check)
        if first.check == ANSWER and len(scored) < len(runs):
            without = len(runs) - len(scored)
            value *= len(scored) / len(runs)
            why = f"{without} of {len(runs)} runs ended without an answer within the token budget"
        errors = sum((Counter(score.errors) for score in of_check), Counter[str]())
        # what is measured is measured once, so every run has the first one's answer
        means.append(Score(first.check, value, why, first.floor, dict(errors), first.answer))
    return means


def _why(numbers: Sequence[int], scores: Sequence[Score]) -> str:
    failing = next((at for at, score in enumerate(scores) if not score.passed), None)
    if failing is None:
        return f"in all {len(scores)} runs: {scores[0].why}"
    good = sum(score.passed for score in scores)
    return f"{good} of {len(scores)} runs pass; run {numbers[failing]}: {scores[failing].why}"
