"""Tables of measured figures, made once for the terminal and the Markdown summary."""

from __future__ import annotations

from collections.abc import Callable

from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.reports.fidelity import fidelity_section
from pytest_quantcheck.reports.memory import memory_section
from pytest_quantcheck.reports.section import Section as Section
from pytest_quantcheck.reports.speed import speed_section

# each instrument's report has one function Ledger -> Section | None
_SECTIONS: tuple[Callable[[Ledger], Section | None], ...] = (fidelity_section, speed_section, memory_section)


def sections(ledger: Ledger) -> list[Section]:
    """Fidelity, speed and memory, as far as the run measured them."""
    return [section for make in _SECTIONS if (section := make(ledger)) is not None]
