"""What differs between the two sides, and what both are held to, as aligned lines of text."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping
from collections.abc import Sequence

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.records import Role
from pytest_quantcheck.rows import KINDS
from pytest_quantcheck.rows import Difference

_FIRST = len("candidate  ")


def difference_lines(differences: Sequence[Difference], width: int) -> list[tuple[str, str]]:
    """(level, line) of every difference: the level, the row, the sentence, wrapped under each other.

    :param width: characters of a line.
    """
    rows = [[one.word, one.row, sentence(one)] for one in differences]
    if not rows:
        return []
    first, second = _FIRST, max(len(row[1]) for row in rows) + 2
    lines = []
    for level, row, text in rows:
        # a long name of a row must not push all sentences to the right edge
        wrapped = textwrap.wrap(text, max(40, width - first - second), break_on_hyphens=False)
        starts = [level.ljust(first) + row.ljust(second), *[" " * (first + second)] * (len(wrapped) - 1)]
        lines += [(level, start + part) for start, part in zip(starts, wrapped, strict=True)]
    return lines


def sentence(difference: Difference) -> str:
    """The difference in words, with what it rules out or whether the user allowed it."""
    if difference.allowed:
        return f"{difference.text} (allowed by --quant-allow)"
    if difference.level != "blocks":
        return difference.text
    *others, last = ("anything",) if difference.kinds == KINDS else difference.kinds
    kinds = f"{', '.join(others)} or {last}" if others else last
    return f"{difference.text}. No verdict on {kinds} unless --quant-allow={shlex.quote(difference.row)}"


def held_lines(pins: Pins, conditions: Mapping[Role, Conditions], width: int) -> list[str]:
    """What both sides are held to, wrapped; a value that differs is left to the differences."""
    sides = list(conditions.values())
    shown = [
        ("context", "context", "context {}"),
        ("max_tokens", "max tokens", "at most {} tokens an answer"),
        ("thinking", "thinking", "thinking {}"),
        ("sampling", "sampling", "{}"),
        ("seed", "seed", "seed {}"),
        ("kv_type", "kv cache", "KV cache {}"),
        ("projector", "projector", "projector {}"),
        ("drafter", "drafter", "drafter {} (drafts nothing here)"),
    ]
    parts = []
    for name, what, words in shown:
        values = {getattr(side, name) for side in sides}
        if len(values) == 1 and values != {None} and values != {""}:
            why = pins.reasons.get(what)
            parts.append(words.format(*values) + (f" ({why})" if why else ""))
    if any(side.template_of == Role.BASELINE for side in sides):
        parts.append("the baseline's chat template for both sides")
    if not parts:
        return []
    first, *others = textwrap.wrap(", ".join(parts), max(40, width - _FIRST), break_on_hyphens=False)
    who = "both" if len(sides) > 1 else "with"
    return [who.ljust(_FIRST) + first, *(" " * _FIRST + line for line in others)]
