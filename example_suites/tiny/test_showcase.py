"""STAGED: cases chosen after seeing the answers, so that each kind of verdict can be seen. They measure nothing.

Everything else in this suite was fixed before any answer was seen. These four are requirements, not samples: with
``tiny-q4_0.gguf`` as the candidate and ``tiny-f16.gguf`` as the baseline the first three fail and show both answers,
the last is inherited.
"""

from __future__ import annotations

import pytest
from suite import MAX_TOKENS
from suite import ask
from tasks import Example
from tasks import generate

from pytest_quantcheck import Probe


def staged(task: str, number: int) -> Example:
    return generate(task, "heldout", 900_000 + number)


def test_a_sum_that_rounding_breaks(quant: Probe) -> None:
    """80 + 72. A plain assertion: 162 is no partial answer."""
    case = staged("arith", 9)
    assert ask(quant, case).text == str(case.facts["expected"])


@pytest.mark.quant_json(equals={"paid": True, "price": 73, "buyer": "Greta"})
def test_a_price_that_rounding_cuts(quant: Probe) -> None:
    """Valid JSON with the right keys, and a price of 3."""
    ask(quant, staged("json", 30))


@pytest.mark.quant_tools(none=True)
def test_a_tool_that_rounding_invents(quant: Probe) -> None:
    """No tool fits; a call of one that nobody offered helps nobody."""
    case = staged("no_tool", 22)
    ask(quant, case)


def test_a_sum_that_the_model_never_learnt(quant: Probe) -> None:
    """Training stopped at two digits: every file fails, and it is nobody's loss."""
    assert quant.chat("What is 512 + 999?", max_tokens=MAX_TOKENS).text == "1511"
