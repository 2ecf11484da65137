"""The word and the letter that pytest shows for one of our reports."""

from __future__ import annotations

from typing import Any

from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Payload
from pytest_quantcheck.records import Word
from pytest_quantcheck.verdict import UNUSABLE


def status_words(payload: Payload, report: Any, *, records: bool) -> tuple[str, str, str] | None:
    """Category, letter and word of a report; None where pytest's own say it.

    Only core's categories are used. A baseline is progress and not counted, unless this run records it.

    :param payload: what the trial attached to the report.
    """
    if "fixture" in payload:
        return ("", "", "") if report.when == "teardown" else ("", "b", "BASELINE")
    if "baseline" in payload:
        passed = Observation.from_payload(payload["baseline"]).passed
        if records:
            words = (".", "RECORDED") if passed else ("w", "RECORDED FAILURE")
            return ("passed", *words) if report.passed else None
        return ("", "b", "BASELINE") if passed else ("", "w", "WEAK BASELINE")
    if "cannot" in payload:
        return None
    verdict = payload["result"]["verdict"]
    word = verdict["word"].upper()
    if verdict["flip"]:
        word = "FLIP" if payload["result"]["family"] else "NOT CONFIRMED"
    if verdict["word"] == Word.UNPAIRED:
        word = report.outcome.upper()
    if verdict["snapshot"]:
        word = UNUSABLE[verdict["snapshot"]]
    if verdict["outcome"] == "error" and report.failed:
        return "error", "E", "ERROR"
    if verdict["outcome"] == "failed" and report.failed:
        return "failed", "F", "NO ANSWER" if verdict["budget"] else word
    if verdict["outcome"] == "xfailed" and report.skipped:
        return "xfailed", "f" if verdict["flip"] else "x", word
    if verdict["outcome"] == "passed" and report.passed:
        return "passed", "+" if word == "IMPROVED" else ".", word
    return None
