"""One test for one role while it runs: what its body did, run by run. Kept in the item's stash."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import TypeAlias

import pytest

from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.choices import Choice
from pytest_quantcheck.embeddings import Embeddings
from pytest_quantcheck.engines.base import EngineCannot
from pytest_quantcheck.engines.base import EngineError
from pytest_quantcheck.engines.base import Tool
from pytest_quantcheck.fidelity import Fidelity
from pytest_quantcheck.measuring import Measured
from pytest_quantcheck.memory import Memory
from pytest_quantcheck.probe import Probe
from pytest_quantcheck.record import encode
from pytest_quantcheck.recording import SnapshotError
from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Reply
from pytest_quantcheck.records import Role
from pytest_quantcheck.repeats import Repeats
from pytest_quantcheck.said import Said

# an Exception, or pytest's own 'Failed', which is none
Caught: TypeAlias = BaseException
# what a model's answer cannot cause: the test or what was recorded for it is broken, and no verdict may hide that
_BROKEN_TEST = (NameError, ImportError, SyntaxError, MarkerError, SnapshotError)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How one run of a test's body ended: what it raised, what the model answered, what the engine failed with."""

    caught: Caught | None
    replies: tuple[Reply, ...] = ()
    measured: Measured = field(default_factory=Measured)
    error: EngineError | None = None
    offered: tuple[Tool, ...] = ()
    """The tools that its last question offered."""


@dataclass(slots=True)
class Trial:
    """What is known of a running item; kept in its stash."""

    role: Role
    pair: str
    """What both halves of the pair share."""
    repeats: Repeats = field(default_factory=Repeats)
    probe: Probe | None = None
    ends: list[RunEnd] = field(default_factory=list)
    """One entry a run of the body that is over."""
    said: Said | None = None
    """What the call report says."""
    text: str = ""
    """The same as JSON."""
    again: bool = False
    """Whether it is asked again: its observation is kept, and nothing is decided."""
    observation: Observation | None = None
    running: bool = False
    """Whether the body runs already: the hook that runs it is called again for every further run."""

    def start(self) -> None:
        """The body begins for the first time."""
        self.running = True
        if self.probe is not None:
            self.probe.begin_run(0)

    def say(self, said: Said) -> None:
        """Let the call report say this; TypeError for values of a user's engine that are no JSON."""
        self.said, self.text = said, encode(said)

    def release(self) -> None:
        """The item is over; it stays in memory to the end of the session, and what it asked with need not."""
        self.probe, self.said, self.text = None, None, ""
        self.ends.clear()

    def end_run(self, caught: Caught | None) -> None:
        """Keep how the body ended."""
        if self.probe is None:
            self.ends.append(RunEnd(caught))
        else:
            probe = self.probe
            self.ends.append(RunEnd(caught, probe.replies, probe.measured, probe.error, probe.offered))

    def begin_run(self) -> bool:
        """Make ready for the next run of the body; False when there is none.

        Nothing is repeated after a failure of the engine or of the test itself, nor when the body asked the model
        nothing: it measures speed, or a fixture did the asking.
        """
        last = self.ends[-1]
        over = last.error is not None or isinstance(last.caught, EngineError | EngineCannot)
        if over or is_broken_test(last.caught) or len(self.ends) >= self.repeats.runs:
            return False
        if self.probe is None or not self.probe.asked:
            return False
        self.probe.begin_run(len(self.ends))
        return True

    @property
    def caught(self) -> Caught | None:
        """What the body raised: that the test itself is broken before all else, else in the first run that failed."""
        failures = [end.caught for end in self.ends if end.caught is not None]
        return next((caught for caught in failures if is_broken_test(caught)), failures[0] if failures else None)


trial_key = pytest.StashKey[Trial]()


def is_broken_test(caught: Caught | None) -> bool:
    """Whether an exception says that the test is wrong, not the model."""
    if isinstance(caught, AttributeError):
        return isinstance(caught.obj, Probe | Reply | Choice | Embeddings | Fidelity | Memory)
    return isinstance(caught, _BROKEN_TEST)
