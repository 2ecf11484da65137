"""Exactly so many items or words, without this word, beginning with that one."""

from __future__ import annotations

import pytest
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe


def right_form(case: Example) -> pytest.MarkDecorator:
    facts = case.facts
    keywords = {"words" if facts["format"] == "words" else "items": facts["count"]}
    if facts["forbidden"]:
        keywords["forbidden"] = facts["forbidden"]
    if facts["first"]:
        keywords["starts_with"] = facts["first"]
    if facts["allowed"]:
        keywords["each"] = {"items": {"regex": rf"(?i)^(?:{'|'.join(facts['allowed'])})\.?$"}}
    return pytest.mark.quant_constraint(**keywords)


@pytest.mark.quant_early_stop
@heldout("constraint", "constraint", right_form)
def test_form(quant: Probe, case: Example) -> None:
    quant.chat(case.messages)
