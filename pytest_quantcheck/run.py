"""One pytest run of ours in one process: its engines, its trials, and at the end its reports."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_quantcheck.baselines import Baselines
from pytest_quantcheck.companion_differences import companion_differences
from pytest_quantcheck.device_choice import entries_of
from pytest_quantcheck.distribution import CACHE_KEY
from pytest_quantcheck.distribution import PINS_KEY
from pytest_quantcheck.distribution import SHARED_KEY
from pytest_quantcheck.distribution import USE_KEY
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.ledger import RoleUse
from pytest_quantcheck.models import Models
from pytest_quantcheck.named_companions import named_differences
from pytest_quantcheck.options import WrongValue
from pytest_quantcheck.options import only_looks
from pytest_quantcheck.options import option_name
from pytest_quantcheck.outcome import finish
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.record import Payload
from pytest_quantcheck.record import encode
from pytest_quantcheck.recording import SnapshotError
from pytest_quantcheck.records import Role
from pytest_quantcheck.repeats import Repeats
from pytest_quantcheck.reports import github
from pytest_quantcheck.reports.closing import write_closing
from pytest_quantcheck.reports.header import snapshot_lines
from pytest_quantcheck.reports.junit import tell_suite
from pytest_quantcheck.reports.outputs import Outputs
from pytest_quantcheck.reports.status import status_words
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.said import Said
from pytest_quantcheck.said import make_sendable
from pytest_quantcheck.said import said_of
from pytest_quantcheck.said import say
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.termination import end_on_sigterm
from pytest_quantcheck.trial import Caught
from pytest_quantcheck.trial import Trial
from pytest_quantcheck.trial import trial_key
from pytest_quantcheck.variants import pair_key
from pytest_quantcheck.variants import role_of


class Run(Models):
    """Plugin object, registered only when a model is given."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        super().__init__(config, settings)
        shared = (self._input or {}).get(SHARED_KEY)
        self.baselines = Baselines(Path(shared) if shared else None, self.snapshots)
        self._base_pins: Pins | None = None  # before the tests declared what they need
        self._outputs = Outputs(self.ledger, os.environ)
        self._internal_error = False
        self.again: Repeats | None = None
        """How the next test is asked again; None in the first round."""

    # --- hooks, in the order in which they are called --------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Read both headers before anything runs; a file that cannot be a model is a usage error."""
        if self.is_worker or only_looks(session.config):
            return
        session.config.add_cleanup(end_on_sigterm())
        try:
            self.ledger.recording = self.snapshots.checked() if self.snapshots is not None else None
        except SnapshotError as error:
            raise self._refused("snapshots", str(error)) from None
        if self.ledger.recording is not None:
            self.ledger.cards[Role.BASELINE] = self.ledger.recording.card
        for role in self._settings.roles:
            try:
                self.ledger.cards[role] = self.model(role).card
                files = getattr(self.model(role).engine, "files", None)
                self.ledger.file_states[self._settings.source(role)] = getattr(files, "state", None)
                if len(self._settings.roles) > 1:  # a server may have loaded it to tell of it: one model at a time
                    getattr(self.model(role).engine, "let_go", lambda: None)()
            except EngineError as error:
                raise self._refused_model(role, error) from None
        try:
            self.ledger.references = self._references.check(self.ledger.cards)
            heard = self._heard()
            self.ledger.pins = self._base_pins = self.pins
            told = named_differences(self._settings, self.ledger.cards)
            if self._settings.devices or getattr(self._config.option, "tx", None):
                entries_of(self._config)
        except WrongValue as wrong:
            raise self._refused(wrong.option, str(wrong)) from None
        self.ledger.foretold = {role: self._foretold(role) for role in self._settings.roles}
        named = [row for row, file in (("projector", self._settings.mmproj), ("drafter", self._settings.draft)) if file]
        self.ledger.companions = [*told, *heard, *companion_differences(self.ledger.cards, named=named)]
        self.ledger.sampling = self.repeats.sampling
        if self._settings.pin_template is not None and self.pins.template is None:
            raise self._refused("pin_template", "the baseline has no chat template")
        others = {card.chat_template for card in self.ledger.cards.values()} - {self.pins.template}
        if self.pins.template is not None and self.ledger.cards[Role.BASELINE].template_is_go and others:
            raise self._refused("pin_template", "the baseline's chat template is Ollama's, which nothing else renders")

    def _foretold(self, role: Role) -> Payload:
        """The conditions that a server tells before it is asked anything; a file's are those of its loading."""
        try:
            told: Payload = getattr(self.model(role).engine, "foretold", {})
        except EngineError as error:
            raise self._refused_model(role, error) from None
        return told

    def _heard(self) -> list[Difference]:
        """What became of the recorded baseline behind its address; WrongValue when no other may replace it."""
        if self.snapshots is None:
            return []
        cards = self.ledger.cards
        try:
            if self._settings.records:
                self.snapshots.voice(cards[Role.BASELINE])
            if why := self.snapshots.refuses(cards):
                raise WrongValue("model", why)
            return self.snapshots.same_address(cards)
        except EngineError as error:
            raise WrongValue("model", str(error)) from None

    def _refused_model(self, role: Role, error: EngineError) -> pytest.UsageError:
        live = role is Role.BASELINE and not self._settings.records
        return self._refused("baseline" if live else "model", str(error))

    def pytest_report_header(self) -> list[str]:
        """Who is compared, under which conditions, and what differs."""
        if not self.ledger.cards:
            return []
        from pytest_quantcheck.reports.header import header

        return [*header(self.ledger), *snapshot_lines(self._config, self._settings)]

    def pytest_report_collectionfinish(self) -> list[str]:
        """The context, when the tests that were collected changed it."""
        why = self.pins.reasons.get("context")
        return [f"quantcheck: context {self.pins.context} ({why})"] if self._declared else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Open the trial before any fixture runs."""
        role = role_of(item)
        if role is not None:
            # with one role there is no role word in the id, and a parameter of the user's may look like one
            paired = len(self._settings.roles) > 1
            pair = pair_key(item.nodeid) if paired else item.nodeid
            again = self.again is not None
            item.stash[trial_key] = Trial(role, pair, self.again or self.repeats, again=again)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Run the body as often as asked, score it when it has ended, and decide what becomes of the test."""
        trial = pyfuncitem.stash.get(trial_key, None)
        if trial is None or trial.running:
            return (yield)
        trial.start()
        caught: Caught | None = None
        try:
            yield
        except pytest.exit.Exception:
            raise
        except (Exception, pytest.fail.Exception) as error:
            caught = error
        trial.end_run(caught)
        while trial.begin_run():
            caught = None
            try:
                # through the hook: plugins that run a body in their own way (asyncio) do it again
                pyfuncitem.ihook.pytest_pyfunc_call(pyfuncitem=pyfuncitem)
            except pytest.exit.Exception:
                raise
            except (Exception, pytest.fail.Exception) as error:
                caught = error
            trial.end_run(caught)
        finish(pyfuncitem, trial, self.baselines, self._settings)
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send the trial's record along with the call report; a baseline never fails the run."""
        report = yield
        trial = item.stash.get(trial_key, None)
        if trial is None:
            return report
        if call.when == "call" and trial.said is not None:
            say(report, trial.said, trial.text if self.is_worker else None)
        if trial.role is Role.BASELINE and report.failed and not self._settings.records:
            # a fixture failed: the candidate meets the same fixture and tells
            report.sections.append(("quantcheck: the baseline failed outside its body", str(report.longrepr)))
            # 'passed' would let the body run without its fixtures
            report.outcome = "skipped" if call.when == "setup" else "passed"
            report.longrepr = (str(item.path), 0, "a fixture of the baseline failed") if call.when == "setup" else None
            failed = Said(fixture=call.when)
            say(report, failed, encode(failed) if self.is_worker else None)
        make_sendable(report)
        if call.when == "teardown":
            trial.release()
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Our words on core's categories; a baseline is progress and not counted."""
        said = said_of(report)
        return None if said is None else status_words(said, report, records=self._settings.records)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter a finished trial into the ledger."""
        said = None if self.is_worker else said_of(report)
        if said is not None:
            self.ledger.add(said)
            self.ledger.places[report.nodeid] = report.location

    def pytest_internalerror(self) -> None:
        """A worker that ends like this leaves tests undone, and pytest-xdist would exit 0 all the same."""
        self._internal_error = True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Hand over what the engines used; when fixtures are gone, set the exit status and write the reports.

        Inside all other wrappers: JUnit XML is written between the two halves, the terminal's summary after them.
        """
        use = {role.value: RoleUse.of(model.engine).to_payload() for role, model in self._models.items()}
        if self._references.use.loads:
            use[Role.REFERENCE.value] = self._references.use.to_payload()
        cache_failure = self._cache.failure if self._cache is not None else ""
        if self.is_worker:
            session.config.workeroutput[CACHE_KEY] = cache_failure  # type: ignore[attr-defined]
            session.config.workeroutput[USE_KEY] = use  # type: ignore[attr-defined]
            session.config.workeroutput[PINS_KEY] = self.pins.to_payload()  # type: ignore[attr-defined]
        else:
            self.ledger.add_use(use)
            self.ledger.cache_failure = self.ledger.cache_failure or cache_failure
            if self._cache is not None:
                self._cache.prune()
            if self.ledger.ran:
                tell_suite(session.config, self.ledger)
        try:
            return (yield)
        finally:
            self.close()
            if not self.is_worker and not only_looks(session.config):
                self._end(session)

    def _end(self, session: pytest.Session) -> None:
        if self._internal_error and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if session.exitstatus == pytest.ExitCode.OK and self.ledger.ran and self.ledger.verdict().fails:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.snapshots is not None and (failure := self.snapshots.finish(self.ledger, self._base_pins)):
            self._outputs.failures.append(failure)
        self._outputs.write(int(session.exitstatus))
        if self._outputs.failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the summary."""
        write_closing(terminalreporter, self.ledger, self._outputs, broken=self._internal_error)
        if self.ledger.ran and github.is_github(os.environ):
            for command in github.commands(self.ledger, self._config.rootpath, os.environ):
                terminalreporter.write_line(command)

    def _refused(self, option: str, why: str) -> pytest.UsageError:
        self.ledger.refusal = f"{option_name(option)}: {why}"
        self._outputs.write(pytest.ExitCode.USAGE_ERROR)
        self.close()  # the end of a session that never began is told to nobody
        return pytest.UsageError(self.ledger.refusal)
