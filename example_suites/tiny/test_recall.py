"""One entry out of dozens of confusable ones; naming another entry is as wrong as naming none."""

from __future__ import annotations

import pytest
from suite import ask
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe


def right_entry(case: Example) -> pytest.MarkDecorator:
    return pytest.mark.quant_recall(expect=case.facts["expected"], distractors=case.facts["distractors"])


@pytest.mark.quant_early_stop
@heldout("recall", "recall", right_entry)
def test_entry(quant: Probe, case: Example) -> None:
    ask(quant, case)


@heldout("codes", "recall of codes", right_entry)
def test_code(quant: Probe, case: Example) -> None:
    """Four digits, which look alike more than words do."""
    ask(quant, case)


@heldout("codes_long", "recall of codes in 2,000 tokens", right_entry, range(8))
def test_code_in_a_long_text(quant: Probe, case: Example) -> None:
    ask(quant, case)


@heldout("recall", "choice", lambda case: pytest.mark.quant_choice(answer=case.facts["expected"]))
def test_likelier_than_others(quant: Probe, case: Example) -> None:
    """Nothing is generated: is the right entry likelier than others of the same text, and how clearly?"""
    others = dict.fromkeys(case.facts["distractors"])
    quant.choose(case.messages, [case.facts["expected"], *list(others)[:3]])
