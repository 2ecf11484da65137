"""quant_fidelity: next-token probabilities that lie as near to the unquantized weights as the baseline's do."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import Literal
from typing import TypeAlias
from typing import cast
from typing import get_args

from pytest_quantcheck import fidelity_rules as rules
from pytest_quantcheck.checks.base import NOTHING_ASKED
from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_flag
from pytest_quantcheck.checks.base import checked_floor
from pytest_quantcheck.checks.base import checked_positive
from pytest_quantcheck.checks.base import checked_share
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity import Part
from pytest_quantcheck.fidelity import exponential
from pytest_quantcheck.fidelity_words import label
from pytest_quantcheck.fidelity_words import number
from pytest_quantcheck.fidelity_words import said_kl
from pytest_quantcheck.fidelity_words import said_perplexity
from pytest_quantcheck.fidelity_words import said_same_top
from pytest_quantcheck.fidelity_words import to_decide
from pytest_quantcheck.fidelity_words import too_few
from pytest_quantcheck.records import Answer
from pytest_quantcheck.records import Score
from pytest_quantcheck.text import short

_NAME: Final = "fidelity"
_NO_BASELINE: Final = "nothing to compare with"
_DISTANCE: Final = "the baseline is that reference itself, so this is a distance from it and no loss"
_WHOLE: Final = "--quant-reference-vocabulary=all keeps every token"
_Outcome: TypeAlias = Literal["regression", "missed", "cannot-tell", "no-regression", "kept", ""]
_ORDER: Final[tuple[_Outcome, ...]] = get_args(_Outcome)


@dataclass(frozen=True, slots=True)
class _Limits:
    kl: float | None
    perplexity_ratio: float | None
    same_top: float | None

    @property
    def any(self) -> bool:
        return (self.kl, self.perplexity_ratio, self.same_top) != (None, None, None)


@dataclass(frozen=True, slots=True)
class _Found:
    """One condition and how it came out; '' where there is nothing to compare with."""

    outcome: _Outcome
    words: str


def quant_fidelity(
    *,
    kl: float | None = None,
    perplexity_ratio: float | None = None,
    same_top: float | None = None,
    parts: Sequence[str] = (),
    vs_baseline: bool = True,
    kl_margin: float = 0.25,
    kl_negligible: float = 0.005,
    perplexity_margin: float = 0.01,
    same_top_margin: float = 0.01,
    min_score: float = 1.0,
) -> Check:
    """Value: the share of conditions that hold for every ``quant.fidelity`` of the test and each of its parts.

    Limits of the file alone hold when the end of the 90 % interval that speaks against it keeps them: ``kl`` (nats per
    token), ``perplexity_ratio`` (against the reference), ``same_top`` (share). Compared with the baseline, unless
    ``vs_baseline`` is False: KL divergence, perplexity and the likeliest token, each a condition that a regression
    breaks and 'cannot tell' does not (fidelity_rules.py). On the baseline's side they hold.
    """
    floor = checked_floor(min_score)
    compared = checked_flag("vs_baseline", vs_baseline)
    limits = _Limits(
        None if kl is None else checked_positive("kl", kl),
        None if perplexity_ratio is None else checked_positive("perplexity_ratio", perplexity_ratio),
        None if same_top is None else checked_share("same_top", same_top),
    )
    wanted = _parts(parts)
    if not compared and not limits.any:
        raise MarkerError("no condition; allowed: kl, perplexity_ratio, same_top, vs_baseline")
    margins = rules.Margins(
        kl=checked_positive("kl_margin", kl_margin),
        negligible=checked_positive("kl_negligible", kl_negligible),
        perplexity=checked_positive("perplexity_margin", perplexity_margin),
        same_top=checked_positive("same_top_margin", same_top_margin),
    )

    def check(seen: CheckInput) -> Score:
        measured = [one for one in seen.fidelities if _wanted(one, wanted)]
        if not measured:
            asked = seen.replies or seen.choices or seen.embeddings or seen.fidelities
            why = "the test did not call quant.fidelity" if not seen.fidelities else f"no {' or '.join(wanted)} in it"
            return Score(_NAME, 0.0, why if asked else NOTHING_ASKED, floor)
        found = [one for new in measured for part in _wanted(new, wanted) for one in _limited(new, part, limits)]
        answer: _Outcome = ""
        if compared:
            before = [one for one in seen.baseline.fidelities if _wanted(one, wanted)] if seen.baseline else []
            looks = _compared(before, measured, wanted, margins)
            found += looks
            answer = min((one.outcome for one in looks), key=_ORDER.index)
        value = sum(one.outcome not in ("regression", "missed") for one in found) / len(found)
        if answer == "regression" and seen.baseline is not None:
            # a limit that only the baseline misses must not outweigh what was lost against it
            old = next((score.value for score in seen.baseline.scores if score.check == _NAME), 1.0)
            value = max(0.0, min(value, old - 1 / len(found)))
        found.sort(key=lambda one: _ORDER.index(one.outcome))
        words = list(dict.fromkeys(one.words for one in found if one.words))
        return Score(_NAME, value, "; ".join(words) or _NO_BASELINE, floor, answer=cast(Answer, answer))

    return check


def _parts(given: object) -> tuple[str, ...]:
    known = get_args(Part)
    if not isinstance(given, list | tuple) or not set(map(str, given)) <= set(known):
        raise MarkerError(f"parts={short(given)}; allowed: a list of {', '.join(known)}")
    return tuple(given)


def _wanted(found: Fidelity, wanted: Sequence[str]) -> list[Part]:
    return [part for part in found.parts if not wanted or part in wanted]


def _limited(found: Fidelity, part: Part, limits: _Limits) -> Iterator[_Found]:
    """The limits of the file alone."""
    only = found.only(part)
    name = label(found, part)
    if limits.any and only.kl is None:
        raise CheckCannot("quant_fidelity's limits need --quant-reference=FILE.gguf, the unquantized weights")
    to = f"to {found.reference}"
    if limits.kl is not None and (mean := rules.mean_kl(only.chunks)) is not None:
        loose = _loose(found)
        kept = mean.high() <= limits.kl and not loose
        why = f" ({loose})" if loose and mean.low() <= limits.kl else ""
        yield _limit(kept, f"{name}: KL {to} {number(mean)}, limit {limits.kl:g}", why)
    if limits.perplexity_ratio is not None and (mean := rules.log_ratio(only.chunks)) is not None:
        low, high = (exponential(end) for end in (mean.low(), mean.high()))
        words = f"{name}: perplexity {low:.4g} to {high:.4g} times that of {found.reference}"
        yield _limit(high <= limits.perplexity_ratio, f"{words}, limit {limits.perplexity_ratio:g}")
    if limits.same_top is not None and (mean := rules.mean_same_top(only.chunks)) is not None:
        share = f"{100 * mean.value:.1f} % ± {100 * mean.half():.1f}"
        words = f"{name}: same likeliest token as {found.reference} {share}, limit {100 * limits.same_top:g} %"
        yield _limit(mean.low() >= limits.same_top, words)


def _limit(kept: bool, words: str, more: str = "") -> _Found:
    return _Found("kept" if kept else "missed", f"{words}: {'kept' if kept else 'missed'}{more}")


@dataclass(frozen=True, slots=True)
class _Look:
    """One figure against the baseline's: what is said of it, and why it must not be judged if so."""

    words: str
    comparison: rules.Comparison | None = None
    unit: str = ""
    wrong: str = ""

    def decided(self, looks: int) -> _Found:
        if self.comparison is None:
            return _Found("cannot-tell" if self.words else "", self.words)
        answer: _Outcome = "cannot-tell" if self.wrong else self.comparison.answer(looks)
        more = self.wrong or (to_decide(self.comparison, looks, self.unit) if answer == "cannot-tell" else "")
        return _Found(answer, f"{self.words}: {answer.replace('-', ' ')}{f' ({more})' if more else ''}")


