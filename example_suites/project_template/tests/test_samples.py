"""Many questions of a skill: a single loss is a flip, and all of a family decide together.

Fewer than about fifty samples can show a large loss and never its absence; pytest --quant-plan says what yours can.
"""

from __future__ import annotations

import pytest

from pytest_quantcheck import Probe
from pytest_quantcheck import quant_items

# every line of the file is a test; docs/how-to/own-items.md has the keys
test_questions = quant_items("questions.jsonl", family="questions")

SORTED = {
    "My card was charged twice.": "billing",
    "I never received a receipt.": "billing",
    "The app closes when I open the map.": "technical",
    "The login page stays white.": "technical",
    "Do you also ship to Iceland?": "sales",
    "Is there a discount for schools?": "sales",
}


@pytest.mark.quant_sample(family="sorting")
@pytest.mark.parametrize(("message", "department"), SORTED.items())
def test_sorting(quant: Probe, message: str, department: str) -> None:
    """Parametrised by hand: a plain assertion is enough."""
    reply = quant.chat(
        f"Which department is this message for: billing, technical or sales? Answer with one word.\n\n{message}"
    )
    assert reply.text.strip(" .\n").lower() == department
