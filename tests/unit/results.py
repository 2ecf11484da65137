"""Judged pairs for tests, in one line each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import RunScores
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.verdict import Result

_OUTCOMES = {Word.HELD: "passed", Word.IMPROVED: "passed", Word.REGRESSED: "failed", Word.UNPAIRED: "passed"}
_CHANGES = {Word.IMPROVED: 1.0, Word.REGRESSED: -1.0}


def result(
    word: Word = Word.HELD,
    outcome: Any = None,
    *,
    marker: str = "json",
    family: str = "",
    cluster: str = "",
    budget: bool = False,
    why: str = "",
    change: float | None = None,
    runs: int = 1,
    varied: bool = True,
    **more: Any,
) -> Result:
    """A pair with this verdict; a lost sample is a flip. ``more`` goes to the candidate's observation.

    ``varied``: of several runs the first scored otherwise than the rest.
    """
    flip = bool(family) and word is Word.REGRESSED
    outcome = outcome or ("xfailed" if flip else _OUTCOMES.get(word, "xfailed"))
    verdict = Verdict(word, outcome, why, flip, budget, _CHANGES.get(word, 0.0) if change is None else change)
    value = float(word in (Word.HELD, Word.IMPROVED, Word.UNPAIRED))
    firsts = (1.0 - value if varied else value, *[value] * (runs - 1))
    each = tuple(RunScores(Status.OK, bool(one), (one,), 0) for one in firsts) if runs > 1 else ()
    seen = Observation(
        "test_x", Role.CANDIDATE, Status.OK, (Score("assertions", value, "so it is"),), runs=runs, each=each, **more
    )
    return Result("test_x", "test_x[candidate]", marker, family, seen, verdict, cluster=cluster)


def samples(lost: int, won: int, held: int = 0, family: str = "sums", *, inherited: int = 0) -> list[Result]:
    """So many samples of one family."""
    counts = {Word.REGRESSED: lost, Word.IMPROVED: won, Word.HELD: held, Word.INHERITED: inherited}
    return [result(word, family=family) for word, count in counts.items() for _ in range(count)]


HELD, IMPROVED = result(), result(Word.IMPROVED)
LOST, INHERITED = result(Word.REGRESSED), result(Word.INHERITED)
STARVED = result(Word.UNSCORED, "failed", budget=True)
BOTH_STARVED = result(Word.UNSCORED)
DIED = result(Word.UNSCORED, "error")
BROKEN_TEST = result(Word.UNSCORED, "failed", why="the test itself is broken")
UNPAIRED = result(Word.UNPAIRED, why="the baseline's engine failed: last words")
ORPHANED = replace(
    UNPAIRED, baseline=Observation("test_x", Role.BASELINE, Status.ERROR, (), error="last words"), pair="test_orphaned"
)
UNPAIRED_FAILED = result(Word.UNPAIRED, "failed")
