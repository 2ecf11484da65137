"""The right tool with the right arguments, and no call when no tool fits."""

from __future__ import annotations

import pytest
from suite import ask
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe


def right_call(case: Example) -> pytest.MarkDecorator:
    return pytest.mark.quant_tools(call=case.facts["tool"], arguments=case.facts["arguments"])


@heldout("tools", "tools", right_call)
def test_tool(quant: Probe, case: Example) -> None:
    ask(quant, case)


@pytest.mark.quant_tools(none=True)
@heldout("no_tool", "no tool")
def test_no_tool_fits(quant: Probe, case: Example) -> None:
    """Tools are there, none for this; who calls one of them anyway does harm."""
    assert ask(quant, case).text == case.answer
