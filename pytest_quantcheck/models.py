"""The models of a run in one process: made once, loaded by their first request, held to the same conditions."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import pytest

from pytest_quantcheck import markers
from pytest_quantcheck.cache import FOLDER
from pytest_quantcheck.cache import Cache
from pytest_quantcheck.contest import compare_speed
from pytest_quantcheck.device_choice import own_place
from pytest_quantcheck.devices import Place
from pytest_quantcheck.distribution import FILES_KEY
from pytest_quantcheck.distribution import PINS_KEY
from pytest_quantcheck.distribution import PLACE_KEY
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.engines.base import LoadSettings
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import same_content
from pytest_quantcheck.ledger import Ledger
from pytest_quantcheck.measuring import OtherModels
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.pins import pin
from pytest_quantcheck.pins import templates_differ
from pytest_quantcheck.pins import with_declared
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.records import Payload
from pytest_quantcheck.records import Role
from pytest_quantcheck.references import References
from pytest_quantcheck.renderings import render_probes
from pytest_quantcheck.repeats import Repeats
from pytest_quantcheck.sampling import Sampling
from pytest_quantcheck.sampling import sampling_defaults
from pytest_quantcheck.settings import NO_CACHE
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.trial import trial_key
from pytest_quantcheck.variants import pair_key
from pytest_quantcheck.variants import role_of

if TYPE_CHECKING:
    from pytest_quantcheck.progress import Watch
    from pytest_quantcheck.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class ModelUnderTest:
    """The model of one role: what the ``quant_model`` fixture gives."""

    role: Role
    engine: Engine

    @property
    def card(self) -> ModelCard:
        """What the model file says of itself."""
        return self.engine.card()


class Models:
    """The engines of both roles and of the references, and all that has to be known to make and to ask them.

    :param settings: what the user asked for.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.ledger = Ledger(settings)
        self.ledger.sabotaged = config.getoption("quant_sabotage", None) is not None
        self._config = config
        self._folder = Path.cwd()
        self._settings = settings
        self._input: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.snapshots: Snapshots | None = None
        if settings.snapshot_use:
            from pytest_quantcheck import snapshots

            self.snapshots = snapshots.Snapshots(config, settings, lambda: self.model(settings.roles[0]).engine)
        pins = (self._input or {}).get(PINS_KEY)
        # what the controller read from the headers holds for every worker
        self._pins = Pins.from_payload(pins) if pins else None
        self._declared = False  # whether the tests changed the context
        self._models: dict[Role, ModelUnderTest] = {}
        self._repeats: Repeats | None = None
        self._scratch: Path | None = None  # for stores, where pytest keeps no cache
        self._references = References(
            settings,
            self._store_folder,
            lambda source: self._engine(Role.REFERENCE, source),
            lambda: self.pins.template,
            self.snapshots.distributions if self.snapshots is not None else None,
        )
        self._cache: Cache | None = None
        self.watch: Watch | None = None
        """Who wants to know what this process does; None where nobody does."""

    @property
    def repeats(self) -> Repeats:
        """How often a test runs for each role; a header is read for it only when it is more than once."""
        if self._repeats is None:
            runs = self._settings.samples
            self._repeats = Repeats() if runs == 1 else Repeats(runs, sampling=self.sampling)
        return self._repeats

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn where they are: the same on both sides, as the first role's file recommends."""
        return sampling_defaults(self.model(self._settings.roles[0]).card)

    @property
    def is_worker(self) -> bool:
        """Whether this process is an xdist worker: it runs tests and writes no report."""
        return self._input is not None

    @property
    def is_one_of_several(self) -> bool:
        """Whether other processes of this run ask the same models meanwhile."""
        return bool((self._input or {}).get("workercount", 1) > 1)

    @property
    def file_states(self) -> Payload:
        """How each side's file was when the run began, by source; a worker is told."""
        told: Payload = (self._input or {}).get(FILES_KEY) or self.ledger.file_states
        return told

    @property
    def cache(self) -> Cache | None:
        """Where answers are kept between runs; None where they are not."""
        if self._cache is None and self._settings.cache != NO_CACHE:
            directory = self._settings.cache or self._kept(FOLDER)
            self._cache = None if directory is None else Cache(directory)
        return self._cache

    @cached_property
    def same_file(self) -> bool:
        """Whether both sides hold the same bytes; a file that cannot be read is the engine's to refuse."""
        paths = [Path(self._settings.source(role)).expanduser() for role in self._settings.roles]
        try:
            return len(paths) > 1 and same_content(*paths)
        except OSError:
            return False

    def _kept(self, name: str) -> Path | None:
        """A folder that pytest keeps between runs; None where it keeps nothing, or cannot."""
        if self._config.pluginmanager.hasplugin("cacheprovider") and self._config.cache is not None:
            with contextlib.suppress(OSError):
                return self._config.cache.mkdir(name)
        return None

    def model(self, role: Role) -> ModelUnderTest:
        """The model of a role; made once, loaded by its first request."""
        if role not in self._models:
            engine = self._engine(role, self._settings.source(role))
            kind = self._config.getoption("quant_sabotage", None)
            if kind is not None and role is Role.CANDIDATE:
                from pytest_quantcheck.sabotage import Saboteur

                engine = Saboteur(engine, kind)
            self._models[role] = ModelUnderTest(role, engine)
        return self._models[role]

    def tell(self, role: Role) -> Callable[[str, int, int], None]:
        """What an engine of this role calls when it begins something, and as it goes on."""
        return (lambda op, done, of: None) if self.watch is None else partial(self.watch.tell, role)

    def _engine(self, role: Role, source: str) -> Engine:
        engine: Engine = self._config.hook.pytest_quantcheck_engine(config=self._config, role=role, source=source)
        return engine

    def _store_folder(self) -> Path:
        """Where the log-probabilities of references are kept: for later runs, unless pytest keeps nothing."""
        if self._settings.reference_store is not None:
            return self._settings.reference_store
        kept = self._kept("quantcheck-references")
        if kept is not None:
            return kept
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="quantcheck-"))
        return self._scratch

    @property
    def pins(self) -> Pins:
        """What both sides are held to."""
        if self._pins is None:
            recording = self.snapshots.holds() if self.snapshots is not None else None
            if recording is not None and self._settings.snapshot_use == "check":
                self._pins = recording.pins
                return self._pins
            cards = self.ledger.cards
            if len(cards) > 1 and templates_differ(self._settings, cards):
                self.ledger.renderings = render_probes([cards[Role.BASELINE], cards[Role.CANDIDATE]])
            default = self.ledger.renderings[0].thinking_default if self.ledger.renderings else None
            self._pins = pin(self._settings, cards, thinking_default=default)
        return self._pins

    def declare(self, items: Sequence[pytest.Item]) -> None:
        """Make the context fit what the tests declare; MarkerError when one needs more than there can be."""
        needs = {pair_key(item.nodeid): markers.plan(item).context for item in items if role_of(item) is not None}
        before = self.pins
        pins = with_declared(before, needs)
        self._pins = self.ledger.pins = pins if self.snapshots is None else self.snapshots.whole(pins)
        self._declared = self._pins != before

    def load_settings(self, role: Role) -> LoadSettings:
        """How llama.cpp loads the model of a role."""
        settings, pins = self._settings, self.pins
        kv_type = settings.kv_type_of(role)
        file = settings.mmproj_of(role)
        # absolute: a test may have changed the directory
        mmproj = "" if file is None else str(self._folder / file)
        devices = self.place.devices
        return LoadSettings(
            pins.context, settings.gpu_layers, kv_type, settings.threads, pins.template, mmproj, devices
        )

    @cached_property
    def place(self) -> Place:
        """Where this process runs its models; a worker is told."""
        told = (self._input or {}).get(PLACE_KEY)
        return own_place(self._config) if told is None else Place.from_payload(told)

    def probe(self, item: pytest.Item, model: ModelUnderTest) -> Probe:
        """A test's own access to the model."""
        trial = item.stash[trial_key]
        plan = markers.plan(item)
        given = (self._settings, self.pins, trial.repeats, plan.json_schema, self._others(model))
        stop = plan.stop if plan.may_stop(trial.repeats.runs) else ()
        engine = model.engine
        if plan.timed and not self.ledger.sabotaged:  # seconds of an earlier run say nothing of this one
            engine = getattr(engine, "fresh", engine)
        trial.probe = probe = Probe(engine, model.role, *given, folder=item.path.parent, stop=stop)
        return probe

    def _others(self, model: ModelUnderTest) -> OtherModels:
        """What a test can do with more than its own engine."""
        compares = model.role is Role.CANDIDATE and Role.BASELINE in self._settings.roles
        referred = model.role in self._references.given()
        return OtherModels(
            fidelity=partial(self._references.fidelity, model.role, model.engine) if referred else None,
            duel=partial(compare_speed, self._settings, self.pins, self._engines) if compares else None,
            no_speed=self.place.no_speed,
        )

    def _engines(self, role: Role) -> Engine:
        return self.model(role).engine

    def close(self) -> None:
        """Let all models go, and what was only kept for this run."""
        for model in self._models.values():
            model.engine.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
