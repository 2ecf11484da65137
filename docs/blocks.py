"""What a program puts into a page: a block between two marks, a table."""

from __future__ import annotations


def replaced(page: str, begin: str, end: str, made: str) -> str:
    """``page`` with ``made`` between the lines ``begin`` and ``end``; ValueError when it has no such place."""
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no place between {begin!r} and {end!r}")
    return f"{head}{begin}\n{made}\n{end}{tail}"


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table without those of its last columns that would be empty; nothing without rows."""
    while rows and not any(row[len(columns) - 1] for row in rows):
        columns = columns[:-1]
    if not rows:
        return ""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(f"| {' | '.join(row[: len(columns)])} |" for row in rows)])
