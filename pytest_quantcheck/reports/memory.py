"""The table of what models took, from the tests that measured it."""

from __future__ import annotations

from dataclasses import replace

from pytest_quantcheck.checks.memory import largest_words
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.records import Role
from pytest_quantcheck.reports.section import Section
from pytest_quantcheck.sizes import size


def memory_section(ledger: Ledger) -> Section | None:
    """One row for each role and context that was measured; None where no test did."""
    found: dict[tuple[Role, int], Memory] = {}
    for role in (Role.BASELINE, Role.CANDIDATE):
        for seen in ledger.observations(role):
            if (memory := seen.memory) is not None:
                kept = found.setdefault((role, memory.context), memory)
                # a budget that a test named says most; the peak is the highest that anyone saw
                peak = max((one.peak for one in (kept, memory) if one.peak is not None), default=None)
                found[role, memory.context] = replace(kept if memory.budget is None else memory, peak=peak)
    if not found:
        return None
    rows = [_row(role, memory) for (role, _), memory in found.items()]
    header = ["memory", "context", "weights", "KV", "compute", "sum", "measured *", "peak *"]
    return Section(header, rows, _notes(found))


def _row(role: Role, memory: Memory) -> list[str]:
    parts = memory.estimate
    measured = memory.figures.total if memory.is_loaded else None
    figures = [parts.weights, parts.kv, parts.compute, parts.total, measured, memory.highest]
    return [
        role.value,
        f"{memory.context} {memory.kv_type}",
        *("-" if figure is None else size(figure) for figure in figures),
    ]


def _notes(found: dict[tuple[Role, int], Memory]) -> list[str]:
    mapped = any(memory.mapped for memory in found.values())
    notes = [
        "* weights, KV and compute are the estimate; measured is the sum of the buffers that llama.cpp reported when "
        "it loaded the model; peak is the most that its process held"
        + (", mapped weights as far as they were touched (the page cache decides)" if mapped else "")
    ]
    for (role, context), memory in found.items():
        if memory.budget is not None:
            notes.append(f"{role.value} at {context} tokens, budget {size(memory.budget)}: {largest_words(memory)}")
        notes += [f"{role.value}: {note}" for note in memory.notes]
    return list(dict.fromkeys(notes))
