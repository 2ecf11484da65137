"""The verdicts of the instruments (fidelity, speed, memory) of a whole run, side by side and never averaged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_quantcheck.records import Answer
from pytest_quantcheck.records import Record
from pytest_quantcheck.verdict import Result

CHECKS: Final = {"fidelity": "distribution", "speed": "speed", "memory": "memory"}
"""Check -> the kind of verdict that it gives, as the fairness report names them (rows.KINDS)."""


@dataclass(frozen=True, slots=True)
class Instrument(Record):
    """What one test says of one kind of figures, candidate against baseline."""

    check: str
    pair: str
    answer: Answer
    why: str


def instruments(results: Sequence[Result]) -> tuple[Instrument, ...]:
    """Every score of the candidate that compared measured figures with the baseline's."""
    return tuple(
        Instrument(score.check, result.pair, score.answer, score.why)
        for result in results
        for score in result.candidate.scores
        if score.answer
    )
