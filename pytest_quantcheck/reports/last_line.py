"""The last line of a run: its verdict as compact JSON, for scripts that read the output."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.options import only_looks
from pytest_quantcheck.records import Word
from pytest_quantcheck.reports.json_report import plain
from pytest_quantcheck.session import SessionVerdict

PREFIX = "quantcheck-verdict: "


def last_line(ledger: Ledger, exit_status: int) -> str:
    """The line. Points are of 100, candidate minus baseline; null where there are no scored samples."""
    kind, verdict = ledger.end(exit_status)
    results = ledger.results
    requirements = [result.verdict for result in results if not result.family]
    every = verdict.samples.everything if verdict is not None and verdict.samples is not None else None
    scored = every if every is not None and every.scored else None
    said = {
        "kind": kind,
        "exit": exit_status,
        "pairs": sum(result.baseline is not None for result in results),
        "requirements_lost": sum(v.word is Word.REGRESSED and v.outcome == "failed" for v in requirements),
        "requirements_gained": sum(v.word is Word.IMPROVED for v in requirements),
        "samples_scored": every.scored if every is not None else 0,
        "samples_lost": every.lost if every is not None else 0,
        "samples_won": every.won if every is not None else 0,
        "points": _points(scored.mean) if scored is not None else None,
        "low": _points(scored.low) if scored is not None else None,
        "high": _points(scored.high) if scored is not None else None,
        "unfair": _unfair(verdict) if verdict is not None else [],
        **{role.value: ledger.cards[role].file_name if role in ledger.cards else None for role in ledger.roles},
    }
    return PREFIX + json.dumps(plain(said), allow_nan=False, separators=(",", ":"))


def _points(share: float) -> float:
    return round(100 * share, 2)


def _unfair(verdict: SessionVerdict) -> list[str]:
    rows = [one.row for one in verdict.differences if one.level == "blocks" and not one.allowed]
    return list(dict.fromkeys(rows))


class LastLine:
    """Plugin object of the process that prints: outside everybody else, so that nothing is printed after it."""

    def __init__(self, config: pytest.Config, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Print it when the exit status is known and the terminal has said everything."""
        result = yield
        if not only_looks(session.config):
            self._print(int(session.exitstatus))
        return result

    def pytest_unconfigure(self) -> None:
        """A file that was refused ends the run before there is a session to finish."""
        if self._ledger.refusal:
            self._print(int(pytest.ExitCode.USAGE_ERROR))

    def _print(self, exit_status: int) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(last_line(self._ledger, exit_status))
