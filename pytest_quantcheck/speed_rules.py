"""Whether a candidate is slower than its baseline, and whether a speed reaches a floor. Pure.

The rules and their simulated errors: docs/explanation/speed.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from statistics import median
from statistics import quantiles
from statistics import stdev
from typing import Final

from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.records import Answer
from pytest_quantcheck.statistics import t_quantile

MARGINS: Final = {"decode": 0.05, "prefill": 0.05, "ttft": 0.10}
"""Metric -> the loss of speed that is small enough to be none."""
UNITS: Final = {"decode": "tok/s", "prefill": "tok/s", "ttft": "s"}
FIGURES: Final[dict[str, Callable[[Bench], Sequence[float]]]] = {
    "decode": lambda bench: bench.decode_tok_s,
    "prefill": lambda bench: bench.prefill_tok_s,
    "ttft": lambda bench: [1 / seconds if seconds > 0 else 0.0 for seconds in bench.ttft_s],
}
"""Metric -> the speeds in a measurement, one a repetition; of a time its inverse."""
FEWEST_PAIRS: Final = 3
"""Fewer have no interval worth its name."""
RESTLESS: Final = 0.03
"""A `variation` of one model's own runs above this asks for twice as many pairs."""
UNSTEADY: Final = 0.10
"""A `variation` of one model's own runs above this forbids a verdict."""
_CONFIDENCE: Final = 0.95  # one-sided, at each end of the interval
_POWER: Final = 0.80
_FAR: Final = 3.0  # interquartile ranges beyond the quartiles
_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A geometric mean with its 90 % t interval; without ends below three values."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric, candidate against baseline. ``ratio`` and its ends are ratios of speeds: below 1 is slower.

    Of a time to the first token the speed is its inverse, so there too below 1 is slower.
    """

    metric: str
    baseline: float
    """Median, in the metric's unit."""
    candidate: float
    ratio: float
    low: float | None
    high: float | None
    pairs: int
    margin: float
    answer: Answer
    why: str
    detectable: float | None
    """The smallest loss of speed that so many pairs with this noise show four times in five."""
    spread: float | None
    """The larger `variation` of the two models' own runs."""
    outliers: int
    """Runs more than three interquartile ranges beyond the quartiles of their model; they count all the same."""

    is_refused: bool = False
    """Whether the measurement allows no verdict, whatever its figures say."""

    @property
    def interval(self) -> str:
        """'x0.97 (0.95 to 0.99)'."""
        ends = "" if self.low is None or self.high is None else f" ({self.low:.3g} to {self.high:.3g})"
        return f"x{self.ratio:.3g}{ends}"

    @property
    def word(self) -> str:
        """The answer in words."""
        return {"regression": "slower", "no-regression": "not slower", "cannot-tell": "cannot tell"}[self.answer]

    @property
    def doubt(self) -> str:
        """Why nothing can be read off the ratio."""
        return "this measurement carries no verdict" if self.is_refused else f"the interval {self.interval} is too wide"


