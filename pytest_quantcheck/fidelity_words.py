"""Figures of fidelity in words, the same in reasons and reports. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.fidelity import Part
from pytest_quantcheck.fidelity import exponential
from pytest_quantcheck.fidelity_rules import LEAST_UNITS
from pytest_quantcheck.fidelity_rules import Comparison
from pytest_quantcheck.fidelity_rules import Margins
from pytest_quantcheck.fidelity_rules import Mean
from pytest_quantcheck.fidelity_rules import below_reference
from pytest_quantcheck.fidelity_rules import compare_perplexity
from pytest_quantcheck.fidelity_rules import compare_same_top
from pytest_quantcheck.fidelity_rules import mean_kl
from pytest_quantcheck.text import plural

_MOST_DIGITS: Final = 7


def label(found: Fidelity, part: Part) -> str:
    """'stories', or of conversations 'chats, answer'."""
    return found.name if part == "text" else f"{found.name}, {part}"


def number(mean: Mean) -> str:
    """'0.1020 ± 0.0090': with half of the 90 % interval."""
    return _with_half(mean.value, mean.half())


def perplexity(mean: Mean) -> str:
    """The same of the perplexity, from the mean negative log-likelihood."""
    value = exponential(mean.value)
    return _with_half(value, value * mean.half())


def _with_half(value: float, half: float) -> str:
    """As many digits as half the interval has two."""
    if not 0 < half < math.inf or not math.isfinite(value):
        return f"{value:.4g}" if half else f"{value:.4g} ± 0"
    digits = max(0, 1 - math.floor(math.log10(half)))
    if digits > _MOST_DIGITS:
        return f"{value:.3g} ± {half:.2g}"
    return f"{value:.{digits}f} ± {half:.{digits}f}"


def said_kl(old: Fidelity, new: Fidelity, part: Part, margins: Margins) -> str:
    """'KL to f16.gguf 0.102 ± 0.009 against the baseline's 0.015: 6.8 times, limit 1.25'."""
    mine, before = mean_kl(new.only(part).chunks), mean_kl(old.only(part).chunks)
    assert mine is not None
    assert before is not None
    to = "" if old.reference == new.reference else f" to {old.reference}"
    said = f"KL to {new.reference} {number(mine)} against the baseline's {before.value:.3g}{to}"
    if mine.value < margins.negligible:
        return f"{said}, negligible below {margins.negligible:g}"
    times = f": {mine.value / before.value:.3g} times" if before.value > 0 else ""
    return f"{said}{times}, limit {1 + margins.kl:g}"


def said_perplexity(old: Sequence[Chunk], new: Sequence[Chunk], margins: Margins) -> str:
    """'perplexity +6.4 % (5.1 to 7.7) against the baseline, limit +1 %'."""
    harm = compare_perplexity(old, new, margins).harm
    change, low, high = (100 * (exponential(value) - 1) + 0.0 for value in (harm.value, harm.low(), harm.high()))
    to = "the reference (the baseline's is below it)" if below_reference(old) else "the baseline"
    return f"perplexity {change:+.3g} % ({low:+.3g} to {high:+.3g}) against {to}, limit {_percent(margins)}"


def _percent(margins: Margins) -> str:
    return f"{100 * margins.perplexity:+g} %"


def said_same_top(old: Sequence[Chunk], new: Sequence[Chunk], margins: Margins) -> str:
    """'same likeliest token -3.6 points (-4.4 to -2.8) against the baseline, limit -1'."""
    comparison = compare_same_top(old, new, margins)
    assert comparison is not None
    harm = comparison.harm
    change, low, high = (0.0 - 100 * value for value in (harm.value, harm.high(), harm.low()))
    limit = f"{-100 * margins.same_top:g}"
    return f"same likeliest token {change:+.3g} points ({low:+.3g} to {high:+.3g}) against the baseline, limit {limit}"


def too_few(units: int, unit: str) -> str:
    """'cannot tell from 10 chunks; a verdict takes 20 or more'; empty where there are enough."""
    return (
        f"cannot tell from {plural(units, unit)}; a verdict takes {LEAST_UNITS} or more" if units < LEAST_UNITS else ""
    )


def to_decide(comparison: Comparison, comparisons: int, unit: str) -> str:
    """How much more it would take, in words: 'about 230 chunks that come out like these would decide, there are 40'."""
    units, needed = comparison.harm.units, comparison.needed(comparisons)
    if needed is None:
        return f"too near to the limit for any number of {unit}s"
    return f"about {needed} {unit}s that come out like these would decide, there are {units}"
