"""The words of the line that says what a long run does and what is left of it. Pure; plain ASCII."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Final

from pytest_quantcheck.forecast import Left
from pytest_quantcheck.progress import Doing

_WORDS: Final = {
    "load": "loading",
    "tokenize": "counting tokens",
    "chat": "generating",
    "complete": "generating",
    "choose": "weighing given answers",
    "embed": "embedding texts",
    "fidelity": "scoring a text",
    "bench": "measuring speed",
    "memory": "measuring memory",
}
_SHARES: Final = ("load", "fidelity")
_ANSWERS: Final = ("chat", "complete")


def progress_line(doing: Mapping[str, Doing], left: Left, columns: int) -> str:
    """One line of ``columns`` at most, the least important parts left out; '' when nothing fits or there is no test.

    :param doing: by process; the key is '' where there is only one.
    """
    if not left.of:
        return ""
    full = _join(f"{who} {_one(one)}".strip() for who, one in doing.items() if one.role)
    short = _join(f"{who} {_one(one, detail=False)}".strip() for who, one in doing.items() if one.role)
    counted = Counter(_WORDS.get(one.op, "testing") for one in doing.values() if one.role)
    least = _join(f"{count} {what}" for what, count in counted.most_common()) if len(doing) > 1 else short
    tests = f"{left.tests} of {left.of} tests left"
    tokens = f"{tests}, ~{_rounded(left.tokens):,} tokens" if left.tokens and _rounded(left.tokens) else tests
    time = about(left.seconds)
    ways = [
        *((what, tokens, time) for what in (full, short, least)),
        *((what, tests, time) for what in (full, short, least)),
        *((what, tests) for what in (short, least)),
        (tests,),
    ]
    lines = (" | ".join(part for part in way if part) for way in ways)
    return next((line for line in lines if len(line) <= columns), "")


def about(seconds: float | None) -> str:
    """A duration as roughly as it is known: 'about 40 s', 'about 5 min', 'about 2 h 10 min'; '' for none."""
    if not seconds:
        return ""
    if seconds <= 90:
        return f"about {math.ceil(seconds / 10) * 10} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    hours, rest = divmod(math.ceil(minutes / 10) * 10, 60)
    return f"about {hours} h {rest} min" if rest else f"about {hours} h"


def _one(doing: Doing, *, detail: bool = True) -> str:
    if not doing.op:
        return f"{doing.role}: testing"
    what = _WORDS.get(doing.op, doing.op)
    if doing.op in _ANSWERS and doing.of:
        what = "reading the prompt"
    said = f"{doing.role}: {what}"
    if not detail or not doing.done:
        return said
    if doing.of:
        return f"{said}, {100 * doing.done // doing.of} %" if doing.op in (*_SHARES, *_ANSWERS) else said
    speed = f", {doing.tok_s:.{0 if doing.tok_s >= 10 else 1}f} tok/s" if doing.tok_s else ""
    return f"{said}, {doing.done:,} token{'s' * (doing.done > 1)}{speed}"


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _rounded(number: float) -> int:
    """To two digits: more would be pretence."""
    whole = round(number)
    return round(whole, 2 - len(str(whole)))
