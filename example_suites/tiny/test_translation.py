"""Everyday sentences into Polish, to a friend or formally, and from one register into the other: every letter counts.

In this closed world one translation is right, so a plain assertion will do; for open translations see
``example_suites/qat_vs_ptq``.
"""

from __future__ import annotations

from suite import ask
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe


@heldout("polish", "translation")
def test_register(quant: Probe, case: Example) -> None:
    assert ask(quant, case).text == case.facts["expected"]
