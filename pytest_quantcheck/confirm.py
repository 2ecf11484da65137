"""--quant-confirm: lost tests are asked again on both models, after all others, and only then reported."""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace
from typing import TYPE_CHECKING
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from pytest_quantcheck import markers
from pytest_quantcheck.confirmation import Confirmation
from pytest_quantcheck.confirmation import runs_needed
from pytest_quantcheck.confirmation import settle
from pytest_quantcheck.outcome import act
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from pytest_quantcheck.records import Verdict
from pytest_quantcheck.records import Word
from pytest_quantcheck.repeats import Repeats
from pytest_quantcheck.reports import junit
from pytest_quantcheck.said import Said
from pytest_quantcheck.said import said_of
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.trial import Trial
from pytest_quantcheck.trial import trial_key
from pytest_quantcheck.variants import pair_key
from pytest_quantcheck.variants import role_of
from pytest_quantcheck.verdict import Result
from pytest_quantcheck.verdict import judge

if TYPE_CHECKING:
    from pytest_quantcheck.run import Run

FIRST_SEED = 1000
"""Added to ``--quant-seed``: the seeds of the first runs are not used again."""
_CONFIRMING = "confirming"
_STOPPED = "not asked again: the run stopped before"


@dataclass(frozen=True, slots=True)
class _Held:
    """A lost test whose reports wait."""

    item: pytest.Item
    reports: list[pytest.TestReport]
    result: Result


def refuse(config: pytest.Config, settings: Settings) -> None:
    """UsageError where tests cannot be asked again."""
    if settings.baseline is None:
        raise pytest.UsageError("--quant-confirm needs --quant-baseline: lost tests are asked again on both models")
    if hasattr(config, "workerinput") or config.getoption("dist", "no") != "no":
        raise pytest.UsageError("--quant-confirm runs in one process; leave -n out")


