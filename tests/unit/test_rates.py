"""How often the verdict on samples is right: simulated observations through the plugin's own code, bounds asserted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.verdict_rates import BEGIN
from benchmarks.verdict_rates import CENTRE
from benchmarks.verdict_rates import END
from benchmarks.verdict_rates import FLIPS
from benchmarks.verdict_rates import PAGE
from benchmarks.verdict_rates import SPREAD
from benchmarks.verdict_rates import family_rates
from benchmarks.verdict_rates import file_error
from benchmarks.verdict_rates import passes
from benchmarks.verdict_rates import rates
from benchmarks.verdict_rates import shift_for

REPLICATES = 10_000
pytestmark = pytest.mark.once


@pytest.mark.parametrize("size", [6, 20, 50, 200])
@pytest.mark.parametrize(("runs", "sampled"), [(1, False), (3, True)], ids=["greedy", "three answers"])
def test_false_alarms_and_coverage_without_a_difference(size: int, runs: int, sampled: bool) -> None:
    found = rates(size, runs, 0.0, sampled=sampled, replicates=REPLICATES)

    assert found.regression <= 0.06
    assert found.covered >= 0.88


@pytest.mark.parametrize(
    ("size", "runs", "drop", "least"),
    [(50, 1, 0.20, 0.97), (200, 1, 0.10, 0.98), (20, 3, 0.20, 0.83), (50, 3, 0.10, 0.72)],
)
def test_power(size: int, runs: int, drop: float, least: float) -> None:
    found = rates(size, runs, drop, sampled=runs > 1, replicates=1000)

    assert found.regression >= least
    assert found.no_regression <= 0.01


@pytest.mark.parametrize(("size", "runs"), [(50, 1), (200, 1), (50, 3), (500, 1)])
def test_a_drop_as_large_as_the_margin_is_rarely_cleared(size: int, runs: int) -> None:
    assert rates(size, runs, 0.05, sampled=runs > 1, replicates=1000).no_regression <= 0.08


def test_damage_in_one_family_is_found_where_the_sum_hides_it() -> None:
    none = family_rates((0.0,) * 4, replicates=2000)
    one = family_rates((0.25, 0.0, 0.0, 0.0), replicates=500)

    assert none["regression"] <= 0.06
    assert one["first"] >= 0.9
    assert one["first"] > one["pooled"] + 0.1
    assert one["innocent"] <= 0.04


def test_the_simulated_world_is_what_it_says() -> None:
    chance = np.random.default_rng(1)
    old, new = passes(chance, (400, 500), 1, 0.0, sampled=False)
    lower = passes(chance, (400, 500), 1, 0.10, sampled=False)
    sampled = passes(chance, (400, 500), 3, 0.10, sampled=True)

    assert np.mean(old != new) == pytest.approx(FLIPS, abs=0.003)
    assert np.mean(old > new) == pytest.approx(FLIPS / 2, abs=0.002)
    assert np.mean(lower[1]) - np.mean(lower[0]) == pytest.approx(-0.10, abs=0.005)
    assert (np.mean(sampled[1]) - np.mean(sampled[0])) / 3 == pytest.approx(-0.10, abs=0.005)
    # the pass rate by the normal distribution itself
    spread = math.hypot(SPREAD, file_error())
    assert np.mean(old) == pytest.approx((1 + math.erf(CENTRE / spread / math.sqrt(2))) / 2, abs=0.005)
    assert shift_for(0.0, 1) == 0


def test_the_page_has_the_tables() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index(BEGIN) : page.index(END)]

    assert f"{REPLICATES:,} simulated runs a figure" in table
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith(("| greedy", "| sampled"))]
    assert len(rows) == 20
    for row in rows:
        false_alarms, covered = float(row[2]), float(row[-1].strip(" |"))
        assert false_alarms <= 0.06
        assert covered >= 0.88
