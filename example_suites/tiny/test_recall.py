"""One entry out of dozens of confusable ones; naming another entry is as wrong as naming none."""

from __future__ import annotations

import pytest
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe


def right_entry(case: Example) -> pytest.MarkDecorator:
    return pytest.mark.quant_recall(expect=case.facts["expected"], distractors=case.facts["distractors"])


@pytest.mark.quant_early_stop
@heldout("recall", "recall", right_entry)
def test_entry(quant: Probe, case: Example) -> None:
    quant.chat(case.messages)


@heldout("recall", "choice", lambda case: pytest.mark.quant_choice(answer=case.facts["expected"]))
def test_likelier_than_others(quant: Probe, case: Example) -> None:
    """Nothing is generated: is the right entry likelier than others of the same text, and how clearly?"""
    others = dict.fromkeys(case.facts["distractors"])
    quant.choose(case.messages, [case.facts["expected"], *list(others)[:3]])
