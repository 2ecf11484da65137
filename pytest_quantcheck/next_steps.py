"""What to do now, in one line under the verdict. Pure."""

from __future__ import annotations

from pytest_quantcheck.facts import Facts
from pytest_quantcheck.instruments import Instrument
from pytest_quantcheck.power import samples_to_clear
from pytest_quantcheck.power import samples_to_convict
from pytest_quantcheck.records import Word
from pytest_quantcheck.text import one_line

_SHOWN_REASON = 400
_WORDS_ABOVE = "the engine's words stand under the failed tests above"
_COMPARE = "add --quant-baseline=FILE.gguf to see what this file lost against another"


def next_step(kind: str, facts: Facts) -> str:
    """What to do now."""
    if kind == "unfair":
        rows = ",".join(dict.fromkeys(difference.row for difference in facts.blocking))
        return f'make both sides alike, or judge in spite of it: --quant-allow="{rows}"'
    if kind == "stale":
        return next(result.verdict.why for result in facts.results if result.verdict.snapshot)
    if kind in ("regression", "crashed", "failed"):
        return _cure(facts) if facts.compared or facts.crashed else _COMPARE
    if not facts.results:
        return "select a candidate test that can run here (-rs says what was skipped, and why)"
    if not facts.compared:
        return _COMPARE
    if kind == "nothing-compared":
        return _why_none(facts)
    if facts.samples is not None and facts.samples.answer == "cannot-tell":
        return _more_samples(facts)
    if facts.undecided is not None:
        return _more_figures(facts.undecided)
    if facts.same_content:
        return "compare two different files"
    inherited = sum(result.verdict.word is Word.INHERITED for result in facts.results)
    if inherited * 2 > len(facts.results):
        return "more than half of the tests fail on the baseline too and can show no loss: ask what it can do"
    return "the candidate kept what these tests ask for; they say nothing of what they do not ask"


def _cure(facts: Facts) -> str:
    if facts.orphaned and facts.crashed == len(facts.orphaned):
        return f"cure the baseline: {facts.orphaned[0].verdict.why}"
    if facts.crashed:
        return _WORDS_ABOVE
    if facts.lost or facts.alone:
        return "read the answers above; pytest --lf with the same options repeats only the failed tests"
    if facts.samples is not None and facts.samples.answer == "regression":
        return "flips are listed with -rx; the verdict on all samples is what counts, a single flip is noise"
    if facts.starved:
        return "raise --quant-max-tokens or --quant-ctx, or accept that the candidate needs more tokens"
    return "the answers hold and cost more thinking: raise --quant-max-thinking-inflation to accept that"


def _why_none(facts: Facts) -> str:
    unpaired = next((result.verdict for result in facts.results if result.verdict.word is Word.UNPAIRED), None)
    if unpaired is not None:
        return f"cure the baseline first: {unpaired.why}"
    return "every answer was cut: raise --quant-max-tokens or --quant-ctx"


def _more_samples(facts: Facts) -> str:
    assert facts.samples is not None
    samples, every = facts.samples, facts.samples.everything
    if every.why and every.unscored:
        return "raise --quant-max-tokens or --quant-ctx until the samples are answered"
    if every.why and every.both_fail * 2 > every.scored:
        return "ask what the baseline can do: a question that it fails too shows no loss"
    if every.runs > 1:
        return "add samples; --quant-strict makes this fail"
    lost, won = every.lost / max(1, every.scored), every.won / max(1, every.scored)
    enough = samples_to_clear(samples.rule, lost, won) or samples_to_convict(samples.rule, lost, won)
    if enough is None or enough <= every.independent:
        return "add samples; --quant-samples=5 gets more out of each; --quant-strict makes this fail"
    return (
        f"add samples: about {enough} that come out like these would decide; "
        "--quant-samples=5 gets more out of each; --quant-strict makes this fail"
    )


def _more_figures(one: Instrument) -> str:
    """The reason of figures that do not decide says what would."""
    strict = "--quant-strict makes this fail"
    return f"{one.check} cannot tell in {one.pair}: {one_line(one.why, _SHOWN_REASON)}; {strict}"
