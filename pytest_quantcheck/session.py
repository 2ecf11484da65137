"""The verdict on a whole run, out of its judged pairs. Pure; the words for it are in sentences.py and next_steps.py."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal

from pytest_quantcheck import sentences
from pytest_quantcheck.error_counts import ErrorCounts
from pytest_quantcheck.error_counts import tool_errors
from pytest_quantcheck.facts import Facts
from pytest_quantcheck.fairness import Difference
from pytest_quantcheck.instruments import CHECKS
from pytest_quantcheck.instruments import Instrument
from pytest_quantcheck.instruments import instruments
from pytest_quantcheck.next_steps import next_step
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Word
from pytest_quantcheck.samples import Samples
from pytest_quantcheck.samples import judge_samples
from pytest_quantcheck.statistics import Ratio
from pytest_quantcheck.statistics import Rule
from pytest_quantcheck.statistics import paired_ratio
from pytest_quantcheck.statistics import sign_flip
from pytest_quantcheck.tally import Tally
from pytest_quantcheck.tally import grouped
from pytest_quantcheck.tally import tallies
from pytest_quantcheck.verdict import Result

_LONG_THOUGHT = 200

Kind = Literal[
    "regression",
    "crashed",
    "stale",
    "failed",
    "unfair",
    "nothing-compared",
    "cannot-tell",
    "no-regression",
    "no-loss",
    "recorded",
]
KINDS: Final[dict[Kind, str]] = {
    "regression": "the candidate lost a requirement, a family of samples or an answer within the budget",
    "crashed": "an engine died, hung or refused, and nothing was lost besides",
    "stale": "a recorded baseline is missing, cannot be read, or answers other questions or settings than this run's",
    "failed": "a test failed without a comparison: by its own fault, or because there was no baseline",
    "unfair": "the two sides differ in something that makes the comparison meaningless",
    "nothing-compared": "no pair could be compared",
    "cannot-tell": "nothing failed by itself, and the samples, or the figures where nothing else was compared or "
    "`--quant-strict` is given, are too few to decide",
    "no-regression": "the samples show that no more than the margin was lost",
    "no-loss": "every requirement is kept, or every test passed where there was no baseline; there are no samples",
    "recorded": "`--snapshot-update` recorded the baseline, its failures among it; nothing was compared",
}
"""Every kind of session verdict and when it is given, the gravest first."""
PASSING: Final = ("no-regression", "no-loss", "recorded")
"""Kinds with which a run may exit 0."""


@dataclass(frozen=True, slots=True)
class SessionVerdict(Record):
    """What the run says as a whole.

    ``reach`` says what so many samples could have shown, ``requirements_chance`` how often chance alone would make the
    requirements come out as bad as this (p-value of the sign-flip test; None without a lost one).
    """

    kind: Kind
    fails: bool
    """Whether the run must not exit 0."""
    sentence: str
    next_step: str
    reach: str
    markers: tuple[Tally, ...]
    families: tuple[Tally, ...]
    samples: Samples | None = None
    requirements_chance: float | None = None
    thinking: Ratio | None = None
    """Thinking tokens, candidate over baseline, of the answers that are long enough to tell."""
    differences: tuple[Difference, ...] = ()
    tool_errors: tuple[ErrorCounts, ...] = ()
    """Errors in tool calls of every role; empty when nothing went wrong on any side."""
    instruments: tuple[Instrument, ...] = ()
    """What the tests that measure figures say of them, each for itself."""

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        def counted(values: Iterable[dict[str, Any]]) -> tuple[Tally, ...]:
            return tuple(Tally.from_payload(value) for value in values)

        return {
            "markers": counted,
            "families": counted,
            "samples": lambda value: None if value is None else Samples.from_payload(value),
            "thinking": lambda value: None if value is None else Ratio.from_payload(value),
            "differences": lambda values: tuple(Difference.from_payload(value) for value in values),
            "tool_errors": lambda values: tuple(ErrorCounts.from_payload(value) for value in values),
            "instruments": lambda values: tuple(Instrument.from_payload(value) for value in values),
        }


def session_verdict(
    results: Sequence[Result],
    *,
    roles: Sequence[Role],
    rule: Rule | None = None,
    strict: bool = False,
    differences: Sequence[Difference] = (),
    same_content: bool = False,
    template_pinned: bool = False,
    max_thinking_inflation: float | None = None,
) -> SessionVerdict:
    """Judge a whole run from its judged pairs.

    :param roles: the roles that ran; without a baseline each test only has its own outcome.
    :param rule: how samples are decided.
    :param strict: 'cannot tell' fails the run.
    :param differences: what is not the same on both sides.
    :param same_content: both files are the same bytes.
    :param template_pinned: both sides were rendered with the baseline's chat template.
    :param max_thinking_inflation: how many times the baseline's thinking is allowed; None allows any.
    """
    compared = Role.BASELINE in roles
    samples = judge_samples(results, rule or Rule()) if compared else None
    requirements = [result for result in results if not result.family]
    pairs = [(result.baseline, result.candidate) for result in results if result.baseline is not None]
    thinking = thinking_inflation(pairs)
    inflated = max_thinking_inflation is not None and thinking is not None and thinking.exceeds(max_thinking_inflation)
    measured = instruments(results)
    facts = Facts(
        results=tuple(results),
        requirements=tuple(requirements),
        samples=samples,
        chance=_chance(requirements),
        compared=compared,
        same_content=same_content,
        longer=f"the candidate thinks {thinking}, more than x{max_thinking_inflation:g}" if inflated else "",
        differences=tuple(differences),
        rule=rule or Rule(),
        template_pinned=template_pinned,
        instruments=measured,
    )
    kind = _kind(facts, strict=strict)
    by_marker = grouped(results, [result.marker for result in results])
    by_family = grouped([r for r in results if r.family], [r.family for r in results if r.family])
    return SessionVerdict(
        kind=kind,
        fails=kind not in PASSING and (kind != "cannot-tell" or strict),
        sentence=sentences.sentence(kind, facts),
        next_step=next_step(kind, facts),
        reach=sentences.reach(facts) if compared else "",
        markers=tallies(by_marker),
        families=tallies(by_family),
        samples=samples,
        requirements_chance=facts.chance,
        thinking=thinking,
        differences=tuple(differences),
        tool_errors=tool_errors(results, roles),
        instruments=measured,
    )


def recording_verdict(observations: Sequence[Observation], unrecorded: int = 0) -> SessionVerdict:
    """What a run says that recorded these observations as the baseline's, except ``unrecorded`` of them."""
    crashed = sum(seen.status is Status.ERROR for seen in observations)
    kind: Kind = (
        "crashed" if crashed else "failed" if unrecorded else "recorded" if observations else "nothing-compared"
    )
    said = sentences.recorded(len(observations), sum(not seen.passed for seen in observations), crashed, unrecorded)
    return SessionVerdict(kind, kind not in PASSING, *said, reach="", markers=(), families=())


