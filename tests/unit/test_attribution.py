"""What a difference in decode speed is owed to: every sentence, and the published figures' shape."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.attribution import Attribution
from pytest_quantcheck.attribution import Traffic
from pytest_quantcheck.attribution import attribute
from pytest_quantcheck.benches import Bench
from pytest_quantcheck.benches import Duel
from pytest_quantcheck.speed_rules import Comparison
from pytest_quantcheck.speed_rules import compare

SCATTER = (1.0, 1.004, 0.996, 1.002, 0.998)
SMALL = Traffic(6e9, 0.5e9, "abc", "Q4_0")
LARGE = Traffic(7.3e9, 0.5e9, "def", "Q4_K")


def decode(old: float, new: float, scatter: tuple[float, ...] = SCATTER) -> Comparison:
    def side(speed: float, shares: tuple[float, ...]) -> tuple[Bench, ...]:
        return tuple(Bench((), (speed * share,), 512, 128) for share in shares)

    found = compare(Duel(side(old, scatter), side(new, scatter[::-1]), ("BCCB" * 5)[: 2 * len(scatter)]), "decode")
    assert found is not None
    return found


def owed(old: float, new: float, *, scatter: tuple[float, ...] = SCATTER, peak: float | None = 500e9) -> Attribution:
    found = attribute(LARGE, SMALL, decode(old, new, scatter), peak_bytes_s=peak)
    assert found is not None
    return found


def test_the_bytes_explain() -> None:
    found = owed(40.0, 48.0)  # 7.8 / 6.5 = 1.2

    assert (found.cause, found.next_file) == ("bytes", "")
    assert [found.predicted, found.observed, found.residual] == pytest.approx([1.2, 1.2, 1.0])
    assert list(found.bandwidths) == pytest.approx([312e9, 312e9])
    assert found.sentence == "explained by bytes: the bytes that a token reads predict x1.2, measured x1.2"


@pytest.mark.parametrize(("new", "left"), [(60.0, "x1.25"), (40.0, "x0.833")])
def test_what_the_bytes_leave_over_is_the_kernels(new: float, left: str) -> None:
    found = owed(40.0, new)

    assert found.cause == "kernel-or-type"
    assert f"{left} is left for the kernels of the types (Q4_0 against Q4_K), not for the recipe" in found.sentence
    assert found.next_file == "a PTQ file with the candidate's tensor types: it has the format without the recipe"


def test_a_residual_close_to_one_needs_no_kernels() -> None:
    assert owed(40.0, 48.0 * 1.025).cause == "bytes"
    assert owed(40.0, 48.0 / 1.025).cause == "bytes"
    assert owed(40.0, 48.0 * 1.06).cause == "kernel-or-type"


def test_the_same_tensors_cannot_differ_in_speed() -> None:
    same = replace(LARGE, types="Q4_K")

    wrong = attribute(LARGE, same, decode(40.0, 45.0))
    right = attribute(LARGE, same, decode(40.0, 40.1))

    assert wrong is not None
    assert wrong.cause == "measurement-problem"
    assert wrong.sentence.startswith(
        "both files have the same tensor table, so the recipe cannot do this: measured x1.12"
    )
    assert wrong.next_file == "the baseline against a copy of itself (A/A)"
    assert right is not None
    assert (right.cause, right.next_file) == ("none", "")
    assert "a training recipe cannot change decode speed" in right.sentence


def test_the_same_tensors_with_another_cache_may_differ() -> None:
    found = attribute(LARGE, replace(LARGE, keys_and_values=0.25e9), decode(40.0, 40.0 * 7.8 / 7.55))
    assert found is not None
    assert found.cause == "bytes"


@pytest.mark.parametrize(
    "scatter", [(1.0, 1.01), (1.0,), (1.0, 1.4, 0.7, 1.0, 1.2), (1.0, 1.08, 0.92, 1.07, 0.95, 0.9)]
)
def test_few_or_restless_runs_tell_nothing(scatter: tuple[float, ...]) -> None:
    found = owed(40.0, 60.0 if len(scatter) < 3 else 48.0, scatter=scatter)

    assert found.cause == "cannot-tell"
    assert found.sentence.startswith("cannot tell what the difference is owed to: the bytes that a token reads predict")
    assert found.next_file == (
        "both files again, more often or on a steadier machine, "
        "and a PTQ file with the candidate's tensor types: it has the format without the recipe"
    )


@pytest.mark.parametrize(("peak", "cause"), [(700e9, "not-bandwidth-bound"), (600e9, "bytes"), (None, "bytes")])
def test_below_half_of_the_memorys_speed_bytes_set_no_pace(peak: float | None, cause: str) -> None:
    found = owed(40.0, 48.0, peak=peak)
    assert found.cause == cause
    assert ("whether memory sets the pace is open" in found.sentence) == (peak is None)


def test_either_model_can_be_the_one_that_memory_does_not_hold_up() -> None:
    # 312 and 468 GB/s of 700: the baseline's pace is set by something else
    assert owed(40.0, 72.0, peak=700e9).cause == "not-bandwidth-bound"
    assert owed(60.0, 48.0, peak=700e9).cause == "not-bandwidth-bound"
    assert owed(60.0, 72.0, peak=700e9).cause == "bytes"


def test_a_measurement_that_is_refused_explains_nothing() -> None:
    refused = replace(decode(40.0, 48.0), is_refused=True, why="it was hot")
    found = attribute(LARGE, SMALL, refused, peak_bytes_s=500e9)
    assert found is not None
    assert found.cause == "cannot-tell"
    assert found.sentence.endswith("which leaves x1, and this measurement carries no verdict")
    # of two files with the same tensors a third one would say nothing new
    same = attribute(LARGE, LARGE, refused)
    assert same is not None
    assert same.next_file == "both files again, more often or on a steadier machine"


def test_an_unknown_file_is_owed_nothing() -> None:
    assert attribute(Traffic(0.0), SMALL, decode(40.0, 48.0)) is None
    assert attribute(SMALL, Traffic(0.0), decode(40.0, 48.0)) is None


def test_tables_that_nobody_knows_are_not_the_same() -> None:
    unknown = Traffic(6e9)
    found = attribute(unknown, unknown, decode(40.0, 50.0))
    assert found is not None
    assert found.cause == "kernel-or-type"


@given(st.floats(1e6, 1e11), st.floats(1e6, 1e11), st.floats(1, 1000), st.floats(0.5, 2))
def test_observed_is_predicted_times_residual(old: float, new: float, speed: float, ratio: float) -> None:
    found = attribute(Traffic(old), Traffic(new), decode(speed, speed * ratio))

    assert found is not None
    assert found.predicted * found.residual == pytest.approx(found.observed)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.residual <= found.high
    assert found.bandwidths[1] / found.bandwidths[0] == pytest.approx(found.residual, rel=0.02)
