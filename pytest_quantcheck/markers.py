"""One table of markers: which check stands behind each, which keywords it takes, and what a test carries of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

import pytest

from pytest_quantcheck.checks.base import Check
from pytest_quantcheck.checks.base import MarkerError
from pytest_quantcheck.checks.base import ToldCheck
from pytest_quantcheck.checks.base import checked_count
from pytest_quantcheck.checks.base import checked_flag
from pytest_quantcheck.checks.base import checked_share
from pytest_quantcheck.checks.budget import quant_budget
from pytest_quantcheck.checks.choice import quant_choice
from pytest_quantcheck.checks.code import quant_code
from pytest_quantcheck.checks.constraint.marker import quant_constraint
from pytest_quantcheck.checks.embeddings import quant_embed
from pytest_quantcheck.checks.fidelity import quant_fidelity
from pytest_quantcheck.checks.ifeval.marker import quant_ifeval
from pytest_quantcheck.checks.memory import quant_memory
from pytest_quantcheck.checks.recall import quant_recall
from pytest_quantcheck.checks.speed import quant_speed
from pytest_quantcheck.checks.strict_json import quant_json
from pytest_quantcheck.checks.tool_calls import quant_tools
from pytest_quantcheck.records import Observation
from pytest_quantcheck.stop_rules import Stop
from pytest_quantcheck.text import short

ASSERTIONS: Final = "assertions"
"""The family of a test that carries no check marker, and the score of what its body asserts."""
ANSWER: Final = "answer"
"""The score that says whether the answers are answers at all."""
EXACT: Final = "exact"
"""The score that says whether the answers are the baseline's."""
_OF_THE_ANSWER: Final = (ANSWER, ASSERTIONS)
_OF_THE_MACHINE: Final = ("speed", "memory")
"""Checks of figures that belong to the machine; so do those of seconds."""

WRONG: Final = "quantcheck_wrong"
"""An attribute of a test function that cannot run: one line that says why, raised when collection is over."""

_DIRECTORY: Final = "directory"
"""A factory's parameter of this name is the test's directory; it is no keyword of the marker."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A test that is one sample of a skill. Samples of one ``cluster`` share a template or a document."""

    family: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a test needs: ``tokens`` of context, for its longest prompt and the answer together."""

    tokens: int


@dataclass(frozen=True, slots=True)
class Exact:
    """Whether the candidate must answer with the baseline's very words."""

    exact: bool


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """That the test's one answer may end early; there is nothing more to say."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One row: ``factory`` makes the check called ``check``; a modifier has neither."""

    name: str
    check: str
    factory: Callable[..., Check] | None
    help: str


_CHECKS: Final = (
    Marker("quant_constraint", "constraint", quant_constraint, "the answer keeps to form: counts, words, marks, case"),
    Marker(
        "quant_ifeval", "ifeval", quant_ifeval, "the answer follows these instructions as IFEval's own checker says"
    ),
    Marker("quant_json", "json", quant_json, "the answer is strict JSON with this schema, these keys or this value"),
    Marker("quant_tools", "tools", quant_tools, "the answer calls these tools with these arguments, or none"),
    Marker("quant_recall", "recall", quant_recall, "the answer names these facts and none of the distractors"),
    Marker("quant_choice", "choice", quant_choice, "the model finds the right one of given answers the likeliest"),
    Marker(
        "quant_embed", "embed", quant_embed, "texts have the vectors that they had on the baseline, in the same order"
    ),
    Marker(
        "quant_fidelity",
        "fidelity",
        quant_fidelity,
        "texts are as likely, and probabilities as near to the unquantized weights, as on the baseline",
    ),
    Marker("quant_code", "code", quant_code, "the answer's Python code passes these cases, run in a sandbox"),
    Marker("quant_budget", "budget", quant_budget, "every answer stays within these tokens and seconds"),
    Marker("quant_speed", "speed", quant_speed, "the model reaches these speeds, and is not slower than the baseline"),
    Marker("quant_memory", "memory", quant_memory, "the model takes no more memory than this"),
)
TABLE: Final = (
    *_CHECKS,
    Marker("quant_tolerance", "", None, "by how much a check's score (0 to 1) may drop below the baseline's"),
    Marker("quant_sample", "", None, "the test is one sample of a family, which is judged as a whole"),
    Marker("quant_context", "", None, "the test needs so many tokens of context, prompt and answer together"),
    Marker("quant_snapshot", "", None, "exact=True: the answers are the baseline's word by word, recorded or live"),
    Marker("quant_early_stop", "", None, "the answer ends as soon as every check of the test scores 0 for good"),
)

