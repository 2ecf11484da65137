"""The session verdict in words: what happened, and what the suite could have seen. Pure."""

from __future__ import annotations

from collections import Counter

from pytest_quantcheck.facts import Facts
from pytest_quantcheck.instruments import CHECKS
from pytest_quantcheck.power import BACKGROUND
from pytest_quantcheck.power import detectable_by_spread
from pytest_quantcheck.power import detectable_drop
from pytest_quantcheck.power import losses_needed
from pytest_quantcheck.power import samples_to_clear
from pytest_quantcheck.records import Word
from pytest_quantcheck.rows import UNTOLD
from pytest_quantcheck.samples import SampleVerdict
from pytest_quantcheck.statistics import Rule
from pytest_quantcheck.text import plural as _plural
from pytest_quantcheck.text import points

_SHOWN_REASON = 400
_WORDS_ABOVE = "the engine's words stand under the failed tests above"
_COMPARE = "add --quant-baseline=FILE.gguf to see what this file lost against another"


def sentence(kind: str, facts: Facts) -> str:
    """The verdict in one sentence."""
    allowed = dict.fromkeys(difference.row for difference in facts.differences if difference.allowed)
    notes = f"; compared in spite of {', '.join(allowed)} (--quant-allow)" if allowed else ""
    if kind == "unfair":
        return f"UNFAIR, no verdict: {'; '.join(d.text for d in facts.blocking)}{notes}"
    label = ""
    if facts.template_pinned:
        notes += "; both sides rendered with the baseline's chat template"
    alike = not any(difference.level == "blocks" for difference in facts.differences)
    if facts.same_content and facts.compared and alike:
        label = "A/A, both files have the same content: "
        notes += "; equal files cannot differ, so this is chance or a broken engine" if kind == "regression" else ""
    return label + _WORDING[kind](facts) + notes + _measured(facts)


def _measured(facts: Facts) -> str:
    """'. Fidelity: no regression; speed: cannot tell': the worst answer of each instrument, side by side."""
    order = ("regression", "cannot-tell", "no-regression")
    answers = {
        check: min((one.answer for one in facts.instruments if one.check == check), key=order.index, default=None)
        for check in CHECKS
    }
    said = "; ".join(f"{check}: {answer.replace('-', ' ')}" for check, answer in answers.items() if answer)
    return f". {said[:1].upper()}{said[1:]}" if said else ""


def _regression(facts: Facts) -> str:
    explain = dict.fromkeys(difference.row for difference in facts.differences if difference.level == "explains")
    unseen = explain.pop(UNTOLD, "unseen") is None
    also = f"; the files also differ in {', '.join(explain)}" if explain else ""
    also = also or ("; the files may also differ in what their servers do not tell" if unseen else "")
    cause = f"{also}, so the recipe need not be the cause" if also else ""
    return f"REGRESSION: {'; '.join(_failures(facts))}{cause}"


def _no_regression(facts: Facts) -> str:
    assert facts.samples is not None
    every = facts.samples.everything
    small = "; a small drop is real, and inside the margin" if every.small_drop else ""
    return f"NO REGRESSION: {_figures(every, facts.samples.rule)}{small}{_kept(facts)}"


def _cannot_tell(facts: Facts) -> str:
    if facts.samples is None:
        return f"CANNOT TELL: {_requirements(facts)}"
    every = facts.samples.everything
    if facts.samples.answer != "cannot-tell":
        return f"CANNOT TELL: {_figures(every, facts.samples.rule)}{_kept(facts)}"
    why = every.why or "too few samples to call that a loss or to rule one out"
    return f"CANNOT TELL: {_figures(every, facts.samples.rule)}: {why}{_kept(facts)}"


def _no_loss(facts: Facts) -> str:
    if not facts.compared:
        return f"PASSED: all {_plural(len(facts.results), 'test')}; nothing was compared"
    return f"NO LOSS: {_requirements(facts)}"


def _nothing(facts: Facts) -> str:
    if not facts.results:
        return "NO VERDICT: no test of the candidate ran"
    return f"NO VERDICT: none of {_plural(len(facts.results), 'test')} could be compared"


_WORDING = {
    "regression": _regression,
    "crashed": lambda facts: f"CRASHED: {'; '.join(_failures(facts))}",
    "stale": lambda facts: f"STALE: {'; '.join(_failures(facts))}",
    "failed": lambda facts: f"FAILED: {'; '.join(_failures(facts))}",
    "nothing-compared": _nothing,
    "cannot-tell": _cannot_tell,
    "no-regression": _no_regression,
    "no-loss": _no_loss,
}


def _failures(facts: Facts) -> list[str]:
    said = []
    if facts.lost:
        gained = sum(result.verdict.word is Word.IMPROVED for result in facts.requirements)
        by_chance = f"; chance alone: {_odds(facts.chance)}" if facts.chance is not None else ""
        said.append(f"{_plural(facts.lost, 'requirement')} lost ({gained} gained{by_chance})")
    if facts.samples is not None and facts.samples.answer == "regression":
        each = [f"{family.name} ({family.lost} lost, {family.won} won of {family.scored})" for family in _worse(facts)]
        said.append(
            f"samples: {_figures(facts.samples.everything, facts.samples.rule)}"
            + (f"; by family {', '.join(each)}" if each else "")
        )
    if facts.starved:
        said.append(f"{_plural(facts.starved, 'test')} without an answer within the budget")
    if facts.unusable:
        kinds = Counter(result.verdict.snapshot for result in facts.results if result.verdict.snapshot)
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        said.append(f"{_plural(facts.unusable, 'test')} without a recorded baseline to compare with ({counts})")
    if facts.alone:
        said.append(f"{_plural(facts.alone, 'test')} failed without a comparison")
    if facts.longer:
        said.append(facts.longer)
    if stopped := facts.crashed - len(facts.orphaned):
        said.append(f"{_plural(stopped, 'test')} stopped by the engine")
    if facts.orphaned:
        said.append(f"{_plural(len(facts.orphaned), 'test')} not compared, the baseline's engine failed")
    return said


