"""The rule on speed: intervals by hand, refusals, simulated drift, spikes and cold starts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed_rates import BEGIN
from benchmarks.speed_rates import END
from benchmarks.speed_rates import MACHINES
from benchmarks.speed_rates import PAGE
from benchmarks.speed_rates import block_rates
from benchmarks.speed_rates import in_turn
from benchmarks.speed_rates import our_rates
from benchmarks.speed_rates import rates
from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.speed_rules import Comparison
from pytest_quantcheck.speed_rules import combined
from pytest_quantcheck.speed_rules import compare
from pytest_quantcheck.speed_rules import comparisons
from pytest_quantcheck.speed_rules import figure
from pytest_quantcheck.speed_rules import geometric
from pytest_quantcheck.speed_rules import is_restless
from pytest_quantcheck.speed_rules import outliers
from pytest_quantcheck.speed_rules import trend
from pytest_quantcheck.speed_rules import variation

REPLICATES = 500


def turns(old: list[float], new: list[float], order: str = "", warnings: tuple[str, ...] = ()) -> Duel:
    def side(speeds: list[float]) -> tuple[Bench, ...]:
        return tuple(Bench((1000.0,), (speed,), 512, 128) for speed in speeds)

    return Duel(side(old), side(new), order or ("BCCB" * len(old))[: 2 * len(old)], warnings=warnings)


def decode(duel: Duel, margin: float | None = None) -> Comparison:
    found = compare(duel, "decode", margin)
    assert found is not None
    return found


EVEN = [100.0, 101.0, 99.0, 100.0, 100.0]


def test_the_interval_by_hand() -> None:
    # logs 0, ln 2, ln 4: mean ln 2, sd ln 2, t(0.95, 2) = 2.920
    found = geometric([1.0, 2.0, 4.0])
    half = 2.91999 * math.log(2) / math.sqrt(3)

    assert found.mean == pytest.approx(2)
    assert found.low == pytest.approx(2 * math.exp(-half), rel=1e-4)
    assert found.high == pytest.approx(2 * math.exp(half), rel=1e-4)
    assert geometric([3.0, 3.0]).low is None


@pytest.mark.parametrize(
    ("new", "answer", "why"),
    [
        ([90.0, 91.0, 89.0, 90.0, 90.0], "regression", "slower by 10 %; 5 % is allowed"),
        ([98.0, 99.0, 97.0, 98.0, 98.0], "no-regression", "a loss of 5 % is excluded"),
        ([200.0, 200.0, 201.0, 199.0, 200.0], "no-regression", "a loss of 5 % is excluded"),
        ([97.0, 92.0, 101.0, 93.0, 98.0], "cannot-tell", "a loss of 5 % is neither shown nor excluded; so many runs"),
    ],
)
def test_the_rule(new: list[float], answer: str, why: str) -> None:
    found = decode(turns(EVEN, new))

    assert (found.answer, found.is_refused) == (answer, False)
    assert found.why.startswith(why)
    assert (found.baseline, found.pairs, found.margin) == (100.0, 5, 0.05)


def test_a_small_loss_that_is_shown_but_within_the_margin_is_none() -> None:
    found = decode(turns(EVEN, [speed * 0.97 for speed in EVEN]))
    assert found.high is not None
    assert found.high < 1
    assert found.answer == "no-regression"
    assert decode(turns(EVEN, [speed * 0.97 for speed in EVEN]), 0.02).answer == "regression"


def test_time_to_first_token_counts_by_its_inverse() -> None:
    def side(seconds: float) -> tuple[Bench, ...]:
        return tuple(Bench((), (), 512, 128, (seconds * share,)) for share in (1.0, 1.01, 0.99))

    found = compare(Duel(side(1.0), side(1.25), "BCCBBC"), "ttft")

    assert found is not None
    assert (found.answer, found.baseline, found.candidate) == ("regression", 1.0, 1.25)
    assert found.ratio == pytest.approx(0.8)
    assert found.margin == 0.10


@pytest.mark.parametrize(
    ("duel", "why"),
    [
        (turns([100.0] * 2, [50.0] * 2), "2 pairs of runs; it takes 3 for an interval"),
        (turns([100.0], [50.0]), "1 pair of runs; it takes 3"),
        (turns(EVEN, [50.0] * 5, warnings=("it was hot", "it was late")), "it was hot; it was late"),
        (turns([100.0, 130.0, 80.0, 120.0, 90.0], [50.0] * 5), "the baseline's own runs scatter by"),
        (turns(EVEN, [50.0, 65.0, 40.0, 60.0, 45.0]), "the candidate's own runs scatter by"),
        (
            turns([100.0, 98.0, 96.0, 94.0, 92.0], [50.0] * 5, "BBBBBCCCCC"),
            "the baseline's speed changed by 8.3 % from its first run to its last, and the models were not",
        ),
    ],
)
def test_what_is_refused(duel: Duel, why: str) -> None:
    found = decode(duel)
    assert (found.answer, found.is_refused) == ("cannot-tell", True)
    assert found.why.startswith(why)


def test_a_drift_is_no_reason_where_the_models_took_turns() -> None:
    falling = [100.0, 96.0, 92.0, 88.0, 84.0, 80.0]
    assert decode(turns(falling, [speed * 0.8 for speed in falling])).answer == "regression"
    assert decode(turns(falling, [speed * 0.8 for speed in falling], "BCBCBCCBBCBC")).answer == "regression"
    # ... of which every pair of neighbours has to hold both
    assert decode(turns(falling, [speed * 0.8 for speed in falling], "BBCCBCCBBCBC")).is_refused


def test_what_was_not_measured_is_not_compared() -> None:
    duel = turns(EVEN, EVEN)
    assert compare(duel, "ttft") is None
    assert [one.metric for one in comparisons(duel)] == ["decode", "prefill"]
    assert [one.metric for one in comparisons(replace(duel, margins={"decode": 0.5}))] == ["decode"]
    assert comparisons(replace(duel, margins={"decode": 0.5}))[0].margin == 0.5
    assert compare(turns([100.0, 0.0, 100.0], [100.0] * 3), "decode") is None
    assert compare(turns(EVEN, EVEN[:-1]), "decode") is None


def test_together_one_loss_is_enough_and_all_must_hold() -> None:
    kept, lost = decode(turns(EVEN, EVEN)), decode(turns(EVEN, [50.0] * 5))
    unsure = decode(turns([100.0], [100.0]))
    assert combined([kept, kept]) == "no-regression"
    assert combined([kept, unsure]) == "cannot-tell"
    assert combined([unsure, lost]) == "regression"
    assert combined([]) == "cannot-tell"


def test_more_pairs_are_asked_for_by_each_models_own_scatter_only() -> None:
    assert not is_restless(turns(EVEN, [speed / 2 for speed in EVEN]))
    rough = [100.0, 106.0, 95.0, 104.0, 96.0]
    assert is_restless(turns(rough, EVEN))
    assert is_restless(turns(EVEN, rough))
    # both scatter alike: the ratio is steady, the models are not
    assert is_restless(turns(rough, rough))


def test_outliers_are_counted_and_kept() -> None:
    assert outliers([100.0, 101.0, 99.0, 100.0, 100.0, 50.0]) == 1
    assert outliers([100.0] * 6) == 0
    assert outliers([100.0, 1.0, 100.0]) == 0
    found = decode(turns([100.0, 100.5, 99.5, 100.0, 100.0, 90.0], [100.0] * 6))
    assert (found.outliers, found.pairs) == (1, 6)
    assert found.ratio > 1.01


@pytest.mark.parametrize(
    ("pairs", "spread", "detectable"), [(3, 0.01, 0.032), (5, 0.02, 0.038), (10, 0.05, 0.059), (10, 0.10, 0.11)]
)
def test_the_smallest_loss_that_is_found(pairs: int, spread: float, detectable: float) -> None:
    # log ratios whose standard deviation is that of two runs
    wanted = np.random.default_rng(1).normal(0, 1, pairs)
    wanted = (wanted - wanted.mean()) / wanted.std(ddof=1) * spread * math.sqrt(2)

    found = decode(turns([100.0] * pairs, (100 * np.exp(wanted)).tolist()))

    assert found.detectable == pytest.approx(detectable, abs=0.006)


def test_a_steady_drift_is_trend_and_no_scatter() -> None:
    falling = [100.0, 98.0, 96.0, 94.0]
    assert trend(falling) == pytest.approx(-6 / 97)
    assert variation(falling) == pytest.approx(0, abs=1e-12)
    # an even alternation has no trend but for its ends
    assert variation([90.0, 110.0, 90.0, 110.0, 90.0, 110.0]) == pytest.approx(0.118, abs=0.002)


@given(st.lists(st.tuples(st.floats(50, 200), st.floats(50, 200)), min_size=3, max_size=10), st.floats(0.01, 100))
def test_the_answer_is_one_of_ratios(pairs: list[tuple[float, float]], scale: float) -> None:
    old, new = [a for a, _ in pairs], [b for _, b in pairs]
    found, scaled = decode(turns(old, new)), decode(turns([a * scale for a in old], [b * scale for b in new]))
    assert scaled.ratio == pytest.approx(found.ratio)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.ratio * (1 + 1e-9)
    assert found.ratio <= found.high * (1 + 1e-9)
    if found.answer == "regression":
        assert found.ratio <= 0.95
        assert decode(turns(new, old)).answer != "regression"


@pytest.mark.parametrize(
    ("value", "words"), [(12345.6, "12346"), (999.96, "1000"), (42.918, "42.92"), (0.01234, "0.01234")]
)
def test_figures(value: float, words: str) -> None:
    assert figure(value) == words


# --- simulated sessions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.02, 0.05])
@pytest.mark.parametrize("machine", MACHINES)
def test_false_regressions_are_at_most_one_in_twenty(machine: str, noise: float) -> None:
    assert our_rates(machine, noise, 0.0, replicates=REPLICATES).regression <= 0.05


@pytest.mark.parametrize(("runs", "least"), [(5, 0.48), (10, 0.66)])
def test_one_model_after_the_other_would_be_wrong_on_a_machine_that_slows_down(runs: int, least: float) -> None:
    """The contrast: without this the test above could hold for any rule."""
    assert block_rates("loses 12 %", 0.05, runs=runs, replicates=REPLICATES).regression >= least
    assert block_rates("loses 12 %", 0.02, runs=runs, replicates=REPLICATES).regression >= 0.75


@pytest.mark.parametrize("machine", ["even", "loses 12 %", "another load comes and goes (5 %)"])
@pytest.mark.parametrize(("noise", "loss", "least"), [(0.02, 0.10, 0.98), (0.05, 0.10, 0.90), (0.05, 0.20, 0.94)])
def test_power(machine: str, noise: float, loss: float, least: float) -> None:
    found = our_rates(machine, noise, loss, replicates=100)
    assert found.regression >= least
    assert found.no_regression <= 0.01


@pytest.mark.parametrize(
    ("pairs", "false", "kept", "power"), [(3, 0.05, 0.11, 0.40), (5, 0.05, 0.31, 0.78), (10, 0.03, 0.60, 0.96)]
)
def test_a_fixed_number_of_pairs_on_a_ramp(pairs: int, false: float, kept: float, power: float) -> None:
    """One metric, 5 % noise, 12 % lost over the session."""

    def share(loss: float, answer: str) -> float:
        machine = replace(MACHINES["even"], ramp=1 - 0.88 ** (9 / (2 * pairs - 1)))
        found = rates(
            lambda chance: decode(in_turn(chance, machine, pairs, 0.05, loss)).answer, REPLICATES, f"ramp {pairs}"
        )
        return found.regression if answer == "regression" else found.no_regression

    assert share(0.0, "regression") <= false
    assert share(0.0, "no-regression") >= kept
    assert share(0.10, "regression") >= power


def test_a_cold_first_run_that_nobody_discards_hides_a_loss_and_invents_none() -> None:
    def share(loss: float, cold: float) -> float:
        return rates(
            lambda chance: decode(in_turn(chance, replace(MACHINES["even"], cold=cold), 3, 0.05, loss)).answer,
            REPLICATES,
            "cold",
        ).regression

    assert share(0.0, 0.15) <= 0.05
    assert share(0.10, 0.15) < share(0.10, 0.0)


def test_the_page_has_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index(BEGIN) : page.index(END)]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if " % | 0." in line]

    assert len(rows) == 2 * len(MACHINES)
    assert {row[0] for row in rows} == set(MACHINES)
    assert all(float(row[3]) <= 0.05 for row in rows)
    assert max(float(share) for row in rows for share in row[2].split(";")) > 0.7
