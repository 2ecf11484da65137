"""Whether a candidate takes more memory than its baseline: regression, no regression, cannot tell. Pure.

What llama.cpp allocates follows from the files and the settings: it is compared exactly, byte by byte. What a process
held at most is measured, and moves with the page cache and the allocator: it counts only beyond `MARGIN` and `NOISE`.
"""

from __future__ import annotations

from typing import Final

from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Answer
from pytest_quantcheck.sizes import size

MARGIN: Final = 0.03
"""Share by which a candidate may take more memory than the baseline."""
NOISE: Final = 64 << 20
"""Bytes by which the peaks of two processes may differ for no reason."""
_PARTS: Final = {"weights": "weights", "kv": "KV", "compute": "compute", "output": "output"}


def compare(baseline: Memory, candidate: Memory) -> tuple[Answer, str]:
    """The answer and why."""
    where = {(one.context, one.kv_type, one.is_loaded) for one in (baseline, candidate)}
    if len(where) > 1:
        both = " and ".join(f"{one.context} tokens of {one.kv_type}" for one in (baseline, candidate))
        return "cannot-tell", f"not comparable with the baseline: {both}, or only one of them loaded so"
    before, now = baseline.figures, candidate.figures
    if before.unknown != now.unknown:
        missing = ", ".join(sorted({*before.unknown} ^ {*now.unknown}))
        return "cannot-tell", f"not comparable with the baseline: {missing} is known on one side only"
    differ = [
        f"{words} {_signed(getattr(now, part) - getattr(before, part))}"
        for part, words in _PARTS.items()
        if getattr(now, part) is not None and getattr(now, part) != getattr(before, part)
    ]
    said = f"against the baseline {', '.join(differ) or 'the same buffers'}"
    if differ:
        said += f", {_percent(now.total, before.total)} in all"
    if now.total > before.total * (1 + MARGIN):
        return "regression", f"{said}: more than {MARGIN * 100:g} % more"
    return _peaks(baseline, candidate, said)


def _peaks(baseline: Memory, candidate: Memory, said: str) -> tuple[Answer, str]:
    before, now = baseline.highest, candidate.highest
    if before is None or now is None:
        return "no-regression", f"{said}; the peak is not known on both sides"
    more = now - before
    if more <= NOISE or more <= before * MARGIN:
        return "no-regression", f"{said}; peak {_signed(more)}"
    said = f"{said}; peak {_signed(more)} ({_percent(now, before)})"
    held, holds = _own(baseline), _own(candidate)
    if held is not None and holds is not None and holds - held <= NOISE:
        return "cannot-tell", f"{said}, all of it mapped from files, of which the page cache decides how much stays"
    return "regression", f"{said}: more than {MARGIN * 100:g} % and {size(NOISE)}"


def _own(memory: Memory) -> int | None:
    """What a process holds that cannot be dropped and read again."""
    if memory.resident is None or memory.resident_file is None:
        return None
    return memory.resident - memory.resident_file


def _percent(now: int, before: int) -> str:
    return f"{100 * (now / max(1, before) - 1):+.1f} %"


def _signed(difference: int) -> str:
    return f"{'+' if difference >= 0 else '-'}{size(abs(difference))}"