def _kind(facts: Facts, *, strict: bool) -> Kind:
    if not facts.results:
        return "nothing-compared"
    if facts.comparable and facts.blocked("quality") and any(result.candidate.spoke for result in facts.results):
        return "unfair"
    if facts.regression:
        return "regression"
    if facts.crashed:
        return "crashed"
    if facts.unusable:
        return "stale"
    if facts.alone or facts.starved:
        return "failed"
    if not facts.compared:
        return "no-loss"
    if not facts.comparable:
        return "nothing-compared"
    if any(facts.blocked(CHECKS[one.check]) for one in facts.instruments):
        return "unfair"
    if facts.blocked("speed") and any(result.candidate.bench for result in facts.results):
        return "unfair"
    kind: Kind = "no-loss" if facts.samples is None else facts.samples.answer
    # beside answers the figures speak for themselves; alone, or where nothing may stay open, they decide
    measured_only = all(result.candidate.compared_figures for result in facts.results)
    if facts.undecided is not None and kind in PASSING and (strict or measured_only):
        return "cannot-tell"
    return kind


def _chance(requirements: Sequence[Result]) -> float | None:
    lost = any(result.verdict.word is Word.REGRESSED for result in requirements)
    return sign_flip([result.verdict.change for result in requirements]) if lost else None


def thinking_inflation(pairs: Sequence[tuple[Observation, Observation]]) -> Ratio | None:
    """Thinking tokens of candidate over baseline, where both ended well and one thought for 200 tokens or more.

    Below that a difference is noise: 125 against 108 tokens says nothing.
    """
    tokens = [
        (float(old), float(new))
        for baseline, candidate in pairs
        if _ended_well(baseline) and _ended_well(candidate)
        for old, new in [(_thought(baseline), _thought(candidate))]
        if max(old, new) >= _LONG_THOUGHT and min(old, new) > 0
    ]
    return paired_ratio(tokens)


def _ended_well(observation: Observation) -> bool:
    """Whether all answers did; of one that was ended early nobody knows."""
    return observation.status is Status.OK and all(reply.finish != "early" for reply in observation.replies)


def _thought(observation: Observation) -> int:
    return sum(reply.usage.thinking for reply in observation.replies)
