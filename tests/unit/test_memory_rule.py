"""Memory against the baseline: exact where it follows from the files, with a margin where it is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.memory import Buffers
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.memory_rule import MARGIN
from pytest_quantcheck.memory_rule import NOISE
from pytest_quantcheck.memory_rule import compare

GB = 10**9
TAKEN = Buffers(8 * GB, GB, GB - 10**6, 10**6, 0)
OLD = Memory(4096, "f16", TAKEN, TAKEN, 4096, peak=11 * GB, resident=11 * GB, resident_file=8 * GB)


def with_weights(weights: int) -> Memory:
    taken = replace(TAKEN, weights=weights)
    return replace(OLD, estimate=taken, measured=taken)


def test_the_same_buffers_are_no_regression_and_said_so() -> None:
    assert compare(OLD, OLD) == ("no-regression", "against the baseline the same buffers; peak +0 B")


@pytest.mark.parametrize(
    ("weights", "answer"),
    [
        (8 * GB + 300_000_000, "no-regression"),
        (8 * GB + 300_000_001, "regression"),
        (8 * GB - 1, "no-regression"),
        (4 * GB, "no-regression"),
        (16 * GB, "regression"),
    ],
)
def test_what_follows_from_the_files_has_a_margin_and_no_noise(weights: int, answer: str) -> None:
    assert compare(OLD, with_weights(weights))[0] == answer


def test_a_difference_of_any_size_is_named() -> None:
    assert compare(OLD, with_weights(8 * GB + 1))[1] == "against the baseline weights +1 B, +0.0 % in all; peak +0 B"
    assert compare(OLD, with_weights(12 * GB)) == (
        "regression",
        "against the baseline weights +4.00 GB, +40.0 % in all: more than 3 % more",
    )


@pytest.mark.parametrize(
    ("before", "more", "answer"),
    [
        # beyond both the share and the bytes
        (11 * GB, 330_000_000, "no-regression"),
        (11 * GB, 330_000_001, "regression"),
        (GB, NOISE, "no-regression"),
        (GB, NOISE + 1, "regression"),
        (GB, -500_000_000, "no-regression"),
    ],
)
def test_a_peak_counts_beyond_the_margin_and_the_noise(before: int, more: int, answer: str) -> None:
    bare = replace(OLD, resident=None, resident_file=None)

    assert compare(replace(bare, peak=before), replace(bare, peak=before + more))[0] == answer


def test_a_peak_of_mapped_pages_says_nothing() -> None:
    more = replace(OLD, peak=12 * GB, resident=12 * GB, resident_file=9 * GB)
    own = replace(OLD, peak=12 * GB, resident=12 * GB, resident_file=8 * GB)

    answer, why = compare(OLD, more)

    assert (answer, compare(OLD, own)[0]) == ("cannot-tell", "regression")
    assert "page cache" in why


def test_what_a_graphics_device_holds_is_part_of_the_peak() -> None:
    bare = replace(OLD, resident=None, resident_file=None)

    assert compare(bare, replace(bare, device_taken={"CUDA0": GB}))[0] == "regression"
    # NVML knows whose memory it is
    assert compare(bare, replace(bare, device_taken={"CUDA0": GB}, video=0))[0] == "no-regression"
    assert compare(bare, replace(bare, device_taken={"CUDA0": -GB}))[0] == "no-regression"


@pytest.mark.parametrize(
    "other",
    [
        replace(OLD, context=8192, measured_context=8192),
        replace(OLD, kv_type="q8_0"),
        replace(OLD, measured_context=8192),
        replace(OLD, measured=replace(TAKEN, compute=None)),
    ],
)
def test_what_was_loaded_otherwise_is_not_compared(other: Memory) -> None:
    assert compare(OLD, other)[0] == compare(other, OLD)[0] == "cannot-tell"


def test_without_a_peak_the_files_decide() -> None:
    blind = replace(OLD, peak=None)

    assert compare(OLD, blind)[0] == "no-regression"
    assert compare(blind, replace(with_weights(12 * GB), peak=None))[0] == "regression"


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_of_two_files_at_most_one_is_worse(a: int, b: int) -> None:
    one, other = compare(with_weights(a), with_weights(b))[0], compare(with_weights(b), with_weights(a))[0]

    assert (one, other) != ("regression", "regression")
    rest = TAKEN.total - TAKEN.weights
    assert (one == "regression") == (b + rest > (a + rest) * (1 + MARGIN))
