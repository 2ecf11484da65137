"""What an answer may cost: tokens, thinking apart; and a speed and a memory that the smallest machine has."""

from __future__ import annotations

import pytest
from suite import MAX_TOKENS

from pytest_quantcheck import Probe


@pytest.mark.quant_budget(total_tokens=96, thinking_tokens=64, vs_baseline=1.5)
@pytest.mark.parametrize("question", ["What is 20 + 30?", "Where is Oslo?", "Write exactly 4 words about the cat."])
def test_short_thoughts(quant: Probe, question: str) -> None:
    quant.chat(question, max_tokens=MAX_TOKENS)


@pytest.mark.quant_speed(decode=20, prefill=40, prompt_tokens=256, generate_tokens=64, repeats=3)
def test_speed(quant: Probe) -> None:
    """Floors far below what two slow cores reach: this file has four million weights."""


@pytest.mark.quant_speed(vs_baseline={"decode": 0.6}, prompt_tokens=64, generate_tokens=32)
def test_no_slower_than_the_baseline(quant: Probe) -> None:
    """Both models in turn. The margin is wide: a token takes a tenth of a millisecond, and a busy machine is felt."""


@pytest.mark.quant_memory(weights="12 MB", fits="64 MB")
def test_memory(quant: Probe) -> None:
    """The unquantized file has 6 MB of weights; cache and scratch take some 15 MB at the context of the run."""
