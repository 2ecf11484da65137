"""The word and the letter that pytest shows for one of our reports."""

from __future__ import annotations

from typing import Any

from pytest_quantcheck.records import Word
from pytest_quantcheck.said import Said
from pytest_quantcheck.verdict import UNUSABLE


def status_words(said: Said, report: Any, *, records: bool) -> tuple[str, str, str] | None:
    """Category, letter and word of a report; None where pytest's own say it.

    Only core's categories are used. A baseline is progress and not counted, unless this run records it.

    :param said: what the report says of the trial.
    """
    if said.fixture:
        return ("", "", "") if report.when == "teardown" else ("", "b", "BASELINE")
    if said.baseline is not None:
        passed = said.baseline.passed
        if records:
            words = (".", "RECORDED") if passed else ("w", "RECORDED FAILURE")
            return ("passed", *words) if report.passed else None
        return ("", "b", "BASELINE") if passed else ("", "w", "WEAK BASELINE")
    if said.result is None:
        return None
    verdict = said.result.verdict
    word = verdict.word.upper()
    if verdict.flip:
        word = "FLIP" if said.result.family else "NOT CONFIRMED"
    if verdict.word is Word.UNPAIRED:
        word = report.outcome.upper()
    if verdict.snapshot:
        word = UNUSABLE[verdict.snapshot]
    if verdict.outcome == "error" and report.failed:
        return "error", "E", "ERROR"
    if verdict.outcome == "failed" and report.failed:
        return "failed", "F", "NO ANSWER" if verdict.budget else word
    if verdict.outcome == "xfailed" and report.skipped:
        return "xfailed", "f" if verdict.flip else "x", word
    if verdict.outcome == "passed" and report.passed:
        return "passed", "+" if word == "IMPROVED" else ".", word
    return None
