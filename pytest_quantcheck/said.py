"""What a trial says with a test's report: it reaches whoever prints, in this process or in xdist's controller."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from typing import Final
from weakref import WeakKeyDictionary

import pytest

from pytest_quantcheck.records import Observation
from pytest_quantcheck.records import Record
from pytest_quantcheck.text import encodable
from pytest_quantcheck.verdict import Result

ATTRIBUTE: Final = "quantcheck"
"""Of a worker's test report: the JSON text of what was said. pytest-xdist sends every attribute along."""


@dataclass(frozen=True, slots=True)
class Said(Record):
    """What one report says. One of the first, or one of the reasons why there is neither."""

    baseline: Observation | None = None
    result: Result | None = None
    """Without its baseline's half, which has a report of its own."""
    recorded: Observation | None = None
    """The baseline's half that an earlier run recorded."""
    unrecorded: bool = False
    """Whether the baseline's half was to be recorded and was not."""
    cannot: str = ""
    """What something here cannot do."""
    fixture: str = ""
    """The phase in which a fixture of the baseline failed."""
    sandbox: str | None = None
    """The level in which answers' code ran so far."""

    @classmethod
    def _nested(cls) -> dict[str, Any]:
        def observation(value: Any) -> Observation | None:
            return None if value is None else Observation.from_payload(value)

        return {
            "baseline": observation,
            "recorded": observation,
            "result": lambda value: None if value is None else Result.from_payload(value),
        }


# beside the report, not on it: other plugins write everything that is on a report into files
_here: WeakKeyDictionary[pytest.TestReport, Said] = WeakKeyDictionary()


def say(report: pytest.TestReport, said: Said, text: str | None = None) -> None:
    """Let a report say this; ``text`` is the same as JSON where it has to leave this process."""
    if text is None:
        _here[report] = said
    else:
        vars(report)[ATTRIBUTE] = text


def said_of(report: pytest.TestReport) -> Said | None:
    """What a report says; None when it is none of ours."""
    text = getattr(report, ATTRIBUTE, None)
    return _here.get(report) if text is None else _parsed(text)


@lru_cache(maxsize=1)  # everybody who looks at a report looks at it in turn
def _parsed(text: str) -> Said:
    return Said.from_payload(json.loads(text))


def make_sendable(report: pytest.TestReport) -> None:
    """Spell out what pytest-xdist cannot send: it would give up the worker and all tests that were left to it."""
    report.sections = [(name, encodable(text)) for name, text in report.sections]
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, encodable(reason))
    elif report.longrepr is not None:
        text = str(report.longrepr)
        if encodable(text) != text:
            report.longrepr = encodable(text)
