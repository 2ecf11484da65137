from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.forecast import ENOUGH
from pytest_quantcheck.forecast import Forecast
from pytest_quantcheck.forecast import Left
from pytest_quantcheck.records import Role


def near(number: float) -> Any:
    return pytest.approx(number, abs=0.1)


def forecast(tests: int, workers: int = 1) -> Forecast:
    made = Forecast(workers)
    made.expect((nodeid(role, test), role) for role in (Role.BASELINE, Role.CANDIDATE) for test in range(tests))
    return made


def nodeid(role: Role, test: int) -> str:
    return f"test_a.py::test_x[{role}-{test}]"


def run(made: Forecast, role: Role, tests: range, *, seconds: float, tokens: int, cached: bool = False) -> None:
    for test in tests:
        made.add(nodeid(role, test), 0.0)  # its setup
        made.add(nodeid(role, test), seconds, tokens, 0 if cached else tokens)
        made.finish(nodeid(role, test))


def test_nothing_is_said_before_a_few_tests_are_done() -> None:
    made = forecast(10)
    assert made.left(0.0) == Left(20, 20)
    run(made, Role.BASELINE, range(ENOUGH - 1), seconds=1, tokens=100)
    assert made.left(0.0) == Left(20 - ENOUGH + 1, 20)
    run(made, Role.BASELINE, range(ENOUGH - 1, ENOUGH), seconds=1, tokens=100)
    assert made.left(0.0).tokens is not None


def test_tests_that_are_all_alike() -> None:
    made = forecast(10)
    run(made, Role.BASELINE, range(4), seconds=2, tokens=100)

    assert made.left(0.0) == Left(16, 20, near(1600), near(32))
    # it counts down while nothing ends, and never below nothing
    assert made.left(12.0).seconds == near(20)
    assert made.left(99.0).seconds == 0


def test_a_candidates_test_costs_what_its_baseline_half_cost() -> None:
    made = forecast(10)
    for test in range(10):
        run(made, Role.BASELINE, range(test, test + 1), seconds=1, tokens=10 if test < 8 else 1000)
    run(made, Role.CANDIDATE, range(8), seconds=1, tokens=10)
    assert made.left(0.0) == Left(2, 20, near(2000), near(200))


def test_a_candidate_that_thinks_longer_and_runs_slower() -> None:
    made = forecast(10)
    run(made, Role.BASELINE, range(10), seconds=1, tokens=100)
    run(made, Role.CANDIDATE, range(5), seconds=6, tokens=300)

    left = made.left(0.0)
    assert left.tokens == pytest.approx(5 * 300)
    assert left.seconds == pytest.approx(5 * 6)


def test_the_seconds_of_the_load_are_not_taken_for_the_tests() -> None:
    made = forecast(10)
    run(made, Role.BASELINE, range(1), seconds=500, tokens=100)
    run(made, Role.BASELINE, range(1, 4), seconds=1, tokens=100)

    assert made.left(0.0).seconds == near(16)


def test_workers_share_the_time() -> None:
    made = forecast(10, workers=2)
    run(made, Role.BASELINE, range(2), seconds=500, tokens=100)
    run(made, Role.BASELINE, range(2, 6), seconds=1, tokens=100)

    assert made.left(0.0).seconds == pytest.approx(14 / 2)


def test_answers_of_the_cache_cost_nothing_and_say_nothing_of_speed() -> None:
    made = forecast(10)
    run(made, Role.BASELINE, range(10), seconds=0.001, tokens=100, cached=True)
    assert made.left(0.0) == Left(10, 20, near(1000))

    run(made, Role.CANDIDATE, range(4), seconds=2, tokens=100)
    assert made.left(0.0) == Left(6, 20, near(600), near(12))

    everything = forecast(10)
    run(everything, Role.BASELINE, range(10), seconds=0.001, tokens=100, cached=True)
    run(everything, Role.CANDIDATE, range(4), seconds=0.001, tokens=100, cached=True)
    assert everything.left(0.0) == Left(6, 20, near(0), near(0))


def test_tests_that_measure_take_as_long_as_they_took() -> None:
    made = forecast(10)
    run(made, Role.BASELINE, range(5), seconds=1, tokens=100)
    run(made, Role.BASELINE, range(5, 10), seconds=60, tokens=0)

    left = made.left(0.0)
    assert left.tokens == near(500)
    assert left.seconds == pytest.approx(5 + 5 * 60)


def test_one_side_alone() -> None:
    made = Forecast()
    made.expect((f"test_a.py::test_x[{test}]", Role.CANDIDATE) for test in range(10))
    for test in range(4):
        made.add(f"test_a.py::test_x[{test}]", 3, 50, 50)
        made.finish(f"test_a.py::test_x[{test}]")

    assert made.left(0.0) == Left(6, 10, near(300), near(18))


def test_one_slow_test_does_not_make_the_estimate_jump() -> None:
    made = forecast(100)
    run(made, Role.BASELINE, range(10), seconds=1, tokens=100)
    before = made.left(0.0).seconds
    run(made, Role.BASELINE, range(10, 11), seconds=60, tokens=100)
    after = made.left(0.0).seconds
    assert before is not None
    assert after is not None
    assert before * 1.2 < after < before * 3  # the mean alone would be 6.9 times as long


def test_what_is_run_again_or_not_ours_counts_once_or_not() -> None:
    made = forecast(2)
    run(made, Role.BASELINE, range(2), seconds=1, tokens=1)
    run(made, Role.BASELINE, range(2), seconds=1, tokens=1)
    made.add("test_a.py::test_other", 5.0)
    made.finish("test_a.py::test_other")

    assert made.left(0.0) == Left(2, 4)


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 10**5), st.booleans()), min_size=40, max_size=40),
    st.integers(1, 4),
)
def test_whatever_happens_it_ends_at_nothing_and_never_says_nonsense(
    took: list[tuple[float, int, bool]], workers: int
) -> None:
    made = forecast(20, workers)
    tests = [(role, test) for role in (Role.BASELINE, Role.CANDIDATE) for test in range(20)]
    now = 0.0
    for (role, test), (seconds, tokens, cached) in zip(tests, took, strict=True):
        run(made, role, range(test, test + 1), seconds=seconds, tokens=tokens, cached=cached)
        now += seconds
        left = made.left(now)
        assert left.tokens is None or left.tokens >= 0
        assert left.seconds is None or left.seconds >= 0
    assert made.left(now) == Left(0, 40)


def test_a_question_costs_the_same_in_a_large_run() -> None:
    def seconds_for(tests: int) -> float:
        made = forecast(tests)
        run(made, Role.BASELINE, range(tests), seconds=1, tokens=10)
        start = time.perf_counter()
        for test in range(100):
            run(made, Role.CANDIDATE, range(test, test + 1), seconds=1, tokens=10)
            made.left(float(test))
        return time.perf_counter() - start

    assert seconds_for(20_000) < 20 * min(seconds_for(200) for _ in range(3))