def _compared(
    before: Sequence[Fidelity], measured: Sequence[Fidelity], wanted: Sequence[str], margins: rules.Margins
) -> list[_Found]:
    """Every figure against the baseline's, one after the other; all looks of a test share the chance of an error."""
    looks: list[_Look] = []
    for index, new in enumerate(measured):
        old = before[index] if index < len(before) else None
        for part in _wanted(new, wanted):
            looks += _looks(old, new, part, margins)
    count = sum(look.comparison is not None for look in looks)
    return [look.decided(count) for look in looks]


def _looks(old: Fidelity | None, new: Fidelity, part: Part, margins: rules.Margins) -> list[_Look]:
    """Three with a reference, one without: as many where there is nothing to compare with."""
    name, unit = label(new, part), "chunk" if part == "text" else "conversation"
    b = new.only(part).chunks
    mine = rules.mean_kl(b)
    wrong = "" if old is None else rules.not_comparable(old, new)
    wrong = f"cannot tell: {wrong}" if wrong else too_few(len(b), unit)
    if old is None or wrong:
        return [_Look(f"{name}: {wrong}" if old is not None else "")] * (1 if mine is None else 3)
    a = old.only(part).chunks
    kl, top = rules.compare_kl(a, b, margins), rules.compare_same_top(a, b, margins)
    looks = [_Look(f"{name}: {said_perplexity(a, b, margins)}", rules.compare_perplexity(a, b, margins), unit)]
    if mine is not None and kl is not None and top is not None:
        if old.itself:
            looks += [_Look(f"{name}: KL to {new.reference} {number(mine)}", kl, unit, _DISTANCE)] * 2
        else:
            loose = _loose(old) or _loose(new)
            looks.insert(0, _Look(f"{name}: {said_kl(old, new, part, margins)}", kl, unit, loose))
            looks.append(_Look(f"{name}: {said_same_top(a, b, margins)}", top, unit))
    return looks


def _loose(found: Fidelity) -> str:
    """Why the divergence may be larger than it shows: all that the store left out is one bucket."""
    if found.covered is None or found.covered >= rules.LEAST_COVERED:
        return ""
    return f"its store keeps {100 * found.covered:.1f} % of the probability, so this is a lower bound; {_WHOLE}"
