"""Tables of measured figures, made once for the terminal and the Markdown summary."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field

from pytest_quantcheck.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Section:
    """A table whose header says what it is, its first ``left`` columns to the left, and notes under it."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=list)
    left: int = 1


def sections(ledger: Ledger) -> list[Section]:
    """Fidelity, speed and memory, as far as the run measured them."""
    return [section for make in _SECTIONS if (section := make(ledger)) is not None]


# each instrument's report has one function Ledger -> Section | None
_SECTIONS: tuple[Callable[[Ledger], Section | None], ...] = ()
