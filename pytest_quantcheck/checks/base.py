"""What every check is: a function from what a test recorded to a score, made by a factory that refuses bad keywords."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final

from pytest_quantcheck.benches import Duel
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import BenchRequest
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.engines.base import Tool
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Bench
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Score
from pytest_quantcheck.stop_rules import Stop
from pytest_quantcheck.text import short

MAX_ANSWER: Final = 1 << 20
"""Characters of an answer that a check reads; a longer answer scores 0 and says so."""
RELATIVE_TOLERANCE: Final = 1e-9
"""Numbers are the same within this share of the larger one."""
NOTHING_ASKED: Final = "the test asked the model nothing"
_NO_REPLY: Final = "the test asked for no reply; quant.choose, quant.embed and quant.fidelity give none"

# Thai to Lao, Myanmar, Khmer, kana, Han: written without spaces, so a neighbouring letter does not make a longer word
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
# what makes the digits before and after a position one number: a sign, a decimal point, a comma with three digits
_NUMBER_BEFORE = re.compile(r"(?:(?:^|[^\w)])[-\u2212]|\d\.)\Z")
_THOUSANDS = re.compile(r"\d,\d{3}(?!\d)")
_NUMBER_AFTER = re.compile(r"\.\d|,\d{3}(?!\d)")


class MarkerError(ValueError):
    """A marker that cannot be meant like this; the text is one line: what is wrong, what is allowed."""


class CheckCannot(Exception):
    """This machine lacks what a check needs; the test is skipped with that reason, on either side."""


def _no_memory(_request: MemoryRequest) -> Memory:
    raise EngineCannot("this engine does not tell what its memory goes to")


@dataclass(frozen=True, slots=True)
class CheckInput:
    """All that a test recorded so far, and the way to ask for a speed measurement."""

    replies: tuple[Reply, ...]
    bench: Callable[[BenchRequest], Bench]
    baseline: Observation | None = None
    """For a candidate: what the same test recorded on the baseline, if anything."""
    runs: tuple[tuple[Reply, ...], ...] = ()
    """When the test ran more than once: the replies of every run that has an answer, not only this one's."""
    choices: tuple[Choice, ...] = ()
    embeddings: tuple[Embeddings, ...] = ()
    offered: tuple[Tool, ...] = ()
    """The tools that the last question offered."""
    fidelities: tuple[Fidelity, ...] = ()
    duel: Callable[[BenchRequest, Mapping[str, float]], Duel] | None = None
    """Measures both models in turn, to be judged with these margins; None but for a candidate with a baseline."""
    no_speed: str = ""
    """Why no speed can be judged here; empty where it can."""
    memory: Callable[[MemoryRequest], Memory] = _no_memory

    @property
    def no_reply(self) -> str:
        """Why there is no reply that could be scored."""
        return _NO_REPLY if self.choices or self.embeddings or self.fidelities else NOTHING_ASKED


Check = Callable[[CheckInput], Score]


@dataclass(frozen=True, slots=True)
class ToldCheck:
    """A check of which the run has to know more than its score, and before the test asks."""

    check: Check
    timed: bool = False
    """It judges seconds: its test must see the model at work, not an answer of an earlier run."""
    json_schema: dict[str, Any] | None = None
    """Its test is to ask under the grammar of this schema."""
    stop: Stop = ()
    """As soon as one fact of every group is true of the last reply, the value is 0 for good, and too low."""

    def __call__(self, seen: CheckInput) -> Score:
        """The check's score."""
        return self.check(seen)


def on_last_reply(name: str, floor: float, judge: Callable[[Reply], tuple[float, str]], stop: Stop = ()) -> ToldCheck:
    """The check that asks ``judge`` for value and reason of the last reply; without a reply it scores 0.

    :param stop: what makes the value 0 for good; of no account where 0 is enough.
    """

    def check(seen: CheckInput) -> Score:
        if not seen.replies:
            return Score(name, 0.0, seen.no_reply, floor)
        length = len(seen.replies[-1].text)
        if length > MAX_ANSWER:
            return Score(name, 0.0, f"the answer has {length} characters; at most {MAX_ANSWER} are read", floor)
        value, why = judge(seen.replies[-1])
        return Score(name, value, why, floor)

    return ToldCheck(check, stop=stop if floor > 0 else ())


