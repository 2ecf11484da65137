"""Values against their type hints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Literal

import pytest
from hypothesis import given

from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Status
from pytest_quantcheck.shapes import misfit
from tests.unit.test_records import observations


@dataclass(frozen=True, slots=True)
class Inner:
    share: float
    word: Literal["a", "b"] = "a"


@dataclass(frozen=True, slots=True)
class Outer:
    inner: tuple[Inner, ...]
    pair: tuple[str, int] = ("x", 1)
    more: Mapping[str, float | None] | None = None
    status: Status = Status.OK
    anything: Any = None
    switch: bool = False


GOOD = Outer((Inner(1), Inner(0.5, "b")), more={"x": None, "y": 2}, anything=object())


def test_what_fits() -> None:
    assert misfit(GOOD, Outer) == ""
    assert misfit(replace(GOOD, more=None, inner=()), Outer) == ""


@given(observation=observations)
def test_every_observation_fits(observation: Observation) -> None:
    assert misfit(observation, Observation) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (replace(GOOD, inner=(Inner(1), Inner("x"))), "inner.1.share is 'x'"),  # type: ignore[arg-type]
        (replace(GOOD, inner=(Inner(True),)), "inner.0.share is True"),
        (replace(GOOD, inner=(Inner(1, "c"),)), "inner.0.word is 'c'"),  # type: ignore[arg-type]
        (replace(GOOD, inner=[]), "inner is []"),  # type: ignore[arg-type]
        (replace(GOOD, pair=("x", 1, 2)), "pair is ('x', 1, 2)"),  # type: ignore[arg-type]
        (replace(GOOD, pair=("x", None)), "pair.1 is None"),  # type: ignore[arg-type]
        (replace(GOOD, more={"x": "y"}), "more is {'x': 'y'}"),  # type: ignore[dict-item]
        (replace(GOOD, status="ok"), "status is 'ok'"),  # type: ignore[arg-type]
        (replace(GOOD, switch=1), "switch is 1"),  # type: ignore[arg-type]
        (5, "it is 5"),
    ],
)
def test_what_does_not(value: object, said: str) -> None:
    assert misfit(value, Outer) == said
