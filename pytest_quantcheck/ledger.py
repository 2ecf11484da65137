"""Collects what tests and processes reported, on the one process that writes reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Literal

import pytest

from pytest_quantcheck.conditions import Conditions
from pytest_quantcheck.conditions import planned
from pytest_quantcheck.confirmation import Confirmation
from pytest_quantcheck.engines.base import Engine
from pytest_quantcheck.fairness import Difference
from pytest_quantcheck.fairness import differences
from pytest_quantcheck.gguf_card import ModelCard
from pytest_quantcheck.gguf_card import same_content
from pytest_quantcheck.pins import Pins
from pytest_quantcheck.recording import Recording
from pytest_quantcheck.records import SIDES
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Payload
from pytest_quantcheck.records import Record
from pytest_quantcheck.records import Role
from pytest_quantcheck.reference_files import Reference
from pytest_quantcheck.reference_files import reference_differences
from pytest_quantcheck.renderings import Renderings
from pytest_quantcheck.said import Said
from pytest_quantcheck.sampling import Sampling
from pytest_quantcheck.session import Kind
from pytest_quantcheck.session import SessionVerdict
from pytest_quantcheck.session import recording_verdict
from pytest_quantcheck.session import session_verdict
from pytest_quantcheck.settings import Settings
from pytest_quantcheck.statistics import Rule
from pytest_quantcheck.variants import pair_key
from pytest_quantcheck.verdict import Result

EndKind = Kind | Literal["refused"]
"""How a run can end."""


@dataclass(frozen=True, slots=True)
class RoleUse(Record):
    """What one role cost: over all processes of the run."""

    loads: int = 0
    cached: int = 0
    """Answers that came from the cache."""
    peak_memory: int | None = None
    facts: Payload = field(default_factory=dict)

    @classmethod
    def of(cls, engine: Engine) -> RoleUse:
        """What this process used of an engine."""
        facts = getattr(engine, "facts", {})
        return cls(engine.loads, getattr(engine, "cached", 0), engine.peak_memory, facts)

    def plus(self, other: RoleUse) -> RoleUse:
        """Both together; memory is the larger one, since processes peak apart."""
        peaks = [peak for peak in (self.peak_memory, other.peak_memory) if peak is not None]
        loads, cached = self.loads + other.loads, self.cached + other.cached
        return RoleUse(loads, cached, max(peaks, default=None), self.facts or other.facts)


class Ledger:
    """All results of the run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cards: dict[Role, ModelCard] = {}
        self.references: tuple[Reference, ...] = ()
        """What the options name as unquantized weights: the candidate's first, then the baseline's own if any."""
        self.pins = Pins()
        self.file_states: Payload = {}
        """By source: how an engine's file was when its header was read."""
        self.renderings: tuple[Renderings, ...] = ()
        """What the baseline's and the candidate's templates make of a few conversations, where they differ."""
        self.foretold: Mapping[Role, Payload] = {}
        """Conditions that servers told before anything was asked of their models."""
        self.companions: Sequence[Difference] = ()
        self.use: dict[Role, RoleUse] = {}
        self.refusal = ""
        """Why the run ended before its first test."""
        self.sampling: Sampling | None = None
        """How answers are drawn; None where they are greedy."""
        self.confirmations: dict[str, Confirmation] = {}
        """By pair: how lost tests came out when both models were asked again."""
        self.sabotaged = False
        """Whether the candidate is known to be bad: then it is not the baseline, whatever its file is."""
        self.places: dict[str, tuple[str, int | None, str]] = {}
        """Where a test stands, by node id: file below pytest's rootdir, line from 0, name."""
        self.cannot: Counter[str] = Counter()
        """Why tests were skipped that something here could not do, with how many."""
        self.cache_failure = ""
        """Why answers could not be kept."""
        self.recording: Recording | None = None
        """The recorded baseline that this run compares with."""
        self.distributions = ""
        """What a recording keeps of references' log-probabilities, in words."""
        self.unrecorded = 0
        """Tests of a recording that were not recorded: the engine, the test or the disk failed."""
        self.sandbox: str | None = None
        """The level in which answers' code ran."""
        self._results: dict[str, Result] = {}
        self._joined: Sequence[Result] | None = None
        self._judged: tuple[tuple[Any, ...], SessionVerdict] | None = None
        self._same_content: bool | None = None
        self._baselines: dict[str, Observation] = {}

    def add(self, said: Said) -> None:
        """Take in what one report says."""
        self._joined = None
        self.sandbox = said.sandbox or self.sandbox
        self.unrecorded += said.unrecorded
        for half in (said.baseline, said.recorded):
            if half is not None:
                self._baselines[half.pair] = half
        if said.result is not None:  # a test that was repeated counts once, as it ended
            self._results[said.result.nodeid] = said.result
        if said.cannot:
            self.cannot[said.cannot] += 1

    def arrange(self, nodeids: Sequence[str]) -> None:
        """Put what workers reported in no order into that of the collection, so that a report does not depend on it."""
        self._joined = None
        place = {nodeid: number for number, nodeid in enumerate(nodeids)}
        pairs = {pair_key(nodeid): number for nodeid, number in place.items()}
        last = len(place)
        self._results = dict(sorted(self._results.items(), key=lambda one: place.get(one[0], last)))
        self._baselines = dict(sorted(self._baselines.items(), key=lambda one: pairs.get(one[0], last)))

    def add_use(self, use: dict[str, Any]) -> None:
        """Take in what one process used, by role."""
        for name, payload in use.items():
            role = Role(name)
            self.use[role] = self.use.get(role, RoleUse()).plus(RoleUse.from_payload(payload))

    @property
    def roles(self) -> tuple[Role, ...]:
        """The sides that are compared, the recorded baseline among them."""
        return self.settings.roles if self.recording is None else SIDES

    @property
    def results(self) -> Sequence[Result]:
        """The judged pairs, each with its baseline's observation."""
        if self._joined is None:
            found = self._results.values()
            self._joined = [replace(result, baseline=self._baselines.get(result.pair)) for result in found]
        return self._joined

    @property
    def ran(self) -> bool:
        """Whether any of our tests ran, or was meant to and could not: that must not look like success."""
        return bool(self._results or self._baselines or self.cannot)

    def observations(self, role: Role) -> Iterable[Observation]:
        """What a role's tests recorded."""
        if role is Role.BASELINE:
            return self._baselines.values()
        return [result.candidate for result in self._results.values()]

    def same_content(self) -> bool:
        """Whether both sides are the same bytes: an A/A run. Read once: equal files can be many gigabytes.

        A projector of its own makes a side another one.
        """
        if self._same_content is None:
            paths = [Path(card.path) for card in self.cards.values()]
            served = any(card.served for card in self.cards.values())
            if self.recording is not None or served:  # only fingerprints are at hand
                marks = {card.fingerprint for card in self.cards.values()}
                self._same_content = not self.sabotaged and len(paths) == 2 and len(marks) == 1 and marks != {""}
            else:
                self._same_content = (
                    not self.sabotaged
                    and len(paths) == 2
                    and not any(one.row == "projector" and one.level != "informs" for one in self.companions)
                    and all(path.is_file() for path in paths)
                    and same_content(*paths)
                )
        return self._same_content

    def conditions(self) -> dict[Role, Conditions]:
        """Under which conditions each side runs, as its engine reports them once both sides were loaded."""
        plans = {
            role: planned(role, self.settings, self.pins, self.cards.get(role)).with_facts(self.foretold.get(role, {}))
            for role in self.settings.roles
        }
        facts = {role: self.use[role].facts for role in plans if role in self.use and self.use[role].facts}
        if self.recording is not None:
            recorded, now = self.recording.conditions, plans[Role.CANDIDATE]
            now = now.with_facts(facts[Role.CANDIDATE]) if facts else now
            if bool(recorded.build) != bool(now.build):
                return {Role.CANDIDATE: now}
            return {Role.BASELINE: recorded, Role.CANDIDATE: now}
        if facts.keys() != plans.keys():
            return plans  # a plan against a fact would differ by what nobody could plan
        return {role: plan.with_facts(facts[role]) for role, plan in plans.items()}

    def differences(self) -> tuple[Difference, ...]:
        """What is not the same on both sides; nothing without a baseline."""
        found = differences(
            self.cards,
            self.conditions(),
            [(result.baseline, result.candidate) for result in self.results if result.baseline is not None],
            same_content=self.same_content(),
            allowed=self.settings.allow,
            renderings=self.renderings,
            more=[*self.companions, *reference_differences(self.references, self._recorded_references)],
        )
        # neither speed nor memory is recorded, so nothing forbids to compare them
        return tuple(map(_without_machine, found)) if self.recording is not None else found

    @property
    def _recorded_references(self) -> Mapping[str, str] | None:
        return None if self.recording is None else self.recording.references

    def end(self, exit_status: int) -> tuple[EndKind, SessionVerdict | None]:
        """How the run ended, in one word, and the verdict on it unless it was refused."""
        if self.refusal or exit_status == pytest.ExitCode.USAGE_ERROR:
            return "refused", None
        verdict = self.verdict()
        return verdict.kind, verdict

    def verdict(self) -> SessionVerdict:
        """The verdict on the run. Every report asks for it; it is reached anew only when there is news."""
        known = (
            *(self.results, len(self._baselines), self.unrecorded, dict(self.cards), dict(self.use), self.pins),
            *(self.recording, self.sabotaged, self.references, self.renderings, tuple(self.companions)),
        )
        if self._judged is None or self._judged[0] != known:
            self._judged = known, self._judge()
        return self._judged[1]

    def _judge(self) -> SessionVerdict:
        if self.settings.records:
            return recording_verdict(tuple(self._baselines.values()), self.unrecorded)
        return session_verdict(
            self.results,
            roles=self.roles,
            rule=Rule.of(self.settings.margin, self.settings.alpha),
            strict=self.settings.strict,
            differences=self.differences(),
            same_content=self.same_content(),
            template_pinned=self.settings.pin_template is not None,
            max_thinking_inflation=self.settings.max_thinking_inflation,
        )


def _without_machine(difference: Difference) -> Difference:
    """The same, ruling out no verdict on speed or memory."""
    kinds = tuple(kind for kind in difference.kinds if kind not in ("speed", "memory"))
    if kinds == difference.kinds:
        return difference
    level = difference.level if kinds or difference.level == "informs" else "informs"
    return replace(difference, kinds=kinds, level=level)
