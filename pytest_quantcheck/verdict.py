"""Observation against observation: the verdict on one pair. Pure; docs/explanation/verdicts.md has the table."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final

from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Unusable
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word

# scores are shares of small whole numbers: closer than this they are the same
_SAME = 1e-9
UNUSABLE: Final[dict[Unusable, str]] = {
    "missing": "NO SNAPSHOT",
    "stale": "STALE SNAPSHOT",
    "unreadable": "BAD SNAPSHOT",
}
"""What is said of a recorded baseline that cannot be compared with."""


def judge(
    baseline: Observation | None,
    candidate: Observation,
    *,
    tolerances: Mapping[str, float] | None = None,
    sample: bool = False,
    ignored: Collection[str] = (),
) -> Verdict:
    """The verdict on one pair and what becomes of the candidate's item (docs/explanation/verdicts.md has the table).

    :param baseline: None when no baseline was given or its observation is lost.
    :param tolerances: check name -> drop of its score that is allowed.
    :param sample: a loss is a flip, decided by the family.
    :param ignored: names of scores that are not compared.
    """
    if candidate.status is Status.ERROR:
        return Verdict(Word.UNSCORED, "error", candidate.error)
    if baseline is None or baseline.status is Status.ERROR:
        return _unpaired(baseline, candidate)
    if not candidate.status.has_answer:
        if baseline.status.has_answer:
            why = f"{no_answer(candidate)}; the baseline needed {_tokens(baseline)}"
            return Verdict(Word.UNSCORED, "failed", why, budget=True)
        return Verdict(Word.UNSCORED, "xfailed", f"neither side answered: {no_answer(candidate)}")
    if not baseline.status.has_answer:
        why = f"the baseline gave no answer to compare with: {no_answer(baseline)}"
        return Verdict(Word.UNSCORED, "passed" if candidate.passed else "xfailed", why)
    return _compare(baseline, candidate, tolerances or {}, sample, ignored)


def without_snapshot(kind: Unusable, why: str, candidate: Observation) -> Verdict:
    """The verdict where the recorded baseline cannot be compared with: the test fails, whatever the candidate says."""
    if candidate.status is Status.ERROR:
        return Verdict(Word.UNSCORED, "error", candidate.error)
    return Verdict(Word.UNPAIRED, "failed", why, snapshot=kind)


def no_answer(observation: Observation) -> str:
    """Why an observation cannot be scored, in words."""
    cut = next((reply for reply in observation.replies if not reply.status.has_answer), None)
    if cut is None:
        return "no answer"
    used = f"{cut.usage.total} tokens, {cut.usage.thinking} of them thinking"
    if cut.status is Status.STARVED:
        return f"no answer within {used}"
    return f"the answer was cut after {used}"


def _tokens(observation: Observation) -> str:
    return str(max((reply.usage.total for reply in observation.replies), default=0))


def _unpaired(baseline: Observation | None, candidate: Observation) -> Verdict:
    why = "no baseline to compare with" if baseline is None else f"the baseline's engine failed: {baseline.error}"
    if not candidate.status.has_answer:
        return Verdict(Word.UNPAIRED, "failed", f"{no_answer(candidate)}; {why}", budget=True)
    return Verdict(Word.UNPAIRED, "passed" if candidate.passed else "failed", why)


def _compare(
    baseline: Observation,
    candidate: Observation,
    tolerances: Mapping[str, float],
    sample: bool,
    ignored: Collection[str],
) -> Verdict:
    before = {score.check: score for score in baseline.scores}
    compared = before.keys() - set(ignored)
    pairs = [(before[score.check], score) for score in candidate.scores if score.check in compared]
    lost = [(old, new) for old, new in pairs if old.value - new.value > tolerances.get(new.check, 0.0) + _SAME]
    gained = [(old, new) for old, new in pairs if new.value - old.value > tolerances.get(new.check, 0.0) + _SAME]
    # the worst drop against the best gain: the same figure with the other sign when the files change places
    change = max((new.value - old.value for old, new in gained), default=0.0) - max(
        (old.value - new.value for old, new in lost), default=0.0
    )
    why = "; ".join(_change(old, new) for old, new in lost or gained)
    # figures of a machine are not recorded
    alone = [score for score in candidate.scores if score.check not in before and not score.passed]
    if sample and lost and change < -_SAME:
        return Verdict(Word.REGRESSED, "xfailed", f"flip: {why}", flip=True, change=change)
    if not sample and lost:
        return Verdict(Word.REGRESSED, "failed", why, change=change)
    if alone:
        why = "; ".join(f"{score.check}: {score.why}" for score in alone)
        return Verdict(Word.UNPAIRED, "failed", f"{why} (the baseline recorded nothing to compare with)")
    if gained and change > _SAME:
        why = "; ".join(_change(old, new) for old, new in gained)
        return Verdict(Word.IMPROVED, "passed" if candidate.passed else "xfailed", why, change=change)
    if candidate.passed or baseline.passed:
        return Verdict(Word.HELD, "passed", why)
    failing = "; ".join(f"{score.check}: {score.why}" for score in candidate.scores if not score.passed)
    return Verdict(Word.INHERITED, "xfailed", f"inherited, both fail: {failing}")


def _change(old: Score, new: Score) -> str:
    worse = new if new.value < old.value else old
    return f"{new.check} {old.value:g} -> {new.value:g} ({worse.why})"


@dataclass(frozen=True, slots=True)
class Result(Record):
    """One judged pair as the reports know it. ``family`` is empty for a requirement.

    Samples of one ``cluster`` share a template or a document; empty for a sample on its own.
    """

    pair: str
    nodeid: str
    marker: str
    family: str
    candidate: Observation
    verdict: Verdict
    baseline: Observation | None = None
    cluster: str = ""

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        return {
            "candidate": Observation.from_payload,
            "baseline": lambda value: None if value is None else Observation.from_payload(value),
            "verdict": Verdict.from_payload,
        }
