"""Every file that a run leaves: which, when, and what is said when one cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path

from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.options import option_name
from pytest_quantcheck.reports import json_report
from pytest_quantcheck.reports import markdown

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


class Outputs:
    """The files of one run.

    :param environment: of the process; GitHub names in it the file of a job's summary.
    """

    def __init__(self, ledger: Ledger, environment: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._environment = environment
        self.failures: list[str] = []
        """One line for each file that the user asked for and that could not be written."""
        self.warning = ""
        """The same of the job's summary, for which nobody asked."""

    def write(self, exit_status: int) -> None:
        """Write them all, each whatever became of the others."""
        settings, ledger = self._ledger.settings, self._ledger
        if settings.report is not None:
            report = json_report.build(ledger, exit_status)
            self._try("report", settings.report, lambda path: json_report.write(path, report))
        step = self._environment.get(STEP_SUMMARY, "") if ledger.ran or ledger.refusal else ""
        if settings.summary is None and not step:
            return
        text = markdown.build(ledger, exit_status)
        if settings.summary is not None:
            self._try("summary", settings.summary, lambda path: write_atomically(path, text))
        if step:
            self._append(step, text)

    def _try(self, name: str, path: Path, write: Callable[[Path], None]) -> None:
        try:
            write(path)
        except OSError as error:
            self.failures.append(f"{option_name(name)}: {path} could not be written: {error.strerror or error}")

    def _append(self, path: str, text: str) -> None:
        """Append, for other steps' summaries stand there; what other programs print later begins a line of its own."""
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{text}\n")
        except OSError as error:
            self.warning = f"{STEP_SUMMARY}: {path} could not be written: {error.strerror or error}"
