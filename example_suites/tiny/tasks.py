"""The tiny model's tasks, one place for training and for the example suite.

`generate(task, split, seed)` is pure and deterministic. The two splits draw from different seeds *and* from
different material: one in five combinations (`is_heldout`) is never shown in training, and a held-out example
always asks for such a combination:

* arith: the operand pair with its operator, e.g. 27+45
* json: the two leading values of the record, e.g. the name and the age of a person
* tools, no_tool: the tool with its first argument's value, e.g. get_weather with Oslo
* recall, codes (and their long forms): the key with its value, e.g. cup with Lima; no training context holds a
  held-out entry
* constraint, conflict: all rules together, e.g. 4 animals, one per line, without "cat"
* polish: the verb with its object, e.g. bring with book (in 'I like your book': the object with the register)
* chat: the fact with its wording; facts themselves cannot be held out, so this is the easiest split

Wordings are shared by both splits: held-out figures measure skill in this closed world, not generality.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from generators import arith
from generators import calls
from generators import chat
from generators import constraint
from generators import extract
from generators import polish
from generators import recall
from generators.base import Example
from generators.base import Split

__all__ = ["TASKS", "UNTHINKING", "Example", "Split", "generate"]

_GENERATORS: Final[dict[str, Callable[[random.Random, Split], Example]]] = {
    "arith": arith.generate,
    "json": extract.generate,
    "tools": calls.generate,
    "no_tool": calls.generate_none,
    "constraint": constraint.generate,
    "conflict": constraint.generate_conflict,
    "recall": partial(recall.generate, kind="words", long=False),
    "codes": partial(recall.generate, kind="codes", long=False),
    "recall_long": partial(recall.generate, kind="words", long=True),
    "codes_long": partial(recall.generate, kind="codes", long=True),
    "polish": polish.generate,
    "chat": chat.generate,
}
TASKS: Final = tuple(_GENERATORS)
UNTHINKING: Final = tuple(task for task in TASKS if task != "arith")
"""Tasks that are trained without a thought too; a sum needs its scratchpad."""


def generate(task: str, split: Split, seed: int) -> Example:
    """The example of this task, split and seed: always the same one."""
    return _GENERATORS[task](random.Random(f"{task}/{split}/{seed}"), split)
