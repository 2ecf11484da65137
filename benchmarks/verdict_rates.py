"""How often the verdict on samples is right where the truth is known: simulated observations, the plugin's own code.

    python -m benchmarks.verdict_rates [--replicates 10000] [--write]

``--write`` puts the tables into docs/explanation/verdicts.md; everything is seeded.

The world: each test has a difficulty, a logit drawn from a normal distribution with standard deviation 3 around 1.5, so
that a file passes about two thirds of the tests. Each file adds its own small error to it, which makes 8 % of greedy
answers flip between two equally good files, 4 % each way. A worse file has a shift on top that costs so many points of
the pass rate. Greedy: a test passes when its logit is above 0. Sampled: each of k answers passes with the logit's
probability. Both files' observations are judged pair by pair (`verdict.judge`) and all together
(`samples.judge_samples`).
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.simulation import tell
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import RunScores
from pytest_quantcheck.records import Score
from pytest_quantcheck.records import Status
from pytest_quantcheck.samples import Samples
from pytest_quantcheck.samples import judge_samples
from pytest_quantcheck.statistics import Rule
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.verdict import judge

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "verdicts.md"
BEGIN: Final = "<!-- rates: made by python -m benchmarks.verdict_rates --write -->\n"
END: Final = "<!-- end of rates -->\n"
SIZES: Final = (6, 20, 50, 200, 500)
DROPS: Final = (0.0, 0.05, 0.10, 0.20)
SPREAD: Final = 3.0
CENTRE: Final = 1.5
FLIPS: Final = 0.08

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_DIFFICULTY: Final = CENTRE + SPREAD * np.linspace(-6, 6, 4001)
_WEIGHT: Final = np.exp(-(((_DIFFICULTY - CENTRE) / SPREAD) ** 2) / 2)
_ERRORS: Final = np.linspace(-6, 6, 61)
_ERROR_WEIGHT: Final = np.exp(-(_ERRORS**2) / 2)


@dataclass(frozen=True)
class Rates:
    """What came out of many simulated runs of one kind; shares of the replicates."""

    regression: float
    no_regression: float
    covered: float
    """The interval held the true change."""


def _solve(function: Callable[[float], float], target: float, high: float) -> float:
    """Where a rising function reaches ``target``, from 0 to ``high``."""
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return low


def _mean(values: Floats) -> float:
    return float(np.average(values, weights=_WEIGHT))


def _greedy_pass(error: float, shift: float = 0.0) -> Floats:
    """For each difficulty, how likely a file's own error leaves the logit above 0."""
    scaled = (_DIFFICULTY - shift) / max(error, 1e-9) / math.sqrt(2)
    return np.array([(1 + math.erf(value)) / 2 for value in scaled])


def _sampled_pass(error: float, shift: float = 0.0) -> Floats:
    standing = (_DIFFICULTY - shift)[:, None] + error * _ERRORS
    return np.asarray(np.average(1 / (1 + np.exp(-standing)), axis=1, weights=_ERROR_WEIGHT))


@cache
def file_error() -> float:
    """Standard deviation of a file's own error that makes the stated share of greedy answers flip."""

    def flips(error: float) -> float:
        passes = _greedy_pass(error)
        return _mean(2 * passes * (1 - passes))

    return _solve(flips, FLIPS, 5.0)


@cache
def shift_for(drop: float, runs: int) -> float:
    """The shift of the logit that costs ``drop`` of the pass rate."""
    if drop == 0:
        return 0.0
    passing = _greedy_pass if runs == 1 else _sampled_pass
    before = _mean(passing(file_error()))
    return _solve(lambda shift: before - _mean(passing(file_error(), shift)), drop, 20.0)


def passes(
    chance: np.random.Generator, tests: tuple[int, ...], runs: int, drop: float | Floats, *, sampled: bool
) -> tuple[Counts, Counts]:
    """How many of ``runs`` answers pass on the baseline and on the candidate, in the shape of ``tests``."""
    difficulty = chance.normal(CENTRE, SPREAD, tests)
    shift = np.vectorize(lambda share: shift_for(float(share), 2 if sampled else 1))(np.asarray(drop))
    logits = [difficulty + chance.normal(0, file_error(), tests) - lower for lower in (0.0, shift)]
    if not sampled:
        return tuple(runs * (logit > 0).astype(np.int64) for logit in logits)  # type: ignore[return-value]
    return tuple(chance.binomial(runs, 1 / (1 + np.exp(-logit))) for logit in logits)  # type: ignore[return-value]


@cache
def judged(baseline: int, candidate: int, runs: int, family: str = "sums") -> Result:
    """The plugin's verdict on one sample of which so many of ``runs`` answers passed."""

    def observed(role: Role, passed: int) -> Observation:
        each = tuple(RunScores(Status.OK, run < passed, (float(run < passed),), 0) for run in range(runs))
        return Observation("test", role, Status.OK, (Score("assertions", passed / runs, ""),), runs=runs, each=each)

    old, new = observed(Role.BASELINE, baseline), observed(Role.CANDIDATE, candidate)
    return Result("test", "test[candidate]", "assertions", family, new, judge(old, new, sample=True), old)


