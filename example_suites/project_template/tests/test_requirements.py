"""What has to hold: each of these lost fails the run. Keep them few, and easy for the file that ships today."""

from __future__ import annotations

import pytest

from pytest_quantcheck import Probe
from pytest_quantcheck import anyof

INVOICE = """Extract the invoice as JSON with the keys customer, number, total and paid. Answer with JSON only.

Invoice 2031-17
To: Jo Doe, 4 Mill Lane
2 chairs at 49.50, delivery 12.00
Total 111.00 EUR, payable by 30 June.
"""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "the weather of a place on a day",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "name of the town"},
                "day": {"type": "string", "enum": ["today", "tomorrow"]},
            },
            "required": ["place", "day"],
        },
    },
}


@pytest.mark.quant_json(schema="invoice.schema.json")
@pytest.mark.quant_budget(total_tokens=1000)
def test_invoice(quant: Probe) -> None:
    """Strict JSON by the schema file beside this one, and right where it matters. A budget counts hidden thinking."""
    reply = quant.chat(INVOICE)
    assert reply.json["total"] == 111.0


@pytest.mark.quant_tools(call="get_weather", arguments={"place": anyof("Oslo", "Oslo, Norway"), "day": "tomorrow"})
def test_a_tool_is_called(quant: Probe) -> None:
    """The right tool with the right arguments."""
    quant.chat("Will it rain in Oslo tomorrow?", tools=[WEATHER])


@pytest.mark.quant_tools(none=True)
def test_no_tool_without_need(quant: Probe) -> None:
    """A greeting needs no weather."""
    quant.chat("Good morning!", tools=[WEATHER])


@pytest.mark.quant_constraint(max_words=40, no=["bullets", "headers", "bold"], forbidden=["as an AI"])
def test_a_short_answer(quant: Probe) -> None:
    """What your user interface has room for."""
    quant.chat("Our parcel is two days late. Say sorry to the customer in at most 40 words, without formatting.")
