"""Whether a visible answer is right, by the facts of its example: strict, without partial credit."""

from __future__ import annotations

import json
import re

from generators.calls import NO_TOOL
from tasks import Example


def visible(text: str) -> str | None:
    """What follows the thinking, or None if the thinking never ended."""
    if text.startswith("<think>") and "</think>" not in text:
        return None
    return text.rpartition("</think>")[2].strip()


def passes(example: Example, text: str) -> bool:
    """The model's raw answer (with its thinking) judged."""
    answer = visible(text)
    if not answer:
        return False
    facts = example.facts
    match example.task:
        case "json":
            return bool(_parsed(answer) == facts["expected"])
        case "tools":
            called = re.fullmatch(r"<tool_call>\n(.*)\n</tool_call>", answer, re.DOTALL)
            wanted = {"name": facts["tool"], "arguments": facts["arguments"]}
            return called is not None and _parsed(called[1]) == wanted
        case "no_tool":
            return answer == NO_TOOL
        case "constraint":
            return _constraint(answer, facts)
        case "chat":
            return str(facts["expected"]) in answer
        case _:
            return bool(answer == str(facts["expected"]))


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _constraint(answer: str, facts: dict[str, object]) -> bool:
    separators = {"lines": "\n", "commas": ", ", "words": " "}
    items = answer.rstrip(".").split(separators[str(facts["format"])])
    forbidden, required, allowed, first = facts["forbidden"], facts["required"], facts["allowed"], facts["first"]
    assert isinstance(forbidden, list)
    assert isinstance(required, list)
    right = len(items) == facts["count"] and not set(items) & set(forbidden) and set(required) <= set(items)
    if isinstance(allowed, list):
        right = right and len(set(items)) == len(items) and set(items) <= set(allowed)
    return right and (first is None or items[0] == first)
