"""quant_constraint: instructions about an answer's form that a program can verify, each part counted by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import Literal

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_flag
from pytest_quantcheck.checks.base import checked_floor
from pytest_quantcheck.checks.base import on_last_reply
from pytest_quantcheck.checks.constraint.broken import broken_for_good
from pytest_quantcheck.checks.constraint.contradictions import refuse_contradictions
from pytest_quantcheck.checks.constraint.parts import make_parts
from pytest_quantcheck.records import Reply

_SHOWN: Final = 8
_CONFLICT_FLOOR: Final = 0.5
"""With a contradiction in two, whoever keeps to one side of it and to all the rest holds at least half."""


def quant_constraint(
    *,
    characters: int | None = None,
    min_characters: int | None = None,
    max_characters: int | None = None,
    words: int | None = None,
    min_words: int | None = None,
    max_words: int | None = None,
    sentences: int | None = None,
    min_sentences: int | None = None,
    max_sentences: int | None = None,
    paragraphs: int | None = None,
    min_paragraphs: int | None = None,
    max_paragraphs: int | None = None,
    lines: int | None = None,
    min_lines: int | None = None,
    max_lines: int | None = None,
    items: int | None = None,
    min_items: int | None = None,
    max_items: int | None = None,
    each: Mapping[str, Mapping[str, Any]] | None = None,
    nth: Mapping[str, Mapping[int, Mapping[str, Any]]] | None = None,
    required: str | Sequence[str | Sequence[str]] | None = None,
    forbidden: str | Sequence[str] | None = None,
    times: Mapping[str, int | tuple[int | None, int | None]] | None = None,
    required_characters: str | None = None,
    forbidden_characters: str | None = None,
    starts_with: str | Sequence[str] | None = None,
    ends_with: str | Sequence[str] | None = None,
    has: str | Sequence[str] | None = None,
    no: str | Sequence[str] | None = None,
    list_style: Literal["bulleted", "numbered"] | None = None,
    case: Literal["lower", "upper"] | None = None,
    language: str | Sequence[str] | None = None,
    regex: str | Sequence[str] | None = None,
    conflict: bool = False,
    min_score: float | None = None,
) -> Check:
    r"""Value: the share of parts that the visible answer holds; 0 for an empty answer, whatever was asked.

    Each keyword is one part, each text of a list one of its own. What a word, a sentence or a mark is and what every
    keyword takes stands in checks/constraint.md.

    With ``conflict=True`` the parts may contradict each other: the value is still the share that is held, an answer
    without a word in it scores 0, and ``min_score`` is 0.5 instead of 1.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    for name in ("conflict", "min_score"):
        given.pop(name, None)
    meant = checked_flag("conflict", conflict)
    floor = checked_floor((_CONFLICT_FLOOR if meant else 1.0) if min_score is None else min_score)
    parts = make_parts(given)
    if not parts:
        raise MarkerError("no constraint; allowed: counts such as max_words, required, forbidden, no, case, each, ...")
    if not meant:
        refuse_contradictions(given)

    def judge(reply: Reply) -> tuple[float, str]:
        if not reply.text.strip():
            return 0.0, "the visible answer is empty"
        if meant and not re.search(r"\w", reply.text):
            return 0.0, "the answer has no word in it, so it decides for nothing"
        failed = [line for part in parts if (line := part(reply.text))]
        held = f"{len(parts) - len(failed)} of {len(parts)} parts held"
        more = [f"{len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else []
        return (len(parts) - len(failed)) / len(parts), "; ".join([held, *failed[:_SHOWN], *more])

    return on_last_reply("constraint", floor, judge, broken_for_good(given))
