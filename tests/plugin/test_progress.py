from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pyte
import pytest

from pytest_quantcheck.reports import progress
from pytest_quantcheck.settings import Settings
from tests.plugin.conftest import Gate
from tests.terminals import TerminalRun

SUITE = """
    import time

    import pytest

    @pytest.fixture(autouse=True)
    def until_the_line_says_it(request):
        yield
        plugin = request.config.pluginmanager.getplugin("quantcheck-progress")
        line = getattr(plugin, "_line", None)
        deadline = time.monotonic() + 30
        while line is not None and line._text != plugin.text():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        if hasattr(request.config, "workerinput"):
            time.sleep(0.05)

    @pytest.mark.parametrize("number", range(4))
    def test_it(quant, number):
        assert quant.chat(str(number)).text == "yes"

    def test_plain():
        pass
"""
OLD = {str(number): "yes" for number in range(4)}
NEW = {**OLD, "2": "no"}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.002)


def written(gate: Gate, *args: str) -> str:
    outcome = gate.run(*args)
    assert outcome.result.ret == 1
    assert outcome.kind == "regression"
    return str(outcome.result.stdout)


def screen(text: str) -> list[str]:
    """What is left of it on a large screen, without times."""
    seen = pyte.Screen(300, 200)
    pyte.Stream(seen).feed(text.replace("\n", "\r\n"))
    lines = [re.sub(r"\d+\.\d+ ?s", "? s", line.rstrip()) for line in seen.display]
    return [re.sub("=+", "=", line) for line in lines if line]


def told(text: str) -> list[str]:
    """The lines that came and went."""
    return re.findall(r"\x1b\[\?7l(.*?)\x1b", text)


@pytest.mark.parametrize("verbosity", ["-q", "-v"])
def test_it_is_there_while_tests_run_and_leaves_nothing(plain_suite: Gate, verbosity: str) -> None:
    args = ("--color=no", verbosity)
    on, off = written(plain_suite, *args, "--quant-progress=on"), written(plain_suite, *args, "--quant-progress=off")

    assert "8 of 8 tests left" in told(on)
    assert "baseline: testing | 8 of 8 tests left" in told(on)
    assert any(line.startswith("candidate: testing | 1 of 8 tests left, ~1 tokens") for line in told(on)), told(on)
    assert screen(on) == screen(off)
    assert not told(off)
    assert not [thread for thread in threading.enumerate() if thread.name == "quantcheck-progress"]


def test_the_same_with_workers(suite: Gate) -> None:
    on, off = written(suite, "-q", "--quant-progress=on"), written(suite, "-q", "--quant-progress=off")

    assert any("of 8 tests left" in line for line in told(on)), told(on)
    who = "gw0 baseline: testing" if "-n2" in suite._dist_args else "baseline: testing"
    assert any(line.startswith(who) for line in told(on)), told(on)
    # whose tests end first is chance
    assert [sorted(re.sub(r"gw\d", "", line)) for line in screen(on)] == [
        sorted(re.sub(r"gw\d", "", line)) for line in screen(off)
    ]


