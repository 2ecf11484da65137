"""When measured next-token probabilities show a regression: intervals by chunk and the rules on them. Pure.

The unit is a chunk of a text or a whole conversation, never a token: tokens that stand together are hard or easy
together, and an error computed from single tokens (as llama-perplexity prints it) is too small. Every figure is a mean
per token, and so a ratio of two sums over the units; docs/explanation/fidelity.md says why, and what follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_quantcheck.fidelity import Chunk
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.records import Answer
from pytest_quantcheck.statistics import t_quantile

LEVEL: Final = 0.9
"""Confidence of every interval that is shown; each of its ends errs once in twenty."""
ALPHA: Final = 0.05
"""Chance that a test of a file which is no worse says 'regression', over all of its comparisons together."""
LEAST_UNITS: Final = 20
"""Chunks or conversations. With fewer the interval of a skewed mean errs too often (tests/unit/test_fidelity_rules.py
simulates it). How many tokens stand in them is no rule of its own: the interval says whether they are enough."""
LEAST_COVERED: Final = 0.99
"""Share of the reference's probability that a store has to keep token by token for a verdict on the divergence."""
_RESAMPLES: Final = 2000
_MANY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Margins:
    """What is still no loss.

    :param kl: by how much of the baseline's KL divergence the candidate's may be larger: 0.25 is a quarter.
    :param negligible: a KL divergence in nats per token that is none, whatever the baseline's is.
    :param perplexity: by how much of the baseline's perplexity the candidate's may be larger.
    :param same_top: share of the tokens by which the candidate may choose another likeliest token more often.
    """

    kl: float = 0.25
    negligible: float = 0.005
    perplexity: float = 0.01
    same_top: float = 0.01


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean per token over ``units`` with its standard error; ``error`` is infinite below two units."""

    value: float
    error: float
    units: int

    def half(self, alpha: float = (1 - LEVEL) / 2) -> float:
        """Half the width of the interval of which each end errs with ``alpha`` (Student's t)."""
        return math.inf if self.units < 2 else t_quantile(1 - alpha, self.units - 1) * self.error

    def low(self, alpha: float = (1 - LEVEL) / 2) -> float:
        """Its lower end."""
        return self.value - self.half(alpha)

    def high(self, alpha: float = (1 - LEVEL) / 2) -> float:
        """Its upper end."""
        return self.value + self.half(alpha)


def per_token(sums: Sequence[float], tokens: Sequence[int]) -> Mean:
    """The mean per token of units of any length, with its error by unit.

    The ratio estimator and its linearised variance (Cochran, Sampling Techniques, 1977, 2.11; Kish, Survey Sampling,
    1965, 6.3): R = sum y / sum x, error^2 = J/(J-1) * sum (y_j - R x_j)^2 / (sum x)^2. With units of one length that is
    the mean of the units' means and its ordinary error. A bootstrap over the units gives the same to the second digit
    and would make every verdict depend on a seed.

    :param sums: a figure's sum over the tokens of each unit.
    :param tokens: how many tokens each unit has; at least one in all.
    """
    count, total = len(sums), sum(tokens)
    ratio = math.fsum(sums) / total
    if count < 2:
        return Mean(ratio, math.inf, count)
    squares = math.fsum((y - ratio * x) ** 2 for y, x in zip(sums, tokens, strict=True))
    return Mean(ratio, math.sqrt(count / (count - 1) * squares) / total, count)


def mean_nll(chunks: Sequence[Chunk]) -> Mean:
    """Negative log-likelihood per token; its exponential is the perplexity."""
    return per_token([chunk.nll for chunk in chunks], _tokens(chunks))


def mean_reference_nll(chunks: Sequence[Chunk]) -> Mean | None:
    """The reference's, None without one."""
    return _known([chunk.reference_nll for chunk in chunks], chunks)


def mean_kl(chunks: Sequence[Chunk]) -> Mean | None:
    """KL divergence per token, reference||role; None without a reference."""
    return _known([chunk.kl for chunk in chunks], chunks)


def mean_same_top(chunks: Sequence[Chunk]) -> Mean | None:
    """Share of the tokens whose likeliest next token is the reference's; None without a reference."""
    return _known([chunk.same_top for chunk in chunks], chunks)


def log_ratio(chunks: Sequence[Chunk]) -> Mean | None:
    """Logarithm of perplexity over the reference's, token by token on the same text; None without a reference."""
    differences = [None if chunk.reference_nll is None else chunk.nll - chunk.reference_nll for chunk in chunks]
    return _known(differences, chunks)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of the candidate against the baseline's.

    ``harm``: how much worse the candidate is; ``beyond``: what of it is beyond the margin; ``above``: by how much the
    figure is above what is negligible, None where nothing is.
    """

    harm: Mean
    beyond: Mean
    above: Mean | None = None

    def answer(self, comparisons: int = 1) -> Answer:
        """Regression, no regression or cannot tell.

        *Regression* when chance does not explain the harm and the harm is beyond the margin. ``comparisons`` looks are
        taken in one test and one of them is enough, so each gets its share of `ALPHA` (Bonferroni). *No regression*
        when the upper end of the interval stays within the margin; all looks of a test have to say so, which needs no
        correction (the intersection-union test: Berger 1982, Technometrics 24:295).
        """
        if self.harm.units < LEAST_UNITS:
            return "cannot-tell"
        if self.beyond.high(ALPHA) < 0 or (self.above is not None and self.above.high(ALPHA) < 0):
            return "no-regression"
        enough = self.beyond.value >= 0 and (self.above is None or self.above.value >= 0)
        return "regression" if enough and self.harm.low(ALPHA / comparisons) > 0 else "cannot-tell"

    def needed(self, comparisons: int = 1) -> int | None:
        """About how many units that come out like these would decide; None when no number that one can have would.

        An error shrinks with the square root of their number.
        """
        wanted = [(self.beyond, -self.beyond.value, ALPHA)]
        if self.above is not None:
            wanted.append((self.above, -self.above.value, ALPHA))
        if self.beyond.value >= 0 and (self.above is None or self.above.value >= 0):
            wanted.append((self.harm, self.harm.value, ALPHA / comparisons))
        numbers = [mean.units * (mean.half(alpha) / room) ** 2 for mean, room, alpha in wanted if room > 0]
        least = min((number for number in numbers if number < _MANY), default=None)
        return None if least is None else max(LEAST_UNITS, self.harm.units + 1, math.ceil(least))


def compare_kl(old: Sequence[Chunk], new: Sequence[Chunk], margins: Margins) -> Comparison | None:
    """KL divergence of both, each from its own reference; None where one has none.

    What is beyond the margin is KL_new - (1 + margin) KL_old, unit by unit: so the error of the baseline's figure
    counts too (Fieller's way to compare a ratio with a limit; J R Stat Soc B 16, 1954).
    """
    kls = [(a.kl, b.kl) for a, b in zip(old, new, strict=True)]
    tokens = _tokens(new)
    known = [(a, b) for a, b in kls if a is not None and b is not None]
    if len(known) < len(kls):
        return None
    return Comparison(
        harm=per_token([b - a for a, b in known], tokens),
        beyond=per_token([b - (1 + margins.kl) * a for a, b in known], tokens),
        above=per_token([b - margins.negligible * count for (_, b), count in zip(known, tokens, strict=True)], tokens),
    )


def compare_perplexity(old: Sequence[Chunk], new: Sequence[Chunk], margins: Margins) -> Comparison:
    """Logarithm of the ratio of the candidate's perplexity to the baseline's, on the same tokens.

    Where the baseline is `below_reference` the ratio to the reference counts: to come back to it is no loss.
    """
    lower = below_reference(old)
    before = [b.reference_nll if lower and b.reference_nll else a.nll for a, b in zip(old, new, strict=True)]
    differences = [b.nll - a for a, b in zip(before, new, strict=True)]
    return _against(differences, _tokens(new), math.log1p(margins.perplexity))


def below_reference(chunks: Sequence[Chunk]) -> bool:
    """Whether perplexity is below the reference's beyond chance.

    That is another model, not a better one: damage blurs probabilities, and on text that the model finds absurd a blur
    is rewarded. It happens to files that were trained further, too.
    """
    ratio = log_ratio(chunks)
    return ratio is not None and ratio.high() < 0


def compare_same_top(old: Sequence[Chunk], new: Sequence[Chunk], margins: Margins) -> Comparison | None:
    """By how much the candidate chooses the reference's likeliest token less often; None without a reference."""
    tops = [(a.same_top, b.same_top) for a, b in zip(old, new, strict=True)]
    known = [a - b for a, b in tops if a is not None and b is not None]
    return _against(known, _tokens(new), margins.same_top) if len(known) == len(tops) else None


def not_comparable(old: Fidelity, new: Fidelity) -> str:
    """Why two measurements cannot be compared, in words; empty when they can."""
    if old.asked != new.asked:
        return "the baseline read another text"
    read = [[(chunk.part, chunk.tokens) for chunk in side.chunks] for side in (old, new)]
    if (old.prompt and new.prompt and old.prompt != new.prompt) or read[0] != read[1]:
        return "the two files read other tokens: their tokenizers or chat templates differ"
    return ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Share of the baseline's perplexity drop that the candidate does not have. 1: all of it; below 0: it lost more."""

    share: float
    low: float
    high: float


def recovered(old: Sequence[Chunk], new: Sequence[Chunk]) -> Recovered | None:
    """1 - (ln PPL_new - ln PPL_ref) / (ln PPL_old - ln PPL_ref), both against the same reference.

    The interval is a percentile bootstrap over the units (Efron and Tibshirani 1993, 13.3), with a fixed seed. None
    where it is not defined: without a reference, below `LEAST_UNITS`, and where the interval of the denominator reaches
    0, for then the baseline may have lost nothing that could be recovered.
    """
    import numpy as np

    drop = log_ratio(old)
    if drop is None or drop.units < LEAST_UNITS or drop.low() <= 0:
        return None
    ends = [(a.nll, b.nll, a.reference_nll or 0.0) for a, b in zip(old, new, strict=True)]
    losses = np.array([[before - reference, after - reference] for before, after, reference in ends])
    weights = np.random.default_rng(0).multinomial(len(losses), [1 / len(losses)] * len(losses), size=_RESAMPLES)
    sums = weights @ losses
    kept = sums[sums[:, 0] > 0]
    low, high = np.quantile(1 - kept[:, 1] / kept[:, 0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    before, after = losses.sum(axis=0)
    return Recovered(float(1 - after / before), float(low), float(high))


def _against(harms: Sequence[float], tokens: Sequence[int], margin: float) -> Comparison:
    harm = per_token(harms, tokens)
    return Comparison(harm, Mean(harm.value - margin, harm.error, harm.units))


def _known(sums: Sequence[float | None], chunks: Sequence[Chunk]) -> Mean | None:
    known = [value for value in sums if value is not None]
    return per_token(known, _tokens(chunks)) if known and len(known) == len(sums) else None


def _tokens(chunks: Sequence[Chunk]) -> list[int]:
    return [chunk.tokens for chunk in chunks]
