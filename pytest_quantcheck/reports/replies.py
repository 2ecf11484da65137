"""A reply in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_quantcheck.choices import Choice
from pytest_quantcheck.records import Reply
from pytest_quantcheck.text import plural
from pytest_quantcheck.text import printable
from pytest_quantcheck.text import short

_MOST_CALLS = 5
_MOST_CHOICES = 10
_BEFORE, _AFTER = 20, 80


def answer(reply: Reply, limit: int) -> str:
    """What a reply shows: its text, its tool calls, or that there is nothing."""
    parts = [printable(reply.text, limit)] if reply.text or not reply.tool_calls else []
    parts += [f"tool call {printable(call.raw.strip(), limit)}" for call in reply.tool_calls[:_MOST_CALLS]]
    if (more := len(reply.tool_calls) - _MOST_CALLS) > 0:
        parts.append(f"and {plural(more, 'more tool call')}")
    return ", ".join(parts) if reply.text or reply.tool_calls else f"nothing ({reply.status})"


def ending(reply: Reply) -> str:
    """How the answer ended, in words."""
    return "ended early" if reply.finish == "early" else str(reply.status)


def other_words(before: Sequence[Reply], now: Sequence[Reply]) -> str:
    """Where answers first say something else than those before, in words; empty when they say the same."""
    for number, (old, new) in enumerate(zip(before, now, strict=False), 1):
        which = f"answer {number}" if len(before) > 1 else "the answer"
        if old.text != new.text:
            at = next((n for n, (a, b) in enumerate(zip(old.text, new.text, strict=False)) if a != b), None)
            at = min(len(old.text), len(new.text)) if at is None else at
            start = max(0, at - _BEFORE)
            was, says = (printable(text[start : at + _AFTER], _BEFORE + _AFTER) for text in (old.text, new.text))
            return f"{which} differs from character {at + 1} on: {was} -> {says}"
        calls = [[(call.name, call.arguments) for call in reply.tool_calls] for reply in (old, new)]
        if calls[0] != calls[1]:
            return f"{which} calls other tools: {answer(old, _AFTER)} -> {answer(new, _AFTER)}"
    return "" if len(before) == len(now) else f"{len(now)} answers, the baseline gave {len(before)}"


def likelihoods(choice: Choice) -> str:
    """Every choice with its log-likelihood, the likeliest first."""
    ranked = sorted(zip(choice.loglikelihoods, choice.choices, strict=True), key=lambda pair: -pair[0])
    more = f" and {len(ranked) - _MOST_CHOICES} more" if len(ranked) > _MOST_CHOICES else ""
    return ", ".join(f"{short(text)} {value:.2f}" for value, text in ranked[:_MOST_CHOICES]) + more
