"""One table of measured figures, as every report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field


@dataclass(frozen=True, slots=True)
class Section:
    """A table whose header says what it is, its first ``left`` columns to the left, and notes under it."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=list)
    left: int = 1
