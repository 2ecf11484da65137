"""Paired comparisons with honest intervals. Pure.

A *change* is candidate minus baseline of one test's score, from -1 to 1; below 0 is a loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from statistics import fmean
from statistics import stdev
from typing import Final

from pytest_quantcheck.records import Answer as Answer
from pytest_quantcheck.records import Record

# changes are whole multiples of this share: exact for runs and parts in halves to tenths, and 1e-4 close otherwise
_UNITS: Final = 5040
_EXACT_COUNT: Final = 60
_EXACT_TOTAL: Final = 1024


@dataclass(frozen=True, slots=True)
class Rule(Record):
    """How a comparison of samples is decided.

    :param margin: a drop of the mean score that is small enough to be no loss.
    :param alpha: chance of calling chance a regression.
    :param level: confidence of the interval; 1 - 2 alpha, so that each of its ends errs as often as alpha says.
    """

    margin: float = 0.05
    alpha: float = 0.05
    level: float = 0.9

    @classmethod
    def of(cls, margin: float, alpha: float) -> Rule:
        """The rule for one comparison."""
        return cls(margin, alpha, 1 - 2 * alpha)

    def halved(self) -> Rule:
        """The rule for each of two looks at the same samples: all together, and family by family."""
        return Rule(self.margin, self.alpha / 2, self.level)

    def decide(self, low: float, chance: float) -> Answer:
        """The answer from the lower end of `interval` and the p-value of `sign_flip`.

        An interval that lies above the margin shows that nothing that matters was lost, even if chance does not
        explain a small drop. Else a drop that chance does not explain is a regression; else nobody can tell.
        """
        if low > -self.margin:
            return "no-regression"
        return "regression" if chance <= self.alpha else "cannot-tell"


def sign_flip(changes: Sequence[float]) -> float:
    """Chance of changes as bad as these or worse if neither file were better: one-sided p-value for harm, mid-p.

    The sign-flip (randomisation) test on the sum: each change is as likely to be a gain as a loss of its size. Half of
    the chance of exactly this sum counts (mid-p; Fagerland, Lydersen and Laake 2013, BMC Med Res Methodol 13:91), so
    for changes of -1, 0 and 1 this is McNemar's mid-p test. Exact up to 60 changes that are not 0, and beyond as long
    as their sizes add up to 1024 common units; above by the normal distribution. 0.5 without any change.
    """
    return _sign_flip(tuple(sorted(units for change in changes if (units := round(change * _UNITS)))))


@lru_cache(maxsize=4096)
def _sign_flip(changes: tuple[int, ...]) -> float:
    step = math.gcd(*changes) or 1
    sizes = [abs(change) // step for change in changes]
    total = sum(sizes)
    # the sum is twice the gains less the total, so the gains alone are compared
    gains = sum(change // step for change in changes if change > 0)
    if len(sizes) > _EXACT_COUNT and total > _EXACT_TOTAL:
        return NormalDist().cdf((2 * gains - total) / math.sqrt(sum(size * size for size in sizes)))
    if total == len(sizes):  # all of one size: binomial
        ways_of = [1]
        for number in range(gains):
            ways_of.append(ways_of[-1] * (total - number) // (number + 1))
        return (2 * sum(ways_of[:gains]) + ways_of[gains]) / (1 << (total + 1))
    # one big integer holds in its digits in how many ways each sum of gains comes about; a digit holds 2 ** len(sizes)
    width = len(sizes) + 1
    ways = 1
    for size in sizes:
        ways += ways << (size * width)
    below = ways & ((1 << (gains * width)) - 1)
    # the remainder by base - 1 is the sum of the digits
    fewer = below % ((1 << width) - 1)
    same = (ways >> (gains * width)) & ((1 << width) - 1)
    return (2 * fewer + same) / (1 << width)


def interval(changes: Sequence[float], *, runs: int = 1, level: float = 0.9) -> tuple[float, float]:
    """Where the true mean change lies with ``level`` confidence: (low, high), within -1 and 1.

    Bonett and Price's adjusted interval, generalised: two pseudo tests with the changes +a and -a are added, a =
    1/sqrt(runs), so that changes that are all equal never give an interval of width 0; Student's t.

    :param changes: one a test, or one a cluster; at least one.
    :param runs: answers behind each change; repeats that are all the same count once.
    """
    return interval_of_sums(len(changes), sum(changes), sum(c * c for c in changes), runs=runs, level=level)


def interval_of_sums(
    count: int, total: float, squares: float, *, runs: int = 1, level: float = 0.9
) -> tuple[float, float]:
    """`interval` of ``count`` changes of which only the sum and the sum of the squares are known."""
    everyone = count + 2
    mean = total / everyone
    spread = (squares + 2 / runs) / everyone - mean * mean
    half = t_quantile((1 + level) / 2, everyone - 1) * math.sqrt(max(0.0, spread) / everyone)
    return max(-1.0, mean - half), min(1.0, mean + half)


def clustered(changes: Sequence[float], clusters: Sequence[str]) -> list[float]:
    """One change a cluster, so scaled that their mean is the mean over the tests; an empty name is its own cluster.

    Tests that share a template or a document rise and fall together; their sum moves as one.
    """
    sums: dict[str, float] = {}
    for number, (change, cluster) in enumerate(zip(changes, clusters, strict=True)):
        name = f"={cluster}" if cluster else f"#{number}"
        sums[name] = sums.get(name, 0.0) + change
    return [value * len(sums) / len(changes) for value in sums.values()]


def holm(chances: Sequence[float]) -> list[float]:
    """P-values adjusted for looking at all of them at once (Holm 1979, Scand J Stat 6:65), in the order given."""
    adjusted = [0.0] * len(chances)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        worst = max(worst, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = worst
    return adjusted


@dataclass(frozen=True, slots=True)
class Ratio(Record):
    """A geometric mean ratio of candidate to baseline over ``pairs`` pairs with its 90 % t interval.

    ``low`` and ``high`` are None below three pairs: there is no interval then, and nothing to decide.
    """

    pairs: int
    ratio: float
    low: float | None
    high: float | None

    def exceeds(self, limit: float) -> bool:
        """Whether the ratio is above ``limit`` and its interval above 1."""
        return self.low is not None and self.low > 1 and self.ratio > limit

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"x{self.ratio:.2f} over {self.pairs} pairs, too few for an interval"
        return f"x{self.ratio:.2f} (90 % interval {self.low:.2f} to {self.high:.2f}, {self.pairs} pairs)"


def paired_ratio(pairs: Sequence[tuple[float, float]]) -> Ratio | None:
    """Candidate over baseline from (baseline, candidate) pairs of positive numbers; None without a pair.

    The interval is that of the mean log ratio by Student's t; pairing takes the difference between questions out.
    """
    logs = [math.log(candidate / baseline) for baseline, candidate in pairs]
    if not logs:
        return None
    mean = fmean(logs)
    if len(logs) < 3:
        return Ratio(len(logs), math.exp(mean), None, None)
    half = t_quantile(0.95, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return Ratio(len(logs), math.exp(mean), math.exp(mean - half), math.exp(mean + half))


@lru_cache(maxsize=4096)
def t_quantile(probability: float, freedom: int) -> float:
    """Student's t: the value that is not exceeded with ``probability`` (0.5 to 1), by bisection of the distribution."""
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < probability:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _t_below(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _t_below(value: float, freedom: int) -> float:
    """P(T <= value) for value >= 0: the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan2(value, math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2 == 1
    term = total = cosine if odd else 1.0
    for step in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    if odd:
        inside = 2 / math.pi * (angle + (sine * total if freedom > 1 else 0.0))
    else:
        inside = sine * total
    return (1 + inside) / 2
