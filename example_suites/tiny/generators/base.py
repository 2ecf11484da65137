"""What every generator needs: the example itself, and which combinations are held out."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import Any
from typing import Literal

import words

Split = Literal["train", "heldout"]
Message = dict[str, Any]
Tool = dict[str, Any]

_UNUSUAL = 0.2


@dataclass(frozen=True)
class Example:
    """One request with the answer that is wanted and what a checker needs to know about it.

    `facts` by task: arith {expected: int}; json {expected: object}; tools, no_tool {tool: name or None, arguments:
    object}; recall, codes and their long forms {expected, key, distractors, entries, asked: key to value}; constraint
    {format, count, allowed, forbidden, first, expected}; conflict {expected, kind, and what the rules name}; polish
    {expected, register}; chat {expected: a word that the answer must hold}.
    """

    task: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    thinking: str
    answer: str
    facts: dict[str, Any]


def is_heldout(*combination: object) -> bool:
    """One in five combinations, always the same ones."""
    return zlib.crc32(" ".join(map(str, combination)).encode()) % 5 == 0


def user(text: str) -> tuple[Message, ...]:
    """A conversation of one user turn."""
    return ({"role": "user", "content": text},)


def wanted(split: Split, *combination: object) -> bool:
    """Whether the combination belongs to the split."""
    return is_heldout(*combination) == (split == "heldout")


def pick(rng: random.Random, split: Split, pool: words.Words) -> str:
    """A word of the pool; in training sometimes any word of this world.

    Who sees only cities where a city is due learns cities by heart, and writes a familiar one instead of copying.
    """
    return rng.choice(words.ANY if split == "train" and rng.random() < _UNUSUAL else pool)
