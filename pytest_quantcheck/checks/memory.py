"""quant_memory: what a model takes against limits, against a budget and against the baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import CheckCannot
from pytest_quantcheck.checks.base import CheckInput
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import checked_count
from pytest_quantcheck.engines.base import MOST_CONTEXT
from pytest_quantcheck.engines.base import MemoryRequest
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.memory_rule import compare
from pytest_quantcheck.records import Score
from pytest_quantcheck.sizes import parse_size
from pytest_quantcheck.sizes import size
from pytest_quantcheck.text import short

_FIGURES: Final[dict[str, Callable[[Memory], int | None]]] = {
    "weights": lambda memory: memory.figures.weights,
    "kv": lambda memory: memory.figures.kv,
    "peak": lambda memory: memory.highest,
}
_WORDS: Final = {"kv": "KV"}


def quant_memory(
    *,
    peak: int | str | None = None,
    weights: int | str | None = None,
    kv: int | str | None = None,
    fits: int | str | None = None,
    context: int | None = None,
) -> Check:
    """Value: the share of the limits that are kept; 1 without any. The comparison with the baseline is an answer apart.

    Needs no reply. What the engine raises goes on.

    :param peak: most that the engine's process may have held, graphics devices included.
    :param weights: most that the weights may take.
    :param kv: most that the KV cache may take.
    :param fits: a budget for weights, KV cache, compute and output buffers together.
    :param context: tokens for which ``kv`` and ``fits`` are asked; the run's own unless given.
    """
    limits = {
        name: _checked(name, limit)
        for name, limit in (("weights", weights), ("kv", kv), ("peak", peak))
        if limit is not None
    }
    budget = None if fits is None else _checked("fits", fits)
    if context is not None:
        checked_count("context", context, most=MOST_CONTEXT)
    request = MemoryRequest(context, budget)

    def check(seen: CheckInput) -> Score:
        found = seen.memory(request)
        kept, lines = [], []
        for name, limit in limits.items():
            taken = _FIGURES[name](found)
            if taken is None:
                raise CheckCannot(f"nobody can tell here what {_WORDS.get(name, name)} takes")
            kept.append(taken <= limit)
            what = f" ({_held(found)})" if name == "peak" else ""
            lines.append(f"{_WORDS.get(name, name)} {size(taken)}{what} {_within(kept[-1])} {size(limit)}")
        if budget is not None:
            kept.append(_fits(found, budget))
            lines.append(f"{_sum(found)} {_within(kept[-1])} {size(budget)}; {largest_words(found)}")
        value = sum(kept) / len(kept) if kept else 1.0
        compared = compare(seen.baseline.memory, found) if seen.baseline is not None and seen.baseline.memory else None
        if compared is not None:
            lines.append(compared[1])
        why = "; ".join(lines or [_sum(found)])
        return Score("memory", value, why, answer=compared[0] if compared is not None else "")

    return check


def largest_words(memory: Memory) -> str:
    """The largest context within the budget, in words."""
    largest = memory.largest_context
    if largest is None:
        return "the largest context that fits is not known"
    if not largest:
        return "no context fits"
    trained = ", all that it was trained for" if largest == memory.trained_context else ""
    return f"the largest context that fits has {largest} tokens{trained}"


def _held(found: Memory) -> str:
    """What the peak is made of."""
    mapped = ", mapped weights as far as they were touched" if found.mapped else ""
    devices = f", {size(found.taken)} on graphics devices" if found.taken else ""
    return f"resident{mapped}{devices}"


def _fits(found: Memory, budget: int) -> bool:
    parts = found.figures
    if parts.unknown and parts.total <= budget:
        raise CheckCannot(f"nobody can tell here whether it fits: {', '.join(parts.unknown)} not known")
    return parts.total <= budget


def _sum(found: Memory) -> str:
    """'weights 5.52 MB + KV 2.10 MB + ... = 13.40 MB at 1024 tokens (KV type f16)'."""
    parts = found.figures
    named = (("weights", parts.weights), ("KV", parts.kv), ("compute", parts.compute), ("output", parts.output))
    terms = " + ".join(f"{name} {size(taken)}" for name, taken in named if taken is not None)
    return f"{terms} = {size(parts.total)} at {found.context} tokens (KV type {found.kv_type})"


def _within(kept: bool) -> str:
    return "within" if kept else "over"


def _checked(keyword: str, value: object) -> int:
    try:
        return parse_size(value)
    except ValueError as error:
        raise MarkerError(f"{keyword}={short(value)}; allowed: {error}") from None
