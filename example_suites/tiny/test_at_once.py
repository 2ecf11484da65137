"""Answers without a thought: what the model can do when the template is told ``enable_thinking=false``.

Cases that no other test of this suite asks about: four of each task that needs no scratchpad, one family together.
"""

from __future__ import annotations

from suite import ask
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe

FAMILY = "at once"
CASES = range(100, 104)


def answered(quant: Probe, case: Example) -> str:
    reply = ask(quant, case, thinking=False)
    assert reply.usage.thinking == 0
    return reply.text


@heldout("json", FAMILY, cases=CASES)
def test_json_at_once(quant: Probe, case: Example) -> None:
    assert answered(quant, case) == case.answer


@heldout("codes", FAMILY, cases=CASES)
def test_code_at_once(quant: Probe, case: Example) -> None:
    assert answered(quant, case) == case.answer


@heldout("polish", FAMILY, cases=CASES)
def test_translation_at_once(quant: Probe, case: Example) -> None:
    assert answered(quant, case) == case.answer