MODIFIERS: Final[dict[str, type]] = {
    "quant_sample": Sample,
    "quant_context": Context,
    "quant_snapshot": Exact,
    "quant_early_stop": EarlyStop,
}
"""What holds the keywords of a marker that is no check; `quant_tolerance` takes the names of the checks."""


def register(config: pytest.Config) -> None:
    """Make the markers known to ``--markers`` and ``--strict-markers``."""
    for row in TABLE:
        keywords = ", ".join(f"{keyword}=..." for keyword in takes(row))
        config.addinivalue_line("markers", f"{row.name}({keywords}): {row.help}")


def build_checks(item: pytest.Item) -> tuple[Check, ...]:
    """The checks that the test carries, in the order of the table; a MarkerError is one line with the test's id."""
    return tuple(_build(item, row, keywords) for row, keywords in _found(item) if row.factory is not None)


def tolerances(item: pytest.Item) -> dict[str, float]:
    """By check, how far its score may drop without being a regression; unnamed checks may not drop."""
    for row, keywords in _found(item):
        if row.name != "quant_tolerance":
            continue
        if not keywords:
            raise _error(item, row, keywords, f"no check named; allowed: {', '.join(sorted(takes(row)))}")
        try:
            return {check: checked_share(check, drop) for check, drop in keywords.items()}
        except MarkerError as error:
            raise _error(item, row, keywords, str(error)) from None
    return {}


def sample(item: pytest.Item) -> Sample | None:
    """The family and cluster if the test is a sample; the family is the test function with its module by default."""
    for row, keywords in _found(item):
        if row.name == "quant_sample":
            for keyword, value in keywords.items():
                if not isinstance(value, str) or not value.strip():
                    raise _error(item, row, keywords, f"{keyword}={short(value)}; allowed: a text, not empty")
            return Sample(**{"family": _function_id(item)} | keywords)
    return None


def context(item: pytest.Item) -> int | None:
    """Tokens of context that the test declares; None when it declares nothing."""
    for row, keywords in _found(item):
        if row.name == "quant_context":
            try:
                return checked_count("tokens", keywords["tokens"])
            except MarkerError as error:
                raise _error(item, row, keywords, str(error)) from None
    return None


def exact(item: pytest.Item) -> bool:
    """Whether the answers must be the baseline's word by word."""
    for row, keywords in _found(item):
        if row.name == "quant_snapshot":
            try:
                return checked_flag("exact", keywords["exact"])
            except MarkerError as error:
                raise _error(item, row, keywords, str(error)) from None
    return False


def family(item: pytest.Item) -> str:
    """Under which heading the test is counted: its first check of the table, else 'assertions'."""
    names = {mark.name for mark in item.iter_markers()}
    return next((row.check for row in _CHECKS if row.name in names), ASSERTIONS)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a test's markers ask for; ``family`` is the heading under which the test is counted.

    ``json_schema`` governs the test's answers through a grammar; None leaves them free.
    """

    checks: tuple[Check, ...]
    tolerances: dict[str, float]
    sample: Sample | None
    family: str
    context: int | None
    json_schema: dict[str, Any] | None
    timed: bool = False
    """Whether seconds are judged."""
    exact: bool = False
    """Whether the answers must be the baseline's."""
    of_the_machine: tuple[str, ...] = ()
    """Names of the checks that judge what belongs to the machine, not to the model."""
    stop: Stop = ()
    """What lets an answer end early: then every check scores 0, whatever would follow."""

    def not_compared(self, baseline: Observation | None, candidate: Observation) -> tuple[str, ...]:
        """Scores that must not tell the two sides apart, since an answer may have been ended early.

        Where every check of one side scores 0: how its answer would have ended and what its body would have found is
        not known then. The rule holds for whole answers too, so that a verdict never hangs on where one was ended.
        """
        sides = [side for side in (baseline, candidate) if side is not None]
        lost = any(not any(score.value for score in side.scores if score.check not in _OF_THE_ANSWER) for side in sides)
        return _OF_THE_ANSWER if lost and self.may_stop(max(side.runs for side in sides)) else ()

    def may_stop(self, runs: int) -> bool:
        """Whether answers may end early; not those of several runs, whose means weigh how each of them ended."""
        return bool(self.stop) and runs == 1


