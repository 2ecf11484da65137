"""quant_json: the visible answer is strict JSON (RFC 8259) and holds what was asked, or nearly so."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_count
from pytest_quantcheck.checks.base import checked_flag
from pytest_quantcheck.checks.base import checked_floor
from pytest_quantcheck.checks.base import checked_share
from pytest_quantcheck.checks.base import checked_texts
from pytest_quantcheck.checks.base import difference
from pytest_quantcheck.checks.base import on_last_reply
from pytest_quantcheck.checks.schemas import read_schema
from pytest_quantcheck.checks.schemas import schema_demand
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.records import GrammarCost
from pytest_quantcheck.records import Reply
from pytest_quantcheck.rfc8259 import MAX_BYTES
from pytest_quantcheck.rfc8259 import MAX_DEPTH
from pytest_quantcheck.rfc8259 import TOKENS
from pytest_quantcheck.rfc8259 import parse_strict
from pytest_quantcheck.stop_rules import Fact
from pytest_quantcheck.text import short

_ANYTHING: Final[Any] = object()
_BRACKETS = re.compile(r"[\[{\]}]")
_FENCE = re.compile(r"```[A-Za-z0-9]*[ \t]*\r?\n(.*)\n[ \t]*```", re.DOTALL)
_PARTIAL: Final = 0.5

Missing = str | None
"""What a value lacks, or None."""
_Parse = Callable[[str], Any]


def quant_json(
    *,
    schema: str | os.PathLike[str] | dict[str, Any] | None = None,
    keys: Sequence[str] | None = None,
    equals: Any = _ANYTHING,
    formats: bool = False,
    constrained: bool = False,
    max_rejected: float | None = None,
    max_illegal: float | None = None,
    lone_surrogates: bool = False,
    max_depth: int = MAX_DEPTH,
    max_bytes: int = MAX_BYTES,
    min_score: float = 1.0,
    directory: str | os.PathLike[str] = ".",
) -> Check:
    """Value: 1 if the whole answer is strict JSON that meets schema, keys and ``equals``.

    0.5 if it becomes so by taking away one markdown fence or the prose around a single object or array; 0 otherwise.

    * schema: a dict or a path relative to the test's directory, in the draft that it names (4, 6, 7, 2019-09; 2020-12
      if none); references to other documents are refused.
    * keys: the exact set of an object's keys.
    * equals: the value; numbers are the same within a billionth, lists are in order.
    * formats: ``format`` is asserted; a schema with a format that cannot be checked is refused.
    * constrained: the test's questions are asked under a grammar made from the schema, unless a call brings its own.
    * max_rejected, max_illegal: shares (0 to 1) of the probability, and of the steps' most likely tokens, that the
      grammar may rule out; beyond them the value is 0.5 at most.
    * lone_surrogates: half surrogate pairs (``\\ud800``) are allowed.
    * max_depth, max_bytes: of the JSON; 100 and 1 MiB unless lower.
    """
    floor = checked_floor(min_score)
    surrogates = checked_flag("lone_surrogates", lone_surrogates)
    depth = checked_count("max_depth", max_depth, 1, MAX_DEPTH)
    size = checked_count("max_bytes", max_bytes, 1, MAX_BYTES)
    formats, constrained = checked_flag("formats", formats), checked_flag("constrained", constrained)
    limits = _Limits(
        None if max_rejected is None else checked_share("max_rejected", max_rejected),
        None if max_illegal is None else checked_share("max_illegal", max_illegal),
    )
    if limits != _Limits() and not constrained:
        raise MarkerError("max_rejected and max_illegal need constrained=True")
    if schema is None and (formats or constrained):
        raise MarkerError(f"{'constrained' if constrained else 'formats'}=True needs schema=...")

    def parse(text: str) -> Any:
        return parse_strict(text, max_bytes=size, max_depth=depth, lone_surrogates=surrogates)

    demands: list[Callable[[Any], Missing]] = []
    forced: dict[str, Any] = {}
    if schema is not None:
        forced, where = read_schema(schema, Path(directory))
        demands.append(schema_demand(forced, where, formats=formats))
    if keys is not None:
        wanted = set(checked_texts("keys", keys))
        demands.append(lambda value: _keys_missing(wanted, value))
    if equals is not _ANYTHING:
        expected = _expected(equals, parse)
        for demand in demands:
            if lacks := demand(expected):
                raise MarkerError(f"equals contradicts the other keywords: {lacks}")
        demands.append(lambda value: difference(expected, value, at="$"))

    def judge(reply: Reply) -> tuple[float, str]:
        value, why = _judge(reply.text, parse, demands)
        if constrained or reply.grammar is not None:
            most, cost = limits.judge(reply.grammar)
            return min(value, most), f"{why}; {cost}"
        return value, why

    check = on_last_reply("json", floor, judge, ((Fact("json", most=depth),),))
    return replace(check, json_schema=forced) if constrained else check


@dataclass(frozen=True, slots=True)
class _Limits:
    """How much the grammar may have ruled out; shares, None without a limit."""

    rejected: float | None = None
    illegal: float | None = None

    def judge(self, cost: GrammarCost | None) -> tuple[float, str]:
        """The highest value that the answer may still have, and what the grammar did."""
        if cost is None:
            if self != _Limits():
                raise EngineCannot("it does not measure what a grammar rules out (max_rejected, max_illegal)")
            return 1.0, "this engine does not measure what the grammar ruled out"
        share = cost.illegal_argmax / max(1, cost.steps)
        line = (
            f"the grammar ruled out {_percent(cost.rejected_mass)} of the probability and the model's first choice "
            f"in {cost.illegal_argmax} of {cost.steps} steps"
        )
        broken = []
        if self.rejected is not None and cost.rejected_mass > self.rejected:
            broken.append(f"at most {_percent(self.rejected)} of the probability")
        if self.illegal is not None and share > self.illegal:
            broken.append(f"at most {_percent(self.illegal)} of the steps")
        return (_PARTIAL, f"{line}, but {' and '.join(broken)} was allowed") if broken else (1.0, line)


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "less than 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %".replace(".0 ", " ")


def _expected(equals: Any, parse: _Parse) -> Any:
    try:
        return parse(json.dumps(equals, allow_nan=False))
    except AssertionError as error:
        raise MarkerError(f"equals={short(equals)}: {error}") from None
    except (TypeError, ValueError, RecursionError):
        raise MarkerError(f"equals={short(equals)}; allowed: a value that JSON can hold") from None


def _judge(text: str, parse: _Parse, demands: list[Callable[[Any], Missing]]) -> tuple[float, str]:
    try:
        value, points, what = parse(text), 1.0, "strict JSON"
    except AssertionError as error:
        saved = _recover(text, parse)
        if len(saved) != 1:
            return 0.0, str(error)
        value, points, what = saved[0], _PARTIAL, f"JSON only without what is around it ({error})"
    lacks = next((line for demand in demands if (line := demand(value))), None)
    return (0.0, f"{what}, but {lacks}") if lacks else (points, what)


def _recover(text: str, parse: _Parse) -> list[Any]:
    """The values that remain without a fence or prose; none when anything is damaged: nothing is ever repaired."""
    found: list[Any] = []
    fenced = _FENCE.fullmatch(text.strip())
    spans = [fenced.group(1)] if fenced and "```" not in fenced.group(1) else _spans(text)
    for span in spans or ():
        try:
            found.append(parse(span))
        except AssertionError:
            if span.lstrip().startswith("{"):  # a broken object is no prose; [a link] is
                return []
        if len(found) > 1:
            break  # ambiguous
    return found


def _spans(text: str) -> list[str] | None:
    """The outermost bracketed parts, or None when a bracket has no partner. Quotes count only inside brackets."""
    spans, start, depth, position = [], 0, 0, 0
    while match := (TOKENS if depth else _BRACKETS).search(text, position):
        position = match.end()
        if match.group() in "[{":
            start = match.start() if depth == 0 else start
            depth += 1
        elif match.group() in "]}":
            depth -= 1
            if depth < 0:
                return None
            if depth == 0:
                spans.append(text[start:position])
    return spans if depth == 0 else None


def _keys_missing(wanted: set[str], value: Any) -> Missing:
    if not isinstance(value, dict):
        return f"it is no object: {short(value)}"
    lines = [f"key {short(key)} is missing" for key in sorted(wanted - value.keys())]
    lines += [f"key {short(key)} was not asked for" for key in sorted(value.keys() - wanted)]
    return "; ".join(lines[:5]) or None
