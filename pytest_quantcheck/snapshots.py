"""Committed baselines: what one run recorded with ``--snapshot-update`` is what later runs compare with.

syrupy does the bookkeeping: which snapshots exist, are used, new, changed or left over. What a snapshot means is
decided by the verdict. Imported only where snapshots are recorded or checked.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_quantcheck import recording
from pytest_quantcheck.distributions import FOLDER
from pytest_quantcheck.distributions import Distributions
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.files import write_atomically
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.record import Payload
from pytest_quantcheck.recording import Recording
from pytest_quantcheck.recording import Snapshot
from pytest_quantcheck.recording import SnapshotError
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Role
from pytest_quantcheck.records import Status
from pytest_quantcheck.rows import Difference
from pytest_quantcheck.rows import difference
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.snapshot_files import Location
from pytest_quantcheck.snapshot_files import QuantSnapshots
from pytest_quantcheck.staleness import other_settings
from pytest_quantcheck.text import digest
from pytest_quantcheck.voice import Voice
from pytest_quantcheck.voice import is_other
from pytest_quantcheck.voice import listen
from pytest_quantcheck.voice import needs_voice


class Snapshots:
    """The folder of one run, in one process.

    :param engine: of the file that this run is about.
    """

    def __init__(self, config: pytest.Config, settings: Settings, engine: Callable[[], Engine]) -> None:
        assert settings.snapshots is not None
        self.folder = settings.snapshots
        self._config = config
        self._settings = settings
        self._engine = engine
        self._recording: Recording | None = None
        self._voice: Voice | None = None
        self.distributions = Distributions(self.folder / FOLDER, self.shown, self._measured)
        """The log-probabilities that recorded figures were measured against."""
        QuantSnapshots.snapshot_dirname = str(self.folder)
        QuantSnapshots.single_tests = bool(config.option.keyword) or any("::" in str(arg) for arg in config.args)

    @property
    def path(self) -> Path:
        """The file that says whose answers these are."""
        return self.folder / recording.NAME

    @property
    def recorded(self) -> Recording | None:
        """Whose answers lie in the folder, and how they were asked for; None when nothing was recorded.

        :raises SnapshotError: when that cannot be read.
        """
        if self._recording is None:
            try:
                self._recording = Recording.from_json(recording.read(self.path))
            except FileNotFoundError:
                return None
            except SnapshotError as error:
                raise SnapshotError(f"{self.shown(self.path)} cannot be read: {error}") from None
        return self._recording

    def _measured(self) -> bool:
        return self._settings.snapshot_use == "check" and self.recorded is not None and bool(self.recorded.references)

    def checked(self) -> Recording | None:
        """The recording that this run compares with; None in a run that records.

        :raises SnapshotError: when it is missing or cannot be read, unless this run may replace it.
        """
        try:
            found = self.recorded
        except SnapshotError as error:
            if self._settings.record:
                return None
            raise SnapshotError(f"{error}; --snapshot-update --quant-record writes it anew") from None
        if self._settings.records:
            return None
        if found is None:
            raise SnapshotError(f"{self.shown(self.path)} is missing; record it: {self.refresh()}", "missing")
        return found

    def refuses(self, cards: Mapping[Role, ModelCard]) -> str:
        """Why this run's file may not become the recorded baseline; empty when it may, or does not mean to."""
        if not self._settings.records or self._settings.record or self.recorded is None:
            return ""
        old, new = self.recorded.card, cards[Role.BASELINE]
        if recording.identity(old) == recording.identity(new):
            if not self._is_other_voice(new):
                return ""
            return (
                f"the recorded baseline is {old.file_name}, and another model, machine or build answers there now; "
                "--quant-record makes it the baseline"
            )
        another = f"{new.file_name} is another file"
        if old.file_name == new.file_name:
            another = "this is another file of that name"
        return f"the recorded baseline is {old.file_name}, and {another}; --quant-record makes it the baseline"

    def same_address(self, cards: Mapping[Role, ModelCard]) -> list[Difference]:
        """Whether the recorded baseline still answers where the candidate is asked; nothing where others do."""
        new = cards.get(Role.CANDIDATE)
        if self._settings.records or self.recorded is None or new is None or self.recorded.voice is None:
            return []
        old = self.recorded.card
        if recording.identity(old) != recording.identity(new):
            return []
        if self._is_other_voice(new):
            said = f"another model, machine or build answers at {old.file_name} than the one that was recorded there"
        else:
            said = f"{old.file_name} answers as it did when the baseline was recorded: most likely the same model (A/A)"
        return [difference("same address", said)]

    def _is_other_voice(self, card: ModelCard) -> bool:
        recorded = self.recorded.voice if self.recorded is not None else None
        heard = self.voice(card) if recorded is not None else None
        return recorded is not None and heard is not None and is_other(recorded, heard)

    def voice(self, card: ModelCard) -> Voice | None:
        """What the model says, heard once; None where its card tells it from others.

        :raises EngineError: when it does not answer.
        """
        if self._voice is None and needs_voice(card):
            self._voice = listen(self._engine())
        return self._voice

    def holds(self) -> Recording | None:
        """The recording that this run goes on with: the settings are the same, and no other file may replace it."""
        found = None if self._settings.record else self.recorded
        return found if found is not None and found.settings == recording.settings_of(self._settings) else None

    def whole(self, pins: Pins) -> Pins:
        """The same with the recorded context where that is larger: a part of the tests runs as all of them did."""
        found = self.holds()
        context = found.conditions.context if found is not None else None
        if context is None or pins.context is None or context <= pins.context:
            return pins
        return replace(pins, context=context)

    def finish(self, ledger: Ledger, pins: Pins | None) -> str:
        """Say beside the snapshots whose answers they are; why that failed, empty when it did not.

        :param pins: what the run was held to before its tests declared what they need.
        """
        seen = ledger.observations(Role.BASELINE)
        if not self._settings.records or all(one.status is Status.ERROR for one in seen):
            return ""
        conditions, settings = ledger.conditions()[Role.BASELINE], recording.settings_of(self._settings)
        needed = recording.references_in(self.folder)
        references = {one.reference_fingerprint: one.reference for one in (needed or {}).values()}
        if needed is None and self._recording is not None:
            references = dict(self._recording.references)
        card = ledger.cards[Role.BASELINE]
        made = Recording(card, conditions, pins or ledger.pins, settings, references, self._voice)
        try:
            ledger.distributions = self.distributions.told(0 if needed is None else self.distributions.tidy(needed))
            write_atomically(self.path, recording.written(made.to_json()))
        except OSError as error:
            return f"--snapshot-update: {self.shown(self.path)} could not be written: {error.strerror or error}"
        return ""

    def recall(self, item: pytest.Item) -> Observation:
        """What the test recorded on the baseline.

        :raises SnapshotError: when it recorded nothing, when that cannot be read, or when this run asks otherwise.
        """
        path = self._path(item)
        try:
            snapshot = Snapshot.from_json(recording.read(path))
        except FileNotFoundError:
            raise SnapshotError(f"no snapshot of this test is recorded ({self.shown(path)})", "missing") from None
        except SnapshotError as error:
            raise SnapshotError(f"{self.shown(path)} cannot be read: {error}") from None
        if why := self._stale(snapshot):
            raise SnapshotError(why, "stale")
        return snapshot.observation

    def record(self, item: pytest.Item, observation: Observation, of_the_machine: Collection[str]) -> str:
        """Write the test's snapshot as syrupy's options say; why that failed, empty when it did not.

        :param of_the_machine: checks whose scores say nothing on another machine.
        """
        origin = recording.origin_of(self._engine().card(), self._settings, self._build)
        kept = recording.without_machine(observation, of_the_machine)
        return self._assert(item, Snapshot(origin, kept).to_json(), None, update=True)

    def keep(self, item: pytest.Item) -> None:
        """Leave the test's snapshot as it is: it could not be recorded anew."""
        if self._path(item).exists():
            self._assert(item, {}, True, update=False)

    def tell(self, item: pytest.Item, *, accepted: bool) -> None:
        """Let syrupy know that the test's snapshot was looked at, and with which verdict."""
        self._assert(item, {}, accepted, update=False)

    def shown(self, path: Path) -> str:
        """A path for people, from pytest's rootdir where it lies there."""
        root = self._config.rootpath
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def where(self, item: pytest.Item) -> str:
        """The test's file, for people."""
        return self.shown(self._path(item))

    def refresh(self) -> str:
        """The command that makes the snapshots anew."""
        found = self.recorded
        options = ["--quant-model=" + (found.card.file_name if found is not None else "BASELINE.gguf")]
        if self._settings.reference is None and self.distributions.expected:
            named = [*(found.references.values() if found is not None else ()), *self.distributions.reference().models]
            options.append("--quant-reference=" + next(iter(named), "UNQUANTIZED.gguf"))
        return f"pytest {shlex.join(options)} --snapshot-update, with the other options of this run"

    @property
    def _build(self) -> str:
        facts: Any = getattr(self._engine(), "facts", {})
        return str(facts.get("build", ""))

    def _path(self, item: pytest.Item) -> Path:
        return Path(QuantSnapshots.get_location(test_location=Location(item), index=0))

    def _stale(self, snapshot: Snapshot) -> str:
        whole, origin, now = self.recorded, snapshot.origin, recording.settings_of(self._settings)
        if whole is not None and origin.fingerprint != recording.identity(whole.card):
            return f"recorded on another {origin.file} than the rest ({recording.NAME} names {whole.card.file_name})"
        if origin.settings != digest(now):
            differs = other_settings(whole.settings, now) if whole is not None else ""
            return differs or f"recorded under other settings than {recording.NAME} says"
        build = self._build
        if build and origin.build and build != origin.build:
            return f"recorded with {origin.build}, this is {build}"
        return ""

    def _assert(self, item: pytest.Item, data: Payload, accepted: bool | None, *, update: bool) -> str:
        session = getattr(self._config, "_syrupy", None)
        if session is None:  # -p no:syrupy
            return ""
        option = self._config.option
        assertion = SnapshotAssertion(
            session=session,
            extension_class=QuantSnapshots,
            test_location=Location(item),
            update_snapshots=update and option.update_snapshots,
            update_new_snapshots_only=update and option.update_new_snapshots_only,
        )
        extension = assertion.extension
        assert isinstance(extension, QuantSnapshots)
        # a snapshot that exists stays as it is with --snapshot-update-new-only
        only_new = update and not option.update_snapshots and self._path(item).exists()
        extension.accepted = True if only_new else accepted
        assertion._assert(data)
        error = assertion.executions[0].exception
        if not update or error is None:
            return ""
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return f"{self.where(item)} could not be written: {reason}"