def test_nothing_of_it_in_a_log(plain_suite: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_Progress", None)  # to use it would fail
    texts = [written(plain_suite, *how) for how in ((), ("--quant-progress=off",))]

    assert "\x1b" not in texts[0]
    assert screen(texts[0]) == screen(texts[1])


class Config:
    """As much of pytest's config as is asked for."""

    def __init__(self, *, tty: bool = True, verbosity: int = 0, reporter: bool = True, **options: Any) -> None:
        self.option = self
        self._tty, self._verbosity, self._reporter = tty, verbosity, reporter
        self._options = {"capture": "fd", **options}
        self.pluginmanager = self
        vars(self).update(options)

    def getoption(self, name: str, default: Any) -> Any:
        return self._options.get(name, default)

    def getplugin(self, name: str) -> Any:
        return self if self._reporter else None

    def isatty(self) -> bool:
        return self._tty

    def get_verbosity(self) -> int:
        return self._verbosity


@pytest.mark.parametrize(
    ("config", "environment", "shown", "forced"),
    [
        (Config(), {"TERM": "xterm"}, True, True),
        (Config(verbosity=2), {}, True, True),
        (Config(verbosity=-1), {}, True, True),
        (Config(verbosity=-2), {}, False, True),
        (Config(tty=False), {"TERM": "xterm"}, False, True),
        (Config(), {"TERM": "dumb"}, False, True),
        (Config(), {"CI": "true"}, False, True),
        (Config(), {"GITHUB_ACTIONS": "true"}, False, True),
        (Config(), {"CI": ""}, True, True),
        (Config(capture="no"), {}, False, False),
        (Config(capture="tee-sys"), {}, True, True),
        (Config(reporter=False), {}, False, False),
        (Config(collectonly=True), {}, False, False),
    ],
)
def test_who_sees_it(config: Any, environment: dict[str, str], shown: bool, forced: bool) -> None:
    assert progress.wanted(config, Settings(), environment) is shown
    assert progress.wanted(config, Settings(progress="on"), environment) is forced
    assert progress.wanted(config, Settings(progress="off"), environment) is False


WAITING = """
    import pathlib, time
    from pytest_quantcheck import ScriptedEngine

    def pytest_quantcheck_engine(role, source):
        def script(prompt):
            while not pathlib.Path(source, prompt).exists():
                time.sleep(0.01)
            return "yes"
        return ScriptedEngine(script, name=source)
"""
DEBUGGED = """
    def test_one(quant):
        quant.chat("one")

    def test_two(quant):
        if quant.role == "candidate":
            breakpoint()
        quant.chat("two")
"""


def status(lines: list[str]) -> str:
    found = [line for line in lines if "tests left" in line]
    assert len(found) <= 1
    return found[0] if found else ""


@pytest.fixture
def on_terminal(pytester: pytest.Pytester) -> tuple[Path, Path]:
    """A suite whose answers wait for files in these folders, the baseline's and the candidate's."""
    pytester.makeconftest(WAITING)
    pytester.makepyfile(test_it=DEBUGGED)
    return pytester.mkdir("old"), pytester.mkdir("new")


MODELS = ("--quant-model=new", "--quant-baseline=old")


def test_on_a_terminal_with_a_debugger(on_terminal: tuple[Path, Path]) -> None:
    old, new = on_terminal
    with TerminalRun(*MODELS, "-v") as run:
        lines = run.until(lambda lines: bool(status(lines)))
        assert lines[-2].startswith("test_it.py::test_one[baseline]")
        assert lines[-1] == "baseline: testing | 4 of 4 tests left"
        (old / "one").touch()
        lines = run.until(lambda lines: "3 of 4" in status(lines))
        assert re.fullmatch(r"test_it\.py::test_one\[baseline\] BASELINE +\[ 25%\]", lines[-3])
        (old / "two").touch()
        (new / "one").touch()
        run.until(lambda lines: lines[-1].startswith("(Pdb)"))
        assert not status(run.look(0.6))
        run.type("c\r")
        run.until(lambda lines: status(lines).startswith("candidate: testing | 1 of 4 tests left"))
        (new / "two").touch()
        assert run.end() == 0
    assert not status(run.lines)
    assert any(re.fullmatch(r".*\[candidate\] HELD +\[ 75%\]", line) for line in run.lines)


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_ctrl_c_leaves_a_clean_terminal(on_terminal: tuple[Path, Path], workers: tuple[str, ...]) -> None:
    with TerminalRun(*MODELS, *workers) as run:
        run.until(lambda lines: bool(status(lines)))
        run.type("\x03")
        assert run.end() == 2
    assert not status(run.lines)
    assert any("KeyboardInterrupt" in line for line in run.lines)


def test_a_narrow_terminal_and_a_worker(on_terminal: tuple[Path, Path]) -> None:
    (on_terminal[0] / "one").touch()
    with TerminalRun(*MODELS, "-n1", "-q", columns=30) as run:
        run.until(lambda lines: lines[-1:] == ["3 of 4 tests left"])
        assert all(len(line) <= 30 for line in run.lines)