@cache
def _verdict(pairs: tuple[tuple[tuple[int, int, int, str], int], ...]) -> Samples:
    """The verdict on samples that came out like this, each so many times; the order makes no difference."""
    verdict = judge_samples([judged(*pair) for pair, count in pairs for _ in range(count)], Rule())
    assert verdict is not None
    return verdict


def verdict(old: Sequence[int], new: Sequence[int], runs: int, families: Sequence[str] | None = None) -> Samples:
    """The verdict on one simulated run."""
    counts: dict[tuple[int, int, int, str], int] = {}
    for number, (before, after) in enumerate(zip(old, new, strict=True)):
        pair = (before, after, runs, families[number] if families else "sums")
        counts[pair] = counts.get(pair, 0) + 1
    return _verdict(tuple(sorted(counts.items())))


def rates(size: int, runs: int, drop: float, *, sampled: bool, replicates: int) -> Rates:
    """Simulate one situation; the seed follows from it."""
    chance = np.random.default_rng(zlib.crc32(f"{size} {runs} {drop} {sampled}".encode()))
    old, new = passes(chance, (replicates, size), runs, drop, sampled=sampled)
    verdicts = [verdict(*sides, runs) for sides in zip(old.tolist(), new.tolist(), strict=True)]
    _verdict.cache_clear()
    truth = -drop
    return Rates(
        sum(one.answer == "regression" for one in verdicts) / replicates,
        sum(one.answer == "no-regression" for one in verdicts) / replicates,
        sum(one.everything.low <= truth <= one.everything.high for one in verdicts) / replicates,
    )


def family_rates(drops: Sequence[float], *, tests: int = 50, replicates: int) -> dict[str, float]:
    """Greedy samples in families that lose so much each: how often something, or the first family, is blamed."""
    chance = np.random.default_rng(zlib.crc32(f"families {drops} {tests}".encode()))
    names = [f"family {number}" for number in range(len(drops)) for _ in range(tests)]
    each = np.repeat(np.asarray(drops), tests)
    old, new = passes(chance, (replicates, len(names)), 1, each, sampled=False)
    verdicts = [verdict(*sides, 1, names) for sides in zip(old.tolist(), new.tolist(), strict=True)]
    _verdict.cache_clear()
    return {
        "regression": sum(one.answer == "regression" for one in verdicts) / replicates,
        "pooled": sum(one.everything.answer == "regression" for one in verdicts) / replicates,
        "first": sum(any(f.name == "family 0" for f in one.regressed) for one in verdicts) / replicates,
        "innocent": sum(any(f.name != "family 0" for f in one.regressed) for one in verdicts) / replicates,
    }


_MODES: Final = (("greedy", 1, False), ("sampled k=1", 1, True), ("sampled k=3", 3, True), ("sampled k=5", 5, True))
_FAMILIES: Final = (
    ("no difference", (0.0, 0.0, 0.0, 0.0)),
    ("the first loses 25 points", (0.25, 0.0, 0.0, 0.0)),
    ("all lose 5 points", (0.05, 0.05, 0.05, 0.05)),
)


def _cell(job: tuple[int, int, float, bool, int]) -> Rates:
    size, runs, drop, sampled, replicates = job
    return rates(size, runs, drop, sampled=sampled, replicates=replicates)


def _family_cell(job: tuple[tuple[float, ...], int]) -> dict[str, float]:
    return family_rates(job[0], replicates=job[1])


def tables(replicates: int) -> str:
    """Both tables as Markdown."""
    jobs = [(size, runs, drop, sampled, replicates) for _, runs, sampled in _MODES for size in SIZES for drop in DROPS]
    # the largest first, so that no process is left with one at the end
    order = sorted(range(len(jobs)), key=lambda index: -jobs[index][0] * jobs[index][1])
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(order, pool.map(_cell, [jobs[index] for index in order]), strict=True))
        by_family = list(pool.map(_family_cell, [(drops, replicates) for _, drops in _FAMILIES]))
    cells = iter(found[index] for index in range(len(jobs)))
    lines = [
        f"{replicates:,} simulated runs a figure; margin 5 points, alpha 0.05.",
        "",
        "| answers | samples | false regression | 'no regression' when there is none | 'no regression' at a drop of 5 "
        "| found: drop of 5 | of 10 | of 20 | interval holds the truth |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, _, _ in _MODES:
        for size in SIZES:
            none, five, ten, twenty = (next(cells) for _ in DROPS)
            covered = min(one.covered for one in (none, five, ten, twenty))
            shares = (
                none.regression, none.no_regression, five.no_regression,
                five.regression, ten.regression, twenty.regression, covered,
            )  # fmt: skip
            lines.append(f"| {name} | {size} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
    lines += [
        "",
        "Four families of 50 greedy samples each:",
        "",
        "| truth | regression | found in the sum | the first family is named | another family is named |",
        "|---|---|---|---|---|",
    ]
    for (truth, _), shares_by in zip(_FAMILIES, by_family, strict=True):
        lines.append(f"| {truth} | " + " | ".join(f"{share:.3f}" for share in shares_by.values()) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate, print, and write if asked."""
    tell("How often the verdict on samples is right", tables, 10_000, PAGE, BEGIN, END)


if __name__ == "__main__":
    main()