def _worse(facts: Facts) -> tuple[SampleVerdict, ...]:
    samples = facts.samples
    return samples.regressed if samples is not None and len(samples.families) > 1 else ()


def _figures(samples: SampleVerdict, rule: Rule) -> str:
    unscored = f", {samples.unscored} without an answer" if samples.unscored else ""
    figures = f"{samples.lost} lost and {samples.won} won of {_plural(samples.scored, 'sample')}{unscored}"
    if not samples.scored:
        return figures
    return (
        f"{figures}; score {points(samples.mean)} points ({100 * rule.level:g} % interval "
        f"{points(samples.low)} to {points(samples.high)}, margin {-100 * rule.margin:g})"
    )


def _kept(facts: Facts) -> str:
    return f". {_requirements(facts)[:1].upper()}{_requirements(facts)[1:]}" if facts.requirements else ""


def _requirements(facts: Facts) -> str:
    """How the requirements came out when none of them was lost."""
    words = [result.verdict.word for result in facts.requirements]
    scored = [word for word in words if word not in (Word.UNSCORED, Word.UNPAIRED)]
    parts = [f"{words.count(Word.IMPROVED)} gained" if Word.IMPROVED in words else ""]
    parts += [f"{words.count(Word.INHERITED)} failed by both files" if Word.INHERITED in words else ""]
    parts += [f"{len(words) - len(scored)} not comparable" if len(scored) < len(words) else ""]
    notes = ", ".join(part for part in parts if part)
    return f"none of {_plural(len(words), 'requirement')} was lost{f' ({notes})' if notes else ''}"


def reach(facts: Facts) -> str:
    """What so many samples (requirements, where there are no samples) could have shown at all."""
    if facts.samples is None:
        asking = [result for result in facts.requirements if not result.candidate.compared_figures]
        count = sum(result.verdict.word not in (Word.UNSCORED, Word.UNPAIRED) for result in asking)
        return f"What these tests do not ask they cannot tell. {sight(count, facts.rule)}" if count else ""
    every = facts.samples.everything
    if every.runs > 1:
        drop = detectable_by_spread(every.independent, (every.high - every.low) / 2, facts.samples.rule)
        said = f"{_plural(every.scored, 'sample')} of {every.runs} answers each can show this much: with a spread like "
        return said + f"theirs a true drop of about {100 * drop:.0f} points is found 4 times in 5"
    # flips both ways are noise; what is won beyond the losses is a better file
    noise = min(every.won, every.lost) / every.scored if every.scored else 0.0
    noun = "sample" if every.independent == every.scored else "independent sample"
    return sight(every.independent, facts.samples.rule, wins=max(BACKGROUND, noise), noun=noun)


def sight(count: int, rule: Rule, *, wins: float = BACKGROUND, noun: str = "sample") -> str:
    """What ``count`` samples can show under ``rule``, when a share ``wins`` of them is won by chance.

    :param noun: what they are called: samples that share nothing are 'independent' where others do.
    """
    said = [f"{_plural(count, noun)} can show this much"]
    losses = losses_needed(count, 0, rule)
    drop = detectable_drop(count, rule, wins)
    enough = samples_to_clear(rule)
    if losses is None:
        return f"{_plural(count, noun)} cannot show a loss, however large; 5 or more samples of one skill can"
    said.append(f"a regression takes {_plural(losses, 'loss')} and no win")
    if drop is not None:
        said.append(f"a true drop of {100 * drop:.0f} points is found 4 times in 5, a smaller one less often")
    else:
        said.append("even a total loss is found less than 4 times in 5")
    points = f"{100 * rule.margin:g} points"
    if enough is not None and count < enough:
        said.append(f"'no regression' within {points} takes {enough} samples or more")
    return f"{said[0]}: {'; '.join(said[1:])}"


def recorded(tests: int, failed: int, crashed: int, unrecorded: int) -> tuple[str, str]:
    """(The sentence, the next step) of a run that recorded a baseline."""
    if not tests:
        return "NO VERDICT: nothing was recorded", "select a test that asks the model"
    if crashed:
        return f"CRASHED: {_plural(crashed, 'test')} stopped by the engine and not recorded", _WORDS_ABOVE
    if unrecorded:
        return f"FAILED: {_plural(unrecorded, 'test')} could not be recorded", "the reasons stand above"
    weak = f"; {failed} of them {'fails' if failed == 1 else 'fail'} on this file" if failed else ""
    return (
        f"RECORDED: the answers of {_plural(tests, 'test')}{weak}; nothing was compared",
        "commit the snapshots; then --quant-model=NEW.gguf alone compares with them",
    )


def _odds(chance: float) -> str:
    return f"{100 * chance:.0f} %" if chance >= 0.01 else "less than 1 %"
