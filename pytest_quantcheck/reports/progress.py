"""``--quant-progress``: what a long run is doing and what is left of it, below pytest's own output on a terminal."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

import pytest

from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.forecast import Forecast
from pytest_quantcheck.options import only_looks
from pytest_quantcheck.progress import Watch
from pytest_quantcheck.progress import publish_to
from pytest_quantcheck.progress import published
from pytest_quantcheck.records import Role
from pytest_quantcheck.reports.progress_words import progress_line
from pytest_quantcheck.reports.status_line import EVERY_S
from pytest_quantcheck.reports.status_line import StatusLine
from pytest_quantcheck.reports.status_line import Ticker
from pytest_quantcheck.said import Said
from pytest_quantcheck.said import said_of
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.variants import role_of

if TYPE_CHECKING:
    from pytest_quantcheck.run import Run

_FOLDER_KEY: Final = "quantcheck_progress"
"""Of workerinput: the folder in which a worker says what it does; absent where nobody looks."""
_TESTS: Final = "tests.json"
_CI: Final = ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")


def attach(config: pytest.Config, run: Run, settings: Settings) -> None:
    """Make the run tell what it does, where somebody looks."""
    workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
    if workerinput is not None:
        if _FOLDER_KEY in workerinput:
            folder = Path(workerinput[_FOLDER_KEY])
            plugin: object = _Worker(run, folder, workerinput["workerid"])
            config.pluginmanager.register(plugin, "quantcheck-progress")
    elif wanted(config, settings, os.environ):
        config.pluginmanager.register(_Progress(config, run), "quantcheck-progress")


def wanted(config: pytest.Config, settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether anybody looks: a person at a terminal, unless the options say so.

    Never where a test's own output goes to the terminal (``-s``): the line would be in its way.
    """
    if settings.progress == "off" or only_looks(config) or config.getoption("capture", "fd") == "no":
        return False
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or settings.progress == "on":
        return reporter is not None
    in_ci = any(environment.get(name) for name in _CI)
    quiet = config.get_verbosity() < -1
    return bool(reporter.isatty()) and environment.get("TERM") != "dumb" and not in_ci and not quiet


def _ours(session: pytest.Session) -> list[tuple[str, Role]]:
    roles = ((item.nodeid, role_of(item)) for item in session.items)
    return [(nodeid, role) for nodeid, role in roles if role is not None]


class _Worker:
    """A worker's side: what it does goes into a file, and so do the tests, which the controller does not collect."""

    def __init__(self, run: Run, folder: Path, name: str) -> None:
        self._folder = folder
        self._file = folder / f"{name}.doing"
        self._watch = run.watch = Watch(publish_to(self._file))
        self._roles: dict[str, Role] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Every worker collects the same."""
        self._roles = dict(_ours(session))
        path = self._folder / _TESTS
        if not path.exists():
            write_atomically(path, json.dumps(list(self._roles.items())))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._watch.test(self._roles.get(nodeid, ""))

    def pytest_sessionfinish(self) -> None:
        """Nothing is done any more."""
        self._file.unlink(missing_ok=True)


class _Progress:
    """The side of the process that prints."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config = config
        self._watch = run.watch = Watch()
        self._forecast = Forecast()
        self._roles: dict[str, Role] = {}
        self._workers: dict[str, Path] = {}
        self._folder: Path | None = None
        self._line: StatusLine | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Around everything that runs tests."""
        self._expect(_ours(session))
        writer = session.config.get_terminal_writer()
        self._line = StatusLine(writer._file, lambda: writer.width_of_current_line, writer.fullwidth)
        ticker = Ticker(self._line, self.text, EVERY_S)
        try:
            return (yield)
        finally:
            ticker.stop()
            self._line = None

    def text(self) -> str:
        """The line as it should be now."""
        if self._line is None:
            return ""
        doing = {name: published(path) for name, path in sorted(self._workers.items())} or {"": self._watch.now}
        return progress_line(doing, self._forecast.left(time.monotonic()), self._line.columns - 1)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins; with workers, they say so themselves."""
        if self._workers and not self._roles:
            self._read_tests()
        self._watch.test(self._roles.get(nodeid, ""))
        self._hide(False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a phase of a test took."""
        if report.nodeid in self._roles:
            self._forecast.add(report.nodeid, report.duration, *_tokens(said_of(report)))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test is over."""
        self._forecast.finish(nodeid)

    def pytest_enter_pdb(self) -> None:
        """The terminal is the debugger's."""
        self._hide(True)

    def pytest_leave_pdb(self) -> None:
        """The test goes on."""
        self._hide(False)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker that somebody looks."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="quantcheck-"))
        name = node.workerinput["workerid"]
        node.workerinput[_FOLDER_KEY] = str(self._folder)
        self._set_workers({**self._workers, name: self._folder / f"{name}.doing"})

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker is gone; another one may take its place."""
        gone = node.workerinput["workerid"]
        self._set_workers({name: path for name, path in self._workers.items() if name != gone})

    def pytest_unconfigure(self) -> None:
        """Remove the folder of the workers."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _expect(self, tests: list[tuple[str, Role]]) -> None:
        self._roles = dict(tests)
        self._forecast.expect(self._roles.items())

    def _read_tests(self) -> None:
        path = (self._folder or Path()) / _TESTS
        if path.exists():
            self._expect([(nodeid, Role(role)) for nodeid, role in json.loads(path.read_text(encoding="utf-8"))])

    def _set_workers(self, workers: dict[str, Path]) -> None:
        self._workers = workers  # another one: the line's thread may be reading the old one
        self._forecast.workers = max(1, len(workers))

    def _hide(self, hidden: bool) -> None:
        if self._line is not None:
            self._line.hide(hidden)


def _tokens(said: Said | None) -> tuple[int, int]:
    """Generated tokens of an observation, and those of them that no cache gave."""
    seen = None if said is None else said.baseline if said.result is None else said.result.candidate
    counted = [(reply.usage.total, reply.cached) for reply in (seen.replies if seen is not None else ())]
    return sum(total for total, _ in counted), sum(total for total, cached in counted if not cached)
