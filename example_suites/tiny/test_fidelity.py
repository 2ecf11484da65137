"""How near the probabilities of the next token are to the unquantized file's: of a running text, and of answers.

Perplexity is compared by itself; ``--quant-reference=models/tiny-f16.gguf`` adds KL divergence and the likeliest token.
"""

from __future__ import annotations

import pytest
from suite import FIRST_SEED
from tasks import Example
from tasks import generate

from pytest_quantcheck import Probe

# seeds that no other test of the suite uses; tools stand in the prompt and are another test's business
CASES = [
    generate(task, "heldout", FIRST_SEED + 1000 + number)
    for number in range(10)
    for task in ("arith", "json", "recall", "codes", "constraint", "polish", "chat")
]


def turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def transcript(case: Example) -> str:
    """The conversation as the model reads it: it knows no other text."""
    asked = "".join(turn(message["role"], message["content"]) for message in case.messages)
    return asked + turn("assistant", f"<think>{case.thinking}</think>{case.answer}")


@pytest.mark.quant_fidelity
def test_running_text(quant: Probe) -> None:
    quant.fidelity("".join(map(transcript, CASES)), name="transcripts", window=160)


@pytest.mark.quant_fidelity
def test_answers(quant: Probe) -> None:
    chats = [
        [*case.messages, {"role": "assistant", "reasoning_content": case.thinking, "content": case.answer}]
        for case in CASES
    ]
    quant.fidelity(chats, name="chats")