_plan_key = pytest.StashKey[Plan]()


def plan(item: pytest.Item) -> Plan:
    """The test's plan, made once (a schema file is read once); MarkerError when a marker cannot be meant like this."""
    if _plan_key not in item.stash:
        if wrong := getattr(getattr(item, "obj", None), WRONG, ""):
            raise MarkerError(f"{item.nodeid.partition('[')[0]}: {wrong}")
        checks = build_checks(item)
        told = [check if isinstance(check, ToldCheck) else ToldCheck(check) for check in checks]
        forced = next((check.json_schema for check in told if check.json_schema is not None), None)
        names = [row.check for row, _ in _found(item) if row.factory is not None]
        seconds = [name for name, check in zip(names, told, strict=True) if check.timed]
        item.stash[_plan_key] = Plan(
            checks,
            tolerances(item),
            sample(item),
            family(item),
            context(item),
            forced,
            timed=bool(seconds),
            exact=exact(item),
            stop=_stop(item, told),
            of_the_machine=(*seconds, *(name for name in names if name in _OF_THE_MACHINE)),
        )
    return item.stash[_plan_key]


def _stop(item: pytest.Item, checks: Sequence[ToldCheck]) -> Stop:
    """Nothing ends early unless every score is fixed; which words the baseline would have said is not."""
    carries = any(row.name == "quant_early_stop" for row, _ in _found(item))
    if not carries or exact(item) or not all(check.stop for check in checks):
        return ()
    return tuple(group for check in checks for group in check.stop)


def _found(item: pytest.Item) -> Iterator[tuple[Marker, dict[str, Any]]]:
    """The rows that the test carries with their keywords, known and complete."""
    marks: dict[str, pytest.Mark] = {}
    for mark in item.iter_markers():
        # the closest comes first and wins: a function's marker replaces its class's
        marks.setdefault(mark.name, mark)
    for row in TABLE if marks else ():
        if row.name not in marks:
            continue
        mark = marks[row.name]
        allowed = takes(row)
        listed = f"allowed: {', '.join(sorted(allowed)) or 'no keyword'}"
        if mark.args:
            raise _error(item, row, mark.kwargs, f"positional argument {short(mark.args[0])}; {listed}")
        if unknown := next((keyword for keyword in mark.kwargs if keyword not in allowed), None):
            raise _error(item, row, mark.kwargs, f"unknown keyword {unknown!r}; {listed}")
        needed = [keyword for keyword, required in allowed.items() if required and keyword not in mark.kwargs]
        if needed:
            raise _error(item, row, mark.kwargs, f"keyword {needed[0]!r} is missing; {listed}")
        yield row, dict(mark.kwargs)


def takes(row: Marker) -> dict[str, bool]:
    """The keywords of the marker, and whether each has to be given."""
    if row.name == "quant_tolerance":
        return dict.fromkeys((check.check for check in _CHECKS), False)
    parameters = inspect.signature(row.factory or MODIFIERS[row.name]).parameters
    return {name: p.default is p.empty for name, p in parameters.items() if name != _DIRECTORY}


def _build(item: pytest.Item, row: Marker, keywords: dict[str, Any]) -> Check:
    try:
        return make(row, keywords, item.path.parent)
    except MarkerError as error:
        raise _error(item, row, keywords, str(error)) from None


def make(row: Marker, keywords: Mapping[str, Any], directory: Path) -> Check:
    """The check of a row that has one; relative paths start at ``directory``. MarkerError when it cannot be meant."""
    assert row.factory is not None
    place = {_DIRECTORY: directory} if _DIRECTORY in inspect.signature(row.factory).parameters else {}
    return row.factory(**keywords, **place)


def _error(item: pytest.Item, row: Marker, keywords: Mapping[str, Any], what: str) -> MarkerError:
    given = ", ".join(f"{keyword}=..." for keyword in keywords)
    return MarkerError(f"{item.nodeid}: {row.name}({given}): {what}")


def _function_id(item: pytest.Item) -> str:
    """The node id without the parameters."""
    name = getattr(item, "originalname", None) or item.name.partition("[")[0]
    return f"{item.nodeid.removesuffix(item.name)}{name}"
