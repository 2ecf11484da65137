"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.sizes import parse_size
from pytest_quantcheck.sizes import size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("12 GB", 12 * 10**9),
        ("11.5 GiB", 23 << 29),
        ("12gb", 12 * 10**9),
        (" 1 TiB ", 1 << 40),
        ("512 MB", 512 * 10**6),
        ("64 KiB", 65536),
        ("3 kB", 3000),
        ("7 B", 7),
        (5, 5),
    ],
)
def test_units_of_ten_and_of_two(text: object, count: int) -> None:
    assert parse_size(text) == count


WRONG = ["", "12", "GB", "12 G", "-1 GB", "1e3 GB", "0 GB", "12 GBit", "1,5 GB", "٣ GB"]


@pytest.mark.parametrize("wrong", [*WRONG, 0, -5, True, 1.5, None, (1 << 62) + 1])
def test_all_else_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="GiB"):
        parse_size(wrong)


@given(st.integers(1, 10**13))
def test_what_is_shown_reads_back_within_a_hundredth(count: int) -> None:
    assert abs(parse_size(size(count)) - count) <= max(1, count / 100)