class Confirming:
    """Plugin object: holds the reports of lost tests back until both models were asked again."""

    def __init__(self, run: Run, settings: Settings) -> None:
        self._run = run
        self._settings = settings
        self._held: list[_Held] = []
        self._again = False
        self._last: list[pytest.TestReport] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a candidate's item without reporting it; what is lost is held back, all else reported at once."""
        if self._again:
            self._last = runtestprotocol(item, log=False, nextitem=nextitem)
            return True
        if role_of(item) is not Role.CANDIDATE:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        result = _lost(reports)
        if result is None:
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
        else:
            self._held.append(_Held(item, reports, result))
            item.ihook.pytest_runtest_logreport(report=_progress(item))
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """After the last item: ask again, settle, report. What could not be asked again counts as it stands."""
        try:
            result = yield
            if self._held:
                self._settle(session)
        finally:
            for held in self._held:
                self._report(held, Confirmation(held.result.pair, (), (), None, None, _STOPPED))
            self._held = []
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Progress, not counted."""
        return ("", "c", "CONFIRMING") if str(report.outcome) == _CONFIRMING else None

    def _settle(self, session: pytest.Session) -> None:
        runs = runs_needed(len(self._held), self._settings.alpha)
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            tests = f"{len(self._held)} lost test{'s' * (len(self._held) > 1)}"
            how = f"{runs} times on each model, answers drawn with {self._run.sampling}"
            reporter.ensure_newline()
            reporter.write_line(f"quantcheck: asking {tests} again, {how}")
        halves = {pair_key(item.nodeid): item for item in session.items if role_of(item) is Role.BASELINE}
        queue = [(held, halves.get(held.result.pair)) for held in self._held]
        # all baselines before all candidates: each model is loaded once more, and never both
        everything = [*queue, *((held, held.item) for held in self._held)]
        asked: list[_Runs] = []
        with self._asking_again():
            for at, (held, item) in enumerate(everything):
                following = next((later for _, later in everything[at + 1 :] if later is not None), None)
                asked.append(self._ask(held, item, following, runs))
        half = len(queue)
        confirmations = [_join(held.result.pair, asked[at], asked[half + at]) for at, (held, _) in enumerate(queue)]
        settled = iter(settle([one for one in confirmations if one.confirmed is not None], self._settings.alpha))
        for one in confirmations:
            final = next(settled) if one.confirmed is not None else one
            self._report(self._held.pop(0), final)

    @contextmanager
    def _asking_again(self) -> Iterator[None]:
        self._again = True
        try:
            yield
        finally:
            self._again = False
            self._run.again = None

    def _ask(self, held: _Held, item: pytest.Item | None, following: pytest.Item | None, runs: int) -> _Runs:
        """Run an item several times, each time with fixtures of its own."""
        good: list[bool] = []
        if item is None:
            return _Runs((), "the baseline's half of the test is not in this run")
        plan = markers.plan(item)
        first = self._run.baselines.get(held.result.pair)
        for number in range(runs):
            self._run.again = Repeats(first_seed=FIRST_SEED + number, sampling=self._run.sampling, always_drawn=True)
            observation = self._observe(item, following if number == runs - 1 else item.parent)
            if observation is None or observation.status is Status.ERROR:
                return _Runs(tuple(good), _why_not(item, self._last, observation))
            if observation.asked and not observation.replies:
                return _Runs(tuple(good), "it draws no answer, so every repetition says the same")
            ignored = plan.not_compared(first, observation)
            verdict = judge(first, observation, tolerances=plan.tolerances, ignored=ignored)
            good.append(observation.status.has_answer and verdict.word is not Word.REGRESSED)
        return _Runs(tuple(good))

    def _observe(self, item: pytest.Item, nextitem: Any) -> Observation | None:
        # its parent as the next item: what is the test's own is torn down, the loaded model stays
        properties, sections = list(item.user_properties), list(item._report_sections)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        item.user_properties[:] = properties
        item._report_sections[:] = sections
        return item.stash[trial_key].observation

    def _report(self, held: _Held, confirmation: Confirmation) -> None:
        """Log what was held back, with the verdict as it is now."""
        item, result = held.item, replace(held.result, verdict=_final(held.result, confirmation))
        self._run.ledger.confirmations[result.pair] = confirmation
        trial = Trial(Role.CANDIDATE, result.pair)
        trial.say(Said(result=result))
        item.stash[trial_key] = trial
        junit.tell(item, result.candidate, result.verdict)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in held.reports:
            if report.when == "call":
                report = self._call_report(item, result, report)
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _call_report(self, item: pytest.Item, result: Result, first: pytest.TestReport) -> pytest.TestReport:
        baseline = self._run.baselines.get(result.pair)
        # made the usual way, so that every plugin sees the exception and the report that it knows
        call = pytest.CallInfo.from_call(lambda: act(result.verdict, result.candidate, baseline, None), when="call")
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        report.duration, report.start, report.stop, report.sections = (
            first.duration,
            first.start,
            first.stop,
            first.sections,
        )
        return report


@dataclass(frozen=True, slots=True)
class _Runs:
    """The fresh runs of one side: run by run whether it succeeded, and why there are no more."""

    good: tuple[bool, ...]
    why_not: str = ""


def _join(pair: str, baseline: _Runs, candidate: _Runs) -> Confirmation:
    why_not = baseline.why_not or candidate.why_not
    if why_not:
        return Confirmation(pair, baseline.good, candidate.good, None, None, f"could not be asked again: {why_not}")
    return Confirmation(pair, baseline.good, candidate.good, None, confirmed=False)


def _final(result: Result, confirmation: Confirmation) -> Verdict:
    """The verdict after the fresh runs: a requirement that they do not confirm is a flip and fails nothing."""
    first = result.verdict
    if confirmation.confirmed is None:
        return replace(first, why=f"{first.why}; {confirmation.counts}")
    if confirmation.confirmed:
        return replace(first, why=f"{first.why}; confirmed: {confirmation.counts}")
    if first.flip:
        return replace(first, why=f"{first.why}; not confirmed: {confirmation.counts}")
    return replace(
        first, outcome="xfailed", flip=True, why=f"not confirmed: {confirmation.counts}; the first run: {first.why}"
    )


def _lost(reports: list[pytest.TestReport]) -> Result | None:
    for report in reports:
        said = said_of(report)
        if report.when == "call" and said is not None and said.result is not None:
            result = said.result
            return result if result.verdict.word is Word.REGRESSED else None
    return None


def _progress(item: pytest.Item) -> pytest.TestReport:
    """A report that nobody counts: neither passed nor failed nor skipped, as pytest-rerunfailures marks a rerun."""
    outcome: Any = _CONFIRMING
    return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, "call", duration=0.0)


def _why_not(item: pytest.Item, reports: list[pytest.TestReport], observation: Observation | None) -> str:
    side = f"on the {role_of(item)}"
    if observation is not None:
        return f"{side} {observation.error}"
    failed = next((report for report in reports if not report.passed), None)
    what = "did not run" if failed is None else f"{failed.when} {failed.outcome}"
    return f"{side} the test's {what}"
