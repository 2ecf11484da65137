"""What stands in the terminal when the tests are over: the summary, and what could not be done or written."""

from __future__ import annotations

import pytest

from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.reports.outputs import Outputs


def write_closing(terminal: pytest.TerminalReporter, ledger: Ledger, outputs: Outputs, *, broken: bool) -> None:
    """Write it all.

    :param broken: an internal error stopped a process.
    """
    if ledger.ran:
        from pytest_quantcheck.reports.terminal import summary

        terminal.write_sep("=", "quantcheck")
        for line in summary(ledger, terminal._tw.fullwidth):
            markup = {"light" if line.style == "dim" else line.style: True} if line.style else {}
            terminal.write_line(line.text, **markup)
    if ledger.sandbox:
        terminal.write_line(f"quantcheck: answers' code ran in the sandbox {ledger.sandbox!r}")
    if ledger.distributions:
        terminal.write_line(f"quantcheck: {ledger.distributions}")
    for reason, count in ledger.cannot.items():
        terminal.write_line(f"quantcheck: {count} skipped: {reason}", yellow=True)
    if broken:
        what = "an internal error stopped a process; the verdict is only on what had run"
        terminal.write_line(f"quantcheck: {what}", red=True)
    for failure in outputs.failures:
        terminal.write_line(f"quantcheck: {failure}", red=True)
    if outputs.warning:
        terminal.write_line(f"quantcheck: {outputs.warning}", yellow=True)