def geometric(values: Sequence[float]) -> Interval:
    """The interval of the mean log, by Student's t: noise of a speed is a share of it. Positive values, one or more."""
    logs = [math.log(value) for value in values]
    mean = fmean(logs)
    if len(logs) < FEWEST_PAIRS:
        return Interval(math.exp(mean), None, None)
    half = t_quantile(_CONFIDENCE, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def sure_of(speeds: Sequence[float]) -> float | None:
    """The speed that is reached with 95 % confidence: the lower end of the interval. None for too few values.

    A median reaches a floor that lies at the true speed every other time; this end reaches it once in twenty times.
    """
    return geometric(speeds).low if _measured(speeds) else None


def shown(metric: str, speeds: Sequence[float]) -> list[float]:
    """Speeds in the unit of the metric."""
    return [1 / speed for speed in speeds] if metric == "ttft" else list(speeds)


def comparisons(duel: Duel) -> list[Comparison]:
    """The verdict on every metric that the duel is about and that was measured."""
    margins = duel.margins or MARGINS
    return [one for metric, margin in margins.items() if (one := compare(duel, metric, margin)) is not None]


def compare(duel: Duel, metric: str, margin: float | None = None) -> Comparison | None:
    """The verdict on one metric; None where some measurement has no such figure.

    Regression: the interval of the mean log ratio of neighbouring runs lies below 0 and the mean at the margin or
    below. No regression: the interval lies above the margin. Else, or when the machine was not steady: cannot tell.
    """
    margin = MARGINS[metric] if margin is None else margin
    old, new = (_speeds(side, metric) for side in (duel.baseline, duel.candidate))
    if not old or len(old) != len(new) or not (_measured(old) and _measured(new)):
        return None
    ratios = [theirs / ours for ours, theirs in zip(old, new, strict=True)]
    found = geometric(ratios)
    spread = max(variation(old), variation(new)) if len(ratios) >= FEWEST_PAIRS else None
    detectable = _detectable(ratios)
    why_not = _refusal(duel, (old, new), margin)
    answer: Answer = "cannot-tell"
    if why_not:
        why = why_not
    else:
        assert found.low is not None
        assert found.high is not None
        allowed = f"a loss of {_percent(margin)}"
        if found.high < 1 and found.mean <= 1 - margin:
            answer, why = "regression", f"slower by {_percent(1 - found.mean)}; {_percent(margin)} is allowed"
        elif found.low > 1 - margin:
            answer, why = "no-regression", f"{allowed} is excluded"
        else:
            why = f"{allowed} is neither shown nor excluded; so many runs with this noise show one of "
            why += _percent(detectable or 0.0)
    return Comparison(
        metric=metric,
        baseline=median(shown(metric, old)),
        candidate=median(shown(metric, new)),
        ratio=found.mean,
        low=found.low,
        high=found.high,
        pairs=len(ratios),
        margin=margin,
        answer=answer,
        why=why,
        detectable=detectable,
        spread=spread,
        outliers=outliers(old) + outliers(new),
        is_refused=bool(why_not),
    )


def combined(comparisons: Sequence[Comparison]) -> Answer:
    """The verdict on several metrics: a regression of one is one; no regression takes all of them."""
    answers = [one.answer for one in comparisons]
    if "regression" in answers:
        return "regression"
    return "no-regression" if answers and set(answers) == {"no-regression"} else "cannot-tell"


def is_restless(duel: Duel) -> bool:
    """Whether some model's own runs differ so much that twice as many pairs are worth their time."""
    series = (_speeds(side, metric) for side in (duel.baseline, duel.candidate) for metric in ("decode", "prefill"))
    return any(variation(speeds) > RESTLESS for speeds in series if len(speeds) >= FEWEST_PAIRS and _measured(speeds))


def variation(values: Sequence[float]) -> float:
    """Coefficient of variation around the fitted line, of three values or more; a steady drift is no unsteadiness.

    Runs in blocks of B C C B meet a drift alike, so that it cancels; how large it is says `trend`.
    """
    mean, slope = fmean(values), _slope(values)
    middle = (len(values) - 1) / 2
    left = sum((value - mean - slope * (at - middle)) ** 2 for at, value in enumerate(values))
    return math.sqrt(left / (len(values) - 2)) / mean


def outliers(values: Sequence[float]) -> int:
    """How many lie beyond the far fences: three interquartile ranges outside the quartiles (Tukey)."""
    if len(values) < 4:
        return 0
    first, _, third = quantiles(values, n=4, method="inclusive")
    reach = _FAR * (third - first)
    slack = _SAME * abs(third)
    return sum(not first - reach - slack <= value <= third + reach + slack for value in values)


def trend(values: Sequence[float]) -> float:
    """How much the fitted line changes from the first value to the last, as a share of their mean."""
    return _slope(values) * (len(values) - 1) / fmean(values)


def _slope(values: Sequence[float]) -> float:
    """Of the least-squares line, by place; two values or more."""
    middle, mean = (len(values) - 1) / 2, fmean(values)
    steps = sum((at - middle) ** 2 for at in range(len(values)))
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / steps


def _refusal(duel: Duel, sides: tuple[list[float], list[float]], margin: float) -> str:
    """Why these figures carry no verdict; '' when they do."""
    pairs = len(sides[0])
    if pairs < FEWEST_PAIRS:
        return f"{pairs} pair{'s' * (pairs != 1)} of runs; it takes {FEWEST_PAIRS} for an interval"
    if duel.warnings:
        return "; ".join(duel.warnings)
    for name, speeds in zip(("baseline", "candidate"), sides, strict=True):
        varies, drifts = variation(speeds), trend(speeds)
        if varies > UNSTEADY:
            return (
                f"the {name}'s own runs scatter by {_percent(varies)} (standard deviation), "
                f"more than {_percent(UNSTEADY)}: the machine was not steady"
            )
        if abs(drifts) > margin and not _interleaved(duel.order, pairs):
            return (
                f"the {name}'s speed changed by {_percent(abs(drifts))} from its first run to its last, "
                "and the models were not measured in turn"
            )
    return ""


def _interleaved(order: str, pairs: int) -> bool:
    """Whether each pair of neighbours holds both models."""
    return len(order) == 2 * pairs and all(order[at] != order[at + 1] for at in range(0, len(order), 2))


def _speeds(benches: Sequence[Bench], metric: str) -> list[float]:
    """One figure a measurement: the median of its repetitions; an entry without any is 0."""
    return [median(figures) if (figures := FIGURES[metric](bench)) else 0.0 for bench in benches]


def _measured(values: Sequence[float]) -> bool:
    return bool(values) and all(0 < value < math.inf for value in values)


def _detectable(ratios: Sequence[float]) -> float | None:
    if len(ratios) < FEWEST_PAIRS:
        return None
    quantile = t_quantile(_CONFIDENCE, len(ratios) - 1) + t_quantile(_POWER, len(ratios) - 1)
    return 1 - math.exp(-quantile * stdev(map(math.log, ratios)) / math.sqrt(len(ratios)))


def figure(value: float) -> str:
    """A speed or a time to four digits."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
