"""quant_budget: every reply stays within its limits of tokens and seconds, by itself or against the baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import ToldCheck
from pytest_quantcheck.checks.base import checked_count
from pytest_quantcheck.checks.base import checked_positive
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Score
from pytest_quantcheck.stop_rules import Fact
from pytest_quantcheck.text import short


@dataclass(frozen=True, slots=True)
class _Limit:
    """At most ``top`` of what ``used`` reads off a reply; ``None`` when the reply has none of it."""

    words: str
    top: float
    used: Callable[[Reply], float | None]
    over: Fact | None = None
    """What shows before the end that it is passed; a share may fall again, and seconds are not seen."""


def quant_budget(
    *,
    total_tokens: int | None = None,
    thinking_tokens: int | None = None,
    visible_tokens: int | None = None,
    thinking_share: float | None = None,
    first_visible_s: float | None = None,
    wall_s: float | None = None,
    vs_baseline: float | None = None,
    visible_vs_baseline: float | None = None,
) -> Check:
    """Value: 1 if each reply stays within every limit, else 0; a limit itself is allowed.

    Tokens are those of one reply, ``thinking_share`` is thinking over total (0 to 1), ``first_visible_s`` and
    ``wall_s`` are seconds to the first visible token and to the end.

    ``vs_baseline=1.5``: all replies of the test together cost at most 1.5 times the baseline's total tokens; of a test
    that runs more than once the mean cost of its runs is compared.
    ``visible_vs_baseline=0.5``: they show at least half of the baseline's visible tokens, so a model that gives up
    early is noticed. Both hold where there is no baseline's answer to compare with.
    """
    limits: list[_Limit] = []
    if total_tokens is not None:
        top = checked_count("total_tokens", total_tokens)
        limits.append(_Limit("total tokens", top, lambda reply: reply.usage.total, Fact("tokens", "total", top)))
    if thinking_tokens is not None:
        top = checked_count("thinking_tokens", thinking_tokens, least=0)
        over = Fact("tokens", "thinking", top)
        limits.append(_Limit("thinking tokens", top, lambda reply: reply.usage.thinking, over))
    if visible_tokens is not None:
        top = checked_count("visible_tokens", visible_tokens)
        over = Fact("tokens", "visible", top)
        limits.append(_Limit("visible tokens", top, lambda reply: reply.usage.visible, over))
    if thinking_share is not None:
        if (
            isinstance(thinking_share, bool)
            or not isinstance(thinking_share, int | float)
            or not 0 <= thinking_share < 1
        ):
            raise MarkerError(f"thinking_share={short(thinking_share)}; allowed: a number from 0 to below 1")
        limits.append(_Limit("thinking share", thinking_share, _share))
    if first_visible_s is not None:
        at_most = checked_positive("first_visible_s", first_visible_s)
        limits.append(
            _Limit("seconds to the first visible token", at_most, lambda reply: reply.timings.first_visible_s)
        )
    if wall_s is not None:
        limits.append(_Limit("seconds", checked_positive("wall_s", wall_s), lambda reply: reply.timings.total_s))
    ratios = [
        (words, checked_positive(keyword, value), part, at_most)
        for keyword, value, words, part, at_most in (
            ("vs_baseline", vs_baseline, "times the baseline's total tokens", _total, True),
            ("visible_vs_baseline", visible_vs_baseline, "times the baseline's visible tokens", _visible, False),
        )
        if value is not None
    ]
    if not limits and not ratios:
        raise MarkerError(
            "no limit; allowed: total_tokens, thinking_tokens, visible_tokens, thinking_share, first_visible_s, "
            "wall_s, vs_baseline, visible_vs_baseline"
        )
    tops = {limit.words: limit.top for limit in limits}
    for part in ("thinking tokens", "visible tokens"):
        if tops.get(part, 0) > tops.get("total tokens", float("inf")):
            raise MarkerError(f"the limit of {part} is above that of total tokens and can never be reached")

    def check(seen: CheckInput) -> Score:
        if not seen.replies:
            return Score("budget", 0.0, seen.no_reply)
        found = [_worst(limit, seen.replies) for limit in limits]
        if seen.baseline is not None and seen.baseline.status.has_answer:
            for words, bound, part, at_most in ratios:
                # over all runs: single sampled answers differ in length by chance
                mine, theirs = (
                    fmean(map(part, runs)) for runs in (seen.runs or (seen.replies,), seen.baseline.answered)
                )
                ratio = mine / theirs if theirs else (0.0 if not mine else float("inf"))
                found.append((ratio <= bound if at_most else ratio >= bound, f"{ratio:.3g} of {bound:g} {words}"))
        sources = {reply.usage.source for reply in seen.replies} - {"exact"}
        counted = f" (token counts: {', '.join(sorted(sources))})" if sources else ""
        lines = [text if held else f"{text} (over)" for held, text in found]
        return Score("budget", float(all(held for held, _ in found)), (", ".join(lines) or "no baseline yet") + counted)

    # where both sides' tokens are compared none may be left out
    passed = tuple(limit.over for limit in limits if limit.over is not None and not ratios)
    timed = first_visible_s is not None or wall_s is not None
    return ToldCheck(check, timed=timed, stop=(passed,) if passed else ())


def _worst(limit: _Limit, replies: tuple[Reply, ...]) -> tuple[bool, str]:
    used = [value for value in map(limit.used, replies) if value is not None]
    worst = max(used, default=0.0)
    return worst <= limit.top, f"{worst:.6g} of {limit.top:.6g} {limit.words}"


def _share(reply: Reply) -> float:
    return reply.usage.thinking / reply.usage.total if reply.usage.total else 0.0


def _total(replies: tuple[Reply, ...]) -> int:
    return sum(reply.usage.total for reply in replies)


def _visible(replies: tuple[Reply, ...]) -> int:
    return sum(reply.usage.visible for reply in replies)
