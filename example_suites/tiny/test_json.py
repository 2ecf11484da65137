"""One sentence in, one JSON object out: strict JSON, exactly these keys, these values."""

from __future__ import annotations

from functools import partial

import pytest
from suite import ask
from suite import heldout
from tasks import Example

from pytest_quantcheck import Probe

# under a grammar a damaged model can go on inside a string for ever
TYPES = {bool: {"type": "boolean"}, int: {"type": "integer"}, str: {"type": "string", "maxLength": 20}}


def right_value(case: Example, *, forced: bool = False) -> pytest.MarkDecorator:
    expected = case.facts["expected"]
    schema = {
        "type": "object",
        "properties": {key: TYPES[type(value)] for key, value in expected.items()},
        "required": list(expected),
        "additionalProperties": False,
    }
    return pytest.mark.quant_json(schema=schema, equals=expected, constrained=forced)


@pytest.mark.quant_early_stop
@heldout("json", "json", right_value)
def test_extract(quant: Probe, case: Example) -> None:
    ask(quant, case)


@heldout("json", "json, forced", partial(right_value, forced=True))
def test_extract_forced(quant: Probe, case: Example) -> None:
    """The same sentences under a grammar, without a thought: the form cannot go wrong, the values can."""
    ask(quant, case)
