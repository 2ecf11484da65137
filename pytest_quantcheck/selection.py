"""After collection: refuse wrong markers, complete the pairs, put all baselines first."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING
from typing import Any

import pytest

from pytest_quantcheck import markers
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.variants import baseline_first
from pytest_quantcheck.variants import complete_pairs

if TYPE_CHECKING:
    from pytest_quantcheck.run import Run

# a worker's alarm in its workeroutput
USAGE_ERROR_KEY = "quantcheck_usage_error"


class Collection:
    """Order, pairs and marker validation; an object of its own so that its wrapper is registered last.

    A wrong marker is a UsageError. In an xdist worker that would be an internal error of xdist's, so the worker runs
    nothing and the controller raises the alarm.
    """

    def __init__(self) -> None:
        self._seen: list[pytest.Item] = []
        self._wrong = ""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Run inside everybody else: --lf drops items from these reports before collection is even finished."""
        report = yield
        self._seen += [item for item in report.result or () if isinstance(item, pytest.Item)]
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Run around everybody else: let others select and shuffle, then complete and sort."""
        result = yield
        wrong = _wrong_markers(items) or self._too_long(config, items)
        if wrong and not hasattr(config, "workerinput"):
            raise pytest.UsageError(wrong)
        if wrong:
            config.workeroutput[USAGE_ERROR_KEY] = wrong  # type: ignore[attr-defined]
            items[:] = []
        else:
            added = complete_pairs(self._seen, items)
            items[:] = baseline_first([*items, *added])
            _uncount_deselected(config, added)
        self._seen.clear()
        return result

    def _too_long(self, config: pytest.Config, items: list[pytest.Item]) -> str:
        """Why the run cannot hold what a test declares; empty when it can, and then it will."""
        run: Run | None = config.pluginmanager.getplugin("quantcheck-run")
        try:
            if run is not None:
                run.declare(items)
        except MarkerError as error:
            return str(error)
        return ""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear a worker's alarm; one that crashed has nothing to say."""
        output = getattr(node, "workeroutput", None) or {}
        self._wrong = output.get(USAGE_ERROR_KEY, self._wrong)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Set the exit status before reports are written, and after other plugins: syrupy adds its own bits to it."""
        if self._wrong:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        try:
            return (yield)
        finally:
            if self._wrong:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is wrong."""
        if self._wrong:
            terminalreporter.write_line(f"ERROR: {self._wrong}", red=True)


def _wrong_markers(items: list[pytest.Item]) -> str:
    for item in items:
        try:
            markers.plan(item)
        except MarkerError as error:
            return str(error)
    return ""


def _uncount_deselected(config: pytest.Config, added: list[pytest.Item]) -> None:
    """What is pulled in again runs, so the last line must not call it deselected."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and added and "deselected" in reporter.stats:
        back = set(added)
        left = [item for item in reporter.stats["deselected"] if item not in back]
        reporter.stats["deselected"] = left
        if not left:
            del reporter.stats["deselected"]