def checked_share(keyword: str, value: object) -> float:
    """``value`` as a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise MarkerError(f"{keyword}={short(value)}; allowed: a number from 0 to 1")
    return float(value)


def checked_floor(min_score: object) -> float:
    """``min_score`` as a number from 0 to 1. With 0 only a drop against the baseline counts."""
    return checked_share("min_score", min_score)


def checked_count(keyword: str, value: object, least: int = 1, most: int = 10**9) -> int:
    """``value`` as a whole number in the bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise MarkerError(f"{keyword}={short(value)}; allowed: a whole number from {least} to {most}")
    return value


def checked_positive(keyword: str, value: object) -> float:
    """``value`` as a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e12:
        raise MarkerError(f"{keyword}={short(value)}; allowed: a number above 0")
    return float(value)


def checked_flag(keyword: str, value: object) -> bool:
    """``value`` as True or False; truthy words are not taken, 'no' would mean yes."""
    if not isinstance(value, bool):
        raise MarkerError(f"{keyword}={short(value)}; allowed: True, False")
    return value


def checked_texts(keyword: str, value: object) -> tuple[str, ...]:
    """One text or a list of texts, as a tuple without repetitions; none of them blank."""
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
        raise MarkerError(f"{keyword}={short(value)}; allowed: a text or a list of texts, not empty")
    return tuple(dict.fromkeys(unicodedata.normalize("NFC", text.strip()) for text in texts))


def _joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    both = re.match(r"\w", left) and re.match(r"\w", right)
    return bool(both) and not _UNSPACED.match(left) and not _UNSPACED.match(right)


def find_token(wanted: str, text: str, *, case_sensitive: bool = False) -> str | None:
    """``wanted`` as it stands first in ``text`` as a token of its own, or None; see `occurrences`."""
    return next(occurrences(wanted, text, case_sensitive=case_sensitive), None)


def occurrences(wanted: str, text: str, *, case_sensitive: bool = False) -> Iterator[str]:
    """Every ``wanted`` as it stands in ``text`` as a token of its own.

    It may not be part of a longer word or number ('12' is neither in '12.5', '12,000' and '-12' nor in 'x12').
    White space in it matches any white space. Both are compared in Unicode's composed form.
    """
    text, wanted = unicodedata.normalize("NFC", text), unicodedata.normalize("NFC", wanted)
    pattern = r"\s+".join(map(re.escape, wanted.split()))
    for match in re.finditer(pattern, text, 0 if case_sensitive else re.IGNORECASE):
        if stands_alone(text, *match.span()):
            yield match.group()


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` is no part of a longer word or number."""
    if start and _joined(text[start - 1], text[start]):
        return False
    if end < len(text) and _joined(text[end - 1], text[end]):
        return False
    before = max(0, start - 2)
    if text[start].isdigit() and (_NUMBER_BEFORE.search(text[before:start]) or _THOUSANDS.match(text, before)):
        return False
    return not (text[end - 1].isdigit() and _NUMBER_AFTER.match(text[end : end + 5]))


def difference(expected: Any, found: Any, *, at: str, ignore_case: bool = False) -> str | None:
    """The first place where two JSON values differ, as one line that starts with ``at``, or None.

    Numbers are compared with `RELATIVE_TOLERANCE`, 5 equals 5.0, True is not 1, lists are in order.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected:
            if key not in found:
                return f"{at}.{key}: missing"
            if differs := difference(expected[key], found[key], at=f"{at}.{key}", ignore_case=ignore_case):
                return differs
        extra = next((key for key in found if key not in expected), None)
        return None if extra is None else f"{at}: unexpected key {short(extra)}"
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{at}: {len(expected)} elements expected, {len(found)} found"
        pairs = enumerate(zip(expected, found, strict=True))
        lines = (difference(e, f, at=f"{at}[{i}]", ignore_case=ignore_case) for i, (e, f) in pairs)
        return next((line for line in lines if line), None)
    return None if _same(expected, found, ignore_case) else f"{at}: {short(expected)} expected, {short(found)} found"


def _same(expected: Any, found: Any, ignore_case: bool) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        try:
            return expected == found or math.isclose(expected, found, rel_tol=RELATIVE_TOLERANCE)
        except OverflowError:  # an integer beyond the range of a double
            return False
    if ignore_case and isinstance(expected, str) and isinstance(found, str):
        return expected.casefold() == found.casefold()
    return type(expected) is type(found) and bool(expected == found)
