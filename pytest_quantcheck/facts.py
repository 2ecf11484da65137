"""What the verdict on a run is made from, counted once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_quantcheck.fairness import Difference
from pytest_quantcheck.instruments import CHECKS
from pytest_quantcheck.instruments import Instrument
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Word
from pytest_quantcheck.samples import Samples
from pytest_quantcheck.statistics import Rule
from pytest_quantcheck.verdict import Result


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the verdict on a run is made from."""

    results: tuple[Result, ...]
    requirements: tuple[Result, ...]
    samples: Samples | None
    chance: float | None
    """How often chance alone would make the requirements come out as bad as this."""
    compared: bool
    """Whether there is a baseline."""
    same_content: bool
    longer: str
    """By how much thinking grew, when that is a failure."""
    differences: tuple[Difference, ...]
    rule: Rule
    template_pinned: bool
    """Whether both sides were rendered with the baseline's chat template."""
    instruments: tuple[Instrument, ...] = ()

    @property
    def undecided(self) -> Instrument | None:
        """The first figures of which nobody can tell what they say."""
        return next((one for one in self.instruments if one.answer == "cannot-tell"), None)

    @property
    def fair(self) -> tuple[Result, ...]:
        """The results without those that compared figures which must not be compared."""
        wrong = {check for check, kind in CHECKS.items() if self.blocked(kind)}
        return tuple(
            result
            for result in self.results
            if not any(score.answer and score.check in wrong for score in result.candidate.scores)
        )

    @property
    def lost(self) -> int:
        """Requirements that the candidate lost."""
        return sum(r.verdict.word is Word.REGRESSED and r.verdict.outcome == "failed" for r in self.fair)

    @property
    def starved(self) -> int:
        """Tests in which the candidate gave no answer within the budget, and that fails the run."""
        return sum(result.verdict.budget and result.verdict.outcome == "failed" for result in self.fair)

    @property
    def crashed(self) -> int:
        """Tests that the engine ended, on either side."""
        return sum(result.verdict.outcome == "error" for result in self.results) + len(self.orphaned)

    @property
    def orphaned(self) -> list[Result]:
        """Tests whose baseline's engine failed: nothing was compared, and nobody may take that for kept."""
        return [
            result
            for result in self.results
            if result.verdict.word is Word.UNPAIRED
            and result.baseline is not None
            and result.baseline.status is Status.ERROR
        ]

    @property
    def unusable(self) -> int:
        """Tests whose recorded baseline is missing, unreadable or stale."""
        return sum(bool(result.verdict.snapshot) for result in self.results)

    @property
    def alone(self) -> int:
        """Tests that failed with nothing to compare, or by their own fault."""
        failed = sum(result.verdict.outcome == "failed" for result in self.fair)
        return failed - self.lost - self.starved - self.unusable

    @property
    def regression(self) -> bool:
        """Whether something was lost against the baseline, an answer within the budget included."""
        outlasted = any(
            result.verdict.budget and result.verdict.word is Word.UNSCORED and result.verdict.outcome == "failed"
            for result in self.results
        )
        worse = self.samples is not None and self.samples.answer == "regression"
        return bool(self.lost or worse or outlasted or self.longer)

    @property
    def comparable(self) -> bool:
        """Whether any pair was compared.

        A test that only measures gives no answer; it must not make a run green in which no answer could be scored.
        """
        asking = [result for result in self.results if result.candidate.spoke] or self.results
        return any(result.verdict.word not in (Word.UNSCORED, Word.UNPAIRED) for result in asking)

    def blocked(self, kind: str) -> tuple[Difference, ...]:
        """The differences that forbid this kind of verdict."""
        return tuple(d for d in self.differences if d.level == "blocks" and kind in d.kinds and not d.allowed)

    @property
    def blocking(self) -> tuple[Difference, ...]:
        """What makes the run unfair: what rules out the first kind of verdict that it would give."""
        measured = [self.blocked(CHECKS[one.check]) for one in self.instruments]
        spoke = any(result.candidate.spoke for result in self.results)
        return (self.blocked("quality") if spoke else ()) or next(filter(None, measured), ()) or self.blocked("speed")
