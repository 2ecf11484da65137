"""quant_recall: the share of expected facts that the visible answer names, with no confusable fact beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_flag
from pytest_quantcheck.checks.base import checked_floor
from pytest_quantcheck.checks.base import checked_texts
from pytest_quantcheck.checks.base import on_last_reply
from pytest_quantcheck.checks.tokens import find_tokens
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Score
from pytest_quantcheck.stop_rules import Fact
from pytest_quantcheck.text import short

MATCHES: Final = ("token", "ruler", "ruler_qa")
_SHOWN = 3
_CONTROL = re.compile(r"[\x00-\x1f]")

_MARGIN_FLOOR = 0.5
_MOST_NATS = 700.0  # e to this is a finite number
_DIGITS = 3  # of a probability: less than this is no change of what the model would say

Judge = Callable[[Reply], tuple[float, str]]


def quant_recall(
    *,
    expect: str | Sequence[str],
    distractors: str | Sequence[str] | Callable[[], Iterable[str]] = (),
    match: str = "token",
    case_sensitive: bool = False,
    allow_distractors: bool = False,
    margin: bool = False,
    min_score: float | None = None,
) -> Check:
    """Value: the share of ``expect`` that stands in the visible text; 0 if a distractor stands there too.

    A fact has to be a token of its own, so neither '94829301774' nor a dump of everything recalls '948293017'. Nothing
    is normalised but letter case. ``distractors`` may be a function that says them when the test has run. ``match``:
    'token', or RULER's own score, which is a substring search and knows no distractors: 'ruler' is the share of facts
    (its string_match_all), 'ruler_qa' whether any stands there (its string_match_part).

    With ``margin`` nothing is generated: the test asks ``quant.choose`` for the fact and confusable ones, and the value
    is the probability of the right one among them. It passes from 0.5, where it is likelier than all others together.
    """
    by_margin = checked_flag("margin", margin)
    floor = checked_floor(min_score if min_score is not None else _MARGIN_FLOOR if by_margin else 1.0)
    exact = checked_flag("case_sensitive", case_sensitive)
    tolerant = checked_flag("allow_distractors", allow_distractors)
    facts = checked_texts("expect", expect)
    if not isinstance(match, str) or match not in MATCHES:
        raise MarkerError(f"match={short(match)}; allowed: {', '.join(map(repr, MATCHES))}")
    if by_margin:
        if len(facts) > 1 or match != "token" or distractors not in ((), []) or exact or tolerant:
            raise MarkerError("margin=True takes one expected fact; the others stand in quant.choose, nowhere else")
        return _margin(facts[0], floor)
    if match != "token":
        if distractors not in ((), []) or exact or tolerant:
            raise MarkerError(f"match={match!r} knows neither distractors nor case; leave those keywords out")
        return on_last_reply("recall", floor, _ruler(facts, whole=match == "ruler"))
    if callable(distractors):
        return on_last_reply("recall", floor, _token(facts, distractors, exact, tolerant))
    # an empty list is what a parametrised test passes for an item without confusable facts
    confusable = checked_texts("distractors", distractors) if distractors not in ((), []) else ()
    for fact in facts if not tolerant else ():
        if inside := find_tokens(confusable, fact, case_sensitive=exact):
            raise MarkerError(f"distractor {short(inside[0])} stands in the expected {short(fact)}; no answer can pass")
    named = Fact("word", texts=confusable, case_sensitive=exact)
    stop = ((named,),) if confusable and not tolerant else ()
    return on_last_reply("recall", floor, _token(facts, lambda: confusable, exact, tolerant), stop)


def _token(facts: Sequence[str], distractors: Callable[[], Iterable[str]], exact: bool, tolerant: bool) -> Judge:
    def judge(reply: Reply) -> tuple[float, str]:
        found = find_tokens(facts, reply.text, case_sensitive=exact)
        missing = [fact for fact in facts if fact not in found]
        thought = find_tokens(missing, reply.thinking, case_sensitive=exact)
        parts = [f"{len(found)} of {len(facts)} facts stand in the answer"]
        for fact in missing:
            parts.append(f"missing: {short(fact)}" + (" (only in the hidden thinking)" if fact in thought else ""))
        named = find_tokens(distractors(), reply.text, case_sensitive=exact)
        if named:
            more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
            parts.append(f"named instead or besides: {', '.join(map(short, named[:_SHOWN]))}{more}")
        return (0.0 if named and not tolerant else len(found) / len(facts)), "; ".join(parts)

    return judge


def _ruler(facts: Sequence[str], *, whole: bool) -> Judge:
    """NVIDIA/RULER, scripts/eval: postprocess_pred in evaluate.py, string_match_* in synthetic/constants.py."""

    def judge(reply: Reply) -> tuple[float, str]:
        text = _CONTROL.sub("\n", reply.text.strip()).strip().lower()
        found = sum(fact.lower() in text for fact in facts)
        why = f"{found} of {len(facts)} facts stand in the answer as substrings (RULER)"
        return (found / len(facts) if whole else float(found > 0)), why

    return judge


def _margin(fact: str, floor: float) -> Check:
    """The probability of ``fact`` given that the answer begins with one of the choices: softmax of log-likelihoods.

    Texts of one form and length are no beginnings of each other, so these are probabilities of events that exclude each
    other, and no length has to be evened out.
    """

    def check(seen: CheckInput) -> Score:
        if not seen.choices:
            return Score("recall", 0.0, "the test did not call quant.choose, which margin=True scores", floor)
        choice = seen.choices[-1]
        if fact not in choice.choices:
            raise MarkerError(f"quant_recall: expect={short(fact)} is none of the choices {short(choice.choices)}")
        found = dict(zip(choice.choices, choice.loglikelihoods, strict=True))
        right = found.pop(fact)
        strongest = max(found, key=lambda other: found[other])
        value = 1 / (1 + sum(math.exp(min(_MOST_NATS, other - right)) for other in found.values()))
        why = (
            f"probability {value:.3f} among {len(choice.choices)}; "
            f"{abs(right - found[strongest]):.3g} nats {'ahead of' if right >= found[strongest] else 'behind'} "
            f"{short(strongest)}"
        )
        return Score("recall", round(value, _DIGITS), f"{why} ({choice.note})" if choice.note else why, floor)

    return check
