"""Exactly so many items or words, without this word, beginning with that one; and rules that contradict each other."""

from __future__ import annotations

import pytest
from suite import ask
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe


def right_form(case: Example) -> pytest.MarkDecorator:
    facts = case.facts
    keywords = {"words" if facts["format"] == "words" else "items": facts["count"]}
    for keyword in ("forbidden", "required"):
        if facts[keyword]:
            keywords[keyword] = facts[keyword]
    if facts["first"]:
        keywords["starts_with"] = facts["first"]
    if facts["allowed"]:
        keywords["each"] = {"items": {"regex": rf"(?i)^(?:{'|'.join(facts['allowed'])})\.?$"}}
    return pytest.mark.quant_constraint(**keywords)


def both_rules(case: Example) -> pytest.MarkDecorator:
    """Three parts, of which an answer holds two that keeps to one of the rules and says that they contradict."""
    rules, said = case.facts["rules"], "contradict"
    if rules["limit"] is not None:
        keywords = {"required": said, "items": rules["count"], "max_items": rules["limit"]}
    elif rules["first"]:
        keywords = {"required": said, "starts_with": rules["first"], "forbidden": rules["without"]}
    else:
        keywords = {"required": [said, rules["used"]], "forbidden": rules["without"]}
    return pytest.mark.quant_constraint(**keywords, conflict=True, min_score=0.6)


@pytest.mark.quant_early_stop
@heldout("constraint", "constraint", right_form)
def test_form(quant: Probe, case: Example) -> None:
    ask(quant, case)


@heldout("conflict", "contradiction", both_rules)
def test_contradiction(quant: Probe, case: Example) -> None:
    """'List 3 animals. Not more than 2.' Obeying one rule in silence is not enough."""
    ask(quant, case)
