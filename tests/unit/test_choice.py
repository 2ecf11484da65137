"""quant_choice: the right one of given answers, and what became of it on the other side."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_quantcheck.checks.base import NOTHING_ASKED
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.choice import quant_choice
from pytest_quantcheck.checks.recall import quant_recall
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from tests.builders import choice
from tests.builders import score

LIMA = choice(Lima=-1.0, Quito=-2.25, Bogota=-4.0)
QUITO = choice(Lima=-3.0, Quito=-2.5, Bogota=-4.0)


def baseline(*choices: Choice) -> Observation:
    return Observation("p", Role.BASELINE, Status.OK, (), choices=choices)


@pytest.mark.parametrize(
    ("found", "keywords", "value", "why"),
    [
        (LIMA, {"answer": "Lima"}, 1.0, "chose 'Lima' (margin 1.25), the right one"),
        (LIMA, {"answer": 0}, 1.0, "chose 'Lima' (margin 1.25), the right one"),
        (LIMA, {"answer": "Quito"}, 0.0, "chose 'Lima' (margin 1.25); right is 'Quito'"),
        (LIMA, {"answer": 2}, 0.0, "chose 'Lima' (margin 1.25); right is 'Bogota'"),
        (choice(no=-2.0, maybe=-4.0), {"answer": "no"}, 1.0, "chose 'no' (margin 2), the right one"),
        (choice(no=-2.0, maybe=-4.0), {"answer": "no", "by": "acc_norm"}, 0.0,
         "chose 'maybe' (margin 0.2); right is 'no'"),
        (choice(no=-2.0, ßßß=-3.6), {"answer": "no", "by": "acc_norm"}, 1.0, "chose 'no' (margin 0.2), the right one"),
        (choice(no=-2.0, ßßß=-3.6), {"answer": "no", "by": "acc_bytes"}, 0.0,
         "chose 'ßßß' (margin 0.4); right is 'no'"),
        (choice(a=-1.0, b=-1.0, c=-2.0), {"answer": "a"}, 1.0,
         "finds 'a' and 'b' exactly level, so the first counts, the right one"),
        (choice(a=-1.0, b=-1.0, c=-2.0), {"answer": "b"}, 0.0,
         "finds 'a' and 'b' exactly level, so the first counts; right is 'b'"),
        (choice("it may think", a=-1.0, b=-2.0), {"answer": "b"}, 0.0,
         "chose 'a' (margin 1); right is 'b' (it may think)"),
    ],
)  # fmt: skip
def test_value_and_reason(found: Choice, keywords: dict[str, Any], value: float, why: str) -> None:
    said = score(quant_choice(**keywords), choices=(found,))

    assert (said.check, said.value, said.why) == ("choice", value, why)


def test_the_last_choice_counts() -> None:
    assert score(quant_choice(answer="Lima"), choices=(QUITO, LIMA)).value == 1.0
    assert score(quant_choice(answer="Lima"), choices=(LIMA, QUITO)).value == 0.0


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (LIMA, "chose 'Quito' (margin 0.5); right is 'Lima'; the baseline chose 'Lima' (margin 1.25)"),
        # both wrong, and not alike: a flip that no score shows
        (choice(Lima=-3.0, Quito=-4.0, Bogota=-1.0),
         "chose 'Quito' (margin 0.5); right is 'Lima'; the baseline chose 'Bogota' (margin 2)"),
        # another question
        (choice(yes=-1.0, no=-2.0), "chose 'Quito' (margin 0.5); right is 'Lima'"),
    ],
)  # fmt: skip
def test_a_wrong_choice_stands_beside_the_baselines(before: Choice, why: str) -> None:
    assert score(quant_choice(answer="Lima"), choices=(QUITO,), baseline=baseline(before)).why == why


def test_without_a_choice_nothing_is_scored() -> None:
    check = quant_choice(answer="Lima")

    assert (score(check).value, score(check).why) == (0.0, NOTHING_ASKED)
    assert score(check, "Lima").why == "the test did not call quant.choose"
    assert score(check, choices=(QUITO,), baseline=baseline()).value == 0.0


def test_a_check_of_replies_says_that_a_choice_is_none() -> None:
    said = score(quant_recall(expect="Lima"), choices=(LIMA,)).why

    assert said == "the test asked for no reply; quant.choose, quant.embed and quant.fidelity give none"


@pytest.mark.parametrize(
    ("keywords", "why"),
    [
        ({"answer": ""}, "answer=''; allowed: the right choice's text, or its index from 0"),
        ({"answer": -1}, "answer=-1; allowed"),
        ({"answer": True}, "answer=True; allowed"),
        ({"answer": None}, "answer=None; allowed"),
        ({"answer": "a", "by": "best"}, "by='best'; allowed: acc, acc_norm, acc_bytes"),
        ({"answer": "a", "by": ["acc"]}, r"by=\['acc'\]; allowed"),
        ({"answer": "a", "min_score": 2}, "min_score=2; allowed"),
    ],
)
def test_a_marker_that_cannot_be_meant_like_this(keywords: dict[str, Any], why: str) -> None:
    with pytest.raises(MarkerError, match=why):
        quant_choice(**keywords)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Oslo", r"answer='Oslo' is none of the choices \('Lima', 'Quito', 'Bogota'\)"),
        (3, "answer=3 of 3 choices; the first has index 0"),
    ],
)
def test_a_right_answer_that_is_no_choice_is_a_fault_of_the_test(answer: str | int, why: str) -> None:
    with pytest.raises(MarkerError, match=why):
        score(quant_choice(answer=answer), choices=(LIMA,))


@given(st.lists(st.integers(-50, -1), min_size=2, max_size=5, unique=True), st.integers(-20, 20), st.randoms())
def test_neither_the_order_nor_a_common_shift_decides(found: list[int], shift: int, chance: Random) -> None:
    values = {f"answer {number}": float(value) for number, value in enumerate(found)}
    mixed = list(values)
    chance.shuffle(mixed)
    moved = choice("", **{name: values[name] + shift for name in mixed})
    best = max(values, key=lambda name: values[name])

    for name in values:
        expected = float(name == best)
        assert score(quant_choice(answer=name), choices=(choice("", **values),)).value == expected
        assert score(quant_choice(answer=name), choices=(moved,)).value == expected
