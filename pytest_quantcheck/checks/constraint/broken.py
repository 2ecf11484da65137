"""Which parts of a quant_constraint can be seen to be broken for good before the answer ends."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import Final

from pytest_quantcheck.checks.base import checked_texts
from pytest_quantcheck.checks.constraint.parts import characters
from pytest_quantcheck.checks.constraint.parts import checked_marks
from pytest_quantcheck.stop_rules import Fact
from pytest_quantcheck.stop_rules import Stop

_COUNTED: Final = ("characters", "words", "lines")
"""Units whose number only grows with the text: a further line can turn two sentences, paragraphs or items into one."""


def broken_for_good(given: Mapping[str, Any]) -> Stop:
    """For every part the fact that breaks it for good: then the value, the share of parts that are held, is 0.

    Empty when a part can be broken or mended to the very end (what is required may still come). ``given`` is well
    formed: its parts have been made.
    """
    groups: list[tuple[Fact, ...]] = []
    for keyword, value in given.items():
        facts = _FACTS[keyword](keyword, value) if keyword in _FACTS else []
        if not facts:
            return ()
        groups += ((fact,) for fact in facts)
    return tuple(groups)


def _too_often(keyword: str, value: Mapping[str, Any]) -> list[Fact]:
    most = {text: bounds[1] if isinstance(bounds, list | tuple) else bounds for text, bounds in value.items()}
    if None in most.values():
        return []
    return [Fact("word", texts=checked_texts(keyword, text), most=top) for text, top in most.items()]


_FACTS: Final[dict[str, Callable[[str, Any], list[Fact]]]] = {
    **{
        f"{bound}{unit}": lambda _, value, unit=unit: [Fact("count", unit, value)]  # type: ignore[misc]
        for unit in _COUNTED
        for bound in ("", "max_")
    },
    "forbidden": lambda keyword, value: [Fact("word", texts=(word,)) for word in checked_texts(keyword, value)],
    "times": _too_often,
    "forbidden_characters": lambda keyword, value: [Fact("character", one) for one in characters(keyword, value)],
    "no": lambda keyword, value: [Fact("mark", mark) for mark in checked_marks(keyword, value)],
    "case": lambda _, value: [Fact("case", value)],
}
