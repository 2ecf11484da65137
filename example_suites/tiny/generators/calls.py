"""Tool calls, and requests for which no tool fits."""

from __future__ import annotations

import random
from typing import Any
from typing import Final

from toolbox import TOOLS
from toolbox import openai_tool
from toolbox import tool_call

from generators.base import Example
from generators.base import Split
from generators.base import pick
from generators.base import user
from generators.base import wanted

NO_TOOL: Final = "I have no tool for that."


def _request(rng: random.Random, split: Split) -> tuple[str, dict[str, Any], str]:
    name = rng.choice(tuple(TOOLS))
    arguments = {
        key: rng.choice(pool) if isinstance(pool[0], int) else pick(rng, split, pool)  # type: ignore[arg-type]
        for key, pool in TOOLS[name].arguments.items()
    }
    if not wanted(split, name, next(iter(arguments.values()))):
        return _request(rng, split)
    return name, arguments, rng.choice(TOOLS[name].requests).format(**arguments)


def generate(rng: random.Random, split: Split) -> Example:
    """A request with its tool among up to three others."""
    name, arguments, question = _request(rng, split)
    offered = [name, *rng.sample([tool for tool in TOOLS if tool != name], rng.randint(0, 3))]
    rng.shuffle(offered)
    # One decision per offered tool: 'is the needed one among them?' at the end of the list was not learnt.
    decisions = "".join(f"{tool} no, " for tool in offered[: offered.index(name)]) + f"{name} yes, "
    thinking = f"need {name}; {decisions}" + ", ".join(f"{key} {value}" for key, value in arguments.items())
    facts = {"tool": name, "arguments": arguments}
    tools = tuple(map(openai_tool, offered))
    return Example("tools", user(question), tools, thinking, tool_call(name, arguments), facts)


def generate_none(rng: random.Random, split: Split) -> Example:
    """A request whose tool is not among the one to four that are offered."""
    name, _, question = _request(rng, split)
    offered = rng.sample([tool for tool in TOOLS if tool != name], rng.randint(1, 4))
    thinking = f"need {name}; " + ", ".join(f"{tool} no" for tool in offered)
    facts: dict[str, Any] = {"tool": None, "arguments": {}}
    return Example("no_tool", user(question), tuple(map(openai_tool, offered)), thinking, NO_TOOL, facts)
