"""Sums of two-digit numbers, asked plainly and in a little story. A plain assertion is enough here."""

from __future__ import annotations

from suite import ask
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe


@heldout("arith", "arithmetic")
def test_sum(quant: Probe, case: Example) -> None:
    reply = ask(quant, case)
    assert reply.text == str(case.facts["expected"])
